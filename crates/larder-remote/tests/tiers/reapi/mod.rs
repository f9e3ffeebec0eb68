//! The tier on servers of the Remote Execution API: the suite, and what only such a server can do wrong.
//!
//! ```text
//! server.rs    a strict server in this process     services.rs   its services
//! ```

mod server;
mod services;

use std::sync::Arc;
use std::time::{Duration, Instant};

use larder_core::{DigestFunction, ErrorKind};
use larder_remote::Tier;
use larder_remote::tiers::{Configured, Runtime, Tiers, TiersOptions};
use larder_store::ActionDigest;
use larder_store::store::{Fetched, Upstream};
use tonic::Code;

use crate::suite::{self, bring, publish, wait};
use crate::world::{Machine, key, noise};
use server::{Fault, Manner, Server};

/// Every way in which servers speak.
fn manners() -> Vec<Manner> {
    let mut manners = Vec::new();
    for function in [DigestFunction::Sha256, DigestFunction::Blake3] {
        for zstd in [false, true] {
            manners.push(Manner { function, zstd, ..Manner::default() });
        }
    }
    manners
}

#[test]
fn every_manner_of_server() {
    for manner in manners() {
        let server = Server::new(manner);
        suite::run_whole_blobs(&|| Arc::new(server.open()));
    }
}

#[test]
fn a_server_that_says_little_of_itself() {
    let server = Server::new(Manner { terse: true, ..Manner::default() });
    suite::run_whole_blobs(&|| Arc::new(server.open()));
    let server = Server::new(Manner::default());
    server.fault("capabilities", Fault::Say(Code::Unimplemented));
    suite::run_whole_blobs(&|| Arc::new(server.open()));
}

#[test]
fn a_server_that_takes_small_batches_only() {
    let server = Server::new(Manner { batch: 200_000, zstd: true, ..Manner::default() });
    let (ours, theirs) = (Machine::new(), Machine::new());
    let files: Vec<_> = (0..10).map(|number| noise(number, 50_000)).collect();
    let action = ours.build(1, &files);
    publish(&server.open(), &ours, &action, false).unwrap();
    bring(&server.open(), &theirs, &action).unwrap().unwrap();
    assert_eq!(theirs.files(&action).as_ref(), Some(&files));
}

fn impatient() -> Manner {
    Manner { answer: Duration::from_millis(500), ..Manner::default() }
}

/// A server that has a result with a small and a large file.
fn filled(manner: Manner) -> (Server, ActionDigest, Vec<Vec<u8>>) {
    let server = Server::new(manner);
    let files = vec![noise(1, 3_000_000), b"small ".repeat(1000)];
    let ours = Machine::new();
    let action = ours.build(1, &files);
    publish(&server.open(), &ours, &action, false).unwrap();
    server.calls();
    (server, action, files)
}

#[test]
fn what_comes_is_never_other_content() {
    for manner in manners() {
        for call in ["read", "batch_read"] {
            for fault in [Fault::Flip, Fault::Cut, Fault::Bomb] {
                let (server, action, files) = filled(manner.clone());
                server.fault(call, fault.clone());
                let machine = Machine::new();
                let refused = bring(&server.open(), &machine, &action).unwrap_err();
                let cut_off = matches!((call, &fault, manner.zstd), ("batch_read", Fault::Bomb, false));
                let kind = if cut_off { ErrorKind::Unavailable } else { ErrorKind::Corrupt };
                assert_eq!(refused.kind(), kind, "{call} {fault:?} {manner:?}: {refused}");
                assert!(machine.files(&action).is_none());
                server.fault(call, None);
                bring(&server.open(), &machine, &action).unwrap().unwrap();
                assert_eq!(machine.files(&action).as_ref(), Some(&files));
            }
        }
    }
}

#[test]
fn content_that_is_gone_is_sent_again() {
    for manner in manners() {
        let (server, action, files) = filled(manner);
        let large = server.held().blobs.keys().find(|digest| digest.size == 3_000_000).copied().unwrap();
        server.held().blobs.remove(&large);
        let machine = Machine::new();
        assert!(bring(&server.open(), &machine, &action).unwrap().is_none());
        machine.build(1, &files);
        assert!(!publish(&server.open(), &machine, &action, false).unwrap().present);
        let third = Machine::new();
        bring(&server.open(), &third, &action).unwrap().unwrap();
        assert_eq!(third.files(&action).as_ref(), Some(&files));
    }
}

#[test]
fn only_what_is_missing_is_sent() {
    let (server, _, files) = filled(Manner::default());
    let ours = Machine::new();
    let action = ours.build(2, &files);
    let sent = publish(&server.open(), &ours, &action, false).unwrap().sent;
    assert!(sent.bytes < 10_000, "{sent:?}");
    assert_eq!(server.calls(), ["capabilities", "get", "find", "batch_write", "update"]);
}

#[test]
fn results_of_others_are_none_and_are_replaced() {
    let (server, action, files) = filled(Manner::default());
    for result in server.held().results.values_mut() {
        result.execution_metadata = None;
    }
    let machine = Machine::new();
    assert!(bring(&server.open(), &machine, &action).unwrap().is_none());
    machine.build(1, &files);
    assert!(!publish(&server.open(), &machine, &action, false).unwrap().present);
    assert!(bring(&server.open(), &Machine::new(), &action).unwrap().is_some());
}

#[test]
fn what_a_result_carries_is_a_blob_when_it_is_large() {
    for (function, zstd) in [(DigestFunction::Sha256, true), (DigestFunction::Blake3, false)] {
        let server = Server::new(Manner { function, zstd, ..Manner::default() });
        let (ours, theirs) = (Machine::new(), Machine::new());
        let count = if function == DigestFunction::Sha256 { 18_000 } else { 35_000_u32 };
        let files: Vec<Vec<u8>> = (0..count).map(|number| number.to_le_bytes().to_vec()).collect();
        let action = ours.build(1, &files);
        publish(&server.open(), &ours, &action, false).unwrap();
        let message: usize = server.held().results.values().map(prost::Message::encoded_len).sum();
        assert!(message < 1000, "{message}");
        bring(&server.open(), &theirs, &action).unwrap().unwrap();
        assert_eq!(theirs.files(&action).as_ref(), Some(&files));
    }
}

#[test]
fn a_blob_that_the_server_has_meanwhile_is_fine_and_one_that_it_took_in_part_is_not() {
    for zstd in [false, true] {
        let server = Server::new(Manner { zstd, ..Manner::default() });
        let ours = Machine::new();
        let action = ours.build(1, &[noise(1, 40_000_000)]);
        server.fault("write", Fault::Flip);
        let refused = publish(&server.open(), &ours, &action, false).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");
        server.fault("write", Fault::Cut);
        // The server lied; it refuses the result then.
        let refused = publish(&server.open(), &ours, &action, false).unwrap_err();
        assert!(refused.to_string().contains("lacks what was just sent"), "{refused}");
        server.fault("write", None);
        publish(&server.open(), &ours, &action, false).unwrap();
    }
}

#[test]
fn a_blob_that_is_too_large_for_the_server_is_said() {
    let server = Server::new(Manner { largest_blob: 1000, ..Manner::default() });
    let ours = Machine::new();
    let action = ours.build(1, &[noise(1, 2000)]);
    let refused = publish(&server.open(), &ours, &action, false).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.to_string().contains("no blobs of more than 1000 bytes"), "{refused}");
}

#[test]
fn whoever_lacks_the_token_is_told_where_it_goes() {
    let (server, action, _) = filled(Manner { token: Some("swordfish"), ..Manner::default() });
    assert!(bring(&server.open(), &Machine::new(), &action).unwrap().is_some());
    for token in [None, Some("sturgeon")] {
        let refused =
            wait(server.open_with(server::INSTANCE, token).look_up("default", &action)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Permission);
        assert_eq!(refused.hint(), Some("see LARDER_REAPI_TOKEN"));
    }
}

#[test]
fn an_unknown_instance_is_said() {
    let (server, action, _) = filled(Manner::default());
    let refused = wait(server.open_with("elsewhere", None).look_up("default", &action)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(refused.to_string().contains("does not know the instance `elsewhere`"), "{refused}");
}

#[test]
fn a_server_without_tls_is_not_spoken_to_with_tls() {
    let server = Server::new(Manner::default());
    let config = larder_remote::reapi::ReapiConfig {
        endpoint: server.address.to_string(),
        instance: server::INSTANCE.into(),
    };
    let tier = larder_remote::reapi::open(&config, &[], Default::default()).unwrap();
    let refused = wait(tier.look_up("default", &key(1))).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(refused.hint().unwrap_or_default().contains("grpc://"), "{refused:?}");
}

#[test]
fn whoever_may_only_read_is_told() {
    let server = Server::new(Manner { writable: false, ..Manner::default() });
    let ours = Machine::new();
    let action = ours.build(1, &[b"x".to_vec()]);
    let refused = publish(&server.open(), &ours, &action, false).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ReadOnly);
    for (code, kind) in [
        (Code::PermissionDenied, ErrorKind::Permission),
        (Code::Unimplemented, ErrorKind::ReadOnly),
        (Code::ResourceExhausted, ErrorKind::Full),
    ] {
        let server = Server::new(Manner::default());
        server.fault("update", Fault::Say(code));
        let refused = publish(&server.open(), &ours, &action, false).unwrap_err();
        assert_eq!(refused.kind(), kind, "{code}");
    }
}

/// The tiers of a machine, with the server as the only one.
fn tiers(machine: &Machine, server: &Server) -> Tiers {
    let tier: Arc<dyn Tier> = Arc::new(server.open());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let configured = Configured {
        name: "reapi",
        identity: tier.identity(),
        open: Box::new(move || Ok(tier.clone())),
        write: true,
    };
    let options = TiersOptions { stalled: Duration::from_secs(2) };
    Tiers::new(
        machine.store.clone(),
        vec![configured],
        Runtime::when_needed(move || Ok(runtime.handle().clone())),
        options,
    )
}

#[test]
fn a_server_that_fails_or_is_silent_is_a_miss_and_one_warning() {
    for call in ["capabilities", "get", "batch_read", "read"] {
        for fault in [Fault::Say(Code::Unavailable), Fault::Say(Code::Internal), Fault::Silence, Fault::Stall]
        {
            let stalls = matches!(fault, Fault::Stall);
            if stalls && call != "read" {
                continue;
            }
            let (server, action, _) = filled(impatient());
            server.fault(call, fault.clone());
            let machine = Machine::new();
            let behind = tiers(&machine, &server);
            let begun = Instant::now();
            for _ in 0..3 {
                assert!(matches!(behind.fetch(&action, "a:b"), Fetched::Miss(_)), "{call} {fault:?}");
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "{call} {fault:?}");
            assert_eq!(behind.take_warnings().len(), 1, "{call} {fault:?}");
            assert!(machine.files(&action).is_none());
        }
    }
}

#[test]
fn a_server_that_fails_while_it_is_written_to_is_given_up() {
    for call in ["find", "batch_write", "write", "update"] {
        for fault in [Fault::Say(Code::Unavailable), Fault::Silence, Fault::Stall] {
            if matches!(fault, Fault::Stall) && call != "write" {
                continue;
            }
            let server = Server::new(impatient());
            server.fault(call, fault.clone());
            let machine = Machine::new();
            let action = machine.build(1, &[noise(1, 30_000_000), b"small".to_vec()]);
            let behind = tiers(&machine, &server);
            behind.offer(&action, "a:b");
            let begun = Instant::now();
            let sent = behind.finish();
            assert_eq!((sent.results, sent.given_up), (0, 1), "{call} {fault:?}");
            assert!(begun.elapsed() < Duration::from_secs(20), "{call} {fault:?}");
            assert_eq!(behind.take_warnings().len(), 1, "{call} {fault:?}");
            assert!(server.held().results.is_empty(), "{call} {fault:?}");
        }
    }
}

#[test]
fn a_flipped_result_is_replaced_by_who_builds_again() {
    for manner in manners() {
        let (server, action, files) = filled(manner);
        for result in server.held().results.values_mut() {
            let metadata = &mut result.execution_metadata.as_mut().unwrap().auxiliary_metadata;
            let value = &mut metadata[0].value;
            let middle = value.len() / 2;
            value[middle] ^= 0x04;
        }
        let machine = Machine::new();
        let behind = tiers(&machine, &server);
        assert!(matches!(behind.fetch(&action, "a:b"), Fetched::Miss(_)));
        machine.build(1, &files);
        behind.offer(&action, "a:b");
        assert_eq!(behind.finish().results, 1);
        let third = Machine::new();
        assert!(matches!(tiers(&third, &server).fetch(&action, "a:b"), Fetched::Hit { tier: "reapi", .. }));
        assert_eq!(third.files(&action).as_ref(), Some(&files));
    }
}

#[test]
fn a_result_under_another_key_is_not_believed() {
    let (server, action, _) = filled(Manner { function: DigestFunction::Blake3, ..Manner::default() });
    let other = key(55);
    let result = server.held().results[&action.0].clone();
    server.held().results.insert(other.0, result);
    let machine = Machine::new();
    let behind = tiers(&machine, &server);
    assert!(matches!(behind.fetch(&other, "a:b"), Fetched::Miss(Some(_))));
    assert!(machine.files(&other).is_none());
    assert!(matches!(behind.fetch(&action, "a:b"), Fetched::Hit { .. }));
}
