//! Tables that are pushed, and read by those who trust whoever pushed them.

use larder::store::trust::SecretKey;
use larder_testing::registry::is_installed;
use serde_json::Value;

use crate::world::{World, cat, content, fetched, known, larder, machine, trusting};

fn push(project: &larder_testing::Project, image: &str, more: &[&str]) -> Value {
    let args = [&["image", "push-toc", "--platform", "linux/amd64", "--json", image], more].concat();
    serde_json::from_str(&larder(project, &args).good().stdout).unwrap()
}

#[test]
fn who_trusts_the_key_reads_without_indexing() {
    let Some(world) = World::new() else { return };
    let key = SecretKey::generate().unwrap();
    let (ci, image) = (machine(Some(&key)), world.image());
    let planned = push(&ci, &image, &["--dry-run"]);
    assert_eq!((&planned["new"], &planned["artifact"]), (&Value::Bool(true), &Value::Null), "{planned}");
    let before = world.registry.files().len();
    let pushed = push(&ci, &image, &[]);
    assert_eq!(pushed["tables"].as_array().unwrap().len(), 2, "{pushed}");
    assert_eq!(pushed["key"], key.key_id());
    assert_eq!(pushed["sent"], pushed["bytes"]);
    let files = world.registry.files();
    assert!(files.len() > before);

    // The same again moves nothing.
    let again = push(&ci, &image, &[]);
    assert_eq!((&again["new"], &again["sent"]), (&Value::Bool(false), &Value::from(0)), "{again}");
    assert_eq!(again["artifact"], pushed["artifact"]);
    assert_eq!(world.registry.files(), files);

    let reader = trusting(&key);
    let read = cat(&reader, &image, "/l1/030", &[]);
    assert_eq!(read.stdout, content(1, 30));
    assert!(!read.stderr.contains("warning"), "{}", read.stderr);
    assert!(fetched(&read) < world.total() / 2, "{} of {}", read.stderr, world.total());
    let signed = (true, Some(key.key_id().to_owned()));
    assert_eq!(known(&reader, &image), [signed.clone(), signed]);
    // What is kept is used without asking, and judged again.
    let again = cat(&reader, &image, "/l0/007", &["--no-remote-toc"]);
    assert_eq!(again.stdout, content(0, 7));
    assert!(fetched(&again) < world.total() / 2, "{}", again.stderr);
    let verified = larder(&trusting(&key), &["image", "verify", "--platform", "linux/amd64", &image]).good();
    assert_eq!(verified.stdout.matches("its table is right (signed").count(), 2, "{}", verified.stdout);

    let _ = larder(&reader, &["key", "untrust", "ci"]).good();
    assert_eq!(known(&reader, &image), [(false, None), (false, None)]);
}

#[test]
fn what_others_made_is_not_signed_by_who_only_trusts_it() {
    let Some(world) = World::new() else { return };
    let (theirs, own) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
    let image = world.image();
    let _ = push(&machine(Some(&theirs)), &image, &[]);
    let mut second = trusting(&theirs);
    assert_eq!(cat(&second, &image, "/l1/030", &[]).stdout, content(1, 30));
    second.env("LARDER_SIGNING_KEY", own.to_text().as_str());
    // Pushing vouches: so it indexes itself.
    let args = ["image", "push-toc", "--platform", "linux/amd64", &image];
    let pushed = larder(&second, &args).good();
    assert_eq!(pushed.stderr.matches("layer ").count(), 2, "{}", pushed.stderr);
    assert_eq!(known(&second, &image), [(true, None), (true, None)]);
    // Whoever trusts the second key alone finds that one.
    let read = cat(&trusting(&own), &image, "/l0/001", &[]);
    assert_eq!(read.stdout, content(0, 1));
    assert!(fetched(&read) < world.total() / 2, "{}", read.stderr);
}

#[test]
fn embedded_tables_go_where_the_image_is_copied_to() {
    let Some(world) = World::new() else { return };
    if !is_installed("skopeo") {
        return;
    }
    let key = SecretKey::generate().unwrap();
    let (ci, image) = (machine(Some(&key)), world.image());
    let pushed = push(&ci, &image, &["--embed"]);
    assert_eq!(pushed["moves_tag"], true, "{pushed}");
    let files = world.registry.files();
    let again = push(&ci, &image, &["--embed"]);
    assert_eq!((&again["new"], &again["moves_tag"]), (&Value::Bool(false), &Value::Bool(false)), "{again}");
    assert_eq!(world.registry.files(), files);

    let reader = trusting(&key);
    let layout = reader.path("copy");
    let copy = |args: &[&str], to: &str| {
        let mut command = std::process::Command::new("skopeo");
        command.args(["copy", "--src-tls-verify=false", "--dest-tls-verify=false", "--insecure-policy"]);
        let output = command.args(args).arg(format!("docker://{image}")).arg(to).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    copy(&["--all"], &format!("oci:{}:app", layout.display()));
    let copied = format!("oci:{}:app", layout.display());
    let read = cat(&reader, &copied, "/l1/030", &[]);
    assert_eq!(read.stdout, content(1, 30));
    assert!(fetched(&read) < world.total() / 2, "{}", read.stderr);

    // To another repository, where nobody lists referrers of it.
    let elsewhere = format!("{}/elsewhere:1", world.registry.host());
    copy(&["--all"], &format!("docker://{elsewhere}"));
    let read = cat(&trusting(&key), &elsewhere, "/l0/030", &[]);
    assert_eq!(read.stdout, content(0, 30));
    assert!(fetched(&read) < world.total() / 2, "{}", read.stderr);
    // Whoever wants the image alone gets it.
    copy(&["--override-arch=amd64"], &format!("oci:{}:app", reader.path("alone").display()));
}

#[test]
fn each_platform_of_an_index_has_its_own() {
    let Some(world) = World::new() else { return };
    let key = SecretKey::generate().unwrap();
    let (ci, image) = (machine(Some(&key)), world.tag_both());
    let push = |platform: &str| {
        let args = ["image", "push-toc", "--embed", "--json", "--platform", platform, &image];
        serde_json::from_str::<Value>(&larder(&ci, &args).good().stdout).unwrap()
    };
    let images: Vec<_> = world.listed("both").into_iter().map(|one| one.digest).collect();
    let (one, two) = (push("linux/amd64"), push("linux/arm64"));
    assert_ne!(one["artifact"], two["artifact"]);
    // The layers are the same, so the tables are; only what lists them is new.
    assert_eq!((&two["new"], &two["sent"]), (&Value::Bool(true), &Value::from(0)), "{two}");
    let listed = world.listed("both");
    let digests: Vec<_> = listed.iter().map(|one| one.digest.to_string()).collect();
    assert_eq!(digests[..2], images.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(digests[2..], [one["artifact"].as_str().unwrap(), two["artifact"].as_str().unwrap()]);
    for platform in ["linux/amd64", "linux/arm64"] {
        assert_eq!(push(platform)["moves_tag"], false);
        let args = ["image", "cat", "-v", "--platform", platform, &image, "/l1/030"];
        let read = larder(&trusting(&key), &args).good();
        assert_eq!(read.stdout, content(1, 30));
        assert!(fetched(&read) < world.total() / 2, "{}", read.stderr);
    }
    assert_eq!(world.listed("both"), listed);
    // A tag must be named, to be moved.
    let digest = format!("{}@{}", image.rsplit_once(':').unwrap().0, world.subject.digest);
    let refused = larder(&ci, &["image", "push-toc", "--embed", &digest]);
    assert_eq!(refused.code(), 1);
    assert!(refused.stderr.contains("a digest is named"), "{}", refused.stderr);
}

#[test]
fn a_shared_secret_signs_and_verifies() {
    let Some(world) = World::new() else { return };
    let image = world.image();
    let member = |secret: &str| {
        let mut project = machine(None);
        project.env("LARDER_CACHE_SECRET", secret);
        project
    };
    let secret = "0123456789abcdef0123456789abcdef";
    let pushed = push(&member(secret), &image, &[]);
    assert!(pushed["key"].is_string(), "{pushed}");
    // Another of the team pushes the same: nothing moves.
    assert_eq!(push(&member(secret), &image, &[])["new"], false);
    let read = cat(&member(secret), &image, "/l0/059", &[]);
    assert_eq!(read.stdout, content(0, 59));
    assert!(fetched(&read) < world.total() / 2, "{}", read.stderr);
    let stranger = cat(&member("another secret, which is as long"), &image, "/l0/059", &[]);
    assert_eq!(stranger.stdout, content(0, 59));
    assert!(stranger.stderr.contains("--trust-unsigned-toc"), "{}", stranger.stderr);
}
