//! Whole files on a file system that can clone. Needs one: `LARDER_TEST_REFLINK_DIR` names a folder on xfs or btrfs.
//! The tests fail without it; `scripts/test --full` runs them if it is set, and says so if not.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_core::{Digest, DigestFunction, ErrorKind};
use larder_store::local::complete::Completed;
use larder_store::local::gc::GcOptions;
use larder_store::local::verify::VerifyOptions;
use larder_store::{LocalStore, Options};

fn folder() -> tempfile::TempDir {
    let place = std::env::var_os("LARDER_TEST_REFLINK_DIR")
        .expect("LARDER_TEST_REFLINK_DIR names a folder that can clone");
    tempfile::tempdir_in(place).unwrap()
}

fn content() -> Vec<u8> {
    let mut out = vec![0; 3_000_000];
    blake3::Hasher::new().finalize_xof().fill(&mut out);
    out
}

fn put(store: &LocalStore, file: &Path) -> Digest {
    let mut writer = store.writer("default").unwrap();
    let digest = writer.put_file(&File::open(file).unwrap(), &mut |_| {}).unwrap();
    writer.commit().unwrap();
    digest
}

fn whole_files(home: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(home.join("whole")).unwrap().map(|entry| entry.unwrap().path());
    folders.flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path()).collect()
}

#[test]
#[ignore = "needs a file system that can clone"]
fn a_file_is_cloned_in_and_out_and_chunked_nowhere() {
    let folder = folder();
    let (home, file) = (folder.path().join("home"), folder.path().join("file"));
    fs::write(&file, content()).unwrap();
    let store = LocalStore::open(&home, Options::default()).unwrap();
    let digest = put(&store, &file);
    assert_eq!(digest, Digest::blake3(&content()));
    assert_eq!(whole_files(&home).len(), 1);
    assert_eq!(fs::read_dir(home.join("packs")).unwrap().count(), 0);
    fs::write(&file, "the original goes on to change").unwrap();
    let out =
        File::options().read(true).write(true).create_new(true).open(folder.path().join("out")).unwrap();
    store.write_to("default", &digest, &out).unwrap();
    assert!(fs::read(folder.path().join("out")).unwrap() == content());
    assert!(store.get("default", &digest, u64::MAX).unwrap() == content());
    assert!(store.find_missing("default", &[digest]).unwrap().is_empty());
    assert!(store.verify(&VerifyOptions::default(), &mut |_| {}).unwrap().is_clean());
}

#[test]
#[ignore = "needs a file system that can clone"]
fn a_tampered_whole_file_is_a_miss_and_is_mended_by_the_next_write() {
    let folder = folder();
    let (home, file) = (folder.path().join("home"), folder.path().join("file"));
    fs::write(&file, content()).unwrap();
    let store = LocalStore::open(&home, Options::default()).unwrap();
    let digest = put(&store, &file);
    let whole = whole_files(&home).pop().unwrap();
    fs::set_permissions(&whole, fs::Permissions::from_mode(0o644)).unwrap();
    File::options().write(true).open(&whole).unwrap().write_at(b"x", 1_000_000).unwrap();
    assert!(!store.verify(&VerifyOptions::default(), &mut |_| {}).unwrap().is_clean());
    assert_eq!(store.get("default", &digest, u64::MAX).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(store.find_missing("default", &[digest]).unwrap(), [digest]);
    put(&store, &file);
    assert!(store.get("default", &digest, u64::MAX).unwrap() == content());
}

#[test]
#[ignore = "needs a file system that can clone"]
fn announced_files_are_proven_all_the_same() {
    let folder = folder();
    let (home, file) = (folder.path().join("home"), folder.path().join("file"));
    fs::write(&file, content()).unwrap();
    let store = LocalStore::open(&home, Options::default()).unwrap();
    let digest = put(&store, &file);
    store.expect(&[Digest::blake3(b"nobody has this"), digest]);
    let write = |name| {
        let out = File::options().write(true).create_new(true).open(folder.path().join(name)).unwrap();
        store.write_to("default", &digest, &out)
    };
    write("one").unwrap();
    assert!(fs::read(folder.path().join("one")).unwrap() == content());
    let whole = whole_files(&home).pop().unwrap();
    fs::set_permissions(&whole, fs::Permissions::from_mode(0o644)).unwrap();
    write("two").unwrap();
    File::options().write(true).open(&whole).unwrap().write_at(b"x", 1_000_000).unwrap();
    assert_eq!(write("three").unwrap_err().kind(), ErrorKind::Corrupt);
    put(&store, &file);
    write("four").unwrap();
    assert!(fs::read(folder.path().join("four")).unwrap() == content());
}

#[test]
#[ignore = "needs a file system that can clone"]
fn gc_keeps_what_is_young_and_deletes_what_nothing_needs() {
    let folder = folder();
    let (home, file) = (folder.path().join("home"), folder.path().join("file"));
    fs::write(&file, content()).unwrap();
    let store = LocalStore::open(&home, Options::default()).unwrap();
    let digest = put(&store, &file);
    let options = GcOptions { to_size: Some(0), ..GcOptions::default() };
    store.gc(&options).unwrap();
    assert!(store.find_missing("default", &[digest]).unwrap().is_empty(), "young");
    store.gc(&GcOptions { grace: Duration::ZERO, ..options }).unwrap();
    assert_eq!(store.find_missing("default", &[digest]).unwrap(), [digest]);
    assert!(whole_files(&home).is_empty());
}

#[test]
#[ignore = "needs a file system that can clone"]
fn a_partial_blob_that_is_complete_is_cloned() {
    let folder = folder();
    let home = folder.path().join("home");
    let store = LocalStore::open(&home, Options::default()).unwrap();
    let digest = DigestFunction::Sha256.digest(&content());
    let parts = store.partial_blob("default", &digest).unwrap();
    parts.write(0, &vec![1; content().len()]).unwrap();
    assert_eq!(store.complete_partial_blob("default", &digest).unwrap(), Completed::Wrong);
    parts.write(0, &content()).unwrap();
    assert_eq!(store.complete_partial_blob("default", &digest).unwrap(), Completed::Whole);
    assert_eq!(fs::read_dir(home.join("packs")).unwrap().count(), 0, "it was chunked");
    assert!(store.get("default", &digest, u64::MAX).unwrap() == content());
    assert!(store.verify(&VerifyOptions::default(), &mut |_| {}).unwrap().is_clean());
    // What was wrong goes, what is right stays.
    store.gc(&GcOptions::default()).unwrap();
    assert_eq!(whole_files(&home).len(), 1);
    assert!(store.use_blob("default", &digest).unwrap());
    assert_eq!(store.forget_blobs("default", &[digest]).unwrap(), 1);
    store.gc(&GcOptions::default()).unwrap();
    assert!(whole_files(&home).is_empty());
}
