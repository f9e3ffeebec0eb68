//! `larder profile`, `--name` and `--report`.

use larder_testing::Project;
use serde_json::Value;

use crate::{larder, seen, small};

fn json(project: &Project, args: &str) -> Value {
    let output = larder(project, args).good();
    serde_json::from_str(&output.stdout).expect("one JSON object")
}

/// Two recipes at once, one after them that fails, one that is skipped; names and output of ill will.
fn hostile() -> Project {
    let project = Project::new();
    project.file("larder.yml", "name: \"<b>evil</b>\"\n").file(
        "cookbook.yml",
        "name: app\nrecipes:\n  \
         one:\n    cache: {inputs: [], outputs: []}\n    run: sleep 0.05\n  \
         two:\n    matrix: {x: [\"</script><img src=x onerror=alert(1)>\"]}\n    cache: {inputs: [], outputs: []}\n    run: sleep 0.1\n  \
         bad:\n    dependencies: [one, two]\n    cache: {inputs: [], outputs: []}\n    \
         run: printf 'a </pre><script>alert(2)</script>\\n\\033[31mred\\033[0m\\n'; exit 3\n  \
         after:\n    dependencies: [bad]\n    cache: {inputs: [], outputs: []}\n    run: 'true'\n",
    );
    project
}

#[test]
fn a_profile_tells_the_chain_the_phases_and_the_hits() {
    let project = small();
    insta::assert_snapshot!("profile-none", seen(&project, &larder(&project, "profile")));
    let _ = larder(&project, "run --name first").good();
    let told = json(&project, "profile --json");
    assert_eq!(
        (&told["run"], &told["name"], &told["project"]),
        (&1.into(), &"first".into(), &"small".into())
    );
    let chain: Vec<_> =
        told["critical_path"].as_array().expect("links").iter().map(|link| &link["recipe"]).collect();
    assert_eq!(chain, ["lib:part", "app:build"]);
    assert_eq!(told["critical_path"][1]["after"], "dependency");
    assert_eq!(told["recipes"][1]["dependencies"][0], "lib:part");
    assert_eq!(told["recipes"][1]["miss"], "no result for these inputs");
    let of = |value: &Value, name: &str| value[name].as_f64().expect("a number");
    assert!(of(&told["spent"], "command_ms") > 0.0 && of(&told, "before_ms") > 0.0, "{told}");
    assert!(of(&told, "shortest_ms") <= of(&told, "took_ms") + 0.1, "{told}");
    for recipe in told["recipes"].as_array().expect("recipes") {
        let spent: f64 =
            recipe["spent"].as_object().expect("phases").values().filter_map(Value::as_f64).sum();
        assert!((spent - of(recipe, "took_ms")).abs() < 0.1, "{recipe}");
    }
    // A run in which nothing changed is not kept; one that restores is.
    let _ = larder(&project, "run").good();
    assert_eq!(json(&project, "profile --json")["run"], 1);
    std::fs::remove_file(project.path("app/out.txt")).expect("an output");
    let _ = larder(&project, "run").good();
    let told = json(&project, "profile latest --json");
    assert_eq!((&told["run"], &told["tiers"]["local"]["hits"]), (&2.into(), &2.into()));
    assert_eq!(told["tiers"]["local"]["restored"], 1);
    assert_eq!(json(&project, "profile first --json")["run"], 1);
    assert_eq!(json(&project, "profile 1 --json")["name"], "first");
    let text = larder(&project, "profile 1").good().stdout;
    for part in
        ["run 1 `first` (just now)", "critical path", "where time went", "commands", "slowest", "parallelism"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    insta::assert_snapshot!("profile-no-number", seen(&project, &larder(&project, "profile 41")));
    insta::assert_snapshot!("profile-no-name", seen(&project, &larder(&project, "profile other")));
    insta::assert_snapshot!("profile-bad-name", seen(&project, &larder(&project, "run --name 41")));
}

#[test]
fn a_run_of_an_older_larder_is_no_error() {
    let project = small();
    let _ = larder(&project, "run").good();
    std::fs::write(project.path(".larder/state/runs/2"), b"rubbish").expect("a run");
    assert_eq!(json(&project, "profile --json")["run"], 1);
    let output = larder(&project, "profile 2");
    assert!(output.code() == 1 && output.stderr.contains("of run 2 it is not known"), "{}", output.stderr);
}

#[test]
fn a_trace_has_a_lane_for_each_slot() {
    let project = hostile();
    assert_eq!(larder(&project, "run -j 2").code(), 2);
    let _ = larder(&project, "profile --chrome trace.json").good();
    let trace: Value = serde_json::from_str(&project.read("trace.json")).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("events");
    let lanes: Vec<&str> = events
        .iter()
        .filter(|event| event["name"] == "thread_name")
        .filter_map(|event| event["args"]["name"].as_str())
        .collect();
    assert_eq!(lanes, ["slot 1", "slot 2", "larder"]);
    for event in events.iter().filter(|event| event["ph"] == "X") {
        assert!(event["ts"].is_u64() && event["dur"].is_u64() && event["tid"].is_u64(), "{event}");
    }
    let two = events.iter().find(|event| {
        event["cat"] == "ran" && event["name"].as_str().is_some_and(|name| name.contains("two"))
    });
    assert!(two.is_some_and(|two| two["dur"].as_u64() >= Some(100_000)), "{two:?}");
}

#[test]
fn a_report_is_one_file_in_which_nothing_of_others_is_markup() {
    let project = hostile();
    assert_eq!(larder(&project, "run --report ../report.html").code(), 2);
    let page = project.read("../report.html");
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    assert_eq!(page.matches("<script").count(), 1, "only its own");
    for never in ["<img", "alert(1)>", "<b>evil", "http://", "https://", "src=\"", "\u{1b}"] {
        let found = page.find(never).map(|at| &page[at.saturating_sub(80)..at]);
        assert_eq!(found.filter(|before| !before.ends_with("&gt;")), None, "{never}");
    }
    for part in [
        "&lt;b&gt;evil&lt;/b&gt;",
        "exit code 3",
        "&lt;script&gt;alert(2)",
        "\nred\n",
        "app:bad failed",
        "Content-Security-Policy",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // A cancelled or good run has one, too; of a kept run it is made again.
    let _ = larder(&project, "run one --report ../good.html").good();
    assert!(project.read("../good.html").contains("succeeded"));
    let _ = larder(&project, "profile 1 --report ../again.html").good();
    assert!(project.read("../again.html").contains("&lt;script&gt;alert(2)"));
    let output = larder(&project, "run one --report nowhere/x.html");
    assert!(
        output.code() == 1 && output.stderr.contains("cannot write `nowhere/x.html`"),
        "{}",
        output.stderr
    );
    assert!(!output.stderr.contains(".tmp"), "{}", output.stderr);
}

/// What is there is only replaced by its like.
#[test]
fn nothing_else_is_written_over() {
    let project = hostile();
    project.file("../notes", "mine").file("../empty", "");
    let ran = larder(&project, "run one --report cookbook.yml");
    assert!(ran.code() == 1 && ran.stderr.contains("`cookbook.yml` is there and no page"), "{}", ran.stderr);
    assert!(!project.path(".larder/state/runs/1").exists(), "refused before anything ran");
    let _ = larder(&project, "run one --report ../empty").good();
    project.file("made.cookbook.yml", "name: made\nrecipes: {page: {run: echo mine > page.html}}\n");
    assert_eq!(larder(&project, "run made:page --report page.html").code(), 1, "the run made it");
    assert_eq!(project.read("page.html"), "mine\n");
    for (what, file) in [("report", "../page"), ("chrome", "../trace")] {
        let write = |to: &str| larder(&project, &format!("profile --{what} {to}"));
        let _ = write(file).good();
        let _ = write(file).good();
        assert_eq!(write("../notes").code(), 1);
    }
    assert_eq!(larder(&project, "profile --chrome ../page").code(), 1, "a page is no trace");
    assert_eq!(project.read("../notes"), "mine");
}

#[test]
fn a_report_of_many_recipes_is_small() {
    let project = Project::new();
    let values: Vec<String> = (0..300).map(|n| format!("src/some/folder/file-{n}.c")).collect();
    project.file("larder.yml", "name: many\n").file(
        "cookbook.yml",
        format!(
            "name: app\nrecipes:\n  compile:\n    matrix: {{x: [{}]}}\n    cache: {{inputs: [], outputs: []}}\n    run: ':'\n",
            values.join(", ")
        ),
    );
    let _ = larder(&project, "run --report ../report.html").good();
    let length = project.read("../report.html").len();
    assert!(length < 300_000, "{length}");
    let kept = std::fs::metadata(project.path(".larder/state/runs/1")).expect("the run").len();
    assert!(kept < 300 * 1_000, "{kept}");
    let again = larder(&project, "run --report ../report.html").good();
    assert!(again.stdout.contains("300 cached"), "{}", again.stdout);
    assert!(!project.path(".larder/state/runs/2").exists());
}

#[test]
fn a_report_that_is_an_input_is_warned_of() {
    let project = Project::new();
    project
        .file("larder.yml", "name: p\n")
        .file("app/cookbook.yml", "name: app\nrecipes:\n  a:\n    cache: {outputs: []}\n    run: ':'\n");
    let output = larder(&project, "run --report app/report.html").good();
    assert!(output.stderr.contains("`app/report.html` is an input of `app:a`"), "{}", output.stderr);
    let output = larder(&project, "run --report report.html").good();
    assert_eq!(output.stderr, "");
}
