//! How places are reached: how long is waited, few retries and short ones, what is said when nobody answers. A cache that
//! must be waited for is worth less than none.

use std::time::Duration;

use object_store::{BackoffConfig, ClientOptions, RetryConfig};

/// How long is waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For the answer to a look-up, and for the first byte of anything else.
    pub answer: Duration,
    /// For the rest of a body, as bytes a second at least.
    pub slowest: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self { answer: Duration::from_secs(3), slowest: 64 << 10 }
    }
}

impl Patience {
    /// For a body of `length` bytes.
    pub(crate) fn body(&self, length: u64) -> Duration {
        // Uploads and large reads may begin slowly: a cold bucket, a retry.
        self.answer * 3 + Duration::from_secs(length / self.slowest.max(1))
    }
}

/// What to do when nobody answers.
pub(crate) const REACHABLE: &str = "is the server running, and does the tier's `endpoint` say where?";

/// What a server said, in one line of bounded length.
pub(crate) fn short(said: &str) -> String {
    let line: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = line.chars().filter(|c| !c.is_control()).take(300).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    short
}

/// Two more tries within a few seconds.
pub(crate) fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(1),
            base: 3.0,
        },
        max_retries: 2,
        retry_timeout: Duration::from_secs(6),
    }
}

/// Plain HTTP only where the endpoint says so.
pub(crate) fn options(endpoint: Option<&str>) -> ClientOptions {
    let plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    ClientOptions::new()
        .with_allow_http(plain)
        .with_connect_timeout(Duration::from_secs(3))
        .with_timeout(Duration::from_secs(120))
}
