//! The programs in `examples/embed_*`, run as a reader of the guide runs them.
//!
//! Cargo builds them with all of the package's tests; before `--test examples` alone, `cargo build --examples` does. Where `LARDER_TEST_S3`
//! names servers (`scripts/cloud-servers` starts them and says how they are named), the S3 tier runs against each.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    assert!(
        program.exists(),
        "{} is not built: `cargo build --package larder --examples` does it",
        program.display()
    );
    Command::new(program)
}

/// What it says, and that it succeeds.
#[track_caller]
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{text}\n{errors}", output.status);
    assert_eq!(errors, "", "{command:?}");
    text
}

#[track_caller]
fn refused(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{command:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_local_cache_remembers_what_was_computed() {
    let folder = tempfile::tempdir().unwrap();
    let (one, copy) = (folder.path().join("one.txt"), folder.path().join("copy.txt"));
    std::fs::write(&one, "to be or not to be, that is the question").unwrap();
    std::fs::copy(&one, &copy).unwrap();
    let run = |file: &Path| {
        said(example("embed_local_cache").arg("--cache").arg(folder.path().join("cache")).arg(file))
    };
    let first = run(&one);
    assert!(first.contains(r#"5 bytes occur twice (computed"#), "{first}");
    let second = run(&one);
    assert!(second.contains("(cached"), "{second}");
    assert!(second.ends_with("\"to be\"\n"), "{second}");
    assert!(run(&copy).contains("(cached"), "content counts, not names");
    std::fs::write(&one, "something else, something new").unwrap();
    assert!(run(&one).contains("(computed"));
}

#[test]
fn a_local_cache_that_cannot_be_opened_or_read_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = refused(example("embed_local_cache").arg("--cache").arg(&file).arg(&file));
    assert!(error.starts_with("error: "), "{error}");
    let error = refused(
        example("embed_local_cache").arg("--cache").arg(folder.path().join("cache")).arg(file.join("none")),
    );
    assert!(error.contains("none"), "{error}");
}

#[test]
fn a_backend_of_ones_own_is_shared_and_never_believed() {
    let folder = tempfile::tempdir().unwrap();
    let text = said(example("embed_custom_backend").arg(folder.path()));
    let ends: Vec<&str> = text.lines().filter_map(|line| line.split_once('(').map(|(_, end)| end)).collect();
    assert_eq!(ends, ["computed)", "from `folder`)", "computed)", "from `folder`)"], "{text}");
    assert!(folder.path().join("shared").is_dir());
    said(&mut example("embed_custom_backend"));
}

#[test]
fn an_s3_tier_says_what_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = step(folder.path(), "s3://bucket/prefix", "one");
    let error = refused(command.env_remove("LARDER_CACHE_SECRET"));
    assert!(error.contains("no key"), "{error}");
    let error = refused(step(folder.path(), "s3://bucket/prefix", "one").env("LARDER_CACHE_SECRET", "short"));
    assert!(error.contains("at least 16 bytes"), "{error}");
    let error = refused(&mut step(folder.path(), "bucket", "one"));
    assert!(error.contains("s3://"), "{error}");
    assert!(refused(&mut example("embed_s3_tier")).starts_with("usage: "));
}

#[test]
fn a_bucket_that_does_not_answer_fails_no_build() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = step(folder.path(), "s3://bucket/prefix", "one");
    command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("warning: the cache tier `s3`"));
    assert_eq!(std::fs::read_to_string(folder.path().join("one.txt")).unwrap(), "a\nb\nc\n");
}

/// A step on machine `name`.
fn step(folder: &Path, bucket: &str, name: &str) -> Command {
    let input = folder.join("input.txt");
    std::fs::write(&input, "c\nb\na\nb\n").unwrap();
    let output: PathBuf = folder.join(format!("{name}.txt"));
    let mut command = example("embed_s3_tier");
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("AWS_") {
            command.env_remove(variable);
        }
    }
    command.args([bucket.into(), folder.join(name), input, output, "sort".into(), "-u".into()]);
    command.env("LARDER_CACHE_SECRET", "a secret of the team, long enough to be one");
    command.env("AWS_ACCESS_KEY_ID", "key").env("AWS_SECRET_ACCESS_KEY", "secret");
    command
}

#[test]
fn an_s3_tier_lets_a_second_process_find_what_the_first_made() {
    let servers = std::env::var("LARDER_TEST_S3").unwrap_or_default();
    if servers.is_empty() {
        let required = std::env::var("REQUIRE_CLIENTS").is_ok_and(|set| set == "1");
        assert!(!required, "LARDER_TEST_S3 is not set, and REQUIRE_CLIENTS=1; see scripts/cloud-servers");
        // Past the test harness, which shows nothing of tests that pass.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: `embed_s3_tier`: LARDER_TEST_S3 is not set (scripts/cloud-servers starts servers)"
        );
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    for server in servers.split_whitespace() {
        // NAME=http://KEY:SECRET@HOST:PORT/BUCKET
        let (keys, place) = server.split_once("http://").unwrap().1.rsplit_once('@').unwrap();
        let ((key, secret), (host, bucket)) =
            (keys.split_once(':').unwrap(), place.rsplit_once('/').unwrap());
        let folder = tempfile::tempdir().unwrap();
        let run = |name: &str| {
            let mut command = step(folder.path(), &format!("s3://{bucket}/example-{now}"), name);
            command.env("AWS_ACCESS_KEY_ID", key).env("AWS_SECRET_ACCESS_KEY", secret);
            said(command.env("AWS_ENDPOINT_URL", format!("http://{host}")))
        };
        let first = run("one");
        assert!(first.contains("made by `sort -u`") && first.contains("sent 1 results"), "{host}: {first}");
        let second = run("two");
        assert!(second.contains("from `s3`, 6 bytes"), "{host}: {second}");
        assert!(run("two").contains("from `local`"), "{host}: it was kept");
        assert_eq!(std::fs::read_to_string(folder.path().join("two.txt")).unwrap(), "a\nb\nc\n");
    }
}

#[test]
fn an_image_is_read_without_being_pulled() {
    use larder_testing::layers::{Blob, Item, Packing, Tar, write_layout};
    let folder = tempfile::tempdir().unwrap();
    let layer = Tar::of([
        Item::folder("etc"),
        Item::file("etc/motd", "hello\n"),
        Item::file("large", vec![7; 6 << 20]),
    ]);
    let layout = folder.path().join("layout");
    write_layout(&layout, &[Blob::new(&layer, Packing::Gzip)]).unwrap();
    let reference = format!("oci:{}", layout.display());
    let run = |path: &str| {
        let mut command = example("embed_image");
        command.current_dir(folder.path()).args([&reference, path]);
        command
    };
    let first = said(&mut run("/etc/motd"));
    assert!(first.starts_with("hello\nmoved "), "{first}");
    // The table and the part are kept.
    assert_eq!(said(&mut run("/etc/motd")), "hello\nmoved 0 bytes\n");
    assert!(refused(&mut run("/etc/none")).contains("there is no `/etc/none`"));
}
