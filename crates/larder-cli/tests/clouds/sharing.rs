//! Machines share, and damage in a bucket heals.

use crate::servers::{self, Kind, Server};
use crate::world::{assert_cached, machine, prefix, run, tree};

fn at(server: &Server, prefix: &str) -> larder_testing::Project {
    machine(&server.config(prefix), &server.credentials())
}

#[test]
fn what_one_machine_made_another_has() {
    for server in servers::all() {
        let prefix = prefix();
        let (first, second) = (at(&server, &prefix), at(&server, &prefix));
        let made = run(&first);
        assert_cached(&made, None);
        assert!(!made.stderr.contains("warning"), "{}", made.stderr);
        let had = run(&second);
        assert_cached(&had, Some(server.tier()));
        assert!(!had.stderr.contains("warning"), "{}", had.stderr);
        assert_eq!(tree(&first), tree(&second));
        assert_cached(&run(&second), Some("local"));
    }
}

#[test]
fn whoever_has_another_secret_shares_nothing() {
    for server in servers::all() {
        let prefix = prefix();
        let (first, mut second) = (at(&server, &prefix), at(&server, &prefix));
        assert_cached(&run(&first), None);
        second.env("LARDER_CACHE_SECRET", "fedcba9876543210fedcba9876543210");
        assert_cached(&run(&second), None);
        assert_eq!(tree(&first), tree(&second));
    }
}

/// Damages what has `part` in its name; the second machine builds, and the third has what it built.
fn heals(part: &str) {
    for server in servers::all() {
        if server.kind == Kind::Gcs {
            continue;
        }
        let prefix = prefix();
        let [first, second, third] = [(); 3].map(|()| at(&server, &prefix));
        assert_cached(&run(&first), None);
        let objects = server.objects(&prefix, part);
        assert!(!objects.is_empty(), "nothing has `{part}` in its name");
        objects.iter().for_each(|path| server.damage(path));
        assert_cached(&run(&second), None);
        assert_eq!(tree(&first), tree(&second));
        assert_cached(&run(&third), Some(server.tier()));
        assert_eq!(tree(&first), tree(&third));
    }
}

#[test]
fn a_flipped_byte_in_a_pack_is_a_miss_and_is_replaced() {
    heals("/packs/");
}

#[test]
fn a_flipped_byte_in_a_result_is_a_miss_and_is_replaced() {
    heals("/results/");
}

#[test]
fn damage_in_a_pack_that_a_later_result_shares_is_replaced() {
    for server in servers::all() {
        if server.kind == Kind::Gcs {
            continue;
        }
        let prefix = prefix();
        let [first, second, third] = [(); 3].map(|()| at(&server, &prefix));
        assert_cached(&run(&first), None);
        let old = server.objects(&prefix, "/packs/");
        for machine in [&first, &second, &third] {
            machine.file("in", "second\n");
        }
        assert_cached(&run(&first), None);
        old.iter().for_each(|path| server.damage(path));
        let _ = run(&second);
        assert_eq!(tree(&first), tree(&second));
        assert_cached(&run(&third), Some(server.tier()));
        assert_eq!(tree(&first), tree(&third));
    }
}
