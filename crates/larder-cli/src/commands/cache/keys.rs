//! How keys of results and digests of blobs are typed and shown.
//!
//! A result's key is shown as the hash and size of its action, `91c0…/142`. To name a result, 6 digits are enough if they fit only
//! one, or the recipe's label (`app:build`), which means the result that was used last. A blob is named by its digest.

use larder::core::{Digest, DigestFunction, Error, ErrorKind, Hash, Result};
use larder::run::engine::label_of;
use larder::run::records::exchange::is_record;
use larder::store::envelope::payload_unjudged;
use larder::store::local::index::{Index, Listed};
use larder::store::{ActionDigest, Store};

/// Results listed at a time.
const PAGE: usize = 1000;
/// Fewer digits than this name nothing.
const SHORTEST: usize = 6;

/// The key as text.
pub(super) fn text(key: &[u8]) -> String {
    match action(key) {
        Some(action) => format!("{}/{}", action.0.hash.to_hex(), action.0.size),
        None => key.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// The action of a key, if it is one of a recipe.
pub(super) fn action(key: &[u8]) -> Option<ActionDigest> {
    let (hash, size) = key.split_at_checked(32)?;
    let (hash, size): ([u8; 32], [u8; 8]) = (hash.try_into().ok()?, size.try_into().ok()?);
    let size = u64::from_le_bytes(size);
    Some(ActionDigest(Digest { function: DigestFunction::Blake3, hash: Hash(hash), size }))
}

/// What a row is.
#[derive(Debug)]
pub(super) enum What {
    /// A result, and the recipe that it is of, as whoever recorded it said.
    Result(Option<String>),
    /// What machines tell each other of keys: no result to whoever looks at results.
    Record,
}

/// What a row is.
pub(super) fn what(index: &Index, row: &Listed) -> What {
    let found = index.get_result(&row.namespace, &row.key).ok().flatten();
    let Some(payload) = found.as_ref().and_then(|found| payload_unjudged(&found.payload).ok()) else {
        return What::Result(None);
    };
    if is_record(payload) { What::Record } else { What::Result(label_of(payload)) }
}

fn label(index: &Index, row: &Listed) -> Option<String> {
    match what(index, row) {
        What::Result(label) => label,
        What::Record => None,
    }
}

/// Goes through all results, the last used first, until `visit` says stop.
pub(super) fn each(
    index: &Index,
    namespace: Option<&str>,
    visit: &mut dyn FnMut(Listed) -> bool,
) -> Result<()> {
    let mut after = None;
    loop {
        let page = index.list_results(namespace, after, PAGE)?;
        for row in page.rows {
            if !visit(row) {
                return Ok(());
            }
        }
        after = match page.next {
            Some(next) => Some(next),
            None => return Ok(()),
        };
    }
}

/// What a typed key means.
#[derive(Debug)]
pub(super) enum Named {
    /// A result, by its key, and the recipe it is of.
    Result { key: Vec<u8>, label: Option<String> },
    /// A blob.
    Blob(Digest),
}

impl Named {
    /// How it is shown.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Result { key, label: Some(label) } => format!("{}  {label}", text(key)),
            Self::Result { key, label: None } => text(key),
            Self::Blob(digest) => digest.to_string(),
        }
    }
}

fn unknown(typed: &str, why: &str) -> Error {
    Error::new(ErrorKind::Invalid, "find a key")
        .with_message(format!("`{typed}`: {why}"))
        .with_hint("`larder cache ls` shows keys; a blob is named by its digest, `b3:<64 hex digits>/<size>`")
}

/// Finds what `typed` names in the store's namespace.
///
/// # Errors
/// `Invalid` when it names nothing, or several things; others when the store cannot be read.
pub(super) fn find(store: &Store, typed: &str) -> Result<Named> {
    if let Ok(digest) = typed.parse::<Digest>() {
        return match store.find_missing(&[digest])?.is_empty() {
            true => Ok(Named::Blob(digest)),
            false => Err(unknown(typed, "the store does not hold this blob")),
        };
    }
    let index = store
        .index()
        .map_err(|error| Error::new(error.kind(), "read the index").with_message(error.to_string()))?;
    let is_key = typed.len() >= SHORTEST && typed.chars().all(|c| c.is_ascii_hexdigit() || c == '/');
    let wanted = typed.to_ascii_lowercase();
    let mut found: Vec<Named> = Vec::new();
    each(index, Some(store.namespace()), &mut |row| {
        if is_key {
            if text(&row.key).starts_with(&wanted) {
                let label = label(index, &row);
                found.push(Named::Result { key: row.key, label });
            }
            return found.len() < 2;
        }
        let label = label(index, &row);
        if label.as_deref() == Some(typed) {
            found.push(Named::Result { key: row.key, label });
        }
        // The last used comes first, and is what the label means.
        found.is_empty()
    })?;
    match (found.pop(), found.len()) {
        (Some(named), 0) => Ok(named),
        (Some(_), _) => Err(unknown(typed, "it fits several results")),
        (None, _) => Err(unknown(typed, "no result has this key or this recipe")),
    }
}
