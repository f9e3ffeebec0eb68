//! `larder image du`: what takes room, by folders or by layers.

use std::collections::{HashMap, HashSet};

use larder::oci::layer::Kind;
use larder::oci::toc::TocError;
use larder::oci::tree::printable;
use serde_json::json;

use super::open::{self, Opened};
use super::show;
use crate::cli::DuArgs;
use crate::commands::Context;
use crate::exit::Exit;
use crate::units;

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
    let mut sums: HashMap<Vec<u8>, (u64, u64)> = HashMap::new();
    let mut order: Vec<Vec<u8>> = Vec::new();
    let mut counted = HashSet::new();
    let base = depth(&show::absolute(&tree.path(from)));
    let mut walk = tree.walk(from);
    while let Some(node) = walk.advance() {
        let (path, inode) = (show::absolute(walk.path()), tree.inode_of(node));
        let path = path.as_slice();
        if inode.is_directory() && depth(path) - base <= args.depth {
            order.push(path.to_vec());
        }
        // A hard link is counted once.
        let size =
            if inode.kind == Kind::File && counted.insert(tree.node(node).inode()) { inode.size } else { 0 };
        for end in ends(path).filter(|end| (base..=base + args.depth).contains(&depth(&path[..*end]))) {
            let sum = sums.entry(path[..end].to_vec()).or_default();
            sum.0 += size;
            sum.1 += 1;
        }
    }
    order.retain(|path| sums.contains_key(path));
    order.sort_by_key(|path| (std::cmp::Reverse(sums[path].0), path.clone()));
    for path in order {
        let (size, entries) = sums[&path];
        if args.json {
            printer.json(&show::with_path(&path, json!({"bytes": size, "entries": entries})));
        } else {
            printer.data(format_args!("{:>10} {entries:>8}  {}", units::bytes(size), printable(&path)));
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
    let mut seen = vec![0u64; opened.image.layers().len()];
    let mut counted = HashSet::new();
    let mut walk = tree.walk(tree.root());
    while let Some(node) = walk.advance() {
        let inode = tree.inode_of(node);
        if let Some((layer, _)) = &inode.content
            && counted.insert(tree.node(node).inode())
        {
            seen[*layer] += inode.size;
        }
    }
    for (at, layer) in opened.image.toc().layers().iter().enumerate() {
        let info = layer.info();
        let mut all = 0;
        for entry in layer.entries() {
            let entry = entry?;
            all += if entry.kind == Kind::File { entry.size } else { 0 };
        }
        let hidden = all.saturating_sub(seen[at]);
        if args.json {
            printer.json(&json!({
                "layer": at, "digest": info.blob.to_string(), "compressed": info.blob_size, "tar": info.size,
                "entries": info.entries, "files": all, "seen": seen[at], "hidden": hidden,
            }));
        } else {
            let digest = &info.blob.hex()[..12];
            let (packed, all, hidden) =
                (units::bytes(info.blob_size), units::bytes(all), units::bytes(hidden));
            printer.data(format_args!(
                "{:>3}  {digest}  {packed:>10} compressed  {all:>10} of files, {hidden} hidden or replaced",
                at + 1
            ));
        }
    }
    Ok(())
}
