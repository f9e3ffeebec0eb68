//! Machines, images, and the places where they lie.

use std::path::{Path, PathBuf};
use std::process::Command;

use larder_testing::layers::{Blob, Item, Packing, Tar, write_layout};
use larder_testing::registry::{DockerRegistry, is_installed};
use larder_testing::{Output, Project};

/// The binary under test.
pub(crate) const LARDER: &str = env!("CARGO_BIN_EXE_larder");

/// Runs `larder image` with arguments that are separated by spaces.
pub(crate) fn image(machine: &Project, args: &str) -> Output {
    machine.larder(LARDER, ["image"].into_iter().chain(args.split_whitespace()))
}

/// Runs it, and it must succeed.
#[track_caller]
pub(crate) fn good(machine: &Project, args: &str) -> Output {
    image(machine, args).good()
}

/// Runs it; it must fail with exit code 1 and one error that has `words` in it.
#[track_caller]
pub(crate) fn refused(machine: &Project, args: &str, words: &str) -> String {
    let output = image(machine, args);
    let errors = output.stderr.matches("error:").count();
    assert!(
        output.code() == 1 && errors == 1,
        "`{args}`: exit {}, {errors} errors\n{}",
        output.code(),
        output.stderr
    );
    assert!(output.stderr.contains(words), "`{args}`: no `{words}` in\n{}", output.stderr);
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
    output.stderr
}

/// Bytes that do not compress, always the same for a seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A layer as a base image has it: folders, programs, links of both kinds, a device, attributes.
pub(crate) fn base() -> Vec<u8> {
    Tar::of([
        Item::folder("bin"),
        Item::file("bin/tool", noise(1, 300_000)).mode(0o755),
        Item::hard_link("bin/same-tool", "bin/tool"),
        Item::symlink("bin/sh", "tool"),
        Item::file("bin/su", "not really").mode(0o4755),
        Item::folder("etc").time(1_700_000_000),
        Item::file("etc/os-release", "NAME=\"Test\"\nVERSION=1\n").time(1_700_000_000),
        Item::file("etc/old", "goes away\n"),
        Item::folder("dev"),
        Item::char_device("dev/null", 1, 3).mode(0o666),
        Item::fifo("dev/pipe"),
        Item::file("etc/a b\tc", "a name with a blank and a tab\n").owner(1000, 1000),
        Item::file("etc/marked", "with an attribute\n").xattr("user.note", "hello"),
    ])
}

/// A layer on top: a new file, one that replaces another, one that removes another.
pub(crate) fn top(version: u32) -> Vec<u8> {
    Tar::of([
        Item::folder("app").owner(1000, 1000),
        Item::file("app/version", format!("{version}\n")).time(1_700_000_000 + i64::from(version)),
        Item::file("app/data", noise(2, 100_000)),
        Item::file("etc/os-release", format!("NAME=\"Test\"\nVERSION={version}\n"))
            .time(1_700_000_000 + i64::from(version)),
        Item::mark("etc/.wh.old"),
    ])
}

/// An image of these layers as a layout, tagged `latest`.
pub(crate) fn layout(machine: &Project, name: &str, layers: &[Vec<u8>], packing: Packing) -> PathBuf {
    let folder = machine.path(name);
    let blobs: Vec<_> = layers.iter().map(|tar| Blob::new(tar, packing)).collect();
    write_layout(&folder, &blobs).unwrap();
    folder
}

/// Runs skopeo's copy.
#[track_caller]
pub(crate) fn copy(from: &str, to: &str) {
    let mut command = Command::new("skopeo");
    command.args([
        "--insecure-policy",
        "copy",
        "--quiet",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
    ]);
    let output = command.args([from, to]).output().unwrap();
    assert!(output.status.success(), "{from} {to}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A registry with the image `app:1` in it, and where else it was put.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) machine: Project,
    pub(crate) registry: DockerRegistry,
}

impl World {
    /// With a machine, a layout `one` and a layout `two` in its folder, both in the registry as `app:1` and `app:2`; none where
    /// something is not installed.
    pub(crate) fn new() -> Option<Self> {
        if !is_installed("skopeo") {
            return None;
        }
        let registry = DockerRegistry::start()?;
        let machine = Project::new();
        for (name, version) in [("one", 1), ("two", 2)] {
            let folder = layout(&machine, name, &[base(), top(version)], Packing::Gzip);
            push(&registry, &folder, &format!("app:{version}"));
        }
        Some(Self { machine, registry })
    }

    /// `127.0.0.1:PORT/app:1`.
    pub(crate) fn name(&self) -> String {
        format!("{}/app:1", self.registry.host())
    }
}

/// Pushes a layout's image.
#[track_caller]
pub(crate) fn push(registry: &DockerRegistry, layout: &Path, name: &str) {
    copy(&format!("oci:{}:latest", layout.display()), &format!("docker://{}/{name}", registry.host()));
}

/// The address of a registry, for a proxy.
pub(crate) fn address(registry: &DockerRegistry) -> std::net::SocketAddr {
    registry.host().parse().unwrap()
}

/// A line on standard error, which `--nocapture` shows.
#[expect(clippy::print_stderr, reason = "captured, other than what is written there")]
pub(crate) fn tell(line: impl std::fmt::Display) {
    eprintln!("{line}");
}
