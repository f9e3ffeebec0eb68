//! The live view: one line below everything else with the recipes that run, how long they have, and how many are done.
//!
//! It is on standard error, put up when the first recipe starts and taken away at the end. One thread (of `indicatif`) redraws it
//! ten times a second.

use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

const FRAMES: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const BEAT: Duration = Duration::from_millis(100);

/// What the line shows.
#[derive(Debug, Default)]
struct Running {
    recipes: Vec<(String, Instant)>,
    done: usize,
    total: usize,
}

/// The live view.
#[derive(Debug)]
pub(crate) struct Live {
    bar: ProgressBar,
    running: Arc<Mutex<Running>>,
}

fn lock(running: &Mutex<Running>) -> MutexGuard<'_, Running> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The line in at most `width` columns: as many recipes as there is room for, those that run longest first.
fn line(running: &Running, width: usize, now: Instant) -> String {
    let count = format!("{}/{}", running.done, running.total);
    let room = width.saturating_sub(console::measure_text_width(&count) + 4);
    let mut text = String::from(" ");
    let mut shown = 0;
    for (name, since) in &running.recipes {
        let time = now.saturating_duration_since(*since);
        let beat = time.as_millis() / BEAT.as_millis();
        let frame = FRAMES[usize::try_from(beat).unwrap_or(0) % FRAMES.len()];
        let part = format!(" {frame} {name}  {:.1} s  ", time.as_secs_f64());
        let left = running.recipes.len() - shown - 1;
        let more = if left > 0 { 4 } else { 0 };
        if console::measure_text_width(&text) + console::measure_text_width(&part) + more > room {
            if shown == 0 {
                text.push_str(&console::truncate_str(&part, room.saturating_sub(1), "…"));
                shown = 1;
            }
            break;
        }
        text.push_str(&part);
        shown += 1;
    }
    if shown < running.recipes.len() {
        text.push_str(&format!(" +{}", running.recipes.len() - shown));
    }
    let used = console::measure_text_width(&text) + console::measure_text_width(&count);
    format!("{text}{}{count}", " ".repeat(width.saturating_sub(used + 1).min(60)))
}

impl Live {
    /// Puts the view up.
    pub(crate) fn new(done: usize, total: usize) -> Self {
        let running = Arc::new(Mutex::new(Running { recipes: Vec::new(), done, total }));
        let shown = Arc::clone(&running);
        let key = move |_: &ProgressState, out: &mut dyn Write| {
            let width =
                console::Term::stderr().size_checked().map_or(80, |(_, columns)| usize::from(columns));
            // Writing to a string never fails.
            let _ = out.write_str(&line(&lock(&shown), width, Instant::now()));
        };
        let style = ProgressStyle::with_template("{larder}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner())
            .with_key("larder", key);
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(style);
        bar.enable_steady_tick(BEAT);
        Self { bar, running }
    }

    /// A recipe runs.
    pub(crate) fn started(&self, name: &str) {
        lock(&self.running).recipes.push((name.to_owned(), Instant::now()));
    }

    /// A recipe is done, whether it ran or not.
    pub(crate) fn finished(&self, name: &str) {
        let mut running = lock(&self.running);
        running.recipes.retain(|(running, _)| running != name);
        running.done += 1;
    }

    /// Takes the view away while something else is written.
    pub(crate) fn aside(&self, write: impl FnOnce()) {
        self.bar.suspend(write);
    }

    /// Takes the view away for good.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(names: &[&str], width: usize) -> String {
        let now = Instant::now();
        let since = |name: &&str| ((*name).to_owned(), now);
        line(&Running { recipes: names.iter().map(since).collect(), done: 7, total: 14 }, width, now)
    }

    #[test]
    fn the_line_fits_the_terminal() {
        let names =
            ["lib:compile[tree.c]", "lib:compile[hash.c]", "app:a-recipe-with-a-very-long-name[indeed]"];
        for width in [0, 5, 20, 40, 60, 80, 120, 200] {
            let text = shown(&names, width);
            assert!(console::measure_text_width(&text) <= width.max(24), "{width}: {text:?}");
        }
        assert!(shown(&names, 200).contains("app:a-recipe"));
        assert!(shown(&names, 80).contains("+1"), "{:?}", shown(&names, 80));
        assert!(shown(&names, 80).contains("7/14"));
    }
}
