//! Random projects, random steps: never a difference from a clean build without cache.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::random;
use super::steps::{self, STEPS, Sums};
use super::world::World;

/// The same case with as few steps as still fail.
fn shrink(seed: u64, can_gc: bool, first: steps::Difference) -> String {
    let (mut skip, mut best) = (BTreeSet::new(), first);
    for step in 0..STEPS {
        skip.insert(step);
        match steps::run(seed, &skip, can_gc) {
            Err(smaller) => best = smaller,
            Ok(_) => drop(skip.remove(&step)),
        }
    }
    let mut said = format!("LARDER_TEST_SEED={seed}, without steps {skip:?}\n");
    let _ = writeln!(said, "{}\n{}", best.log.join("\n"), best.what);
    said
}

#[test]
fn every_run_leaves_the_tree_of_a_clean_build() {
    let can_gc = World::can("gc");
    let seeds = match std::env::var("LARDER_TEST_SEED") {
        Ok(seed) => {
            let seed = seed.parse().unwrap();
            seed..seed + 1
        }
        Err(_) => {
            let first = random::count("LARDER_TEST_FIRST", 1);
            first..first + random::count("LARDER_TEST_CASES", 40)
        }
    };
    let (mut sums, mut failures) = (Sums::default(), Vec::new());
    let count = seeds.end - seeds.start;
    for seed in seeds {
        match steps::run(seed, &BTreeSet::new(), can_gc) {
            Ok(more) => {
                sums.runs += more.runs;
                sums.cached += more.cached;
                sums.ran += more.ran;
                sums.kills += more.kills;
            }
            Err(difference) => failures.push(shrink(seed, can_gc, difference)),
        }
        if failures.len() >= 3 {
            break;
        }
    }
    assert!(failures.is_empty(), "{} cases differ:\n{}", failures.len(), failures.join("\n\n"));
    if count >= 20 {
        let mixed = sums.cached > sums.runs / 2 && sums.ran > sums.runs / 2;
        assert!(mixed, "the cases do not test hits and misses alike: {sums:?}");
    }
}
