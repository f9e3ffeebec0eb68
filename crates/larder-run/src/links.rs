//! [`follow`]: the links that a path leads through, and where it leads.
//!
//! What is not there stays as it is named. After [`MOST`] links the rest is taken as named, so that a circle ends.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// Links that one path may lead through.
const MOST: usize = 40;

/// The links on the way of an absolute path, and where it leads in the end. `read`: a link's text, or `None` if there is no link.
pub(crate) fn follow(path: &Path, mut read: impl FnMut(&Path) -> Option<PathBuf>) -> (Vec<PathBuf>, PathBuf) {
    let mut passed = Vec::new();
    let mut at = PathBuf::from("/");
    let mut rest = names(path);
    while let Some(name) = rest.pop() {
        if name == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&name);
        match read(&next) {
            Some(target) if passed.len() < MOST => {
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                rest.extend(names(&target));
                passed.push(next);
            }
            _ => at = next,
        }
    }
    (passed, at)
}

/// Components, the last one first.
fn names(path: &Path) -> Vec<OsString> {
    let name = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        _ => None,
    };
    path.components().rev().filter_map(name).collect()
}
