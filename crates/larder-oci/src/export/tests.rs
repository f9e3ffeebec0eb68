//! Trees written out and read back: by GNU tar, and with `lstat` (as root).

#![expect(clippy::unwrap_used, reason = "tests")]

use std::ffi::CStr;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use sha2::{Digest, Sha256};

use super::{ExportError, Exported, Piece, ReadContent, directory, tar};
use crate::layer::{Content, Kind};
use crate::tree::tests::picture::{layers, merged, plain};
use crate::tree::{Inode, MergeRule, NodeId, Tree};

/// The bytes of pictures: a text is in its place. Byte n of what lies beyond is n modulo 251.
#[derive(Default)]
struct Bytes {
    read: Mutex<Vec<Piece>>,
    broken: Option<(usize, u64)>,
}

const BEYOND: u64 = 1 << 60;

impl ReadContent for Bytes {
    fn read(&self, layer: usize, at: u64, into: &mut [u8]) -> io::Result<()> {
        assert!(into.len() <= 1 << 20);
        self.read.lock().unwrap().push(Piece { layer, at, length: into.len() as u64 });
        if self.broken == Some((layer, at)) {
            return Err(io::Error::other("the registry is down"));
        }
        if at < BEYOND {
            into.copy_from_slice(&at.to_le_bytes()[..into.len()]);
        } else {
            for (byte, number) in into.iter_mut().zip(at - BEYOND..) {
                *byte = (number % 251) as u8;
            }
        }
        Ok(())
    }
}

/// Something of everything.
fn example() -> Tree {
    let mut layers = layers(&[
        "dir bin 755 t=77.5
         file bin/su 4755 \"su\" u=0:0 t=1234567890.123456789 x:security.capability=%01
         hard bin/su2 => bin/su 4755 t=1234567890.123456789
         dir tmp 1777 u=3:4 x:user.k=v
         dir a/b 2750 u=100000:70000 t=4
         file a/b/none 0 t=5
         link a/link -> ../nowhere u=7:8 t=6.7
         hard a/link2 => a/link u=7:8 t=6.7
         dir dev 755
         chr dev/null 666 1:3 u=0:5 t=8
         blk dev/sda 660 8:300
         fifo pipe 622 t=9.000000001",
        "file z 644 \"low\"
         file a/first 600 \"up\" u=4000000000:4294967294 t=9999999999
         file gr%c3%bcn%ff%0a 644 \"odd\"",
    ]);
    layers[0][1].xattrs[0].1 = vec![1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let lists = [("bin", "system.posix_acl_default"), ("a/first", "system.posix_acl_access")];
    for (path, name) in lists {
        let entry = layers.iter_mut().flatten().find(|entry| entry.path == path.as_bytes()).unwrap();
        entry.xattrs.push((name.into(), list()));
    }
    let mut large = plain(b"large", Kind::File);
    large.size = 3_000_001;
    large.content = Content { at: BEYOND, stored: large.size, sparse: None };
    let mut sparse = plain(b"a/holes", Kind::File);
    sparse.size = 10 << 20;
    let map = vec![(1 << 20, 4096), (5 << 20, 5000)];
    sparse.content = Content { at: BEYOND, stored: 9096, sparse: Some(map.into()) };
    let mut empty = plain(b"a/hole", Kind::File);
    empty.size = 1 << 20;
    empty.content = Content { at: BEYOND, stored: 0, sparse: Some(Box::default()) };
    let mut deep = plain([b"deep/".repeat(60), b"file".to_vec()].concat().as_slice(), Kind::File);
    deep.mode = 0o640;
    let mut link = plain(b"long", Kind::Symlink);
    link.target = vec![b't'; 300];
    layers[1].extend([large, sparse, empty, deep, link]);
    Tree::merge(layers, MergeRule::Overlay).unwrap()
}

/// An access control list: owner rw, user 1000 r, group r, mask rw, others none.
fn list() -> Vec<u8> {
    let mut value = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in
        [(1u16, 6u16, u32::MAX), (2, 4, 1000), (4, 4, u32::MAX), (16, 6, u32::MAX), (32, 0, u32::MAX)]
    {
        value.extend([tag.to_le_bytes(), permissions.to_le_bytes()].concat());
        value.extend(id.to_le_bytes());
    }
    value
}

fn size_of(tree: &Tree) -> Exported {
    let names = tree.nodes() as u64;
    Exported { names, bytes: 2 + 3 + 2 + 3 + 3_000_001 + 9096 }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Asserts that what is in `at` is what is below `from`.
fn assert_same(tree: &Tree, from: NodeId, at: &Path) {
    let skip = tree.path(from).len();
    for (path, id) in tree.walk(from) {
        let inode = tree.inode_of(id);
        let path = String::from_utf8_lossy(&path[skip..]).into_owned();
        let real = path_of(at, &tree.path(id)[skip..]);
        let there = std::fs::symlink_metadata(&real).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(there.mode() & 0o7777, inode.mode, "mode of {path}");
        assert_eq!((there.uid(), there.gid()), (inode.uid, inode.gid), "owner of {path}");
        let modified = (there.mtime() as u64, there.mtime_nsec() as u32);
        assert_eq!(modified, (inode.modified.seconds, inode.modified.nanos), "time of {path}");
        let kind = there.file_type();
        let right = match inode.kind {
            Kind::File => kind.is_file(),
            Kind::Directory => kind.is_dir(),
            Kind::Symlink => kind.is_symlink(),
            Kind::CharDevice => kind.is_char_device(),
            Kind::BlockDevice => kind.is_block_device(),
            Kind::Fifo => kind.is_fifo(),
            Kind::HardLink => false,
        };
        assert!(right, "kind of {path}");
        assert_eq!(xattrs(&real), inode.xattrs.to_vec(), "attributes of {path}");
        if inode.kind == Kind::Directory {
            assert_eq!(std::fs::read_dir(&real).unwrap().count(), tree.node(id).children().len());
        } else {
            assert_eq!(there.nlink(), u64::from(inode.links), "links of {path}");
        }
        if matches!(inode.kind, Kind::CharDevice | Kind::BlockDevice) {
            assert_eq!(there.rdev(), rustix::fs::makedev(inode.device.major, inode.device.minor));
        }
        match inode.kind {
            Kind::Symlink => {
                use std::os::unix::ffi::OsStringExt;
                assert_eq!(
                    std::fs::read_link(&real).unwrap().into_os_string().into_vec(),
                    inode.target.to_vec()
                );
            }
            Kind::File => {
                assert!(std::fs::read(&real).unwrap() == content(inode), "content of {path}");
                if inode.content.as_ref().unwrap().1.sparse.is_some() {
                    assert!(there.blocks() * 512 < inode.size / 2, "holes of {path}");
                }
            }
            _ => {}
        }
    }
}

fn path_of(at: &Path, path: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    at.join(std::ffi::OsStr::from_bytes(path.strip_prefix(b"/").unwrap_or(path)))
}

fn content(inode: &Inode) -> Vec<u8> {
    let (layer, content) = inode.content.as_ref().unwrap();
    let mut bytes = vec![0; inode.size as usize];
    let whole = [(0, content.stored)];
    let mut at = content.at;
    for (place, length) in content.sparse.as_deref().unwrap_or(&whole) {
        let mut piece = vec![0; *length as usize];
        for (number, chunk) in piece.chunks_mut(1 << 20).enumerate() {
            Bytes::default().read(*layer, at + ((number as u64) << 20), chunk).unwrap();
        }
        bytes[*place as usize..][..piece.len()].copy_from_slice(&piece);
        at += length;
    }
    bytes
}

fn xattrs(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut names = vec![0; 4096];
    let length = rustix::fs::llistxattr(path, &mut names).unwrap();
    let mut found: Vec<_> = names[..length]
        .split_inclusive(|byte| *byte == 0)
        .map(|name| {
            let mut value = vec![0; 4096];
            let name = CStr::from_bytes_with_nul(name).unwrap();
            let length = rustix::fs::lgetxattr(path, name, &mut value).unwrap();
            value.truncate(length);
            (name.to_bytes().to_vec(), value)
        })
        .collect();
    found.sort();
    found
}

fn tarred(tree: &Tree, from: NodeId) -> Vec<u8> {
    let mut bytes = Vec::new();
    tar(tree, from, &Bytes::default(), &mut bytes).unwrap();
    bytes
}

#[test]
fn a_tar_has_the_same_bytes_every_time() {
    let tree = example();
    let mut bytes = Vec::new();
    let reader = Bytes::default();
    assert_eq!(tar(&tree, tree.root(), &reader, &mut bytes).unwrap(), size_of(&tree));
    assert_eq!(bytes.len() % 512, 0);
    assert_eq!(bytes, tarred(&tree, tree.root()));
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, "e62d6a3db85cd574773d84ede267bced9d42e95dc846a8ad1723bede437bdb56");
    // Every byte is read once.
    let mut read = reader.read.into_inner().unwrap();
    assert_eq!(read.iter().map(|piece| piece.length).sum::<u64>(), size_of(&tree).bytes);
    read.sort();
    read.dedup();
    assert_eq!(read.iter().map(|piece| piece.length).sum::<u64>(), size_of(&tree).bytes);
}

#[test]
fn gnu_tar_unpacks_what_was_meant() {
    if !is_root() {
        return;
    }
    let tree = example();
    let folder = tempfile::tempdir().unwrap();
    for (number, path) in ["", "a", "bin"].iter().enumerate() {
        let from = tree.look_up(path.as_bytes(), false).unwrap().unwrap();
        let (archive, place) = (folder.path().join("a.tar"), folder.path().join(number.to_string()));
        std::fs::write(&archive, tarred(&tree, from)).unwrap();
        std::fs::create_dir(&place).unwrap();
        let done = Command::new("tar")
            .args(["--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf"])
            .arg(&archive)
            .arg("-C")
            .arg(&place)
            .output();
        let Ok(done) = done else { return };
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        assert_same(&tree, from, &place);
    }
}

#[test]
fn one_file_can_be_a_tar() {
    let tree = example();
    let su = tree.look_up(b"bin/su2", false).unwrap().unwrap();
    let bytes = tarred(&tree, su);
    assert!(
        bytes.windows(8).any(|window| window == b"bin/su2\0")
            || bytes.windows(4).any(|window| window == b"su2\0")
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.tar"), bytes).unwrap();
    if let Ok(done) = Command::new("tar").arg("-tf").arg(folder.path().join("a.tar")).output() {
        assert_eq!(String::from_utf8_lossy(&done.stdout), "su2\n");
    }
}

#[test]
fn a_directory_is_the_exact_tree() {
    if !is_root() {
        return;
    }
    let tree = example();
    let folder = tempfile::tempdir().unwrap();
    let reader = Bytes::default();
    let new = folder.path().join("new");
    assert_eq!(directory(&tree, tree.root(), &reader, &new).unwrap(), size_of(&tree));
    assert_same(&tree, tree.root(), &new);
    // Every layer is read from its front.
    let read = reader.read.into_inner().unwrap();
    assert!(
        read.windows(2)
            .all(|pair| (pair[0].layer, pair[0].at) <= (pair[1].layer, pair[1].at) || pair[1].at == BEYOND)
    );

    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let a = tree.look_up(b"a", false).unwrap().unwrap();
    directory(&tree, a, &Bytes::default(), &empty).unwrap();
    assert_same(&tree, a, &empty);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn deep_trees_need_few_open_files() {
    if !is_root() {
        return;
    }
    let path: Vec<u8> = (0..3999).map(|at| if at % 2 == 0 { b'd' } else { b'/' }).collect();
    let mut hard = plain(b"h", Kind::HardLink);
    hard.target = path.clone();
    let entries = vec![plain(&path, Kind::File), hard];
    let tree = Tree::merge([entries], MergeRule::Overlay).unwrap();
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let to = folder.path().join("x");
    assert_eq!(directory(&tree, tree.root(), &Bytes::default(), &to).unwrap().names, 2002);
    assert_eq!(std::fs::metadata(to.join("h")).unwrap().nlink(), 2);
    let removed = Command::new("rm").arg("-rf").arg(&to).status().unwrap();
    assert!(removed.success());
}

#[test]
fn what_cannot_be_read_leaves_nothing_behind() {
    if !is_root() {
        return;
    }
    let tree = example();
    let folder = tempfile::tempdir().unwrap();
    let low = u64::from_le_bytes(*b"low\0\0\0\0\0");
    let broken = || Bytes { broken: Some((1, low)), ..Bytes::default() };
    let to = folder.path().join("to");
    let error = directory(&tree, tree.root(), &broken(), &to).unwrap_err();
    assert_eq!(error.to_string(), "cannot read `z` from layer 2 (from the bottom)");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);

    let mut bytes = Vec::new();
    let error = tar(&tree, tree.root(), &broken(), &mut bytes).unwrap_err();
    assert!(matches!(error, ExportError::Read { path, layer: 1, .. } if path == "z"));
    assert_ne!(bytes[bytes.len() - 512..], [0; 512]);
}

#[test]
fn who_is_not_root_is_told_so_at_once() {
    if is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let reader = Bytes::default();
    let tree = example();
    let error = directory(&tree, tree.root(), &reader, &folder.path().join("to")).unwrap_err();
    assert!(matches!(error, ExportError::NotRoot));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    assert!(reader.read.into_inner().unwrap().is_empty());
}

#[test]
fn destinations_that_are_something_else_are_left_alone() {
    if !is_root() {
        return;
    }
    let tree = merged(&["file a 644 \"1\""], MergeRule::Overlay).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("file"), "x").unwrap();
    std::fs::create_dir(at("full")).unwrap();
    std::fs::write(at("full/x"), "x").unwrap();
    std::os::unix::fs::symlink("nowhere", at("dangling")).unwrap();
    for name in ["file", "full", "dangling"] {
        let error = directory(&tree, tree.root(), &Bytes::default(), &at(name)).unwrap_err();
        assert!(matches!(error, ExportError::NotEmpty(_)), "{name}: {error}");
    }
    let error = directory(&tree, tree.root(), &Bytes::default(), &at("no/where")).unwrap_err();
    assert!(matches!(error, ExportError::Destination { .. }));
    let error = directory(&tree, tree.root(), &Bytes::default(), Path::new("/proc/self/fdinfo")).unwrap_err();
    assert!(matches!(error, ExportError::NotEmpty(_) | ExportError::Destination { .. }));
    let file = tree.look_up(b"a", false).unwrap().unwrap();
    let error = directory(&tree, file, &Bytes::default(), &at("new")).unwrap_err();
    assert!(matches!(error, ExportError::NotADirectory(_)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
    assert_eq!(std::fs::read(at("full/x")).unwrap(), b"x");
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config {
        cases: 48,
        failure_persistence: None,
        ..proptest::test_runner::Config::default()
    })]

    #[test]
    fn any_tree_comes_out_as_it_is(layers in crate::tree::tests::random::image()) {
        if is_root() {
            let layers = crate::tree::tests::random::sound(layers, MergeRule::Overlay);
            let tree = Tree::merge(layers, MergeRule::Overlay).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let to = folder.path().join("to");
            directory(&tree, tree.root(), &Bytes::default(), &to).unwrap();
            assert_same(&tree, tree.root(), &to);
            std::fs::write(folder.path().join("a.tar"), tarred(&tree, tree.root())).unwrap();
            let listed = Command::new("tar").arg("-tf").arg(folder.path().join("a.tar")).output();
            if let Ok(listed) = listed {
                assert!(listed.status.success());
                assert_eq!(listed.stdout.split(|byte| *byte == b'\n').count(), tree.nodes() + 1);
            }
        }
    }
}
