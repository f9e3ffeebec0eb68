//! Every whole frame of a pack file, damaged ones skipped: after one, the next place is looked for where a frame's magic
//! stands and its header's check holds. What is found in the middle of other content by mistake is proven by its hashes
//! as everything else is.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::HEADER;
use super::frame::{self, Head};
use super::open::PackWriter;

const WINDOW: usize = 1 << 20;

/// Calls `visit` with every whole frame, in the file's order.
pub(crate) fn frames(file: &File, visit: &mut dyn FnMut(Head) -> io::Result<()>) -> io::Result<()> {
    let size = file.metadata()?.len();
    let mut offset = HEADER.len() as u64;
    loop {
        if let Some(head) = frame::read_head(file, offset, size)? {
            offset = head.0.payload + u64::from(head.0.stored);
            visit(head)?;
            continue;
        }
        match next_frame(file, offset + 1, size)? {
            Some(found) => offset = found,
            None => return Ok(()),
        }
    }
}

/// The first place at or after `from` where a whole frame begins.
fn next_frame(file: &File, mut from: u64, size: u64) -> io::Result<Option<u64>> {
    let mut window = vec![0; WINDOW];
    while from + frame::HEADER as u64 <= size {
        let length = WINDOW.min((size - from) as usize);
        file.read_exact_at(&mut window[..length], from)?;
        for at in memmem(&window[..length], frame::MAGIC) {
            let place = from + at as u64;
            if frame::read_head(file, place, size)?.is_some() {
                return Ok(Some(place));
            }
        }
        // A magic may stand across the border of two windows.
        from += (length.saturating_sub(frame::MAGIC.len() - 1)).max(1) as u64;
    }
    Ok(None)
}

fn memmem<'a>(hay: &'a [u8], needle: &'a [u8; 4]) -> impl Iterator<Item = usize> + 'a {
    hay.windows(needle.len()).enumerate().filter(move |(_, window)| window == needle).map(|(at, _)| at)
}

/// Writes a pack named `id` with every whole frame of `damaged`. Answers whether there were any.
pub(crate) fn rebuild(damaged: &Path, packs: &Path, tmp: &Path, id: &str) -> io::Result<bool> {
    let file = File::open(damaged)?;
    let mut writer = PackWriter::create(packs, tmp, id)?;
    let mut stored = Vec::new();
    let mut any = false;
    frames(&file, &mut |(info, chunks)| {
        any = true;
        stored.resize(info.stored as usize, 0);
        file.read_exact_at(&mut stored, info.payload)?;
        writer.append(info.format, &chunks, &stored, info.raw).map(drop)
    })?;
    writer.seal(true)?;
    Ok(any)
}
