//! Where links lead, and what is known of a place that was not reached from the root down.
//!
//! A link is followed by its text, one name at a time, each looked at without following it: so every link and folder on the
//! way is a dependency of the answer, and nothing outside the project is ever touched. At most 40 links in a row.

use super::error::InputError;
use super::pattern::Place;
use super::refresh::Want;
use super::table::{Id, Kind, ROOT};
use super::walk::Walk;

const MOST_HOPS: usize = 40;

impl Walk<'_> {
    /// The places of the exclusions in a folder; `None` if it is excluded.
    pub(super) fn exclude_at(&self, node: Id) -> Option<Vec<Place>> {
        let excludes = self.question.exclude;
        let (mut places, root) = excludes.start();
        if root {
            return None;
        }
        for id in self.chain(node) {
            let mut next = Vec::new();
            if excludes.step(&places, self.table.name(id), &mut next, None, || true).is_some() {
                return None;
            }
            places = next;
        }
        Some(places)
    }

    /// The nodes from below the root down to `node`.
    pub(super) fn chain(&self, node: Id) -> Vec<Id> {
        let mut chain = Vec::new();
        let mut at = node;
        while at != ROOT {
            chain.push(at);
            at = self.table.node(at).parent;
        }
        chain.reverse();
        chain
    }

    /// Where a link leads, if that is inside the project: by its text, one name at a time.
    pub(super) fn resolve(&mut self, link: Id) -> Result<Option<Id>, InputError> {
        let mut at = self.table.node(link).parent;
        let mut names = match self.split_target(link) {
            Some((from_root, names)) => {
                at = if from_root { ROOT } else { at };
                names
            }
            None => return Ok(None),
        };
        let mut hops = 0;
        while let Some(name) = names.pop() {
            if self.table.node(at).kind != Kind::Folder && at != ROOT {
                return Ok(None);
            }
            if name == b".." {
                if at == ROOT {
                    return Ok(None);
                }
                at = self.table.node(at).parent;
                continue;
            }
            let child = self.table.child_or_new(at, &name);
            if name == b".git" || self.state == Some(child) {
                return Ok(None);
            }
            self.bring([(child, Want::Content)].into_iter())?;
            self.depend_on_content(child);
            if self.table.node(child).kind != Kind::Link {
                at = child;
                continue;
            }
            hops += 1;
            let Some((from_root, more)) = self.split_target(child).filter(|_| hops <= MOST_HOPS) else {
                return Ok(None);
            };
            at = if from_root { ROOT } else { at };
            names.extend(more);
        }
        Ok(Some(at))
    }

    /// The names of a link's target, last first, and whether they begin at the root; `None` if it leads outside.
    fn split_target(&self, link: Id) -> Option<(bool, Vec<Vec<u8>>)> {
        use std::os::unix::ffi::OsStrExt;
        let target = self.table.text(self.table.node(link).target);
        let absolute = target.first() == Some(&b'/');
        let target = if absolute {
            let below = target.strip_prefix(self.disk.path.as_os_str().as_bytes())?;
            (below.is_empty() || below[0] == b'/').then_some(below)?
        } else {
            target
        };
        let names = target.split(|&b| b == b'/').filter(|name| !name.is_empty() && *name != b".");
        Some((absolute, names.rev().map(<[u8]>::to_vec).collect()))
    }
}
