//! Anything as the sections of a table whose checksums are right: never a panic, and what is read lies where it can.
#![no_main]

use std::sync::Arc;

use larder_oci::toc::{LayerToc, Start};
use larder_testing::tables::{self, FRAME, LAYER, Section};

/// Sizes of blob and tar stream, number of entries and of spans; entries, spans, windows.
type Sections<'a> = (u32, u32, u8, u8, &'a [u8], &'a [u8], &'a [u8]);

libfuzzer_sys::fuzz_target!(|input: Sections<'_>| {
    let (blob, size, entries, spans, entry_bytes, span_bytes, windows) = input;
    let digest = format!("sha256:{}", "0".repeat(64));
    let compression = ["none", "gzip", "zstd"][blob as usize % 3];
    let info = serde_json::json!({
        "blob": digest, "blobSize": blob, "diffId": digest, "size": size,
        "compression": compression, "span": 1 << 20, "rule": 1, "entries": entries, "spans": spans,
    });
    let digests = vec![0; usize::from(spans) * 32];
    let info = info.to_string();
    let sections = [info.as_bytes(), entry_bytes, span_bytes, &digests, windows];
    let sections = (1..).zip(sections).map(|(kind, bytes)| Section { kind, layer: 0, bytes: bytes.to_vec() });
    let file = tables::assemble(LAYER, &sections.collect::<Vec<_>>(), FRAME);
    let Ok(toc) = LayerToc::open(Arc::new(bytes::Bytes::from(file))) else { return };
    let read = toc.entries().take_while(Result::is_ok).count();
    assert!(read <= usize::from(entries));
    assert_eq!(toc.spans().len(), usize::from(spans));
    let mut end = 0;
    for span in 0..toc.spans().len() {
        let bytes = toc.bytes_of(span);
        assert!(bytes.start == end && bytes.end >= end && bytes.end <= u64::from(size));
        end = bytes.end;
        let run = toc.run_of(span);
        let packed = toc.packed_bytes_of(run.clone());
        assert!(run.end == span + 1 && packed.start <= packed.end && packed.end <= u64::from(blob));
        assert!(toc.span_at(bytes.start).is_some() || bytes.is_empty());
        if toc.spans()[span].start == Start::Within || bytes.end - bytes.start > 1 << 20 {
            continue;
        }
        let _ = toc.point(span);
        if packed.end - packed.start <= 1 << 20 {
            let _ = toc.decode(span, &vec![0; (packed.end - packed.start) as usize]);
        }
    }
    assert_eq!(end, u64::from(size));
});
