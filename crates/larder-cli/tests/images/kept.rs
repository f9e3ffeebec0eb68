//! Parts of layers that are kept in the store.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use larder_testing::Project;
use larder_testing::layers::{Item, Packing, Tar};
use larder_testing::proxy::Proxy;

use super::world::{LARDER, World, address, good, layout, noise, push, tell};

const FILES: [&str; 3] = ["/etc/os-release", "/bin/tool", "/app/data"];
/// The two files of [`large`].
const LARGE: [&str; 2] = ["/big/one", "/big/two"];

/// A layer of several parts: one file needs not all of them.
fn large() -> Vec<u8> {
    Tar::of([
        Item::folder("big"),
        Item::file("big/one", noise(11, 2_500_000)),
        Item::file("big/two", noise(12, 2_500_000)),
    ])
}

/// Pushes an image of that layer alone.
fn push_large(world: &World) {
    push(&world.registry, &layout(&world.machine, "large", &[large()], Packing::Gzip), "large:1");
}

/// Bytes of blobs that a run moved.
fn moved(proxy: &Proxy, run: impl FnOnce()) -> u64 {
    let before = proxy.seen().len();
    run();
    let layers = |seen: &&larder_testing::proxy::Seen| seen.path.contains("/blobs/") && seen.down > 2_000;
    proxy.seen()[before..].iter().filter(layers).map(|seen| seen.down).sum()
}

fn cat(machine: &Project, name: &str) -> Vec<u8> {
    read(machine, name, &FILES)
}

fn read(machine: &Project, name: &str, files: &[&str]) -> Vec<u8> {
    let args = ["image", "cat", name].into_iter().chain(files.iter().copied());
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
    push_large(&world);
    let name = format!("{}/large:1", proxy.address());
    let cat = |machine: &Project, name: &str| read(machine, name, &LARGE[..1]);
    good(machine, &format!("index {name}"));
    let mut right = Vec::new();
    assert!(moved(&proxy, || right = cat(machine, &name)) > 1_000_000);
    assert_eq!(moved(&proxy, || assert!(cat(machine, &name) == right)), 0, "{}", proxy.told());
    let status = good(machine, &format!("status {name} --json")).stdout;
    assert!(!status.contains("\"present\":0"), "{status}");

    // Bytes flipped in the store.
    assert_eq!(data(machine).len(), 1);
    for file in data(machine) {
        let mut bytes = fs::read(&file).unwrap();
        let at = bytes.len() / 4;
        bytes[at] ^= 0x10;
        fs::write(&file, bytes).unwrap();
    }
    assert!(moved(&proxy, || assert!(cat(machine, &name) == right)) > 1_000_000, "{}", proxy.told());
    assert_eq!(moved(&proxy, || assert!(cat(machine, &name) == right)), 0, "{}", proxy.told());

    // As after a power cut: what was written is zeros, or the file is short, or the map is torn.
    for file in data(machine) {
        let length = fs::metadata(&file).unwrap().len();
        fs::write(&file, vec![0; usize::try_from(length).unwrap()]).unwrap();
    }
    assert!(moved(&proxy, || assert!(cat(machine, &name) == right)) > 1_000_000, "{}", proxy.told());
    for file in data(machine) {
        fs::write(&file, b"short").unwrap();
        let map = file.with_extension("map");
        let mut bytes = fs::read(&map).unwrap();
        bytes.extend([0xff; 21]);
        fs::write(&map, bytes).unwrap();
    }
    assert!(moved(&proxy, || assert!(cat(machine, &name) == right)) > 1_000_000, "{}", proxy.told());
    assert_eq!(moved(&proxy, || assert!(cat(machine, &name) == right)), 0, "{}", proxy.told());
}

/// What `larder cache` prints, as JSON.
fn cache_json(machine: &Project, args: &str) -> serde_json::Value {
    let output = machine.larder(LARDER, ["cache"].into_iter().chain(args.split_whitespace()));
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", output.stderr))
}

/// What `larder image cache ls` lists.
fn kept(machine: &Project) -> Vec<serde_json::Value> {
    let listed = good(machine, "cache ls --json").stdout;
    listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_layer_of_which_all_was_read_is_a_blob_like_others() {
    let Some(world) = World::new() else { return };
    let machine = &world.machine;
    let proxy = Proxy::new(address(&world.registry));
    push_large(&world);
    let name = format!("{}/large:1", proxy.address());
    let right = [noise(11, 2_500_000), noise(12, 2_500_000)].concat();
    good(machine, &format!("index {name}"));
    assert!(moved(&proxy, || drop(read(machine, &name, &LARGE[..1]))) > 2_000_000);
    let parts = kept(machine).remove(0);
    assert_eq!((&parts["whole"], &parts["pinned"]), (&false.into(), &false.into()));
    let held = cache_json(machine, "stats --json");
    assert_eq!(held["store"]["partial_blobs"], 1);
    assert_eq!(held["store"]["sizes"]["partial"], parts["bytes"]);
    let said = machine.larder(LARDER, ["cache", "stats"]).good().stdout;
    assert!(said.contains("parts ") && said.contains("of 1 layer of images"), "{said}");

    // The rest of it: then it is whole.
    assert!(read(machine, &name, &LARGE) == right);
    assert!(data(machine).is_empty());
    let whole = kept(machine).remove(0);
    assert_eq!(
        (&whole["whole"], &whole["layer"], &whole["size"]),
        (&true.into(), &parts["layer"], &parts["size"])
    );
    assert_eq!(whole["present"], whole["size"]);
    let held = cache_json(machine, "stats --json");
    assert_eq!((&held["store"]["partial_blobs"], &held["store"]["sizes"]["partial"]), (&0.into(), &0.into()));
    assert!(held["store"]["logical_bytes"].as_u64() >= whole["size"].as_u64());
    assert!(!machine.larder(LARDER, ["cache", "stats"]).good().stdout.contains("parts "));
    assert_eq!(moved(&proxy, || assert!(read(machine, &name, &LARGE) == right)), 0, "{}", proxy.told());
    let status = good(machine, &format!("status {name} --json")).stdout;
    assert!(status.contains(&format!("\"present\":{}", whole["size"])), "{status}");
    assert_eq!(cache_json(machine, "verify --json")["broken_blobs"], serde_json::json!([]));

    // Damage in the store is a miss, as it is for all blobs.
    for folder in ["packs", "whole"] {
        damage(&machine.store().join(folder));
    }
    assert!(read(machine, &name, &LARGE) == right);
    assert!(read(machine, &name, &LARGE) == right);

    // And it goes when that is asked for.
    let _ = read(machine, &name, &LARGE);
    let gone = good(machine, "cache gc --to-size 0B").stdout;
    assert!(gone.contains("of 1 layer") && gone.contains("0 B are left"), "{gone}");
    assert!(kept(machine).is_empty());
    assert!(moved(&proxy, || assert!(read(machine, &name, &LARGE) == right)) > 4_000_000);
}

/// Flips a bit in the middle of every file.
fn damage(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            damage(&path);
            continue;
        }
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.len() / 2;
        bytes[at] ^= 0x10;
        // Replaced, so that it can be done to a file that is read-only.
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
    }
}

#[test]
fn parts_are_verified_and_collected_with_the_rest_of_the_cache() {
    let Some(world) = World::new() else { return };
    let machine = &world.machine;
    push_large(&world);
    let name = format!("{}/large:1", world.registry.host());
    let _ = read(machine, &name, &LARGE[..1]);
    let clean = machine.larder(LARDER, ["cache", "verify"]).good().stdout;
    assert!(clean.contains("parts of 1 layer of images") && clean.contains("all good"), "{clean}");
    let file = data(machine).remove(0);
    let mut bytes = fs::read(&file).unwrap();
    bytes[1_500_000] ^= 1;
    fs::write(&file, bytes).unwrap();
    let found = machine.larder(LARDER, ["cache", "verify"]);
    assert_eq!(found.code(), 2, "{}", found.stdout);
    assert!(found.stdout.contains("1 layers of which parts are wrong"), "{}", found.stdout);
    let found = cache_json(machine, "verify --json");
    assert_eq!(found["parts"]["damaged"].as_array().unwrap().len(), 1, "{found}");
    let _ = machine.larder(LARDER, ["cache", "verify", "--repair"]).good();
    let _ = machine.larder(LARDER, ["cache", "verify"]).good();
    assert!(read(machine, &name, &LARGE[..1]) == noise(11, 2_500_000));

    // They go before anything else does.
    let held = cache_json(machine, "stats --json")["store"].clone();
    let goal = held["physical_bytes"].as_u64().unwrap() - 100_000;
    let plan = cache_json(machine, &format!("gc --to-size {goal}B --grace 0s --dry-run --json"));
    assert_eq!(plan["partial_blobs"].as_array().unwrap().len(), 1, "{plan}");
    assert_eq!(plan["results"], serde_json::json!([]), "{plan}");
    let said =
        machine.larder(LARDER, ["cache", "gc", "--to-size", &format!("{goal}B"), "--grace", "0s"]).good();
    assert!(said.stdout.contains("parts of 1 layer, 0 results"), "{}", said.stdout);
    assert!(data(machine).is_empty() && kept(machine).is_empty());
    assert!(good(machine, &format!("status {name}")).stdout.contains("indexed"));
}

#[test]
fn what_is_pinned_stays() {
    let Some(world) = World::new() else { return };
    let machine = &world.machine;
    let proxy = Proxy::new(address(&world.registry));
    push_large(&world);
    let [one, two, large] = ["app:1", "app:2", "large:1"].map(|name| format!("{}/{name}", proxy.address()));
    let would = good(machine, &format!("cache pin {one} --dry-run")).stdout;
    assert!(would.contains("would pin") && would.contains("sha256:"), "{would}");
    assert_eq!(good(machine, "cache pin --list").stdout, "");
    for name in [&one, &two, &large] {
        let pinned = good(machine, &format!("cache pin {name}")).stdout;
        assert!(pinned.starts_with("pinned ") && pinned.contains(name.as_str()), "{pinned}");
    }
    // Again is the same; parts that come later are pinned too, and what becomes whole.
    good(machine, &format!("cache pin {one}"));
    assert_eq!(good(machine, "cache pin").stdout.lines().count(), 3);
    let listed: serde_json::Value =
        serde_json::from_str(good(machine, "cache pin --list --json").stdout.lines().next().unwrap())
            .unwrap();
    assert!(
        listed["manifest"].as_str().unwrap().starts_with("sha256:") && listed["layers"].is_u64(),
        "{listed}"
    );
    let all = || {
        let both = [&one, &two].map(|name| read(machine, name, &FILES));
        (both, read(machine, &large, &LARGE[..1]))
    };
    let right = all();
    assert!(kept(machine).len() == 4 && kept(machine).iter().all(|layer| layer["pinned"] == true));
    let left = good(machine, "cache gc --to-size 0B");
    assert!(left.stdout.contains("0 layers") && left.stderr.contains("pinned stays"), "{}", left.stdout);
    let empty = || machine.larder(LARDER, ["cache", "gc", "--to-size", "0B", "--grace", "0s"]).good();
    let _ = empty();
    assert_eq!(moved(&proxy, || assert!(all() == right)), 0, "{}", proxy.told());

    // What another image needs stays.
    let unpinned = good(machine, &format!("cache unpin {one}")).stdout;
    assert!(unpinned.starts_with("unpinned "), "{unpinned}");
    let _ = empty();
    assert_eq!(kept(machine).iter().filter(|layer| layer["pinned"] == true).count(), 3);
    assert_eq!(moved(&proxy, || assert!(read(machine, &two, &FILES) == right.0[1])), 0, "{}", proxy.told());

    // By its digest, too. Then it goes with the rest.
    let pins = good(machine, "cache pin --list --json").stdout;
    let digest = |line: &str| {
        let pin: serde_json::Value = serde_json::from_str(line).unwrap();
        pin["manifest"].as_str().unwrap().to_owned()
    };
    let digests: Vec<String> = pins.lines().map(digest).collect();
    assert_eq!(digests.len(), 2);
    for digest in &digests {
        good(machine, &format!("cache unpin {digest} --dry-run"));
        good(machine, &format!("cache unpin {digest}"));
    }
    let _ = empty();
    assert!(kept(machine).is_empty());
    let pins = machine.larder(LARDER, ["cache", "pin", "--list"]).good().stdout;
    assert_eq!(pins, "", "something is pinned still");
    let unknown = super::world::refused(machine, &format!("cache unpin {one}"), "is pinned");
    assert!(unknown.contains("hint:"), "{unknown}");
    assert!(moved(&proxy, || assert!(all() == right)) > 2_000_000);
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
