//! `larder image find`.

use globset::GlobBuilder;
use larder::oci::layer::Kind;
use larder::oci::tree::{Inode, printable};

use super::{open, show};
use crate::cli::FindArgs;
use crate::commands::Context;
use crate::exit::Exit;

/// Runs the subcommand.
pub(super) fn find(context: &Context, args: &FindArgs) -> Result<Exit, Exit> {
    let printer = &context.printer;
    let pattern = args.pattern.as_deref().map(|pattern| {
        let of_path = pattern.contains('/');
        let pattern = pattern.trim_start_matches('/');
        let matcher =
            GlobBuilder::new(pattern).literal_separator(of_path).build().map(|glob| glob.compile_matcher());
        let hint = "a pattern has `*`, `?`, `[a-z]` and `{a,b}`; what is meant as it is goes behind `\\`";
        matcher.map(|matcher| (of_path, matcher)).map_err(|error| open::fail(printer, &error, hint))
    });
    let pattern = pattern.transpose()?;
    let opened = open::open(context, &args.image, &args.named)?;
    let digests = if args.json { opened.file_digests() } else { Vec::new() };
    let tree = opened.image.tree();
    let from = opened.node(printer, &args.below, true)?;
    let mut walk = tree.walk(from);
    while let Some(node) = walk.advance() {
        let (inode, path) = (tree.inode_of(node), walk.path());
        if node == tree.root() || !fits(inode, args) {
            continue;
        }
        if let Some((of_path, matcher)) = &pattern {
            let text = if *of_path { path } else { tree.node(node).name() };
            let text: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(text);
            if !matcher.is_match(text) {
                continue;
            }
        }
        if args.json {
            printer.json(&show::to_json(inode, &show::absolute(path), &digests));
        } else {
            printer.data(printable(&show::absolute(path)));
        }
    }
    Ok(Exit::Success)
}

fn fits(inode: &Inode, args: &FindArgs) -> bool {
    let letter = match show::letter(inode.kind) {
        '-' => "f".to_owned(),
        letter => letter.to_string(),
    };
    args.kind.as_ref().is_none_or(|kind| *kind == letter)
        && args.larger.is_none_or(|least| inode.kind == Kind::File && inode.size >= least)
        && (!args.setuid || inode.kind == Kind::File && inode.mode & 0o6000 != 0)
}
