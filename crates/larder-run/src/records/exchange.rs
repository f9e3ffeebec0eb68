//! Records in a store and its tiers: each is the metadata of a result without content, under a digest of its own.
//!
//! ```text
//! key record    BLAKE3 of  "larder key record 1" NUL "key" NUL  digest of the key, as text
//! run record               "larder key record 1" NUL "run" NUL  project NUL name
//! latest                   "larder key record 1" NUL "latest" NUL  project
//! ```
//! None of these texts is an encoded action, so that no record is ever found in a result's place. They are sealed, signed, encrypted
//! and believed like all results. A key record is written once; run records replace what is there.

use larder_core::Digest;
use larder_reapi::{ActionResult, Any, ExecutedActionMetadata, Message};
use larder_store::store::{Ask, Check, Fetched, LOCAL_TIER, Note, Upstream};
use larder_store::{ActionDigest, LookUp, Store};

use super::KeyRecord;
use super::runs::{InRun, RunRecord};
use crate::recipe::RecipeId;

/// Type of the metadata that is a key record.
const KEY_RECORD: &str = "larder.dev/key-record";
/// Type of the metadata that is a run record.
const RUN_RECORD: &str = "larder.dev/run-record";

/// Which run of another machine is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run<'a> {
    /// The newest one in which the recipe was.
    Latest,
    /// The newest of this name.
    Named(&'a str),
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The recipe in the run.
    pub in_run: InRun,
    /// What its key was computed from.
    pub record: KeyRecord,
}

/// Why nothing was found; with what a tier said, if it said something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// No such run.
    Run(Option<String>),
    /// The recipe was not in it.
    Recipe,
    /// It was, and there is no record of its key.
    Record(Option<String>),
}

fn named(parts: &[&str]) -> Digest {
    Digest::blake3(parts.join("\0").as_bytes())
}

fn key_place(key: &Digest) -> Digest {
    named(&["larder key record 1", "key", &key.to_string()])
}

/// Where the record of a run is.
pub(crate) fn run_place(project: &str, run: Run<'_>) -> Digest {
    match run {
        Run::Latest => named(&["larder key record 1", "latest", project]),
        Run::Named(name) => named(&["larder key record 1", "run", project, name]),
    }
}

fn carry(kind: &str, value: Vec<u8>) -> ActionResult {
    let metadata = ExecutedActionMetadata {
        worker: "larder".into(),
        auxiliary_metadata: vec![Any { type_url: kind.to_owned(), value }],
        ..ExecutedActionMetadata::default()
    };
    ActionResult { execution_metadata: Some(metadata), ..ActionResult::default() }
}

fn carried(result: ActionResult, kind: &str) -> Option<Vec<u8>> {
    let metadata = result.execution_metadata?.auxiliary_metadata;
    metadata.into_iter().find(|any| any.type_url == kind).map(|any| any.value)
}

/// Whether an encoded `ActionResult` is a record, and nothing that a recipe made.
#[must_use]
pub fn is_record(result: &[u8]) -> bool {
    let metadata = ActionResult::decode(result).ok().and_then(|result| result.execution_metadata);
    let is = |any: &Any| [KEY_RECORD, RUN_RECORD].contains(&any.type_url.as_str());
    metadata.is_some_and(|metadata| metadata.auxiliary_metadata.iter().any(is))
}

/// Brings a record from the tiers. `Err`: what a tier said.
fn ask(
    store: &Store,
    upstream: &dyn Upstream,
    place: &Digest,
    kind: &str,
    label: &str,
) -> Result<Vec<u8>, Option<String>> {
    let action = ActionDigest(*place);
    if let Fetched::Miss(why) = upstream.fetch(&action, label) {
        return Err(why);
    }
    let ask =
        Ask { action, label: Some(label), check: Check::ResultOnly, note: Note::Nothing, from: LOCAL_TIER };
    match store.look_up_one(ask) {
        LookUp::Hit(hit) => carried(hit.result, kind).ok_or_else(|| Some("it is no record".to_owned())),
        LookUp::Miss(_) => Err(None),
    }
}

/// How events and lists of the store call a key record.
fn label_of_key(recipe: &str) -> String {
    format!("key of {recipe}")
}

fn label_of_run(run: Run<'_>) -> String {
    match run {
        Run::Latest => "latest keys".to_owned(),
        Run::Named(name) => format!("keys of run {name}"),
    }
}

/// The record of a run, as a tier has it.
pub(crate) fn run_record(
    store: &Store,
    upstream: &dyn Upstream,
    project: &str,
    run: Run<'_>,
) -> Result<RunRecord, Option<String>> {
    let bytes = ask(store, upstream, &run_place(project, run), RUN_RECORD, &label_of_run(run))?;
    RunRecord::decode(&bytes).ok_or_else(|| Some("it is of another Larder".to_owned()))
}

/// Sends the record of a run, in place of what is there.
pub(crate) fn tell_run(
    store: &Store,
    upstream: &dyn Upstream,
    project: &str,
    run: Run<'_>,
    record: &RunRecord,
) -> Result<(), larder_core::Error> {
    let Some(bytes) = record.encode() else { return Ok(()) };
    let (place, label) = (ActionDigest(run_place(project, run)), label_of_run(run));
    store.record_as(&place, &carry(RUN_RECORD, bytes), Some(&label))?;
    upstream.replace(&place, &label);
    Ok(())
}

/// Sends the record of a key.
pub(crate) fn tell_key(
    store: &Store,
    upstream: &dyn Upstream,
    recipe: &RecipeId,
    key: &Digest,
    record: &KeyRecord,
) -> Result<(), larder_core::Error> {
    let Some(bytes) = record.encode() else { return Ok(()) };
    let (place, label) = (ActionDigest(key_place(key)), label_of_key(&recipe.to_string()));
    store.record_as(&place, &carry(KEY_RECORD, bytes), Some(&label))?;
    upstream.offer(&place, &label);
    Ok(())
}

/// What a recipe's key was computed from in a run of another machine, as the tiers know it.
///
/// # Errors
/// [`Missing`].
pub fn find(
    store: &Store,
    upstream: &dyn Upstream,
    project: &str,
    run: Run<'_>,
    recipe: &RecipeId,
) -> Result<Found, Missing> {
    let record = run_record(store, upstream, project, run).map_err(Missing::Run)?;
    let name = recipe.to_string();
    let in_run = record.recipes.get(&name).cloned().ok_or(Missing::Recipe)?;
    let key = in_run.digest().ok_or(Missing::Record(None))?;
    let bytes =
        ask(store, upstream, &key_place(&key), KEY_RECORD, &label_of_key(&name)).map_err(Missing::Record)?;
    let record = KeyRecord::decode(&bytes)
        .ok_or_else(|| Missing::Record(Some("it is of another Larder".to_owned())))?;
    Ok(Found { in_run, record })
}
