//! Anything as a registry's answers: never a panic, an end to it, and only bytes that are what their digest says.
#![no_main]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use larder_oci::digest::OciDigest;
use larder_oci::reference::{Reference, Tag};
use larder_oci::registry::{Options, Repository};
use tokio::runtime::Runtime;

/// Answers that are still to be given, the last first.
static ANSWERS: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
static SERVER: LazyLock<SocketAddr> = LazyLock::new(serve);

const STATUSES: [u16; 16] = [200, 200, 200, 206, 201, 202, 204, 301, 307, 400, 401, 404, 405, 416, 429, 500];
const NAMES: [&str; 11] = [
    "Content-Type",
    "Location",
    "Link",
    "WWW-Authenticate",
    "Docker-Content-Digest",
    "Content-Range",
    "Content-Length",
    "Retry-After",
    "OCI-Filters-Applied",
    "OCI-Subject",
    "Transfer-Encoding",
];
/// Often in a header's value. `~` is the registry's address.
const VALUES: [&str; 12] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "~/v2/a/blobs/more",
    "/v2/a/more",
    "<~/v2/a/tags/list?last=b>; rel=\"next\"",
    "</v2/a/tags/list?last=b>; rel=next",
    "Bearer realm=\"~/token\",service=\"s\",scope=\"repository:a:pull\"",
    "Basic realm=\"r\"",
    "bytes 0-9/10",
    "sha256:6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "10",
    "chunked",
];

fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(stream);
        }
    });
    address
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            length => head.extend_from_slice(&buffer[..length]),
        }
    }
    let next = ANSWERS.lock().expect("nobody panics with it").pop();
    stream.write_all(&next.unwrap_or_else(|| b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec()))
}

/// A header's value that leads nowhere but here: `~` stands for the registry.
fn value(name: &str, text: &str) -> Option<String> {
    let leads = ["Location", "Link", "WWW-Authenticate"].contains(&name);
    let known = VALUES.contains(&text);
    if !known && leads && text.contains([':', '\\', '/'])
        || text.contains(|c: char| c != '\t' && c.is_control())
    {
        return None;
    }
    Some(text.replace('~', &format!("http://{}", *SERVER)))
}

type Answer<'a> = (u8, Vec<(u8, u8, &'a str)>, &'a [u8]);

fn write((status, headers, body): &Answer<'_>) -> Vec<u8> {
    let status = STATUSES[usize::from(*status) % STATUSES.len()];
    let mut bytes = format!("HTTP/1.1 {status} Status\r\nConnection: close\r\n").into_bytes();
    for (name, known, text) in headers.iter().take(8) {
        let name = NAMES[usize::from(*name) % NAMES.len()];
        let text = VALUES.get(usize::from(*known)).unwrap_or(text);
        if let Some(value) = value(name, text) {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

libfuzzer_sys::fuzz_target!(|input: (u8, Vec<Answer<'_>>)| {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
    });
    // Opened once: reading the authorities that TLS trusts takes longer than everything else. Answers close their connection, so that each
    // is to one request; tokens are remembered.
    static REPOSITORY: LazyLock<Repository> = LazyLock::new(|| {
        let reference: Reference = format!("{}/a:b", *SERVER).parse().expect("a reference");
        let mut options = Options::default();
        options.patience.answer = Duration::from_secs(2);
        options.retries.pause = Duration::ZERO;
        options.retries.longest_pause = Duration::ZERO;
        Repository::open(&reference, options).expect("a registry is only opened")
    });
    let (operation, answers) = input;
    let repository = &*REPOSITORY;
    *ANSWERS.lock().expect("nobody panics with it") = answers.iter().take(32).rev().map(write).collect();
    let digest = OciDigest::sha256(&[0]);
    let tag: Tag = "b".parse().expect("a tag");
    RUNTIME.block_on(async {
        match operation % 6 {
            0 => {
                if let Ok(tags) = repository.tags(100).await {
                    assert!(tags.tags.is_sorted() && tags.tags.len() <= 100);
                }
            }
            1 => {
                if let Ok(Some(manifest)) = repository.manifest(digest).await {
                    assert!(digest.is_of(&manifest.bytes));
                }
            }
            2 => {
                if let Ok(Some(manifest)) = repository.manifest(tag).await {
                    assert!(manifest.digest.is_of(&manifest.bytes));
                    let _ = manifest.parse();
                }
            }
            3 => drop(repository.referrers(&digest, Some("a")).await),
            4 => {
                if let Ok(Some(blob)) = repository.read_blob(&digest, ..).await
                    && let Ok(bytes) = blob.read_all(1 << 20).await
                {
                    assert!(digest.is_of(&bytes));
                }
            }
            _ => {
                if let Ok(Some(blob)) = repository.read_blob(&digest, 2..12).await
                    && let Ok(bytes) = blob.read_all(1 << 20).await
                {
                    assert_eq!(bytes.len(), 10);
                }
            }
        }
    });
});
