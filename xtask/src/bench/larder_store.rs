//! Larder's store as the store bench uses it: the only file of the bench that knows its API.
//!
//! Each function is called in a child process of its own (`bench child …`), so that CPU and memory are those of the
//! operation alone. A tree is kept as the blobs of its files and one blob that lists them, whose digest is in the file
//! `NAME.tree` beside the store. Ingest and restore use one thread: what is compared is CPU.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use larder_core::Digest;
use larder_store::trust::SigningConfig;
use larder_store::{Options, Store};

use super::generate::Rng;
use crate::Result;

/// How much a list of files may be.
const LARGEST_LIST: u64 = 256 << 20;
/// Digests that [`find_missing`] asks for.
const ASKED: u64 = 100_000;
/// Length of the blobs that [`fill`] makes, save the first [`READ`].
const SMALL: usize = 64;
/// Blobs of 4 KiB that [`fill`] makes for [`read_4k`].
const READ: u64 = 4096;

fn open(home: &Path) -> Result<Store> {
    Ok(Store::local(&home.join("store"), Options::default(), "bench", SigningConfig::default())?)
}

/// The files and links below `dir`, in order, relative to it.
fn walk(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    super::generate::list(dir, dir, &mut paths)?;
    paths.sort();
    Ok(paths)
}

/// Stores the tree `dir` under `name` in the store at `home`.
pub(crate) fn ingest(home: &Path, name: &str, dir: &Path) -> Result<()> {
    let store = open(home)?;
    let mut writer = store.writer()?;
    let mut list = String::new();
    for path in walk(dir)? {
        let full = dir.join(&path);
        let stat = fs::symlink_metadata(&full)?;
        let text = path.to_str().ok_or("a name that is not UTF-8")?;
        if stat.is_symlink() {
            let target = fs::read_link(&full)?;
            let digest = writer.put_bytes(target.as_os_str().as_encoded_bytes())?;
            let _ = writeln!(list, "{digest} link {text}");
        } else {
            let digest = writer.put_file(&File::open(&full)?, &mut |_| {})?;
            let _ = writeln!(list, "{digest} {:o} {text}", stat.permissions().mode() & 0o777);
        }
    }
    let list = writer.put_bytes(list.as_bytes())?;
    writer.commit()?;
    store.flush()?;
    Ok(fs::write(home.join(format!("{name}.tree")), list.to_string())?)
}

/// Restores the tree `name` into `dir`, which does not exist.
pub(crate) fn restore(home: &Path, name: &str, dir: &Path) -> Result<()> {
    let store = open(home)?;
    let list: Digest = fs::read_to_string(home.join(format!("{name}.tree")))?.parse()?;
    let list = String::from_utf8(store.get(&list, LARGEST_LIST)?)?;
    let mut made = PathBuf::new();
    fs::create_dir_all(dir)?;
    let digest = |line: &str| line.split(' ').next().and_then(|digest| digest.parse().ok());
    store.expect(&list.lines().filter_map(digest).collect::<Vec<Digest>>());
    for line in list.lines() {
        let mut fields = line.splitn(3, ' ');
        let (Some(digest), Some(mode), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(format!("not a line of a list: {line}").into());
        };
        let (digest, path): (Digest, PathBuf) = (digest.parse()?, dir.join(path));
        let parent = path.parent().ok_or("a file has a folder")?;
        if made != parent {
            fs::create_dir_all(parent)?;
            made = parent.to_owned();
        }
        if mode == "link" {
            let target = String::from_utf8(store.get(&digest, LARGEST_LIST)?)?;
            std::os::unix::fs::symlink(target, &path)?;
        } else {
            let mode = u32::from_str_radix(mode, 8)?;
            let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
            store.write_to(&digest, &file)?;
        }
    }
    Ok(())
}

/// The blob with that number: [`READ`] of 4 KiB, then small ones. None is like another, none compresses.
fn blob(index: u64) -> Vec<u8> {
    let mut bytes = vec![0; if index < READ { 4096 } else { SMALL }];
    let mut rng = Rng::new(5, index);
    for word in bytes.chunks_exact_mut(8) {
        word.copy_from_slice(&rng.next().to_le_bytes());
    }
    bytes
}

/// Fills the store with `blobs` small blobs.
pub(crate) fn fill(home: &Path, blobs: u64) -> Result<()> {
    let store = open(home)?;
    let mut writer = store.writer()?;
    for index in 0..blobs {
        writer.put_bytes(&blob(index))?;
    }
    writer.commit()?;
    Ok(store.flush()?)
}

/// Asks for 100,000 digests, half of them present; returns the CPU seconds that one question took (one thread, no I/O but
/// of the page cache). The store was just opened: what it must load first is in it.
pub(crate) fn find_missing(home: &Path, blobs: u64) -> Result<f64> {
    let digests: Vec<Digest> = (0..ASKED)
        .map(|at| {
            let mut bytes = blob(READ.max(at * (blobs / ASKED).max(1) % blobs));
            if at % 2 == 1 {
                bytes.push(0);
            }
            Digest::blake3(&bytes)
        })
        .collect();
    let store = open(home)?;
    let start = cpu()?;
    let missing = store.find_missing(&digests)?;
    let took = cpu()? - start;
    if missing.len() as u64 == ASKED / 2 { Ok(took) } else { Err("not half of them are missing".into()) }
}

/// Reads 4 KiB blobs, verified, in no order that helps; returns CPU microseconds per read.
pub(crate) fn read_4k(home: &Path, blobs: u64) -> Result<f64> {
    const ROUNDS: u64 = 25;
    let count = READ.min(blobs);
    let digests: Vec<Digest> =
        (0..count).map(|at| Digest::blake3(&blob(at * 2_654_435_761 % count))).collect();
    let store = open(home)?;
    let mut sum = 0;
    let mut round = || -> Result<()> {
        for digest in &digests {
            store.read(digest, 0..digest.size, &mut |piece| {
                sum += piece.len() as u64;
                Ok(())
            })?;
        }
        Ok(())
    };
    round()?;
    let before = cpu()?;
    for _ in 0..ROUNDS {
        round()?;
    }
    let took = cpu()? - before;
    if sum != (ROUNDS + 1) * count * 4096 {
        return Err("not all bytes were read".into());
    }
    Ok(took * 1e6 / (ROUNDS * count) as f64)
}

/// Seconds that this thread was on a processor so far.
fn cpu() -> Result<f64> {
    let stat = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos: f64 = stat.split(' ').next().ok_or("no field in schedstat")?.parse()?;
    Ok(nanos / 1e9)
}
