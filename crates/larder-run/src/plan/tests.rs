//! Order, dependents and conflicts of plans.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use super::Plan;
use crate::config::{ConfigError, LoadOptions, Project, WalkListing};
use crate::select::Selection;

fn plan(recipes: &str, selectors: &[&str]) -> Result<Plan, ConfigError> {
    plan_with("", recipes, selectors)
}

fn plan_with(ignored: &str, recipes: &str, selectors: &[&str]) -> Result<Plan, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".gitignore"), ignored).unwrap();
    std::fs::write(folder.path().join("larder.yml"), "name: demo\n").unwrap();
    std::fs::create_dir(folder.path().join("app")).unwrap();
    std::fs::write(folder.path().join("app/cookbook.yml"), format!("name: app\nrecipes:\n{recipes}"))
        .unwrap();
    let project = Project::load(LoadOptions::new(folder.path(), &WalkListing))?;
    Plan::build(&project, &Selection::of(selectors), &WalkListing)
}

fn refused(recipes: &str) -> String {
    match plan(recipes, &["app:"]) {
        Ok(_) => String::new(),
        Err(error) => error.diagnostics().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    }
}

#[test]
fn dependencies_come_first_and_the_order_is_stable() {
    let plan = plan(
        "  z: {run: x}\n  a: {run: x, dependencies: [m, z]}\n  m: {run: x, dependencies: [z]}\n  b: {run: x}\n",
        &["a", "b"],
    )
    .unwrap();
    let names: Vec<_> = plan.recipes.iter().map(|recipe| recipe.id.recipe.as_str()).collect();
    assert_eq!(names, ["b", "z", "m", "a"]);
    assert_eq!(plan.selected, [0, 3]);
    assert_eq!(plan.dependencies[3], [2, 1]);
    assert_eq!(plan.dependents[1], [2, 3]);
    assert_eq!(plan.closure(3).len(), 2);
}

#[test]
fn a_recipe_on_itself_is_a_cycle() {
    assert!(refused("  a: {run: x, dependencies: [a]}\n").contains("`app:a` → `app:a`"));
}

#[test]
fn overlaps_that_are_sure() {
    for (one, two) in [
        ("[dist]", "[dist]"),
        ("[dist]", "[dist/a/b]"),
        ("[dist/a]", "['../app/dist']"),
        ("['dist/*.js']", "[dist/app.js]"),
        ("['dist/**']", "[dist/x/y]"),
        ("['*.o']", "['*.o']"),
        ("['dist/x/*']", "[dist]"),
    ] {
        let recipes = format!(
            "  a: {{run: x, cache: {{outputs: {one}}}}}\n  b: {{run: x, cache: {{outputs: {two}}}}}\n"
        );
        let said = refused(&recipes);
        assert!(
            said.contains("outputs of") && said.contains("app:a") && said.contains("app:b"),
            "{one} {two}: {said}"
        );
    }
}

#[test]
fn outputs_that_do_not_overlap() {
    for (one, two) in [
        ("[dist]", "[dist2]"),
        ("['a/*.js']", "['b/*.js']"),
        ("['dist/*.js', '!dist/app.js']", "[dist/app.js]"),
        ("['*.js']", "['*.css']"),
    ] {
        let recipes = format!(
            "  a: {{run: x, cache: {{outputs: {one}}}}}\n  b: {{run: x, cache: {{outputs: {two}}}}}\n"
        );
        assert_eq!(refused(&recipes), "", "{one} {two}");
    }
}

#[test]
fn inputs_that_others_write_need_a_dependency() {
    let gen_and = |reader: &str| {
        format!(
            "  gen: {{run: x, cache: {{outputs: [out]}}}}\n  mid: {{run: x, dependencies: [gen]}}\n  use: {{run: x, {reader}}}\n"
        )
    };
    for inputs in ["[out]", "[out/a.h]", "['out/**']", "['../app/out/*.h']"] {
        let said = refused(&gen_and(&format!("cache: {{inputs: {inputs}}}")));
        assert!(said.contains("`app:use` reads") && said.contains("`app:gen` writes"), "{inputs}: {said}");
        let indirect = gen_and(&format!("dependencies: [mid], cache: {{inputs: {inputs}}}"));
        assert_eq!(refused(&indirect), "", "{inputs}");
    }
    assert_eq!(refused(&gen_and("cache: {inputs: [src]}")), "");
    assert_eq!(refused(&gen_and("cache: {inputs: ['**', '!out/**']}")), "");
    assert_eq!(refused(&gen_and("cache: {}")), "", "the folder leaves out what its recipes declare");
}

#[test]
fn what_globs_cannot_tell_is_found_at_run_time() {
    let plan = plan(
        "  a: {run: x, cache: {outputs: ['dist/*.js']}}\n  b: {run: x, cache: {outputs: ['dist/app.*']}}\n",
        &["app:"],
    )
    .unwrap();
    assert_eq!(plan.find_collision(1, Path::new("app/dist/app.js")).unwrap().recipe, "a");
    assert_eq!(plan.find_collision(1, Path::new("app/dist/app.css")), None);
}

#[test]
fn wildcards_do_not_find_ignored_outputs_but_names_do() {
    let recipes = |inputs: &str| {
        format!(
            "  gen: {{run: x, cache: {{outputs: [out/gen]}}}}\n  use: {{run: x, cache: {{inputs: {inputs}}}}}\n"
        )
    };
    assert!(plan_with("", &recipes("['**']"), &["app:"]).is_err());
    assert!(plan_with("out/\n", &recipes("['**']"), &["app:"]).is_ok());
    assert!(plan_with("out/\n", &recipes("['out/**']"), &["app:"]).is_err(), "`out` is named");
    assert!(plan_with("out/\n", &recipes("[out/gen]"), &["app:"]).is_err());
}
