//! A repository of a real registry, and what other tools make of it.

use std::process::Command;
use std::sync::Arc;

use larder_core::ErrorKind;
use larder_remote::Tier;
use larder_remote::oci::{self, OciConfig};
use larder_remote::packed::PackOptions;
use larder_remote::packed::collect::CollectOptions;
use larder_remote::packed::seal::Seal;
use larder_testing::registry::{DockerRegistry, is_installed};

use crate::options;
use crate::suite::{self, bring, publish, wait};
use crate::world::{Machine, noise};

fn open(registry: &DockerRegistry, repository: &str, packs: PackOptions) -> Arc<dyn Tier> {
    let config = OciConfig { reference: format!("{}/{repository}", registry.host()) };
    let environment = [("HOME".to_owned(), "/nonexistent".to_owned())];
    let patience =
        larder_remote::Patience { answer: std::time::Duration::from_secs(5), ..options().patience };
    Arc::new(oci::open(&config, &environment, packs, patience).unwrap())
}

#[test]
fn the_suite_holds() {
    let Some(registry) = DockerRegistry::start() else { return };
    suite::run(&|| open(&registry, "team/cache", PackOptions::default()), 100 << 20);
}

#[test]
fn the_suite_holds_encrypted() {
    let Some(registry) = DockerRegistry::start() else { return };
    let packs =
        PackOptions { seal: Some(Seal::new(b"sixteen bytes at least").unwrap()), ..PackOptions::default() };
    suite::run(&|| open(&registry, "team/sealed", packs.clone()), 8 << 20);
}

/// A repository is copied by a tool that knows nothing of Larder, and serves results from where it was copied to.
#[test]
fn skopeo_lists_and_copies_results() {
    let Some(registry) = DockerRegistry::start() else { return };
    if !is_installed("skopeo") {
        return;
    }
    let tier = open(&registry, "team/cache", PackOptions::default());
    let a = Machine::new();
    let files = vec![noise(1, 3_000_000), b"text".repeat(10_000)];
    let action = a.build(1, &files);
    publish(&*tier, &a, &action, false).unwrap();

    let from = format!("docker://{}/team/cache", registry.host());
    let list = Command::new("skopeo").args(["list-tags", "--tls-verify=false", &from]).output().unwrap();
    assert!(list.status.success(), "{}", String::from_utf8_lossy(&list.stderr));
    let tags: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
    let tags: Vec<&str> = tags["Tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
    assert_eq!(tags.len(), 2, "the result and the note of its recipe: {tags:?}");
    let result = tags.iter().find(|tag| tag.starts_with("larder-r-")).unwrap();

    let to = format!("docker://{}/elsewhere/copy:{result}", registry.host());
    let copy = Command::new("skopeo")
        .args(["copy", "--src-tls-verify=false", "--dest-tls-verify=false", &format!("{from}:{result}"), &to])
        .output()
        .unwrap();
    assert!(copy.status.success(), "{}", String::from_utf8_lossy(&copy.stderr));

    let b = Machine::new();
    let copied = open(&registry, "elsewhere/copy", PackOptions::default());
    assert!(bring(&*copied, &b, &action).unwrap().is_some());
    assert_eq!(b.files(&action).unwrap(), files);
}

/// The same by a tool for artifacts of any kind, which writes layers to files, too.
#[test]
fn oras_lists_copies_and_pulls_results() {
    let Some(registry) = DockerRegistry::start() else { return };
    if !is_installed("oras") {
        return;
    }
    let tier = open(&registry, "team/cache", PackOptions::default());
    let a = Machine::new();
    let files = vec![noise(1, 3_000_000), b"text".repeat(10_000)];
    let action = a.build(1, &files);
    publish(&*tier, &a, &action, false).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let oras = |args: &[&str]| {
        let output = Command::new("oras").args(args).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let from = format!("{}/team/cache", registry.host());
    let tags = oras(&["repo", "tags", "--plain-http", &from]);
    let result = tags.lines().find(|tag| tag.starts_with("larder-r-")).unwrap();
    let (from, to) = (format!("{from}:{result}"), format!("{}/elsewhere/copy:{result}", registry.host()));
    oras(&["copy", "--from-plain-http", "--to-plain-http", &from, &to]);
    oras(&["pull", "--plain-http", &to]);
    assert!(folder.path().join("result").is_file());
    let b = Machine::new();
    assert!(
        bring(&*open(&registry, "elsewhere/copy", PackOptions::default()), &b, &action).unwrap().is_some()
    );
    assert_eq!(b.files(&action).unwrap(), files);
}

#[test]
fn larder_deletes_nothing_in_a_registry() {
    let Some(registry) = DockerRegistry::start() else { return };
    let tier = open(&registry, "team/cache", PackOptions::default());
    let rules =
        CollectOptions { older_than: None, grace: std::time::Duration::from_secs(7200), dry_run: false };
    let error = wait(tier.collect("default", &rules)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.hint().is_some(), "{error}");
}

#[test]
fn it_can_be_tried() {
    let Some(registry) = DockerRegistry::start() else { return };
    let found = wait(open(&registry, "team/cache", PackOptions::default()).examine("default"));
    assert_eq!(found.failures().count(), 0, "{found:?}");
    assert!(found.read.unwrap().unwrap().per_second() > 0);
}

#[test]
fn a_reference_with_a_tag_is_refused() {
    for wrong in ["registry.example.org/team/cache:latest", "NOT A REFERENCE"] {
        let config = OciConfig { reference: wrong.into() };
        let error = oci::open(&config, &[], PackOptions::default(), options().patience).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.hint().is_some(), "{error}");
    }
}
