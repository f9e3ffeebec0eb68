//! An image of several layers as an OCI layout folder, with every digest right.

use std::{fs, io, path::Path};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::Packing;

/// One layer as it lies in the layout.
#[derive(Clone, Debug)]
pub struct Blob {
    /// The bytes as they are stored.
    pub stored: Vec<u8>,
    /// SHA-256 of the uncompressed bytes, in hexadecimal digits.
    pub diff_id: String,
    /// Its media type.
    pub media_type: &'static str,
}

impl Blob {
    /// A tar stream packed.
    pub fn new(tar: &[u8], packing: Packing) -> Self {
        Self { stored: packing.pack(tar), diff_id: sha256(tar), media_type: packing.media_type() }
    }
}

/// Writes a layout with one image, tagged `latest`, of these layers (lowest first) into a folder that need not exist.
pub fn write_layout(folder: &Path, layers: &[Blob]) -> io::Result<()> {
    let blobs = folder.join("blobs").join("sha256");
    fs::create_dir_all(&blobs)?;
    let put = |bytes: &[u8], media_type: &str| -> io::Result<serde_json::Value> {
        let digest = sha256(bytes);
        fs::write(blobs.join(&digest), bytes)?;
        Ok(json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len()}))
    };
    let stored =
        layers.iter().map(|layer| put(&layer.stored, layer.media_type)).collect::<io::Result<Vec<_>>>()?;
    let diff_ids: Vec<_> = layers.iter().map(|layer| format!("sha256:{}", layer.diff_id)).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = put(config.to_string().as_bytes(), "application/vnd.oci.image.config.v1+json")?;
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": stored});
    let mut manifest = put(manifest.to_string().as_bytes(), kind)?;
    manifest["annotations"] = json!({"org.opencontainers.image.ref.name": "latest"});
    let index = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [manifest],
    });
    fs::write(folder.join("index.json"), index.to_string())?;
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
}

/// SHA-256 in hexadecimal digits.
fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
