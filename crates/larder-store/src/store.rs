//! The handle that callers hold: one store, seen from one namespace.
//!
//! | file | what |
//! |---|---|
//! | [`look_up`] | results: recorded, looked up, judged |
//! | [`journal`] | events and times of use, gathered and written in batches |
//! | [`upstream`] | what stands behind a store |
//!
//! Everything is synchronous and may be called from any thread; a [`Store`] is cheap to clone, and its clones are one.
//!
//! # Degrading
//! [`Store::local`] fails when the folder cannot be used at all (untrusted, of another program or version); callers go
//! on without a cache. When only the index cannot be written or read, the store opens, says so in
//! [`Store::warnings`], and goes on serving what it can. A look-up never fails: what goes wrong is a miss with a
//! reason. Writing fails with a typed error (`ReadOnly`, `Full`), for which
//! [`Error::is_degradable`](larder_core::Error::is_degradable) holds.
//!
//! # Invariants
//! 1. A result is answered as a hit only when it is believed under the trust given at opening, *and* every blob that it
//!    names is there. Only [`Check::ResultOnly`] leaves out the second.
//! 2. What a look-up wants to note (time of use, events) waits until [`Store::flush`] or the drop of the last clone.
//!    A killed process loses only those notes.

pub mod journal;
pub mod look_up;
pub mod upstream;
mod writer;

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use larder_core::{Digest, Error, Result};

use crate::envelope;
use crate::event::{DEFAULT_LIMIT, EventLog};
use crate::local::index::{Index, Recovered};
use crate::local::{LocalStore, Options, now_seconds};
use crate::trust::{Signer, SigningConfig, SigningWarning, Trust};

use journal::Journal;
pub use look_up::{Ask, Check, Hit, LookUp, Miss, Note};
pub use upstream::{Fetched, Upstream};
pub use writer::StoreWriter;

/// The name of the local tier, as events tell it.
pub const LOCAL_TIER: &str = "local";

/// Something that a person should know about how the store was opened. The store works, as far as it says.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenWarning {
    /// About the secret or the wish to do without one.
    Signing(SigningWarning),
    /// The index was broken and was made anew: recorded results are gone, content is not.
    IndexRecovered(Recovered),
    /// The index cannot be used: every look-up of a result is a miss.
    IndexUnavailable(Arc<Error>),
}

/// A store, bound to a namespace. See the [module](self).
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    local: Arc<LocalStore>,
    index: Result<Arc<Index>, Arc<Error>>,
    namespace: String,
    signer: Signer,
    trust: Trust,
    journal: Journal,
    warnings: Vec<OpenWarning>,
}

impl Store {
    /// Opens the store in the folder `path`, or makes it, as `namespace` sees it.
    ///
    /// # Errors
    /// `Untrusted`, `Version`, `Invalid` when the folder or its index must be left alone; `Permission`, `ReadOnly`,
    /// `Full`, `Io` when the folder cannot be made or read.
    pub fn local(path: &Path, options: Options, namespace: &str, signing: SigningConfig) -> Result<Self> {
        let local = Arc::new(LocalStore::open(path, options)?);
        let (signer, trust, signing) = signing.resolve();
        let own = trust.warns_of(&signer, namespace, u64::from(now_seconds()));
        let mut warnings: Vec<OpenWarning> =
            signing.into_iter().chain(own).map(OpenWarning::Signing).collect();
        let index = match local.index() {
            Ok(index) => {
                warnings.extend(local.index_recovered().map(OpenWarning::IndexRecovered));
                Ok(index)
            }
            Err(error) if error.is_degradable() => {
                let error = Arc::new(error);
                warnings.push(OpenWarning::IndexUnavailable(error.clone()));
                Err(error)
            }
            Err(error) => return Err(error),
        };
        let events = EventLog::new(local.home().join("events"), DEFAULT_LIMIT);
        let inner = Inner {
            local,
            index,
            namespace: namespace.to_owned(),
            signer,
            trust,
            journal: Journal::new(events),
            warnings,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What a person should know about how the store was opened.
    #[must_use]
    pub fn warnings(&self) -> &[OpenWarning] {
        &self.inner.warnings
    }

    /// The namespace that it is bound to.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.inner.namespace
    }

    /// The local store underneath.
    #[must_use]
    pub fn local_store(&self) -> &Arc<LocalStore> {
        &self.inner.local
    }

    /// The index underneath.
    ///
    /// # Errors
    /// Why there is none.
    pub fn index(&self) -> Result<&Index, Arc<Error>> {
        self.inner.index.as_deref().map_err(Arc::clone)
    }

    /// The event log.
    #[must_use]
    pub fn events(&self) -> &EventLog {
        self.inner.journal.log()
    }

    /// Names the run that later events are part of.
    pub fn set_run(&self, run: &str) {
        self.inner.journal.set_run(run);
    }

    /// What is believed.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        &self.inner.trust
    }

    /// What results made here are signed with.
    #[must_use]
    pub fn signer(&self) -> &Signer {
        &self.inner.signer
    }

    /// Which of `digests` are not here, in their order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>> {
        self.inner.local.find_missing(&self.inner.namespace, digests)
    }

    /// Writes one blob; it is visible to every process when this returns.
    ///
    /// # Errors
    /// `Full`, `ReadOnly` and others when the store cannot be written to.
    pub fn put_bytes(&self, blob: &[u8]) -> Result<Digest> {
        let mut writer = self.writer()?;
        let digest = writer.put_bytes(blob)?;
        writer.commit()?;
        Ok(digest)
    }

    /// A writer for many blobs, which become visible at its commit.
    ///
    /// # Errors
    /// When the store cannot be read or locked.
    pub fn writer(&self) -> Result<StoreWriter<'_>> {
        Ok(StoreWriter::new(self, self.inner.local.writer(&self.inner.namespace)?))
    }

    /// Passes the bytes `range` of a blob to `sink`, in order, verified.
    ///
    /// # Errors
    /// As [`LocalStore::read`].
    pub fn read(
        &self,
        digest: &Digest,
        range: Range<u64>,
        sink: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        self.inner.local.read(&self.inner.namespace, digest, range, sink)
    }

    /// A small blob, whole.
    ///
    /// # Errors
    /// As [`LocalStore::get`].
    pub fn get(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        self.inner.local.get(&self.inner.namespace, digest, limit)
    }

    /// Announces blobs for [`Store::write_to`], so that what must be looked up for them is looked up at once.
    pub fn expect(&self, digests: &[Digest]) {
        self.inner.local.expect(digests);
    }

    /// Writes a blob to `file`, which is empty and open for writing.
    ///
    /// # Errors
    /// As [`LocalStore::write_to`].
    pub fn write_to(&self, digest: &Digest, file: &File) -> Result<()> {
        self.inner.local.write_to(&self.inner.namespace, digest, file)
    }

    /// Writes what was gathered (events, times of use) and seals what was written. Called when the last clone is
    /// dropped; call it to see errors.
    ///
    /// # Errors
    /// The first thing that could not be written. Nothing that matters is lost then.
    pub fn flush(&self) -> Result<()> {
        self.inner.notes().and(self.inner.local.flush())
    }

    fn context<'a>(&'a self, function: &'static str, key: &'a [u8]) -> envelope::Context<'a> {
        envelope::Context { namespace: &self.inner.namespace, function, action_digest: key }
    }
}

impl Inner {
    fn notes(&self) -> Result<()> {
        self.journal.flush(&self.namespace, self.index.as_deref().ok())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(error) = self.notes() {
            tracing::debug!(%error, "could not write what the store noted");
        }
    }
}
