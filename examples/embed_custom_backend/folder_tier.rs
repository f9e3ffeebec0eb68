//! A tier of one's own: values by key, here files in one folder. Copy this, and put your service in place of
//! [`FolderTier::get`] and [`FolderTier::set`].
//!
//! ```text
//! result NAMESPACE ACTION    the sealed result, and the trees that it names
//! blob DIGEST                content
//! ```
//! Nothing here is clever, and nothing needs to be: signatures and hashes are checked by Larder, and every tier that fails,
//! lies or is slow is a miss.

use std::fs::{self, File};
use std::io::{self, ErrorKind::NotFound, Read, Write};
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use larder::core::{Digest, Error, ErrorKind, Hash, Result};
use larder::remote::{Offer, Publication, Receipt, Tier, Transfer};
use larder::store::{ActionDigest, Store};

/// Results larger than this were not made by us.
const LARGEST_RESULT: u64 = 64 << 20;

/// A folder as a tier.
#[derive(Clone, Debug)]
pub(crate) struct FolderTier {
    folder: PathBuf,
}

impl FolderTier {
    /// The tier in `folder`, which is made when it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn new(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder).map_err(failed)?;
        Ok(Self { folder })
    }

    /// Keys hold names that others chose: their hash is a safe name for a file.
    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(Hash::blake3(key.as_bytes()).to_hex())
    }

    /// The value of `key`, if there is one.
    fn get(&self, key: &str) -> Result<Option<File>> {
        match File::open(self.path(key)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Sets the value of `key` to what `write` writes: whole or not at all, also if we are killed.
    fn set(&self, key: &str, write: impl FnOnce(&mut File) -> Result<()>) -> Result<u64> {
        let mut file = tempfile::NamedTempFile::new_in(&self.folder).map_err(failed)?;
        write(file.as_file_mut())?;
        let bytes = file.as_file().metadata().map_err(failed)?.len();
        file.persist(self.path(key)).map_err(|error| failed(error.error))?;
        Ok(bytes)
    }
}

/// With an error of kind `Unavailable` or `Io` the tier rests for a while; with `Permission`, `ReadOnly` or `Full` it is
/// still asked, and sent nothing more.
fn failed(error: io::Error) -> Error {
    Error::from_io(error, "use the shared folder")
}

fn result_key(namespace: &str, action: &ActionDigest) -> String {
    format!("result {namespace} {action}")
}

fn blob_key(digest: &Digest) -> String {
    format!("blob {digest}")
}

#[async_trait]
impl Tier for FolderTier {
    fn name(&self) -> &'static str {
        "folder"
    }

    /// What is known to be there is remembered under this: two places must never have the same.
    fn identity(&self) -> String {
        format!("folder:{}", self.folder.display())
    }

    async fn look_up(&self, namespace: &str, action: &ActionDigest) -> Result<Option<Box<dyn Offer>>> {
        let Some(file) = self.get(&result_key(namespace, action))? else { return Ok(None) };
        let mut value = Vec::new();
        file.take(LARGEST_RESULT).read_to_end(&mut value).map_err(failed)?;
        let parts = split(value.into())
            .ok_or_else(|| Error::new(ErrorKind::Corrupt, "read a result").with("action", action))?;
        Ok(Some(Box::new(Found { tier: self.clone(), parts })))
    }

    async fn publish(&self, publication: &Publication<'_>) -> Result<Receipt> {
        let Publication { store, action, envelope, needs, trees, replace, .. } = *publication;
        let key = result_key(store.namespace(), action);
        if !replace && self.get(&key)?.is_some() {
            return Ok(Receipt { present: true, ..Receipt::default() });
        }
        let mut sent = Transfer::default();
        // Content first: whoever finds the result must find all of it. `replace`: what is there proved bad.
        for digest in needs {
            if replace || self.get(&blob_key(digest))?.is_none() {
                let bytes = self.set(&blob_key(digest), |file| {
                    store.read(digest, 0..digest.size, &mut |piece| file.write_all(piece).map_err(failed))
                })?;
                sent.add(Transfer { requests: 1, bytes });
            }
        }
        let parts = std::iter::once(envelope).chain(trees);
        let bytes = self.set(&key, |file| parts.into_iter().try_for_each(|part| join(file, part)))?;
        sent.add(Transfer { requests: 1, bytes });
        Ok(Receipt { sent, present: false })
    }
}

/// A result that is there.
#[derive(Debug)]
struct Found {
    tier: FolderTier,
    /// The sealed result, then its trees; never empty.
    parts: Vec<Bytes>,
}

#[async_trait]
impl Offer for Found {
    fn envelope(&self) -> &Bytes {
        &self.parts[0]
    }

    fn trees(&self) -> &[Bytes] {
        &self.parts[1..]
    }

    async fn fetch(&self, store: &Store, _needs: &[Digest], missing: &[Digest]) -> Result<Transfer> {
        let mut moved = Transfer::default();
        let mut writer = store.writer()?;
        for digest in missing {
            let gone = || Error::new(ErrorKind::NotFound, "fetch a blob").with("digest", digest);
            let mut file = self.tier.get(&blob_key(digest))?.ok_or_else(gone)?;
            // Refuses anything else than what the digest says.
            writer.put_verified(digest, &mut file)?;
            moved.add(Transfer { requests: 1, bytes: digest.size });
        }
        writer.commit()?;
        Ok(moved)
    }
}

/// `length u32 | bytes`, once for each part.
fn join(file: &mut File, part: &Bytes) -> Result<()> {
    let too_large = |_| Error::new(ErrorKind::Invalid, "publish a result").with_message("it is too large");
    let length = u32::try_from(part.len()).map_err(too_large)?;
    file.write_all(&length.to_le_bytes()).and_then(|()| file.write_all(part)).map_err(failed)
}

/// At least one part.
fn split(mut value: Bytes) -> Option<Vec<Bytes>> {
    let mut parts = Vec::new();
    while parts.is_empty() || !value.is_empty() {
        let length = u32::from_le_bytes(*value.first_chunk()?) as usize;
        let rest = value.split_off(4);
        value = rest;
        if length > value.len() {
            return None;
        }
        parts.push(value.split_to(length));
    }
    Some(parts)
}
