//! Removal of files that whoever made them holds an `flock` on while they are of use: locks, uploads, temporary files.
//!
//! A file is removed only under its own lock, only while it still has its name, and only if it is old then, too. So
//! nobody can come to hold a lock on what is being removed, and what another process put under the name in between stays.
//! Those who take such a lock look, as this does, whether the file still has its name ([`is_there`]).

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, flock};

/// Whether `path` is the name of the open `file`.
pub(super) fn is_there(path: &Path, file: &File) -> bool {
    match (fs::symlink_metadata(path), file.metadata()) {
        (Ok(there), Ok(ours)) => there.ino() == ours.ino() && there.dev() == ours.dev(),
        _ => false,
    }
}

/// Removes the regular file at `path` if nobody holds it and `is_old` says so of it; whether it did.
///
/// # Errors
/// When it cannot be removed. One that cannot be opened or is gone is left alone.
pub(super) fn remove(path: &Path, is_old: impl Fn(&Metadata) -> bool) -> io::Result<bool> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let Ok(file) = File::options().read(true).custom_flags(flags).open(path) else { return Ok(false) };
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() || !is_there(path, &file) {
        return Ok(false);
    }
    let metadata = file.metadata()?;
    if !metadata.is_file() || !is_old(&metadata) {
        return Ok(false);
    }
    let removed = fs::remove_file(path);
    // Held until here.
    drop(file);
    removed.map(|()| true)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    /// As a runner takes the lock of an action.
    fn take(path: &Path) -> File {
        loop {
            let file = File::options().write(true).create(true).truncate(false).open(path).unwrap();
            flock(&file, FlockOperation::LockExclusive).unwrap();
            if is_there(path, &file) {
                return file;
            }
        }
    }

    #[test]
    fn nobody_loses_a_lock_to_who_tidies() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("action.lock");
        let (inside, done) = (AtomicUsize::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let holders: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..500 {
                            let file = take(&path);
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two hold it");
                            std::thread::yield_now();
                            assert!(is_there(&path, &file), "removed while it is held");
                            inside.fetch_sub(1, Ordering::SeqCst);
                            fs::remove_file(&path).unwrap();
                        }
                    })
                })
                .collect();
            let tidy = scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    // Gone meanwhile is fine for who tidies.
                    let _ = remove(&path, |_| true);
                }
            });
            let ended: Vec<_> = holders.into_iter().map(|holder| holder.join()).collect();
            done.store(true, Ordering::SeqCst);
            tidy.join().unwrap();
            ended.into_iter().for_each(|end| end.unwrap());
        });
    }

    #[test]
    fn only_old_regular_files_that_nobody_holds_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "").unwrap();
        assert!(!remove(&path, |_| false).unwrap());
        let held = take(&path);
        assert!(!remove(&path, |_| true).unwrap());
        drop(held);
        std::os::unix::fs::symlink(&path, folder.path().join("link")).unwrap();
        assert!(!remove(&folder.path().join("link"), |_| true).unwrap());
        assert!(!remove(folder.path(), |_| true).unwrap());
        assert!(remove(&path, |_| true).unwrap());
        assert!(!path.exists() && !remove(&path, |_| true).unwrap());
    }
}
