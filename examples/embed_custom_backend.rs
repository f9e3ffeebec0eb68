//! Larder as a library, 3: a place of your own where results are shared.
//!
//! Whatever keeps values by key can be a tier: a database, a key-value server, a company's artifact store. This one is a
//! folder with one file for each value, so that there is something to see. Two caches, as on two machines, share it.
//!
//! ```text
//! cargo run --example embed_custom_backend -- [FOLDER]
//! ```
//! Without a folder: a temporary one, which is deleted again.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its terminal")]

#[path = "embed_custom_backend/folder_tier.rs"]
mod folder_tier;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use folder_tier::FolderTier;
use larder::core::{Error, ErrorKind};
use larder::store::trust::Secret;
use larder::tiers::{TierConfig, runtime};
use larder::{Cache, Config};

fn main() -> ExitCode {
    let done = match std::env::args_os().nth(1) {
        Some(folder) => demonstrate(Path::new(&folder)),
        None => match tempfile::tempdir() {
            Ok(folder) => demonstrate(folder.path()),
            Err(error) => Err(Error::from_io(error, "make a folder")),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What a machine of the team does.
fn machine(folder: &Path, name: &str) -> Result<Cache, Error> {
    let mut config = Config::new(folder.join(name));
    config.signing.secret = Some(Secret::new("the secret that all machines share")?);
    let tier = FolderTier::new(folder.join("shared"))?;
    Cache::open(&config)?.with_tiers([TierConfig::own(tier)], runtime())
}

fn demonstrate(folder: &Path) -> Result<(), Error> {
    println!("machine `a`: {}", squares(&machine(folder, "a")?)?);
    println!("machine `b`: {}", squares(&machine(folder, "b")?)?);

    // A tier is never believed: bytes that are not what they should be are a miss, and are replaced.
    let shared = folder.join("shared");
    let damaged = FolderTier::damage(&shared)?;
    println!("{damaged} files of the tier are damaged");
    let found = squares(&machine(folder, "c")?)?;
    println!("machine `c`: {found}");
    let healed = squares(&machine(folder, "d")?)?;
    println!("machine `d`: {healed}");
    if found.ends_with("(computed)") && healed.ends_with("(from `folder`)") {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Internal, "share results")
        .with_message("that is not what should have happened"))
}

/// Something to compute, and where it came from. See `embed_local_cache` for the pattern.
fn squares(cache: &Cache) -> Result<String, Error> {
    let action = cache.action(["squares 1", "10"], [] as [(&str, _); 0]);
    if let Some(hit) = cache.lookup(&action).hit()
        && let Some(output) = cache.output(&hit.result, "squares.txt")
    {
        let text = String::from_utf8_lossy(&cache.read(&output, 1 << 20)?).into_owned();
        return Ok(format!("{text} (from `{}`)", hit.tier));
    }
    let text = (1..=10).map(|number: u32| (number * number).to_string()).collect::<Vec<_>>().join(" ");
    let output = cache.put(&mut text.as_bytes())?;
    cache.record(&action, &cache.result([("squares.txt", output)]))?;
    // Sent in the background: wait, and hear what went wrong.
    for warning in cache.finish().warnings {
        println!("warning: {}", warning.message);
    }
    Ok(format!("{text} (computed)"))
}

/// Used by the demonstration alone.
impl FolderTier {
    /// Changes the first byte of every file; says how many there are.
    fn damage(folder: &Path) -> Result<usize, Error> {
        let io = |error| Error::from_io(error, "damage the tier");
        let mut damaged = 0;
        for entry in fs::read_dir(folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let mut bytes = fs::read(&path).map_err(io)?;
            bytes.iter_mut().take(1).for_each(|byte| *byte ^= 0xff);
            fs::write(&path, bytes).map_err(io)?;
            damaged += 1;
        }
        Ok(damaged)
    }
}
