//! Inflate (RFC 1951) in gzip's framing (RFC 1952, any number of members) that knows where it is.
//!
//! It decompresses at the speed of the fastest decoders, and while it does it finds **restart points**: places from which decoding may begin
//! again later, with the few bytes of the 32 KiB before them that are needed there. So one pass over a stream makes it seekable, without
//! changing it.
//!
//! ```
//! use larder_inflate::{Decoder, SpanRule, State, decode_span};
//! # use std::io::Write;
//! # let text: Vec<u8> = (0..200_000u32).flat_map(|n| n.to_string().into_bytes()).collect();
//! # let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
//! # encoder.write_all(&text).unwrap();
//! # let gzip = encoder.finish().unwrap();
//! let mut decoder = Decoder::new(Some(SpanRule::of_span(128 << 10)?));
//! let mut buffer = vec![0; 2 << 20];
//! let progress = decoder.decode(&gzip, true, &mut buffer, 0)?;
//! assert_eq!(progress.state, State::Finished);
//! let points = decoder.take_points();
//!
//! // Later, one span alone.
//! let (point, next) = (&points[2], &points[3]);
//! let input = &gzip[(point.resume_bit / 8) as usize..next.resume_bit.div_ceil(8) as usize];
//! let mut span = vec![0; (next.out - point.out) as usize];
//! decode_span(point, input, &mut span)?;
//! assert_eq!(span, buffer[point.out as usize..next.out as usize]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | file | what |
//! |---|---|
//! | `decoder` | [`Decoder`]: the stages of a stream, input in pieces, output in pieces |
//! | `point` | [`SpanRule`], [`Point`], [`Window`]: what a restart point is, and where they are |
//! | `span` | [`decode_span`]: one span from its point alone |
//! | `gzip`, `block`, `table` | headers and trailers of members; headers of blocks; Huffman tables |
//! | `fast`, `symbol` | the hot loop, with the only `unsafe`; one symbol with every bound checked |
//! | `marks`, `spans` | what a span uses of the bytes before it; when spans close |
//! | `error` | [`Error`]: what is wrong, and at which byte |
//!
//! What zlib accepts is accepted, and nothing else. Whatever the input, nothing panics, loops, or touches memory outside the buffers.
//! Memory is bounded: about 100 KiB, and the points that were not taken.

mod block;
mod decoder;
mod error;
mod fast;
mod gzip;
mod marks;
mod point;
mod span;
mod spans;
mod symbol;
mod table;

pub use decoder::{Decoder, Progress, State};
pub use error::{Code, Error, ErrorKind};
pub use point::{Point, SpanRule, SpanSize, WINDOW, Window};
pub use span::decode_span;
