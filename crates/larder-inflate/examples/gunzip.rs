//! Decompresses a gzip file in pieces, and prints its restart points: `gunzip FILE [-c | -p | -s]`.
//!
//! `-c` writes the bytes to standard output, `-s` writes them too, but made a second time, every span from its point alone; `-p` prints
//! the points; without any of them it prints how many bytes and points there are. `-0` finds no points.
#![expect(clippy::print_stdout, reason = "an example")]

use std::fs::File;
use std::io::{Read, Write};

use larder_inflate::{Decoder, Point, SpanRule, State, WINDOW, decode_span};

/// Decoded bytes are kept for as long as a match may reach back; the rest of the buffer is for new ones.
const BUFFER: usize = WINDOW + (256 << 10);
const INPUT: usize = 128 << 10;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().ok_or("which file?")?;
    let options: Vec<String> = arguments.collect();
    let asked = |option: &str| options.iter().any(|given| given == option);
    let rule = (!asked("-0")).then(SpanRule::default);

    let mut file = File::open(&name)?;
    let (mut decoder, mut points) = (Decoder::new(rule), Vec::new());
    let (mut input, mut begin, mut end, mut is_last) = (vec![0; INPUT], 0, 0, false);
    let (mut buffer, mut at) = (vec![0; BUFFER], 0);
    loop {
        let progress = decoder.decode(&input[begin..end], is_last, &mut buffer, at)?;
        begin += progress.consumed;
        at += progress.produced;
        if asked("-c") {
            std::io::stdout().write_all(&buffer[at - progress.produced..at])?;
        }
        points.append(&mut decoder.take_points());
        match progress.state {
            State::Finished => break,
            State::NeedsRoom => {
                buffer.copy_within(at - WINDOW..at, 0);
                at = WINDOW;
            }
            State::NeedsInput => {
                input.copy_within(begin..end, 0);
                (begin, end) = (0, end - begin);
                let read = file.read(&mut input[end..])?;
                (end, is_last) = (end + read, read == 0);
            }
        }
    }
    if asked("-p") {
        for point in &points {
            let Point { out, header_bit, header_bits, resume_bit, window, .. } = point;
            let (runs, bytes) = (window.run_count(), window.bytes().len());
            println!(
                "{out} at bit {resume_bit} (block at {header_bit}, header {header_bits} bits), window {bytes} bytes in {runs} runs"
            );
        }
    }
    if asked("-s") {
        return spans(&std::fs::read(&name)?, &points, decoder.produced());
    }
    if !asked("-c") {
        let window: usize = points.iter().map(|point| point.window.bytes().len()).sum();
        println!("{} bytes, {} points, {window} bytes in windows", decoder.produced(), points.len());
    }
    Ok(())
}

/// Decodes every span alone, and writes them one after another.
fn spans(stream: &[u8], points: &[Point], end: u64) -> Result<(), Box<dyn std::error::Error>> {
    for (index, point) in points.iter().enumerate() {
        let (end_bit, end) =
            points.get(index + 1).map_or((stream.len() as u64 * 8, end), |next| (next.resume_bit, next.out));
        let mut span = vec![0; (end - point.out) as usize];
        let input = &stream[(point.resume_bit / 8) as usize..end_bit.div_ceil(8) as usize];
        decode_span(point, input, &mut span).map_err(|error| format!("span {index}: {error}"))?;
        std::io::stdout().write_all(&span)?;
    }
    Ok(())
}
