//! A project with its worktree and its store: the one place where they are wired from configuration.
//!
//! Nothing here reads the environment or a home folder: what the caller knows of them is in [`Surroundings`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use larder_core::{ChunkerParams, Error, ErrorKind, Result};
use larder_run::config::discover::find_root;
use larder_run::config::settings::Chunking;
use larder_run::config::{CacheConfig, ConfigError, LoadOptions, Project};
use larder_run::listing::WorktreeListing;
use larder_run::template::Execution;
use larder_run::worktree::Worktree;
use larder_store::trust::SigningConfig;
use larder_store::{Options, Store};
use zeroize::Zeroizing;

use crate::cache::DEFAULT_NAMESPACE;
use crate::keys::KeySources;
use crate::keys::folder::Places;

/// What the caller knows of the machine and the user.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Where the search for the project begins; absolute.
    pub folder: PathBuf,
    /// The store's folder, unless the project names one.
    pub home: Option<PathBuf>,
    /// What results are signed with, and where it says whose are believed.
    pub keys: KeySources,
    /// The environment that recipes may declare variables of.
    pub environment: BTreeMap<OsString, OsString>,
    /// `-D key=value`.
    pub defines: Vec<String>,
    /// `--env`.
    pub environment_name: Option<String>,
}

/// Why a project cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Something is wrong with its configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its folder cannot be used.
    #[error("cannot open `{}`", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It is configured as it cannot be: a key or secret that cannot be used, impossible sizes. A person has to mend that.
    #[error(transparent)]
    Settings(Error),
    /// Its folder cannot be used. A run can go on without a cache.
    #[error(transparent)]
    Unusable(Error),
}

impl StoreError {
    /// The error itself.
    #[must_use]
    pub fn into_inner(self) -> Error {
        match self {
            Self::Settings(error) | Self::Unusable(error) => error,
        }
    }
}

/// A project that is open.
#[derive(Debug)]
pub struct OpenProject {
    /// Its configuration.
    pub project: Project,
    /// What is on disk.
    pub worktree: Arc<Worktree>,
}

impl OpenProject {
    /// Finds the project around the folder and loads it. `execution`: whether commands in templates may run.
    ///
    /// # Errors
    /// When there is none, or its configuration is wrong.
    pub fn open(around: &Surroundings, execution: Execution) -> std::result::Result<Self, OpenError> {
        let not_found = || ConfigError::NotFound { start: around.folder.clone() };
        let found = find_root(&around.folder).ok_or_else(not_found)?;
        let root = found.path.parent().unwrap_or(&around.folder);
        let root =
            std::fs::canonicalize(root).map_err(|source| OpenError::Io { path: root.to_owned(), source })?;
        Self::open_in(around, execution, Self::worktree(&root)?, &root)
    }

    /// The worktree of the project at `root`, for [`Self::open_in`].
    ///
    /// # Errors
    /// When the folder cannot be opened.
    pub fn worktree(root: &Path) -> std::result::Result<Arc<Worktree>, OpenError> {
        let worktree = Worktree::open(root, &root.join(".larder/state"));
        Ok(Arc::new(worktree.map_err(|source| OpenError::Io { path: root.to_owned(), source })?))
    }

    /// As [`Self::open`], for the project at `root`, whose worktree is open already.
    ///
    /// # Errors
    /// When its configuration is wrong.
    pub fn open_in(
        around: &Surroundings,
        execution: Execution,
        worktree: Arc<Worktree>,
        root: &Path,
    ) -> std::result::Result<Self, OpenError> {
        let state = root.join(".larder/state");
        let listing = WorktreeListing::new(&worktree, root);
        let mut options = options(around, root, &listing, execution);
        options.state = Some(state);
        let project = Project::load(options)?;
        Ok(Self { project, worktree })
    }

    /// The project as it would be with other texts in place of files (by path from the root).
    ///
    /// # Errors
    /// When its configuration would be wrong.
    pub fn with_texts(
        &self,
        around: &Surroundings,
        texts: BTreeMap<PathBuf, String>,
    ) -> std::result::Result<Project, ConfigError> {
        let listing = self.listing();
        let mut options = options(around, &self.project.root, &listing, Execution::Run);
        options.instead = texts;
        Project::load(options)
    }

    /// Answers the configuration's questions about files.
    #[must_use]
    pub fn listing(&self) -> WorktreeListing<'_> {
        WorktreeListing::new(&self.worktree, &self.project.root)
    }

    /// Opens the project's store; `None` if its configuration switches it off.
    ///
    /// # Errors
    /// As [`open_store`].
    pub fn store(&self, around: &Surroundings) -> Result<Option<Store>, StoreError> {
        let cache = &self.project.config.cache;
        if !cache.local.enabled {
            return Ok(None);
        }
        let named = cache.local.path.as_ref().map(|path| self.project.root.join(path));
        let home = named.or_else(|| around.home.clone()).ok_or_else(|| {
            let error = Error::new(ErrorKind::NotFound, "open the store");
            StoreError::Unusable(error.with_message("there is no folder for it").with_hint("set LARDER_HOME"))
        })?;
        let mut keys = around.keys.clone();
        if keys.secret.is_none() {
            keys.secret =
                cache.secret.as_ref().map(|secret| Zeroizing::new(secret.reveal().as_bytes().to_vec()));
        }
        let places = Places { project: Some(&self.project.root), store: Some(&home) };
        let signing =
            keys.signing(&around.folder, &places, cache.signing_off).map_err(StoreError::Settings)?;
        open_store(&home, cache, signing).map(Some)
    }
}

fn options<'a>(
    around: &Surroundings,
    root: &Path,
    listing: &'a WorktreeListing<'_>,
    execution: Execution,
) -> LoadOptions<'a> {
    let mut options = LoadOptions::new(root, listing);
    let text =
        |(name, value): (&OsString, &OsString)| Some((name.to_str()?.to_owned(), value.to_str()?.to_owned()));
    options.env = around.environment.iter().filter_map(text).collect();
    options.defines.clone_from(&around.defines);
    options.environment_name.clone_from(&around.environment_name);
    options.execution = execution;
    options
}

/// The user's own store, outside any project.
///
/// # Errors
/// For keys that cannot be used; else as [`open_store`].
pub fn own_store(home: &Path, around: &Surroundings) -> Result<Store, StoreError> {
    let places = Places { project: None, store: Some(home) };
    let signing = around.keys.signing(&around.folder, &places, false).map_err(StoreError::Settings)?;
    open_store(home, &CacheConfig::default(), signing)
}

fn chunking(config: &Chunking) -> Result<ChunkerParams> {
    let default = ChunkerParams::STORE;
    let size = |value: Option<u64>, default: u32| {
        value.map_or(default, |size| u32::try_from(size).unwrap_or(u32::MAX))
    };
    let (min, avg, max) = (
        size(config.min, default.min()),
        size(config.average, default.avg()),
        size(config.max, default.max()),
    );
    ChunkerParams::new(min, avg, max).ok_or_else(|| {
        Error::new(ErrorKind::Invalid, "open the store")
            .with_message(format!("chunk sizes {min}/{avg}/{max} cannot be used"))
            .with_hint("they must be even and rise: 64 ≤ min ≤ average ≤ max ≤ 16 MiB")
    })
}

/// Opens the store in `home` as a project's `cache:` wants it.
///
/// # Errors
/// [`StoreError`]; the folder's are those of [`Store::local`].
pub fn open_store(home: &Path, cache: &CacheConfig, signing: SigningConfig) -> Result<Store, StoreError> {
    let mut options = Options::default();
    if let Some(level) = cache.local.compression_level {
        options.level = i32::try_from(level).unwrap_or(19);
    }
    if let Some(config) = &cache.chunking {
        options.chunking = chunking(config).map_err(StoreError::Settings)?;
    }
    Store::local(home, options, DEFAULT_NAMESPACE, signing).map_err(StoreError::Unusable)
}
