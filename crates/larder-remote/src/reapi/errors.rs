//! What servers fail with, in words that help. Told apart by status codes and by the types of causes, never by text.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use larder_core::{Error, ErrorKind};
use tonic::{Code, Status};

use crate::connection::{REACHABLE, short};

/// The tier's name in the configuration.
pub(crate) const NAME: &str = "reapi";

const SCHEME: &str = "`grpcs://` in the tier's `endpoint` speaks TLS, `grpc://` does not: does the server?";
const TLS: &str = "a server without TLS is `grpc://…`; whose certificates to trust beside the machine's, SSL_CERT_FILE says";
const INSTANCE: &str = "mend the tier's `instance`";
// The name is that of `endpoint::TOKEN`.
const TOKEN_HINT: &str = "see LARDER_REAPI_TOKEN";

/// What became of a request that did not succeed.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// The server said so, or there is no connection.
    Said(Box<Status>),
    /// Nobody answered for so long.
    Silent(Duration),
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Said(Box::new(status))
    }
}

impl Failure {
    /// The status code of an answer.
    pub(crate) fn code(&self) -> Option<Code> {
        match self {
            Self::Said(status) => Some(status.code()),
            Self::Silent(_) => None,
        }
    }

    /// As an error of `operation`.
    pub(crate) fn explain(self, operation: &'static str) -> Error {
        match self {
            Self::Silent(waited) => Error::new(ErrorKind::Unavailable, operation)
                .with_message(format!("no answer within {} s", waited.as_secs_f32().ceil()))
                .with("tier", NAME)
                .with_hint(REACHABLE)
                .retryable(true),
            Self::Said(status) => said(&status, operation),
        }
    }

    /// As an error of the first question, which fails for what the configuration says.
    pub(crate) fn explain_first(self, operation: &'static str, instance: &str) -> Error {
        match self.code() {
            Some(Code::NotFound | Code::InvalidArgument) => Error::new(ErrorKind::Unavailable, operation)
                .with_message(format!("the server does not know the instance `{instance}`"))
                .with("tier", NAME)
                .with_hint(INSTANCE),
            _ => self.explain(operation),
        }
    }

    /// As an error of a write.
    pub(crate) fn explain_write(self, operation: &'static str) -> Error {
        match self.code() {
            Some(Code::ResourceExhausted) => no_room(operation),
            Some(Code::Unimplemented) => read_only(operation),
            // Of a write it says that there is no such instance, or that content is gone already.
            Some(Code::NotFound) => Error::new(ErrorKind::Unavailable, operation)
                .with_message("the server has no place for it: no such instance, or content is gone already")
                .with("tier", NAME)
                .with_hint("see the tier's `instance`, and how much the server may keep"),
            _ => self.explain(operation),
        }
    }
}

/// The server has no room.
pub(crate) fn no_room(operation: &'static str) -> Error {
    Error::new(ErrorKind::Full, operation)
        .with_message("the server has no room left, or takes no messages of this size")
        .with("tier", NAME)
        .with_hint("make room on the server")
}

/// The server takes no results.
pub(crate) fn read_only(operation: &'static str) -> Error {
    Error::new(ErrorKind::ReadOnly, operation)
        .with_message("the server does not allow that")
        .with("tier", NAME)
        .with_hint("this server's results are made by others; it is only read")
}

/// What the server has is not what it should be.
pub(crate) fn corrupt(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Corrupt, "read a result").with_message(message).with("tier", NAME)
}

/// The error of a blob's own status in an answer for many.
pub(crate) fn of_blob(code: i32, message: &str, operation: &'static str) -> Error {
    match Code::from_i32(code) {
        Code::NotFound => Error::new(ErrorKind::NotFound, operation)
            .with_message("the server has the result, and not its content")
            .with("tier", NAME),
        code => Failure::from(Status::new(code, message)).explain_write(operation),
    }
}

fn said(status: &Status, operation: &'static str) -> Error {
    let (kind, message, hint) = match status.code() {
        Code::Unauthenticated => {
            (ErrorKind::Permission, "the server must know who asks".into(), Some(TOKEN_HINT))
        }
        Code::PermissionDenied => {
            (ErrorKind::Permission, "these credentials do not allow that".into(), Some(TOKEN_HINT))
        }
        Code::NotFound => (ErrorKind::NotFound, short(status.message()), None),
        Code::Unimplemented => (
            ErrorKind::Unavailable,
            "the server does not speak the Remote Execution API, or not this part of it".into(),
            Some(REACHABLE),
        ),
        Code::ResourceExhausted => {
            (ErrorKind::Unavailable, format!("too much was asked: {}", short(status.message())), None)
        }
        Code::FailedPrecondition => (
            ErrorKind::Unavailable,
            format!("the server lacks what was just sent: {}", short(status.message())),
            Some("is the server's storage too small?"),
        ),
        _ => unreachable(status).unwrap_or_else(|| {
            let message = format!("{} ({})", short(status.message()), status.code().description());
            (ErrorKind::Unavailable, message, None)
        }),
    };
    let error = Error::new(kind, operation).with_message(message).with("tier", NAME);
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// Why there is no connection, if that is what went wrong.
fn unreachable(status: &Status) -> Option<(ErrorKind, String, Option<&'static str>)> {
    let mut transport = false;
    let mut deepest: Option<String> = None;
    let mut spoken = None;
    let mut next = status.source();
    while let Some(cause) = next {
        transport |= cause.is::<tonic::transport::Error>();
        spoken = cause.downcast_ref::<io::Error>().map(io::Error::kind).or(spoken);
        deepest = Some(cause.to_string());
        next = cause.source();
    }
    if !transport && spoken.is_none() {
        return None;
    }
    let why = short(&deepest.unwrap_or_default());
    use io::ErrorKind as Of;
    let (message, hint) = match spoken {
        Some(Of::InvalidData) => ("no TLS connection comes about", TLS),
        // It was there, and the other side closed it.
        Some(Of::UnexpectedEof | Of::BrokenPipe | Of::ConnectionReset | Of::ConnectionAborted) | None => {
            ("the connection does not hold", SCHEME)
        }
        Some(_) => ("the server cannot be reached", REACHABLE),
    };
    Some((ErrorKind::Unavailable, format!("{message}: {why}"), Some(hint)))
}
