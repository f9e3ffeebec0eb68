//! Larder as a library, 1: remember what an expensive function computed.
//!
//! For each file: the longest text that occurs in it twice. That takes a while; the second time it is looked up.
//!
//! ```text
//! cargo run --example embed_local_cache -- [--cache FOLDER] [FILE…]
//! ```
//! Without arguments: this repository's README, with a cache in `target/`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its terminal")]

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use larder::core::Error;
use larder::{Cache, Config};

/// Part of the key: a change of the function that changes outcomes needs another number here.
const VERSION: &str = "longest-repeat 1";

/// Results larger than this are nothing that we recorded.
const LARGEST_RESULT: u64 = 16 << 20;

fn main() -> ExitCode {
    let mut folder = PathBuf::from("target/embed-local-cache");
    let mut files = Vec::new();
    let mut arguments = std::env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--cache") => folder = arguments.next().unwrap_or_default().into(),
            _ => files.push(PathBuf::from(argument)),
        }
    }
    if files.is_empty() {
        files.push(PathBuf::from("README.md"));
    }
    match run(folder, &files) {
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

fn run(folder: PathBuf, files: &[PathBuf]) -> Result<(), Error> {
    // One folder is one cache. Any number of threads and processes may use it at once.
    let cache = Cache::open(&Config::new(folder))?;
    for file in files {
        let started = Instant::now();
        let content = fs::read(file)
            .map_err(|error| Error::from_io(error, "read a file").with("path", file.display()))?;
        let (repeat, how) = longest_repeat_cached(&cache, &content)?;
        println!(
            "{}: {} bytes occur twice ({how} in {:.1} ms): {:?}",
            file.display(),
            repeat.len(),
            started.elapsed().as_secs_f64() * 1e3,
            beginning(&repeat),
        );
    }
    // Times of use and events are written when the cache is dropped; asking for it shows errors.
    cache.flush()
}

/// The pattern: describe, look up, else compute, put and record.
fn longest_repeat_cached(cache: &Cache, content: &[u8]) -> Result<(Vec<u8>, &'static str), Error> {
    // What is computed. Everything that the outcome depends on must be in here, and nothing else: not the file's path, so
    // that a copy of the file is found too.
    let action = cache.action([VERSION], [("input", cache.digest(content))]);

    // A hit is complete: its blobs are here. Whatever is wrong with the cache is a miss, never a failure.
    if let Some(hit) = cache.lookup(&action).hit()
        && let Some(output) = cache.output(&hit.result, "repeat")
    {
        return Ok((cache.read(&output, LARGEST_RESULT)?, "cached"));
    }

    let repeat = longest_repeat(content);

    // Content first, then the result that names it.
    let output = cache.put(&mut &repeat[..])?;
    cache.record(&action, &cache.result([("repeat", output)]))?;
    Ok((repeat, "computed"))
}

/// Sorts all suffixes; the longest repeat is what two neighbours begin with. Slow on purpose: there are better ways.
fn longest_repeat(content: &[u8]) -> Vec<u8> {
    let mut suffixes: Vec<&[u8]> = (0..content.len()).map(|at| &content[at..]).collect();
    suffixes.sort_unstable();
    let shared = |pair: &[&[u8]]| pair[0].iter().zip(pair[1]).take_while(|(one, two)| one == two).count();
    let longest = suffixes.windows(2).max_by_key(|pair| shared(pair));
    longest.map(|pair| pair[0][..shared(pair)].to_vec()).unwrap_or_default()
}

fn beginning(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(60)]).into_owned()
}
