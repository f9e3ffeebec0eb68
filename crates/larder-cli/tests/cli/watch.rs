//! `--watch`: what changes is run again, what does not matter is not, and nothing is missed. The long test is in `watch_edits.rs`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder_testing::running::{is_alive, process_of};
use larder_testing::{Project, Running};
use serde_json::Value;

/// `larder run --watch --json`, and what it tells.
pub(crate) struct Watching {
    running: Running,
    events: Arc<Mutex<Vec<Value>>>,
}

impl Watching {
    pub(crate) fn start(project: &Project, args: &str) -> Self {
        let args = ["run", "--watch", "--json"].into_iter().chain(args.split_whitespace());
        let events: Arc<Mutex<Vec<Value>>> = Arc::default();
        let told = Arc::clone(&events);
        let running = Running::start_and_hear(project.command(crate::LARDER, args), move |line| {
            let event = serde_json::from_str(line).expect("each line is an event");
            told.lock().expect("no panic").push(event);
        });
        Self { running, events }
    }

    pub(crate) fn count(&self, event: &str) -> usize {
        let events = self.events.lock().expect("no panic");
        events.iter().filter(|told| told["event"] == event).count()
    }

    pub(crate) fn wait(&self, what: &str, mut holds: impl FnMut(&[Value]) -> bool) {
        self.running.wait(what, |_| holds(&self.events.lock().expect("no panic")));
    }

    /// Waits until it waits, after `runs` runs in all at least.
    pub(crate) fn idle_after(&self, runs: usize) {
        self.wait(&format!("it waits after {runs} runs"), |events| {
            let count = events.iter().filter(|event| event["event"] == "summary").count();
            let mut last = events.iter().rev().filter(|event| event["event"] != "output");
            count >= runs && last.next().is_some_and(|event| event["event"] == "watching")
        });
    }

    fn last(&self, event: &str) -> Value {
        let events = self.events.lock().expect("no panic");
        events.iter().rfind(|told| told["event"] == event).cloned().unwrap_or_default()
    }

    pub(crate) fn id(&self) -> u32 {
        self.running.id()
    }

    /// Ctrl-C: exit code 4.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        self.running.signal(&["INT"]);
        let output = self.running.end();
        let events: Vec<&str> = output.stdout.lines().collect();
        let last = &events[events.len().saturating_sub(12)..];
        assert_eq!(output.code(), 4, "{}\n{}", last.join("\n"), output.stderr);
    }
}

/// Long enough for a run that should not be to begin.
fn a_while() {
    std::thread::sleep(Duration::from_millis(700));
}

fn copying() -> Project {
    let project = Project::new();
    project.file("larder.yml", "name: p\n").file("src/in.txt", "1\n").file("other.txt", "x\n").file(
        "cookbook.yml",
        "name: app\nrecipes:\n  copy:\n    cache: {inputs: ['src/**'], outputs: [out.txt]}\n    \
         run: cat src/*.txt > out.txt\n",
    );
    project
}

#[test]
fn an_edit_is_followed_by_a_run() {
    let project = copying();
    let mut watching = Watching::start(&project, "");
    watching.idle_after(1);
    assert_eq!(project.read("out.txt"), "1\n");
    project.file("src/in.txt", "2\n");
    watching.idle_after(2);
    assert_eq!(project.read("out.txt"), "2\n");
    let changed = watching.last("changed");
    assert_eq!((&changed["paths"][0], &changed["count"]), (&"src/in.txt".into(), &1.into()));
    // Nothing reads these.
    project.file("other.txt", "y\n").file("new/folder/file", "");
    std::fs::write(project.path("src/in.txt"), "2\n").expect("the same again");
    a_while();
    assert_eq!(watching.count("summary"), 2);
    // A new file, in a folder that is new, too; a failure does not end it.
    project.file("src/sub/b.txt", "");
    watching.idle_after(3);
    std::fs::remove_dir_all(project.path("src")).expect("it was there");
    watching.idle_after(4);
    assert_eq!(watching.last("summary")["failed"], 1);
    project.file("src/in.txt", "3\n");
    watching.idle_after(5);
    assert_eq!(project.read("out.txt"), "3\n");
    watching.stop();
}

/// Who edits an output finds it as the recipe made it.
#[test]
fn outputs_are_kept_as_the_run_left_them() {
    let project = copying();
    let watching = Watching::start(&project, "");
    watching.idle_after(1);
    project.file("out.txt", "mine\n");
    watching.idle_after(2);
    assert_eq!(project.read("out.txt"), "1\n");
    assert_eq!(watching.last("changed")["outputs_of"][0], "app:copy");
    std::fs::remove_file(project.path("out.txt")).expect("it was there");
    watching.idle_after(3);
    assert_eq!(project.read("out.txt"), "1\n");
}

#[test]
fn what_recipes_write_begins_no_run() {
    let project = Project::new();
    project.file("larder.yml", "name: p\n").file("a.txt", "1\n").file(
        "cookbook.yml",
        r#"name: app
recipes:
  all:
    cache: {inputs: ['**', '!sum'], outputs: [out, '*.gen']}
    run: mkdir -p out/deep; cp a.txt out/deep/b.txt; cp a.txt c.gen
  after:
    dependencies: [all]
    cache: {inputs: ['**'], outputs: [sum]}
    run: cat a.txt c.gen > sum
  always:
    dependencies: [after]
    run: cat sum > shown.txt
"#,
    );
    let watching = Watching::start(&project, "all after always");
    watching.wait("it waits", |events| events.iter().any(|event| event["event"] == "watching"));
    a_while();
    let settled = watching.count("summary");
    assert!(settled <= 3, "{settled} runs");
    project.file("a.txt", "2\n");
    watching.idle_after(settled + 1);
    a_while();
    assert!(watching.count("summary") <= settled + 3, "{}", watching.count("summary"));
    assert_eq!(project.read("shown.txt"), "2\n2\n");
}

/// It would go on for ever; it is said and slowed down, and edits are still seen.
#[test]
fn a_recipe_that_changes_what_it_reads_is_slowed_down() {
    let project = Project::new();
    project
        .file("larder.yml", "name: p\n")
        .file("cookbook.yml", "name: app\nrecipes:\n  log:\n    run: date +%N >> log.txt\n");
    let watching = Watching::start(&project, "log");
    watching.wait("it is said", |_| watching.running.stderr().contains("`log.txt` changes in every run"));
    std::thread::sleep(Duration::from_secs(2));
    assert!(watching.count("summary") < 16, "{}", watching.count("summary"));
}

#[test]
fn a_recipe_without_cache_runs_when_its_folder_or_its_dependencies_changed() {
    let project = Project::new();
    project
        .file("larder.yml", "name: p\n")
        .file(".gitignore", "*.log\n")
        .file("a/x.txt", "1\n")
        .file("b/y.txt", "1\n")
        .file("a/cookbook.yml", "name: a\nrecipes:\n  test: {run: echo a >> test.log}\n")
        .file(
            "b/cookbook.yml",
            "name: b\nrecipes:\n  make:\n    cache: {inputs: [y.txt], outputs: [z.txt]}\n    \
             run: grep -v '^#' y.txt > z.txt\n  test: {dependencies: [make], run: cat z.txt >> ../b.log}\n",
        );
    let watching = Watching::start(&project, "test");
    watching.idle_after(1);
    project.file("a/x.txt", "2\n");
    watching.idle_after(2);
    assert_eq!((&*project.read("a/test.log"), &*project.read("b.log")), ("a\na\n", "1\n"));
    project.file("b/y.txt", "2\n");
    watching.idle_after(3);
    assert_eq!((&*project.read("a/test.log"), &*project.read("b.log")), ("a\na\n", "1\n2\n"));
}

fn pid(project: &Project, file: &str) -> String {
    process_of(&project.path(file))
}

#[test]
fn a_server_begins_again_only_when_what_it_depends_on_changed() {
    let project = Project::new();
    project.file("larder.yml", "name: p\n").file("src.txt", "1\n").file("page.txt", "1\n").file(
        "cookbook.yml",
        r#"name: app
recipes:
  build:
    cache: {inputs: [src.txt], outputs: [bin.txt]}
    run: grep -v '^#' src.txt > bin.txt
  pages:
    cache: {inputs: [page.txt], outputs: [page.out]}
    run: cp page.txt page.out
  database:
    persistent: true
    run: echo $$ > database.pid; exec sleep 60
  server:
    persistent: true
    dependencies: [build, database]
    run: echo listening; echo $$ > server.pid; exec sleep 60
"#,
    );
    let mut watching = Watching::start(&project, "server pages");
    watching.idle_after(1);
    let (server, database) = (pid(&project, "server.pid"), pid(&project, "database.pid"));
    assert_eq!(watching.last("watching")["servers"], 2);
    // Something else, and the same binary.
    project.file("page.txt", "2\n");
    watching.idle_after(2);
    project.file("src.txt", "# a remark\n1\n");
    watching.idle_after(3);
    assert_eq!(
        (pid(&project, "server.pid"), pid(&project, "database.pid")),
        (server.clone(), database.clone())
    );
    project.file("src.txt", "2\n");
    watching.idle_after(4);
    let second = pid(&project, "server.pid");
    assert!(second != server && !is_alive(&server), "{server} → {second}");
    assert_eq!(pid(&project, "database.pid"), database);
    // Its own definition.
    let text = project.read("cookbook.yml").replace("echo listening", "echo hello");
    project.file("cookbook.yml", text);
    watching.idle_after(5);
    let third = pid(&project, "server.pid");
    assert!(third != second && !is_alive(&second), "{second} → {third}");
    assert_eq!(pid(&project, "database.pid"), database);
    let heard = |events: &[Value]| events.iter().any(|event| event["text"] == "hello\n");
    watching.wait("what a selected server says is told", heard);
    watching.stop();
    assert!(!is_alive(&third) && !is_alive(&database));
}

#[test]
fn a_server_that_dies_is_told_and_begins_again_with_the_next_run() {
    let project = Project::new();
    project.file("larder.yml", "name: p\n").file("src.txt", "1\n").file(
        "cookbook.yml",
        r#"name: app
recipes:
  build:
    cache: {inputs: [src.txt], outputs: [bin.txt]}
    run: cp src.txt bin.txt
  server:
    persistent: true
    dependencies: [build]
    run: echo $$ > server.pid; sleep 60
"#,
    );
    let watching = Watching::start(&project, "server");
    watching.idle_after(1);
    let first = pid(&project, "server.pid");
    let killed = std::process::Command::new("kill").args(["-KILL", &first]).status();
    assert!(killed.is_ok_and(|status| status.success()));
    watching.wait("its end is told", |events| {
        events.iter().any(|event| event["outcome"] == "failed" && event["recipe"] == "app:server")
    });
    assert_eq!(watching.count("summary"), 1);
    project.file("src.txt", "2\n");
    watching.idle_after(2);
    assert_ne!(pid(&project, "server.pid"), first);
}

#[test]
fn a_wrong_configuration_is_told_and_mended() {
    let project = copying();
    let good = project.read("cookbook.yml");
    let watching = Watching::start(&project, "--regex .*:.*");
    watching.idle_after(1);
    project.file("cookbook.yml", good.replace("inputs:", "imputs:"));
    watching.wait("it is told", |events| {
        let last = events.iter().rev().take(2).map(|event| event["event"].clone());
        last.eq(["watching", "error"])
    });
    project.file("cookbook.yml", good.replace("cat src", "cat other.txt src"));
    watching.idle_after(2);
    assert_eq!(project.read("out.txt"), "x\n1\n");
    // Other files that say what recipes are: a new cookbook, a template, a file for the environment.
    project.file(
        "more/cookbook.yml",
        "name: more\nrecipes:\n  new: {template: copier, parameters: {to: new.txt}}\n",
    );
    watching.wait("there is no template", |events| {
        events.last().is_some_and(|event| event["event"] == "watching")
            && events.iter().rev().nth(1).is_some_and(|event| event["event"] == "error")
    });
    project.file(
        ".larder/templates/copier.yml",
        "name: copier\nparameters: {to: {type: string, required: true}}\ntemplate:\n  \
         run: echo \"$WHO\" > {{params.to}}\n  environment: [WHO]\n  cache: {inputs: [], outputs: ['{{params.to}}']}\n",
    );
    let runs = watching.count("summary");
    watching.idle_after(runs + 1);
    assert_eq!(project.read("more/new.txt"), "\n");
    project.file("larder.yml", "name: p\nenv_file: who.env\n").file("who.env", "WHO=me\n");
    watching.wait("the environment is taken", |_| {
        std::fs::read_to_string(project.path("more/new.txt")).is_ok_and(|text| text == "me\n")
    });
}

/// A list of files that makes recipes is asked again.
#[test]
fn instances_come_with_their_files() {
    let project = Project::new();
    project.file("larder.yml", "name: p\n").file("src/a.txt", "a\n").file(
        "cookbook.yml",
        "name: app\nrecipes:\n  each:\n    matrix: {file: {glob: 'src/*.txt'}}\n    \
         cache: {inputs: ['{{matrix.file}}'], outputs: ['{{matrix.file}}.out']}\n    \
         run: cp {{matrix.file}} {{matrix.file}}.out\n",
    );
    let watching = Watching::start(&project, "");
    watching.idle_after(1);
    project.file("src/b.txt", "b\n");
    watching.wait("the new instance runs", |_| project.path("src/b.txt.out").exists());
}

/// An edit while a recipe runs is followed by another run, also if it is taken back at once.
#[test]
fn an_edit_during_a_run_is_not_missed() {
    let project = copying();
    project.file(
        "cookbook.yml",
        "name: app\nrecipes:\n  copy:\n    cache: {inputs: [src/in.txt], outputs: [out.txt]}\n    \
         run: touch .larder/begun; sleep 0.5; cat src/in.txt > out.txt; sleep 0.5\n",
    );
    let watching = Watching::start(&project, "");
    watching.wait("it runs", |_| project.path(".larder/begun").exists());
    project.file("src/in.txt", "2\n");
    std::thread::sleep(Duration::from_millis(700));
    project.file("src/in.txt", "1\n");
    watching.idle_after(2);
    assert_eq!(project.read("out.txt"), "1\n");
}

#[test]
fn a_second_signal_is_not_needed_and_nothing_lives_on() {
    let project = Project::new();
    project
        .file("larder.yml", "name: p\n")
        .file("cookbook.yml", "name: app\nrecipes:\n  slow: {run: 'echo $$ > slow.pid; exec sleep 60'}\n");
    let mut watching = Watching::start(&project, "slow");
    let running = pid(&project, "slow.pid");
    watching.stop();
    assert!(!is_alive(&running));
}

#[test]
fn what_does_not_go_with_watching_is_refused() {
    let project = copying();
    for other in ["--dry-run", "--list", "--affected", "--tree", "--undo"] {
        let output = crate::larder(&project, &format!("run --watch {other}"));
        assert_eq!(output.code(), 1, "{other}: {}", output.stderr);
        assert!(output.stderr.contains("cannot be used with"), "{}", output.stderr);
    }
    assert_eq!(crate::larder(&project, "run --watch nothing").code(), 3);
    assert_eq!(crate::larder(&project, "run --poll").code(), 1);
}

fn is_told_gone(events: &[Value], times: usize) -> bool {
    let told = events.iter().filter(|event| {
        event["event"] == "warning" && event["message"].as_str().is_some_and(|text| text.contains("is gone"))
    });
    told.count() >= times
}

#[test]
fn a_project_that_is_renamed_away_and_back_is_watched_on() {
    let project = copying();
    let mut watching = Watching::start(&project, "");
    watching.idle_after(1);
    let root = project.root();
    let away = root.with_file_name("away");
    let output = root.join("out.txt");
    let is = |text: &str| std::fs::read_to_string(&output).is_ok_and(|found| found == text);
    std::fs::rename(&root, &away).expect("it is away");
    watching.wait("it is told", |events| is_told_gone(events, 1));
    std::fs::write(away.join("src/in.txt"), "2\n").expect("an edit elsewhere");
    a_while();
    assert!(!root.exists() && watching.count("summary") == 1, "nothing is done without it");
    std::fs::rename(&away, &root).expect("it is back");
    watching.idle_after(2);
    assert_eq!(project.read("out.txt"), "2\n");
    project.file("src/in.txt", "3\n");
    watching.idle_after(3);
    assert_eq!(project.read("out.txt"), "3\n");
    // At once: there may be nothing to tell.
    std::fs::rename(&root, &away).expect("it is away");
    std::fs::rename(&away, &root).expect("it is back");
    project.file("src/in.txt", "4\n");
    watching.wait("it is seen", |_| is("4\n"));
    // A folder above it, in which the store is, too: not while something runs.
    watching.idle_after(watching.count("summary"));
    let above = root.parent().expect("a folder above").to_owned();
    let away = above.with_extension("away");
    std::fs::rename(&above, &away).expect("it is away");
    watching.wait("it is told again", |events| is_told_gone(events, 2));
    std::fs::rename(&away, &above).expect("it is back");
    project.file("src/in.txt", "5\n");
    watching.wait("it is seen", |_| is("5\n"));
    watching.stop();
}

/// The folder of the program and of its servers is none any more; all that is relative would be wrong.
#[test]
fn a_project_that_is_removed_and_made_again_is_watched_on() {
    let make = |project: &Project, text: &str| {
        project.file("src/in.txt", text).file("larder.yml", "name: p\n").file(
            "cookbook.yml",
            "name: app\nrecipes:\n  copy:\n    cache: {inputs: ['src/**'], outputs: [out.txt]}\n    \
             run: cat src/*.txt > out.txt\n  server:\n    persistent: true\n    \
             run: echo $$ > server.pid; exec sleep 60\n",
        );
    };
    let project = Project::new();
    make(&project, "1\n");
    let mut watching = Watching::start(&project, "copy server --report=../page.html");
    watching.idle_after(1);
    let (root, first) = (project.root(), pid(&project, "server.pid"));
    let page = root.with_file_name("page.html");
    // What goes on in it meanwhile may make something there.
    while root.exists() {
        let _ = std::fs::remove_dir_all(&root);
    }
    watching.wait("it is told", |events| is_told_gone(events, 1));
    let runs = watching.count("summary");
    a_while();
    assert!(!root.exists() && watching.count("summary") == runs, "nothing is done without it");
    let _ = std::fs::remove_file(&page);
    std::fs::create_dir(&root).expect("it is there again");
    a_while();
    assert!(!root.join(".larder").exists(), "nothing is written before it is a project");
    make(&project, "2\n");
    let is = |text: &str| std::fs::read_to_string(root.join("out.txt")).is_ok_and(|found| found == text);
    watching.wait("its content is seen", |_| is("2\n") && page.exists());
    let second = pid(&project, "server.pid");
    assert!(second != first && !is_alive(&first), "{first} → {second}");
    watching.idle_after(runs + 1);
    project.file("src/in.txt", "3\n");
    watching.wait("an edit is seen", |_| is("3\n"));
    assert_eq!(pid(&project, "server.pid"), second);
    watching.stop();
    assert!(!is_alive(&second));
}

/// A person's view, where lines cannot be drawn over.
#[test]
fn text() {
    let project = copying();
    let mut running = Running::start(project.command(crate::LARDER, ["run", "--watch", "--poll=1"]));
    let waits = |times| move |running: &Running| running.stderr().lines().count() == times;
    running.wait("it waits", waits(1));
    project.file("src/in.txt", "2\n");
    running.wait("it waits again", waits(2));
    running.signal(&["TERM"]);
    let output = running.end();
    assert_eq!(output.code(), 4);
    let watching = "watching 3 files in 3 folders · looking every 1.0 s · ctrl-c to stop\n";
    assert_eq!(output.stderr.replace("1.00 s", "1.0 s"), watching.repeat(2));
    insta::assert_snapshot!("watch", crate::filtered(&project, &output.stdout));
}
