//! Times, sizes and counts as a person reads them, and text that cannot drive the terminal.

use std::borrow::Cow;
use std::time::Duration;

/// `8 ms`, `0.41 s`, `3.1 s`, `6 min 12 s`, `2 h 5 min`.
pub(crate) fn duration(time: Duration) -> String {
    // Rounded first, so that 59.96 s is not shown as 60.0 s.
    let tenths = (time.as_millis() + 50) / 100;
    let seconds = (time.as_millis() + 500) / 1000;
    match time.as_millis() {
        millis @ 0..100 => format!("{millis} ms"),
        100..995 => format!("{:.2} s", time.as_secs_f64()),
        _ if tenths < 600 => format!("{}.{} s", tenths / 10, tenths % 10),
        _ if seconds < 3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// As [`duration`], and below 10 ms with a digit more: `0.4 ms`.
pub(crate) fn exact_duration(time: Duration) -> String {
    match time.as_micros() {
        0 => "0 ms".to_owned(),
        micros @ 1..9_950 => format!("{:.1} ms", micros.max(50) as f64 / 1000.0),
        _ => duration(time),
    }
}

/// How long ago: `just now`, `3 min ago`, `2 h ago`, `5 days ago`.
pub(crate) fn ago(time: Duration) -> String {
    match time.as_secs() {
        0..60 => "just now".to_owned(),
        seconds @ 60..3600 => format!("{} min ago", seconds / 60),
        seconds @ 3600..172_800 => format!("{} h ago", seconds / 3600),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}

/// Decimal units: `812 B`, `41 MB`, `18.2 GB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    // What would be rounded up to four digits goes to the next unit.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if value < 99.95 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

/// `312,408`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 recipe`, `14 recipes`.
pub(crate) fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", count(number as u64), if number == 1 { one } else { many })
}

/// A size as people type it: `1G`, `500MB`, `1.5GiB`, `1000000`. Letters alone are decimal, `Ki`, `Mi`, `Gi`, `Ti` binary.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let bad = || format!("`{text}` is no size: write it as `500M`, `10G` or `1.5GiB`");
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().map_err(|_| bad())?;
    let unit = unit.trim().to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let (letter, base) = match unit.strip_suffix('i') {
        Some(letter) if !letter.is_empty() => (letter, 1024.0_f64),
        Some(_) => return Err(bad()),
        None => (unit, 1000.0),
    };
    let power = match letter {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return Err(bad()),
    };
    let size = number * base.powi(power);
    if size.is_finite() && size < u64::MAX as f64 { Ok(size as u64) } else { Err(bad()) }
}

/// A time span as people type it: `90s`, `30m`, `12h`, `30d`, `2w`.
pub(crate) fn parse_span(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is no time: write it as `90s`, `30m`, `12h`, `30d` or `2w`");
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: u64 = number.parse().map_err(|_| bad())?;
    let seconds = match unit.trim() {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err(bad()),
    };
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(bad)
}

/// `text` in at most `width` columns: what is too long loses its middle, of which the end tells more than the beginning.
pub(crate) fn shortened(text: &str, width: usize) -> Cow<'_, str> {
    if console::measure_text_width(text) <= width {
        return text.into();
    }
    let Some(room) = width.checked_sub(1) else { return "".into() };
    let columns = |c: char| console::measure_text_width(c.encode_utf8(&mut [0; 4]));
    let fitting = |chars: &mut dyn Iterator<Item = char>, room: usize| -> (String, usize) {
        let mut used = 0;
        let fit = chars.take_while(|c| {
            used += columns(*c);
            used <= room
        });
        let fit: String = fit.collect();
        let wide = console::measure_text_width(&fit);
        (fit, wide)
    };
    let (head, used) = fitting(&mut text.chars(), room / 3);
    let (tail, _) = fitting(&mut text.chars().rev(), room - used);
    format!("{head}…{}", tail.chars().rev().collect::<String>()).into()
}

/// Control characters as spaces, so that names and messages of others cannot drive the terminal.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    without(text, char::is_control)
}

/// The same for text of several lines, which stay lines.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    without(text, |c| c.is_control() && c != '\n' && c != '\t')
}

fn without(text: &str, drives: impl Fn(char) -> bool) -> Cow<'_, str> {
    if text.chars().any(&drives) {
        text.chars().map(|c| if drives(c) { ' ' } else { c }).collect::<String>().into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn times_are_short_and_rounded_once() {
        let shown = |millis| duration(Duration::from_millis(millis));
        assert_eq!(shown(8), "8 ms");
        assert_eq!(exact_duration(Duration::from_micros(420)), "0.4 ms");
        assert_eq!(exact_duration(Duration::from_micros(7)), "0.1 ms");
        assert_eq!(shown(410), "0.41 s");
        assert_eq!(shown(996), "1.0 s");
        assert_eq!(shown(3_140), "3.1 s");
        assert_eq!(shown(59_960), "1 min 0 s");
        assert_eq!(shown(372_000), "6 min 12 s");
        assert_eq!(shown(3_599_800), "1 h 0 min");
        assert_eq!(shown(7_500_000), "2 h 5 min");
    }

    #[test]
    fn sizes_are_decimal() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(41_000_000), "41.0 MB");
        assert_eq!(bytes(18_200_000_000), "18.2 GB");
        assert_eq!(bytes(999_999), "1.0 MB");
        assert_eq!(bytes(u64::MAX), "18.4 EB");
        assert_eq!(count(312_408), "312,408");
        assert_eq!(count(12), "12");
    }

    #[test]
    fn sizes_and_spans_are_read_as_typed() {
        assert_eq!(parse_size("1G").unwrap(), 1_000_000_000);
        assert_eq!(parse_size("1.5 GiB").unwrap(), 1_610_612_736);
        assert_eq!(parse_size("500MB").unwrap(), 500_000_000);
        assert_eq!(parse_size("17").unwrap(), 17);
        for bad in ["", "G", "1X", "1.2.3", "-1", "1i", "99999999999999T"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_span("30d").unwrap(), Duration::from_secs(30 * 86_400));
        for bad in ["", "30", "d", "1y", "99999999999999999999d", "999999999999999999w"] {
            assert!(parse_span(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_too_long_loses_its_middle() {
        assert_eq!(shortened("app:compile[src/tree.c]", 40), "app:compile[src/tree.c]");
        assert_eq!(shortened("app:compile[src/tree.c]", 16), "app:c…rc/tree.c]");
        assert_eq!(shortened("データファイル", 8), "デ…イル");
        assert_eq!((&*shortened("abc", 1), &*shortened("abc", 0)), ("…", ""));
    }

    #[test]
    fn names_cannot_drive_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\nc"), "a [31mb c");
    }
}
