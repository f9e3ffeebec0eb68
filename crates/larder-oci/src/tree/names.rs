//! Names: cleaned, measured, shown; and which of them are whiteouts.

use super::error::Problem;

/// Most bytes of a path, from the root without a leading slash.
pub const MAX_PATH: usize = 4095;
/// Most bytes of one name; of a whiteout counted after `.wh.`.
pub const MAX_NAME: usize = 255;
/// Most bytes of a link's target.
pub const MAX_TARGET: usize = 4095;

/// Most bytes of the names of one inode's attributes, a zero byte after each: Linux lists no more.
pub const MAX_XATTR_NAMES: usize = 65_536;

/// Most symbolic links on the way to one name.
pub(super) const MAX_LINKS: u32 = 255;

/// `path` without a leading slash, empty parts, `.` and `..`: as text, without asking what is there; `..` stays at the root.
pub(super) fn clean(path: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(path.len());
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                let end = clean.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                clean.truncate(end);
            }
            part => {
                if !clean.is_empty() {
                    clean.push(b'/');
                }
                clean.extend_from_slice(part);
            }
        }
    }
    clean
}

/// A clean path as the directory that it is in, and its last name.
pub(super) fn split(clean: &[u8]) -> (&[u8], &[u8]) {
    match clean.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&clean[..slash], &clean[slash + 1..]),
        None => (&[], clean),
    }
}

/// What the last name of an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning<'name> {
    /// It is a name.
    Name(&'name [u8]),
    /// It hides this name of the layers below.
    Whiteout(&'name [u8]),
    /// It hides all that the layers below have in its directory.
    Opaque,
}

/// What the last name of an entry says.
pub(super) fn meaning(name: &[u8]) -> Result<Meaning<'_>, Problem> {
    match name.strip_prefix(b".wh.") {
        None => Ok(Meaning::Name(name)),
        Some(b"" | b"." | b"..") => Err(Problem::Whiteout),
        Some(b".wh..opq") => Ok(Meaning::Opaque),
        Some(hidden) => Ok(Meaning::Whiteout(hidden)),
    }
}

/// Refuses a part of a path that is too long.
pub(super) fn check_name(name: &[u8]) -> Result<(), Problem> {
    if name.len() > MAX_NAME {
        return Err(Problem::NameTooLong { name: printable(&name[..32]) + "…" });
    }
    Ok(())
}

/// Any bytes as one line of text: UTF-8 as it is, everything else and what does not print as `\x..`, a backslash doubled. Never more
/// than some 4,000 characters for what can be in a tree; cut at that.
pub fn printable(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(MAX_PATH)];
    let mut shown = String::with_capacity(cut.len());
    for chunk in cut.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => shown.push_str("\\\\"),
                '`' => shown.push_str("\\x60"),
                character if character.is_control() || is_invisible(character) => {
                    shown.extend(character.escape_default());
                }
                character => shown.push(character),
            }
        }
        for byte in chunk.invalid() {
            shown.push_str(&format!("\\x{byte:02x}"));
        }
    }
    if cut.len() < bytes.len() {
        shown.push('…');
    }
    shown
}

/// Characters that print as nothing, or turn the direction of what follows.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}')
}

#[cfg(test)]
mod tests {
    use super::{Meaning, clean, meaning, printable, split};

    #[test]
    fn names_are_cleaned_as_text() {
        for (path, want) in [
            ("s/../f2", "f2"),
            ("../../etc", "etc"),
            ("./a//b/.", "a/b"),
            ("/a", "a"),
            ("a/b/../..", ""),
            ("a/b/../../../c", "c"),
            (".", ""),
            ("/", ""),
            ("a/", "a"),
            ("...", "..."),
        ] {
            assert_eq!(clean(path.as_bytes()), want.as_bytes(), "{path}");
        }
        assert_eq!(split(b"a/b/c"), (&b"a/b"[..], &b"c"[..]));
        assert_eq!(split(b"c"), (&b""[..], &b"c"[..]));
    }

    #[test]
    fn whiteouts_are_told_apart() {
        assert_eq!(meaning(b"a"), Ok(Meaning::Name(b"a")));
        assert_eq!(meaning(b".wh"), Ok(Meaning::Name(b".wh")));
        assert_eq!(meaning(b".wh.a"), Ok(Meaning::Whiteout(b"a")));
        assert_eq!(meaning(b".wh....."), Ok(Meaning::Whiteout(b"....")));
        assert_eq!(meaning(b".wh..wh.plnk"), Ok(Meaning::Whiteout(b".wh.plnk")));
        assert_eq!(meaning(b".wh..wh..opq"), Ok(Meaning::Opaque));
        for bad in [&b".wh."[..], b".wh..", b".wh..."] {
            assert!(meaning(bad).is_err());
        }
    }

    #[test]
    fn anything_can_be_shown() {
        assert_eq!(printable("grün".as_bytes()), "grün");
        assert_eq!(printable(b"a\nb\x1b[0m\xff\\`"), "a\\nb\\u{1b}[0m\\xff\\\\\\x60");
        assert_eq!(printable("\u{202e}".as_bytes()), "\\u{202e}");
    }
}
