//! `larder image du`: what takes room, by folders or by layers.

use std::collections::{HashMap, HashSet};

use larder::oci::layer::Kind;
use larder::oci::toc::TocError;
use larder::oci::tree::{Inode, printable};
use serde_json::json;

use super::open::{self, Opened};
use super::show;
use crate::cli::DuArgs;
use crate::commands::Context;
use crate::exit::Exit;
use crate::units;

/// Bytes of files.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    /// Those that are stored.
    stored: u64,
    /// With the holes of sparse files.
    apparent: u64,
}

impl Size {
    fn of(inode: &Inode) -> Self {
        match &inode.content {
            Some((_, content)) if inode.kind == Kind::File => {
                Self { stored: content.stored, apparent: inode.size }
            }
            _ => Self::default(),
        }
    }

    fn shown(self, args: &DuArgs) -> u64 {
        if args.apparent_size { self.apparent } else { self.stored }
    }
}

impl std::ops::AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        self.stored += other.stored;
        self.apparent += other.apparent;
    }
}

/// Runs the subcommand.
pub(super) fn du(context: &Context, args: &DuArgs) -> Result<Exit, Exit> {
    let opened = open::open(context, &args.image, &args.named)?;
    if args.layers {
        by_layers(context, args, &opened)
            .map_err(|error| open::fail(&context.printer, &error, error.hint()))?;
        return Ok(Exit::Success);
    }
    let printer = &context.printer;
    let tree = opened.image.tree();
    let from = opened.node(printer, &args.path, true)?;
    // Folders on the way, with what was counted in them.
    let mut sums: HashMap<Vec<u8>, (Size, u64)> = HashMap::new();
    let mut order: Vec<Vec<u8>> = Vec::new();
    let mut counted = HashSet::new();
    let base = depth(&show::absolute(&tree.path(from)));
    let mut walk = tree.walk(from);
    while let Some(node) = walk.advance() {
        let (path, inode) = (show::absolute(walk.path()), tree.inode_of(node));
        let path = path.as_slice();
        if node == from || inode.is_directory() && depth(path) - base <= args.depth {
            order.push(path.to_vec());
        }
        // A hard link is counted once.
        let is_new = inode.kind == Kind::File && counted.insert(tree.node(node).inode());
        let size = if is_new { Size::of(inode) } else { Size::default() };
        for end in ends(path).filter(|end| (base..=base + args.depth).contains(&depth(&path[..*end]))) {
            let sum = sums.entry(path[..end].to_vec()).or_default();
            sum.0 += size;
            sum.1 += 1;
        }
    }
    order.retain(|path| sums.contains_key(path));
    order.sort_by_key(|path| (std::cmp::Reverse(sums[path].0.shown(args)), path.clone()));
    for path in order {
        let (size, entries) = sums[&path];
        if args.json {
            printer.json(&show::with_path(
                &path,
                json!({"bytes": size.stored, "apparent": size.apparent, "entries": entries}),
            ));
        } else {
            printer.data(format_args!(
                "{:>10} {entries:>8}  {}",
                units::bytes(size.shown(args)),
                printable(&path)
            ));
        }
    }
    Ok(Exit::Success)
}

/// How many names a path has.
fn depth(path: &[u8]) -> usize {
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).count()
}

/// Where a path's folders end, the root and the path itself included.
fn ends(path: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let slashes = path.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    let whole = (path.len() > 1).then_some(path.len());
    std::iter::once(1.min(path.len())).chain(slashes).chain(whole)
}

fn by_layers(context: &Context, args: &DuArgs, opened: &Opened) -> Result<(), TocError> {
    let printer = &context.printer;
    let tree = opened.image.tree();
    let mut seen = vec![Size::default(); opened.image.layers().len()];
    let mut counted = HashSet::new();
    let mut walk = tree.walk(tree.root());
    while let Some(node) = walk.advance() {
        let inode = tree.inode_of(node);
        if let Some((layer, _)) = &inode.content
            && counted.insert(tree.node(node).inode())
        {
            seen[*layer] += Size::of(inode);
        }
    }
    for (at, layer) in opened.image.toc().layers().iter().enumerate() {
        let info = layer.info();
        let mut all = Size::default();
        for entry in layer.entries() {
            let entry = entry?;
            if entry.kind == Kind::File {
                all += Size { stored: entry.content.stored, apparent: entry.size };
            }
        }
        let hidden = all.shown(args).saturating_sub(seen[at].shown(args));
        if args.json {
            printer.json(&json!({
                "layer": at + 1, "digest": info.blob.to_string(), "compressed": info.blob_size, "tar": info.size,
                "entries": info.entries, "files": all.stored, "apparent": all.apparent, "seen": seen[at].stored,
                "hidden": all.stored.saturating_sub(seen[at].stored),
            }));
        } else {
            let digest = &info.blob.hex()[..12];
            let (packed, all, hidden) =
                (units::bytes(info.blob_size), units::bytes(all.shown(args)), units::bytes(hidden));
            printer.data(format_args!(
                "{:>3}  {digest}  {packed:>10} compressed  {all:>10} of files, {hidden} hidden or replaced",
                at + 1
            ));
        }
    }
    Ok(())
}
