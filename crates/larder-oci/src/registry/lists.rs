//! Lists: tags of a repository, referrers of a manifest (distribution-spec: "Listing Tags", "Listing Referrers").
//!
//! Lists come in pages; where the next one is, the registry says (`Link`). It must be on the registry itself, and there is an end to how
//! many are followed.

use std::collections::BTreeSet;

use reqwest::header::{ACCEPT, HeaderValue, LINK};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Deserialize;

use super::auth::Scope;
use super::errors::Kind;
use super::manifests::{says, text};
use super::wire::Ask;
use super::{PushedManifest, Repository, Result};
use crate::digest::OciDigest;
use crate::manifest::{Annotations, Descriptor, Document, Index, LONGEST, Manifest, media_type};
use crate::reference::Tag;

/// How many pages are followed.
const MOST_PAGES: usize = 10_000;
/// The longest page of tags.
const LONGEST_PAGE: usize = 16 << 20;
/// How many tags are asked for at once.
const PAGE: &str = "1000";

/// Tags of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// Sorted.
    pub tags: Vec<Tag>,
    /// Whether these are all.
    pub complete: bool,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Repository {
    /// The tags of the repository, at most `most`; none if there is no such repository (distribution-spec, "Listing Tags").
    /// What is no tag by the grammar is left out.
    pub async fn tags(&self, most: usize) -> Result<Tags> {
        let mut url = self.wire.url(&format!("{}/tags/list", self.name));
        url.query_pairs_mut().append_pair("n", PAGE);
        let mut next = Some(url);
        let mut found = BTreeSet::new();
        for _ in 0..MOST_PAGES {
            let Some(url) = next.take() else { break };
            let ask = Ask::new("list tags", Method::GET, url, Scope::pull(&self.name));
            let response = self.wire.send(&ask).await?;
            match response.status() {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND => break,
                _ => return Err(self.wire.fail(&ask, response).await),
            }
            next = self.next_page(&ask, &response)?;
            let bytes = self.wire.read_all(&ask, response, LONGEST_PAGE).await?;
            let page: Page = serde_json::from_slice(&bytes).map_err(|_| {
                self.wire.error(Kind::Invalid, ask.operation, "the list of tags is not what it must be")
            })?;
            let before = found.len();
            found.extend(page.tags.into_iter().flatten().filter_map(|tag| tag.parse::<Tag>().ok()));
            // A page without anything new would be followed by others like it.
            if found.len() == before || found.len() > most {
                break;
            }
        }
        let complete = next.is_none() && found.len() <= most;
        Ok(Tags { tags: found.into_iter().take(most).collect(), complete })
    }

    /// What refers to the manifest `subject`, of this type only if one is given (distribution-spec, "Listing Referrers"); from the tag
    /// that stands for the list where the registry has no API for it ("Referrers tag schema").
    ///
    /// Registries made before the specification was done say the configuration's type instead of an artifact's own: what has an empty
    /// configuration there is of any type, and listed whatever type is given. Its manifest knows.
    pub async fn referrers(
        &self,
        subject: &OciDigest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>> {
        let mut url = self.wire.url(&format!("{}/referrers/{subject}", self.name));
        if let Some(kind) = artifact_type {
            url.query_pairs_mut().append_pair("artifactType", kind);
        }
        let mut next = Some(url);
        let mut found: Vec<Descriptor> = Vec::new();
        let mut first = true;
        for _ in 0..MOST_PAGES {
            let Some(url) = next.take() else { break };
            let ask = Ask::new("list referrers", Method::GET, url, Scope::pull(&self.name))
                .header(ACCEPT, HeaderValue::from_static(media_type::INDEX));
            let response = self.wire.send(&ask).await?;
            match response.status().as_u16() {
                200 => {}
                // Not offered: registries before 1.1 say so in several ways.
                400 | 404 | 405 | 501 if first => {
                    found = self.referrers_by_tag(subject).await?;
                    break;
                }
                404 => break,
                _ => return Err(self.wire.fail(&ask, response).await),
            }
            if first && !is_index(&response) {
                found = self.referrers_by_tag(subject).await?;
                break;
            }
            first = false;
            tracing::debug!(filtered = says(&response, "oci-filters-applied"), "referrers");
            next = self.next_page(&ask, &response)?;
            let bytes = self.wire.read_all(&ask, response, LONGEST).await?;
            let index = self.index(ask.operation, &bytes)?;
            let before = found.len();
            for descriptor in index.manifests {
                if !found.iter().any(|known| known.digest == descriptor.digest) {
                    found.push(descriptor);
                }
            }
            if found.len() == before || found.len() > crate::manifest::MOST_ENTRIES {
                break;
            }
        }
        found.retain(|one| {
            let own = one.artifact_type.as_deref();
            artifact_type.is_none_or(|kind| own == Some(kind) || own == Some(media_type::EMPTY))
        });
        Ok(found)
    }

    /// Pushes a manifest that has a subject, and keeps the list of referrers where the registry does not do that itself
    /// (distribution-spec, "Pushing Manifests with Subject").
    ///
    /// Two that do this at once for the same subject, on a registry without the API, may lose one entry of the list: the specification
    /// knows no condition for writing a tag.
    ///
    /// # Errors
    /// [`Kind::Misuse`] if it has no subject.
    pub async fn push_referrer(&self, manifest: &Manifest) -> Result<PushedManifest> {
        let operation = "push a referrer";
        let Some(subject) = &manifest.subject else {
            return Err(self.wire.error(Kind::Misuse, operation, "the manifest has no subject"));
        };
        let bytes = manifest.to_bytes();
        let own = manifest.media_type.as_deref().unwrap_or(media_type::MANIFEST);
        let mut entry = Descriptor::of(own, &bytes);
        entry.artifact_type = Some(manifest.kind().to_owned());
        entry.annotations = Annotations::clone(&manifest.annotations);
        let pushed = self.put_manifest(entry.digest, bytes, own).await?;
        if !pushed.listed {
            let mut known = self.referrers_by_tag(&subject.digest).await?;
            if !known.iter().any(|one| one.digest == entry.digest) {
                known.push(entry);
                let tag = Tag::of_referrers(&subject.digest);
                self.put_manifest(tag, Index::new(known).to_bytes(), media_type::INDEX).await?;
            }
        }
        Ok(pushed)
    }

    async fn referrers_by_tag(&self, subject: &OciDigest) -> Result<Vec<Descriptor>> {
        let Some(list) = self.manifest(Tag::of_referrers(subject)).await? else { return Ok(Vec::new()) };
        Ok(self.index("list referrers", &list.bytes)?.manifests)
    }

    fn index(&self, operation: &'static str, bytes: &[u8]) -> Result<Index> {
        match Document::parse(bytes, None) {
            Ok(Document::Index(index)) => Ok(index),
            Ok(Document::Manifest(_)) => {
                Err(self.wire.error(Kind::Invalid, operation, "the list of referrers is no index"))
            }
            Err(error) => Err(self.wire.error(Kind::Invalid, operation, error.to_string())),
        }
    }

    fn next_page(&self, ask: &Ask, response: &Response) -> Result<Option<Url>> {
        let Some(to) = text(response.headers(), &LINK).and_then(next_of) else { return Ok(None) };
        let url = response.url().join(to).ok().filter(|url| self.wire.is_own(url));
        match url {
            Some(url) => Ok(Some(url)),
            None => {
                Err(self.wire.error(Kind::Invalid, ask.operation, "the next page is not on the registry"))
            }
        }
    }
}

fn is_index(response: &Response) -> bool {
    let kind = text(response.headers(), &reqwest::header::CONTENT_TYPE).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim() == media_type::INDEX)
}

/// The address in `<…>; rel="next"` (RFC 8288).
fn next_of(link: &str) -> Option<&str> {
    let mut rest = link;
    loop {
        let (_, after) = rest.split_once('<')?;
        let (address, after) = after.split_once('>')?;
        let (parameters, more) =
            after.split_once(", <").map_or((after, None), |(p, _)| (p, after.find(", <")));
        let is_next = parameters.split(';').any(|parameter| {
            let parameter = parameter.trim();
            parameter.strip_prefix("rel=").is_some_and(|rel| rel.trim_matches('"') == "next")
        });
        if is_next {
            return Some(address);
        }
        rest = &after[more?..];
    }
}

#[cfg(test)]
mod tests {
    use super::next_of;

    #[test]
    fn the_next_page() {
        assert_eq!(
            next_of(r#"</v2/a/tags/list?n=2&last=b>; rel="next""#),
            Some("/v2/a/tags/list?n=2&last=b")
        );
        assert_eq!(next_of("<x>; rel=prev, <y>; rel=next"), Some("y"));
        for none in ["", "<x", "<x>", "<x>; rel=prev", "x; rel=next"] {
            assert_eq!(next_of(none), None, "{none}");
        }
    }
}
