//! The oracle: inflate bit by bit, by the letter of RFC 1951, with points by the letter of the rule. Slow, and of streams that are right.

use larder_inflate::{Point, SpanRule, WINDOW, Window};

/// Of each length: the first code, and the symbols of the codes from it on.
type Codes = [(usize, Vec<usize>); 16];

struct Naive<'a> {
    stream: &'a [u8],
    bit: usize,
    out: Vec<u8>,
    member: usize,
    rule: SpanRule,
    /// Points, and which of the 32 KiB before them are used.
    points: Vec<(Point, Vec<bool>)>,
    header: (usize, usize),
    begun: bool,
}

/// The points of a whole stream.
pub(crate) fn points(stream: &[u8], rule: SpanRule) -> Vec<Point> {
    let mut naive = Naive {
        stream,
        bit: 0,
        out: Vec::new(),
        member: 0,
        rule,
        points: Vec::new(),
        header: (0, 0),
        begun: false,
    };
    while naive.bit < stream.len() * 8 {
        // The headers of these tests have ten bytes.
        assert_eq!(stream[naive.bit / 8..][..4], [0x1f, 0x8b, 8, 0]);
        naive.bit += 80;
        naive.member = naive.out.len();
        while !naive.block() {}
        naive.bit = naive.bit.next_multiple_of(8) + 64;
    }
    let Naive { out, points, .. } = naive;
    points.into_iter().map(|(point, used)| with_window(point, &used, &out)).collect()
}

fn with_window(mut point: Point, used: &[bool], out: &[u8]) -> Point {
    let mut window = Window::default();
    for (at, _) in used.iter().enumerate().filter(|(_, used)| **used) {
        window.push(at as u32, &[out[point.out as usize + at - WINDOW]]).unwrap();
    }
    point.window = window;
    point
}

impl Naive<'_> {
    fn bits(&mut self, count: usize) -> usize {
        let bit = |at: usize| usize::from(self.stream[at / 8] >> (at % 8) & 1);
        let value = (0..count).map(|index| bit(self.bit + index) << index).sum();
        self.bit += count;
        value
    }

    fn symbol(&mut self, codes: &Codes) -> usize {
        let mut code = 0;
        for (first, symbols) in &codes[1..] {
            code = code * 2 + self.bits(1);
            if let Some(symbol) = code.checked_sub(*first).and_then(|index| symbols.get(index)) {
                return *symbol;
            }
        }
        panic!("no such code");
    }

    /// One block; whether it was the last.
    fn block(&mut self) -> bool {
        self.begun = false;
        let begin = self.bit;
        let last = self.bits(1) == 1;
        match self.bits(2) {
            0 => {
                self.bit = self.bit.next_multiple_of(8);
                let length = self.bits(16);
                assert_eq!(self.bits(16), length ^ 0xffff);
                self.header = (begin, self.bit - begin);
                for _ in 0..length {
                    self.before(1);
                    let byte = self.bits(8) as u8;
                    self.out.push(byte);
                }
            }
            1 => {
                let lengths: Vec<usize> = (0..288)
                    .map(|n| [8, 9, 7, 8][usize::from(n > 143) + usize::from(n > 255) + usize::from(n > 279)])
                    .collect();
                self.header = (begin, 3);
                self.symbols(&codes(&lengths), &codes(&[5; 32]));
            }
            _ => {
                let (literals, distances) = self.lengths();
                self.header = (begin, self.bit - begin);
                self.symbols(&codes(&literals), &codes(&distances));
            }
        }
        last
    }

    fn lengths(&mut self) -> (Vec<usize>, Vec<usize>) {
        let (literals, distances, count) = (self.bits(5) + 257, self.bits(5) + 1, self.bits(4) + 4);
        let mut lengths = vec![0; 19];
        for symbol in
            [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15].into_iter().take(count)
        {
            lengths[symbol] = self.bits(3);
        }
        let codes = codes(&lengths);
        let mut lengths = Vec::new();
        while lengths.len() < literals + distances {
            match self.symbol(&codes) {
                16 => {
                    let before = *lengths.last().unwrap();
                    let times = 3 + self.bits(2);
                    lengths.extend(vec![before; times]);
                }
                17 => lengths.extend(vec![0; 3 + self.bits(3)]),
                18 => lengths.extend(vec![0; 11 + self.bits(7)]),
                length => lengths.push(length),
            }
        }
        let distances = lengths.split_off(literals);
        (lengths, distances)
    }

    fn symbols(&mut self, literals: &Codes, distances: &Codes) {
        const LENGTHS: [usize; 29] = [
            3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
            163, 195, 227, 258,
        ];
        const DISTANCES: [usize; 30] = [
            1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049,
            3073, 4097, 6145, 8193, 12289, 16385, 24577,
        ];
        loop {
            let begin = self.bit;
            let symbol = self.symbol(literals);
            if symbol == 256 {
                return;
            }
            if symbol < 256 {
                self.before_at(1, begin);
                self.out.push(symbol as u8);
                continue;
            }
            let index = symbol - 257;
            let length = LENGTHS[index] + self.bits(if index < 8 || index == 28 { 0 } else { index / 4 - 1 });
            let index = self.symbol(distances);
            let distance = DISTANCES[index] + self.bits(if index < 4 { 0 } else { index / 2 - 1 });
            assert!(distance <= self.out.len() - self.member);
            self.before_at(length, begin);
            for _ in 0..length {
                let from = self.out.len() - distance;
                if let Some((point, used)) = self.points.last_mut()
                    && from < point.out as usize
                {
                    used[from + WINDOW - point.out as usize] = true;
                }
                self.out.push(self.out[from]);
            }
        }
    }

    fn before(&mut self, length: usize) {
        self.before_at(length, self.bit);
    }

    /// A point before the symbol at bit `at` that gives `length` bytes, if one is due.
    fn before_at(&mut self, length: usize, at: usize) {
        let first = !std::mem::replace(&mut self.begun, true);
        let (header_bit, bits) = self.header;
        let due = match self.points.last() {
            None => true,
            Some((point, _)) => {
                let out = (self.out.len() as u64) - point.out;
                let input = header_bit as u64 - point.resume_bit.min(header_bit as u64);
                out + length as u64 > self.rule.most
                    || first && out >= self.rule.out && input >= self.rule.input * 8
            }
        };
        if !due {
            return;
        }
        let mut header = vec![0; bits.div_ceil(8)];
        for bit in 0..bits {
            let from = header_bit + bit;
            header[bit / 8] |= (self.stream[from / 8] >> (from % 8) & 1) << (bit % 8);
        }
        let point = Point {
            out: self.out.len() as u64,
            header_bit: header_bit as u64,
            header: if first { Vec::new() } else { header },
            header_bits: if first { 0 } else { bits as u32 },
            resume_bit: if first { header_bit } else { at } as u64,
            window: Window::default(),
        };
        self.points.push((point, vec![false; WINDOW]));
    }
}

fn codes(lengths: &[usize]) -> Codes {
    let mut next = 0;
    std::array::from_fn(|length| {
        let of_length = |symbol: &usize| length > 0 && lengths[*symbol] == length;
        let symbols: Vec<usize> = (0..lengths.len()).filter(of_length).collect();
        let first = next * 2;
        next = first + symbols.len();
        (first, symbols)
    })
}
