//! A bad network in between: each ends right, or in one clear error, in bounded time, and wrong bytes are never shown.

use std::time::{Duration, Instant};

use larder_testing::proxy::{Fault, Place, Proxy, Reply, Rule};

use super::world::{World, address, good, image, refused, tell};

/// Nothing takes longer, however bad the network is.
const PATIENCE: Duration = Duration::from_secs(25);
/// A layer's blob, not the configuration's: those are fetched whole, and checked.
const FILES: &str = "/etc/os-release /bin/tool";

/// What a fault comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// Nobody notices.
    Right,
    /// One error that has these words, with a hint.
    Said(&'static str),
}

struct Bad {
    world: World,
    proxy: Proxy,
    name: String,
    right: String,
}

impl Bad {
    /// A registry behind a proxy, its image indexed, nothing of it kept.
    fn new() -> Option<Self> {
        let world = World::new()?;
        let proxy = Proxy::new(address(&world.registry));
        let name = format!("{}/app:1", proxy.address());
        let right = good(&world.machine, &format!("cat {name} {FILES}")).stdout;
        assert!(right.len() > 300_000);
        Some(Self { world, proxy, name, right })
    }

    /// Reads two files of which nothing is kept.
    #[track_caller]
    fn reads(&self, what: &str, then: Then) {
        good(&self.world.machine, "cache gc --to-size 0B");
        self.check(what, &format!("cat {} {FILES}", self.name), then, Some(&self.right));
        self.proxy.heal();
        // What went wrong left nothing behind.
        let healed = good(&self.world.machine, &format!("cat {} {FILES}", self.name));
        assert!(healed.stdout == self.right, "{what}: other bytes after it");
    }

    /// Indexes anew.
    #[track_caller]
    fn indexes(&self, what: &str, then: Then) {
        self.check(what, &format!("index --force {}", self.name), then, None);
        self.proxy.heal();
    }

    #[track_caller]
    fn check(&self, what: &str, args: &str, then: Then, right: Option<&str>) {
        let begun = Instant::now();
        let output = image(&self.world.machine, args);
        let took = begun.elapsed();
        assert!(took < PATIENCE, "{what}: {took:?}\n{}", output.stderr);
        let told = self.proxy.told();
        match then {
            Then::Right => {
                assert_eq!(output.code(), 0, "{what}: {}\n{told}", output.stderr);
                assert!(!output.stderr.contains("warning"), "{what}: {}", output.stderr);
                assert!(right.is_none_or(|right| right == output.stdout), "{what}: other bytes");
            }
            Then::Said(words) => {
                assert_eq!(output.code(), 1, "{what}: {}\n{told}", output.stderr);
                assert_eq!(output.stderr.matches("error:").count(), 1, "{what}: {}", output.stderr);
                assert!(output.stderr.contains(words), "{what}: no `{words}` in {}", output.stderr);
                assert!(output.stderr.contains("hint:"), "{what}: {}", output.stderr);
                assert!(right.is_none_or(|right| right.starts_with(&output.stdout)), "{what}: other bytes");
            }
        }
        tell(format_args!(
            "{what}: {took:?}, {}",
            output.stderr.lines().filter(|line| !line.starts_with("layer")).collect::<Vec<_>>().join(" | ")
        ));
    }
}

fn blobs(fault: Fault) -> Rule {
    Rule::new(fault).method("GET").below("/blobs/")
}

#[test]
fn hiccups_are_not_noticed() {
    let Some(bad) = Bad::new() else { return };
    bad.proxy.round_trip(Duration::from_millis(20));
    bad.reads("latency", Then::Right);
    bad.proxy.round_trip(Duration::ZERO);
    for (what, fault) in [
        ("a delay", Fault::Delay(Duration::from_millis(500))),
        ("cut before the server", Fault::Reset(Place::Request(0))),
        ("a lost answer", Fault::Lost),
        ("a cut answer", Fault::Reset(Place::Answer(100))),
        ("a truncated answer", Fault::Truncate(1000)),
        ("no ranges", Fault::NoRange),
        ("a failure", Fault::Status(500, "InternalError")),
        ("a gateway's failure", Fault::Status(502, "BadGateway")),
        ("a busy server", Fault::Status(503, "SlowDown")),
    ] {
        // The second is a layer's: the first is the configuration.
        for n in [1, 2, 3] {
            bad.proxy.rule(blobs(fault).nth(n));
            bad.reads(what, Then::Right);
        }
        bad.proxy.rule(blobs(fault).nth(2));
        bad.indexes(what, Then::Right);
    }
    bad.proxy.rule(blobs(Fault::NoRange));
    bad.reads("no ranges at all", Then::Right);
}

#[test]
fn what_stays_bad_is_said_once() {
    let Some(bad) = Bad::new() else { return };
    for (what, fault, words) in [
        ("cut before the server", Fault::Reset(Place::Request(0)), "the connection broke"),
        ("a lost answer", Fault::Lost, "the connection broke"),
        ("a truncated answer", Fault::Truncate(10), ""),
        ("a failure", Fault::Status(500, "InternalError"), "(500)"),
        ("a refusal", Fault::Status(403, "Denied"), "(403)"),
        ("not there", Fault::Status(404, "BlobUnknown"), "is not there"),
    ] {
        bad.proxy.rule(blobs(fault));
        bad.reads(what, Then::Said(words));
        bad.proxy.rule(blobs(fault));
        bad.indexes(what, Then::Said(words));
    }
    for (what, fault, words) in [
        ("a manifest that fails", Fault::Status(500, "InternalError"), "(500)"),
        ("a manifest that is cut", Fault::Truncate(10), ""),
        ("a manifest with another byte", Fault::Flip(Place::Answer(50)), "is not"),
    ] {
        bad.proxy.rule(Rule::new(fault).below("/manifests/"));
        bad.reads(what, Then::Said(words));
    }
}

#[test]
fn a_flipped_byte_is_never_shown_nor_kept() {
    let Some(bad) = Bad::new() else { return };
    for at in [0, 9, 1_000, 150_000, u64::MAX] {
        bad.proxy.rule(blobs(Fault::Flip(Place::Answer(at))).path(|path| path.contains("/blobs/")));
        bad.reads(&format!("a flipped byte at {at}"), Then::Said("is not"));
        bad.proxy.rule(blobs(Fault::Flip(Place::Answer(at))).nth(2));
        bad.indexes(&format!("a flipped byte at {at}"), Then::Said(""));
    }
    // Not the configuration, which is checked at once, but a layer.
    for at in [3, 100_000, 290_000] {
        bad.proxy.rule(blobs(Fault::Flip(Place::Answer(at))).nth(3));
        bad.reads(&format!("a flipped byte at {at} of a layer"), Then::Said(""));
    }
}

#[test]
fn a_registry_that_goes_away_and_comes_back() {
    let Some(bad) = Bad::new() else { return };
    let machine = &bad.world.machine;
    bad.proxy.refuse(true);
    let said =
        refused(machine, &format!("cat {} /etc/os-release", bad.name), "the registry cannot be reached");
    assert!(said.contains("hint:"), "{said}");
    bad.proxy.refuse(false);
    assert_eq!(good(machine, &format!("cat {} {FILES}", bad.name)).stdout, bad.right);
}

#[test]
fn silence_has_an_end() {
    let Some(bad) = Bad::new() else { return };
    bad.proxy.rule(blobs(Fault::Silence));
    bad.reads("silence", Then::Said("no answer within 10 s"));
}

#[test]
fn limits_are_waited_for_as_the_registry_says_within_bounds() {
    let Some(bad) = Bad::new() else { return };
    let limited = |times: usize, wait: &'static str| {
        let mut count = 0;
        bad.proxy.gate(move |asked| {
            if !asked.target.contains("/blobs/") {
                return None;
            }
            count += 1;
            let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#;
            (count <= times).then(|| Reply::status(429).header("Retry-After", wait).body(body))
        });
    };
    let begun = Instant::now();
    limited(2, "1");
    bad.reads("a limit for a moment", Then::Right);
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    let begun = Instant::now();
    limited(usize::MAX, "3600");
    bad.check(
        "a limit for an hour",
        &format!("index --force {}", bad.name),
        Then::Said("slow down (429"),
        None,
    );
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
