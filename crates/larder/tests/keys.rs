//! Trust files: what is read, what is refused, and that changes say what was wanted and keep the rest.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use larder::core::ErrorKind;
use larder::keys::trust_file::{Change, Entry, Key, TrustFile};
use larder::store::trust::{Namespaces, SecretKey};
use proptest::prelude::*;

fn path() -> &'static Path {
    Path::new("/home/me/.config/larder/trust.yml")
}

fn parse(text: &str) -> TrustFile {
    TrustFile::parse(text, path()).unwrap()
}

fn public(seed: u8) -> Key {
    Key::Public(SecretKey::from_seed(&[seed; 32]).public().clone())
}

fn text_of(seed: u8) -> String {
    SecretKey::from_seed(&[seed; 32]).public().to_string()
}

#[test]
fn a_trust_file_says_what_is_in_it() {
    let text = format!(
        "not-before: 2026-01-01\nkeys:\n  - name: ci\n    public: {}\n    namespaces: [a, \"b c\"]\n    \
         not-before: 2026-01-01\n    not-after: 2026-01-02T00:00:00+02:00\n  - secret-file: old\n\
         permit-signing-off: [/a/b]\n",
        text_of(1)
    );
    let file = parse(&text);
    assert_eq!(file.not_before, 1_767_225_600);
    assert_eq!(file.permit_signing_off, [Path::new("/a/b")]);
    let (ci, old) = (&file.keys[0], &file.keys[1]);
    assert_eq!((ci.name.as_deref(), &ci.key), (Some("ci"), &public(1)));
    assert_eq!(ci.namespaces, Namespaces::Only(vec!["a".into(), "b c".into()]));
    assert_eq!((ci.not_before, ci.not_after), (1_767_225_600, Some(1_767_225_600 + 22 * 3600)));
    assert_eq!((&old.key, &old.namespaces), (&Key::SecretFile("old".into()), &Namespaces::All));
    for empty in ["", "# nothing\n", "keys:\n", "keys: []\npermit-signing-off:\n"] {
        assert_eq!(parse(empty), TrustFile::default(), "{empty}");
    }
}

/// Nothing is believed by mistake: what could be meant otherwise is refused, with its place.
#[test]
fn what_cannot_be_meant_is_refused() {
    let key = text_of(1);
    for (text, message) in [
        ("[]", "expected a map"),
        ("kyes: []", "unknown key `kyes`"),
        ("not-before: 2026", "expected a time"),
        ("not-before: tomorrow", "is no time"),
        ("permit-signing-off: [here]", "is no absolute path"),
        ("permit-signing-off: yes", "expected a list of folders"),
        ("keys: {a: b}", "expected a list of keys"),
        ("keys: [{name: a}]", "has no key"),
        ("keys: [{public: abc}]", "is no public key"),
        ("keys: [{public: KEY, secret-file: a}]", "are two keys"),
        ("keys: [{public: KEY, namespaces: []}]", "for no namespace"),
        ("keys: [{public: KEY, namespaces: a}]", "expected a list of text"),
        ("keys: [{public: KEY, not_after: 2026-01-01}]", "unknown key `not_after`"),
        ("keys: [{public: KEY, not-after: }]", "expected a time"),
        ("keys: [{public: KEY, not-before: 2026-01-02, not-after: 2026-01-01}]", "is before"),
        ("keys: [{public: KEY, public: KEY}]", "stands here twice"),
        ("keys: []\n---\nkeys: []", "more than one document"),
    ] {
        let error = TrustFile::parse(&text.replace("KEY", &key), path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
        let said = error.to_string();
        assert!(said.contains(message) && said.contains("trust.yml:"), "{text}: {said}");
    }
}

#[test]
fn changes_keep_comments_and_layout() {
    let (one, two) = (text_of(1), text_of(2));
    let text = format!(
        "# top\n\nkeys: # whom\n# about one\n- name: one # 1\n  public: {one}\n  # in one\n\n# about two\n-\n  \
         public: {two}\n# end\nnot-before: 2026-01-01 # replay\n"
    );
    let file = parse(&text);
    let removed = TrustFile::changed(&text, path(), &Change::Remove(0)).unwrap();
    assert_eq!(removed, text.replace(&format!("- name: one # 1\n  public: {one}\n  # in one\n"), ""));
    let entry = Entry { not_after: Some(86_400), ..file.keys[1].clone() };
    let replaced = TrustFile::changed(&text, path(), &Change::Replace(1, entry)).unwrap();
    let new = format!("- public: {two}\n  not-after: 1970-01-02T00:00:00Z\n");
    assert_eq!(replaced, text.replace(&format!("-\n  public: {two}\n"), &new));
    let added = TrustFile::changed(&text, path(), &Change::Add(file.keys[0].clone())).unwrap();
    let new = format!("  public: {two}\n- name: one\n  public: {one}\n# end");
    assert_eq!(added, text.replace(&format!("  public: {two}\n# end"), &new));
}

fn entries() -> impl Strategy<Value = Entry> {
    let namespaces = prop_oneof![
        Just(Namespaces::All),
        proptest::collection::vec(".{1,12}", 1..4).prop_map(Namespaces::Only),
    ];
    let times = (0_u64..4_000_000_000, proptest::option::of(0_u64..4_000_000_000));
    let key =
        prop_oneof![any::<u8>().prop_map(public), "[a-z /#:]{1,9}".prop_map(|p| Key::SecretFile(p.into()))];
    (proptest::option::of(".{1,12}"), key, namespaces, times).prop_map(
        |(name, key, namespaces, (not_before, length))| Entry {
            name,
            key,
            namespaces,
            not_before,
            not_after: length.map(|length| not_before + length),
        },
    )
}

proptest! {
    /// Whatever is added, replaced and removed: the file says it, or the change is refused; comments stay.
    #[test]
    fn a_file_says_what_it_was_changed_to(
        first in prop_oneof![Just(""), Just("# mine"), Just("keys:\n"), Just("keys: [] # none\n# after\n"),
                             Just("permit-signing-off: [/a]\n# last")],
        steps in proptest::collection::vec((entries(), 0_usize..4, any::<bool>()), 1..8),
    ) {
        let mut text = first.to_owned();
        let mut wanted = parse(&text);
        for (entry, at, is_removal) in steps {
            let change = match (at < wanted.keys.len(), is_removal) {
                (true, true) => Change::Remove(at),
                (true, false) => Change::Replace(at, entry),
                (false, _) => Change::Add(entry),
            };
            text = TrustFile::changed(&text, path(), &change).unwrap();
            match change {
                Change::Remove(at) => drop(wanted.keys.remove(at)),
                Change::Replace(at, entry) => wanted.keys[at] = entry,
                Change::Add(entry) => wanted.keys.push(entry),
            }
            prop_assert_eq!(&parse(&text), &wanted, "{}", text);
            for comment in first.lines().filter(|line| line.starts_with('#')) {
                prop_assert!(text.contains(comment), "{}", text);
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "([ \n:#\\[\\]{},-]|keys|public|name|namespaces|not-after|2026-01-01){0,60}") {
        if TrustFile::parse(&text, path()).is_ok() {
            let entry = Entry {
                name: None, key: public(1), namespaces: Namespaces::All, not_before: 0, not_after: None,
            };
            if let Ok(changed) = TrustFile::changed(&text, path(), &Change::Add(entry)) {
                prop_assert!(TrustFile::parse(&changed, path()).is_ok());
            }
        }
    }
}
