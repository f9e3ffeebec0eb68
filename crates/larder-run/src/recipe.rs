//! The resolved recipe: the one type that `config` makes and all other modules read.
//!
//! Everything here is after templating: no `{{` is left, `matrix` is expanded, `when` is decided, defaults are filled in.
//! Paths and patterns are still relative to the cookbook (patterns may begin with `../`), with `/` as separator.
//!
//! Invariant: a `Recipe` is a pure function of the project's files, the declared environment and the command line; it
//! never holds a value of the machine (the project's root is [`ROOT_PLACEHOLDER`] in every string).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Stands for the project's absolute root in rendered strings, so that keys do not depend on where a clone lives.
/// It is replaced by the real root just before a command is executed. Contains a control character, so that no
/// honest text holds it by chance; configuration text that contains it is refused.
pub const ROOT_PLACEHOLDER: &str = "\u{1}larder:root\u{1}";

/// Puts the real root where its placeholder stands.
pub(crate) fn with_root(root: &Path, text: &str) -> OsString {
    let mut out = OsString::new();
    for (at, part) in text.split(ROOT_PLACEHOLDER).enumerate() {
        if at > 0 {
            out.push(root.as_os_str());
        }
        out.push(part);
    }
    out
}

/// Names one recipe of a project: `cookbook:recipe`, or `cookbook:recipe[value]` for an instance of a matrix.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecipeId {
    /// Name of the cookbook (unique in the project).
    pub cookbook: String,
    /// Name of the recipe (unique in its cookbook).
    pub recipe: String,
    /// The matrix value (several axes are joined with `,`); `None` without a matrix.
    pub instance: Option<String>,
}

impl fmt::Display for RecipeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.cookbook, self.recipe)?;
        match &self.instance {
            Some(value) => write!(f, "[{value}]"),
            None => Ok(()),
        }
    }
}

/// The two ways of reading a configuration, chosen by the root file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `larder.yml`: parsed, then rendered; unknown keys and undefined variables are errors.
    Strict,
    /// `bake.yml`: rendered, then parsed; unknown keys and undefined variables are warnings.
    Bake,
}

/// Where something stands in a configuration file, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, relative to the project's root.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// What a recipe reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inputs {
    /// `inputs` was omitted in strict mode: the cookbook's folder, less ignored files and less `except`.
    Folder {
        /// The declared outputs of all recipes of the cookbook.
        except: Vec<String>,
    },
    /// The patterns as listed; a leading `!` excludes. May be empty.
    Patterns(Vec<String>),
}

/// What `cache:` says. A recipe without it always runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheSpec {
    /// What the recipe reads.
    pub inputs: Inputs,
    /// Output patterns, relative to the cookbook; a leading `!` excludes. Empty: success and log are what is cached.
    pub outputs: Vec<String>,
}

/// What becomes of what a command was seen to touch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TraceMode {
    /// Nothing is observed.
    #[default]
    Off,
    /// What is not declared is named.
    Warn,
    /// It is named, and the result is not cached.
    Strict,
}

/// What `trace:` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceSpec {
    /// What is done about what is not declared.
    pub mode: TraceMode,
    /// Patterns of what cannot change a result: relative to the project's root, or below the home folder (`~/…`).
    pub ignore: Vec<String>,
}

/// What `sandbox:` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// The machine's network is seen.
    pub network: bool,
    /// Folders of the machine that are seen beside the system; absolute, or below the home folder (`~/…`).
    pub folders: Vec<PathBuf>,
}

/// A recipe, resolved. See the module's header.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Its name.
    pub id: RecipeId,
    /// Where it is defined.
    pub place: Place,
    /// One line for `--list`.
    pub description: Option<String>,
    /// The cookbook's folder, relative to the project's root; empty for the root itself.
    pub folder: PathBuf,
    /// The command text, given to the shell.
    pub run: String,
    /// The shell and its options; the command and ARGS follow. Default: `sh -e -c`.
    pub shell: Vec<String>,
    /// Direct dependencies, resolved to existing recipes (a dependency on a matrix means all its instances).
    pub dependencies: Vec<RecipeId>,
    /// Caching, if any.
    pub cache: Option<CacheSpec>,
    /// Declared environment with its values (project, cookbook, recipe and `env_file`); an unset name is `None`.
    pub environment: BTreeMap<String, Option<String>>,
    /// Variables visible to this recipe, flattened to `a.b` → JSON text; part of the key.
    pub variables: BTreeMap<String, String>,
    /// Tags of the cookbook and the recipe.
    pub tags: Vec<String>,
    /// Programs whose content is part of the key, by name (resolved through `PATH`) or path.
    pub tools: Vec<String>,
    /// The recipe's outputs hold no path of the machine even if the bytes look like it.
    pub relocatable: bool,
    /// Keep owned outputs before a run; results stay on this machine.
    pub incremental: bool,
    /// Whether undeclared inputs and outputs are looked for.
    pub trace: TraceSpec,
    /// Only what is declared, and the system, is seen.
    pub sandbox: Option<Sandbox>,
    /// A server or watcher: never cached.
    pub persistent: bool,
    /// Kill after this long.
    pub timeout: Option<Duration>,
    /// Run again this many times after a failure.
    pub retries: u32,
    /// Run with the caller's whole environment (bake without `cleanEnvironment`) if the recipe is not cached.
    pub inherit_environment: bool,
}
