//! `larder image cat`.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

use larder::oci::image::ReadError;
use larder::oci::layer::Kind;
use larder::oci::tree::printable;

use super::open::{self, fail};
use crate::cli::CatArgs;
use crate::commands::Context;
use crate::exit::Exit;
use crate::units;

/// What reading to standard output fails with.
#[derive(Debug, thiserror::Error)]
pub(super) enum CopyError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("it cannot be written")]
    Write(#[source] io::Error),
}

impl CopyError {
    fn hint(&self) -> String {
        match self {
            Self::Read(error) => error.hint(),
            Self::Write(_) => String::new(),
        }
    }
}

/// Runs the subcommand.
pub(super) fn cat(context: &Context, args: &CatArgs) -> Result<Exit, Exit> {
    let printer = &context.printer;
    let opened = open::open(context, &args.image, &args.named)?;
    let tree = opened.image.tree();
    // All are looked up before the first is written.
    let nodes: Vec<_> =
        args.paths.iter().map(|path| opened.node(printer, path, true)).collect::<Result<_, _>>()?;
    for (node, path) in nodes.iter().zip(&args.paths) {
        let kind = tree.inode_of(*node).kind;
        if kind != Kind::File {
            let what = if kind == Kind::Directory { "a folder" } else { "no file" };
            printer.refuse(format_args!("`{}` is {what}", printable(path.as_bytes())), None);
            return Err(Exit::Usage);
        }
    }
    let mut out = io::stdout().lock();
    for node in nodes {
        let inode = tree.node(node).inode();
        let copied =
            opened.image.read_all(inode, &mut |bytes| out.write_all(bytes).map_err(CopyError::Write));
        match copied.and_then(|()| out.flush().map_err(CopyError::Write)) {
            Ok(()) => {}
            Err(CopyError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                return Ok(Exit::Success);
            }
            Err(error) => return Err(fail(printer, &error, &error.hint())),
        }
    }
    if context.verbose {
        let total = opened.image.toc().layers().iter().map(|layer| layer.info().blob_size).sum();
        let moved = opened.source.moved();
        printer.talk(format_args!("fetched {} of {}", units::bytes(moved), units::bytes(total)));
    }
    opened.settle(context)?;
    Ok(Exit::Success)
}
