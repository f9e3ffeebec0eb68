//! A compressed frame from anywhere: an error, or exactly as many bytes as were asked for.
#![no_main]

use larder_core::Format;
use larder_core::compress::Decompressor;

libfuzzer_sys::fuzz_target!(|input: (u8, u16, &[u8])| {
    let (format, length, stored) = input;
    let Some(format) = Format::from_number(format % 4) else { return };
    let mut out = Vec::new();
    if Decompressor::default().decompress(format, stored, usize::from(length), &mut out).is_ok() {
        assert_eq!(out.len(), usize::from(length));
    }
});
