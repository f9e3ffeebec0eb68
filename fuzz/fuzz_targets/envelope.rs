//! An envelope from anywhere is never believed under a key that did not seal it, and what a key sealed is.
#![no_main]

use std::sync::LazyLock;

use larder_store::envelope::{self, Context};
use larder_store::trust::{Place, Secret, SecretKey, Signer, SigningConfig, Trust};

const CONTEXT: Context<'_> = Context { namespace: "default", function: "b3", action_digest: &[7; 40] };
const NOW: u64 = 1_800_000_000;

/// No keys; both kinds of key, none of whose secrets the fuzzer can have.
static TRUSTS: LazyLock<[Trust; 2]> = LazyLock::new(|| {
    let keys = SigningConfig {
        secret: Some(Secret::new(*b"a secret that nobody can guess..").expect("it is long enough")),
        key: Some(SecretKey::from_seed(&[9; 32])),
        ..SigningConfig::default()
    };
    [SigningConfig::default(), keys].map(|config| config.resolve().1)
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for trust in TRUSTS.iter() {
        assert!(envelope::open(bytes, &CONTEXT, trust, Place::Remote, NOW).is_err());
    }
    let [_, keys] = &*TRUSTS;
    let signer = Signer::Ed25519(SecretKey::from_seed(&[9; 32]));
    let mut sealed = envelope::seal(&signer, &CONTEXT, bytes, NOW).expect("it is small enough");
    assert!(envelope::open(&sealed, &CONTEXT, keys, Place::Remote, NOW).is_ok());
    let at = bytes.first().map_or(0, |byte| usize::from(*byte)) % sealed.len();
    sealed[at] ^= 1 << (bytes.len() % 8);
    assert!(envelope::open(&sealed, &CONTEXT, keys, Place::Remote, NOW).is_err());
});
