//! What object stores fail with, in words that help.
//!
//! The stores' answers are told apart by the codes in them: the library that asks does not hand out more. A code that is
//! not known here is shown as it came, in one line of bounded length.

use std::path::PathBuf;

use larder_core::error::{Error, ErrorKind, chain};
use object_store::client::{HttpError, HttpErrorKind};

use crate::connection::{REACHABLE, short};

/// Whose errors these are, and what to do when nobody answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speaker {
    /// The tier's name in the configuration.
    pub(crate) tier: &'static str,
    /// What to do when nobody answers.
    pub(crate) silent: Option<&'static str>,
}

impl Speaker {
    /// The error of one request.
    pub(crate) fn explain(&self, operation: &'static str, error: &object_store::Error) -> Error {
        let said = chain(error);
        let (kind, message, hint) = if let Some(misplaced) = Misplaced::within(error) {
            let message = format!("`{}` is in the place of an object", misplaced.0.display());
            (
                ErrorKind::Corrupt,
                message,
                Some("nothing but folders and files belongs into the shared folder"),
            )
        } else if let Some(known) = CODES.iter().find(|known| said.contains(known.code)) {
            (
                known.kind,
                format!("{} ({})", known.message, known.code.trim_end_matches(':')),
                Some(known.hint),
            )
        } else if let Some(cause) = unreachable(error) {
            let message = format!("the server cannot be reached: {}", short(&cause));
            (ErrorKind::Unavailable, message, Some(self.silent.unwrap_or(REACHABLE)))
        } else if let Some(cause) = broke_off(error) {
            (ErrorKind::Unavailable, format!("the connection broke off: {}", short(&cause)), Some(BROKEN))
        } else {
            let kind = kind(error);
            let hint = (kind == ErrorKind::Unavailable).then_some(TROUBLE);
            (kind, short(&answer(&said).unwrap_or(said)), hint)
        };
        let explained = Error::new(kind, operation).with_message(message).with("tier", self.tier);
        match hint {
            Some(hint) => explained.with_hint(hint),
            None => explained,
        }
    }

    /// The error of a write that found nothing to write into.
    pub(crate) fn nowhere(&self) -> Error {
        Error::new(ErrorKind::Unavailable, "write an object")
            .with_message("there is no such bucket or container")
            .with("tier", self.tier)
            .with_hint("make the bucket or container, or mend its name in the tier")
    }

    /// The error of a request that nobody answered.
    pub(crate) fn unanswered(&self, operation: &'static str, seconds: u64) -> Error {
        Error::new(ErrorKind::Unavailable, operation)
            .with_message(format!("no answer within {seconds} s"))
            .with("tier", self.tier)
            .with_hint(self.silent.unwrap_or(REACHABLE))
            .retryable(true)
    }
}

const BROKEN: &str = "look at the network between this machine and the server, and at a proxy in it";
const TROUBLE: &str = "look at the server; the next run asks it again, and sends what is missing";

/// Something that is no regular file lies where an object should be, or no folder where a folder should be. As garbage is: a
/// miss, and replaced where it can be.
#[derive(Debug, thiserror::Error)]
#[error("`{}` is in the place of an object", .0.display())]
pub(crate) struct Misplaced(pub(crate) PathBuf);

impl Misplaced {
    fn within(error: &object_store::Error) -> Option<&Self> {
        match error {
            object_store::Error::Generic { source, .. } => source.downcast_ref(),
            _ => None,
        }
    }
}

/// What a code in an answer means.
struct Known {
    code: &'static str,
    kind: ErrorKind,
    message: &'static str,
    hint: &'static str,
}

const fn known(code: &'static str, kind: ErrorKind, message: &'static str, hint: &'static str) -> Known {
    Known { code, kind, message, hint }
}

// A bucket that is not there must not be taken for a result that is not there: `Unavailable`.
const CODES: &[Known] = &[
    known(
        "NoSuchBucket",
        ErrorKind::Unavailable,
        "there is no such bucket",
        "make the bucket, or mend the tier's `bucket`",
    ),
    known(
        "The specified bucket does not exist",
        ErrorKind::Unavailable,
        "there is no such bucket",
        "make the bucket, or mend the tier's `bucket`",
    ),
    known(
        "ContainerNotFound",
        ErrorKind::Unavailable,
        "there is no such container",
        "make the container, or mend the tier's `container`",
    ),
    known(
        "RequestTimeTooSkewed",
        ErrorKind::Permission,
        "the time of this machine is too far from the server's",
        "set this machine's clock",
    ),
    known(
        "InvalidAccessKeyId",
        ErrorKind::Permission,
        "the access key is not known there",
        "see AWS_ACCESS_KEY_ID",
    ),
    known("NotSignedUp", ErrorKind::Permission, "the access key is not known there", "see AWS_ACCESS_KEY_ID"),
    known(
        "SignatureDoesNotMatch",
        ErrorKind::Permission,
        "the secret key is wrong",
        "see AWS_SECRET_ACCESS_KEY",
    ),
    // Garage calls these three `AccessDenied`, and says in words what it is. With the colon: others say so of objects.
    known(
        "No such key:",
        ErrorKind::Permission,
        "the access key is not known there",
        "see AWS_ACCESS_KEY_ID",
    ),
    known("Invalid signature", ErrorKind::Permission, "the secret key is wrong", "see AWS_SECRET_ACCESS_KEY"),
    known("quota is reached", ErrorKind::Full, "there is no room left", "make room in the bucket"),
    known("ExpiredToken", ErrorKind::Permission, "the session has expired", "log in again"),
    known("InvalidToken", ErrorKind::Permission, "the session's token is wrong", "see AWS_SESSION_TOKEN"),
    known(
        "AuthorizationHeaderMalformed",
        ErrorKind::Permission,
        "the request was signed for another region",
        "set the tier's `region` to the bucket's",
    ),
    known(
        "PermanentRedirect",
        ErrorKind::Unavailable,
        "the bucket is in another region",
        "set the tier's `region` to the bucket's",
    ),
    known(
        "AuthorizationPermissionMismatch",
        ErrorKind::Permission,
        "these credentials do not allow that",
        "allow it, or use other credentials; see \"Rights\" in docs/guides/remote-cache.md",
    ),
    known(
        "AuthorizationFailure",
        ErrorKind::Permission,
        "these credentials do not allow that, or are not those of this account",
        "see AZURE_STORAGE_ACCOUNT_KEY, and the tier's `account`",
    ),
    known(
        "AuthenticationFailed",
        ErrorKind::Permission,
        "the credentials are wrong",
        "see AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN",
    ),
    known(
        "InvalidRange",
        ErrorKind::Corrupt,
        "an object is shorter than the result says",
        "whoever builds the recipe again replaces it",
    ),
    known(
        "but object was only",
        ErrorKind::Corrupt,
        "an object is shorter than the result says",
        "whoever builds the recipe again replaces it",
    ),
    known("QuotaExceeded", ErrorKind::Full, "there is no room left", "make room in the bucket"),
    known("InsufficientStorage", ErrorKind::Full, "there is no room left", "make room in the bucket"),
    known("StorageFull", ErrorKind::Full, "there is no room left", "make room in the bucket"),
    known(
        "SlowDown",
        ErrorKind::Unavailable,
        "the server is asked too much",
        "let fewer machines ask at once",
    ),
    known(
        "ServerBusy",
        ErrorKind::Unavailable,
        "the server is asked too much",
        "let fewer machines ask at once",
    ),
    known(
        "AccessDenied",
        ErrorKind::Permission,
        "these credentials do not allow that",
        "allow it, or use other credentials; see \"Rights\" in docs/guides/remote-cache.md",
    ),
    known(
        "169.254.169.254",
        ErrorKind::Permission,
        "there are no credentials, and this machine's own service gives none",
        "set the cloud's usual variables, as docs/guides/remote-cache.md says",
    ),
];

fn kind(error: &object_store::Error) -> ErrorKind {
    use object_store::Error as Of;
    match error {
        Of::NotFound { .. } => ErrorKind::NotFound,
        Of::AlreadyExists { .. } | Of::Precondition { .. } => ErrorKind::Busy,
        Of::PermissionDenied { .. } | Of::Unauthenticated { .. } => ErrorKind::Permission,
        Of::InvalidPath { .. } | Of::UnknownConfigurationKey { .. } => ErrorKind::Invalid,
        _ => ErrorKind::Unavailable,
    }
}

/// Why no connection came about, if that is what went wrong.
fn unreachable(error: &object_store::Error) -> Option<String> {
    transport(error).filter(|(kind, _)| *kind == HttpErrorKind::Connect).map(|(_, cause)| cause)
}

/// Why a request or its answer did not get through, if there was a connection.
pub(crate) fn broke_off(error: &object_store::Error) -> Option<String> {
    transport(error).filter(|(kind, _)| *kind != HttpErrorKind::Connect).map(|(_, cause)| cause)
}

/// What went wrong below HTTP, and its first cause.
fn transport(error: &object_store::Error) -> Option<(HttpErrorKind, String)> {
    let mut next: Option<&dyn std::error::Error> = Some(error);
    let (mut kind, mut deepest) = (None, None);
    while let Some(cause) = next {
        kind = kind.or_else(|| cause.downcast_ref::<HttpError>().map(HttpError::kind));
        deepest = Some(cause);
        next = cause.source();
    }
    Some((kind?, deepest?.to_string()))
}

/// Code and message of an answer in XML.
fn answer(said: &str) -> Option<String> {
    let between = |name: &str| {
        let after = said.split_once(&format!("<{name}>"))?.1;
        after.split_once(&format!("</{name}>")).map(|(text, _)| text.trim().to_owned())
    };
    let code = between("Code")?;
    Some(match between("Message") {
        Some(message) => format!("{message} ({code})"),
        None => code,
    })
}
