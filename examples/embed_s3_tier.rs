//! Larder as a library, 2: build steps that machines share through a bucket.
//!
//! Runs a command with a file as its standard input, and writes its standard output to another file, unless anybody who
//! shares the bucket did that already: then the outcome comes from there.
//!
//! ```text
//! export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…     # as for Amazon's own tools
//! export LARDER_CACHE_SECRET=…                           # any text that all who share have; 16 bytes at least
//! cargo run --example embed_s3_tier -- s3://BUCKET/PREFIX CACHE INPUT OUTPUT COMMAND [ARGUMENT…]
//! cargo run --example embed_s3_tier -- s3://team/demo /tmp/a README.md sorted.txt sort -u     # runs it
//! cargo run --example embed_s3_tier -- s3://team/demo /tmp/b README.md sorted.txt sort -u     # finds it
//! ```
//! `CACHE` is the folder of the local cache. `AWS_REGION` and `AWS_ENDPOINT_URL` (a server other than Amazon's) are heeded.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its terminal")]

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use larder::core::{Error, ErrorKind};
use larder::remote::s3::S3Config;
use larder::store::trust::Secret;
use larder::tiers::{TierConfig, runtime};
use larder::{Cache, Config};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bucket, folder, input, output, command @ ..] = &arguments[..] else {
        eprintln!("usage: embed_s3_tier s3://BUCKET/PREFIX CACHE INPUT OUTPUT COMMAND [ARGUMENT…]");
        return ExitCode::FAILURE;
    };
    match open(bucket, folder).and_then(|cache| {
        step(&cache, Path::new(input), Path::new(output), command)?;
        finish(&cache)
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(hint) = error.hint() {
                eprintln!("hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}

/// A cache in `folder`, and the bucket behind it.
fn open(url: &str, folder: &str) -> Result<Cache, Error> {
    // Larder reads no environment by itself: what it may know is handed over.
    let variable = |name: &str| std::env::var(name).ok();

    // What comes from a bucket is believed only if it is signed with this secret. (Or with keys: see `SigningConfig`.)
    let mut config = Config::new(folder);
    config.signing.secret = variable("LARDER_CACHE_SECRET").map(Secret::new).transpose()?;

    let place = url.strip_prefix("s3://").ok_or_else(|| {
        Error::new(ErrorKind::Invalid, "read the bucket's address")
            .with_message("it does not begin with `s3://`")
    })?;
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    let bucket = S3Config {
        bucket: bucket.to_owned(),
        region: variable("AWS_REGION"),
        endpoint: variable("AWS_ENDPOINT_URL"),
    };
    let tier = TierConfig::new(bucket).prefix(prefix).credentials(std::env::vars());

    // Within a program that has a tokio runtime, hand over its `Handle` in place of `runtime()`.
    Cache::open(&config)?.with_tiers([tier], runtime())
}

/// One build step.
fn step(cache: &Cache, input: &Path, output: &Path, command: &[String]) -> Result<(), Error> {
    let at = |path: &Path| {
        let path = path.display().to_string();
        move |error| Error::from_io(error, "run a step").with("path", path)
    };
    let content = fs::read(input).map_err(at(input))?;
    let action = cache.action(command, [("stdin", cache.digest(&content))]);
    let name = command.join(" ");

    // Asks this machine's folder, then the bucket. What the bucket has is verified, and kept here.
    if let Some(hit) = cache.lookup_as(&action, &name).hit()
        && let Some(digest) = cache.output(&hit.result, "stdout")
    {
        let file = File::create(output).map_err(at(output))?;
        cache.store().write_to(&digest, &file)?;
        println!("{}: from `{}`, {} bytes", output.display(), hit.tier, digest.size);
        return Ok(());
    }

    let failed = |why: String| Error::new(ErrorKind::Invalid, "run a step").with_message(why);
    let [program, arguments @ ..] = command else { return Err(failed("there is no command".into())) };
    let ran = Command::new(program)
        .args(arguments)
        .stdin(Stdio::from(File::open(input).map_err(at(input))?))
        .stderr(Stdio::inherit())
        .output()
        .map_err(at(Path::new(program)))?;
    if !ran.status.success() {
        // A failure is not recorded: the next time it is tried again.
        return Err(failed(format!("`{name}` ended with {}", ran.status)));
    }
    fs::write(output, &ran.stdout).map_err(at(output))?;

    let digest = cache.put(&mut &ran.stdout[..])?;
    cache.record_as(&action, &cache.result([("stdout", digest)]), &name)?;
    println!("{}: made by `{name}`, {} bytes", output.display(), digest.size);
    Ok(())
}

/// Waits for what is on its way. Trouble with a bucket never fails a build; a person should hear of it.
fn finish(cache: &Cache) -> Result<(), Error> {
    let finished = cache.finish();
    for warning in &finished.warnings {
        eprintln!("warning: {}", warning.message);
        if let Some(hint) = &warning.hint {
            eprintln!("hint: {hint}");
        }
    }
    println!("sent {} results, gave up {}", finished.sent.results, finished.sent.given_up);
    cache.flush()
}
