//! Trees and tar files, as root.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use larder_testing::layers::{Case, Expect, Item, Packing, Tar, cases};
use larder_testing::proxy::{Fault, Proxy, Rule};
use larder_testing::{Project, strangers};

use super::world::{LARDER, address, base, good, image, layout, push, refused, top};

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        assert!(
            std::env::var_os("REQUIRE_CLIENTS").is_none_or(|value| value != "1"),
            "these tests need root"
        );
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "SKIPPED: not root");
    }
    root
}

fn chosen() -> Vec<Case> {
    let all = cases();
    // Every fourth: all of them are compared elsewhere, without the command line.
    all.into_iter()
        .enumerate()
        .filter(|(at, case)| at % 4 == 0 && !case.is_packed())
        .map(|(_, case)| case)
        .collect()
}

#[test]
fn folders_are_the_trees_that_they_should_be() {
    if !is_root() || !strangers::available() {
        return;
    }
    let machine = Project::new();
    let (mut trees, mut refusals) = (0, 0);
    for case in chosen() {
        case.write(&machine.path(case.name), Packing::Gzip).unwrap();
        let args = format!("export oci:{} -C out-{}", case.name, case.name);
        match case.expect {
            Expect::Tree(_) => {
                let output = image(&machine, &args);
                if output.stderr.contains("No space left") && case.name.contains("xattr") {
                    // Attributes that this file system does not hold.
                    continue;
                }
                let said = output.good().stderr;
                assert!(said.contains("exported "), "{said}");
                let differences = strangers::compare(&case, &machine.path(format!("out-{}", case.name)));
                assert!(differences.is_empty(), "{}: {differences:?}", case.name);
                trees += 1;
            }
            Expect::Refused => {
                refused(&machine, &args, "");
                let left =
                    fs::read_dir(machine.path(format!("out-{}", case.name))).map_or(0, Iterator::count);
                assert_eq!(left, 0, "{}: nothing is written of what is refused", case.name);
                refusals += 1;
            }
        }
    }
    assert!(trees > 5 && refusals > 1, "{trees} trees, {refusals} refusals");
}

/// Every name below a folder, by what `lstat` says.
fn listed(folder: &Path) -> BTreeMap<String, String> {
    fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let holds = if meta.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else if meta.is_file() {
                larder_core::DigestFunction::Sha256
                    .digest(&fs::read(&path).unwrap())
                    .hash
                    .to_hex()
                    .to_string()
            } else {
                String::new()
            };
            let links = if meta.is_dir() { 0 } else { meta.nlink() };
            let size = if meta.is_dir() { 0 } else { meta.size() };
            let line = format!(
                "{:o} {}:{} {links} {size} {} {}.{:09} {holds}",
                meta.mode(),
                meta.uid(),
                meta.gid(),
                meta.rdev(),
                meta.mtime(),
                meta.mtime_nsec()
            );
            found.insert(path.strip_prefix(root).unwrap().display().to_string(), line);
            if meta.is_dir() {
                walk(root, &path, found);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, folder, &mut found);
    found
}

#[test]
fn a_tar_file_makes_the_same_tree_as_a_folder() {
    if !is_root() {
        return;
    }
    let machine = Project::new();
    let more = Tar::of([
        Item::folder("deep"),
        Item::file(format!("deep/{}", "n".repeat(200)), "a long name").pax("mtime", "1600000000.123456789"),
        Item::symlink("deep/link", "t".repeat(300)),
        Item::file("deep/holes", [noise_block(), vec![]].concat()).pax_sparse_10(&[(1 << 20, 512)], 3 << 20),
        Item::block_device("deep/disk", 8, 1),
        Item::file("deep/owner", "x").owner(3_000_000, 3_000_000),
    ]);
    layout(&machine, "one", &[base(), top(1), more], Packing::Gzip);
    good(&machine, "export oci:one -C folder");
    good(&machine, "export oci:one -o file.tar");
    for name in ["file", "pipe"] {
        fs::create_dir(machine.path(name)).unwrap();
    }
    let tar = |folder: &str| {
        let mut command = Command::new("tar");
        command
            .args(["-x", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-p", "-C"])
            .arg(machine.path(folder));
        command
    };
    assert!(tar("file").arg("-f").arg(machine.path("file.tar")).status().unwrap().success());
    let mut export =
        machine.command(LARDER, ["image", "export", "oci:one"]).stdout(Stdio::piped()).spawn().unwrap();
    assert!(tar("pipe").stdin(export.stdout.take().unwrap()).status().unwrap().success());
    assert!(export.wait().unwrap().success());
    let folder = listed(&machine.path("folder"));
    assert!(folder.len() > 18, "{folder:#?}");
    for name in ["file", "pipe"] {
        assert_eq!(folder, listed(&machine.path(name)), "{name}");
    }
    let holes = fs::metadata(machine.path("folder/deep/holes")).unwrap();
    assert!(holes.size() == 3 << 20 && holes.blocks() * 512 < 1 << 20, "{} {}", holes.size(), holes.blocks());
    // A part, under its own name.
    good(&machine, "export oci:one /etc -C part");
    assert_eq!(
        fs::read_to_string(machine.path("part/etc/os-release"))
            .or_else(|_| fs::read_to_string(machine.path("part/os-release")))
            .unwrap(),
        "NAME=\"Test\"\nVERSION=1\n"
    );
}

fn noise_block() -> Vec<u8> {
    super::world::noise(9, 512)
}

#[test]
fn a_folder_that_is_not_empty_is_left_alone() {
    let machine = Project::new();
    layout(&machine, "one", &[base()], Packing::Gzip);
    machine.file("full/mine", "mine\n").file("plain", "mine\n");
    let before = listed(&machine.path("full"));
    let said = refused(&machine, "export oci:one -C full", "empty");
    assert!(said.contains("`full`") || said.contains("full"), "{said}");
    refused(&machine, "export oci:one -C plain", "");
    std::os::unix::fs::symlink("full", machine.path("link")).unwrap();
    refused(&machine, "export oci:one -C link", "");
    refused(&machine, "export oci:one -C none/none", "");
    assert_eq!(before, listed(&machine.path("full")));
    assert_eq!(machine.read("plain"), "mine\n");
    // A file is written whole or not at all.
    machine.file("old.tar", "mine\n");
    refused(&machine, "export oci:one /none -o old.tar", "there is no `/none`");
    refused(&machine, "export oci:none -o old.tar", "");
    assert_eq!(machine.read("old.tar"), "mine\n");
}

/// Who ends an export finds nothing of it.
#[test]
fn an_export_that_is_interrupted_leaves_no_file() {
    let machine = Project::new();
    layout(&machine, "one", &[base(), top(1)], Packing::Gzip);
    let Some(registry) = larder_testing::registry::DockerRegistry::start() else { return };
    if !larder_testing::registry::is_installed("skopeo") {
        return;
    }
    push(&registry, &machine.path("one"), "app:1");
    let proxy = Proxy::new(address(&registry));
    let name = format!("{}/app:1", proxy.address());
    good(&machine, &format!("index {name}"));
    // It is in the middle of it, and waits.
    proxy.rule(Rule::new(Fault::Silence).path(ranges(3)));
    let files = || fs::read_dir(machine.root()).unwrap().count();
    let before = files();
    let mut child = machine.command(LARDER, ["image", "export", &name, "-o", "out.tar"]).spawn().unwrap();
    let begun = std::time::Instant::now();
    while files() == before {
        assert!(begun.elapsed() < std::time::Duration::from_secs(9), "no file is begun\n{}", proxy.told());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    std::thread::sleep(std::time::Duration::from_millis(100));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert!(!child.wait().unwrap().success());
    assert_eq!(files(), before, "nothing is left");
}

/// Requests for layers, when the configuration has come: from the second on.
fn ranges(from: usize) -> impl Fn(&str) -> bool + Send + 'static {
    let count = std::sync::atomic::AtomicUsize::new(1);
    move |path| {
        path.contains("/blobs/") && count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1 >= from
    }
}
