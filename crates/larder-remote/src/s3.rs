//! An S3 bucket as a tier, or anything that speaks its protocol.
//!
//! Credentials come from the `AWS_*` variables, or a container's or an instance's own service; `~/.aws` is not read.

use std::sync::Arc;

use larder_core::{Error, ErrorKind, Result};
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};

use crate::Environment;
use crate::bucket::{self, BucketOptions};
use crate::connection;
use crate::packed::PackedTier;

/// Its name in the configuration.
pub const NAME: &str = "s3";

/// Which bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Config {
    /// The bucket.
    pub bucket: String,
    /// Its region.
    pub region: Option<String>,
    /// A server other than Amazon's.
    pub endpoint: Option<String>,
}

/// What tells this bucket from others.
#[must_use]
pub fn identity(config: &S3Config, environment: &Environment) -> String {
    format!("s3:{}/{}", endpoint(config, environment).unwrap_or_default(), config.bucket)
}

/// Where the server is, if it is not Amazon's.
fn endpoint<'a>(config: &'a S3Config, environment: &'a Environment) -> Option<&'a str> {
    let set =
        |name: &str| environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    config.endpoint.as_deref().or_else(|| set("AWS_ENDPOINT_URL_S3")).or_else(|| set("AWS_ENDPOINT_URL"))
}

/// One of these says where credentials come from; else the machine's own service is asked.
const CREDENTIALS: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
];
const SET_CREDENTIALS: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";

/// Opens the tier. Nothing is asked of the bucket yet.
///
/// # Errors
/// `Invalid` when the configuration makes no sense; `Permission` when a server other than Amazon's is named and no
/// credentials are.
pub fn open(config: &S3Config, environment: &Environment, options: BucketOptions) -> Result<PackedTier> {
    let set =
        |name: &str| environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let endpoint = endpoint(config, environment);
    let given = CREDENTIALS.iter().any(|name| set(name).is_some());
    if !given && config.endpoint.is_some() {
        return Err(Error::new(ErrorKind::Permission, "open a cache tier")
            .with("bucket", &config.bucket)
            .with_message("there are no credentials")
            .with_hint(SET_CREDENTIALS));
    }
    let options = BucketOptions { silent: (!given).then_some(SET_CREDENTIALS), ..options };
    let mut builder = AmazonS3Builder::new().with_client_options(connection::options(endpoint));
    for (name, value) in environment {
        if let Ok(key) = name.to_ascii_lowercase().parse()
            && name.starts_with("AWS_")
        {
            builder = builder.with_config(key, value);
        }
    }
    builder = builder
        .with_bucket_name(&config.bucket)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_retry(connection::retry());
    if let Some(region) = &config.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    let store = builder.build().map_err(|error| {
        Error::new(ErrorKind::Invalid, "open a cache tier").with("bucket", &config.bucket).caused_by(error)
    })?;
    Ok(bucket::tier(Arc::new(store), NAME, &identity(config, environment), options))
}
