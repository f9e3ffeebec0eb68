//! Wrappers: backends made of backends. Each keeps the contract of [`crate::seam`] if what it wraps does.
//!
//! | wrapper | what it adds |
//! |---|---|
//! | [`Verify`] | nothing that an untrusted backend returns is passed on before it is proven |
//! | [`Metered`] | counts requests, failures and bytes |
//! | [`Retry`] | tries again what may pass, a bounded number of times |
//! | [`Tiered`] | several backends in order: first hit wins, and is promoted |

mod metered;
mod retry;
mod tiered;
mod verify;

pub use metered::{Figures, Metered};
pub use retry::{Retry, RetryPolicy, Sleep, ThreadSleep};
pub use tiered::Tiered;
pub use verify::Verify;
