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
