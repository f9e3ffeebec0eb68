//! The client and layouts against real programs: Debian's `docker-registry` (2.8.2) and `skopeo`.
//!
//! Each test starts a registry of its own on a free port and stops it by its process id. A program that is not installed skips its
//! tests loudly, and fails them when `REQUIRE_CLIENTS=1`.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use larder_oci::layout::{LayoutReader, LayoutWriter};
use larder_oci::manifest::{Descriptor, Manifest, media_type};
use larder_oci::registry::{Credentials, Kind, Login, Secret};
use larder_oci::{Document, OciDigest, Options, Registry, Repository, Tag};

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Whether the program is there.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn have(program: &str) -> bool {
    let found =
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        assert!(std::env::var_os("REQUIRE_CLIENTS").is_none_or(|v| v != "1"), "`{program}` is not installed");
        eprintln!("SKIPPED: `{program}` is not installed");
    }
    found
}

/// `ann` with the password `larder`, as `htpasswd -B` writes it.
const USERS: &str = "ann:$2b$04$zuO879CnsdBAEkiyZu2JlOV5OojWsqUpvTtafhX0X9kQh/AsOCvO6\n";

struct Server {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Option<Self> {
        Self::start_with("")
    }

    /// With more lines of configuration; `~` is its folder.
    fn start_with(more: &str) -> Option<Self> {
        if !have("docker-registry") {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        std::fs::write(folder.path().join("users"), USERS).unwrap();
        let more = more.replace('~', &folder.path().display().to_string());
        let config = format!(
            "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: {address}\n  secret: test\n{more}",
            folder.path().join("data").display()
        );
        let path = folder.path().join("config.yml");
        std::fs::write(&path, config).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&path).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = command.spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            assert!(
                child.try_wait().unwrap().is_none() && Instant::now() < until,
                "docker-registry does not start"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self { child, address, _folder: folder })
    }

    fn registry(&self) -> Registry {
        Registry::open(&self.address.to_string().parse().unwrap(), Options::default()).unwrap()
    }

    fn repository(&self, name: &str) -> Repository {
        self.registry().repository(&name.parse().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Bytes that are the same nowhere.
fn content(length: usize) -> Bytes {
    (0..length as u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).take(length).collect()
}

/// A layer and a configuration that belong together, as small as an image can be.
struct Image {
    layer: Bytes,
    config: Bytes,
    manifest: Manifest,
}

fn image() -> Image {
    // An empty tar.
    let layer = Bytes::from(vec![0; 1024]);
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        OciDigest::sha256(&layer)
    );
    let config = Bytes::from(config);
    let layers = vec![Descriptor::of(media_type::LAYER, &layer)];
    let manifest = Manifest::new(Descriptor::of(media_type::CONFIG, &config), layers);
    Image { layer, config, manifest }
}

fn skopeo(arguments: &[&str], folder: &Path) -> String {
    let mut command = Command::new("skopeo");
    // Debian's skopeo has no policy of its own.
    command.arg("--insecure-policy").args(arguments).current_dir(folder).env("XDG_RUNTIME_DIR", folder);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_is_pushed_can_be_read() {
    let Some(server) = Server::start() else { return };
    let repository = server.repository("team/app");
    let blob = content(3_000_000);
    let digest = OciDigest::sha256(&blob);
    run(async {
        repository.registry().ping().await.unwrap();
        assert!(!repository.has_blob(&digest).await.unwrap());
        assert!(repository.read_blob(&digest, ..).await.unwrap().is_none());
        assert!(repository.push_blob(&digest, blob.clone()).await.unwrap());
        assert!(!repository.push_blob(&digest, blob.clone()).await.unwrap());
        let whole = repository.read_blob(&digest, ..).await.unwrap().unwrap();
        assert_eq!(whole.length(), Some(3_000_000));
        assert_eq!(whole.read_all(3_000_000).await.unwrap(), blob);
        for range in [0..10, 1_000_000..2_000_001, 2_999_999..3_000_000] {
            let some = repository.read_blob(&digest, range.clone()).await.unwrap().unwrap();
            let wanted = blob.slice(range.start as usize..range.end as usize);
            assert_eq!(some.read_all(3_000_000).await.unwrap(), wanted);
        }
        let over = repository.read_blob(&digest, 2_999_999..3_000_001).await;
        assert_eq!(*over.unwrap_err().kind(), Kind::Corrupt);
        // The empty blob, and bytes that are not of their digest.
        assert!(repository.push_blob(&OciDigest::sha256(b""), Bytes::new()).await.unwrap());
        let wrong =
            repository.push_blob(&OciDigest::sha256(b"a"), Bytes::from_static(b"b")).await.unwrap_err();
        assert_eq!((wrong.kind(), wrong.code()), (&Kind::Refused, Some("DIGEST_INVALID")));
        let moved = repository.registry().moved();
        assert!(moved.sent >= 3_000_000 && moved.received >= 4_000_000 && moved.requests > 10, "{moved:?}");
    });
}

#[test]
fn manifests_tags_mounts_and_deletion() {
    let Some(server) = Server::start() else { return };
    let Image { layer, config, manifest } = image();
    let (first, second) = (server.repository("a"), server.repository("b/c"));
    let (tag, bytes): (Tag, _) = ("v1".parse().unwrap(), manifest.to_bytes());
    run(async {
        let missing = first.put_manifest(&tag, bytes.clone(), media_type::MANIFEST).await.unwrap_err();
        assert_eq!(*missing.kind(), Kind::MissingContent);
        first.push_blob(&manifest.config.digest, config.clone()).await.unwrap();
        first.push_blob(&manifest.layers[0].digest, layer.clone()).await.unwrap();
        let pushed = first.put_manifest(&tag, bytes.clone(), media_type::MANIFEST).await.unwrap();
        assert_eq!(pushed.digest, OciDigest::sha256(&bytes));
        let found = first.manifest(&tag).await.unwrap().unwrap();
        assert_eq!((&found.bytes, found.digest), (&bytes, pushed.digest));
        assert_eq!(found.parse().unwrap(), Document::Manifest(manifest.clone()));
        assert_eq!(first.manifest(pushed.digest).await.unwrap(), Some(found.clone()));
        assert_eq!(first.resolve(&tag).await.unwrap(), Some(found.descriptor()));
        assert_eq!(first.resolve(Tag::latest()).await.unwrap(), None);
        assert_eq!(first.fetch(&manifest.config, 4096).await.unwrap(), Some(config.clone()));

        assert!(second.mount_blob(&manifest.layers[0].digest, first.name()).await.unwrap());
        assert!(!second.mount_blob(&OciDigest::sha256(b"nowhere"), first.name()).await.unwrap());
        assert!(second.mount_or_push(&OciDigest::sha256(b"n"), first.name(), "n".into()).await.unwrap());
        assert!(second.has_blob(&manifest.layers[0].digest).await.unwrap());
        assert!(second.has_blob(&OciDigest::sha256(b"n")).await.unwrap());

        for number in 0..5 {
            let tag: Tag = format!("n{number}").parse().unwrap();
            first.put_manifest(tag, bytes.clone(), media_type::MANIFEST).await.unwrap();
        }
        let tags = first.tags(100).await.unwrap();
        assert!(tags.complete && tags.tags.len() == 6, "{tags:?}");
        assert_eq!(server.repository("none").tags(100).await.unwrap().tags, []);

        let tagged = first.delete_manifest(&tag).await.unwrap_err();
        assert_eq!(*tagged.kind(), Kind::Unsupported, "{tagged}");
        assert!(first.delete_manifest(pushed.digest).await.unwrap());
        assert!(!first.delete_manifest(pushed.digest).await.unwrap());
        assert!(first.manifest(&tag).await.unwrap().is_none());
    });
}

#[test]
fn a_registry_with_users_wants_the_right_password() {
    let users = "auth:\n  htpasswd:\n    realm: test\n    path: ~/users\n";
    let Some(server) = Server::start_with(users) else { return };
    let repository = |password: Option<&str>| {
        let mut options = Options::default();
        if let Some(password) = password {
            let login = Login::Password { user: "ann".to_owned(), password: Secret::new(password) };
            options.credentials = Credentials::Login(login);
        }
        let registry = Registry::open(&server.address.to_string().parse().unwrap(), options).unwrap();
        registry.repository(&"a".parse().unwrap())
    };
    run(async {
        for wrong in [None, Some("wrong")] {
            let error = repository(wrong).registry().ping().await.unwrap_err();
            assert_eq!(*error.kind(), Kind::Unauthorized, "{error}");
            let error = repository(wrong).push_blob(&OciDigest::sha256(b"x"), "x".into()).await.unwrap_err();
            assert_eq!(*error.kind(), Kind::Unauthorized, "{error}");
            assert!(error.hint().contains("docker login"), "{}", error.hint());
        }
        let right = repository(Some("larder"));
        right.registry().ping().await.unwrap();
        assert!(right.push_blob(&OciDigest::sha256(b"x"), "x".into()).await.unwrap());
        assert!(right.has_blob(&OciDigest::sha256(b"x")).await.unwrap());
    });
}

#[test]
fn referrers_are_kept_under_a_tag_where_there_is_no_api() {
    let Some(server) = Server::start() else { return };
    let repository = server.repository("a");
    let subject = Descriptor::of(media_type::MANIFEST, b"not there yet");
    let referrer = |kind: &str| {
        let mut manifest = Manifest::artifact(kind, vec![Descriptor::empty()]);
        manifest.subject = Some(subject.clone());
        manifest
    };
    run(async {
        assert!(repository.referrers(&subject.digest, None).await.unwrap().is_empty());
        let empty = Descriptor::empty();
        repository.push_blob(&empty.digest, empty.data.clone().unwrap()).await.unwrap();
        for kind in ["application/x", "application/y", "application/x"] {
            assert!(!repository.push_referrer(&referrer(kind)).await.unwrap().listed);
        }
        assert_eq!(repository.referrers(&subject.digest, None).await.unwrap().len(), 2);
        let some = repository.referrers(&subject.digest, Some("application/y")).await.unwrap();
        assert_eq!(some.len(), 1);
        let found = repository.manifest(some[0].digest).await.unwrap().unwrap();
        assert_eq!(found.parse().unwrap(), Document::Manifest(referrer("application/y")));
    });
}

#[test]
fn skopeo_copies_what_the_client_pushed() {
    let Some(server) = Server::start().filter(|_| have("skopeo")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let Image { layer, config, manifest } = image();
    let repository = server.repository("team/app");
    run(async {
        repository.push_blob(&manifest.config.digest, config).await.unwrap();
        repository.push_blob(&manifest.layers[0].digest, layer).await.unwrap();
        let tag: Tag = "v1".parse().unwrap();
        repository.put_manifest(tag, manifest.to_bytes(), media_type::MANIFEST).await.unwrap();
    });
    let from = format!("docker://{}/team/app:v1", server.address);
    let shown = skopeo(&["inspect", "--tls-verify=false", &from], folder.path());
    assert!(shown.contains(&OciDigest::sha256(&manifest.to_bytes()).to_string()), "{shown}");
    skopeo(&["copy", "--preserve-digests", "--src-tls-verify=false", &from, "oci:copy:v1"], folder.path());
    // What skopeo wrote is read here: a folder, and an archive with folders and all.
    skopeo(&["copy", "--preserve-digests", "oci:copy:v1", "oci-archive:copy.tar:v1"], folder.path());
    let archive = File::open(folder.path().join("copy.tar")).unwrap();
    for reader in [LayoutReader::folder(folder.path().join("copy")), LayoutReader::archive(archive)] {
        let reader = reader.unwrap();
        let entry = reader.named("v1").unwrap();
        assert_eq!(entry.digest, OciDigest::sha256(&manifest.to_bytes()));
        let copied = Manifest::parse(&reader.fetch(entry, 1 << 20).unwrap()).unwrap();
        assert_eq!(copied, manifest);
        assert_eq!(reader.fetch(&copied.layers[0], 1 << 20).unwrap().len(), 1024);
    }
    // And what skopeo pushed.
    let to = format!("docker://{}/copied:v2", server.address);
    skopeo(&["copy", "--preserve-digests", "--dest-tls-verify=false", "oci:copy:v1", &to], folder.path());
    let tag: Tag = "v2".parse().unwrap();
    let found = run(server.repository("copied").manifest(tag)).unwrap().unwrap();
    assert_eq!(found.bytes, manifest.to_bytes());
}

#[test]
fn skopeo_copies_a_layout_that_was_written_here() {
    if !have("skopeo") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let Image { layer, config, manifest } = image();
    let mut writer = LayoutWriter::new(File::create(folder.path().join("image.tar")).unwrap()).unwrap();
    writer.bytes(media_type::LAYER, &layer).unwrap();
    writer.bytes(media_type::CONFIG, &config).unwrap();
    let entry = writer.bytes(media_type::MANIFEST, &manifest.to_bytes()).unwrap();
    writer.list(entry, Some("v1"));
    writer.finish().unwrap();
    skopeo(&["copy", "--preserve-digests", "oci-archive:image.tar:v1", "oci:copy:v1"], folder.path());
    let reader = LayoutReader::folder(folder.path().join("copy")).unwrap();
    assert_eq!(reader.named("v1").unwrap().digest, OciDigest::sha256(&manifest.to_bytes()));
}
