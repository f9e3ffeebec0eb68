//! Maps whose keys are [`struct@Hash`]es.
//!
//! The bytes of a key are as good as random, but who makes content chooses them to a degree; so half of them are mixed
//! with a secret of this process instead of being hashed once more.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

use larder_core::Hash;

/// A map from hashes.
pub(crate) type ByHash<V> = HashMap<Hash, V, Mixing>;
/// A set of hashes.
pub(crate) type Hashes = HashSet<Hash, Mixing>;

static SECRET: LazyLock<(u64, u64)> = LazyLock::new(|| {
    let random = RandomState::new();
    (random.hash_one(1), random.hash_one(2))
});

/// Makes [`Mixer`]s.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mixing;

impl BuildHasher for Mixing {
    type Hasher = Mixer;

    fn build_hasher(&self) -> Mixer {
        Mixer(0)
    }
}

/// Mixes the first 16 bytes of a key with the secret.
#[derive(Debug)]
pub(crate) struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        let word = |at: usize| {
            bytes.get(at..at + 8).map_or(0, |word| u64::from_le_bytes(word.try_into().expect("8 bytes")))
        };
        let (one, two) = *SECRET;
        let product = u128::from(word(0) ^ one) * u128::from(word(8) ^ two);
        self.0 ^= product as u64 ^ (product >> 64) as u64;
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
