//! Deletion in two phases, from any machine, with no lock: mark, wait, look again, delete.
//!
//! Why a pack that a result names is never deleted:
//! 1. A pack that no result names, and that is older than the [grace](CollectOptions::grace), is marked. From then on no
//!    writer takes it over from an earlier result; marks are believed for ten minutes, so eleven minutes later nobody
//!    does who did not know.
//! 2. A pack is deleted when its mark is older than the grace. Marks are listed before results, so every result
//!    that could name it is seen; one that is named loses its mark.
//! 3. Who writes the very same pack anew makes it young, and takes its mark away.
//!
//! Times are those of the place: its own clock writes them, and is asked for the time. A result that is used is written anew
//! when it is a week old (by the clock of who uses it); so the age of results says when they were last used, to two weeks: a
//! machine that keeps its store asks again after a week. A shorter [`CollectOptions::older_than`] deletes what is used.
//!
//! Every key of an encrypted tier has a room of its own: nothing is deleted whose names cannot be read.
//!
//! What is broken off in the middle loses nothing: results are deleted before what they name.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures::future::try_join_all;
use larder_core::{Error, ErrorKind, Hash, Result};

use super::PackedTier;
use super::seal::Seal;
use super::shelf::{Kind, Place, Shelf};

/// Requests at once.
const AT_ONCE: usize = 8;
/// The least time between mark and deletion: far more than marks are believed, and than a result takes to be written.
pub const LEAST_GRACE: Duration = Duration::from_secs(3600);

/// What is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectOptions {
    /// Results that were not written for so long are deleted; they are written anew weekly while they are used.
    pub older_than: Option<Duration>,
    /// How old a pack must be that no result names, and then how old its mark.
    pub grace: Duration,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// What was done, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Results that stay.
    pub results_kept: u64,
    /// Results that were deleted.
    pub results_deleted: u64,
    /// Packs that results name.
    pub packs_kept: u64,
    /// Bytes of them.
    pub bytes_kept: u64,
    /// Packs that were marked now.
    pub packs_marked: u64,
    /// Packs that are marked, or too young to be, and wait.
    pub packs_waiting: u64,
    /// Bytes of packs that are marked now or wait.
    pub bytes_waiting: u64,
    /// Packs that were deleted.
    pub packs_deleted: u64,
    /// Bytes of them.
    pub bytes_deleted: u64,
}

/// A place in which things can be listed and deleted.
#[async_trait]
pub(crate) trait Sweep: Shelf {
    /// What time it is there.
    async fn now(&self) -> Result<SystemTime>;

    /// Everything of a kind.
    async fn list(&self, namespace: &str, what: Listed) -> Result<Vec<Item>>;

    /// When something was written, if it is there.
    async fn written(&self, namespace: &str, what: Listed, name: &str) -> Result<Option<SystemTime>>;

    /// Deletes it; what is not there is no error.
    async fn delete(&self, namespace: &str, what: Listed, name: &str) -> Result<()>;

    /// Marks a pack.
    async fn mark(&self, namespace: &str, pack: &Hash) -> Result<()>;
}

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    /// Stored results.
    Results,
    /// Notes of recipes.
    Notes,
    /// Packs, by the hexadecimal digits of their names.
    Packs,
    /// Marks, by the packs' names.
    Marks,
}

/// Something that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// The last part of its name.
    pub(crate) name: String,
    /// Bytes.
    pub(crate) size: u64,
    /// When it was written, by the place's clock.
    pub(crate) written: SystemTime,
}

impl PackedTier {
    /// See [the module](self).
    pub(super) async fn sweep(
        &self,
        place: &dyn Sweep,
        namespace: &str,
        options: &CollectOptions,
    ) -> Result<Collected> {
        if options.grace < LEAST_GRACE {
            return Err(Error::new(ErrorKind::Invalid, "collect")
                .with_message("the grace is shorter than an hour")
                .with_hint("machines that are writing now need that time"));
        }
        let now = place.now().await?;
        let age = |item: &Item| now.duration_since(item.written).unwrap_or_default();
        // Marks first: see rule 2.
        let marks = place.list(namespace, Listed::Marks).await?;
        let results = place.list(namespace, Listed::Results).await?;
        let too_old = |item: &Item| options.older_than.is_some_and(|limit| age(item) > limit);
        let (old, live): (Vec<Item>, Vec<Item>) = results.into_iter().partition(too_old);
        let mut collected = Collected::default();
        let (named, broken) = self.named(namespace, &live).await?;
        collected.results_kept = (live.len() - broken.len()) as u64;
        let broken = live.iter().filter(|item| broken.contains(&item.name) && age(item) > options.grace);
        let gone: Vec<&Item> = old.iter().chain(broken).collect();
        collected.results_deleted = gone.len() as u64;
        let notes = match options.older_than {
            Some(_) => place.list(namespace, Listed::Notes).await?,
            None => Vec::new(),
        };
        if !options.dry_run {
            delete_all(place, namespace, Listed::Results, &gone).await?;
            let notes: Vec<&Item> = notes.iter().filter(|item| too_old(item)).collect();
            delete_all(place, namespace, Listed::Notes, &notes).await?;
        }
        let packs = place.list(namespace, Listed::Packs).await?;
        let marked: HashMap<&str, Duration> = marks.iter().map(|mark| (&mark.name[..], age(mark))).collect();
        for pack in &packs {
            let Some(name) = Hash::from_hex(&pack.name) else { continue };
            let mark = marked.get(&pack.name[..]);
            if named.contains(&name) {
                collected.packs_kept += 1;
                collected.bytes_kept += pack.size;
                if mark.is_some() && !options.dry_run {
                    place.delete(namespace, Listed::Marks, &pack.name).await?;
                }
                continue;
            }
            match mark {
                Some(since) if *since > options.grace && age(pack) > options.grace => {
                    if !options.dry_run && !delete_pack(place, namespace, pack, now, options.grace).await? {
                        continue;
                    }
                    collected.packs_deleted += 1;
                    collected.bytes_deleted += pack.size;
                    continue;
                }
                None if age(pack) > options.grace => {
                    collected.packs_marked += 1;
                    if !options.dry_run {
                        place.mark(namespace, &name).await?;
                    }
                }
                _ => collected.packs_waiting += 1,
            }
            collected.bytes_waiting += pack.size;
        }
        self.stray_marks(place, namespace, &marks, &packs, options).await?;
        Ok(collected)
    }

    /// Packs that `results` name, and results that nobody can read.
    async fn named(&self, namespace: &str, results: &[Item]) -> Result<(HashSet<Hash>, HashSet<String>)> {
        let (mut named, mut broken) = (HashSet::new(), HashSet::new());
        for some in results.chunks(AT_ONCE) {
            let reads: Vec<_> = some.iter().map(|item| self.packs_named(namespace, &item.name)).collect();
            for (item, packs) in some.iter().zip(try_join_all(reads).await?) {
                match packs {
                    Named::Packs(packs) => named.extend(packs),
                    Named::Garbage => {
                        broken.insert(item.name.clone());
                    }
                    Named::Gone => {}
                }
            }
        }
        Ok((named, broken))
    }

    /// What a result names. What only this machine cannot read ends the collection.
    async fn packs_named(&self, namespace: &str, name: &str) -> Result<Named> {
        let place = Place { namespace: namespace.to_owned(), kind: Kind::Result, name: name.to_owned() };
        let Some(object) = self.shelf.read(&place).await? else { return Ok(Named::Gone) };
        let not_mine = |message: &'static str| {
            Error::new(ErrorKind::Invalid, "collect")
                .with_message(message)
                .with("tier", self.shelf.name())
                .with_hint(
                    "what they name is not known, so nothing was deleted; collect where they are written",
                )
        };
        match self.decode(&place, &object.bytes) {
            Ok(stored) => Ok(Named::Packs(stored.pack_names())),
            Err(error) if error.kind() == ErrorKind::Version => {
                Err(not_mine("there are results of another version"))
            }
            Err(_) if Seal::is_sealed(&object.bytes) && self.seal.is_none() => {
                Err(not_mine("there are results that are encrypted, where none should be"))
            }
            Err(_) => Ok(Named::Garbage),
        }
    }

    /// Marks whose packs are gone.
    async fn stray_marks(
        &self,
        place: &dyn Sweep,
        namespace: &str,
        marks: &[Item],
        packs: &[Item],
        options: &CollectOptions,
    ) -> Result<()> {
        let there: HashSet<&str> = packs.iter().map(|pack| &pack.name[..]).collect();
        let stray: Vec<&Item> = marks.iter().filter(|mark| !there.contains(&mark.name[..])).collect();
        if options.dry_run { Ok(()) } else { delete_all(place, namespace, Listed::Marks, &stray).await }
    }
}

/// Deletes a marked pack, if nobody wrote it anew since it was listed.
async fn delete_pack(
    place: &dyn Sweep,
    namespace: &str,
    pack: &Item,
    now: SystemTime,
    grace: Duration,
) -> Result<bool> {
    let written = place.written(namespace, Listed::Packs, &pack.name).await?;
    let young = written.is_none_or(|at| now.duration_since(at).unwrap_or_default() <= grace);
    if young || place.written(namespace, Listed::Marks, &pack.name).await?.is_none() {
        return Ok(false);
    }
    place.delete(namespace, Listed::Packs, &pack.name).await?;
    place.delete(namespace, Listed::Marks, &pack.name).await?;
    Ok(true)
}

async fn delete_all(place: &dyn Sweep, namespace: &str, what: Listed, items: &[&Item]) -> Result<()> {
    let names: Vec<&str> = items.iter().map(|item| &item.name[..]).collect();
    for some in names.chunks(AT_ONCE) {
        let deletes: Vec<_> = some.iter().map(|name| place.delete(namespace, what, name)).collect();
        try_join_all(deletes).await?;
    }
    Ok(())
}

/// What a result object names.
enum Named {
    Packs(Vec<Hash>),
    /// It is none, to no version.
    Garbage,
    /// Somebody deleted it meanwhile.
    Gone,
}
