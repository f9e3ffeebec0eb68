//! Each error, by a stream that is wrong in one way; and what looks wrong and is not.

use larder_inflate::{Code, Decoder, ErrorKind, Point, Window, decode_span};
use zlib_rs::Strategy;

use crate::streams::{config, decode, member, reference, whole};

/// Bits of a stream, the first one lowest.
#[derive(Clone, Default)]
struct Writer {
    bits: Vec<bool>,
}

impl Writer {
    /// A number, as in headers and extra bits.
    fn number(mut self, value: u32, count: u32) -> Self {
        self.bits.extend((0..count).map(|bit| value.checked_shr(bit).is_some_and(|bits| bits & 1 == 1)));
        self
    }

    /// A code: its first bit is the highest.
    fn code(mut self, value: u32, count: u32) -> Self {
        self.bits.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    /// The header of a last block of type 2, with all 16 lengths of codes as codes of four bits.
    fn dynamic(literals: &[u8], distances: &[u8]) -> Self {
        let mut all = Self::begin(literals.len(), distances.len());
        for symbol in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15] {
            all = all.number(if symbol < 16 { 4 } else { 0 }, 3);
        }
        literals.iter().chain(distances).fold(all, |all, length| all.code(u32::from(*length), 4))
    }

    fn begin(literals: usize, distances: usize) -> Self {
        Self::default()
            .number(1, 1)
            .number(2, 2)
            .number(literals as u32 - 257, 5)
            .number(distances as u32 - 1, 5)
            .number(15, 4)
    }

    fn bytes(&self) -> Vec<u8> {
        self.bits
            .chunks(8)
            .map(|bits| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit)))
            .collect()
    }

    /// As a gzip stream that decompresses to `content`.
    fn gzip(&self, content: &[u8]) -> Vec<u8> {
        let mut stream = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
        stream.extend(self.bytes());
        stream.extend(crc32(content).to_le_bytes());
        stream.extend((content.len() as u32).to_le_bytes());
        stream
    }
}

fn crc32(content: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(content);
    crc.sum()
}

/// The error of a stream that zlib refuses too; the same one when it comes byte by byte.
#[track_caller]
fn error(stream: &[u8]) -> ErrorKind {
    assert_eq!(reference(stream), None, "zlib accepts it");
    let at_once = whole(stream, None).unwrap_err();
    assert_eq!(decode(stream, None, 1, 1000).unwrap_err(), at_once);
    assert!(at_once.at <= stream.len() as u64);
    at_once.kind
}

#[track_caller]
fn accepted(stream: &[u8], content: &[u8]) {
    assert_eq!(reference(stream).as_deref(), Some(content), "zlib refuses it");
    assert_eq!(whole(stream, None).unwrap().0, content);
    assert_eq!(decode(stream, None, 1, 1000).unwrap().0, content);
}

fn good() -> Vec<u8> {
    member(b"what is right, is right, is right", config(6, Strategy::Default))
}

/// Lengths of `count` codes: 0 but for those that are `set`.
fn lengths(count: usize, set: &[(usize, u8)]) -> Vec<u8> {
    let mut lengths = vec![0; count];
    for &(symbol, length) in set {
        lengths[symbol] = length;
    }
    lengths
}

#[test]
fn headers_of_members() {
    assert_eq!(error(b""), ErrorKind::Truncated);
    assert_eq!(error(b"hello"), ErrorKind::Magic);
    assert_eq!(error(b"\x1f"), ErrorKind::Truncated);
    assert_eq!(error(b"\x1f\x8c"), ErrorKind::Magic);
    let with = |at: usize, byte: u8| {
        let mut stream = good();
        stream[at] = byte;
        stream
    };
    assert_eq!(error(&with(2, 7)), ErrorKind::Method(7));
    assert_eq!(error(&with(3, 0x20)), ErrorKind::Flags(0x20));
    assert_eq!(error(&with(3, 0x80)), ErrorKind::Flags(0x80));
}

#[test]
fn optional_parts_of_headers() {
    let rest = &good()[10..];
    let mut header = vec![0x1f, 0x8b, 8, 2 | 4 | 8 | 16 | 1, 1, 2, 3, 4, 0, 3];
    header.extend([5, 0, 1, 2, 3, 4, 5]);
    header.extend(vec![b'n'; 70_000]);
    header.extend(b"\0a comment\0");
    let sum = crc32(&header) as u16;
    let stream = |sum: u16| [&header, sum.to_le_bytes().as_slice(), rest].concat();
    accepted(&stream(sum), b"what is right, is right, is right");
    assert_eq!(error(&stream(sum ^ 1)), ErrorKind::HeaderChecksum);
    // No part is needed whole: whoever hands in a kilobyte at a time gets on.
    assert_eq!(decode(&stream(sum), None, 1000, 1000).unwrap().0, b"what is right, is right, is right");
    let empty = [&[0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 3, 0, 0], rest].concat();
    accepted(&empty, b"what is right, is right, is right");
}

#[test]
fn blocks() {
    assert_eq!(error(&Writer::default().number(1, 1).number(3, 2).gzip(b"")), ErrorKind::BlockType);
    let stored = |complement| {
        Writer::default().number(1, 8).number(3, 16).number(complement, 16).number(0x63_6261, 24)
    };
    accepted(&stored(0xfffc).gzip(b"abc"), b"abc");
    assert_eq!(error(&stored(0xfffd).gzip(b"abc")), ErrorKind::StoredLength);
    let literals = lengths(257, &[(97, 1), (256, 1)]);
    let codes = |literals: usize, distances: usize| {
        Writer::dynamic(&lengths(literals, &[(97, 1), (256, 1)]), &vec![0; distances])
            .number(0b10, 2)
            .gzip(b"a")
    };
    accepted(&codes(286, 30), b"a");
    assert_eq!(error(&codes(287, 30)), ErrorKind::TooManyCodes { literals: 287, distances: 30 });
    assert_eq!(error(&codes(286, 31)), ErrorKind::TooManyCodes { literals: 286, distances: 31 });
    assert_eq!(error(&codes(288, 32)), ErrorKind::TooManyCodes { literals: 288, distances: 32 });
    let without_end = lengths(257, &[(97, 1), (98, 1)]);
    assert_eq!(error(&Writer::dynamic(&without_end, &[0]).number(0, 8).gzip(b"")), ErrorKind::NoEnd);
    // Distances: none, one of one bit, not used or used.
    accepted(&Writer::dynamic(&literals, &[0]).number(0b10, 2).gzip(b"a"), b"a");
    accepted(&Writer::dynamic(&literals, &[1]).number(0b10, 2).gzip(b"a"), b"a");
    // A block that has an end and nothing else.
    accepted(&Writer::dynamic(&lengths(257, &[(256, 1)]), &[0]).number(0, 1).gzip(b""), b"");
}

#[test]
fn codes() {
    let over = |count| lengths(count, &[(0, 1), (1, 1), (count - 1, 1)]);
    let lacking = |count| lengths(count, &[(0, 2), (count - 1, 2)]);
    let right = lengths(257, &[(0, 1), (256, 1)]);
    let made = |literals: &[u8], distances: &[u8]| {
        error(&Writer::dynamic(literals, distances).number(1, 20).gzip(b""))
    };
    assert_eq!(made(&over(257), &[0]), ErrorKind::OverSubscribed(Code::Literal));
    assert_eq!(made(&lacking(257), &[0]), ErrorKind::Incomplete(Code::Literal));
    assert_eq!(made(&lengths(257, &[(256, 2)]), &[0]), ErrorKind::Incomplete(Code::Literal));
    assert_eq!(made(&right, &over(3)), ErrorKind::OverSubscribed(Code::Distance));
    assert_eq!(made(&right, &lacking(3)), ErrorKind::Incomplete(Code::Distance));
    assert_eq!(made(&right, &[2]), ErrorKind::Incomplete(Code::Distance));
    let mut long = vec![15; 257];
    long[..5].fill(4);
    assert_eq!(made(&long, &[0]), ErrorKind::Incomplete(Code::Literal));

    let code_lengths = |lengths: [u32; 3]| {
        let begin = lengths.iter().fold(Writer::begin(257, 1), |all, length| all.number(*length, 3));
        error(&begin.number(0, 200).gzip(b""))
    };
    assert_eq!(code_lengths([1, 1, 1]), ErrorKind::OverSubscribed(Code::CodeLength));
    assert_eq!(code_lengths([2, 2, 0]), ErrorKind::Incomplete(Code::CodeLength));
    // zlib takes a missing code for codes of length 0, and then misses the end.
    assert_eq!(code_lengths([0, 0, 0]), ErrorKind::Incomplete(Code::CodeLength));
}

#[test]
fn repetitions() {
    // Codes of one bit for 16 (the length before) and 18 (11 to 138 zeros).
    let begin = || {
        let begin = Writer::begin(257, 1).number(1, 3).number(0, 3).number(1, 3);
        (0..16).fold(begin, |all, _| all.number(0, 3))
    };
    assert_eq!(error(&begin().code(0, 1).number(0, 50).gzip(b"")), ErrorKind::Repeat);
    let zeros = || begin().code(1, 1).number(127, 7);
    assert_eq!(error(&zeros().code(1, 1).number(127, 7).gzip(b"")), ErrorKind::Repeat);
    assert_eq!(error(&zeros().code(1, 1).number(109, 7).gzip(b"")), ErrorKind::NoEnd);
}

#[test]
fn symbols() {
    let fixed = || Writer::default().number(1, 1).number(1, 2).code(0x30 + 97, 8);
    let end = |writer: Writer| writer.code(0, 7);
    // Length 3, distance 1.
    accepted(&end(fixed().code(1, 7).code(0, 5)).gzip(b"aaaa"), b"aaaa");
    for unused in [286, 287] {
        let symbol = fixed().code(0xc0 + unused - 280, 8);
        assert_eq!(error(&end(symbol).gzip(b"a")), ErrorKind::Symbol(Code::Literal));
    }
    for unused in [30, 31] {
        let symbol = fixed().code(1, 7).code(unused, 5);
        assert_eq!(error(&end(symbol).gzip(b"a")), ErrorKind::Symbol(Code::Distance));
    }
    let far = fixed().code(1, 7).code(1, 5);
    assert_eq!(error(&end(far.clone()).gzip(b"a")), ErrorKind::TooFar { distance: 2, available: 1 });
    // The member before is no part of the window.
    let behind = [good(), end(far).gzip(b"a")].concat();
    assert_eq!(error(&behind), ErrorKind::TooFar { distance: 2, available: 1 });
    // A match although there is no distance, and the half of a code of one bit that is not there.
    let literals = lengths(258, &[(97, 1), (256, 2), (257, 2)]);
    let matched = |distances: &[u8], bit| {
        Writer::dynamic(&literals, distances).code(0, 1).code(3, 2).number(bit, 1).code(2, 2)
    };
    accepted(&matched(&[1], 0).gzip(b"aaaa"), b"aaaa");
    assert_eq!(error(&matched(&[1], 1).gzip(b"aaaa")), ErrorKind::Symbol(Code::Distance));
    assert_eq!(error(&matched(&[0], 0).gzip(b"aaaa")), ErrorKind::Symbol(Code::Distance));
    // The other half of a literal code of one bit.
    let only_end = Writer::dynamic(&lengths(257, &[(256, 1)]), &[0]).number(1, 1);
    assert_eq!(error(&only_end.gzip(b"")), ErrorKind::Symbol(Code::Literal));
}

#[test]
fn trailers_and_what_follows() {
    let stream = good();
    let end = stream.len();
    let flipped = |at: usize| {
        let mut stream = stream.clone();
        stream[at] ^= 1;
        error(&stream)
    };
    assert!(matches!(flipped(end - 8), ErrorKind::Checksum { .. }));
    assert_eq!(flipped(end - 4), ErrorKind::Length { expected: 33 ^ 1, actual: 33 });
    for cut in 0..end {
        assert_eq!(error(&stream[..cut]), ErrorKind::Truncated, "{cut}");
        if cut > 0 {
            assert_eq!(error(&[&stream, &stream[..cut]].concat()), ErrorKind::Truncated, "{cut}");
        }
    }
    for junk in [b"\0".as_slice(), b"junk", &[0; 512], b"\x1f\x8c"] {
        let error = whole(&[&stream, junk].concat(), None).unwrap_err();
        assert_eq!((error.kind, error.at), (ErrorKind::Junk, end as u64));
    }
    let again = whole(&[stream.clone(), stream.clone()].concat(), None).unwrap().0;
    assert_eq!(again, b"what is right, is right, is rightwhat is right, is right, is right");
}

#[test]
fn an_error_stays_and_says_where() {
    let mut stream = good();
    let end = stream.len();
    stream[end - 8] ^= 1;
    let mut decoder = Decoder::new(None);
    let mut buffer = [0; 100];
    let first = decoder.decode(&stream, true, &mut buffer, 0).unwrap_err();
    assert_eq!(first.at, end as u64 - 8);
    assert_eq!(decoder.decode(&good(), true, &mut buffer, 0).unwrap_err(), first);
    assert!(first.to_string().starts_with("checksum of the decompressed bytes is `"), "{first}");
}

#[test]
fn a_buffer_without_its_past_is_refused() {
    let stream = good();
    let mut decoder = Decoder::new(None);
    let mut buffer = [0; 20];
    let progress = decoder.decode(&stream, true, &mut buffer, 0).unwrap();
    assert_eq!(progress.produced, 20);
    let rest = &stream[progress.consumed..];
    let refused = decoder.decode(rest, true, &mut [0; 100], 19).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::History { given: 19, needed: 20 });
    let refused = decoder.decode(rest, true, &mut [0; 10], 20).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::History { given: 10, needed: 20 });
    // The stream is as good as before.
    let mut larger = [0; 33];
    larger[..20].copy_from_slice(&buffer);
    decoder.decode(rest, true, &mut larger, 20).unwrap();
    assert_eq!(&larger, b"what is right, is right, is right");
}

#[test]
fn points_that_contradict_themselves() {
    let point = Point {
        out: 0,
        header_bit: 80,
        header: Vec::new(),
        header_bits: 0,
        resume_bit: 80,
        window: Window::default(),
    };
    let stream = good();
    decode_span(&point, &stream[10..], &mut [0; 33]).unwrap();
    let stored =
        Point { header: vec![1, 3, 0, 0xfc, 0xff], header_bits: 40, resume_bit: 120, ..point.clone() };
    let mut out = [0; 3];
    decode_span(&stored, b"abc", &mut out).unwrap();
    assert_eq!(&out, b"abc");
    let wrong = [
        Point { resume_bit: 83, ..point.clone() },
        Point { resume_bit: u64::MAX, header_bit: u64::MAX, ..point.clone() },
        Point { out: u64::MAX, ..point.clone() },
        Point { header_bits: 3, ..point.clone() },
        Point { header_bits: u32::MAX, ..point.clone() },
        Point { header: vec![3], header_bits: 4, resume_bit: 90, ..point.clone() },
        Point { header: vec![5], header_bits: 3, resume_bit: 90, ..point.clone() },
        Point { resume_bit: 119, ..stored.clone() },
        Point { resume_bit: 121, ..stored.clone() },
        Point { resume_bit: 152, ..stored.clone() },
        Point { header_bit: u64::MAX - 7, ..stored.clone() },
    ];
    for wrong in wrong {
        let error = decode_span(&wrong, b"abc", &mut [0; 3]).unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Point(_)), "{wrong:?}: {error}");
    }
    let type_3 = Point { header: vec![7], header_bits: 3, resume_bit: 90, ..point };
    assert_eq!(decode_span(&type_3, b"abc", &mut [0; 3]).unwrap_err().kind, ErrorKind::BlockType);
}
