//! A header block of a tar stream, as `archive/tar` of Go reads it: containerd, moby and podman all read layers with that library, so a header
//! that it refuses belongs to no image that can be pulled.
//!
//! Layout: POSIX.1-1988 ustar, star's and GNU's variants of its last fields. Everything is bounded by the block.

use super::tar::Fault;

/// Bytes of a block.
pub(super) const BLOCK: usize = 512;

/// Which of the four ways the fields after the magic are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    V7,
    Ustar,
    Star,
    Gnu,
}

/// The fields of a header, numbers read, nothing judged.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) format: Format,
    pub(super) name: Vec<u8>,
    pub(super) target: Vec<u8>,
    pub(super) kind: u8,
    pub(super) mode: i64,
    pub(super) uid: i64,
    pub(super) gid: i64,
    pub(super) size: i64,
    pub(super) modified: i64,
    pub(super) major: i64,
    pub(super) minor: i64,
}

impl Header {
    /// Reads a block that is not all zeros.
    pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Self, Fault> {
        check(block)?;
        let format = format(block);
        let number = |range: std::ops::Range<usize>| number(&block[range]).ok_or(Fault::Number);
        let mut header = Self {
            format,
            name: text(&block[0..100]).to_vec(),
            target: text(&block[157..257]).to_vec(),
            kind: block[156],
            mode: number(100..108)?,
            uid: number(108..116)?,
            gid: number(116..124)?,
            size: number(124..136)?,
            modified: number(136..148)?,
            major: 0,
            minor: 0,
        };
        if format != Format::V7 {
            header.major = number(329..337)?;
            header.minor = number(337..345)?;
        }
        let prefix = match format {
            Format::Ustar => text(&block[345..500]),
            Format::Star => text(&block[345..476]),
            Format::Gnu => stray_prefix(block),
            Format::V7 => &[],
        };
        if !prefix.is_empty() {
            header.name = [prefix, b"/", &header.name].concat();
        }
        Ok(header)
    }
}

/// GNU's headers have times where ustar has a prefix; a writer that was common for years put a prefix there all the same. It is one where
/// the times are no numbers.
fn stray_prefix(block: &[u8; BLOCK]) -> &[u8] {
    let times = [&block[345..357], &block[357..369]];
    let is_prefix = times.iter().any(|field| field[0] != 0 && number(field).is_none());
    let prefix = text(&block[345..500]);
    if is_prefix && prefix.is_ascii() { prefix } else { &[] }
}

fn check(block: &[u8; BLOCK]) -> Result<(), Fault> {
    let said = number(&block[148..156]).ok_or(Fault::Checksum)?;
    let (mut unsigned, mut signed) = (0i64, 0i64);
    for (at, byte) in block.iter().enumerate() {
        let byte = if (148..156).contains(&at) { b' ' } else { *byte };
        unsigned += i64::from(byte);
        signed += i64::from(byte.cast_signed());
    }
    if said == unsigned || said == signed { Ok(()) } else { Err(Fault::Checksum) }
}

fn format(block: &[u8; BLOCK]) -> Format {
    match (&block[257..263], &block[263..265]) {
        (b"ustar\0", _) if &block[508..512] == b"tar\0" => Format::Star,
        (b"ustar\0", _) => Format::Ustar,
        (b"ustar ", b" \0") => Format::Gnu,
        _ => Format::V7,
    }
}

/// Up to the first zero byte.
pub(super) fn text(field: &[u8]) -> &[u8] {
    &field[..field.iter().position(|byte| *byte == 0).unwrap_or(field.len())]
}

/// A number: octal digits between spaces and zero bytes, or, with the highest bit set, a signed number in base 256. `None` when it is
/// neither, or does not fit.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    if field.first()? & 0x80 != 0 {
        return base_256(field);
    }
    let is_blank = |byte: &u8| matches!(byte, b' ' | 0);
    let from = field.iter().position(|byte| !is_blank(byte)).unwrap_or(field.len());
    let to = field.iter().rposition(|byte| !is_blank(byte)).map_or(from, |at| at + 1);
    text(&field[from..to]).iter().try_fold(0i64, |number, digit| match digit {
        b'0'..=b'7' => number.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

fn base_256(field: &[u8]) -> Option<i64> {
    // Two's complement; the highest bit only says that it is such a number.
    let negative = field[0] & 0x40 != 0;
    let flip = if negative { 0xff } else { 0 };
    let mut number: u64 = 0;
    for (at, byte) in field.iter().enumerate() {
        let byte = (byte ^ flip) & if at == 0 { 0x7f } else { 0xff };
        if number >> 56 != 0 {
            return None;
        }
        number = number << 8 | u64::from(byte);
    }
    let number = i64::try_from(number).ok()?;
    Some(if negative { !number } else { number })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"\0\0\0\0"), Some(0));
        assert_eq!(number(b"77777777"), Some(0o7777_7777));
        assert_eq!(number(b"0000648\0"), None);
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 1, 2]), Some(258));
        assert_eq!(number(&[0xff; 12]), Some(-1));
        assert_eq!(number(&[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), None, "too large");
    }

    #[test]
    fn a_checksum_must_be_right() {
        let mut block = [0; BLOCK];
        block[0] = b'a';
        block[148..156].copy_from_slice(b"0000541\0");
        assert_eq!(Header::parse(&block).unwrap().name, b"a");
        block[1] = b'b';
        assert_eq!(Header::parse(&block).unwrap_err(), Fault::Checksum);
    }
}
