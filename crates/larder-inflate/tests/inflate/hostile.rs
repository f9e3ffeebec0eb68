//! Streams that somebody changed: zlib's verdict, zlib's bytes, no panic, and an end.

use larder_inflate::{Point, Window, decode_span};
use proptest::prelude::*;
use zlib_rs::Strategy;

use crate::streams::{Random, config, contents, decode, member, reference, small, streams, whole};

/// The verdict of zlib on a stream, and ours in several ways; whether it was right.
fn same_verdict(stream: &[u8], piece: usize, room: usize) -> bool {
    let expected = reference(stream);
    let at_once = whole(stream, Some(small()));
    let in_pieces = decode(stream, Some(small()), piece, room);
    assert!(
        at_once == in_pieces,
        "pieces of {piece}, room of {room}: {:?}, {:?}",
        at_once.err(),
        in_pieces.err()
    );
    match (&expected, &at_once) {
        (Some(expected), Ok((bytes, _))) => assert!(expected == bytes, "other bytes"),
        (None, Err(_)) => {}
        (None, Ok(_)) => panic!("accepted what zlib refuses"),
        (Some(_), Err(error)) => panic!("refused what zlib accepts: {error}"),
    }
    expected.is_some()
}

/// Some bits, bytes or stretches changed.
fn mutate(stream: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        if stream.is_empty() {
            return;
        }
        let at = random.below(stream.len());
        match random.below(6) {
            0 | 1 => stream[at] ^= 1 << random.below(8),
            2 => stream[at] = random.next() as u8,
            3 => stream.truncate(at),
            4 => drop(stream.drain(at..stream.len().min(at + 1 + random.below(20)))),
            _ => {
                let piece: Vec<u8> = stream[at..stream.len().min(at + 1 + random.below(300))].to_vec();
                let to = random.below(stream.len());
                stream.splice(to..to, piece);
            }
        }
    }
}

/// Trailers that say what zlib's raw inflate finds, so that changes in the middle can be right.
fn mend(stream: &mut Vec<u8>) {
    if stream.len() < 18 {
        return;
    }
    let mut inflate = flate2::Decompress::new(false);
    let mut out = Vec::with_capacity(1 << 20);
    let Ok(flate2::Status::StreamEnd) =
        inflate.decompress_vec(&stream[10..], &mut out, flate2::FlushDecompress::Finish)
    else {
        return;
    };
    let end = 10 + inflate.total_in() as usize;
    stream.truncate(end);
    let mut crc = flate2::Crc::new();
    crc.update(&out);
    stream.extend(crc.sum().to_le_bytes());
    stream.extend((out.len() as u32).to_le_bytes());
}

/// Bases that are small, so that headers are hit often.
fn bases() -> Vec<Vec<u8>> {
    let mut bases = Vec::new();
    for size in [60, 700, 5_000] {
        for (_, content) in contents(size) {
            for (level, strategy) in [
                (6, Strategy::Default),
                (6, Strategy::Fixed),
                (6, Strategy::HuffmanOnly),
                (0, Strategy::Default),
            ] {
                bases.push(member(&content, config(level, strategy)));
            }
        }
    }
    bases
}

/// Many changed streams from `seed` on: how many of them were right.
fn many(seed: u64, count: u64) -> u64 {
    let bases = bases();
    let mut right = 0;
    for number in 0..count {
        let mut random = Random(seed + number * 7919);
        let mut stream = bases[random.below(bases.len())].clone();
        mutate(&mut stream, &mut random);
        if random.below(2) == 0 {
            mend(&mut stream);
        }
        if random.below(8) == 0 {
            stream.extend(&bases[random.below(bases.len())]);
        }
        let (piece, room) = (1 + random.below(900), 1 + random.below(2000));
        right += u64::from(same_verdict(&stream, piece, room));
    }
    right
}

#[test]
fn changed_streams_get_zlibs_verdict() {
    let right = many(1, 3_000);
    assert!(right > 200, "only {right} of the changed streams were right");
}

/// By hand: `LARDER_INFLATE_ROUNDS=1000000 cargo test -p larder-inflate --release -- --ignored --nocapture changed_streams_for_long`.
#[test]
#[ignore = "as long as one likes"]
fn changed_streams_for_long() {
    let rounds =
        std::env::var("LARDER_INFLATE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(20_000);
    let seed =
        std::env::var("LARDER_INFLATE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x1000_0000);
    let right = many(seed, rounds);
    assert!(right > rounds / 20, "{right} of {rounds} were right");
}

#[test]
fn cut_streams_are_errors_and_larger_ones_survive_changes() {
    for (name, stream) in streams(70_000) {
        let mut random = Random(stream.len() as u64);
        for _ in 0..8 {
            let cut = random.below(stream.len());
            // A cut between members leaves a whole stream.
            assert_eq!(
                whole(&stream[..cut], None).is_ok(),
                reference(&stream[..cut]).is_some(),
                "{name}, cut at {cut}"
            );
            let mut changed = stream.clone();
            changed[cut] ^= 1 << random.below(8);
            same_verdict(&changed, 10_000, 50_000);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_behind_a_header(rest in proptest::collection::vec(any::<u8>(), 0..400), piece in 1usize..50) {
        let mut stream = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
        stream.extend(rest);
        mend(&mut stream);
        same_verdict(&stream, piece, 100);
    }

    #[test]
    fn any_bytes(stream in proptest::collection::vec(any::<u8>(), 0..100)) {
        same_verdict(&stream, 3, 100);
    }

    #[test]
    fn any_point(
        (out, header_bit, resume_bit) in (0u64..100_000, 0u64..1000, 0u64..1000),
        header in proptest::collection::vec(any::<u8>(), 0..120),
        runs in proptest::collection::vec((any::<u16>(), any::<u8>()), 0..50),
        input in proptest::collection::vec(any::<u8>(), 0..200),
        length in 0usize..70_000,
    ) {
        let mut window = Window::default();
        for (at, bytes) in runs {
            window.push(u32::from(at), &vec![1; bytes.into()]).ok();
        }
        let header_bits = header.len() as u32 * 8;
        let point = Point { out, header_bit, header, header_bits, resume_bit, window };
        decode_span(&point, &input, &mut vec![0; length]).ok();
    }
}
