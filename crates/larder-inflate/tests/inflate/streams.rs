//! Streams to decode, and ways to decode them.

use flate2::{Decompress, FlushDecompress, Status};
use larder_inflate::{Decoder, Error, Point, SpanRule, State, WINDOW};
use zlib_rs::{DeflateConfig, DeflateFlush, Strategy};

/// Numbers that look random and are the same in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// Contents of different kinds, each of `size` bytes.
pub(crate) fn contents(size: usize) -> Vec<(&'static str, Vec<u8>)> {
    let mut random = Random(size as u64);
    let noise: Vec<u8> = (0..size).map(|_| random.next() as u8).collect();
    let words: Vec<String> = (0..400)
        .map(|_| (0..2 + random.below(8)).map(|_| (b'a' + random.below(26) as u8) as char).collect())
        .collect();
    let mut text = Vec::new();
    while text.len() < size {
        text.extend(words[random.below(20) * random.below(20)].bytes());
        text.push(if random.below(9) == 0 { b'\n' } else { b' ' });
    }
    text.truncate(size);
    let skewed = (0..size).map(|_| (random.next() & random.next() & random.next()) as u8).collect();
    // Repeats from as far back as can be.
    let far = (0..size).map(|at| noise[at % 32_700.min(size)] ^ u8::from(at % 97 == 0)).collect();
    let short = (0..size)
        .map(|at| {
            [b"ab".as_slice(), b"xyz", b"12345", b"seven77"][at / 700 % 4][at % [2, 3, 5, 7][at / 700 % 4]]
        })
        .collect();
    let mixed = (0..size).map(|at| if at / 20_000 % 2 == 0 { text[at] } else { noise[at] }).collect();
    vec![
        ("zeros", vec![0; size]),
        ("noise", noise),
        ("text", text),
        ("skewed", skewed),
        ("far", far),
        ("short patterns", short),
        ("mixed", mixed),
    ]
}

pub(crate) fn config(level: i32, strategy: Strategy) -> DeflateConfig {
    DeflateConfig { level, strategy, window_bits: 31, ..DeflateConfig::default() }
}

/// One gzip member, made by zlib-rs.
pub(crate) fn member(content: &[u8], config: DeflateConfig) -> Vec<u8> {
    let mut out = vec![0; content.len() * 2 + 1024];
    let (made, code) = zlib_rs::compress_slice(&mut out, content, config);
    assert_eq!(code, zlib_rs::ReturnCode::Ok);
    made.to_vec()
}

/// A gzip member whose blocks are flushed after every `piece` bytes (which leaves empty stored blocks).
pub(crate) fn flushed(content: &[u8], level: i32, flush: DeflateFlush, piece: usize) -> Vec<u8> {
    let mut deflate = flate2::Compress::new_gzip(flate2::Compression::new(level as u32), 15);
    let flush = match flush {
        DeflateFlush::FullFlush => flate2::FlushCompress::Full,
        DeflateFlush::PartialFlush => flate2::FlushCompress::Partial,
        _ => flate2::FlushCompress::Sync,
    };
    let mut out = Vec::with_capacity(content.len() * 2 + content.len() / piece * 64 + 1024);
    for chunk in content.chunks(piece) {
        deflate.compress_vec(chunk, &mut out, flush).unwrap();
    }
    let end = deflate.compress_vec(&[], &mut out, flate2::FlushCompress::Finish).unwrap();
    assert_eq!(end, Status::StreamEnd);
    assert_eq!(deflate.total_in(), content.len() as u64);
    out
}

/// What zlib makes of a stream: its bytes, or nothing if it is not whole members only.
pub(crate) fn reference(stream: &[u8]) -> Option<Vec<u8>> {
    let (mut rest, mut all) = (stream, Vec::new());
    while !rest.is_empty() {
        let mut inflate = Decompress::new_gzip(15);
        let mut buffer = vec![0; 1 << 16];
        loop {
            let (before_in, before_out) = (inflate.total_in(), inflate.total_out());
            let status = inflate.decompress(rest, &mut buffer, FlushDecompress::None).ok()?;
            let (read, made) = (inflate.total_in() - before_in, inflate.total_out() - before_out);
            rest = &rest[read as usize..];
            all.extend_from_slice(&buffer[..made as usize]);
            if status == Status::StreamEnd {
                break;
            }
            if read == 0 && made == 0 {
                return None;
            }
        }
    }
    (!stream.is_empty()).then_some(all)
}

/// Bytes and points.
pub(crate) type Decoded = (Vec<u8>, Vec<Point>);

/// Decodes with input in pieces of `piece` bytes, and room for `room` bytes at a time behind no more than must be kept.
pub(crate) fn decode(
    stream: &[u8],
    rule: Option<SpanRule>,
    piece: usize,
    room: usize,
) -> Result<Decoded, Error> {
    let mut decoder = Decoder::new(rule);
    let (mut all, mut points) = (Vec::new(), Vec::new());
    let (mut begin, mut end) = (0, piece.min(stream.len()));
    let mut buffer = vec![0; WINDOW + room];
    let mut at = 0;
    loop {
        let is_last = end == stream.len();
        let progress = decoder.decode(&stream[begin..end], is_last, &mut buffer, at)?;
        begin += progress.consumed;
        assert_eq!(decoder.consumed(), begin as u64);
        all.extend_from_slice(&buffer[at..at + progress.produced]);
        assert_eq!(decoder.produced(), all.len() as u64);
        at += progress.produced;
        points.extend(decoder.take_points());
        match progress.state {
            State::Finished => return Ok((all, points)),
            State::NeedsInput => {
                assert!(!is_last, "there is no more input");
                end = stream.len().min(end + piece);
            }
            State::NeedsRoom => {
                assert_eq!(at, buffer.len());
                buffer.copy_within(at - WINDOW.., 0);
                at = WINDOW;
            }
        }
    }
}

/// Decodes all at once.
pub(crate) fn whole(stream: &[u8], rule: Option<SpanRule>) -> Result<Decoded, Error> {
    decode(stream, rule, stream.len().max(1), 8 << 20)
}

/// The smallest spans.
pub(crate) fn small() -> SpanRule {
    SpanRule::of_span(WINDOW as u64).unwrap()
}

/// Streams of every kind that zlib writes.
pub(crate) fn streams(size: usize) -> Vec<(String, Vec<u8>)> {
    let mut streams = Vec::new();
    for (name, content) in contents(size) {
        for level in [0, 1, 6, 9] {
            streams
                .push((format!("{name}, level {level}"), member(&content, config(level, Strategy::Default))));
        }
        for strategy in [Strategy::HuffmanOnly, Strategy::Rle, Strategy::Fixed, Strategy::Filtered] {
            streams.push((format!("{name}, {strategy:?}"), member(&content, config(6, strategy))));
        }
        let small_blocks = DeflateConfig { mem_level: 1, ..config(6, Strategy::Default) };
        streams.push((format!("{name}, small blocks"), member(&content, small_blocks)));
        for flush in [DeflateFlush::SyncFlush, DeflateFlush::FullFlush, DeflateFlush::PartialFlush] {
            streams.push((format!("{name}, {flush:?}"), flushed(&content, 6, flush, 5_000)));
        }
        let mut members = Vec::new();
        let mut random = Random(7);
        let mut rest = content.as_slice();
        while !rest.is_empty() {
            let (part, behind) = rest.split_at(random.below(size / 5).min(rest.len()));
            members.extend(member(part, config(random.below(10) as i32, Strategy::Default)));
            members.extend(member(&[], config(6, Strategy::Default)));
            rest = behind;
        }
        streams.push((format!("{name}, members"), members));
    }
    streams.push(("nothing".to_owned(), member(&[], config(6, Strategy::Default))));
    streams
}
