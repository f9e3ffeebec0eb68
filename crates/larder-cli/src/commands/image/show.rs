//! How an entry of an image is shown: a line as `ls -l` has it, or JSON.

use larder::oci::layer::{Content, Kind, Time};
use larder::oci::toc::FileDigests;
use larder::oci::tree::{Inode, printable};
use serde_json::{Map, Value, json};

/// A path of a tree, from the root on.
pub(super) fn absolute(path: &[u8]) -> Vec<u8> {
    [b"/", path].concat()
}

/// The letter of a kind, as `ls -l` and `find -type` have it (`find` says `f`, `ls` says `-`).
pub(super) fn letter(kind: Kind) -> char {
    match kind {
        Kind::File | Kind::HardLink => '-',
        Kind::Directory => 'd',
        Kind::Symlink => 'l',
        Kind::CharDevice => 'c',
        Kind::BlockDevice => 'b',
        Kind::Fifo => 'p',
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::File | Kind::HardLink => "file",
        Kind::Directory => "directory",
        Kind::Symlink => "symlink",
        Kind::CharDevice => "char",
        Kind::BlockDevice => "block",
        Kind::Fifo => "fifo",
    }
}

/// `-rwsr-xr-x`.
fn mode(inode: &Inode) -> String {
    let mut text = String::from(letter(inode.kind));
    for (shift, special, marks) in [(6, 0o4000, ['s', 'S']), (3, 0o2000, ['s', 'S']), (0, 0o1000, ['t', 'T'])]
    {
        let bits = inode.mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (inode.mode & special != 0, bits & 1 != 0) {
            (true, true) => marks[0],
            (true, false) => marks[1],
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// A time as RFC 3339 has it, in UTC.
fn time(time: Time) -> String {
    let seconds = i64::try_from(time.seconds).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// A long line: mode, links, owner, size or device, time, name, target.
pub(super) fn long(inode: &Inode, name: &str) -> String {
    let size = match inode.kind {
        Kind::CharDevice | Kind::BlockDevice => format!("{},{}", inode.device.major, inode.device.minor),
        _ => inode.size.to_string(),
    };
    let target =
        if inode.kind == Kind::Symlink { format!(" -> {}", printable(&inode.target)) } else { String::new() };
    let when = time(inode.modified);
    format!(
        "{} {:>3} {:>5} {:>5} {size:>10} {when} {name}{target}",
        mode(inode),
        inode.links,
        inode.uid,
        inode.gid
    )
}

/// Bytes as text: as they are when they are UTF-8, else what of them is, and beside it all of them in hexadecimal digits.
fn put_bytes(into: &mut Map<String, Value>, key: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => drop(into.insert(key.to_owned(), json!(text))),
        Err(_) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            into.insert(key.to_owned(), json!(String::from_utf8_lossy(bytes)));
            into.insert(format!("{key}_hex"), json!(hex));
        }
    }
}

/// Facts of a path as JSON, the path among them.
pub(super) fn with_path(path: &[u8], facts: Value) -> Value {
    let mut value = Map::new();
    put_bytes(&mut value, "path", path);
    if let Value::Object(facts) = facts {
        value.extend(facts);
    }
    Value::Object(value)
}

/// An entry as JSON, with the digest of a file where it is known.
pub(super) fn to_json(inode: &Inode, path: &[u8], digests: &[Option<FileDigests>]) -> Value {
    let mut value = Map::new();
    put_bytes(&mut value, "path", path);
    value.insert("type".to_owned(), json!(kind_name(inode.kind)));
    value.insert("mode".to_owned(), json!(format!("{:04o}", inode.mode)));
    value.insert("uid".to_owned(), json!(inode.uid));
    value.insert("gid".to_owned(), json!(inode.gid));
    value.insert("size".to_owned(), json!(inode.size));
    value.insert("links".to_owned(), json!(inode.links));
    value.insert("mtime".to_owned(), json!(time(inode.modified)));
    value.insert(
        "mtime_ns".to_owned(),
        json!(u128::from(inode.modified.seconds) * 1_000_000_000 + u128::from(inode.modified.nanos)),
    );
    if inode.kind == Kind::Symlink {
        put_bytes(&mut value, "target", &inode.target);
    }
    if matches!(inode.kind, Kind::CharDevice | Kind::BlockDevice) {
        value.insert("device".to_owned(), json!([inode.device.major, inode.device.minor]));
    }
    if let Some((layer, _)) = &inode.content {
        value.insert("layer".to_owned(), json!(layer + 1));
    }
    let digest = |(layer, content): &(usize, Content)| digests.get(*layer)?.as_ref()?.of(content);
    if let Some(digest) = inode.content.as_ref().and_then(digest) {
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        value.insert("digest".to_owned(), json!(format!("b3:{hex}/{}", inode.size)));
    }
    if !inode.xattrs.is_empty() {
        let mut xattrs = Map::new();
        for (name, bytes) in &inode.xattrs {
            put_bytes(&mut xattrs, &printable(name), bytes);
        }
        value.insert("xattrs".to_owned(), Value::Object(xattrs));
    }
    Value::Object(value)
}
