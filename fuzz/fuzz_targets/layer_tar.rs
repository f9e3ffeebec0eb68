//! Anything as a layer's tar stream: never a panic, and the same entries however it is cut.
#![no_main]

use larder_oci::layer::{Entry, Limits, TarError, Walker};

fn walk(stream: &[u8], piece: usize) -> Result<Vec<Entry>, TarError> {
    let limits = Limits { entries: 1000, logical: 1 << 40, metadata: 1 << 24 };
    let (mut walker, mut entries) = (Walker::new(limits), Vec::new());
    for piece in stream.chunks(piece) {
        walker.push(piece, &mut |entry| entries.push(entry))?;
    }
    walker.finish()?;
    Ok(entries)
}

libfuzzer_sys::fuzz_target!(|input: (u16, &[u8])| {
    let (piece, stream) = (usize::from(input.0).max(1), input.1);
    let (whole, cut) = (walk(stream, usize::MAX >> 1), walk(stream, piece));
    assert_eq!(whole.as_ref().ok(), cut.as_ref().ok());
    assert_eq!(whole.err().map(|error| error.fault), cut.err().map(|error| error.fault));
});
