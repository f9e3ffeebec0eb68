//! One case: a project, and steps each of which changes something, runs, and compares with a clean build.
//!
//! Every step has random numbers of its own, so that steps can be left out without changing others.

use std::collections::BTreeSet;
use std::time::Duration;

use super::edits;
use super::model::Model;
use super::random::Random;
use super::reference;
use super::tree::{self, Tree};
use super::world::{self, World};

/// How many steps a case has.
pub(crate) const STEPS: usize = 7;

/// What a case came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) runs: usize,
    pub(crate) cached: usize,
    pub(crate) ran: usize,
    pub(crate) kills: usize,
}

/// A difference: what was done, what differs.
pub(crate) struct Difference {
    pub(crate) log: Vec<String>,
    pub(crate) what: String,
}

struct Case {
    world: World,
    models: [Model; 2],
    /// Earlier states.
    earlier: Vec<(Model, Tree)>,
    log: Vec<String>,
    sums: Sums,
    /// The next run need not find everything that the one before it recorded.
    shaken: bool,
    can_gc: bool,
    /// Clean builds that were made: of what, and what there should be.
    built: Vec<(String, Tree, Tree)>,
}

/// Runs the case of a seed without the steps in `skip`.
pub(crate) fn run(seed: u64, skip: &BTreeSet<usize>, can_gc: bool) -> Result<Sums, Difference> {
    let mut random = Random::new(seed, 0);
    let world = World::new();
    let model = Model::random(&mut random);
    for clone in [0, 1] {
        model.write(&world.root(clone));
    }
    world::first_sources(&world.root(0), &model, &mut random);
    let first = tree::read(&world.root(0), &tree::is_source);
    tree::replace_sources(&world.root(1), &first);
    let models = [model.clone(), model];
    let mut case = Case {
        world,
        models,
        earlier: Vec::new(),
        log: Vec::new(),
        sums: Sums::default(),
        shaken: false,
        can_gc,
        built: Vec::new(),
    };
    let mut result = case.check(0, &mut Random::new(seed, 1), true);
    for step in (0..STEPS).filter(|step| !skip.contains(step)) {
        if result.is_err() {
            break;
        }
        let mut random = Random::new(seed, 2 + step as u64);
        case.log.push(format!("step {step}"));
        result = case.step(&mut random);
    }
    match result {
        Ok(()) => Ok(case.sums),
        Err(what) => {
            let kept = if std::env::var_os("LARDER_TEST_KEEP").is_some() {
                format!("\nkept: {}", case.world.keep().display())
            } else {
                String::new()
            };
            Err(Difference { log: case.log, what: what + &kept })
        }
    }
}

impl Case {
    fn step(&mut self, random: &mut Random) -> Result<(), String> {
        let clone = usize::from(random.once_in(4));
        for _ in 0..1 + random.below(3) {
            let said = self.change(clone, random);
            self.log.push(format!("  clone {clone}: {said}"));
        }
        self.check(clone, random, false)
    }

    fn change(&mut self, clone: usize, random: &mut Random) -> String {
        let root = self.world.root(clone);
        match random.below(28) {
            0..=8 => edits::source(&root, random),
            9..=13 => edits::output(&root, &self.models[clone], random),
            14..=16 => self.change_model(clone, random),
            17 => {
                let state = (self.models[clone].clone(), tree::read(&root, &tree::is_source));
                self.earlier.push(state);
                "remembered".into()
            }
            18 | 19 => self.go_back(clone, random),
            20 => {
                let sources = tree::read(&self.world.root(1 - clone), &tree::is_source);
                tree::replace_sources(&root, &sources);
                self.models[clone] = self.models[1 - clone].clone();
                "sources of the other clone".into()
            }
            21 => {
                self.shaken = true;
                format!("store damaged: {}", edits::damage(&self.world.store(), random))
            }
            22 => self.damage_state(clone, random),
            23 | 24 => self.kill(clone, random),
            25 => self.race(clone, random),
            26 if self.can_gc => {
                self.shaken = true;
                let size = *random.pick(&["0", "20K", "1G"]);
                let output =
                    self.world.larder(clone).args(["cache", "gc", "--to-size", size]).output().unwrap();
                format!("gc to {size}: {}", output.status)
            }
            _ => {
                let said = edits::source(&root, random);
                format!("{said}, {}", edits::output(&root, &self.models[clone], random))
            }
        }
    }

    fn change_model(&mut self, clone: usize, random: &mut Random) -> String {
        let root = self.world.root(clone);
        let model = &mut self.models[clone];
        let value = random.pick(&["x", "y", "z z"]).to_string();
        let at = random.below(model.recipes.len());
        let recipe = &mut model.recipes[at];
        let said = match random.below(7) {
            0 => {
                recipe.salt = random.next() % 3;
                format!("text of r{at}")
            }
            1 => {
                recipe.variable = value;
                format!("variable of r{at}")
            }
            2 => {
                model.variable = value;
                "project's variable".into()
            }
            3 => {
                model.define = random.once_in(2).then_some(value);
                "-D".into()
            }
            4 => {
                recipe.narrow = !recipe.narrow;
                format!("narrow r{at}")
            }
            5 => {
                recipe.mode = *random.pick(&["644", "755", "444"]);
                format!("mode of r{at}")
            }
            _ => {
                let name = format!("PV{}", random.below(2));
                if random.once_in(3) {
                    model.environment.remove(&name);
                } else {
                    model.environment.insert(name, value);
                }
                "environment".into()
            }
        };
        model.write(&root);
        said
    }

    fn go_back(&mut self, clone: usize, random: &mut Random) -> String {
        if self.earlier.is_empty() {
            let root = self.world.root(clone);
            self.earlier.push((self.models[clone].clone(), tree::read(&root, &tree::is_source)));
            let said = edits::source(&root, random);
            return format!("remembered, {said}");
        }
        let at = random.below(self.earlier.len());
        let (model, sources) = self.earlier[at].clone();
        tree::replace_sources(&self.world.root(clone), &sources);
        self.models[clone] = model;
        format!("back to state {at}")
    }

    fn damage_state(&mut self, clone: usize, random: &mut Random) -> String {
        let root = self.world.root(clone);
        self.shaken = true;
        let said = edits::damage(&root.join(".larder"), random);
        // What globs own is known to the state alone: without it their old files would be a person's.
        for recipe in &self.models[clone].recipes {
            for (path, _) in super::model::outputs_of(recipe) {
                tree::remove(&root.join(path));
            }
        }
        format!("state damaged, outputs deleted: {said}")
    }

    fn kill(&mut self, clone: usize, random: &mut Random) -> String {
        let options: &[&str] = if random.once_in(3) { &["--force"] } else { &[] };
        let command = world::run_command(&self.world, clone, &self.models[clone], &[], options, &[]);
        let mut child = world::start(command);
        let after = random.below(150) as u64;
        std::thread::sleep(Duration::from_millis(after));
        let _ = child.kill();
        let _ = child.wait();
        self.sums.kills += 1;
        format!("killed after {after} ms {options:?}")
    }

    /// Edits while it runs: whatever that run makes, the next must be right.
    fn race(&mut self, clone: usize, random: &mut Random) -> String {
        let root = self.world.root(clone);
        let options: &[&str] = if random.once_in(2) { &["--force"] } else { &[] };
        let command = world::run_command(&self.world, clone, &self.models[clone], &[], options, &[]);
        let mut child = world::start(command);
        let mut said = Vec::new();
        for _ in 0..1 + random.below(3) {
            std::thread::sleep(Duration::from_millis(random.below(60) as u64));
            // That run may fail, when a file vanishes under its script.
            said.push(if random.once_in(3) {
                edits::there_and_back(&root, random)
            } else {
                edits::source(&root, random)
            });
        }
        let _ = child.wait();
        format!("while it ran: {}", said.join("; "))
    }

    /// Runs, and compares with a clean build.
    fn check(&mut self, clone: usize, random: &mut Random, plain: bool) -> Result<(), String> {
        let model = self.models[clone].clone();
        let root = self.world.root(clone);
        let mut selected = Vec::new();
        let (mut options, mut args): (Vec<&str>, Vec<String>) = (Vec::new(), Vec::new());
        if !plain {
            if random.once_in(5) {
                selected = (0..model.recipes.len()).filter(|_| random.once_in(3)).collect();
            }
            if random.once_in(12) {
                options.push("--force");
            }
            options.push(*random.pick(&["-j1", "-j2", "-j5"]));
            if random.once_in(10) {
                args = vec!["an arg".into(), "'q".into()];
            }
        }
        let closure = model.closure(&selected);
        if closure.is_empty() {
            return Ok(());
        }
        self.log.push(format!("  clone {clone}: run {options:?} {selected:?} -- {args:?}"));
        let run = |case: &Self| {
            world::run_command(&case.world, clone, &model, &selected, &options, &args).output().unwrap()
        };
        let output = run(self);
        if !output.status.success() {
            return Err(format!("larder run failed: {}", world::said(&output)));
        }
        let (cached, ran) = world::counts(&output);
        self.sums.runs += 1;
        self.sums.cached += cached;
        self.sums.ran += ran;
        if cached + ran != model.instances(&closure, false) {
            return Err(format!("it counts wrongly: {}", world::said(&output)));
        }
        let found = reference::relevant(&root, &model, &closure);
        let expected = self.expected(clone, &model, &selected, &args);
        if let Some(difference) = tree::difference(&found, &expected) {
            return Err(format!("{difference}\n{}", world::said(&output)));
        }
        // A store that says that it has another format is not used, rightly.
        let marker = std::fs::read_to_string(self.world.store().join("larder-store.json"));
        let is_foreign = !marker.is_ok_and(|text| text.contains("\"format\": 1"));
        let shaken = std::mem::take(&mut self.shaken) || is_foreign;
        if !shaken && random.once_in(4) && !options.contains(&"--force") {
            let again = run(self);
            let after = reference::relevant(&root, &model, &closure);
            if let Some(difference) = tree::difference(&after, &expected) {
                return Err(format!("the second run differs: {difference}\n{}", world::said(&again)));
            }
            if world::counts(&again).0 != model.instances(&closure, true) {
                let (first, again) = (world::said(&output), world::said(&again));
                return Err(format!("the second run did not find everything: {again}after {first}"));
            }
        }
        Ok(())
    }

    /// What there should be; the same question is built once.
    fn expected(&mut self, clone: usize, model: &Model, selected: &[usize], args: &[String]) -> Tree {
        let root = self.world.root(clone);
        let sources = tree::read(&root, &tree::is_source);
        let what = format!("{clone} {selected:?} {args:?} {model:?}");
        if let Some((_, _, tree)) = self.built.iter().find(|(of, from, _)| *of == what && *from == sources) {
            return tree.clone();
        }
        let tree = reference::build(&root, model, &model.closure(selected), selected, args);
        self.built.push((what, sources, tree.clone()));
        tree
    }
}
