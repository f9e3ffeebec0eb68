//! Parts of layers that are kept in the store.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use larder_testing::Project;
use larder_testing::proxy::Proxy;

use super::world::{LARDER, World, address, good, tell};

const FILES: [&str; 3] = ["/etc/os-release", "/bin/tool", "/app/data"];

/// Bytes of blobs that a run moved.
fn moved(proxy: &Proxy, run: impl FnOnce()) -> u64 {
    let before = proxy.seen().len();
    run();
    let layers = |seen: &&larder_testing::proxy::Seen| seen.path.contains("/blobs/") && seen.down > 2_000;
    proxy.seen()[before..].iter().filter(layers).map(|seen| seen.down).sum()
}

fn cat(machine: &Project, name: &str) -> Vec<u8> {
    let args = ["image", "cat", name].into_iter().chain(FILES);
    let output = machine.command(LARDER, args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        output.stderr.is_empty() || String::from_utf8_lossy(&output.stderr).contains("layer"),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// The files in which parts are kept.
fn data(machine: &Project) -> Vec<PathBuf> {
    let folder = machine.store().join("partial");
    let spaces = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = spaces.flat_map(|space| fs::read_dir(space).unwrap().map(|entry| entry.unwrap().path()));
    files.filter(|path| path.extension().is_some_and(|extension| extension == "data")).collect()
}

#[test]
fn what_is_kept_is_not_moved_again_and_damage_is_fetched_again() {
    let Some(world) = World::new() else { return };
    let machine = &world.machine;
    let proxy = Proxy::new(address(&world.registry));
    let name = format!("{}/app:1", proxy.address());
    good(machine, &format!("index {name}"));
    let mut right = Vec::new();
    assert!(moved(&proxy, || right = cat(machine, &name)) > 100_000);
    assert_eq!(moved(&proxy, || assert!(cat(machine, &name) == right)), 0, "{}", proxy.told());
    let status = good(machine, &format!("status {name} --json")).stdout;
    assert!(!status.contains("\"present\":0"), "{status}");

    // Bytes flipped in the store.
    assert_eq!(data(machine).len(), 2);
    for file in data(machine) {
        let mut bytes = fs::read(&file).unwrap();
        let at = bytes.len() / 2;
        bytes[at] ^= 0x10;
        fs::write(&file, bytes).unwrap();
    }
    assert!(moved(&proxy, || assert!(cat(machine, &name) == right)) > 100_000, "{}", proxy.told());
    assert_eq!(moved(&proxy, || assert!(cat(machine, &name) == right)), 0, "{}", proxy.told());

    // As after a power cut: what was written is zeros, or the file is short, or the map is torn.
    for file in data(machine) {
        let length = fs::metadata(&file).unwrap().len();
        fs::write(&file, vec![0; usize::try_from(length).unwrap()]).unwrap();
    }
    assert!(moved(&proxy, || assert!(cat(machine, &name) == right)) > 100_000, "{}", proxy.told());
    for file in data(machine) {
        fs::write(&file, b"short").unwrap();
        let map = file.with_extension("map");
        let mut bytes = fs::read(&map).unwrap();
        bytes.extend([0xff; 21]);
        fs::write(&map, bytes).unwrap();
    }
    assert!(moved(&proxy, || assert!(cat(machine, &name) == right)) > 100_000, "{}", proxy.told());
    assert_eq!(moved(&proxy, || assert!(cat(machine, &name) == right)), 0, "{}", proxy.told());
}

#[test]
fn several_processes_at_once_agree() {
    let Some(world) = World::new() else { return };
    let machine = &world.machine;
    let right = cat(machine, "oci:one");
    good(machine, "cache gc --to-size 0B");
    let children: Vec<_> = (0..6)
        .map(|_| {
            let args = ["image", "cat", &world.name()]
                .into_iter()
                .chain(FILES)
                .map(str::to_owned)
                .collect::<Vec<_>>();
            machine.command(LARDER, args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success() && output.stdout == right,
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert!(cat(machine, &world.name()) == right);
}

const READ_ONLY: &str =
    "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" || exit 99; exec \"$@\"";
/// As good as full: there is room for the tables, not for the parts.
const FULL: &str = "mount -t tmpfs -o size=200k,mode=0700 none \"$0\" || exit 99; exec \"$@\"";

/// Runs the command with something mounted over the store by a script; none if that cannot be done here.
fn mounted(script: &str, machine: &Project, args: &[&str]) -> Option<std::process::Output> {
    let store = machine.store();
    let base = machine.command("unshare", ["-m", "--propagation", "private", "sh", "-c", script]);
    let mut command: Command = base;
    let output = command.arg(&store).arg(LARDER).args(args).output().unwrap();
    if output.status.code() == Some(99) || String::from_utf8_lossy(&output.stderr).contains("unshare") {
        use std::io::Write as _;
        assert!(std::env::var_os("REQUIRE_CLIENTS").is_none_or(|value| value != "1"), "no mounts here");
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: no mounts here: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        return None;
    }
    Some(output)
}

#[test]
fn a_store_that_cannot_be_written_to_still_reads() {
    let Some(world) = World::new() else { return };
    let machine = &world.machine;
    let proxy = Proxy::new(address(&world.registry));
    let name = format!("{}/app:1", proxy.address());
    let right = cat(machine, &name);
    let args: Vec<&str> = ["image", "cat", name.as_str()].into_iter().chain(FILES).collect();
    let Some(output) = mounted(READ_ONLY, machine, &args) else { return };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && output.stdout == right, "{said}");
    // Said once; then it works as it does without a store.
    assert_eq!(said.matches("warning:").count(), 1, "{said}");
    assert!(
        said.contains("nothing is kept") && said.contains("Read-only file system") && said.contains("hint:"),
        "{said}"
    );
    // A full disk.
    let Some(output) = mounted(FULL, machine, &args) else { return };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && output.stdout == right, "{said}");
    assert!(!said.contains("error:") && said.matches("warning:").count() <= 2, "{said}");
    assert!(said.contains("No space left"), "{said}");
    tell(format_args!("a full disk: {said}"));
}
