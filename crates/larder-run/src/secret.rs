//! Values that are not shown: what stands in their place in lists of a key's items, and so in reasons, reports, `larder why`, kept runs and
//! what other machines are told.
//!
//! A name tells that a value is secret ([`is_secret_name`]): of environment variables, and of variables. In place of such a value stands a
//! [`shadow`], and in other items where it occurs (the command, arguments) the expression that put it there ([`Secrets::hide`]).
//!
//! # Not promised
//! A secret under a harmless name is not known as one; [`is_plain`] keeps only its like from the one line of a miss. Neither are secrets that were
//! put in another form (quoted, encoded), those shorter than [`SHORTEST`], and names: of inputs, outputs, instances.
//! The key itself is a hash of all values as they are.

use std::borrow::Cow;

use crate::key::UNSET;
use crate::state::KeyItem;

/// Ends of the words that a name of a secret has.
const WORDS: [&str; 13] = [
    "TOKEN",
    "KEY",
    "SECRET",
    "PASS",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PWD",
    "AUTH",
    "CREDENTIAL",
    "COOKIE",
    "SESSION",
    "PRIVATE",
];

/// Shorter ones are not looked for in other texts, which they would make unreadable.
const SHORTEST: usize = 8;

/// Longer values do not belong in one line.
const LONGEST_PLAIN: usize = 16;

/// Whether a name says that its value is secret: `NPM_TOKEN`, `aws.access_key_id`, `PGPASSWORD`.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let is_word = |word: &str| {
        let word = word.to_ascii_uppercase();
        let one = word.strip_suffix('S').unwrap_or(&word);
        WORDS.iter().any(|secret| word.ends_with(secret) || one.ends_with(secret))
    };
    name.split(|c: char| !c.is_ascii_alphanumeric()).any(is_word)
}

/// Whether a value of a harmless name may stand in the line of a miss: short, and not like a password.
pub(crate) fn is_plain(value: &str) -> bool {
    let mixes =
        value.contains(|c: char| c.is_ascii_alphabetic()) && value.contains(|c: char| c.is_ascii_digit());
    let looks_random = value.len() >= 12 && mixes && !value.contains(['.', '/']);
    let has_login = value.contains("://") && value.contains('@');
    value.chars().count() <= LONGEST_PLAIN && !looks_random && !has_login
}

/// What stands for a secret: 16 bits of a hash of it, the same for the same value everywhere. So it is seen to change, and however often
/// it is shown, and under which names, no more than those bits are known of it.
pub(crate) fn shadow(value: &str) -> String {
    let hash = blake3::derive_key("larder 2026-11 secret value", value.as_bytes());
    format!("(secret {:02x}{:02x})", hash[0], hash[1])
}

/// The secrets of a recipe, longest first, each with the expression that gives it.
#[derive(Debug, Default)]
pub(crate) struct Secrets<'a>(Vec<(Cow<'a, str>, String)>);

impl<'a> Secrets<'a> {
    /// Of its environment and its variables, these as JSON text.
    pub(crate) fn of(
        environment: impl IntoIterator<Item = (&'a String, &'a Option<String>)>,
        variables: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> Self {
        let environment = environment.into_iter().filter(|(name, _)| is_secret_name(name));
        let set =
            environment.filter_map(|(name, value)| Some((value.as_deref()?, format!("{{{{env.{name}}}}}"))));
        let mut all: Vec<(Cow<'a, str>, String)> =
            set.map(|(value, by)| (Cow::Borrowed(value), by)).collect();
        for (name, json) in variables.into_iter().filter(|(name, _)| is_secret_name(name)) {
            let text = serde_json::from_str(json).map_or(Cow::Borrowed(json.as_str()), Cow::Owned);
            all.push((text, format!("{{{{var.{name}}}}}")));
        }
        all.retain(|(value, _)| value.len() >= SHORTEST);
        // One that is part of another must not cut it; of two with one value the environment's stays first.
        all.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        Self(all)
    }

    /// The item without them.
    pub(crate) fn hide(&self, mut item: KeyItem) -> KeyItem {
        match &*item.kind {
            "env" | "variable" if is_secret_name(&item.name) => {
                if item.value != UNSET {
                    item.value = shadow(&item.value);
                }
            }
            // Digests, and what the build itself is.
            "input" | "tool" | "dependency" => {}
            _ => {
                for (value, by) in &self.0 {
                    if item.value.contains(&**value) {
                        item.value = item.value.replace(&**value, by);
                    }
                }
            }
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets() {
        for name in [
            "TOKEN",
            "NPM_TOKEN",
            "github_tokens",
            "AWS_ACCESS_KEY_ID",
            "apiKey",
            "PGPASSWORD",
            "DB_PASS",
            "aws.credentials",
            "SESSION_COOKIE",
            "BASIC_AUTH",
            "client-secret",
            "PRIVATE_PEM",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["NODE_ENV", "AUTHOR", "PASSENGERS", "mode", "KEYBOARD", "CC", ""] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn plain_values() {
        for value in ["dev", "production", "1.94.0-nightly1", "/usr/lib/jvm/17", "", "-O2 -g", "(unset)"] {
            assert!(is_plain(value), "{value}");
        }
        for value in ["ghp0123abcdef", "hunter2hunter2", "a-rather-long-value", "x://u:p@h"] {
            assert!(!is_plain(value), "{value}");
        }
    }

    fn item(kind: &str, name: &str, value: &str) -> KeyItem {
        KeyItem { kind: kind.into(), name: name.into(), value: value.into() }
    }

    #[test]
    fn a_secret_is_nowhere_in_the_items() {
        let environment = [
            ("TOKEN".to_owned(), Some("hunter2-secret".to_owned())),
            ("MODE".to_owned(), Some("development".to_owned())),
            ("PIN_KEY".to_owned(), Some("1".to_owned())),
            ("MY_AUTH".to_owned(), None),
        ];
        let variables = [("login.password".to_owned(), "\"hunter2-secret and more\"".to_owned())];
        let secrets = Secrets::of(
            environment.iter().map(|(name, value)| (name, value)),
            variables.iter().map(|(name, value)| (name, value)),
        );
        let hidden = |kind, name, value| secrets.hide(item(kind, name, value)).value;
        assert_eq!(
            hidden("command", "run", "TOKEN=hunter2-secret make -j1 development 'hunter2-secret and more'"),
            "TOKEN={{env.TOKEN}} make -j1 development '{{var.login.password}}'"
        );
        assert_eq!(hidden("args", "1", "--auth=hunter2-secret"), "--auth={{env.TOKEN}}");
        assert_eq!(hidden("env", "MODE", "development"), "development");
        assert_eq!(hidden("env", "MY_AUTH", UNSET), UNSET);
        assert_eq!(hidden("env", "TOKEN", "hunter2-secret"), hidden("env", "API_KEY", "hunter2-secret"));
        assert_ne!(hidden("env", "TOKEN", "hunter2-secret"), hidden("env", "TOKEN", "hunter3-secret"));
        assert_eq!(hidden("env", "TOKEN", "hunter2-secret").len(), "(secret 0123)".len());
        assert!(!hidden("variable", "login.password", "\"hunter2-secret and more\"").contains("hunter2"));
    }
}
