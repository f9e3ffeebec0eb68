//! An image of two layers in a registry, and machines: each has a home, a store, and keys of its own.

use bytes::Bytes;
use larder::image::{ARTIFACT, Statement, TABLE, annotation};
use larder::oci::OciDigest;
use larder::oci::manifest::{Descriptor, EMPTY_CONFIG, Index, Manifest, Platform, media_type};
use larder::oci::reference::{Reference, Tag};
use larder::oci::registry::{Options, Repository};
use larder::oci::toc::{IndexOptions, LayerToc, index_layer};
use larder::store::trust::{SecretKey, Signer};
use larder_testing::Project;
use larder_testing::layers::{Blob, Item, Packing, Tar};
use larder_testing::project::Output;
use larder_testing::registry::DockerRegistry;

/// Files in each layer.
const FILES: usize = 60;
/// Lines in a file.
const LINES: usize = 1500;
pub(crate) const NAMESPACE: &str = "default";

/// What is in a file: lines that say where they are, so that a byte in the wrong place shows, and refer back to others.
pub(crate) fn content(layer: usize, file: usize) -> String {
    let mut state = (layer * 1000 + file) as u64 + 1;
    let mut text = String::new();
    for line in 0..LINES {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(&format!("layer {layer} file {file:03} line {line:05} {:016x}\n", state));
    }
    text
}

fn layer(number: usize) -> Blob {
    let files = (0..FILES).map(|file| Item::file(format!("l{number}/{file:03}"), content(number, file)));
    Blob::new(&Tar::of(files), Packing::Gzip)
}

/// An image in a registry of its own.
pub(crate) struct World {
    pub(crate) registry: DockerRegistry,
    pub(crate) layers: Vec<Blob>,
    pub(crate) subject: Descriptor,
    runtime: tokio::runtime::Runtime,
}

impl World {
    /// The image is `app:1`; `None` if there is no registry.
    pub(crate) fn new() -> Option<Self> {
        let registry = DockerRegistry::start()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let layers = vec![layer(0), layer(1)];
        let diff_ids: Vec<_> = layers.iter().map(|layer| format!("sha256:{}", layer.diff_id)).collect();
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = Bytes::from(config.to_string());
        let described = layers.iter().map(|layer| Descriptor::of(layer.media_type, &layer.stored)).collect();
        let manifest = Manifest::new(Descriptor::of(media_type::CONFIG, &config), described);
        let bytes = manifest.to_bytes();
        let subject = Descriptor::of(media_type::MANIFEST, &bytes);
        let world = Self { registry, layers, subject, runtime };
        let repository = world.repository();
        world.runtime.block_on(async {
            repository.push_blob(&OciDigest::sha256(&config), config).await.unwrap();
            for layer in &world.layers {
                let digest = OciDigest::sha256(&layer.stored);
                repository.push_blob(&digest, layer.stored.clone().into()).await.unwrap();
            }
            let tag: Tag = "1".parse().unwrap();
            repository.put_manifest(tag, bytes, media_type::MANIFEST).await.unwrap();
        });
        Some(world)
    }

    /// What the image is called.
    pub(crate) fn image(&self) -> String {
        format!("{}/app:1", self.registry.host())
    }

    pub(crate) fn repository(&self) -> Repository {
        let reference: Reference = self.image().parse().unwrap();
        Repository::open(&reference, Options::default()).unwrap()
    }

    /// Tags an index as `app:both`: the image, and one of the same layers for `linux/arm64`.
    pub(crate) fn tag_both(&self) -> String {
        let repository = self.repository();
        self.runtime.block_on(async {
            let image = repository.manifest(self.subject.digest).await.unwrap().unwrap();
            let mut manifest = Manifest::parse(&image.bytes).unwrap();
            let config = repository.fetch(&manifest.config, 1 << 20).await.unwrap().unwrap();
            let config = Bytes::from(String::from_utf8(config.to_vec()).unwrap().replace("amd64", "arm64"));
            manifest.config = Descriptor::of(media_type::CONFIG, &config);
            repository.push_blob(&manifest.config.digest, config).await.unwrap();
            let bytes = manifest.to_bytes();
            let mut described = [self.subject.clone(), Descriptor::of(media_type::MANIFEST, &bytes)];
            repository.put_manifest(described[1].digest, bytes, media_type::MANIFEST).await.unwrap();
            for (one, architecture) in described.iter_mut().zip(["amd64", "arm64"]) {
                let (architecture, os) = (architecture.to_owned(), "linux".to_owned());
                one.platform = Some(Platform { architecture, os, ..Platform::default() });
            }
            let tag: Tag = "both".parse().unwrap();
            let index = Index::new(described.to_vec()).to_bytes();
            repository.put_manifest(tag, index, media_type::INDEX).await.unwrap();
        });
        format!("{}/app:both", self.registry.host())
    }

    /// What the index of a tag lists.
    pub(crate) fn listed(&self, tag: &str) -> Vec<Descriptor> {
        let (repository, tag) = (self.repository(), tag.parse::<Tag>().unwrap());
        let raw = self.runtime.block_on(repository.manifest(tag)).unwrap().unwrap();
        Index::parse(&raw.bytes).unwrap().manifests
    }

    /// The size of all layers.
    pub(crate) fn total(&self) -> u64 {
        self.layers.iter().map(|layer| layer.stored.len() as u64).sum()
    }

    /// The table of a layer, as anybody makes it.
    pub(crate) fn table(&self, layer: usize) -> LayerToc {
        let stored = &self.layers[layer].stored;
        let mut options = IndexOptions::default();
        options.blob = Some((OciDigest::sha256(stored), stored.len() as u64));
        index_layer(&stored[..], &options, &mut |_| {}).unwrap().toc
    }

    /// Pushes an artifact with these tables: of which layer each is said to be, its bytes, and its envelope.
    pub(crate) fn push(&self, tables: Vec<(usize, Vec<u8>, Vec<u8>)>) {
        use base64::Engine as _;
        let repository = self.repository();
        self.runtime.block_on(async {
            let mut layers = Vec::new();
            for (of, table, envelope) in tables {
                let blob = OciDigest::sha256(&self.layers[of].stored);
                let envelope = base64::engine::general_purpose::STANDARD.encode(envelope);
                let descriptor = Descriptor::of(TABLE, &table)
                    .annotated(annotation::BLOB, blob.to_string())
                    .annotated(annotation::ENVELOPE, envelope);
                repository.push_blob(&descriptor.digest, table.into()).await.unwrap();
                layers.push(descriptor);
            }
            let empty = Descriptor::empty();
            repository.push_blob(&empty.digest, Bytes::from_static(EMPTY_CONFIG)).await.unwrap();
            let mut manifest = Manifest::artifact(ARTIFACT, layers);
            manifest.subject = Some(self.subject.clone());
            repository.push_referrer(&manifest).await.unwrap();
        });
    }
}

/// A table as a file.
pub(crate) fn bytes_of(table: &LayerToc) -> Vec<u8> {
    let mut bytes = Vec::new();
    table.write_to(&mut bytes).unwrap();
    bytes
}

/// The envelope of what is true of a table.
pub(crate) fn seal(table: &LayerToc, key: &SecretKey) -> Vec<u8> {
    Statement::of(table).seal(&Signer::Ed25519(key.clone()), NAMESPACE).unwrap()
}

/// A machine that signs with `key`, if there is one.
pub(crate) fn machine(key: Option<&SecretKey>) -> Project {
    let mut project = Project::new();
    if let Some(key) = key {
        project.env("LARDER_SIGNING_KEY", key.to_text().as_str());
    }
    project
}

/// A machine that has no key, and trusts this one.
pub(crate) fn trusting(key: &SecretKey) -> Project {
    let project = machine(None);
    // What `larder key trust` takes is the public key's text.
    let file = project.user_folder().join("ci.pub");
    std::fs::write(&file, format!("{}\n", public(key))).unwrap();
    let _ = larder(&project, &["key", "trust", &public(key), "--name", "ci"]).good();
    project
}

/// The public key as text.
pub(crate) fn public(key: &SecretKey) -> String {
    key.public().to_string()
}

/// Runs `larder`.
pub(crate) fn larder(project: &Project, args: &[&str]) -> Output {
    project.larder(env!("CARGO_BIN_EXE_larder"), args)
}

/// `larder image cat -v`, which must succeed.
#[track_caller]
pub(crate) fn cat(project: &Project, image: &str, path: &str, more: &[&str]) -> Output {
    larder(project, &[&["image", "cat", "-v", "--platform", "linux/amd64", image, path], more].concat())
        .good()
}

/// How many bytes `-v` says were fetched, as it rounds them.
#[track_caller]
pub(crate) fn fetched(output: &Output) -> u64 {
    let line = output.stderr.lines().find(|line| line.starts_with("fetched ")).unwrap_or_default();
    let mut words = line.split(' ').skip(1);
    let number: f64 = words.next().and_then(|number| number.parse().ok()).unwrap_or(f64::NAN);
    assert!(number.is_finite(), "{}", output.stderr);
    let unit = match words.next() {
        Some("B") => 1.0,
        Some("kB") => 1e3,
        Some("MB") => 1e6,
        other => panic!("{other:?} in `{line}`"),
    };
    (number * unit) as u64
}

/// Says what of the image is known: for each layer, whether it has a table, and the key that signed it if others made it.
#[track_caller]
pub(crate) fn known(project: &Project, image: &str) -> Vec<(bool, Option<String>)> {
    let output = larder(project, &["image", "status", "--platform", "linux/amd64", "--json", image]).good();
    let lines = output.stdout.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.map(|line| (line["indexed"] == true, line["key"].as_str().map(str::to_owned))).collect()
}
