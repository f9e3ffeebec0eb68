//! Logins from docker's and podman's files, and from programs.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use larder_oci::registry::credentials::CredentialsError;
use larder_oci::registry::{Credentials, Environment, Login, Secret};

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn file(&self, name: &str, text: &str) -> &Self {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn program(&self, name: &str, script: &str) -> &Self {
        use std::os::unix::fs::PermissionsExt as _;
        let name = format!("bin/docker-credential-{name}");
        self.file(&name, &format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(self.path().join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    fn look_up(
        &self,
        more: &[(&str, &str)],
        host: &str,
        repository: &str,
    ) -> Result<Login, CredentialsError> {
        let mut variables = vec![
            ("HOME".to_owned(), self.path().display().to_string()),
            ("PATH".to_owned(), format!("{}:/usr/bin:/bin", self.path().join("bin").display())),
        ];
        let inside = |value: &str| value.replace('~', &self.path().display().to_string());
        variables.extend(more.iter().map(|(name, value)| ((*name).to_owned(), inside(value))));
        let environment: Environment = variables.into_iter().collect();
        let credentials = Credentials::files(environment);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let repository = repository.parse().ok();
        runtime.block_on(credentials.login(&host.parse().unwrap(), repository.as_ref()))
    }

    fn login(&self, host: &str, repository: &str) -> Login {
        self.look_up(&[], host, repository).unwrap()
    }
}

fn password(user: &str, password: &str) -> Login {
    Login::Password { user: user.into(), password: Secret::new(password) }
}

// ann:p:w, bob:b, cid:c
const ANN: &str = r#"{"auth":"YW5uOnA6dw=="}"#;
const BOB: &str = r#"{"auth":"Ym9iOmI="}"#;
const CID: &str = r#"{"auth":"Y2lkOmM="}"#;

#[test]
fn no_file_is_nobody() {
    assert_eq!(Home::new().login("r.example", "a"), Login::Anonymous);
}

#[test]
fn dockers_file() {
    let home = Home::new();
    let text = format!(
        r#"{{"auths":{{"r.example":{ANN},"https://index.docker.io/v1/":{BOB},"https://old.example/v2/":{CID},
            "id.example":{{"auth":"","identitytoken":"idt"}},"empty.example":{{}}}},"other":1}}"#
    );
    home.file(".docker/config.json", &text);
    assert_eq!(home.login("r.example", "a"), password("ann", "p:w"));
    assert_eq!(home.login("docker.io", "library/alpine"), password("bob", "b"));
    assert_eq!(home.login("old.example", "a"), password("cid", "c"));
    assert_eq!(home.login("id.example", "a"), Login::IdentityToken(Secret::new("idt")));
    assert_eq!(home.login("empty.example", "a"), Login::Anonymous);
    // Neither another port nor a host of which this is a part.
    assert_eq!(home.login("r.example:5000", "a"), Login::Anonymous);
    assert_eq!(home.login("example", "a"), Login::Anonymous);
}

#[test]
fn podmans_keys_may_name_a_part_of_the_way() {
    let home = Home::new();
    home.file(
        "run/containers/auth.json",
        &format!(r#"{{"auths":{{"r.example":{ANN},"r.example/team":{BOB},"r.example/team/app":{CID}}}}}"#),
    );
    let login = |repository| home.look_up(&[("XDG_RUNTIME_DIR", "~/run")], "r.example", repository).unwrap();
    assert_eq!(login("team/app"), password("cid", "c"));
    assert_eq!(login("team/other"), password("bob", "b"));
    assert_eq!(login("teams"), password("ann", "p:w"));
}

#[test]
fn the_first_file_with_an_entry_wins() {
    let home = Home::new();
    home.file(".docker/config.json", &format!(r#"{{"auths":{{"r.example":{ANN},"s.example":{ANN}}}}}"#));
    home.file("own.json", &format!(r#"{{"auths":{{"r.example":{BOB}}}}}"#));
    home.file("docker/config.json", &format!(r#"{{"auths":{{"r.example":{CID}}}}}"#));
    let login = |more: &[(&str, &str)], host| home.look_up(more, host, "a").unwrap();
    assert_eq!(login(&[], "r.example"), password("ann", "p:w"));
    let own = [("REGISTRY_AUTH_FILE", "~/own.json")];
    assert_eq!(login(&own, "r.example"), password("bob", "b"));
    assert_eq!(login(&own, "s.example"), password("ann", "p:w"));
    let docker = [("DOCKER_CONFIG", "~/docker")];
    assert_eq!(login(&docker, "r.example"), password("cid", "c"));
    assert_eq!(login(&docker, "s.example"), Login::Anonymous);
}

#[test]
fn programs_are_asked() {
    let home = Home::new();
    home.file(
        ".docker/config.json",
        r#"{"auths":{"r.example":{},"docker.io":{}},"credsStore":"store","credHelpers":{"h.example":"one"}}"#,
    );
    home.program(
        "store",
        r#"read server; echo "{\"ServerURL\":\"x\",\"Username\":\"$server\",\"Secret\":\"$1\"}""#,
    );
    home.program("one", r#"cat >/dev/null; echo '{"Username":"<token>","Secret":"t"}'"#);
    assert_eq!(home.login("r.example", "a"), password("r.example", "get"));
    assert_eq!(home.login("docker.io", "library/a"), password("https://index.docker.io/v1/", "get"));
    assert_eq!(home.login("h.example", "a"), Login::IdentityToken(Secret::new("t")));
    home.program("one", "echo 'credentials not found in native keychain'; exit 1");
    assert_eq!(home.login("h.example", "a"), Login::Anonymous);
}

#[test]
fn programs_that_misbehave_are_told() {
    let home = Home::new();
    home.file(
        ".docker/config.json",
        r#"{"credHelpers":{"r.example":"bad","out.example":"../x","none.example":"none"}}"#,
    );
    for (script, told) in [
        ("echo no keyring >&2; exit 3", "no keyring"),
        ("echo nonsense", "did not answer in the form"),
        ("yes | head -c 200000; exit 0", "64 KiB"),
    ] {
        home.program("bad", script);
        let error = home.look_up(&[], "r.example", "a").unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        assert!(error.to_string().contains("docker-credential-bad") && !error.hint().is_empty());
    }
    assert!(home.look_up(&[], "out.example", "a").unwrap_err().to_string().contains("is no name"));
    assert!(home.look_up(&[], "none.example", "a").unwrap_err().to_string().contains("not in `PATH`"));
}

#[test]
fn files_that_are_broken_are_told_without_what_is_in_them() {
    let home = Home::new();
    for text in
        [r#"{"auths":{"r.example":"s3cret"}}"#, r#"{"auths":{"r.example":{"auth":"s3cret?"}}}"#, "s3cret"]
    {
        home.file(".docker/config.json", text);
        let error = home.look_up(&[], "r.example", "a").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        assert!(error.to_string().contains("config.json"), "{error}");
    }
    home.file(".docker/config.json", "");
    assert_eq!(home.login("r.example", "a"), Login::Anonymous);
}

#[test]
fn secrets_are_not_shown() {
    let shown =
        format!("{:?} {:?}", password("ann", "s3cret"), Credentials::Login(password("ann", "s3cret")));
    assert!(!shown.contains("s3cret"), "{shown}");
    let environment: Environment = [("TOKEN", "s3cret")].into_iter().collect();
    assert!(!format!("{:?}", Credentials::files(environment)).contains("s3cret"));
}
