//! Waiting until a project is at its path, for who watches it and finds that the folder went: it was renamed or removed, and will be there again or made
//! anew.
//!
//! A project is a folder with a root file. While a checkout is at work there is none for a moment, and nothing is written to the folder before.

use std::fs::metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use crate::config::discover::ROOT_FILES;
use crate::process::CancelToken;

/// How often one looks.
const BEAT: Duration = Duration::from_millis(250);

/// Which folder, which root file, and in which state that is.
type Seen = [u64; 6];

fn look(root: &Path) -> Option<Seen> {
    let folder = metadata(root).ok()?;
    let file = ROOT_FILES.iter().find_map(|(name, _)| metadata(root.join(name)).ok())?;
    let (seconds, nanos) = (file.mtime().cast_unsigned(), file.mtime_nsec().cast_unsigned());
    Some([folder.dev(), folder.ino(), file.dev(), file.ino(), seconds, nanos])
}

/// Waits until there is a project at `root`, the same at two looks one after the other. Whether there is; else it was cancelled.
#[must_use]
pub fn until_there(root: &Path, cancel: &CancelToken) -> bool {
    let mut before = None;
    loop {
        let now = look(root);
        if now.is_some() && now == before {
            return true;
        }
        before = now;
        if cancel.sleep(BEAT) {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::fs;

    use super::*;

    #[test]
    fn a_folder_without_a_root_file_is_no_project() {
        let folder = tempfile::tempdir().unwrap();
        let (root, cancel) = (folder.path().join("project"), CancelToken::new().unwrap());
        std::thread::scope(|threads| {
            let there = threads.spawn(|| until_there(&root, &cancel));
            fs::create_dir(&root).unwrap();
            std::thread::sleep(BEAT * 3);
            assert!(!there.is_finished());
            fs::write(root.join("larder.yaml"), "name: p\n").unwrap();
            assert!(there.join().unwrap());
        });
        fs::remove_file(root.join("larder.yaml")).unwrap();
        cancel.cancel();
        assert!(!until_there(&root, &cancel));
    }
}
