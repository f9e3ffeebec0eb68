//! `larder cache`.

use crate::{larder, small};

#[test]
fn what_is_in_the_cache_is_told() {
    let project = small();
    let _ = larder(&project, "run").good();
    let _ = larder(&project, "run").good();
    let stats = larder(&project, "cache stats").good().stdout;
    assert!(stats.contains("2 results") && stats.contains("50 % hit"), "{stats}");
    let stats = larder(&project, "cache stats --json").good().stdout;
    let stats: serde_json::Value = serde_json::from_str(&stats).expect("JSON");
    assert_eq!((&stats["store"]["results"], &stats["hit_rate"]), (&2.into(), &0.5.into()));
    let listed = larder(&project, "cache ls").good().stdout;
    assert!(
        listed.lines().count() == 2 && listed.contains("  lib:part") && listed.contains("  app:build"),
        "{listed}"
    );
    assert_eq!(larder(&project, "cache ls part").good().stdout.lines().count(), 1);
}

#[test]
fn the_cache_is_shrunk_as_planned() {
    let project = small();
    let _ = larder(&project, "run").good();
    let plan = larder(&project, "cache gc --to-size 0 --grace 0s --dry-run").good();
    assert!(plan.stdout.starts_with("would free "), "{plan:?}");
    assert_eq!(larder(&project, "cache ls").good().stdout.lines().count(), 2);
    let done = larder(&project, "cache gc --to-size 0 --grace 0s").good();
    assert!(done.stdout.starts_with("freed "), "{done:?}");
    assert_eq!(larder(&project, "cache ls").good().stdout.lines().count(), 0);
    // The outputs are still in the worktree, and the build goes on.
    let _ = larder(&project, "run").good();
    assert_eq!(project.read("app/out.txt"), "a\none\n");
}

#[test]
fn what_is_pinned_stays() {
    let project = small();
    let _ = larder(&project, "run").good();
    let dry = larder(&project, "cache pin lib:part --dry-run").good();
    assert!(dry.stdout.starts_with("would pin "), "{dry:?}");
    assert_eq!(larder(&project, "cache pin --list").good().stdout, "");
    let _ = larder(&project, "cache pin lib:part --why release").good();
    let pins = larder(&project, "cache pin --list").good().stdout;
    assert!(pins.contains("result") && pins.contains("release"), "{pins}");
    let _ = larder(&project, "cache gc --to-size 0 --grace 0s").good();
    let left = larder(&project, "cache ls").good().stdout;
    assert!(left.lines().count() == 1 && left.contains("lib:part"), "{left}");
    let _ = larder(&project, "cache unpin lib:part").good();
    let _ = larder(&project, "cache gc --to-size 0 --grace 0s").good();
    assert_eq!(larder(&project, "cache ls").good().stdout, "");
    assert_eq!(larder(&project, "cache pin lib:part").code(), 1);
    assert_eq!(larder(&project, "cache unpin lib:part").code(), 1);
}

#[test]
fn a_damaged_cache_is_found_and_repaired() {
    let project = small();
    let text: String = (0..2000).map(|number| format!("{}\n", number * 7919 % 10_007)).collect();
    project.file("lib/in.txt", text);
    let _ = larder(&project, "run").good();
    let made = project.read("app/out.txt");
    assert!(larder(&project, "cache verify").good().stdout.ends_with("all good\n"));
    let packs = std::fs::read_dir(project.store().join("packs")).expect("packs");
    for pack in packs {
        let path = pack.expect("a pack").path();
        let mut bytes = std::fs::read(&path).expect("a pack");
        let middle = bytes.len() / 3;
        bytes[middle..middle + 8].iter_mut().for_each(|byte| *byte ^= 0x55);
        std::fs::write(&path, bytes).expect("a damaged pack");
    }
    let found = larder(&project, "cache verify");
    assert_eq!(found.code(), 2, "{found:?}");
    assert!(found.stderr.contains("--repair"), "{found:?}");
    assert_eq!(larder(&project, "cache verify --repair --dry-run").code(), 2);
    let _ = larder(&project, "cache verify --repair").good();
    let _ = larder(&project, "cache verify").good();
    let _ = larder(&project, "clean --all").good();
    let _ = larder(&project, "run").good();
    assert_eq!(project.read("app/out.txt"), made);
}
