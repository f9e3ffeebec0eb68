//! Ctrl-C and SIGTERM: exit 4, and nothing of the recipe lives on.

use std::process::Stdio;
use std::time::{Duration, Instant};

use larder_testing::Project;

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

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
    let mut child = project
        .command(crate::LARDER, ["run"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    wait_for("the recipe comes so far", || project.path("begun").exists());
    // One shell sends them all: between two of our own processes the grace could pass.
    let send: Vec<String> = signals.iter().map(|signal| format!("kill {signal} {}", child.id())).collect();
    let sent = std::process::Command::new("sh").args(["-e", "-c", &send.join("; ")]).status();
    assert!(sent.is_ok_and(|status| status.success()), "the signals are sent");
    wait_for("larder ends", || child.try_wait().is_ok_and(|status| status.is_some()));
    let output = child.wait_with_output().expect("its output");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (project, output.status.code(), text)
}

#[test]
fn a_signal_cancels_the_run() {
    for signal in ["-INT", "-TERM"] {
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
        let (project, code, text) = cancelled(run, &["-INT", "-TERM"]);
        assert_eq!(code, Some(4), "{text}");
        let process = format!("/proc/{}", project.read("pid").trim());
        wait_for("the recipe ends", || !std::path::Path::new(&process).exists());
        !text.contains("cancelled")
    });
    assert!(at_once, "the second signal changes nothing");
}
