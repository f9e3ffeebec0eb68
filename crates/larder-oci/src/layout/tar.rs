//! As much of tar as layouts need (POSIX ustar; of pax the records `path` and `size`; of GNU long names and large sizes).
//!
//! Read strictly: checksums are checked, links and devices are refused, nothing may lie past the end of the file, and an archive without its
//! mark of the end is cut off.

use super::LayoutError;

pub(super) const BLOCK: u64 = 512;
/// The longest header that is a member of its own: a long name, pax records.
const LONGEST_EXTENSION: u64 = 64 << 10;
const LONGEST_NAME: usize = 4096;
/// Larger sizes do not fit in the eleven octal digits of ustar.
const OCTAL_MOST: u64 = 0o77_777_777_777;

/// What kind of member a header begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    /// Pax records for the next member.
    Pax,
    /// Pax records for all that follow: of no importance here.
    PaxGlobal,
    /// GNU: the next member's name.
    LongName,
}

/// A header that was read.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) size: u64,
}

/// The header of a file or folder; everything that is not its name or size is always the same.
pub(super) fn header(name: &str, size: u64, folder: bool) -> [u8; BLOCK as usize] {
    let mut block = [0; BLOCK as usize];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    debug_assert!(name.len() < 100 || (name.len() == 100 && !folder), "names of layouts are short");
    put(0, &name.as_bytes()[..name.len().min(100)]);
    put(100, if folder { b"0000755\0" } else { b"0000644\0" });
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    if size <= OCTAL_MOST {
        put(124, format!("{size:011o}\0").as_bytes());
    } else {
        // Base 256, as GNU writes it and all read it.
        put(124, &[0x80, 0, 0, 0]);
        put(128, &size.to_be_bytes());
    }
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, if folder { b"5" } else { b"0" });
    put(257, b"ustar\x0000");
    seal(&mut block);
    block
}

/// Makes another kind of member of a header.
pub(super) fn set_kind(block: &mut [u8; BLOCK as usize], kind: u8) {
    block[156] = kind;
    seal(block);
}

fn seal(block: &mut [u8; BLOCK as usize]) {
    let sum = sum(block);
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// How many bytes follow content of this size, to the next block.
pub(super) fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK
}

fn sum(block: &[u8; BLOCK as usize]) -> u64 {
    let bytes = block.iter().enumerate();
    bytes.map(|(at, byte)| if (148..156).contains(&at) { u64::from(b' ') } else { u64::from(*byte) }).sum()
}

/// What a block says; `None` for the mark of the end.
pub(super) fn parse(block: &[u8; BLOCK as usize], at: u64) -> Result<Option<Header>, LayoutError> {
    let wrong = |why| LayoutError::Tar { at, why };
    if block.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    if number(&block[148..156]) != Some(sum(block)) {
        return Err(wrong("a header's checksum is wrong"));
    }
    let kind = match block[156] {
        b'0' | 0 => Kind::File,
        b'5' => Kind::Folder,
        b'x' => Kind::Pax,
        b'g' => Kind::PaxGlobal,
        b'L' => Kind::LongName,
        _ => return Err(wrong("it holds something else than files and folders")),
    };
    let size = number(&block[124..136]).ok_or_else(|| wrong("a size is no number"))?;
    if !matches!(kind, Kind::File | Kind::Folder) && size > LONGEST_EXTENSION {
        return Err(wrong("an extended header is too long"));
    }
    let text = |range: std::ops::Range<usize>| {
        let bytes = &block[range];
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        std::str::from_utf8(&bytes[..end]).map_err(|_| wrong("a name is no text"))
    };
    let name = text(0..100)?;
    // Only ustar proper has a prefix there; GNU keeps times in it.
    let prefix = if &block[257..263] == b"ustar\0" { text(345..500)? } else { "" };
    let name = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
    Ok(Some(Header { kind, name, size: if kind == Kind::Folder { 0 } else { size } }))
}

/// A number field: octal digits, or base 256.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] == 0x80 {
        // The field of the checksum has no more than eight bytes, one of which is the mark.
        return field[1..]
            .iter()
            .try_fold(0u64, |high, byte| high.checked_mul(256)?.checked_add((*byte).into()));
    }
    let text = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    if text.is_empty() {
        return Some(0);
    }
    text.bytes().all(|c| matches!(c, b'0'..=b'7')).then(|| u64::from_str_radix(text, 8).ok())?
}

/// What pax records say of the next member.
#[derive(Debug, Default)]
pub(super) struct Pax {
    pub(super) path: Option<String>,
    pub(super) size: Option<u64>,
}

impl Pax {
    /// `<length> <key>=<value>\n`, one after the other.
    pub(super) fn parse(mut rest: &[u8], at: u64) -> Result<Self, LayoutError> {
        let wrong = || LayoutError::Tar { at, why: "an extended header is not of the form that it must be" };
        let mut found = Self::default();
        while !rest.is_empty() {
            let space = rest.iter().position(|byte| *byte == b' ').ok_or_else(wrong)?;
            let length: usize = std::str::from_utf8(&rest[..space])
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or_else(wrong)?;
            if length > rest.len() || length <= space + 1 {
                return Err(wrong());
            }
            let (record, after) = rest.split_at(length);
            rest = after;
            let record = record[space + 1..].strip_suffix(b"\n").ok_or_else(wrong)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(wrong)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            let text = || std::str::from_utf8(value).map_err(|_| wrong());
            match key {
                b"path" => found.path = Some(text()?.to_owned()),
                b"size" => found.size = Some(text()?.parse().map_err(|_| wrong())?),
                _ if key.starts_with(b"GNU.sparse.") => {
                    return Err(LayoutError::Tar { at, why: "it holds sparse files" });
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

/// A name without `./` before it and `/` behind it; `None` if it leads out of the archive.
pub(super) fn clean(name: &str) -> Option<&str> {
    if name.len() > LONGEST_NAME || name.contains('\0') {
        return None;
    }
    let mut name = name.trim_end_matches('/');
    while let Some(rest) = name.strip_prefix("./") {
        name = rest.trim_start_matches('/');
    }
    if name == "." || name.is_empty() {
        return Some("");
    }
    let safe = name.split('/').all(|part| !matches!(part, "" | "." | ".."));
    safe.then_some(name)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for size in [0, 1, OCTAL_MOST, OCTAL_MOST + 1, u64::MAX >> 1] {
            let read = parse(&header("blobs/sha256/ab", size, false), 0).unwrap().unwrap();
            assert_eq!((read.kind, read.name.as_str(), read.size), (Kind::File, "blobs/sha256/ab", size));
        }
        assert_eq!(parse(&header("blobs/", 0, true), 0).unwrap().unwrap().kind, Kind::Folder);
        assert!(parse(&[0; 512], 0).unwrap().is_none());
    }

    #[test]
    fn a_changed_header_is_refused() {
        let good = header("index.json", 5, false);
        for at in [0, 124, 130, 148, 156, 260] {
            let mut bad = good;
            bad[at] ^= 1;
            assert!(parse(&bad, 7).is_err(), "{at}");
        }
        // A checksum in base 256, right and wrong.
        let mut marked = good;
        marked[148..156].copy_from_slice(&(0x80 << 56 | sum(&good)).to_be_bytes());
        assert_eq!(parse(&marked, 7).unwrap().unwrap().size, 5);
        marked[149..156].fill(0xff);
        assert!(parse(&marked, 7).is_err());
    }

    #[test]
    fn pax_records() {
        let pax = Pax::parse(b"12 path=a/b\n20 size=12345678901\n13 comment=x\n", 0).unwrap();
        assert_eq!((pax.path.as_deref(), pax.size), (Some("a/b"), Some(12_345_678_901)));
        for wrong in [
            &b"x"[..],
            b"5 a=b",
            b"99 path=a\n",
            b"0 path=a\n",
            b"1 ",
            b"9 size=-\n",
            b"22 GNU.sparse.major=1\n",
        ] {
            assert!(Pax::parse(wrong, 0).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn names_stay_inside() {
        assert_eq!(clean("./blobs/sha256/"), Some("blobs/sha256"));
        assert_eq!(clean("./"), Some(""));
        for out in ["../a", "/etc", "a/../b", "a//b", "a/./b", "a\0b"] {
            assert_eq!(clean(out), None, "{out}");
        }
    }
}
