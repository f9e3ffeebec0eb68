//! Larder as a library, 4: read files of a container image without pulling it.
//!
//! ```text
//! cargo run --example embed_image -- REF PATH…
//! ```
//! `REF` is a registry's reference or `oci:DIR[:NAME]`, `oci-archive:FILE`, `docker-archive:FILE`. Tables and parts of layers are kept in `target/embed-image`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its terminal")]

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use larder::image::{Indexer, StoreSpans, host_platform, source};
use larder::oci::image::{Image, ImageReference, ReadError, SpanCache};
use larder::oci::toc::IndexOptions;
use larder::oci::tree::MergeRule;
use larder::{Cache, Config};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(reference), paths) = (arguments.next(), arguments.collect::<Vec<_>>()) else {
        eprintln!("usage: embed_image REF PATH…");
        return ExitCode::FAILURE;
    };
    match run(&reference, &paths) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum CopyError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] io::Error),
}

fn run(reference: &str, paths: &[String]) -> Result<(), Box<dyn Error>> {
    let reference: ImageReference = reference.parse()?;
    // Logins are found as docker finds them; who embeds Larder says where.
    let runtime = larder::tiers::runtime();
    let source = source(&reference, &std::env::vars_os().collect(), &[], &runtime)?;

    let cache = Cache::open(&Config::new("target/embed-image"))?;
    let spans: Arc<dyn SpanCache> = Arc::new(StoreSpans::new(cache.store().clone()));
    let indexer = Indexer::new(Some(cache), IndexOptions::default());
    let table = indexer.index(&*source, &host_platform(), &|_| {})?;

    let image = Image::open(table, MergeRule::Overlay, &source, &spans)?;
    for path in paths {
        let tree = image.tree();
        let node = tree.look_up(path.as_bytes(), true)?.ok_or_else(|| format!("there is no `{path}`"))?;
        let mut out = io::stdout().lock();
        image
            .read_all(tree.node(node).inode(), &mut |bytes| out.write_all(bytes).map_err(CopyError::from))?;
    }
    println!("moved {} bytes", source.moved());
    Ok(())
}
