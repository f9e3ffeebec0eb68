//! Helpers, templates, strict rendering.

use super::Fixture;
use crate::config::WalkListing;
use crate::recipe::{Inputs, ROOT_PLACEHOLDER};

#[test]
fn no_value_injects_structure() {
    let mut fixture = Fixture::new(&[
        ("larder.yml", "name: demo\nenvironment: [EVIL]\n"),
        (
            "cookbook.yml",
            "name: app\nrecipes:\n  a:\n    run: echo '{{env.EVIL}}'\n    tags: ['{{env.EVIL}}']\n",
        ),
    ]);
    fixture.env.insert("EVIL".into(), "x\n    retries: 9\n  b:\n    run: evil {{project.root}}".into());
    let recipe = fixture.recipe("a");
    assert_eq!(recipe.retries, 0);
    assert_eq!(recipe.tags.len(), 1);
    assert!(recipe.run.contains("{{project.root}}"), "a value is never rendered again");
}

#[test]
fn a_whole_expression_keeps_its_type() {
    let fixture = Fixture::strict(
        "name: app\nvariables: {globs: [a, b], n: 3, on: true}\nrecipes:\n  a:\n    run: x\n    retries: '{{var.n}}'\n    relocatable: '{{ var.on }}'\n    cache:\n      inputs: '{{var.globs}}'\n      outputs: ['{{var.globs}}', '{{shell-lines \"printf \\\"c\\\\n\\\\n d\\\"\"}}']\n",
    );
    let recipe = fixture.recipe("a");
    assert_eq!((recipe.retries, recipe.relocatable), (3, true));
    let cache = recipe.cache.unwrap();
    assert_eq!(cache.inputs, Inputs::Patterns(vec!["a".into(), "b".into()]));
    assert_eq!(cache.outputs, ["a", "b", "c", "d"]);
}

#[test]
fn shell_is_remembered_with_its_directory() {
    let cookbook =
        |name: &str| format!("name: {name}\nrecipes: {{w: {{run: '{{{{shell \"basename $(pwd)\"}}}}'}}}}\n");
    let fixture = Fixture::new(&[
        ("larder.yml", "name: demo\n"),
        ("one/cookbook.yml", &cookbook("a")),
        ("two/cookbook.yml", &cookbook("b")),
    ]);
    let runs: Vec<_> =
        fixture.resolve(&["w"]).unwrap().recipes.into_iter().map(|recipe| recipe.run).collect();
    assert_eq!(runs, ["one", "two"]);
}

#[test]
fn shell_runs_once_and_hides_the_root() {
    let fixture = Fixture::strict(
        "name: app\nrecipes: {a: {run: '{{shell \"echo x >> log; pwd -P\"}} {{shell \"echo x >> log; pwd -P\"}}'}}\n",
    );
    assert_eq!(fixture.recipe("a").run, format!("{ROOT_PLACEHOLDER} {ROOT_PLACEHOLDER}"));
    assert_eq!(std::fs::read_to_string(fixture.root().join("log")).unwrap(), "x\n");
}

#[test]
fn a_failed_command_is_an_error_with_what_it_said() {
    let fixture = Fixture::strict("name: app\nrecipes: {a: {run: '{{shell \"echo oops >&2; exit 3\"}}'}}\n");
    let error = fixture.error(&["a"]);
    assert!(
        error.contains("helper `shell`: command")
            && error.contains("oops")
            && error.contains("exit status: 3")
            && error.contains("cookbook.yml:2:"),
        "{error}"
    );
}

#[test]
fn helper_arguments_bind_in_declared_order() {
    let helper = "name: join\nparameters:\n  zeta: {type: string, required: true}\n  alpha: {type: string, default: '-'}\n  count: {type: number, default: 1}\nvariables: {mark: '!'}\nrun: echo \"{{params.zeta}}|{{params.alpha}}|{{params.count}}{{var.mark}}\"\n";
    for (root, base) in [("larder.yml", ".larder"), ("bake.yml", ".bake")] {
        let fixture = Fixture::new(&[
            (root, "name: demo\n"),
            (&format!("{base}/helpers/join.yml"), helper),
            (
                "cookbook.yml",
                "name: app\nrecipes:\n  a: {run: '{{join \"z\" \"a\" 2}}'}\n  b: {run: '{{join \"z\" count=5}}'}\n",
            ),
        ]);
        assert_eq!(fixture.recipe("app:a").run, "z|a|2!");
        assert_eq!(fixture.recipe("app:b").run, "z|-|5!");
    }
}

#[test]
fn helper_mistakes() {
    let helper = "name: h\nparameters: {a: {type: string, required: true}}\nrun: echo {{params.a}}\n";
    let with = |run: &str| {
        Fixture::new(&[
            ("larder.yml", "name: demo\n"),
            (".larder/helpers/h.yml", helper),
            ("cookbook.yml", &format!("name: app\nrecipes: {{a: {{run: '{run}'}}}}\n")),
        ])
    };
    assert!(with("{{h}}").error(&["a"]).contains("parameter `a` is required"));
    assert!(with("{{h 1}}").error(&["a"]).contains("takes a string"));
    assert!(with("{{h \"x\" \"y\"}}").error(&["a"]).contains("takes 1 argument(s), got 2"));
    assert!(with("{{h aa=\"x\"}}").error(&["a"]).contains("did you mean `a`?"));
    assert!(with("{{nope \"x\"}}").error(&["a"]).contains("nope"));
}

#[test]
fn template_with_parameters() {
    let fixture = Fixture::new(&[
        ("larder.yml", "name: demo\n"),
        (
            ".larder/templates/go.yml",
            "name: go\nparameters:\n  pkg: {type: string, required: true, pattern: '^[a-z/]+$'}\n  race: {type: boolean, default: false}\n  level: {type: number, min: 1, max: 3, default: 1}\n  srcs: {type: array, items: {type: string}, default: ['*.go']}\ntemplate:\n  description: Builds {{params.pkg}}\n  run: go build {{#if params.race}}-race {{/if}}{{params.pkg}}\n  tags: [go]\n  cache: {inputs: '{{params.srcs}}', outputs: ['bin/{{basename params.pkg}}']}\n",
        ),
        (
            "cookbook.yml",
            "name: app\nrecipes:\n  a: {template: go, parameters: {pkg: cmd/a, race: true}}\n  b: {template: go, parameters: {pkg: cmd/b}, run: own, retries: 1}\n  bad: {template: go, parameters: {pkg: CMD}}\n  deep: {template: go, parameters: {pkg: a, level: 4}}\n  miss: {template: go}\n  typo: {template: og, parameters: {pkg: a}}\n",
        ),
    ]);
    let a = fixture.recipe("a");
    assert_eq!((a.run.as_str(), a.description.as_deref()), ("go build -race cmd/a", Some("Builds cmd/a")));
    assert_eq!(a.cache.unwrap().outputs, ["bin/a"]);
    assert_eq!(a.tags, ["go"]);
    let b = fixture.recipe("b");
    assert_eq!((b.run.as_str(), b.retries), ("own", 1));
    assert!(fixture.error(&["bad"]).contains("does not match"));
    assert!(fixture.error(&["deep"]).contains("more than 3"));
    assert!(fixture.error(&["miss"]).contains("parameter `pkg` is required"));
    assert!(fixture.error(&["typo"]).contains("did you mean `go`?"));
}

#[test]
fn computing_helpers() {
    let fixture = Fixture::strict(
        "name: app\nvariables: {p: 'src/a b.tar.gz', words: [x, \"it's\"]}\nrecipes:\n  a:\n    run: '{{stem var.p}}|{{basename var.p}}|{{dirname var.p}}|{{ext var.p}}|{{replace var.p \"/\" \"_\"}}|{{sh var.p}}|{{sh var.words}}|{{sh (basename var.p)}}'\n",
    );
    assert_eq!(
        fixture.recipe("a").run,
        r"a b.tar|a b.tar.gz|src|gz|src_a b.tar.gz|'src/a b.tar.gz'|x 'it'\''s'|'a b.tar.gz'"
    );
}

/// Lists and selectors see what recipes have from templates further up, before anything is rendered.
#[test]
fn lists_see_extended_templates() {
    let fixture = Fixture::new(&[
        ("larder.yml", "name: demo\n"),
        (
            ".larder/templates/base.yml",
            "name: base\ntemplate: {description: Base, tags: [slow], matrix: {n: [1, 2]}, cache: {inputs: []}, run: 'true'}\n",
        ),
        (".larder/templates/leaf.yml", "name: leaf\nextends: base\ntemplate:\n  run: echo {{matrix.n}}\n"),
        ("cookbook.yml", "name: app\nrecipes: {a: {template: leaf}}\n"),
    ]);
    let listed = fixture.load().unwrap().list(&WalkListing).unwrap();
    let found: Vec<_> =
        listed.iter().map(|one| (one.id.to_string(), one.tags.clone(), one.is_cached)).collect();
    let one = |name: &str| (name.to_owned(), vec!["slow".to_owned()], true);
    assert_eq!(found, [one("app:a[1]"), one("app:a[2]")]);
    assert_eq!(listed[0].description.as_deref(), Some("Base"));
    assert_eq!(fixture.recipe("a[2]").run, "echo 2");
}

#[test]
fn templates_extend_templates() {
    let fixture = Fixture::new(&[
        ("larder.yml", "name: demo\n"),
        (
            ".larder/templates/base.yml",
            "name: base\nparameters: {flags: {type: string, default: -O1}, pkg: {type: string, required: true}}\ntemplate:\n  description: Builds {{params.pkg}}\n  run: base {{params.pkg}}\n  variables: {level: low, kept: base}\n  environment: [A]\n  tags: [base]\n",
        ),
        (
            ".larder/templates/c.yml",
            "name: c\nextends: base\nparameters: {flags: {type: string, default: -O2}}\ntemplate:\n  run: cc {{params.flags}} {{params.pkg}} {{var.level}} {{var.kept}}\n  variables: {level: high}\n  environment: [B]\n",
        ),
        (".larder/templates/one.yml", "name: one\nextends: two\ntemplate: {run: x}\n"),
        (".larder/templates/two.yml", "name: two\nextends: one\ntemplate: {run: x}\n"),
        (".larder/templates/lost.yml", "name: lost\nextends: bsae\ntemplate: {run: x}\n"),
        (
            "cookbook.yml",
            "name: app\nrecipes:\n  a: {template: c, parameters: {pkg: p}}\n  b: {template: c, parameters: {pkg: p, flags: -O3}, tags: [own]}\n  miss: {template: c}\n  circle: {template: one}\n  lost: {template: lost}\n",
        ),
    ]);
    let a = fixture.recipe("a");
    assert_eq!((a.run.as_str(), a.description.as_deref()), ("cc -O2 p high base", Some("Builds p")));
    assert_eq!(
        (a.tags, a.environment.into_keys().collect()),
        (vec!["base".to_owned()], vec!["A".to_owned(), "B".to_owned()])
    );
    let b = fixture.recipe("b");
    assert_eq!((b.run.as_str(), b.tags), ("cc -O3 p high base", vec!["own".to_owned()]));
    assert!(fixture.error(&["miss"]).contains("parameter `pkg` is required"));
    insta::assert_snapshot!(fixture.error(&["circle"]), @r##"
    error: templates extend each other in a circle: one → two → one
      ┌ .larder/templates/two.yml:2:10
    2 │ extends: one
      │          ^^^
    hint: one of them must stand alone: remove its `extends`
    "##);
    insta::assert_snapshot!(fixture.error(&["lost"]), @r##"
    error: no template `bsae`
      ┌ .larder/templates/lost.yml:2:10
    2 │ extends: bsae
      │          ^^^^ did you mean `base`?
    "##);
}
