//! Finding files, settings, selectors, matrix, when, and what a recipe becomes.

use super::{Fixture, show, shows};
use crate::config::raw::RawCookbook;
use crate::config::{LoadOptions, Project, WalkListing, recipe_names};
use crate::recipe::{Inputs, Mode, ROOT_PLACEHOLDER, Recipe};
use crate::select::Selection;

fn ids(recipes: &[Recipe]) -> Vec<String> {
    recipes.iter().map(|recipe| recipe.id.to_string()).collect()
}

#[test]
fn the_root_is_found_upward_and_larder_wins() {
    let fixture =
        Fixture::new(&[("larder.yml", "name: strict\n"), ("bake.yml", "name: lenient\n"), ("a/b/x.txt", "")]);
    let project = Project::load(LoadOptions::new(fixture.root().join("a/b"), &WalkListing)).unwrap();
    assert_eq!((project.name.as_str(), project.mode), ("strict", Mode::Strict));
    assert!(shows(&project.warnings).contains("`bake.yml` beside it is not read"));
}

#[test]
fn cookbooks_by_name_less_the_ignored() {
    let fixture = Fixture::new(&[
        ("larder.yaml", "name: demo\n"),
        ("cookbook.yml", "name: root\nrecipes: {}\n"),
        ("a/web.cookbook.yaml", "name: web\nrecipes: {}\n"),
        ("a/notacookbook.yml", "name: no\nrecipes: {}\n"),
        ("skip/cookbook.yml", "name: skipped\nrecipes: {}\n"),
        (".bakeignore", "skip/\n"),
        (".larder/cookbook.yml", "name: state\nrecipes: {}\n"),
    ]);
    let project = fixture.load().unwrap();
    let names: Vec<_> = project.cookbooks.iter().map(|book| book.name.as_str()).collect();
    assert_eq!(names, ["web", "root"]);
}

#[test]
fn a_recipe_in_full() {
    let fixture = Fixture::new(&[
        ("larder.yml", "name: demo\nvariables: {mode: debug, db: {host: h}}\n"),
        (
            "app/cookbook.yml",
            "name: app\ntags: [web]\nrecipes:\n  build:\n    description: Builds\n    run: make -C {{cookbook.root}} {{var.mode}}\n    shell: bash\n    tools: [cc]\n    timeout: 1h30m\n    retries: 2\n    relocatable: true\n    cache:\n      inputs: ['src/**', '../lib/./x.h', '{{project.root}}/top.txt', '!src/tmp/**']\n      outputs: [out]\n",
        ),
    ]);
    let recipe = fixture.recipe("app:build");
    assert_eq!(recipe.run, format!("make -C {ROOT_PLACEHOLDER}/app debug"));
    assert_eq!(recipe.shell, ["bash", "-e", "-c"]);
    assert_eq!(recipe.timeout.unwrap().as_secs(), 5400);
    assert_eq!((recipe.retries, recipe.relocatable, recipe.inherit_environment), (2, true, false));
    assert_eq!(recipe.tags, ["web"]);
    assert_eq!(recipe.variables["db.host"], "\"h\"");
    let cache = recipe.cache.unwrap();
    let inputs = ["src/**", "../lib/x.h", "../top.txt", "!src/tmp/**"].map(str::to_owned).to_vec();
    assert_eq!(cache.inputs, Inputs::Patterns(inputs));
    assert_eq!(cache.outputs, ["out"]);
}

#[test]
fn omitted_inputs_are_the_folder() {
    let fixture = Fixture::strict("name: app\nrecipes: {a: {run: x, cache: {}}}\n");
    assert_eq!(fixture.recipe("a").cache.unwrap().inputs, Inputs::Folder { except: Vec::new() });
}

#[test]
fn precedence_of_variables() {
    let mut fixture = Fixture::new(&[
        (
            "larder.yml",
            "name: demo\nvariables: {a: p, b: p, c: p, d: p, e: p, n: {x: 1, y: 2}}\noverrides: {prod: {b: po}}\n",
        ),
        (
            "cookbook.yml",
            "name: app\nvariables: {c: c, full: '{{var.b}}-{{var.d}}'}\nrecipes:\n  a:\n    variables: {d: r}\n    overrides: {prod: {d: ro}}\n    run: '{{var.a}} {{var.b}} {{var.c}} {{var.d}} {{var.e}} {{var.full}} {{var.n.x}}{{var.n.y}}'\n  other: {run: '{{var.d}}'}\n",
        ),
    ]);
    assert_eq!(fixture.recipe("a").run, "p p c r p p-p 12");
    assert_eq!(fixture.recipe("other").run, "p", "a recipe's variables stay its own");
    fixture.environment_name = Some("prod".into());
    fixture.defines = vec!["e=cli".into(), "n.y=9".into()];
    assert_eq!(fixture.recipe("a").run, "p po c ro cli po-p 19");
}

#[test]
fn selectors() {
    let fixture = Fixture::new(&[
        ("larder.yml", "name: demo\n"),
        (
            "a/cookbook.yml",
            "name: a\ntags: [backend]\nrecipes: {build: {run: x, cache: {}}, test: {run: x, dependencies: [build]}}\n",
        ),
        (
            "b/cookbook.yml",
            "name: b\nrecipes: {build: {run: x, tags: [Front]}, serve: {run: x, persistent: true}}\n",
        ),
    ]);
    let project = fixture.load().unwrap();
    let selected = |selection: &Selection| {
        let resolved = project.resolve(selection, &WalkListing).unwrap();
        resolved.selected.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(selected(&Selection::of(&["a:build"])), ["a:build"]);
    assert_eq!(selected(&Selection::of(&["a:"])), ["a:build", "a:test"]);
    assert_eq!(selected(&Selection::of(&[":build"])), ["a:build", "b:build"]);
    assert_eq!(selected(&Selection::of(&["build", "b:serve"])), ["a:build", "b:build", "b:serve"]);
    assert_eq!(selected(&Selection::default()), ["a:build"]);
    let regex = Selection { selectors: vec!["^a$:^t".into()], regex: true, ..Selection::default() };
    assert_eq!(selected(&regex), ["a:test"]);
    let tags = Selection { tags: vec!["front".into(), "Backend".into()], ..Selection::default() };
    assert_eq!(selected(&tags), ["a:build", "a:test", "b:build"]);
    let resolved = project.resolve(&Selection::of(&["a:test"]), &WalkListing).unwrap();
    assert_eq!(ids(&resolved.recipes), ["a:build", "a:test"]);
    let wrong = Selection { tags: vec!["bakend".into()], ..Selection::default() };
    assert!(show(&project.resolve(&wrong, &WalkListing).unwrap_err()).contains("did you mean `backend`?"));
}

#[test]
fn default_selectors() {
    let fixture = Fixture::new(&[
        ("larder.yml", "name: demo\ndefault: ['app:b']\n"),
        ("cookbook.yml", "name: app\nrecipes: {a: {run: x, cache: {}}, b: {run: x}}\n"),
    ]);
    assert_eq!(ids(&fixture.resolve(&[]).unwrap().recipes), ["app:b"]);
}

#[test]
fn matrix_of_lists_and_globs() {
    let fixture = Fixture::strict(
        "name: app\nrecipes:\n  compile:\n    matrix:\n      file: {glob: 'src/*.c'}\n      mode: [debug, 2]\n    run: cc {{sh matrix.file}} -o {{stem matrix.file}}.{{ext matrix.file}}.o -m{{matrix.mode}}\n    cache: {inputs: ['{{matrix.file}}'], outputs: ['out/{{stem matrix.file}}-{{matrix.mode}}.o']}\n  link: {run: ld, dependencies: [compile]}\n  one: {run: ld, dependencies: ['compile[src/a.c,2]']}\n",
    );
    fixture.write("src/a.c", "");
    fixture.write("src/b b.c", "");
    let resolved = fixture.resolve(&["link"]).unwrap();
    assert_eq!(
        ids(&resolved.recipes),
        [
            "app:compile[src/a.c,2]",
            "app:compile[src/a.c,debug]",
            "app:compile[src/b b.c,2]",
            "app:compile[src/b b.c,debug]",
            "app:link"
        ]
    );
    assert_eq!(resolved.recipes[2].run, "cc 'src/b b.c' -o b b.c.o -m2");
    assert_eq!(ids(&fixture.resolve(&["one"]).unwrap().recipes), ["app:compile[src/a.c,2]", "app:one"]);
    assert_eq!(
        ids(&fixture.resolve(&["compile[src/b b.c,debug]"]).unwrap().recipes),
        ["app:compile[src/b b.c,debug]"]
    );
    assert!(fixture.error(&["compile[src/c.c,2]"]).contains("no recipe"));
}

#[test]
fn when_false_is_skipped_and_satisfies() {
    let mut fixture = Fixture::new(&[
        ("larder.yml", "name: demo\nenvironment: [CI]\n"),
        (
            "cookbook.yml",
            "name: app\nrecipes:\n  a: {run: x, when: '{{env.CI}}', dependencies: [c]}\n  b: {run: x, dependencies: [a]}\n  c: {run: x, when: false}\n",
        ),
    ]);
    let resolved = fixture.resolve(&["b"]).unwrap();
    assert_eq!(ids(&resolved.recipes), ["app:b"]);
    assert!(resolved.recipes[0].dependencies.is_empty());
    assert_eq!(resolved.skipped.len(), 1);
    fixture.env.insert("CI".into(), "1".into());
    assert_eq!(ids(&fixture.resolve(&["b"]).unwrap().recipes), ["app:a", "app:b"]);
}

#[test]
fn remotes_parse_and_hide_their_secrets() {
    let config = |enabled: &str| {
        format!(
            "name: demo\nconfig:\n  cache:\n    local: {{path: '{{{{project.root}}}}/c', maxSize: 10G}}\n    remotes:\n      enabled: {enabled}\n      s3: {{bucket: b, region: r, encryption: {{key: hush}}}}\n      reapi: {{endpoint: e}}\n      oci: {{reference: r}}\n    order: [local, s3]\n"
        )
    };
    let project = Fixture::new(&[("larder.yml", &config("true"))]).load().unwrap();
    assert!(project.warnings.is_empty() && project.config.cache.remotes.tiers.len() == 3);
    assert!(!format!("{:?}", project.config).contains("hush"));
    assert_eq!(project.config.cache.local.max_size, Some(10_000_000_000));
    assert_eq!(project.config.cache.local.path, Some(project.root.join("c")));
    let project = Fixture::new(&[("larder.yml", &config("false"))]).load().unwrap();
    assert!(project.warnings.is_empty() && !project.config.cache.remotes.enabled);
}

#[test]
fn listing_and_names_run_nothing() {
    let fixture = Fixture::strict(
        "name: app\nvariables: {v: '{{shell \"touch ran\"}}'}\nrecipes:\n  a:\n    description: 'does {{shell \"touch ran\"}}'\n    run: '{{shell \"touch ran\"}}'\n",
    );
    let project = fixture.load().unwrap();
    assert_eq!(project.list(&WalkListing).unwrap().len(), 1);
    assert_eq!(recipe_names(fixture.root(), &WalkListing), ["app:a"]);
    project.resolve_all(&WalkListing, crate::template::Execution::Inert).unwrap();
    assert!(!fixture.root().join("ran").exists());
    project.resolve(&Selection::of(&["a"]), &WalkListing).unwrap();
    assert!(fixture.root().join("ran").exists());
}

#[test]
fn only_what_is_reached_is_rendered() {
    let fixture = Fixture::strict(
        "name: app\nrecipes:\n  a: {run: x}\n  b: {run: '{{shell \"touch ran; exit 1\"}}'}\n",
    );
    fixture.resolve(&["a"]).unwrap();
    assert!(!fixture.root().join("ran").exists());
}

#[test]
fn a_parsed_cookbook_survives_serialisation() {
    let fixture = Fixture::strict(
        "name: app\nvariables: {a: [1, {b: 2.5}]}\nrecipes: {a: {run: '{{var.a}}', when: true}}\n",
    );
    let book = fixture.load().unwrap().cookbooks[0].as_ref().clone();
    let bytes = postcard::to_stdvec(&book).unwrap();
    assert_eq!(postcard::from_bytes::<RawCookbook>(&bytes).unwrap(), book);
}

#[test]
fn render_shows_the_real_root() {
    let fixture = Fixture::strict("name: app\nrecipes: {a: {run: 'ls {{project.root}}'}}\n");
    let project = fixture.load().unwrap();
    let resolved = project.resolve(&Selection::of(&["a"]), &WalkListing).unwrap();
    let shown = project.render(&resolved);
    assert_eq!(shown["cookbooks"]["app"]["recipes"]["a"]["run"], format!("ls {}", project.root.display()));
}

/// As `docs/reference/selection.md` says it.
#[test]
fn tags_of_a_recipe_replace_those_of_its_cookbook() {
    let fixture = Fixture::new(&[
        ("larder.yml", "name: demo\n"),
        (".larder/templates/fast.yml", "name: fast\ntemplate: {run: x, tags: [fast]}\n"),
        (
            "cookbook.yml",
            "name: app\ntags: [ci]\nrecipes:\n  none: {run: x}\n  empty: {run: x, tags: []}\n  own: {run: x, tags: [own]}\n  template: {template: fast}\n  both: {template: fast, tags: [own]}\n",
        ),
    ]);
    let of = |name: &str| fixture.recipe(name).tags.join(" ");
    let tags = ["none", "empty", "own", "template", "both"].map(of);
    assert_eq!(tags, ["ci", "ci", "own", "fast", "own"]);
}
