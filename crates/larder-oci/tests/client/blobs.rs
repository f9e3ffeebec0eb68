//! Blobs: ranges, broken connections, places to push to, and what registries answer to them.

use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::TryStreamExt as _;
use larder_oci::OciDigest;
use larder_oci::registry::Kind;

use super::server::{Answer, Request, Server, answer};
use super::{content, kind, options, run};

fn part(request: &Request, all: &[u8]) -> Answer {
    match request.range() {
        None => answer(200).body(all),
        Some((first, _)) if first >= all.len() => answer(416),
        Some((first, last)) => {
            let last = last.unwrap_or(all.len() - 1).min(all.len() - 1);
            let range = format!("bytes {first}-{last}/{}", all.len());
            answer(206).with("Content-Range", range).body(&all[first..=last])
        }
    }
}

#[test]
fn ranges_are_what_was_asked_for() {
    let all = content(100_000);
    let served = all.clone();
    let server = Server::start(move |request| part(request, &served));
    let repository = server.repository(options());
    let digest = OciDigest::sha256(&all);
    run(async {
        for range in [0..100_000, 0..1, 99_999..100_000, 5000..70_000, 7..7] {
            let reader = repository.read_blob(&digest, range.clone()).await.unwrap().unwrap();
            assert_eq!(reader.length(), Some(range.end - range.start));
            let wanted = &all[range.start as usize..range.end as usize];
            assert_eq!(&reader.read_all(100_000).await.unwrap()[..], wanted);
        }
        let reader = repository.read_blob(&digest, 99_990..).await.unwrap().unwrap();
        assert_eq!(&reader.read_all(10).await.unwrap()[..], &all[99_990..]);
        let stream = repository.read_blob(&digest, ..).await.unwrap().unwrap().into_stream();
        let pieces: Vec<_> = stream.try_collect().await.unwrap();
        assert_eq!(pieces.concat(), all);
        // Past the end.
        assert_eq!(kind(repository.read_blob(&digest, 99_990..100_001).await), Kind::Corrupt);
        assert_eq!(kind(repository.read_blob(&digest, 200_000..).await), Kind::Corrupt);
        assert_eq!(
            kind(repository.read_blob(&digest, ..).await.unwrap().unwrap().read_all(99).await),
            Kind::Invalid
        );
    });
    assert!(repository.registry().moved().received >= 100_000);
}

#[test]
fn a_registry_without_ranges_is_understood() {
    let all = content(50_000);
    let served = all.clone();
    let server = Server::start(move |_| answer(200).body(&served[..]));
    let repository = server.repository(options());
    let reader = run(repository.read_blob(&OciDigest::sha256(&all), 20_000..20_010)).unwrap().unwrap();
    assert_eq!(&run(reader.read_all(10)).unwrap()[..], &all[20_000..20_010]);
}

#[test]
fn a_body_that_is_cut_is_resumed_by_range() {
    let all = content(900_000);
    let served = all.clone();
    let server = Server::start(move |request| part(request, &served).cut(300_000));
    let repository = server.repository(options());
    let reader = run(repository.read_blob(&OciDigest::sha256(&all), ..)).unwrap().unwrap();
    assert_eq!(run(reader.read_all(900_000)).unwrap(), all);
    let ranges: Vec<_> =
        server.seen().iter().map(|request| request.header("range").map(str::to_owned)).collect();
    assert!(ranges.len() >= 3, "{ranges:?}");
    assert_eq!(ranges[0], None);
    assert!(ranges[1].as_deref().unwrap().starts_with("bytes=") && ranges[1].as_deref() != Some("bytes=0-"));
}

#[test]
fn a_body_that_is_cut_by_a_registry_without_ranges_is_read_on_too() {
    let all = content(100_000);
    let served = all.clone();
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_| {
        let first = count.fetch_add(1, Ordering::Relaxed) == 0;
        answer(200).body(&served[..]).cut(if first { 60_000 } else { 100_000 })
    });
    let reader = run(server.repository(options()).read_blob(&OciDigest::sha256(&all), ..)).unwrap().unwrap();
    assert_eq!(run(reader.read_all(100_000)).unwrap(), all);
}

#[test]
fn a_body_that_stands_still_is_given_up() {
    let all = content(10_000);
    let digest = OciDigest::sha256(&all);
    let server = Server::start(move |request| part(request, &all).cut(0));
    let reader = run(server.repository(options()).read_blob(&digest, ..)).unwrap().unwrap();
    assert_eq!(kind(run(reader.read_all(10_000))), Kind::Unreachable);
    assert_eq!(server.seen().len(), 3);
}

#[test]
fn a_redirect_is_asked_for_anew_when_the_connection_breaks() {
    let all = content(300_000);
    let digest = OciDigest::sha256(&all);
    let other = Server::start(move |request| part(request, &all).cut(200_000));
    let (address, count) = (other.address(), AtomicUsize::new(0));
    let server = Server::start(move |_| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        answer(307).with("Location", format!("http://{address}/blob?expires={number}"))
    });
    let reader = run(server.repository(options()).read_blob(&digest, ..)).unwrap().unwrap();
    assert_eq!(run(reader.read_all(300_000)).unwrap().len(), 300_000);
    // As often as it takes: of a connection that breaks, the last bytes may be lost.
    let (there, here) = (other.lines(), server.seen().len());
    assert!(there.len() >= 2 && there.len() == here, "{there:?}");
    assert_eq!(there[..2], ["GET /blob?expires=0", "GET /blob?expires=1"]);
}

#[test]
fn what_is_missing_is_none() {
    let server = Server::start(|_| answer(404));
    let repository = server.repository(options());
    let digest = OciDigest::sha256(b"x");
    run(async {
        assert!(repository.read_blob(&digest, ..).await.unwrap().is_none());
        assert!(!repository.has_blob(&digest).await.unwrap());
        assert!(repository.manifest(digest).await.unwrap().is_none());
        assert!(repository.resolve(digest).await.unwrap().is_none());
        assert!(!repository.delete_manifest(digest).await.unwrap());
        assert!(repository.referrers(&digest, None).await.unwrap().is_empty());
        assert_eq!(repository.tags(10).await.unwrap().tags, []);
    });
}

#[test]
fn a_place_is_relative_or_not_and_keeps_its_query() {
    for place in ["/up/1?_state=x%3D%3D&y", "up2", "?only=query"] {
        let server = Server::start(move |request| match request.method.as_str() {
            "HEAD" => answer(404),
            "POST" => answer(202).with("Location", place),
            _ => answer(201),
        });
        let digest = OciDigest::sha256(b"bytes");
        assert!(run(server.repository(options()).push_blob(&digest, "bytes".into())).unwrap());
        let put = server.lines().pop().unwrap();
        let wanted = match place {
            "up2" => format!("PUT /v2/team/app/blobs/uploads/up2?digest={digest}"),
            "?only=query" => format!("PUT /v2/team/app/blobs/uploads/?only=query&digest={digest}"),
            _ => format!("PUT /up/1?_state=x%3D%3D&y&digest={digest}"),
        };
        assert_eq!(put, wanted);
    }
}

#[test]
fn what_is_there_is_not_sent() {
    let server = Server::start(|_| answer(200));
    assert!(!run(server.repository(options()).push_blob(&OciDigest::sha256(b"x"), "x".into())).unwrap());
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn a_push_that_breaks_gets_a_new_place() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |request| match request.method.as_str() {
        "POST" => answer(202).with("Location", format!("/up/{}", count.fetch_add(1, Ordering::Relaxed))),
        _ if request.path() == "/up/1" => answer(201),
        _ => answer(502),
    });
    run(server.repository(options()).upload_blob(&OciDigest::sha256(b"x"), "x".into())).unwrap();
    assert_eq!(server.seen().len(), 4);
}

#[test]
fn a_mount_that_is_not_done_becomes_a_push() {
    let server = Server::start(move |request| match request.method.as_str() {
        "POST" => answer(202).with("Location", "/up/1"),
        "PUT" => answer(201),
        _ => answer(204),
    });
    let repository = server.repository(options());
    let (digest, from) = (OciDigest::sha256(b"x"), "base".parse().unwrap());
    assert!(run(repository.mount_or_push(&digest, &from, "x".into())).unwrap());
    let hex = digest.hex();
    assert_eq!(server.lines()[0], format!("POST /v2/team/app/blobs/uploads/?mount=sha256%3A{hex}&from=base"));
    assert_eq!(server.lines().len(), 2);
    assert!(!run(repository.mount_blob(&digest, &from)).unwrap());
    assert_eq!(server.lines()[3], "DELETE /up/1");
}

#[test]
fn too_many_requests_are_waited_for_within_bounds() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => answer(429).with("Retry-After", "1"),
        _ => answer(200),
    });
    let started = std::time::Instant::now();
    assert!(run(server.repository(options()).has_blob(&OciDigest::sha256(b"x"))).unwrap());
    assert!(started.elapsed().as_millis() >= 1000);
    let server = Server::start(|_| answer(429).with("Retry-After", "3600"));
    let outcome = run(server.repository(options()).read_blob(&OciDigest::sha256(b"x"), ..));
    let hour = Some(std::time::Duration::from_secs(3600));
    assert_eq!(kind(outcome), Kind::TooManyRequests { retry_after: hour });
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn nobody_there_is_unreachable_and_silence_is_a_time_limit() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let host = format!("127.0.0.1:{port}").parse().unwrap();
    let registry = larder_oci::Registry::open(&host, options()).unwrap();
    assert_eq!(kind(run(registry.ping())), Kind::Unreachable);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = silent.local_addr().unwrap().to_string().parse().unwrap();
    let mut quick = options();
    quick.patience.answer = std::time::Duration::from_millis(200);
    let started = std::time::Instant::now();
    assert_eq!(kind(run(larder_oci::Registry::open(&host, quick).unwrap().ping())), Kind::TimedOut);
    assert!(started.elapsed().as_secs() < 2);
}

#[test]
fn no_tls_where_tls_was_expected_is_told_as_that() {
    // What servers without TLS say to those who begin with it.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request");
        }
    });
    let outcome = run(larder_oci::Registry::open(&host, options()).unwrap().ping());
    assert_eq!(kind(outcome), Kind::Tls);
}
