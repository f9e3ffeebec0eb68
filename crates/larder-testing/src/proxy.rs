//! [`Proxy`]: a server as seen through a bad network, with everything counted.
//!
//! ```text
//! client ── 127.0.0.1:PORT ── Proxy ── upstream      one thread and one upstream connection for each client connection
//! ```
//! Speaks as much HTTP/1.1 as clients of object stores do: heads, `Content-Length` and chunked bodies, bodies that end with
//! the connection, kept-alive connections, `Expect: 100-continue` and other interim answers. What is not spoiled is passed
//! on byte by byte, the `Host` header too (signatures cover it).
//!
//! - **Counts** are of bytes on the client's side, exactly as they were on the wire, heads and bodies apart (a chunked
//!   body with its framing). They are counted before the other side can see them: who has an answer finds it counted.
//! - **Faults** are chosen by [`Rule`]s for each request, in the order in which they were added: delays add up, of all
//!   other faults the first that is due is done. [`Proxy::refuse`] and [`Proxy::round_trip`] are of the whole network.
//! - No TLS, no HTTP/2, no pipelining (a client must wait for an answer before it asks again on the same connection).
//!
//! Threads end when their client goes away or the value is dropped. A fixture: what it cannot do is a panic.

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

mod counts;
mod exchange;
mod fault;
mod http;

pub use counts::{Bytes, Counts, Seen};
pub use fault::{Asked, Fault, Place, Reply, Rule};

/// A proxy in front of one server. Ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    listening: Mutex<Option<Listening>>,
}

/// What all threads know.
#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    upstream: SocketAddr,
    rules: Mutex<Vec<Rule>>,
    gate: Mutex<fault::Gate>,
    counts: Mutex<Counts>,
    seen: Mutex<Vec<Seen>>,
    round_trip: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
    ends: AtomicBool,
}

#[derive(Debug)]
struct Listening {
    stops: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// A proxy on a free loopback port, in front of `upstream`.
    #[must_use]
    pub fn new(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let shared = Arc::new(Shared {
            address: listener.local_addr().expect("it is bound"),
            upstream,
            rules: Mutex::default(),
            gate: Mutex::default(),
            counts: Mutex::default(),
            seen: Mutex::default(),
            round_trip: AtomicU64::new(0),
            open: Mutex::default(),
            ends: AtomicBool::new(false),
        });
        let listening = Mutex::new(Some(Listening::start(&shared, listener)));
        Self { shared, listening }
    }

    /// Where it listens. Stays the same, also while it refuses connections.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.shared.address)
    }

    /// Adds a rule, after those that are there.
    pub fn rule(&self, rule: Rule) {
        lock(&self.shared.rules).push(rule);
    }

    /// Has `gate` look at every request before the rules do; what it gives is answered in place of the server. It takes the place of the
    /// gate before. For what is no accident of a network: logins, redirects, limits.
    pub fn gate(&self, gate: impl FnMut(&Asked) -> Option<Reply> + Send + 'static) {
        lock(&self.shared.gate).0 = Some(Box::new(gate));
    }

    /// Removes all rules. Requests that are being spoiled go on being so.
    pub fn heal(&self) {
        lock(&self.shared.rules).clear();
    }

    /// What a round trip takes: waited for at each new connection, each request, and each `Expect: 100-continue`.
    pub fn round_trip(&self, time: Duration) {
        self.shared.round_trip.store(time.as_micros() as u64, Ordering::Relaxed);
    }

    /// Refuses connections, and cuts those that are open; or takes them again, on the same port.
    pub fn refuse(&self, refuse: bool) {
        let mut listening = lock(&self.listening);
        if refuse {
            if let Some(listening) = listening.take() {
                listening.stop(&self.shared);
            }
        } else if listening.is_none() {
            let listener = TcpListener::bind(self.shared.address).expect("the port that was ours");
            *listening = Some(Listening::start(&self.shared, listener));
        }
    }

    /// What has passed so far. Two of them can be subtracted.
    #[must_use]
    pub fn counts(&self) -> Counts {
        lock(&self.shared.counts).clone()
    }

    /// The requests so far, in the order in which they came.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.shared.seen).clone()
    }

    /// The requests so far, a line each: for messages of tests.
    #[must_use]
    pub fn told(&self) -> String {
        lock(&self.shared.seen).iter().map(|seen| format!("{seen}\n")).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        self.refuse(true);
    }
}

impl Listening {
    fn start(shared: &Arc<Shared>, listener: TcpListener) -> Self {
        let stops = Arc::new(AtomicBool::new(false));
        let (shared, stop) = (shared.clone(), stops.clone());
        let thread = std::thread::spawn(move || {
            for client in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(client) = client else { continue };
                let Ok(handle) = client.try_clone() else { continue };
                lock(&shared.open).push(handle);
                lock(&shared.counts).connections += 1;
                let shared = shared.clone();
                std::thread::spawn(move || {
                    let peer = client.peer_addr().ok();
                    // How it ended is for the client to judge.
                    let _ = exchange::serve(&shared, client);
                    lock(&shared.open).retain(|open| open.peer_addr().is_ok_and(|open| Some(open) != peer));
                });
            }
        });
        Self { stops, thread }
    }

    /// Ends the thread, and cuts all connections.
    fn stop(self, shared: &Shared) {
        self.stops.store(true, Ordering::Relaxed);
        // Wakes it; nobody serves this connection.
        let _ = TcpStream::connect(shared.address);
        let _ = self.thread.join();
        for open in lock(&shared.open).drain(..) {
            let _ = open.shutdown(Shutdown::Both);
        }
    }
}
