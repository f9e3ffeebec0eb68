//! A local cache in a program of one's own: compute something once, find it again.
//!
//! `cargo run -p larder --example embed_local -- /tmp/some-folder`; run it twice.

use std::io::Write as _;

use larder::cache::{Cache, Config};
use larder::reapi::{Action, ActionResult, OutputFile};
use larder::store::LookUp;
use larder::store::local::gc::GcOptions;
use larder::store::message::{from_message, to_message};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let home = std::env::args_os().nth(1).ok_or("give a folder for the cache")?;
    let mut out = std::io::stdout();
    let cache = Cache::open(&Config::new(home))?;
    // The action is whatever decides the result: here, only a salt.
    let action = Action { salt: b"the answer, version 1".to_vec(), ..Action::default() };
    match cache.lookup(&action) {
        LookUp::Hit(hit) => {
            writeln!(out, "found, recorded at {}", hit.time)?;
            for file in &hit.result.output_files {
                let digest = file.digest.as_ref().ok_or("a file without a digest")?;
                let digest = from_message(cache.digest_of(&action).function(), digest).ok_or("malformed")?;
                let mut content = Vec::new();
                cache.get(&digest, &mut |piece| {
                    content.extend_from_slice(piece);
                    Ok(())
                })?;
                writeln!(out, "{}: {}", file.path, String::from_utf8_lossy(&content))?;
            }
        }
        LookUp::Miss(miss) => {
            writeln!(out, "not found ({:?}), so it is computed", miss.reason())?;
            let digest = cache.put(&mut &b"42"[..])?;
            let file = OutputFile {
                path: "answer".to_owned(),
                digest: Some(to_message(&digest)),
                ..OutputFile::default()
            };
            cache.record(&action, &ActionResult { output_files: vec![file], ..ActionResult::default() })?;
        }
    }
    cache.flush()?;
    let plan = cache.plan_gc(&GcOptions { to_size: Some(1 << 30), ..GcOptions::default() })?;
    writeln!(out, "the cache has {} bytes, of which GC would free {}", plan.bytes_before, plan.blob_bytes)?;
    Ok(())
}
