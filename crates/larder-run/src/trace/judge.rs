//! [`Undeclared`]: what a command touched and its recipe does not declare.

use super::access::{Access, AccessKind};

/// One access that nothing declares.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UndeclaredAccess {
    /// What was seen.
    pub access: Access,
    /// The path as a person says it: relative to the project's root, or `~/…`. A folder that was listed ends in `/`.
    pub name: String,
}

/// What a command touched and its recipe does not declare, in the order of paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undeclared {
    /// All of it.
    pub found: Vec<UndeclaredAccess>,
}

impl Undeclared {
    /// Everything that was touched is declared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// What was read, looked up, listed or executed.
    pub fn inputs(&self) -> impl Iterator<Item = &UndeclaredAccess> {
        self.found.iter().filter(|found| found.access.kind != AccessKind::Written)
    }

    /// What was written.
    pub fn outputs(&self) -> impl Iterator<Item = &UndeclaredAccess> {
        self.found.iter().filter(|found| found.access.kind == AccessKind::Written)
    }
}
