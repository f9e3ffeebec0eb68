//! `--json`: every line is an object that `docs/reference/events.md` describes.

use serde_json::Value;

use crate::{filtered, larder, small};

fn events(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect()
}

#[test]
fn a_run_is_told_as_events() {
    let project = small();
    let first = larder(&project, "run --json -j1").good();
    assert_eq!(first.stderr, "");
    insta::assert_snapshot!("events-first", filtered(&project, &first.stdout));
    let again = larder(&project, "run --json -j1").good();
    insta::assert_snapshot!("events-again", filtered(&project, &again.stdout));
}

#[test]
fn every_event_has_a_version_and_the_last_is_the_summary() {
    let project = small();
    project.file("app/cookbook.yml", "name: app\nrecipes:\n  build:\n    run: printf '\\377'; exit 7\n");
    let output = larder(&project, "run --json app:build");
    assert_eq!(output.code(), 2);
    let events = events(&output.stdout);
    assert!(events.iter().all(|event| event["version"] == 1));
    let of = |kind: &str| events.iter().find(|event| event["event"] == kind).expect("such an event");
    assert_eq!(of("output")["base64"], "/w==");
    assert_eq!(of("finished")["reason"], "exit code 7");
    let last = events.last().expect("events");
    assert_eq!(
        (&last["event"], &last["failed"], &last["exit_code"]),
        (&"summary".into(), &1.into(), &2.into())
    );
}

#[test]
fn an_error_that_keeps_a_run_from_beginning_is_an_event() {
    let project = small();
    let output = larder(&project, "run --json biuld");
    assert_eq!(output.code(), 3);
    let told = events(&output.stdout);
    assert_eq!((told.len(), &told[0]["version"], &told[0]["event"]), (1, &1.into(), &"error".into()));
    assert!(told[0]["message"].as_str().is_some_and(|text| text.contains("`biuld`")), "{told:?}");
    assert!(output.stderr.starts_with("error: "), "{}", output.stderr);
    project
        .file("app/cookbook.yml", "name: app\nrecipes:\n  build:\n    run: x\n    cahce: {outputs: [x]}\n");
    let output = larder(&project, "run --json");
    assert_eq!(output.code(), 1);
    let told = events(&output.stdout);
    let file = told[0]["file"].as_str().unwrap_or_default();
    assert!(file.ends_with("app/cookbook.yml"), "{told:?}");
    assert_eq!((told.len(), &told[0]["line"]), (1, &5.into()), "{told:?}");
    let plain = larder(&project, "run");
    assert_eq!((plain.code(), plain.stdout.as_str()), (1, ""));
}
