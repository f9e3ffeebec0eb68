//! One request to a registry: address, time limits, retries, redirects, authorization, counting.
//!
//! Redirects are followed here, not by the HTTP library, because what may go along depends on where they lead. Nothing is
//! decompressed: blobs are what they are (`Accept-Encoding: identity`).

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, Method, Request, Response, StatusCode, Url};

use super::auth::{Authorizer, Scope};
use super::errors::{Kind, LONGEST_ANSWER, RegistryError};
use super::{Options, Result};
use crate::reference::Host;
use crate::said::short;

/// How many redirects one request may take.
const MOST_REDIRECTS: usize = 5;

/// Requests and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// HTTP requests, those for tokens and along redirects among them.
    pub requests: u64,
    /// Bytes of bodies that were sent.
    pub sent: u64,
    /// Bytes of bodies that came.
    pub received: u64,
}

#[derive(Debug, Default)]
struct Moved {
    requests: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

/// What to send.
#[derive(Debug)]
pub(super) struct Ask {
    /// As it follows "failed to".
    pub(super) operation: &'static str,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) scope: Scope,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Whether sending it twice does what sending it once does.
    pub(super) again: bool,
}

impl Ask {
    pub(super) fn new(operation: &'static str, method: Method, url: Url, scope: Scope) -> Self {
        let again = method != Method::POST;
        Self { operation, method, url, scope, headers: HeaderMap::new(), body: Bytes::new(), again }
    }

    pub(super) fn header(mut self, name: reqwest::header::HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    pub(super) fn body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    pub(super) fn once(mut self) -> Self {
        self.again = false;
        self
    }
}

/// A registry's address and the way there.
pub(super) struct Wire {
    client: Client,
    host: Host,
    base: Url,
    options: Options,
    authorizer: Authorizer,
    moved: Moved,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl Wire {
    pub(super) fn open(host: &Host, options: Options) -> Result<Self> {
        let fail = |kind, message: String| RegistryError::new(kind, "open a registry", host, message);
        let base = Url::parse(&format!("{}/v2/", host.base()))
            .map_err(|error| fail(Kind::Misuse, format!("its address cannot be written: {error}")))?;
        let mut certificates = Vec::new();
        for file in &options.certificates {
            let some = reqwest::Certificate::from_pem_bundle(file)
                .map_err(|_| fail(Kind::Tls, "a certificate to trust cannot be read".to_owned()))?;
            certificates.extend(some);
        }
        let builder = || -> Result<reqwest::ClientBuilder> {
            let mut builder = Client::builder()
                .user_agent(concat!("larder/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                .connect_timeout(options.patience.answer)
                .no_proxy();
            if let Some(proxy) = &options.proxy {
                let through = reqwest::Proxy::all(&proxy.url).map_err(|_| {
                    fail(Kind::Misuse, "the address of the proxy cannot be read".to_owned())
                        .with_hint("an address of a proxy looks like `http://proxy.example:3128`")
                })?;
                let except = reqwest::NoProxy::from_string(&proxy.except);
                builder = builder.proxy(through.no_proxy(except));
            }
            Ok(builder)
        };
        let trusting = builder()?.tls_certs_merge(certificates.clone()).build();
        let client = match trusting {
            Ok(client) => client,
            // A machine without any authority can still speak to a registry without TLS.
            Err(_) if host.is_plain_http() => {
                let built = builder()?.tls_certs_only(certificates).build();
                built.map_err(|error| RegistryError::of_transport("open a registry", host, &error))?
            }
            Err(error) => {
                let text = short(&super::errors::deepest(&error), 200);
                return Err(fail(Kind::Tls, format!("TLS cannot be set up: {text}"))
                    .with_hint("install the system's certificates (package `ca-certificates`)"));
            }
        };
        let authorizer = Authorizer::new(host.clone(), options.credentials.clone());
        Ok(Self { client, host: host.clone(), base, options, authorizer, moved: Moved::default() })
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    pub(super) fn retries(&self) -> super::Retries {
        self.options.retries
    }

    /// Whether the registry itself is without TLS.
    pub(super) fn is_plain(&self) -> bool {
        self.base.scheme() == "http"
    }

    pub(super) fn moved(&self) -> Transfer {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Transfer {
            requests: read(&self.moved.requests),
            sent: read(&self.moved.sent),
            received: read(&self.moved.received),
        }
    }

    /// The address of `path` below `/v2/`, which is made of checked names only.
    pub(super) fn url(&self, path: &str) -> Url {
        self.base.join(path).expect("names have no characters that an address could not hold")
    }

    pub(super) async fn ping(&self) -> Result<()> {
        let ask = Ask::new("speak to the registry", Method::GET, self.base.clone(), Scope::none());
        let response = self.send(&ask).await?;
        match response.status() {
            StatusCode::OK => Ok(()),
            StatusCode::NOT_FOUND => Err(self
                .fail(&ask, response)
                .await
                .with_hint("is this a registry? it does not answer at `/v2/`, where registries do")),
            _ => Err(self.fail(&ask, response).await),
        }
    }

    /// An error of this registry.
    pub(super) fn error(
        &self,
        kind: Kind,
        operation: &'static str,
        message: impl Into<String>,
    ) -> RegistryError {
        RegistryError::new(kind, operation, &self.host, message)
    }

    /// The error that an answer is; reads what it says.
    pub(super) async fn fail(&self, ask: &Ask, response: Response) -> RegistryError {
        let status = response.status();
        let wait = retry_after(&response);
        let who = self.who(response.url());
        let challenged = status == StatusCode::UNAUTHORIZED && self.is_own(response.url());
        let body = self.read_some(response).await;
        let error = RegistryError::of_answer(ask.operation, who, status, wait, &body);
        match self.authorizer.why(&ask.scope).filter(|_| challenged) {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }

    fn who(&self, url: &Url) -> String {
        if self.is_own(url) { self.host.to_string() } else { url.host_str().unwrap_or_default().to_owned() }
    }

    /// Whether `url` is on the registry's own scheme, host and port.
    pub(super) fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// Sends it; tries again what may pass; gives the last answer, whatever its status.
    pub(super) async fn send(&self, ask: &Ask) -> Result<Response> {
        let retries = self.options.retries;
        let mut tried = 0;
        loop {
            let outcome = self.send_authorized(ask).await;
            let wait = match &outcome {
                Ok(response) => match response.status().as_u16() {
                    // Nothing was done: it may be sent again, whatever it is.
                    429 => Some(retry_after(response)),
                    503 if ask.again => Some(retry_after(response)),
                    500 | 502 | 504 if ask.again => Some(None),
                    // Where the registry redirected to, and what expired there: the registry knows a new place.
                    400 | 401 | 403 if ask.again && !self.is_own(response.url()) => Some(None),
                    _ => None,
                },
                Err(error) if ask.again && *error.kind() == Kind::Unreachable => Some(None),
                Err(_) => None,
            };
            let Some(wait) = wait else { return outcome };
            let wait = wait.unwrap_or(retries.pause * 2u32.saturating_pow(tried.min(16)));
            if tried >= retries.most || wait > retries.longest_pause {
                return outcome;
            }
            tried += 1;
            tracing::debug!(op = ask.operation, registry = %self.host, tried, ?wait, "trying again");
            drop(outcome);
            tokio::time::sleep(wait).await;
        }
    }

    async fn send_authorized(&self, ask: &Ask) -> Result<Response> {
        let known = self.authorizer.known(self, ask).await?;
        let response = self.follow(ask, known.as_ref()).await?;
        if response.status() != StatusCode::UNAUTHORIZED || !self.is_own(response.url()) {
            return Ok(response);
        }
        match self.authorizer.challenged(self, ask, response.headers(), known.as_ref()).await? {
            Some(authorization) => self.follow(ask, Some(&authorization)).await,
            None => Ok(response),
        }
    }

    async fn follow(&self, ask: &Ask, authorization: Option<&HeaderValue>) -> Result<Response> {
        let mut url = ask.url.clone();
        let mut method = ask.method.clone();
        let mut body = ask.body.clone();
        for _ in 0..=MOST_REDIRECTS {
            let mut request = Request::new(method.clone(), url.clone());
            *request.headers_mut() = ask.headers.clone();
            request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            if let Some(authorization) = authorization.filter(|_| self.is_own(&url)) {
                request.headers_mut().insert(AUTHORIZATION, authorization.clone());
            }
            let response = self.execute(ask.operation, request, body.clone()).await?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            let to = self.location(ask.operation, &response)?;
            // As browsers do it: 303 always, 301 and 302 after POST.
            let turns = match response.status().as_u16() {
                303 => method != Method::HEAD,
                301 | 302 => method == Method::POST,
                _ => false,
            };
            if turns {
                (method, body) = (Method::GET, Bytes::new());
            }
            url = to;
        }
        Err(self.error(Kind::Invalid, ask.operation, "the registry redirects without end"))
    }

    /// Where an answer points: relative to its own address or not, never from TLS to plain HTTP.
    pub(super) fn location(&self, operation: &'static str, response: &Response) -> Result<Url> {
        let wrong = |message: &str| self.error(Kind::Invalid, operation, message);
        let text = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let text = text.ok_or_else(|| wrong("the registry's answer lacks the address to go on with"))?;
        let mut to =
            response.url().join(text).map_err(|_| wrong("the registry's answer points to no address"))?;
        if !matches!(to.scheme(), "http" | "https") {
            return Err(wrong("the registry's answer points to something else than HTTP"));
        }
        if response.url().scheme() == "https" && to.scheme() == "http" {
            // Behind a proxy that ends TLS, registries name themselves without it.
            let same = to.host_str() == response.url().host_str() && to.port().is_none();
            if !same {
                return Err(wrong("the registry's answer leads from TLS to plain HTTP")
                    .with_hint("tell the registry, or the proxy before it, that it is reached over https"));
            }
            let port = response.url().port();
            let set = to.set_scheme("https").and_then(|()| to.set_port(port));
            set.map_err(|()| wrong("the registry's answer points to no address"))?;
        }
        Ok(to)
    }

    /// One request on the wire.
    pub(super) async fn execute(
        &self,
        operation: &'static str,
        mut request: Request,
        body: Bytes,
    ) -> Result<Response> {
        let length = body.len() as u64;
        let limit =
            if length == 0 { self.options.patience.answer } else { self.options.patience.body(length) };
        let who = self.who(request.url());
        if length > 0 {
            *request.body_mut() = Some(body.into());
        } else if matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH) {
            // Some servers want a length even if it is none.
            request.headers_mut().insert(reqwest::header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        self.moved.requests.fetch_add(1, Ordering::Relaxed);
        self.moved.sent.fetch_add(length, Ordering::Relaxed);
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let started = Instant::now();
        let answer = tokio::time::timeout(limit, self.client.execute(request)).await;
        match answer {
            Ok(Ok(response)) => {
                tracing::debug!(op = operation, host = who, %method, path, status = response.status().as_u16(), elapsed = ?started.elapsed(), "answer");
                Ok(response)
            }
            Ok(Err(error)) => Err(RegistryError::of_transport(operation, who, &error)),
            Err(_) => Err(RegistryError::new(
                Kind::TimedOut,
                operation,
                who,
                format!("no answer within {}", seconds(limit)),
            )),
        }
    }

    /// The next piece of a body.
    pub(super) async fn piece(
        &self,
        operation: &'static str,
        response: &mut Response,
        pace: &mut Pace,
    ) -> Result<Option<Bytes>> {
        let patience = self.options.patience;
        let started = Instant::now();
        let piece = tokio::time::timeout(patience.answer, response.chunk()).await;
        pace.waited += started.elapsed();
        let slow = |message: String| {
            RegistryError::new(Kind::TimedOut, operation, self.who(response.url()), message)
        };
        let piece = match piece {
            Ok(Ok(piece)) => piece,
            Ok(Err(error)) => {
                return Err(RegistryError::of_transport(operation, self.who(response.url()), &error));
            }
            Err(_) => return Err(slow(format!("nothing came for {}", seconds(patience.answer)))),
        };
        let length = piece.as_ref().map_or(0, Bytes::len) as u64;
        pace.received += length;
        self.moved.received.fetch_add(length, Ordering::Relaxed);
        if pace.waited > patience.body(pace.received) {
            return Err(slow(format!("less than {} bytes came in a second", patience.slowest)));
        }
        Ok(piece)
    }

    /// A whole body of at most `most` bytes.
    pub(super) async fn read_all(&self, ask: &Ask, mut response: Response, most: usize) -> Result<Bytes> {
        let too_long = || {
            self.error(Kind::Invalid, ask.operation, format!("the answer is longer than {most} bytes"))
                .with_hint("nothing that long is to be expected there")
        };
        if response.content_length().is_some_and(|length| length > most as u64) {
            return Err(too_long());
        }
        let mut pace = Pace::default();
        let mut all = BytesMut::new();
        while let Some(piece) = self.piece(ask.operation, &mut response, &mut pace).await? {
            if piece.len() > most - all.len() {
                return Err(too_long());
            }
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }

    /// The begin of an answer, as far as it comes.
    async fn read_some(&self, mut response: Response) -> Bytes {
        let mut pace = Pace::default();
        let mut all = BytesMut::new();
        while all.len() < LONGEST_ANSWER
            && let Ok(Some(piece)) = self.piece("read an error", &mut response, &mut pace).await
        {
            all.extend_from_slice(&piece);
        }
        all.truncate(LONGEST_ANSWER);
        all.freeze()
    }
}

/// How a body comes.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Time spent waiting for it, not that of who takes it.
    waited: Duration,
    received: u64,
}

fn seconds(time: Duration) -> String {
    format!("{} s", (time.as_millis() as f64 / 1000.0 * 10.0).round() / 10.0)
}

/// When to come again: seconds only; the form with a date is rare, and needs clocks that agree.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
