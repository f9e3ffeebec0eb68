//! What others said, made fit to be shown: one line, bounded, without control characters.

/// `text` in one line of at most `most` characters.
pub(crate) fn short(text: &str, most: usize) -> String {
    let mut shown = String::new();
    let mut count = 0;
    for character in text.chars() {
        let character = if character.is_whitespace() { ' ' } else { character };
        if character.is_control() || (character == ' ' && (shown.is_empty() || shown.ends_with(' '))) {
            continue;
        }
        if count == most {
            shown.push('…');
            return shown;
        }
        shown.push(character);
        count += 1;
    }
    shown.truncate(shown.trim_end().len());
    shown
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn one_bounded_line() {
        assert_eq!(short("  a\n\t b\u{1b}[31m ", 100), "a b[31m");
        assert_eq!(short("äöüß", 3), "äöü…");
        assert_eq!(short("", 3), "");
    }
}
