//! What the program knows of user and machine: the only place that reads the environment and asks about terminals.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use larder::keys::KeySources;
use larder::project::Surroundings;
use zeroize::Zeroizing;

use crate::cli::Selecting;

/// The terminal, or what stands in its place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terminal {
    /// Standard output takes colours.
    pub(crate) colour_out: bool,
    /// Standard error takes colours.
    pub(crate) colour_err: bool,
    /// Lines may be redrawn: both streams are the terminal.
    pub(crate) redraws: bool,
    /// Somebody is there to answer: what is said and what is typed go through the terminal.
    pub(crate) asks: bool,
}

/// Everything that was found, once.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    environment: BTreeMap<OsString, OsString>,
    secret: Option<Zeroizing<Vec<u8>>>,
    signing_key: Option<Zeroizing<Vec<u8>>>,
    tier_key: Option<Zeroizing<Vec<u8>>>,
    folder: PathBuf,
}

impl Machine {
    /// Goes to `directory` (`-C`) and looks around.
    ///
    /// # Errors
    /// When there is no such folder, with the message to show.
    pub(crate) fn read(directory: Option<&Path>) -> Result<Self, String> {
        if let Some(directory) = directory {
            #[expect(clippy::disallowed_methods, reason = "nothing else runs yet; `-C` is what it is for")]
            let gone = std::env::set_current_dir(directory);
            gone.map_err(|error| format!("cannot go to `{}`: {error}", directory.display()))?;
        }
        let folder =
            std::env::current_dir().map_err(|error| format!("the current folder cannot be used: {error}"))?;
        let mut environment: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        // Out of the map that everything else is given.
        let mut take =
            |name: &str| environment.remove(OsStr::new(name)).map(|v| Zeroizing::new(v.into_vec()));
        let (secret, signing_key) = (take("LARDER_CACHE_SECRET"), take("LARDER_SIGNING_KEY"));
        let tier_key = take("LARDER_TIER_KEY");
        Ok(Self { environment, secret, signing_key, tier_key, folder })
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.environment.get(&OsString::from(name)).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// The store's folder: `LARDER_HOME`, else `larder/` in the platform's cache folder. (`BAKE_CACHE_DIR` counts for
    /// projects in bake mode, when they are loaded.)
    pub(crate) fn home(&self) -> Option<PathBuf> {
        let cache = || {
            self.path("XDG_CACHE_HOME")
                .filter(|path| path.is_absolute())
                .or_else(|| Some(self.path("HOME")?.join(".cache")))
        };
        self.path("LARDER_HOME").map(|path| self.folder.join(path)).or_else(|| Some(cache()?.join("larder")))
    }

    /// The user's own folder, to be shown as `~`.
    pub(crate) fn user_folder(&self) -> Option<PathBuf> {
        self.path("HOME")
    }

    /// The name that a pipeline gives its runs: `LARDER_RUN_NAME`.
    pub(crate) fn run_name(&self) -> Option<String> {
        self.path("LARDER_RUN_NAME").map(|name| name.to_string_lossy().into_owned())
    }

    /// The user's name, for what is kept of who did something.
    pub(crate) fn user(&self) -> String {
        self.path("USER").map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// What signs, and where it says whom to believe: `LARDER_CONFIG`, else `larder/` in the platform's configuration folder.
    pub(crate) fn keys(&self) -> KeySources {
        let named = self.path("LARDER_CONFIG").map(|path| self.folder.join(path));
        let platforms = || {
            self.path("XDG_CONFIG_HOME")
                .filter(|path| path.is_absolute())
                .or_else(|| Some(self.path("HOME")?.join(".config")))
        };
        KeySources {
            secret: self.secret.clone(),
            tier_key: self.tier_key.clone(),
            signing_key: self.signing_key.clone(),
            folder_is_named: named.is_some(),
            folder: named.or_else(|| Some(platforms()?.join("larder"))),
        }
    }

    /// What the library is told.
    pub(crate) fn surroundings(&self, selecting: Option<&Selecting>) -> Surroundings {
        Surroundings {
            folder: self.folder.clone(),
            home: self.home(),
            keys: self.keys(),
            environment: self.environment.clone(),
            defines: selecting.map(|selecting| selecting.defines.clone()).unwrap_or_default(),
            environment_name: selecting.and_then(|selecting| selecting.environment.clone()),
        }
    }

    /// Where the search for a project begins.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the output goes to. Colour only on terminals, and not with `NO_COLOR`, `CLICOLOR=0` or `TERM=dumb`.
    pub(crate) fn terminal(&self) -> Terminal {
        let is = |name: &str, value: &str| {
            self.environment.get(&OsString::from(name)).is_some_and(|found| found == value)
        };
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let is_dumb = is("TERM", "dumb");
        let colour = self.path("NO_COLOR").is_none() && !is("CLICOLOR", "0") && !is_dumb;
        Terminal {
            colour_out: out && colour,
            colour_err: err && colour,
            redraws: out && err && !is_dumb,
            asks: out && err && io::stdin().is_terminal(),
        }
    }
}
