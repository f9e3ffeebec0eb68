//! As much of HTTP/1.1 as is needed to know where messages end.

use std::io::{self, Read};
use std::net::TcpStream;

use super::fault::Asked;

/// No head is longer.
const LONGEST_HEAD: usize = 64 << 10;
/// Bytes that are passed on at once.
const PIECE: usize = 64 << 10;

/// What comes from one side.
#[derive(Debug)]
pub(super) struct Incoming {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
}

/// A request's or an answer's head.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// As it came, with the empty line.
    pub(super) bytes: Vec<u8>,
    /// The first line, in words.
    first: [String; 2],
    length: Option<u64>,
    chunked: bool,
    /// The sender closes the connection after this message, or wants that done.
    pub(super) closes: bool,
    /// The client waits for an interim answer before it sends the body.
    pub(super) expects: bool,
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes.
    Length(u64),
    /// With an empty chunk.
    Chunked,
    /// With the connection.
    Close,
}

/// A part of a body.
#[derive(Debug)]
pub(super) enum Piece {
    Payload(Vec<u8>),
    /// What stands between chunks.
    Framing(Vec<u8>),
}

/// A body that is being read.
#[derive(Debug)]
pub(super) struct Body<'a> {
    incoming: &'a mut Incoming,
    framing: Framing,
    /// Of the body, or of the chunk.
    left: u64,
    ended: bool,
    in_chunk: bool,
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

impl Incoming {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new(), start: 0 }
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Whether something came that was not read yet.
    pub(super) fn has_more(&self) -> bool {
        self.start < self.buffer.len()
    }

    /// Throws away what came and was not read yet; answers how much that was.
    pub(super) fn forget(&mut self) -> u64 {
        let there = (self.buffer.len() - self.start) as u64;
        self.start = self.buffer.len();
        there
    }

    fn fill(&mut self) -> io::Result<usize> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let before = self.buffer.len();
        self.buffer.resize(before + PIECE, 0);
        let read = self.stream.read(&mut self.buffer[before..]);
        self.buffer.truncate(before + *read.as_ref().unwrap_or(&0));
        read
    }

    /// The next head; nothing if the connection was closed before it began.
    pub(super) fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            let rest = &self.buffer[self.start..];
            if let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") {
                let bytes = rest[..end + 4].to_vec();
                self.start += bytes.len();
                return Head::parse(bytes).map(Some);
            }
            if rest.len() > LONGEST_HEAD {
                return Err(malformed("a head without an end"));
            }
            if self.fill()? == 0 {
                return if self.has_more() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(None) };
            }
        }
    }

    /// Puts back the head that was read last.
    pub(super) fn unread(&mut self, head: &Head) {
        self.start -= head.bytes.len();
    }

    /// Some bytes, `most` at most; none at the end of the connection.
    fn some(&mut self, most: u64) -> io::Result<Vec<u8>> {
        if !self.has_more() && self.fill()? == 0 {
            return Ok(Vec::new());
        }
        let there = self.buffer.len() - self.start;
        let taken = there.min(usize::try_from(most).unwrap_or(usize::MAX)).min(PIECE);
        let piece = self.buffer[self.start..self.start + taken].to_vec();
        self.start += taken;
        Ok(piece)
    }

    /// A line with its end.
    fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let rest = &self.buffer[self.start..];
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line = rest[..=end].to_vec();
                self.start += line.len();
                return Ok(line);
            }
            if rest.len() > LONGEST_HEAD {
                return Err(malformed("a line without an end"));
            }
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

impl Head {
    fn parse(bytes: Vec<u8>) -> io::Result<Self> {
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let mut words = first.split(' ');
        let (Some(one), Some(two)) = (words.next(), words.next()) else {
            return Err(malformed("no request, and no answer"));
        };
        let first_words = [one.to_owned(), two.to_owned()];
        let (mut length, mut chunked, mut expects) = (None, false, false);
        let mut closes = first.starts_with("HTTP/1.0") || first.ends_with("HTTP/1.0");
        for line in lines {
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => {
                    length = Some(value.parse().map_err(|_| malformed("a length that is no number"))?);
                }
                "transfer-encoding" => chunked = value.to_ascii_lowercase().contains("chunked"),
                "connection" if value.eq_ignore_ascii_case("close") => closes = true,
                "connection" if value.eq_ignore_ascii_case("keep-alive") => closes = false,
                "expect" => expects = value.eq_ignore_ascii_case("100-continue"),
                _ => {}
            }
        }
        Ok(Self { first: first_words, length, chunked, closes, expects, bytes })
    }

    /// Of a request.
    pub(super) fn method(&self) -> &str {
        &self.first[0]
    }

    /// Of a request: the path with its query.
    pub(super) fn target(&self) -> &str {
        &self.first[1]
    }

    /// Of a request: what a gate sees.
    pub(super) fn asked(&self) -> Asked {
        let text = String::from_utf8_lossy(&self.bytes);
        let fields = text.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        let headers = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
        Asked {
            method: self.method().to_owned(),
            target: self.target().to_owned(),
            headers: headers.collect(),
        }
    }

    /// The bytes, but for the headers of this name.
    pub(super) fn without(&self, name: &str) -> Vec<u8> {
        let text = String::from_utf8_lossy(&self.bytes);
        let is_it =
            |line: &str| line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name));
        let lines: Vec<_> = text.split("\r\n").filter(|line| !is_it(line)).collect();
        lines.join("\r\n").into_bytes()
    }

    /// Of an answer.
    pub(super) fn status(&self) -> io::Result<u16> {
        self.first[1].parse().map_err(|_| malformed("a status that is no number"))
    }

    /// How a request's body ends.
    pub(super) fn request_framing(&self) -> Framing {
        if self.chunked { Framing::Chunked } else { Framing::Length(self.length.unwrap_or(0)) }
    }

    /// How the body of the answer to `method` ends.
    pub(super) fn answer_framing(&self, method: &str) -> io::Result<Framing> {
        let bodiless = method == "HEAD" || matches!(self.status()?, 100..200 | 204 | 304);
        Ok(match self.length {
            _ if bodiless => Framing::Length(0),
            _ if self.chunked => Framing::Chunked,
            Some(length) => Framing::Length(length),
            None => Framing::Close,
        })
    }
}

impl<'a> Body<'a> {
    pub(super) fn new(incoming: &'a mut Incoming, framing: Framing) -> Self {
        let left = match framing {
            Framing::Length(length) => length,
            Framing::Chunked => 0,
            Framing::Close => u64::MAX,
        };
        Self { incoming, framing, left, ended: false, in_chunk: false }
    }

    /// The next piece; nothing at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Piece>> {
        if self.ended || (self.left == 0 && self.framing != Framing::Chunked) {
            return Ok(None);
        }
        if self.left == 0 {
            return self.between().map(Some);
        }
        let piece = self.incoming.some(self.left)?;
        if piece.is_empty() {
            self.ended = true;
            return if self.framing == Framing::Close {
                Ok(None)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
        if self.framing != Framing::Close {
            self.left -= piece.len() as u64;
        }
        Ok(Some(Piece::Payload(piece)))
    }

    /// From the end of a chunk to the beginning of the next, or to the end of the body.
    fn between(&mut self) -> io::Result<Piece> {
        let mut bytes = if self.in_chunk { self.incoming.line()? } else { Vec::new() };
        let line = self.incoming.line()?;
        let size = String::from_utf8_lossy(&line);
        let size = size.split(';').next().unwrap_or_default().trim();
        self.left =
            u64::from_str_radix(size, 16).map_err(|_| malformed("a chunk whose size is no number"))?;
        self.in_chunk = true;
        bytes.extend(line);
        if self.left == 0 {
            self.ended = true;
            loop {
                let trailer = self.incoming.line()?;
                let last = trailer == b"\r\n";
                bytes.extend(trailer);
                if last {
                    break;
                }
            }
        }
        Ok(Piece::Framing(bytes))
    }
}
