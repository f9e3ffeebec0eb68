//! Several remote tiers behind a local store.
//!
//! - Look-up: in their order, the first result that is believed and whole wins, and is promoted to the local store and to
//!   every earlier tier. A tier that fails, or is slow, is a miss: one warning, and it is left alone for a while.
//! - Write-back: what the store has and a tier is not known to have is sent in the background, bounded, each tier by
//!   itself. [`Tiers::finish`] waits for it while it makes progress.
//! - Nothing is opened, and the runtime not asked for, before the first question.
//!
//! Tiers are asked from the caller's threads; the runtime only drives their sockets.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use larder_core::{Error, ErrorKind, Result};
use larder_store::store::{Fetched, Upstream};
use larder_store::{ActionDigest, Store};

use crate::exchange::{Brought, bring, publish};
pub use crate::runtime::Runtime;
use crate::seen::Seen;
use crate::tier::{Receipt, Tier, Transfer};

/// How long a tier that failed is left alone.
const REST: Duration = Duration::from_secs(30);
/// Results that are sent at once.
const SENDERS: usize = 4;

/// Opens a tier when it is first needed.
pub type Open = Box<dyn Fn() -> Result<Arc<dyn Tier>> + Send + Sync>;

/// A tier that is configured.
pub struct Configured {
    /// Its name in the configuration.
    pub name: &'static str,
    /// What tells it from any other for ever.
    pub identity: String,
    /// Opens it.
    pub open: Open,
    /// Whether it is written to.
    pub write: bool,
}

impl fmt::Debug for Configured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configured").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How tiers are used.
#[derive(Clone, Copy, Debug)]
pub struct TiersOptions {
    /// [`Tiers::finish`] gives up when nothing moved for so long.
    pub stalled: Duration,
}

impl Default for TiersOptions {
    fn default() -> Self {
        Self { stalled: Duration::from_secs(10) }
    }
}

/// See the [module](self).
#[derive(Debug)]
pub struct Tiers {
    shared: Arc<Shared>,
    options: TiersOptions,
}

struct Shared {
    store: Store,
    slots: Vec<Slot>,
    runtime: Runtime,
    queue: Mutex<Queue>,
    changed: Condvar,
    progress: AtomicU64,
    warnings: Mutex<Vec<Warning>>,
    sent: Mutex<Sent>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("slots", &self.slots).finish_non_exhaustive()
    }
}

/// Something that a person should know, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// What was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Results that tiers have now and had not.
    pub results: u64,
    /// What moved for it.
    pub moved: Transfer,
    /// Results that were given up.
    pub given_up: u64,
}

#[derive(Debug)]
struct Slot {
    configured: Configured,
    tier: OnceLock<Arc<dyn Tier>>,
    seen: Seen,
    rests_until: Mutex<Option<Instant>>,
    warned: AtomicBool,
    /// It may be asked, and takes no results.
    takes_nothing: AtomicBool,
}

#[derive(Debug)]
struct Job {
    slot: usize,
    action: ActionDigest,
    label: String,
    replace: bool,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Job>,
    queued: HashSet<(usize, ActionDigest)>,
    working: usize,
    threads: usize,
    closed: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tiers {
    /// The tiers behind `store`, in their order.
    #[must_use]
    pub fn new(store: Store, tiers: Vec<Configured>, runtime: Runtime, options: TiersOptions) -> Self {
        let folder = store.local_store().home().join("tiers");
        let slot = |configured: Configured| Slot {
            seen: Seen::new(&folder, &configured.identity, store.namespace()),
            configured,
            tier: OnceLock::new(),
            rests_until: Mutex::default(),
            warned: AtomicBool::new(false),
            takes_nothing: AtomicBool::new(false),
        };
        let slots = tiers.into_iter().map(slot).collect();
        let shared = Shared {
            store,
            slots,
            runtime,
            queue: Mutex::default(),
            changed: Condvar::new(),
            progress: AtomicU64::new(0),
            warnings: Mutex::default(),
            sent: Mutex::default(),
        };
        Self { shared: Arc::new(shared), options }
    }

    /// Waits until everything is sent, or nothing moves any more; answers what was sent.
    pub fn finish(&self) -> Sent {
        self.finish_telling(&mut |_| {})
    }

    /// As [`finish`](Self::finish); `told` is called several times a second with how many results are left.
    pub fn finish_telling(&self, told: &mut dyn FnMut(usize)) -> Sent {
        let shared = &self.shared;
        let mut queue = lock(&shared.queue);
        let (mut seen, mut since) = (shared.progress.load(Ordering::Relaxed), Instant::now());
        while !queue.waiting.is_empty() || queue.working > 0 {
            let waited = shared.changed.wait_timeout(queue, Duration::from_millis(200));
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
            told(queue.waiting.len() + queue.working);
            let now = shared.progress.load(Ordering::Relaxed) + shared.moved();
            if now != seen {
                (seen, since) = (now, Instant::now());
            } else if since.elapsed() >= self.options.stalled {
                let left = queue.waiting.len() + queue.working;
                queue.waiting.clear();
                lock(&shared.sent).given_up += left as u64;
                shared.warn(
                    format!(
                        "{left} results were not sent: nothing moved for {} s",
                        self.options.stalled.as_secs()
                    ),
                    Some("the next run sends what is missing".into()),
                );
                break;
            }
        }
        queue.closed = true;
        drop(queue);
        shared.changed.notify_all();
        *lock(&shared.sent)
    }

    /// What a person should know, each once.
    pub fn take_warnings(&self) -> Vec<Warning> {
        std::mem::take(&mut *lock(&self.shared.warnings))
    }
}

impl Drop for Tiers {
    /// Ends the threads that send, also when nobody waited for them.
    fn drop(&mut self) {
        let mut queue = lock(&self.shared.queue);
        queue.waiting.clear();
        queue.closed = true;
        drop(queue);
        self.shared.changed.notify_all();
    }
}

impl Upstream for Tiers {
    fn fetch(&self, action: &ActionDigest, label: &str) -> Fetched {
        let shared = &self.shared;
        let mut why = None;
        for (at, slot) in shared.slots.iter().enumerate() {
            let Some(tier) = shared.tier(slot) else { continue };
            let brought =
                shared.runtime.handle().and_then(|it| it.block_on(bring(&shared.store, &*tier, action)));
            match brought {
                Ok(Brought::Absent) => slot.forget(action),
                Ok(Brought::Whole { moved, old }) => {
                    // An old one is offered to its tier again, which makes it young.
                    if !old {
                        slot.note(action);
                    }
                    for earlier in 0..at {
                        self.send(earlier, action, label, false);
                    }
                    return Fetched::Hit {
                        tier: slot.configured.name,
                        bytes: moved.bytes,
                        requests: moved.requests,
                    };
                }
                Ok(Brought::Refused(reason)) => {
                    slot.distrust(action);
                    shared.warn(
                        format!("a result in `{}` is not believed: {reason}", slot.configured.name),
                        Some("trust the key of who signed it (`larder key trust`), or see who else writes there".into()),
                    );
                    why = Some(format!("the result in `{}` is not believed: {reason}", slot.configured.name));
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::NotFound | ErrorKind::Corrupt | ErrorKind::Invalid
                    ) =>
                {
                    // The result is there and not whole, or not what it says: this machine's takes its place.
                    slot.distrust(action);
                    tracing::debug!(%error, tier = slot.configured.name, "a result cannot be used");
                    why = Some(format!("the result in `{}` cannot be used: {error}", slot.configured.name));
                }
                Ok(Brought::Foreign) => {
                    why = Some(format!("the result in `{}` is of a newer Larder", slot.configured.name));
                }
                Ok(Brought::Unkept(error)) => {
                    let message = format!("what tiers have cannot be kept here: {error}");
                    shared.warn(message.clone(), error.hint().map(str::to_owned));
                    return Fetched::Miss(Some(message));
                }
                Err(error) => {
                    shared.failed(slot, &error);
                    why = Some(format!("`{}` cannot be asked", slot.configured.name));
                }
            }
        }
        Fetched::Miss(why)
    }

    fn offer(&self, action: &ActionDigest, label: &str) {
        for at in 0..self.shared.slots.len() {
            self.send(at, action, label, false);
        }
    }

    fn replace(&self, action: &ActionDigest, label: &str) {
        for at in 0..self.shared.slots.len() {
            self.send(at, action, label, true);
        }
    }

    fn sends(&self) -> bool {
        self.shared.slots.iter().any(Slot::takes)
    }
}

impl Tiers {
    fn send(&self, at: usize, action: &ActionDigest, label: &str, replace: bool) {
        let slot = &self.shared.slots[at];
        if !slot.takes() || (!replace && slot.seen.has(action)) {
            return;
        }
        let mut queue = lock(&self.shared.queue);
        if !queue.queued.insert((at, *action)) {
            return;
        }
        queue.waiting.push_back(Job { slot: at, action: *action, label: label.to_owned(), replace });
        if queue.threads < SENDERS {
            queue.threads += 1;
            let shared = self.shared.clone();
            std::thread::spawn(move || shared.work());
        }
        drop(queue);
        self.shared.changed.notify_all();
    }
}

impl Slot {
    fn takes(&self) -> bool {
        self.configured.write && !self.takes_nothing.load(Ordering::Relaxed)
    }

    fn note(&self, action: &ActionDigest) {
        if let Err(error) = self.seen.note(action) {
            tracing::debug!(%error, "the memory of a tier cannot be written");
        }
    }

    fn forget(&self, action: &ActionDigest) {
        if let Err(error) = self.seen.forget(action) {
            tracing::debug!(%error, "the memory of a tier cannot be written");
        }
    }

    fn distrust(&self, action: &ActionDigest) {
        if let Err(error) = self.seen.distrust(action) {
            tracing::debug!(%error, "the memory of a tier cannot be written");
        }
    }

    fn rests(&self) -> bool {
        lock(&self.rests_until).is_some_and(|until| Instant::now() < until)
    }
}

impl Shared {
    fn warn(&self, message: String, hint: Option<String>) {
        let mut warnings = lock(&self.warnings);
        let warning = Warning { message, hint };
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    /// The tier, open; nothing while it rests or if it cannot be opened.
    fn tier(&self, slot: &Slot) -> Option<Arc<dyn Tier>> {
        if slot.rests() {
            return None;
        }
        if let Some(tier) = slot.tier.get() {
            return Some(tier.clone());
        }
        match (slot.configured.open)() {
            Ok(tier) => Some(slot.tier.get_or_init(|| tier).clone()),
            Err(error) => {
                self.failed(slot, &error);
                None
            }
        }
    }

    /// A tier failed: it rests, and the first time it is said.
    fn failed(&self, slot: &Slot, error: &Error) {
        *lock(&slot.rests_until) = Some(Instant::now() + REST);
        self.say(slot, "cannot be used", error);
    }

    /// Warns of a tier, once.
    fn say(&self, slot: &Slot, what: &str, error: &Error) {
        tracing::debug!(%error, tier = slot.configured.name, what, "a tier failed");
        if !slot.warned.swap(true, Ordering::Relaxed) {
            let message = format!("the cache tier `{}` {what}: {error}", slot.configured.name);
            self.warn(message, error.hint().map(str::to_owned));
        }
    }

    /// Bytes and requests of everything that is open, as a sign of life.
    fn moved(&self) -> u64 {
        let tiers = self.slots.iter().filter_map(|slot| slot.tier.get());
        tiers.map(|tier| tier.moved()).map(|moved| moved.bytes + moved.requests).sum()
    }

    /// A thread that sends.
    fn work(&self) {
        let mut queue = lock(&self.queue);
        loop {
            let Some(job) = queue.waiting.pop_front() else {
                if queue.closed {
                    queue.threads -= 1;
                    return;
                }
                let waited = self.changed.wait_timeout(queue, Duration::from_secs(1));
                queue = waited.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            };
            queue.working += 1;
            drop(queue);
            self.send_unless_it_panics(&job);
            self.progress.fetch_add(1, Ordering::Relaxed);
            queue = lock(&self.queue);
            queue.working -= 1;
            queue.queued.remove(&(job.slot, job.action));
            self.changed.notify_all();
        }
    }

    /// Tiers may be anybody's code: one that panics must not keep [`Tiers::finish`] waiting.
    fn send_unless_it_panics(&self, job: &Job) {
        let sent = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.send(job)));
        if sent.is_err() {
            lock(&self.sent).given_up += 1;
            let error = Error::new(ErrorKind::Internal, "publish a result").with_message("it panicked");
            self.failed(&self.slots[job.slot], &error);
        }
    }

    fn send(&self, job: &Job) {
        let slot = &self.slots[job.slot];
        let tier = if slot.takes_nothing.load(Ordering::Relaxed) { None } else { self.tier(slot) };
        let Some(tier) = tier else {
            lock(&self.sent).given_up += 1;
            return;
        };
        match self.publish(slot, &*tier, job) {
            Ok(None) => {}
            Ok(Some(receipt)) => {
                slot.note(&job.action);
                let mut sent = lock(&self.sent);
                sent.results += u64::from(!receipt.present);
                sent.moved.add(receipt.sent);
            }
            Err(error) => {
                lock(&self.sent).given_up += 1;
                match error.kind() {
                    ErrorKind::NotFound => {
                        tracing::debug!(%error, "a result is not sent: its content is gone from the store");
                    }
                    // The tier is well, and this result is not for it.
                    ErrorKind::Invalid => self.say(slot, "does not take a result", &error),
                    // Whoever may only read goes on reading.
                    ErrorKind::Permission | ErrorKind::ReadOnly | ErrorKind::Full => {
                        slot.takes_nothing.store(true, Ordering::Relaxed);
                        self.say(slot, "takes no results", &error);
                    }
                    _ => self.failed(slot, &error),
                }
            }
        }
    }

    fn publish(&self, slot: &Slot, tier: &dyn Tier, job: &Job) -> Result<Option<Receipt>> {
        let replace = job.replace || slot.seen.is_bad(&job.action);
        self.runtime.handle()?.block_on(publish(&self.store, tier, &job.action, &job.label, replace))
    }
}
