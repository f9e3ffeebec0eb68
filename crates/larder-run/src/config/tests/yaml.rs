//! The YAML reader against hostile text.

use proptest::prelude::*;

use super::Fixture;
use crate::config::yaml::{Value, parse};

#[test]
fn alias_bomb_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert!(parse(&text).is_err());
}

#[test]
fn deep_nesting_is_refused() {
    assert!(parse(&"[".repeat(10_000)).is_err());
    assert!(parse(&"- ".repeat(5_000)).is_err());
    let mut block = String::new();
    for depth in 0..200 {
        block.push_str(&format!("{}k:\n", " ".repeat(depth)));
    }
    assert!(parse(&block).unwrap_err().message.contains("nested deeper"));
}

#[test]
fn duplicate_keys_are_refused_with_their_place() {
    let error = parse("a: 1\nb: 2\na: 3\n").unwrap_err();
    assert_eq!(
        (error.message.as_str(), error.span.line, error.span.column),
        ("key `a` stands here twice", 3, 1)
    );
}

#[test]
fn several_documents_and_complex_keys_are_refused() {
    assert!(parse("a: 1\n---\nb: 2\n").is_err());
    assert!(parse("? [a, b]\n: 1\n").is_err());
}

#[test]
fn scalars_follow_the_core_schema() {
    let node = parse("[true, 12, 0x1f, 1.5, 007, null, ~, 'true', yes, 1.2.3]").unwrap();
    let values: Vec<_> = node.items().iter().map(|item| item.value.clone()).collect();
    let text = |text: &str| Value::Text(text.into());
    assert_eq!(
        values,
        [
            Value::Bool(true),
            Value::Int(12),
            Value::Int(31),
            Value::Float(1.5),
            text("007"),
            Value::Null,
            Value::Null,
            text("true"),
            text("yes"),
            text("1.2.3"),
        ]
    );
}

#[test]
fn the_root_placeholder_cannot_be_written() {
    let fixture = Fixture::strict("name: app\nrecipes: {a: {run: \"\\x01larder:root\\x01/x\"}}\n");
    assert!(fixture.error(&["a"]).contains("reserved control sequence"));
}

#[test]
fn a_huge_file_is_refused() {
    let fixture = Fixture::strict(&format!("name: app\n# {}\nrecipes: {{}}\n", "x".repeat(5 << 20)));
    assert!(fixture.error(&[]).contains("larger than 4 MiB"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let text = String::from_utf8_lossy(&bytes);
        drop(parse(&text));
    }

    #[test]
    fn yaml_like_text_never_panics(text in "([a-z]{1,3}: ?|- |\\[|\\]|\\{|\\}|&a |\\*a|\"|'|\n|  |#|\\||>|!!str |---|,|%|\\?|\t){0,60}") {
        drop(parse(&text));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_cookbooks_never_panic(body in "(recipes:|  a:|    run: |    cache: |inputs|\\{\\{|\\}\\}|var\\.x|#if|/if|\\[x\\]|\n|\n  |\n    |name: b|variables:|matrix: |when: |[a-z ]|\"){0,40}") {
        for root in ["larder.yml", "bake.yml"] {
            let fixture = Fixture::new(&[(root, "name: demo\n"), ("cookbook.yml", &format!("name: app\n{body}"))]);
            drop(fixture.resolve(&[]));
        }
    }
}
