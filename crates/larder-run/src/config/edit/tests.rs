//! Edits of many shapes: what is new stands where it should, and all else is as it was.
#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

const INPUTS: [&str; 4] = ["recipes", "build", "cache", "inputs"];
const TOOLS: [&str; 3] = ["recipes", "build", "tools"];

fn appended(text: &str, path: &[&str], items: &[&str]) -> Result<String, EditError> {
    let items: Vec<String> = items.iter().map(|item| (*item).to_owned()).collect();
    append(text, path, &items)
}

#[track_caller]
fn check(before: &str, path: &[&str], items: &[&str], after: &str) {
    assert_eq!(appended(before, path, items).as_deref(), Ok(after));
}

/// A cookbook with this as the recipe's fields.
fn book(fields: &str) -> String {
    format!("name: a\nrecipes:\n  build:\n    run: cc\n{fields}\n  other:\n    run: x # {{o}}\n")
}

#[track_caller]
fn fields(before: &str, path: &[&str], items: &[&str], after: &str) {
    check(&book(before), path, items, &book(after));
}

#[test]
fn block_lists_grow_at_their_end() {
    fields(
        "    cache:\n      inputs: # read\n        - a.c   # the one\n        # between\n        - b.c # two\n        # behind",
        &INPUTS,
        &["src/*.h", "x y"],
        "    cache:\n      inputs: # read\n        - a.c   # the one\n        # between\n        - b.c # two\n        - src/*.h\n        - 'x y'\n        # behind",
    );
    // As indented as they are, be it oddly or not at all.
    fields(
        "    cache:\n     inputs:\n     -   a.c\n     outputs: [o]",
        &INPUTS,
        &["b"],
        "    cache:\n     inputs:\n     -   a.c\n     - b\n     outputs: [o]",
    );
    fields("    tools:\n    - \"cc\"", &TOOLS, &["ld"], "    tools:\n    - \"cc\"\n    - \"ld\"");
}

#[test]
fn lists_in_brackets_grow_in_their_line() {
    fields(
        "    cache: {inputs: [a, 'b' , ], outputs: [o]} # why",
        &INPUTS,
        &["c", "*.h"],
        "    cache: {inputs: [a, 'b', c, '*.h' , ], outputs: [o]} # why",
    );
    fields("    tools: [ cc ]", &TOOLS, &["ld"], "    tools: [ cc, ld ]");
    fields("    cache: {inputs: []}", &INPUTS, &["c", "*.h"], "    cache: {inputs: [c, '*.h']}");
    fields("    tools: [ ] # none", &TOOLS, &["ld"], "    tools: [ld] # none");
}

#[test]
fn lists_in_brackets_over_lines_keep_their_manner() {
    fields(
        "    cache:\n      inputs: [\n        a, # one\n        b # two\n      ]",
        &INPUTS,
        &["c", "d"],
        "    cache:\n      inputs: [\n        a, # one\n        b, # two\n        c,\n        d\n      ]",
    );
    fields(
        "    tools: [\n      a,\n      b, # two\n    ]",
        &TOOLS,
        &["c", "d"],
        "    tools: [\n      a,\n      b, # two\n      c,\n      d,\n    ]",
    );
}

#[test]
fn long_lines_are_broken() {
    let items: Vec<String> = (0..12).map(|n| format!("include/header-{n:02}.h")).collect();
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    let block: String = items.iter().map(|item| format!("\n        - {item}")).collect();
    fields(
        "    cache:\n      inputs: [] # to do\n      outputs: [o]",
        &INPUTS,
        &items,
        &format!("    cache:\n      inputs: # to do{block}\n      outputs: [o]"),
    );
    fields("    cache:\n      inputs: []", &INPUTS, &items, &format!("    cache:\n      inputs:{block}"));
    for list in ["a", ""] {
        let after =
            appended(&book(&format!("    cache: {{inputs: [{list}], outputs: [o]}}")), &INPUTS, &items);
        let after = after.unwrap();
        assert!(after.lines().all(|line| line.len() <= 115), "{after}");
    }
}

#[test]
fn what_is_missing_is_made() {
    fields("    cache: {}", &INPUTS, &["a"], "    cache: {inputs: [a]}");
    fields("    cache: {outputs: [o]}", &INPUTS, &["a"], "    cache: {inputs: [a], outputs: [o]}");
    fields(
        "    cache:\n      # what it makes\n      outputs: [o]",
        &INPUTS,
        &["a", "b"],
        "    cache:\n      inputs: [a, b]\n      # what it makes\n      outputs: [o]",
    );
    fields(
        "    cache:\n      outputs:\n        - \"o\"",
        &INPUTS,
        &["a"],
        "    cache:\n      inputs:\n        - \"a\"\n      outputs:\n        - \"o\"",
    );
    fields("    # kept\n    cache: {}", &TOOLS, &["cc"], "    tools: [cc]\n    # kept\n    cache: {}");
    // `tools` and `cache` go before `run` when there is nothing better.
    check(
        "name: a\nrecipes:\n  build:\n    description: x\n    # how\n    run: cc\n",
        &TOOLS,
        &["cc"],
        "name: a\nrecipes:\n  build:\n    description: x\n    tools: [cc]\n    # how\n    run: cc\n",
    );
    check(
        "name: a\nrecipes:\n  build: {run: cc}",
        &INPUTS,
        &["a"],
        "name: a\nrecipes:\n  build: {cache: {inputs: [a]}, run: cc}",
    );
    check(
        "name: a\nrecipes:\n  build:\n    template: c",
        &INPUTS,
        &["a"],
        "name: a\nrecipes:\n  build:\n    template: c\n    cache:\n      inputs: [a]",
    );
    check(
        "name: a\nrecipes:\n  build:\n    parameters: {a: 1}\n    template: |\n      x\n\n  other: {run: x}\n",
        &TOOLS,
        &["a"],
        "name: a\nrecipes:\n  build:\n    parameters: {a: 1}\n    template: |\n      x\n    tools: [a]\n\n  other: {run: x}\n",
    );
}

#[test]
fn line_ends_stay_what_they_are() {
    check(
        "recipes:\r\n  build:\r\n    tools:\r\n      - é # ü\r\n    run: x\r\n",
        &TOOLS,
        &["b"],
        "recipes:\r\n  build:\r\n    tools:\r\n      - é # ü\r\n      - b\r\n    run: x\r\n",
    );
    check("recipes: {build: {run: x}}\r\n", &TOOLS, &["b"], "recipes: {build: {tools: [b], run: x}}\r\n");
    check(
        "recipes:\n  build:\n    tools:\n    - a",
        &TOOLS,
        &["b"],
        "recipes:\n  build:\n    tools:\n    - a\n    - b",
    );
    check(
        "\u{feff}recipes:\n  build:\n    tools: [a]\n",
        &TOOLS,
        &["b"],
        "\u{feff}recipes:\n  build:\n    tools: [a, b]\n",
    );
}

#[test]
fn elements_are_quoted_where_they_must_be() {
    let items =
        ["true", "12", "a: b", "a #b", "it's", "-x", "!n", "", "é.c", "a\tb", "null", "{a,b}", "&x", "1e3"];
    for list in
        ["    tools: [c]", "    tools:\n      - c", "    tools: ['c']", "    tools: [\"c\"]", "    tools: []"]
    {
        appended(&book(list), &TOOLS, &items).unwrap();
    }
}

#[test]
fn what_is_shared_or_unknown_is_left_alone() {
    let refused = |text: &str| appended(text, &TOOLS, &["x"]).unwrap_err();
    assert_eq!(refused(&book("    tools: '{{var.tools}}'")), EditError::NoList);
    assert_eq!(refused(&book("    tools:")), EditError::NoList);
    assert_eq!(refused("a: &t [b]\nrecipes:\n  build:\n    tools: *t\n"), EditError::NoList);
    assert_eq!(
        refused("recipes:\n  build:\n    tools: &t [b]\n  other:\n    tools: *t\n"),
        EditError::Elsewhere
    );
    assert_eq!(refused("recipes:\n  build: &b\n    run: c\n  other: *b\n"), EditError::Elsewhere);
    assert_eq!(refused("recipes: [\n"), EditError::NotYaml);
    assert_eq!(refused("recipes: x\n"), EditError::NoList);
    assert_eq!(refused(""), EditError::NoList);
    assert_eq!(
        refused("recipes:\n  build:\n    tools:\n    - |\n      a\n    -\n      b\n"),
        EditError::Shape
    );
    // An anchor that nobody uses is no reason.
    check(
        "recipes:\n  build:\n    tools: &t [b]\n",
        &TOOLS,
        &["x"],
        "recipes:\n  build:\n    tools: &t [b, x]\n",
    );
}

/// One way to write a recipe.
fn recipe(name: &str) -> impl Strategy<Value = String> + use<> {
    let name = name.to_owned();
    let comment = prop_oneof![Just(""), Just(" # c"), Just("   #c: [d] ")];
    let list = prop_oneof![
        Just("[]".to_owned()),
        Just("[ ]".to_owned()),
        Just("[a, 'b c']".to_owned()),
        Just("[ \"a\",b , ]".to_owned()),
        Just("&x [a]".to_owned()),
        Just("[\n          a, # [\n          b\n        ]".to_owned()),
        Just("[a,\n          'b']".to_owned()),
        Just("\n        - a\n\n        # , - b\n        - \"b\\\"c\"".to_owned()),
        Just("\n      - x # y\n      - 'z'".to_owned()),
        Just("\n        - a\n          b\n        - |\n          c\n".to_owned()),
    ];
    let key = prop_oneof![Just("inputs"), Just("outputs")];
    let cache = (list.clone(), key, comment.clone())
        .prop_map(|(list, key, comment)| format!("    cache:{comment}\n      {key}: {list}{comment}\n"));
    let cache = prop_oneof![
        2 => cache,
        1 => Just("    cache: {outputs: [o], inputs: [a,b]}\n".to_owned()),
        1 => Just("    cache: { }# x\n".to_owned()),
        1 => Just(String::new()),
    ];
    let run = prop_oneof![
        Just("    run: x # y\n"),
        Just("    # how\n\n    # indeed\n    run: |\n      cc - [\n      # no\n\n"),
        Just("    run: >-\n      a\n      b\n"),
        Just("    run: 'a\n      b'\n"),
    ];
    (cache, run, comment, any::<bool>()).prop_map(move |(cache, run, comment, cache_first)| {
        let (one, two) = if cache_first { (cache.as_str(), run) } else { (run, cache.as_str()) };
        format!("  {name}:{comment}\n{one}{two}")
    })
}

/// All bytes of `part` stand in `whole`, in this order.
fn is_within(part: &str, whole: &str) -> bool {
    let mut left = whole.bytes();
    part.bytes().all(|byte| left.any(|found| found == byte))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// What is edited stays YAML with one list changed (`append` compares the trees), nothing of the text is lost, and
    /// a second edit finds what the first one wrote.
    #[test]
    fn an_edit_changes_nothing_but_the_list(
        build in recipe("build"),
        other in recipe("other"),
        items in prop::collection::vec("[a-z*./ {}#:'\"\\[\\],-]{1,40}", 1..9),
        path in prop_oneof![Just(&INPUTS[..]), Just(&TOOLS[..])],
        crlf in any::<bool>(),
    ) {
        let mut text = format!("name: a # n\nrecipes: # r\n{build}{other}# end\n");
        if crlf {
            text = text.replace('\n', "\r\n");
        }
        prop_assume!(yaml::parse(&text).is_ok());
        let twice = append(&text, path, &items[..1]).and_then(|once| append(&once, path, &items[1..]));
        match append(&text, path, &items) {
            Ok(after) => {
                let kept = text.replace("[]", "").replace("[ ]", "");
                prop_assert!(is_within(&kept.replace("inputs: ", "inputs:"), &after), "{after}");
                prop_assert!(!crlf || after.matches('\n').count() == after.matches("\r\n").count());
                prop_assert!(after.contains("# n") && after.contains("# end"));
                let (one, two) = (yaml::parse(&after).unwrap(), yaml::parse(&twice.unwrap()).unwrap());
                prop_assert!(is_same(&one, &two));
            }
            Err(error) => prop_assert!(error == EditError::Shape || error == EditError::NoList, "{error}: {text}"),
        }
    }
}
