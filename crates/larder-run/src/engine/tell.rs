//! What other machines are told of a run, where tiers take results: of each key that was recorded, what it was computed from; and which
//! key each recipe had. See [`crate::records`].
//!
//! Nothing here can fail a run, and nothing is done where nothing is sent. What is bound to this place is not told of.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use larder_core::Digest;

use super::Session;
use crate::recipe::RecipeId;
use crate::records::KeyRecord;
use crate::records::exchange::{self, Run};
use crate::records::runs::{InRun, RunRecord};
use crate::state::KeyItem;

/// What there is to tell.
#[derive(Debug, Default)]
pub(super) struct Telling {
    keys: Mutex<BTreeMap<String, InRun>>,
    /// Something was recorded and sent.
    is_news: AtomicBool,
}

impl Session<'_> {
    /// Notes which key a recipe has in this run.
    pub(super) fn know_key(&self, recipe: &RecipeId, key: &Digest) {
        if self.cache.telling().is_none() || self.options.dry_run {
            return;
        }
        let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let in_run = InRun { key: key.to_string(), at, run: self.options.name.clone() };
        let mut keys = self.telling.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.insert(recipe.to_string(), in_run);
    }

    /// Tells what the key of a result was computed from that was just recorded and offered to tiers.
    pub(super) fn tell_key(&self, recipe: &RecipeId, key: &Digest, items: &[KeyItem]) {
        let Some((store, upstream)) = self.cache.telling() else { return };
        let Some(record) = KeyRecord::new(items) else { return };
        match exchange::tell_key(store, upstream, recipe, key, &record) {
            Ok(()) => self.telling.is_news.store(true, Ordering::Relaxed),
            Err(error) => tracing::debug!(%error, "a key cannot be told of"),
        }
    }

    /// Tells which key each recipe had: under the run's name, and as the latest where there is news.
    pub(super) fn tell_run(&self) {
        let Some((store, upstream)) = self.cache.telling() else { return };
        let keys = std::mem::take(&mut *self.telling.keys.lock().unwrap_or_else(PoisonError::into_inner));
        let is_news = self.telling.is_news.load(Ordering::Relaxed);
        let tell = |run, record: &RunRecord| {
            if let Err(error) = exchange::tell_run(store, upstream, self.project, run, record) {
                tracing::debug!(%error, "the run's keys cannot be told of");
            }
        };
        if is_news {
            // Two runs at once: what one of them adds may be lost, and comes again with the next.
            let mut latest =
                exchange::run_record(store, upstream, self.project, Run::Latest).unwrap_or_default();
            latest.recipes.extend(keys.iter().map(|(recipe, in_run)| (recipe.clone(), in_run.clone())));
            tell(Run::Latest, &latest);
        }
        if let Some(name) = self.options.name.as_deref().filter(|_| !keys.is_empty()) {
            tell(Run::Named(name), &RunRecord { recipes: keys });
        }
    }
}
