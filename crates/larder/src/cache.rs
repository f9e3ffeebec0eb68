//! The embedding API: a cache in a folder, in a handful of calls. For more, take [`Cache::store`].
//!
//! Synchronous; it reads no environment, makes no thread and no runtime, prints nothing. A [`Cache`] is cheap to clone
//! and may be used from any thread; several processes may use one folder.

use std::io::Read;
use std::path::PathBuf;

use larder_core::{Digest, DigestFunction, Result};
use larder_reapi::{Action, ActionResult};
use larder_store::local::gc::{GcOptions, GcPlan, GcReport};
use larder_store::local::index::Outcome;
use larder_store::local::verify::{Progress, VerifyOptions, VerifyReport};
use larder_store::trust::SigningConfig;
use larder_store::{ActionDigest, LookUp, Options, Store};

/// The namespace of whoever names no other.
pub const DEFAULT_NAMESPACE: &str = "default";

/// How a [`Cache`] is opened.
#[derive(Clone, Debug)]
pub struct Config {
    /// The store's folder; made when it is not there.
    pub home: PathBuf,
    /// What is seen and written: the unit of isolation.
    pub namespace: String,
    /// The function that actions and blobs are named by.
    pub function: DigestFunction,
    /// What results are signed with, and whose are believed.
    pub signing: SigningConfig,
    /// How blobs are cut, compressed and kept.
    pub options: Options,
}

impl Config {
    /// A store in `home`, with the defaults of everything else.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self {
            home: home.into(),
            namespace: DEFAULT_NAMESPACE.to_owned(),
            function: DigestFunction::Blake3,
            signing: SigningConfig::default(),
            options: Options::default(),
        }
    }
}

/// A cache: blobs by digest, results by action. See the [module](self).
#[derive(Clone, Debug)]
pub struct Cache {
    store: Store,
    function: DigestFunction,
}

impl Cache {
    /// Opens the cache. What is worth telling a person is in [`Store::warnings`].
    ///
    /// # Errors
    /// As [`Store::local`]; a build goes on without a cache then.
    pub fn open(config: &Config) -> Result<Self> {
        let Config { home, namespace, function, signing, options } = config;
        let store = Store::local(home, options.clone(), namespace, signing.clone())?;
        Ok(Self { store, function: *function })
    }

    /// The handle underneath.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Writes everything that `source` gives as one blob, in bounded memory.
    ///
    /// # Errors
    /// What `source` fails with; `Full`, `ReadOnly` and others when the store cannot be written to.
    pub fn put(&self, source: &mut dyn Read) -> Result<Digest> {
        let mut writer = self.store.writer()?;
        let digest = writer.put_reader(source, self.function, &mut |_| {})?;
        writer.commit()?;
        Ok(digest)
    }

    /// Passes a blob to `sink`, in order, each piece verified before.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`, and what `sink` fails with.
    pub fn get(&self, digest: &Digest, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.store.read(digest, 0..digest.size, sink)
    }

    /// The key of an action's result.
    #[must_use]
    pub fn digest_of(&self, action: &Action) -> ActionDigest {
        ActionDigest::of(self.function, action)
    }

    /// Looks up what came of `action`: a hit is believed, and all its blobs are here.
    #[must_use]
    pub fn lookup(&self, action: &Action) -> LookUp {
        self.store.look_up(&self.digest_of(action))
    }

    /// Records what came of `action`, whose blobs were put before.
    ///
    /// # Errors
    /// As [`Store::record`].
    pub fn record(&self, action: &Action, result: &ActionResult) -> Result<Outcome> {
        self.store.record(&self.digest_of(action), result)
    }

    /// Plans what a collection would delete; nothing is deleted.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn plan_gc(&self, options: &GcOptions) -> Result<GcPlan> {
        self.store.local_store().plan_gc(options)
    }

    /// Does what was planned, save what came into use meanwhile.
    ///
    /// # Errors
    /// `Busy` when another collection runs or writers leave no moment; when the store cannot be written to.
    pub fn run_gc(&self, plan: GcPlan) -> Result<GcReport> {
        self.store.local_store().run_gc(plan)
    }

    /// Reads and proves everything.
    ///
    /// # Errors
    /// When the store cannot be read. What is damaged is in the report.
    pub fn verify(
        &self,
        options: &VerifyOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<VerifyReport> {
        self.store.local_store().verify(options, progress)
    }

    /// Writes what was noted (events, times of use). The last clone does so when it is dropped; call it to see errors.
    ///
    /// # Errors
    /// As [`Store::flush`].
    pub fn flush(&self) -> Result<()> {
        self.store.flush()
    }
}
