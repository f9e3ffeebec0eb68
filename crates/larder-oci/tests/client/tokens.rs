//! Who is let in, with what, and who never sees a secret.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use larder_oci::registry::{Credentials, Kind, Login, Secret};
use larder_oci::{OciDigest, Options};

use super::server::{Answer, Request, Server, answer};
use super::{kind, options, run};

fn password() -> Credentials {
    Credentials::Login(Login::Password { user: "ann".into(), password: Secret::new("p:w") })
}

fn basic() -> String {
    format!("Basic {}", base64::prelude::BASE64_STANDARD.encode("ann:p:w"))
}

fn with(credentials: Credentials) -> Options {
    let mut options = options();
    options.credentials = credentials;
    options
}

fn challenge(realm: &str, scope: &str) -> Answer {
    answer(401)
        .with("WWW-Authenticate", format!(r#"Bearer realm="{realm}",service="reg",scope="{scope}""#))
        .body(r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#)
}

/// A token server that numbers its tokens, and a registry that takes those that are valid.
struct Pair {
    tokens: Server,
    registry: Server,
    valid: Arc<Mutex<Vec<String>>>,
}

fn pair(token: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> Pair {
    let valid: Arc<Mutex<Vec<String>>> = Arc::default();
    let count = AtomicUsize::new(0);
    let given = valid.clone();
    let tokens = Server::start(move |request| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        given.lock().unwrap().push(format!("Bearer t{number}"));
        token(request, number)
    });
    let realm = format!("http://{}/token?x=1", tokens.address());
    let taken = valid.clone();
    let registry = Server::start(move |request| match request.header("authorization") {
        Some(token) if taken.lock().unwrap().iter().any(|valid| valid == token) => answer(200),
        _ => challenge(&realm, "repository:team/app:pull"),
    });
    Pair { tokens, registry, valid }
}

fn token(number: usize, life: u64) -> Answer {
    answer(200).body(format!(r#"{{"token":"t{number}","expires_in":{life}}}"#))
}

#[test]
fn a_token_is_had_once_and_used_for_its_life() {
    let Pair { tokens, registry, .. } = pair(|_, number| token(number, 300));
    let repository = registry.repository(with(password()));
    run(async {
        for _ in 0..3 {
            assert!(repository.has_blob(&OciDigest::sha256(b"x")).await.unwrap());
        }
    });
    let asked = tokens.seen();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("authorization"), Some(basic().as_str()));
    let target = &asked[0].target;
    for part in ["x=1", "service=reg", "scope=repository%3Ateam%2Fapp%3Apull", "account=ann"] {
        assert!(target.contains(part), "{target}");
    }
    assert_eq!(registry.seen().len(), 4, "one was refused");
    // The registry asked for tokens, and never saw the password.
    assert!(registry.seen().iter().all(|request| request.header("authorization") != Some(basic().as_str())));
    assert_eq!(repository.registry().moved().requests, 5);
}

#[test]
fn nobody_in_particular_gets_a_token_too() {
    let Pair { tokens, registry, .. } =
        pair(|_, number| answer(200).body(format!(r#"{{"access_token":"t{number}"}}"#)));
    let repository = registry.repository(options());
    assert!(run(repository.has_blob(&OciDigest::sha256(b"x"))).unwrap());
    assert_eq!(tokens.seen()[0].header("authorization"), None);
}

#[test]
fn a_token_that_ends_is_had_anew_before_the_next_request() {
    let Pair { tokens, registry, .. } = pair(|_, number| token(number, 1));
    let repository = registry.repository(with(password()));
    run(async {
        repository.has_blob(&OciDigest::sha256(b"x")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1100)).await;
        repository.has_blob(&OciDigest::sha256(b"x")).await.unwrap();
    });
    assert_eq!(tokens.seen().len(), 2);
    assert_eq!(registry.seen().len(), 3, "the second request was never refused");
}

#[test]
fn a_token_that_is_refused_before_its_time_is_had_anew() {
    let Pair { tokens, registry, valid } = pair(|_, number| token(number, 300));
    let repository = registry.repository(with(password()));
    run(async {
        repository.has_blob(&OciDigest::sha256(b"x")).await.unwrap();
        valid.lock().unwrap().clear();
        assert!(repository.has_blob(&OciDigest::sha256(b"x")).await.unwrap());
    });
    assert_eq!(tokens.seen().len(), 2);
}

#[test]
fn an_identity_token_is_exchanged_in_a_form() {
    let Pair { tokens, registry, .. } = pair(|_, number| token(number, 300));
    let login = Login::IdentityToken(Secret::new("id/1+2"));
    let repository = registry.repository(with(Credentials::Login(login)));
    assert!(run(repository.has_blob(&OciDigest::sha256(b"x"))).unwrap());
    let asked = &tokens.seen()[0];
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("POST", "/token?x=1"));
    let form = String::from_utf8(asked.body.clone()).unwrap();
    for part in
        ["grant_type=refresh_token", "refresh_token=id%2F1%2B2", "service=reg", "scope=repository%3Ateam"]
    {
        assert!(form.contains(part), "{form}");
    }
}

#[test]
fn a_password_that_is_wrong_is_unauthorized_with_a_hint() {
    let Pair { registry, .. } =
        pair(|_, _| answer(401).body(r#"{"details":"incorrect username or password"}"#));
    let error = run(registry.repository(with(password())).has_blob(&OciDigest::sha256(b"x"))).unwrap_err();
    assert_eq!(*error.kind(), Kind::Unauthorized);
    assert!(error.to_string().contains("incorrect username or password"), "{error}");
    assert!(!format!("{error} {error:?}").contains("p:w"));
}

#[test]
fn basic_goes_with_every_request_once_it_was_asked_for() {
    let server = Server::start(|request| match request.header("authorization") {
        Some(given) if given == basic() => answer(200),
        _ => answer(401).with("WWW-Authenticate", "Basic realm=\"r\""),
    });
    let repository = server.repository(with(password()));
    run(async {
        repository.registry().ping().await.unwrap();
        repository.has_blob(&OciDigest::sha256(b"x")).await.unwrap();
    });
    assert_eq!(server.seen().len(), 3);
    let nobody = server.repository(options());
    let error = run(nobody.registry().ping()).unwrap_err();
    assert_eq!(*error.kind(), Kind::Unauthorized);
    assert!(error.hint().contains("docker login"), "{}", error.hint());
    assert_eq!(server.seen().len(), 4, "without a login there is nothing to try again with");
}

#[test]
fn a_wrong_password_is_not_sent_for_ever() {
    let server = Server::start(|_| answer(401).with("WWW-Authenticate", "Basic realm=\"r\""));
    let repository = server.repository(with(password()));
    assert_eq!(kind(run(repository.registry().ping())), Kind::Unauthorized);
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn secrets_do_not_follow_redirects() {
    let other = Server::start(|_| answer(200).body("there"));
    let to = format!("http://{}/there?signature=1", other.address());
    let server = Server::start(move |request| match request.header("authorization") {
        Some(_) => answer(307).with("Location", &to),
        None => answer(401).with("WWW-Authenticate", "Basic realm=\"r\""),
    });
    let repository = server.repository(with(password()));
    let bytes = run(async {
        let reader = repository.read_blob(&OciDigest::sha256(b"there"), ..).await.unwrap().unwrap();
        reader.read_all(100).await.unwrap()
    });
    assert_eq!(&bytes[..], b"there");
    assert_eq!(other.seen().len(), 1);
    assert_eq!(other.seen()[0].header("authorization"), None);
}

#[test]
fn a_challenge_from_elsewhere_gets_nothing() {
    let other = Server::start(|_| answer(401).with("WWW-Authenticate", "Basic realm=\"r\""));
    let to = format!("http://{}/there", other.address());
    let server = Server::start(move |_| answer(307).with("Location", &to));
    let repository = server.repository(with(password()));
    let outcome = run(repository.read_blob(&OciDigest::sha256(b"there"), ..));
    assert_eq!(kind(outcome), Kind::Unauthorized);
    assert!(other.seen().iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn an_upload_elsewhere_gets_the_bytes_but_no_secret() {
    let other = Server::start(|_| answer(201));
    let to = format!("http://{}/upload?_state=a%2Fb", other.address());
    let server =
        Server::start(move |request| match (request.header("authorization"), request.method.as_str()) {
            (None, _) => answer(401).with("WWW-Authenticate", "Basic realm=\"r\""),
            (_, "HEAD") => answer(404),
            _ => answer(202).with("Location", &to),
        });
    let repository = server.repository(with(password()));
    let digest = OciDigest::sha256(b"bytes");
    assert!(run(repository.push_blob(&digest, "bytes".into())).unwrap());
    let put = &other.seen()[0];
    assert_eq!(put.target, format!("/upload?_state=a%2Fb&digest={digest}"));
    assert_eq!((put.body.as_slice(), put.header("authorization")), (&b"bytes"[..], None));
}

#[test]
fn a_token_server_that_redirects_is_not_followed() {
    let thief = Server::start(|_| answer(200).body(r#"{"token":"x"}"#));
    let to = format!("http://{}/", thief.address());
    let Pair { registry, .. } = pair(move |_, _| answer(307).with("Location", &to));
    assert_eq!(
        kind(run(registry.repository(with(password())).has_blob(&OciDigest::sha256(b"x")))),
        Kind::Invalid
    );
    assert!(thief.seen().is_empty());
}

#[test]
fn a_registry_that_wants_more_scopes_gets_a_token_for_them() {
    let tokens = Server::start(|request| {
        let more = request.target.contains("repository%3Aother%3Apull");
        answer(200).body(if more { r#"{"token":"good"}"# } else { r#"{"token":"poor"}"# })
    });
    let realm = format!("http://{}/", tokens.address());
    let server = Server::start(move |request| match request.header("authorization") {
        Some("Bearer good") => answer(200),
        _ => challenge(&realm, "repository:team/app:pull repository:other:pull"),
    });
    assert!(run(server.repository(with(password())).has_blob(&OciDigest::sha256(b"x"))).unwrap());
}
