//! `larder why`.

use larder_testing::Project;

use crate::{larder, seen, small};

#[test]
fn differences_are_told_item_by_item() {
    let project = small();
    insta::assert_snapshot!("why-never-ran", seen(&project, &larder(&project, "why lib:part")));
    let _ = larder(&project, "run").good();
    insta::assert_snapshot!("why-hit", seen(&project, &larder(&project, "why lib:part")));
    project.file("lib/in.txt", "two\n");
    insta::assert_snapshot!("why-changed", seen(&project, &larder(&project, "why lib:part")));
    insta::assert_snapshot!("why-waits", seen(&project, &larder(&project, "why app:build")));
    let _ = larder(&project, "run").good();
    insta::assert_snapshot!("why-against", seen(&project, &larder(&project, "why lib:part --against 1")));
    insta::assert_snapshot!("why-no-run", seen(&project, &larder(&project, "why lib:part --against 41")));
    insta::assert_snapshot!("why-always", seen(&project, &larder(&project, "why check")));
    assert_eq!(larder(&project, "why nothing").code(), 3);
}

#[test]
fn why_changes_nothing() {
    let project = small();
    let _ = larder(&project, "run").good();
    project.file("lib/in.txt", "two\n");
    let _ = larder(&project, "why :build").good();
    assert_eq!(project.read("lib/part.txt"), "one\n");
    let output = larder(&project, "run").good();
    assert!(output.stdout.contains("miss: lib/in.txt changed"), "{}", output.stdout);
}

/// A machine of its own, with the same project as all others and the same folder as remote tier.
fn machine(tier: &std::path::Path) -> Project {
    let mut project = stranger(tier);
    project.env("LARDER_CACHE_SECRET", "a secret that all machines share");
    project
}

/// One that has no secret: nothing is sent from it.
fn stranger(tier: &std::path::Path) -> Project {
    let mut project = Project::new();
    let tier = tier.display();
    project
        .file("larder.yml", format!("name: shared\nconfig: {{cache: {{remotes: {{dir: {{path: {tier}}}}}}}}}\n"))
        .file(
            "cookbook.yml",
            "name: app\nenvironment: [TOKEN, NODE_ENV]\nrecipes:\n  build:\n    cache: {inputs: [src], outputs: [out]}\n    \
             run: |\n      echo begin\n      cat src/* > out\n  \
             test:\n    dependencies: [build]\n    cache: {inputs: [], outputs: []}\n    run: 'true'\n",
        )
        .file("src/a", "a\n")
        .file("src/b", "b\n");
    project.env("TOKEN", "hunter2-of-the-other-machine");
    project
}

/// All that lies in a folder.
fn all_bytes(folder: &std::path::Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        if entry.path().is_dir() {
            bytes.extend(all_bytes(&entry.path()));
        } else {
            bytes.extend(std::fs::read(entry.path()).expect("a file"));
        }
    }
    bytes
}

#[test]
fn a_run_of_another_machine_is_found_through_tiers() {
    let tier = tempfile::tempdir().expect("a folder");
    let first = machine(tier.path());
    let told = |project: &Project, args: &str| {
        let output = larder(project, args);
        seen(project, &output).replace(&*tier.path().to_string_lossy(), "[TIER]")
    };
    let mut second = machine(tier.path());
    insta::assert_snapshot!("why-elsewhere-none", told(&second, "why build --against latest"));
    let _ = larder(&first, "run --name ci-1234").good();

    // The same there and here: its result is the other's.
    insta::assert_snapshot!("why-elsewhere-same", told(&second, "why build --against ci-1234"));
    second.env("TOKEN", "of-this-machine").env("NODE_ENV", "dev");
    second.file("src/a", "changed\n").file("src/new", "new\n");
    std::fs::remove_file(second.path("src/b")).expect("an input");
    let cookbook = second.read("cookbook.yml").replace("echo begin", "echo began\n      echo more");
    second.file("cookbook.yml", cookbook);
    insta::assert_snapshot!("why-elsewhere", told(&second, "why build --against ci-1234"));
    insta::assert_snapshot!("why-elsewhere-latest", told(&second, "why test --against latest"));
    insta::assert_snapshot!("why-elsewhere-no-run", told(&second, "why build --against ci-9"));
    let json: serde_json::Value =
        serde_json::from_str(&larder(&second, "why build --against ci-1234 --json").good().stdout)
            .expect("JSON");
    assert_eq!((&json["elsewhere"], &json["against_name"]), (&true.into(), &"ci-1234".into()));
    let token = json["changes"].as_array().expect("changes").iter().find(|change| change["name"] == "TOKEN");
    let token = token.expect("the token");
    assert_eq!((&token["before"], &token["before_untold"]), (&serde_json::Value::Null, &true.into()));

    // A later run takes the place of the first of its name, whoever made it; where it was made, it is a run of the worktree.
    let _ = larder(&second, "run build --name ci-1234").good();
    assert!(told(&second, "why build --against ci-1234").contains("nothing differs from run 1"));
    assert!(
        told(&first, "why build --against latest")
            .contains("differs from run `ci-1234` (just now, through tiers)")
    );
}

#[test]
fn no_value_leaves_the_machine_and_nothing_where_nothing_is_sent() {
    let tier = tempfile::tempdir().expect("a folder");
    let _ = larder(&stranger(tier.path()), "run --name ci-1").good();
    assert_eq!(std::fs::read_dir(tier.path()).expect("the tier").count(), 0);
    let _ = larder(&machine(tier.path()), "run --name ci-1").good();
    let files = all_bytes(tier.path());
    let objects: Vec<Vec<u8>> = files
        .windows(4)
        .enumerate()
        .filter(|(_, window)| *window == b"\x28\xb5\x2f\xfd")
        .filter_map(|(at, _)| zstd::stream::decode_all(&files[at..]).ok().or_else(|| frame(&files[at..])))
        .collect();
    let has = |text: &str| {
        objects
            .iter()
            .chain([&files])
            .any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
    };
    assert!(has("larder.dev/key-record") && has("TOKEN"));
    assert!(!has("hunter2") && !has("echo begin"));
}

/// The first frame of what may be followed by anything.
fn frame(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut decoder = zstd::stream::read::Decoder::new(bytes).ok()?.single_frame();
    std::io::Read::read_to_end(&mut decoder, &mut out).ok().map(|_| out)
}

#[test]
fn secrets_are_shown_nowhere() {
    let mut project = Project::new();
    project.file("larder.yml", "name: shown\n").file(
        "cookbook.yml",
        "name: app\nenvironment: [NPM_TOKEN, MODE]\nrecipes:\n  build:\n    variables: {db_password: '{{env.NPM_TOKEN}}'}\n    \
         cache: {inputs: [], outputs: [out]}\n    run: ': {{env.NPM_TOKEN}}; echo $MODE > out'\n",
    );
    project.env("MODE", "dev").env("NPM_TOKEN", "hunter2-before");
    let _ = larder(&project, "run").good();
    project.env("MODE", "prod").env("NPM_TOKEN", "hunter2-after");
    let why = larder(&project, "why build").good().stdout;
    assert!(why.contains("dev → prod") && why.contains("NPM_TOKEN"), "{why}");
    let shown = [
        why,
        larder(&project, "why build --json").good().stdout,
        larder(&project, "run --json --report report.html").good().stdout,
        project.read("report.html"),
        larder(&project, "profile --json").good().stdout,
    ];
    assert!(shown[2].contains("NPM_TOKEN changed"), "{}", shown[2]);
    for text in shown {
        assert!(!text.contains("hunter2"), "{text}");
    }
    let state = all_bytes(&project.path(".larder/state"));
    let has = |text: &str| state.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("MODE") && has("prod") && !has("hunter2"));
}

#[test]
fn a_record_that_nobody_signed_is_not_believed() {
    let tier = tempfile::tempdir().expect("a folder");
    let mut first = machine(tier.path());
    first.env("LARDER_CACHE_SECRET", "the secret of somebody else");
    let _ = larder(&first, "run --name ci-1").good();
    let output = larder(&machine(tier.path()), "why build --against ci-1");
    assert!(output.code() == 1 && output.stderr.contains("is not believed"), "{}", output.stderr);
    let none = larder(&small(), "why app:build --against ci-1");
    insta::assert_snapshot!("why-elsewhere-no-tiers", format!("exit {}\n{}", none.code(), none.stderr));
}

#[test]
fn a_command_that_changed_is_told_line_by_line() {
    let project = small();
    let _ = larder(&project, "run").good();
    let cookbook =
        project.read("app/cookbook.yml").replace("echo building\n", "echo builds\n      echo more\n");
    project.file("app/cookbook.yml", cookbook);
    insta::assert_snapshot!("why-command", seen(&project, &larder(&project, "why app:build")));
    let json: serde_json::Value =
        serde_json::from_str(&larder(&project, "why app:build --json").good().stdout).expect("JSON");
    let expected =
        serde_json::json!([{"removed": "echo building"}, {"added": "echo builds"}, {"added": "echo more"}]);
    assert_eq!(json["command"], expected);
}
