//! Files and folders that are rare, and met all the same.

use std::fs;

use crate::world::{Project, Ran};

const NOBODY: &[&str] = &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"];

/// As a user whom permissions bind.
fn bound(project: &Project, args: &[&str]) -> Ran {
    if rustix::process::geteuid().is_root() {
        project.shell("chmod 755 .. && chown -R 65534:65534 ..");
        project.run_by(NOBODY, args)
    } else {
        project.run(args)
    }
}

/// Folders without write permission among the outputs (as module caches have them) are captured, removed and restored.
#[test]
fn read_only_folders_among_the_outputs() {
    let project = Project::new(
        "  make:
    cache: {inputs: [in], outputs: [out/]}
    run: mkdir -p out/deep/er; cp in out/deep/er/x; chmod 444 out/deep/er/x; chmod 555 out/deep/er out/deep out
",
    );
    for (round, content) in ["1", "2", "1", "2"].iter().enumerate() {
        project.file("in", content);
        let ran = bound(&project, &[]).good();
        assert_eq!(ran.executed(), usize::from(round < 2), "{ran:#?}");
        assert_eq!(project.read("out/deep/er/x"), *content);
        let modes = ["out", "out/deep", "out/deep/er", "out/deep/er/x"].map(|path| project.mode(path));
        assert_eq!(modes, [0o555, 0o555, 0o555, 0o444]);
    }
    project.shell("chmod -R u+w out");
}

/// A FIFO or socket among the outputs: no hang, nothing cached, and the reason is given.
#[test]
fn a_fifo_among_the_outputs_is_not_cached() {
    let project = Project::new(
        "  make:
    cache: {inputs: [], outputs: [out/]}
    run: |
      echo >> $HOME/make
      mkdir -p out; mkfifo out/pipe; echo > out/x
",
    );
    for round in 1..=2 {
        let ran = project.run(&[]);
        assert!(ran.all().contains("out/pipe"), "{ran:#?}");
        assert_eq!(project.count("make"), round);
    }
}

/// Run from a folder below, through a link to the project, and with a name that is not UTF-8 above it.
#[test]
fn the_same_project_by_other_ways() {
    use std::os::unix::ffi::OsStrExt;
    let project = Project::copying("1");
    project.file("deep/er/x", "");
    project.good(&[]);
    let mut below = project.clone();
    below.root = project.path("deep/er");
    assert_eq!(below.good(&[]).executed(), 0);
    let link = project.base().join("link");
    std::os::unix::fs::symlink(&project.root, &link).unwrap();
    let mut linked = project.clone();
    linked.root = link;
    assert_eq!(linked.good(&[]).executed(), 0);
    let mut odd = project.clone();
    odd.root = project.base().join(std::ffi::OsStr::from_bytes(b"caf\xe9 project"));
    fs::rename(&project.root, &odd.root).unwrap();
    odd.remove("out");
    assert_eq!(odd.good(&[]).executed(), 0);
    odd.file("in", "2");
    odd.good(&[]);
    assert_eq!(odd.read("out"), "2");
}

/// Instances of a matrix have the same text and share no key.
#[test]
fn instances_of_a_matrix_share_no_key() {
    let project = Project::new(
        "  make:
    matrix: {value: [a, b]}
    cache: {inputs: [], outputs: ['{{matrix.value}}']}
    run: |
      echo >> $HOME/make
      echo made > {{matrix.value}}
",
    );
    project.good(&[]);
    assert_eq!(project.count("make"), 2);
    project.remove("a");
    assert_eq!(project.good(&[]).executed(), 0);
    assert_eq!((project.read("a"), project.read("b")), ("made\n".into(), "made\n".into()));
}

/// Times in the future (a wrong clock, an archive) prove nothing.
#[test]
fn an_input_from_the_future_is_read() {
    let project = Project::new(
        "  make:
    cache: {inputs: [in], outputs: [out]}
    run: cp in out; touch -d '2100-01-01' out
",
    );
    project.file("in", "one");
    project.shell("touch -d '2100-01-01' in");
    project.good(&[]);
    assert_eq!(project.good(&[]).executed(), 0);
    project.shell("printf two > in; touch -d '2100-01-01' in");
    assert_eq!(project.good(&[]).executed(), 1);
    assert_eq!(project.read("out"), "two");
    project.shell("printf bad > out; touch -d '2100-01-01' out");
    project.good(&[]);
    assert_eq!(project.read("out"), "two");
}

/// Values of `env_file` are environment like any other.
#[test]
fn values_of_an_env_file_are_in_the_key() {
    let project = Project::new(
        "  make:
    environment: [FLAVOUR]
    cache: {inputs: [], outputs: [out]}
    run: echo $FLAVOUR > out
",
    );
    project.file("larder.yml", "name: demo\nenv_file: flavours.env\n");
    project.file("flavours.env", "FLAVOUR=sweet\n");
    project.good(&[]);
    assert_eq!(project.read("out"), "sweet\n");
    project.file("flavours.env", "FLAVOUR=sour\n");
    assert_eq!(project.good(&[]).executed(), 1);
    assert_eq!(project.read("out"), "sour\n");
}

/// Names with spaces, newlines, quotes, wildcards and a leading dash or dot.
#[test]
fn odd_names_are_names() {
    let project = Project::new(
        "  make:
    cache: {inputs: ['src/**'], outputs: [out/, 'gen/*']}
    run: |
      echo >> $HOME/make
      mkdir -p gen; cp -R src out; cp -R src/. gen
",
    );
    let names =
        [" ", "a b", "line\nbreak", "quo'te\"", "*", "[x]", "{a,b}", "!not", "-rf", ".hidden", "\\", "ü"];
    for name in names {
        project.file(format!("src/{name}"), name);
    }
    project.good(&[]);
    project.remove("out");
    project.remove("gen");
    assert_eq!(project.good(&[]).executed(), 0);
    for name in names {
        assert_eq!(project.read(format!("out/{name}")), name);
        assert_eq!(project.read(format!("gen/{name}")), name);
        project.file(format!("src/{name}"), "changed");
        assert_eq!(project.good(&[]).executed(), 1, "{name:?}");
        project.file(format!("src/{name}"), name);
    }
}

/// An input that turns from a file into a folder or a link, with the same bytes behind it.
#[test]
fn an_input_that_changes_its_kind_is_a_miss() {
    let project = Project::new(
        "  make:
    cache: {inputs: ['src/**'], outputs: [out]}
    run: ls -lR src > out
",
    );
    project.file("src/a", "x");
    project.file("other/a", "x");
    project.good(&[]);
    project.remove("src/a");
    project.link("../other/a", "src/a");
    assert_eq!(project.good(&[]).executed(), 1, "a link");
    project.remove("src/a");
    project.file("src/a/a", "x");
    assert_eq!(project.good(&[]).executed(), 1, "a folder");
}

/// A large set of outputs, with many in one folder and a deep path.
#[test]
fn many_and_deep_outputs() {
    let project = Project::new(
        "  make:
    cache: {inputs: [], outputs: [out/]}
    run: |
      mkdir -p out; cd out
      seq 2000 | split -l 1 -a 4 - f
      for i in $(seq 60); do mkdir -p dddddddddd; cd dddddddddd; done; echo deep > x
",
    );
    project.good(&[]);
    let count = |project: &Project| fs::read_dir(project.path("out")).unwrap().count();
    assert_eq!(count(&project), 2001);
    project.remove("out");
    assert_eq!(project.good(&[]).executed(), 0);
    assert_eq!(count(&project), 2001);
    assert_eq!(project.read(format!("out/{}x", "dddddddddd/".repeat(60))), "deep\n");
}

/// The state folder is never an input, an output or something that git sees.
#[test]
fn the_state_folder_is_its_own() {
    let project = Project::new(
        "  make:
    cache: {inputs: ['**'], outputs: []}
    run: ':'
",
    );
    project.git();
    project.good(&[]);
    for _ in 0..2 {
        assert_eq!(project.good(&[]).executed(), 0);
    }
    project.shell("test -z \"$(git status --porcelain)\"");
}

/// A state folder that is a link out of the project: what larder removes and writes stays where it belongs.
#[test]
fn a_state_folder_that_leads_elsewhere_does_no_harm() {
    let project = Project::new(
        "  make:
    cache: {inputs: [in], outputs: [out]}
    run: cp in out
",
    );
    let outside = project.base().join("outside");
    fs::create_dir_all(outside.join("trash")).unwrap();
    fs::write(outside.join("trash/precious"), "precious").unwrap();
    fs::write(outside.join("precious"), "precious").unwrap();
    fs::create_dir(project.path(".larder")).unwrap();
    project.link("../../outside", ".larder/state");
    for content in ["1", "2", "1"] {
        project.file("in", content);
        let ran = project.run(&[]);
        if ran.code == Some(0) {
            assert_eq!(project.read("out"), content);
        }
    }
    for path in ["precious", "trash/precious"] {
        assert_eq!(fs::read_to_string(outside.join(path)).unwrap_or_default(), "precious", "{path}");
    }
}
