//! [`Bell`]: rung by any thread; heard after a quiet moment.
//!
//! A ring is heard by the next [`Bell::wait`] even if nobody waits now, and many rings are heard as one. A ring after `wait` has returned is
//! heard by the next.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use crate::process::CancelToken;

/// So long nothing may ring before what was rung is looked at.
const QUIET: Duration = Duration::from_millis(60);
/// So long a ring may wait at most.
const LONGEST: Duration = Duration::from_millis(1_000);

/// See the module's header. Clones are one bell.
#[derive(Clone, Debug)]
pub struct Bell(Arc<OwnedFd>);

/// Why [`Bell::wait`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// It rang.
    Rung,
    /// It did not ring for the whole time.
    TimedOut,
    /// The token was cancelled.
    Cancelled,
}

fn wait_for(bell: &OwnedFd, cancel: &CancelToken, time: Option<Duration>) -> bool {
    let timeout = time.map(|time| Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(time.subsec_nanos()),
    });
    let mut on = [PollFd::new(bell, PollFlags::IN), PollFd::new(cancel, PollFlags::IN)];
    // An interrupted wait is one that was too short: the caller looks at the time.
    let _ = poll(&mut on, timeout.as_ref());
    on[0].revents().contains(PollFlags::IN)
}

impl Bell {
    /// One that has not rung.
    ///
    /// # Errors
    /// When the process has no free descriptor.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
    }

    /// Rings.
    pub fn ring(&self) {
        // Fails only when the counter is full, and then it has rung already.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }

    /// Forgets that it rang.
    pub fn hush(&self) {
        // There is nothing to read when it has not rung.
        let _ = rustix::io::read(&*self.0, &mut [0_u8; 8]);
    }

    /// Waits until it has rung and then was quiet for a moment, until `longest` has passed, or until cancelled.
    #[must_use]
    pub fn wait(&self, cancel: &CancelToken, longest: Option<Duration>) -> Woken {
        let end = longest.and_then(|longest| Instant::now().checked_add(longest));
        loop {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let has_rung = wait_for(&self.0, cancel, left);
            if cancel.is_cancelled() {
                return Woken::Cancelled;
            }
            if has_rung {
                break;
            }
            if left.is_some_and(|left| left.is_zero()) {
                return Woken::TimedOut;
            }
        }
        let since = Instant::now();
        loop {
            self.hush();
            let rang_again = wait_for(&self.0, cancel, Some(QUIET));
            if cancel.is_cancelled() {
                return Woken::Cancelled;
            }
            if !rang_again || since.elapsed() >= LONGEST {
                // What rings from here on is heard next time.
                self.hush();
                return Woken::Rung;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_ring_is_heard_once() {
        let (bell, cancel) = (Bell::new().unwrap(), CancelToken::new().unwrap());
        let soon = Some(Duration::from_millis(1));
        assert_eq!(bell.wait(&cancel, soon), Woken::TimedOut);
        bell.ring();
        bell.clone().ring();
        assert_eq!(bell.wait(&cancel, None), Woken::Rung);
        assert_eq!(bell.wait(&cancel, soon), Woken::TimedOut);
        bell.ring();
        bell.hush();
        assert_eq!(bell.wait(&cancel, soon), Woken::TimedOut);
        cancel.cancel();
        bell.ring();
        assert_eq!(bell.wait(&cancel, None), Woken::Cancelled);
    }

    #[test]
    fn who_rings_without_end_is_heard_all_the_same() {
        let (bell, cancel) = (Bell::new().unwrap(), CancelToken::new().unwrap());
        let over = CancelToken::new().unwrap();
        std::thread::scope(|threads| {
            threads.spawn(|| {
                while !over.sleep(Duration::from_millis(5)) {
                    bell.ring();
                }
            });
            let begun = Instant::now();
            assert_eq!(bell.wait(&cancel, None), Woken::Rung);
            assert!(begun.elapsed() < LONGEST * 5);
            over.cancel();
        });
    }
}
