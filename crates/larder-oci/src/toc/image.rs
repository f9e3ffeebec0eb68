//! The table of an image: its manifest, its configuration, and the tables of its layers.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;

use super::file::{self, FileKind, Identity, Placed};
use super::section::{SectionKind, SectionWriter};
use super::{LayerToc, TocError};
use crate::digest::OciDigest;
use crate::layout::ReadAt;
use crate::manifest::{LONGEST, MOST_LAYERS, Manifest};

const TOO_MANY_LAYERS: &str = "it has more than 512 layers";

/// The part of a configuration that says what the layers are.
#[derive(Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<OciDigest>,
}

/// The tar streams of an image's layers, bottom first, as its configuration names them (image-spec, config.md).
///
/// # Errors
/// When it is no configuration of an image.
pub fn diff_ids(config: &[u8]) -> Result<Vec<OciDigest>, TocError> {
    let config: Config = serde_json::from_slice(config)
        .map_err(|_| TocError::Image("its configuration names no tar streams of layers"))?;
    Ok(config.rootfs.diff_ids)
}

/// The table of an image of one platform.
#[derive(Clone, Debug)]
pub struct ImageToc {
    manifest: Manifest,
    manifest_bytes: Bytes,
    config: Bytes,
    /// Bottom first, as in the manifest; the same layer may be there twice.
    layers: Vec<LayerToc>,
}

impl ImageToc {
    /// Of a manifest, its configuration, and its layers' tables, bottom first.
    ///
    /// # Errors
    /// When they do not belong together.
    pub fn new(manifest_bytes: Bytes, config: Bytes, layers: Vec<LayerToc>) -> Result<Self, TocError> {
        let wrong = TocError::Damaged;
        let manifest = Manifest::parse(&manifest_bytes).map_err(|_| wrong("its manifest cannot be read"))?;
        if !manifest.config.digest.is_of(&config) {
            return Err(wrong("its configuration is not the manifest's"));
        }
        if manifest.layers.len() > MOST_LAYERS {
            return Err(TocError::Image(TOO_MANY_LAYERS));
        }
        let diff_ids = diff_ids(&config)?;
        let blobs: Vec<&OciDigest> = manifest.layers.iter().map(|layer| &layer.digest).collect();
        let of_blobs: Vec<&OciDigest> = layers.iter().map(|layer| &layer.info().blob).collect();
        let of_tars: Vec<&OciDigest> = layers.iter().map(|layer| &layer.info().diff_id).collect();
        if blobs != of_blobs || diff_ids.iter().collect::<Vec<_>>() != of_tars {
            return Err(wrong("its layers are not the manifest's and the configuration's"));
        }
        Ok(Self { manifest, manifest_bytes, config, layers })
    }

    /// Opens a table in a file.
    ///
    /// # Errors
    /// When it is none, is damaged, or is of a version that is not known.
    pub fn open(source: Arc<dyn ReadAt>) -> Result<Self, TocError> {
        let (kind, sections, _) = file::open(source)?;
        if kind != FileKind::Image {
            return Err(TocError::NoToc);
        }
        let mut layers: HashMap<u32, Vec<Placed>> = HashMap::new();
        let (mut manifest, mut config) = (None, None);
        // None is there twice: sections ascend.
        for placed in sections {
            let is_of_image = matches!(placed.kind, SectionKind::Manifest | SectionKind::Config);
            if is_of_image != (placed.layer == 0) {
                return Err(TocError::Damaged("a section is of the wrong layer"));
            }
            match placed.kind {
                SectionKind::Manifest => manifest = Some(placed.section.read_all(LONGEST as u64)?),
                SectionKind::Config => config = Some(placed.section.read_all(LONGEST as u64)?),
                _ => layers.entry(placed.layer).or_default().push(Placed { layer: 0, ..placed }),
            }
        }
        let (Some(manifest), Some(config)) = (manifest, config) else {
            return Err(TocError::Damaged("it has no manifest or no configuration"));
        };
        let mut tables: HashMap<OciDigest, LayerToc> = HashMap::new();
        for (_, sections) in layers {
            let table = LayerToc::of(sections, None)?;
            if tables.insert(table.info().blob, table).is_some() {
                return Err(TocError::Damaged("a layer has two tables"));
            }
        }
        let parsed =
            Manifest::parse(&manifest).map_err(|_| TocError::Damaged("its manifest cannot be read"))?;
        if parsed.layers.len() > MOST_LAYERS {
            return Err(TocError::Image(TOO_MANY_LAYERS));
        }
        if tables.keys().any(|blob| parsed.layers.iter().all(|layer| layer.digest != *blob)) {
            return Err(TocError::Damaged("it has a layer that its manifest has not"));
        }
        let of_layer =
            |blob: &OciDigest| tables.get(blob).cloned().ok_or(TocError::Damaged("a layer has no table"));
        let layers = parsed.layers.iter().map(|layer| of_layer(&layer.digest)).collect::<Result<_, _>>()?;
        Self::new(manifest.into(), config.into(), layers)
    }

    fn sections(&self) -> Result<Vec<Placed>, TocError> {
        let of_image = |kind, bytes: &[u8]| {
            Ok::<_, TocError>(Placed { kind, layer: 0, section: SectionWriter::of(bytes)? })
        };
        let mut sections = vec![
            of_image(SectionKind::Manifest, &self.manifest_bytes)?,
            of_image(SectionKind::Config, &self.config)?,
        ];
        let mut seen = Vec::new();
        for layer in &self.layers {
            if seen.contains(&&layer.info().blob) {
                continue;
            }
            seen.push(&layer.info().blob);
            let number = u32::try_from(seen.len()).map_err(|_| TocError::Image(TOO_MANY_LAYERS))?;
            sections.extend(layer.sections().iter().map(|placed| Placed { layer: number, ..placed.clone() }));
        }
        Ok(sections)
    }

    /// Writes it as a file; says how many bytes that has.
    pub fn write_to(&self, to: &mut dyn Write) -> Result<u64, TocError> {
        let sections = self.sections()?;
        let identity = file::identity(&sections)?;
        file::write(to, FileKind::Image, &sections, identity)
    }

    /// Its identity. Reads all of the table.
    pub fn identity(&self) -> Result<Identity, TocError> {
        file::identity(&self.sections()?)
    }

    /// The image's manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The manifest's bytes, as the registry has them.
    #[must_use]
    pub fn manifest_bytes(&self) -> &Bytes {
        &self.manifest_bytes
    }

    /// The configuration's bytes.
    #[must_use]
    pub fn config(&self) -> &Bytes {
        &self.config
    }

    /// The layers' tables, bottom first.
    #[must_use]
    pub fn layers(&self) -> &[LayerToc] {
        &self.layers
    }
}
