//! Blob rows: (namespace, digest) → what the blob is rebuilt from. See `docs/formats/blob-rows.md`.
//!
//! | file | what |
//! |---|---|
//! | [`row`] | the row and its check |
//! | [`log`] | rows that are being appended, here or in another process |
//! | [`set`] | all rows of a namespace: look-up, refresh |

pub(crate) mod log;
pub(crate) mod row;
pub(crate) mod set;

/// Magic of a row table's tail.
pub(crate) const TAIL_MAGIC: [u8; 8] = *b"LRDBLBT1";
