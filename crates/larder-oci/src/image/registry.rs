//! An image in a registry, and in the mirrors that hold copies of it.
//!
//! Manifests by digest and blobs are asked of the mirrors first, in their order, then of the registry itself. A tag is resolved at the
//! registry, and at a mirror only if the registry cannot be reached. Who gave something does not matter: everything is checked by digest, a
//! range of a layer by whoever reads it ([`ImageSource::distrust`]).
//!
//! A mirror that fails, or that gave something wrong, is passed over from then on, with one warning; one that does not have a
//! blob is not asked for that blob again.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use tokio::runtime::Handle;

use super::artifacts;
use super::source::{Found, ImageSource, SourceError, lead};
use crate::digest::OciDigest;
use crate::manifest::{Descriptor, LONGEST, Manifest, Platform};
use crate::reference::{Reference, TagOrDigest};
use crate::registry::{BlobReader, Kind, Options, RawManifest, RegistryError, Repository};

/// A repository that may have it.
#[derive(Debug)]
struct Place {
    repository: Repository,
    passed_over: AtomicBool,
}

/// Which places a blob is asked of.
#[derive(Clone, Debug, Default)]
struct Asked {
    /// The first that may have it.
    from: usize,
    /// Those that gave something of it, since it was begun or one was last found to be wrong.
    gave: BTreeSet<usize>,
}

/// An image in a registry.
#[derive(Debug)]
pub struct RegistrySource {
    /// Mirrors, and the registry as the last.
    places: Vec<Place>,
    asked: Mutex<HashMap<OciDigest, Asked>>,
    which: TagOrDigest,
    name: String,
    runtime: Handle,
    moved: AtomicU64,
}

impl RegistrySource {
    /// The image of `reference`. Connects to nothing yet.
    ///
    /// `runtime` is of several threads, and drives the connections; this is not used on its threads.
    ///
    /// # Errors
    /// As [`Repository::open`].
    pub fn open(reference: &Reference, options: Options, runtime: Handle) -> Result<Self, SourceError> {
        Self::mirrored(reference, options, Vec::new(), runtime)
    }

    /// The same, with mirrors: the repositories that hold copies of it, and how they are spoken to.
    ///
    /// # Errors
    /// As [`Repository::open`].
    pub fn mirrored(
        reference: &Reference,
        options: Options,
        mirrors: Vec<(Reference, Options)>,
        runtime: Handle,
    ) -> Result<Self, SourceError> {
        let all = mirrors.into_iter().chain([(reference.clone(), options)]);
        let places = all.map(|(place, options)| {
            let repository = Repository::open(&place, options)?;
            Ok(Place { repository, passed_over: AtomicBool::new(false) })
        });
        Ok(Self {
            places: places.collect::<Result<_, RegistryError>>()?,
            asked: Mutex::default(),
            which: reference.which(),
            name: reference.to_string(),
            runtime,
            moved: AtomicU64::new(0),
        })
    }

    fn home(&self) -> &Repository {
        &self.places.last().expect("the registry itself is always there").repository
    }

    fn mirrors(&self) -> &[Place] {
        &self.places[..self.places.len() - 1]
    }

    fn with_asked<T>(&self, blob: &OciDigest, with: impl FnOnce(&mut Asked) -> T) -> T {
        with(self.asked.lock().unwrap_or_else(PoisonError::into_inner).entry(*blob).or_default())
    }

    fn pass_over(&self, place: usize, error: &dyn std::fmt::Display) {
        let place = &self.places[place];
        if !place.passed_over.swap(true, Ordering::Relaxed) {
            let mirror = place.repository.registry();
            tracing::warn!(mirror = %mirror.host(), %error, "a mirror is passed over");
        }
    }

    /// Asks the mirrors, then the registry; with the place that gave it.
    async fn ask<T>(
        &self,
        blob: &OciDigest,
        what: impl AsyncFn(&Repository) -> Result<Option<T>, RegistryError>,
    ) -> Result<(usize, T), SourceError> {
        let from = self.with_asked(blob, |asked| asked.from);
        for (at, place) in self.mirrors().iter().enumerate().skip(from) {
            if place.passed_over.load(Ordering::Relaxed) {
                continue;
            }
            match what(&place.repository).await {
                Ok(Some(found)) => {
                    self.with_asked(blob, |asked| asked.gave.insert(at));
                    return Ok((at, found));
                }
                Ok(None) => self.with_asked(blob, |asked| asked.from = at + 1),
                // A repository that a mirror does not know is as good as a blob that it does not have.
                Err(error) if matches!(error.kind(), Kind::NotFound | Kind::NameUnknown) => {
                    self.with_asked(blob, |asked| asked.from = at + 1);
                }
                Err(error) => self.pass_over(at, &error),
            }
        }
        let home = self.places.len() - 1;
        self.with_asked(blob, |asked| asked.gave.insert(home));
        Ok((home, what(self.home()).await?.ok_or(SourceError::NoBlob(*blob))?))
    }

    async fn by_digest(&self, digest: &OciDigest) -> Result<RawManifest, SourceError> {
        let found = self.ask(digest, async |place| place.manifest(*digest).await).await;
        match found {
            Ok((_, manifest)) => Ok(manifest),
            Err(SourceError::NoBlob(gone)) if self.which.digest() == Some(&gone) => {
                Err(SourceError::NotFound(self.name.clone()))
            }
            Err(error) => Err(error),
        }
    }

    /// The manifest that was asked for.
    async fn named(&self) -> Result<RawManifest, SourceError> {
        if let Some(digest) = self.which.digest() {
            return self.by_digest(digest).await;
        }
        let not_found = || SourceError::NotFound(self.name.clone());
        if self.mirrors().is_empty() {
            return self.home().manifest(self.which.clone()).await?.ok_or_else(not_found);
        }
        let error = match self.home().resolve(self.which.clone()).await {
            Ok(found) => return self.by_digest(&found.ok_or_else(not_found)?.digest).await,
            Err(error) if error.is_retryable() => error,
            Err(error) => return Err(error.into()),
        };
        for (at, place) in self.mirrors().iter().enumerate() {
            match place.repository.manifest(self.which.clone()).await {
                Ok(Some(manifest)) => {
                    let (mirror, tag) = (place.repository.registry(), &self.which);
                    tracing::warn!(registry = %self.home().registry().host(), mirror = %mirror.host(), %tag, %error,
                        "the registry cannot be reached: what the tag is, a mirror says");
                    return Ok(manifest);
                }
                Ok(None) => {}
                Err(error) => self.pass_over(at, &error),
            }
        }
        Err(error.into())
    }
}

impl ImageSource for RegistrySource {
    fn manifest(&self, platform: &Platform) -> Result<Found, SourceError> {
        let raw = self.runtime.block_on(self.named())?;
        let said = raw.media_type.clone();
        lead(raw.bytes, Some(&said), platform, &|descriptor| {
            Ok(self.runtime.block_on(self.by_digest(&descriptor.digest))?.bytes)
        })
    }

    fn content(&self, descriptor: &Descriptor) -> Result<Bytes, SourceError> {
        let fetched = self.ask(&descriptor.digest, async |place| place.fetch(descriptor, LONGEST).await);
        Ok(self.runtime.block_on(fetched)?.1)
    }

    fn layer(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>, SourceError> {
        let digest = descriptor.digest;
        self.with_asked(&digest, |asked| asked.gave.clear());
        let reader = self.ask(&digest, async |place| place.read_blob(&digest, ..).await);
        let (place, reader) = self.runtime.block_on(reader)?;
        let size = descriptor.size;
        let blocking = Blocking { reader, place, source: self, digest, size, at: 0, piece: Bytes::new() };
        // Whatever is sent: one byte more than should be there tells that it is too long.
        Ok(Box::new(blocking.take(size.saturating_add(1))))
    }

    fn range(&self, descriptor: &Descriptor, range: Range<u64>) -> Result<Bytes, SourceError> {
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let digest = descriptor.digest;
        let bytes = self.ask(&digest, async |place| match place.read_blob(&digest, range.clone()).await? {
            Some(reader) => reader.read_all(length).await.map(Some),
            None => Ok(None),
        });
        let (_, bytes) = self.runtime.block_on(bytes)?;
        self.moved.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if bytes.len() == length { Ok(bytes) } else { Err(SourceError::Short(digest)) }
    }

    fn distrust(&self, blob: &OciDigest) -> bool {
        // A mirror may have given something wrong, and then broken off, so that the rest came from elsewhere.
        let gave = self.with_asked(blob, |asked| std::mem::take(&mut asked.gave));
        let home = self.places.len() - 1;
        let mirrors: Vec<usize> = gave.into_iter().filter(|place| *place != home).collect();
        for mirror in &mirrors {
            self.pass_over(*mirror, &format_args!("what it gave of `{blob}` is wrong"));
        }
        !mirrors.is_empty()
    }

    fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    fn artifacts(&self, found: &Found, kind: &str) -> Vec<Manifest> {
        // Mirrors need not have what was pushed about an image.
        let listed = self.runtime.block_on(artifacts::referrers(self.home(), found, kind));
        artifacts::of_kind(found, listed, kind, &|descriptor| {
            Ok(self.runtime.block_on(self.by_digest(&descriptor.digest))?.bytes)
        })
    }
}

/// A registry's answer as a reader that blocks. When a mirror breaks off, the rest comes from the next place.
struct Blocking<'a> {
    reader: BlobReader,
    place: usize,
    source: &'a RegistrySource,
    digest: OciDigest,
    size: u64,
    at: u64,
    piece: Bytes,
}

impl Blocking<'_> {
    fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        loop {
            let error = match self.source.runtime.block_on(self.reader.piece()) {
                Ok(piece) => return Ok(piece),
                Err(error) => error,
            };
            // What is wrong was handed out: all of it has to be read again, which is not for here to do.
            if *error.kind() == Kind::Corrupt || self.place + 1 == self.source.places.len() {
                return Err(error.into());
            }
            self.source.pass_over(self.place, &error);
            // Its end is said too: not every registry understands a range without one.
            let (digest, at, size) = (self.digest, self.at, self.size);
            let rest =
                self.source.ask(&digest, async |place| place.read_blob(&digest, at..size.max(at)).await);
            (self.place, self.reader) = self.source.runtime.block_on(rest)?;
        }
    }
}

impl Read for Blocking<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            let Some(piece) = self.next().map_err(io::Error::other)? else { return Ok(0) };
            self.source.moved.fetch_add(piece.len() as u64, Ordering::Relaxed);
            self.at += piece.len() as u64;
            self.piece = piece;
        }
        let length = into.len().min(self.piece.len());
        into[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}
