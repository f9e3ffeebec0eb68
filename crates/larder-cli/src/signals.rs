//! Ctrl-C, SIGTERM and SIGHUP.
//!
//! Before anything runs, a signal ends the program at once (exit 4): nothing is torn by that. When the first recipe starts, the
//! first signal cancels the run, so that recipes are told and get their grace; the second ends the program at once, and the
//! supervisors of the recipes kill them. The thread that waits for signals begins with the first recipe, not before.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use larder::run::process::CancelToken;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_shutdown;
use signal_hook::iterator::Signals;

use crate::exit::Exit;

const ENDING: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// What a signal does.
#[derive(Debug)]
pub(crate) struct Watch {
    cancel: CancelToken,
    ends_at_once: Arc<AtomicBool>,
    gentle: AtomicBool,
    /// What is cancelled with it.
    with: Arc<Mutex<Option<CancelToken>>>,
}

impl Watch {
    /// From now on a signal ends the program with [`Exit::Cancelled`].
    pub(crate) fn new(cancel: CancelToken) -> io::Result<Self> {
        let ends_at_once = Arc::new(AtomicBool::new(true));
        for signal in ENDING {
            register_conditional_shutdown(signal, Exit::Cancelled as i32, Arc::clone(&ends_at_once))?;
        }
        Ok(Self { cancel, ends_at_once, gentle: AtomicBool::new(false), with: Arc::default() })
    }

    /// From now on what cancels cancels this one, too, and not the one before.
    pub(crate) fn follow(&self, token: &CancelToken) {
        let mut with = self.with.lock().unwrap_or_else(PoisonError::into_inner);
        *with = Some(token.clone());
        if self.cancel.is_cancelled() {
            token.cancel();
        }
    }

    /// While a person is asked nothing runs, and a signal ends the program at once.
    pub(crate) fn while_asking<T>(&self, asking: impl FnOnce() -> T) -> T {
        let before = self.ends_at_once.swap(true, Ordering::AcqRel);
        let answer = asking();
        self.ends_at_once.store(before, Ordering::Release);
        answer
    }

    /// From now on the first signal cancels. Cheap when called again.
    pub(crate) fn be_gentle(&self) {
        if self.gentle.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut signals = match Signals::new(ENDING) {
            Ok(signals) => signals,
            Err(error) => {
                tracing::warn!(%error, "signals end the program at once");
                return;
            }
        };
        let (cancel, ends_at_once) = (self.cancel.clone(), Arc::clone(&self.ends_at_once));
        let with = Arc::clone(&self.with);
        self.ends_at_once.store(false, Ordering::Release);
        std::thread::spawn(move || {
            for (before, _) in signals.forever().enumerate() {
                if before > 0 {
                    // It came before the first was answered.
                    signal_hook::low_level::exit(Exit::Cancelled as i32);
                }
                ends_at_once.store(true, Ordering::Release);
                cancel.cancel();
                let with = with.lock().unwrap_or_else(PoisonError::into_inner);
                with.iter().for_each(CancelToken::cancel);
            }
        });
    }
}
