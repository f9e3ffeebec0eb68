//! Paths looked up, trees walked.

use super::picture::merged;
use crate::tree::{LookUpError, MergeRule, Tree};

fn example() -> Tree {
    merged(
        &["file usr/lib/foo 644
           link lib -> usr/lib
           link abs -> /usr/lib/foo
           link up -> ../../usr
           link loop -> loop
           link none -> nothing/here
           file a.b 644
           file a/c 644"],
        MergeRule::Overlay,
    )
    .unwrap()
}

#[test]
fn paths_are_looked_up_inside_the_root() {
    let tree = example();
    let at = |path: &str, follow| {
        tree.look_up(path.as_bytes(), follow)
            .map(|found| found.map(|found| String::from_utf8(tree.path(found)).unwrap()))
    };
    for (path, want) in [
        ("", Some("")),
        ("/", Some("")),
        ("..", Some("")),
        ("/usr//lib/./foo", Some("usr/lib/foo")),
        ("usr/../usr/lib/", Some("usr/lib")),
        ("lib/foo", Some("usr/lib/foo")),
        ("lib/..", Some("usr")),
        ("lib", Some("lib")),
        ("lib/", Some("usr/lib")),
        ("../../up/lib/foo", Some("usr/lib/foo")),
        ("abs", Some("abs")),
        ("none", Some("none")),
        ("none/x", None),
        ("nope/x", None),
        ("loop", Some("loop")),
    ] {
        assert_eq!(at(path, false), Ok(want.map(str::to_owned)), "{path}");
    }
    assert_eq!(at("abs", true), Ok(Some("usr/lib/foo".into())));
    assert_eq!(at("none", true), Ok(None));
    assert_eq!(at("loop", true), Err(LookUpError::TooManyLinks));
    for path in ["usr/lib/foo/x", "abs/x", "usr/lib/foo/", "abs/", "abs/.."] {
        assert_eq!(at(path, false), Err(LookUpError::NotADirectory { at: "usr/lib/foo".into() }), "{path}");
    }
    assert_eq!(at(&"x/".repeat(3000), false), Err(LookUpError::TooLong));
}

#[test]
fn walks_are_in_order() {
    let tree = example();
    let paths = |from: &str| -> Vec<String> {
        let from = tree.look_up(from.as_bytes(), false).unwrap().unwrap();
        tree.walk(from).map(|(path, _)| String::from_utf8(path).unwrap()).collect()
    };
    assert_eq!(
        paths(""),
        ["", "a", "a/c", "a.b", "abs", "lib", "loop", "none", "up", "usr", "usr/lib", "usr/lib/foo"]
    );
    assert_eq!(paths("usr/lib"), ["usr/lib", "usr/lib/foo"]);
    assert_eq!(paths("a/c"), ["a/c"]);
}
