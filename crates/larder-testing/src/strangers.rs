//! What containerd, moby, podman and umoci make of an image.
//!
//! Each layer is extracted by the project's own code into a folder of its own and the folders are overlaid (umoci: each layer on top of the
//! last), by a Go program in `crates/larder-testing/strangers` that is built once into the target folder. It needs `go`, root, and for the
//! specification's merge `umoci`. Mounts live in a namespace of that process and end with it.
//!
//! The same program lists their trees and ours, so that a difference is one of the trees. It also makes layers that are seekable for others,
//! and is a registry that lists referrers.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::OnceLock,
};

use serde::Deserialize;

use crate::{
    layers::{Blob, Case, Difference, Expect, Listing, Name, Packing, Time},
    registry::skip,
};

/// What each of them makes of an image: a tree, or its error.
#[derive(Clone, Debug)]
pub struct Answer {
    /// containerd's `archive.Apply` and an overlay.
    pub containerd: Result<Listing, String>,
    /// moby's `go-archive` and an overlay.
    pub moby: Result<Listing, String>,
    /// podman's `storage/pkg/archive` and an overlay.
    pub podman: Result<Listing, String>,
    /// `umoci raw unpack`: each layer on top of the last.
    pub umoci: Result<Listing, String>,
}

impl Answer {
    /// What the three say if they agree: the tree, or that all refuse. Messages need not be equal.
    pub fn agreed(&self) -> Option<Result<&Listing, ()>> {
        match (&self.containerd, &self.moby, &self.podman) {
            (Ok(one), Ok(two), Ok(three)) if one == two && two == three => Some(Ok(one)),
            (Err(_), Err(_), Err(_)) => Some(Err(())),
            _ => None,
        }
    }
}

/// Whether the program can be built and run here: `go` is installed and this is root. Says so if not.
///
/// # Panics
/// With `REQUIRE_CLIENTS=1` if not.
pub fn available() -> bool {
    let works = |command: &mut Command, wanted: &[u8]| match command.output() {
        Ok(output) if output.status.success() && output.stdout.starts_with(wanted) => Ok(()),
        Ok(output) => Err(io::Error::other(String::from_utf8_lossy(&output.stdout).into_owned())),
        Err(error) => Err(error),
    };
    let go = works(Command::new("go").arg("version"), b"go version");
    let root = works(Command::new("id").arg("-u"), b"0\n");
    match go.and(root) {
        Ok(()) => true,
        Err(error) => {
            skip("go, as root", &error);
            false
        }
    }
}

/// Asks all of them about a case, its layers packed so.
pub fn answer(case: &Case, packing: Packing) -> io::Result<Answer> {
    let folder = tempfile::tempdir()?;
    case.write(folder.path(), packing)?;
    answer_layout(folder.path())
}

/// Asks all of them about an image layout whose image is tagged `latest`.
pub fn answer_layout(layout: &Path) -> io::Result<Answer> {
    let output = run(Command::new(program()?).arg("answers").arg(layout))?;
    let raw: RawAnswers = serde_json::from_slice(&output)?;
    let started = raw.started;
    let read = |answer: RawAnswer| match answer.error {
        None => Ok(listing(answer.tree, Some(started))),
        Some(error) => Err(error),
    };
    Ok(Answer {
        containerd: read(raw.containerd),
        moby: read(raw.moby),
        podman: read(raw.podman),
        umoci: read(raw.umoci),
    })
}

/// Lists a folder.
pub fn list(folder: &Path) -> io::Result<Listing> {
    let output = run(Command::new(program()?).arg("list").arg(folder))?;
    let nodes = output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Ok(listing(nodes.map(serde_json::from_slice).collect::<Result<_, _>>()?, None))
}

/// A kind of layer that others can seek in, by a table of contents of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seekable {
    /// A gzip member for every file and chunk; the table is the last entry.
    Estargz,
    /// A zstd frame for every file and chunk; the table is in a frame that is skipped.
    ZstdChunked,
}

/// Makes such a layer from a tar stream, by the code of containerd's snapshotter for lazy pulls; with these files first.
pub fn seekable(kind: Seekable, tar: &[u8], first: &[&str]) -> io::Result<Blob> {
    let folder = tempfile::tempdir()?;
    let (from, to) = (folder.path().join("tar"), folder.path().join("layer"));
    std::fs::write(&from, tar)?;
    let (kind, like) = match kind {
        Seekable::Estargz => ("estargz", Packing::Gzip),
        Seekable::ZstdChunked => ("zstdchunked", Packing::Zstd),
    };
    let said = run(Command::new(program()?).args(["seekable", kind]).arg(from).arg(&to).args(first))?;
    let said: Made = serde_json::from_slice(&said)?;
    let diff_id = said.diff_id.trim_start_matches("sha256:").to_owned();
    Ok(Blob { stored: std::fs::read(to)?, diff_id, media_type: like.media_type() })
}

#[derive(Deserialize)]
struct Made {
    #[serde(rename = "diffID")]
    diff_id: String,
}

/// How a folder into which a case was exported differs from the tree that the rules ask for. What cannot be listed is a difference too, and
/// so is any folder of a case that should have been refused.
pub fn compare(case: &Case, exported: &Path) -> Vec<Difference> {
    match &case.expect {
        Expect::Refused => vec![whole("an error", "a tree")],
        Expect::Tree(expected) => against(Ok(expected), exported),
    }
}

/// How a folder into which a case was exported by the specification's merge differs from what umoci made of it (`answer.umoci`). Where
/// umoci leaves the time of the extraction, any time will do. Messages of errors are not compared: what umoci refuses, this refuses.
pub fn compare_spec(answer: &Answer, exported: &Path) -> Vec<Difference> {
    against(answer.umoci.as_ref(), exported)
}

/// How a folder into which an image was exported differs from the tree on which the three agree, times of their extraction being as good as
/// any; `None` if they do not agree on a tree. For images that have no expected tree ([`crate::layers::random`]).
pub fn compare_agreed(answer: &Answer, exported: &Path) -> Option<Vec<Difference>> {
    Some(against(Ok(answer.agreed()?.ok()?), exported))
}

fn against(expected: Result<&Listing, &String>, exported: &Path) -> Vec<Difference> {
    match (expected, list(exported)) {
        (Err(error), _) => vec![whole(error, "a tree")],
        (_, Err(error)) => vec![whole("a folder", &error.to_string())],
        (Ok(expected), Ok(found)) => {
            let mut expected = expected.clone();
            expected.settle_now(&found);
            expected.differences(&found)
        }
    }
}

fn whole(expected: &str, found: &str) -> Difference {
    Difference { path: String::new(), expected: expected.into(), found: found.into() }
}

/// The Go program, built once.
pub(crate) fn program() -> io::Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(|| build().map_err(|error| error.to_string())).clone().map_err(io::Error::other)
}

fn build() -> io::Result<PathBuf> {
    let test = std::env::current_exe()?;
    // Tests are in `deps`, examples in `examples`: beside them.
    let target = test.parent().and_then(Path::parent);
    let target = target.ok_or_else(|| io::Error::other("this program is in no target folder of cargo"))?;
    let program = target.join("strangers");
    // Several test programs may build at once: each renames its own over the last.
    let fresh = target.join(format!("strangers-{}", process::id()));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("strangers");
    run(Command::new("go").args(["build", "-p", "1", "-o"]).arg(&fresh).arg(".").current_dir(source))?;
    std::fs::rename(fresh, &program)?;
    Ok(program)
}

fn run(command: &mut Command) -> io::Result<Vec<u8>> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let program = command.get_program().to_string_lossy();
    Err(io::Error::other(format!("`{program}` failed: {}", String::from_utf8_lossy(&output.stderr))))
}

#[derive(Deserialize)]
struct RawAnswers {
    started: i64,
    containerd: RawAnswer,
    moby: RawAnswer,
    podman: RawAnswer,
    umoci: RawAnswer,
}

#[derive(Deserialize)]
struct RawAnswer {
    #[serde(default)]
    tree: Vec<Node>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Node {
    path: String,
    r#type: char,
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    #[serde(default)]
    sha256: String,
    text: Option<String>,
    seconds: i64,
    nanos: u32,
    #[serde(default)]
    target: String,
    major: u32,
    minor: u32,
    #[serde(default)]
    xattrs: BTreeMap<String, String>,
    group: usize,
}

/// Times from `started` until an hour later are of the extraction.
fn listing(nodes: Vec<Node>, started: Option<i64>) -> Listing {
    let names = nodes.into_iter().map(|node| {
        let now = started.is_some_and(|started| (started..started + 3600).contains(&node.seconds));
        let name = Name {
            kind: node.r#type,
            mode: node.mode,
            uid: node.uid,
            gid: node.gid,
            time: if now { Time::Now } else { Time::At(node.seconds, node.nanos) },
            holds: match node.r#type {
                'f' => node
                    .text
                    .map_or_else(|| format!("{}:{}", node.size, node.sha256), |text| format!("\"{text}\"")),
                'l' => format!("->{}", node.target),
                'c' | 'b' => format!("{},{}", node.major, node.minor),
                _ => String::new(),
            },
            xattrs: node.xattrs,
            group: node.group,
        };
        (node.path, name)
    });
    Listing { names: names.collect() }
}
