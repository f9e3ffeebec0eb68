//! Configuration: files → [`Project`] → [`crate::recipe::Recipe`]s.
//!
//! ```text
//! discover   which files there are     files     reads them, bounded
//! yaml       text → nodes with places  decode    nodes → typed values
//! raw        what the files say        load      all of it → Project
//! bake       text-first reading        scope     what templates see
//! resolve    raw recipes → recipes, on demand   show   --render
//! parsed     cookbooks parsed by an earlier run
//! settings   config:                matrix, patterns, variables, environment   one subject each
//! keys       what files may say     schema    the same for editors
//! ```
//!
//! Loading parses all files and renders next to nothing; [`Project::resolve`] renders the recipes that a selection reaches, and only
//! then do `shell` helpers run. [`Project::list`] and [`recipe_names`] run nothing.
//!
//! A `Project` is immutable after loading. The library reads no environment: it is passed in.

pub mod bake;
pub mod decode;
pub mod discover;
pub mod edit;
pub mod environment;
mod files;
pub mod keys;
mod load;
mod matrix;
mod parsed;
pub mod patterns;
pub mod raw;
mod resolve;
mod sandbox;
pub mod schema;
mod scope;
pub mod settings;
mod show;
pub mod source;
pub mod trace;
pub mod variables;
pub mod yaml;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

pub use discover::{Listing, Mark, WalkListing};
pub(crate) use files::read as read_bounded;
pub use load::{LoadOptions, recipe_names};
pub use resolve::{Listed, Resolved};
pub use settings::{CacheConfig, RunConfig};

use crate::diagnostic::Diagnostic;
use crate::recipe::Mode;
use crate::template::Renderer;

/// A project, loaded.
pub struct Project {
    /// How its files are read.
    pub mode: Mode,
    /// `name` of the root file.
    pub name: String,
    /// `description` of the root file.
    pub description: Option<String>,
    /// The project's root, absolute.
    pub root: PathBuf,
    /// The root file, relative to the root.
    pub root_file: PathBuf,
    /// `config:`.
    pub config: RunConfig,
    /// `default:` selectors.
    pub default: Vec<String>,
    /// What was found while loading and is no error.
    pub warnings: Vec<Diagnostic>,
    /// The cookbooks, by path. In bake mode rendered without running commands.
    pub cookbooks: Vec<Arc<raw::RawCookbook>>,
    /// Recipe templates, by name.
    pub templates: BTreeMap<String, raw::RawTemplate>,
    raw: raw::RawProject,
    /// Bake mode: cookbooks (same index) whose text runs commands, so that `cookbooks` is not the last word.
    provisional: Vec<bool>,
    process: BTreeMap<String, String>,
    defines: Vec<variables::Define>,
    environment_name: Option<String>,
    live: Renderer,
    inert: Renderer,
    live_scope: OnceLock<Result<scope::Level, Vec<Diagnostic>>>,
    inert_scope: OnceLock<Result<scope::Level, Vec<Diagnostic>>>,
}

impl fmt::Debug for Project {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Project").field("name", &self.name).field("root", &self.root).finish_non_exhaustive()
    }
}

/// Why a configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No root file in the folder or above it.
    #[error("no `larder.yml` or `bake.yml` in `{}` or above it", start.display())]
    NotFound {
        /// Where the search began.
        start: PathBuf,
    },
    /// Files that are wrong; all findings, at least one of them an error.
    #[error("{}", Findings(diagnostics))]
    Invalid {
        /// What was found.
        diagnostics: Vec<Diagnostic>,
    },
    /// A selector that names no recipe. (The CLI exits 3.)
    #[error("no recipe `{selector}`")]
    UnknownRecipe {
        /// The selector, as given.
        selector: String,
        /// Names that are near.
        suggestions: Vec<String>,
        /// How many recipes there are.
        total: usize,
    },
    /// A tag that no recipe has.
    #[error("no recipe has the tag `{tag}`")]
    UnknownTag {
        /// The tag, as given.
        tag: String,
        /// The nearest known tag.
        suggestion: Option<String>,
    },
    /// A selector or regular expression that cannot be read.
    #[error("bad selector `{selector}`: {reason}")]
    BadSelector {
        /// The selector, as given.
        selector: String,
        /// Why.
        reason: String,
    },
}

impl ConfigError {
    /// All that there is to show, ready for a person.
    #[must_use]
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        let error = Diagnostic::error(self.to_string());
        vec![match self {
            Self::Invalid { diagnostics } => return diagnostics.clone(),
            Self::NotFound { .. } => {
                error.with_hint("a project begins with a file `larder.yml` that holds `name: NAME`")
            }
            Self::UnknownRecipe { suggestions, total, .. } => {
                let all = format!("`larder run --list` shows all {total}");
                match suggestions.first() {
                    Some(near) => error.with_hint(format!("did you mean `{near}`?  {all}")),
                    None => error.with_hint(all),
                }
            }
            Self::UnknownTag { suggestion: Some(near), .. } => {
                error.with_hint(format!("did you mean `{near}`?"))
            }
            Self::UnknownTag { .. } => error.with_hint("`larder run --list` shows recipes with their tags"),
            Self::BadSelector { .. } => error.with_hint(
                "selectors are `cookbook:recipe`, `cookbook:`, `:recipe` and `cookbook:recipe[value]`",
            ),
        }]
    }

    /// An error if one of the findings is one.
    pub(crate) fn check(diagnostics: &mut Vec<Diagnostic>) -> Result<(), Self> {
        if diagnostics.iter().any(Diagnostic::is_error) {
            return Err(Self::Invalid { diagnostics: std::mem::take(diagnostics) });
        }
        Ok(())
    }
}

struct Findings<'a>(&'a [Diagnostic]);

impl fmt::Display for Findings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut errors = self.0.iter().filter(|finding| finding.is_error());
        match errors.next() {
            Some(first) => write!(f, "{}", first.message)?,
            None => write!(f, "bad configuration")?,
        }
        match errors.count() {
            0 => Ok(()),
            more => write!(f, " (and {more} more)"),
        }
    }
}
