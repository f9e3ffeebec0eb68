//! An Azure Blob Storage container as a tier.
//!
//! Credentials come from the usual places: the `AZURE_*` variables, a managed identity.

use std::sync::Arc;

use larder_core::{Error, ErrorKind, Result};
use object_store::azure::MicrosoftAzureBuilder;

use crate::Environment;
use crate::bucket::{self, BucketOptions};
use crate::connection;
use crate::packed::PackedTier;

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

/// One of these says who asks; else the machine's managed identity is asked for.
const CREDENTIALS: &[&str] = &[
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_TOKEN",
    "AZURE_CLIENT_SECRET",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_USE_AZURE_CLI",
    "AZURE_SKIP_SIGNATURE",
];
const SET_CREDENTIALS: &str =
    "set AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN or AZURE_USE_AZURE_CLI=true";

/// Opens the tier. Nothing is asked of the container yet.
///
/// # Errors
/// `Invalid` when the configuration makes no sense.
pub fn open(config: &AzureConfig, environment: &Environment, options: BucketOptions) -> Result<PackedTier> {
    let given = environment.iter().any(|(name, _)| CREDENTIALS.contains(&name.as_str()));
    let options = BucketOptions { silent: (!given).then_some(SET_CREDENTIALS), ..options };
    let mut builder =
        MicrosoftAzureBuilder::new().with_client_options(connection::options(config.endpoint.as_deref()));
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
        .with_retry(connection::retry());
    if let Some(endpoint) = &config.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    let store = builder.build().map_err(|error| {
        Error::new(ErrorKind::Invalid, "open a cache tier")
            .with("container", &config.container)
            .with_hint(SET_CREDENTIALS)
            .caused_by(error)
    })?;
    Ok(bucket::tier(Arc::new(store), NAME, &identity(config), options))
}
