//! What a person writes for an image: a registry's reference, or one of skopeo's transports.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::reference::{ParseReferenceError, Reference};

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageReference {
    /// In a registry: `debian:12`, `127.0.0.1:5000/app@sha256:…`, also with `docker://` before it.
    Registry(Reference),
    /// In an image layout in a folder: `oci:DIR[:NAME]`.
    Layout {
        /// The folder.
        path: PathBuf,
        /// The image's name in it; without, it must be the only one.
        name: Option<String>,
    },
    /// In an image layout in a tar file: `oci-archive:FILE[:NAME]`.
    OciArchive {
        /// The file.
        path: PathBuf,
        /// As above.
        name: Option<String>,
    },
    /// In a file of `docker save`: `docker-archive:FILE[:NAME:TAG]`.
    DockerArchive {
        /// The file.
        path: PathBuf,
        /// As above, with its tag.
        name: Option<String>,
    },
}

/// A text that names no image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseImageReferenceError {
    /// It looks like a registry's reference, and is none.
    #[error(transparent)]
    Reference(#[from] ParseReferenceError),
    /// A transport without a path.
    #[error("`{0}:` needs a path behind it")]
    NoPath(&'static str),
}

impl ParseImageReferenceError {
    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> &str {
        match self {
            Self::Reference(error) => error.hint(),
            Self::NoPath(_) => {
                "for instance `oci:folder:name`, `oci-archive:file.tar` or `docker-archive:file.tar`"
            }
        }
    }
}

impl FromStr for ImageReference {
    type Err = ParseImageReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let after = |transport: &'static str| {
            text.strip_prefix(transport)?.strip_prefix(':').map(|rest| (transport, rest))
        };
        let split = |(transport, rest): (&'static str, &str)| {
            let (path, name) = match rest.split_once(':') {
                Some((path, name)) => (path, Some(name.to_owned()).filter(|name| !name.is_empty())),
                None => (rest, None),
            };
            if path.is_empty() {
                Err(ParseImageReferenceError::NoPath(transport))
            } else {
                Ok((PathBuf::from(path), name))
            }
        };
        if let Some(found) = after("oci-archive") {
            return split(found).map(|(path, name)| Self::OciArchive { path, name });
        }
        if let Some(found) = after("docker-archive") {
            return split(found).map(|(path, name)| Self::DockerArchive { path, name });
        }
        if let Some(found) = after("oci") {
            return split(found).map(|(path, name)| Self::Layout { path, name });
        }
        Ok(Self::Registry(text.strip_prefix("docker://").unwrap_or(text).parse()?))
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (transport, path, name) = match self {
            Self::Registry(reference) => return reference.fmt(f),
            Self::Layout { path, name } => ("oci", path, name),
            Self::OciArchive { path, name } => ("oci-archive", path, name),
            Self::DockerArchive { path, name } => ("docker-archive", path, name),
        };
        write!(f, "{transport}:{}", path.display())?;
        name.as_ref().map_or(Ok(()), |name| write!(f, ":{name}"))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn transports_and_registries_are_told_apart() {
        let parse = |text: &str| text.parse::<ImageReference>();
        assert!(matches!(parse("debian:12").unwrap(), ImageReference::Registry(_)));
        assert!(matches!(parse("docker://127.0.0.1:5000/a@sha256:0000000000000000000000000000000000000000000000000000000000000000").unwrap(), ImageReference::Registry(_)));
        let layout = ImageReference::Layout { path: "a/b".into(), name: Some("x:y".into()) };
        assert_eq!(parse("oci:a/b:x:y").unwrap(), layout);
        assert_eq!(layout.to_string(), "oci:a/b:x:y");
        assert_eq!(
            parse("oci-archive:f.tar").unwrap(),
            ImageReference::OciArchive { path: "f.tar".into(), name: None }
        );
        assert!(parse("oci:").is_err());
        assert!(parse("A B").is_err());
    }
}
