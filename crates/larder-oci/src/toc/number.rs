//! Numbers in tables: LEB128, seven bits a byte, lowest first; signed ones as zigzag (0, -1, 1, -2, …).

use super::TocError;

const CUT: TocError = TocError::Damaged("a number is cut off");

pub(super) fn put(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    into.push(number.to_le_bytes()[0]);
}

pub(super) fn put_signed(into: &mut Vec<u8>, number: i64) {
    put(into, (number << 1 ^ number >> 63).cast_unsigned());
}

pub(super) fn put_bytes(into: &mut Vec<u8>, bytes: &[u8]) {
    put(into, bytes.len() as u64);
    into.extend_from_slice(bytes);
}

/// Reads numbers and bytes one after another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn byte(&mut self) -> Result<u8, TocError> {
        let (first, rest) = self.rest.split_first().ok_or(CUT)?;
        self.rest = rest;
        Ok(*first)
    }

    pub(super) fn number(&mut self) -> Result<u64, TocError> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(TocError::Damaged("a number is too large"))
    }

    pub(super) fn signed(&mut self) -> Result<i64, TocError> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// A number of at most 32 bits.
    pub(super) fn small(&mut self) -> Result<u32, TocError> {
        u32::try_from(self.number()?).map_err(|_| TocError::Damaged("a number is too large"))
    }

    /// A count or a length, of things of at least one byte each that follow here.
    pub(super) fn count(&mut self) -> Result<usize, TocError> {
        usize::try_from(self.number()?)
            .ok()
            .filter(|count| *count <= self.rest.len())
            .ok_or(TocError::Damaged("a length is more than there is"))
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], TocError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(CUT)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], TocError> {
        let length = self.count()?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(number: u64, signed: i64, bytes: Vec<u8>) {
            let mut into = Vec::new();
            put(&mut into, number);
            put_signed(&mut into, signed);
            put_bytes(&mut into, &bytes);
            let mut cursor = Cursor::new(&into);
            prop_assert_eq!(cursor.number().unwrap(), number);
            prop_assert_eq!(cursor.signed().unwrap(), signed);
            prop_assert_eq!(cursor.bytes().unwrap(), &bytes);
            prop_assert!(cursor.is_empty());
        }
    }

    #[test]
    fn what_is_too_large_or_cut_is_refused() {
        assert!(Cursor::new(&[0xff; 9]).number().is_err());
        assert!(Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).number().is_err());
        assert!(Cursor::new(&[5, 1]).bytes().is_err());
    }
}
