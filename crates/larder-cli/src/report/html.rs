//! Text as HTML: nothing of it is ever markup, and nothing of it hides or turns around what stands beside it.

use std::fmt::Write;

/// Turns the direction of what follows, or hides: names and logs of others must not.
fn is_deceptive(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// `text` for between tags and in quoted attributes.
pub(super) fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || is_deceptive(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

/// As [`escape`], as a value.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    escape(&mut out, text);
    out
}

/// The output of a recipe: escape sequences of terminals are taken out, and of lines that were written over the last stays.
pub(super) fn log(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = console::strip_ansi_codes(&text);
    let mut out = String::with_capacity(text.len() + 64);
    for line in text.lines() {
        let shown = line.trim_end_matches('\r');
        escape(&mut out, shown.rsplit('\r').next().unwrap_or(shown));
        out.push('\n');
    }
    out
}

/// A share as CSS has it.
pub(super) fn percent(out: &mut String, part: u64, whole: u64) {
    let share = if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    // Writing to a string never fails.
    let _ = write!(out, "{:.3}%", share.min(100.0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_is_markup() {
        assert_eq!(
            escaped("</script><img src=x onerror='a'>&\""),
            "&lt;/script&gt;&lt;img src=x onerror=&#39;a&#39;&gt;&amp;&quot;"
        );
        assert_eq!(escaped("a\u{202e}b\u{0}c\u{1b}[2J"), "a\u{fffd}b\u{fffd}c\u{fffd}[2J");
    }

    #[test]
    fn a_log_is_what_a_terminal_would_show_at_last() {
        assert_eq!(log(b"\x1b[31mred\x1b[0m\r\n10%\r20%\r\n\xff<b>"), "red\n20%\n\u{fffd}&lt;b&gt;\n");
    }
}
