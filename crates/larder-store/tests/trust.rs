//! Envelopes and trust: the truth table row by row, the pinned bytes, and hostile bytes.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use larder_core::ErrorKind;
use larder_store::envelope::{self, CLOCK_TOLERANCE, Context, LARGEST_PAYLOAD, Rejected};
use larder_store::trust::{
    Namespaces, Place, Policy, PublicKey, Secret, SecretKey, Signer, SigningConfig, SigningWarning, Trust,
    TrustedKey, Verifier,
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

/// The two algorithms, which the table holds for alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Hmac,
    Ed25519,
}

const BOTH: [Algorithm; 2] = [Algorithm::Hmac, Algorithm::Ed25519];

fn our_key() -> SecretKey {
    SecretKey::from_seed(&[1; 32])
}

impl Algorithm {
    fn ours(self) -> Signer {
        match self {
            Self::Hmac => Signer::Hmac(ours()),
            Self::Ed25519 => Signer::Ed25519(our_key()),
        }
    }

    fn theirs(self) -> Signer {
        match self {
            Self::Hmac => Signer::Hmac(theirs()),
            Self::Ed25519 => Signer::Ed25519(SecretKey::from_seed(&[2; 32])),
        }
    }

    fn elsewhere(self) -> Signer {
        match self {
            Self::Hmac => Signer::Hmac(secret("the key of another namespace, ok")),
            Self::Ed25519 => Signer::Ed25519(SecretKey::from_seed(&[3; 32])),
        }
    }

    fn sealed(self, signature: Signature) -> Vec<u8> {
        match signature {
            Signature::Missing => seal(&Signer::Unsigned),
            Signature::Good => seal(&self.ours()),
            Signature::Unknown => seal(&self.theirs()),
            Signature::Elsewhere => seal(&self.elsewhere()),
            Signature::Wrong => {
                let mut bytes = seal(&self.ours());
                *bytes.last_mut().unwrap() ^= 1;
                bytes
            }
        }
    }
}

fn sealed(signature: Signature) -> Vec<u8> {
    Algorithm::Hmac.sealed(signature)
}

fn verifier(signer: &Signer) -> Verifier {
    match signer {
        Signer::Unsigned => unreachable!("it signs"),
        Signer::Hmac(secret) => Verifier::Hmac(secret.clone()),
        Signer::Ed25519(key) => Verifier::Ed25519(key.public().clone()),
    }
}

fn only(signer: &Signer, namespace: &str) -> TrustedKey {
    TrustedKey { namespaces: Namespaces::Only(vec![namespace.into()]), ..TrustedKey::new(verifier(signer)) }
}

/// Both algorithms are set up, or none.
fn trusting(policy: Policy, keys: bool) -> Trust {
    let mut config = SigningConfig::default();
    if policy == Policy::VerifyOnly {
        config.trusted = BOTH.map(|algorithm| TrustedKey::new(verifier(&algorithm.ours()))).into();
        config.trusted.extend(BOTH.map(|algorithm| only(&algorithm.elsewhere(), "team")));
    } else if keys {
        config.secret = Some(ours());
        config.key = Some(our_key());
        config.trusted = BOTH.map(|algorithm| only(&algorithm.elsewhere(), "team")).into();
    }
    config.off = policy == Policy::Off;
    config.off_permitted = config.off;
    let (_, trust, _) = config.resolve();
    assert_eq!(trust.policy(), policy);
    trust
}

/// What the table says: signed by us, believed for its place, or why not.
fn judged(trust: &Trust, place: Place, algorithm: Algorithm, signature: Signature) -> &'static str {
    let bytes = algorithm.sealed(signature);
    match envelope::open(&bytes, &CONTEXT, trust, place, NOW) {
        Ok(opened) => {
            assert_eq!((opened.payload, opened.time), (&b"payload"[..], NOW));
            opened.signed_by.map_or("place", |key| {
                assert_eq!(Some(key), algorithm.ours().key_id());
                "signed"
            })
        }
        Err(rejected) => rejected.name(),
    }
}

#[test]
fn the_truth_table_holds_row_by_row() {
    use Place::{Built, Promoted, Remote};
    use Policy::{Off, OwnOnly, Required, VerifyOnly};
    let columns =
        [Signature::Missing, Signature::Good, Signature::Unknown, Signature::Elsewhere, Signature::Wrong];
    let (un, uk, on, bad) = ("unsigned", "unknown_key", "other_namespace", "bad_signature");
    let table: &[(Policy, bool, Place, [&str; 5])] = &[
        (Required, true, Built, [un, "signed", uk, on, bad]),
        (Required, true, Promoted, [un, "signed", uk, on, bad]),
        (Required, true, Remote, [un, "signed", uk, on, bad]),
        (VerifyOnly, true, Built, ["place", "signed", "place", "place", bad]),
        (VerifyOnly, true, Promoted, [un, "signed", uk, on, bad]),
        (VerifyOnly, true, Remote, [un, "signed", uk, on, bad]),
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
        for algorithm in BOTH {
            let found = columns.map(|signature| judged(&trust, *place, algorithm, signature));
            assert_eq!(found, *expected, "{policy:?}, keys {keys}, {place:?}, {algorithm:?}: {columns:?}");
        }
    }
}

#[test]
fn off_in_one_project_never_feeds_another() {
    let off = trusting(Policy::Off, false);
    assert_eq!(judged(&off, Place::Remote, Algorithm::Hmac, Signature::Missing), "place");
    // What it promoted is met by a project that has no keys, and by one that has.
    assert_eq!(judged(&Trust::own_only(), Place::Promoted, Algorithm::Hmac, Signature::Missing), "unsigned");
    assert_eq!(
        judged(&trusting(Policy::Required, true), Place::Promoted, Algorithm::Hmac, Signature::Missing),
        "unsigned"
    );
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
    let trusted = vec![only(&Signer::Hmac(theirs()), "default")];
    let (signer, trust, warnings) = SigningConfig { trusted, ..SigningConfig::default() }.resolve();
    assert!(!signer.signs(), "verifying is not signing");
    assert_eq!(warnings, []);
    assert_eq!(trust.policy(), Policy::VerifyOnly);
    let bytes = sealed(Signature::Unknown);
    assert!(envelope::open(&bytes, &CONTEXT, &trust, Place::Remote, NOW).is_ok());
    let other = Context { namespace: "team", ..CONTEXT };
    let rejected = envelope::open(&bytes, &other, &trust, Place::Remote, NOW).unwrap_err();
    assert_eq!(rejected.name(), "other_namespace");
}

#[test]
fn an_envelope_is_the_answer_to_one_question_only() {
    let trust = trusting(Policy::Required, true);
    for other in [
        Context { namespace: "defaul", ..CONTEXT },
        Context { namespace: "defaultb", function: "lake3", ..CONTEXT },
        Context { function: "sha256", ..CONTEXT },
        Context { action_digest: &[0xab; 31], ..CONTEXT },
        Context { action_digest: &[0xac; 32], ..CONTEXT },
    ] {
        for algorithm in BOTH {
            let bytes = algorithm.sealed(Signature::Good);
            let rejected = envelope::open(&bytes, &other, &trust, Place::Remote, NOW).unwrap_err();
            let key_id = algorithm.ours().key_id().unwrap().to_owned();
            assert_eq!(rejected, Rejected::BadSignature { key_id }, "{other:?}");
        }
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
    for (name, signer) in [
        ("envelope-v1-unsigned.bin", Signer::Unsigned),
        ("envelope-v1-hmac.bin", Signer::Hmac(ours())),
        ("envelope-v1-ed25519.bin", Signer::Ed25519(our_key())),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        if !path.exists() && std::env::var_os("LARDER_BLESS").is_some() {
            std::fs::write(&path, seal(&signer)).unwrap();
        }
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

/// The first two of RFC 8032, 7.1, and one of ours, so that ids and text stay what they are.
#[test]
fn keys_are_what_the_rfc_says_and_ids_are_pinned() {
    for (seed, public, id) in [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "d730ea8c1e00353d",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "41519e9fe72fee60",
        ),
    ] {
        let text = format!("larder-secret-ed25519:{seed}");
        let key = SecretKey::parse(&format!(
            "# made by a test\n  {}\n\n",
            text.to_uppercase().replace("LARDER-SECRET-ED25519", "larder-secret-ed25519",)
        ))
        .unwrap();
        assert_eq!(*key.to_text(), text);
        assert_eq!(key.public().to_string(), format!("larder-public-ed25519:{public}"));
        assert_eq!(PublicKey::parse(&key.public().to_string()).unwrap(), *key.public());
        assert_eq!(key.key_id(), id);
        assert!(!format!("{key:?}").contains(seed));
    }
    assert_ne!(SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
}

#[test]
fn text_that_is_no_key_is_refused_and_not_repeated() {
    let (secret, public) = (our_key().to_text().to_string(), our_key().public().to_string());
    let two = format!("{secret}\n{secret}");
    let long = format!("{secret}\n#{}", " ".repeat(5000));
    let odd = format!("{}é", &secret[..secret.len() - 2]);
    for text in
        ["", "hunter2", &secret[1..], &secret[..80], &two, &long, &odd, &public, "larder-secret-ed25519:"]
    {
        let error = SecretKey::parse(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
        let said = format!("{error} {error:?} {:?}", error.hint());
        assert!(!said.contains("hunter2") && !said.contains("0101010101"), "{said}");
    }
    for text in ["", &public[..public.len() - 1], &secret, &format!("{public} x")] {
        let error = PublicKey::parse(text).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("0101010101"), "{error}");
    }
}

/// Points of small order, an encoding that is not canonical, and bytes that are no point.
#[test]
fn weak_public_keys_are_refused() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut order_two = [0xff; 32];
    (order_two[0], order_two[31]) = (0xec, 0x7f);
    let mut not_canonical = [0xff; 32];
    (not_canonical[0], not_canonical[31]) = (0xf0, 0x7f);
    let mut no_point = [0; 32];
    no_point[0] = 2;
    for bytes in [[0; 32], identity, order_two, not_canonical, no_point, [0xff; 32]] {
        assert!(PublicKey::from_bytes(&bytes).is_err(), "{bytes:02x?}");
    }
}

#[test]
fn an_ed25519_envelope_by_nobody_is_an_unknown_key() {
    let mut bytes = Vec::from(*b"LRDE\x01\x02\x02\x40");
    bytes.extend(NOW.to_le_bytes());
    bytes.extend(3_u32.to_le_bytes());
    bytes.extend(b"cixyz");
    bytes.extend([7; 64]);
    let trust = trusting(Policy::Required, true);
    let rejected = envelope::open(&bytes, &CONTEXT, &trust, Place::Remote, NOW).unwrap_err();
    assert_eq!(rejected, Rejected::UnknownKey { key_id: "ci".into() });
}

/// A public key is known to all: used as an HMAC secret, or under its id with the other algorithm, it proves nothing.
#[test]
fn the_algorithm_belongs_to_the_key() {
    let public = our_key().public().clone();
    let forged_secret = Secret::new(public.as_bytes().to_vec()).unwrap();
    let trust = trusting(Policy::Required, true);
    let rejected = envelope::open(&seal(&Signer::Hmac(forged_secret)), &CONTEXT, &trust, Place::Remote, NOW)
        .unwrap_err();
    assert_eq!(rejected.name(), "unknown_key");
    let mut renamed = seal(&Signer::Hmac(ours()));
    renamed[20..36].copy_from_slice(public.key_id().as_bytes());
    let rejected = envelope::open(&renamed, &CONTEXT, &trust, Place::Remote, NOW).unwrap_err();
    assert_eq!(rejected, Rejected::UnknownKey { key_id: public.key_id().to_owned() });
}

/// The signature's s plus the group's order fits the same equation: a strict verifier refuses it.
#[test]
fn a_malleable_signature_is_refused() {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut bytes = seal(&Signer::Ed25519(our_key()));
    let at = bytes.len() - 32;
    let mut carry = 0;
    for (byte, add) in bytes[at..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
    }
    let trust = trusting(Policy::Off, true);
    let rejected = envelope::open(&bytes, &CONTEXT, &trust, Place::Built, NOW).unwrap_err();
    assert_eq!(rejected.name(), "bad_signature");
}

/// Rotation: the old key is retired, the new one signs, both are believed for their time; then the old one is gone.
#[test]
fn a_retired_key_is_believed_for_what_it_signed_in_its_time() {
    for algorithm in BOTH {
        let (old, new) = (algorithm.theirs(), algorithm.ours());
        let retired =
            TrustedKey { not_before: NOW - 100, not_after: Some(NOW), ..TrustedKey::new(verifier(&old)) };
        let config = |trusted| SigningConfig { trusted, not_before: NOW - 1000, ..SigningConfig::default() };
        let (_, trust, _) = config(vec![retired.clone(), TrustedKey::new(verifier(&new))]).resolve();
        let at = |signer: &Signer, time: u64, trust: &Trust| {
            let bytes = envelope::seal(signer, &CONTEXT, b"", time).unwrap();
            let opened = envelope::open(&bytes, &CONTEXT, trust, Place::Remote, NOW + 500);
            opened.map_or_else(|rejected| rejected.name(), |_| "signed")
        };
        assert_eq!(at(&old, NOW - 101, &trust), "before_not_before");
        assert_eq!(at(&old, NOW - 100, &trust), "signed");
        assert_eq!(at(&old, NOW, &trust), "signed");
        assert_eq!(at(&old, NOW + 1, &trust), "after_not_after");
        assert_eq!(at(&new, NOW + 1, &trust), "signed");
        assert_eq!(at(&new, NOW - 1001, &trust), "before_not_before", "the user's own bound holds for all");
        let (_, without, _) = config(vec![TrustedKey::new(verifier(&new))]).resolve();
        assert_eq!(at(&old, NOW, &without), "unknown_key");
        // Entries of one key are alternatives: retired for all, kept on for a team.
        let team = TrustedKey {
            namespaces: Namespaces::Only(vec!["default".into()]),
            ..TrustedKey::new(verifier(&old))
        };
        let (_, both, _) = config(vec![retired, team]).resolve();
        assert_eq!(at(&old, NOW + 1, &both), "signed");
    }
}

/// What the trust file says of one's own key holds; what it does not name is believed.
#[test]
fn the_own_key_is_believed_unless_the_trust_file_says_otherwise() {
    let signer = Signer::Ed25519(our_key());
    let resolved = |trusted: Vec<TrustedKey>| {
        let config =
            SigningConfig { key: Some(our_key()), secret: Some(ours()), trusted, ..SigningConfig::default() };
        let (found, trust, warnings) = config.resolve();
        assert_eq!((&found, &warnings[..]), (&signer, &[][..]), "the key signs, not the secret");
        trust
    };
    let refused = |trusted, namespace: &str| {
        let trust = resolved(trusted);
        let context = Context { namespace, ..CONTEXT };
        let bytes = envelope::seal(&signer, &context, b"", NOW).unwrap();
        let judged = envelope::open(&bytes, &context, &trust, Place::Built, NOW).is_err();
        assert_eq!(
            trust.warns_of(&signer, namespace, NOW).is_some(),
            judged,
            "the warning says what happens"
        );
        judged
    };
    assert!(!refused(vec![], "default"));
    assert!(!refused(vec![only(&signer, "team")], "team"));
    assert!(refused(vec![only(&signer, "team")], "default"));
    let retired = TrustedKey { not_after: Some(NOW - 1), ..TrustedKey::new(verifier(&signer)) };
    assert!(refused(vec![retired], "default"));
    // The secret beside it is believed too.
    let bytes = seal(&Signer::Hmac(ours()));
    assert!(envelope::open(&bytes, &CONTEXT, &resolved(vec![]), Place::Remote, NOW).is_ok());
}

proptest! {
    #[test]
    fn any_bytes_get_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for (policy, keys) in [
            (Policy::Required, true),
            (Policy::VerifyOnly, true),
            (Policy::OwnOnly, false),
            (Policy::Off, true),
        ] {
            let _ = envelope::open(&bytes, &CONTEXT, &trusting(policy, keys), Place::Built, NOW);
        }
    }

    #[test]
    fn no_change_of_a_signed_envelope_is_believed(
        at in 0_usize..107, flip in 1_u8.., cut in 0_usize..107, signs_ed25519: bool,
    ) {
        let good = BOTH[usize::from(signs_ed25519)].sealed(Signature::Good);
        prop_assert_eq!(good.len(), if signs_ed25519 { 107 } else { 75 });
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
        for algorithm in BOTH {
            let bytes = envelope::seal(&algorithm.ours(), &context, &payload, time).unwrap();
            let trust = trusting(Policy::Required, true);
            let opened = envelope::open(&bytes, &context, &trust, Place::Remote, NOW).unwrap();
            prop_assert_eq!((opened.payload, opened.time), (&payload[..], time));
        }
    }

    #[test]
    fn any_text_is_a_key_or_none(text in ".{0,120}", digits in "[0-9a-fA-F]{60,66}") {
        let _ = (SecretKey::parse(&text), PublicKey::parse(&text));
        let secret = SecretKey::parse(&format!("larder-secret-ed25519:{digits}"));
        prop_assert_eq!(secret.is_ok(), digits.len() == 64);
        if let Ok(public) = PublicKey::parse(&format!("larder-public-ed25519:{digits}")) {
            prop_assert_eq!(public.to_string(), format!("larder-public-ed25519:{}", digits.to_lowercase()));
        }
    }
}
