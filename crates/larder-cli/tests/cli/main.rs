//! What a person sees: help, lists, plans, errors, lines, events, exit codes. Snapshots are files beside this one
//! (`INSTA_UPDATE=always` writes them anew); times, places and digests are filtered out of them.

mod affected;
mod agents;
mod cache;
mod clean;
mod completions;
mod configuration;
mod events;
mod every_input;
mod from_bake;
mod help;
mod init;
mod key;
mod output;
mod polyglot;
mod profile;
mod reference;
mod run;
mod servers;
mod signals;
mod suggest;
mod watch;
mod watch_edits;
mod why;

use std::sync::OnceLock;

use larder_testing::{Output, Project};
use regex::Regex;

/// The binary under test.
const LARDER: &str = env!("CARGO_BIN_EXE_larder");

/// Runs `larder` with arguments that are separated by spaces.
fn larder(project: &Project, args: &str) -> Output {
    project.larder(LARDER, args.split_whitespace())
}

/// Everything that was printed, and the exit code, without what differs from run to run.
fn seen(project: &Project, output: &Output) -> String {
    let mut text = format!("exit {}\n", output.code());
    for (name, stream) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        if !stream.is_empty() {
            text.push_str(&format!("--- {name}\n{stream}"));
        }
    }
    filtered(project, &text)
}

fn filtered(project: &Project, text: &str) -> String {
    static FILTERS: OnceLock<Vec<(Regex, &str)>> = OnceLock::new();
    let filters = FILTERS.get_or_init(|| {
        let filters = [
            (r"( *)\d+(\.\d+)? (ms|s)\b", " [TIME]"),
            (r#"_ms":\d+(\.\d+)?"#, r#"_ms":[TIME]"#),
            (r"b3:[0-9a-f]{8,64}", "b3:[HASH]"),
            (r"logs/[0-9a-f]{32}", "logs/[HASH]"),
            (r"\d+(\.\d+)? [kMG]?B\b", "[SIZE]"),
        ];
        filters.map(|(pattern, with)| (Regex::new(pattern).expect("a filter"), with)).into()
    });
    let root = project.root();
    let mut text = text.replace(&*root.to_string_lossy(), "[ROOT]");
    text = text.replace(&*project.store().to_string_lossy(), "[STORE]");
    text = text.replace(&*project.user_folder().to_string_lossy(), "[HOME]");
    for (filter, with) in filters {
        text = filter.replace_all(&text, *with).into_owned();
    }
    text
}

/// Two cookbooks: `app` builds from what `lib` made.
fn small() -> Project {
    let project = Project::new();
    project
        .file("larder.yml", "name: small\ndefault: [\"app:build\"]\n")
        .file(
            "lib/cookbook.yml",
            "name: lib\ntags: [base]\nrecipes:\n  \
             part:\n    description: Make the part\n    cache: {inputs: [in.txt], outputs: [part.txt]}\n    \
             run: cp in.txt part.txt\n",
        )
        .file("lib/in.txt", "one\n")
        .file(
            "app/cookbook.yml",
            "name: app\nrecipes:\n  \
             build:\n    description: Build it\n    dependencies: [\"lib:part\"]\n    \
             cache: {inputs: [a.txt], outputs: [out.txt]}\n    \
             run: |\n      echo building\n      cat a.txt ../lib/part.txt > out.txt\n  \
             serve:\n    description: Serve it\n    tags: [dev, web]\n    persistent: true\n    run: echo serving\n  \
             check:\n    dependencies: [build]\n    run: echo \"checked $*\"\n",
        )
        .file("app/a.txt", "a\n");
    project
}
