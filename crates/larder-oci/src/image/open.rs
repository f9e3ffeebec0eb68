//! An image that is open: its table, its tree, content of its files.

use std::cell::Cell;
use std::io;
use std::sync::Arc;

use super::layer::{LazyLayer, ReadError, SpanCache};
use super::source::ImageSource;
use crate::export::ReadContent;
use crate::layer::{Budget, Content, Limits};
use crate::toc::{ImageToc, TocError};
use crate::tree::{Differences, Inode, InodeId, MergeRule, Merger, Tree, TreeError};

/// An image whose tree cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Its table cannot be read.
    #[error(transparent)]
    Toc(#[from] TocError),
    /// Its layers do not go together.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl OpenError {
    /// What a person can do; may be empty.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Toc(error) => error.hint(),
            Self::Tree(_) => "",
        }
    }
}

/// The tree of an image. Of a table one block of entries at a time is in memory. `limits` are of all layers together, wherever their tables come
/// from.
///
/// # Errors
/// When the table is damaged, or the layers cannot be put together, or are over a limit.
pub fn tree(toc: &ImageToc, limits: Limits, rule: MergeRule) -> Result<Tree, OpenError> {
    let mut merger = Merger::new(rule);
    let mut budget = Budget::new(limits);
    for layer in toc.layers() {
        merger.expect(layer.info().entries.min(limits.entries));
        // By one of the rules entries are read twice, and count once.
        let left = Cell::new(budget);
        merger.read_layer(|| {
            left.set(budget);
            layer.entries_within(&left).map(|entry| entry.map_err(OpenError::Toc))
        })?;
        budget = left.get();
    }
    Ok(merger.finish())
}

/// The trees of an image by both rules, to see where they differ.
///
/// # Errors
/// When the table is damaged, or over a limit.
pub fn differences(toc: &ImageToc, limits: Limits) -> Result<Differences, TocError> {
    let by = |rule| match tree(toc, limits, rule) {
        Ok(tree) => Ok(Ok(tree)),
        Err(OpenError::Tree(error)) => Ok(Err(error)),
        Err(OpenError::Toc(error)) => Err(error),
    };
    Ok(Differences { overlay: by(MergeRule::Overlay)?, spec: by(MergeRule::Spec)? })
}

/// An image.
#[derive(Debug)]
pub struct Image {
    toc: ImageToc,
    tree: Tree,
    layers: Vec<LazyLayer>,
}

impl Image {
    /// Opens an image by its table.
    ///
    /// # Errors
    /// When the table is damaged, or the layers cannot be put together, or are over a limit.
    pub fn open(
        toc: ImageToc,
        rule: MergeRule,
        source: &Arc<dyn ImageSource>,
        cache: &Arc<dyn SpanCache>,
    ) -> Result<Self, OpenError> {
        Self::open_within(toc, Limits::default(), rule, source, cache)
    }

    /// The same, with other limits, which are of all layers together, wherever their tables come from.
    ///
    /// # Errors
    /// As [`Image::open`].
    pub fn open_within(
        toc: ImageToc,
        limits: Limits,
        rule: MergeRule,
        source: &Arc<dyn ImageSource>,
        cache: &Arc<dyn SpanCache>,
    ) -> Result<Self, OpenError> {
        let tree = tree(&toc, limits, rule)?;
        let descriptors = toc.manifest().layers.iter();
        let layers = toc.layers().iter().zip(descriptors);
        let layers = layers
            .map(|(layer, descriptor)| {
                LazyLayer::new(layer.clone(), descriptor.clone(), source.clone(), cache.clone())
            })
            .collect();
        Ok(Self { toc, tree, layers })
    }

    /// Its table.
    #[must_use]
    pub fn toc(&self) -> &ImageToc {
        &self.toc
    }

    /// Its tree.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Its layers, bottom first.
    #[must_use]
    pub fn layers(&self) -> &[LazyLayer] {
        &self.layers
    }

    /// Reads a file from byte `at` on; how many bytes of `into` were filled: fewer than asked only at its end.
    ///
    /// # Errors
    /// When its bytes cannot be had, or are not what the table says.
    pub fn read_at(&self, file: InodeId, into: &mut [u8], at: u64) -> Result<usize, ReadError> {
        let inode = self.tree.inode(file);
        let length = usize::try_from(inode.size.saturating_sub(at)).unwrap_or(usize::MAX).min(into.len());
        let into = &mut into[..length];
        match &inode.content {
            Some((layer, content)) => self.read_content(*layer, content, into, at)?,
            None => into.fill(0),
        }
        Ok(length)
    }

    fn read_content(
        &self,
        layer: usize,
        content: &Content,
        into: &mut [u8],
        at: u64,
    ) -> Result<(), ReadError> {
        let layer = self.layers.get(layer).ok_or(ReadError::Outside)?;
        let Some(pieces) = &content.sparse else {
            return layer.read_at(into, content.at.checked_add(at).ok_or(ReadError::Outside)?);
        };
        into.fill(0);
        let end = at + into.len() as u64;
        let mut stored = content.at;
        for (place, length) in pieces {
            let (from, to) = ((*place).max(at), (place + length).min(end));
            if from < to {
                let within = |byte: u64| usize::try_from(byte - at).expect("within memory");
                layer.read_at(&mut into[within(from)..within(to)], stored + (from - place))?;
            }
            stored += length;
        }
        Ok(())
    }

    /// Passes a file to `sink`, from front to back, in pieces of at most some megabytes.
    ///
    /// # Errors
    /// As [`Image::read_at`], and what `sink` fails with.
    pub fn read_all<E: From<ReadError>>(
        &self,
        file: InodeId,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        const PIECE: u64 = 4 << 20;
        let inode: &Inode = self.tree.inode(file);
        let mut buffer = vec![0; usize::try_from(inode.size.min(PIECE)).expect("bounded")];
        let mut at = 0;
        while at < inode.size {
            let length = self.read_at(file, &mut buffer, at)?;
            sink(&buffer[..length])?;
            at += length as u64;
        }
        Ok(())
    }
}

impl ReadContent for Image {
    fn read(&self, layer: usize, at: u64, into: &mut [u8]) -> io::Result<()> {
        let layer = self.layers.get(layer).ok_or_else(|| io::Error::other(ReadError::Outside))?;
        layer.read_at(into, at).map_err(io::Error::other)
    }
}
