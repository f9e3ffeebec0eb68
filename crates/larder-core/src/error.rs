//! The one public error of Larder.
//!
//! An [`Error`] says five things: *what kind* of failure it is ([`ErrorKind`], the only thing that code decides
//! on), *whether trying again may help* ([`Error::is_retryable`]), *what was being done* (an operation written as
//! it follows "failed to": `open index`), *on what* (context pairs such as `path` or `digest`), and *what a person
//! can do* (a hint). The cause, where there is one, is its [`source`](std::error::Error::source).
//!
//! # How it prints
//! [`Display`](fmt::Display) gives one line without the hint and without the cause, because whoever prints an error
//! prints those on lines of their own:
//!
//! ```text
//! error: failed to open index (path `/home/me/larder/index.db`): written by a newer Larder
//! caused by: …
//! hint: update Larder, or choose another `LARDER_HOME`
//! ```
//!
//! # What is not promised
//! The text. Decide by [`Error::kind`], or downcast the source where a protocol must act on a typed detail. Both
//! enums may grow.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::io;

/// The result of nearly everything in Larder.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure an [`Error`] is: the thing to decide on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was asked for is not there.
    NotFound,
    /// Bytes are not what they were said to be.
    Corrupt,
    /// The caller, or a person's configuration, asked for something that makes no sense.
    Invalid,
    /// The operating system or a server refused.
    Permission,
    /// No space left, or a quota is used up.
    Full,
    /// The file system or the tier takes no writes.
    ReadOnly,
    /// A format version that this Larder does not know.
    Version,
    /// Somebody else holds it at the moment.
    Busy,
    /// A tier cannot be reached, or did not answer in time.
    Unavailable,
    /// Content whose signature is missing, wrong or not trusted here.
    Untrusted,
    /// The caller gave up.
    Cancelled,
    /// Another failure of input or output.
    Io,
    /// A bug in Larder.
    Internal,
}

impl ErrorKind {
    /// The kind as a short lower-case phrase, for a message that has nothing better to say.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not found",
            Self::Corrupt => "corrupt content",
            Self::Invalid => "invalid input",
            Self::Permission => "permission denied",
            Self::Full => "no space left",
            Self::ReadOnly => "read-only",
            Self::Version => "unknown format version",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
            Self::Untrusted => "not trusted",
            Self::Cancelled => "cancelled",
            Self::Io => "input or output failed",
            Self::Internal => "internal error",
        }
    }

    /// Whether failures of this kind may pass by themselves.
    const fn usually_passes(self) -> bool {
        matches!(self, Self::Busy | Self::Unavailable)
    }

    /// The kind of an I/O error.
    ///
    /// A full disk, a quota and a read-only file system are told apart, because a cache that meets one of them
    /// steps aside instead of failing the build.
    pub fn of_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            io::ErrorKind::PermissionDenied => Self::Permission,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            io::ErrorKind::WouldBlock | io::ErrorKind::ResourceBusy => Self::Busy,
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Self::Corrupt,
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidFilename => Self::Invalid,
            io::ErrorKind::TimedOut
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::NotConnected
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown => Self::Unavailable,
            _ => Self::Io,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure of Larder; see the [module](self) for what its parts mean.
///
/// It is one pointer wide, so that a `Result` on a hot path stays small.
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: ErrorKind,
    retryable: bool,
    operation: &'static str,
    message: Option<Cow<'static, str>>,
    context: Vec<(&'static str, String)>,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A failure of `kind` while trying to `operation` (as it follows "failed to": `read pack`).
    pub fn new(kind: ErrorKind, operation: &'static str) -> Self {
        Self {
            inner: Box::new(Inner {
                kind,
                retryable: kind.usually_passes(),
                operation,
                message: None,
                context: Vec::new(),
                hint: None,
                source: None,
            }),
        }
    }

    /// The failure that an I/O error means while trying to `operation`; the kind follows from the error, and a
    /// full disk or a read-only file system comes with a hint.
    pub fn from_io(source: io::Error, operation: &'static str) -> Self {
        let kind = ErrorKind::of_io(&source);
        let error = Self::new(kind, operation);
        let retryable = source.kind() == io::ErrorKind::Interrupted || kind.usually_passes();
        let error = match kind {
            ErrorKind::Full => {
                error.with_hint("free some space, or make the cache smaller: `larder cache gc --to-size 1G`")
            }
            ErrorKind::ReadOnly => error.with_hint("point `LARDER_HOME` to a folder that can be written"),
            ErrorKind::Permission => error.with_hint("check the owner and the mode of this path"),
            _ => error,
        };
        error.retryable(retryable).caused_by(source)
    }

    /// Says what is wrong, as a lower-case fragment without a final period.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.inner.message = Some(message.into());
        self
    }

    /// Adds what the operation was about. Never a secret: this is printed.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.inner.context.push((name, value.to_string()));
        self
    }

    /// Says what a person can do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.inner.hint = Some(hint.into());
        self
    }

    /// Sets the cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// Overrides whether trying again may help.
    #[must_use]
    pub fn retryable(mut self, retryable: bool) -> Self {
        self.inner.retryable = retryable;
        self
    }

    /// Names the operation of the caller, which usually says more; the former one is kept as context.
    #[must_use]
    pub fn during(mut self, operation: &'static str) -> Self {
        let former = std::mem::replace(&mut self.inner.operation, operation);
        self.inner.context.push(("at", former.to_owned()));
        self
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// Whether the same call may succeed later without anybody's doing.
    pub fn is_retryable(&self) -> bool {
        self.inner.retryable
    }

    /// Whether a cache should step aside and let the build go on without it: the place is full, read-only, not
    /// ours, busy or out of reach, which says nothing about the build.
    pub fn is_degradable(&self) -> bool {
        matches!(
            self.inner.kind,
            ErrorKind::Full
                | ErrorKind::ReadOnly
                | ErrorKind::Permission
                | ErrorKind::Busy
                | ErrorKind::Unavailable
                | ErrorKind::Io
        )
    }

    /// What was being done, as it follows "failed to".
    pub fn operation(&self) -> &'static str {
        self.inner.operation
    }

    /// What the operation was about, in the order in which it was added.
    pub fn context(&self) -> &[(&'static str, String)] {
        &self.inner.context
    }

    /// What a person can do, if anything is known.
    pub fn hint(&self) -> Option<&str> {
        self.inner.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to {}", self.inner.operation)?;
        for (index, (name, value)) in self.inner.context.iter().enumerate() {
            f.write_str(if index == 0 { " (" } else { ", " })?;
            write!(f, "{name} `{value}`")?;
        }
        if !self.inner.context.is_empty() {
            f.write_str(")")?;
        }
        match &self.inner.message {
            Some(message) => write!(f, ": {message}"),
            None if self.inner.source.is_some() => Ok(()),
            None => write!(f, ": {}", self.inner.kind),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.inner.kind)
            .field("operation", &self.inner.operation)
            .field("message", &self.inner.message)
            .field("context", &self.inner.context)
            .field("hint", &self.inner.hint)
            .field("retryable", &self.inner.retryable)
            .field("source", &self.inner.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// Any error with its causes, in one line: `what: why: why`. A cause that the text before it says already is not said again.
#[must_use]
pub fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_full_disk_means_is_told_apart() {
        // ENOSPC, EDQUOT, EROFS, EACCES, EPERM as Linux numbers them.
        for (number, kind) in [
            (28, ErrorKind::Full),
            (122, ErrorKind::Full),
            (30, ErrorKind::ReadOnly),
            (13, ErrorKind::Permission),
            (1, ErrorKind::Permission),
            (2, ErrorKind::NotFound),
            (11, ErrorKind::Busy),
            (5, ErrorKind::Io),
        ] {
            let error = Error::from_io(io::Error::from_raw_os_error(number), "write pack");
            assert_eq!(error.kind(), kind, "errno {number}");
        }
    }

    #[test]
    fn an_error_prints_as_one_fragment() {
        let error = Error::new(ErrorKind::Version, "open index")
            .with("path", "/home/me/larder/index.db")
            .with_message("written by a newer Larder")
            .with_hint("update Larder");
        assert_eq!(
            error.to_string(),
            "failed to open index (path `/home/me/larder/index.db`): written by a newer Larder"
        );
        assert_eq!(error.hint(), Some("update Larder"));
    }

    #[test]
    fn the_cause_is_not_printed_twice() {
        let error = Error::from_io(io::Error::other("the disk fell over"), "read pack").with("id", 7);
        assert_eq!(error.to_string(), "failed to read pack (id `7`)");
        assert_eq!(StdError::source(&error).map(ToString::to_string).as_deref(), Some("the disk fell over"));
    }

    #[test]
    fn without_a_message_the_kind_speaks() {
        assert_eq!(Error::new(ErrorKind::Busy, "lock store").to_string(), "failed to lock store: busy");
        assert!(Error::new(ErrorKind::Busy, "lock store").is_retryable());
        assert!(!Error::new(ErrorKind::Corrupt, "read chunk").is_retryable());
    }

    #[test]
    fn the_callers_operation_replaces_ours() {
        let error = Error::new(ErrorKind::Internal, "read row").during("look up result");
        assert_eq!(error.operation(), "look up result");
        assert_eq!(error.context(), [("at", "read row".to_owned())]);
    }
}
