//! Tables pushed beside an image: one artifact for each manifest of an image, with a signed table of each of its layers (`docs/formats/toc.md`,
//! "In the registry").
//!
//! The artifact is a referrer of the manifest. Embedded, it is also listed in the index that a tag points to, beside the image, and so goes where that is
//! copied to. What says the same as what is there is not pushed again: neither the time of a signature nor the compressor counts.
//!
//! # Concurrency
//! Registries know no condition for writing a tag. Two that push at once for one image may lose an entry of the list of referrers where there is no API for
//! it, and of an index; who pushes again mends that.

use bytes::Bytes;
use larder_oci::OciDigest;
use larder_oci::manifest::{Descriptor, Document, EMPTY_CONFIG, Index, Manifest, Platform, media_type};
use larder_oci::reference::Tag;
use larder_oci::registry::Repository;
use larder_oci::toc::{ImageToc, LayerToc, TocError};
use larder_store::trust::{Place, Signer, Trust};

use super::remote_toc::{annotation, envelope_of, envelope_text};
use super::statement::{ARTIFACT, Statement, TABLE};
use super::{ImageError, indexer::LARGEST_TABLE};

/// Artifacts there that are compared.
const MOST_COMPARED: usize = 16;

/// How tables are pushed.
#[derive(Clone, Copy, Debug)]
pub struct Push<'a> {
    /// What signs them.
    pub signer: &'a Signer,
    /// What that is believed by.
    pub trust: &'a Trust,
    /// For which namespace.
    pub namespace: &'a str,
    /// The tag whose index they are listed in, if they are.
    pub embed: Option<&'a Tag>,
    /// Nothing is pushed.
    pub dry_run: bool,
}

/// A table that was pushed.
#[derive(Clone, Debug)]
pub struct PushedTable {
    /// What it says.
    pub statement: Statement,
    /// How many bytes it has.
    pub bytes: u64,
    /// It was sent, or would be.
    pub sent: bool,
}

/// What was pushed.
#[derive(Clone, Debug)]
pub struct PushedTables {
    /// The manifest that it is about.
    pub subject: OciDigest,
    /// The artifact; none in a dry run that would make one.
    pub artifact: Option<OciDigest>,
    /// It was made now, or would be.
    pub is_new: bool,
    /// The tables, bottom first, each once.
    pub tables: Vec<PushedTable>,
    /// The index that the tag points to now, if it was changed; in a dry run nothing.
    pub index: Option<OciDigest>,
    /// The tag was changed, or would be.
    pub moves_tag: bool,
}

/// Pushes the tables of an image to `repository`, where it is. All of them must have been made here: who signs vouches.
///
/// # Errors
/// What the registry says; [`ImageError::Embed`] if the tag does not lead to the image.
pub async fn push_tables(
    repository: &Repository,
    toc: &ImageToc,
    how: &Push<'_>,
) -> Result<PushedTables, ImageError> {
    let tables = distinct(toc);
    let statements: Vec<Statement> = tables.iter().map(|table| Statement::of(table)).collect();
    let kind = toc.manifest().media_type.as_deref().unwrap_or(media_type::MANIFEST);
    let subject = Descriptor::of(kind, toc.manifest_bytes());
    let mut pushed = PushedTables {
        subject: subject.digest,
        artifact: None,
        is_new: false,
        tables: Vec::new(),
        index: None,
        moves_tag: false,
    };
    let there = the_same(repository, &subject.digest, &statements, how).await?;
    let artifact = match there {
        Some((artifact, sizes)) => {
            let each = statements.into_iter().zip(sizes);
            pushed.tables =
                each.map(|(statement, bytes)| PushedTable { statement, bytes, sent: false }).collect();
            Some(artifact)
        }
        None => {
            pushed.is_new = true;
            new(repository, &tables, statements, subject, how, &mut pushed).await?
        }
    };
    pushed.artifact = artifact.as_ref().map(|artifact| artifact.digest);
    if let Some(tag) = how.embed {
        embed(repository, toc, tag, artifact, how.dry_run, &mut pushed).await?;
    }
    Ok(pushed)
}

/// The tables of an image, each once, bottom first.
fn distinct(toc: &ImageToc) -> Vec<&LayerToc> {
    let mut tables: Vec<&LayerToc> = Vec::new();
    for table in toc.layers() {
        if tables.iter().all(|before| before.info().blob != table.info().blob) {
            tables.push(table);
        }
    }
    tables
}

/// An artifact that is there already and says the same, signed as this one would be; with the sizes of its tables.
async fn the_same(
    repository: &Repository,
    subject: &OciDigest,
    statements: &[Statement],
    how: &Push<'_>,
) -> Result<Option<(Descriptor, Vec<u64>)>, ImageError> {
    let listed = repository.referrers(subject, Some(ARTIFACT)).await?;
    'artifacts: for descriptor in listed.into_iter().rev().take(MOST_COMPARED) {
        let Some(raw) = repository.manifest(descriptor.digest).await? else { continue };
        let Ok(Document::Manifest(manifest)) = raw.parse() else { continue };
        let of_kind = manifest.artifact_type.as_deref() == Some(ARTIFACT);
        if !of_kind || manifest.layers.len() != statements.len() {
            continue;
        }
        for (layer, statement) in manifest.layers.iter().zip(statements) {
            if !says(layer, statement, how) || !repository.has_blob(&layer.digest).await? {
                continue 'artifacts;
            }
        }
        let sizes = manifest.layers.iter().map(|layer| layer.size).collect();
        return Ok(Some((described(&manifest, &raw.bytes), sizes)));
    }
    Ok(None)
}

/// Whether a table of an artifact says this, signed by the key that signs here, if one does.
fn says(layer: &Descriptor, statement: &Statement, how: &Push<'_>) -> bool {
    let Some(envelope) = envelope_of(layer) else { return false };
    let said = match how.signer.key_id() {
        None => Statement::unjudged(&envelope).ok(),
        Some(own) => Statement::open(&envelope, &statement.blob, how.namespace, how.trust, Place::Remote)
            .ok()
            .and_then(|(said, signed_by)| (signed_by.as_deref() == Some(own)).then_some(said)),
    };
    layer.media_type == TABLE && said.as_ref() == Some(statement)
}

/// How an artifact is listed in an index.
fn described(manifest: &Manifest, bytes: &[u8]) -> Descriptor {
    let mut descriptor = Descriptor::of(media_type::MANIFEST, bytes);
    descriptor.artifact_type = Some(ARTIFACT.to_owned());
    descriptor.annotations.clone_from(&manifest.annotations);
    descriptor
}

async fn new(
    repository: &Repository,
    tables: &[&LayerToc],
    statements: Vec<Statement>,
    subject: Descriptor,
    how: &Push<'_>,
    pushed: &mut PushedTables,
) -> Result<Option<Descriptor>, ImageError> {
    let mut layers = Vec::new();
    for (table, statement) in tables.iter().zip(statements) {
        let mut bytes = Vec::new();
        let size = table.write_to(&mut bytes)?;
        if size > LARGEST_TABLE {
            return Err(TocError::TooLarge("its table").into());
        }
        let envelope = statement.seal(how.signer, how.namespace)?;
        let descriptor = table_descriptor(&bytes, &statement, &envelope);
        let sent = match how.dry_run {
            true => !repository.has_blob(&descriptor.digest).await?,
            false => repository.push_blob(&descriptor.digest, bytes.into()).await?,
        };
        layers.push(descriptor);
        pushed.tables.push(PushedTable { statement, bytes: size, sent });
    }
    if how.dry_run {
        return Ok(None);
    }
    let empty = Descriptor::empty();
    repository.push_blob(&empty.digest, Bytes::from_static(EMPTY_CONFIG)).await?;
    let mut manifest = Manifest::artifact(ARTIFACT, layers);
    manifest.annotations.insert(annotation::SUBJECT.to_owned(), subject.digest.to_string());
    manifest.subject = Some(subject);
    repository.push_referrer(&manifest).await?;
    Ok(Some(described(&manifest, &manifest.to_bytes())))
}

fn table_descriptor(bytes: &[u8], statement: &Statement, envelope: &[u8]) -> Descriptor {
    Descriptor::of(TABLE, bytes)
        .annotated(annotation::BLOB, statement.blob.to_string())
        .annotated(annotation::DIFF_ID, statement.diff_id.to_string())
        .annotated(annotation::IDENTITY, &statement.identity)
        .annotated(annotation::FORMAT, statement.format.to_string())
        .annotated(annotation::RULE, statement.rule.to_string())
        .annotated(annotation::SPAN, statement.span.to_string())
        .annotated(annotation::ENVELOPE, envelope_text(envelope))
}

/// Lists the artifact in the index that the tag points to, in place of one about the same manifest; makes an index of a tag that points to the image itself.
async fn embed(
    repository: &Repository,
    toc: &ImageToc,
    tag: &Tag,
    artifact: Option<Descriptor>,
    dry_run: bool,
    pushed: &mut PushedTables,
) -> Result<(), ImageError> {
    let raw = repository.manifest(tag).await?.ok_or(ImageError::Embed("the tag is not there"))?;
    let document = raw.parse().map_err(larder_oci::image::SourceError::from)?;
    let mut index = match document {
        Document::Index(index) => index,
        Document::Manifest(_) => {
            let mut image = raw.descriptor();
            image.platform = platform(toc.config());
            Index::new(vec![image])
        }
    };
    if index.manifests.iter().all(|one| one.digest != pushed.subject) {
        return Err(ImageError::Embed("the tag points to another image by now"));
    }
    let is_listed = artifact
        .as_ref()
        .is_some_and(|artifact| index.manifests.iter().any(|one| one.digest == artifact.digest));
    pushed.moves_tag = !is_listed;
    let Some(mut artifact) = artifact.filter(|_| !is_listed && !dry_run) else { return Ok(()) };
    let subject = pushed.subject.to_string();
    index.manifests.retain(|one| {
        one.artifact_type.as_deref() != Some(ARTIFACT)
            || one.annotations.get(annotation::SUBJECT) != Some(&subject)
    });
    // For no platform, as other artifacts in an index: no runtime takes it for an image.
    artifact.platform = Some(Platform {
        architecture: "unknown".to_owned(),
        os: "unknown".to_owned(),
        ..Platform::default()
    });
    index.manifests.push(artifact);
    index.media_type = Some(media_type::INDEX.to_owned());
    let put = repository.put_manifest(tag, index.to_bytes(), media_type::INDEX).await?;
    pushed.index = Some(put.digest);
    Ok(())
}

/// The platform that an image's configuration names.
fn platform(config: &[u8]) -> Option<Platform> {
    let config: serde_json::Value = serde_json::from_slice(config).ok()?;
    let text = |key: &str| config.get(key)?.as_str().map(str::to_owned);
    Some(Platform {
        architecture: text("architecture")?,
        os: text("os")?,
        variant: text("variant"),
        ..Platform::default()
    })
}
