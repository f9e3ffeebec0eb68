//! Ctrl-C and SIGTERM: exit 4, and nothing of the recipe lives on.

use larder_testing::running::{is_alive, wait_until};
use larder_testing::{Project, Running};

/// Runs a recipe that waits, sends signals one right after the other when it made the file `begun`, and returns the exit
/// code.
fn cancelled(run: &str, signals: &[&str]) -> (Project, Option<i32>, String) {
    let project = Project::new();
    project.file("larder.yml", "name: p\n").file(
        "cookbook.yml",
        format!(
            "name: app\nrecipes:\n  wait:\n    cache: {{inputs: [], outputs: []}}\n    run: |\n      {run}\n"
        ),
    );
    let mut running = Running::start(project.command(crate::LARDER, ["run"]));
    running.wait("the recipe comes so far", |_| project.path("begun").exists());
    running.signal(signals);
    let output = running.end();
    (project, output.status.code(), output.stdout)
}

#[test]
fn a_signal_cancels_the_run() {
    for signal in ["INT", "TERM"] {
        let (project, code, text) = cancelled("touch begun; sleep 60; touch ended", &[signal]);
        assert_eq!(code, Some(4), "{text}");
        assert!(text.contains("1 cancelled"), "{text}");
        assert!(!project.path("ended").exists());
    }
}

/// With one signal the recipe has its grace, and the summary tells what came of it. The second leaves no time for either.
#[test]
fn a_second_signal_ends_at_once() {
    let run = "echo $$ > pid; trap : INT TERM; touch begun; while :; do sleep 0.01; done";
    // The grace is short: on a machine that stops for that long the second signal comes too late, so there are more tries.
    let at_once = (0..10).any(|_| {
        let (project, code, text) = cancelled(run, &["INT", "TERM"]);
        assert_eq!(code, Some(4), "{text}");
        let process = project.read("pid");
        wait_until("the recipe ends", || !is_alive(&process));
        !text.contains("cancelled")
    });
    assert!(at_once, "the second signal changes nothing");
}
