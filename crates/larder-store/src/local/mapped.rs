//! Mapped files: the only `unsafe` of this crate.
//!
//! Only immutable files are mapped: sealed packs and tables, which are written under another name, renamed into place
//! and never written again. The store unlinks them but never truncates them; an unlinked file stays whole while it is
//! mapped. Somebody else who truncates a file of the store while it is mapped can still make the process fail with
//! SIGBUS: that is outside what a store can defend (the folder belongs to the user and is not writable by others,
//! see `home`); sizes are checked against the file's length when it is opened.
#![expect(
    unsafe_code,
    reason = "mapping a file is `unsafe` in memmap2; see the header for why it holds here"
)]

use std::fs::File;
use std::io;
use std::ops::Deref;

/// A read-only mapping of a whole immutable file.
#[derive(Debug)]
pub(crate) struct Mapped(memmap2::Mmap);

impl Mapped {
    /// Maps `file` from beginning to end.
    pub(crate) fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the file is immutable by the store's rules (header above); nothing in this process writes to it.
        let map = unsafe { memmap2::Mmap::map(file)? };
        map.advise(memmap2::Advice::Random).ok();
        Ok(Self(map))
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
