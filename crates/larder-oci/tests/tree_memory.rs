//! What a large tree costs in memory while it is made: the most that this process ever had, so that there is one test in this file.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use larder_oci::layer::{Content, Device, Entry, Kind, Time};
use larder_oci::tree::{MergeRule, Merger, TreeError};

const ENTRIES: usize = 400_000;

/// Entry `at` of a layer as package managers make them: folders of fifty, a symbolic link in twenty.
fn entry(at: usize) -> Entry {
    let folder = format!("usr/lib/package-{}/module_{}", at / 5000, at / 50);
    let (kind, path) = match at % 50 {
        0 => (Kind::Directory, folder),
        7 | 27 => (Kind::Symlink, format!("{folder}/link_{at}.py")),
        _ => (Kind::File, format!("{folder}/file_{at}.py")),
    };
    let is_file = kind == Kind::File;
    Entry {
        path: path.into_bytes(),
        kind,
        mode: 0o755,
        uid: 0,
        gid: 0,
        modified: Time { seconds: 1_700_000_000, nanos: 0 },
        size: u64::from(is_file) * 100,
        target: if kind == Kind::Symlink { format!("file_{}.py", at - 1).into_bytes() } else { Vec::new() },
        device: Device::default(),
        xattrs: Vec::new(),
        content: Content { at: at as u64 * 1024, stored: u64::from(is_file) * 100, sparse: None },
    }
}

/// The most memory that this process had, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[test]
fn a_tree_takes_less_than_260_bytes_an_entry_while_it_is_made() {
    let before = peak();
    let mut merger = Merger::new(MergeRule::Overlay);
    merger.expect(ENTRIES as u64);
    merger.read_layer(|| (0..ENTRIES).map(|at| Ok::<_, TreeError>(entry(at)))).unwrap();
    // A layer that changes little costs little.
    merger.read_layer(|| (0..100).map(|at| Ok::<_, TreeError>(entry(at * 50)))).unwrap();
    let tree = merger.finish();
    assert!(tree.nodes() > ENTRIES);
    let each = (peak() - before) / ENTRIES;
    eprintln!("{each} bytes an entry");
    assert!(each < 260, "{each} bytes an entry");
}
