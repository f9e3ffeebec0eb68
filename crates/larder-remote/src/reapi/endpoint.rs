//! Where a server is, and who asks: the forms of `endpoint`, the instance, the token.
//!
//! | written | spoken |
//! |---|---|
//! | `grpcs://host:port`, `https://host:port`, `host:port` | TLS, with the machine's roots |
//! | `grpc://host:port`, `http://host:port` | without encryption |
//!
//! As Bazel reads them. Without a port: 443, and 80 without encryption. A token is never sent unencrypted, save to this
//! machine itself.

use larder_core::{Error, ErrorKind, Result};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Uri;

use super::ReapiConfig;
use crate::Environment;

/// The variable that has the token.
pub(crate) const TOKEN: &str = "LARDER_REAPI_TOKEN";

/// Words that the API's names of resources are made of: no part of an instance may be one.
const RESERVED: &[&str] =
    &["blobs", "uploads", "actions", "actionResults", "operations", "capabilities", "compressed-blobs"];

/// A server, and who asks.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// With the scheme `http` or `https`.
    pub(crate) uri: Uri,
    /// Whether TLS is spoken.
    pub(crate) tls: bool,
    /// The instance; may be empty.
    pub(crate) instance: String,
    /// The header `authorization`. Prints as `Sensitive`.
    pub(crate) token: Option<MetadataValue<Ascii>>,
}

impl Place {
    /// What a configuration and an environment say.
    ///
    /// # Errors
    /// `Invalid` when they make no sense; `Permission` when a token would travel unencrypted.
    pub(crate) fn new(config: &ReapiConfig, environment: &Environment) -> Result<Self> {
        let wrong = |message: &'static str, hint: &'static str| {
            Error::new(ErrorKind::Invalid, "open a cache tier")
                .with("endpoint", &config.endpoint)
                .with_message(message)
                .with_hint(hint)
        };
        let (tls, authority) = split(config.endpoint.trim()).ok_or_else(|| {
            wrong("no such scheme", "write `grpcs://host:port`, or `grpc://host:port` without encryption")
        })?;
        let scheme = if tls { "https" } else { "http" };
        let uri: Uri = format!("{scheme}://{}", authority.strip_suffix('/').unwrap_or(authority))
            .parse()
            .map_err(|_| wrong("not an address", "write `grpcs://host:port`"))?;
        if uri.host().is_none_or(str::is_empty) || uri.authority().is_some_and(|it| it.as_str().contains('@'))
        {
            return Err(wrong("not an address", "write `grpcs://host:port`"));
        }
        if uri.path() != "/" || uri.query().is_some() {
            return Err(wrong("nothing may follow the port", "a name there goes into the tier's `instance`"));
        }
        let instance = config.instance.trim_matches('/').to_owned();
        if !instance.is_empty() && instance.split('/').any(|part| part.is_empty() || RESERVED.contains(&part))
        {
            return Err(Error::new(ErrorKind::Invalid, "open a cache tier")
                .with("instance", &config.instance)
                .with_message("a part of it is empty, or a word that the protocol uses")
                .with_hint("mend the tier's `instance`"));
        }
        let token = environment.iter().find(|(name, _)| name == TOKEN).map(|(_, value)| value.trim());
        let token = token.filter(|token| !token.is_empty()).map(bearer).transpose()?;
        if token.is_some() && !tls && !is_loopback(&uri) {
            return Err(Error::new(ErrorKind::Permission, "open a cache tier")
                .with("endpoint", &config.endpoint)
                .with_message("a token is not sent without encryption")
                .with_hint(format!("use `grpcs://`, or unset {TOKEN}")));
        }
        Ok(Self { uri, tls, instance, token })
    }

    /// What stands before the name of a resource.
    pub(crate) fn prefix(&self) -> String {
        if self.instance.is_empty() { String::new() } else { format!("{}/", self.instance) }
    }
}

/// Whether TLS is spoken, and what follows the scheme.
fn split(endpoint: &str) -> Option<(bool, &str)> {
    match endpoint.split_once("://") {
        None => Some((true, endpoint)),
        Some(("grpcs" | "https", rest)) => Some((true, rest)),
        Some(("grpc" | "http", rest)) => Some((false, rest)),
        Some(_) => None,
    }
}

fn bearer(token: &str) -> Result<MetadataValue<Ascii>> {
    let mut value: MetadataValue<Ascii> = format!("Bearer {token}").parse().map_err(|_| {
        Error::new(ErrorKind::Invalid, "open a cache tier")
            .with_message(format!("{TOKEN} has characters that a header cannot have"))
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn place(endpoint: &str, instance: &str, token: Option<&str>) -> Result<Place> {
        let environment: Vec<_> =
            token.map(|token| (TOKEN.to_owned(), token.to_owned())).into_iter().collect();
        Place::new(&ReapiConfig { endpoint: endpoint.into(), instance: instance.into() }, &environment)
    }

    #[test]
    fn schemes_are_read_as_bazel_reads_them() {
        for (written, tls) in [
            ("cache.example.org:8980", true),
            ("grpcs://cache.example.org", true),
            ("https://cache.example.org/", true),
            ("grpc://cache.example.org:80", false),
            ("http://[::1]:8980", false),
        ] {
            assert_eq!(place(written, "", None).unwrap().tls, tls, "{written}");
        }
        for wrong in ["unix:///run/cache", "grpc://", "grpc://host/instance", "a b:1", "grpc://user@host:1"] {
            assert_eq!(place(wrong, "", None).unwrap_err().kind(), ErrorKind::Invalid, "{wrong}");
        }
    }

    #[test]
    fn instances_that_would_be_misread_are_refused() {
        assert_eq!(place("host:1", "main/team", None).unwrap().prefix(), "main/team/");
        assert_eq!(place("host:1", "", None).unwrap().prefix(), "");
        for wrong in ["a/blobs", "uploads", "a//b"] {
            assert!(place("host:1", wrong, None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_token_is_neither_printed_nor_sent_in_the_open() {
        let place_with = |endpoint| place(endpoint, "", Some("swordfish"));
        assert!(!format!("{:?}", place_with("host:1").unwrap()).contains("swordfish"));
        assert!(place_with("grpc://127.0.0.1:1").unwrap().token.is_some());
        let refused = place_with("grpc://host:1").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Permission);
        assert!(!format!("{refused:?}").contains("swordfish"));
        assert!(place("host:1", "", Some("a\nb")).is_err());
    }
}
