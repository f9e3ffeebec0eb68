//! Rule 3: what recipes see of the environment.

use crate::world::Project;

fn printing() -> Project {
    Project::new(
        "  make:
    environment: [DECLARED]
    cache: {inputs: [], outputs: []}
    run: env > $HOME/env
  plain:
    run: env > $HOME/env
",
    )
}

fn seen(project: &Project) -> String {
    std::fs::read_to_string(project.user().join("env")).unwrap()
}

/// "Undeclared environment is not visible to a cached recipe, save a short documented pass-through list (`PATH`, `HOME`, …)"
#[test]
fn undeclared_environment_is_invisible() {
    let project = printing();
    for recipe in ["make", "plain"] {
        project.with("UNDECLARED", "x").with("DECLARED", "y").good(&[recipe]);
        let seen = seen(&project);
        assert!(!seen.contains("UNDECLARED"), "{recipe}: {seen}");
        assert!(seen.contains(&format!("HOME={}\n", project.user().display())), "{recipe}: {seen}");
        assert!(seen.contains("PATH=/") || seen.contains("PATH=."), "{recipe}: {seen}");
        assert_eq!(seen.contains("DECLARED=y\n"), recipe == "make", "{seen}");
    }
}

/// "Larder's own secrets (`LARDER_*`, `BAKE_*`) never reach any recipe"
#[test]
fn larders_own_variables_never_reach_a_recipe() {
    let project = printing();
    let secret = "a secret that is long enough for everything";
    for recipe in ["make", "plain"] {
        let around = project
            .with("LARDER_CACHE_SECRET", secret)
            .with("BAKE_CACHE_SECRET", secret)
            .with("LARDER_SIGNING_KEY", format!("larder-secret-ed25519:{}", "1".repeat(64)))
            .with("LARDER_ANY", "leaked")
            .with("BAKE_ANY", "leaked");
        around.good(&[recipe]);
        let seen = seen(&project);
        assert!(!seen.contains("LARDER_") && !seen.contains("BAKE_"), "{recipe}: {seen}");
        assert!(!seen.contains(secret) && !seen.contains("1111111111"), "{recipe}: {seen}");
    }
}

/// The same in `bake.yml`, whose uncached recipes inherit the environment, and for whoever declares them.
#[test]
fn larders_own_variables_never_reach_a_recipe_of_bake_or_by_declaration() {
    let secret = "a secret that is long enough for everything";
    for root in ["bake.yml", "larder.yml"] {
        for (cache, declared) in [
            ("", ""),
            ("    cache: {inputs: [], outputs: []}\n", ""),
            ("", "    environment: [LARDER_CACHE_SECRET, BAKE_X]\n"),
        ] {
            let project = Project::empty();
            project.file(root, "name: demo\n");
            project.recipes(&format!("  make:\n{cache}{declared}    run: env > $HOME/env\n"));
            let around =
                project.with("LARDER_CACHE_SECRET", secret).with("BAKE_X", "leaked").with("OTHER", "x");
            let ran = around.run(&["make"]);
            if ran.code == Some(0) {
                let seen = seen(&project);
                assert!(!seen.contains("LARDER_") && !seen.contains("BAKE_"), "{root} {declared}: {seen}");
                if root == "bake.yml" && cache.is_empty() && declared.is_empty() {
                    assert!(seen.contains("OTHER=x"), "bake inherits: {seen}");
                }
            } else {
                assert!(!declared.is_empty() && ran.err.contains("LARDER_CACHE_SECRET"), "{ran:#?}");
            }
        }
    }
}

/// Nor can a template or helper read them: what it made would be in the key, the log and the store.
#[test]
fn larders_own_variables_are_not_seen_by_templates() {
    let secret = "a secret that is long enough for everything";
    for text in ["{{env.LARDER_CACHE_SECRET}}", "{{shell 'echo $LARDER_CACHE_SECRET'}}"] {
        let project = Project::new(&format!(
            "  make:
    environment: [LARDER_CACHE_SECRET]
    cache: {{inputs: [], outputs: []}}
    run: |
      echo '[{text}]'
"
        ));
        let ran = project.with("LARDER_CACHE_SECRET", secret).run(&["--output", "stream"]);
        assert!(!ran.all().contains(secret), "{text}: {ran:#?}");
    }
}

/// The caller's locale, working folder and terminal do not change results.
#[test]
fn the_callers_locale_does_not_reach_recipes() {
    let project = Project::new(
        "  make:
    cache: {inputs: [], outputs: [out]}
    run: echo \"${LC_ALL-none} ${LANG-none}\" > out
",
    );
    project.with("LC_ALL", "tr_TR.UTF-8").with("LANG", "tr_TR.UTF-8").good(&[]);
    assert!(!project.read("out").contains("tr_TR"), "{}", project.read("out"));
}
