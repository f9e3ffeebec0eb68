//! The runtime that tiers use: the caller's, or one that is made when it is first needed.

use std::fmt;

use larder_core::Result;
use tokio::runtime::{Handle, RuntimeFlavor};

/// The tokio runtime that drives the tiers' sockets: one that runs, or one that is made when it is first needed.
///
/// It must be of several threads, and live until the tiers are finished. Tiers block the thread that asks them: within
/// asynchronous code, ask on a thread for blocking work.
pub struct Runtime(Given);

enum Given {
    Running(Handle),
    WhenNeeded(Box<dyn Fn() -> Result<Handle> + Send + Sync>),
}

impl Runtime {
    /// The runtime that `make` gives. It is asked each time, and should give the same.
    pub fn when_needed(make: impl Fn() -> Result<Handle> + Send + Sync + 'static) -> Self {
        Self(Given::WhenNeeded(Box::new(make)))
    }

    /// The handle.
    ///
    /// # Errors
    /// Why there is none.
    pub fn handle(&self) -> Result<Handle> {
        match &self.0 {
            Given::Running(handle) => Ok(handle.clone()),
            Given::WhenNeeded(make) => make(),
        }
    }

    /// Whether tiers can use it; true of one that is not made yet.
    #[must_use]
    pub fn suits(&self) -> bool {
        match &self.0 {
            // Nobody would drive its sockets while a thread waits for them.
            Given::Running(handle) => handle.runtime_flavor() != RuntimeFlavor::CurrentThread,
            Given::WhenNeeded(_) => true,
        }
    }
}

impl From<Handle> for Runtime {
    fn from(handle: Handle) -> Self {
        Self(Given::Running(handle))
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").finish_non_exhaustive()
    }
}
