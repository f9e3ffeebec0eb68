//! What patterns, ignore files, links and special files mean.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

#[test]
fn wildcards_find_dot_files_and_respect_ignore_files_but_literals_count() {
    let p = Project::new();
    p.write(".gitignore", "gen/\n*.log\n");
    p.write("app/.gitignore", "!keep.log\n");
    for file in ["app/.env", "app/a.ts", "app/gen/x.ts", "app/b.log", "app/keep.log", ".git/HEAD"] {
        p.write(file, "x");
    }
    let all = ["app/.env", "app/.gitignore", "app/a.ts", "app/keep.log"];
    assert_eq!(p.paths(&PathSpec::inputs("app", ["**"])), all);
    assert_eq!(p.paths(&PathSpec::inputs("app", ["gen/*.ts", "b.log"])), ["app/b.log", "app/gen/x.ts"]);
    assert_eq!(p.paths(&PathSpec::inputs("app", ["gen"])), ["app/gen", "app/gen/x.ts"]);
    assert_eq!(p.paths(&PathSpec::inputs("app", ["../.git/HEAD", "*.{ts,js}"])), [".git/HEAD", "app/a.ts"]);
    let folder =
        PathSpec { whole_folder: true, exclude: vec!["a.*".into()], ..PathSpec::inputs("app", [""; 0]) };
    assert_eq!(p.paths(&folder), [all[0], all[1], all[3]]);
    assert!(p.paths(&PathSpec::inputs("", [".larder/state/**", ".larder/state"])).is_empty());
}

#[test]
fn exclusions_win_and_take_everything_below() {
    let p = Project::new();
    for file in ["a/b/c.txt", "a/b/d.md", "a/e.txt"] {
        p.write(file, "x");
    }
    assert_eq!(p.paths(&PathSpec::inputs("", ["a/**", "!**/b"])), ["a/e.txt"]);
    assert_eq!(p.paths(&PathSpec::inputs("", ["**/*.txt", "!a/b/**"])), ["a/e.txt"]);
    assert_eq!(p.paths(&PathSpec::inputs("", ["a/?/[c-d].*", "!a/b/d.md"])), ["a/b/c.txt"]);
    let spec = PathSpec { exclude_paths: vec!["a/b".into()], ..PathSpec::inputs("a", ["**"]) };
    assert_eq!(p.paths(&spec), ["a/e.txt"]);
}

#[test]
fn bad_patterns_are_errors() {
    let p = Project::new();
    let problem = |pattern: &str| match p.open().digest_of(&PathSpec::inputs("a/b", [pattern])) {
        Err(InputError::Pattern { reason, .. }) => Some(reason),
        _ => None,
    };
    assert_eq!(problem("../../../x"), Some(PatternProblem::Escapes));
    assert_eq!(problem("/etc/passwd"), Some(PatternProblem::Absolute));
    assert_eq!(problem("a/*/../x"), Some(PatternProblem::ParentAfterWildcard));
    assert_eq!(problem("[a"), Some(PatternProblem::Unclosed));
    assert_eq!(problem(""), Some(PatternProblem::Empty));
    assert_eq!(problem(&"{a,b}".repeat(30)), Some(PatternProblem::TooLarge));
    assert_eq!(problem("../../x"), None);
}

#[test]
fn links_count_with_what_they_lead_to_inside() {
    let p = Project::new();
    p.write("lib/real.txt", "1");
    fs::create_dir_all(p.path("app")).unwrap();
    symlink("../lib/real.txt", p.path("app/link")).unwrap();
    symlink("..", p.path("app/loop")).unwrap();
    symlink("self", p.path("app/self")).unwrap();
    symlink("/etc/passwd", p.path("app/outside")).unwrap();
    let spec = PathSpec::inputs("app", ["link", "self", "outside"]);
    assert_eq!(p.paths(&spec), ["app/link", "app/outside", "app/self", "lib/real.txt"]);
    let worktree = p.open();
    let before = worktree.digest_of(&spec).unwrap();
    p.write("lib/real.txt", "2");
    worktree.ran();
    assert_ne!(worktree.digest_of(&spec).unwrap(), before);
    assert!(p.paths(&PathSpec::inputs("app", ["**"])).contains(&"lib/real.txt".to_owned()));
    assert_eq!(p.paths(&PathSpec::outputs("app", ["link"])), ["app/link"]);
    symlink("lib", p.path("via")).unwrap();
    assert_eq!(p.paths(&PathSpec::inputs("", ["via/*.txt"])), ["lib/real.txt", "via"]);
}

#[test]
fn a_fifo_is_an_error_and_never_opened() {
    let p = Project::new();
    p.write("a/x", "x");
    let fifo = p.path("a/fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
    for pattern in ["a/**", "a/fifo", "a"] {
        let error = p.open().digest_of(&PathSpec::inputs("", [pattern])).unwrap_err();
        assert!(matches!(&error, InputError::Special { kind: SpecialKind::Fifo, .. }), "{error}");
        assert_eq!(error.hint().unwrap(), "exclude it with `!a/fifo`");
    }
    assert_eq!(p.paths(&PathSpec::inputs("", ["a/**", "!a/fifo"])), ["a/x"]);
}

#[test]
fn absent_literals_modes_and_names_of_any_bytes_count() {
    let p = Project::new();
    let odd = Path::new(OsStr::from_bytes(b"a/\xff\xfe.txt"));
    p.write(odd, "x");
    let spec = PathSpec::inputs("", ["a/*", "later"]);
    let worktree = p.open();
    let first = worktree.digest_of(&spec).unwrap();
    assert_eq!(worktree.entries(&spec).unwrap()[0].path, odd);
    p.write("later", "");
    worktree.ran();
    let second = worktree.digest_of(&spec).unwrap();
    assert_ne!(first, second);
    fs::set_permissions(p.path("later"), fs::Permissions::from_mode(0o755)).unwrap();
    worktree.ran();
    assert_ne!(worktree.digest_of(&spec).unwrap(), second);
    let entries = worktree.entries(&spec).unwrap();
    let tree = directory_of(&entries);
    let back = entries_of(&tree.tree).unwrap();
    let files = |entries: &[Entry]| {
        let files = entries.iter().filter(|e| !matches!(e.kind, EntryKind::Directory { .. }));
        files.map(|e| (e.path.clone(), e.kind.clone())).collect::<Vec<_>>()
    };
    assert_eq!(files(&back), files(&entries));
}

#[test]
fn globs_are_remembered_until_a_listing_changes() {
    let p = Project::new();
    p.write("a/cookbook.yml", "");
    p.write("b/x.cookbook.yml", "");
    p.write("node_modules/c/cookbook.yml", "");
    p.write(".bakeignore", "node_modules\n");
    let patterns = ["**/cookbook.yml".to_owned(), "**/*.cookbook.yml".to_owned()];
    let glob = || {
        let worktree = p.open();
        let found = worktree.glob(Path::new(""), &patterns).unwrap();
        worktree.save().unwrap();
        found
    };
    let first = glob();
    assert_eq!(first, [PathBuf::from("a/cookbook.yml"), "b/x.cookbook.yml".into()]);
    assert_eq!(glob(), first);
    p.write("c/cookbook.yml", "");
    assert_eq!(glob().len(), 3);
    let named = p.open().files_named(&|name| name == "cookbook.yml").unwrap();
    assert_eq!(named, [PathBuf::from("a/cookbook.yml"), "c/cookbook.yml".into()]);
}

#[test]
fn single_files_follow_links() {
    let p = Project::new();
    p.write("real", "1");
    symlink("real", p.path("tool")).unwrap();
    let worktree = p.open();
    assert_eq!(worktree.file(&p.path("tool")).unwrap(), Digest::blake3(b"1"));
    p.write("real", "2");
    worktree.ran();
    assert_eq!(worktree.file(Path::new("tool")).unwrap(), Digest::blake3(b"2"));
    assert!(matches!(worktree.file(&p.path("none")), Err(InputError::Unreadable { .. })));
    assert!(matches!(worktree.file(&p.path(".")), Err(InputError::NotAFile { .. })));
}

#[test]
fn what_was_hashed_within_a_tick_is_read_again() {
    let p = Project::new();
    p.write("a", "1");
    let stat = Stat::from(rustix::fs::lstat(p.path("a")).unwrap());
    let wrong = Digest::blake3(b"2");
    let known = |since: FsTime| {
        let worktree = p.open();
        worktree.record(Path::new("a"), stat, &wrong, since);
        worktree.save().unwrap();
        match &p.open().entries(&PathSpec::inputs("", ["a"])).unwrap()[0].kind {
            EntryKind::File { digest, .. } => *digest == wrong,
            _ => false,
        }
    };
    // The recorded digest is believed only if the times are strictly older than when its hashing began.
    assert!(!known(stat.mtime));
    assert!(!known(stat.ctime));
    let worktree = p.open();
    worktree.wait_tick();
    assert!(known(worktree.now()));
}

#[test]
fn content_of_any_size_is_hashed_whole() {
    let p = Project::new();
    let worktree = p.open();
    for size in [0, 1, 131_071, 131_072, 131_073, 3 * 131_072, 2_500_001] {
        let text = "ab".repeat(size / 2 + 1)[..size].to_owned();
        p.write("big", &text);
        worktree.ran();
        assert_eq!(worktree.file(&p.path("big")).unwrap(), Digest::blake3(text.as_bytes()), "{size}");
        let entries = worktree.entries(&PathSpec::inputs("", ["big"])).unwrap();
        let EntryKind::File { digest, .. } = entries[0].kind else { panic!("a file") };
        assert_eq!(digest, Digest::blake3(text.as_bytes()));
    }
}
