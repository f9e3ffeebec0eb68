//! Recipes' output in each mode.

use larder_testing::Project;

use crate::{larder, seen};

fn noisy() -> Project {
    let project = Project::new();
    project.file("larder.yml", "name: noisy\n").file(
        "cookbook.yml",
        "name: app\nrecipes:\n  \
         good:\n    cache: {inputs: [], outputs: []}\n    run: |\n      echo out; sleep 0.2\n      echo err >&2; sleep 0.2\n      printf end\n  \
         bad:\n    dependencies: [good]\n    cache: {inputs: [], outputs: []}\n    run: echo it broke; exit 3\n  \
         after:\n    dependencies: [bad]\n    cache: {inputs: [], outputs: []}\n    run: 'true'\n",
    );
    project
}

#[test]
fn errors_shows_only_what_failed() {
    let project = noisy();
    let output = larder(&project, "run");
    assert_eq!(output.code(), 2);
    insta::assert_snapshot!("output-errors", seen(&project, &output));
}

#[test]
fn group_shows_all_when_it_is_done() {
    let project = noisy();
    insta::assert_snapshot!("output-group", seen(&project, &larder(&project, "run --output group -j1")));
}

#[test]
fn stream_shows_lines_behind_names_and_replays_hits() {
    let project = noisy();
    insta::assert_snapshot!("output-stream", seen(&project, &larder(&project, "run --output stream -j1")));
    let again = larder(&project, "run --output stream good");
    insta::assert_snapshot!("output-stream-hit", seen(&project, &again));
    let silent = larder(&project, "run good");
    assert!(!silent.stdout.contains("out\n"), "{}", silent.stdout);
}

#[test]
fn a_long_log_is_cut_and_its_file_named() {
    let project = Project::new();
    project.file("larder.yml", "name: p\n").file(
        "cookbook.yml",
        "name: app\nrecipes:\n  long:\n    cache: {inputs: [], outputs: []}\n    run: seq 1000; exit 1\n",
    );
    let output = larder(&project, "run");
    let numbers: Vec<&str> = output.stdout.lines().filter(|line| line.parse::<u32>().is_ok()).collect();
    assert_eq!((numbers.len(), numbers.first(), numbers.last()), (200, Some(&"801"), Some(&"1000")));
    let line = output.stdout.lines().find(|line| line.contains("all of them: ")).expect("a pointer");
    let path = line.rsplit(' ').next().expect("a path");
    assert_eq!(project.read(path).lines().count(), 1000);
}

#[test]
fn piped_output_has_no_control_characters() {
    let project = noisy();
    let output = larder(&project, "run --no-fail-fast");
    let text = format!("{}{}", output.stdout, output.stderr);
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
}

#[test]
fn warnings_of_the_libraries_are_shown_once_of_each_kind_and_debug_logs_with_verbose_only() {
    let project = Project::new();
    project.file("larder.yml", "name: p\n").file(
        "cookbook.yml",
        "name: app\nrecipes:\n  one:\n    cache: {inputs: [], outputs: [a]}\n    run: touch a\n  \
         two:\n    cache: {inputs: [], outputs: [b]}\n    run: touch b\n",
    );
    let first = larder(&project, "run").good();
    assert_eq!(first.stderr, "");
    let damage = || {
        for record in std::fs::read_dir(project.path(".larder/state/owned")).expect("records") {
            let path = record.expect("a record").path();
            let mut bytes = std::fs::read(&path).expect("a record");
            *bytes.last_mut().expect("bytes") ^= 1;
            std::fs::write(&path, bytes).expect("a record");
        }
    };
    damage();
    let second = larder(&project, "run --force -j1").good();
    let warnings = |text: &str| text.matches("damaged record is ignored").count();
    assert!(second.stderr.starts_with("warning: damaged record is ignored (file `/"), "{}", second.stderr);
    assert_eq!(warnings(&second.stderr), 1, "{}", second.stderr);
    damage();
    let verbose = larder(&project, "run --force -v -j1").good();
    assert!(warnings(&verbose.stderr) >= 2, "{}", verbose.stderr);
    assert!(!verbose.stdout.contains("damaged record"), "{}", verbose.stdout);
}
