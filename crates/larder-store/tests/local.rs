//! The local backend through its public interface: what was put is what is got, in every process.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use larder_core::{ChunkerParams, Digest, DigestFunction, ErrorKind};
use larder_store::{LocalStore, Options};
use proptest::prelude::*;

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut out = vec![0; length];
    let mut reader = blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof();
    reader.fill(&mut out);
    out
}

fn text(seed: u64, length: usize) -> Vec<u8> {
    noise(seed, length).into_iter().map(|byte| b"etaoin shrdlu\n"[usize::from(byte) % 14]).collect()
}

fn store(folder: &Path) -> LocalStore {
    LocalStore::open(&folder.join("home"), Options::default()).unwrap()
}

fn packs(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("home/packs")).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

fn get(store: &LocalStore, digest: &Digest) -> larder_core::Result<Vec<u8>> {
    store.get("default", digest, u64::MAX)
}

#[test]
fn blobs_of_every_size_come_back_from_open_and_sealed_packs() {
    let folder = tempfile::tempdir().unwrap();
    let sizes = [0, 1, 2047, 2048, 2049, 65_536, 100_000, 262_144, 262_145, 1_000_003, 20_000_000];
    let blobs: Vec<_> = sizes
        .iter()
        .zip(0..)
        .map(|(&size, seed)| if seed % 2 == 0 { noise(seed, size) } else { text(seed, size) })
        .collect();
    let writing = store(folder.path());
    let digests: Vec<_> = blobs.iter().map(|blob| writing.put("default", blob).unwrap()).collect();
    let reading = store(folder.path());
    for (blob, digest) in blobs.iter().zip(&digests) {
        assert_eq!(*digest, Digest::blake3(blob));
        assert!(get(&writing, digest).unwrap() == *blob, "from the writer itself, {digest}");
        assert!(get(&reading, digest).unwrap() == *blob, "from another process's open pack, {digest}");
    }
    assert!(reading.find_missing("default", &digests).unwrap().is_empty());
    drop(writing);
    assert_eq!(packs(folder.path(), "open").len(), 0);
    let later = store(folder.path());
    for (blob, digest) in blobs.iter().zip(&digests) {
        assert!(get(&later, digest).unwrap() == *blob, "from a sealed pack, {digest}");
        assert!(get(&reading, digest).unwrap() == *blob, "by who saw the pack open, {digest}");
    }
}

#[test]
fn any_range_of_a_blob_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let blob = text(5, 3_000_000);
    let digest = store.put("default", &blob).unwrap();
    for (from, to) in [(0, 0), (0, 1), (2_999_999, 3_000_000), (1_000, 2_000_000), (65_530, 65_540)] {
        let mut out = Vec::new();
        let mut sink = |piece: &[u8]| {
            out.extend_from_slice(piece);
            Ok(())
        };
        store.read("default", &digest, from..to, &mut sink).unwrap();
        assert!(out == blob[from as usize..to as usize]);
    }
    let beyond = store.read("default", &digest, 0..3_000_001, &mut |_| Ok(())).unwrap_err();
    assert_eq!(beyond.kind(), ErrorKind::Invalid);
}

#[test]
fn namespaces_share_bytes_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let blob = noise(1, 500_000);
    let digest = store.put("one", &blob).unwrap();
    assert_eq!(store.get("two", &digest, u64::MAX).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(store.find_missing("two", &[digest]).unwrap(), [digest]);
    let mut writer = store.writer("two").unwrap();
    writer.put_bytes(&blob).unwrap();
    assert_eq!(writer.commit().unwrap().stored_bytes, 0, "the bytes are there already");
    assert!(store.get("two", &digest, u64::MAX).unwrap() == blob);
}

#[test]
fn a_digest_of_another_function_names_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let blob = noise(2, 300_000);
    store.put("default", &blob).unwrap();
    let sha = DigestFunction::Sha256.digest(&blob);
    let mut writer = store.writer("default").unwrap();
    writer.put_verified(&sha, &mut &blob[..]).unwrap();
    assert_eq!(writer.commit().unwrap().stored_bytes, 0);
    assert!(get(&store, &sha).unwrap() == blob);
}

#[test]
fn content_that_is_not_what_it_claims_is_refused_and_never_visible() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let claimed = Digest::blake3(b"something else entirely");
    let mut writer = store.writer("default").unwrap();
    let error = writer.put_verified(&claimed, &mut &noise(3, 1000)[..]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let good = writer.put_bytes(b"and the writer goes on").unwrap();
    writer.commit().unwrap();
    assert_eq!(store.find_missing("default", &[claimed, good]).unwrap(), [claimed]);
    let sized = Digest { size: good.size + 1, ..good };
    assert_eq!(store.find_missing("default", &[sized]).unwrap(), [sized], "the size is part of the name");
}

#[test]
fn a_small_edit_of_a_large_blob_stores_little() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let mut blob = noise(4, 50_000_000);
    store.put("default", &blob).unwrap();
    blob.splice(25_000_000..25_000_000, *b"a line that was not there before");
    let mut writer = store.writer("default").unwrap();
    writer.put_bytes(&blob).unwrap();
    let stats = writer.commit().unwrap();
    assert!(stats.stored_bytes < 200_000, "{stats:?}");
}

#[test]
fn a_killed_writer_loses_what_it_did_not_finish_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let blob = noise(6, 400_000);
    let first = store(folder.path());
    let digest = first.put("default", &blob).unwrap();
    let open = packs(folder.path(), "open").pop().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let second_home = copy.path().join("home");
    assert!(
        std::process::Command::new("cp")
            .arg("-a")
            .arg(folder.path().join("home"))
            .arg(&second_home)
            .status()
            .unwrap()
            .success()
    );
    let torn = second_home.join("packs").join(open.file_name().unwrap());
    let file = File::options().append(true).open(&torn).unwrap();
    file.write_at(b"LFR1 and half of a frame that was being writ", file.metadata().unwrap().len()).unwrap();
    let after = store(copy.path());
    assert!(get(&after, &digest).unwrap() == blob);
    after.put("default", b"another").unwrap();
    drop(after);
    assert_eq!(packs(copy.path(), "open").len(), 0, "the dead writer's pack is sealed");
    assert!(get(&store(copy.path()), &digest).unwrap() == blob);
}

#[test]
fn a_corrupt_chunk_is_a_miss_and_is_mended_by_the_next_write() {
    let folder = tempfile::tempdir().unwrap();
    let blob = noise(7, 3000);
    let digest = store(folder.path()).put("default", &blob).unwrap();
    let pack = packs(folder.path(), "pack").pop().unwrap();
    let bytes = fs::read(&pack).unwrap();
    let at = bytes.windows(16).position(|window| window == &blob[1000..1016]).unwrap();
    File::options().write(true).open(&pack).unwrap().write_at(&[bytes[at] ^ 1], at as u64).unwrap();
    let store = store(folder.path());
    assert_eq!(get(&store, &digest).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(store.find_missing("default", &[digest]).unwrap(), [digest]);
    store.put("default", &blob).unwrap();
    assert!(get(&store, &digest).unwrap() == blob);
}

#[test]
fn a_home_that_others_may_write_to_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    drop(store(folder.path()));
    fs::set_permissions(folder.path().join("home"), fs::Permissions::from_mode(0o777)).unwrap();
    let error = LocalStore::open(&folder.path().join("home"), Options::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted);
    let foreign = tempfile::tempdir().unwrap();
    fs::write(foreign.path().join("thesis.tex"), "").unwrap();
    let error = LocalStore::open(foreign.path(), Options::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn memory_does_not_grow_with_a_blob() {
    struct Endless(u64);
    impl Read for Endless {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let count = out.len().min(self.0 as usize);
            out[..count].fill((self.0 >> 16) as u8);
            self.0 -= count as u64;
            Ok(count)
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let mut writer = store.writer("default").unwrap();
    let digest = writer.put_reader(&mut Endless(1 << 30), DigestFunction::Blake3, &mut |_| {}).unwrap();
    writer.commit().unwrap();
    let mut seen = 0;
    store
        .read("default", &digest, 0..digest.size, &mut |piece| {
            seen += piece.len();
            Ok(())
        })
        .unwrap();
    assert_eq!(seen, 1 << 30);
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak: u64 = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    assert!(peak < 400 << 10, "peak of {peak} KiB, other tests of this binary included");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_the_parameters_a_flipped_bit_never_gives_wrong_bytes(
        seeds in proptest::collection::vec((0u64..50, 0usize..200_000), 1..6),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0u8..8), 1..6),
        preset in prop::sample::select(vec!["store", "code", "media"]),
        level in 0i32..4,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { chunking: ChunkerParams::preset(preset).unwrap(), level, ..Options::default() };
        let home = folder.path().join("home");
        let blobs: Vec<_> = seeds.iter().map(|&(seed, size)| text(seed, size)).collect();
        let digests: Vec<_> = {
            let store = LocalStore::open(&home, options.clone()).unwrap();
            blobs.iter().map(|blob| store.put("default", blob).unwrap()).collect()
        };
        let mut files: Vec<_> = ["packs", "blobs/default"].iter()
            .filter_map(|name| fs::read_dir(home.join(name)).ok()).flatten().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for (file, at, bit) in &flips {
            if files.is_empty() { break; }
            let file = File::options().read(true).write(true).open(file.get(&files)).unwrap();
            let at = at.index(file.metadata().unwrap().len() as usize) as u64;
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_at(&[byte[0] ^ 1 << bit], at).unwrap();
        }
        let store = LocalStore::open(&home, options).unwrap();
        for (blob, digest) in blobs.iter().zip(&digests) {
            if let Ok(found) = get(&store, digest) {
                prop_assert!(found == *blob);
            }
            // A damaged row hides a damaged list, which hides damaged chunks: each round finds one of them.
            for _ in 0..3 {
                store.put("default", blob).unwrap();
                if get(&store, digest).is_ok() {
                    break;
                }
            }
            prop_assert!(get(&store, digest).unwrap() == *blob, "what was found to be bad is mended by writing again");
        }
    }
}

#[test]
fn a_store_that_lost_its_marker_is_still_a_store_and_a_strange_folder_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let digest = store(folder.path()).put("default", b"content").unwrap();
    fs::write(folder.path().join("home/index.db"), "").unwrap();
    let marker = folder.path().join("home/larder-store.json");
    fs::remove_file(&marker).unwrap();
    assert_eq!(get(&store(folder.path()), &digest).unwrap(), b"content");
    for damaged in ["", "{\"for", "\0\0"] {
        fs::write(&marker, damaged).unwrap();
        assert_eq!(get(&store(folder.path()), &digest).unwrap(), b"content");
        assert!(fs::read_to_string(&marker).unwrap().contains("format"));
    }
    fs::write(&marker, "{\"format\": 99}").unwrap();
    let newer = LocalStore::open(&folder.path().join("home"), Options::default()).unwrap_err();
    assert_eq!(newer.kind(), ErrorKind::Version);
    let strange = folder.path().join("strange");
    fs::create_dir(&strange).unwrap();
    fs::write(strange.join("thesis.txt"), "chapter 1").unwrap();
    let error = LocalStore::open(&strange, Options::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

/// Runs of one byte are cut at the largest length, so that a chunk ends just where a window does.
#[test]
fn digests_are_right_where_chunks_end_with_the_window() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let window = 5 * 65_536;
    for size in [window - 1, window, window + 1, window + 46_320, window + 65_536, 2 * window + 7] {
        let zeros = vec![0; size];
        let digest = store.put("default", &zeros).unwrap();
        assert_eq!(digest, Digest::blake3(&zeros), "{size} zeros");
        assert!(get(&store, &digest).unwrap() == zeros, "{size} zeros come back");
    }
    for size in (200_000..1_000_000).step_by(9_973) {
        let lines: Vec<u8> = b"the same line again\n".iter().copied().cycle().take(size).collect();
        assert_eq!(store.put("default", &lines).unwrap(), Digest::blake3(&lines), "{size} bytes of lines");
    }
}

#[test]
fn what_a_writer_settled_is_there_at_once_whoever_else_begins() {
    for round in 0..60_u64 {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let store = &store;
                scope.spawn(move || {
                    // What is not there makes the store look at its folder anew, while the others begin their packs.
                    for absent in 0..20 * (thread % 2) {
                        assert!(
                            get(store, &Digest::blake3(&noise(round * 8 + thread, 9 + absent as usize)))
                                .is_err()
                        );
                    }
                    let mut writer = store.writer("default").unwrap();
                    let digest = writer.put_bytes(&noise(round * 8 + thread, 100)).unwrap();
                    writer.settle().unwrap();
                    assert!(store.has_chunk(&digest.hash), "round {round}, thread {thread}");
                    writer.commit().unwrap();
                });
            }
        });
    }
}
