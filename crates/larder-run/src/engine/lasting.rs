//! What outlives a run when the same plan is run again and again: servers, and what recipes without `cache` last ran for.
//!
//! Each recipe has an *identity* in a run: its own key, and a mark of each recipe that it depends on. The mark of a recipe with outputs is their
//! digest; of one that has none to compare it changes whenever it ran (or, with `cache: {outputs: []}`, with its key).
//! - A server lives on while its identity is the same. If it is another, it ends at its turn and begins again when it is wanted.
//! - A recipe without `cache` is not run again while its identity is the same, it ran well, and nobody said that its files changed
//!   ([`Lasting::disturb`]).
//!
//! # Concurrency
//! Each server has a thread of its own, which holds the recipe's lock until nothing of the server lives. Only [`Lasting::close`], or dropping the last
//! handle, ends them all: each before what it depends on, because that began earlier.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use larder_core::{Digest, DigestFunction};

use super::execute::{Bounds, execute};
use super::schedule::Made;
use super::{Options, Session};
use crate::event::{Event, Outcome};
use crate::lock::RecipeLock;
use crate::process::CancelToken;
use crate::recipe::{Recipe, RecipeId};
use crate::worktree::Worktree;
use larder_core::error::chain;

/// How often a run looks whether it ends while it waits for a server to fail.
const BEAT: Duration = Duration::from_millis(100);

/// See the module's header. The servers end when it is dropped.
pub struct Lasting {
    shared: Arc<Shared>,
}

struct Shared {
    inner: Mutex<Inner>,
    changed: Condvar,
    events: Box<dyn Fn(Event<'_>) + Send + Sync>,
    ended: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct Inner {
    servers: BTreeMap<RecipeId, Live>,
    settled: BTreeMap<RecipeId, Settled>,
    count: u64,
}

struct Live {
    /// `None`: it shall not live on.
    identity: Option<Digest>,
    mark: Digest,
    begun: u64,
    end: CancelToken,
    thread: Option<JoinHandle<()>>,
    over: Option<(Outcome, Duration)>,
}

struct Settled {
    identity: Digest,
    mark: Digest,
}

impl std::fmt::Debug for Lasting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lasting").finish_non_exhaustive()
    }
}

/// What a recipe is in this run. See the module's header.
pub(super) fn identity(made: &Made, dependencies: &[Made]) -> Digest {
    let mut hasher = DigestFunction::Blake3.hasher();
    for digest in std::iter::once(made.digest).chain(dependencies.iter().map(|on| on.mark.or(on.digest))) {
        hasher.update(digest.map(|digest| digest.to_string()).unwrap_or_default().as_bytes());
        hasher.update(b"\n");
    }
    hasher.finish()
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn mark(&mut self, identity: &Digest) -> Digest {
        self.count += 1;
        Digest::blake3(format!("{identity} {}", self.count).as_bytes())
    }
}

/// Everything that a server's thread needs of the run in which it began.
struct Ground {
    project: String,
    root: PathBuf,
    worktree: Arc<Worktree>,
    options: Options,
    run: String,
    recipe: Recipe,
    args: Vec<String>,
}

impl Ground {
    fn run(&self, shared: &Shared, lock: &RecipeLock, end: &CancelToken) -> Outcome {
        let failed = |error: &dyn std::error::Error| Outcome::Failed { reason: chain(error), hint: None };
        let events = |event: Event<'_>| (shared.events)(event);
        let (options, cancel, run) = (self.options.clone(), end.clone(), self.run.clone());
        let (project, root, worktree) = (&self.project, &self.root, &self.worktree);
        let session = match Session::new(project, root, worktree, None, None, options, cancel, run, &events) {
            Ok(session) => session,
            Err(error) => return failed(&error),
        };
        match execute(&session, &self.recipe, &self.args, lock, end, Bounds::default()) {
            Ok(_) => Outcome::Ran { miss: None, not_cached: None, unchanged: false },
            Err(failure) if failure.cancelled => Outcome::Cancelled,
            Err(failure) => Outcome::Failed { reason: failure.reason, hint: failure.hint },
        }
    }
}

impl Lasting {
    /// Nothing yet. `events`: told the output of servers, from any thread, also between runs. `ended`: called when a server ended by itself.
    pub fn new(
        events: impl Fn(Event<'_>) + Send + Sync + 'static,
        ended: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let shared = Shared {
            inner: Mutex::default(),
            changed: Condvar::new(),
            events: Box::new(events),
            ended: Box::new(ended),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Servers that ended by themselves since the last call, how, and how long they lived.
    #[must_use]
    pub fn take_ended(&self) -> Vec<(RecipeId, Outcome, Duration)> {
        let mut inner = self.shared.lock();
        let over: Vec<RecipeId> =
            inner.servers.iter().filter(|(_, live)| live.over.is_some()).map(|(id, _)| id.clone()).collect();
        let taken = over.into_iter().filter_map(|id| {
            let (outcome, lived) = inner.servers.remove(&id)?.over?;
            Some((id, outcome, lived))
        });
        taken.collect()
    }

    /// How many servers live.
    #[must_use]
    pub fn servers(&self) -> usize {
        self.shared.lock().servers.values().filter(|live| live.over.is_none()).count()
    }

    /// Files that may concern these recipes changed: those without `cache` run again, servers begin again.
    pub fn disturb(&self, recipes: &BTreeSet<RecipeId>) {
        let mut inner = self.shared.lock();
        for id in recipes {
            inner.settled.remove(id);
            if let Some(live) = inner.servers.get_mut(id) {
                live.identity = None;
            }
        }
    }

    /// Anything may have changed: all recipes without `cache` run again.
    pub fn disturb_all(&self) {
        self.shared.lock().settled.clear();
    }

    /// Ends the servers that are none of these recipes, and forgets what is known of others.
    pub fn keep(&self, recipes: &BTreeSet<RecipeId>) {
        let mut inner = self.shared.lock();
        inner.settled.retain(|id, _| recipes.contains(id));
        let strangers = inner.servers.keys().filter(|id| !recipes.contains(*id)).cloned().collect();
        drop(inner);
        self.end_all(strangers);
    }

    /// Ends all servers and waits until nothing of them lives.
    pub fn close(&self) {
        let all = self.shared.lock().servers.keys().cloned().collect();
        self.end_all(all);
    }

    fn end_all(&self, mut ids: Vec<RecipeId>) {
        let inner = self.shared.lock();
        ids.sort_by_key(|id| std::cmp::Reverse(inner.servers.get(id).map(|live| live.begun)));
        drop(inner);
        ids.iter().for_each(|id| self.end(id));
    }

    /// Ends one, if it lives.
    pub(super) fn end(&self, id: &RecipeId) {
        let live = self.shared.lock().servers.remove(id);
        if let Some(Live { end, thread: Some(thread), .. }) = live {
            end.cancel();
            if thread.join().is_err() {
                tracing::warn!(server = %id, "its thread panicked");
            }
        }
    }

    /// A server's turn has come. Its mark for dependents, and whether it lives on.
    pub(super) fn turn(&self, id: &RecipeId, identity: &Digest) -> (Digest, bool) {
        let mut inner = self.shared.lock();
        match inner.servers.get(id) {
            Some(live) if live.over.is_none() && live.identity == Some(*identity) => (live.mark, true),
            _ => (inner.mark(identity), false),
        }
    }

    /// Begins a server in a thread of its own.
    pub(super) fn begin(
        &self,
        (session, worktree): (&Session<'_>, &Arc<Worktree>),
        (recipe, args): (&Recipe, &[String]),
        lock: RecipeLock,
        (identity, mark): (Digest, Digest),
    ) -> std::io::Result<()> {
        let end = CancelToken::new()?;
        let ground = Ground {
            project: session.project.to_owned(),
            root: session.root.clone(),
            worktree: Arc::clone(worktree),
            options: session.options.clone(),
            run: session.run.clone(),
            recipe: recipe.clone(),
            args: args.to_vec(),
        };
        // The thread cannot tell its end before it is entered here.
        let mut inner = self.shared.lock();
        inner.count += 1;
        let begun = inner.count;
        let (shared, its_end) = (Arc::clone(&self.shared), end.clone());
        let thread = std::thread::Builder::new().name("server".to_owned()).spawn(move || {
            let since = Instant::now();
            let outcome = ground.run(&shared, &lock, &its_end);
            drop(lock);
            if let Some(live) = shared.lock().servers.get_mut(&ground.recipe.id)
                && live.begun == begun
            {
                live.over = Some((outcome, since.elapsed()));
                live.thread = None;
            }
            shared.changed.notify_all();
            (shared.ended)();
        })?;
        let live = Live { identity: Some(identity), mark, begun, end, thread: Some(thread), over: None };
        inner.servers.insert(recipe.id.clone(), live);
        Ok(())
    }

    /// Waits until the server ended by itself, or `is_over`. Its end, which nobody else is told.
    pub(super) fn attend(&self, id: &RecipeId, is_over: impl Fn() -> bool) -> Option<(Outcome, Duration)> {
        let mut inner = self.shared.lock();
        loop {
            if inner.servers.get(id)?.over.is_some() {
                return inner.servers.remove(id)?.over;
            }
            if is_over() {
                return None;
            }
            let waited = self.shared.changed.wait_timeout(inner, BEAT);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Wakes those that attend.
    pub(super) fn nudge(&self) {
        let _inner = self.shared.lock();
        self.shared.changed.notify_all();
    }

    /// The mark of a recipe without `cache` that need not run again.
    pub(super) fn settled(&self, id: &RecipeId, identity: &Digest) -> Option<Digest> {
        let mut inner = self.shared.lock();
        // Whatever comes of it now: what it was before does not count any more.
        let settled = inner.settled.remove(id).filter(|settled| settled.identity == *identity)?;
        let mark = settled.mark;
        inner.settled.insert(id.clone(), settled);
        Some(mark)
    }

    /// A recipe without `cache` ran well. Its mark from now on.
    pub(super) fn settle(&self, id: &RecipeId, identity: Digest) -> Digest {
        let mut inner = self.shared.lock();
        let mark = inner.mark(&identity);
        inner.settled.insert(id.clone(), Settled { identity, mark });
        mark
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        self.close();
    }
}
