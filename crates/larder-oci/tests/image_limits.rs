//! What a hostile image, or a hostile table, may cost: every limit is one error that says what is too much, and where.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use larder_inflate::SpanRule;
use larder_oci::image::{
    Image, ImageReference, ImageSource, LayoutSource, NoSpans, OpenError, SourceError, SpanCache,
};
use larder_oci::layer::Limits;
use larder_oci::layer::tar::Fault;
use larder_oci::manifest::Platform;
use larder_oci::toc::{
    ImageToc, IndexError, IndexOptions, LayerToc, TocError, diff_ids, index_layer, span_rule,
};
use larder_oci::tree::MergeRule;
use larder_testing::layers::{Blob, Item, Packing, Tar, write_layout};
use larder_testing::tables::{self, FRAME, IMAGE, LAYER, Section, finish, put, sections};
use serde_json::Value;

fn source(folder: &Path) -> Arc<dyn ImageSource> {
    let reference = ImageReference::Layout { path: folder.to_owned(), name: None };
    Arc::new(LayoutSource::open(&reference).unwrap())
}

fn platform() -> Platform {
    Platform { os: "linux".into(), architecture: "amd64".into(), ..Platform::default() }
}

fn index(blob: &[u8], limits: Limits) -> Result<LayerToc, IndexError> {
    let mut options = IndexOptions::default();
    options.limits = limits;
    index_layer(blob, &options, &mut |_| {}).map(|made| made.toc)
}

fn fault(blob: &[u8], limits: Limits) -> Option<Fault> {
    match index(blob, limits) {
        Ok(_) => None,
        Err(IndexError::Tar(error)) => Some(error.fault),
        Err(error) => panic!("{error}"),
    }
}

fn table(source: &dyn ImageSource) -> Result<ImageToc, TocError> {
    let found = source.manifest(&platform()).unwrap();
    let config = source.content(&found.manifest.config).unwrap();
    let mut layers: Vec<LayerToc> = Vec::new();
    for (descriptor, diff_id) in found.manifest.layers.iter().zip(diff_ids(&config)?) {
        let known = layers.iter().find(|layer| layer.info().blob == descriptor.digest).cloned();
        let mut options = IndexOptions::default();
        options.diff_id = Some(diff_id);
        let make = || index_layer(source.layer(descriptor).unwrap(), &options, &mut |_| {}).unwrap().toc;
        layers.push(known.unwrap_or_else(make));
    }
    ImageToc::new(found.bytes, config, layers)
}

/// An image of one layer, listed so often.
fn repeated(folder: &Path, times: usize) {
    let tar = Tar::of((0..10).map(|at| Item::file(format!("f{at}"), "1234")));
    write_layout(folder, &vec![Blob::new(&tar, Packing::Zstd); times]).unwrap();
}

#[test]
fn layers_of_an_image_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    repeated(folder.path(), 513);
    let error = source(folder.path()).manifest(&platform()).unwrap_err();
    assert!(matches!(error, SourceError::ManyLayers(513)), "{error}");
    assert!(!error.hint().is_empty());
    repeated(folder.path(), 512);
    let source = source(folder.path());
    let toc = table(&*source).unwrap();
    // What opens can be written, and read again.
    let mut bytes = Vec::new();
    toc.write_to(&mut bytes).unwrap();
    let toc = ImageToc::open(Arc::new(Bytes::from(bytes))).unwrap();
    let cache: Arc<dyn SpanCache> = Arc::new(NoSpans);
    assert!(Image::open(toc, MergeRule::Overlay, &source, &cache).is_ok());
}

#[test]
fn limits_are_of_all_layers_together_also_of_tables_that_are_known() {
    let folder = tempfile::tempdir().unwrap();
    repeated(folder.path(), 20);
    let source = source(folder.path());
    let toc = table(&*source).unwrap();
    let cache: Arc<dyn SpanCache> = Arc::new(NoSpans);
    let open = |limits: Limits| {
        let opened = Image::open_within(toc.clone(), limits, MergeRule::Spec, &source, &cache);
        match opened {
            Ok(_) => None,
            Err(OpenError::Toc(TocError::Limit { entry, fault, layer })) => {
                assert_eq!(*layer, toc.layers()[0].info().blob);
                Some((fault, entry))
            }
            Err(error) => panic!("{error}"),
        }
    };
    let all = Limits { entries: 200, logical: 800, metadata: 400 };
    assert_eq!(open(all), None);
    assert_eq!(open(Limits { entries: 199, ..all }), Some((Fault::TooMany, "f9".to_owned())));
    assert_eq!(open(Limits { logical: 33, ..all }), Some((Fault::TooLarge, "f8".to_owned())));
    assert_eq!(open(Limits { metadata: 21, ..all }), Some((Fault::TooMuchMetadata, "f0".to_owned())));
}

#[test]
fn what_belongs_to_no_file_is_counted() {
    let tar = Tar::of([Item::file("f", "1234")]);
    let limits = Limits { metadata: 1 << 20, ..Limits::default() };
    let zeros = |mib: usize| zstd::bulk::compress(&[tar.clone(), vec![0; mib << 20]].concat(), 1).unwrap();
    assert_eq!(fault(&zeros(10), limits), None);
    assert_eq!(fault(&zeros(66), Limits::default()), Some(Fault::TooMuchBeside));
    // Headers that say nothing, again and again.
    for kind in [b'g', b'L'] {
        let body = vec![(b"comment".to_vec(), vec![b'x'; 1_000_000])];
        let many = |count: usize| {
            let mut tar = Tar::open([]);
            for _ in 0..count {
                tar = tar.records(kind, &body);
            }
            zstd::bulk::compress(&tar.item(Item::file("f", "")).end(), 1).unwrap()
        };
        if kind == b'g' {
            assert_eq!(fault(&many(5), limits), None);
        }
        assert_eq!(fault(&many(70), limits), Some(Fault::TooMuchBeside), "{kind}");
    }
    // Many entries with headers of their own are no trouble.
    let entry = |at: u32| Item::file(format!("f{at}"), "").pax("comment", vec![b'x'; 1500]);
    let tar = Tar::of((0..40_000).map(entry));
    assert_eq!(fault(&zstd::bulk::compress(&tar, 1).unwrap(), limits), None);
}

#[test]
fn bytes_of_the_blob_that_nothing_comes_of_are_counted() {
    let frame = |bytes: &[u8]| zstd::bulk::compress(bytes, 1).unwrap();
    let tar = Tar::of([Item::file("f", vec![b'x'; 3_000_000])]);
    let (front, back) = tar.split_at(2_000_000);
    let with = |mib: u32| {
        let mut skipped = vec![0x50, 0x2a, 0x4d, 0x18];
        skipped.extend_from_slice(&(mib << 20).to_le_bytes());
        skipped.resize(skipped.len() + (mib << 20) as usize, 0);
        skipped
    };
    let between = |mib| [frame(front), with(mib), frame(back)].concat();
    let behind = |mib| [frame(&tar), with(mib)].concat();
    for blob in [between(60), behind(60)] {
        assert!(index(&blob, Limits::default()).is_ok());
    }
    for blob in [between(65), behind(65)] {
        let error = index(&blob, Limits::default()).unwrap_err();
        assert!(matches!(error, IndexError::Nothing { at: 0 }), "{error}");
        assert!(!error.hint().is_empty());
    }
}

#[test]
fn names_in_messages_are_short() {
    let name = "\u{1}".repeat(1_000_000);
    for item in [Item::file("f", "").pax("path", &name), Item::new(b'Z', "f").pax("path", &name)] {
        let error = index(&Tar::of([item]), Limits::default()).unwrap_err().to_string();
        assert!(error.len() < 2000 && error.contains("\\u{1}"), "{} bytes", error.len());
    }
}

#[test]
fn spans_of_no_length_are_no_panic() {
    let tar = Tar::of([Item::file("f", vec![b'x'; 300_000])]);
    for packing in [Packing::Plain, Packing::Gzip, Packing::Zstd] {
        let mut options = IndexOptions::default();
        options.span = SpanRule { out: 0, input: 0, most: 0 };
        let toc = index_layer(&packing.pack(&tar)[..], &options, &mut |_| {}).unwrap().toc;
        assert!(toc.spans().len() <= 10, "{packing:?}");
    }
}

fn assemble(head: &[u8; 16], sections: &[Section]) -> Vec<u8> {
    tables::assemble(head, sections, FRAME)
}

fn written(toc: &LayerToc) -> Vec<u8> {
    let mut bytes = Vec::new();
    toc.write_to(&mut bytes).unwrap();
    bytes
}

fn open(bytes: Vec<u8>) -> Result<LayerToc, TocError> {
    LayerToc::open(Arc::new(Bytes::from(bytes)))
}

/// Opens a table after its description and its sections were changed.
fn lying(
    file: &[u8],
    info: impl Fn(&mut Value),
    change: impl Fn(&mut Vec<Section>),
) -> Result<LayerToc, TocError> {
    let mut all = sections(file);
    let mut said: Value = serde_json::from_slice(&all[0].bytes).unwrap();
    info(&mut said);
    all[0].bytes = said.to_string().into_bytes();
    change(&mut all);
    open(assemble(LAYER, &all))
}

#[test]
fn what_a_table_says_of_itself_is_bounded() {
    let tar = Tar::of([Item::file("f", vec![b'x'; 200_000]), Item::file("g", "")]);
    let mut options = IndexOptions::default();
    options.span = span_rule(64 << 10).unwrap();
    let toc = index_layer(&tar[..], &options, &mut |_| {}).unwrap().toc;
    let file = written(&toc);
    let spans = toc.spans().len() as u64;
    assert!(lying(&file, |_| {}, |_| {}).is_ok() && spans == 4);
    let too_large = |made: Result<LayerToc, TocError>| matches!(made, Err(TocError::TooLarge(_)));
    let damaged = |made: Result<LayerToc, TocError>| matches!(made, Err(TocError::Damaged(_)));
    // More spans than bytes, or than the rule makes: digests that are all zeros compress to nothing.
    for many in [1u64 << 30, spans * 100, u64::MAX / 16] {
        let set = |info: &mut Value| {
            info["spans"] = many.into();
            info["span"] = 1.into();
        };
        let digests = vec![0; usize::try_from(many.min(1 << 20)).unwrap() * 32];
        assert!(too_large(lying(&file, set, |all| all[3].bytes.clone_from(&digests))), "{many}");
    }
    assert!(damaged(lying(&file, |_| {}, |all| all[3].bytes.extend([0; 32]))));
    assert!(damaged(lying(&file, |_| {}, |all| all[2].bytes.extend([200, 1, 200, 1, 0, 0]))));
    // A span that is decoded from half a GiB.
    let blob = |info: &mut Value| info["blobSize"] = (512u64 << 20).into();
    assert!(too_large(lying(&file, blob, |_| {})));
    // Entries are as many as it says.
    for wrong in [1, 3, u64::MAX] {
        let lying = lying(&file, |info| info["entries"] = wrong.into(), |_| {}).unwrap();
        assert!(matches!(lying.verify(), Err(TocError::Damaged(_))));
        assert!(matches!(lying.entries().last(), Some(Err(TocError::Damaged(_)))));
    }
}

#[test]
fn the_order_of_sections_is_strict() {
    let toc = index(&Tar::of([Item::file("f", "1234")]), Limits::default()).unwrap();
    let file = written(&toc);
    let damaged = |change: fn(&mut Vec<Section>)| {
        let made = lying(&file, |_| {}, change);
        assert!(matches!(made, Err(TocError::Damaged(_))), "{made:?}");
    };
    damaged(|all| all.swap(0, 1));
    damaged(|all| all.insert(0, all[0].clone()));
    damaged(|all| all[4] = all[3].clone());

    let folder = tempfile::tempdir().unwrap();
    repeated(folder.path(), 1);
    let toc = table(&*source(folder.path())).unwrap();
    let mut file = Vec::new();
    toc.write_to(&mut file).unwrap();
    let damaged = |change: fn(&mut Vec<Section>)| {
        let mut all = sections(&file);
        change(&mut all);
        let made = ImageToc::open(Arc::new(Bytes::from(assemble(IMAGE, &all))));
        assert!(matches!(made, Err(TocError::Damaged(_))), "{made:?}");
    };
    assert!(ImageToc::open(Arc::new(Bytes::from(assemble(IMAGE, &sections(&file))))).is_ok());
    // A second manifest, or a second configuration.
    damaged(|all| all.insert(0, all[0].clone()));
    damaged(|all| all.insert(1, all[1].clone()));
    damaged(|all| all.swap(0, 1));
    damaged(|all| all.push(Section { kind: 17, ..all[1].clone() }));
    // A layer of number 0, and two layers of one blob.
    damaged(|all| all[2].layer = 0);
    damaged(|all| {
        let again: Vec<_> = all[2..].iter().map(|own| Section { layer: 2, ..own.clone() }).collect();
        all.extend(again);
    });
    // A section that begins behind the end of all sections.
    let mut directory = Vec::new();
    for number in [1u64, 1, 0, 16, 0, 1 << 40] {
        put(&mut directory, number);
    }
    let made = open(finish(LAYER.to_vec(), &directory, [0; 32]));
    assert!(matches!(made, Err(TocError::Damaged(_))), "{made:?}");
    let mut directory = Vec::new();
    for number in [2u64, 1, 0, 16, 5, 1, 100, 5, 2, 0, 116, 0, 0] {
        put(&mut directory, number);
    }
    let made = open(finish(LAYER.to_vec(), &directory, [0; 32]));
    assert!(matches!(made, Err(TocError::Damaged(_))), "{made:?}");
}

#[test]
fn only_wrong_content_is_wrong_content() {
    let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
    assert!(!IndexError::Toc(TocError::Io(full())).is_wrong_content());
    assert!(!IndexError::Read(full()).is_wrong_content());
    let tar = Tar::of([Item::file("f", "1234"), Item::file("g", "1234")]);
    let over = index(&tar, Limits { entries: 1, ..Limits::default() }).unwrap_err();
    assert!(!over.is_wrong_content() && !over.may_be_right_elsewhere());
    let mut wrong = tar.clone();
    wrong[1] ^= 1;
    assert!(index(&wrong, Limits::default()).unwrap_err().may_be_right_elsewhere());
    let mut options = IndexOptions::default();
    options.diff_id = Some(larder_oci::OciDigest::sha256(b"another"));
    let error = index_layer(&tar[..], &options, &mut |_| {}).unwrap_err();
    assert!(error.is_wrong_content() && !error.may_be_right_elsewhere(), "{error}");
}

#[test]
fn damage_is_told_as_damage_and_a_wrong_image_as_such() {
    let tar = Tar::of((0..1000).map(|at| Item::file(format!("f{at}"), "1234")));
    let mut file = written(&index(&tar, Limits::default()).unwrap());
    // The second frame is that of the entries.
    file[16 + 400] ^= 0xff;
    let error = match open(file) {
        Ok(toc) => toc.verify().unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(error, TocError::Damaged(_)), "{error}");
    for config in [&b"{}"[..], b"nonsense", br#"{"rootfs":{"diff_ids":["x"]}}"#] {
        let error = diff_ids(config).unwrap_err();
        assert!(matches!(error, TocError::Image(_)), "{error}");
        assert!(error.to_string().contains("image") && !error.hint().contains("index"), "{error}");
    }
}
