//! The live view: one line below everything else with the recipes that run, how long they have, and how many are done.
//!
//! It is on standard error, put up when the first recipe starts and taken away at the end. One thread (of `indicatif`) redraws it
//! ten times a second.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::units;

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

/// Names are not shortened below this width to make room for one more.
const NARROWEST_NAME: usize = 18;

/// How long a recipe has run, in words that are as wide from one beat to the next.
fn elapsed(time: Duration) -> String {
    if time < Duration::from_secs(60) {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        units::duration(time)
    }
}

/// How wide names may be so that all fit `room` together; none is asked to be narrower than it is.
fn widest_name(widths: &[usize], room: usize) -> usize {
    let mut sorted = widths.to_vec();
    sorted.sort_unstable();
    let mut left = room;
    for (at, width) in sorted.iter().enumerate() {
        let share = left / (sorted.len() - at);
        if *width > share {
            return share;
        }
        left -= width;
    }
    usize::MAX
}

/// The line in less than `width` columns: how many are done, then as many recipes as there is room for, those that run longest
/// first. Long names lose their middle before a recipe loses its place. Nothing stands at the right edge: a terminal that is
/// made narrower would break the line in two.
fn line(running: &Running, width: usize, now: Instant) -> String {
    if width < 2 {
        return String::new();
    }
    let count = format!("  {}/{}", running.done, running.total);
    let room = width.saturating_sub(console::measure_text_width(&count) + 1);
    let parts: Vec<(Cow<'_, str>, String, String)> = running
        .recipes
        .iter()
        .map(|(name, since)| {
            let time = now.saturating_duration_since(*since);
            let beat = time.as_millis() / BEAT.as_millis();
            let frame = FRAMES[usize::try_from(beat).unwrap_or(0) % FRAMES.len()];
            (units::printable(name), format!("   {frame} "), format!(" {}", elapsed(time)))
        })
        .collect();
    let fits = |shown: &usize| {
        let left = parts.len() - shown;
        let more = if left > 0 { format!("   +{left}").len() } else { 0 };
        let around = |(_, frame, time): &(_, String, String)| {
            console::measure_text_width(frame) + console::measure_text_width(time)
        };
        let frames: usize = parts[..*shown].iter().map(around).sum();
        let names: Vec<usize> =
            parts[..*shown].iter().map(|(name, ..)| console::measure_text_width(name)).collect();
        let widest = widest_name(&names, room.saturating_sub(more + frames));
        (widest >= NARROWEST_NAME || (*shown == 1 && widest > 3)).then_some((*shown, widest))
    };
    let (shown, widest) = (1..=parts.len()).rev().find_map(|shown| fits(&shown)).unwrap_or((0, 0));
    let mut text = count;
    for (name, frame, time) in &parts[..shown] {
        text.extend([frame, &*units::shortened(name, widest), time]);
    }
    if shown < parts.len() {
        text.push_str(&format!("   +{}", parts.len() - shown));
    }
    console::truncate_str(&text, width.saturating_sub(1), "…").into_owned()
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
        let names = [
            "lib:compile[tree.c]",
            "lib:compile[hash.c]",
            "app:a-recipe-with-a-very-long-name[indeed]",
            "app:gen[データ/ファイル-10.c]",
            "app:ünï-çödé\u{1b}[31m",
        ];
        for width in [0, 1, 5, 12, 20, 24, 40, 60, 79, 80, 120, 200] {
            for count in 0..=names.len() {
                let text = shown(&names[..count], width);
                let wide = console::measure_text_width(&text);
                assert!(wide < width.max(1) || (width == 0 && wide == 0), "{width}: {text:?}");
                assert!(!text.contains('\u{1b}'), "{text:?}");
            }
        }
        assert_eq!(shown(&names, 200).matches("0.0 s").count(), 5);
        assert!(shown(&names[..3], 200).contains("app:a-recipe-with-a-very-long-name[indeed]"));
        assert!(shown(&names, 80).ends_with("+3"), "{:?}", shown(&names, 80));
        assert!(shown(&names, 80).starts_with("  7/14   "));
    }

    #[test]
    fn long_names_lose_their_middle_before_a_recipe_loses_its_place() {
        let names: Vec<String> =
            (0..8).map(|n| format!("app:gen[src/very/long/path/module-{n}/part.c]")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(
            shown(&names, 80),
            "  7/14   ⠋ app:gen…odule-0/part.c] 0.0 s   ⠋ app:gen…odule-1/part.c] 0.0 s   +6"
        );
        assert_eq!(shown(&names[..1], 40), "  7/14   ⠋ app:gen…dule-0/part.c] 0.0 s");
        assert_eq!(shown(&[], 80), "  7/14");
    }
}
