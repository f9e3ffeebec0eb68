//! [`CancelToken`]: one flag that stops waits in any thread.
//!
//! Invariant: once cancelled, always cancelled. The event descriptor is written at most a few times and never read,
//! so that it stays readable and wakes every waiter, now or later.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

/// A flag with a descriptor that wakes waiters. Clones share the flag.
#[derive(Clone, Debug)]
pub struct CancelToken(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    set: AtomicBool,
    event: OwnedFd,
}

impl CancelToken {
    /// A new flag, not set.
    ///
    /// # Errors
    /// When the process has no free descriptor.
    pub fn new() -> io::Result<CancelToken> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(CancelToken(Arc::new(Inner { set: AtomicBool::new(false), event })))
    }

    /// Sets the flag and wakes everybody. Allocates nothing and takes no lock, so a signal handler may call it.
    pub fn cancel(&self) {
        self.0.set.store(true, Ordering::SeqCst);
        // Fails only when the counter is full, and then it is readable already.
        let _ = rustix::io::write(&self.0.event, &1_u64.to_ne_bytes());
    }

    /// Whether [`CancelToken::cancel`] was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.set.load(Ordering::SeqCst)
    }

    /// Sleeps for `duration` or until cancelled; tells whether it is cancelled.
    #[must_use]
    pub fn sleep(&self, duration: Duration) -> bool {
        if !self.is_cancelled() {
            let timeout = timespec(duration);
            // An interrupted or failed poll only makes the sleep shorter.
            let _ = poll(&mut [PollFd::new(&self.0.event, PollFlags::IN)], Some(&timeout));
        }
        self.is_cancelled()
    }
}

impl AsFd for CancelToken {
    /// Readable from the moment of cancellation, for ever. Only to be polled.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.event.as_fd()
    }
}

/// The kernel's form of a duration, saturating.
pub(super) fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
