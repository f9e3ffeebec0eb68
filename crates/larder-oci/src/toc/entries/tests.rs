//! Entries come back as they were, and nothing else is read.
#![expect(clippy::unwrap_used, reason = "tests")]
use super::*;
use proptest::prelude::*;

fn entry() -> impl Strategy<Value = Entry> {
    let name = || proptest::collection::vec(1u8.., 1..40);
    let numbers = (0..=0o7777u32, any::<u32>(), any::<u32>(), 0u64..9_000_000_000, 0..1_000_000_000u32);
    let xattrs = proptest::collection::vec((name(), any::<Vec<u8>>()), 0..3);
    let pieces = proptest::option::of(proptest::collection::vec((0u64..1000, 1u64..1000), 0..5));
    (name(), 0..7usize, numbers, name(), xattrs, (0u64..1 << 40, 0u64..1 << 30), pieces).prop_map(
        |(path, kind, (mode, uid, gid, seconds, nanos), target, mut xattrs, (at, size), pieces)| {
            xattrs.sort();
            xattrs.dedup_by(|(one, _), (before, _)| one == before);
            let kind = KINDS[kind];
            let is = |kinds: &[Kind]| kinds.contains(&kind);
            let mut content = Content::default();
            let mut length = 0;
            if is(&[Kind::File]) {
                let mut end = 0;
                content.sparse = pieces.map(|pieces| {
                    let pieces = pieces.into_iter().map(|(gap, length)| {
                        end += gap + length;
                        content.stored += length;
                        (end - length, length)
                    });
                    pieces.collect()
                });
                length = end + size;
                if content.sparse.is_none() {
                    content.stored = length;
                }
                content.at = if content.stored > 0 { at } else { 0 };
            }
            Entry {
                path,
                kind,
                mode,
                uid,
                gid,
                modified: Time { seconds, nanos },
                size: length,
                target: if is(&[Kind::Symlink, Kind::HardLink]) { target } else { Vec::new() },
                device: if is(&[Kind::CharDevice]) {
                    Device { major: 4095, minor: 1_048_575 }
                } else {
                    Device::default()
                },
                xattrs,
                content,
            }
        },
    )
}

#[test]
fn what_the_tar_reader_refuses_is_refused() {
    let xattrs = |xattrs: &[(&[u8], usize)]| {
        let xattrs = xattrs.iter().map(|(name, length)| (name.to_vec(), vec![0; *length])).collect();
        let entry = Entry {
            path: b"a".to_vec(),
            kind: Kind::Directory,
            mode: 0,
            uid: 0,
            gid: 0,
            modified: Time::default(),
            size: 0,
            target: Vec::new(),
            device: Device::default(),
            xattrs,
            content: Content::default(),
        };
        let mut writer = EntryWriter::new();
        writer.push(&entry).unwrap();
        let (section, count) = writer.finish().unwrap();
        EntryReader::new(&section, count).next().unwrap().is_ok()
    };
    assert!(xattrs(&[(&[b'a'; 255], 65_535), (b"b", 0)]));
    assert!(!xattrs(&[(&[b'a'; 256], 0)]));
    assert!(!xattrs(&[(b"a", 65_536)]));
    assert!(!xattrs(&[(b"b", 0), (b"a", 0)]));
    assert!(!xattrs(&[(b"a", 0), (b"a", 0)]));
    assert!(!xattrs(&[(b"", 0)]));
}

proptest! {
    #[test]
    fn entries_come_back(entries in proptest::collection::vec(entry(), 0..50)) {
        let mut writer = EntryWriter::new();
        for entry in &entries {
            writer.push(entry).unwrap();
        }
        let (section, count) = writer.finish().unwrap();
        prop_assert_eq!(count, entries.len() as u64);
        let read: Vec<Entry> = EntryReader::new(&section, count).collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(read, entries);
        // Neither more nor fewer than it says.
        for wrong in [count + 1, count.wrapping_sub(1)] {
            let read: Result<Vec<Entry>, _> = EntryReader::new(&section, wrong).collect();
            prop_assert!(matches!(read, Err(TocError::Damaged(_))));
        }
    }

    #[test]
    fn anything_is_read_without_a_panic(bytes: Vec<u8>) {
        let section = SectionWriter::of(&bytes).unwrap();
        let _ = EntryReader::new(&section, 7).collect::<Result<Vec<_>, _>>();
    }
}
