//! An Azure Blob Storage container as a tier.
//!
//! Credentials come from the usual places: the `AZURE_*` variables, a managed identity.

use std::sync::Arc;

use larder_core::{Error, ErrorKind, Result};
use object_store::azure::MicrosoftAzureBuilder;

use crate::Environment;
use crate::bucket::{BucketOptions, BucketTier};
use crate::connection;

/// Its name in the configuration.
pub const NAME: &str = "azure";

/// Which container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AzureConfig {
    /// The storage account.
    pub account: String,
    /// The container.
    pub container: String,
    /// A server other than Azure's: an emulator, with the account in its path.
    pub endpoint: Option<String>,
}

/// What tells this container from others.
#[must_use]
pub fn identity(config: &AzureConfig) -> String {
    let endpoint = config.endpoint.as_deref().unwrap_or_default();
    format!("azure:{endpoint}/{}/{}", config.account, config.container)
}

/// Opens the tier. Nothing is asked of the container yet.
///
/// # Errors
/// `Invalid` when the configuration makes no sense.
pub fn open(config: &AzureConfig, environment: &Environment, options: BucketOptions) -> Result<BucketTier> {
    let mut builder = MicrosoftAzureBuilder::new();
    for (name, value) in environment {
        if let Ok(key) = name.to_ascii_lowercase().parse()
            && name.starts_with("AZURE_")
        {
            builder = builder.with_config(key, value);
        }
    }
    builder = builder
        .with_account(&config.account)
        .with_container_name(&config.container)
        .with_retry(connection::retry())
        .with_client_options(connection::options(config.endpoint.as_deref()));
    if let Some(endpoint) = &config.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    let store = builder.build().map_err(|error| {
        Error::new(ErrorKind::Invalid, "open a cache tier")
            .with("container", &config.container)
            .caused_by(error)
    })?;
    Ok(BucketTier::new(Arc::new(store), NAME, &identity(config), options))
}
