//! What registries fail with, in words that help.
//!
//! [`RegistryError::kind`] is what code decides on; the text is for people and may change. A registry's own words are
//! shown in one line of bounded length, after what Larder makes of them (distribution-spec, "Error Codes").

use std::fmt;
use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;

use crate::said::short;

/// The longest answer that is looked at for an error.
pub(super) const LONGEST_ANSWER: usize = 64 << 10;

/// What kind of failure it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// No credentials, or they are not right (401, `UNAUTHORIZED`).
    Unauthorized,
    /// The credentials do not allow it (403, `DENIED`).
    Denied,
    /// There is no such repository (`NAME_UNKNOWN`), or its name may not be (`NAME_INVALID`).
    NameUnknown,
    /// There is no such manifest, blob or upload (404).
    NotFound,
    /// A manifest that was pushed refers to a blob or manifest that is not there (`MANIFEST_BLOB_UNKNOWN`).
    MissingContent,
    /// Too many requests (429, `TOOMANYREQUESTS`).
    TooManyRequests {
        /// When to come again, if the registry said so.
        retry_after: Option<Duration>,
    },
    /// The registry does not offer it (405, 501, `UNSUPPORTED`).
    Unsupported,
    /// More than the registry takes (413), or no room left there (507).
    TooLarge,
    /// Nobody answers: no name, no connection, a broken connection.
    Unreachable,
    /// No answer within the time that the caller gives, or too slow a one.
    TimedOut,
    /// The registry answers, but TLS does not come about.
    Tls,
    /// The registry fails (5xx).
    Broken,
    /// Content that differs from its digest or its length.
    Corrupt,
    /// The registry's answer is not what the specification allows.
    Invalid,
    /// The registry refuses what was sent (400 and other 4xx).
    Refused,
    /// The credentials could not be had.
    Credentials,
    /// What the caller asked for makes no sense.
    Misuse,
}

/// A failure of one operation on a registry.
#[derive(Debug)]
pub struct RegistryError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    operation: &'static str,
    registry: String,
    message: String,
    hint: Option<String>,
    status: Option<u16>,
    code: Option<String>,
}

impl RegistryError {
    pub(super) fn new(
        kind: Kind,
        operation: &'static str,
        registry: impl fmt::Display,
        message: impl Into<String>,
    ) -> Self {
        Self(Box::new(Inner {
            kind,
            operation,
            registry: registry.to_string(),
            message: message.into(),
            hint: None,
            status: None,
            code: None,
        }))
    }

    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// It is a thing that the registry does not do, by whatever code it says so.
    pub(super) fn unsupported(mut self) -> Self {
        self.0.kind = Kind::Unsupported;
        self
    }

    /// A token server said no: that is about who asks, whatever its status.
    pub(super) fn refused_token(mut self, anonymous: bool) -> Self {
        self.0.kind = if anonymous || self.0.status != Some(403) { Kind::Unauthorized } else { Kind::Denied };
        self
    }

    /// What kind of failure it is: the thing to decide on.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.0.kind
    }

    /// What was being done, as it follows "failed to".
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// The registry, or another host on whose answer it hung.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.0.registry
    }

    /// The status of the registry's answer, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// The first code of the registry's answer, if there was one: `MANIFEST_UNKNOWN`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// What went wrong, without what was being done.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Whether trying again later may help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.0.kind,
            Kind::TooManyRequests { .. } | Kind::Unreachable | Kind::TimedOut | Kind::Broken
        )
    }

    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> &str {
        if let Some(hint) = &self.0.hint {
            return hint;
        }
        match self.0.kind {
            Kind::Unauthorized => {
                "log in with `docker login`, `podman login` or `skopeo login`, and see that the login is for this registry"
            }
            Kind::Denied => "these credentials may not do that there: allow it, or use others",
            Kind::NameUnknown => {
                "see that the repository's name is right; some registries want it to be made first"
            }
            Kind::NotFound => "see that the name, tag or digest is right",
            Kind::MissingContent => "it was deleted meanwhile, or lies in another repository: push it again",
            Kind::TooManyRequests { .. } => "wait, or log in: registries allow more to those they know",
            Kind::Unsupported => {
                "this registry does not offer that; perhaps it is switched off in its configuration"
            }
            Kind::TooLarge => {
                "the registry, or a proxy before it, limits sizes: raise the limit, or make room there"
            }
            Kind::Unreachable => {
                "is the registry running, and are its host and port right? a registry without TLS is written with `http://`"
            }
            Kind::TimedOut => "is the network slow, or the registry busy? allow it more time",
            Kind::Tls => {
                "is its certificate known to this machine? `SSL_CERT_FILE` names a file of authorities to trust; a registry without TLS is written with `http://`"
            }
            Kind::Broken => "that is the registry's failure: see its log",
            Kind::Corrupt => {
                "the content is damaged in the registry or on the way: push it again, or pull from elsewhere"
            }
            Kind::Invalid => {
                "is this a registry, and not something in front of it? see what `GET /v2/` answers"
            }
            Kind::Refused => "see what the registry says; its log may say more",
            Kind::Credentials => {
                "see the configuration of docker or podman, and the credential program that it names"
            }
            Kind::Misuse => "see the documentation of the call",
        }
    }

    /// The error that an answer is.
    pub(super) fn of_answer(
        operation: &'static str,
        registry: impl fmt::Display,
        status: StatusCode,
        retry_after: Option<Duration>,
        body: &[u8],
    ) -> Self {
        let answer = Answer::parse(body);
        let code = answer.as_ref().and_then(|answer| answer.code.clone());
        let kind = kind(status, code.as_deref(), retry_after);
        let said = answer.map(|answer| answer.message).filter(|said| !said.is_empty());
        let mut message = match said {
            Some(said) => said,
            None => status.canonical_reason().unwrap_or("no reason given").to_lowercase(),
        };
        match &code {
            Some(code) => message.push_str(&format!(" ({status}, {code})", status = status.as_u16())),
            None => message.push_str(&format!(" ({status})", status = status.as_u16())),
        }
        let mut error = Self::new(kind, operation, registry, message);
        error.0.status = Some(status.as_u16());
        error.0.code = code;
        error
    }

    /// The error of a request that got no answer.
    pub(super) fn of_transport(
        operation: &'static str,
        registry: impl fmt::Display,
        error: &reqwest::Error,
    ) -> Self {
        let mut chain = Vec::new();
        let mut next: Option<&dyn std::error::Error> = Some(error);
        let mut tls = false;
        while let Some(cause) = next {
            let text = cause.to_string();
            tls |= cause.downcast_ref::<std::io::Error>().is_some_and(is_tls)
                || text.contains("invalid peer certificate");
            chain.push(text);
            next = cause.source();
        }
        let kind = if tls {
            Kind::Tls
        } else if error.is_timeout() {
            Kind::TimedOut
        } else if error.is_builder() {
            Kind::Misuse
        } else {
            Kind::Unreachable
        };
        let deepest = chain.pop().unwrap_or_default();
        let message = match kind {
            Kind::Tls => format!("no TLS with the registry: {}", short(&deepest, 200)),
            Kind::TimedOut => "no answer in time".to_owned(),
            _ if error.is_connect() => format!("the registry cannot be reached: {}", short(&deepest, 200)),
            _ => format!("the connection broke: {}", short(&deepest, 200)),
        };
        Self::new(kind, operation, registry, message)
    }
}

/// The last cause of an error, in its words.
pub(super) fn deepest(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    deepest.to_string()
}

/// Whether a TLS library's error is in it. That library's own type is not ours to name, and I/O errors hide what they wrap from
/// [`source`](std::error::Error::source).
fn is_tls(error: &std::io::Error) -> bool {
    let Some(inner) = error.get_ref() else { return false };
    if let Some(wrapped) = inner.downcast_ref::<std::io::Error>() {
        return is_tls(wrapped);
    }
    let text = format!("{inner:?}");
    let names =
        ["InvalidCertificate", "AlertReceived", "InvalidMessage", "PeerIncompatible", "PeerMisbehaved"];
    names.iter().any(|name| text.starts_with(name))
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { operation, registry, message, .. } = &*self.0;
        write!(f, "failed to {operation} (registry `{registry}`): {message}")
    }
}

impl std::error::Error for RegistryError {}

fn kind(status: StatusCode, code: Option<&str>, retry_after: Option<Duration>) -> Kind {
    // The status first where it is telling: registries disagree more in codes than in statuses.
    match (status.as_u16(), code) {
        (429, _) | (_, Some("TOOMANYREQUESTS")) => Kind::TooManyRequests { retry_after },
        (401, _) => Kind::Unauthorized,
        (403, _) => Kind::Denied,
        (_, Some("NAME_UNKNOWN" | "NAME_INVALID")) => Kind::NameUnknown,
        (_, Some("MANIFEST_BLOB_UNKNOWN")) => Kind::MissingContent,
        (404 | 410, _) => Kind::NotFound,
        (405 | 501, _) | (_, Some("UNSUPPORTED")) => Kind::Unsupported,
        (413 | 507, _) => Kind::TooLarge,
        (500..=599, _) => Kind::Broken,
        (400..=499, Some("UNAUTHORIZED")) => Kind::Unauthorized,
        (400..=499, Some("DENIED")) => Kind::Denied,
        (400..=499, _) => Kind::Refused,
        _ => Kind::Invalid,
    }
}

/// The part of an error's answer that is shown.
#[derive(Debug, Default, PartialEq)]
struct Answer {
    code: Option<String>,
    message: String,
}

impl Answer {
    fn parse(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Errors {
            #[serde(default)]
            errors: Option<Vec<One>>,
            // What token servers and proxies say.
            #[serde(default)]
            error: Option<serde_json::Value>,
            #[serde(default)]
            error_description: Option<String>,
            #[serde(default)]
            message: Option<String>,
            #[serde(default)]
            details: Option<serde_json::Value>,
        }
        #[derive(Deserialize)]
        struct One {
            #[serde(default)]
            code: Option<String>,
            #[serde(default)]
            message: Option<String>,
            #[serde(default)]
            detail: Option<serde_json::Value>,
        }
        let text = |value: serde_json::Value| match value {
            serde_json::Value::String(text) => Some(text),
            _ => None,
        };
        let Ok(all) = serde_json::from_slice::<Errors>(body) else {
            let said = std::str::from_utf8(body).ok()?;
            // A page of HTML is no message.
            let said = if said.trim_start().starts_with('<') { "" } else { said };
            return Some(Self { code: None, message: short(said, 200) });
        };
        if let Some(first) = all.errors.and_then(|errors| errors.into_iter().next()) {
            let code = first.code.map(|code| short(&code, 60));
            let message = first.message.filter(|message| !message.is_empty());
            let message = message.or_else(|| first.detail.and_then(text)).unwrap_or_default();
            return Some(Self { code, message: short(&message, 300) });
        }
        let said = all.error_description.or(all.message).or_else(|| all.details.and_then(text));
        let said = said.or_else(|| all.error.and_then(text)).unwrap_or_default();
        Some(Self { code: None, message: short(&said, 300) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, body: &str) -> RegistryError {
        let status = StatusCode::from_u16(status).expect("a status");
        RegistryError::of_answer("read a blob", "r.example", status, None, body.as_bytes())
    }

    #[test]
    fn statuses_and_codes_become_kinds() {
        let code = |code: &str| format!(r#"{{"errors":[{{"code":"{code}","message":"why"}}]}}"#);
        assert_eq!(*error(404, &code("NAME_UNKNOWN")).kind(), Kind::NameUnknown);
        assert_eq!(*error(404, &code("MANIFEST_UNKNOWN")).kind(), Kind::NotFound);
        assert_eq!(*error(404, "").kind(), Kind::NotFound);
        assert_eq!(*error(400, &code("MANIFEST_BLOB_UNKNOWN")).kind(), Kind::MissingContent);
        assert_eq!(*error(400, &code("UNSUPPORTED")).kind(), Kind::Unsupported);
        assert_eq!(*error(405, "").kind(), Kind::Unsupported);
        assert_eq!(*error(401, &code("UNAUTHORIZED")).kind(), Kind::Unauthorized);
        assert_eq!(*error(403, "").kind(), Kind::Denied);
        assert_eq!(*error(503, "").kind(), Kind::Broken);
        assert_eq!(*error(413, "").kind(), Kind::TooLarge);
        assert_eq!(*error(418, "").kind(), Kind::Refused);
        assert_eq!(*error(429, "").kind(), Kind::TooManyRequests { retry_after: None });
    }

    #[test]
    fn the_registrys_words_are_shown_in_one_bounded_line() {
        let shown = error(403, "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"not\\nyou\\u001b[31m\"}]}")
            .to_string();
        assert_eq!(shown, "failed to read a blob (registry `r.example`): not you[31m (403, DENIED)");
        let shown = error(502, "<html>bad</html>").to_string();
        assert_eq!(shown, "failed to read a blob (registry `r.example`): bad gateway (502)");
        assert!(error(500, &"x".repeat(10_000)).to_string().len() < 400);
    }
}
