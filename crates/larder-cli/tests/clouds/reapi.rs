//! A server of the Remote Execution API, and places where there is none.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use larder_testing::Project;

use crate::servers;
use crate::world::{assert_cached, assert_one_warning, machine, prefix, run, tree};

/// A machine whose project no other test has: the server has no folders to keep tests apart.
fn at(endpoint: &str, instance: &str, project: &str) -> Project {
    let machine = machine(&format!("reapi: {{endpoint: '{endpoint}', instance: '{instance}'}}"), &[]);
    machine.file("in", project);
    machine
}

#[test]
fn what_one_machine_made_another_has() {
    let Some((endpoint, instance)) = servers::reapi() else { return };
    let project = prefix();
    let (first, second) = (at(&endpoint, &instance, &project), at(&endpoint, &instance, &project));
    let made = run(&first);
    assert_cached(&made, None);
    assert!(!made.stderr.contains("warning"), "{}", made.stderr);
    let had = run(&second);
    assert_cached(&had, Some("reapi"));
    assert!(!had.stderr.contains("warning"), "{}", had.stderr);
    assert_eq!(tree(&first), tree(&second));
    assert_cached(&run(&second), Some("local"));
}

#[test]
fn whoever_has_another_secret_shares_nothing() {
    let Some((endpoint, instance)) = servers::reapi() else { return };
    let project = prefix();
    let (first, mut second) = (at(&endpoint, &instance, &project), at(&endpoint, &instance, &project));
    assert_cached(&run(&first), None);
    second.env("LARDER_CACHE_SECRET", "fedcba9876543210fedcba9876543210");
    assert_cached(&run(&second), None);
    assert_eq!(tree(&first), tree(&second));
}

#[test]
fn an_unknown_instance_is_one_warning() {
    let Some((endpoint, _)) = servers::reapi() else { return };
    let output = run(&at(&endpoint, "nosuchinstance", &prefix()));
    assert_cached(&output, None);
    assert_one_warning(
        &output,
        &["does not know the instance `nosuchinstance`", "hint: mend the tier's `instance`"],
    );
}

#[test]
fn a_server_without_tls_is_one_warning() {
    let Some((endpoint, instance)) = servers::reapi() else { return };
    let output = run(&at(&endpoint.replace("grpc://", "grpcs://"), &instance, &prefix()));
    assert_cached(&output, None);
    assert_one_warning(&output, &["no TLS connection comes about", "hint: a server without TLS is `grpc://"]);
}

#[test]
fn with_tls_results_are_shared_with_a_token_too() {
    let Some(((endpoint, instance), root)) = servers::reapi_with_tls() else { return };
    let project = prefix();
    let mut machines = [(); 2].map(|()| at(&endpoint, &instance, &project));
    for machine in &mut machines {
        machine.env("SSL_CERT_FILE", &root);
        machine.env("LARDER_REAPI_TOKEN", "swordfish");
    }
    assert_cached(&run(&machines[0]), None);
    assert_cached(&run(&machines[1]), Some("reapi"));
    assert_eq!(tree(&machines[0]), tree(&machines[1]));
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_one_warning() {
    let Some(((endpoint, instance), _)) = servers::reapi_with_tls() else { return };
    let output = run(&at(&endpoint, &instance, &prefix()));
    assert_cached(&output, None);
    assert_one_warning(&output, &["no TLS connection comes about", "SSL_CERT_FILE"]);
}

#[test]
fn a_server_with_tls_that_is_spoken_to_without_is_one_warning() {
    let Some(((endpoint, instance), _)) = servers::reapi_with_tls() else { return };
    let output = run(&at(&endpoint.replace("grpcs://", "grpc://"), &instance, &prefix()));
    assert_cached(&output, None);
    assert_one_warning(&output, &["cannot be used", "hint:", "speaks TLS"]);
}

#[test]
fn a_server_that_is_gone_is_one_warning() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let output = run(&at(&format!("grpc://127.0.0.1:{port}"), "", "gone"));
    assert_cached(&output, None);
    assert_one_warning(&output, &["cannot be reached", "Connection refused", "hint: is the server running"]);
}

#[test]
fn a_server_that_never_answers_is_waited_for_once() {
    // Connections are taken by the kernel; nobody reads.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let machine = at(&format!("grpc://127.0.0.1:{port}"), "", "silent");
    let begun = Instant::now();
    let output = run(&machine);
    assert_cached(&output, None);
    assert_one_warning(&output, &["no answer within 3 s", "hint:"]);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[test]
fn a_token_is_not_sent_without_encryption_nor_shown() {
    let mut machine = at("grpc://cache.example.org", "", "token");
    machine.env("LARDER_REAPI_TOKEN", "swordfish");
    let output = run(&machine);
    assert_cached(&output, None);
    assert_one_warning(&output, &["a token is not sent without encryption", "hint: use `grpcs://`"]);
    assert!(!output.stderr.contains("swordfish"), "{}", output.stderr);
}
