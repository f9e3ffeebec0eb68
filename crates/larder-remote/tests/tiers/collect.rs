//! Deletion in two phases. Time passes by making files of a shared folder older.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use larder_core::ErrorKind;
use larder_remote::Tier;
use larder_remote::bucket::BucketOptions;
use larder_remote::packed::PackOptions;
use larder_remote::packed::collect::{CollectOptions, Collected};
use larder_remote::packed::seal::Seal;

use crate::options;
use crate::suite::{bring, publish, wait};
use crate::world::{Machine, noise};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const RULES: CollectOptions =
    CollectOptions { older_than: Some(Duration::from_secs(30 * 24 * 3600)), grace: DAY, dry_run: false };

struct Share(tempfile::TempDir);

impl Share {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Opened anew, as another process does: nothing is remembered.
    fn tier(&self) -> impl Tier + use<> {
        larder_remote::dir::open(self.0.path(), options()).unwrap()
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut open = vec![self.0.path().to_owned()];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { open.push(path) } else { found.push(path) }
            }
        }
        found.sort();
        found
    }

    fn of(&self, part: &str) -> Vec<PathBuf> {
        self.files().into_iter().filter(|path| path.to_str().unwrap().contains(part)).collect()
    }

    fn pass(&self, time: Duration) {
        self.files().iter().for_each(|path| age(path, time));
    }

    fn collect(&self, options: &CollectOptions) -> Collected {
        wait(self.tier().collect("default", options)).unwrap()
    }
}

fn age(path: &Path, time: Duration) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    let before: SystemTime = file.metadata().unwrap().modified().unwrap();
    file.set_modified(before - time).unwrap();
}

#[test]
fn what_is_not_used_goes_in_two_phases_and_what_is_used_stays() {
    let (share, a) = (Share::new(), Machine::new());
    let used = a.build(1, &[noise(1, 300_000)]);
    let unused = a.build(2, &[noise(2, 200_000)]);
    publish(&share.tier(), &a, &used, false).unwrap();
    publish(&share.tier(), &a, &unused, false).unwrap();
    assert_eq!(share.collect(&RULES), Collected { results_kept: 2, packs_kept: 2, ..share.collect(&RULES) });
    share.pass(40 * DAY);
    // Offered again by who uses it: it is found, and made young.
    assert!(publish(&share.tier(), &a, &used, false).unwrap().present);

    let before = share.files();
    let planned = share.collect(&CollectOptions { dry_run: true, ..RULES });
    assert_eq!((planned.results_kept, planned.results_deleted, planned.packs_marked), (1, 1, 1));
    assert_eq!(share.files(), before, "a dry run changes nothing");

    assert_eq!(share.collect(&RULES), planned);
    let again = share.collect(&RULES);
    assert_eq!((again.packs_marked, again.packs_waiting, again.packs_deleted), (0, 1, 0));
    share.pass(DAY + HOUR);
    let last = share.collect(&RULES);
    assert_eq!((last.packs_kept, last.packs_waiting, last.packs_deleted), (1, 0, 1));
    assert!(last.bytes_deleted > 190_000 && last.bytes_kept > 290_000, "{last:?}");
    assert_eq!((share.of("/packs/").len(), share.of("/marked/").len()), (1, 0));

    let b = Machine::new();
    assert!(bring(&share.tier(), &b, &used).unwrap().is_some());
    assert_eq!(b.files(&used).unwrap(), [noise(1, 300_000)]);
    assert!(bring(&share.tier(), &b, &unused).unwrap().is_none());
}

#[test]
fn a_pack_that_is_written_anew_lives_on() {
    let (share, a) = (Share::new(), Machine::new());
    let action = a.build(1, &[noise(1, 300_000)]);
    publish(&share.tier(), &a, &action, false).unwrap();
    share.pass(40 * DAY);
    assert_eq!(share.collect(&RULES).packs_marked, 1);
    share.pass(2 * DAY);
    assert!(!publish(&share.tier(), &a, &action, false).unwrap().present);
    assert!(share.of("/marked/").is_empty());
    assert_eq!(share.collect(&RULES).packs_deleted, 0);
    let b = Machine::new();
    assert!(bring(&share.tier(), &b, &action).unwrap().is_some());
}

#[test]
fn a_marked_pack_is_not_taken_over() {
    let (share, a) = (Share::new(), Machine::new());
    let first = a.build(1, &[noise(1, 3_000_000)]);
    publish(&share.tier(), &a, &first, false).unwrap();
    // Marked by a machine that saw no result of it; the result is there.
    let packs = share.of("/packs/");
    let marked = packs.last().unwrap();
    let mark = marked.parent().unwrap().parent().unwrap().parent().unwrap().join("marked");
    std::fs::create_dir(&mark).unwrap();
    for pack in &packs {
        std::fs::write(mark.join(pack.file_name().unwrap()), "").unwrap();
    }
    let second = a.build(2, &[[noise(1, 3_000_000), b"more".to_vec()].concat()]);
    publish(&share.tier(), &a, &second, false).unwrap();
    // What was written anew lost its mark; what is still marked goes.
    let doomed = packs.iter().filter(|pack| mark.join(pack.file_name().unwrap()).exists());
    let gone = doomed.map(|pack| std::fs::remove_file(pack).unwrap()).count();
    assert!(gone > 0);
    let b = Machine::new();
    assert!(bring(&share.tier(), &b, &second).unwrap().is_some(), "it does not name the marked pack");
}

#[test]
fn a_mark_on_what_is_named_is_taken_away() {
    let (share, a) = (Share::new(), Machine::new());
    let action = a.build(1, &[noise(1, 300_000)]);
    publish(&share.tier(), &a, &action, false).unwrap();
    let pack = share.of("/packs/").remove(0);
    let marks = pack.parent().unwrap().parent().unwrap().parent().unwrap().join("marked");
    std::fs::create_dir(&marks).unwrap();
    std::fs::write(marks.join(pack.file_name().unwrap()), "").unwrap();
    share.pass(5 * DAY);
    let collected = share.collect(&RULES);
    assert_eq!((collected.packs_kept, collected.packs_deleted), (1, 0));
    assert!(pack.exists() && share.of("/marked/").is_empty());
}

#[test]
fn what_cannot_be_read_ends_it_and_garbage_goes() {
    let (share, a) = (Share::new(), Machine::new());
    let action = a.build(1, &[noise(1, 300_000)]);
    publish(&share.tier(), &a, &action, false).unwrap();
    let result = share.of("/results/").remove(0);
    let whole = std::fs::read(&result).unwrap();
    let mut newer = whole.clone();
    newer[4] += 1;
    std::fs::write(&result, newer).unwrap();
    share.pass(5 * DAY);
    let error = wait(share.tier().collect("default", &RULES)).unwrap_err();
    assert!(error.to_string().contains("another version"), "{error}");
    assert_eq!(share.of("/marked/").len(), 0);

    std::fs::write(&result, &whole[..whole.len() / 2]).unwrap();
    age(&result, 5 * DAY);
    let collected = share.collect(&RULES);
    assert_eq!((collected.results_deleted, collected.packs_marked), (1, 1));
    assert!(!result.exists());
}

/// Each key of an encrypted tier has a room of its own, and so has what is plain: collecting in one touches no other.
#[test]
fn who_lacks_the_key_deletes_nothing() {
    let (share, a) = (Share::new(), Machine::new());
    let sealed = |key: &[u8]| {
        let packs = PackOptions { seal: Some(Seal::new(key).unwrap()), ..PackOptions::default() };
        larder_remote::dir::open(share.0.path(), BucketOptions { packs, ..options() }).unwrap()
    };
    let (ours, theirs) = (sealed(b"sixteen bytes at least"), sealed(b"another key of this team"));
    let action = a.build(1, &[noise(1, 300_000)]);
    publish(&ours, &a, &action, false).unwrap();
    publish(&share.tier(), &a, &action, false).unwrap();
    let all = CollectOptions { older_than: Some(HOUR), ..RULES };
    share.pass(5 * DAY);
    let before = share.files();
    assert_eq!(wait(theirs.collect("default", &all)).unwrap(), Collected::default());
    assert_eq!(share.files(), before);
    // What is plain goes, and what is encrypted stays; and the other way round.
    assert_eq!(share.collect(&all).results_deleted, 1);
    share.pass(5 * DAY);
    assert_eq!(share.collect(&all).packs_deleted, 1);
    let b = Machine::new();
    assert!(bring(&share.tier(), &b, &action).unwrap().is_none());
    assert!(bring(&ours, &b, &action).unwrap().is_some());
    assert_eq!(wait(ours.collect("default", &all)).unwrap().results_deleted, 1);
}

/// A hit is offered to its tier again when it is old, so that what is read daily does not go for its age.
#[test]
fn what_is_only_read_is_made_young() {
    let (share, a) = (Share::new(), Machine::new());
    let action = a.build(1, &[noise(1, 300_000)]);
    publish(&share.tier(), &a, &action, false).unwrap();
    let old = |share: &Share| wait(share.tier().look_up("default", &action)).unwrap().unwrap().is_old();
    assert!(!old(&share));
    share.pass(8 * DAY);
    assert!(old(&share));
    let b = Machine::new();
    assert!(bring(&share.tier(), &b, &action).unwrap().is_some());
    assert!(publish(&share.tier(), &b, &action, false).unwrap().present);
    assert!(!old(&share));
}

/// What others put into the folder is left alone, and stops nothing.
#[test]
fn odd_names_stop_nothing() {
    use std::os::unix::ffi::OsStrExt;
    let (share, a) = (Share::new(), Machine::new());
    let action = a.build(1, &[noise(1, 300_000)]);
    publish(&share.tier(), &a, &action, false).unwrap();
    let results = share.of("/results/").remove(0).parent().unwrap().parent().unwrap().to_owned();
    let root = results.parent().unwrap();
    for folder in ["results", "packs", "recipes"] {
        for name in [&b"new\nline"[..], b"esc\x1b[31m", b"not\xffutf8", b"#1", b"README", b"b3-zz-1"] {
            std::fs::write(root.join(folder).join(std::ffi::OsStr::from_bytes(name)), "x").unwrap();
        }
    }
    share.pass(40 * DAY);
    publish(&share.tier(), &a, &action, false).unwrap();
    let collected = share.collect(&RULES);
    assert_eq!(
        (collected.results_kept, collected.packs_kept, collected.packs_marked),
        (1, 1, 0),
        "{collected:?}"
    );
    assert!(root.join("results/README").exists() && root.join("packs/#1").exists());
}

#[test]
fn too_short_a_grace_is_refused() {
    let share = Share::new();
    let short = CollectOptions { grace: HOUR / 2, ..RULES };
    assert_eq!(wait(share.tier().collect("default", &short)).unwrap_err().kind(), ErrorKind::Invalid);
}
