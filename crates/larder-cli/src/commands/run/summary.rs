//! The last line: `14 recipes: 13 cached (13 local), 1 run · 0.50 s · saved 2.7 s`.

use std::collections::BTreeMap;
use std::time::Duration;

use larder::run::engine::Report;
use larder::run::event::Outcome;
use larder::run::plan::Plan;

use crate::units;

/// Hits of each tier.
pub(in crate::commands) fn tiers(report: &Report) -> BTreeMap<&'static str, usize> {
    let mut tiers = BTreeMap::new();
    for finished in &report.recipes {
        if let Outcome::Cached { tier, .. } = finished.outcome {
            *tiers.entry(tier).or_default() += 1;
        }
    }
    tiers
}

/// The line.
pub(super) fn line(plan: &Plan, report: &Report, took: Duration) -> String {
    let count = |wanted: fn(&Outcome) -> bool| report.count(wanted);
    let tiers: Vec<String> = tiers(report).iter().map(|(tier, count)| format!("{count} {tier}")).collect();
    let mut parts = vec![match report.cached() {
        0 => "0 cached".to_owned(),
        cached => format!("{cached} cached ({})", tiers.join(", ")),
    }];
    let would_run = count(|outcome| matches!(outcome, Outcome::WouldRun { .. }));
    parts.push(match would_run {
        0 => format!("{} run", report.ran()),
        would_run => format!("{would_run} would run"),
    });
    let others = [
        (report.failed(), "failed"),
        (count(|outcome| matches!(outcome, Outcome::Skipped { .. })), "skipped"),
        (count(|outcome| matches!(outcome, Outcome::Cancelled)), "cancelled"),
        (count(|outcome| matches!(outcome, Outcome::NotNeeded)), "not needed"),
        (count(|outcome| matches!(outcome, Outcome::Serving { .. })), "serving"),
    ];
    parts
        .extend(others.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")));
    let recipes = units::counted(report.recipes.len(), "recipe", "recipes");
    let mut line = format!("{recipes}: {} · {}", parts.join(", "), units::duration(took));
    if !report.saved().is_zero() {
        line.push_str(&format!(" · saved {}", units::duration(report.saved())));
    }
    if let Some(remark) = early_cut_off(plan, report) {
        line.push_str(&format!("        {}", units::printable(&remark)));
    }
    line
}

/// `lib:archive unchanged: lib:compile[tree.c] made the same bytes`: a recipe that ran for nothing, and who was spared by it.
fn early_cut_off(plan: &Plan, report: &Report) -> Option<String> {
    let outcome = |at: usize| report.recipes.get(at).map(|finished| &finished.outcome);
    let is_unchanged = |at: &usize| matches!(outcome(*at), Some(Outcome::Ran { unchanged: true, .. }));
    let spared = |at: &usize| matches!(outcome(*at), Some(Outcome::Cached { .. }));
    let at =
        (0..plan.recipes.len()).find(|at| is_unchanged(at) && plan.dependents[*at].iter().any(spared))?;
    let dependent = plan.dependents[at].iter().find(|at| spared(at))?;
    let (dependent, recipe) = (&plan.recipes[*dependent].id, &plan.recipes[at].id);
    Some(format!("{dependent} unchanged: {recipe} made the same bytes"))
}
