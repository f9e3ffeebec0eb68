//! Registries that stand in for others.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use larder_testing::proxy::{Fault, Place, Proxy, Rule};
use larder_testing::registry::DockerRegistry;

use super::world::{World, address, good, image, push, refused, tell};

const FILES: &str = "/etc/os-release /app/data /bin/tool";

/// A registry with the image, and one that has a copy, each behind a proxy.
struct Two {
    world: World,
    copy: DockerRegistry,
    home: Proxy,
    mirror: Proxy,
    right: String,
}

impl Two {
    fn new() -> Option<Self> {
        let world = World::new()?;
        let copy = DockerRegistry::start()?;
        push(&copy, &world.machine.path("one"), "app:1");
        push(&copy, &world.machine.path("one"), "deep/er/app:1");
        let (home, mirror) = (Proxy::new(address(&world.registry)), Proxy::new(address(&copy)));
        let right = good(&world.machine, &format!("cat oci:one {FILES}")).stdout;
        let two = Self { world, copy, home, mirror, right };
        two.forget();
        Some(two)
    }

    /// Nothing is kept, no table is known.
    fn forget(&self) {
        let _ = std::fs::remove_dir_all(self.world.machine.store());
        self.home.heal();
        self.mirror.heal();
    }

    fn name(&self) -> String {
        format!("{}/app:1", self.home.address())
    }

    fn option(&self) -> String {
        format!("--mirror {}={}", self.home.address(), self.mirror.address())
    }

    /// Reads files, and gives what was said on standard error, and how many blobs came from the registry and the mirror.
    #[track_caller]
    fn read(&self, what: &str) -> (String, usize, usize) {
        let counted = |proxy: &Proxy| {
            proxy
                .seen()
                .iter()
                .filter(|seen| {
                    seen.path.contains("/blobs/") && seen.status.is_some_and(|status| status < 300)
                })
                .count()
        };
        let before = (counted(&self.home), counted(&self.mirror));
        let output = image(&self.world.machine, &format!("cat {} {FILES} {}", self.name(), self.option()));
        assert!(
            output.code() == 0 && output.stdout == self.right,
            "{what}: {}\nhome\n{}mirror\n{}",
            output.stderr,
            self.home.told(),
            self.mirror.told()
        );
        let said =
            output.stderr.lines().filter(|line| !line.starts_with("layer ")).collect::<Vec<_>>().join("\n");
        tell(format_args!("{what}: {said}"));
        (said, counted(&self.home) - before.0, counted(&self.mirror) - before.1)
    }
}

#[test]
fn blobs_come_from_the_mirror_and_tags_from_the_registry() {
    let Some(mut two) = Two::new() else { return };
    let (said, home, mirror) = two.read("all well");
    assert!(said.is_empty() && home == 0 && mirror > 2, "{said}, {home}, {mirror}");
    let manifests = two.home.seen().iter().filter(|seen| seen.path.ends_with("/manifests/1")).count();
    assert_eq!(
        (manifests, two.mirror.seen().iter().filter(|seen| seen.path.ends_with("/manifests/1")).count()),
        (1, 0)
    );

    // A tag that has moved at the registry is never what the mirror still has.
    push(&two.world.registry, &two.world.machine.path("two"), "app:1");
    let moved = good(&two.world.machine, &format!("cat {} /app/version {}", two.name(), two.option()));
    assert_eq!(moved.stdout, "2\n");
    push(&two.world.registry, &two.world.machine.path("one"), "app:1");

    // With a prefix, from the environment, among others; and for another registry.
    two.forget();
    let list =
        format!("docker.io=mirror.example.org, {}={}/deep/er", two.home.address(), two.mirror.address());
    two.world.machine.env("LARDER_REGISTRY_MIRRORS", list);
    let before = two.mirror.counts().total();
    assert!(good(&two.world.machine, &format!("cat {} {FILES}", two.name())).stdout == two.right);
    assert!(
        two.mirror.counts().total() > before + 2 && two.mirror.told().contains("/v2/deep/er/app/blobs/"),
        "{}",
        two.mirror.told()
    );
    two.world.machine.env("LARDER_REGISTRY_MIRRORS", "nonsense");
    let said = refused(
        &two.world.machine,
        &format!("ls {}", two.name()),
        "LARDER_REGISTRY_MIRRORS: `nonsense` names no mirror",
    );
    assert!(said.contains("hint:"), "{said}");
    two.world.machine.env("LARDER_REGISTRY_MIRRORS", "");
    refused(&two.world.machine, &format!("ls {} --mirror a", two.name()), "names no mirror");
    drop(two.copy);
}

#[test]
fn a_mirror_that_fails_is_passed_over() {
    let Some(two) = Two::new() else { return };
    let blobs = |fault| Rule::new(fault).below("/blobs/");
    for (what, fault) in [
        ("cut before it", Fault::Reset(Place::Request(0))),
        ("failing", Fault::Status(500, "InternalError")),
        ("closed", Fault::Status(403, "Denied")),
        ("limited", Fault::Status(429, "TooMany")),
        ("truncated at the begin", Fault::Truncate(10)),
        ("truncated in between", Fault::Truncate(50_000)),
        ("wrong at the begin", Fault::Flip(Place::Answer(0))),
        ("wrong", Fault::Flip(Place::Answer(60_000))),
        ("wrong at the end", Fault::Flip(Place::Answer(u64::MAX))),
    ] {
        // While it is indexed, and while it is read by a table that is known.
        for known in [false, true] {
            two.forget();
            if known {
                good(&two.world.machine, &format!("index {} {}", two.name(), two.option()));
            }
            two.mirror.rule(blobs(fault));
            let (said, home, _) = two.read(&format!("{what}, known {known}"));
            assert_eq!(said.matches("warning:").count(), 1, "{what}: {said}");
            assert!(said.contains("a mirror is passed over") && home >= 3, "{what}: {said}, {home}");
            assert!(!said.contains("error:"), "{said}");
            two.mirror.heal();
            // What was wrong was not kept.
            let again = good(&two.world.machine, &format!("cat {} {FILES}", two.name()));
            assert!(again.stdout == two.right, "{what}");
        }
    }
    // Only layers are bad.
    two.forget();
    good(&two.world.machine, &format!("index {} {}", two.name(), two.option()));
    two.mirror.rule(blobs(Fault::Flip(Place::Answer(60_000))).nth(2));
    let (said, home, mirror) = two.read("one layer wrong");
    assert!(said.matches("warning:").count() == 1 && home >= 1 && mirror >= 2, "{said}, {home}, {mirror}");
    // A layer is wrong, or never comes whole, while it is indexed: what was read of it is read again elsewhere, or only the rest.
    for fault in
        [Fault::Flip(Place::Answer(60_000)), Fault::Truncate(50_000), Fault::Status(500, "InternalError")]
    {
        two.forget();
        let configuration = AtomicBool::new(true);
        let layers =
            move |path: &str| path.contains("/blobs/") && !configuration.swap(false, Ordering::Relaxed);
        two.mirror.rule(Rule::new(fault).path(layers));
        let (said, home, _) = two.read(&format!("layers, {fault:?}"));
        assert!(said.matches("warning:").count() == 1 && home >= 1, "{fault:?}: {said}, {home}");
        assert!(!said.contains("error:"), "{said}");
    }
    // A mirror without the image is asked, and nothing is said.
    two.forget();
    let empty = DockerRegistry::start().unwrap();
    let option =
        format!("--mirror {}={} --mirror {0}={}", two.home.address(), empty.host(), two.mirror.address());
    let output = good(&two.world.machine, &format!("cat {} {FILES} {option}", two.name()));
    assert!(output.stdout == two.right && !output.stderr.contains("warning"), "{}", output.stderr);
}

#[test]
fn a_registry_that_is_gone_is_stood_in_for() {
    let Some(two) = Two::new() else { return };
    two.home.refuse(true);
    let (said, _, mirror) = two.read("the registry is gone");
    assert!(
        said.matches("warning:").count() == 1
            && said.contains("the registry cannot be reached")
            && mirror > 2,
        "{said}"
    );
    // Both gone: the registry's error.
    two.mirror.refuse(true);
    let said = refused(
        &two.world.machine,
        &format!("ls {} {}", two.name(), two.option()),
        "the registry cannot be reached",
    );
    assert!(said.contains(&two.home.address().to_string()), "{said}");
    // The mirror gone: passed over.
    two.home.refuse(false);
    two.forget();
    let (said, home, _) = two.read("the mirror is gone");
    assert!(said.matches("warning:").count() == 1 && home > 2, "{said}");
    // A tag that the registry does not have is not asked of a mirror that has it.
    two.mirror.refuse(false);
    push(&two.copy, &two.world.machine.path("one"), "app:only-here");
    refused(
        &two.world.machine,
        &format!("ls {}/app:only-here {}", two.home.address(), two.option()),
        "there is no image",
    );
}

/// `verify` and `inspect` read on elsewhere as `cat` does.
#[test]
fn every_command_stands_wrong_mirrors() {
    let Some(two) = Two::new() else { return };
    for command in ["verify", "inspect", "index --force"] {
        two.forget();
        let configuration = AtomicBool::new(true);
        let layers =
            move |path: &str| path.contains("/blobs/") && !configuration.swap(false, Ordering::Relaxed);
        two.mirror.rule(Rule::new(Fault::Flip(Place::Answer(60_000))).path(layers));
        let output = image(&two.world.machine, &format!("{command} {} {}", two.name(), two.option()));
        assert_eq!(output.code(), 0, "{command}: {}", output.stderr);
        assert_eq!(
            output.stderr.matches("a mirror is passed over").count(),
            1,
            "{command}: {}",
            output.stderr
        );
        tell(format_args!("{command}: {}", output.stderr));
    }
    // Over a limit: no mirror is blamed.
    two.forget();
    let said = refused(
        &two.world.machine,
        &format!("ls {} {} --max-entries 3", two.name(), two.option()),
        "entries",
    );
    assert!(!said.contains("passed over") && said.contains("--max-entries"), "{said}");
    // The registry has it wrong as well: one error, and not for ever.
    let layer = |path: &str| path.contains("/blobs/");
    two.mirror.rule(Rule::new(Fault::Flip(Place::Answer(60_000))).path(layer));
    two.home.rule(Rule::new(Fault::Flip(Place::Answer(60_000))).path(layer));
    let output = image(&two.world.machine, &format!("verify {} {}", two.name(), two.option()));
    assert_eq!(output.code(), 2, "{}", output.stderr);
    assert_eq!(output.stderr.matches("error:").count(), 1, "{}", output.stderr);
}

/// A mirror that gives the first half of each layer, changed, breaks off, and fails from then on.
fn half_wrong(layout: &Path) -> SocketAddr {
    let blobs: HashMap<String, Vec<u8>> = std::fs::read_dir(layout.join("blobs/sha256"))
        .unwrap()
        .map(|file| {
            let path = file.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap())
        })
        .collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { continue };
            let lines: Vec<String> = BufReader::new(&connection)
                .lines()
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            let path = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
            let blob = path.rsplit_once("sha256:").and_then(|(_, digest)| blobs.get(digest));
            let is_range = lines.iter().any(|line| line.to_ascii_lowercase().starts_with("range:"));
            let (status, body, length) = match blob {
                Some(blob) if blob.len() < 10_000 => ("200 OK", blob.clone(), blob.len()),
                Some(blob) if !is_range => {
                    let mut half = blob[..blob.len() / 2].to_vec();
                    half[blob.len() / 4] ^= 1;
                    ("200 OK", half, blob.len())
                }
                Some(_) => ("500 Internal Server Error", Vec::new(), 0),
                None => ("404 Not Found", Vec::new(), 0),
            };
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            let _ = connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(&body));
        }
    });
    address
}

#[test]
fn a_mirror_that_is_wrong_and_then_breaks_off_is_the_one_that_is_blamed() {
    let Some(two) = Two::new() else { return };
    let mirror = half_wrong(&two.world.machine.path("one"));
    let option = format!("--mirror {}={mirror}", two.home.address());
    for command in [format!("cat {} {FILES}", two.name()), format!("verify {}", two.name())] {
        two.forget();
        let output = image(&two.world.machine, &format!("{command} {option}"));
        assert_eq!(output.code(), 0, "{command}: {}", output.stderr);
        assert!(command.starts_with("verify") || output.stdout == two.right, "{command}");
        assert_eq!(output.stderr.matches("warning:").count(), 1, "{}", output.stderr);
        assert!(output.stderr.contains("a mirror is passed over"), "{}", output.stderr);
    }
}
