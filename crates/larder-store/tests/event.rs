//! The event log and what it adds up to.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;

use larder_store::event::{Content, DEFAULT_LIMIT, Event, EventLog, Kind, MissReason};
use larder_store::statistics::{Hits, LookUps, Moved, Statistics};
use proptest::prelude::*;

fn event(time_ms: u64, kind: Kind) -> Event {
    Event::new(time_ms, kind, Content::Result, "default", format!("recipe-{time_ms}"))
}

fn hit(time_ms: u64, tier: &str) -> Event {
    event(time_ms, Kind::Hit { tier: tier.into() })
}

fn fresh(limit: u64) -> (tempfile::TempDir, EventLog) {
    let home = tempfile::tempdir().unwrap();
    let log = EventLog::new(home.path().join("events"), limit);
    (home, log)
}

fn size(log: &EventLog) -> u64 {
    ["0.log", "1.log"]
        .iter()
        .filter_map(|half| fs::metadata(log.folder().join(half)).ok())
        .map(|meta| meta.len())
        .sum()
}

#[test]
fn what_is_appended_is_read_in_order() {
    let (_home, log) = fresh(DEFAULT_LIMIT);
    assert_eq!(log.read(0).unwrap().count(), 0, "a log that is not there has no events");
    let mut full = hit(2, "s3");
    (full.bytes, full.millis, full.original_millis, full.run) = (Some(1), Some(2), Some(3), Some("r".into()));
    let events = [
        event(1, Kind::LookUp),
        full,
        event(3, Kind::Miss { reason: MissReason::Incomplete }),
        event(4, Kind::Write { tier: "local".into() }),
        event(5, Kind::Evict { tier: "local".into() }),
        event(6, Kind::Corrupt { tier: "local".into() }),
        event(7, Kind::Skipped { tier: "s3".into() }),
    ];
    log.append(&events[..2]).unwrap();
    log.append(&[]).unwrap();
    log.append(&events[2..]).unwrap();
    assert_eq!(log.read(0).unwrap().collect::<Vec<_>>(), events);
    assert_eq!(log.read(6).unwrap().collect::<Vec<_>>(), events[5..]);
}

#[test]
fn a_line_is_as_the_format_says() {
    let (_home, log) = fresh(DEFAULT_LIMIT);
    let mut one = hit(1, "local");
    one.bytes = Some(7);
    log.append(&[one]).unwrap();
    assert_eq!(
        fs::read_to_string(log.folder().join("0.log")).unwrap(),
        "\n{\"t\":1,\"kind\":\"hit\",\"tier\":\"local\",\"content\":\"result\",\"ns\":\"default\",\"what\":\"recipe-1\",\"bytes\":7}\n"
    );
}

#[test]
fn torn_and_foreign_lines_are_skipped_and_counted() {
    let (_home, log) = fresh(DEFAULT_LIMIT);
    log.append(&[hit(1, "a")]).unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(log.folder().join("0.log")).unwrap();
    file.write_all(
        b"{\"t\":2,\"kind\":\"from the future\",\"content\":\"result\",\"ns\":\"\",\"what\":\"\"}\n",
    )
    .unwrap();
    file.write_all(&[0xff; 200_000]).unwrap();
    file.write_all(b"\n{\"t\":3,\"kind\":\"hit\",\"tie").unwrap();
    log.append(&[hit(4, "a")]).unwrap();
    file.write_all(b"{\"t\":5").unwrap();
    let mut reader = log.read(0).unwrap();
    let times: Vec<_> = reader.by_ref().map(|event| event.time_ms).collect();
    assert_eq!((times, reader.skipped()), (vec![1, 4], 4));
}

#[test]
fn unknown_reasons_and_contents_are_kept() {
    let (_home, log) = fresh(DEFAULT_LIMIT);
    fs::create_dir_all(log.folder()).unwrap();
    let line = "{\"t\":1,\"kind\":\"miss\",\"reason\":\"moon\",\"content\":\"cheese\",\"ns\":\"n\",\"what\":\"w\",\"new\":1}\n";
    fs::write(log.folder().join("0.log"), line).unwrap();
    let only = log.read(0).unwrap().next().unwrap();
    assert_eq!((only.kind, only.content), (Kind::Miss { reason: MissReason::Other }, Content::Other));
}

#[test]
fn the_log_is_bounded_and_keeps_the_newest() {
    let limit = 64 << 10;
    let (_home, log) = fresh(limit);
    for time in 0..3000 {
        log.append(&[hit(time, "local")]).unwrap();
        assert!(size(&log) <= limit);
    }
    let times: Vec<_> = log.read(0).unwrap().map(|event| event.time_ms).collect();
    assert!(times.is_sorted() && times.last() == Some(&2999) && times.len() > 200, "{} left", times.len());
    let many: Vec<_> = (0..3000).map(|time| hit(time, "local")).collect();
    log.append(&many).unwrap();
    assert!(size(&log) <= limit);
}

#[test]
fn long_texts_are_cut_at_a_character() {
    let (_home, log) = fresh(DEFAULT_LIMIT);
    let mut long = hit(1, "local");
    long.what = "ä".repeat(100_000) + "x";
    log.append(&[long]).unwrap();
    assert_eq!(log.read(0).unwrap().next().unwrap().what, "ä".repeat(512));
}

#[test]
fn many_writers_lose_nothing_and_tear_nothing() {
    let (_home, log) = fresh(DEFAULT_LIMIT);
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let log = log.clone();
            scope.spawn(move || {
                for batch in 0..50 {
                    let events: Vec<_> =
                        (0..5).map(|one| hit(writer * 1000 + batch * 5 + one, "local")).collect();
                    log.append(&events).unwrap();
                }
            });
        }
    });
    let mut reader = log.read(0).unwrap();
    let mut times: Vec<_> = reader.by_ref().map(|event| event.time_ms).collect();
    times.sort_unstable();
    let expected: Vec<_> = (0..4).flat_map(|writer| (0..250).map(move |one| writer * 1000 + one)).collect();
    assert_eq!((times, reader.skipped()), (expected, 0));
}

#[test]
fn writers_that_change_halves_at_once_tear_nothing() {
    let limit = 64 << 10;
    let (_home, log) = fresh(limit);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let log = log.clone();
            scope.spawn(move || (0..500).for_each(|time| log.append(&[hit(time, "local")]).unwrap()));
        }
    });
    let mut reader = log.read(0).unwrap();
    assert!(reader.by_ref().count() > 100);
    assert_eq!(reader.skipped(), 0);
    // Writers go on while another changes halves, however long that takes it; then the log is bounded again.
    (0..1000).for_each(|time| log.append(&[hit(time, "local")]).unwrap());
    assert!(size(&log) <= limit);
}

#[test]
fn statistics_add_up_what_was_measured() {
    let mut blob = Event::new(9, Kind::Hit { tier: "s3".into() }, Content::Blob, "default", "d");
    blob.bytes = Some(100);
    let mut saved = hit(2, "local");
    (saved.bytes, saved.millis, saved.original_millis) = (Some(10), Some(30), Some(1000));
    let mut slow = hit(3, "local");
    (slow.millis, slow.original_millis) = (Some(50), Some(20));
    let mut unmeasured = hit(4, "local");
    unmeasured.original_millis = Some(5000);
    let mut write = event(5, Kind::Write { tier: "local".into() });
    write.bytes = Some(7);
    let events = [
        event(1, Kind::LookUp),
        saved,
        slow,
        unmeasured,
        write,
        event(6, Kind::Miss { reason: MissReason::Absent }),
        blob,
    ];
    let statistics: Statistics = events.iter().collect();
    assert_eq!((statistics.first_ms, statistics.last_ms), (Some(1), Some(9)));
    assert_eq!(statistics.by_content[&Content::Result], LookUps { asked: 1, hits: 3, misses: 1 });
    assert_eq!(statistics.by_content[&Content::Result].hit_rate(), Some(0.75));
    assert_eq!(statistics.look_ups().hits, 4);
    assert_eq!(
        statistics.hits_by_tier,
        BTreeMap::from([
            ("local".into(), Hits { count: 3, bytes: 10 }),
            ("s3".into(), Hits { count: 1, bytes: 100 })
        ])
    );
    assert_eq!(statistics.misses_by_reason, BTreeMap::from([(MissReason::Absent, 1)]));
    assert_eq!((statistics.saved_millis, statistics.saved_measured), (940, 2));
    assert_eq!(statistics.bytes_from_hits(), 110);
    assert_eq!((statistics.writes, statistics.evictions), (Moved { count: 1, bytes: 7 }, Moved::default()));
    assert_eq!(Statistics::default().look_ups().hit_rate(), None);
    assert!(serde_json::to_string(&statistics).unwrap().contains("\"absent\":1"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_read_to_their_end(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let (_home, log) = fresh(DEFAULT_LIMIT);
        fs::create_dir_all(log.folder()).unwrap();
        fs::write(log.folder().join("1.log"), &bytes).unwrap();
        let statistics: Statistics = log.read(0).unwrap().collect();
        prop_assert_eq!(statistics.look_ups(), LookUps::default());
    }

    #[test]
    fn a_changed_byte_costs_at_most_its_own_line_and_the_next(at in 0_usize..10_000, byte in any::<u8>()) {
        let (_home, log) = fresh(DEFAULT_LIMIT);
        log.append(&(0..10).map(|time| hit(time, "local")).collect::<Vec<_>>()).unwrap();
        let path = log.folder().join("0.log");
        let mut bytes = fs::read(&path).unwrap();
        let length = bytes.len();
        bytes[at % length] = byte;
        fs::write(&path, bytes).unwrap();
        let statistics: Statistics = log.read(0).unwrap().collect();
        prop_assert!(statistics.look_ups().hits >= 8);
    }
}
