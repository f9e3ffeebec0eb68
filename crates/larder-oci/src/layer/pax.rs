//! PAX records: what they say of the entry that follows (POSIX.1-2001, `pax`, "Extended Header"), and GNU's records of sparse files.
//!
//! Read as Go's `archive/tar` does. Records that say nothing about a tree (comments, user names, access times) are passed over.

use super::entry::Time;
use super::tar::Fault;

/// What the records say. Absent: the header's own field holds.
#[derive(Debug, Default)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) target: Option<Vec<u8>>,
    pub(super) uid: Option<i64>,
    pub(super) gid: Option<i64>,
    pub(super) size: Option<i64>,
    pub(super) modified: Option<Time>,
    /// Full names and values, ascending; the last of equal names.
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: Sparse,
}

/// GNU's records of a sparse file.
#[derive(Debug, Default)]
pub(super) struct Sparse {
    pub(super) major: Option<Vec<u8>>,
    pub(super) minor: Option<Vec<u8>>,
    pub(super) name: Option<Vec<u8>>,
    pub(super) real_size: Option<i64>,
    /// How many pieces a map of 0.0 or 0.1 has.
    pub(super) pieces: Option<i64>,
    /// Places and lengths in turn, of 0.0 (a record each) or 0.1 (one list).
    pub(super) map: Option<Vec<i64>>,
    /// A place of 0.0 still waits for its length.
    is_half: bool,
}

impl Pax {
    /// Reads an extended header's body.
    pub(super) fn parse(mut body: &[u8]) -> Result<Self, Fault> {
        let mut pax = Self::default();
        while !body.is_empty() {
            let (key, value, rest) = record(body).ok_or(Fault::Pax)?;
            pax.take(key, value)?;
            body = rest;
        }
        if pax.sparse.is_half {
            return Err(Fault::Sparse);
        }
        // Sorted once, and not looked through for each record: there can be a hundred thousand.
        pax.xattrs.reverse();
        pax.xattrs.sort_by(|(one, _), (other, _)| one.cmp(other));
        pax.xattrs.dedup_by(|(one, _), (before, _)| one == before);
        Ok(pax)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            if name.is_empty() {
                return Err(Fault::Pax);
            }
            self.xattrs.push((name.to_vec(), value.to_vec()));
            return Ok(());
        }
        if let Some(name) = key.strip_prefix(b"GNU.sparse.") {
            return self.sparse.take(name, value);
        }
        let is_text = matches!(key, b"path" | b"linkpath");
        if is_text && value.contains(&0) {
            return Err(Fault::Pax);
        }
        // An empty value takes an earlier one back.
        let text = || (!value.is_empty()).then(|| value.to_vec());
        let number = || if value.is_empty() { Ok(None) } else { decimal(value).ok_or(Fault::Pax).map(Some) };
        match key {
            b"path" => self.path = text(),
            b"linkpath" => self.target = text(),
            b"uid" => self.uid = number()?,
            b"gid" => self.gid = number()?,
            b"size" => self.size = number()?,
            b"mtime" if value.is_empty() => self.modified = None,
            b"mtime" => self.modified = Some(time(value).ok_or(Fault::Pax)?),
            _ => {}
        }
        Ok(())
    }
}

impl Sparse {
    fn take(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        let number = || decimal(value).filter(|number| *number >= 0).ok_or(Fault::Sparse);
        match name {
            b"major" => self.major = Some(value.to_vec()),
            b"minor" => self.minor = Some(value.to_vec()),
            b"name" if value.contains(&0) => return Err(Fault::Sparse),
            b"name" => self.name = Some(value.to_vec()),
            // `size` is of 0.0 and 0.1, `realsize` of 1.0.
            b"size" | b"realsize" => self.real_size = Some(number()?),
            b"numblocks" => self.pieces = Some(number()?),
            b"offset" | b"numbytes" => {
                if self.is_half != (name == b"numbytes") {
                    return Err(Fault::Sparse);
                }
                self.map.get_or_insert_default().push(number()?);
                self.is_half = !self.is_half;
            }
            b"map" => {
                let numbers = value.split(|byte| *byte == b',').filter(|text| !text.is_empty());
                self.map =
                    Some(numbers.map(|text| decimal(text).ok_or(Fault::Sparse)).collect::<Result<_, _>>()?);
            }
            _ => {}
        }
        Ok(())
    }
}

/// The first record of a body: its key, its value, and what follows it. `length SP key=value LF`.
fn record(body: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = body.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&body[..space])?).ok()?;
    let record = body.get(space + 1..length)?;
    let record = record.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (&record[..equals], &record[equals + 1..]);
    (!key.is_empty() && !key.contains(&0)).then_some((key, value, &body[length..]))
}

/// A decimal number, perhaps negative.
pub(super) fn decimal(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Seconds with a fraction, perhaps negative; what is no time from 1970 to 2262 becomes 1970. `None` when it is no number.
fn time(text: &[u8]) -> Option<Time> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut nanos = 0;
    for at in 0..9 {
        nanos = nanos * 10 + fraction.as_bytes().get(at).map_or(0, |digit| u32::from(digit - b'0'));
    }
    let is_negative = whole.starts_with('-');
    Some(if is_negative { Time::default() } else { in_range(seconds, nanos) })
}

/// The time, or 1970 for what is before it or after 2262 (the last second whose nanoseconds fit in 63 bits).
pub(super) fn in_range(seconds: i64, nanos: u32) -> Time {
    match u64::try_from(seconds) {
        Ok(seconds) if u128::from(seconds) * 1_000_000_000 + u128::from(nanos) <= i64::MAX as u128 => {
            Time { seconds, nanos }
        }
        _ => Time::default(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn records_are_read() {
        let pax = Pax::parse(b"19 path=some/where\n24 SCHILY.xattr.user.a=\n").unwrap();
        assert_eq!(pax.path.unwrap(), b"some/where");
        assert_eq!(pax.xattrs, [(b"user.a".to_vec(), b"".to_vec())], "empty values are values");
        assert!(Pax::parse(b"19 path=some/wher\n").is_err());
        assert!(Pax::parse(b"9 path=a\0\n").is_err());
        assert!(Pax::parse(b"99999999999999999999 a=b\n").is_err());
        assert!(Pax::parse(b"5 a=\n").unwrap().path.is_none());
    }

    #[test]
    fn the_last_of_equal_names_counts_and_many_take_no_longer() {
        let record = |name: &str, value: &str| {
            let rest = format!(" SCHILY.xattr.{name}={value}\n");
            let mut length = rest.len() + 1;
            while format!("{length}{rest}").len() != length {
                length += 1;
            }
            format!("{length}{rest}")
        };
        let body = [("user.b", "1"), ("user.a", "2"), ("user.b", "3"), ("user.b", "")];
        let body: String = body.into_iter().map(|(name, value)| record(name, value)).collect();
        let pax = Pax::parse(body.as_bytes()).unwrap();
        assert_eq!(pax.xattrs, [(b"user.a".to_vec(), b"2".to_vec()), (b"user.b".to_vec(), Vec::new())]);
        // As many as fit in a header; each looked for among all others they would take minutes.
        let many: String = (0..40_000).rev().map(|at| record(&at.to_string(), "")).collect();
        for _ in 0..20 {
            assert_eq!(Pax::parse(many.as_bytes()).unwrap().xattrs.len(), 40_000);
        }
    }

    #[test]
    fn times_have_nanoseconds() {
        assert_eq!(time(b"1.5"), Some(Time { seconds: 1, nanos: 500_000_000 }));
        assert_eq!(time(b"1.0000000019"), Some(Time { seconds: 1, nanos: 1 }));
        assert_eq!(time(b"-1.5"), Some(Time::default()));
        assert_eq!(time(b"9223372036"), Some(Time { seconds: 9_223_372_036, nanos: 0 }));
        assert_eq!(time(b"9223372037"), Some(Time::default()));
        assert_eq!(time(b"1.x"), None);
        assert_eq!(time(b""), None);
    }
}
