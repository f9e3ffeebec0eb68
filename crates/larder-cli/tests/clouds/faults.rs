//! A bad network in front of S3 servers: whatever it does to look-ups, content and writes, the build succeeds, no byte is
//! wrong, one warning says what to do, nothing is waited for long, and once it is over everything heals.

use std::time::{Duration, Instant};

use larder_testing::Project;
use larder_testing::project::Output;
use larder_testing::proxy::{Fault, Place, Proxy, Rule};

use crate::servers::{self, Kind, Server};
use crate::world::{RECIPES, assert_cached, machine, prefix, run, tree};

/// What the whole run of a project whose recipes take no time may take, on a busy machine: a look-up is waited for 3 s,
/// other bodies this small for 9 s, and what is left to send for 10 s in which nothing moves.
const PATIENCE: Duration = Duration::from_secs(45);

/// Seen through a network of its own.
fn behind(server: &Server) -> (Proxy, Server) {
    let address = server.endpoint.trim_start_matches("http://").parse().expect("HOST:PORT");
    let proxy = Proxy::new(address);
    let seen = Server { endpoint: proxy.endpoint(), ..server.clone() };
    (proxy, seen)
}

fn at(server: &Server, prefix: &str) -> Project {
    machine(&server.config(prefix), &server.credentials())
}

/// One after the other for each S3 server, the servers at once.
fn for_each_server(work: impl Fn(&Server) + Sync) {
    let servers = servers::of(Kind::S3);
    std::thread::scope(|scope| {
        for server in &servers {
            scope.spawn(|| work(server));
        }
    });
}

/// What is expected while it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// Nobody notices.
    Unnoticed,
    /// One warning with a hint.
    Said,
    /// Whatever, within bounds: it depends on what the server checks, or where the fault hits.
    Bounded,
}

/// A run under a fault.
#[track_caller]
fn spoiled_run(name: &str, proxy: &Proxy, project: &Project, then: Then) -> Output {
    let (begun, before) = (Instant::now(), proxy.counts());
    let output = run(project);
    let took = begun.elapsed();
    let moved = proxy.counts() - &before;
    assert!(took < PATIENCE, "{name}: {took:?}\n{}", output.stderr);
    let warnings = output.stderr.matches("warning:").count();
    let said = warnings == 1 && output.stderr.contains("hint:");
    let right = match then {
        Then::Unnoticed => warnings == 0,
        Then::Said => said,
        Then::Bounded => warnings == 0 || said,
    };
    assert!(right, "{name}: {warnings} warnings, not {then:?}\n{}\n{}", output.stderr, proxy.told());
    eprintln!(
        "{name}: {took:.2?}, {moved:?}\n{}{}",
        output.stdout.lines().last().unwrap_or_default(),
        output.stderr
    );
    output
}

/// A machine reads a filled bucket under a fault; after it, everybody has everything.
fn reads(cases: &[(&str, Fault, Then)], part: &'static str) {
    for_each_server(|server| {
        for (name, fault, then) in cases {
            let prefix = prefix();
            let first = at(server, &prefix);
            assert_cached(&run(&first), None);
            let (proxy, seen) = behind(server);
            proxy.rule(Rule::new(*fault).method("GET").below(part));
            let second = at(&seen, &prefix);
            let name = format!("{} {part} {name}", server.endpoint);
            let output = spoiled_run(&name, &proxy, &second, *then);
            assert_eq!(tree(&first), tree(&second), "{name}");
            if *then == Then::Unnoticed {
                assert_cached(&output, Some("s3"));
            }
            assert!(*then == Then::Unnoticed || proxy.counts().spoiled > 0, "{name}: nothing was spoiled");
            healed(&name, &proxy, &first, &second, &seen, &prefix);
        }
    });
}

/// A machine writes under a fault; after it, its next run sends what is missing.
fn writes(cases: &[(&str, Fault, Then)], part: &'static str) {
    for_each_server(|server| {
        for (name, fault, then) in cases {
            let prefix = prefix();
            let (proxy, seen) = behind(server);
            proxy.rule(Rule::new(*fault).method("PUT").below(part));
            let first = at(&seen, &prefix);
            let name = format!("{} write {part} {name}", server.endpoint);
            assert_cached(&spoiled_run(&name, &proxy, &first, *then), None);
            assert!(proxy.counts().spoiled > 0, "{name}: nothing was spoiled");
            let clean = machine("", &[]);
            assert_cached(&run(&clean), None);
            assert_eq!(tree(&first), tree(&clean), "{name}");
            healed(&name, &proxy, &clean, &first, &seen, &prefix);
        }
    });
}

/// The fault is over: who suffered runs nothing and sends what is missing; who comes new has everything.
fn healed(name: &str, proxy: &Proxy, clean: &Project, suffered: &Project, seen: &Server, prefix: &str) {
    proxy.heal();
    proxy.refuse(false);
    let output = run(suffered);
    assert_cached(&output, Some("local"));
    assert!(!output.stderr.contains("warning"), "{name}: {}", output.stderr);
    // Damage that nobody could see when it was written (a server that believes what it gets) is found by who reads
    // it, and mended by that.
    let found = at(seen, prefix);
    let output = run(&found);
    assert!(!output.stderr.contains("warning"), "{name}: {}", output.stderr);
    assert_eq!(tree(clean), tree(&found), "{name}");
    let fresh = at(seen, prefix);
    let output = run(&fresh);
    assert_cached(&output, Some("s3"));
    assert!(!output.stderr.contains("warning"), "{name}: {}", output.stderr);
    assert_eq!(tree(clean), tree(&fresh), "{name}");
    // And what everybody has moves no more.
    let before = proxy.counts();
    assert_cached(&run(&fresh), Some("local"));
    assert_eq!((proxy.counts() - &before).total(), 0, "{name}");
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn look_ups() {
    reads(
        &[
            ("that take a little", Fault::Delay(Duration::from_millis(200)), Then::Unnoticed),
            ("that take too long", Fault::Delay(SECOND.saturating_mul(4)), Then::Said),
            ("cut before the server", Fault::Reset(Place::Request(0)), Then::Said),
            ("whose answer is lost", Fault::Lost, Then::Said),
            ("cut in the answer", Fault::Reset(Place::Answer(20)), Then::Said),
            ("truncated", Fault::Truncate(20), Then::Said),
            ("with another first byte", Fault::Flip(Place::Answer(0)), Then::Bounded),
            ("with another last byte", Fault::Flip(Place::Answer(u64::MAX)), Then::Bounded),
            ("that fail", Fault::Status(500, "InternalError"), Then::Said),
            ("that are too many", Fault::Status(503, "SlowDown"), Then::Said),
            ("that are denied", Fault::Status(403, "AccessDenied"), Then::Said),
        ],
        "/results/",
    );
}

#[test]
fn look_ups_that_nobody_answers() {
    reads(
        &[("never answered", Fault::Silence, Then::Said), ("that drip", Fault::Drip(20), Then::Said)],
        "/results/",
    );
}

#[test]
fn content() {
    reads(
        &[
            ("that takes a little", Fault::Delay(Duration::from_millis(200)), Then::Unnoticed),
            ("cut before the server", Fault::Reset(Place::Request(0)), Then::Said),
            ("whose answer is lost", Fault::Lost, Then::Said),
            ("cut", Fault::Reset(Place::Answer(100)), Then::Said),
            ("truncated", Fault::Truncate(100), Then::Said),
            ("with another first byte", Fault::Flip(Place::Answer(0)), Then::Bounded),
            ("with another byte", Fault::Flip(Place::Answer(100)), Then::Bounded),
            ("that fails", Fault::Status(500, "InternalError"), Then::Said),
            ("that is too much", Fault::Status(503, "SlowDown"), Then::Said),
            ("that is denied", Fault::Status(403, "AccessDenied"), Then::Said),
        ],
        "/packs/",
    );
}

#[test]
fn content_that_never_comes() {
    reads(
        &[("never answered", Fault::Silence, Then::Said), ("that drips", Fault::Drip(50), Then::Said)],
        "/packs/",
    );
}

#[test]
fn writes_of_content() {
    writes(
        &[
            ("that take a little", Fault::Delay(Duration::from_millis(200)), Then::Unnoticed),
            ("cut before the server", Fault::Reset(Place::Request(0)), Then::Said),
            ("cut", Fault::Reset(Place::Request(100)), Then::Said),
            ("whose answer is lost", Fault::Lost, Then::Said),
            ("with another byte", Fault::Flip(Place::Request(100)), Then::Bounded),
            ("that fail", Fault::Status(500, "InternalError"), Then::Said),
            ("that are denied", Fault::Status(403, "AccessDenied"), Then::Said),
            ("into a full bucket", Fault::Status(507, "InsufficientStorage"), Then::Said),
            ("beyond a quota", Fault::Status(403, "QuotaExceeded"), Then::Said),
        ],
        "/packs/",
    );
}

#[test]
fn writes_of_results() {
    writes(
        &[
            ("cut before the server", Fault::Reset(Place::Request(0)), Then::Said),
            ("whose answer is lost", Fault::Lost, Then::Bounded),
            ("with another byte", Fault::Flip(Place::Request(30)), Then::Bounded),
            ("that are too many", Fault::Status(503, "SlowDown"), Then::Said),
            ("into a full bucket", Fault::Status(507, "QuotaExceeded"), Then::Said),
        ],
        "/results/",
    );
}

#[test]
fn writes_that_nobody_answers() {
    writes(
        &[("never answered", Fault::Silence, Then::Said), ("that drip", Fault::Drip(50), Then::Said)],
        "/packs/",
    );
}

/// A hiccup that a second try gets over: nobody should know.
#[test]
fn once_is_not_said() {
    let hiccups = [
        Fault::Reset(Place::Request(0)),
        Fault::Lost,
        Fault::Status(503, "SlowDown"),
        Fault::Status(500, "InternalError"),
        Fault::Truncate(100),
        Fault::Reset(Place::Answer(100)),
    ];
    for_each_server(|server| {
        for fault in hiccups {
            let prefix = prefix();
            let (proxy, seen) = behind(server);
            let name = format!("{} {fault:?} once", server.endpoint);
            let first = at(&seen, &prefix);
            proxy.rule(Rule::new(fault).method("PUT").below("/packs/").first(1));
            proxy.rule(Rule::new(fault).method("PUT").below("/results/").first(1));
            assert_cached(&spoiled_run(&name, &proxy, &first, Then::Unnoticed), None);
            proxy.heal();
            let second = at(&seen, &prefix);
            proxy.rule(Rule::new(fault).method("GET").below("/packs/").first(1));
            proxy.rule(Rule::new(fault).method("GET").below("/results/").first(1));
            assert_cached(&spoiled_run(&name, &proxy, &second, Then::Unnoticed), Some("s3"));
            assert_eq!(tree(&first), tree(&second), "{name}");
            healed(&name, &proxy, &first, &second, &seen, &prefix);
        }
    });
}

/// The network goes away between two runs and comes back.
#[test]
fn a_network_that_is_gone_for_a_while() {
    for_each_server(|server| {
        let prefix = prefix();
        let (proxy, seen) = behind(server);
        let first = at(&seen, &prefix);
        assert_cached(&run(&first), None);
        proxy.refuse(true);
        let second = at(&seen, &prefix);
        let name = format!("{} gone", server.endpoint);
        assert_cached(&spoiled_run(&name, &proxy, &second, Then::Said), None);
        assert_eq!(tree(&first), tree(&second));
        proxy.refuse(false);
        second.file("in", "second\n");
        let output = run(&second);
        assert!(!output.stderr.contains("warning"), "{}", output.stderr);
        assert_cached(&output, None);
        let third = at(&seen, &prefix);
        third.file("in", "second\n");
        assert_cached(&run(&third), Some("s3"));
        assert_eq!(tree(&second), tree(&third));
        assert_eq!(RECIPES, 3);
    });
}
