//! A layer of as many entries as there may be, and of more.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use larder_oci::layer::tar::Fault;
use larder_oci::toc::{IndexError, IndexOptions, LayerToc, index_layer};
use larder_testing::layers::{BLOCK, Item, Tar};

/// Headers of empty files, made as they are read.
struct Headers {
    next: u64,
    most: u64,
    block: Vec<u8>,
    read: usize,
}

impl std::io::Read for Headers {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.read == self.block.len() {
            if self.next == self.most {
                return Ok(0);
            }
            let items = (0..1000).map(|at| Item::file(format!("{:04}/{at:03}", self.next), ""));
            self.block = Tar::open(items).torn();
            assert_eq!(self.block.len(), 1000 * BLOCK);
            (self.next, self.read) = (self.next + 1, 0);
        }
        let length = into.len().min(self.block.len() - self.read);
        into[..length].copy_from_slice(&self.block[self.read..self.read + length]);
        self.read += length;
        Ok(length)
    }
}

#[test]
#[ignore = "two gigabytes of headers: some minutes"]
fn four_million_entries_are_indexed_and_not_one_more() {
    let index = |thousands: u64| {
        let headers = Headers { next: 0, most: thousands, block: Vec::new(), read: 0 };
        index_layer(headers, &IndexOptions::default(), &mut |_| {})
    };
    match index(4001) {
        Err(IndexError::Tar(error)) => {
            assert_eq!(
                (error.fault, error.entry.as_deref()),
                (Fault::TooMany, Some(&b"4000/000"[..])),
                "{error}"
            );
        }
        other => panic!("{other:?}"),
    }
    let mut file = tempfile::tempfile().unwrap();
    let made = index(4000).unwrap().toc;
    made.write_to(&mut file).unwrap();
    let opened = LayerToc::open(Arc::new(file)).unwrap();
    opened.verify().unwrap();
    assert_eq!((opened.info().entries, opened.entries().count()), (4_000_000, 4_000_000));
}
