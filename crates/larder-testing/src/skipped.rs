//! [`skipped`]: a test that cannot be run here says so.

use std::io::Write;

/// Says on standard error that a test does nothing here, and why; with `REQUIRE_CLIENTS=1` that is a failure.
///
/// # Panics
/// With `REQUIRE_CLIENTS=1`.
pub fn skipped(what: &str) {
    let required = std::env::var_os("REQUIRE_CLIENTS").is_some_and(|value| value == "1");
    assert!(!required, "REQUIRE_CLIENTS: {what}");
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}");
}
