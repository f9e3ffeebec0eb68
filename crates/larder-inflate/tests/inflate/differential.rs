//! The same bytes as zlib, and the same points as the oracle, whatever the pieces.

use larder_inflate::SpanRule;

use crate::naive;
use crate::streams::{decode, reference, small, streams, whole};

#[test]
fn bytes_are_as_zlibs_and_points_as_the_oracles() {
    let rules = [
        small(),
        SpanRule::default(),
        SpanRule { out: 40_000, input: 1_000_000, most: 70_001 },
        SpanRule { out: 50_000, input: 0, most: 50_000 },
    ];
    for (name, stream) in streams(300_000) {
        let expected = reference(&stream).unwrap();
        assert_eq!(whole(&stream, None).unwrap(), (expected.clone(), Vec::new()), "{name}");
        for rule in rules {
            let (bytes, points) = whole(&stream, Some(rule)).unwrap();
            assert!(bytes == expected, "{name}: other bytes");
            let oracle = naive::points(&stream, rule);
            assert_eq!(points.len(), oracle.len(), "{name}, {rule:?}");
            for (point, oracle) in points.iter().zip(&oracle) {
                assert!(point == oracle, "{name}, {rule:?}:\n{point:?}\nis not\n{oracle:?}");
            }
        }
    }
}

#[test]
fn pieces_change_nothing() {
    for (name, stream) in streams(120_000) {
        let expected = whole(&stream, Some(small())).unwrap();
        for (piece, room) in [
            (1, 1 << 20),
            (7, 70_000),
            (4096, 1),
            (4096, 100),
            (4096, 1000),
            (usize::MAX / 2, 333),
            (usize::MAX / 2, 65_536),
        ] {
            let made = decode(&stream, Some(small()), piece, room).unwrap();
            assert!(made == expected, "{name}: pieces of {piece}, room of {room}");
        }
    }
}
