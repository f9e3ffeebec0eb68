//! The servers that the environment names.

use std::io::Write;
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    S3,
    Azure,
    Gcs,
}

/// A bucket on a server, and how it is entered.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// What it is called, where the environment says so.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) endpoint: String,
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) secret: String,
    /// An Azure token in place of the secret.
    pub(crate) token: Option<String>,
}

impl Server {
    /// From `NAME=http://KEY:SECRET@HOST:PORT/…/BUCKET`.
    fn parse(kind: Kind, named: &str) -> Self {
        let named = if named.starts_with("http://") { format!("={named}") } else { named.to_owned() };
        // Keys may have an equals sign, names have none.
        let (name, url) = named.split_once('=').unwrap_or(("", &named));
        let rest =
            url.strip_prefix("http://").unwrap_or_else(|| panic!("`{url}` does not begin with http://"));
        let (keys, place) = rest.rsplit_once('@').unwrap_or((":", rest));
        let (key, secret) = keys.split_once(':').expect("KEY:SECRET");
        let (host, bucket) = place.rsplit_once('/').expect("…/BUCKET");
        Self {
            name: name.into(),
            kind,
            endpoint: format!("http://{host}"),
            bucket: bucket.into(),
            key: key.into(),
            secret: secret.into(),
            token: None,
        }
    }

    /// The tier's name in the configuration.
    pub(crate) fn tier(&self) -> &'static str {
        match self.kind {
            Kind::S3 => "s3",
            Kind::Azure => "azure",
            Kind::Gcs => "gcs",
        }
    }

    /// The tier in `larder.yml`.
    pub(crate) fn config(&self, prefix: &str) -> String {
        let Self { endpoint, bucket, key, .. } = self;
        match self.kind {
            Kind::S3 => format!("s3: {{bucket: {bucket}, prefix: {prefix}, endpoint: '{endpoint}'}}"),
            Kind::Gcs => format!("gcs: {{bucket: {bucket}, prefix: {prefix}, endpoint: '{endpoint}'}}"),
            Kind::Azure => format!(
                "azure: {{account: {key}, container: {bucket}, prefix: {prefix}, endpoint: '{endpoint}'}}"
            ),
        }
    }

    /// The variables that say who asks.
    pub(crate) fn credentials(&self) -> Vec<(&'static str, String)> {
        match (self.kind, &self.token) {
            (Kind::S3, _) => {
                vec![("AWS_ACCESS_KEY_ID", self.key.clone()), ("AWS_SECRET_ACCESS_KEY", self.secret.clone())]
            }
            (Kind::Azure, Some(token)) => vec![("AZURE_STORAGE_SAS_TOKEN", token.clone())],
            (Kind::Azure, None) => vec![("AZURE_STORAGE_ACCOUNT_KEY", self.secret.clone())],
            (Kind::Gcs, _) => Vec::new(),
        }
    }

    fn store(&self) -> Arc<dyn ObjectStore> {
        match self.kind {
            Kind::S3 => Arc::new(
                AmazonS3Builder::new()
                    .with_bucket_name(&self.bucket)
                    .with_endpoint(&self.endpoint)
                    .with_access_key_id(&self.key)
                    .with_secret_access_key(&self.secret)
                    .with_allow_http(true)
                    .build()
                    .unwrap(),
            ),
            Kind::Azure => Arc::new(
                MicrosoftAzureBuilder::new()
                    .with_account(&self.key)
                    .with_access_key(&self.secret)
                    .with_container_name(&self.bucket)
                    .with_endpoint(self.endpoint.clone())
                    .with_allow_http(true)
                    .build()
                    .unwrap(),
            ),
            Kind::Gcs => panic!("the emulator can neither list nor delete"),
        }
    }

    /// Names of the objects below `prefix` that have `part` in their names.
    pub(crate) fn objects(&self, prefix: &str, part: &str) -> Vec<Path> {
        let store = self.store();
        let all = runtime().block_on(store.list(Some(&Path::from(prefix))).try_collect::<Vec<_>>()).unwrap();
        all.into_iter().map(|object| object.location).filter(|path| path.as_ref().contains(part)).collect()
    }

    /// Changes one byte in the middle of an object.
    pub(crate) fn damage(&self, path: &Path) {
        let store = self.store();
        runtime().block_on(async {
            let mut bytes = store.get(path).await.unwrap().bytes().await.unwrap().to_vec();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x20;
            store.put(path, bytes.into()).await.unwrap();
        });
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn named(kind: Kind, variable: &str) -> Vec<Server> {
    let named = std::env::var(variable).unwrap_or_default();
    named.split_whitespace().map(|url| Server::parse(kind, url)).collect()
}

/// All servers that are named. Says loudly what is missing.
pub(crate) fn all() -> Vec<Server> {
    [Kind::S3, Kind::Azure, Kind::Gcs].into_iter().flat_map(of).collect()
}

/// The servers of one kind. Says loudly if there is none.
pub(crate) fn of(kind: Kind) -> Vec<Server> {
    let variable = match kind {
        Kind::S3 => "LARDER_TEST_S3",
        Kind::Azure => "LARDER_TEST_AZURE",
        Kind::Gcs => "LARDER_TEST_GCS",
    };
    let found = named(kind, variable);
    if found.is_empty() {
        missing(variable);
    }
    found
}

/// Servers entered with rights to read only.
pub(crate) fn readers() -> Vec<(Server, Server)> {
    let mut pairs = Vec::new();
    let writers = named(Kind::S3, "LARDER_TEST_S3");
    for reader in named(Kind::S3, "LARDER_TEST_S3_READER") {
        let writer = writers.iter().find(|writer| writer.endpoint == reader.endpoint);
        pairs.extend(writer.map(|writer| (writer.clone(), reader)));
    }
    if pairs.is_empty() {
        missing("LARDER_TEST_S3_READER");
    }
    match (named(Kind::Azure, "LARDER_TEST_AZURE").pop(), std::env::var("LARDER_TEST_AZURE_READER")) {
        (Some(writer), Ok(token)) => {
            let reader = Server { token: Some(token), ..writer.clone() };
            pairs.push((writer, reader));
        }
        _ => missing("LARDER_TEST_AZURE_READER"),
    }
    pairs
}

/// Address and instance of a server of the Remote Execution API.
pub(crate) fn reapi() -> Option<(String, String)> {
    reapi_named("LARDER_TEST_REAPI")
}

/// The same behind TLS, and the file of its root certificate.
pub(crate) fn reapi_with_tls() -> Option<((String, String), String)> {
    let place = reapi_named("LARDER_TEST_REAPI_TLS")?;
    Some((place, std::env::var("LARDER_TEST_REAPI_ROOT").expect("it comes with the server")))
}

fn reapi_named(variable: &str) -> Option<(String, String)> {
    let Ok(named) = std::env::var(variable) else {
        missing(variable);
        return None;
    };
    let (endpoint, instance) = named.rsplit_once('/').expect("grpc://HOST:PORT/INSTANCE");
    Some((endpoint.to_owned(), instance.to_owned()))
}

/// Past the test harness, which shows nothing of tests that pass.
fn missing(variable: &str) {
    let required = std::env::var("REQUIRE_CLIENTS").is_ok_and(|set| set == "1");
    assert!(!required, "{variable} is not set, and REQUIRE_CLIENTS=1; see scripts/cloud-servers");
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED: a part of `{test}`: {variable} is not set (scripts/cloud-servers starts servers)"
    );
}
