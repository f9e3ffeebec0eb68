//! An S3 bucket as a tier, or anything that speaks its protocol.
//!
//! Credentials come from the usual places: the `AWS_*` variables, a container's or an instance's own service.

use std::sync::Arc;

use larder_core::{Error, ErrorKind, Result};
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};

use crate::Environment;
use crate::bucket::{BucketOptions, BucketTier};
use crate::connection;

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
pub fn identity(config: &S3Config) -> String {
    format!("s3:{}/{}", config.endpoint.as_deref().unwrap_or_default(), config.bucket)
}

/// Opens the tier. Nothing is asked of the bucket yet.
///
/// # Errors
/// `Invalid` when the configuration makes no sense.
pub fn open(config: &S3Config, environment: &Environment, options: BucketOptions) -> Result<BucketTier> {
    let mut builder = AmazonS3Builder::new();
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
        .with_retry(connection::retry())
        .with_client_options(connection::options(config.endpoint.as_deref()));
    if let Some(region) = &config.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &config.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    let store = builder.build().map_err(|error| {
        Error::new(ErrorKind::Invalid, "open a cache tier").with("bucket", &config.bucket).caused_by(error)
    })?;
    Ok(BucketTier::new(Arc::new(store), NAME, &identity(config), options))
}
