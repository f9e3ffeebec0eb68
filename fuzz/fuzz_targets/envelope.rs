//! An envelope from anywhere is never believed under a key that did not seal it.
#![no_main]

use larder_store::envelope::{self, Context};
use larder_store::trust::{Place, SigningConfig};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (_, trust, _) = SigningConfig::default().resolve();
    let context = Context { namespace: "default", function: "b3", action_digest: &[7; 40] };
    let _ = envelope::open(bytes, &context, &trust, Place::Remote, 1_800_000_000);
});
