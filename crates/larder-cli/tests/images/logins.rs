//! Tokens, credentials, redirects: what goes where, and what happens when it ends.

use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use larder_testing::Project;
use larder_testing::proxy::{Asked, Fault, Proxy, Reply, Rule};

use super::world::{World, address, good, image, refused};

const FILES: &str = "/etc/os-release /app/data /bin/tool";

fn basic() -> String {
    format!("Basic {}", base64::prelude::BASE64_STANDARD.encode("user:secret"))
}

/// What a registry that wants tokens has seen and given.
#[derive(Debug, Default)]
struct Desk {
    /// The number of the token that is good now.
    good: usize,
    /// Requests that one token is good for.
    lasts: usize,
    used: usize,
    /// Tokens that were given, requests that were refused.
    given: usize,
    refused: usize,
    /// What came as authorization where tokens are given.
    logins: Vec<Option<String>>,
}

/// Puts a desk before a registry: tokens are for `user:secret` if `closed`, and good for `lasts` requests, whatever they say.
fn desk(proxy: &Proxy, lasts: usize, closed: bool) -> Arc<Mutex<Desk>> {
    let desk = Arc::new(Mutex::new(Desk { lasts, ..Desk::default() }));
    let (shared, realm) = (desk.clone(), format!("{}/token", proxy.endpoint()));
    proxy.gate(move |asked: &Asked| {
        let mut desk = shared.lock().unwrap();
        let authorization = asked.header("authorization");
        if asked.path() == "/token" {
            desk.logins.push(authorization.map(str::to_owned));
            if closed && authorization != Some(basic().as_str()) {
                return Some(Reply::status(401).body(r#"{"details":"wrong user or password"}"#));
            }
            desk.given += 1;
            (desk.good, desk.used) = (desk.given, 0);
            let body = format!(r#"{{"token":"t{}","expires_in":300}}"#, desk.given);
            return Some(Reply::status(200).header("Content-Type", "application/json").body(body));
        }
        if desk.good > 0 && authorization == Some(&format!("Bearer t{}", desk.good)) && desk.used < desk.lasts
        {
            desk.used += 1;
            return None;
        }
        desk.refused += 1;
        let challenge = format!(r#"Bearer realm="{realm}",service="test",scope="repository:app:pull""#);
        Some(
            Reply::status(401)
                .header("WWW-Authenticate", challenge)
                .body(r#"{"errors":[{"code":"UNAUTHORIZED"}]}"#),
        )
    });
    desk
}

/// A machine, and an image behind a proxy.
fn behind() -> Option<(World, Proxy, String)> {
    let world = World::new()?;
    let proxy = Proxy::new(address(&world.registry));
    let name = format!("{}/app:1", proxy.address());
    Some((world, proxy, name))
}

fn right(world: &World) -> String {
    let bytes = good(&world.machine, &format!("cat oci:one {FILES}")).stdout;
    good(&world.machine, "cache gc --to-size 0B");
    bytes
}

#[test]
fn tokens_that_end_between_two_reads_are_had_anew() {
    let Some((world, proxy, name)) = behind() else { return };
    let right = right(&world);
    for lasts in [1, 2, 3] {
        good(&world.machine, "cache gc --to-size 0B");
        let desk = desk(&proxy, lasts, false);
        let output = good(&world.machine, &format!("cat {name} {FILES}"));
        assert!(output.stdout == right && output.stderr.is_empty(), "{}\n{}", output.stderr, proxy.told());
        let desk = desk.lock().unwrap();
        assert!(desk.given >= 4usize.div_ceil(lasts) && desk.refused >= 1, "{lasts}: {desk:?}");
    }
    // A desk that gives tokens which are good for nothing.
    desk(&proxy, 0, false);
    let said = refused(&world.machine, &format!("ls {name}"), "(401");
    assert!(said.contains("hint:"), "{said}");
}

#[test]
fn a_login_from_a_file_and_one_from_a_program() {
    let Some((mut world, proxy, name)) = behind() else { return };
    let right = right(&world);
    let desk = desk(&proxy, usize::MAX, true);
    let said = refused(&world.machine, &format!("cat {name} {FILES}"), "wrong user or password");
    assert!(said.contains("hint:") && said.contains("docker login"), "{said}");
    let folder = world.machine.user_folder().join(".docker");
    std::fs::create_dir(&folder).unwrap();
    let configure = |text: String| std::fs::write(folder.join("config.json"), text).unwrap();
    let auth = |pair: &str| base64::prelude::BASE64_STANDARD.encode(pair);
    let host = proxy.address();
    configure(format!(r#"{{"auths":{{"{host}":{{"auth":"{}"}}}}}}"#, auth("user:secret")));
    let output = good(&world.machine, &format!("cat {name} {FILES}"));
    assert!(output.stdout == right, "{}", output.stderr);
    assert_eq!(desk.lock().unwrap().logins.last().unwrap().as_deref(), Some(basic().as_str()));
    configure(format!(r#"{{"auths":{{"{host}":{{"auth":"{}"}}}}}}"#, auth("user:wrong")));
    let said = refused(&world.machine, &format!("cat {name} {FILES}"), "wrong user or password");
    assert!(!said.contains("user:") && !said.contains(&auth("user:wrong")), "{said}");

    // A program.
    let programs = world.machine.path("programs");
    std::fs::create_dir(&programs).unwrap();
    let program = programs.join("docker-credential-test");
    let script = |body: &str| {
        std::fs::write(&program, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    };
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    world.machine.env("PATH", path);
    configure(format!(r#"{{"credHelpers":{{"{host}":"test"}}}}"#));
    script(&format!(
        r#"read host; [ "$1 $host" = "get {host}" ] || exit 9; echo '{{"ServerURL":"{host}","Username":"user","Secret":"secret"}}'"#
    ));
    good(&world.machine, "cache gc --to-size 0B");
    let output = good(&world.machine, &format!("cat {name} {FILES}"));
    assert!(output.stdout == right, "{}", output.stderr);
    script("echo 'it is locked'; exit 1");
    let said = refused(&world.machine, &format!("ls {name}"), "docker-credential-test");
    assert!(said.contains("it is locked") && said.contains("hint:"), "{said}");
    configure("{no json".to_owned());
    let said = refused(&world.machine, &format!("ls {name}"), "config.json");
    assert!(said.contains("hint:"), "{said}");
}

/// Redirects blobs to a second address with addresses that are good once, and remembers what came there.
fn elsewhere(
    front: &Proxy,
    back: &Proxy,
    expired: impl Fn(usize) -> bool + Send + 'static,
) -> Arc<Mutex<Vec<Asked>>> {
    let to = back.endpoint();
    let mut number = 0;
    front.gate(move |asked| {
        if !asked.path().contains("/blobs/") {
            return None;
        }
        number += 1;
        let address = format!("{to}{}?signature={number}", asked.path());
        Some(Reply::status(307).header("Location", address))
    });
    let seen = Arc::new(Mutex::new(Vec::<Asked>::new()));
    let remembered = seen.clone();
    back.gate(move |asked| {
        let mut seen = remembered.lock().unwrap();
        let used = seen.iter().any(|before| before.target == asked.target);
        seen.push(asked.clone());
        (used || expired(seen.len())).then(|| {
            Reply::status(403)
                .body("<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
        })
    });
    seen
}

#[test]
fn redirects_that_expire_are_asked_for_anew_and_see_no_token() {
    let Some((world, front, name)) = behind() else { return };
    let right = right(&world);
    let back = Proxy::new(address(&world.registry));
    let machine = &world.machine;
    let seen = elsewhere(&front, &back, |_| false);
    assert!(good(machine, &format!("cat {name} {FILES}")).stdout == right);
    assert!(seen.lock().unwrap().len() >= 3);

    // Cut there: a new address is asked for.
    good(machine, "cache gc --to-size 0B");
    back.rule(Rule::new(Fault::Truncate(1000)).nth(2));
    assert!(good(machine, &format!("cat {name} {FILES}")).stdout == right);
    back.heal();

    // Expired before it is used, now and then; and always.
    good(machine, "cache gc --to-size 0B");
    elsewhere(&front, &back, |at| at % 2 == 0);
    assert!(good(machine, &format!("cat {name} {FILES}")).stdout == right, "{}", back.told());
    good(machine, "cache gc --to-size 0B");
    elsewhere(&front, &back, |_| true);
    let said = refused(machine, &format!("cat {name} {FILES}"), "(403)");
    assert!(said.contains("hint:"), "{said}");

    // With tokens at the registry: none goes along.
    let seen = elsewhere(&front, &back, |_| false);
    let to = back.endpoint();
    let mut number = 100;
    let realm = format!("{}/token", front.endpoint());
    front.gate(move |asked| {
        if asked.path() == "/token" {
            return Some(Reply::status(200).body(r#"{"token":"precious","expires_in":300}"#));
        }
        if asked.header("authorization") != Some("Bearer precious") {
            let challenge = format!(r#"Bearer realm="{realm}",service="test",scope="repository:app:pull""#);
            return Some(Reply::status(401).header("WWW-Authenticate", challenge));
        }
        number += 1;
        let address = format!("{to}{}?signature={number}", asked.path());
        asked.path().contains("/blobs/").then(|| Reply::status(307).header("Location", address))
    });
    assert!(good(machine, &format!("cat {name} {FILES}")).stdout == right);
    let seen = seen.lock().unwrap();
    assert!(seen.len() >= 3, "{seen:?}");
    for asked in &*seen {
        let told = asked
            .headers
            .iter()
            .any(|(name, value)| name == "authorization" || name == "cookie" || value.contains("precious"));
        assert!(!told && !asked.target.contains("precious"), "{asked:?}");
    }
}

/// Nothing secret is shown, however much is told.
#[test]
fn secrets_are_not_in_logs() {
    let Some((world, proxy, name)) = behind() else { return };
    let machine: &Project = &world.machine;
    desk(&proxy, usize::MAX, true);
    let folder = machine.user_folder().join(".docker");
    std::fs::create_dir(&folder).unwrap();
    let auth = base64::prelude::BASE64_STANDARD.encode("user:secret");
    std::fs::write(
        folder.join("config.json"),
        format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, proxy.address()),
    )
    .unwrap();
    let output = image(machine, &format!("cat -vv {name} /etc/os-release")).good();
    assert!(output.stderr.len() > 1000, "{}", output.stderr);
    for secret in ["secret", auth.as_str(), "Bearer t", "\"t1\""] {
        assert!(!output.stderr.contains(secret), "`{secret}` in {}", output.stderr);
    }
}
