//! A path in a tree: as the kernel would find it in a container whose root the tree is.

use super::error::LookUpError;
use super::names::{MAX_LINKS, MAX_PATH, printable};
use super::{NodeId, Tree};
use crate::layer::Kind;

impl Tree {
    /// What is at `path`, which begins at the root whether or not with a slash; `..` goes to the directory above and stays at the root.
    ///
    /// Symbolic links on the way are followed inside the tree, at most 255; one at the end only if `follow` is set or the path ends in a
    /// slash. `None`: there is nothing.
    pub fn look_up(&self, path: &[u8], follow: bool) -> Result<Option<NodeId>, LookUpError> {
        if path.len() > MAX_PATH + 1 {
            return Err(LookUpError::TooLong);
        }
        let follow = follow || path.ends_with(b"/");
        let mut at = self.root();
        let mut links = 0;
        // What is still to be walked, the innermost last.
        let mut rest = vec![path];
        while let Some(text) = rest.pop() {
            let length = text.iter().position(|byte| *byte == b'/').unwrap_or(text.len());
            let part = &text[..length];
            if let Some(more) = text.get(length + 1..).filter(|more| !more.is_empty()) {
                rest.push(more);
            }
            if self.inode_of(at).kind != Kind::Directory {
                return Err(LookUpError::NotADirectory { at: printable(&self.path(at)) });
            }
            match part {
                b"" | b"." => continue,
                b".." => {
                    at = self.node(at).parent();
                    continue;
                }
                _ => {}
            }
            let Some(found) = self.child(at, part) else {
                return Ok(None);
            };
            let inode = self.inode_of(found);
            if inode.kind != Kind::Symlink || (rest.is_empty() && !follow) {
                at = found;
                continue;
            }
            links += 1;
            if links > MAX_LINKS {
                return Err(LookUpError::TooManyLinks);
            }
            if inode.target.first() == Some(&b'/') {
                at = self.root();
            }
            rest.push(&inode.target);
        }
        let is_directory = self.inode_of(at).kind == Kind::Directory;
        if path.ends_with(b"/") && !is_directory {
            return Err(LookUpError::NotADirectory { at: printable(&self.path(at)) });
        }
        Ok(Some(at))
    }
}
