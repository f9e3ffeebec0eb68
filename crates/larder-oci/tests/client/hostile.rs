//! Answers that no honest registry gives.

use larder_oci::registry::Kind;
use larder_oci::{OciDigest, Tag};

use super::server::{Server, answer};
use super::{content, kind, options, run};

#[test]
fn another_blob_is_never_taken_for_the_one_asked_for() {
    let server = Server::start(|_| answer(200).body(content(5000)));
    let reader = run(server.repository(options()).read_blob(&OciDigest::sha256(b"x"), ..)).unwrap().unwrap();
    assert_eq!(kind(run(reader.read_all(5000))), Kind::Corrupt);
}

#[test]
fn another_manifest_is_never_taken_for_the_one_asked_for() {
    let server = Server::start(|_| answer(200).body("{}"));
    let repository = server.repository(options());
    assert_eq!(kind(run(repository.manifest(OciDigest::sha256(b"x")))), Kind::Corrupt);
    let said = OciDigest::sha256(b"other");
    let server = Server::start(move |_| answer(200).with("Docker-Content-Digest", said).body("{}"));
    let repository = server.repository(options());
    assert_eq!(kind(run(repository.manifest(Tag::latest()))), Kind::Corrupt);
    assert_eq!(kind(run(repository.resolve(OciDigest::sha256(b"x")))), Kind::Corrupt);
    assert_eq!(
        kind(run(repository.put_manifest(Tag::latest(), "{\"a\":1}".into(), "application/json"))),
        Kind::Corrupt
    );
}

#[test]
fn answers_without_end_are_not_read() {
    let server = Server::start(|_| answer(200).length(1 << 50).body("x"));
    let repository = server.repository(options());
    assert_eq!(kind(run(repository.manifest(Tag::latest()))), Kind::Invalid);
    assert_eq!(kind(run(repository.tags(10))), Kind::Invalid);
    let server = Server::start(|_| answer(200).no_length().body(vec![b' '; 5 << 20]));
    assert_eq!(kind(run(server.repository(options()).manifest(Tag::latest()))), Kind::Invalid);
    let server = Server::start(|_| answer(403).body(vec![b'x'; 5 << 20]));
    let error = run(server.repository(options()).manifest(Tag::latest())).unwrap_err();
    assert!(*error.kind() == Kind::Denied && error.to_string().len() < 500);
    assert!(server.seen().len() == 1);
}

#[test]
fn wrong_ranges_are_refused() {
    for range in
        ["bytes 0-9/100", "bytes 10-30/100", "bytes 10-19/15", "bytes 19-10/100", "pages 10-19/100", ""]
    {
        let server = Server::start(move |_| answer(206).with("Content-Range", range).body(content(10)));
        let outcome = run(server.repository(options()).read_blob(&OciDigest::sha256(b"x"), 10..20));
        assert_eq!(kind(outcome), Kind::Invalid, "{range}");
    }
}

#[test]
fn a_short_answer_without_length_is_no_success() {
    let all = content(1000);
    let digest = OciDigest::sha256(&all);
    let server = Server::start(move |_| answer(200).no_length().body(&all[..500]));
    let repository = server.repository(options());
    let reader = run(repository.read_blob(&digest, ..)).unwrap().unwrap();
    assert_eq!(kind(run(reader.read_all(1000))), Kind::Corrupt);
    let reader = run(repository.read_blob(&digest, 0..1000)).unwrap().unwrap();
    assert_eq!(kind(run(reader.read_all(1000))), Kind::Unreachable);
}

#[test]
fn redirects_and_pages_have_an_end() {
    let server = Server::start(|_| answer(307).with("Location", "/v2/again"));
    let repository = server.repository(options());
    assert_eq!(kind(run(repository.has_blob(&OciDigest::sha256(b"x")))), Kind::Invalid);
    assert_eq!(server.seen().len(), 6);
    let server = Server::start(|_| {
        answer(200).with("Link", "</v2/team/app/tags/list?last=a>; rel=\"next\"").body(r#"{"tags":["a"]}"#)
    });
    assert_eq!(run(server.repository(options()).tags(10)).unwrap().tags.len(), 1);
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn pages_elsewhere_and_redirects_to_files_are_not_followed() {
    let server = Server::start(|_| answer(200).with("Link", "<http://other.example/>; rel=next").body("{}"));
    assert_eq!(kind(run(server.repository(options()).tags(10))), Kind::Invalid);
    for to in ["file:///etc/passwd", "http://", "ftp://x/y"] {
        let server = Server::start(move |_| answer(307).with("Location", to));
        assert_eq!(kind(run(server.repository(options()).manifest(Tag::latest()))), Kind::Invalid, "{to}");
    }
    let server = Server::start(|_| answer(202));
    assert_eq!(
        kind(run(server.repository(options()).upload_blob(&OciDigest::sha256(b"x"), "x".into()))),
        Kind::Invalid
    );
}

#[test]
fn a_web_page_is_no_registry() {
    let server = Server::start(|_| answer(404).body("<html>not here</html>"));
    let repository = server.repository(options());
    let error = run(repository.registry().ping()).unwrap_err();
    assert!(error.hint().contains("is this a registry?"), "{}", error.hint());
}
