//! Every message about a configuration, as a person sees it: with its line, the nearest name, and what to do.
//!
//! The catalogue is one snapshot. A message in the source that it does not show fails the second test, so whoever adds one adds its case here.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use regex::Regex;

use super::{Fixture, shows};
use crate::config::WalkListing;
use crate::plan::Plan;
use crate::select::Selection;

/// A project that is wrong, and what is selected of it.
struct Case {
    files: Vec<(&'static str, String)>,
    selectors: &'static [&'static str],
    environment: Option<&'static str>,
    defines: &'static [&'static str],
}

fn strict(cookbook: &str) -> Case {
    files(&[("larder.yml", "name: demo\n"), ("cookbook.yml", cookbook)])
}

/// A strict recipe `a`, by its fields.
fn recipe(fields: &str) -> Case {
    strict(&format!("name: app\nvariables: {{mode: fast}}\nrecipes:\n  a: {{{fields}}}\n  b: {{run: x}}\n"))
}

fn bake(cookbook: &str) -> Case {
    files(&[("bake.yml", "name: demo\n"), ("cookbook.yml", cookbook)])
}

fn root(text: &str) -> Case {
    files(&[("larder.yml", text), ("cookbook.yml", "name: app\nrecipes: {a: {run: x}}\n")])
}

fn template(text: &str, fields: &str) -> Case {
    files(&[
        ("larder.yml", "name: demo\n"),
        (".larder/templates/t.yml", text),
        ("cookbook.yml", &format!("name: app\nrecipes: {{a: {{template: t, {fields}}}}}\n")),
    ])
}

fn helper(text: &str, value: &str) -> Case {
    files(&[
        ("larder.yml", "name: demo\n"),
        (".larder/helpers/h.yml", text),
        ("cookbook.yml", &format!("name: app\nrecipes:\n  a:\n    run: '{value}'\n")),
    ])
}

fn files(files: &[(&'static str, &str)]) -> Case {
    let files = files.iter().map(|(path, text)| (*path, (*text).to_owned())).collect();
    Case { files, selectors: &[":a"], environment: None, defines: &[] }
}

impl Case {
    fn shown(&self) -> String {
        let files: Vec<(&str, &str)> = self.files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        let mut fixture = Fixture::new(&files);
        fixture.environment_name = self.environment.map(str::to_owned);
        fixture.defines = self.defines.iter().map(|define| (*define).to_owned()).collect();
        let selection = Selection::of(self.selectors);
        let result = fixture.load().and_then(|project| {
            let mut said = project.warnings.clone();
            let plan = Plan::build(&project, &selection, &WalkListing)?;
            said.extend(plan.warnings.iter().cloned());
            said.extend(plan.idle_inputs(&project, &WalkListing));
            Ok(said)
        });
        let text = match result {
            Ok(said) => shows(&said),
            Err(error) => super::show(&error),
        };
        if text.is_empty() {
            return format!("nothing is wrong with {:?}", self.files);
        }
        text.replace(&*fixture.root().to_string_lossy(), "[ROOT]")
    }
}

fn of_files() -> Vec<Case> {
    let many = format!("name: app\nrecipes: {{a: {{run: x, tags: [{}]}}}}\n", "x, ".repeat(200_001));
    let deep = format!("name: app\nrecipes: {}{}\n", "[".repeat(70), "]".repeat(70));
    let billion = format!(
        "name: app\na: &a [{}]\nb: &b [{}]\nc: [{}]\nrecipes: {{}}\n",
        "x, ".repeat(99),
        "*a, ".repeat(99),
        "*b, ".repeat(99)
    );
    let mut environment = root("name: demo\noverrides: {prod: {x: 1}}\n");
    environment.environment = Some("prdo");
    let mut no_environment = root("name: demo\n");
    no_environment.environment = Some("prod");
    let mut other_environment = root("name: demo\noverrides: {prod: {x: 1}, dev: {x: 1}}\n");
    other_environment.environment = Some("staging");
    let mut define = root("name: demo\n");
    define.defines = &["mode"];
    vec![
        files(&[]),
        strict("name: app\nrecipes:\n  a: {run: x\n"),
        strict("name: app\nrecipes:\n  {{#if x}}\n  a: {run: x}\n"),
        strict("name: app\nname: app\nrecipes: {}\n"),
        strict("name: app\n---\nname: app\n"),
        strict("name: *app\nrecipes: {}\n"),
        strict("{a: b}: c\n"),
        strict("name: app\nrecipes: {a: {run: \"\\u0001larder:root\\u0001\"}}\n"),
        strict("name: \u{1}larder:root\u{1}\n"),
        strict(&many),
        strict(&deep),
        strict(&billion),
        strict(&" ".repeat((4 << 20) + 1)),
        bake("name: app\nrecipes:\n  a:\n    run: \"{{project.name}}\n"),
        bake("name: app\nrecipes:\n  a:\n    run: \u{E0F1}larder-root\u{E0F2} {{project.name}}\n"),
        bake("name: app\nvariables:\n  x: \"{{project.name}}: a: b\nrecipes:\n  a:\n    run: {{var.x}}\n"),
        files(&[
            ("larder.yml", "name: demo\n"),
            ("bake.yml", "name: demo\n"),
            ("cookbook.yml", "name: app\nrecipes: {a: {run: x}}\n"),
        ]),
        files(&[
            ("larder.yml", "name: demo\n"),
            ("a/cookbook.yml", "name: app\nrecipes: {}\n"),
            ("b/cookbook.yml", "name: app\nrecipes: {}\n"),
        ]),
        environment,
        no_environment,
        other_environment,
        define,
    ]
}

fn of_keys() -> Vec<Case> {
    vec![
        root("name: demo\nrecipes: {a: {run: x}}\n"),
        root("name: demo\nconfgi: {}\n"),
        root("name: demo\nentirely-else: {}\n"),
        root("description: x\n"),
        root("name: demo\nconfig: {minVersion: 99.0.0}\n"),
        root("name: demo\nconfig: {cache: {order: [s4, nowhere], signing: {key: x}}}\n"),
        root("name: demo\nconfig: {cache: {remotes: {azure: {account: x}}}}\n"),
        root("name: demo\nenv_file: missing.env\n"),
        files(&[
            ("larder.yml", "name: demo\nenv_file: .env\n"),
            (".env", "A=1\nB\n"),
            ("cookbook.yml", "name: app\nrecipes: {a: {run: x}}\n"),
        ]),
        root("name: demo\nenvironment: [LARDER_HOME]\n"),
        strict("name: app\n"),
        strict("name: app\nrecipes: {'-a': {run: x}, 'b:c': {run: x}}\n"),
        recipe("run: 5"),
        recipe("run: "),
        recipe("run: {{var.mode}}"),
        recipe("run: x, tags: fast"),
        recipe("run: x, tags: {a: b}"),
        recipe("run: x, cache: yes"),
        recipe("run: x, timeout: soon"),
        recipe("run: x, retries: -1"),
        recipe("run: x, incremental: maybe"),
        root("name: demo\nconfig: {cache: {local: {maxSize: much}}}\n"),
    ]
}

fn of_recipes() -> Vec<Case> {
    vec![
        recipe("description: x"),
        recipe("run: x, persistent: true, cache: {}"),
        recipe("run: x, trace: 5"),
        recipe("run: x, trace: {mode: loud, ignore: [../../x]}"),
        recipe("run: x, trace: {ignore: ['~/{a']}"),
        recipe("run: x, trace: {ignore: ['']}"),
        recipe("run: x, sandbox: {folders: [x]}, cache: {}"),
        recipe("run: x, sandbox: true"),
        recipe("run: x, sandbox: true, persistent: true"),
        recipe("run: x, sandbox: true, cache: {}, incremental: true"),
        recipe("run: x, shell: ''"),
        recipe("run: x, cache: {outputs: [../out, /tmp/out, ., '[', 'a/*/../b']}"),
        recipe("run: x, cache: {inputs: [../../x]}"),
        recipe("run: x, dependencies: ['app:', bb, entirely-else]"),
        recipe("run: x, parameters: {a: 1}"),
        recipe("run: x, matrix: 5"),
        recipe("run: x, matrix: {a: 5}"),
        recipe("run: x, matrix: {a: [[1]]}"),
        recipe("run: x, matrix: {a: ['']}"),
        recipe("run: x, matrix: {a: {}}"),
        recipe("run: x, matrix: {a: {glob: '{'}}"),
        recipe("run: x, matrix: {a: [1, 1]}"),
        recipe(&format!("run: x, matrix: {{a: [{0}], b: [{0}]}}", (0..101).map(|n| n.to_string()).collect::<Vec<_>>().join(", "))),
        bake("name: app\nrecipes:\n  a:\n    run: x\n    cache:\n      outputs: []\n"),
        recipe("run: x, dependencies: [a]"),
        strict("name: app\nrecipes:\n  a: {run: x, cache: {outputs: [dist]}, dependencies: [b]}\n  b: {run: x, cache: {outputs: [dist/app.js]}}\n"),
        strict("name: app\nrecipes:\n  b: {run: x, cache: {outputs: [gen/api.h]}}\n  a: {run: x, cache: {inputs: ['gen/*.h']}}\n").all(),
        recipe("run: x, cache: {inputs: [a.txt], outputs: [a.txt]}"),
        recipe("run: x, cache: {inputs: ['nothing/*.c']}"),
    ]
}

fn of_templates() -> Vec<Case> {
    let plain = "name: t\nparameters:\n  n: {type: number, required: true, min: 2, max: 4}\n  s: {type: string, pattern: '^a+$'}\ntemplate: {run: x}\n";
    vec![
        recipe("run: x, template: t"),
        template("name: test\ntemplate: {run: x}\n", "run: x"),
        template("name: t\nextends: t\ntemplate: {run: x}\n", "run: x"),
        template("name: t\n", "run: x"),
        template("name: t\ntemplate: {run: x, template: other, parameters: {}}\n", "run: x"),
        template(plain, "run: x"),
        template(plain, "parameters: {n: 1}"),
        template(plain, "parameters: {n: 5}"),
        template(plain, "parameters: {n: many}"),
        template(plain, "parameters: {n: 3, s: b}"),
        template(plain, "parameters: {n: 3, ss: b}"),
        template("name: t\ntemplate: {run: x}\n", "parameters: {ss: b}"),
        template("name: t\nparameters: {a: {type: text}, b: {type: strng}}\ntemplate: {run: x}\n", "run: x"),
        template(
            "name: t\nparameters: {a: {type: string, pattern: '('}, b: {type: number, default: x}}\ntemplate: {run: x}\n",
            "run: x",
        ),
        files(&[
            ("larder.yml", "name: demo\n"),
            (".larder/templates/t.yml", "name: t\ntemplate: {run: x}\n"),
            (".larder/templates/u.yml", "name: t\ntemplate: {run: x}\n"),
        ]),
        files(&[
            ("bake.yml", "name: demo\n"),
            (
                ".bake/templates/t.yml",
                "name: t\nparameters:\n  n:\n    type: string\ntemplate:\n  run: x {{params.m}}\n",
            ),
            ("cookbook.yml", "name: app\nrecipes:\n  a:\n    template: t\n    parameters: {k: 1}\n"),
        ]),
        files(&[
            ("bake.yml", "name: demo\n"),
            (".bake/templates/t.yml", "name: t\ntemplate:\n  run: x\n  {{#if a}}\n  tags: [x]\n"),
            ("cookbook.yml", "name: app\nrecipes:\n  a:\n    template: t\n"),
        ]),
        files(&[
            ("bake.yml", "name: demo\n"),
            (
                ".bake/templates/t.yml",
                "name: t\nparameters:\n  n:\n    type: string\ntemplate:\n  run: {{params.n}}\n",
            ),
            ("cookbook.yml", "name: app\nrecipes:\n  a:\n    template: t\n    parameters: {n: 'a: b'}\n"),
        ]),
    ]
}

fn of_values() -> Vec<Case> {
    let plain = "name: h\nparameters: {a: {type: string}}\nrun: echo {{params.a}}\n";
    vec![
        recipe("run: 'echo {{var.moed}} {{env.HOME}}'"),
        recipe("run: 'echo {{#if var.mode}}'"),
        recipe("run: 'echo {{> part}}'"),
        recipe("run: 'echo {{stm var.mode}} '"),
        recipe("run: 'echo {{nonsense var.mode}} '"),
        recipe("run: 'echo {{sh}}'"),
        recipe("run: 'echo {{shell 5}}'"),
        recipe("run: 'echo {{shell \"echo bad >&2; exit 3\"}}'"),
        recipe("run: 'echo {{shell \"kill -9 $$\"}}'"),
        recipe("run: 'echo {{shell \"head -c 20000000 /dev/zero\"}}'"),
        helper("name: other\nrun: x\n", "x"),
        helper("name: h\n", "x"),
        helper("name: h\nreturns: text\nrun: x\n", "x"),
        helper(plain, "{{h 1 2}}"),
        helper(plain, "{{h b=\"x\"}}"),
        files(&[
            ("larder.yml", "name: demo\n"),
            (".larder/helpers/h.yml", "name: h\nrun: x\n"),
            (".bake/helpers/h.yml", "name: h\nrun: x\n"),
        ]),
        bake("name: app\nvariables:\n  mode: fast\nrecipes:\n  a:\n    run: echo [{{var.moed}}]\n"),
        bake("name: app\nrecipes:\n  a:\n    run: echo {{__chunk 1}}\n"),
    ]
}

fn of_selectors() -> Vec<Case> {
    let select = |selectors| Case { selectors, ..recipe("run: x") };
    vec![select(&["bulid"]), select(&["app:a["]), select(&["a:b:c"]), select(&[":"])]
}

impl Case {
    fn all(self) -> Self {
        Self { selectors: &["app:"], ..self }
    }
}

/// All that is said, under the subject that it is about.
fn catalogue() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(every_case)
}

fn every_case() -> String {
    let subjects: [(&str, Vec<Case>); 6] = [
        ("files", of_files()),
        ("keys and values", of_keys()),
        ("recipes", of_recipes()),
        ("templates", of_templates()),
        ("expressions and helpers", of_values()),
        ("selectors", of_selectors()),
    ];
    let mut text = String::new();
    for (subject, cases) in subjects {
        text.push_str(&format!("## {subject}\n\n"));
        for case in cases {
            text.push_str(&case.shown());
            text.push_str("\n\n");
        }
    }
    text
}

/// Messages that no project can be made to say in a test, with why.
const ELSEWHERE: &[(&str, &str)] = &[
    ("cannot look for cookbooks", "the disk fails"),
    ("cannot read", "the disk fails; `missing.env` shows its like"),
    ("took longer than", "a test would wait for a minute: `template` tests it with a shorter limit"),
    ("printed more than", "tested in `template`"),
    ("not a regular file", "as the last"),
    ("an alias without its anchor", "the parser finds it first"),
    ("pattern of parameter", "patterns are checked when the file is read"),
    ("undefined name in an expression", "found before rendering"),
];

#[test]
fn every_message_is_shown_with_what_to_do() {
    let catalogue = catalogue();
    let good: Vec<&str> = catalogue.lines().filter(|line| line.starts_with("nothing is wrong")).collect();
    assert!(good.is_empty(), "{good:#?}");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let said = Regex::new(
        r#"(?:Diagnostic::error|Diagnostic::warning|\.error|\.refuse|\bfail|\bbad|unused|TemplateError::new|RenderErrorReason::Other|message:|let message =|Err)\s*\((?s:[^"';{}]{0,80}?)"((?:[^"\\]|\\.)*)""#,
    )
    .unwrap();
    let pieces = Regex::new(r"\{[^}]*\}").unwrap();
    let mut missing = BTreeSet::new();
    for part in ["config", "template", "plan", "select.rs"] {
        for entry in ignore::WalkBuilder::new(source.join(part)).build().map(Result::unwrap) {
            let path = entry.path().to_string_lossy().into_owned();
            if !path.ends_with(".rs") || path.contains("tests") {
                continue;
            }
            let text = std::fs::read_to_string(entry.path()).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            for message in said.captures_iter(text).map(|found| found[1].to_owned()) {
                // The longest piece that is the same in every message.
                let plain = message.replace("{{", "\u{1}").replace("}}", "\u{2}");
                let piece = pieces.split(&plain).max_by_key(|piece| piece.len()).unwrap_or_default();
                let piece =
                    piece.replace('\u{1}', "{{").replace('\u{2}', "}}").replace("{{", "{").replace("}}", "}");
                let is_shown = catalogue.contains(piece.trim()) || catalogue.contains(message.trim());
                let is_elsewhere = ELSEWHERE.iter().any(|(known, _)| message.contains(known));
                if piece.trim().len() >= 4 && !is_shown && !is_elsewhere {
                    missing.insert(format!("{path}: {message}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "add a case to this file for\n{}", Vec::from_iter(missing).join("\n"));
    // Where a person can do something, it is said: beside the line, or below.
    let silent: Vec<&str> = catalogue
        .split("\n\n")
        .flat_map(findings)
        .filter(|one| !one.contains("hint: ") && !one.contains("^ ") && !one.contains("(also"))
        .filter(|one| !SAYS_ALL.iter().any(|known| one.contains(known)))
        .collect();
    assert!(silent.is_empty(), "without a hint:\n{}", silent.join("\n"));
}

/// Messages that say what to do themselves.
const SAYS_ALL: &[&str] = &[
    "did you mean",
    "expected ",
    "failed (",
    "printed more than",
    "argument(s)",
    "takes a command as text",
    "larger than 4 MiB",
    "is not for use in files",
    "renders empty",
];

/// One finding of those that stand below each other.
fn findings(text: &str) -> Vec<&str> {
    let starts: Vec<usize> = ["error: ", "warning: "]
        .iter()
        .flat_map(|word| text.match_indices(word).map(|(at, _)| at))
        .filter(|at| *at == 0 || text.as_bytes()[at - 1] == b'\n')
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    starts
        .iter()
        .enumerate()
        .map(|(at, start)| &text[*start..starts.get(at + 1).copied().unwrap_or(text.len())])
        .collect()
}

#[test]
fn the_catalogue_of_messages() {
    insta::assert_snapshot!("messages", catalogue());
}
