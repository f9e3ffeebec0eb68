//! `larder image diff`: what differs between two images, by name.

use std::cmp::Ordering;
use std::os::unix::ffi::OsStrExt;

use larder::oci::image::{Image, ReadError};
use larder::oci::layer::Kind;
use larder::oci::tree::{InodeId, NodeId, printable};
use serde_json::json;

use super::open::{self, fail};
use super::show;
use crate::cli::DiffArgs;
use crate::commands::Context;
use crate::exit::Exit;
use crate::units;

/// Runs the subcommand.
pub(super) fn diff(context: &Context, args: &DiffArgs) -> Result<Exit, Exit> {
    let printer = &context.printer;
    let before = open::open(context, &args.before, &args.named)?;
    let after = open::open(context, &args.after, &args.named)?;
    let all = |image: &Image, from: NodeId| {
        let mut walk = image.tree().walk(from);
        let mut names = Vec::new();
        while let Some(node) = walk.advance() {
            names.push((show::absolute(walk.path()), node));
        }
        // Names in order of bytes, whatever order folders are walked in.
        names.sort();
        names
    };
    // What is in one of them only was added or removed.
    let begins = [&before, &after]
        .map(|opened| opened.image.tree().look_up(args.below.as_bytes(), true).ok().flatten());
    if begins == [None, None] {
        before.node(printer, &args.below, true)?;
    }
    let one = begins[0].map_or_else(Vec::new, |begin| all(&before.image, begin));
    let other = begins[1].map_or_else(Vec::new, |begin| all(&after.image, begin));
    let (mut left, mut right) = (one.iter().peekable(), other.iter().peekable());
    let (mut differs, mut unread) = (false, 0);
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((one, _)), Some((other, _))) => one.cmp(other),
        };
        let (path, change, fields) = match order {
            Ordering::Less => (&left.next().expect("peeked").0, "removed", Vec::new()),
            Ordering::Greater => (&right.next().expect("peeked").0, "added", Vec::new()),
            Ordering::Equal => {
                let ((path, one), (_, other)) = (left.next().expect("peeked"), right.next().expect("peeked"));
                let compared = compare(&before.image, *one, &after.image, *other, args.content);
                let compared = compared.map_err(|error| fail(printer, &error, &error.hint()))?;
                unread += usize::from(compared.is_unread);
                (path, "changed", compared.fields)
            }
        };
        if change == "changed" && fields.is_empty() {
            continue;
        }
        differs = true;
        if args.json {
            let rest = json!({"change": change, "fields": fields});
            printer.json(&show::with_path(path, rest));
        } else {
            let mark = match change {
                "removed" => '-',
                "added" => '+',
                _ => '~',
            };
            let what = if fields.is_empty() { String::new() } else { format!("  ({})", fields.join(", ")) };
            printer.data(format_args!("{mark} {}{what}", printable(path)));
        }
    }
    if !differs && !args.json {
        let unread =
            if args.content { "" } else { " (files of the same size and time were not read: --content)" };
        printer.talk(format_args!("no difference{unread}"));
    }
    if unread > 0 {
        let files = units::counted(unread, "file", "files");
        printer.talk(format_args!("{files} of the same size and time not compared: `--content` reads them"));
    }
    if args.content {
        before.settle(context)?;
        after.settle(context)?;
    }
    Ok(Exit::Success)
}

/// What differs between two entries of one name.
struct Compared {
    fields: Vec<&'static str>,
    /// Two files that lie at different places, and may have different content for all that is known of them.
    is_unread: bool,
}

fn compare(
    before: &Image,
    one: NodeId,
    after: &Image,
    other: NodeId,
    content: bool,
) -> Result<Compared, ReadError> {
    let (old, new) = (before.tree().inode_of(one), after.tree().inode_of(other));
    let mut fields = Vec::new();
    let mut note = |differs: bool, field| {
        if differs {
            fields.push(field);
        }
    };
    note(old.kind != new.kind, "type");
    note(old.mode != new.mode, "mode");
    note((old.uid, old.gid) != (new.uid, new.gid), "owner");
    note(old.xattrs != new.xattrs, "xattrs");
    note(old.target != new.target, "target");
    note(old.device != new.device, "device");
    let both_files = old.kind == Kind::File && new.kind == Kind::File;
    let is_same_place = || {
        // The same layer at the same place is the same content.
        let place = |image: &Image, inode: &larder::oci::tree::Inode| {
            inode
                .content
                .as_ref()
                .map(|(layer, content)| (image.toc().layers()[*layer].info().diff_id, content.clone()))
        };
        place(before, old) == place(after, new)
    };
    if both_files && old.size != new.size {
        note(true, "size");
    } else if both_files && !is_same_place() {
        if content {
            let ids = (before.tree().node(one).inode(), after.tree().node(other).inode());
            note(!same_content(before, ids.0, after, ids.1)?, "content");
        } else {
            note(old.modified != new.modified, "time");
        }
    } else if !content && !both_files {
        note(old.modified != new.modified, "time");
    }
    let is_unread = fields.is_empty() && both_files && !content && old.size > 0 && !is_same_place();
    Ok(Compared { fields, is_unread })
}

fn same_content(before: &Image, one: InodeId, after: &Image, other: InodeId) -> Result<bool, ReadError> {
    const PIECE: usize = 1 << 20;
    let (mut left, mut right) = (vec![0; PIECE], vec![0; PIECE]);
    let mut at = 0;
    loop {
        let length = before.read_at(one, &mut left, at)?;
        after.read_at(other, &mut right, at)?;
        if left[..length] != right[..length] {
            return Ok(false);
        }
        if length < PIECE {
            return Ok(true);
        }
        at += length as u64;
    }
}
