//! POSIX access control lists, as the kernel treats them while a layer is unpacked.
//!
//! What is made in a directory with a default list gets that list (a directory also as its own default), and then the mode of its entry, which
//! replaces the list's entries for the owner, the mask (or the group, where there is no mask) and all others. A list that says no more than
//! the mode is not kept. What is malformed, or stands where no list can be, is dropped.
//!
//! A list is a version (2) and entries of a tag, permissions and an id, all little-endian: `u32`, then `u16`, `u16`, `u32` each.

use super::Inode;
use crate::layer::Kind;

/// The list that decides who may do what.
const ACCESS: &[u8] = b"system.posix_acl_access";
/// The list that a directory hands down.
const DEFAULT: &[u8] = b"system.posix_acl_default";

const OWNER: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP: u16 = 0x04;
const NAMED_GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// Permissions of an entry that names nobody.
const NOBODY: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Line {
    tag: u16,
    permissions: u16,
    id: u32,
}

/// The list that a directory hands down to what is made in it.
pub(super) fn handed_down(directory: &Inode) -> Option<&[u8]> {
    let at = directory.xattrs.binary_search_by(|(name, _)| name.as_slice().cmp(DEFAULT)).ok()?;
    Some(&directory.xattrs[at].1)
}

/// How many bytes an inode takes of a list of `length` that is handed down to it.
pub(super) fn inherited(inode: &Inode, length: usize) -> usize {
    match inode.kind {
        Kind::Symlink => 0,
        Kind::Directory => 2 * length,
        _ => length,
    }
}

/// Gives a new inode the list that its directory hands down.
pub(super) fn inherit(inode: &mut Inode, list: &[u8]) {
    if inode.kind == Kind::Symlink {
        return;
    }
    let mut xattrs = std::mem::take(&mut inode.xattrs).into_vec();
    let mut add = |name: &[u8]| {
        if let Err(at) = xattrs.binary_search_by(|(other, _)| other.as_slice().cmp(name)) {
            xattrs.insert(at, (name.to_vec(), list.to_vec()));
        }
    };
    add(ACCESS);
    if inode.kind == Kind::Directory {
        add(DEFAULT);
    }
    inode.xattrs = xattrs.into();
}

/// Brings an inode's lists into the form that the kernel would give them, after its mode was set. Whether something was dropped that is
/// wrong.
pub(super) fn settle(inode: &mut Inode) -> bool {
    let has = |what: &[u8]| inode.xattrs.binary_search_by(|(name, _)| name.as_slice().cmp(what)).is_ok();
    if !has(ACCESS) && !has(DEFAULT) {
        return false;
    }
    let mut dropped = false;
    let mut xattrs = std::mem::take(&mut inode.xattrs).into_vec();
    xattrs.retain_mut(|(name, value)| {
        let is_access = name == ACCESS;
        if !is_access && name != DEFAULT {
            return true;
        }
        let has_place = if is_access { inode.kind != Kind::Symlink } else { inode.kind == Kind::Directory };
        let list = parse(value).filter(|_| has_place);
        let Some(mut list) = list else {
            dropped = true;
            return false;
        };
        if is_access {
            if list.len() == 3 {
                return false;
            }
            set_mode(&mut list, inode.mode);
        }
        *value = text(&list);
        !list.is_empty()
    });
    inode.xattrs = xattrs.into();
    dropped
}

/// The entries of a list, in the order in which the kernel wants them; none, if it is not one.
fn parse(value: &[u8]) -> Option<Vec<Line>> {
    let (version, lines) = value.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*version) != 2 || lines.len() % 8 != 0 {
        return None;
    }
    let mut list = Vec::with_capacity(lines.len() / 8);
    let (mut after, mut named) = (0, false);
    for line in lines.chunks_exact(8) {
        let half = |at: usize| u16::from_le_bytes([line[at], line[at + 1]]);
        let (tag, permissions) = (half(0), half(2));
        let id = u32::from_le_bytes([line[4], line[5], line[6], line[7]]);
        let may_repeat = tag == USER || tag == NAMED_GROUP;
        let is_known = matches!(tag, OWNER | USER | GROUP | NAMED_GROUP | MASK | OTHER);
        // Tags ascend; the owner, the group and all others must be there, and a mask if somebody is named.
        let in_order = tag > after || (may_repeat && tag == after);
        let skips = (after < OWNER && tag > OWNER) || (after < GROUP && tag > GROUP);
        let unmasked = tag == OTHER && named && after != MASK;
        if !is_known || !in_order || skips || unmasked || permissions > 7 || (may_repeat && id == NOBODY) {
            return None;
        }
        named |= may_repeat;
        after = tag;
        list.push(Line { tag, permissions, id: if may_repeat { id } else { NOBODY } });
    }
    (after == OTHER || list.is_empty()).then_some(list)
}

fn set_mode(list: &mut [Line], mode: u32) {
    let masked = list.iter().any(|line| line.tag == MASK);
    let bits = |shift: u32| u16::try_from(mode >> shift & 7).expect("three bits");
    for line in list {
        match line.tag {
            OWNER => line.permissions = bits(6),
            MASK => line.permissions = bits(3),
            GROUP if !masked => line.permissions = bits(3),
            OTHER => line.permissions = bits(0),
            _ => {}
        }
    }
}

fn text(list: &[Line]) -> Vec<u8> {
    let mut value = 2u32.to_le_bytes().to_vec();
    for line in list {
        value.extend_from_slice(&line.tag.to_le_bytes());
        value.extend_from_slice(&line.permissions.to_le_bytes());
        value.extend_from_slice(&line.id.to_le_bytes());
    }
    value
}
