//! What a bench found: printed as tables, written as JSON.
//!
//! A figure is one row of a "Measured" table of the requirements. It names every peer that was to be compared, and those
//! that were missing with the reason: nothing is left out silently.

use std::fmt::Write as _;

use serde::Serialize;

use super::measure::{Measured, Spread};

/// A number that is not a time: bytes, a ratio.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Number {
    /// Whose.
    pub(crate) peer: String,
    /// Of what, with its unit.
    pub(crate) of: String,
    /// The number.
    pub(crate) value: f64,
}

/// One row of a table of goals.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    /// What is measured.
    pub(crate) title: String,
    /// What it should be.
    pub(crate) goal: String,
    /// What the peers cost.
    pub(crate) measured: Vec<Measured>,
    /// Other numbers.
    pub(crate) numbers: Vec<Number>,
    /// Peers that were not measured, and why.
    pub(crate) missing: Vec<String>,
}

impl Figure {
    /// A figure of commands.
    pub(crate) fn of(title: &str, goal: &str, measured: Vec<Measured>) -> Self {
        let (title, goal) = (title.to_owned(), goal.to_owned());
        Self { title, goal, measured, numbers: Vec::new(), missing: Vec::new() }
    }

    /// Adds a number.
    pub(crate) fn number(&mut self, peer: &str, of: &str, value: f64) {
        self.numbers.push(Number { peer: peer.to_owned(), of: of.to_owned(), value });
    }

    /// Adds median, minimum and maximum of `values`.
    pub(crate) fn spread(&mut self, peer: &str, of: &str, values: &[f64]) {
        if let Some(Spread { median, min, max }) = Spread::of(values.iter().copied()) {
            self.number(peer, of, median);
            self.number(peer, &format!("{of} (least)"), min);
            self.number(peer, &format!("{of} (most)"), max);
        }
    }

    /// The table, as Markdown.
    pub(crate) fn table(&self) -> String {
        let mut out = format!("\n### {}\ngoal: {}\n\n", self.title, self.goal);
        let larder = self.measured.iter().find(|measured| measured.peer == "larder");
        if !self.measured.is_empty() {
            out.push_str("| peer | CPU s | wall s | peak MiB | larder's CPU ÷ this | wall ÷ this | runs |\n|---|---|---|---|---|---|---|\n");
        }
        for measured in &self.measured {
            let ratio = |of: fn(&Measured) -> Option<Spread>| match (larder.and_then(of), of(measured)) {
                (Some(larder), Some(this)) if this.median > 0.0 => {
                    format!("{:.2}", larder.median / this.median)
                }
                _ => "-".to_owned(),
            };
            let ratios = format!("{} | {}", ratio(Measured::cpu), ratio(Measured::wall));
            let (cpu, wall, peak) =
                (cell(measured.cpu(), 3), cell(measured.wall(), 3), cell(measured.peak(), 0));
            let runs = measured.samples.len();
            let _ = writeln!(out, "| {} | {cpu} | {wall} | {peak} | {ratios} | {runs} |", measured.peer);
        }
        for number in &self.numbers {
            let _ = writeln!(out, "* {}: {} {:.3}", number.peer, number.of, number.value);
        }
        for measured in &self.measured {
            for failure in &measured.failures {
                let _ = writeln!(out, "* FAILED {}: {failure}", measured.peer);
            }
        }
        for missing in &self.missing {
            let _ = writeln!(out, "* missing {missing}");
        }
        out
    }
}

fn cell(spread: Option<Spread>, digits: usize) -> String {
    match spread {
        Some(Spread { median, min, max }) => format!("{median:.digits$} ({min:.digits$} to {max:.digits$})"),
        None => "-".to_owned(),
    }
}

/// A whole run of a bench.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// `store`, `run` or `remote`.
    pub(crate) bench: &'static str,
    /// Whether the workloads were the small ones, whose figures are no evidence.
    pub(crate) quick: bool,
    /// Processor, cores, kernel, file system.
    pub(crate) machine: Vec<String>,
    /// Name and version of each program.
    pub(crate) versions: Vec<String>,
    /// Peak bytes of an empty child, below which memory cannot be seen.
    pub(crate) floor: u64,
    /// The figures.
    pub(crate) figures: Vec<Figure>,
}
