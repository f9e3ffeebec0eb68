//! Tables that others made: found in the registry beside the image, judged, and kept as what they are.
//!
//! A table from elsewhere is a claim about a layer that nobody here has read. It is used if a key that the user trusts signed its statement, and if it is what
//! the statement says: identity, blob, tar stream, sizes, span, rule. Nothing is fetched before the signature is judged.
//!
//! # Kept
//! Under a key of its own, never that of the result which a table made here has, and as *promoted*: with the envelope as it came, which is judged again at
//! every look-up. So it is never signed by this user's key, never offered as made here, and not believed any more when its key is not.
//! What `--trust-unsigned-toc` let in is kept nowhere.

use std::io::Cursor;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use larder_core::Error;
use larder_oci::OciDigest;
use larder_oci::image::{Found, ImageSource};
use larder_oci::manifest::Descriptor;
use larder_oci::toc::{IndexOptions, LayerToc, TocError};
use larder_reapi::{Action, ActionResult, Message};
use larder_store::Store;
use larder_store::envelope;
use larder_store::local::index::{Condition, NewResult, Origin};
use larder_store::trust::{Place, Signer, Trust};

use super::indexer::{LARGEST_TABLE, OUTPUT, layer_words};
use super::statement::{LONGEST_ENVELOPE, NotUsed, Statement, may_be_overridden, now};
use crate::Cache;

/// Names of annotations of a table in its artifact. They help to find it, and prove nothing.
pub mod annotation {
    /// The layer's digest.
    pub const BLOB: &str = "dev.larder.toc.blob";
    /// The digest of its tar stream.
    pub const DIFF_ID: &str = "dev.larder.toc.diff-id";
    /// The table's identity.
    pub const IDENTITY: &str = "dev.larder.toc.identity";
    /// The version of the table's format.
    pub const FORMAT: &str = "dev.larder.toc.format";
    /// The version of its rules.
    pub const RULE: &str = "dev.larder.toc.rule";
    /// Its span.
    pub const SPAN: &str = "dev.larder.toc.span";
    /// The envelope, in base64.
    pub const ENVELOPE: &str = "dev.larder.toc.envelope";
    /// Of an artifact in an index: the manifest that it is about.
    pub const SUBJECT: &str = "dev.larder.toc.subject";
}

/// Tables of one layer that are judged.
const MOST_OFFERS: usize = 16;
/// Tables of small layers may be larger than those.
const SMALL: u64 = 64 << 10;

/// Whose tables are used beside those made here.
#[derive(Clone, Debug)]
pub struct Foreign {
    /// Whose signatures are believed.
    pub trust: Trust,
    /// For what.
    pub namespace: String,
    /// Registries are asked.
    pub ask: bool,
    /// What nobody signed, or nobody who is trusted, is used too; never kept.
    pub unsigned: bool,
}

/// Where a table comes from that was not made here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// The trusted key that signed it; none where signatures are off, or not asked for.
    pub signed_by: Option<String>,
    /// It was here already.
    pub from_store: bool,
    /// It is believed. If not, it is used because `unsigned` says so, and what is read by it must not be kept.
    pub believed: bool,
}

/// A table that others made.
#[derive(Clone, Debug)]
pub(super) struct ForeignTable {
    pub(super) table: LayerToc,
    pub(super) provenance: Provenance,
    /// Its envelope, if it is believed.
    envelope: Vec<u8>,
}

/// A table as an artifact lists it.
struct Offer {
    descriptor: Descriptor,
    blob: OciDigest,
    envelope: Vec<u8>,
}

/// What lies beside an image. Asked for once, when the first layer wants it.
pub(super) struct Offers<'a> {
    source: &'a dyn ImageSource,
    found: &'a Found,
    listed: OnceLock<Vec<Offer>>,
}

impl<'a> Offers<'a> {
    pub(super) fn new(source: &'a dyn ImageSource, found: &'a Found) -> Self {
        Self { source, found, listed: OnceLock::new() }
    }

    fn listed(&self) -> &[Offer] {
        self.listed.get_or_init(|| {
            let artifacts = self.source.artifacts(self.found, super::ARTIFACT);
            artifacts.into_iter().flat_map(|artifact| artifact.layers).filter_map(offer).collect()
        })
    }

    /// The table of a layer that is offered and may be used.
    ///
    /// # Errors
    /// If there are tables of the layer and none may be used: why, for the first.
    pub(super) fn table(
        &self,
        foreign: &Foreign,
        options: &IndexOptions,
    ) -> Result<Option<ForeignTable>, NotUsed> {
        let Some((blob, _)) = &options.blob else { return Ok(None) };
        let mut why = None;
        for offer in self.listed().iter().filter(|offer| offer.blob == *blob).take(MOST_OFFERS) {
            match self.judge(offer, foreign, options) {
                Ok(Some(table)) => return Ok(Some(table)),
                Ok(None) => {}
                Err(error) => drop(why.get_or_insert(error)),
            }
        }
        why.map_or(Ok(None), Err)
    }

    /// `None`: it is one of another span, or cannot be fetched.
    fn judge(
        &self,
        offer: &Offer,
        foreign: &Foreign,
        options: &IndexOptions,
    ) -> Result<Option<ForeignTable>, NotUsed> {
        let Foreign { trust, namespace, unsigned, .. } = foreign;
        let opened = Statement::open(&offer.envelope, &offer.blob, namespace, trust, Place::Remote);
        let (statement, signed_by, believed) = match opened {
            Ok((statement, signed_by)) => (statement, signed_by, true),
            Err(NotUsed::Untrusted(why)) if *unsigned && may_be_overridden(&why) => {
                (Statement::unjudged(&offer.envelope)?, None, false)
            }
            Err(error) => return Err(error),
        };
        if statement.span != options.span.out {
            return Ok(None);
        }
        let size = offer.descriptor.size;
        let layer = options.blob.as_ref().map_or(0, |(_, size)| *size);
        let most = layer.saturating_mul(2).saturating_add(SMALL).min(LARGEST_TABLE);
        let by = signed_by.as_ref().map_or(String::new(), |key| format!(", signed with the key `{key}`"));
        let wrong = |what: &str| NotUsed::Wrong { why: format!("{what}{by}") };
        if size > most {
            return Err(wrong("it is larger than is read"));
        }
        let bytes = loop {
            match self.source.range(&offer.descriptor, 0..size) {
                Ok(bytes) if offer.descriptor.digest.is_of(&bytes) => break bytes,
                // Each time there is a place less to have it from.
                Ok(_) if self.source.distrust(&offer.descriptor.digest) => {}
                Ok(_) => return Err(wrong("it is damaged in the registry")),
                Err(error) => {
                    tracing::debug!(%error, "a table cannot be fetched");
                    return Ok(None);
                }
            }
        };
        let table = proven(bytes, &statement, options).map_err(|error| wrong(&error.to_string()))?;
        let provenance = Provenance { signed_by, from_store: false, believed };
        Ok(Some(ForeignTable { table, provenance, envelope: offer.envelope.clone() }))
    }
}

/// What a layer of an artifact offers, if it is a table.
fn offer(descriptor: Descriptor) -> Option<Offer> {
    if descriptor.media_type != super::TABLE {
        return None;
    }
    let blob = descriptor.annotations.get(annotation::BLOB)?.parse().ok()?;
    // One that is not there, or is no base64, is judged as one that is broken.
    let envelope = envelope_of(&descriptor).unwrap_or_default();
    Some(Offer { blob, envelope, descriptor })
}

/// The envelope beside a table.
pub(super) fn envelope_of(descriptor: &Descriptor) -> Option<Vec<u8>> {
    let text = descriptor.annotations.get(annotation::ENVELOPE)?;
    (text.len() <= LONGEST_ENVELOPE).then(|| STANDARD.decode(text).ok()).flatten()
}

/// The same as an annotation.
pub(super) fn envelope_text(envelope: &[u8]) -> String {
    STANDARD.encode(envelope)
}

/// The table in `bytes`, if it is what the statement says, and of the layer that is asked for. Reads all of it.
fn proven(bytes: Bytes, statement: &Statement, options: &IndexOptions) -> Result<LayerToc, TocError> {
    let table = LayerToc::open(Arc::new(bytes))?;
    let info = table.info();
    // Before all of it is read.
    if info.entries > options.limits.entries {
        return Err(TocError::TooLarge("its number of entries"));
    }
    table.verify()?;
    if Statement::of(&table) != *statement {
        return Err(TocError::Damaged("it is not the table that the signature is of"));
    }
    let is_of_it = options.blob == Some((info.blob, info.blob_size))
        && options.diff_id == Some(info.diff_id)
        && info.span == options.span.out;
    if !is_of_it {
        return Err(TocError::Damaged("it is of another layer"));
    }
    Ok(table)
}

fn action(cache: &Cache, options: &IndexOptions) -> Option<Action> {
    let words = ["larder image layer table from a registry".to_owned()];
    Some(cache.action(words.into_iter().chain(layer_words(options)?), std::iter::empty::<(&str, _)>()))
}

/// The key under which a table is kept.
pub(super) fn key(cache: &Cache, options: &IndexOptions) -> Option<Vec<u8>> {
    Some(cache.digest_of(&action(cache, options)?).key().to_vec())
}

/// Keeps a table as one that others made. What is not believed is not kept.
pub(super) fn keep(cache: &Cache, options: &IndexOptions, foreign: &ForeignTable) {
    if !foreign.provenance.believed {
        return;
    }
    let Some(action) = action(cache, options) else { return };
    let kept = || -> Result<(), Error> {
        let mut bytes = Vec::new();
        foreign.table.write_to(&mut bytes).map_err(std::io::Error::other).map_err(|error| {
            Error::new(larder_core::ErrorKind::Io, "keep a table").with_message(error.to_string())
        })?;
        let digest = cache.put(&mut Cursor::new(&bytes))?;
        let result =
            ActionResult { stdout_raw: foreign.envelope.clone(), ..cache.result([(OUTPUT, digest)]) };
        let key = cache.digest_of(&action).key();
        let store = cache.store();
        let nothing =
            envelope::Context { namespace: store.namespace(), function: "none", action_digest: &key };
        // The row's own envelope proves nothing, and is not asked: the one within is.
        let payload = envelope::seal(&Signer::Unsigned, &nothing, &result.encode_to_vec(), now())?;
        let row = NewResult {
            namespace: store.namespace(),
            key: &key,
            payload: &payload,
            origin: Origin::Promoted,
        };
        index(store)?.put_result(&row, Condition::Always, now())?;
        Ok(())
    };
    if let Err(error) = kept() {
        tracing::warn!(%error, "a layer's table cannot be kept");
    }
}

fn index(store: &Store) -> Result<&larder_store::local::index::Index, Error> {
    store.index().map_err(|error| Error::new(error.kind(), "use the index").caused_by(error))
}

/// The table of a layer that was kept, if it is believed still.
pub(super) fn kept(cache: &Cache, foreign: &Foreign, options: &IndexOptions) -> Option<ForeignTable> {
    let (blob, _) = options.blob.as_ref()?;
    let store = cache.store();
    let key = cache.digest_of(&action(cache, options)?).key();
    let row = index(store).ok()?.get_result(store.namespace(), &key).ok()??;
    let result = ActionResult::decode(envelope::payload_unjudged(&row.payload).ok()?).ok()?;
    let envelope = result.stdout_raw.clone();
    let opened = Statement::open(&envelope, blob, &foreign.namespace, &foreign.trust, Place::Promoted);
    let (statement, signed_by) = opened
        .inspect_err(|error| tracing::debug!(%error, "a table that was kept is not believed any more"))
        .ok()?;
    let bytes = cache.read(&cache.output(&result, OUTPUT)?, LARGEST_TABLE).ok()?;
    let table = proven(Bytes::from(bytes), &statement, options)
        .inspect_err(|error| tracing::warn!(%error, "a table that was kept is not what was signed"))
        .ok()?;
    if let Ok(index) = index(store) {
        // When it was used last is only asked by a collection.
        let _ = index.touch_results(&[(store.namespace(), &key)], now());
    }
    Some(ForeignTable {
        table,
        provenance: Provenance { signed_by, from_store: true, believed: true },
        envelope,
    })
}

/// Forgets a table that others made, which turned out to be wrong.
pub(super) fn forget(cache: &Cache, options: &IndexOptions) {
    let Some(action) = action(cache, options) else { return };
    if let Err(error) = cache.store().forget(&cache.digest_of(&action)) {
        tracing::warn!(%error, "a table cannot be forgotten");
    }
}
