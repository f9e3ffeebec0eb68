//! Anything as a gzip stream: zlib's verdict, zlib's bytes, and every span restarts alone.
#![no_main]

use flate2::{Decompress, FlushDecompress, Status};
use larder_inflate::{Decoder, Error, Point, SpanRule, State, WINDOW, decode_span};

/// More output than this is not compared: a few bytes can say a lot.
const MOST: usize = 4 << 20;

fn decode(stream: &[u8], piece: usize) -> Result<(Vec<u8>, Vec<Point>), Error> {
    let rule = SpanRule { out: WINDOW as u64, input: 0, most: 40_000 };
    let (mut decoder, mut points) = (Decoder::new(Some(rule)), Vec::new());
    let (mut begin, mut end, mut at) = (0, piece.min(stream.len()), 0);
    let mut buffer = vec![0; WINDOW];
    loop {
        let progress = decoder.decode(&stream[begin..end], end == stream.len(), &mut buffer, at)?;
        begin += progress.consumed;
        at += progress.produced;
        points.extend(decoder.take_points());
        match progress.state {
            State::Finished => {
                buffer.truncate(at);
                return Ok((buffer, points));
            }
            State::NeedsInput => {
                assert!(end < stream.len());
                end = stream.len().min(end + piece);
            }
            State::NeedsRoom => {
                assert_eq!(at, buffer.len());
                buffer.resize(at + 10_000, 0);
            }
        }
    }
}

/// `None`: refused, or too much.
fn reference(stream: &[u8]) -> Option<Vec<u8>> {
    let (mut rest, mut all) = (stream, Vec::new());
    while !rest.is_empty() {
        let mut inflate = Decompress::new_gzip(15);
        let mut buffer = vec![0; 1 << 16];
        loop {
            let (read, made) = (inflate.total_in(), inflate.total_out());
            let status = inflate.decompress(rest, &mut buffer, FlushDecompress::None).ok()?;
            let (read, made) = (inflate.total_in() - read, inflate.total_out() - made);
            rest = &rest[read as usize..];
            all.extend_from_slice(&buffer[..made as usize]);
            if status == Status::StreamEnd {
                break;
            }
            if read == 0 && made == 0 || all.len() > MOST {
                return None;
            }
        }
    }
    (!stream.is_empty()).then_some(all)
}

libfuzzer_sys::fuzz_target!(|input: (u16, &[u8])| {
    let (piece, stream) = input;
    if stream.len() > 1 << 13 {
        // At most 1032 times as much comes out.
        return;
    }
    let decoded = decode(stream, usize::from(piece) + 1);
    let expected = reference(stream);
    let Ok((bytes, points)) = decoded else {
        return assert_eq!(expected, None);
    };
    match expected {
        Some(expected) => assert!(bytes == expected),
        None => assert!(bytes.len() > MOST),
    }
    for (index, point) in points.iter().enumerate() {
        let next = points.get(index + 1);
        let end_bit = next.map_or(stream.len() as u64 * 8, |next| next.resume_bit);
        let begin = point.out as usize;
        let end = next.map_or(bytes.len(), |next| next.out as usize);
        let mut span = vec![0; end - begin];
        let own = &stream[(point.resume_bit / 8) as usize..end_bit.div_ceil(8) as usize];
        decode_span(point, own, &mut span).expect("a span restarts alone");
        assert!(span == bytes[begin..end]);
    }
});
