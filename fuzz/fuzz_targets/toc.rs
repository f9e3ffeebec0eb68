//! Anything as a table: never a panic, and bounded.
#![no_main]

use std::sync::Arc;

use larder_oci::toc::{ImageToc, LayerToc};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let bytes = bytes::Bytes::copy_from_slice(input);
    let _ = ImageToc::open(Arc::new(bytes.clone()));
    let Ok(toc) = LayerToc::open(Arc::new(bytes)) else { return };
    let _ = toc.verify();
    for span in 0..toc.spans().len().min(64) {
        if toc.bytes_of(span).end - toc.bytes_of(span).start < 1 << 20 {
            let _ = toc.decode(span, &[0; 64]);
        }
    }
});
