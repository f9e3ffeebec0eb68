//! `larder init --agents`: a section of `AGENTS.md`, made from the project.

use crate::{larder, seen, small};

#[test]
fn a_guide_for_agents() {
    let project = small();
    insta::assert_snapshot!("agents-dry", seen(&project, &larder(&project, "init --agents -n")));
    assert!(!project.path("AGENTS.md").exists());
    let _ = larder(&project, "init --agents").good();
    let first = project.read("AGENTS.md");
    assert!(first.contains("`app:build`") && first.contains("a server"), "{first}");
    let again = larder(&project, "init --agents").good();
    assert_eq!(again.stdout, "AGENTS.md is up to date\n");
    assert_eq!(project.read("AGENTS.md"), first);
}

#[test]
fn the_rest_of_the_file_stays() {
    let project = small();
    project.file("AGENTS.md", "# Ours\n\nBe kind.");
    let _ = larder(&project, "init --agents").good();
    let text = project.read("AGENTS.md");
    assert!(text.starts_with("# Ours\n\nBe kind.\n\n<!-- larder: begin"), "{text}");
    project.file("AGENTS.md", format!("{text}\n## More\r\nours too"));
    project.file(
        "more.cookbook.yml",
        "name: more\nrecipes:\n  fresh: {run: 'true', description: \"a `|` b <!-- larder: end -->\"}\n",
    );
    let _ = larder(&project, "init --agents").good();
    let changed = project.read("AGENTS.md");
    assert!(changed.starts_with("# Ours\n\nBe kind.\n\n<!-- larder: begin"));
    assert!(changed.ends_with("<!-- larder: end -->\n\n## More\r\nours too"), "{changed}");
    assert!(changed.contains("`more:fresh`"), "{changed}");
    assert_eq!(changed.matches("larder: end -->").count(), 2, "{changed}");
    let _ = larder(&project, "init --agents").good();
    assert_eq!(project.read("AGENTS.md"), changed);
}

#[test]
fn line_ends_are_those_of_the_file() {
    let project = small();
    project.file("AGENTS.md", "# Ours\r\n");
    let _ = larder(&project, "init --agents").good();
    let text = project.read("AGENTS.md");
    assert!(text.starts_with("# Ours\r\n\r\n<!-- larder: begin"), "{text}");
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    let again = larder(&project, "init --agents").good();
    assert_eq!(again.stdout, "AGENTS.md is up to date\n");
}

#[test]
fn a_link_stays_one_and_what_it_leads_to_is_replaced_whole() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let project = small();
    project.file("docs/CLAUDE.md", "# Ours\n");
    let (file, link) = (project.path("docs/CLAUDE.md"), project.path("AGENTS.md"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("a mode");
    std::os::unix::fs::symlink("docs/CLAUDE.md", &link).expect("a link");
    // Another name for what is there now: a file that is cut short and written again would change under both.
    let kept = project.path("kept.md");
    std::fs::hard_link(&file, &kept).expect("another name");
    let _ = larder(&project, "init --agents").good();
    assert_eq!(std::fs::read_link(&link).expect("still a link"), std::path::Path::new("docs/CLAUDE.md"));
    assert!(project.read("docs/CLAUDE.md").starts_with("# Ours\n\n<!-- larder: begin"));
    assert_eq!(std::fs::metadata(&file).expect("the file").mode() & 0o777, 0o640);
    assert_eq!(project.read("kept.md"), "# Ours\n");
}

#[test]
fn broken_markers_are_refused() {
    let project = small();
    project.file("AGENTS.md", "<!-- larder: end -->\nx\n");
    insta::assert_snapshot!("agents-broken", seen(&project, &larder(&project, "init --agents")));
    assert_eq!(project.read("AGENTS.md"), "<!-- larder: end -->\nx\n");
}

#[test]
fn it_runs_nothing_and_needs_a_project() {
    let project = larder_testing::Project::new();
    assert_eq!(larder(&project, "init --agents").code(), 1);
    project.file("larder.yml", "name: x\nvariables: {a: \"{{shell 'touch ran'}}\"}\n");
    let _ = larder(&project, "init --agents").good();
    assert!(!project.path("ran").exists() && project.path("AGENTS.md").exists());
}
