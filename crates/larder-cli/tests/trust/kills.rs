//! SIGKILL at random moments of runs, restores, garbage collections and checks of the store: nothing of a recipe lives
//! on, and the next run is good and right.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use super::edits;
use super::model::{Model, outputs_of};
use super::random::{self, Random};
use super::reference;
use super::tree::{self, Tree};
use super::world::{self, World};

/// How long something of a killed run may live: the grace of 500 ms, and as much for a machine that is busy.
const GRACE: Duration = Duration::from_secs(1);

/// Processes that work in `root` or below it, with their commands.
fn living(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for process in tree::names(Path::new("/proc")) {
        let is_inside = fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(root));
        let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
        let is_zombie = stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'));
        if is_inside && !is_zombie {
            let command = fs::read(process.join("cmdline")).unwrap_or_default();
            let name = process.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.push(format!("{name} {}", String::from_utf8_lossy(&command).replace('\0', " ")));
        }
    }
    found
}

/// A project whose recipes take a while and leave processes behind.
fn slow_model(random: &mut Random) -> Model {
    let mut model = Model::random(random);
    for recipe in &mut model.recipes {
        recipe.sleep = *random.pick(&["0.01", "0.05", "0.1"]);
        recipe.clings = random.once_in(3);
    }
    model
}

struct Case {
    world: World,
    model: Model,
    expected: Option<(Tree, Tree)>,
}

impl Case {
    fn new(random: &mut Random) -> Self {
        let (world, model) = (World::new(), slow_model(random));
        model.write(&world.root(0));
        world::first_sources(&world.root(0), &model, random);
        Self { world, model, expected: None }
    }

    fn run(&self, options: &[&str]) -> Command {
        world::run_command(&self.world, 0, &self.model, &[], options, &[])
    }

    /// Begins something that is worth killing.
    fn begin(&self, random: &mut Random, can: &[&'static str]) -> (String, Child) {
        let root = self.world.root(0);
        match random.below(4 + can.len()) {
            0 => ("a forced run".into(), world::start(self.run(&["--force"]))),
            1 | 2 => {
                for (path, _) in self.model.recipes.iter().flat_map(outputs_of) {
                    tree::remove(&root.join(path));
                }
                ("a restore".into(), world::start(self.run(&[])))
            }
            3 => {
                let said = edits::source(&root, random);
                (format!("a run after {said}"), world::start(self.run(&[])))
            }
            more => {
                let command = can[more - 4];
                let mut program = self.world.larder(0);
                program.args(["cache", command]);
                if command == "gc" {
                    program.args(["--to-size", *random.pick(&["0", "10K", "1G"])]);
                }
                (format!("cache {command}"), world::start(program))
            }
        }
    }

    /// The next run is good, and the tree is right.
    fn check(&mut self, what: &str) {
        let root = self.world.root(0);
        let output = self.run(&[]).output().unwrap();
        assert!(output.status.success(), "after the kill of {what}: {}", world::said(&output));
        let closure = self.model.closure(&[]);
        let found = reference::relevant(&root, &self.model, &closure);
        let sources = tree::read(&root, &tree::is_source);
        if self.expected.as_ref().is_none_or(|(of, _)| *of != sources) {
            let built = reference::build(&root, &self.model, &closure, &[], &[]);
            self.expected = Some((sources, built));
        }
        let (_, expected) = self.expected.as_ref().unwrap();
        if let Some(difference) = tree::difference(&found, expected) {
            panic!("after the kill of {what}: {difference}\n{}", world::said(&output));
        }
    }
}

fn wait_until_gone(root: &Path, what: &str) {
    let since = Instant::now();
    loop {
        let left = living(root);
        if left.is_empty() {
            return;
        }
        assert!(since.elapsed() < GRACE, "{what}: still alive after {GRACE:?}: {left:#?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn killing_at_any_moment_leaves_no_process_and_nothing_wrong() {
    let can: Vec<&'static str> = ["gc", "verify"].into_iter().filter(|command| World::can(command)).collect();
    let kills = random::count("LARDER_TEST_KILLS", 15);
    let seed = random::count("LARDER_TEST_SEED", 1);
    let mut random = Random::new(seed, 99);
    let mut case = Case::new(&mut random);
    case.check("nothing");
    for kill in 0..kills {
        if kill % 10 == 9 {
            case = Case::new(&mut random);
            case.check("nothing");
        }
        let root: PathBuf = case.world.root(0);
        let (what, mut child) = case.begin(&mut random, &can);
        // Often early, sometimes late.
        let end = *random.pick(&[20, 100, 600]);
        let after = random.below(end);
        std::thread::sleep(Duration::from_millis(after as u64));
        let _ = child.kill();
        let _ = child.wait();
        let what = format!("{what} after {after} ms (kill {kill} of seed {seed})");
        wait_until_gone(&root, &what);
        case.check(&what);
        if can.contains(&"verify") && kill % 5 == 0 {
            let output = case.world.larder(0).args(["cache", "verify"]).output().unwrap();
            assert!(output.status.success(), "after the kill of {what}: {}", world::said(&output));
        }
    }
}
