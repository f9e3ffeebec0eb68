//! One symbol of a block, with every bound checked: for the edges of input, room and spans, and for the words of errors.

use crate::block::meaningless;
use crate::error::{Code, Stuck};
use crate::table::{
    DISTANCE_BITS, DISTANCE_SIZE, END, LITERAL, LITERAL_BITS, LITERAL_SIZE, SPECIAL, SUBTABLE, Tables,
};

/// What a symbol means, and how many bits it has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Symbol {
    Literal { byte: u8, bits: u32 },
    Match { length: u32, distance: u32, bits: u32 },
    End { bits: u32 },
}

/// The symbol that `next` begins with, of which `available` bits are there.
pub(crate) fn read(tables: &Tables, next: u64, available: u32) -> Result<Symbol, Stuck> {
    let mut at = At { next, used: 0, available };
    let entry = at.entry(&tables.literal[..LITERAL_SIZE], LITERAL_BITS);
    if entry & LITERAL != 0 {
        at.skip(entry & 63)?;
        return Ok(Symbol::Literal { byte: (entry >> 16) as u8, bits: at.used });
    }
    if entry & SPECIAL != 0 {
        at.skip(entry & 63)?;
        return if entry & END != 0 {
            Ok(Symbol::End { bits: at.used })
        } else {
            Err(meaningless(Code::Literal))
        };
    }
    let length = at.value(entry)?;
    let entry = at.entry(&tables.distance[..DISTANCE_SIZE], DISTANCE_BITS);
    if entry & SPECIAL != 0 {
        at.skip(entry & 63)?;
        return Err(meaningless(Code::Distance));
    }
    let distance = at.value(entry)?;
    Ok(Symbol::Match { length, distance, bits: at.used })
}

struct At {
    next: u64,
    used: u32,
    available: u32,
}

impl At {
    /// The entry of the next code, behind a table of tables.
    fn entry(&mut self, table: &[u32], first_bits: u32) -> u32 {
        let entry = table[self.next as usize & ((1 << first_bits) - 1)];
        if entry & SUBTABLE == 0 || entry & (LITERAL | SPECIAL) != SPECIAL {
            return entry;
        }
        self.next >>= first_bits;
        self.used += first_bits;
        let index = self.next as usize & ((1 << (entry >> 8 & 15)) - 1);
        table[((entry >> 16) as usize + index) & (table.len() - 1)]
    }

    fn skip(&mut self, bits: u32) -> Result<(), Stuck> {
        self.next >>= bits;
        self.used += bits;
        if self.used > self.available { Err(Stuck::Input) } else { Ok(()) }
    }

    /// A length or a distance: base and extra bits.
    fn value(&mut self, entry: u32) -> Result<u32, Stuck> {
        let (all, code) = (entry & 63, entry >> 8 & 15);
        let extra = (self.next & ((1 << all) - 1)) >> code;
        self.skip(all)?;
        Ok((entry >> 16) + extra as u32)
    }
}
