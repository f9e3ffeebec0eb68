//! A large layer, and what a small file of it costs.

use std::fs::File;
use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use larder_testing::Project;
use larder_testing::layers::{BLOCK, Item, Tar};
use larder_testing::proxy::Proxy;
use larder_testing::registry::{DockerRegistry, is_installed};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::world::{address, good, noise, push, tell};

/// Files of noise in the layer, which do not compress: 480 MB together where `igzip` is installed, else 120 MB, since `gzip` takes long.
const FILES: usize = 240;
const FEWER: usize = 60;
/// How large each is.
const SIZE: usize = 2_000_000;

/// Passes bytes on, counted and hashed.
struct Hashed<W> {
    to: W,
    hasher: Sha256,
    length: u64,
}

impl<W: Write> Hashed<W> {
    fn new(to: W) -> Self {
        Self { to, hasher: Sha256::new(), length: 0 }
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write_all(bytes)?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn hex(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A layout of one such layer, written as a stream. Among the noise are small files of text.
fn large(machine: &Project, program: &str, files: usize) -> u64 {
    let blobs = machine.path("large/blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    // As people's layers are made: blocks of some ten kilobytes.
    let mut gzip = Command::new(program)
        .args(["-1", "-n", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut from, to) = (gzip.stdout.take().unwrap(), File::create(blobs.join("layer")).unwrap());
    let packed = std::thread::spawn(move || {
        let mut packed = Hashed::new(to);
        io::copy(&mut from, &mut packed).unwrap();
        packed
    });
    let mut tar = Hashed::new(gzip.stdin.take().unwrap());
    let block = noise(7, SIZE);
    for at in 0..files {
        let mut data = block.clone();
        // Another beginning each time, and turned, so that no file repeats another.
        data.rotate_left(at * 4099);
        data[..8].copy_from_slice(&(at as u64).to_le_bytes());
        let text = format!("This is the text of file {at}. ").repeat(40);
        let entries =
            Tar::open([Item::file(format!("data/{at:03}"), data), Item::file(format!("text/{at:03}"), text)]);
        tar.write_all(&entries.torn()).unwrap();
    }
    tar.write_all(&[0; 2 * BLOCK]).unwrap();
    let Hashed { to, hasher: plain, .. } = tar;
    drop(to);
    assert!(gzip.wait().unwrap().success());
    let packed = packed.join().unwrap();
    let (diff_id, size, digest) = (hex(plain), packed.length, hex(packed.hasher));
    std::fs::rename(blobs.join("layer"), blobs.join(&digest)).unwrap();
    let put = |bytes: &str, kind: &str| {
        let digest = hex(Sha256::new_with_prefix(bytes));
        std::fs::write(blobs.join(&digest), bytes).unwrap();
        json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": bytes.len()})
    };
    let config = json!({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{diff_id}")]}});
    let config = put(&config.to_string(), "application/vnd.oci.image.config.v1+json");
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let layer = json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": format!("sha256:{digest}"), "size": size});
    let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]});
    let mut manifest = put(&manifest.to_string(), kind);
    manifest["annotations"] = json!({"org.opencontainers.image.ref.name": "latest"});
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [manifest]});
    machine
        .file("large/index.json", index.to_string())
        .file("large/oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    size
}

#[test]
fn a_small_file_of_a_large_layer_costs_less_than_three_mebibytes() {
    if !is_installed("skopeo") || !is_installed("gzip") {
        return;
    }
    let Some(registry) = DockerRegistry::start() else { return };
    let machine = Project::new();
    let begun = Instant::now();
    let is_fast = Command::new("igzip").arg("--version").stdout(Stdio::null()).status().is_ok();
    let (program, files) = if is_fast { ("igzip", FILES) } else { ("gzip", FEWER) };
    let size = large(&machine, program, files);
    tell(format_args!("made a layer of {size} bytes with {program} in {:?}", begun.elapsed()));
    assert!(size > (files * SIZE) as u64);
    push(&registry, &machine.path("large"), "large:1");
    std::fs::remove_dir_all(machine.path("large")).unwrap();
    let proxy = Proxy::new(address(&registry));
    let name = format!("{}/large:1", proxy.address());
    let begun = Instant::now();
    let told = good(&machine, &format!("index {name} --json")).stdout;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    tell(format_args!("indexed in {:?}; a table of {} bytes", begun.elapsed(), told["table_bytes"]));
    assert_eq!(told["moved"].as_u64(), Some(size));
    for at in [0, files / 2, files - 1] {
        let before = proxy.counts();
        let begun = Instant::now();
        let read = good(&machine, &format!("cat {name} /text/{at:03}"));
        let passed = proxy.counts() - &before;
        assert_eq!(read.stdout, format!("This is the text of file {at}. ").repeat(40));
        let bytes = passed.down.heads + passed.down.bodies;
        tell(format_args!(
            "`cat` of {} bytes at {at} of {files}: {bytes} bytes in {} requests, {:?}",
            read.stdout.len(),
            passed.total(),
            begun.elapsed()
        ));
        assert!(bytes < 3 << 20, "{bytes} bytes moved\n{}", proxy.told());
    }
}
