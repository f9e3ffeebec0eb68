//! Servers that refuse, are gone, or say nothing: the build goes on, with one warning that says what to do.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::servers::{self, Kind, Server};
use crate::world::{assert_cached, assert_one_warning, machine, prefix, run};

fn at(server: &Server, prefix: &str) -> larder_testing::Project {
    machine(&server.config(prefix), &server.credentials())
}

#[test]
fn a_wrong_secret_key_is_one_warning() {
    for mut server in servers::all() {
        let hint = match server.kind {
            Kind::S3 => "see AWS_SECRET_ACCESS_KEY",
            Kind::Azure => "see AZURE_STORAGE_ACCOUNT_KEY",
            Kind::Gcs => continue,
        };
        server.secret = "d3JvbmcgYW5kIGxvbmcgZW5vdWdoIHRvIGJlIGEga2V5".into();
        let output = run(&at(&server, &prefix()));
        assert_cached(&output, None);
        assert_one_warning(&output, &["cannot be used", "hint:", hint]);
        assert!(!output.stderr.contains(&server.secret), "{}", output.stderr);
    }
}

#[test]
fn an_unknown_access_key_is_one_warning() {
    for mut server in servers::all().into_iter().filter(|server| server.kind == Kind::S3) {
        server.key = "AKIANOTKNOWNTHERE000".into();
        let output = run(&at(&server, &prefix()));
        assert_cached(&output, None);
        assert_one_warning(&output, &["the access key is not known there", "hint: see AWS_ACCESS_KEY_ID"]);
    }
}

#[test]
fn a_bucket_that_is_missing_is_one_warning() {
    for mut server in servers::all() {
        // It makes buckets as they are named.
        if server.name == "s3s-fs" {
            continue;
        }
        server.bucket = "nosuchbucket".into();
        let output = run(&at(&server, &prefix()));
        assert_cached(&output, None);
        assert_one_warning(&output, &["cannot be used", "hint: make the "]);
    }
}

#[test]
fn whoever_may_only_read_reads_and_is_told_once_that_it_cannot_write() {
    for (writer, reader) in servers::readers() {
        let prefix = prefix();
        let fresh = at(&reader, &prefix);
        let output = run(&fresh);
        assert_cached(&output, None);
        assert_one_warning(&output, &["takes no results", "do not allow that", "hint:"]);

        assert_cached(&run(&at(&writer, &prefix)), None);
        let output = run(&at(&reader, &prefix));
        assert_cached(&output, Some(reader.tier()));
        assert!(!output.stderr.contains("warning"), "{}", output.stderr);
    }
}

/// A server of each kind at `port`, with credentials that are well formed.
fn anywhere(port: u16) -> [Server; 3] {
    [Kind::S3, Kind::Azure, Kind::Gcs].map(|kind| Server {
        name: String::new(),
        kind,
        endpoint: format!("http://127.0.0.1:{port}"),
        bucket: "bucket".into(),
        key: "account".into(),
        secret: "YSBrZXkgdGhhdCBpcyB3ZWxsIGZvcm1lZA==".into(),
        token: None,
    })
}

#[test]
fn a_server_that_is_gone_is_one_warning() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for server in anywhere(port) {
        let output = run(&at(&server, "p"));
        assert_cached(&output, None);
        assert_one_warning(
            &output,
            &["cannot be reached", "Connection refused", "hint: is the server running"],
        );
    }
}

#[test]
fn a_server_that_never_answers_is_waited_for_once() {
    // Connections are taken by the kernel; nobody reads.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    for server in anywhere(port) {
        let machine = at(&server, "p");
        let begun = Instant::now();
        let output = run(&machine);
        let took = begun.elapsed();
        assert_cached(&output, None);
        assert_one_warning(&output, &["no answer within 3 s", "hint:"]);
        // Three recipes in two levels: asked one after the other they would have waited six seconds at least. What the
        // build itself takes on a busy machine is not the point.
        assert!(took < Duration::from_secs(30), "{took:?}");
    }
}

#[test]
fn without_credentials_nobody_is_asked() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    silent.set_nonblocking(true).unwrap();
    let [server, ..] = anywhere(silent.local_addr().unwrap().port());
    let output = run(&machine(&server.config("p"), &[]));
    assert_cached(&output, None);
    assert_one_warning(&output, &["there are no credentials", "hint: set AWS_ACCESS_KEY_ID"]);
    assert!(silent.accept().is_err(), "the server was asked");
}
