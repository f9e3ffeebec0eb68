//! Anything as the sections of a table whose checksums are right: never a panic, and what is read lies where it can.
#![no_main]

use std::sync::Arc;

use larder_oci::toc::{LayerToc, Start};

/// Sizes of blob and tar stream, number of entries and of spans; entries, spans, windows.
type Sections<'a> = (u32, u32, u8, u8, &'a [u8], &'a [u8], &'a [u8]);

fn put(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// A file of these sections, in order from 1 on.
fn assemble(sections: &[&[u8]]) -> Vec<u8> {
    let mut file = b"LARDRTOC\x01\0\x01\0\0\0\0\0".to_vec();
    let mut directory = Vec::new();
    put(&mut directory, sections.len() as u64);
    for (kind, bytes) in (1..).zip(sections) {
        let frames: Vec<&[u8]> = bytes.chunks(1 << 20).collect();
        for number in [kind, 0, file.len() as u64, bytes.len() as u64, frames.len() as u64] {
            put(&mut directory, number);
        }
        for frame in frames {
            let packed = zstd::bulk::compress(frame, 1).expect("room for everything");
            put(&mut directory, packed.len() as u64);
            put(&mut directory, frame.len() as u64);
            file.extend(packed);
        }
    }
    let at = file.len() as u64;
    file.extend(&directory);
    file.extend(at.to_le_bytes());
    file.extend((directory.len() as u32).to_le_bytes());
    file.extend([0; 4]);
    file.extend(blake3::hash(&directory).as_bytes());
    file.extend([0; 32]);
    file.extend(b"LARDRTOC");
    file
}

libfuzzer_sys::fuzz_target!(|input: Sections<'_>| {
    let (blob, size, entries, spans, entry_bytes, span_bytes, windows) = input;
    let digest = format!("sha256:{}", "0".repeat(64));
    let compression = ["none", "gzip", "zstd"][blob as usize % 3];
    let info = serde_json::json!({
        "blob": digest, "blobSize": blob, "diffId": digest, "size": size,
        "compression": compression, "span": 1 << 20, "rule": 1, "entries": entries, "spans": spans,
    });
    let digests = vec![0; usize::from(spans) * 32];
    let file = assemble(&[info.to_string().as_bytes(), entry_bytes, span_bytes, &digests, windows]);
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
