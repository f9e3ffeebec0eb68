//! `larder key`, and what keys do to runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use larder_testing::{Output, Project};

use crate::{larder, seen, small};

/// A key that is the same in every run of the tests, in the user's folder.
fn key(project: &Project, name: &str, digit: char) -> PathBuf {
    let folder = config(project).join("keys");
    fs::create_dir_all(&folder).expect("the folder of keys");
    for folder in [config(project), folder.clone()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).expect("its mode");
    }
    let path = folder.join(format!("{name}.key"));
    fs::write(&path, format!("larder-secret-ed25519:{}\n", digit.to_string().repeat(64))).expect("the key");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
    path
}

fn config(project: &Project) -> PathBuf {
    project.user_folder().join(".config/larder")
}

fn public(project: &Project, name: &str) -> String {
    larder(project, &format!("key show {name}")).good().stdout.trim().to_owned()
}

fn trust_file(project: &Project) -> String {
    fs::read_to_string(config(project).join("trust.yml")).expect("trust.yml")
}

fn write_trust(project: &Project, text: &str) {
    fs::create_dir_all(config(project)).expect("the configuration folder");
    fs::write(config(project).join("trust.yml"), text).expect("trust.yml");
}

/// Runs as somebody who signs with this.
fn signing(project: &Project, key: impl Into<std::ffi::OsString>, args: &str) -> Output {
    let mut command = project.command(crate::LARDER, args.split_whitespace());
    let output = command.env("LARDER_SIGNING_KEY", key.into()).output().expect("larder can be started");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Output { status: output.status, stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

fn ran(output: &Output) -> bool {
    !output.stdout.contains("2 cached (2 local), 0 run")
}

#[test]
fn a_key_is_made_once_and_its_secret_part_is_shown_nowhere() {
    let project = Project::new();
    let made = larder(&project, "key generate ci").good();
    let path = config(&project).join("keys/ci.key");
    let secret = fs::read_to_string(&path).expect("the secret part");
    let digits = secret.trim().strip_prefix("larder-secret-ed25519:").expect("a secret key");
    assert!(!format!("{made:?}").contains(digits));
    for (path, mode) in [("", 0o700), ("keys", 0o700), ("keys/ci.key", 0o600), ("keys/ci.pub", 0o644)] {
        let found = fs::metadata(config(&project).join(path)).expect("a file").permissions().mode() & 0o777;
        assert_eq!(found, mode, "{path}");
    }
    insta::assert_snapshot!("key-generate-again", seen(&project, &larder(&project, "key generate ci")));
    assert_eq!(fs::read_to_string(&path).expect("the secret part"), secret);
    assert!(made.stdout.contains(&public(&project, "ci")), "{made:?}");
    let json = larder(&project, "key generate --json").good();
    let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!((&json["name"], &json["public"]), (&"default".into(), &public(&project, "default").into()));
    for name in ["../x", ".x", "a/b", "-x"] {
        assert_eq!(project.larder(crate::LARDER, ["key", "generate", "--", name]).code(), 1, "{name}");
    }
}

#[test]
fn keys_are_shown_trusted_listed_and_untrusted() {
    let project = Project::new();
    insta::assert_snapshot!("key-list-none", seen(&project, &larder(&project, "key list")));
    insta::assert_snapshot!("key-show-none", seen(&project, &larder(&project, "key show")));
    let path = key(&project, "ci", '1');
    insta::assert_snapshot!("key-show", seen(&project, &larder(&project, "key show ci")));
    insta::assert_snapshot!("key-show-json", seen(&project, &larder(&project, "key show ci --json")));
    insta::assert_snapshot!("key-show-signing", seen(&project, &signing(&project, path, "key show")));
    let public = public(&project, "ci");
    let add = format!("key trust {public} --name ci --namespace default --not-before 2001-01-01");
    insta::assert_snapshot!("key-trust-dry", seen(&project, &larder(&project, &format!("{add} --dry-run"))));
    assert!(!config(&project).join("trust.yml").exists());
    insta::assert_snapshot!("key-trust", seen(&project, &larder(&project, &add)));
    insta::assert_snapshot!("key-trust-again", seen(&project, &larder(&project, &add)));
    insta::assert_snapshot!("key-trust-file", trust_file(&project));
    let retire = "key trust ci --not-after 2001-02-01T12:00:00Z --json";
    insta::assert_snapshot!("key-trust-retired", seen(&project, &larder(&project, retire)));
    insta::assert_snapshot!("key-list", seen(&project, &larder(&project, "key list")));
    insta::assert_snapshot!("key-list-json", seen(&project, &larder(&project, "key list --json")));
    insta::assert_snapshot!("key-untrust-dry", seen(&project, &larder(&project, "key untrust ci -n")));
    insta::assert_snapshot!("key-untrust", seen(&project, &larder(&project, "key untrust ci")));
    insta::assert_snapshot!("key-untrust-again", seen(&project, &larder(&project, "key untrust ci")));
}

#[test]
fn what_cannot_be_trusted_is_refused() {
    let project = Project::new();
    let path = key(&project, "ci", '1');
    project.file("some.pub", format!("{}\n", public(&project, "ci")));
    let secret = fs::read_to_string(path).expect("the key");
    let output = larder(&project, &format!("key trust {}", secret.trim()));
    assert!(!output.stderr.contains("1111"), "{output:?}");
    insta::assert_snapshot!("key-trust-secret", seen(&project, &output));
    insta::assert_snapshot!("key-trust-unknown", seen(&project, &larder(&project, "key trust nobody")));
    insta::assert_snapshot!(
        "key-trust-time",
        seen(&project, &larder(&project, "key trust some.pub --not-before soon"))
    );
    let backwards = "key trust some.pub --not-before 2026-02-01 --not-after 2026-01-01";
    assert_eq!(larder(&project, backwards).code(), 1);
    assert!(!config(&project).join("trust.yml").exists());
    let _ = larder(&project, "key trust some.pub --name ci").good();
    // A file that is called as a trusted key is does not take its place.
    project.file("ci", format!("larder-public-ed25519:{}\n", "2".repeat(64)));
    let _ = larder(&project, "key trust ci --not-after 2999-01-01").good();
    assert_eq!(trust_file(&project).matches("public:").count(), 1);
    assert!(trust_file(&project).contains(&public(&project, "ci")));
}

#[test]
fn an_edit_keeps_what_people_wrote() {
    let project = Project::new();
    let public = {
        let _ = key(&project, "ci", '1');
        public(&project, "ci")
    };
    let (before, after) = (
        "# mine\nkeys:\n  # the build farm\n  - name: farm\n    secret-file: keys/farm.secret   # old\n\n",
        "\n# never\npermit-signing-off: []\n",
    );
    write_trust(&project, &format!("{before}{after}"));
    let _ = larder(&project, &format!("key trust {public} --name ci")).good();
    let added = trust_file(&project);
    assert!(added.starts_with(before.trim_end()) && added.ends_with(after), "{added}");
    let _ = larder(&project, "key untrust ci").good();
    assert_eq!(trust_file(&project), format!("{before}{after}"));
    let in_one_line = "keys: [{secret-file: a}]\n";
    write_trust(&project, in_one_line);
    insta::assert_snapshot!(
        "key-trust-by-hand",
        seen(&project, &larder(&project, &format!("key trust {public}")))
    );
    assert_eq!(trust_file(&project), in_one_line);
}

#[test]
fn a_wrong_trust_file_ends_before_anything_runs() {
    let project = small();
    write_trust(&project, "keys:\n  - name: ci\n    not-affter: 2026-01-01\n");
    insta::assert_snapshot!("trust-file-wrong", seen(&project, &larder(&project, "run")));
    write_trust(&project, "");
    fs::set_permissions(config(&project).join("trust.yml"), fs::Permissions::from_mode(0o666)).expect("mode");
    insta::assert_snapshot!("trust-file-open", seen(&project, &larder(&project, "run")));
    assert!(!project.path("lib/part.txt").exists());
}

#[test]
fn the_key_signs_and_unsigned_results_are_misses() {
    let project = small();
    let _ = larder(&project, "run").good();
    let path = key(&project, "me", '1');
    insta::assert_snapshot!("run-with-a-key", seen(&project, &signing(&project, &path, "run")));
    assert!(!ran(&signing(&project, &path, "run").good()));
    // The same key, as text.
    let text = fs::read_to_string(&path).expect("the key");
    assert!(!ran(&signing(&project, &text, "run").good()));
    // Another key: what the first one signed is not believed.
    let other = key(&project, "other", '2');
    assert!(ran(&signing(&project, &other, "run").good()));
    // With a secret beside it the key signs, so that who has only the key believes it.
    let mut with_secret = small();
    with_secret.env("LARDER_CACHE_SECRET", "a secret that is long enough to be used");
    let path = key(&with_secret, "me", '1');
    let _ = signing(&with_secret, &path, "run").good();
    with_secret.env("LARDER_CACHE_SECRET", "another secret that is long enough to be used");
    assert!(!ran(&signing(&with_secret, &path, "run").good()));
}

#[test]
fn a_key_is_rotated_without_building_again() {
    let project = small();
    let (old, new) = (key(&project, "old", '1'), key(&project, "new", '2'));
    let (old_public, new_public) = (public(&project, "old"), public(&project, "new"));
    let _ = signing(&project, &old, "run").good();
    let _ = larder(&project, &format!("key trust {old_public} --name old")).good();
    let _ = larder(&project, &format!("key trust {new_public} --name new")).good();
    assert!(!ran(&signing(&project, &new, "run").good()), "both are trusted");
    // Retired in the future: what it signed is believed. Retired in the past: not what it signed since.
    let _ = larder(&project, "key trust old --not-after 2999-01-01").good();
    assert!(!ran(&signing(&project, &new, "run").good()));
    let _ = larder(&project, "key trust old --not-after 2001-01-01").good();
    let output = signing(&project, &new, "run").good();
    assert!(ran(&output) && output.stderr.contains("is retired since"), "{output:?}");
    // Whoever still signs with it is told.
    let output = signing(&project, &old, "run --force").good();
    assert!(output.stderr.contains("and not believed: it is retired"), "{output:?}");
    let _ = larder(&project, "key untrust old").good();
    assert!(ran(&signing(&project, &new, "run").good()), "the old key's results are gone");
    assert!(!ran(&signing(&project, &new, "run").good()));
}

#[test]
fn a_key_for_another_namespace_is_none_here() {
    let project = small();
    let (ci, me) = (key(&project, "ci", '1'), key(&project, "me", '2'));
    let ci_public = public(&project, "ci");
    let _ = signing(&project, &ci, "run").good();
    let _ = larder(&project, &format!("key trust {ci_public} --namespace team")).good();
    insta::assert_snapshot!("run-other-namespace", seen(&project, &signing(&project, &me, "run")));
    let _ = signing(&project, &ci, "run --force").good();
    let _ = larder(&project, &format!("key trust {ci_public} --namespace team --namespace default")).good();
    assert!(!ran(&signing(&project, &me, "run").good()));
}

#[test]
fn who_verifies_and_does_not_sign_keeps_what_was_built_here() {
    let project = small();
    let ci = key(&project, "ci", '1');
    let _ = larder(&project, &format!("key trust {}", public(&project, "ci"))).good();
    let first = larder(&project, "run").good();
    assert!(ran(&first) && first.stderr.is_empty(), "{first:?}");
    assert!(!ran(&larder(&project, "run").good()), "what was built here is believed");
    let _ = signing(&project, &ci, "run --force").good();
    assert!(!ran(&larder(&project, "run").good()), "what CI signed is believed");
}

#[test]
fn another_secret_is_trusted_by_its_file() {
    let mut project = small();
    project.env("LARDER_CACHE_SECRET", "the old secret, which is long enough");
    let _ = larder(&project, "run").good();
    project.env("LARDER_CACHE_SECRET", "the new secret, which is long enough");
    write_trust(&project, "keys:\n  - secret-file: old.secret\n");
    let path = config(&project).join("old.secret");
    fs::write(&path, "the old secret, which is long enough\n").expect("the secret");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("its mode");
    insta::assert_snapshot!("secret-file-open", seen(&project, &larder(&project, "run")));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
    assert!(!ran(&larder(&project, "run").good()));
}

#[test]
fn a_key_that_cannot_be_used_ends_before_anything_runs() {
    let project = small();
    let path = key(&project, "me", '1');
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("its mode");
    insta::assert_snapshot!("key-file-open", seen(&project, &signing(&project, &path, "run")));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
    let text = fs::read_to_string(&path).expect("the key");
    for (name, value) in [
        ("key-not-there", "hunter2/hunter2".to_owned()),
        ("key-cut", text.trim()[..60].to_owned()),
        ("key-public", public(&project, "me")),
    ] {
        let output = signing(&project, &value, "run");
        assert!(!output.stderr.contains(&value), "{output:?}");
        insta::assert_snapshot!(name, seen(&project, &output));
    }
    project.file("mine.key", &text);
    fs::set_permissions(project.path("mine.key"), fs::Permissions::from_mode(0o600)).expect("its mode");
    insta::assert_snapshot!("key-in-project", seen(&project, &signing(&project, "mine.key", "run")));
    assert!(!project.path("lib/part.txt").exists());
    let output = signing(&project, "", "run").good();
    assert!(output.stderr.is_empty(), "empty is none, as CI gives it: {output:?}");
}

#[test]
fn trust_never_lies_in_the_project_or_the_cache() {
    let mut project = small();
    let inside = project.path("conf");
    project.env("LARDER_CONFIG", &inside);
    insta::assert_snapshot!("config-in-project", seen(&project, &larder(&project, "run")));
    assert_eq!(larder(&project, "key generate").code(), 1);
    assert!(!inside.exists());
    // Neither by a link.
    let link = project.user_folder().join("link");
    std::os::unix::fs::symlink(project.root(), &link).expect("a link");
    project.env("LARDER_CONFIG", link.join("conf"));
    assert_eq!(larder(&project, "run").code(), 1);
    project.env("LARDER_CONFIG", project.store().join("conf"));
    insta::assert_snapshot!("config-in-store", seen(&project, &larder(&project, "run")));
    project.env("LARDER_CONFIG", project.user_folder().join("gone"));
    insta::assert_snapshot!("config-gone", seen(&project, &larder(&project, "run")));
    let open = project.user_folder().join("open");
    fs::create_dir(&open).expect("a folder");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("its mode");
    project.env("LARDER_CONFIG", &open);
    insta::assert_snapshot!("config-open", seen(&project, &larder(&project, "run")));
    assert!(!project.path("lib/part.txt").exists());
    let own = project.user_folder().join("own");
    project.env("LARDER_CONFIG", &own);
    let _ = larder(&project, "key generate").good();
    assert!(own.join("keys/default.key").exists());
    let _ = larder(&project, "run").good();
}

#[test]
fn signing_off_counts_only_where_the_user_permits_it() {
    let project = small();
    let me = key(&project, "me", '1');
    let _ = larder(&project, "run").good();
    project.file("larder.yml", "name: small\ndefault: [\"app:build\"]\nconfig: {cache: {signing: off}}\n");
    insta::assert_snapshot!(
        "signing-off-not-permitted",
        seen(&project, &signing(&project, &me, "run --force"))
    );
    let _ = larder(&project, "run --force").good();
    write_trust(&project, &format!("permit-signing-off: [\"{}\"]\n", project.root().display()));
    let output = signing(&project, &me, "run").good();
    assert!(!ran(&output) && output.stderr.is_empty(), "{output:?}");
    write_trust(&project, &format!("permit-signing-off: [\"{}\"]\n", project.user_folder().display()));
    assert!(ran(&signing(&project, &me, "run").good()), "permitted elsewhere");
}
