//! After any edit the saved table gives the answer of an empty one, and a damaged table gives no other answer.

use std::os::unix::fs::{PermissionsExt, symlink};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

use super::*;

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }

    fn path(&mut self) -> String {
        let names = ["a", "b", "c.txt", "d", ".e", ".gitignore"];
        let depth = 1 + self.below(3);
        let parts: Vec<&str> = (0..depth).map(|_| names[self.below(6) as usize]).collect();
        format!("src/{}", parts.join("/"))
    }
}

/// Writes over a file with as many bytes and puts mtime back.
fn edit_secretly(path: &Path) {
    let Ok(stat) = rustix::fs::lstat(path) else { return };
    if Stat::from(stat).file_type() != rustix::fs::FileType::RegularFile {
        return;
    }
    let Ok(mut text) = fs::read(path) else { return };
    text.iter_mut().for_each(|b| *b = b.wrapping_add(1) | 0x40);
    if fs::write(path, text).is_err() {
        return;
    }
    let time = Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec.try_into().unwrap() };
    let times = Timestamps { last_access: time, last_modification: time };
    let _ = rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW);
}

fn edit(p: &Project, random: &mut Random) {
    let (one, two) = (random.path(), random.path());
    let (path, other) = (p.path(&one), p.path(&two));
    let remove = |path: &Path| {
        let _ = fs::remove_file(path);
        let _ = fs::remove_dir_all(path);
    };
    match random.below(11) {
        0 | 1 => {
            if one.ends_with(".gitignore") {
                let _ = fs::create_dir_all(path.parent().unwrap());
                let _ = fs::write(&path, ["a\n", "*.txt\n", "b/\n!d\n", ""][random.below(4) as usize]);
            } else {
                let _ = fs::create_dir_all(path.parent().unwrap());
                let _ = fs::write(&path, format!("{}", random.below(100)));
            }
        }
        2 | 3 => edit_secretly(&path),
        4 => remove(&path),
        5 => {
            let _ = fs::rename(&path, &other);
        }
        6 => {
            remove(&path);
            // An absolute one leads to a folder of the test's own: later edits write through it.
            let outside = p.path("outside");
            let _ = fs::create_dir_all(&outside);
            let targets =
                [Path::new("a"), Path::new("../b"), &outside, Path::new("../../src"), Path::new("d/c.txt")];
            let _ = symlink(targets[random.below(5) as usize], &path);
        }
        7 => {
            let _ = fs::set_permissions(
                &path,
                fs::Permissions::from_mode(if random.below(2) == 0 { 0o755 } else { 0o644 }),
            );
        }
        8 => {
            remove(&path);
            let _ = fs::create_dir_all(&path);
        }
        9 => {
            let _ = fs::hard_link(&path, &other);
            edit_secretly(&other);
        }
        _ => {
            // Two names change places.
            let third = p.path("src/swap");
            let _ = fs::rename(&path, &third);
            let _ = fs::rename(&other, &path);
            let _ = fs::rename(&third, &other);
        }
    }
}

fn specs() -> Vec<PathSpec> {
    vec![
        PathSpec::inputs("src", ["**"]),
        PathSpec::inputs("", ["src/a", "src/b/*.txt", "src/d/c.txt", "!src/a/b"]),
        PathSpec::inputs("src/a", ["../{a,b}/**/c.txt", "?"]),
        PathSpec::outputs("", ["src"]),
        PathSpec { whole_folder: true, exclude: vec!["d/**".into()], ..PathSpec::inputs("src", [""; 0]) },
    ]
}

#[test]
fn the_saved_table_answers_as_an_empty_one() {
    let elsewhere = tempfile::tempdir().unwrap();
    let mut cases = 0;
    for seed in 1..=30_u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let p = Project::new();
        (0..25).for_each(|_| edit(&p, &mut random));
        let kept = p.open();
        for round in 0..14 {
            (0..=random.below(3)).for_each(|_| edit(&p, &mut random));
            let saved = p.open();
            let fresh = p.fresh(elsewhere.path());
            kept.ran();
            for spec in specs() {
                let expected = fresh.digest_of(&spec).unwrap();
                assert_eq!(saved.digest_of(&spec).unwrap(), expected, "seed {seed} round {round} {spec:?}");
                assert_eq!(
                    kept.digest_of(&spec).unwrap(),
                    expected,
                    "kept: seed {seed} round {round} {spec:?}"
                );
                assert_eq!(tree::summary(&saved.entries(&spec).unwrap()), expected);
            }
            saved.save().unwrap();
            cases += 1;
        }
    }
    assert!(cases >= 300);
}

/// Files below a folder; links are removed, because a cover does not follow them.
fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_symlink() {
            fs::remove_file(entry.path()).unwrap();
        } else if kind.is_dir() {
            files_below(&entry.path(), found);
        } else {
            found.push(entry.path());
        }
    }
}

#[test]
fn a_cover_sees_what_the_walk_finds() {
    let mut seen = 0;
    for seed in 1..=60_u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let p = Project::new();
        (0..40).for_each(|_| edit(&p, &mut random));
        let mut files = Vec::new();
        files_below(&p.path("src"), &mut files);
        let worktree = p.open();
        for spec in specs() {
            let entries: Vec<PathBuf> =
                worktree.entries(&spec).unwrap().into_iter().map(|entry| entry.path).collect();
            let cover = worktree.cover(&spec).unwrap();
            for file in &files {
                let below = file.strip_prefix(p.path("")).unwrap();
                let expected = entries.iter().any(|entry| entry == below);
                let found = cover.sees(below.as_os_str().as_bytes());
                assert_eq!(found, expected, "seed {seed} {} {spec:?}", below.display());
                seen += usize::from(found);
            }
        }
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn a_flipped_bit_never_changes_an_answer() {
    let p = Project::new();
    let mut random = Random(7);
    (0..20).for_each(|_| edit(&p, &mut random));
    p.write("src/a/c.txt", "1");
    let worktree = p.open();
    worktree.wait_tick();
    let expected: Vec<_> = specs().iter().map(|spec| worktree.digest_of(spec).unwrap()).collect();
    worktree.save().unwrap();
    let file = p.state().join(FILE_NAME);
    let table = fs::read(&file).unwrap();
    assert!(format::load(&file).is_some());
    for at in 0..table.len() {
        let mut damaged = table.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(&file, &damaged).unwrap();
        assert!(format::load(&file).is_none(), "byte {at}");
        if at % 97 == 0 {
            let worktree = p.open();
            let answers: Vec<_> = specs().iter().map(|spec| worktree.digest_of(spec).unwrap()).collect();
            assert_eq!(answers, expected);
        }
    }
    for length in 0..table.len().min(600) {
        fs::write(&file, &table[..length]).unwrap();
        assert!(format::load(&file).is_none());
    }
}

#[test]
fn an_unchanged_tree_needs_no_write_and_a_forged_table_no_panic() {
    let p = Project::new();
    p.write("src/a/c.txt", "1");
    let spec = PathSpec::inputs("src", ["**"]);
    for _ in 0..2 {
        let worktree = p.open();
        worktree.wait_tick();
        worktree.digest_of(&spec).unwrap();
        worktree.save().unwrap();
    }
    let file = p.state().join(FILE_NAME);
    let written = Stat::from(rustix::fs::lstat(&file).unwrap());
    let worktree = p.open();
    worktree.digest_of(&spec).unwrap();
    worktree.save().unwrap();
    assert_eq!(Stat::from(rustix::fs::lstat(&file).unwrap()), written);
    // With a right checksum over wrong references.
    let table = fs::read(&file).unwrap();
    for at in 12..table.len() - 32 {
        let mut forged = table.clone();
        forged[at] = 0xff;
        let end = forged.len() - 32;
        let checksum = *blake3::hash(&forged[..end]).as_bytes();
        forged[end..].copy_from_slice(&checksum);
        fs::write(&file, &forged).unwrap();
        let _ = p.open().digest_of(&spec);
    }
}
