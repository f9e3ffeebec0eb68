//! Results that are shared through a folder: two machines are two clones at different paths, each with a store of its
//! own.

use std::fs;
use std::path::PathBuf;

use crate::world::Project;

const SECRET: &str = "the secret of a team, which is long enough to be used";
const OTHER: &str = "the secret of another team, which is long enough too";

/// A project with outputs of every kind, and a folder that is shared.
pub(crate) fn project() -> Project {
    let project = Project::new(
        "  make:
    cache: {inputs: [in], outputs: [out, many]}
    run: |
      echo >> $HOME/make
      cp in out; chmod 755 out
      mkdir -p many/empty; for n in 1 2 3 4 5 6 7 8 9; do echo $n > many/$n; done; ln -s ../out many/link
      head -c 300000 /dev/zero | tr '\\0' x > many/large
  use:
    dependencies: [make]
    cache: {inputs: [], outputs: [used]}
    run: |
      echo >> $HOME/use
      cat out many/3 > used
",
    );
    fs::create_dir(project.base().join("share")).unwrap();
    project.file("in", "one\n");
    let share = project.base().join("share");
    project.file(
        "larder.yml",
        format!("name: demo\nconfig: {{cache: {{remotes: {{dir: {{path: {}}}}}}}}}\n", share.display()),
    );
    project.with("LARDER_CACHE_SECRET", SECRET)
}

/// Another machine: another clone at another path, another store.
pub(crate) fn machine(project: &Project, name: &str) -> Project {
    let clone = project.copy(name);
    for made in ["out", "many", "used"] {
        if clone.has(made) {
            clone.remove(made);
        }
    }
    clone.with("LARDER_HOME", project.base().join(format!("home of {name}")).display().to_string())
}

pub(crate) fn same(one: &Project, two: &Project) {
    for made in ["out", "many", "used"] {
        one.shell(&format!("diff -r --no-dereference {made} '{}'", two.path(made).display()));
    }
    assert_eq!((one.mode("out"), two.has("many/empty")), (two.mode("out"), true));
    assert_eq!(fs::read_link(two.path("many/link")).unwrap(), PathBuf::from("../out"));
}

pub(crate) fn objects(project: &Project, part: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![project.base().join("share")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.to_str().unwrap().contains(part) {
                found.push(path);
            }
        }
    }
    found
}

/// What one machine built, another one takes: all of it, exactly.
#[test]
fn a_fresh_machine_builds_nothing_that_another_has_built() {
    let ours = project();
    ours.good(&[]);
    let theirs = machine(&ours, "theirs");
    let ran = theirs.good(&[]);
    assert_eq!(ran.executed(), 0, "{ran:#?}");
    assert!(ran.out.contains("2 cached (2 dir)"), "{ran:#?}");
    assert_eq!((ours.count("make"), ours.count("use")), (1, 1));
    same(&ours, &theirs);
    let again = theirs.good(&[]);
    assert!(again.out.contains("2 cached (2 local)"), "{again:#?}");
}

/// A run without changes asks no tier anything: the share may be gone.
#[test]
fn a_run_without_changes_asks_nothing() {
    let ours = project();
    ours.good(&[]);
    fs::rename(ours.base().join("share"), ours.base().join("gone")).unwrap();
    let ran = ours.good(&[]);
    assert_eq!((ran.executed(), ran.warnings()), (0, 0), "{ran:#?}");
}

/// A share that is not there is one warning, and everything is built.
#[test]
fn a_tier_that_is_gone_is_one_warning() {
    let ours = project();
    fs::remove_dir(ours.base().join("share")).unwrap();
    let ran = ours.good(&[]);
    assert_eq!((ran.executed(), ran.warnings()), (2, 1), "{ran:#?}");
    assert!(!ours.base().join("share").exists(), "a share that is not mounted must not be made");
    fs::create_dir(ours.base().join("share")).unwrap();
    assert_eq!(ours.good(&[]).executed(), 0, "what the tier lacks is sent now");
    assert_eq!(machine(&ours, "theirs").good(&[]).executed(), 0);
}

/// Without a key nothing is sent and nothing is believed, and it is said.
#[test]
fn without_a_key_tiers_are_not_used() {
    let ours = project();
    ours.good(&[]);
    let keyless = machine(&ours, "keyless").without("LARDER_CACHE_SECRET");
    let ran = keyless.good(&[]);
    assert_eq!((ran.executed(), ran.warnings()), (2, 1), "{ran:#?}");
    assert!(ran.err.contains("LARDER_CACHE_SECRET"), "{ran:#?}");
}

/// Another team's results are misses; each team's own replaces them under the same key and stays its own.
#[test]
fn results_of_another_secret_are_not_believed() {
    let ours = project();
    ours.good(&[]);
    let strangers = machine(&ours, "strangers").with("LARDER_CACHE_SECRET", OTHER);
    let ran = strangers.good(&[]);
    assert_eq!(ran.executed(), 2, "{ran:#?}");
    assert!(ran.err.contains("not believed"), "{ran:#?}");
    assert_eq!(machine(&strangers, "more strangers").good(&[]).executed(), 0);
}

/// A flipped byte anywhere in the share is a miss, never another output; who builds again mends it for all.
#[test]
fn flipped_bytes_are_misses_and_are_mended() {
    for part in ["/packs/", "/results/"] {
        let ours = project();
        ours.good(&[]);
        for path in objects(&ours, part) {
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
            fs::write(&path, bytes).unwrap();
        }
        let theirs = machine(&ours, "theirs");
        let ran = theirs.good(&[]);
        assert_eq!(ran.executed(), 2, "{part}: {ran:#?}");
        same(&ours, &theirs);
        let third = machine(&ours, "third");
        let ran = third.good(&[]);
        assert_eq!(ran.executed(), 0, "{part}: {ran:#?}");
        same(&ours, &third);
    }
}

/// Objects that are results of recipes; the others tell of keys.
pub(crate) fn results(project: &Project) -> Vec<PathBuf> {
    let is_result = |path: &PathBuf| {
        // Behind the head is one zstd frame.
        let bytes = fs::read(path).unwrap();
        let object = zstd::stream::decode_all(&bytes[12..]).unwrap();
        !object.windows(17).any(|window| window == b"larder.dev/key-re" || window == b"larder.dev/run-re")
    };
    objects(project, "/results/").into_iter().filter(is_result).collect()
}

/// A valid result copied to another key is not believed.
#[test]
fn a_result_under_another_key_is_not_believed() {
    let ours = project();
    ours.good(&[]);
    let old = results(&ours);
    ours.file("in", "two\n");
    ours.good(&[]);
    let new: Vec<PathBuf> = results(&ours).into_iter().filter(|path| !old.contains(path)).collect();
    assert_eq!((old.len(), new.len()), (2, 2));
    for target in &new {
        for source in &old {
            fs::copy(source, target).unwrap();
            let theirs = machine(&ours, "theirs");
            theirs.good(&[]);
            same(&ours, &theirs);
            fs::remove_dir_all(&theirs.root).unwrap();
            fs::remove_dir_all(ours.base().join("home of theirs")).unwrap();
        }
    }
}

/// Which places are asked is the user's choice.
#[test]
fn strategies() {
    let ours = project();
    assert_eq!(ours.good(&["--cache", "local-only"]).executed(), 2);
    assert!(objects(&ours, "").is_empty());
    assert_eq!(ours.good(&["--cache", "remote-only"]).executed(), 2, "the share has nothing yet");
    let ran = machine(&ours, "theirs").good(&["--cache", "remote-first"]);
    assert!(ran.out.contains("2 cached (2 dir)"), "{ran:#?}");
    assert_eq!(machine(&ours, "disabled").good(&["--cache", "disabled"]).executed(), 2);
}
