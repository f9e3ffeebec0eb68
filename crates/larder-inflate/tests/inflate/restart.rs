//! Every span alone, from its point and its own compressed bytes.

use larder_inflate::{Error, ErrorKind, Point, SpanRule, Window, decode_span};

use crate::streams::{Decoded, small, streams, whole};

/// The compressed bytes of span `index`, and its length.
fn own(stream: &[u8], (bytes, points): &Decoded, index: usize) -> (Vec<u8>, usize) {
    let point = &points[index];
    let (end_bit, end) = points
        .get(index + 1)
        .map_or((stream.len() as u64 * 8, bytes.len()), |next| (next.resume_bit, next.out as usize));
    let input = stream[(point.resume_bit / 8) as usize..end_bit.div_ceil(8) as usize].to_vec();
    (input, end - point.out as usize)
}

fn restart(point: &Point, input: &[u8], length: usize) -> Result<Vec<u8>, Error> {
    let mut out = vec![0xaa; length];
    decode_span(point, input, &mut out).map(|()| out)
}

#[test]
fn every_span_restarts_alone() {
    let mut spans = 0;
    for (name, stream) in streams(300_000) {
        for rule in [small(), SpanRule { out: 40_000, input: 1_000_000, most: 70_001 }] {
            let decoded = whole(&stream, Some(rule)).unwrap();
            for (index, point) in decoded.1.iter().enumerate() {
                let (input, length) = own(&stream, &decoded, index);
                let begin = point.out as usize;
                let expected = &decoded.0[begin..begin + length];
                let span = restart(point, &input, length)
                    .unwrap_or_else(|error| panic!("{name}, span {index}: {error}"));
                assert!(span == expected, "{name}, span {index}");
                // A part of it, too.
                for part in [0, 1, 300, 32_767, 32_768, 32_769] {
                    let part = part.min(length);
                    assert!(
                        restart(point, &input, part).unwrap() == expected[..part],
                        "{name}, span {index}"
                    );
                }
                spans += 1;
            }
        }
    }
    assert!(spans >= 1000, "{spans}");
}

#[test]
fn nothing_is_in_a_window_that_its_span_does_not_need() {
    let mut tried = 0;
    for (name, stream) in streams(150_000) {
        let decoded = whole(&stream, Some(small())).unwrap();
        for (index, point) in decoded.1.iter().enumerate() {
            let (input, length) = own(&stream, &decoded, index);
            for missing in (0..point.window.run_count()).step_by(17) {
                let mut window = Window::default();
                for (number, (at, bytes)) in point.window.runs().enumerate() {
                    let bytes = if number == missing { &bytes[..bytes.len() - 1] } else { bytes };
                    window.push(at, bytes).unwrap();
                }
                let lacking = Point { window, ..point.clone() };
                let error = restart(&lacking, &input, length).unwrap_err();
                assert_eq!(error.kind, ErrorKind::Window, "{name}, span {index}, run {missing}");
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "{tried}");
}

#[test]
fn a_span_that_does_not_fit_its_input_is_an_error() {
    for (name, stream) in streams(150_000) {
        let decoded = whole(&stream, Some(small())).unwrap();
        let Some(last) = decoded.1.len().checked_sub(1) else { continue };
        for index in [0, last] {
            let (input, length) = own(&stream, &decoded, index);
            let point = &decoded.1[index];
            let half = restart(point, &input[..input.len() / 2], length).unwrap_err();
            assert!(matches!(half.kind, ErrorKind::Truncated), "{name}: {half}");
        }
        let (input, length) = own(&stream, &decoded, last);
        let longer = restart(&decoded.1[last], &input, length + 5).unwrap_err();
        assert_eq!(longer.kind, ErrorKind::SpanEnd { missing: 5 }, "{name}");
    }
}

#[test]
fn windows_refuse_runs_out_of_place() {
    let mut window = Window::default();
    window.push(10, b"abc").unwrap();
    window.push(13, b"de").unwrap();
    window.push(20, b"").unwrap();
    window.push(32_767, b"z").unwrap();
    assert_eq!(window.runs().collect::<Vec<_>>(), [(10, b"abcde".as_slice()), (32_767, b"z")]);
    for (at, bytes) in [(5, b"ab".as_slice()), (32_767, b"z"), (32_769, b""), (u32::MAX, b"abc")] {
        assert!(matches!(window.push(at, bytes).unwrap_err().kind, ErrorKind::Point(_)), "{at}");
    }
    assert_eq!(window.bytes(), b"abcdez");
    let mut full = Window::default();
    full.push(0, &[7; 32_768]).unwrap();
    assert_eq!(full.run_count(), 1);
}

#[test]
fn rules_have_bounds() {
    assert_eq!(SpanRule::of_span(1 << 20).unwrap(), SpanRule::default());
    assert_eq!(
        SpanRule::of_span(32 << 10).unwrap(),
        SpanRule { out: 32 << 10, input: 12_800, most: 128 << 10 }
    );
    for out in [0, 32_767, u64::MAX] {
        SpanRule::of_span(out).unwrap_err();
    }
}
