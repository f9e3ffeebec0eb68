//! Manifests, tags and referrers, as far as a server that plays along can show it.

use larder_oci::manifest::{Descriptor, Manifest, media_type};
use larder_oci::{Document, OciDigest, Tag};

use super::server::{Server, answer};
use super::{options, run};

#[test]
fn a_head_that_tells_enough_is_enough() {
    let digest = OciDigest::sha256(b"m");
    let server = Server::start(move |_| {
        answer(200)
            .with("Docker-Content-Digest", digest)
            .with("Content-Type", media_type::INDEX)
            .with("Content-Length", 77)
    });
    let found = run(server.repository(options()).resolve(Tag::latest())).unwrap().unwrap();
    assert_eq!(found, Descriptor::new(media_type::INDEX, digest, 77));
    assert_eq!(server.lines(), ["HEAD /v2/team/app/manifests/latest"]);
    let accept = server.seen()[0].header("accept").unwrap().to_owned();
    assert!(media_type::MANIFESTS.iter().all(|kind| accept.contains(kind)), "{accept}");
}

#[test]
fn a_head_that_tells_too_little_is_followed_by_a_get() {
    let manifest = Manifest::artifact("application/x", Vec::new());
    let bytes = manifest.to_bytes();
    let served = bytes.clone();
    let server = Server::start(move |request| match request.method.as_str() {
        "HEAD" => answer(403),
        _ => answer(200).with("Content-Type", media_type::MANIFEST).body(&served[..]),
    });
    let repository = server.repository(options());
    let found = run(repository.resolve(Tag::latest())).unwrap().unwrap();
    assert_eq!(found, Descriptor::of(media_type::MANIFEST, &bytes));
    let fetched = run(repository.manifest(Tag::latest())).unwrap().unwrap();
    assert_eq!(fetched.parse().unwrap(), Document::Manifest(manifest));
}

#[test]
fn tags_come_in_pages() {
    let server = Server::start(|request| match request.target.split_once("last=") {
        None => answer(200)
            .with("Link", "</v2/team/app/tags/list?n=1000&last=b>; rel=\"next\"")
            .body(r#"{"tags":["b","a"]}"#),
        Some(_) => answer(200).body(r#"{"name":"team/app","tags":["c","-no tag-"]}"#),
    });
    let repository = server.repository(options());
    let found = run(repository.tags(10)).unwrap();
    let names: Vec<&str> = found.tags.iter().map(Tag::as_str).collect();
    assert_eq!((names.as_slice(), found.complete), (&["a", "b", "c"][..], true));
    let some = run(repository.tags(1)).unwrap();
    assert_eq!((some.tags.len(), some.complete), (1, false));
}

#[test]
fn referrers_are_filtered_whoever_filters() {
    let entry = |kind: &str| {
        let mut one = Descriptor::of(media_type::MANIFEST, kind.as_bytes());
        one.artifact_type = Some(kind.to_owned());
        one
    };
    let unsaid = entry(media_type::EMPTY);
    let index = larder_oci::Index::new(vec![entry("a/a"), entry("b/b"), unsaid.clone()]).to_bytes();
    let server = Server::start(move |_| answer(200).with("Content-Type", media_type::INDEX).body(&index[..]));
    let repository = server.repository(options());
    let subject = OciDigest::sha256(b"s");
    assert_eq!(run(repository.referrers(&subject, None)).unwrap().len(), 3);
    // One of which only an empty configuration is known may be of any type.
    assert_eq!(run(repository.referrers(&subject, Some("b/b"))).unwrap(), [entry("b/b"), unsaid]);
    assert!(server.lines()[1].ends_with("?artifactType=b%2Fb"));
}
