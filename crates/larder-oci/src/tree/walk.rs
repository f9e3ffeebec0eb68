//! A tree from one name on: depth first, names ascending by bytes.

use super::{NodeId, Tree};

/// Names with their paths. See [`Tree::walk`].
#[derive(Clone, Debug)]
pub struct Walk<'tree> {
    tree: &'tree Tree,
    /// What is still to come, the next one last, with the length of the path of its directory.
    todo: Vec<(NodeId, usize)>,
    path: Vec<u8>,
}

impl<'tree> Walk<'tree> {
    pub(super) fn new(tree: &'tree Tree, from: NodeId) -> Walk<'tree> {
        let mut path = tree.path(from);
        let name = tree.node(from).name().len();
        let above = (path.len() - name).saturating_sub(1);
        path.truncate(above);
        Walk { tree, todo: vec![(from, above)], path }
    }

    /// The next name, without its path; [`Walk::path`] has it. Cheaper than the iterator, which copies paths.
    pub fn advance(&mut self) -> Option<NodeId> {
        let (id, above) = self.todo.pop()?;
        let node = self.tree.node(id);
        self.path.truncate(above);
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(node.name());
        let below = self.path.len();
        self.todo.extend(node.children().rev().map(|child| (child, below)));
        Some(id)
    }

    /// The path of the name that was given last, from the tree's root, without a leading slash.
    pub fn path(&self) -> &[u8] {
        &self.path
    }
}

impl Iterator for Walk<'_> {
    type Item = (Vec<u8>, NodeId);

    fn next(&mut self) -> Option<(Vec<u8>, NodeId)> {
        let id = self.advance()?;
        Some((self.path.clone(), id))
    }
}
