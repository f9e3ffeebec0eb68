//! What is too long, too deep or too much.

use super::picture::{merged, plain};
use crate::layer::{Entry, Kind};
use crate::tree::{Limits, MergeRule, Merger, Problem, Tree, TreeError};

const RULES: [MergeRule; 2] = [MergeRule::Overlay, MergeRule::Spec];

fn one(entry: Entry) -> [Result<Tree, TreeError>; 2] {
    RULES.map(|rule| Tree::merge([vec![entry.clone()]], rule))
}

fn deep(length: usize) -> Vec<u8> {
    (0..length).map(|at| if at % 2 == 0 { b'd' } else { b'/' }).collect()
}

#[test]
fn paths() {
    for tree in one(plain(&deep(4095), Kind::File)) {
        let tree = tree.unwrap();
        assert_eq!(tree.nodes(), 2049);
        assert_eq!(tree.walk(tree.root()).last().unwrap().0, deep(4095));
        assert!(tree.look_up(&deep(4095), true).unwrap().is_some());
    }
    let too_deep = [deep(4095), b"/x".to_vec()].concat();
    for tree in one(plain(&too_deep, Kind::Directory)) {
        assert_eq!(tree.unwrap_err().problem, Problem::PathTooLong);
    }
    // What is short as text can be long by links.
    let mut entries =
        vec![plain(b"short", Kind::Symlink), plain(&[b"short/".to_vec(), deep(201)].concat(), Kind::File)];
    entries[0].target = deep(4001);
    for rule in RULES {
        let error = Tree::merge([&entries], rule).unwrap_err();
        assert_eq!(error.problem, Problem::PathTooLong);
        assert_eq!(error.entry, String::from_utf8([b"short/".to_vec(), deep(201)].concat()).unwrap());
    }
}

#[test]
fn names() {
    for tree in one(plain(&[b'n'; 255], Kind::File)) {
        assert!(tree.is_ok());
    }
    for path in [vec![b'n'; 256], [vec![b'n'; 256], b"/x".to_vec()].concat()] {
        for tree in one(plain(&path, Kind::File)) {
            let error = tree.unwrap_err();
            assert!(matches!(error.problem, Problem::NameTooLong { .. }));
        }
    }
    // Of a whiteout what it names is counted.
    for (length, fits) in [(255, true), (256, false)] {
        let hidden = vec![b'n'; length];
        let whiteout = plain(&[b".wh.".to_vec(), hidden.clone()].concat(), Kind::File);
        let tree = Tree::merge([vec![plain(&[b'n'; 255], Kind::File)], vec![whiteout]], MergeRule::Overlay);
        assert_eq!(tree.map(|tree| tree.nodes()).ok(), fits.then_some(1));
    }
}

#[test]
fn targets() {
    for (length, fits) in [(4095, true), (4096, false)] {
        let mut link = plain(b"l", Kind::Symlink);
        link.target = vec![b't'; length];
        for tree in one(link) {
            assert_eq!(tree.err().map(|error| error.problem), (!fits).then_some(Problem::TargetTooLong));
        }
    }
    let mut link = plain(b"l", Kind::HardLink);
    link.target = vec![b't'; 4096];
    for tree in one(link) {
        assert_eq!(tree.unwrap_err().problem, Problem::TargetTooLong);
    }
    for target in [&b""[..], b"a\0b"] {
        let mut link = plain(b"l", Kind::Symlink);
        link.target = target.to_vec();
        for tree in one(link) {
            assert_eq!(tree.unwrap_err().problem, Problem::BadTarget);
        }
    }
}

#[test]
fn errors_name_the_entry_on_one_line() {
    let error = merged(&["", "file a%0ab%1b%ff/.wh. 644"], MergeRule::Overlay).unwrap_err();
    assert_eq!(
        error,
        "layer 2 (from the bottom): entry `a\\nb\\u{1b}\\xff/.wh.`: a whiteout that names nothing"
    );
}

#[test]
fn parents_that_multiply_are_counted() {
    // Each with 2,040 parents of its own.
    let deep = |at: std::ops::Range<u32>| -> Vec<Entry> {
        at.map(|at| plain(format!("{at}/{}", "d/".repeat(2040)).as_bytes(), Kind::File)).collect()
    };
    for rule in RULES {
        let mut merger = Merger::with_limits(rule, Limits { names: 200_000, ..Limits::default() });
        assert_eq!(merger.layer(&deep(0..45)), Ok(()));
        // All layers have the limit together.
        assert_eq!(merger.layer(&deep(100..145)), Ok(()));
        assert_eq!(
            merger.layer(&deep(200..250)).unwrap_err().problem,
            Problem::TooManyNames { most: 200_000 }
        );
    }
}

#[test]
fn lists_that_are_handed_down_are_counted() {
    let mut default = 2u32.to_le_bytes().to_vec();
    let mut line = |tag: u16, id: u32| {
        default.extend_from_slice(&tag.to_le_bytes());
        default.extend_from_slice(&7u16.to_le_bytes());
        default.extend_from_slice(&id.to_le_bytes());
    };
    line(1, u32::MAX);
    (0..8000).for_each(|user| line(2, user));
    [4, 16, 32].into_iter().for_each(|tag| line(tag, u32::MAX));
    let mut folder = plain(b"d", Kind::Directory);
    folder.xattrs.push((b"system.posix_acl_default".to_vec(), default.clone()));
    let mut entries = vec![folder];
    entries.extend((0..10u32).map(|at| plain(format!("d/{at}").as_bytes(), Kind::File)));
    entries.extend((10..15u32).map(|at| plain(format!("d/{at}").as_bytes(), Kind::Directory)));
    let needed = 20 * default.len() as u64;
    for (inherited, fits) in [(needed, true), (needed - 1, false)] {
        let limits = Limits { inherited, ..Limits::default() };
        let made = Merger::with_limits(MergeRule::Overlay, limits).layer(&entries);
        let error = made.err().map(|error| (error.problem, error.entry));
        let wanted = (Problem::TooMuchInherited { most: inherited }, "d/14".to_owned());
        assert_eq!(error, (!fits).then_some(wanted));
        // Nothing is handed down by the specification's words.
        assert_eq!(Merger::with_limits(MergeRule::Spec, limits).layer(&entries), Ok(()));
    }
    // By default as well, and before memory is full.
    entries.extend((100..5000u32).map(|at| plain(format!("d/{at}").as_bytes(), Kind::File)));
    let error = Tree::merge([&entries], MergeRule::Overlay).unwrap_err();
    assert!(matches!(error.problem, Problem::TooMuchInherited { .. }), "{error}");
}

#[test]
fn attributes_do_not_gather() {
    let listed = |at: u32| {
        let mut folder = plain(b"d", Kind::Directory);
        folder.xattrs.push((format!("trusted.{at:0>240}").into_bytes(), Vec::new()));
        folder
    };
    let entries: Vec<Entry> = (0..300).map(listed).collect();
    let error = Tree::merge([&entries], MergeRule::Overlay).unwrap_err();
    assert_eq!((error.problem, error.entry.as_str()), (Problem::TooManyXattrs, "d"));
    assert!(Tree::merge([&entries[..200]], MergeRule::Overlay).is_ok());
    let mut file = plain(b"f", Kind::File);
    file.xattrs = entries.iter().flat_map(|entry| entry.xattrs.clone()).collect();
    for tree in one(file) {
        assert_eq!(tree.unwrap_err().problem, Problem::TooManyXattrs);
    }
    // By the specification's words each one is in the place of the one before.
    assert!(Tree::merge([&entries], MergeRule::Spec).is_ok());
}

#[test]
fn steps_through_links_are_counted() {
    let mut entries = Vec::new();
    for at in 0..250 {
        let mut link = plain(format!("l{at}").as_bytes(), Kind::Symlink);
        let next = if at == 249 { "end".to_owned() } else { format!("l{}", at + 1) };
        link.target = format!("{}{next}", "./".repeat(2000)).into();
        entries.push(link);
    }
    for at in 0..10 {
        entries.push(plain(format!("l0/{at}").as_bytes(), Kind::File));
        entries.push(plain(format!("x/{at}").as_bytes(), Kind::File));
    }
    let mut merger =
        Merger::with_limits(MergeRule::Overlay, Limits { steps: 1_000_000, ..Limits::default() });
    let error = merger.layer(&entries).unwrap_err();
    assert_eq!((error.problem, error.entry.as_str()), (Problem::TooManyLinks, "l0/1"));
}

#[test]
fn large_directories_and_many_replacements_are_no_trouble() {
    let mut entries: Vec<Entry> =
        (0..100_000u32).map(|at| plain(format!("d/{at}").as_bytes(), Kind::File)).collect();
    for _ in 0..50_000 {
        entries.push(plain(b"d", Kind::File));
        entries.push(plain(b"d", Kind::Directory));
    }
    for rule in RULES {
        assert_eq!(Tree::merge([&entries, &entries], rule).unwrap().nodes(), 2);
    }
}
