//! Help texts.

use crate::{filtered, larder};
use larder_testing::Project;

#[test]
fn every_command_explains_itself() {
    let project = Project::new();
    let commands = [
        "",
        "run",
        "init",
        "why",
        "profile",
        "clean",
        "completions",
        "man",
        "schema",
        "cache",
        "cache stats",
        "cache ls",
        "cache gc",
        "cache verify",
        "cache pin",
        "cache unpin",
        "key",
        "key generate",
        "key show",
        "key trust",
        "key list",
        "key untrust",
    ];
    for command in commands {
        let output = larder(&project, &format!("{command} --help")).good();
        assert_eq!(output.stderr, "");
        let name = if command.is_empty() { "larder".to_owned() } else { command.replace(' ', "-") };
        insta::assert_snapshot!(format!("help-{name}"), filtered(&project, &output.stdout));
    }
}

#[test]
fn what_is_typed_wrongly_is_usage() {
    let project = Project::new();
    for args in
        ["run --bogus", "bogus", "run --list --check", "clean", "why", "cache gc --to-size much", "run -j 0"]
    {
        let output = larder(&project, args);
        assert_eq!(output.code(), 1, "{args}");
        assert!(output.stderr.starts_with("error: ") && output.stdout.is_empty(), "{args}: {output:?}");
    }
    let output = larder(&project, "-C nowhere run");
    insta::assert_snapshot!("no-such-folder", crate::seen(&project, &output));
}
