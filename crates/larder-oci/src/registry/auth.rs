//! How a registry lets somebody in: nothing, a password, or tokens (docker's token protocol, on which distribution-spec relies).
//!
//! A token is kept for as long as it is said to last, less a margin, per set of scopes. Once a registry asked for tokens, they are had
//! before a request that needs them, so that only the first request is ever refused. When a token is refused before its time, one
//! new one is had, and the request is sent once more.
//!
//! # Who sees what
//! A password or identity token goes to the realm that the registry's own address named over the registry's own connection; the
//! realm must be on TLS, unless the registry itself has none or the realm is on loopback. Redirects of token servers are not
//! followed. A registry that wants passwords itself gets them at its own address only.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Request, StatusCode, Url};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::Result;
use super::challenge::{Challenge, best};
use super::credentials::{Credentials, Login, Secret};
use super::errors::{Kind, RegistryError};
use super::wire::{Ask, Wire};
use crate::reference::{Host, RepositoryName};

/// The longest answer of a token server.
const LONGEST_ANSWER: usize = 256 << 10;
/// A token whose life is not told lives this long (docker's token protocol).
const USUAL_LIFE: Duration = Duration::from_secs(60);
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// A login that was refused is looked up anew if it is older.
const FRESH: Duration = Duration::from_secs(30);

/// What a request needs to be allowed: `repository:name:pull,push`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Scope {
    repository: Option<RepositoryName>,
    all: BTreeSet<String>,
}

impl Scope {
    /// To be let in at all.
    pub(super) fn none() -> Self {
        Self { repository: None, all: BTreeSet::new() }
    }

    pub(super) fn pull(repository: &RepositoryName) -> Self {
        Self::of(repository, "pull")
    }

    pub(super) fn push(repository: &RepositoryName) -> Self {
        Self::of(repository, "pull,push")
    }

    pub(super) fn delete(repository: &RepositoryName) -> Self {
        Self::of(repository, "delete,pull,push")
    }

    /// And to read from there.
    pub(super) fn and_pull(mut self, from: &RepositoryName) -> Self {
        self.all.insert(format!("repository:{from}:pull"));
        self
    }

    fn of(repository: &RepositoryName, actions: &str) -> Self {
        let all = BTreeSet::from([format!("repository:{repository}:{actions}")]);
        Self { repository: Some(repository.clone()), all }
    }
}

struct Token {
    header: HeaderValue,
    until: Instant,
}

/// What the registry asked for so far.
enum Asked {
    Nothing,
    Basic,
    Bearer { realm: Url, service: Option<String> },
}

struct State {
    asked: Asked,
    tokens: HashMap<Scope, Token>,
    /// Scopes that the registry wanted beside those that were asked for.
    wanted: HashMap<Scope, BTreeSet<String>>,
    logins: HashMap<Option<RepositoryName>, (Login, Instant)>,
}

/// Lets requests in.
pub(super) struct Authorizer {
    host: Host,
    credentials: Credentials,
    state: Mutex<State>,
}

impl fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorizer").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Authorizer {
    pub(super) fn new(host: Host, credentials: Credentials) -> Self {
        let state = State {
            asked: Asked::Nothing,
            tokens: HashMap::new(),
            wanted: HashMap::new(),
            logins: HashMap::new(),
        };
        Self { host, credentials, state: Mutex::new(state) }
    }

    /// What to send with a request, as far as the registry has said what it wants.
    pub(super) async fn known(&self, wire: &Wire, ask: &Ask) -> Result<Option<HeaderValue>> {
        let mut state = self.state.lock().await;
        match state.asked {
            Asked::Nothing => Ok(None),
            Asked::Basic => {
                let login = self.login(&mut state, ask, false).await?;
                Ok(basic(&login))
            }
            Asked::Bearer { .. } => match state.tokens.get(&ask.scope) {
                Some(token) if token.until > Instant::now() => Ok(Some(token.header.clone())),
                _ => self.token(wire, &mut state, ask, false).await.map(Some),
            },
        }
    }

    /// What to send instead of `used`, which was refused with `headers`; `None` if there is nothing better.
    pub(super) async fn challenged(
        &self,
        wire: &Wire,
        ask: &Ask,
        headers: &HeaderMap,
        used: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>> {
        let Some(challenge) = best(headers) else { return Ok(None) };
        let mut state = self.state.lock().await;
        match challenge {
            Challenge::Basic => {
                state.asked = Asked::Basic;
                let login = self.login(&mut state, ask, used.is_some()).await?;
                Ok(basic(&login).filter(|header| Some(header) != used))
            }
            Challenge::Bearer { realm, service, scopes } => {
                let realm = self.realm(wire, ask.operation, &realm)?;
                // Another request may have had a new one meanwhile.
                if let Some(token) = state.tokens.get(&ask.scope)
                    && Some(&token.header) != used
                    && token.until > Instant::now()
                {
                    return Ok(Some(token.header.clone()));
                }
                state.tokens.remove(&ask.scope);
                state.asked = Asked::Bearer { realm, service };
                if !scopes.iter().all(|scope| ask.scope.all.contains(scope)) {
                    let more: BTreeSet<String> = scopes.into_iter().take(16).collect();
                    state.wanted.insert(ask.scope.clone(), more);
                }
                self.token(wire, &mut state, ask, used.is_some()).await.map(Some)
            }
        }
    }

    /// What a person can do about a 401.
    pub(super) fn why(&self, scope: &Scope) -> Option<String> {
        let state = self.state.try_lock().ok()?;
        let (login, _) = state.logins.get(&scope.repository)?;
        Some(match login {
            Login::Anonymous => format!(
                "no login for `{host}` was found: use `docker login {host}` or `podman login {host}`",
                host = self.host
            ),
            _ => format!(
                "the login for `{host}` was refused: log in anew with `docker login {host}`",
                host = self.host
            ),
        })
    }

    fn realm(&self, wire: &Wire, operation: &'static str, realm: &str) -> Result<Url> {
        let wrong = |message: &str| RegistryError::new(Kind::Invalid, operation, &self.host, message);
        let url = Url::parse(realm).map_err(|_| wrong("the registry names no address for tokens"))?;
        let host: Option<Host> = url.host_str().and_then(|host| host.parse().ok());
        let trusted = match url.scheme() {
            "https" => true,
            "http" => wire.is_plain() || host.as_ref().is_some_and(Host::is_loopback),
            _ => false,
        };
        if !trusted || host.is_none() {
            return Err(wrong("the registry wants credentials to be sent without TLS, to another server")
                .with_hint("the registry's realm for tokens must be an address with https"));
        }
        Ok(url)
    }

    async fn login(&self, state: &mut State, ask: &Ask, refused: bool) -> Result<Login> {
        let repository = &ask.scope.repository;
        if let Some((login, since)) = state.logins.get(repository)
            && !(refused && since.elapsed() > FRESH)
        {
            return Ok(login.clone());
        }
        let login = self.credentials.login(&self.host, repository.as_ref()).await.map_err(|error| {
            let hint = error.hint().to_owned();
            RegistryError::new(Kind::Credentials, ask.operation, &self.host, error.to_string())
                .with_hint(hint)
        })?;
        state.logins.insert(repository.clone(), (login.clone(), Instant::now()));
        Ok(login)
    }

    async fn token(&self, wire: &Wire, state: &mut State, ask: &Ask, refused: bool) -> Result<HeaderValue> {
        let login = self.login(state, ask, refused).await?;
        if let Login::RegistryToken(token) = &login {
            return bearer(token.reveal()).ok_or_else(|| self.unusable(ask));
        }
        let Asked::Bearer { realm, service } = &state.asked else { return Err(self.unusable(ask)) };
        let mut scopes = ask.scope.all.clone();
        scopes.extend(state.wanted.get(&ask.scope).into_iter().flatten().cloned());
        let order = Order { realm, service: service.as_deref(), scopes: &scopes, login: &login };
        let answer = order.fetch(wire, ask.operation).await?;
        let header = answer.token().and_then(bearer).ok_or_else(|| self.unusable(ask))?;
        let life = answer.expires_in.map_or(USUAL_LIFE, Duration::from_secs).min(LONGEST_LIFE);
        // Ends a little early: the request is on its way for a while.
        let until = Instant::now() + life - (life / 5).min(Duration::from_secs(10));
        state.tokens.retain(|_, token| token.until > Instant::now());
        state.tokens.insert(ask.scope.clone(), Token { header: header.clone(), until });
        Ok(header)
    }

    fn unusable(&self, ask: &Ask) -> RegistryError {
        RegistryError::new(
            Kind::Invalid,
            ask.operation,
            &self.host,
            "the token that was given cannot be used",
        )
    }
}

/// One request for a token.
struct Order<'a> {
    realm: &'a Url,
    service: Option<&'a str>,
    scopes: &'a BTreeSet<String>,
    login: &'a Login,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: Option<Secret>,
    #[serde(default)]
    access_token: Option<Secret>,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl Answer {
    fn token(&self) -> Option<&str> {
        let given = self.token.as_ref().or(self.access_token.as_ref());
        given.map(Secret::reveal).filter(|token| !token.is_empty())
    }
}

impl Order<'_> {
    async fn fetch(&self, wire: &Wire, operation: &'static str) -> Result<Answer> {
        let (mut status, mut body) = self.send(wire, operation, self.request()).await?;
        // Some servers know one way only.
        if matches!(status.as_u16(), 404 | 405)
            && let Login::Password { user, password } = self.login
        {
            let form = [("grant_type", "password"), ("username", user), ("password", password.reveal())];
            (status, body) = self.send(wire, operation, self.form(&form)).await?;
        }
        if status != StatusCode::OK {
            let who = self.realm.host_str().unwrap_or_default();
            let mut error = RegistryError::of_answer(operation, who, status, None, &body);
            if matches!(status.as_u16(), 400 | 401 | 403) {
                error = error.refused_token(matches!(self.login, Login::Anonymous));
            }
            return Err(error);
        }
        serde_json::from_slice(&body).map_err(|_| {
            wire.error(Kind::Invalid, operation, "the token server's answer is not what it must be")
        })
    }

    fn request(&self) -> (Request, Bytes) {
        if let Login::IdentityToken(token) = self.login {
            return self.form(&[("grant_type", "refresh_token"), ("refresh_token", token.reveal())]);
        }
        let mut url = self.realm.clone();
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = self.service {
                query.append_pair("service", service);
            }
            for scope in self.scopes {
                query.append_pair("scope", scope);
            }
            query.append_pair("client_id", "larder");
            if let Login::Password { user, .. } = self.login {
                query.append_pair("account", user);
            }
        }
        let mut request = Request::new(Method::GET, url);
        if let Some(header) = basic(self.login) {
            request.headers_mut().insert(AUTHORIZATION, header);
        }
        (request, Bytes::new())
    }

    fn form(&self, fields: &[(&str, &str)]) -> (Request, Bytes) {
        // An address that is never used, only its way of writing fields.
        let mut form = self.realm.clone();
        form.set_query(None);
        {
            let mut query = form.query_pairs_mut();
            query.extend_pairs(fields).append_pair("client_id", "larder");
            if let Some(service) = self.service {
                query.append_pair("service", service);
            }
            let scopes: Vec<&str> = self.scopes.iter().map(String::as_str).collect();
            if !scopes.is_empty() {
                query.append_pair("scope", &scopes.join(" "));
            }
        }
        let mut request = Request::new(Method::POST, self.realm.clone());
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, kind);
        (request, Bytes::copy_from_slice(form.query().unwrap_or_default().as_bytes()))
    }

    async fn send(
        &self,
        wire: &Wire,
        operation: &'static str,
        (request, body): (Request, Bytes),
    ) -> Result<(StatusCode, Bytes)> {
        let retries = wire.retries();
        let mut tried = 0;
        loop {
            let again = request.try_clone();
            let Some(again) = again else { return Err(wire.error(Kind::Invalid, operation, "no request")) };
            let response = match wire.execute(operation, again, body.clone()).await {
                Err(error) if *error.kind() == Kind::Unreachable && tried < retries.most => None,
                Ok(response) if response.status().is_server_error() && tried < retries.most => None,
                outcome => Some(outcome?),
            };
            if let Some(response) = response {
                let status = response.status();
                let ask = Ask::new(operation, Method::GET, self.realm.clone(), Scope::none());
                return Ok((status, wire.read_all(&ask, response, LONGEST_ANSWER).await?));
            }
            tried += 1;
            tokio::time::sleep(retries.pause * tried).await;
        }
    }
}

fn basic(login: &Login) -> Option<HeaderValue> {
    use base64::Engine as _;
    let Login::Password { user, password } = login else { return None };
    let pair = zeroize::Zeroizing::new(format!("{user}:{}", password.reveal()));
    let text = zeroize::Zeroizing::new(base64::prelude::BASE64_STANDARD.encode(pair.as_bytes()));
    secret(&format!("Basic {}", text.as_str()))
}

fn bearer(token: &str) -> Option<HeaderValue> {
    secret(&format!("Bearer {token}"))
}

fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::super::Options;
    use super::*;

    #[test]
    fn secrets_go_to_realms_with_tls_unless_the_registry_has_none() {
        let trusted = |host: &str, realm: &str| {
            let host: Host = host.parse().unwrap();
            let wire = Wire::open(&host, Options::default()).unwrap();
            Authorizer::new(host, Credentials::Anonymous).realm(&wire, "test", realm).is_ok()
        };
        assert!(trusted("r.example", "https://auth.other.example/token"));
        assert!(trusted("r.example", "http://127.0.0.1:5001/token"));
        assert!(trusted("http://r.example", "http://auth.example/token"));
        assert!(trusted("localhost:5000", "http://auth.example/token"));
        assert!(!trusted("r.example", "http://r.example/token"));
        assert!(!trusted("r.example", "http://169.254.169.254/latest"));
        assert!(!trusted("localhost:5000", "file:///etc/passwd"));
        assert!(!trusted("r.example", "/token"));
    }
}
