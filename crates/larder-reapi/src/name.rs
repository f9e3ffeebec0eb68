//! Names that are not UTF-8, in messages whose strings must be.
//!
//! Byte `b` that is not part of valid UTF-8 becomes the character U+10FF00 + b; so does each byte of a character that
//! lies in that range itself, so that the mapping is reversible for every byte string:
//! `decode(&encode(x)) == x`, and `encode` is the identity for text without characters of U+10FF00 to U+10FFFF.

use std::borrow::Cow;

const BASE: u32 = 0x10_FF00;

fn is_escape(c: char) -> bool {
    (BASE..=BASE + 0xFF).contains(&u32::from(c))
}

fn push_byte(out: &mut String, byte: u8) {
    out.push(char::from_u32(BASE + u32::from(byte)).expect("U+10FF00..=U+10FFFF are valid characters"));
}

/// The text that stands for `name` in a message.
#[must_use]
pub fn encode(name: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(name)
        && !text.chars().any(is_escape)
    {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(name.len() + 16);
    for part in name.utf8_chunks() {
        for c in part.valid().chars() {
            if is_escape(c) {
                let mut bytes = [0; 4];
                c.encode_utf8(&mut bytes).bytes().for_each(|b| push_byte(&mut out, b));
            } else {
                out.push(c);
            }
        }
        part.invalid().iter().for_each(|&b| push_byte(&mut out, b));
    }
    Cow::Owned(out)
}

/// The bytes that `text` stands for.
#[must_use]
pub fn decode(text: &str) -> Cow<'_, [u8]> {
    if !text.chars().any(is_escape) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        if is_escape(c) {
            out.push((u32::from(c) - BASE) as u8);
        } else {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    Cow::Owned(out)
}
