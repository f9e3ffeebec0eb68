//! `larder image ls`.

use larder::oci::tree::{NodeId, printable};

use super::{open, show};
use crate::cli::ImageLsArgs;
use crate::commands::Context;
use crate::exit::Exit;

/// Runs the subcommand.
pub(super) fn ls(context: &Context, args: &ImageLsArgs) -> Result<Exit, Exit> {
    let printer = &context.printer;
    let opened = open::open(context, &args.image, &args.named)?;
    let tree = opened.image.tree();
    let node = opened.node(printer, &args.path, true)?;
    let digests = if args.json { opened.file_digests() } else { Vec::new() };
    let tell = |node: NodeId, path: &[u8], name: &[u8]| {
        let inode = tree.inode_of(node);
        if args.json {
            printer.json(&show::to_json(inode, path, &digests));
        } else if args.long {
            printer.data(show::long(inode, &printable(name)));
        } else {
            let slash = if inode.is_directory() { "/" } else { "" };
            printer.data(format_args!("{}{slash}", printable(name)));
        }
    };
    if !tree.inode_of(node).is_directory() {
        tell(node, &show::absolute(&tree.path(node)), tree.node(node).name());
        return Ok(Exit::Success);
    }
    if args.recursive {
        let mut walk = tree.walk(node);
        while let Some(found) = walk.advance() {
            if found != node {
                let path = show::absolute(walk.path());
                tell(found, &path, &path);
            }
        }
        return Ok(Exit::Success);
    }
    for child in tree.node(node).children() {
        tell(child, &show::absolute(&tree.path(child)), tree.node(child).name());
    }
    Ok(Exit::Success)
}
