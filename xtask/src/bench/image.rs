//! The image bench: the rows of indexing of the table "Measured" of the image requirements.
//!
//! The layer is a tar stream of a Debian tree, made by `mmdebstrap` (root, `PATH`) or given as `LARDER_BENCH_TREE=FILE.tar`, compressed with `gzip -6`. The image of four
//! layers has four such streams that differ in their first entry. Peers decompress the same file from the page cache to `/dev/null`, on whatever cores they use; Larder
//! indexes it from an image layout into a store of its own, all digests checked. `go` is the loop of indexers that are written in Go: its `compress/gzip` and
//! `archive/tar`, over the layer's entries.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use larder::oci::OciDigest;
use larder::oci::digest::{Algorithm, Hasher};
use serde_json::json;

use super::measure::{Task, alternate};
use super::peers::{self, Peer};
use super::report::Figure;
use super::{Setting, measure, remove};
use crate::Result;

/// What the tree is made of: some 58,000 files.
const PACKAGES: &str = "git,gcc,g++,python3,perl,vim,golang-go,cmake,openjdk-17-jre-headless,libboost-dev,llvm-14,python3-numpy,texlive-base";
const GO_LOOP: &str = include_str!("clip/loop.go");

/// A layer on disk.
struct Layer {
    blob: PathBuf,
    digest: OciDigest,
    size: u64,
    diff_id: OciDigest,
    tar: u64,
}

/// Versions and figures.
pub(crate) fn bench(setting: &Setting, larder: Peer) -> Result<(Vec<String>, Vec<Figure>)> {
    let programs = [peers::in_path("igzip"), peers::in_path("gzip"), peers::in_path("go")];
    let versions = programs.iter().filter_map(Peer::version).collect();
    let missing: Vec<String> = programs.iter().filter_map(|peer| peer.path.clone().err()).collect();
    let larder = larder.path?;
    let tree = tree(setting)?;
    let go = programs[2].path.is_ok().then(|| go_loop(setting)).transpose()?;
    let mut figures = Vec::new();
    let count = if setting.wants("four") { 4 } else { 1 };
    let layers: Vec<Layer> = (0..count).map(|at| layer(setting, &tree, at)).collect::<Result<_>>()?;
    if setting.wants("one") {
        figures.push(compare(setting, "index, one layer", &larder, &layers[..1], go.as_deref(), true)?);
    }
    if setting.wants("four") {
        figures.push(compare(
            setting,
            "index, an image of four layers",
            &larder,
            &layers,
            go.as_deref(),
            false,
        )?);
    }
    for figure in &mut figures {
        figure.missing.extend(missing.iter().cloned());
        figure.missing.push("SOCI's passes: not compared".to_owned());
    }
    Ok((versions, figures))
}

/// The tar stream of a Debian tree.
fn tree(setting: &Setting) -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("LARDER_BENCH_TREE") {
        return Ok(given.into());
    }
    let kept = setting.cache.join("debian-tree.tar");
    if kept.is_file() {
        return Ok(kept);
    }
    let program = peers::in_path("mmdebstrap").path?;
    let new = setting.cache.join("debian-tree.new.tar");
    let packages = if setting.quick { "perl" } else { PACKAGES };
    let made = Command::new(program)
        .args(["--quiet", "--variant=minbase", "--mode=root", "--include", packages, "bookworm"])
        .arg(&new)
        .stdin(Stdio::null())
        .status()?;
    if !made.success() {
        return Err("mmdebstrap failed; name a tar file with LARDER_BENCH_TREE".into());
    }
    fs::rename(new, &kept)?;
    Ok(kept)
}

/// Writes to a file, counts and hashes.
struct Counted {
    file: File,
    hasher: Hasher,
    size: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// The tree's stream as a layer; those after the first begin with one more folder.
fn layer(setting: &Setting, tree: &Path, at: u8) -> Result<Layer> {
    let blob = setting.work.join(format!("layer-{at}.tar.gz"));
    let mut gzip = Command::new("gzip")
        .args(["-6", "-n", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("`gzip`: {error}"))?;
    let mut into = gzip.stdin.take().ok_or("gzip has an input")?;
    let mut from = gzip.stdout.take().ok_or("gzip has an output")?;
    let mut packed = Counted { file: File::create(&blob)?, hasher: Algorithm::Sha256.hasher(), size: 0 };
    let mut tar = Algorithm::Sha256.hasher();
    let mut size = 0;
    std::thread::scope(|scope| -> Result<()> {
        let copying = scope.spawn(|| std::io::copy(&mut from, &mut packed));
        let mut stream = File::open(tree)?;
        let mut buffer = vec![0; 1 << 20];
        if at > 0 {
            let items = [larder_testing::layers::Item::folder(format!("layer-{at}"))];
            let first = larder_testing::layers::Tar::of(items);
            let first = &first[..512];
            tar.update(first);
            size += first.len() as u64;
            into.write_all(first)?;
        }
        loop {
            let length = stream.read(&mut buffer)?;
            if length == 0 {
                break;
            }
            tar.update(&buffer[..length]);
            size += length as u64;
            into.write_all(&buffer[..length])?;
        }
        drop(into);
        copying.join().map_err(|_| "copying failed")??;
        Ok(())
    })?;
    if !gzip.wait()?.success() {
        return Err("gzip failed".into());
    }
    Ok(Layer { blob, digest: packed.hasher.finish(), size: packed.size, diff_id: tar.finish(), tar: size })
}

/// An image layout of these layers; their blobs are links.
fn layout(folder: &Path, layers: &[Layer]) -> Result<()> {
    remove(folder)?;
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let put = |bytes: &[u8]| -> Result<OciDigest> {
        let digest = OciDigest::sha256(bytes);
        fs::write(blobs.join(digest.hex()), bytes)?;
        Ok(digest)
    };
    for layer in layers {
        fs::hard_link(&layer.blob, blobs.join(layer.digest.hex()))?;
    }
    let ids: Vec<String> = layers.iter().map(|layer| layer.diff_id.to_string()).collect();
    let config =
        json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ids}})
            .to_string();
    let of = |layer: &Layer| {
        let kind = "application/vnd.oci.image.layer.v1.tar+gzip";
        json!({"mediaType": kind, "digest": layer.digest.to_string(), "size": layer.size})
    };
    let config_digest = put(config.as_bytes())?.to_string();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config.len()},
        "layers": layers.iter().map(of).collect::<Vec<_>>(),
    });
    let manifest = manifest.to_string();
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let descriptor =
        json!({"mediaType": kind, "digest": put(manifest.as_bytes())?.to_string(), "size": manifest.len()});
    let index = json!({"schemaVersion": 2, "manifests": [descriptor]});
    fs::write(folder.join("index.json"), index.to_string())?;
    Ok(())
}

/// Builds the Go loop.
fn go_loop(setting: &Setting) -> Result<PathBuf> {
    let folder = setting.work.join("clip");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("main.go"), GO_LOOP)?;
    fs::write(folder.join("go.mod"), "module loop\n\ngo 1.21\n")?;
    let built = Command::new("go").args(["build", "-o", "loop", "."]).current_dir(&folder).status()?;
    if built.success() { Ok(folder.join("loop")) } else { Err("the Go loop cannot be built".into()) }
}

fn compare(
    setting: &Setting,
    title: &str,
    larder: &str,
    layers: &[Layer],
    go: Option<&Path>,
    all: bool,
) -> Result<Figure> {
    let folder = setting.work.join("layout");
    layout(&folder, layers)?;
    let home = setting.work.join("home");
    let reference = format!("oci:{}", folder.display());
    let toc = setting.work.join("image.toc");
    let index = [larder, "image", "index", &reference, "--force", "-o", &toc.display().to_string()]
        .map(str::to_owned);
    let files: Vec<String> = layers.iter().map(|layer| layer.blob.display().to_string()).collect();
    let files = files.join(" ");
    let env = |home: &Path| setting.env(home, &[("LARDER_HOME", &home.join("store").display().to_string())]);
    let task = |peer: &str, command: Vec<String>| Task {
        peer: peer.to_owned(),
        command,
        dir: setting.work.clone(),
        env: env(&home),
        before: Box::new(|| {
            remove(&home)?;
            Ok(fs::create_dir_all(&home)?)
        }),
        after: Box::new(|| Ok(())),
    };
    let shell = |text: String| vec!["sh".to_owned(), "-c".to_owned(), text];
    let mut tasks = vec![
        task("larder", index.to_vec()),
        task("igzip -dc", shell(format!("exec igzip -dc {files} > /dev/null"))),
    ];
    if all {
        tasks.push(task("gzip -dc", shell(format!("exec gzip -dc {files} > /dev/null"))));
        if let Some(go) = go {
            tasks.push(task("go gzip and tar", shell(format!("exec {} < {files}", go.display()))));
        }
    }
    // Everything is read once, so that all find it in the page cache.
    measure::run(&shell(format!("cat {files} > /dev/null")), &setting.work, &env(&home), &setting.log())?;
    let measured = alternate(setting.rounds(), &setting.log(), &mut tasks);
    let goal = if all {
        "wall at most 1.15 x igzip -dc (first step 1.5), CPU at most 2.0 x; table at most 0.6 %; 64 MiB"
    } else {
        "wall at most 1.1 x igzip -dc of all"
    };
    let mut figure = Figure::of(title, goal, measured);
    let packed: u64 = layers.iter().map(|layer| layer.size).sum();
    let tar: u64 = layers.iter().map(|layer| layer.tar).sum();
    figure.number(
        "larder",
        "table, % of the blobs",
        100.0 * fs::metadata(&toc)?.len() as f64 / packed as f64,
    );
    figure.number("layers", "compressed, MB", packed as f64 / 1e6);
    figure.number("layers", "uncompressed, MB", tar as f64 / 1e6);
    Ok(figure)
}
