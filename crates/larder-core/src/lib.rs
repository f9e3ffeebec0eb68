//! Larder's vocabulary: digests, chunks, compression, errors.
