//! What is asked: a set of paths, by patterns.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::error::InputError;
use super::pattern::{Patterns, Via};

/// A set of paths. See the module's header for what patterns mean.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PathSpec {
    /// Patterns are relative to this folder, which is relative to the project's root.
    pub folder: PathBuf,
    /// What belongs to the set; a leading `!` takes away, wherever it stands in the list.
    pub patterns: Vec<String>,
    /// The folder itself belongs to the set, as if `**` were a pattern.
    pub whole_folder: bool,
    /// Patterns that never belong to the set (declared outputs), relative to `folder`.
    pub exclude: Vec<String>,
    /// Paths that never belong to the set, with all below them, relative to the root (outputs as recorded).
    pub exclude_paths: Vec<PathBuf>,
    /// Literal paths that belong to the set, relative to the root, beside the patterns.
    pub paths: Vec<PathBuf>,
    /// Ignore files have a say in what wildcards find.
    pub ignore: bool,
    /// What a link inside the project points to belongs to the set, too. For inputs, not for outputs.
    pub follow: bool,
}

impl PathSpec {
    /// The inputs that `patterns` name: ignore files have a say, links are followed.
    #[must_use]
    pub fn inputs(folder: impl Into<PathBuf>, patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            folder: folder.into(),
            patterns: patterns.into_iter().map(Into::into).collect(),
            ignore: true,
            follow: true,
            ..Self::default()
        }
    }

    /// The outputs that `patterns` name: whatever is there, links as links.
    #[must_use]
    pub fn outputs(
        folder: impl Into<PathBuf>,
        patterns: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self { ignore: false, follow: false, ..Self::inputs(folder, patterns) }
    }

    /// Included and excluded patterns.
    pub(super) fn compile(&self) -> Result<(Patterns, Patterns), InputError> {
        let (mut include, mut exclude) = (Patterns::default(), Patterns::default());
        if self.whole_folder {
            include.add(&self.folder, "**")?;
        }
        for text in &self.patterns {
            match text.strip_prefix('!') {
                Some(text) => exclude.add(&self.folder, text)?,
                None => include.add(&self.folder, text)?,
            }
        }
        for text in &self.exclude {
            // A declared output `!x` means that `x` is not an output; it is an input like any other.
            if !text.starts_with('!') {
                exclude.add(&self.folder, text)?;
            }
        }
        self.exclude_paths.iter().for_each(|path| exclude.add_path(path));
        self.paths.iter().for_each(|path| include.add_path(path));
        Ok((include, exclude))
    }

    /// Whether the patterns name this path (relative to the root), whatever is on disk: of what is gone nothing else can be told.
    /// Ignore files have no say.
    ///
    /// # Errors
    /// Patterns that cannot be read.
    pub fn names(&self, path: &Path) -> Result<bool, InputError> {
        let (include, exclude) = self.compile()?;
        Ok(ends_in(&include, path, false) && !ends_in(&exclude, path, true))
    }

    /// Under which name the answer is remembered. `question`: what is asked about the set.
    pub(super) fn key(&self, question: u8) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        let mut put = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        put(&[1, question, self.whole_folder.into(), self.ignore.into(), self.follow.into()]);
        put(self.folder.as_os_str().as_bytes());
        for list in [&self.patterns, &self.exclude] {
            put(&(list.len() as u64).to_le_bytes());
            list.iter().for_each(|text| put(text.as_bytes()));
        }
        for list in [&self.exclude_paths, &self.paths] {
            put(&(list.len() as u64).to_le_bytes());
            list.iter().for_each(|path| put(path.as_os_str().as_bytes()));
        }
        *hasher.finalize().as_bytes()
    }
}

/// Whether a pattern ends at `path`, or at a folder above it: by name, or (`any`) in any way.
fn ends_in(patterns: &Patterns, path: &Path, any: bool) -> bool {
    let (mut places, mut ends) = patterns.start();
    let names = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.as_bytes()),
        _ => None,
    });
    let mut names = names.peekable();
    while let Some(name) = names.next() {
        let mut next = Vec::new();
        let end = patterns.step(&places, name, &mut next, None, || true);
        ends |= match end {
            Some(Via::Name) => true,
            Some(Via::Wildcard) => any || names.peek().is_none(),
            None => false,
        };
        places = next;
    }
    ends
}
