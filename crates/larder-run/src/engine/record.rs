//! A run that ended well: its outputs are captured and its result recorded, unless something speaks against it.

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::time::SystemTime;

use larder_core::{Digest, DigestFunction, ErrorKind};
use larder_reapi::{ActionResult, Any, ExecutedActionMetadata, Message, OutputDirectory, Timestamp};
use larder_store::action::LARGEST_TREE;
use larder_store::message::{encode, to_message};

use super::hit::{self, OnDisk};
use super::{Session, cache, timing};
use crate::event::Event;
use crate::key::Key;
use crate::outputs::{self, OutputSpec, Owned, Snapshot, capture, scan::Needles};
use crate::profile::Phase;
use crate::recipe::Recipe;
use larder_core::error::chain;

/// Type of the metadata that says that a result is bound to a place: its key with the place's salt has it.
pub(super) const BOUND_TO_PLACE: &str = "larder.dev/bound-to-place";

/// Type of the metadata that names the recipe, for people who look into a store.
const RECIPE_LABEL: &str = "larder.dev/recipe";
/// A longer label is not believed to be one.
const LONGEST_LABEL: usize = 1024;

/// The recipe that an encoded `ActionResult` is of, as whoever recorded it said. Only for showing.
#[must_use]
pub fn label_of(result: &[u8]) -> Option<String> {
    let result = ActionResult::decode(result).ok()?;
    let metadata = result.execution_metadata?;
    let any = metadata.auxiliary_metadata.into_iter().find(|any| any.type_url == RECIPE_LABEL)?;
    String::from_utf8(any.value).ok().filter(|label| label.len() <= LONGEST_LABEL)
}

/// Outputs as they were captured; already in the store if there is one.
pub(super) struct Captured {
    pub(super) tree_digest: Digest,
    pub(super) on_disk: OnDisk,
    pub(super) bound: bool,
    pub(super) log: Option<Digest>,
    /// The store could not take something.
    pub(super) unstored: Option<larder_core::Error>,
}

/// Why nothing was captured.
pub(super) enum CaptureError {
    /// The recipe did not do what it declares.
    Failed(String),
    /// The run was good, but cannot be recorded.
    Uncacheable(String),
}

/// Hashes without storing, for a run without a store.
struct HashOnly;

impl outputs::Sink for HashOnly {
    fn put(&self, file: &File, _size: u64, scan: &mut dyn FnMut(&[u8])) -> Result<Digest, outputs::BoxError> {
        use std::io::Read;
        let mut hasher = DigestFunction::Blake3.hasher();
        let mut buffer = vec![0; 128 << 10];
        let mut file = file;
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hasher.finish()),
                count => {
                    hasher.update(&buffer[..count]);
                    scan(&buffer[..count]);
                }
            }
        }
    }
}

/// Captures the outputs of a run.
pub(super) fn capture(
    session: &Session<'_>,
    recipe: &Recipe,
    spec: &OutputSpec,
    owned: &Owned,
    before: &Snapshot,
) -> Result<Captured, CaptureError> {
    let _counting = timing::enter(Phase::Capture);
    let needles = Needles::new([session.root.as_os_str().as_bytes()]);
    session.worktree.wait_tick();
    let since = session.worktree.now();
    let sink = if session.options.write_cache { session.cache.sink() } else { None };
    let taken = match &sink {
        Some(sink) => capture::capture(&session.root_dir, spec, owned, before, &needles, sink),
        None => capture::capture(&session.root_dir, spec, owned, before, &needles, &HashOnly),
    };
    let (taken, mut unstored) = match taken {
        // The store is full or broken: the build goes on, and the outputs are only hashed.
        Err(error @ outputs::Error::Content { .. }) if sink.is_some() => {
            let again = capture::capture(&session.root_dir, spec, owned, before, &needles, &HashOnly);
            (again.map_err(|error| sort(session, recipe, error))?, Some(refused(&error)))
        }
        other => (other.map_err(|error| sort(session, recipe, error))?, None),
    };
    hit::teach(session, &taken.tree, &taken.stats, since);
    let tree = taken.tree.to_message(DigestFunction::Blake3);
    let (tree_digest, tree_bytes) = encode(DigestFunction::Blake3, &tree);
    if tree_bytes.len() as u64 > LARGEST_TREE {
        let hint = "split the recipe: fewer files, or an archive of them";
        let message = format!("its outputs are too many to be listed in {} MiB", LARGEST_TREE >> 20);
        let error = larder_core::Error::new(ErrorKind::Invalid, "record outputs");
        unstored.get_or_insert(error.with("recipe", &recipe.id).with_message(message).with_hint(hint));
    }
    let mut log = None;
    let bound = taken.contains_root;
    if let Some(sink) = sink.filter(|_| unstored.is_none()) {
        match store_rest(session, recipe, sink, &tree_bytes) {
            Ok(digest) => log = Some(digest),
            Err(error) => unstored = Some(error),
        }
    }
    let globbed = hit::globbed(spec, &taken.tree);
    let on_disk_spec = hit::on_disk_spec(recipe, spec, &globbed);
    let own = outputs::own(spec, &taken.tree, &taken.stats);
    own.save(session.state.folder(), &recipe.id).map_err(|error| CaptureError::Failed(chain(&error)))?;
    let root = tree.root.as_ref().map(|root| encode(DigestFunction::Blake3, root).0).unwrap_or(tree_digest);
    session.state.set_placed(&recipe.id, Some(hit::placed(&tree_digest, &tree, globbed)));
    let bound = (bound && !recipe.relocatable) || recipe.incremental;
    Ok(Captured { tree_digest, on_disk: OnDisk { spec: on_disk_spec, root }, bound, log, unstored })
}

/// Why the store took nothing: the last cause is what a person can mend.
fn refused(error: &outputs::Error) -> larder_core::Error {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    larder_core::Error::new(ErrorKind::Io, "write to the store").with_message(cause.to_string())
}

fn sort(session: &Session<'_>, recipe: &Recipe, error: outputs::Error) -> CaptureError {
    if session.options.lenient_outputs && matches!(error, outputs::Error::Missing { .. }) {
        let message = chain(&error);
        let hint = Some("it is not cached; in `larder.yml` it would have failed");
        (session.events)(Event::Warning { recipe: Some(&recipe.id), message: &message, hint });
        return CaptureError::Uncacheable(message);
    }
    if error.is_uncacheable() {
        CaptureError::Uncacheable(chain(&error))
    } else {
        CaptureError::Failed(chain(&error))
    }
}

/// Stores tree and log, and makes everything visible.
fn store_rest(
    session: &Session<'_>,
    recipe: &Recipe,
    sink: cache::StoreSink<'_>,
    tree: &[u8],
) -> Result<Digest, larder_core::Error> {
    sink.put_bytes(tree)?;
    let path = session.state.log_path(&recipe.id);
    let file = File::open(&path).map_err(|error| larder_core::Error::from_io(error, "read the log"))?;
    // A path in a log is no reason to run again elsewhere: it is only ever replayed.
    let log = sink.put_file(&file, &mut |_| {})?;
    sink.commit()?;
    Ok(log)
}

fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp { seconds: since.as_secs() as i64, nanos: since.subsec_nanos() as i32 }
}

/// Records the result under `key` (or under `bound_key`, with a marker under `key`, if it is bound to this place).
pub(super) fn record(
    session: &Session<'_>,
    recipe: &Recipe,
    key: &Key,
    bound_key: &Key,
    captured: &Captured,
    (began, ended): (SystemTime, SystemTime),
) -> Result<(), larder_core::Error> {
    let _counting = timing::enter(Phase::Record);
    let label = recipe.id.to_string();
    let named = Any { type_url: RECIPE_LABEL.into(), value: label.clone().into_bytes() };
    let metadata = ExecutedActionMetadata {
        auxiliary_metadata: vec![named.clone()],
        worker: "larder".into(),
        execution_start_timestamp: Some(timestamp(began)),
        execution_completed_timestamp: Some(timestamp(ended)),
        ..ExecutedActionMetadata::default()
    };
    let result = ActionResult {
        output_directories: vec![OutputDirectory {
            path: String::new(),
            tree_digest: Some(to_message(&captured.tree_digest)),
            is_topologically_sorted: true,
            root_directory_digest: None,
        }],
        stdout_digest: captured.log.as_ref().map(to_message),
        execution_metadata: Some(metadata.clone()),
        ..ActionResult::default()
    };
    if captured.bound {
        session.cache.record(&bound_key.digest, &result, &label)?;
        let marker = Any { type_url: BOUND_TO_PLACE.into(), value: Vec::new() };
        let metadata = ExecutedActionMetadata { auxiliary_metadata: vec![marker, named], ..metadata };
        let marker = ActionResult { execution_metadata: Some(metadata), ..ActionResult::default() };
        return session.cache.record(&key.digest, &marker, &label);
    }
    session.cache.record(&key.digest, &result, &label)?;
    session.cache.offer(&key.digest, &label);
    Ok(())
}

/// Whether a result only says that another place made it.
pub(super) fn is_bound_marker(result: &ActionResult) -> bool {
    let metadata = result.execution_metadata.as_ref();
    metadata
        .is_some_and(|metadata| metadata.auxiliary_metadata.iter().any(|any| any.type_url == BOUND_TO_PLACE))
}
