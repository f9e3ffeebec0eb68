//! Man pages, the reference in Markdown, schemas: made from the program itself.

use larder_testing::Project;
use serde_json::Value;

use crate::larder;

#[test]
fn there_is_a_page_for_each_command() {
    let project = Project::new();
    let _ = larder(&project, "man --dir share/man1").good();
    let run = project.read("share/man1/larder-run.1");
    assert!(run.contains(".TH larder-run 1") && run.contains("no\\-fail\\-fast"), "{run}");
    assert!(project.read("share/man1/larder.1").contains("larder\\-run(1)"));
    assert!(project.path("share/man1/larder-image-cache-gc.1").exists());
    // What is for scripts alone has none.
    assert!(!project.path("share/man1/larder-__recipes.1").exists());
    assert_eq!(larder(&project, "man").code(), 1);
    project.file("taken", "");
    let output = larder(&project, "man --dir taken");
    assert_eq!((output.code(), output.stdout.as_str()), (1, ""));
}

#[test]
fn the_reference_names_every_command_and_option() {
    let project = Project::new();
    let text = larder(&project, "man --markdown").good().stdout;
    for said in ["## `larder run`", "### `larder cache gc`", "`-D, --define <KEY=VALUE>`", "Exit codes: 0"] {
        assert!(text.contains(said), "{said}");
    }
    assert!(!text.contains("__recipes"));
}

#[test]
fn schemas_are_json() {
    let project = Project::new();
    for file in ["project", "cookbook", "template", "helper"] {
        let output = larder(&project, &format!("schema {file}")).good();
        let schema: Value = serde_json::from_str(&output.stdout).expect("JSON");
        assert!(schema["properties"]["name"].is_object(), "{file}");
    }
}
