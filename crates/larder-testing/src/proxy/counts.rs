//! What passed.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Sub;

/// Bytes in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// Request lines, status lines, headers.
    pub heads: u64,
    /// Bodies, a chunked one with its framing.
    pub bodies: u64,
}

/// What has passed on the client's side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that were taken.
    pub connections: u64,
    /// Requests whose head came whole, by method.
    pub requests: BTreeMap<String, u64>,
    /// Requests that a fault was done to; delays do not count.
    pub spoiled: u64,
    /// From the client.
    pub up: Bytes,
    /// To the client.
    pub down: Bytes,
}

impl Counts {
    /// All requests.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.requests.values().sum()
    }

    /// Requests of one method.
    #[must_use]
    pub fn of(&self, method: &str) -> u64 {
        self.requests.get(method).copied().unwrap_or(0)
    }
}

impl Sub for Bytes {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { heads: self.heads - earlier.heads, bodies: self.bodies - earlier.bodies }
    }
}

impl Sub<&Counts> for Counts {
    type Output = Self;

    /// What passed since `earlier`.
    fn sub(self, earlier: &Self) -> Self {
        let mut requests = self.requests;
        for (method, count) in &earlier.requests {
            if let Some(now) = requests.get_mut(method) {
                *now -= count;
            }
        }
        requests.retain(|_, count| *count > 0);
        Self {
            connections: self.connections - earlier.connections,
            requests,
            spoiled: self.spoiled - earlier.spoiled,
            up: self.up - earlier.up,
            down: self.down - earlier.down,
        }
    }
}

/// One request, for messages of tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// `GET`.
    pub method: String,
    /// The target, with its query.
    pub path: String,
    /// The answer's status; none if there was none.
    pub status: Option<u16>,
    /// Bytes of the request's body.
    pub up: u64,
    /// Bytes of the answer's body.
    pub down: u64,
    /// Whether a fault was done to it.
    pub spoiled: bool,
}

impl fmt::Display for Seen {
    /// One line: `PUT 200 up 16 down 0 /path`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
        let spoiled = if self.spoiled { " spoiled" } else { "" };
        write!(f, "{} {status} up {} down {}{spoiled} {}", self.method, self.up, self.down, self.path)
    }
}
