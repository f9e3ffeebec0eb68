//! What of the 32 KiB before a point the bytes after it refer to.

use crate::point::{WINDOW, Window};

/// The 32 KiB before a point as they were there, and which of them are used.
#[derive(Clone, Debug)]
pub(crate) struct Marks {
    window: Box<[u8]>,
    used: Box<[u64]>,
}

impl Marks {
    pub(crate) fn new() -> Self {
        Self { window: vec![0; WINDOW].into(), used: vec![0; WINDOW / 64].into() }
    }

    /// Begins anew at a point after `history`, of which the last 32 KiB count.
    pub(crate) fn begin(&mut self, history: &[u8]) {
        let history = &history[history.len().saturating_sub(WINDOW)..];
        self.window[WINDOW - history.len()..].copy_from_slice(history);
        self.used.fill(0);
    }

    /// Marks what a match uses that begins `back` bytes before the point: as much of it as lies before the point.
    pub(crate) fn mark(&mut self, back: usize, length: usize) {
        let back = back.min(WINDOW);
        if back == 0 || length == 0 {
            return;
        }
        let (from, to) = (WINDOW - back, WINDOW - back + length.min(back));
        for word in from / 64..to.div_ceil(64) {
            let first = from.saturating_sub(word * 64);
            let last = (to - word * 64).min(64);
            self.used[word] |= (u64::MAX >> (64 - (last - first))) << first;
        }
    }

    /// The marked bytes as runs.
    pub(crate) fn window(&self) -> Window {
        let mut window = Window::default();
        let mut at = 0;
        while let Some(from) = self.next(at, true) {
            let to = self.next(from, false).unwrap_or(WINDOW);
            window.push(from as u32, &self.window[from..to]).expect("runs ascend and end within the window");
            at = to;
        }
        window
    }

    /// Whether all that is marked is in `window`.
    pub(crate) fn within(&self, window: &Window) -> bool {
        let mut given = Self { window: Box::default(), used: vec![0; WINDOW / 64].into() };
        for (at, bytes) in window.runs() {
            given.mark(WINDOW - at as usize, bytes.len());
        }
        self.used.iter().zip(&given.used).all(|(used, given)| used & !given == 0)
    }

    /// The first place from `at` on that is marked, or is not.
    fn next(&self, at: usize, marked: bool) -> Option<usize> {
        let mut word = at / 64;
        let mut above = u64::MAX.checked_shl((at % 64) as u32)?;
        while word < self.used.len() {
            let bits = if marked { self.used[word] } else { !self.used[word] } & above;
            if bits != 0 {
                return Some(word * 64 + bits.trailing_zeros() as usize);
            }
            (word, above) = (word + 1, u64::MAX);
        }
        None
    }
}
