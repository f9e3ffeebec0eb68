//! The object of a result, from a bucket that anybody may write to: read within bounds, or refused.
#![no_main]

use larder_remote::packed::describe;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(found) = describe(bytes) else { return };
    // A frame that is named lies in a pack that is named.
    assert!(found.frames == 0 || !found.packs.is_empty());
});
