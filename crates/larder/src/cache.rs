//! The embedding API: a cache in a folder, in a handful of calls, with remote tiers behind it if they are wanted. For
//! more, take [`Cache::store`]. `docs/guides/embedding.md` walks through it.
//!
//! Synchronous; it reads no environment, prints nothing, and makes no thread and no runtime, save with tiers: those send
//! on threads of their own. A [`Cache`] is cheap to clone and may be used from any thread; several processes may use one
//! folder.
//!
//! ```
//! use larder::{Cache, Config};
//!
//! # fn main() -> larder::core::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let home = folder.path().join("cache");
//! let cache = Cache::open(&Config::new(home))?;
//!
//! // What is computed: named so that it changes whenever the outcome could.
//! let input = b"some input";
//! let action = cache.action(["shout", "version 1"], [("input.txt", cache.digest(input))]);
//!
//! let output = match cache.lookup(&action).hit() {
//!     Some(hit) => cache.output(&hit.result, "output.txt").expect("it was recorded with one"),
//!     None => {
//!         let output = cache.put(&mut &input.to_ascii_uppercase()[..])?;
//!         cache.record(&action, &cache.result([("output.txt", output)]))?;
//!         output
//!     }
//! };
//! assert_eq!(cache.read(&output, 1 << 20)?, b"SOME INPUT");
//! assert!(cache.lookup(&action).hit().is_some());
//! # Ok(())
//! # }
//! ```

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use larder_core::{Digest, DigestFunction, Error, ErrorKind, Result};
use larder_reapi::{Action, ActionResult};
use larder_remote::tiers::{Configured, Runtime, Sent, Warning};
use larder_remote::{Tiers, TiersOptions};
use larder_store::local::gc::{GcOptions, GcPlan, GcReport};
use larder_store::local::index::Outcome;
use larder_store::local::verify::{Progress, VerifyOptions, VerifyReport};
use larder_store::store::{Ask, Check, Fetched, LOCAL_TIER, Note, Upstream};
use larder_store::trust::SigningConfig;
use larder_store::{ActionDigest, LookUp, Options, Store};

use crate::describe;
use crate::tiers::{Sharing, TierConfig};

/// The namespace of whoever names no other.
pub const DEFAULT_NAMESPACE: &str = "default";

/// What results are called that nobody named.
const UNNAMED: &str = "unnamed";

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
    behind: Option<Arc<Behind>>,
}

/// The tiers of all clones of a cache. The last one waits for what is not sent yet.
#[derive(Debug)]
struct Behind(Tiers);

impl Drop for Behind {
    fn drop(&mut self) {
        self.0.finish();
        for Warning { message, hint } in self.0.take_warnings() {
            tracing::warn!(hint, "{message}");
        }
    }
}

/// What tiers were sent, and what went wrong with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Finished {
    /// What was sent since the tiers were set, and what was given up.
    pub sent: Sent,
    /// What a person should know, each once. Trouble with a tier is never an error of a look-up or a record.
    pub warnings: Vec<Warning>,
}

impl From<Store> for Cache {
    /// The cache of a store that is open, with BLAKE3 and without tiers.
    fn from(store: Store) -> Self {
        Self { store, function: DigestFunction::Blake3, behind: None }
    }
}

impl Cache {
    /// Opens the cache. What is worth telling a person is in [`Store::warnings`].
    ///
    /// # Errors
    /// As [`Store::local`]; a build goes on without a cache then.
    pub fn open(config: &Config) -> Result<Self> {
        let Config { home, namespace, function, signing, options } = config;
        let store = Store::local(home, options.clone(), namespace, signing.clone())?;
        Ok(Self { store, function: *function, behind: None })
    }

    /// Puts remote tiers behind the cache, in the order in which they are asked, in place of those before.
    ///
    /// From now on [`Cache::lookup`] asks them for what is not here, and brings what it finds here and to every earlier
    /// tier; [`Cache::record`] sends what was recorded in the background. [`Cache::finish`] waits for that, and so does the
    /// drop of the last clone.
    ///
    /// `runtime` is the `Handle` of a tokio runtime with several threads, which lives until then, or
    /// [`tiers::runtime`](crate::tiers::runtime()). Within asynchronous code, call the cache on threads for blocking work.
    ///
    /// ```no_run
    /// use larder::remote::s3::S3Config;
    /// use larder::store::trust::Secret;
    /// use larder::tiers::{TierConfig, runtime};
    /// use larder::{Cache, Config};
    ///
    /// # fn main() -> larder::core::Result<()> {
    /// let mut config = Config::new("/var/cache/my-tool");
    /// config.signing.secret = Some(Secret::new("what all machines of the team share")?);
    ///
    /// let bucket = S3Config { bucket: "team-cache".into(), region: Some("eu-central-1".into()), endpoint: None };
    /// let bucket = TierConfig::new(bucket).credentials(std::env::vars());
    /// let cache = Cache::open(&config)?.with_tiers([bucket], runtime())?;
    /// // … look up, record …
    /// for warning in cache.finish().warnings {
    ///     eprintln!("warning: {}", warning.message);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Invalid` when [`Config::signing`] has no key and no secret, since nothing from elsewhere would be believed; when a
    /// tier's description makes no sense, or `runtime` has one thread only. `Permission` when credentials are missing.
    /// Whether a tier answers is not tried.
    pub fn with_tiers(
        self,
        tiers: impl IntoIterator<Item = TierConfig>,
        runtime: impl Into<Runtime>,
    ) -> Result<Self> {
        let invalid = |what: &'static str, hint: &'static str| {
            Err(Error::new(ErrorKind::Invalid, "use remote tiers").with_message(what).with_hint(hint))
        };
        let writes = match Sharing::of(&self.store) {
            Sharing::Nothing => {
                return invalid(
                    "there is no key to sign or to verify results with",
                    "set `Config::signing`: a secret that all who share the tiers have, or keys",
                );
            }
            Sharing::Reads => false,
            Sharing::Both => true,
        };
        let runtime = runtime.into();
        if !runtime.suits() {
            return invalid(
                "the runtime has one thread, which cannot drive connections while a look-up waits",
                "use a runtime of several threads, or `larder::tiers::runtime()`",
            );
        }
        let tiers: Vec<Configured> =
            tiers.into_iter().map(|tier| tier.configured_open(writes)).collect::<Result<_>>()?;
        let tiers = Tiers::new(self.store.clone(), tiers, runtime, TiersOptions::default());
        Ok(Self { behind: Some(Arc::new(Behind(tiers))), ..self })
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

    /// A small blob, whole, in memory.
    ///
    /// # Errors
    /// As [`Cache::get`]; `Invalid` if it is larger than `limit`.
    pub fn read(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        self.store.get(digest, limit)
    }

    /// The digest of `content`, which is not kept.
    #[must_use]
    pub fn digest(&self, content: &[u8]) -> Digest {
        self.function.digest(content)
    }

    /// Describes what is computed: `arguments` say what and how (a name, a version, options), `inputs` are files by path.
    /// Two that differ in anything have different results. Nothing is written.
    #[must_use]
    pub fn action<A: Into<String>, P: AsRef<str>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        inputs: impl IntoIterator<Item = (P, Digest)>,
    ) -> Action {
        describe::action(self.function, arguments, inputs)
    }

    /// Describes what came of an action: output files by path, which were put before. More can be said in the fields of
    /// [`ActionResult`].
    #[must_use]
    pub fn result<P: Into<String>>(&self, outputs: impl IntoIterator<Item = (P, Digest)>) -> ActionResult {
        describe::result(outputs)
    }

    /// The output file `path` of a result; nothing if it has no such file.
    #[must_use]
    pub fn output(&self, result: &ActionResult, path: &str) -> Option<Digest> {
        describe::output(self.function, result, path)
    }

    /// The key of an action's result.
    #[must_use]
    pub fn digest_of(&self, action: &Action) -> ActionDigest {
        ActionDigest::of(self.function, action)
    }

    /// Looks up what came of `action`, here and then in the tiers: a hit is believed, and all its blobs are here.
    /// Never fails: what goes wrong is a miss.
    ///
    /// # Panics
    /// With tiers, on a thread that runs asynchronous code: it would block that.
    #[must_use]
    pub fn lookup(&self, action: &Action) -> LookUp {
        self.lookup_as(action, UNNAMED)
    }

    /// As [`Cache::lookup`], with the name of [`Cache::record_as`].
    ///
    /// # Panics
    /// As [`Cache::lookup`].
    #[must_use]
    pub fn lookup_as(&self, action: &Action, name: &str) -> LookUp {
        let action = self.digest_of(action);
        let label = (name != UNNAMED).then_some(name);
        let ask = Ask { action, label, check: Check::AllBlobs, note: Note::All, from: LOCAL_TIER };
        let here = self.store.look_up_one(ask);
        let Some(Behind(tiers)) = self.behind.as_deref() else { return here };
        let found = match here {
            LookUp::Hit(_) => here,
            LookUp::Miss(_) => match tiers.fetch(&action, name) {
                Fetched::Hit { tier, .. } => {
                    self.store.look_up_one(Ask { note: Note::Hits, from: tier, ..ask })
                }
                Fetched::Miss(_) => here,
            },
        };
        if let LookUp::Hit(_) = &found {
            tiers.offer(&action, name);
        }
        found
    }

    /// Records what came of `action`, whose blobs were put before, and sends it to the tiers in the background.
    ///
    /// # Errors
    /// As [`Store::record`]. That a tier does not take it is no error: see [`Cache::finish`].
    pub fn record(&self, action: &Action, result: &ActionResult) -> Result<Outcome> {
        self.record_as(action, result, UNNAMED)
    }

    /// As [`Cache::record`]. `name` is what is computed, whatever its inputs are, for instance the name of a build step:
    /// events tell it, and of a new result only what differs from the last ones of that name is sent to buckets.
    ///
    /// # Errors
    /// As [`Cache::record`].
    pub fn record_as(&self, action: &Action, result: &ActionResult, name: &str) -> Result<Outcome> {
        let action = self.digest_of(action);
        let outcome = self.store.record_as(&action, result, (name != UNNAMED).then_some(name))?;
        if let Some(Behind(tiers)) = self.behind.as_deref() {
            tiers.offer(&action, name);
        }
        Ok(outcome)
    }

    /// Waits until everything is sent to the tiers, or nothing moves any more, and tells what went wrong with them. The
    /// cache can be used further. Without tiers there is nothing to wait for.
    pub fn finish(&self) -> Finished {
        let Some(Behind(tiers)) = self.behind.as_deref() else { return Finished::default() };
        let sent = tiers.finish();
        Finished { sent, warnings: tiers.take_warnings() }
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
