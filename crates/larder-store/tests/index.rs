//! The index: what it keeps, under damage, kills and many writers.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use larder_core::ErrorKind;
use larder_store::local::index::{
    Condition, Index, IndexOptions, NewResult, Opened, Origin, Outcome, Pin, PinKind, Resident, StatTuple,
    counter, payload_hash,
};

const HOUR: u64 = 3600;

fn open(home: &Path) -> Opened {
    Index::open(&IndexOptions::in_home(home)).unwrap()
}

fn fresh() -> (tempfile::TempDir, Index) {
    let home = tempfile::tempdir().unwrap();
    let opened = open(home.path());
    assert_eq!(opened.recovered, None);
    (home, opened.index)
}

fn new<'a>(key: &'a [u8], payload: &'a [u8]) -> NewResult<'a> {
    NewResult { namespace: "default", key, payload, origin: Origin::Built }
}

fn put(index: &Index, key: &[u8], payload: &[u8], condition: Condition, now: u64) -> Outcome {
    index.put_result(&new(key, payload), condition, now).unwrap()
}

fn payload(index: &Index, key: &[u8]) -> Option<Vec<u8>> {
    index.get_result("default", key).unwrap().map(|row| row.payload)
}

/// A connection past the index, to damage rows with.
fn raw(home: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(home.join("index.db")).unwrap()
}

fn counted(index: &Index, name: &str) -> u64 {
    index.counters().unwrap().into_iter().find(|(found, _)| found == name).map_or(0, |(_, value)| value)
}

#[test]
fn a_result_comes_back_as_it_was_written() {
    let (home, index) = fresh();
    assert_eq!(put(&index, b"k", b"v", Condition::Always, 100), Outcome::Created);
    drop(index);
    let index = open(home.path()).index;
    let row = index.get_result("default", b"k").unwrap().unwrap();
    assert_eq!(
        (row.payload.as_slice(), row.origin, row.created, row.last_used),
        (&b"v"[..], Origin::Built, 100, 100)
    );
    assert_eq!(index.get_result("other", b"k").unwrap(), None);
    let many = index.get_results("default", &[b"no", b"k", b""]).unwrap();
    assert_eq!(many.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn writes_obey_their_condition() {
    let (_home, index) = fresh();
    assert_eq!(put(&index, b"k", b"1", Condition::ReplaceIf(payload_hash(b"1")), 1), Outcome::Refused);
    assert_eq!(put(&index, b"k", b"1", Condition::CreateOnly, 1), Outcome::Created);
    assert_eq!(put(&index, b"k", b"2", Condition::CreateOnly, 1), Outcome::Refused);
    assert_eq!(put(&index, b"k", b"2", Condition::ReplaceIf(payload_hash(b"0")), 1), Outcome::Refused);
    assert_eq!(payload(&index, b"k").unwrap(), b"1");
    assert_eq!(put(&index, b"k", b"2", Condition::ReplaceIf(payload_hash(b"1")), 1), Outcome::Replaced);
    assert_eq!(put(&index, b"k", b"2", Condition::Always, 1), Outcome::Unchanged);
    assert_eq!(put(&index, b"k", b"3", Condition::Always, 1), Outcome::Replaced);
    assert_eq!(payload(&index, b"k").unwrap(), b"3");
    let promoted = NewResult { origin: Origin::Promoted, ..new(b"k", b"3") };
    assert_eq!(index.put_result(&promoted, Condition::Always, 1).unwrap(), Outcome::Replaced);
    assert_eq!(index.get_result("default", b"k").unwrap().unwrap().origin, Origin::Promoted);
}

#[test]
fn a_damaged_row_is_a_miss_is_deleted_and_counted() {
    for damage in [
        "UPDATE results SET payload = x'00' WHERE key = x'6b'",
        "UPDATE results SET key = x'6b' WHERE key = x'6c'",
        "UPDATE results SET namespace = 'default' WHERE namespace = 'other'",
        "UPDATE results SET origin = 1",
        "UPDATE results SET origin = 7",
        "UPDATE results SET checksum = x'00'",
    ] {
        let (home, index) = fresh();
        if damage.contains("x'6c'") {
            put(&index, b"l", b"v", Condition::Always, 1);
        } else if damage.contains("other") {
            index
                .put_result(&NewResult { namespace: "other", ..new(b"k", b"v") }, Condition::Always, 1)
                .unwrap();
        } else {
            put(&index, b"k", b"v", Condition::Always, 1);
        }
        assert_eq!(raw(home.path()).execute(damage, []).unwrap(), 1);
        assert_eq!(payload(&index, b"k"), None, "{damage}");
        assert_eq!(index.result_totals().unwrap().0, 0, "{damage}");
        assert_eq!(counted(&index, counter::CORRUPT_RESULTS), 1, "{damage}");
    }
}

#[test]
fn a_damaged_row_does_not_squat_on_its_key() {
    let (home, index) = fresh();
    put(&index, b"k", b"v", Condition::Always, 1);
    raw(home.path()).execute("UPDATE results SET payload = x'00'", []).unwrap();
    assert_eq!(put(&index, b"k", b"w", Condition::CreateOnly, 1), Outcome::Created);
    assert_eq!(payload(&index, b"k").unwrap(), b"w");
}

#[test]
fn a_run_that_changes_nothing_writes_nothing() {
    let (home, index) = fresh();
    put(&index, b"k", b"v", Condition::Always, 10 * HOUR);
    let version = |connection: &rusqlite::Connection| -> i64 {
        connection.query_row("PRAGMA data_version", [], |row| row.get(0)).unwrap()
    };
    let watcher = raw(home.path());
    let before = version(&watcher);
    assert_eq!(index.touch_results(&[("default", b"k"), ("default", b"no")], 11 * HOUR).unwrap(), 0);
    assert_eq!(put(&index, b"k", b"v", Condition::Always, 11 * HOUR), Outcome::Unchanged);
    payload(&index, b"k");
    drop(open(home.path()));
    assert_eq!(version(&watcher), before);
    assert_eq!(index.touch_results(&[("default", b"k")], 11 * HOUR + 1).unwrap(), 1);
    assert_ne!(version(&watcher), before);
    assert_eq!(index.get_result("default", b"k").unwrap().unwrap().last_used, 11 * HOUR + 1);
}

#[test]
fn rows_are_listed_by_last_use_in_pages() {
    let (_home, index) = fresh();
    for number in 0..25_u8 {
        put(&index, &[number], &[number], Condition::Always, u64::from(number / 2));
    }
    index.put_result(&NewResult { namespace: "other", ..new(b"x", b"y") }, Condition::Always, 3).unwrap();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = index.list_results(Some("default"), after, 10).unwrap();
        assert_eq!(index.delete_listed(&page.rows[..1]).unwrap(), 1);
        seen.extend(page.rows);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert!(seen.is_sorted_by(|one, other| one.last_used >= other.last_used));
    let mut keys: Vec<_> = seen.iter().map(|row| row.key[0]).collect();
    keys.sort_unstable();
    assert_eq!(keys, (0..25).collect::<Vec<_>>());
    assert_eq!(index.result_totals().unwrap(), (23, 23));
    assert_eq!(index.delete_results("other", &[b"x", b"no"]).unwrap(), 1);
}

#[test]
fn a_row_that_was_used_since_it_was_listed_stays() {
    let (_home, index) = fresh();
    put(&index, b"used", b"v", Condition::Always, 1);
    put(&index, b"replaced", b"v", Condition::Always, 1);
    put(&index, b"dead", b"v", Condition::Always, 1);
    let rows = index.list_results(None, None, 10).unwrap().rows;
    index.touch_results(&[("default", b"used")], 2 * HOUR).unwrap();
    put(&index, b"replaced", b"w", Condition::Always, 1);
    assert_eq!(index.delete_listed(&rows).unwrap(), 1);
    assert!(payload(&index, b"used").is_some() && payload(&index, b"replaced").is_some());
    assert_eq!(payload(&index, b"dead"), None);
}

#[test]
fn roots_leases_and_pins_keep_until_told_otherwise() {
    let (home, index) = fresh();
    index.set_root("default", "app:v1", b"d1", 1).unwrap();
    index.set_root("default", "app:v1", b"d2", 2).unwrap();
    let part = index.lease("default", Some(&[b"d1", b"d2", b"d1"]), 100).unwrap();
    let whole = index.lease("default", None, 200).unwrap();
    let pin = Pin {
        namespace: "default".into(),
        kind: PinKind::Blob,
        key: b"d3".to_vec(),
        who: "me".into(),
        why: "release".into(),
        created: 5,
    };
    index.pin(&pin).unwrap();
    drop(index);

    let index = open(home.path()).index;
    let roots = index.roots(None).unwrap();
    assert_eq!((roots.len(), roots[0].digest.as_slice()), (1, &b"d2"[..]));
    let leases = index.leases(50).unwrap();
    assert_eq!(leases[0].digests, Some(vec![b"d1".to_vec(), b"d2".to_vec()]));
    assert_eq!((leases[1].id, &leases[1].digests), (whole, &None));
    assert_eq!(index.leases(100).unwrap().len(), 1);
    assert!(index.renew_lease(part, 300).unwrap());
    assert_eq!(index.expire_leases(250).unwrap(), 1);
    assert!(!index.renew_lease(whole, 300).unwrap());
    index.release_lease(part).unwrap();
    assert_eq!(index.leases(0).unwrap(), []);
    assert_eq!(index.pins(Some("default")).unwrap(), [pin]);
    assert!(!index.unpin("default", PinKind::Result, b"d3").unwrap());
    assert!(index.unpin("default", PinKind::Blob, b"d3").unwrap());
    assert!(index.remove_root("default", "app:v1").unwrap());
    assert!(!index.remove_root("default", "app:v1").unwrap());
}

#[test]
fn residency_keeps_the_stat_tuple_and_notices_damage() {
    let (home, index) = fresh();
    let stat = StatTuple { dev: u64::MAX, ino: 1 << 63, size: 5, mtime_ns: -1, ctime_ns: i64::MAX };
    let resident = Resident { stat, verified_at: 9 };
    index.set_residents(&[(b"a", resident), (b"b", resident)]).unwrap();
    assert_eq!(index.residents(&[b"a", b"x", b"b"]).unwrap(), [Some(resident), None, Some(resident)]);
    raw(home.path()).execute("UPDATE residency SET size = 6 WHERE digest = x'61'", []).unwrap();
    assert_eq!(index.residents(&[b"a", b"b"]).unwrap(), [None, Some(resident)]);
    assert_eq!(counted(&index, counter::CORRUPT_RESIDENCY), 1);
    assert_eq!(index.remove_residents(&[b"a", b"b"]).unwrap(), 1);
}

#[test]
fn counters_add_up_and_saturate() {
    let (_home, index) = fresh();
    index.count(&[("a", 2), ("b", 1)]).unwrap();
    index.count(&[("a", 3), ("b", u64::MAX)]).unwrap();
    index.count(&[("b", u64::MAX)]).unwrap();
    assert_eq!(index.counters().unwrap(), [("a".to_owned(), 5), ("b".to_owned(), i64::MAX.cast_unsigned())]);
}

#[test]
fn a_broken_database_is_put_aside_and_made_anew() {
    let garbage = vec![0x5a; 9000];
    for (name, damage) in [
        ("garbage", Box::new(|path: &Path| fs::write(path, &garbage).unwrap()) as Box<dyn Fn(&Path)>),
        ("empty", Box::new(|path| fs::write(path, b"").unwrap())),
        (
            "cut",
            Box::new(|path| fs::OpenOptions::new().write(true).open(path).unwrap().set_len(5000).unwrap()),
        ),
        (
            "cut header",
            Box::new(|path| fs::OpenOptions::new().write(true).open(path).unwrap().set_len(50).unwrap()),
        ),
        (
            "no id",
            Box::new(|path| {
                let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
                file.seek(SeekFrom::Start(68)).unwrap();
                file.write_all(&[0, 0, 0, 9]).unwrap();
            }),
        ),
    ] {
        let (home, index) = fresh();
        put(&index, b"k", b"v", Condition::Always, 1);
        drop(index);
        damage(&home.path().join("index.db"));
        let Opened { index, recovered } = open(home.path());
        let recovered = recovered.expect(name);
        assert!(recovered.quarantined.starts_with(home.path().join("quarantine")), "{name}");
        assert!(recovered.quarantined.exists(), "{name}");
        assert_eq!(payload(&index, b"k"), None, "{name}");
        assert_eq!(put(&index, b"k", b"w", Condition::Always, 1), Outcome::Created, "{name}");
        drop(index);
        assert_eq!(open(home.path()).recovered, None, "{name}");
    }
}

#[test]
fn damage_that_is_met_later_is_mended_by_the_next_open() {
    let (home, index) = fresh();
    for number in 0..200_u8 {
        put(&index, &[number], &[number; 4000], Condition::Always, 1);
    }
    drop(index);
    let path = home.path().join("index.db");
    let length = fs::metadata(&path).unwrap().len();
    let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(4096)).unwrap();
    file.write_all(&vec![0xff; usize::try_from(length).unwrap() - 4096]).unwrap();
    let Opened { index, recovered } = open(home.path());
    assert_eq!(recovered, None, "opening reads the first page only");
    let error = index.get_result("default", &[7]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.hint().is_some());
    drop(index);
    let Opened { index, recovered } = open(home.path());
    assert!(recovered.is_some());
    assert_eq!(payload(&index, &[7]), None);
    drop(index);
    assert_eq!(open(home.path()).recovered, None);
}

#[test]
fn a_false_alarm_costs_a_check_and_nothing_else() {
    let (home, index) = fresh();
    put(&index, b"k", b"v", Condition::Always, 1);
    fs::write(home.path().join("index.db.suspect"), b"").unwrap();
    let Opened { index, recovered } = open(home.path());
    assert_eq!((recovered, payload(&index, b"k")), (None, Some(b"v".to_vec())));
    assert!(!home.path().join("index.db.suspect").exists());
}

#[test]
fn the_log_of_a_lost_database_is_not_replayed_into_a_new_one() {
    let (home, index) = fresh();
    put(&index, b"k", b"v", Condition::Always, 1);
    let wal = home.path().join("index.db-wal");
    let log = fs::read(&wal).unwrap();
    assert!(!log.is_empty());
    drop(index);
    fs::remove_file(home.path().join("index.db")).unwrap();
    fs::write(&wal, log).unwrap();
    let index = open(home.path()).index;
    assert_eq!(payload(&index, b"k"), None);
}

#[test]
fn a_process_that_has_the_moved_database_open_does_no_harm() {
    let (home, old) = fresh();
    put(&old, b"k", b"old", Condition::Always, 1);
    // What another process does that finds the header damaged.
    let path = home.path().join("index.db");
    let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    raw(home.path()).query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    file.write_all(b"not a database, really").unwrap();
    let Opened { index, recovered } = open(home.path());
    assert!(recovered.is_some());
    put(&index, b"k", b"new", Condition::Always, 1);
    let _ = old.put_result(&new(b"k", b"lost"), Condition::Always, 1);
    drop(old);
    assert_eq!(payload(&open(home.path()).index, b"k").unwrap(), b"new");
    drop(index);
    assert_eq!(payload(&open(home.path()).index, b"k").unwrap(), b"new");
}

#[test]
fn a_newer_format_and_a_strangers_database_are_left_alone() {
    let (home, index) = fresh();
    drop(index);
    raw(home.path()).pragma_update(None, "user_version", 99).unwrap();
    let error = Index::open(&IndexOptions::in_home(home.path())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Version);
    assert!(error.to_string().contains("version 99") && error.hint().is_some());

    let home = tempfile::tempdir().unwrap();
    raw(home.path()).execute_batch("CREATE TABLE diary (entry TEXT)").unwrap();
    let before = fs::read(home.path().join("index.db")).unwrap();
    let error = Index::open(&IndexOptions::in_home(home.path())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(fs::read(home.path().join("index.db")).unwrap(), before);
    assert!(!home.path().join("quarantine").exists());
}

#[test]
fn a_place_that_is_not_there_or_not_a_file_is_one_clear_error() {
    let home = tempfile::tempdir().unwrap();
    let error = Index::open(&IndexOptions::in_home(&home.path().join("no"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    fs::create_dir(home.path().join("index.db")).unwrap();
    let error = Index::open(&IndexOptions::in_home(home.path())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn a_full_database_is_told_as_full_and_still_reads() {
    let (home, index) = fresh();
    put(&index, b"k", b"v", Condition::Always, 1);
    drop(index);
    // The kernel's own limit on the size of a file stands in for a full disk.
    let child = child("full", home.path()).output().unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert_eq!(payload(&open(home.path()).index, b"k").unwrap(), b"v");
}

#[test]
fn a_writer_that_waits_too_long_says_busy() {
    let (home, _index) = fresh();
    let mut options = IndexOptions::in_home(home.path());
    options.busy_timeout = Duration::from_millis(20);
    let index = Index::open(&options).unwrap().index;
    let holder = raw(home.path());
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = index.put_result(&new(b"k", b"v"), Condition::Always, 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.is_retryable() && error.is_degradable());
    assert_eq!(index.get_result("default", b"k").unwrap(), None, "readers never wait");
}

#[test]
fn opening_beside_others_recovers_nothing_and_finds_everything() {
    let (home, index) = fresh();
    for number in 0..100_u8 {
        put(&index, &[number], &[number; 500], Condition::Always, 1);
    }
    drop(index);
    let mut held = Vec::new();
    for number in 0..20_u8 {
        let opened = open(home.path());
        assert_eq!(opened.recovered, None);
        assert_eq!(payload(&opened.index, &[number]).unwrap(), [number; 500]);
        held.push(opened);
    }
    assert!(!home.path().join("quarantine").exists());
}

#[test]
fn threads_that_create_only_agree_on_one_winner() {
    let home = tempfile::tempdir().unwrap();
    let winners: usize = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4_u8)
            .map(|writer| {
                let home = home.path();
                scope.spawn(move || {
                    let index = open(home).index;
                    (0..50_u8)
                        .filter(|key| {
                            put(&index, &[*key], &[writer], Condition::CreateOnly, 1) == Outcome::Created
                        })
                        .count()
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).sum()
    });
    assert_eq!(winners, 50);
}

#[test]
fn of_many_that_find_the_same_damage_one_mends_it() {
    for round in 0..10 {
        let (home, index) = fresh();
        drop(index);
        fs::write(home.path().join("index.db"), [0x5a; 9000]).unwrap();
        let key = |writer: u8| [round, writer];
        let mended: usize = std::thread::scope(|scope| {
            let openers: Vec<_> = (0..4)
                .map(|writer| {
                    let home = home.path();
                    scope.spawn(move || {
                        let Opened { index, recovered } = open(home);
                        assert_eq!(put(&index, &key(writer), b"v", Condition::Always, 1), Outcome::Created);
                        usize::from(recovered.is_some())
                    })
                })
                .collect();
            openers.into_iter().map(|opener| opener.join().unwrap()).sum()
        });
        assert_eq!(mended, 1);
        let index = open(home.path()).index;
        assert!((0..4).all(|writer| payload(&index, &key(writer)).is_some()));
        assert_eq!(fs::read_dir(home.path().join("quarantine")).unwrap().count(), 1);
    }
}

#[test]
fn threads_of_one_process_share_an_index() {
    let (_home, index) = fresh();
    std::thread::scope(|scope| {
        for writer in 0..4_u8 {
            let index = &index;
            scope.spawn(move || {
                for key in 0..50_u8 {
                    put(index, &[writer, key], &[key], Condition::Always, 1);
                    assert_eq!(payload(index, &[writer, key]).unwrap(), [key]);
                }
            });
        }
    });
    assert_eq!(index.result_totals().unwrap(), (200, 200));
}

#[test]
fn processes_write_at_once_and_a_kill_loses_nothing_acknowledged() {
    let home = tempfile::tempdir().unwrap();
    let mut children: Vec<Child> = (0..3)
        .map(|number| {
            child("write", home.path())
                .env("LARDER_TEST_NUMBER", number.to_string())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    // The test harness writes lines too, and may put its own text before the first of ours.
    let key_of = |line: String| line.split_once("ack ").map(|(_, key)| key.to_owned());
    let mut outputs: Vec<_> = children
        .iter_mut()
        .map(|child| BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok))
        .collect();
    // Each is at work before the first is killed.
    let mut acknowledged: Vec<String> = Vec::new();
    for output in &mut outputs {
        acknowledged.extend(output.filter_map(key_of).take(20));
    }
    for (child, output) in children.iter_mut().zip(outputs) {
        child.kill().unwrap();
        acknowledged.extend(output.filter_map(key_of));
        child.wait().unwrap();
    }
    let Opened { index, recovered } = open(home.path());
    assert_eq!(recovered, None);
    assert!(acknowledged.len() >= 60);
    for key in &acknowledged {
        // A torn last line is a shorter key; the child writes only whole ones that end in a full stop.
        if key.ends_with('.') {
            assert_eq!(payload(&index, key.as_bytes()).as_deref(), Some(key.as_bytes()), "{key}");
        }
    }
    let verdict: String = raw(home.path()).query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
}

fn child(role: &str, home: &Path) -> Command {
    // The shell lets the limit on file sizes fail a write instead of ending the process.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", "child_process", "--nocapture", "--include-ignored"]);
    command.env("LARDER_TEST_ROLE", role).env("LARDER_TEST_HOME", home);
    command
}

/// Not a test of its own: what the tests above run in other processes.
#[test]
#[ignore = "run by other tests, as a process"]
fn child_process() {
    let Ok(role) = std::env::var("LARDER_TEST_ROLE") else { return };
    let home = std::env::var_os("LARDER_TEST_HOME").unwrap();
    let index = open(Path::new(&home)).index;
    match role.as_str() {
        "write" => {
            let number = std::env::var("LARDER_TEST_NUMBER").unwrap();
            for round in 0.. {
                let key = format!("{number}-{round}.");
                put(&index, key.as_bytes(), key.as_bytes(), Condition::Always, 1);
                writeln!(std::io::stdout(), "ack {key}").unwrap();
            }
        }
        "full" => {
            let limit = rustix::process::Rlimit { current: Some(200_000), maximum: Some(200_000) };
            rustix::process::setrlimit(rustix::process::Resource::Fsize, limit).unwrap();
            let error =
                index.put_result(&new(b"big", &vec![7; 1_000_000]), Condition::Always, 1).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Full | ErrorKind::Io), "{error:?}");
            assert!(error.is_degradable());
            assert_eq!(payload(&index, b"k").unwrap(), b"v");
        }
        other => panic!("no role `{other}`"),
    }
}

#[test]
fn a_flipped_letter_in_the_schema_is_met_and_mended_by_the_next_open() {
    let flips = [
        ("CREATE TABLE results", "CREATE TABLE rasults"),
        ("last_used INTEGER", "lust_used INTEGER"),
        ("UNIQUE (namespace, key)", "UNIQUE (namespace, kex)"),
    ];
    for (is, becomes) in flips {
        let (home, index) = fresh();
        put(&index, b"k", b"v", Condition::Always, 1);
        drop(index);
        // Out of the log, into the file.
        raw(home.path()).execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        let path = home.path().join("index.db");
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.windows(is.len()).position(|window| window == is.as_bytes()).unwrap();
        bytes[at..at + is.len()].copy_from_slice(becomes.as_bytes());
        fs::write(&path, bytes).unwrap();
        // Met, at the latest when it is asked; then mended, at the latest by the next.
        let met = Index::open(&IndexOptions::in_home(home.path()))
            .map(|opened| opened.recovered.is_none() && opened.index.get_result("default", b"k").is_ok());
        assert!(!met.unwrap_or(false), "{becomes}");
        let index = open(home.path()).index;
        assert_eq!(put(&index, b"k", b"new", Condition::Always, 2), Outcome::Created, "{becomes}");
        assert_eq!(payload(&index, b"k"), Some(b"new".to_vec()), "{becomes}");
    }
}
