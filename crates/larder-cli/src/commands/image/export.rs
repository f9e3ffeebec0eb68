//! `larder image export`: an image's files as a tar file, or as they are into a folder.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;

use larder::oci::export::{self, ExportError, Exported};
use larder::oci::tree::NodeId;

use super::open::{self, Opened, fail};
use crate::cli::TarArgs;
use crate::commands::Context;
use crate::exit::Exit;
use crate::{units, whole_file};

/// Runs the subcommand.
pub(super) fn export(context: &Context, args: &TarArgs) -> Result<Exit, Exit> {
    let printer = &context.printer;
    if args.output.is_none() && args.into.is_none() && io::stdout().is_terminal() {
        printer.refuse(
            "a tar file is nothing for a terminal",
            Some("`-o FILE.tar`, `-C DIR`, or a pipe to `tar t`"),
        );
        return Err(Exit::Usage);
    }
    let opened = open::open(context, &args.image, &args.named)?;
    let node = opened.node(printer, &args.path, false)?;
    let exported = match (&args.output, &args.into) {
        (_, Some(folder)) => export::directory(opened.image.tree(), node, &opened.image, folder),
        (Some(file), None) if file.as_os_str() != "-" => to_file(&opened, node, file),
        _ => to_writer(&opened, node, io::stdout().lock()),
    };
    match exported {
        Ok(Exported { names, bytes }) => {
            if args.output.is_some() || args.into.is_some() {
                let names = units::counted(usize::try_from(names).unwrap_or(usize::MAX), "name", "names");
                printer.talk(format_args!("exported {names}, {} of files", units::bytes(bytes)));
            }
            opened.settle(context)?;
            Ok(Exit::Success)
        }
        Err(ExportError::Write { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => {
            Ok(Exit::Success)
        }
        Err(error) => Err(fail(printer, &error, "")),
    }
}

fn to_writer(opened: &Opened, node: NodeId, to: impl Write) -> Result<Exported, ExportError> {
    let mut out = BufWriter::with_capacity(256 << 10, to);
    let exported = export::tar(opened.image.tree(), node, &opened.image, &mut out)?;
    out.flush().map_err(|source| ExportError::Write { path: "the archive".to_owned(), source })?;
    Ok(exported)
}

fn to_file(opened: &Opened, node: NodeId, path: &Path) -> Result<Exported, ExportError> {
    let failed = |source| ExportError::Write { path: path.display().to_string(), source };
    whole_file::write(path, failed, |file| to_writer(opened, node, file))
}
