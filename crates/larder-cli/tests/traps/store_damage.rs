//! "a store whose every file was hit by bit flips, truncated, half deleted, on a full disk or read-only: the build goes on and
//! is right", and says so once.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::world::{Project, Ran};

/// Six recipes with outputs of several sizes, one of them incompressible.
fn building() -> Project {
    let mut recipes = String::new();
    for at in 0..6 {
        recipes.push_str(&format!(
            "  r{at}:
    cache: {{inputs: [in], outputs: [out{at}/]}}
    run: |
      mkdir -p out{at}
      cp in out{at}/small; seq {at} {at}0000 > out{at}/numbers; cat noise in > out{at}/noise
"
        ));
    }
    let project = Project::new(&recipes);
    project.file("in", "1");
    let mut state = 1_u64;
    let noise: Vec<u8> = (0..200_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect();
    project.file("noise", noise);
    project
}

fn check(project: &Project, what: &str) {
    for at in 0..6 {
        let content = project.read("in");
        assert_eq!(project.read(format!("out{at}/small")), content, "{what}");
        let numbers = project.read(format!("out{at}/numbers"));
        let last = format!("{at}0000");
        let expected = if at == 0 { "0".to_owned() } else { last };
        assert_eq!(numbers.lines().last(), Some(expected.as_str()), "{what}");
        let noise = fs::read(project.path(format!("out{at}/noise"))).unwrap();
        let expected = [fs::read(project.path("noise")).unwrap(), content.into_bytes()].concat();
        assert!(noise == expected, "{what}: out{at}/noise is wrong");
    }
}

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, out);
        } else {
            out.push(path);
        }
    }
}

/// The build with the store as it is now: it succeeds, is right, and its next run is, too. At most one warning each.
fn goes_on(project: &Project, what: &str) -> Ran {
    for at in 0..6 {
        project.remove(format!("out{at}"));
    }
    let first = goes_on_in_place(project, what);
    goes_on_in_place(project, what);
    first
}

fn goes_on_in_place(project: &Project, what: &str) -> Ran {
    let ran = project.run(&[]);
    assert_eq!(ran.code, Some(0), "{what}: {ran:#?}");
    check(project, what);
    // That files are kept for undo because the store does not hold them is another matter.
    let kept = ran.err.matches("kept for a day").count();
    assert!(ran.warnings() - kept <= 1, "{what}: one warning, not {}: {ran:#?}", ran.warnings());
    assert!(!ran.all().contains("panicked"), "{what}: {ran:#?}");
    ran
}

/// Damages every file of a filled store in one way, and builds.
fn damaged(what: &str, damage: impl Fn(usize, &Path)) {
    let project = building();
    project.good(&[]);
    let mut all = Vec::new();
    files(&project.store(), &mut all);
    assert!(!all.is_empty());
    for (at, file) in all.iter().enumerate() {
        damage(at, file);
    }
    goes_on(&project, what);
    project.file("in", "2");
    goes_on_in_place(&project, what);
    project.file("in", "1");
    goes_on_in_place(&project, what);
}

fn flip(file: &Path, at: impl Fn(usize) -> Vec<usize>) {
    let mut bytes = fs::read(file).unwrap();
    if bytes.is_empty() {
        return;
    }
    for at in at(bytes.len()) {
        bytes[at] ^= 0x10;
    }
    fs::write(file, bytes).unwrap();
}

/// "every file was hit by bit flips": in the middle, at both ends, and all over.
#[test]
fn every_file_bit_flipped_in_the_middle() {
    damaged("flipped in the middle", |_, file| flip(file, |length| vec![length / 2]));
}

/// The same at both ends, where headers and footers are.
#[test]
fn every_file_bit_flipped_at_both_ends() {
    damaged("flipped at the ends", |_, file| flip(file, |length| vec![0, length - 1]));
}

/// The same everywhere.
#[test]
fn every_file_bit_flipped_all_over() {
    damaged("flipped all over", |_, file| flip(file, |length| (0..length).step_by(997).collect()));
}

/// "truncated"
#[test]
fn every_file_truncated() {
    damaged("halved", |_, file| {
        let bytes = fs::read(file).unwrap();
        fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
    });
    damaged("emptied", |_, file| fs::write(file, "").unwrap());
}

/// "half deleted"
#[test]
fn half_of_the_files_deleted() {
    for parity in [0, 1] {
        damaged("half deleted", |at, file| {
            if at % 2 == parity {
                fs::remove_file(file).unwrap();
            }
        });
    }
}

/// Each file grown by garbage.
#[test]
fn every_file_grown() {
    damaged("grown", |_, file| {
        let mut bytes = fs::read(file).unwrap();
        bytes.extend([0xa5; 100]);
        fs::write(file, bytes).unwrap();
    });
}

/// All of it gone, with the folders.
#[test]
fn the_whole_store_deleted() {
    let project = building();
    project.good(&[]);
    fs::remove_dir_all(project.store()).unwrap();
    goes_on(&project, "deleted");
}

/// A folder where a file was, and a file where a folder was.
#[test]
fn files_and_folders_swapped() {
    damaged("folders in the place of files", |_, file| {
        fs::remove_file(file).unwrap();
        fs::create_dir(file).unwrap();
    });
    let project = building();
    fs::remove_dir(project.store()).unwrap();
    fs::write(project.store(), "a file").unwrap();
    let ran = goes_on_in_place(&project, "a file in the place of the store");
    assert!(ran.err.contains("hint:"), "{ran:#?}");
    assert_eq!(fs::read_to_string(project.store()).unwrap(), "a file");
}

const NOBODY: &[&str] = &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"];

/// As another user, whom permissions bind, if this is root.
fn run_bound(project: &Project) -> Ran {
    if rustix::process::geteuid().is_root() { project.run_by(NOBODY, &[]) } else { project.run(&[]) }
}

fn for_nobody(project: &Project) {
    fs::set_permissions(project.base(), fs::Permissions::from_mode(0o755)).unwrap();
    if rustix::process::geteuid().is_root() {
        for path in [&project.root, &project.user(), &project.store()] {
            let owned = Command::new("chown").args(["-R", "65534:65534"]).arg(path).status().unwrap();
            assert!(owned.success());
        }
    }
}

/// "read-only", filled and empty: "one warning, and the run goes on without a cache"
#[test]
fn a_read_only_store() {
    for filled in [true, false] {
        let project = building();
        if filled {
            project.good(&[]);
        }
        for_nobody(&project);
        project.shell("chmod -R a-w ../store");
        for content in ["1", "1", "2"] {
            project.file("in", content);
            project.shell("rm -rf out*");
            let ran = run_bound(&project).good();
            check(&project, "read-only");
            assert_eq!(ran.warnings(), 1, "{ran:#?}");
        }
        project.shell("chmod -R u+w ../store");
    }
}

/// Only the folder itself takes writes, nothing in it does.
#[test]
fn a_store_whose_contents_are_read_only() {
    let project = building();
    project.good(&[]);
    for_nobody(&project);
    project.shell("chmod -R a-w ../store; chmod u+w ../store");
    for content in ["1", "2", "1"] {
        project.file("in", content);
        project.shell("rm -rf out*");
        let ran = run_bound(&project).good();
        check(&project, "read-only inside");
        assert!(ran.warnings() <= 1, "{ran:#?}");
    }
    project.shell("chmod -R u+w ../store");
}

/// A store that cannot even be entered.
#[test]
fn an_unreadable_store() {
    let project = building();
    project.good(&[]);
    for_nobody(&project);
    project.shell("chmod 0 ../store");
    let ran = run_bound(&project).good();
    check(&project, "unreadable");
    assert_eq!(ran.warnings(), 1, "{ran:#?}");
    project.shell("chmod 755 ../store");
}

/// A store that somebody else owns: what is in it is not this user's, and not believed.
#[test]
fn a_store_of_another_owner() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let project = building();
    project.good(&[]);
    for_nobody(&project);
    project.shell("chmod -R a+rwX ../store && chown -R 12345 ../store");
    project.shell("rm -rf out*");
    let ran = run_bound(&project).good();
    check(&project, "another owner");
    assert_eq!(ran.executed(), 6, "another user's results were believed: {ran:#?}");
    assert_eq!(ran.warnings(), 1, "{ran:#?}");
}

/// A store that everybody can write into: a stranger could have put anything there.
#[test]
fn a_world_writable_store() {
    let project = building();
    project.good(&[]);
    project.shell("chmod 777 ../store");
    project.shell("rm -rf out*");
    let ran = project.good(&[]);
    check(&project, "world-writable");
    assert_eq!(ran.warnings(), 1, "{ran:#?}");
    assert_eq!(ran.executed(), 6, "a stranger's results may be believed: {ran:#?}");
}

/// A tmpfs that is unmounted again.
struct Mounted(PathBuf);

impl Mounted {
    fn new(at: &Path, size: &str) -> Option<Self> {
        let options = format!("size={size},mode=755");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "none"]).arg(at);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then(|| Self(at.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// "on a full disk": full from the beginning, while the first run writes, and after it. Needs the right to mount.
#[test]
fn a_store_on_a_full_disk() {
    for (size, filled) in [("64k", false), ("400k", false), ("1m", false), ("2m", false), ("16m", true)] {
        let project = building();
        let Some(_mounted) = Mounted::new(&project.store(), size) else { return };
        let what = format!("{size}, {filled}");
        if filled {
            project.good(&[]);
            let _ = fs::write(project.store().join("tmp/filler"), vec![1; 17 << 20]);
        }
        goes_on_in_place(&project, &what);
        goes_on(&project, &what);
        project.file("in", "2");
        let ran = goes_on_in_place(&project, &what);
        if filled || size == "64k" {
            assert_eq!(ran.warnings(), 1, "{what}: that nothing is kept must be said: {ran:#?}");
        }
        project.file("in", "1");
        goes_on_in_place(&project, &what);
    }
}

/// The project's own state is only a memory: damaged, deleted or unwritable, the build is right.
#[test]
fn the_state_folder_damaged() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 4] = [
        ("flipped", |file| flip(file, |length| (0..length).step_by(61).collect())),
        ("emptied", |file| fs::write(file, "").unwrap()),
        ("deleted", |file| fs::remove_file(file).unwrap()),
        ("garbage", |file| fs::write(file, [0xff; 300]).unwrap()),
    ];
    for (what, damage) in damages {
        let project = building();
        project.good(&[]);
        let mut all = Vec::new();
        files(&project.path(".larder/state"), &mut all);
        all.iter().for_each(|file| damage(file));
        goes_on(&project, what);
        project.file("in", "2");
        goes_on_in_place(&project, what);
    }
}

/// An old state folder put back (a backup, a moved disk): what it says of files is not believed against the disk.
#[test]
fn an_old_state_folder_put_back() {
    let project = building();
    project.good(&[]);
    project.shell("cp -a .larder $HOME/old");
    project.file("in", "2");
    project.good(&[]);
    project.shell("rm -rf .larder; cp -a $HOME/old .larder");
    goes_on_in_place(&project, "old state");
    project.file("in", "1");
    goes_on_in_place(&project, "old state");
}

/// "a home that is untrusted, full or read-only is one warning, and the run goes on without a cache" (S10): so is one that
/// is no folder, or a folder of something else.
#[test]
fn a_home_that_is_no_store_is_one_warning() {
    let project = Project::new(
        "  make:
    cache: {inputs: [], outputs: [out]}
    run: echo made > out
",
    );
    project.file("file", "not a folder");
    for home in ["file", "cookbook.yml", "."] {
        let without = project.with("LARDER_HOME", project.path(home).to_str().unwrap());
        for args in [&["--force"][..], &["-n"]] {
            let ran = without.run(args).good().says("going on without a cache");
            assert_eq!(ran.warnings(), 1, "{ran:#?}");
        }
    }
    assert_eq!(project.read("file"), "not a folder");
    assert_eq!(project.read("out"), "made\n");
    project.with("LARDER_CACHE_SECRET", "short").run(&[]).ends(1);
}
