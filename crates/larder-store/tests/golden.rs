//! The formats of packs, blob rows and chunk lists, pinned: what older Larders wrote is read, and what is written is what
//! `docs/formats/` says. The parser here is written from those documents, not from the code.
//!
//! `LARDER_BLESS=1` writes the golden files anew; a change of them is a new format version.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use larder_core::chunk_list::{Chunk, Node};
use larder_core::{ChunkerParams, Digest, DigestFunction, Format, Hash};
use larder_store::local::verify::VerifyOptions;
use larder_store::{LocalStore, Options};

const NS: &str = "default";

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut out = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

fn blobs() -> Vec<Vec<u8>> {
    vec![b"a blob".to_vec(), noise(1, 3000), noise(2, 40_000)]
}

fn raw() -> Options {
    Options { format: Format::Raw, level: 0, chunking: ChunkerParams::STORE, ..Options::default() }
}

fn only(folder: &Path, extension: &str) -> PathBuf {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|ext| ext == extension)).collect();
    assert_eq!(found.len(), 1, "{}", folder.display());
    found.pop().unwrap()
}

/// Writes the golden blobs and answers the bytes of the pack and of the table of rows.
fn write(home: &Path) -> (Vec<u8>, Vec<u8>) {
    let store = LocalStore::open(home, raw()).unwrap();
    let mut writer = store.writer(NS).unwrap();
    for blob in blobs() {
        writer.put_bytes(&blob).unwrap();
    }
    writer.put_reader(&mut &*blobs()[1], DigestFunction::Sha256, &mut |_| {}).unwrap();
    writer.commit().unwrap();
    drop(store);
    let pack = only(&home.join("packs"), "pack");
    let table = only(&home.join("blobs").join(NS), "table");
    (fs::read(pack).unwrap(), fs::read(table).unwrap())
}

fn written() -> (Vec<u8>, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let files = write(&folder.path().join("home"));
    if std::env::var_os("LARDER_BLESS").is_some() {
        fs::create_dir_all(golden("store-v1")).unwrap();
        fs::write(golden("store-v1/pack.bin"), &files.0).unwrap();
        fs::write(golden("store-v1/rows.bin"), &files.1).unwrap();
    }
    files
}

fn golden_store() -> (Vec<u8>, Vec<u8>) {
    (fs::read(golden("store-v1/pack.bin")).unwrap(), fs::read(golden("store-v1/rows.bin")).unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> usize {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
}

fn short(parts: &[&[u8]], length: usize) -> Vec<u8> {
    blake3::hash(&parts.concat()).as_bytes()[..length].to_vec()
}

/// Checks a table as the documents describe it, and answers its rows and where it begins.
fn table<'a>(file: &'a [u8], magic: &[u8; 8], row: usize) -> (Vec<&'a [u8]>, usize) {
    let tail = &file[file.len() - 64..];
    assert_eq!(&tail[..8], magic);
    assert_eq!(tail[48..], short(&[&tail[..48]], 16));
    let (bits, rows, at) = (u32_at(tail, 20), u64_at(tail, 24), u64_at(tail, 32));
    assert_eq!(1usize << bits, rows.next_power_of_two());
    let fingerprints = at + ((1 << bits) + 1) * 4;
    let begin = fingerprints + rows.next_multiple_of(8);
    assert_eq!(begin + rows * row, file.len() - 64);
    let all: Vec<&[u8]> = file[begin..file.len() - 64].chunks(row).collect();
    assert!(all.is_sorted_by_key(|row| &row[..32]));
    for (number, row) in all.iter().enumerate() {
        assert_eq!(file[fingerprints + number], row[8]);
    }
    for slot in 0..=1usize << bits {
        let lead = |row: &&&[u8]| {
            (u64::from(u32::from_be_bytes(row[..4].try_into().unwrap())) << bits >> 32) as usize
        };
        let below = all.iter().filter(|row| lead(row) < slot).count();
        assert_eq!(u32_at(file, at + slot * 4) as usize, below);
    }
    (all, at)
}

/// Checks a pack of raw frames as the document describes it, and answers its chunks.
fn chunks(pack: &[u8]) -> Vec<Vec<u8>> {
    assert_eq!(&pack[..16], b"LRDPACK1\x01\0\0\0\0\0\0\0");
    let (rows, _) = table(pack, b"LRDPAKT1", 44);
    let tail = &pack[pack.len() - 64..];
    let (directory, frames) = (u64_at(tail, 8), u32_at(tail, 16) as usize);
    let (mut at, mut chunks, mut content) = (16, Vec::new(), 0);
    for number in 0..frames {
        let head = &pack[at..at + 32];
        let count = usize::from(u16::from_le_bytes(head[6..8].try_into().unwrap()));
        let (stored, length) = (u32_at(head, 8), u32_at(head, 12));
        assert_eq!((&head[..4], head[4], head[5]), (&b"LFR1"[..], 0, 0));
        assert_eq!(stored, length, "raw");
        let entries = &pack[at + 32..at + 32 + 36 * count];
        assert_eq!(head[16..], short(&[&head[..16], entries], 16));
        let payload = at + 32 + 36 * count;
        let entry = &pack[directory + number * 24..][..24];
        assert_eq!(u64_at(entry, 0), payload);
        assert_eq!(entry[8..16], head[8..16]);
        assert_eq!((entry[16], entry[17], &entry[18..20]), (0, 0, &head[6..8]));
        assert_eq!(entry[20..], [0; 4]);
        let mut offset = 0;
        for entry in entries.chunks(36) {
            let size = u32_at(entry, 32) as usize;
            let bytes = &pack[payload + offset..][..size];
            assert_eq!(&entry[..32], blake3::hash(bytes).as_bytes());
            let row = rows.iter().find(|row| row[..32] == entry[..32]).unwrap();
            assert_eq!(
                (u32_at(row, 32) as usize, u32_at(row, 36) as usize, u32_at(row, 40) as usize),
                (number, offset, size)
            );
            chunks.push(bytes.to_vec());
            offset += size;
        }
        content += offset;
        at = payload + offset;
    }
    assert_eq!(at, directory);
    assert_eq!((chunks.len(), content), (rows.len(), u64_at(tail, 40)));
    chunks
}

/// Checks rows as the document describes them.
fn rows(file: &[u8], chunks: &[Vec<u8>]) {
    let (rows, at) = table(file, b"LRDBLBT1", 88);
    assert_eq!((rows.len(), at), (4, 0));
    for blob in blobs() {
        for function in [DigestFunction::Blake3, DigestFunction::Sha256] {
            let digest = function.digest(&blob);
            let found = rows.iter().find(|row| row[..32] == digest.hash.0);
            let Some(row) = found else {
                assert!(function == DigestFunction::Sha256 && blob.len() != 3000);
                continue;
            };
            assert_eq!(u64_at(row, 32), blob.len());
            assert_eq!((row[76], row[78], row[79]), (function as u8, 0, 0));
            assert_eq!(row[80..], short(&[NS.as_bytes(), &[0], &row[..80]], 8));
            let root = chunks.iter().find(|chunk| blake3::hash(chunk).as_bytes() == &row[40..72]).unwrap();
            if row[77] == 0 {
                assert!(*root == blob);
            } else {
                assert_eq!(row[77], 1);
                assert!(list(root, chunks) == blob);
            }
        }
    }
}

/// Checks a node of level 0 as the document describes it, and answers the blob.
fn list(node: &[u8], chunks: &[Vec<u8>]) -> Vec<u8> {
    assert_eq!((&node[..4], node[4], node[5]), (&b"LCL1"[..], 0, 0));
    assert_eq!([8, 12, 16].map(|at| u32_at(node, at)), [2 << 10, 8 << 10, 64 << 10]);
    let entries = node[20..].chunks(40);
    assert_eq!(entries.len(), usize::from(u16::from_le_bytes([node[6], node[7]])));
    let of_entry = |entry: &[u8]| {
        let chunk = chunks.iter().find(|chunk| blake3::hash(chunk).as_bytes() == &entry[..32]).unwrap();
        assert_eq!(u64_at(entry, 32), chunk.len());
        chunk.clone()
    };
    entries.flat_map(of_entry).collect()
}

#[test]
fn what_is_written_is_what_the_documents_say() {
    let (pack, table) = written();
    rows(&table, &chunks(&pack));
}

#[test]
fn the_golden_files_are_what_the_documents_say_and_packs_are_written_as_they_were() {
    let (pack, _) = written();
    let (golden_pack, golden_table) = golden_store();
    assert!(pack == golden_pack, "the format of packs changed: a new version is needed");
    rows(&golden_table, &chunks(&golden_pack));
}

#[test]
fn an_older_store_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let _ = written();
    let (pack, table) = golden_store();
    drop(LocalStore::open(&home, raw()).unwrap());
    fs::create_dir(home.join("blobs").join(NS)).unwrap();
    fs::write(home.join("packs/1.pack"), pack).unwrap();
    fs::write(home.join("blobs").join(NS).join("1.table"), table).unwrap();
    let store = LocalStore::open(&home, Options::default()).unwrap();
    for blob in blobs() {
        assert!(store.get(NS, &Digest::blake3(&blob), u64::MAX).unwrap() == blob);
    }
    let alias = DigestFunction::Sha256.digest(&blobs()[1]);
    assert!(store.get(NS, &alias, u64::MAX).unwrap() == blobs()[1]);
    let report = store.verify(&VerifyOptions::default(), &mut |_| {}).unwrap();
    assert!(report.is_clean() && report.blobs == 4, "{report:?}");
}

#[test]
fn a_node_of_a_list_has_these_bytes() {
    let entries = (0..3u8).map(|number| Chunk { hash: Hash([number; 32]), length: 1 << number }).collect();
    let node = Node { level: 1, params: ChunkerParams::STORE, entries };
    let path = golden("chunk-list-v1.bin");
    if std::env::var_os("LARDER_BLESS").is_some() {
        fs::write(&path, node.encode()).unwrap();
    }
    let pinned = fs::read(path).unwrap();
    assert_eq!(node.encode(), pinned);
    assert_eq!(Node::decode(&pinned), Ok(node));
}
