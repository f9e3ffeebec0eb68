//! One connection: requests are read, passed on, answered, and spoiled on the way.

use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::fault::{Fault, Place, Reply};
use super::http::{Body, Framing, Head, Incoming, Piece};
use super::{Counts, Seen, Shared, lock};

/// Looks whether somebody went away, and pauses of a dripping body.
const TICK: Duration = Duration::from_millis(20);

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Keep,
    Close,
    Reset,
}

/// Serves a client until it goes away, or a fault ends the connection.
pub(super) fn serve(shared: &Shared, client: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let handle = client.try_clone()?;
    let mut line = Line { shared, client: Incoming::new(client), upstream: None };
    pause(shared, line.round_trip());
    loop {
        let next = match line.client.head() {
            Ok(Some(head)) => line.request(&head),
            Ok(None) => Ok(Next::Close),
            Err(error) => Err(error),
        };
        match next {
            Ok(Next::Keep) => {}
            Ok(Next::Reset) => return socket2::SockRef::from(&handle).set_linger(Some(Duration::ZERO)),
            Ok(Next::Close) => return handle.shutdown(Shutdown::Both),
            Err(error) => {
                let _ = handle.shutdown(Shutdown::Both);
                return Err(error);
            }
        }
    }
}

fn pause(shared: &Shared, time: Duration) {
    let until = Instant::now() + time;
    while !shared.ends.load(Ordering::Relaxed) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(Duration::from_millis(100)));
    }
}

/// A client's connection, and ours to the server.
struct Line<'a> {
    shared: &'a Shared,
    client: Incoming,
    upstream: Option<Incoming>,
}

/// What is known of one request, in the proxy's list.
struct Note<'a> {
    shared: &'a Shared,
    at: usize,
}

impl<'a> Note<'a> {
    fn new(shared: &'a Shared, head: &Head) -> Self {
        let seen = Seen {
            method: head.method().to_owned(),
            path: head.target().to_owned(),
            status: None,
            up: 0,
            down: 0,
            spoiled: false,
        };
        let mut all = lock(&shared.seen);
        all.push(seen);
        Self { shared, at: all.len() - 1 }
    }

    fn with(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut lock(&self.shared.seen)[self.at]);
    }

    fn status(&self, status: u16) {
        self.with(|seen| seen.status = Some(status));
    }

    fn up(&self, bytes: u64) {
        self.with(|seen| seen.up += bytes);
        lock(&self.shared.counts).up.bodies += bytes;
    }

    fn down(&self, bytes: u64) {
        self.with(|seen| seen.down += bytes);
        lock(&self.shared.counts).down.bodies += bytes;
    }

    fn spoiled(&self) {
        let mut first = false;
        self.with(|seen| first = !std::mem::replace(&mut seen.spoiled, true));
        lock(&self.shared.counts).spoiled += u64::from(first);
    }
}

/// What to do to a body: offsets of its payload.
#[derive(Clone, Copy, Debug, Default)]
struct Spoil {
    drip: Option<u64>,
    flip: Option<u64>,
    end: Option<(u64, Next)>,
}

/// How a body came through.
#[derive(Clone, Copy, Debug, Default)]
struct Relayed {
    /// It was ended early, and what becomes of the connection.
    ended: Option<Next>,
    /// The receiver went away.
    refused: bool,
}

impl Spoil {
    fn request(fault: Option<Fault>) -> Self {
        match fault {
            Some(Fault::Drip(rate)) => Self { drip: Some(rate), ..Self::default() },
            Some(Fault::Flip(Place::Request(at))) => Self { flip: Some(at), ..Self::default() },
            Some(Fault::Reset(Place::Request(at))) => {
                Self { end: Some((at, Next::Reset)), ..Self::default() }
            }
            _ => Self::default(),
        }
    }

    fn answer(fault: Option<Fault>) -> Self {
        match fault {
            Some(Fault::Drip(rate)) => Self { drip: Some(rate), ..Self::default() },
            Some(Fault::Flip(Place::Answer(at))) => Self { flip: Some(at), ..Self::default() },
            Some(Fault::Reset(Place::Answer(at))) => Self { end: Some((at, Next::Reset)), ..Self::default() },
            Some(Fault::Truncate(at)) => Self { end: Some((at, Next::Close)), ..Self::default() },
            _ => Self::default(),
        }
    }

    /// Offsets beyond the end mean the last byte.
    fn within(mut self, framing: Framing) -> Self {
        if let Framing::Length(length) = framing {
            let last = length.saturating_sub(1);
            self.flip = self.flip.map(|at| at.min(last));
            self.end = self.end.map(|(at, next)| (at.min(last), next));
        }
        self
    }
}

impl Line<'_> {
    fn round_trip(&self) -> Duration {
        Duration::from_micros(self.shared.round_trip.load(Ordering::Relaxed))
    }

    fn request(&mut self, head: &Head) -> io::Result<Next> {
        self.count(|counts| {
            *counts.requests.entry(head.method().to_owned()).or_default() += 1;
            counts.up.heads += head.bytes.len() as u64;
        });
        let reply = lock(&self.shared.gate).0.as_mut().and_then(|gate| gate(&head.asked()));
        if let Some(reply) = reply {
            pause(self.shared, self.round_trip());
            let note = &Note::new(self.shared, head);
            return self.reply(head, &reply, note);
        }
        let (mut delay, mut fault) = (self.round_trip(), None);
        for rule in lock(&self.shared.rules).iter_mut() {
            match rule.judge(head.method(), head.target()) {
                Some(Fault::Delay(more)) => delay += more,
                Some(due) if fault.is_none() => fault = Some(due),
                _ => {}
            }
        }
        pause(self.shared, delay);
        let note = &Note::new(self.shared, head);
        match fault {
            Some(Fault::Status(status, code)) => self.answer_with(head, status, code, note),
            Some(Fault::Silence) => self.say_nothing(note),
            Some(Fault::Reset(Place::Request(0))) => {
                note.spoiled();
                Ok(Next::Reset)
            }
            fault => self.pass(head, fault, note),
        }
    }

    fn count(&self, with: impl FnOnce(&mut Counts)) {
        with(&mut lock(&self.shared.counts));
    }

    /// Writes to the client; counted before it can be seen.
    fn down_head(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.count(|counts| counts.down.heads += bytes.len() as u64);
        self.client.stream().write_all(bytes)
    }

    fn answer_with(&mut self, head: &Head, status: u16, code: &str, note: &Note<'_>) -> io::Result<Next> {
        note.spoiled();
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>a fault of the \
             proxy</Message><RequestId>0</RequestId></Error>"
        );
        let reply = Reply::status(status).header("Content-Type", "application/xml").body(body);
        self.reply(head, &reply, note)
    }

    /// Answers in place of the server.
    fn reply(&mut self, head: &Head, reply: &Reply, note: &Note<'_>) -> io::Result<Next> {
        // Whoever asks first gets the answer to that, and keeps its body.
        if !head.expects {
            let mut body = Body::new(&mut self.client, head.request_framing());
            while let Some(Piece::Payload(bytes) | Piece::Framing(bytes)) = body.next()? {
                note.up(bytes.len() as u64);
            }
        }
        let status = reply.status;
        let mut answer = format!("HTTP/1.1 {status} Fault\r\nContent-Length: {}\r\n", reply.body.len());
        for (name, value) in &reply.headers {
            answer.push_str(&format!("{name}: {value}\r\n"));
        }
        answer.push_str(if head.expects { "Connection: close\r\n\r\n" } else { "\r\n" });
        note.status(status);
        self.down_head(answer.as_bytes())?;
        if head.method() != "HEAD" {
            note.down(reply.body.len() as u64);
            self.client.stream().write_all(&reply.body)?;
        }
        Ok(if head.expects || head.closes { Next::Close } else { Next::Keep })
    }

    fn say_nothing(&mut self, note: &Note<'_>) -> io::Result<Next> {
        note.spoiled();
        note.up(self.client.forget());
        let client = self.client.stream();
        client.set_read_timeout(Some(TICK))?;
        let mut ignored = [0; 4096];
        while !self.shared.ends.load(Ordering::Relaxed) {
            match io::Read::read(&mut &*client, &mut ignored) {
                Ok(0) => break,
                Ok(read) => note.up(read as u64),
                Err(error) if waits(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Next::Close)
    }

    /// Passes the request on, and the answer back.
    fn pass(&mut self, head: &Head, fault: Option<Fault>, note: &Note<'_>) -> io::Result<Next> {
        self.connect()?;
        let mut upstream = self.upstream.take().expect("connected just above");
        if fault == Some(Fault::NoRange) {
            note.spoiled();
            upstream.stream().write_all(&head.without("range"))?;
        } else {
            upstream.stream().write_all(&head.bytes)?;
        }
        let framing = head.request_framing();
        // A final answer in place of the interim one: the body will not come.
        let mut early = false;
        if head.expects {
            early = self.wait_for_consent(&mut upstream)?;
        }
        let mut refused = false;
        if !early {
            let spoil = Spoil::request(fault).within(framing);
            let mut sink = upstream.stream().try_clone()?;
            let body = Body::new(&mut self.client, framing);
            let relayed = relay(note, body, &mut sink, spoil, |bytes| note.up(bytes))?;
            if let Some(next) = relayed.ended {
                return Ok(next);
            }
            refused = relayed.refused;
        }
        let next = self.answer(head, &mut upstream, fault, note)?;
        if next == Next::Keep && !early && !refused {
            self.upstream = Some(upstream);
            return Ok(next);
        }
        Ok(if next == Next::Keep { Next::Close } else { next })
    }

    /// Passes interim answers down until the client sends its body; true if the final answer came instead.
    fn wait_for_consent(&mut self, upstream: &mut Incoming) -> io::Result<bool> {
        loop {
            if upstream.has_more() || readable(upstream.stream())? {
                // It stays in the buffer if it is final.
                let Some(answer) = upstream.head()? else { return Err(ErrorKind::UnexpectedEof.into()) };
                if !is_interim(&answer)? {
                    upstream.unread(&answer);
                    return Ok(true);
                }
                pause(self.shared, self.round_trip());
                self.down_head(&answer.bytes)?;
                return Ok(false);
            }
            if self.client.has_more() || readable(self.client.stream())? {
                return Ok(false);
            }
        }
    }

    fn answer(
        &mut self,
        request: &Head,
        upstream: &mut Incoming,
        fault: Option<Fault>,
        note: &Note<'_>,
    ) -> io::Result<Next> {
        let answer = loop {
            let Some(answer) = upstream.head()? else { return Err(ErrorKind::UnexpectedEof.into()) };
            if !is_interim(&answer)? {
                break answer;
            }
            self.down_head(&answer.bytes)?;
        };
        let framing = answer.answer_framing(request.method())?;
        let body = Body::new(upstream, framing);
        if fault == Some(Fault::Lost) {
            note.spoiled();
            relay(note, body, &mut io::sink(), Spoil::default(), |_| ())?;
            return Ok(Next::Reset);
        }
        note.status(answer.status()?);
        self.down_head(&answer.bytes)?;
        let spoil = Spoil::answer(fault).within(framing);
        let mut sink = self.client.stream().try_clone()?;
        let relayed = relay(note, body, &mut sink, spoil, |bytes| note.down(bytes))?;
        if let Some(next) = relayed.ended {
            return Ok(next);
        }
        let closes = request.closes || answer.closes || framing == Framing::Close || relayed.refused;
        Ok(if closes { Next::Close } else { Next::Keep })
    }

    /// A connection to the server: the one that is open, unless the server closed it meanwhile.
    fn connect(&mut self) -> io::Result<()> {
        let lives = |open: &Incoming| {
            let stream = open.stream();
            stream.set_nonblocking(true)?;
            let peeked = stream.peek(&mut [0]);
            stream.set_nonblocking(false)?;
            Ok::<_, io::Error>(peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock))
        };
        if !self.upstream.as_ref().is_some_and(|open| lives(open).unwrap_or(false)) {
            let stream = TcpStream::connect(self.shared.upstream)?;
            stream.set_nodelay(true)?;
            self.upstream = Some(Incoming::new(stream));
        }
        Ok(())
    }
}

fn is_interim(answer: &Head) -> io::Result<bool> {
    Ok(matches!(answer.status()?, 100 | 102..200))
}

fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Whether something, or the end, comes within a moment.
fn readable(stream: &TcpStream) -> io::Result<bool> {
    stream.set_read_timeout(Some(TICK))?;
    let peeked = stream.peek(&mut [0]);
    stream.set_read_timeout(None)?;
    match peeked {
        Ok(_) => Ok(true),
        Err(error) if waits(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Passes a body on. An error is the sender's; a receiver that went away is not.
fn relay(
    note: &Note<'_>,
    mut body: Body<'_>,
    sink: &mut dyn Write,
    spoil: Spoil,
    mut count: impl FnMut(u64),
) -> io::Result<Relayed> {
    let mut done = Relayed::default();
    let mut at = 0;
    while let Some(piece) = body.next()? {
        let mut bytes = match piece {
            Piece::Framing(bytes) => {
                count(bytes.len() as u64);
                if sink.write_all(&bytes).is_err() {
                    return Ok(Relayed { refused: true, ..done });
                }
                continue;
            }
            Piece::Payload(bytes) => bytes,
        };
        let end = at + bytes.len() as u64;
        if let Some(flip) = spoil.flip.filter(|flip| (at..end).contains(flip)) {
            bytes[(flip - at) as usize] ^= 0x20;
            note.spoiled();
        }
        if let Some((stop, next)) = spoil.end.filter(|(stop, _)| (at..end).contains(stop)) {
            bytes.truncate((stop - at) as usize);
            done.ended = Some(next);
            note.spoiled();
        }
        // Twenty slices a second.
        let slice = spoil.drip.map_or(bytes.len(), |rate| (rate / 20).max(1) as usize).max(1);
        for part in bytes.chunks(slice) {
            if let Some(rate) = spoil.drip {
                note.spoiled();
                pause(note.shared, Duration::from_secs_f64(part.len() as f64 / rate.max(1) as f64));
            }
            count(part.len() as u64);
            if sink.write_all(part).is_err() {
                return Ok(Relayed { refused: true, ..done });
            }
        }
        if done.ended.is_some() {
            break;
        }
        at = end;
    }
    Ok(done)
}
