//! What goes wrong, and when.

use std::fmt;
use std::time::Duration;

/// A place in an exchange: so many bytes of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Of the request's body, on its way up.
    Request(u64),
    /// Of the answer's body, on its way down.
    Answer(u64),
}

/// What happens to a request. Offsets beyond the end of a body of known length mean its last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It takes so much longer, before anything is passed on.
    Delay(Duration),
    /// The server gets it and answers, and the client sees a connection that was reset instead.
    Lost,
    /// The connection is reset when so much has passed. `Request(0)`: the server sees nothing of it.
    Reset(Place),
    /// The answer's body ends after so many bytes: the connection is closed, the head promised more.
    Truncate(u64),
    /// One bit of the byte there is another.
    Flip(Place),
    /// The server sees nothing of it; the answer is this status, with a body as S3 writes it.
    Status(u16, &'static str),
    /// Both bodies pass with so many bytes a second.
    Drip(u64),
    /// It is taken, and never answered.
    Silence,
    /// The server does not see its `Range` header, and answers with the whole body.
    NoRange,
}

/// A request, as a gate sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// `GET`.
    pub method: String,
    /// The target: path and query.
    pub target: String,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Asked {
    /// A header by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The path, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// What a gate answers in place of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Headers; the length is added.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// Nothing but a status.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

type Answering = Box<dyn FnMut(&Asked) -> Option<Reply> + Send>;

/// Sees every request before the rules, and may answer in place of the server.
#[derive(Default)]
pub(super) struct Gate(pub(super) Option<Answering>);

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gate").field(&self.0.is_some()).finish()
    }
}

type Predicate = Box<dyn Fn(&str) -> bool + Send>;

/// Which requests a fault is done to. All, unless said otherwise.
pub struct Rule {
    fault: Fault,
    method: Option<String>,
    path: Option<Predicate>,
    from: u64,
    until: u64,
    matched: u64,
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("fault", &self.fault)
            .field("matched", &self.matched)
            .finish_non_exhaustive()
    }
}

impl Rule {
    /// `fault`, for every request.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        Self { fault, method: None, path: None, from: 1, until: u64::MAX, matched: 0 }
    }

    /// Only for requests of this method.
    #[must_use]
    pub fn method(self, method: &str) -> Self {
        Self { method: Some(method.to_owned()), ..self }
    }

    /// Only for requests whose target (path and query) is such.
    #[must_use]
    pub fn path(self, path: impl Fn(&str) -> bool + Send + 'static) -> Self {
        Self { path: Some(Box::new(path)), ..self }
    }

    /// Only for requests whose target has `part` in it.
    #[must_use]
    pub fn below(self, part: &'static str) -> Self {
        self.path(move |path| path.contains(part))
    }

    /// Of those, only the first `n`.
    #[must_use]
    pub fn first(self, n: u64) -> Self {
        Self { from: 1, until: n, ..self }
    }

    /// Of those, only the `n`-th, counted from 1.
    #[must_use]
    pub fn nth(self, n: u64) -> Self {
        Self { from: n, until: n, ..self }
    }

    /// The fault, if this request is one of those.
    pub(super) fn judge(&mut self, method: &str, path: &str) -> Option<Fault> {
        let meant = self.method.as_ref().is_none_or(|wanted| wanted == method)
            && self.path.as_ref().is_none_or(|wanted| wanted(path));
        if !meant {
            return None;
        }
        self.matched += 1;
        (self.from..=self.until).contains(&self.matched).then_some(self.fault)
    }
}
