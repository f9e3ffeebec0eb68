//! The fault proxy in front of a small server, with a client that writes and reads bytes.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use larder_testing::proxy::{Bytes, Fault, Place, Proxy, Reply, Rule};

/// A server that answers with what it got, and keeps the heads of requests.
struct Echo {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Echo {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let kept = heads.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, kept) = (client.unwrap(), kept.clone());
                // A client that goes away in the middle is what is tested.
                std::thread::spawn(move || Self::serve(&client, &kept).unwrap_or_default());
            }
        });
        Self { address, heads }
    }

    fn serve(client: &TcpStream, kept: &Mutex<Vec<String>>) -> std::io::Result<()> {
        let (mut input, mut output) = (BufReader::new(client.try_clone()?), client);
        while let Some(head) = head(&mut input)? {
            kept.lock().unwrap().push(head.clone());
            if head.contains("Expect: 100-continue") {
                output.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            let body = body(&mut input, &head)?;
            if head.contains("/chunked") {
                let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                let (one, two) = body.split_at(body.len() / 2);
                output.write_all(head.as_bytes())?;
                for part in [one, two] {
                    output.write_all(format!("{:x};x=y\r\n", part.len()).as_bytes())?;
                    output.write_all(part)?;
                    output.write_all(b"\r\n")?;
                }
                output.write_all(b"0\r\nTrailer: t\r\n\r\n")?;
            } else if head.contains("/close") {
                output.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
                return output.write_all(&body);
            } else {
                let length = body.len();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                output.write_all(head.as_bytes())?;
                if !kept.lock().unwrap().last().unwrap().starts_with("HEAD") {
                    output.write_all(&body)?;
                }
            }
        }
        Ok(())
    }
}

fn head(input: &mut impl BufRead) -> std::io::Result<Option<String>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if input.read_line(&mut head)? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(head))
}

fn body(input: &mut impl BufRead, head: &str) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if head.contains("Transfer-Encoding: chunked") {
        loop {
            let mut line = String::new();
            input.read_line(&mut line)?;
            let size = usize::from_str_radix(line.split(';').next().unwrap().trim(), 16).unwrap();
            if size == 0 {
                while line != "\r\n" {
                    line.clear();
                    input.read_line(&mut line)?;
                }
                return Ok(body);
            }
            let before = body.len();
            body.resize(before + size, 0);
            input.read_exact(&mut body[before..])?;
            input.read_exact(&mut [0; 2])?;
        }
    }
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    body.resize(length.map_or(0, |length| length.parse().unwrap()), 0);
    input.read_exact(&mut body)?;
    Ok(body)
}

fn world() -> (Echo, Proxy) {
    let echo = Echo::start();
    let proxy = Proxy::new(echo.address);
    (echo, proxy)
}

fn connect(proxy: &Proxy) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    BufReader::new(stream)
}

/// Sends `PUT PATH` with `sent`, answers head and body.
fn put(client: &mut BufReader<TcpStream>, path: &str, sent: &[u8]) -> std::io::Result<(String, Vec<u8>)> {
    let length = sent.len();
    let head = format!("PUT {path} HTTP/1.1\r\nHost: bucket.example\r\nContent-Length: {length}\r\n\r\n");
    client.get_mut().write_all(head.as_bytes())?;
    client.get_mut().write_all(sent)?;
    answer(client)
}

fn answer(client: &mut BufReader<TcpStream>) -> std::io::Result<(String, Vec<u8>)> {
    let head = head(client)?.ok_or(ErrorKind::UnexpectedEof)?;
    let body = body(client, &head)?;
    Ok((head, body))
}

fn spoiled(fault: Fault) -> (Echo, Proxy) {
    let (echo, proxy) = world();
    proxy.rule(Rule::new(fault));
    (echo, proxy)
}

const BODY: &[u8] = b"0123456789abcdef";

#[test]
fn what_is_not_spoiled_passes_byte_by_byte_and_is_counted_exactly() {
    let (echo, proxy) = world();
    let mut client = connect(&proxy);
    let before = proxy.counts();
    let (head, body) = put(&mut client, "/a?b=c", BODY).unwrap();
    assert_eq!(body, BODY);
    // Once more on the same connection.
    put(&mut client, "/other", b"").unwrap();
    let heads = echo.heads.lock().unwrap().clone();
    assert_eq!(heads[0], "PUT /a?b=c HTTP/1.1\r\nHost: bucket.example\r\nContent-Length: 16\r\n\r\n");
    let moved = proxy.counts() - &before;
    let heads = heads.iter().map(String::len).sum::<usize>() as u64;
    assert_eq!((moved.total(), moved.of("PUT"), moved.of("GET"), moved.spoiled), (2, 2, 0, 0));
    assert_eq!(moved.up, Bytes { heads, bodies: 16 });
    assert_eq!(moved.down, Bytes { heads: (head.len() * 2 - 1) as u64, bodies: 16 });
    assert_eq!(proxy.counts().connections, 1);
    let seen = proxy.seen();
    assert_eq!(
        (seen[0].path.as_str(), seen[0].status, seen[0].up, seen[0].down),
        ("/a?b=c", Some(200), 16, 16)
    );
}

#[test]
fn chunked_bodies_pass_in_both_directions() {
    let (_echo, proxy) = world();
    let mut client = connect(&proxy);
    let sent = "POST /chunked HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;e=1\r\n0123456789\r\n0\r\n\r\n";
    for _ in 0..2 {
        client.get_mut().write_all(sent.as_bytes()).unwrap();
        assert_eq!(answer(&mut client).unwrap().1, b"abc0123456789");
    }
    let counts = proxy.counts();
    assert_eq!(counts.up.heads + counts.up.bodies, 2 * sent.len() as u64);
    assert_eq!(counts.up.bodies, 2 * 32);
    assert_eq!(counts.down.bodies, 2 * (15 + 16 + 17));
}

#[test]
fn a_body_that_ends_with_the_connection_and_one_that_never_comes() {
    let (_echo, proxy) = world();
    let mut client = connect(&proxy);
    client.get_mut().write_all(b"HEAD /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc").unwrap();
    assert!(head(&mut client).unwrap().unwrap().contains("Content-Length: 3"));
    client.get_mut().write_all(b"GET /close HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc").unwrap();
    head(&mut client).unwrap().unwrap();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"abc");
}

#[test]
fn whoever_asks_first_is_answered_before_the_body() {
    let (_echo, proxy) = world();
    let ask = b"PUT /x HTTP/1.1\r\nContent-Length: 16\r\nExpect: 100-continue\r\n\r\n";
    let mut client = connect(&proxy);
    client.get_mut().write_all(ask).unwrap();
    assert_eq!(head(&mut client).unwrap().unwrap(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.get_mut().write_all(BODY).unwrap();
    assert_eq!(answer(&mut client).unwrap().1, BODY);

    proxy.rule(Rule::new(Fault::Status(503, "SlowDown")));
    client.get_mut().write_all(ask).unwrap();
    assert!(answer(&mut client).unwrap().0.starts_with("HTTP/1.1 503 "));
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    assert_eq!(proxy.counts().up.bodies, 16);
}

#[test]
fn a_status_has_a_body_as_s3_writes_it_and_keeps_the_connection() {
    let (echo, proxy) = spoiled(Fault::Status(507, "QuotaExceeded"));
    let mut client = connect(&proxy);
    for _ in 0..2 {
        let (head, body) = put(&mut client, "/x", BODY).unwrap();
        assert!(head.starts_with("HTTP/1.1 507 "), "{head}");
        assert!(String::from_utf8(body).unwrap().contains("<Code>QuotaExceeded</Code>"));
    }
    assert!(echo.heads.lock().unwrap().is_empty());
    let counts = proxy.counts();
    assert_eq!((counts.spoiled, counts.up.bodies, counts.connections), (2, 32, 1));
    proxy.heal();
    assert_eq!(put(&mut client, "/x", BODY).unwrap().1, BODY);
}

#[test]
fn rules_choose_by_method_path_and_number() {
    let (_echo, proxy) = world();
    proxy.rule(Rule::new(Fault::Status(500, "InternalError")).method("PUT").below("/bad").nth(2));
    proxy.rule(Rule::new(Fault::Status(403, "AccessDenied")).path(|path| path == "/first").first(1));
    let mut client = connect(&proxy);
    let mut status = |path: &str| put(&mut client, path, b"").unwrap().0[9..12].to_owned();
    let statuses = ["/bad", "/good", "/bad", "/bad", "/first", "/first"].map(&mut status);
    assert_eq!(statuses, ["200", "200", "500", "200", "403", "200"]);
}

#[test]
fn one_bit_of_a_body_is_another() {
    for (at, place) in [(3, 3), (15, 999)] {
        for fault in [Fault::Flip(Place::Answer(place)), Fault::Flip(Place::Request(place))] {
            for path in ["/x", "/chunked"] {
                let (_echo, proxy) = spoiled(fault);
                let got = put(&mut connect(&proxy), path, BODY).unwrap().1;
                if place == 999 && path == "/chunked" && fault == Fault::Flip(Place::Answer(999)) {
                    // Nobody knows where such a body ends.
                    assert_eq!(got, BODY);
                    continue;
                }
                let mut wanted = BODY.to_vec();
                wanted[at] ^= 0x20;
                assert_eq!(got, wanted, "{fault:?} {path}");
                assert_eq!(proxy.counts().spoiled, 1);
            }
        }
    }
}

#[test]
fn a_truncated_body_is_a_connection_that_ends() {
    let (_echo, proxy) = spoiled(Fault::Truncate(5));
    let mut client = connect(&proxy);
    client.get_mut().write_all(b"PUT /x HTTP/1.1\r\nContent-Length: 16\r\n\r\n").unwrap();
    client.get_mut().write_all(BODY).unwrap();
    assert!(head(&mut client).unwrap().unwrap().contains("Content-Length: 16"));
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"01234");
    assert_eq!(proxy.counts().down.bodies, 5);
}

#[test]
fn connections_are_reset_where_they_should_be() {
    // What the server saw, and what the client got of the answer's body.
    let cases = [
        (Fault::Reset(Place::Request(0)), 0, None),
        (Fault::Reset(Place::Request(5)), 1, None),
        (Fault::Lost, 1, None),
        (Fault::Reset(Place::Answer(0)), 1, Some(0)),
        (Fault::Reset(Place::Answer(5)), 1, Some(5)),
    ];
    for (fault, heads, got) in cases {
        let (echo, proxy) = spoiled(fault);
        let mut client = connect(&proxy);
        client.get_mut().write_all(b"PUT /x HTTP/1.1\r\nContent-Length: 16\r\n\r\n").unwrap();
        // It may be reset before everything is written.
        let _ = client.get_mut().write_all(BODY);
        // A reset may overtake what was sent before it.
        let mut rest = Vec::new();
        let read = client.read_to_end(&mut rest);
        assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset, "{fault:?}");
        assert_eq!(proxy.counts().down.bodies, got.unwrap_or(0), "{fault:?}");
        assert_eq!(proxy.counts().down.heads > 0, got.is_some(), "{fault:?}");
        // The server's thread notes the head on its own time.
        let until = Instant::now() + Duration::from_secs(5);
        while echo.heads.lock().unwrap().len() < heads && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(echo.heads.lock().unwrap().len(), heads, "{fault:?}");
        proxy.heal();
        assert_eq!(put(&mut connect(&proxy), "/x", BODY).unwrap().1, BODY, "{fault:?}");
    }
}

#[test]
fn delays_add_up_and_each_round_trip_is_waited_for() {
    let (_echo, proxy) = world();
    proxy.rule(Rule::new(Fault::Delay(Duration::from_millis(40))));
    proxy.rule(Rule::new(Fault::Delay(Duration::from_millis(40))));
    proxy.round_trip(Duration::from_millis(30));
    let mut client = connect(&proxy);
    let mut took = || {
        let begun = Instant::now();
        assert_eq!(put(&mut client, "/x", BODY).unwrap().1, BODY);
        begun.elapsed()
    };
    let (first, second) = (took(), took());
    assert!(first >= Duration::from_millis(140), "{first:?}");
    assert!(second >= Duration::from_millis(110) && second < Duration::from_secs(5), "{second:?}");
    assert_eq!(proxy.counts().spoiled, 0);
}

#[test]
fn a_dripping_body_takes_its_time_in_both_directions() {
    let (_echo, proxy) = spoiled(Fault::Drip(80));
    let begun = Instant::now();
    assert_eq!(put(&mut connect(&proxy), "/x", BODY).unwrap().1, BODY);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(390) && took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn silence_lasts_until_the_client_goes_away() {
    let (echo, proxy) = spoiled(Fault::Silence);
    let mut client = connect(&proxy);
    client.get_mut().set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let kind = put(&mut client, "/x", BODY).unwrap_err().kind();
    assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{kind:?}");
    drop(client);
    let until = Instant::now() + Duration::from_secs(5);
    while proxy.seen().first().is_none_or(|seen| seen.up < 16) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!((proxy.seen()[0].status, proxy.seen()[0].up), (None, 16));
    assert!(echo.heads.lock().unwrap().is_empty());
}

#[test]
fn whoever_is_refused_comes_back_to_the_same_port() {
    let (_echo, proxy) = world();
    let mut client = connect(&proxy);
    put(&mut client, "/x", BODY).unwrap();
    proxy.refuse(true);
    proxy.refuse(true);
    assert!(put(&mut client, "/x", BODY).is_err());
    assert_eq!(TcpStream::connect(proxy.address()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    proxy.refuse(false);
    proxy.refuse(false);
    assert_eq!(put(&mut connect(&proxy), "/x", BODY).unwrap().1, BODY);
    assert!(proxy.endpoint().ends_with(&proxy.address().port().to_string()));
}

#[test]
fn a_server_that_is_gone_is_a_connection_that_ends() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Proxy::new(gone);
    assert!(put(&mut connect(&proxy), "/x", BODY).is_err());
}

#[test]
fn a_gate_sees_requests_and_answers_some_of_them() {
    let (echo, proxy) = world();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    proxy.gate(move |asked| {
        kept.lock().unwrap().push((asked.path().to_owned(), asked.header("host").map(str::to_owned)));
        asked.path().starts_with("/mine").then(|| Reply::status(429).header("Retry-After", "7").body("wait"))
    });
    let mut client = connect(&proxy);
    let (head, body) = put(&mut client, "/mine?a=b", BODY).unwrap();
    assert!(head.starts_with("HTTP/1.1 429 ") && head.contains("\r\nRetry-After: 7\r\n"), "{head}");
    assert_eq!(body, b"wait");
    // The connection is kept, and what the gate lets through is the server's.
    assert_eq!(put(&mut client, "/other", BODY).unwrap().1, BODY);
    assert_eq!(echo.heads.lock().unwrap().len(), 1);
    let host = Some("bucket.example".to_owned());
    assert_eq!(*seen.lock().unwrap(), [("/mine".to_owned(), host.clone()), ("/other".to_owned(), host)]);
}

#[test]
fn a_range_that_the_server_does_not_see() {
    let (echo, proxy) = spoiled(Fault::NoRange);
    let mut client = connect(&proxy);
    let head = "PUT /a HTTP/1.1\r\nHost: bucket.example\r\nrange: bytes=0-1\r\nContent-Length: 0\r\n\r\n";
    client.get_mut().write_all(head.as_bytes()).unwrap();
    answer(&mut client).unwrap();
    let heads = echo.heads.lock().unwrap().clone();
    assert_eq!(heads, ["PUT /a HTTP/1.1\r\nHost: bucket.example\r\nContent-Length: 0\r\n\r\n"]);
    assert_eq!(proxy.counts().spoiled, 1);
}
