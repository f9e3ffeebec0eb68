//! The registry client against a server that answers as each test wants: tokens, redirects, broken connections, hostile answers.
#![expect(clippy::unwrap_used, reason = "tests")]

mod blobs;
mod hostile;
mod manifests;
mod server;
mod tokens;

use std::time::Duration;

use larder_oci::Options;
use larder_oci::registry::{Kind, Patience, RegistryError, Retries};

/// Runs on a runtime of its own.
fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Quick, so that tests are.
fn options() -> Options {
    let mut options = Options::default();
    options.patience = Patience { answer: Duration::from_secs(5), slowest: 64 << 10 };
    options.retries =
        Retries { most: 2, pause: Duration::from_millis(5), longest_pause: Duration::from_secs(2) };
    options
}

fn kind<T: std::fmt::Debug>(outcome: Result<T, RegistryError>) -> Kind {
    let error = outcome.unwrap_err();
    assert!(!error.hint().is_empty());
    error.kind().clone()
}

/// Bytes that are the same nowhere.
fn content(length: usize) -> Vec<u8> {
    (0..length as u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).take(length).collect()
}
