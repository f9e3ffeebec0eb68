//! A Google Cloud Storage bucket as a tier.
//!
//! Credentials come from the usual places: `GOOGLE_APPLICATION_CREDENTIALS`, a file of `gcloud`, an instance's own
//! service.

use std::sync::Arc;

use larder_core::{Error, ErrorKind, Result};
use object_store::gcp::GoogleCloudStorageBuilder;

use crate::Environment;
use crate::bucket::{self, BucketOptions};
use crate::connection;
use crate::packed::PackedTier;

/// Its name in the configuration.
pub const NAME: &str = "gcs";

/// Which bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GcsConfig {
    /// The bucket.
    pub bucket: String,
    /// A server other than Google's: an emulator. No credentials are used with it.
    pub endpoint: Option<String>,
}

/// What tells this bucket from others.
#[must_use]
pub fn identity(config: &GcsConfig) -> String {
    format!("gcs:{}/{}", config.endpoint.as_deref().unwrap_or_default(), config.bucket)
}

const SET_CREDENTIALS: &str = "set GOOGLE_APPLICATION_CREDENTIALS to a file of credentials";

/// Opens the tier. Nothing is asked of the bucket yet.
///
/// # Errors
/// `Invalid` when the configuration makes no sense, or a file of credentials cannot be read.
pub fn open(config: &GcsConfig, environment: &Environment, options: BucketOptions) -> Result<PackedTier> {
    let given = config.endpoint.is_some() || environment.iter().any(|(name, _)| name.starts_with("GOOGLE_"));
    let options = BucketOptions { silent: (!given).then_some(SET_CREDENTIALS), ..options };
    let mut builder =
        GoogleCloudStorageBuilder::new().with_client_options(connection::options(config.endpoint.as_deref()));
    for (name, value) in environment {
        if name == "GOOGLE_APPLICATION_CREDENTIALS" {
            builder = builder.with_application_credentials(value);
        } else if let Ok(key) = name.to_ascii_lowercase().parse()
            && name.starts_with("GOOGLE_")
        {
            builder = builder.with_config(key, value);
        }
    }
    builder = builder.with_bucket_name(&config.bucket).with_retry(connection::retry());
    if let Some(endpoint) = &config.endpoint {
        let account = serde_free_account(endpoint);
        builder = builder.with_service_account_key(account);
    }
    let store = builder.build().map_err(|error| {
        Error::new(ErrorKind::Invalid, "open a cache tier")
            .with("bucket", &config.bucket)
            .with_hint(SET_CREDENTIALS)
            .caused_by(error)
    })?;
    Ok(bucket::tier(Arc::new(store), NAME, &identity(config), options))
}

/// The account that names another server and needs no token.
fn serde_free_account(endpoint: &str) -> String {
    let endpoint: String = endpoint.chars().filter(|c| !c.is_control() && *c != '"' && *c != '\\').collect();
    format!(
        r#"{{"gcs_base_url":"{endpoint}","disable_oauth":true,"client_email":"","private_key":"","private_key_id":""}}"#
    )
}
