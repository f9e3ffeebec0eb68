//! Rule 10: nothing of a recipe outlives larder, and the schedule is greedy.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::world::{Project, Running, lives, wait_until};

/// A recipe with children in its group, in a session of their own, and orphaned; their numbers go to `$HOME/pids`. All of
/// them ignore every polite signal.
const FAMILY: &str = "      trap '' INT TERM HUP
      sh -c 'trap \"\" INT TERM HUP; echo $$ >> $HOME/pids; exec sleep 300' &
      setsid sh -c 'trap \"\" INT TERM HUP; echo $$ >> $HOME/pids; exec sleep 300' &
      sh -c 'setsid sh -c \"trap : INT TERM HUP; echo \\$\\$ >> \\$HOME/pids; exec sleep 300\" &'
      echo $$ >> $HOME/pids
      while test \"$(wc -l < $HOME/pids)\" -lt 4; do sleep 0.01; done
      touch $HOME/reached
";

fn family() -> Project {
    Project::new(&format!(
        "  make:
    cache: {{inputs: [], outputs: [out]}}
    run: |
{FAMILY}      sleep 300
"
    ))
}

fn pids(project: &Project) -> Vec<String> {
    let text = std::fs::read_to_string(project.user().join("pids")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// All are gone soon: "within a grace of 500 ms", and some for a busy machine.
fn gone(project: &Project) {
    let begun = Instant::now();
    let pids = pids(project);
    assert_eq!(pids.len(), 4);
    wait_until("the end of all children", || !pids.iter().any(|pid| lives(pid)));
    assert!(begun.elapsed() < Duration::from_secs(4), "after {:?}", begun.elapsed());
}

fn started(project: &Project) -> Running {
    let running = project.start(&["make"]);
    project.wait_for("reached");
    assert!(pids(project).iter().all(|pid| lives(pid)), "the test itself: all live");
    running
}

/// "orphan children after … Ctrl-C"; "4 cancelled"
#[test]
fn nothing_survives_an_interrupt() {
    for signal in [Signal::INT, Signal::TERM] {
        let project = family();
        let running = started(&project);
        running.signal(signal);
        let ran = running.end();
        assert_eq!(ran.code, Some(4), "{ran:#?}");
        gone(&project);
    }
}

/// "orphan children after … `kill -9`"
#[test]
fn nothing_survives_kill_9() {
    let project = family();
    let running = started(&project);
    running.signal(Signal::KILL);
    assert_eq!(running.end().code, None);
    gone(&project);
    // And the next run is not blocked by a lock that is left, nor captures what is half made.
    project.recipes("  make:\n    cache: {inputs: [], outputs: [out]}\n    run: echo whole > out\n");
    project.good(&["make"]);
    assert_eq!(project.read("out"), "whole\n");
}

/// "orphan children after fail-fast"
#[test]
fn nothing_survives_fail_fast() {
    let project = Project::new(&format!(
        "  make:
    run: |
{FAMILY}      sleep 300
  fail:
    run: |
      while ! test -e $HOME/reached; do sleep 0.01; done
      exit 7
"
    ));
    let ran = project.run(&["make", "fail", "-j2"]).ends(2);
    assert!(ran.all().contains("app:fail"), "{ran:#?}");
    gone(&project);
}

/// A recipe that ended leaves nothing behind either: what it put in the background would write into captured outputs.
#[test]
fn nothing_survives_the_recipe_itself() {
    let project = Project::new(&format!("  make:\n    run: |\n{FAMILY}"));
    project.good(&["make"]);
    gone(&project);
}

/// A child that holds the output open does not keep larder from ending.
#[test]
fn a_daemon_that_holds_the_output_open_does_not_hang() {
    let project = Project::new(
        "  make:
    cache: {inputs: [], outputs: [out]}
    run: echo > out; setsid sleep 300 & sleep 0.1
",
    );
    let begun = Instant::now();
    project.good(&[]);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

/// "hang with one CPU"
#[test]
fn one_cpu_is_enough() {
    let mut recipes = String::new();
    for at in 0..12 {
        let dependencies = if at < 2 { String::new() } else { format!("r{}, r{}", at - 1, at - 2) };
        recipes.push_str(&format!(
            "  r{at}:
    dependencies: [{dependencies}]
    cache: {{inputs: [], outputs: [o{at}]}}
    run: seq 5000; echo {at} > o{at}
"
        ));
    }
    let project = Project::new(&recipes);
    for arguments in [&["--output", "stream"][..], &["-j1", "--force"], &["-j16", "--force"], &[]] {
        let ran = project.run_by(&["taskset", "-c", "0"], arguments).good();
        assert_eq!(ran.executed() + ran.cached(), 12);
    }
}

/// `reservedThreads` beyond the cores leaves one.
#[test]
fn reserving_all_threads_leaves_one() {
    let project = Project::new("  make: {run: ':'}\n");
    project.file("larder.yml", "name: demo\nconfig: {reservedThreads: 1000}\n");
    project.good(&["make"]);
    project.file("larder.yml", "name: demo\nconfig: {maxParallel: 1}\n");
    project.good(&["make"]);
}

/// "level barriers instead of a greedy graph": `after` depends on `quick` only, and must run while `slow`, of the same level
/// as `quick`, still runs; `slow` ends only when `after` did.
#[test]
fn the_schedule_is_greedy() {
    let project = Project::new(
        "  quick: {run: ':'}
  slow: {run: 'while ! test -e $HOME/after; do sleep 0.01; done'}
  after:
    dependencies: [quick]
    run: touch $HOME/after
",
    );
    project.good(&["slow", "after", "-j2"]);
}

/// As many at once as `-j` says: each of three waits for the others.
#[test]
fn independent_recipes_run_at_once() {
    let mut recipes = String::new();
    for name in ["a", "b", "c"] {
        recipes.push_str(&format!(
            "  {name}:
    run: |
      touch $HOME/{name}; while ! test -e $HOME/a -a -e $HOME/b -a -e $HOME/c; do sleep 0.01; done
"
        ));
    }
    Project::new(&recipes).good(&["a", "b", "c", "-j3"]);
}

/// "dependents of a failed recipe still run"
#[test]
fn dependents_of_a_failed_recipe_do_not_run() {
    let project = Project::new(
        "  fail:
    cache: {inputs: [], outputs: []}
    run: exit 1
  after:
    dependencies: [fail]
    run: echo >> $HOME/after
  later:
    dependencies: [after]
    cache: {inputs: [], outputs: []}
    run: echo >> $HOME/later
  other: {run: echo >> $HOME/other}
",
    );
    for arguments in [&["--fail-fast"], &["--no-fail-fast"]] {
        let ran = project.run(&[&["later", "other", "fail"], &arguments[..]].concat()).ends(2);
        assert_eq!((project.count("after"), project.count("later")), (0, 0), "{ran:#?}");
    }
    assert!(project.count("other") >= 1, "without fail-fast the rest runs");
}

/// "`timeout`": the recipe fails, and nothing of it survives.
#[test]
fn a_timeout_ends_all_of_a_recipe() {
    let project = Project::new(&format!(
        "  make:
    timeout: 1s
    run: |
{FAMILY}      sleep 300
"
    ));
    project.run(&["make"]).ends(2).says("timed out");
    gone(&project);
}

/// A second interrupt is no second life.
#[test]
fn interrupts_may_come_twice() {
    let project = family();
    let running = started(&project);
    running.signal(Signal::INT);
    let _ = rustix::process::kill_process(
        rustix::process::Pid::from_raw(i32::try_from(running.pid()).unwrap()).unwrap(),
        Signal::INT,
    );
    assert_ne!(running.end().code, Some(0));
    gone(&project);
}

/// What a cancelled recipe left is not captured and not a hit.
#[test]
fn a_cancelled_recipe_is_not_recorded() {
    let project = Project::new(
        "  make:
    cache: {inputs: [], outputs: [out/]}
    run: |
      echo >> $HOME/make
      mkdir -p out; echo > out/half
      touch $HOME/reached; while ! test -e $HOME/go; do sleep 0.01; done
      mv out/half out/whole
",
    );
    for signal in [Signal::INT, Signal::KILL] {
        let running = project.start(&[]);
        project.wait_for("reached");
        running.signal(signal);
        running.end();
        std::fs::remove_file(project.user().join("reached")).unwrap();
    }
    project.let_go("go");
    assert_eq!(project.good(&[]).executed(), 1);
    assert!(project.has("out/whole") && !project.has("out/half"));
    assert_eq!(project.count("make"), 3);
}
