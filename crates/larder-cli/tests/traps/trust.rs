//! Whose results are believed: secrets and signatures.

use crate::world::Project;

const ONE: &str = "the first secret, which is long enough to be used";
const TWO: &str = "another secret, which is long enough to be used";

fn project() -> Project {
    Project::new(
        "  make:
    cache: {inputs: [], outputs: [out]}
    run: |
      echo >> $HOME/make
      echo made > out
",
    )
}

/// A secret that is too short is the user's to mend: exit 1, with a hint.
#[test]
fn a_secret_that_is_too_short_is_an_error() {
    let project = project();
    let ran = project.with("LARDER_CACHE_SECRET", "short").run(&[]).ends(1);
    assert!(ran.err.contains("secret") && ran.err.contains("hint:"), "{ran:#?}");
    assert!(!ran.all().contains("`short`"), "it must not be shown: {ran:#?}");
    assert_eq!(project.count("make"), 0);
}

/// A result recorded under another secret is a miss, with a warning.
#[test]
fn a_result_under_another_secret_is_a_miss_with_a_warning() {
    let project = project();
    let (one, two) = (project.with("LARDER_CACHE_SECRET", ONE), project.with("LARDER_CACHE_SECRET", TWO));
    one.good(&[]);
    assert_eq!(one.good(&[]).executed(), 0);
    let ran = two.good(&[]);
    assert_eq!(ran.executed(), 1, "{ran:#?}");
    assert_eq!(ran.warnings(), 1, "{ran:#?}");
    assert_eq!(two.good(&[]).executed(), 0, "now it is its own");
}

/// An unsigned result is a miss as soon as there is a secret.
#[test]
fn an_unsigned_result_is_a_miss_with_a_secret() {
    let project = project();
    project.good(&[]);
    let ran = project.with("LARDER_CACHE_SECRET", ONE).good(&[]);
    assert_eq!(ran.executed(), 1, "{ran:#?}");
    assert_eq!(project.with("LARDER_CACHE_SECRET", ONE).good(&[]).executed(), 0);
}

/// The secret is found in neither store nor state.
#[test]
fn the_secret_is_nowhere_on_disk() {
    let project = project();
    project.with("LARDER_CACHE_SECRET", ONE).good(&[]);
    assert_eq!(project.with("LARDER_CACHE_SECRET", ONE).good(&[]).executed(), 0, "the same secret");
    project.shell(&format!("! grep -rqF '{ONE}' .. "));
}

/// Nor is the key that signs, whichever way it was given; nor does anything print it.
#[test]
fn the_signing_key_is_nowhere_on_disk_or_in_what_is_printed() {
    let project = project();
    let digits = "0123456789abcdef".repeat(4);
    let key = format!("larder-secret-ed25519:{digits}");
    let with = project.with("LARDER_SIGNING_KEY", &*key);
    let ran = with.good(&["-vv"]);
    assert_eq!(ran.executed(), 1, "{ran:#?}");
    assert!(!ran.all().contains(&digits), "{ran:#?}");
    assert_eq!(with.good(&[]).executed(), 0, "it is believed");
    project.shell(&format!("! grep -rqF '{digits}' .. "));
}

/// A key's file is the user's alone, and no part of the project: not by a link, and not when it is well kept there.
#[test]
fn a_key_that_others_may_have_or_that_the_project_brought_is_refused() {
    let project = project();
    let text = format!("larder-secret-ed25519:{}\n", "7".repeat(64));
    project.file("mine.key", &text);
    project.file("../keys/open.key", &text);
    project.chmod("mine.key", 0o600);
    project.link("../keys/open.key", "link.key");
    for (path, mode) in
        [("mine.key", 0o600), ("../keys/open.key", 0o640), ("../keys/open.key", 0o604), ("link.key", 0o644)]
    {
        project.chmod(path, mode);
        let ran = project.with("LARDER_SIGNING_KEY", path).run(&[]).ends(1);
        assert!(ran.err.contains("LARDER_SIGNING_KEY") && ran.err.contains("hint:"), "{ran:#?}");
    }
    assert_eq!(project.count("make"), 0);
    // A link is what it leads to.
    project.link("../project/mine.key", "../link.key");
    let _ = project.with("LARDER_SIGNING_KEY", "../link.key").run(&[]).ends(1);
    project.chmod("../keys/open.key", 0o600);
    project.with("LARDER_SIGNING_KEY", "../keys/open.key").good(&[]);
}

/// What waits for ever (a pipe), never ends (a device) or is large is no key and no trust file.
#[test]
fn odd_files_are_no_keys() {
    let project = project();
    project.shell("mkdir -p $HOME/.config/larder && mkfifo -m 600 ../pipe && truncate -s 2G ../large");
    project.chmod("../large", 0o600);
    for path in ["../pipe", "../large", "/dev/zero", "..", "\u{1b}[31m"] {
        let ran = project.with("LARDER_SIGNING_KEY", path).run(&[]).ends(1);
        assert!(ran.err.contains("LARDER_SIGNING_KEY") && !ran.err.contains('\u{1b}'), "{ran:#?}");
        assert!(ran.peak < 200 << 10, "{ran:#?}");
    }
    project.shell("mkfifo -m 600 $HOME/.config/larder/trust.yml");
    let _ = project.run(&[]).ends(1);
    project.shell("rm $HOME/.config/larder/trust.yml && printf '\\377' > $HOME/.config/larder/trust.yml");
    let _ = project.run(&[]).ends(1);
    assert_eq!(project.count("make"), 0);
}
