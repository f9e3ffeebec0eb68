//! Layers and trees as a few lines of text.
//!
//! A layer, one entry a line: `dir usr 755`, `file usr/foo 4755 "x"`, `link lib -> usr/lib`, `hard b => a 644`, `chr null 666 1:3`,
//! `blk sda 660 8:0`, `fifo pipe 644`, `wh a/b`, `opq a` (`opq .`: the root). Behind that, in any order: `u=1:2` (owner), `t=5` or `t=5.25`
//! (seconds, nanoseconds), `x:user.a=b` (an attribute). Names have no blanks; `%` and two digits is any byte. A text has at most 8 bytes.
//!
//! A tree comes back alike: directories end in a slash, what is 0 is left out, `n=2` are the names of a file that has several.

use crate::layer::{Content, Device, Entry, Kind, Time};
use crate::tree::{Inode, MergeRule, Tree};

/// Entries from text.
pub(crate) fn layer(text: &str) -> Vec<Entry> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(entry).collect()
}

/// Layers from texts, the lowest first.
pub(crate) fn layers(texts: &[&str]) -> Vec<Vec<Entry>> {
    texts.iter().map(|text| layer(text)).collect()
}

pub(crate) fn plain(path: &[u8], kind: Kind) -> Entry {
    Entry {
        path: path.to_vec(),
        kind,
        mode: 0o644,
        uid: 0,
        gid: 0,
        modified: Time::default(),
        size: 0,
        target: Vec::new(),
        device: Device::default(),
        xattrs: Vec::new(),
        content: Content::default(),
    }
}

fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        if *first == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&more[..2]).unwrap(), 16).unwrap());
            rest = &more[2..];
        } else {
            bytes.push(*first);
            rest = more;
        }
    }
    bytes
}

fn entry(line: &str) -> Entry {
    let mut words = line.split_whitespace();
    let (what, path) = (words.next().unwrap(), words.next().unwrap());
    let kind = match what {
        "dir" => Kind::Directory,
        "link" => Kind::Symlink,
        "hard" => Kind::HardLink,
        "chr" => Kind::CharDevice,
        "blk" => Kind::BlockDevice,
        "fifo" => Kind::Fifo,
        "file" | "wh" | "opq" => Kind::File,
        other => panic!("what is `{other}`?"),
    };
    let mut entry = plain(&bytes(path), kind);
    match what {
        "opq" => entry.path.extend_from_slice(b"/.wh..wh..opq"),
        "wh" => {
            let at = entry.path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
            entry.path.splice(at..at, *b".wh.");
        }
        _ => {}
    }
    for word in words.collect::<Vec<_>>().into_iter().filter(|word| !matches!(*word, "->" | "=>")) {
        if let Some((uid, gid)) = word.strip_prefix("u=").and_then(|word| word.split_once(':')) {
            (entry.uid, entry.gid) = (uid.parse().unwrap(), gid.parse().unwrap());
        } else if let Some(time) = word.strip_prefix("t=") {
            let (seconds, nanos) = time.split_once('.').unwrap_or((time, "0"));
            entry.modified = Time { seconds: seconds.parse().unwrap(), nanos: nanos.parse().unwrap() };
        } else if let Some((name, value)) = word.strip_prefix("x:").and_then(|word| word.split_once('=')) {
            entry.xattrs.push((name.into(), value.into()));
        } else if let Some(text) = word.strip_prefix('"') {
            let text = text.trim_end_matches('"').as_bytes();
            let mut at = [0; 8];
            at[..text.len()].copy_from_slice(text);
            entry.size = text.len() as u64;
            entry.content = Content { at: u64::from_le_bytes(at), stored: entry.size, sparse: None };
        } else if matches!(kind, Kind::Symlink | Kind::HardLink) && entry.target.is_empty() {
            entry.target = bytes(word);
        } else if let Some((major, minor)) = word.split_once(':') {
            entry.device = Device { major: major.parse().unwrap(), minor: minor.parse().unwrap() };
        } else {
            entry.mode = u32::from_str_radix(word, 8).unwrap();
        }
    }
    entry
}

/// A tree as text, the root left out when it is as nobody described it.
pub(crate) fn shown(tree: &Tree) -> String {
    let mut text = String::new();
    for (path, node) in tree.walk(tree.root()) {
        let inode = tree.inode_of(node);
        let line = shown_inode(inode);
        if path.is_empty() && line == "/ 755" {
            continue;
        }
        text += &format!("{}{line}\n", path.escape_ascii());
    }
    text
}

fn shown_inode(inode: &Inode) -> String {
    let mut line = match inode.kind {
        Kind::Directory => format!("/ {:o}", inode.mode),
        Kind::Symlink => format!(" -> {}", inode.target.escape_ascii()),
        Kind::CharDevice => format!(" {:o} chr {}:{}", inode.mode, inode.device.major, inode.device.minor),
        Kind::BlockDevice => format!(" {:o} blk {}:{}", inode.mode, inode.device.major, inode.device.minor),
        Kind::Fifo => format!(" {:o} fifo", inode.mode),
        Kind::File => {
            let (_, content) = inode.content.as_ref().unwrap();
            let text = content.at.to_le_bytes()[..inode.size as usize].to_vec();
            format!(" {:o} \"{}\"", inode.mode, String::from_utf8(text).unwrap())
        }
        Kind::HardLink => panic!("a hard link is no inode"),
    };
    if (inode.uid, inode.gid) != (0, 0) {
        line += &format!(" u={}:{}", inode.uid, inode.gid);
    }
    match inode.modified {
        Time { seconds: 0, nanos: 0 } => {}
        Time { seconds, nanos: 0 } => line += &format!(" t={seconds}"),
        Time { seconds, nanos } => line += &format!(" t={seconds}.{nanos}"),
    }
    for (name, value) in &inode.xattrs {
        line += &format!(" x:{}={}", name.escape_ascii(), value.escape_ascii());
    }
    if inode.kind != Kind::Directory && inode.links != 1 {
        line += &format!(" n={}", inode.links);
    }
    line
}

/// The tree of `texts`, or what is wrong with them.
pub(crate) fn merged(texts: &[&str], rule: MergeRule) -> Result<Tree, String> {
    Tree::merge(layers(texts), rule).map_err(|error| error.to_string())
}

/// Asserts what the tree of `texts` is. `want` has its lines in any indentation.
#[track_caller]
pub(crate) fn assert_tree(rule: MergeRule, texts: &[&str], want: &str) {
    let tree = merged(texts, rule).unwrap();
    let want: String =
        want.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect();
    assert_eq!(shown(&tree), want);
}

/// Asserts that `texts` have no tree, and how that is said.
#[track_caller]
pub(crate) fn assert_wrong(rule: MergeRule, texts: &[&str], want: &str) {
    assert_eq!(merged(texts, rule).map(|tree| shown(&tree)), Err(want.to_owned()));
}
