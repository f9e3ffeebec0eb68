//! Completion scripts, and the names that they ask for.

use crate::{larder, small};

#[test]
fn every_shell_has_a_script_that_asks_for_recipes() {
    let project = small();
    for shell in ["bash", "zsh", "fish"] {
        let output = larder(&project, &format!("completions {shell}")).good();
        assert!(output.stdout.contains("larder __recipes"), "{shell}");
    }
    let _ = larder(&project, "completions elvish").good();
}

#[test]
fn completing_names_runs_nothing() {
    let project = small();
    project.file("larder.yml", "name: small\nvariables:\n  x: \"{{shell 'touch ran'}}\"\n").file(
        "lib/cookbook.yml",
        "name: lib\nrecipes:\n  part:\n    run: echo {{shell \"touch ran\"}}\n  other:\n    run: 'true'\n",
    );
    let output = larder(&project, "__recipes").good();
    assert_eq!(output.stdout, "app:build\napp:check\napp:serve\nlib:other\nlib:part\n");
    assert!(!project.path("ran").exists() && !project.path("lib/ran").exists());
    // Outside a project it is silent.
    let nowhere = larder_testing::Project::new();
    let output = larder(&nowhere, "__recipes").good();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
}

#[test]
fn bash_offers_recipes() {
    let project = small();
    let script = larder(&project, "completions bash").good().stdout;
    project.file("script", script);
    let offered = |line: &str, words: &str| {
        let count = words.split(' ').count();
        let ask = format!(
            "larder() {{ {} \"$@\"; }}; source ./script; COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; \
             COMP_WORDS=({words}); COMP_CWORD=$(({count}-1)); _larder_recipes larder; echo \"${{COMPREPLY[@]}}\"",
            crate::LARDER
        );
        project.larder("bash", ["-c", &ask]).good().stdout
    };
    assert_eq!(offered("larder run app:b", "larder run app : b"), "build\n");
    assert_eq!(offered("larder run li", "larder run li"), "lib:part\n");
}
