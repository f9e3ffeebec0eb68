//! How clouds are connected to: few retries, short ones. A cache that must be waited for is worth less than none.

use std::time::Duration;

use object_store::{BackoffConfig, ClientOptions, RetryConfig};

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
