//! `persistent` and `retries`: what runs beside others, and what runs again.

use std::time::{Duration, Instant};

use larder_testing::{Project, Running, running};

use crate::{larder, seen};

/// A database, a server that needs it, and a cached test that needs the server. Each server says where it is and waits.
fn served() -> Project {
    let project = Project::new();
    project.file("larder.yml", "name: p\n").file("in.txt", "1\n").file(
        "cookbook.yml",
        r#"name: app
recipes:
  database:
    persistent: true
    run: echo $$ > database.pid; sleep 60
  server:
    persistent: true
    dependencies: [database]
    run: |
      test -n "$(cat database.pid)" || sleep 1
      echo listening; echo $$ > server.pid; sleep 60
  test:
    dependencies: [server]
    cache: {inputs: [in.txt], outputs: [report.txt]}
    run: |
      until test -s server.pid; do sleep 0.01; done
      kill -0 "$(cat server.pid)" && cat in.txt > report.txt
"#,
    );
    project
}

fn is_alive(project: &Project, file: &str) -> bool {
    running::is_alive(&project.read(file))
}

#[test]
fn a_server_lives_as_long_as_it_is_needed() {
    let project = served();
    insta::assert_snapshot!("served", seen(&project, &larder(&project, "run -j1 test")));
    assert_eq!(project.read("report.txt"), "1\n");
    assert!(!is_alive(&project, "server.pid") && !is_alive(&project, "database.pid"));
}

#[test]
fn a_server_that_only_hits_would_need_does_not_begin() {
    let project = served();
    let _ = larder(&project, "run test").good();
    std::fs::remove_file(project.path("server.pid")).expect("it was there");
    insta::assert_snapshot!("served-hit", seen(&project, &larder(&project, "run test")));
    assert!(!project.path("server.pid").exists());
    project.file("in.txt", "2\n");
    let _ = larder(&project, "run test").good();
    assert_eq!(project.read("report.txt"), "2\n");
}

/// A dry run says of each server what the run would do with it.
#[test]
fn a_dry_run_begins_no_server_that_only_hits_would_need() {
    let project = served();
    insta::assert_snapshot!("served-dry", seen(&project, &larder(&project, "run -n test")));
    let _ = larder(&project, "run test").good();
    insta::assert_snapshot!("served-hit-dry", seen(&project, &larder(&project, "run -n -v test")));
    let selected = larder(&project, "run -n server").good();
    assert!(selected.stdout.contains("2 would run"), "{}", selected.stdout);
    project.file("in.txt", "2\n");
    let changed = larder(&project, "run -n test").good();
    assert!(changed.stdout.contains("0 cached, 3 would run"), "{}", changed.stdout);
}

#[test]
fn a_selected_server_runs_until_it_is_cancelled() {
    let project = served();
    let mut running = Running::start(project.command(crate::LARDER, ["run", "server"]));
    running.wait("the server begins", |_| project.path("server.pid").exists());
    assert!(running.goes_on());
    running.signal(&["INT"]);
    let output = running.end();
    assert_eq!(output.code(), 4, "{}", output.stdout);
    assert!(output.stdout.contains("listening"), "what a selected server says is shown: {}", output.stdout);
    assert!(!is_alive(&project, "server.pid") && !is_alive(&project, "database.pid"));
}

#[test]
fn a_selected_server_that_ends_well_is_no_cancellation() {
    let project = served();
    project.file("cookbook.yml", "name: app\nrecipes:\n  serve: {persistent: true, run: echo served}\n");
    let output = larder(&project, "run serve").good();
    assert!(output.stdout.contains("served") && output.stdout.contains("1 run"), "{}", output.stdout);
}

#[test]
fn a_server_that_fails_fails_the_run() {
    let project = served();
    project.file(
        "cookbook.yml",
        "name: app\nrecipes:\n  server: {persistent: true, run: exit 3}\n  \
         test: {dependencies: [server], run: sleep 60}\n",
    );
    let begun = Instant::now();
    let output = larder(&project, "run test");
    assert_eq!(output.code(), 2, "{}", output.stdout);
    assert!(output.stdout.contains("exit code 3"), "{}", output.stdout);
    assert!(begun.elapsed() < Duration::from_secs(20));
}

/// With `--no-fail-fast` the rest goes on, but nobody begins who needs it.
#[test]
fn nobody_begins_with_a_server_that_failed() {
    let project = served();
    project.file(
        "cookbook.yml",
        "name: app\nrecipes:\n  server: {persistent: true, run: 'touch died; exit 3'}\n  \
         early: {dependencies: [server], run: 'until test -e died; do sleep 0.01; done; sleep 0.3'}\n  \
         late: {dependencies: [early, server], run: touch late}\n",
    );
    let output = larder(&project, "run --no-fail-fast late");
    assert_eq!(output.code(), 2, "{}", output.stdout);
    assert!(output.stdout.contains("it needs `app:server`, which failed: exit code 3"), "{}", output.stdout);
    assert!(!project.path("late").exists());
}

fn flaky(retries: u32) -> Project {
    let project = Project::new();
    project.file("larder.yml", "name: p\n").file(
        "cookbook.yml",
        format!(
            "name: app\nrecipes:\n  flaky:\n    retries: {retries}\n    \
             cache: {{inputs: [], outputs: ['gen/*.txt']}}\n    run: |\n      \
             echo x >> tries; n=$(wc -l < tries)\n      mkdir -p gen; echo $n > gen/$n.txt\n      test $n -ge 3\n"
        ),
    );
    project
}

#[test]
fn what_fails_is_tried_again_from_a_clean_start() {
    let project = flaky(2);
    insta::assert_snapshot!("retried", seen(&project, &larder(&project, "run")));
    let made = || {
        let names = std::fs::read_dir(project.path("gen")).expect("it is there");
        names.map(|entry| entry.expect("an entry").file_name()).collect::<Vec<_>>()
    };
    assert_eq!(made(), ["3.txt"], "what failed tries left is no output");
    std::fs::remove_dir_all(project.path("gen")).expect("it is there");
    let output = larder(&project, "run").good();
    assert!(output.stdout.contains("1 cached"), "{}", output.stdout);
    assert_eq!(made(), ["3.txt"]);
    assert_eq!(project.read("tries").lines().count(), 3);
}

#[test]
fn retries_end() {
    let project = flaky(1);
    insta::assert_snapshot!("retries-end", seen(&project, &larder(&project, "run")));
    assert_eq!(project.read("tries").lines().count(), 2);
    let events = larder(&project, "run --json --force");
    assert_eq!(events.code(), 0, "the third try: {}", events.stdout);
    assert!(!events.stdout.contains("retrying"), "{}", events.stdout);
}
