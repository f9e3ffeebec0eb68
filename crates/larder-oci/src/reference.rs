//! References: `[host[:port]/]repository[:tag][@digest]`, read as docker reads them.
//!
//! Grammar: names and tags of distribution-spec, "Pulling manifests". Defaults are docker's: without a host it is
//! `docker.io`, a single name there lies below `library/`, and a first part is a host only if it has a dot, a port, or is
//! `localhost`. Before the host may stand `http://` (plain) or `https://` (TLS, also on loopback).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::digest::OciDigest;
use crate::said::short;

/// What is at most read of a text.
const LONGEST: usize = 1024;
const LONGEST_REPOSITORY: usize = 255;
const LONGEST_TAG: usize = 128;
const DOCKER: &str = "docker.io";

/// Why a text is not a reference, or not a part of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: {why}")]
pub struct ParseReferenceError {
    text: String,
    what: &'static str,
    why: &'static str,
}

impl ParseReferenceError {
    fn new(text: &str, what: &'static str, why: &'static str) -> Self {
        Self { text: short(text, 150), what, why }
    }

    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        "a reference looks like `registry.example:5000/team/name:tag`, or ends with `@sha256:<64 hex digits>`"
    }
}

/// How a registry is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Scheme {
    /// TLS, save on loopback.
    Usual,
    Http,
    Https,
}

/// The host of a registry, with its port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host {
    /// Lower case; an IPv6 address without brackets.
    name: String,
    port: Option<u16>,
    scheme: Scheme,
}

impl Host {
    /// Docker's own registry, the default.
    #[must_use]
    pub fn docker() -> Self {
        Self { name: DOCKER.to_owned(), port: None, scheme: Scheme::Usual }
    }

    /// The name or address, without a port; an IPv6 address without brackets.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port, if one was said.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether it is this machine: `localhost`, 127.0.0.0/8, `::1`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.name == "localhost" || self.name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Whether it is spoken to without TLS: when the text said `http://`, or on loopback unless it said `https://`.
    #[must_use]
    pub fn is_plain_http(&self) -> bool {
        match self.scheme {
            Scheme::Http => true,
            Scheme::Https => false,
            Scheme::Usual => self.is_loopback(),
        }
    }

    /// The same host, spoken to without TLS.
    #[must_use]
    pub fn with_plain_http(mut self) -> Self {
        self.scheme = Scheme::Http;
        self
    }

    /// Where its API is, without a slash at the end: `https://registry.example:5000`.
    #[must_use]
    pub fn base(&self) -> String {
        let scheme = if self.is_plain_http() { "http" } else { "https" };
        // Docker's registry is named after its web site, and answers elsewhere.
        let name = if self.is_docker() { "registry-1.docker.io" } else { &self.name };
        format!("{scheme}://{}", Self { name: name.to_owned(), ..self.clone() })
    }

    /// Whether it is docker's own registry.
    #[must_use]
    pub fn is_docker(&self) -> bool {
        self.name == DOCKER && self.port.is_none()
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let brackets = self.name.contains(':');
        let (open, close) = if brackets { ("[", "]") } else { ("", "") };
        write!(f, "{open}{}{close}", self.name)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl FromStr for Host {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, ParseReferenceError> {
        let wrong = |why| ParseReferenceError::new(text, "a registry's host", why);
        if text.len() > LONGEST {
            return Err(wrong("it is too long"));
        }
        let (scheme, rest) = scheme(text);
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (name, port) = match rest.strip_prefix('[') {
            Some(inner) => {
                let (address, port) = inner.split_once(']').ok_or_else(|| wrong("`]` is missing"))?;
                address.parse::<std::net::Ipv6Addr>().map_err(|_| wrong("no IPv6 address is in brackets"))?;
                let port = match port {
                    "" => None,
                    _ => Some(port.strip_prefix(':').ok_or_else(|| wrong("after `]` comes `:` and a port"))?),
                };
                (address.to_ascii_lowercase(), port)
            }
            None => {
                let (name, port) =
                    rest.split_once(':').map_or((rest, None), |(name, port)| (name, Some(port)));
                if !is_host_name(name) {
                    return Err(wrong("host names are letters, digits, `-` and `.`"));
                }
                (name.to_ascii_lowercase(), port)
            }
        };
        let port = match port {
            None => None,
            Some(port) if port.bytes().all(|c| c.is_ascii_digit()) => {
                let port = port.parse().ok().filter(|port| *port != 0);
                Some(port.ok_or_else(|| wrong("the port is not one of 1 to 65535"))?)
            }
            Some(_) => return Err(wrong("a port is a number")),
        };
        let name = if name == "index.docker.io" || name == "registry-1.docker.io" {
            DOCKER.to_owned()
        } else {
            name
        };
        Ok(Self { name, port, scheme })
    }
}

fn scheme(text: &str) -> (Scheme, &str) {
    if let Some(rest) = text.strip_prefix("http://") {
        (Scheme::Http, rest)
    } else if let Some(rest) = text.strip_prefix("https://") {
        (Scheme::Https, rest)
    } else {
        (Scheme::Usual, text)
    }
}

fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        let ends = |c: Option<u8>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        let bytes = label.as_bytes();
        ends(bytes.first().copied())
            && ends(bytes.last().copied())
            && bytes.iter().all(|c| c.is_ascii_alphanumeric() || *c == b'-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// The name of a repository in a registry: `team/name` (distribution-spec, "Pulling manifests": `<name>`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryName(String);

impl RepositoryName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RepositoryName {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, ParseReferenceError> {
        let wrong = |why| ParseReferenceError::new(text, "a repository's name", why);
        if text.len() > LONGEST_REPOSITORY {
            return Err(wrong("it is longer than 255 characters"));
        }
        if text.bytes().any(|c| c.is_ascii_uppercase()) {
            return Err(wrong("it must be in lower case"));
        }
        if !text.split('/').all(is_name_part) {
            return Err(wrong(
                "its parts are lower-case letters and digits, with `.`, `_`, `__` or `-` between them",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_name_part(part: &str) -> bool {
    let alphanumeric = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = part.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    alphanumeric(*first)
        && alphanumeric(*last)
        && part
            .split(|c: char| c.is_ascii() && alphanumeric(c as u8))
            .all(|between| matches!(between, "" | "." | "_" | "__") || between.bytes().all(|c| c == b'-'))
}

/// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}` (distribution-spec, "Pulling manifests").
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `latest`, docker's default.
    #[must_use]
    pub fn latest() -> Self {
        Self("latest".to_owned())
    }

    /// The tag under which referrers of `subject` are listed where a registry has no API for them (distribution-spec,
    /// "Referrers tag schema").
    #[must_use]
    pub fn of_referrers(subject: &OciDigest) -> Self {
        let mut hex = subject.hex();
        hex.truncate(64);
        Self(format!("{}-{hex}", subject.algorithm().name()))
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Tag {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, ParseReferenceError> {
        let wrong = |why| ParseReferenceError::new(text, "a tag", why);
        let mut bytes = text.bytes();
        let first = bytes.next().ok_or_else(|| wrong("it is empty"))?;
        if text.len() > LONGEST_TAG {
            return Err(wrong("it is longer than 128 characters"));
        }
        let word = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
        if !word(first) || !bytes.all(|c| word(c) || c == b'.' || c == b'-') {
            return Err(wrong(
                "it is letters, digits, `_`, `.` and `-`, and begins with none of the last two",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// What a manifest is asked for by: `<reference>` of distribution-spec, "Pulling manifests".
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TagOrDigest {
    /// A name that may move.
    Tag(Tag),
    /// The content itself.
    Digest(OciDigest),
}

impl TagOrDigest {
    /// The digest, if it is one.
    #[must_use]
    pub fn digest(&self) -> Option<&OciDigest> {
        match self {
            Self::Digest(digest) => Some(digest),
            Self::Tag(_) => None,
        }
    }
}

impl fmt::Display for TagOrDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl From<Tag> for TagOrDigest {
    fn from(tag: Tag) -> Self {
        Self::Tag(tag)
    }
}

impl From<&Tag> for TagOrDigest {
    fn from(tag: &Tag) -> Self {
        Self::Tag(tag.clone())
    }
}

impl From<OciDigest> for TagOrDigest {
    fn from(digest: OciDigest) -> Self {
        Self::Digest(digest)
    }
}

impl From<&OciDigest> for TagOrDigest {
    fn from(digest: &OciDigest) -> Self {
        Self::Digest(*digest)
    }
}

/// Where something is in a registry: `host/repository[:tag][@digest]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    host: Host,
    repository: RepositoryName,
    tag: Option<Tag>,
    digest: Option<OciDigest>,
}

impl Reference {
    /// A repository without a tag or digest.
    #[must_use]
    pub fn new(host: Host, repository: RepositoryName) -> Self {
        Self { host, repository, tag: None, digest: None }
    }

    /// The same repository, with this tag or digest instead.
    #[must_use]
    pub fn with(mut self, which: impl Into<TagOrDigest>) -> Self {
        (self.tag, self.digest) = match which.into() {
            TagOrDigest::Tag(tag) => (Some(tag), None),
            TagOrDigest::Digest(digest) => (None, Some(digest)),
        };
        self
    }

    /// The registry.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The repository in it.
    #[must_use]
    pub fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    /// The tag, if one was said.
    #[must_use]
    pub fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// The digest, if one was said.
    #[must_use]
    pub fn digest(&self) -> Option<&OciDigest> {
        self.digest.as_ref()
    }

    /// What to ask for: the digest, else the tag, else `latest`.
    #[must_use]
    pub fn which(&self) -> TagOrDigest {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => TagOrDigest::Digest(*digest),
            (None, Some(tag)) => TagOrDigest::Tag(tag.clone()),
            (None, None) => TagOrDigest::Tag(Tag::latest()),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.host.scheme {
            Scheme::Usual => "",
            Scheme::Http => "http://",
            Scheme::Https => "https://",
        };
        write!(f, "{scheme}{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.as_ref().map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

impl FromStr for Reference {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, ParseReferenceError> {
        let wrong = |why| ParseReferenceError::new(text, "a reference", why);
        if text.len() > LONGEST {
            return Err(wrong("it is too long"));
        }
        let (said, rest) = scheme(text);
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => {
                let digest =
                    digest.parse().map_err(|_| wrong("after `@` comes `sha256:` and 64 hex digits"))?;
                (rest, Some(digest))
            }
            None => (rest, None),
        };
        let (host, path) = match rest.split_once('/') {
            Some((first, path)) if said != Scheme::Usual || is_host(first) => {
                let mut host: Host = first.parse()?;
                host.scheme = said;
                (host, path)
            }
            None if said != Scheme::Usual => return Err(wrong("after the host comes a repository's name")),
            _ => (Host::docker(), rest),
        };
        let (path, tag) = match path.rsplit_once(':') {
            Some((path, tag)) => (path, Some(tag.parse()?)),
            None => (path, None),
        };
        if host.is_docker()
            && path.len() == 64
            && path.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Err(wrong("a name of 64 hex digits would be mistaken for a digest"));
        }
        let repository = if host.is_docker() && !path.contains('/') {
            format!("library/{path}").parse()?
        } else {
            path.parse()?
        };
        Ok(Self { host, repository, tag, digest })
    }
}

/// Docker's rule for the part before the first slash, save that upper case alone makes no host: it is more often a mistake.
fn is_host(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':', '['])
}
