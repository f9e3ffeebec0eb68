//! Envelopes and trust: the truth table row by row, the pinned bytes, and hostile bytes.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use larder_core::ErrorKind;
use larder_store::envelope::{self, CLOCK_TOLERANCE, Context, LARGEST_PAYLOAD, Rejected};
use larder_store::trust::{
    Namespaces, Place, Policy, Secret, Signer, SigningConfig, SigningWarning, Trust, TrustedKey,
};
use proptest::prelude::*;

const NOW: u64 = 1_800_000_000;
const CONTEXT: Context<'_> = Context { namespace: "default", function: "blake3", action_digest: &[0xab; 32] };

fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

fn ours() -> Secret {
    secret("0123456789abcdef0123456789abcdef")
}

fn theirs() -> Secret {
    secret("fedcba9876543210fedcba9876543210")
}

fn seal(signer: &Signer) -> Vec<u8> {
    envelope::seal(signer, &CONTEXT, b"payload", NOW).unwrap()
}

/// The envelopes that the table has columns for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signature {
    Missing,
    Good,
    Unknown,
    Elsewhere,
    Wrong,
}

fn sealed(signature: Signature) -> Vec<u8> {
    match signature {
        Signature::Missing => seal(&Signer::Unsigned),
        Signature::Good => seal(&Signer::Hmac(ours())),
        Signature::Unknown => seal(&Signer::Hmac(theirs())),
        Signature::Elsewhere => seal(&Signer::Hmac(elsewhere())),
        Signature::Wrong => {
            let mut bytes = seal(&Signer::Hmac(ours()));
            *bytes.last_mut().unwrap() ^= 1;
            bytes
        }
    }
}

fn elsewhere() -> Secret {
    secret("the key of another namespace, ok")
}

fn trusting(policy: Policy, keys: bool) -> Trust {
    let (mut secret, mut trusted) = (None, Vec::new());
    if keys {
        secret = Some(ours());
        trusted.push(TrustedKey { secret: elsewhere(), namespaces: Namespaces::Only(vec!["team".into()]) });
    }
    let off = policy == Policy::Off;
    let (_, trust, _) = SigningConfig { secret, trusted, off, off_permitted: off, not_before: 0 }.resolve();
    assert_eq!(trust.policy(), policy);
    trust
}

/// What the table says: signed by us, believed for its place, or why not.
fn judged(trust: &Trust, place: Place, signature: Signature) -> &'static str {
    let bytes = sealed(signature);
    match envelope::open(&bytes, &CONTEXT, trust, place, NOW) {
        Ok(opened) => {
            assert_eq!((opened.payload, opened.time), (&b"payload"[..], NOW));
            opened.signed_by.map_or("place", |key| {
                assert_eq!(key, ours().key_id());
                "signed"
            })
        }
        Err(rejected) => rejected.name(),
    }
}

#[test]
fn the_truth_table_holds_row_by_row() {
    use Place::{Built, Promoted, Remote};
    use Policy::{Off, OwnOnly, Required};
    let columns =
        [Signature::Missing, Signature::Good, Signature::Unknown, Signature::Elsewhere, Signature::Wrong];
    let (un, uk, on, bad) = ("unsigned", "unknown_key", "other_namespace", "bad_signature");
    let table: &[(Policy, bool, Place, [&str; 5])] = &[
        (Required, true, Built, [un, "signed", uk, on, bad]),
        (Required, true, Promoted, [un, "signed", uk, on, bad]),
        (Required, true, Remote, [un, "signed", uk, on, bad]),
        (OwnOnly, false, Built, ["place"; 5]),
        (OwnOnly, false, Promoted, [un, uk, uk, uk, uk]),
        (OwnOnly, false, Remote, [un, uk, uk, uk, uk]),
        (Off, true, Built, ["place", "signed", "place", "place", bad]),
        (Off, true, Promoted, ["place", "signed", "place", "place", bad]),
        (Off, true, Remote, ["place", "signed", "place", "place", bad]),
        (Off, false, Built, ["place"; 5]),
        (Off, false, Promoted, ["place"; 5]),
        (Off, false, Remote, ["place"; 5]),
    ];
    for (policy, keys, place, expected) in table {
        let trust = trusting(*policy, *keys);
        let found = columns.map(|signature| judged(&trust, *place, signature));
        assert_eq!(found, *expected, "{policy:?}, keys {keys}, {place:?}: {columns:?}");
    }
}

#[test]
fn off_in_one_project_never_feeds_another() {
    let off = trusting(Policy::Off, false);
    assert_eq!(judged(&off, Place::Remote, Signature::Missing), "place");
    // What it promoted is met by a project that has no keys, and by one that has.
    assert_eq!(judged(&Trust::own_only(), Place::Promoted, Signature::Missing), "unsigned");
    assert_eq!(judged(&trusting(Policy::Required, true), Place::Promoted, Signature::Missing), "unsigned");
}

#[test]
fn off_counts_only_where_the_user_permits_it() {
    let config = SigningConfig { off: true, ..SigningConfig::default() };
    let (signer, trust, warnings) = config.resolve();
    assert_eq!((signer, trust), (Signer::Unsigned, Trust::own_only()));
    assert_eq!(warnings, [SigningWarning::OffNotPermitted]);
}

#[test]
fn a_key_speaks_for_its_namespaces_only() {
    let trusted = vec![TrustedKey { secret: theirs(), namespaces: Namespaces::Only(vec!["default".into()]) }];
    let (signer, trust, _) = SigningConfig { trusted, ..SigningConfig::default() }.resolve();
    assert!(!signer.signs(), "verifying is not signing");
    assert_eq!(trust.policy(), Policy::Required);
    let bytes = sealed(Signature::Unknown);
    assert!(envelope::open(&bytes, &CONTEXT, &trust, Place::Remote, NOW).is_ok());
    let other = Context { namespace: "team", ..CONTEXT };
    let rejected = envelope::open(&bytes, &other, &trust, Place::Remote, NOW).unwrap_err();
    assert_eq!(rejected.name(), "other_namespace");
}

#[test]
fn an_envelope_is_the_answer_to_one_question_only() {
    let trust = trusting(Policy::Required, true);
    let bytes = sealed(Signature::Good);
    for other in [
        Context { namespace: "defaul", ..CONTEXT },
        Context { namespace: "defaultb", function: "lake3", ..CONTEXT },
        Context { function: "sha256", ..CONTEXT },
        Context { action_digest: &[0xab; 31], ..CONTEXT },
        Context { action_digest: &[0xac; 32], ..CONTEXT },
    ] {
        let rejected = envelope::open(&bytes, &other, &trust, Place::Remote, NOW).unwrap_err();
        assert_eq!(rejected, Rejected::BadSignature { key_id: ours().key_id().to_owned() }, "{other:?}");
    }
}

#[test]
fn old_and_future_signatures_are_not_believed() {
    let config = SigningConfig { secret: Some(ours()), not_before: NOW, ..SigningConfig::default() };
    let (signer, trust, _) = config.resolve();
    let at = |time| {
        let bytes = envelope::seal(&signer, &CONTEXT, b"", time).unwrap();
        envelope::open(&bytes, &CONTEXT, &trust, Place::Remote, NOW).err()
    };
    assert_eq!(at(NOW - 1), Some(Rejected::BeforeNotBefore { time: NOW - 1, not_before: NOW }));
    assert_eq!(at(NOW), None);
    assert_eq!(at(NOW + CLOCK_TOLERANCE), None);
    assert_eq!(
        at(NOW + CLOCK_TOLERANCE + 1),
        Some(Rejected::FromTheFuture { time: NOW + CLOCK_TOLERANCE + 1 })
    );
}

#[test]
fn short_secrets_are_refused_or_warned_about() {
    let error = Secret::new("fifteen bytes..").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.hint().unwrap().contains("head -c 32 /dev/urandom | base64"));
    assert!(!format!("{error:?}").contains("fifteen"));
    assert_eq!(secret("sixteen bytes...").warning(), Some(SigningWarning::ShortSecret { bytes: 16 }));
    assert_eq!(ours().warning(), None);
}

#[test]
fn a_secret_never_prints() {
    let config =
        SigningConfig { secret: Some(secret("hunter2hunter2hunter2hunter2")), ..SigningConfig::default() };
    let (signer, trust, warnings) = config.clone().resolve();
    assert!(!format!("{config:?} {signer:?} {trust:?} {warnings:?}").contains("hunter2"));
}

#[test]
fn a_digest_has_one_form() {
    let digest = larder_core::Digest::blake3(b"abc");
    let bytes = envelope::digest_bytes(&digest);
    assert_eq!((&bytes[..32], &bytes[32..]), (&digest.hash.0[..], &[3, 0, 0, 0, 0, 0, 0, 0][..]));
}

#[test]
fn a_payload_has_a_limit() {
    let error = envelope::seal(&Signer::Unsigned, &CONTEXT, &vec![0; LARGEST_PAYLOAD + 1], NOW).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn the_bytes_are_pinned() {
    for (name, signer) in
        [("envelope-v1-unsigned.bin", Signer::Unsigned), ("envelope-v1-hmac.bin", Signer::Hmac(ours()))]
    {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        let golden = std::fs::read(&path).unwrap();
        assert_eq!(seal(&signer), golden, "{name}: a changed format needs a new version");
        let trust = trusting(Policy::Required, true);
        let place = Place::Remote;
        assert_eq!(envelope::open(&golden, &CONTEXT, &trust, place, NOW).is_ok(), signer.signs());
    }
}

#[test]
fn another_version_or_algorithm_is_told_apart_from_garbage() {
    let trust = trusting(Policy::Off, true);
    let with = |at: usize, value: u8| {
        let mut bytes = sealed(Signature::Good);
        bytes[at] = value;
        envelope::open(&bytes, &CONTEXT, &trust, Place::Remote, NOW).unwrap_err().name()
    };
    assert_eq!(with(0, b'X'), "malformed");
    assert_eq!(with(4, 2), "version");
    assert_eq!(with(5, 0), "malformed");
    assert_eq!(with(5, 2), "malformed");
    assert_eq!(with(5, 3), "malformed");
    assert_eq!(with(20, b' '), "malformed");
}

#[test]
fn a_reserved_ed25519_envelope_is_an_unknown_key() {
    let mut bytes = Vec::from(*b"LRDE\x01\x02\x02\x40");
    bytes.extend(NOW.to_le_bytes());
    bytes.extend(3_u32.to_le_bytes());
    bytes.extend(b"cixyz");
    bytes.extend([7; 64]);
    let trust = trusting(Policy::Required, true);
    let rejected = envelope::open(&bytes, &CONTEXT, &trust, Place::Remote, NOW).unwrap_err();
    assert_eq!(rejected, Rejected::UnknownKey { key_id: "ci".into() });
}

proptest! {
    #[test]
    fn any_bytes_get_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for (policy, keys) in [(Policy::Required, true), (Policy::OwnOnly, false), (Policy::Off, true)] {
            let _ = envelope::open(&bytes, &CONTEXT, &trusting(policy, keys), Place::Built, NOW);
        }
    }

    #[test]
    fn no_change_of_a_signed_envelope_is_believed(at in 0_usize..91, flip in 1_u8.., cut in 0_usize..91) {
        let good = sealed(Signature::Good);
        prop_assert_eq!(good.len(), 75);
        let trust = trusting(Policy::Required, true);
        let mut changed = good.clone();
        changed[at % good.len()] ^= flip;
        prop_assert!(envelope::open(&changed, &CONTEXT, &trust, Place::Built, NOW).is_err());
        prop_assert!(envelope::open(&good[..cut % good.len()], &CONTEXT, &trust, Place::Built, NOW).is_err());
        let mut longer = good.clone();
        longer.push(flip);
        prop_assert!(envelope::open(&longer, &CONTEXT, &trust, Place::Built, NOW).is_err());
    }

    #[test]
    fn what_was_sealed_opens(payload in proptest::collection::vec(any::<u8>(), 0..300), namespace in ".{0,20}", time in 0..NOW) {
        let context = Context { namespace: &namespace, ..CONTEXT };
        let bytes = envelope::seal(&Signer::Hmac(ours()), &context, &payload, time).unwrap();
        let trust = trusting(Policy::Required, true);
        let opened = envelope::open(&bytes, &context, &trust, Place::Remote, NOW).unwrap();
        prop_assert_eq!((opened.payload, opened.time), (&payload[..], time));
    }
}
