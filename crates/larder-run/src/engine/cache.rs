//! The store as the engine needs it. Without a store, and with one that breaks, every look-up is a miss and nothing is
//! recorded; the first time something breaks it is said, once.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Mutex, PoisonError};

use larder_core::{Digest, Error, ErrorKind};
use larder_reapi::{ActionResult, Message, Tree};
use larder_store::action::LARGEST_TREE;
use larder_store::store::{Ask, Check, Fetched, Hit, LOCAL_TIER, Note, Upstream};
use larder_store::{ActionDigest, LookUp, Miss, Store, StoreWriter};

use super::timing;
use crate::outputs::{BoxError, Holds, Sink, Source};
use crate::profile::Phase;

/// Which of store and remote tiers is asked, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Order {
    /// The store, then the tiers.
    #[default]
    LocalFirst,
    /// The tiers, then the store.
    RemoteFirst,
    /// The tiers alone; the store only takes what they have.
    RemoteOnly,
}

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Store,
    Tiers,
}

/// The store, or none, and what stands behind it.
pub(crate) struct Cache<'a> {
    store: Option<&'a Store>,
    upstream: Option<&'a dyn Upstream>,
    order: Order,
    /// What the tiers were asked for: once a run is enough, and where it came from.
    asked: Mutex<HashMap<Digest, Option<&'static str>>>,
    trouble: Mutex<Option<Error>>,
}

impl<'a> Cache<'a> {
    pub(crate) fn new(store: Option<&'a Store>, upstream: Option<&'a dyn Upstream>, order: Order) -> Self {
        Self { store, upstream, order, asked: Mutex::default(), trouble: Mutex::new(None) }
    }

    /// Whether anything can be recorded.
    pub(crate) fn is_there(&self) -> bool {
        self.store.is_some()
    }

    /// Takes note of what went wrong: the first is said at the end of the run, once.
    pub(crate) fn note(&self, error: Error) {
        tracing::debug!(%error, "store");
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// What went wrong first, once.
    pub(crate) fn take_trouble(&self) -> Option<Error> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The trusted result of an action; `Err`: why there is none. `label` is the recipe, for the event log. `in_place`:
    /// the caller has the outputs already if the result is what it thinks, so its blobs need not be there.
    pub(crate) fn look_up(
        &self,
        action: &Digest,
        label: &str,
        in_place: bool,
        note: Note,
    ) -> Result<Hit, String> {
        let Some(store) = self.store else { return Err("there is no cache".into()) };
        let check = if in_place { Check::ResultOnly } else { Check::AllBlobs };
        let look = |from, note| {
            store.look_up_one(Ask { action: ActionDigest(*action), label: Some(label), check, note, from })
        };
        let steps: &[Step] = match self.order {
            Order::LocalFirst => &[Step::Store, Step::Tiers],
            Order::RemoteFirst => &[Step::Tiers, Step::Store],
            Order::RemoteOnly => &[Step::Tiers],
        };
        let (mut why, mut missed) = (None, None);
        for step in steps {
            let from = match step {
                Step::Store => self.brought_from(action),
                Step::Tiers => match self.ask(action, label) {
                    Ok(tier) => tier,
                    Err(said) => {
                        why = Some(said).filter(|said| !said.is_empty());
                        continue;
                    }
                },
            };
            // One look-up is one miss, however many were asked.
            let note = if missed.is_some() && note == Note::All { Note::Hits } else { note };
            match look(from, note) {
                LookUp::Hit(hit) => return Ok(*hit),
                LookUp::Miss(miss) => missed = Some(miss),
            }
            if *step == Step::Tiers {
                break;
            }
        }
        Err(why.or_else(|| missed.map(|miss| self.explain(miss))).unwrap_or_default())
    }

    /// The tier that brought the result in this run; else the store has it of itself.
    fn brought_from(&self, action: &Digest) -> &'static str {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.get(action).copied().flatten().unwrap_or(LOCAL_TIER)
    }

    /// Asks the tiers, once a run for each action; the one that brought the result. `Err`: what is worth telling.
    fn ask(&self, action: &Digest, label: &str) -> Result<&'static str, String> {
        let nothing = || match self.order {
            Order::RemoteOnly => "no tier has it".into(),
            Order::LocalFirst | Order::RemoteFirst => String::new(),
        };
        let Some(upstream) = self.upstream else { return Err(nothing()) };
        if let Some(known) = self.asked.lock().unwrap_or_else(PoisonError::into_inner).get(action) {
            return known.ok_or_else(nothing);
        }
        let counting = timing::enter(Phase::Fetch);
        let fetched = upstream.fetch(&ActionDigest(*action), label);
        drop(counting);
        let tier = match &fetched {
            Fetched::Hit { tier, .. } => Some(*tier),
            Fetched::Miss(_) => None,
        };
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(*action, tier);
        match fetched {
            Fetched::Hit { tier, .. } => Ok(tier),
            Fetched::Miss(why) => Err(why.unwrap_or_else(nothing)),
        }
    }

    /// Tells the tiers that the store has a result.
    pub(crate) fn offer(&self, action: &Digest, label: &str) {
        if let Some(upstream) = self.upstream {
            upstream.offer(&ActionDigest(*action), label);
        }
    }

    /// Where results go to: the store and the tiers behind it, if anything is sent to these.
    pub(crate) fn telling(&self) -> Option<(&'a Store, &'a dyn Upstream)> {
        Some((self.store?, self.upstream.filter(|upstream| upstream.sends())?))
    }

    fn explain(&self, miss: Miss) -> String {
        match miss {
            Miss::Absent => "no result for these inputs".into(),
            Miss::Incomplete(missing) => format!("{} of its blobs are gone from the cache", missing.len()),
            Miss::Corrupt(error) => format!("the recorded result is damaged: {error}"),
            Miss::Untrusted(rejected) => {
                let message = format!("a recorded result is not believed: {rejected}");
                self.note(Error::new(ErrorKind::Untrusted, "look up a result").with_message(message.clone()));
                message
            }
            Miss::Unavailable(error) => {
                let message = format!("the cache cannot be read: {error}");
                self.note(Error::new(error.kind(), "look up a result").with_message(message.clone()));
                message
            }
            _ => "the result cannot be used".into(),
        }
    }

    /// The tree of a result.
    pub(crate) fn tree(&self, digest: &Digest) -> Result<Tree, Error> {
        let store = self.store.ok_or_else(|| Error::new(ErrorKind::NotFound, "read a tree"))?;
        let bytes = store.get(digest, LARGEST_TREE)?;
        let malformed =
            |error| Error::new(ErrorKind::Corrupt, "read a tree").with("digest", digest).caused_by(error);
        Tree::decode(bytes.as_slice()).map_err(malformed)
    }

    /// Content of a small blob.
    pub(crate) fn read(&self, digest: &Digest, sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        let store = self.store.ok_or_else(|| Error::new(ErrorKind::NotFound, "read a blob"))?;
        store.read(digest, 0..digest.size, &mut |piece| {
            sink(piece);
            Ok(())
        })
    }

    /// Takes outputs.
    pub(crate) fn sink(&self) -> Option<StoreSink<'a>> {
        self.store.map(|store| StoreSink { store, idle: Mutex::new(Vec::new()) })
    }

    /// Records the result of an action.
    pub(crate) fn record(&self, action: &Digest, result: &ActionResult, label: &str) -> Result<(), Error> {
        match self.store {
            Some(store) => store.record_as(&ActionDigest(*action), result, Some(label)).map(drop),
            None => Ok(()),
        }
    }
}

impl Source for Cache<'_> {
    fn expect(&self, digests: &[Digest]) {
        if let Some(store) = self.store {
            store.expect(digests);
        }
    }

    fn write_to(&self, digest: &Digest, out: &File) -> Result<(), BoxError> {
        let store = self.store.ok_or_else(|| Error::new(ErrorKind::NotFound, "restore a file"))?;
        Ok(store.write_to(digest, out)?)
    }
}

impl Holds for Cache<'_> {
    fn holds_all(&self, digests: &[Digest]) -> bool {
        self.store.is_some_and(|store| store.find_missing(digests).is_ok_and(|missing| missing.is_empty()))
    }
}

/// Takes outputs from several threads; each uses a writer of its own, and all are committed together.
pub(crate) struct StoreSink<'a> {
    store: &'a Store,
    idle: Mutex<Vec<StoreWriter<'a>>>,
}

impl<'a> StoreSink<'a> {
    fn with<T>(&self, work: impl FnOnce(&mut StoreWriter<'a>) -> Result<T, Error>) -> Result<T, Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut writer = match idle {
            Some(writer) => writer,
            None => self.store.writer()?,
        };
        let result = work(&mut writer);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(writer);
        result
    }

    /// Takes bytes.
    pub(crate) fn put_bytes(&self, bytes: &[u8]) -> Result<Digest, Error> {
        self.with(|writer| writer.put_bytes(bytes))
    }

    /// Takes a whole file.
    pub(crate) fn put_file(&self, file: &File, scan: &mut dyn FnMut(&[u8])) -> Result<Digest, Error> {
        self.with(|writer| writer.put_file(file, scan))
    }

    /// Makes everything visible.
    pub(crate) fn commit(self) -> Result<(), Error> {
        let writers = self.idle.into_inner().unwrap_or_else(PoisonError::into_inner);
        writers.into_iter().try_for_each(|writer| writer.commit().map(drop))
    }
}

impl Sink for StoreSink<'_> {
    fn put(&self, file: &File, size: u64, scan: &mut dyn FnMut(&[u8])) -> Result<Digest, BoxError> {
        tracing::trace!(size, "capture a file");
        Ok(self.with(|writer| writer.put_file(file, scan))?)
    }
}
