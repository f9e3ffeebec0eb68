//! Writes what fuzzing begins with: `fuzz_seeds DIR` makes a folder for each target, filled from the layers that tests have.
//!
//! What a target puts before the bytes themselves (see `fuzz/fuzz_targets`) is before them here too.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use larder_oci::OciDigest;
use larder_oci::manifest::{Descriptor, Document, Index, Manifest, media_type};
use larder_oci::toc::{ImageToc, IndexOptions, index_layer};
use larder_testing::layers::{Case, Layer, Packing, cases};

/// The largest seed: larger ones make fuzzing slow.
const LARGEST: usize = 48 << 10;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: fuzz_seeds DIR")?);
    let seeds = Seeds { folder };
    for case in cases() {
        let tars = case.layers.iter().filter_map(|layer| match layer {
            Layer::Tar(tar) => Some(tar.as_slice()),
            Layer::Blob(_) => None,
        });
        of_case(&seeds, &case, &tars.collect::<Vec<_>>())?;
    }
    of_answers(&seeds)
}

struct Seeds {
    folder: PathBuf,
}

impl Seeds {
    fn put(&self, target: &str, name: &str, parts: &[&[u8]]) -> Result<(), Box<dyn Error>> {
        let bytes = parts.concat();
        let folder = self.folder.join(target);
        fs::create_dir_all(&folder)?;
        if bytes.len() <= LARGEST {
            fs::write(folder.join(name), bytes)?;
        }
        Ok(())
    }
}

fn of_case(seeds: &Seeds, case: &Case, tars: &[&[u8]]) -> Result<(), Box<dyn Error>> {
    for (at, tar) in tars.iter().enumerate() {
        let name = format!("{}-{at}", case.name);
        seeds.put("layer_tar", &name, &[&[255, 1], tar])?;
        for packing in Packing::ALL {
            let blob = packing.pack(tar);
            if matches!(packing, Packing::Gzip | Packing::GzipStored | Packing::GzipMembers) {
                seeds.put("inflate", &format!("{name}-{packing:?}"), &[&[255, 0], &blob])?;
            }
            let Ok(indexed) = index_layer(&blob[..], &IndexOptions::default(), &mut |_| {}) else { continue };
            let mut table = Vec::new();
            indexed.toc.write_to(&mut table)?;
            seeds.put("toc", &format!("{name}-{packing:?}"), &[&table])?;
        }
    }
    let [lower @ .., top] = tars else { return Ok(()) };
    if lower.len() > 3 {
        return Ok(());
    }
    let blocks = |tar: &&[u8]| u8::try_from(tar.len().div_ceil(512)).ok();
    let Some(mut blocks) = lower.iter().map(blocks).collect::<Option<Vec<_>>>() else { return Ok(()) };
    // Layers that are not there come first.
    while blocks.len() < 3 {
        blocks.insert(0, 0);
    }
    seeds.put("image_tree", case.name, &[&blocks, &lower.concat(), top])
}

/// Manifests, a layout and tables of an image of them, what `docker save` makes of one, and a registry's answers.
fn of_answers(seeds: &Seeds) -> Result<(), Box<dyn Error>> {
    let case = cases().into_iter().find(|case| case.layers.len() == 2).ok_or("no case has two layers")?;
    let scratch = tempfile::tempdir()?;
    case.write(scratch.path(), Packing::Gzip)?;
    let index = fs::read(scratch.path().join("index.json"))?;
    seeds.put("oci_manifest", "index", &[&index])?;
    let Document::Index(parsed) = Document::parse(&index, None)? else { return Err("no index".into()) };
    let bytes = Bytes::from(fs::read(blob(scratch.path(), &parsed.manifests[0]))?);
    seeds.put("oci_manifest", "manifest", &[&bytes])?;
    let manifest = Manifest::parse(&bytes)?;
    let mut artifact = Manifest::artifact("application/x.y", manifest.layers.clone());
    artifact.subject = Some(parsed.manifests[0].clone());
    seeds.put("oci_manifest", "artifact", &[&artifact.to_bytes()])?;
    let referrers = Index::new(vec![Descriptor::of(media_type::MANIFEST, &artifact.to_bytes())]);
    seeds.put("oci_manifest", "referrers", &[&referrers.to_bytes()])?;

    let config = Bytes::from(fs::read(blob(scratch.path(), &manifest.config))?);
    let mut tables = Vec::new();
    for layer in &manifest.layers {
        let mut options = IndexOptions::default();
        options.blob = Some((layer.digest, layer.size));
        tables.push(index_layer(fs::File::open(blob(scratch.path(), layer))?, &options, &mut |_| {})?.toc);
    }
    let mut image = Vec::new();
    ImageToc::new(bytes, config.clone(), tables)?.write_to(&mut image)?;
    seeds.put("toc", "image", &[&image])?;
    for text in ["debian", "127.0.0.1:5000/a/b:1", "[::1]:5/a@sha256:", "https://r.example/a:b"] {
        seeds.put(
            "oci_reference",
            &OciDigest::sha256(text.as_bytes()).to_string()[7..],
            &[text.as_bytes()],
        )?;
    }
    seeds.put(
        "oci_archive",
        "layout",
        &[&tar_of(scratch.path(), &["oci-layout", "index.json", "blobs"])?],
    )?;
    seeds.put("oci_layout", "layout", &[&tar_of(scratch.path(), &["oci-layout", "index.json", "blobs"])?])?;
    let layer = fs::read(blob(scratch.path(), &manifest.layers[0]))?;
    let saved = tempfile::tempdir()?;
    fs::write(saved.path().join("c.json"), &config)?;
    fs::write(saved.path().join("l.tar"), layer)?;
    let listed = r#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["l.tar","l.tar"]}]"#;
    fs::write(saved.path().join("manifest.json"), listed)?;
    seeds.put("oci_archive", "saved", &[&tar_of(saved.path(), &["manifest.json", "c.json", "l.tar"])?])?;
    Ok(())
}

fn blob(folder: &Path, of: &Descriptor) -> PathBuf {
    folder.join("blobs").join(of.digest.to_string().replace(':', "/"))
}

fn tar_of(folder: &Path, names: &[&str]) -> Result<Vec<u8>, Box<dyn Error>> {
    let output = std::process::Command::new("tar").arg("-cC").arg(folder).args(names).output()?;
    if output.status.success() { Ok(output.stdout) } else { Err("`tar` fails".into()) }
}
