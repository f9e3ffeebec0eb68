//! Which registry stands in for which: `REGISTRY=MIRROR[/PREFIX]`.

use std::fmt;
use std::str::FromStr;

use crate::reference::{Host, Reference, RepositoryName};

/// A registry that has copies of another's images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    of: Host,
    at: Host,
    prefix: Option<RepositoryName>,
}

/// A text that names no mirror.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` names no mirror: {why}")]
pub struct ParseMirrorError {
    text: String,
    why: String,
}

impl ParseMirrorError {
    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        "a mirror is written `REGISTRY=MIRROR[/PREFIX]`, for instance `docker.io=mirror.example.org/hub`"
    }
}

impl Mirror {
    /// All mirrors of a list with commas, blanks around them ignored.
    ///
    /// # Errors
    /// The first that is none.
    pub fn list(text: &str) -> Result<Vec<Self>, ParseMirrorError> {
        text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::parse).collect()
    }

    /// Where `reference` is in this mirror, if it is a mirror of its registry.
    #[must_use]
    pub fn of(&self, reference: &Reference) -> Option<Reference> {
        let host = reference.host();
        if (host.name(), host.port()) != (self.of.name(), self.of.port()) {
            return None;
        }
        let repository = match &self.prefix {
            None => reference.repository().clone(),
            Some(prefix) => format!("{prefix}/{}", reference.repository()).parse().ok()?,
        };
        Some(Reference::new(self.at.clone(), repository).with(reference.which()))
    }
}

impl FromStr for Mirror {
    type Err = ParseMirrorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |why: &str| ParseMirrorError { text: text.to_owned(), why: why.to_owned() };
        let (of, at) = text.split_once('=').ok_or_else(|| wrong("it has no `=`"))?;
        let of: Host = of.trim().parse().map_err(|_| wrong("before `=` comes a registry's host"))?;
        let at = at.trim().trim_end_matches('/');
        // With its scheme, if it has one: that of a mirror on this machine says whether it speaks TLS.
        let host = at.find("://").map_or(0, |colon| colon + "://".len());
        let (at, prefix) = match at[host..].find('/') {
            Some(slash) => (&at[..host + slash], Some(&at[host + slash + 1..])),
            None => (at, None),
        };
        let at: Host = at.parse().map_err(|_| wrong("behind `=` comes a registry's host"))?;
        let prefix =
            prefix.map(|prefix| prefix.parse().map_err(|_| wrong("its prefix is no repository's name")));
        Ok(Self { of, at, prefix: prefix.transpose()? })
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.of, self.at)?;
        self.prefix.as_ref().map_or(Ok(()), |prefix| write!(f, "/{prefix}"))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn mirrors_are_read_and_used_for_their_registry() {
        let all = Mirror::list("docker.io=mirror.example.org/hub, 127.0.0.1:5000=127.0.0.1:5001,,").unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].to_string(), "docker.io=mirror.example.org/hub");
        let debian: Reference = "debian:12".parse().unwrap();
        assert_eq!(all[0].of(&debian).unwrap().to_string(), "mirror.example.org/hub/library/debian:12");
        assert_eq!(all[1].of(&debian), None);
        let local: Reference = "127.0.0.1:5000/a/b".parse().unwrap();
        assert_eq!(all[1].of(&local).unwrap().to_string(), "127.0.0.1:5001/a/b:latest");
        assert_eq!(all[1].of(&"127.0.0.1:5002/a".parse().unwrap()), None);
        // On this machine it is told what speaks TLS.
        let tls: Mirror = "docker.io=https://127.0.0.1:5001/hub".parse().unwrap();
        assert_eq!(tls.of(&debian).unwrap().to_string(), "https://127.0.0.1:5001/hub/library/debian:12");
        let plain: Mirror = "docker.io=http://mirror.example.org/".parse().unwrap();
        assert_eq!(plain.of(&debian).unwrap().host().base(), "http://mirror.example.org");
        for wrong in [
            "",
            "a",
            "=b",
            "a=https://",
            "a=ftp://b",
            "docker.io=",
            "docker.io=a b",
            "docker.io=m/UPPER",
            "d o=m",
        ] {
            assert!(wrong.parse::<Mirror>().is_err(), "{wrong}");
        }
    }
}
