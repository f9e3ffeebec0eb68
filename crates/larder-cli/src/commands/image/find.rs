//! `larder image find`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use globset::{GlobBuilder, GlobMatcher};
use larder::oci::layer::Kind;
use larder::oci::tree::{Inode, printable};

use super::{open, show};
use crate::cli::FindArgs;
use crate::commands::Context;
use crate::exit::Exit;

/// What names are compared with.
enum Pattern {
    /// A pattern, of the whole path or of the last name.
    Glob { of_path: bool, matcher: GlobMatcher },
    /// A name that is not UTF-8, as it is.
    Exactly { of_path: bool, name: Vec<u8> },
}

/// A pattern that is none.
#[derive(Debug, thiserror::Error)]
enum PatternError {
    #[error(transparent)]
    Glob(#[from] globset::Error),
    #[error("a pattern with `*`, `?`, `[…]` or `{{…}}` must be UTF-8")]
    NotUtf8,
}

impl PatternError {
    fn hint(&self) -> &'static str {
        match self {
            Self::Glob(_) => {
                "a pattern has `*`, `?`, `[a-z]` and `{a,b}`; what is meant as it is goes behind `\\`"
            }
            Self::NotUtf8 => "`?` stands for any byte",
        }
    }
}

impl Pattern {
    fn new(text: &OsStr) -> Result<Self, PatternError> {
        let bytes = text.as_bytes();
        let of_path = bytes.contains(&b'/');
        let begin = bytes.iter().position(|byte| *byte != b'/').unwrap_or(bytes.len());
        let bytes = &bytes[begin..];
        let Ok(text) = std::str::from_utf8(bytes) else {
            if bytes.iter().any(|byte| b"*?[]{}\\".contains(byte)) {
                return Err(PatternError::NotUtf8);
            }
            return Ok(Self::Exactly { of_path, name: bytes.to_vec() });
        };
        let matcher = GlobBuilder::new(text).literal_separator(of_path).build()?.compile_matcher();
        Ok(Self::Glob { of_path, matcher })
    }

    fn fits(&self, path: &[u8], last: &[u8]) -> bool {
        let text = |of_path: bool| if of_path { path } else { last };
        match self {
            Self::Glob { of_path, matcher } => matcher.is_match(OsStr::from_bytes(text(*of_path))),
            Self::Exactly { of_path, name } => text(*of_path) == name,
        }
    }
}

/// Runs the subcommand.
pub(super) fn find(context: &Context, args: &FindArgs) -> Result<Exit, Exit> {
    let printer = &context.printer;
    let pattern = args
        .pattern
        .as_deref()
        .map(|text| Pattern::new(text).map_err(|error| open::fail(printer, &error, error.hint())));
    let pattern = pattern.transpose()?;
    let opened = open::open(context, &args.image, &args.named)?;
    let digests = if args.json { opened.file_digests() } else { Vec::new() };
    let tree = opened.image.tree();
    let from = opened.node(printer, &args.below, true)?;
    let mut walk = tree.walk(from);
    while let Some(node) = walk.advance() {
        let (inode, path) = (tree.inode_of(node), walk.path());
        if node == tree.root() || !fits(inode, args) {
            continue;
        }
        if pattern.as_ref().is_some_and(|pattern| !pattern.fits(path, tree.node(node).name())) {
            continue;
        }
        if args.json {
            printer.json(&show::to_json(inode, &show::absolute(path), &digests));
        } else {
            printer.data(printable(&show::absolute(path)));
        }
    }
    Ok(Exit::Success)
}

fn fits(inode: &Inode, args: &FindArgs) -> bool {
    let letter = match show::letter(inode.kind) {
        '-' => "f".to_owned(),
        letter => letter.to_string(),
    };
    args.kind.as_ref().is_none_or(|kind| *kind == letter)
        && args.larger.is_none_or(|least| inode.kind == Kind::File && inode.size >= least)
        && (!args.setuid || inode.kind == Kind::File && inode.mode & 0o6000 != 0)
}
