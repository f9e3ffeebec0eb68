//! Declared environment and dotenv files.

use std::collections::BTreeMap;

use super::Fixture;
use crate::config::environment::parse_dotenv;

#[test]
fn dotenv_forms() {
    let process = BTreeMap::from([("USER".to_owned(), "ann".to_owned())]);
    let text =
        "# c\nA=1\nexport B = two words # c\nC='$A #x'\nD=\"x\\ny $A ${USER}\" # c\nE=\nF=a#b\nG=$A-${B}\n";
    let found = parse_dotenv(text, &process).unwrap();
    let value = |name: &str| found.iter().find(|(n, _)| n == name).unwrap().1.clone();
    assert_eq!(value("A"), "1");
    assert_eq!(value("B"), "two words");
    assert_eq!(value("C"), "$A #x");
    assert_eq!(value("D"), "x\ny 1 ann");
    assert_eq!(value("E"), "");
    assert_eq!(value("F"), "a#b");
    assert_eq!(value("G"), "1-two words");
    assert_eq!(parse_dotenv("A=1\nnonsense\n", &process), Err(2));
    assert_eq!(parse_dotenv("A=\"open\n", &process), Err(1));
}

#[test]
fn the_caller_wins_over_env_file() {
    let mut fixture = Fixture::new(&[
        ("larder.yml", "name: demo\nenv_file: .env\nenvironment: [CI, UNSET]\n"),
        (".env", "MODE=file\nLEVEL=1\nLARDER_TOKEN=secret\n"),
        (
            "app/cookbook.yml",
            "name: app\nenv_file: [local.env]\nrecipes: {a: {run: 'x {{env.LEVEL}}{{env.UNSET}}'}}\n",
        ),
        ("app/local.env", "LEVEL=2\n"),
    ]);
    fixture.env.insert("MODE".into(), "caller".into());
    fixture.env.insert("CI".into(), "1".into());
    let recipe = fixture.recipe("a");
    let value = |name: &str| recipe.environment.get(name).cloned();
    assert_eq!(value("MODE"), Some(Some("caller".into())));
    assert_eq!(value("LEVEL"), Some(Some("2".into())));
    assert_eq!(value("CI"), Some(Some("1".into())));
    assert_eq!(value("UNSET"), Some(None));
    assert_eq!(value("LARDER_TOKEN"), None);
    assert_eq!(recipe.run, "x 2");
}

#[test]
fn own_secrets_never_have_a_value() {
    let mut fixture = Fixture::strict(
        "name: app\nenvironment: [LARDER_TOKEN]\nrecipes: {a: {run: '[{{env.LARDER_TOKEN}}] {{shell \"echo -$LARDER_TOKEN-\"}}'}}\n",
    );
    fixture.env.insert("LARDER_TOKEN".into(), "secret".into());
    let recipe = fixture.recipe("a");
    assert_eq!(recipe.environment["LARDER_TOKEN"], None);
    assert_eq!(recipe.run, "[] --");
}
