//! A bad network in front of S3 servers: whatever it does to look-ups, content and writes, the build succeeds, no byte is
//! wrong, one warning says what to do, nothing is waited for long, and once it is over everything heals.

use std::time::{Duration, Instant};

use larder_testing::Project;
use larder_testing::project::Output;
use larder_testing::proxy::{Fault, Place, Proxy, Rule};

use crate::servers::{self, Kind, Server};
use crate::world::{assert_cached, machine, prefix, run, tree};

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

/// For each S3 server, at once.
fn for_each_server(work: impl Fn(&Server) + Sync) {
    let servers = servers::of(Kind::S3);
    std::thread::scope(|scope| {
        for server in &servers {
            scope.spawn(|| work(server));
        }
    });
}

type Case = (&'static str, Fault, Then);

/// The servers take turns with what the network does alone; what a server may judge in its own way is for each of them.
fn for_each_case(cases: &[Case], work: impl Fn(&Server, &mut dyn Iterator<Item = &Case>) + Sync) {
    let servers = servers::of(Kind::S3);
    let (work, servers) = (&work, &servers);
    std::thread::scope(|scope| {
        for (at, server) in servers.iter().enumerate() {
            scope.spawn(move || {
                let mine = cases.iter().enumerate();
                let mine =
                    mine.filter(|(case, (_, _, then))| *then == Then::Bounded || case % servers.len() == at);
                work(server, &mut mine.map(|(_, case)| case));
            });
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
    let begun = Instant::now();
    let output = run(project);
    let took = begun.elapsed();
    assert!(took < PATIENCE, "{name}: {took:?}\n{}", output.stderr);
    let warnings = output.stderr.matches("warning:").count();
    let said = warnings == 1 && output.stderr.contains("hint:");
    let right = match then {
        Then::Unnoticed => warnings == 0,
        Then::Said => said,
        // Whoever changed a result is for people to find out: there is no hint that fits.
        Then::Bounded => {
            warnings == 0 || said || (warnings == 1 && output.stderr.contains("is not believed"))
        }
    };
    assert!(right, "{name}: {warnings} warnings, not {then:?}\n{}\n{}", output.stderr, proxy.told());
    output
}

fn assert_spoiled(name: &str, proxy: &Proxy, fault: Fault) {
    let spoiled = proxy.counts().spoiled > 0 || matches!(fault, Fault::Delay(_));
    assert!(spoiled, "{name}: nothing was spoiled\n{}", proxy.told());
}

/// A machine reads a filled bucket under a fault; after it, everybody has everything.
fn reads(cases: &[Case], part: &'static str) {
    for_each_case(cases, |server, cases| {
        let prefix = prefix();
        let first = at(server, &prefix);
        assert_cached(&run(&first), None);
        for (name, fault, then) in cases {
            let (proxy, seen) = behind(server);
            proxy.rule(Rule::new(*fault).method("GET").below(part));
            let second = at(&seen, &prefix);
            let name = format!("{} {part} {name}", server.endpoint);
            let output = spoiled_run(&name, &proxy, &second, *then);
            assert_eq!(tree(&first), tree(&second), "{name}");
            if *then == Then::Unnoticed {
                assert_cached(&output, Some("s3"));
            }
            assert_spoiled(&name, &proxy, *fault);
            healed(&name, &proxy, &first, &second, &at(&seen, &prefix));
        }
    });
}

/// A machine writes under a fault; after it, its next run sends what is missing.
fn writes(cases: &[Case], part: &'static str) {
    for_each_case(cases, |server, cases| {
        let clean = machine("", &[]);
        assert_cached(&run(&clean), None);
        for (name, fault, then) in cases {
            let prefix = prefix();
            let (proxy, seen) = behind(server);
            proxy.rule(Rule::new(*fault).method("PUT").below(part));
            let first = at(&seen, &prefix);
            let name = format!("{} write {part} {name}", server.endpoint);
            assert_cached(&spoiled_run(&name, &proxy, &first, *then), None);
            assert_spoiled(&name, &proxy, *fault);
            assert_eq!(tree(&first), tree(&clean), "{name}");
            if *then == Then::Bounded {
                // A server that believes what it gets has damage now. Who reads it finds it, and mends it.
                proxy.heal();
                let found = at(&seen, &prefix);
                spoiled_run(&name, &proxy, &found, Then::Bounded);
                assert_eq!(tree(&found), tree(&clean), "{name}");
            }
            healed(&name, &proxy, &clean, &first, &at(&seen, &prefix));
        }
    });
}

/// The fault is over: who suffered runs nothing and sends what is missing; who comes new has everything.
fn healed(name: &str, proxy: &Proxy, clean: &Project, suffered: &Project, fresh: &Project) {
    proxy.heal();
    let output = run(suffered);
    assert_cached(&output, Some("local"));
    assert!(!output.stderr.contains("warning"), "{name}: {}", output.stderr);
    fresh.file("in", clean.read("in"));
    let output = run(fresh);
    assert_cached(&output, Some("s3"));
    assert!(!output.stderr.contains("warning"), "{name}: {}", output.stderr);
    assert_eq!(tree(clean), tree(fresh), "{name}");
}

#[test]
fn look_ups() {
    reads(
        &[
            ("that take a little", Fault::Delay(Duration::from_millis(200)), Then::Unnoticed),
            ("that take too long", Fault::Delay(Duration::from_secs(4)), Then::Said),
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
            ("with another last byte", Fault::Flip(Place::Answer(u64::MAX)), Then::Bounded),
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

/// A full bucket gives what it has, and is told once that it takes nothing.
#[test]
fn a_full_bucket() {
    for_each_server(|server| {
        for fault in [Fault::Status(507, "InsufficientStorage"), Fault::Status(403, "QuotaExceeded")] {
            let prefix = prefix();
            let first = at(server, &prefix);
            assert_cached(&run(&first), None);
            let (proxy, seen) = behind(server);
            proxy.rule(Rule::new(fault).method("PUT"));
            let second = at(&seen, &prefix);
            assert_cached(&run(&second), Some("s3"));
            second.file("in", "second\n");
            let name = format!("{} {fault:?}", server.endpoint);
            let output = spoiled_run(&name, &proxy, &second, Then::Said);
            assert_cached(&output, None);
            for words in ["takes no results", "there is no room left", "hint: make room in the bucket"] {
                assert!(output.stderr.contains(words), "no `{words}` in {}", output.stderr);
            }
            // What the network refuses is not tried for each result and each retry.
            assert!(proxy.counts().spoiled < 20, "{}", proxy.told());
            first.file("in", "second\n");
            assert_cached(&run(&first), None);
            assert_eq!(tree(&first), tree(&second), "{name}");
            healed(&name, &proxy, &first, &second, &at(&seen, &prefix));
        }
    });
}

/// A hiccup that a second try gets over: nobody should know.
#[test]
fn once_is_not_said() {
    let hiccups = [
        ("cut before the server", Fault::Reset(Place::Request(0)), Then::Unnoticed),
        ("an answer is lost", Fault::Lost, Then::Unnoticed),
        ("too many requests", Fault::Status(503, "SlowDown"), Then::Unnoticed),
        ("a failure", Fault::Status(500, "InternalError"), Then::Unnoticed),
        ("a truncated answer", Fault::Truncate(100), Then::Unnoticed),
        ("an answer that is cut", Fault::Reset(Place::Answer(100)), Then::Unnoticed),
    ];
    for_each_case(&hiccups, |server, cases| {
        for (name, fault, then) in cases {
            let prefix = prefix();
            let (proxy, seen) = behind(server);
            let name = format!("{} once {name}", server.endpoint);
            let once = |method: &str, part| proxy.rule(Rule::new(*fault).method(method).below(part).first(1));
            let first = at(&seen, &prefix);
            once("PUT", "/packs/");
            once("PUT", "/results/");
            assert_cached(&spoiled_run(&name, &proxy, &first, *then), None);
            proxy.heal();
            let second = at(&seen, &prefix);
            once("GET", "/packs/");
            once("GET", "/results/");
            assert_cached(&spoiled_run(&name, &proxy, &second, *then), Some("s3"));
            assert_spoiled(&name, &proxy, *fault);
            assert_eq!(tree(&first), tree(&second), "{name}");
            healed(&name, &proxy, &first, &second, &at(&seen, &prefix));
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
    });
}
