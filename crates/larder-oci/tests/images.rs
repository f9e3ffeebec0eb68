//! Images end to end, without a registry: layouts are indexed, opened, and read by their tables alone. Every hard case, packed in every way,
//! must make the tree that it should; every span must decode alone.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use larder_inflate::SpanRule;
use larder_oci::image::{Image, ImageReference, ImageSource, LayoutSource, NoSpans, SpanCache};
use larder_oci::layer::{Kind, Limits};
use larder_oci::manifest::Platform;
use larder_oci::toc::{ImageToc, IndexOptions, LayerToc, diff_ids, index_layer};
use larder_oci::tree::MergeRule;
use larder_testing::layers::{Expect, Listing, Name, Packing, Time, cases};
use sha2::{Digest as _, Sha256};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn escape(path: &[u8]) -> String {
    let mut text = String::new();
    for byte in path {
        match byte {
            b'%' | b'"' | ..=b' ' | 0x7f.. => text.push_str(&format!("%{byte:02x}")),
            byte => text.push(char::from(*byte)),
        }
    }
    text
}

fn source(folder: &Path) -> Arc<dyn ImageSource> {
    let reference = ImageReference::Layout { path: folder.to_owned(), name: None };
    Arc::new(LayoutSource::open(&reference).unwrap())
}

fn platform() -> Platform {
    Platform { os: "linux".into(), architecture: "amd64".into(), ..Platform::default() }
}

fn index(source: &dyn ImageSource, span: SpanRule) -> Result<ImageToc, String> {
    let found = source.manifest(&platform()).map_err(|error| error.to_string())?;
    let config = source.content(&found.manifest.config).unwrap();
    let mut layers = Vec::new();
    for (descriptor, diff_id) in found.manifest.layers.iter().zip(diff_ids(&config).unwrap()) {
        let mut options = IndexOptions::default();
        options.span = span;
        options.blob = Some((descriptor.digest, descriptor.size));
        options.diff_id = Some(diff_id);
        options.limits = Limits::default();
        let reader = source.layer(descriptor).unwrap();
        layers.push(index_layer(reader, &options, &mut |_| {}).map_err(|error| error.to_string())?.toc);
    }
    ImageToc::new(found.bytes, config, layers).map_err(|error| error.to_string())
}

fn read_back(toc: &ImageToc) -> ImageToc {
    let mut bytes = Vec::new();
    toc.write_to(&mut bytes).unwrap();
    ImageToc::open(Arc::new(bytes::Bytes::from(bytes))).unwrap()
}

fn listing(image: &Image) -> Listing {
    let tree = image.tree();
    let mut groups = HashMap::new();
    let mut names = std::collections::BTreeMap::new();
    let mut walk = tree.walk(tree.root());
    while let Some(node) = walk.advance() {
        let (id, inode) = (tree.node(node).inode(), tree.inode_of(node));
        let (kind, holds) = match inode.kind {
            Kind::File | Kind::HardLink => ('f', content(image, id)),
            Kind::Directory => ('d', String::new()),
            Kind::Symlink => ('l', format!("->{}", escape(&inode.target))),
            Kind::CharDevice => ('c', format!("{},{}", inode.device.major, inode.device.minor)),
            Kind::BlockDevice => ('b', format!("{},{}", inode.device.major, inode.device.minor)),
            Kind::Fifo => ('p', String::new()),
        };
        let value = |bytes: &[u8]| {
            if bytes.len() > 64 {
                format!("{}:{}", bytes.len(), hex(&Sha256::digest(bytes)))
            } else {
                hex(bytes)
            }
        };
        let xattrs = inode.xattrs.iter().map(|(name, bytes)| (escape(name), value(bytes))).collect();
        let next = groups.len() + 1;
        let group = if kind != 'd' && inode.links > 1 { *groups.entry(id).or_insert(next) } else { 0 };
        let seconds = i64::try_from(inode.modified.seconds).unwrap();
        let time = Time::At(seconds, inode.modified.nanos);
        let name =
            Name { kind, mode: inode.mode, uid: inode.uid, gid: inode.gid, time, holds, xattrs, group };
        let path = if walk.path().is_empty() { ".".to_owned() } else { escape(walk.path()) };
        names.insert(path, name);
    }
    Listing { names }
}

fn content(image: &Image, file: larder_oci::tree::InodeId) -> String {
    let mut hasher = Sha256::new();
    let (mut size, mut short) = (0, Vec::new());
    image
        .read_all::<larder_oci::image::ReadError>(file, &mut |bytes| {
            hasher.update(bytes);
            size += bytes.len();
            if short.len() <= 64 {
                short.extend_from_slice(&bytes[..bytes.len().min(65)]);
            }
            Ok(())
        })
        .unwrap();
    let is_plain = size <= 64 && short.iter().all(|byte| (b'!'..=b'~').contains(byte) && *byte != b'"');
    if is_plain {
        format!("\"{}\"", String::from_utf8(short).unwrap())
    } else {
        format!("{size}:{}", hex(&hasher.finalize()))
    }
}

#[test]
fn every_hard_case_makes_the_tree_that_it_should_however_it_is_packed() {
    let mut wrong = Vec::new();
    for case in cases() {
        for packing in Packing::ALL {
            if case.is_packed() && packing != Packing::Plain {
                continue;
            }
            let folder = tempfile::tempdir().unwrap();
            case.write(folder.path(), packing).unwrap();
            let source = source(folder.path());
            let cache: Arc<dyn SpanCache> = Arc::new(NoSpans);
            let image = index(&*source, SpanRule::default()).and_then(|toc| {
                Image::open(read_back(&toc), MergeRule::Overlay, &source, &cache)
                    .map_err(|error| error.to_string())
            });
            match (&case.expect, image) {
                (Expect::Refused, Err(_)) => {}
                (Expect::Refused, Ok(image)) => {
                    wrong.push(format!(
                        "{} {packing:?}: should be refused, is\n{}",
                        case.name,
                        listing(&image)
                    ));
                }
                (Expect::Tree(_), Err(error)) => {
                    wrong.push(format!("{} {packing:?}: refused: {error}", case.name))
                }
                (Expect::Tree(expected), Ok(image)) => {
                    let found = listing(&image);
                    for difference in expected.differences(&found) {
                        wrong.push(format!("{} {packing:?}: {difference}", case.name));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn check_spans(toc: &LayerToc, blob: &[u8], tar: &[u8]) {
    for span in 0..toc.spans().len() {
        let packed = toc.packed_bytes_of(toc.run_of(span));
        let at = |byte: u64| usize::try_from(byte).unwrap();
        for (span, bytes) in toc.decode(span, &blob[at(packed.start)..at(packed.end)]).unwrap() {
            let wanted = toc.bytes_of(span);
            assert!(bytes == tar[at(wanted.start)..at(wanted.end)], "span {span}");
        }
    }
}

fn noise(length: usize, seed: u64) -> Vec<u8> {
    // Words that repeat at all distances, and some bytes that do not.
    let mut state = seed | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes: Vec<u8> = Vec::with_capacity(length);
    while bytes.len() < length {
        let random = next();
        if bytes.len() > 100 && random % 4 != 0 {
            let distance = 1 + usize::try_from(random >> 8).unwrap() % bytes.len().min(40_000);
            let from = bytes.len() - distance;
            let run = 3 + usize::try_from(random >> 3).unwrap() % 200;
            for at in from..from + run {
                bytes.push(bytes[at]);
            }
        } else {
            bytes.extend_from_slice(&random.to_le_bytes());
        }
    }
    bytes.truncate(length);
    bytes
}

#[test]
fn every_span_decodes_alone_and_points_do_not_depend_on_how_it_is_read() {
    use larder_testing::layers::{Item, Tar};
    let items = (0..40).map(|at| Item::file(format!("file-{at}"), noise(70_000 + at * 1000, at as u64 + 1)));
    let tar = Tar::of(items.chain([Item::file("zeros", vec![0; 9 << 20]), Item::file("tail", "x")]));
    for packing in Packing::ALL {
        let blob = packing.pack(&tar);
        for span in [SpanRule::default(), SpanRule::of_span(32 << 10).unwrap()] {
            let mut options = IndexOptions::default();
            options.span = span;
            let toc = index_layer(&blob[..], &options, &mut |_| {}).unwrap().toc;
            assert_eq!(toc.info().size, tar.len() as u64, "{packing:?}");
            check_spans(&toc, &blob, &tar);
            let again = index_layer(Drip(&blob), &options, &mut |_| {}).unwrap().toc;
            assert_eq!(again.identity(), toc.identity(), "{packing:?}");
            toc.verify().unwrap();
            let mut file = Vec::new();
            toc.write_to(&mut file).unwrap();
            let opened = LayerToc::open(Arc::new(bytes::Bytes::from(file))).unwrap();
            assert_eq!(opened.identity(), toc.identity());
            check_spans(&opened, &blob, &tar);
        }
    }
}

/// Gives few bytes at a time.
struct Drip<'a>(&'a [u8]);

impl std::io::Read for Drip<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let length = self.0.len().min(into.len()).min(7919);
        into[..length].copy_from_slice(&self.0[..length]);
        self.0 = &self.0[length..];
        Ok(length)
    }
}

#[test]
fn digests_of_files_are_made_in_the_same_pass_and_checked_when_they_are_read() {
    use larder_oci::toc::FileDigests;
    use larder_testing::layers::{Item, Tar};
    let contents: Vec<Vec<u8>> = (0..30).map(|at| noise(1 + at * 50_000, at as u64 + 3)).collect();
    let items = contents.iter().enumerate();
    let tar = Tar::of(items.map(|(at, bytes)| Item::file(format!("{at}"), bytes.clone())));
    for packing in Packing::ALL {
        let blob = packing.pack(&tar);
        let mut options = IndexOptions::default();
        let plain = index_layer(&blob[..], &options, &mut |_| {}).unwrap();
        assert!(plain.file_digests.is_none());
        options.file_digests = true;
        let bytes = |reader: &mut dyn std::io::Read| {
            let made = index_layer(reader, &options, &mut |_| {}).unwrap();
            assert_eq!(made.toc.identity(), plain.toc.identity());
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut made.file_digests.unwrap(), &mut bytes).unwrap();
            bytes
        };
        let file = bytes(&mut &blob[..]);
        assert_eq!(file, bytes(&mut Drip(&blob)), "{packing:?}");
        let layer = plain.toc.info().diff_id;
        let digests = FileDigests::open(file.clone(), &layer).unwrap();
        assert_eq!(digests.len(), contents.len());
        for (entry, content) in plain.toc.entries().zip(&contents) {
            let found = digests.of(&entry.unwrap().content);
            assert_eq!(found, Some(*blake3::hash(content).as_bytes()), "{packing:?}");
        }
        assert!(
            FileDigests::open(file.clone(), &plain.toc.info().blob).is_err() || packing == Packing::Plain
        );
        for at in (0..file.len()).step_by(37) {
            let mut flipped = file.clone();
            flipped[at] ^= 4;
            // The six zeros are under the sum, too.
            assert!(FileDigests::open(flipped, &layer).is_err(), "at {at}");
            assert!(FileDigests::open(file[..at].to_vec(), &layer).is_err(), "cut at {at}");
        }
    }
    // Nothing in it.
    let mut options = IndexOptions::default();
    options.file_digests = true;
    let empty = index_layer(&Tar::of([])[..], &options, &mut |_| {}).unwrap();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut empty.file_digests.unwrap(), &mut bytes).unwrap();
    assert!(FileDigests::open(bytes, &empty.toc.info().diff_id).unwrap().is_empty());
}

#[test]
fn a_flipped_byte_is_an_error_and_never_wrong_data() {
    use larder_testing::layers::{Item, Tar};
    let tar = Tar::of((0..20).map(|at| Item::file(format!("f{at}"), noise(60_000, at + 7))));
    for packing in Packing::ALL {
        let blob = packing.pack(&tar);
        let mut options = IndexOptions::default();
        options.span = SpanRule::of_span(64 << 10).unwrap();
        let good = index_layer(&blob[..], &options, &mut |_| {}).unwrap().toc;
        options.blob = Some((good.info().blob, good.info().blob_size));
        let step = blob.len() / 60;
        for at in (0..blob.len()).step_by(step.max(1)) {
            let mut flipped = blob.clone();
            flipped[at] ^= 0x10;
            assert!(index_layer(&flipped[..], &options, &mut |_| {}).is_err(), "{packing:?} at {at}");
            for span in 0..good.spans().len() {
                let packed = good.packed_bytes_of(good.run_of(span));
                let of = |byte: u64| usize::try_from(byte).unwrap();
                // Bytes between spans (headers of members, padding) may be anything.
                if let Ok(spans) = good.decode(span, &flipped[of(packed.start)..of(packed.end)]) {
                    for (span, bytes) in spans {
                        let wanted = good.bytes_of(span);
                        assert!(
                            bytes == tar[of(wanted.start)..of(wanted.end)],
                            "{packing:?} at {at}, span {span}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_flipped_byte_in_a_table_is_an_error_or_changes_nothing() {
    use larder_testing::layers::{Item, Tar};
    let tar = Tar::of((0..20).map(|at| Item::file(format!("f{at}"), noise(60_000, at + 7))));
    let blob = Packing::Gzip.pack(&tar);
    let toc = index_layer(&blob[..], &IndexOptions::default(), &mut |_| {}).unwrap().toc;
    let mut file = Vec::new();
    toc.write_to(&mut file).unwrap();
    for at in 0..file.len() {
        let mut flipped = file.clone();
        flipped[at] ^= 1;
        // zstd has bits that mean nothing; then the table is what it was, which `verify` has proved.
        if let Ok(opened) = LayerToc::open(Arc::new(bytes::Bytes::from(flipped)))
            && opened.verify().is_ok()
        {
            assert_eq!(opened.identity(), toc.identity(), "byte {at} of {}", file.len());
            assert_eq!(opened.info(), toc.info());
        }
    }
}

/// A Python that has the module `zstandard`, in an environment of its own; nothing, and a word, where there is none.
fn python() -> Option<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("toc-reader");
    let python = folder.join("bin/python");
    let has = |python: &Path| {
        std::process::Command::new(python)
            .args(["-c", "import zstandard"])
            .output()
            .is_ok_and(|done| done.status.success())
    };
    if !has(&python) {
        let run = |program: &Path, arguments: &[&str]| {
            std::process::Command::new(program)
                .args(arguments)
                .output()
                .is_ok_and(|done| done.status.success())
        };
        let made = run(Path::new("python3"), &["-m", "venv", &folder.to_string_lossy()])
            && run(
                &python,
                &["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "zstandard==0.25.0"],
            );
        if !made || !has(&python) {
            assert!(std::env::var_os("REQUIRE_CLIENTS").is_none(), "python3 with venv and pip is required");
            eprintln!("SKIPPED: the second reader of tables: python3 with venv and pip is not here");
            return None;
        }
    }
    Some(python)
}

#[test]
fn the_second_reader_lists_tables_and_decodes_spans() {
    use larder_testing::layers::{Item, Tar};
    let Some(python) = python() else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/toc_reader.py");
    assert!(std::fs::read_to_string(&script).unwrap().lines().count() <= 150, "it is to be a short one");
    let items = (0..12)
        .map(|at| Item::file(format!("file-{at}"), noise(40_000 + at * 1000, at as u64 + 1)).owner(1, 2));
    let more = [
        Item::symlink("link", "file-1"),
        Item::folder("d").xattr("user.a", "b"),
        Item::file("zeros", vec![0; 9 << 20]),
        Item::char_device("c", 1, 3),
    ];
    let tar = Tar::of(items.chain(more));
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    for packing in Packing::ALL {
        let blob = packing.pack(&tar);
        let mut options = IndexOptions::default();
        options.span = SpanRule::of_span(96 << 10).unwrap();
        let toc = index_layer(&blob[..], &options, &mut |_| {}).unwrap().toc;
        let mut file = Vec::new();
        toc.write_to(&mut file).unwrap();
        std::fs::write(at("toc"), file).unwrap();
        std::fs::write(at("blob"), &blob).unwrap();
        let read = |arguments: &[&str]| {
            let done = std::process::Command::new(&python).arg(&script).args(arguments).output().unwrap();
            assert!(
                done.status.success(),
                "{packing:?} {arguments:?}: {}",
                String::from_utf8_lossy(&done.stderr)
            );
            done.stdout
        };
        let listed: Vec<serde_json::Value> = String::from_utf8(read(&["list", &at("toc")]))
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let entries: Vec<larder_oci::layer::Entry> = toc.entries().collect::<Result<_, _>>().unwrap();
        assert_eq!(listed.len(), entries.len());
        for (listed, entry) in listed.iter().zip(&entries) {
            assert_eq!(listed["path"].as_str().unwrap().as_bytes(), entry.path);
            assert_eq!(
                (listed["uid"].as_u64(), listed["mode"].as_u64()),
                (Some(entry.uid.into()), Some(entry.mode.into()))
            );
            if entry.content.stored > 0 {
                assert_eq!(listed["at"].as_u64(), Some(entry.content.at), "{packing:?} {listed}");
            }
        }
        // Some of many: a Python a span.
        for span in (0..toc.spans().len()).step_by((toc.spans().len() / 9).max(1)) {
            let bytes = toc.bytes_of(span);
            let of = |byte: u64| usize::try_from(byte).unwrap();
            let found = read(&["span", &at("toc"), &at("blob"), &span.to_string()]);
            assert!(found == tar[of(bytes.start)..of(bytes.end)], "{packing:?}: span {span}");
        }
    }
}

/// A zstd frame that is not compressed, and says that it needs a window of `1 << log` bytes.
fn stored_frame(tar: &[u8], log: u8) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3];
    frame.extend_from_slice(&(u32::try_from(tar.len()).unwrap() << 3 | 1).to_le_bytes()[..3]);
    frame.extend_from_slice(tar);
    frame
}

#[test]
fn every_limit_is_an_error_that_names_the_entry() {
    use larder_oci::layer::tar::Fault;
    use larder_oci::toc::IndexError;
    use larder_testing::layers::{Item, Tar};
    let index = |blob: &[u8], limits: Limits| {
        let mut options = IndexOptions::default();
        options.limits = limits;
        index_layer(blob, &options, &mut |_| {})
    };
    let fault = |items: Vec<Item>, limits: Limits| match index(&Tar::of(items), limits) {
        Err(IndexError::Tar(error)) => {
            (error.fault, error.entry.map(|entry| String::from_utf8_lossy(&entry).into_owned()))
        }
        other => panic!("{other:?}"),
    };
    let named = |name: &str| Some(name.to_owned());
    let files = |count: usize| (0..count).map(|at| Item::file(format!("f{at}"), "1234")).collect::<Vec<_>>();
    let few = Limits { entries: 3, ..Limits::default() };
    assert_eq!(fault(files(4), few), (Fault::TooMany, named("f3")));
    assert!(index(&Tar::of(files(3)), few).is_ok());
    let small = Limits { logical: 10, ..Limits::default() };
    assert_eq!(fault(files(3), small), (Fault::TooLarge, named("f2")));
    let terse = Limits { metadata: 100, ..Limits::default() };
    let wordy = vec![Item::file("a", ""), Item::file("b", "").xattr("user.x", vec![b'x'; 99])];
    assert_eq!(fault(wordy, terse), (Fault::TooMuchMetadata, named("b")));
    // Holes are counted.
    let holes = Item::file("holes", "x").pax_sparse_01(&[(0, 1)], 1 << 50);
    assert_eq!(fault(vec![holes], Limits::default()), (Fault::TooLarge, named("holes")));
    let header = Item::file("f", "").pax("comment", vec![b'x'; (1 << 20) + 1]);
    assert_eq!(fault(vec![Item::file("before", ""), header], Limits::default()).0, Fault::LongExtension);
    let map: Vec<(u64, u64)> = (0..90_000).map(|at| (at * 10_000_000_000, 0)).collect();
    let sparse = Item::file("map", "").pax_sparse_10(&map, 1 << 60);
    assert_eq!(
        fault(vec![sparse], Limits { logical: u64::MAX, ..Limits::default() }),
        (Fault::LongSparse, named("map"))
    );

    let tar = Tar::of(files(3));
    assert!(index(&stored_frame(&tar, 27), Limits::default()).is_ok());
    let error = index(&stored_frame(&tar, 28), Limits::default()).unwrap_err();
    assert!(matches!(error, IndexError::Zstd { .. }), "{error}");
}

/// Counts what is moved of blobs, and keeps what is put.
#[derive(Default)]
struct Kept(std::sync::Mutex<HashMap<u64, Vec<u8>>>);

impl SpanCache for Kept {
    fn get(&self, _: &larder_oci::toc::LayerInfo, bytes: std::ops::Range<u64>) -> Option<bytes::Bytes> {
        self.0.lock().unwrap().get(&bytes.start).cloned().map(bytes::Bytes::from)
    }

    fn put(&self, _: &larder_oci::toc::LayerInfo, at: u64, bytes: &[u8]) {
        self.0.lock().unwrap().insert(at, bytes.to_vec());
    }

    fn forget(&self, _: &LayerToc, bytes: std::ops::Range<u64>) {
        self.0.lock().unwrap().remove(&bytes.start);
    }
}

#[test]
fn a_large_zstd_frame_is_read_once_from_its_front() {
    use larder_testing::layers::{Blob, Item, Tar, write_layout};
    let content = noise(30 << 20, 5);
    let tar = Tar::of([Item::file("large", content.clone()), Item::file("tail", "the end")]);
    let folder = tempfile::tempdir().unwrap();
    let blob = Blob::new(&tar, Packing::Zstd);
    let size = blob.stored.len() as u64;
    write_layout(folder.path(), &[blob]).unwrap();
    let source = source(folder.path());
    let toc = index(&*source, SpanRule::default()).unwrap();
    assert!(toc.layers()[0].spans().len() > 4, "a frame over 4 MiB is cut into spans");
    let read = |cache: Arc<dyn SpanCache>| {
        let image = Image::open(toc.clone(), MergeRule::Overlay, &source, &cache).unwrap();
        let before = source.moved();
        let node =
            |path: &[u8]| image.tree().node(image.tree().look_up(path, true).unwrap().unwrap()).inode();
        let mut all = Vec::new();
        image
            .read_all::<larder_oci::image::ReadError>(node(b"large"), &mut |bytes| {
                all.extend_from_slice(bytes);
                Ok(())
            })
            .unwrap();
        assert!(all == content);
        let mut tail = [0; 7];
        assert_eq!(image.read_at(node(b"tail"), &mut tail, 0).unwrap(), 7);
        assert_eq!(&tail, b"the end");
        source.moved() - before
    };
    assert!(read(Arc::new(Kept::default())) <= size + (1 << 20), "the frame was read more than once");
    assert!(read(Arc::new(NoSpans)) > size, "nothing was kept");
}

/// Format and rules, pinned: if one of these changes, tables that others have are of another version (`toc::RULE`, `docs/formats/toc.md`).
#[test]
fn the_identity_of_a_table_is_what_it_was() {
    use larder_testing::layers::{Item, Tar};
    let sparse =
        Item::file("sparse", "0123456789").pax_sparse_01(&[(4096, 10)], 100_000).xattr("user.a", "b");
    let items = [
        Item::folder("d/").mode(0o1777).owner(3_000_000_000, 7).time(1_700_000_000),
        Item::file("d/file", noise(200_000, 3)),
        sparse,
        Item::symlink("link", "d/file"),
        Item::hard_link("hard", "d/file"),
        Item::char_device("null", 1, 3),
        Item::fifo("fifo"),
        Item::mark(".wh.gone"),
    ];
    let tar = Tar::of(items);
    let identity = |blob: &[u8]| {
        let mut options = IndexOptions::default();
        options.span = SpanRule::of_span(64 << 10).unwrap();
        index_layer(blob, &options, &mut |_| {}).unwrap().toc.identity().to_string()
    };
    assert_eq!(identity(&tar), "01438d1b81b56baad52b7194f0e8a3cc94d0e176fa3a3a23933c032404b81cfa");
    assert_eq!(
        identity(&stored_member(&tar)),
        "749b5b1d20c3d75b4eed73fe14fd1a8f12b9d04c0245de3324e9c1da5832bf7d"
    );
}

/// A gzip member of stored blocks, written by hand, so that no compressor's version matters.
fn stored_member(bytes: &[u8]) -> Vec<u8> {
    let mut member = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = bytes.chunks(50_000).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).unwrap();
        member.push(u8::from(blocks.peek().is_none()));
        member.extend_from_slice(&length.to_le_bytes());
        member.extend_from_slice(&(!length).to_le_bytes());
        member.extend_from_slice(block);
    }
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    member.extend_from_slice(&(!crc).to_le_bytes());
    member.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
    member
}
