//! `larder profile`: where the time of a run went.
//!
//! Reads what is kept of the last runs of this worktree; opens neither store nor configuration.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use larder::run::config::discover::find_root;
use larder::run::history::{Course, History, Wanted};
use larder::run::profile::path::{self, After, Link};
use larder::run::profile::totals::{self, Totals};
use larder::run::profile::{Ended, Entry, Phase, Profile, chrome};
use serde_json::{Value, json};

use super::{Context, project};
use crate::cli::{ProfileArgs, Which};
use crate::exit::Exit;
use crate::printer::Style;
use crate::report::{self, Page};
use crate::{units, whole_file};

/// Links of a chain that are shown; all are in `--json`.
const LONGEST_CHAIN: usize = 30;

fn time(micros: u64) -> String {
    units::exact_duration(Duration::from_micros(micros))
}

/// Runs the command.
pub(super) fn profile(context: &Context, args: &ProfileArgs) -> Result<Exit, Exit> {
    let printer = &context.printer;
    let Some(found) = find_root(context.machine.folder()) else {
        let error = larder::run::config::ConfigError::NotFound { start: context.machine.folder().to_owned() };
        return Err(project::refuse(printer, &error));
    };
    let root = found.path.parent().map_or_else(|| context.machine.folder().to_owned(), Path::to_owned);
    let root = std::fs::canonicalize(&root).unwrap_or(root);
    let history = History::open(&root.join(".larder/state"));
    let wanted = match &args.run {
        None | Some(Which::Latest) => Wanted::Last,
        Some(Which::Number(number)) => Wanted::Number(*number),
        Some(Which::Name(name)) => Wanted::Name(name),
    };
    let Some(course) = history.profile(wanted) else {
        return Err(missing(context, &history, wanted));
    };
    if let Some(file) = &args.chrome {
        report::spare(context, file, "\"larder run: ", "trace")?;
        let trace = chrome::trace(&course.profile, &course.profile.project);
        let text = serde_json::to_vec(&trace).unwrap_or_default();
        wrote(context, file, "load it at https://ui.perfetto.dev or chrome://tracing", &|path| {
            whole_file::write(path, |error| error, |mut file| file.write_all(&text))
        })?;
    }
    if let Some(file) = &args.report {
        Page::check(context, file)?;
        let page = Page::new(&course.profile.project, &course.profile, Some(course.run), &root);
        let text = page.text();
        wrote(context, file, "open it in a browser", &|path| {
            whole_file::write(path, |error| error, |mut file| file.write_all(text.as_bytes()))
        })?;
    }
    if args.json {
        printer.json(&to_json(&course, args.top));
    } else if args.chrome.is_none() && args.report.is_none() {
        show(context, &course, args.top);
    }
    Ok(Exit::Success)
}

fn wrote(
    context: &Context,
    file: &Path,
    what_next: &str,
    write: &dyn Fn(&Path) -> std::io::Result<()>,
) -> Result<(), Exit> {
    let shown = units::printable(&file.to_string_lossy()).into_owned();
    if let Err(error) = write(file) {
        context.printer.refuse(format_args!("cannot write `{shown}`: {error}"), None);
        return Err(Exit::Usage);
    }
    context.printer.talk(format_args!("wrote `{shown}`: {what_next}"));
    Ok(())
}

/// No such run, or nothing is known of its course.
fn missing(context: &Context, history: &History, wanted: Wanted<'_>) -> Exit {
    let runs = history.runs();
    let hint = match (runs.first(), runs.last()) {
        (Some(first), Some(last)) => {
            format!("runs {first} to {last} are; a run in which nothing changed has no number")
        }
        _ => "a run is kept when something ran, failed or was restored".to_owned(),
    };
    let message = match wanted {
        Wanted::Last => "no run is kept here".to_owned(),
        Wanted::Number(number) if runs.contains(&number) => {
            format!("of run {number} it is not known where its time went: an older Larder kept it")
        }
        Wanted::Number(number) => format!("run {number} is not kept"),
        Wanted::Name(name) => format!("no run `{name}` is kept here"),
    };
    context.printer.refuse(message, Some(&hint));
    Exit::Usage
}

fn share(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100).saturating_add(whole / 2).checked_div(whole).unwrap_or(0)
}

/// What a recipe's time went to: its command, and what else is worth a word.
fn spent(entry: &Entry) -> String {
    let Some(timing) = &entry.timing else { return String::new() };
    let noticeable = (timing.took / 20).max(1_000);
    let mut phases: Vec<Phase> =
        Phase::ALL.into_iter().filter(|phase| timing.of(*phase) >= noticeable).collect();
    phases.sort_by_key(|phase| std::cmp::Reverse(timing.of(*phase)));
    let words: Vec<String> = phases
        .iter()
        .take(3)
        .map(|phase| format!("{} {}", phase.name().replace('_', "-"), time(timing.of(*phase))))
        .collect();
    words.join(", ")
}

fn show(context: &Context, course: &Course, top: usize) {
    let (printer, profile) = (&context.printer, &course.profile);
    let totals = Totals::of(profile);
    let title = |text: &str| printer.data(format_args!("\n{}", printer.paint(Style::Name, text)));
    let ago = course.at.elapsed().map_or_else(|_| "just now".to_owned(), units::ago);
    let name = profile.name.as_ref().map(|name| format!(" `{name}`")).unwrap_or_default();
    let run = printer.paint(Style::Name, &format!("run {}{name}", course.run));
    let slots = units::counted(profile.jobs as usize, "slot", "slots");
    let end = if profile.cancelled { ", cancelled" } else { "" };
    printer.data(format_args!("{run} ({ago}): {} with {slots}{end}", time(profile.wall())));
    printer.data(format_args!("  {}", outcomes(profile)));
    let chain = path::critical(profile);
    title("critical path");
    show_chain(context, profile, &chain);
    title("where time went");
    show_phases(context, profile, &totals);
    if !totals.tiers.is_empty() {
        title("hits");
        for (tier, hits) in &totals.tiers {
            let restored =
                if hits.restored > 0 { format!(", {} restored", hits.restored) } else { String::new() };
            printer.data(format_args!("  {tier:<8}  {}{restored}, saved {}", hits.hits, time(hits.saved)));
        }
    }
    title("slowest");
    let slowest = totals::slowest(profile, top);
    let width = widest(profile, slowest.iter().copied());
    for at in slowest {
        let entry = &profile.recipes[at];
        let took = entry.timing.as_ref().map_or(0, |timing| timing.took);
        printer.data(format_args!("  {}  {:>8}   {}", named(entry, width), time(took), spent(entry)));
    }
    title("parallelism");
    printer.data(format_args!(
        "  {:.1} at once on average, {} at most, of {slots}; with a slot for each recipe it would take {}",
        totals.at_once(profile),
        totals.most_at_once,
        time(profile.before + path::shortest(profile) + profile.sending)
    ));
}

fn outcomes(profile: &Profile) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for entry in &profile.recipes {
        let name = entry.ended.name();
        match counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name, 1)),
        }
    }
    let counts: Vec<String> =
        counts.iter().map(|(name, count)| format!("{count} {}", name.replace('_', " "))).collect();
    format!("{}: {}", units::counted(profile.recipes.len(), "recipe", "recipes"), counts.join(", "))
}

fn widest(profile: &Profile, places: impl Iterator<Item = usize>) -> usize {
    let width = |at: usize| console::measure_text_width(&units::printable(&profile.recipes[at].recipe));
    places.map(width).filter(|width| *width <= 48).max().unwrap_or(0)
}

fn named(entry: &Entry, width: usize) -> String {
    let name = units::printable(&entry.recipe);
    let gap = " ".repeat(width.saturating_sub(console::measure_text_width(&name)));
    format!("{name}{gap}")
}

fn show_chain(context: &Context, profile: &Profile, chain: &[Link]) {
    let printer = &context.printer;
    let took = |link: &Link| profile.recipes[link.at].timing.as_ref().map_or(0, |timing| timing.took);
    let whole: u64 = chain.iter().map(took).sum();
    // The middle of a long chain is the least telling.
    let (first, last) = if chain.len() > LONGEST_CHAIN {
        (LONGEST_CHAIN / 2, chain.len() - LONGEST_CHAIN / 2)
    } else {
        (chain.len(), chain.len())
    };
    let width = widest(profile, chain.iter().map(|link| link.at));
    for (number, link) in chain.iter().enumerate() {
        if number == first {
            printer.data(format_args!("  … {} more (`--json` has all)", last - first));
        }
        if (first..last).contains(&number) {
            continue;
        }
        let entry = &profile.recipes[link.at];
        let waited = match link.after {
            After::Slot => format!("waited {} for a slot; ", time(link.waited)),
            After::Start | After::Dependency => String::new(),
        };
        printer.data(format_args!(
            "  {}  {:>8}   {waited}{}",
            named(entry, width),
            time(took(link)),
            spent(entry)
        ));
    }
    printer.data(format_args!("  {} of {}", time(whole), time(profile.took)));
}

fn show_phases(context: &Context, profile: &Profile, totals: &Totals) {
    let printer = &context.printer;
    let mut phases = Phase::ALL;
    phases.sort_by_key(|phase| std::cmp::Reverse(totals.spent[phase.at()]));
    printer.data(format_args!("  {:<32}  {:>8}", "in job slots", time(totals.busy)));
    for phase in phases {
        let spent = totals.spent[phase.at()];
        if spent >= 50 {
            printer.data(format_args!(
                "    {:<30}  {:>8}  {:>3} %",
                phase.words(),
                time(spent),
                share(spent, totals.busy)
            ));
        }
    }
    let beside = [
        ("recipes waiting for a slot", totals.queued),
        ("before the first recipe", profile.before),
        ("sending to tiers, at the end", profile.sending),
    ];
    for (words, spent) in beside.into_iter().filter(|(_, spent)| *spent >= 500) {
        printer.data(format_args!("  {words:<32}  {:>8}", time(spent)));
    }
}

fn millis(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

fn to_json(course: &Course, top: usize) -> Value {
    let profile = &course.profile;
    let totals = Totals::of(profile);
    let phases = |spent: &[u64; Phase::COUNT]| -> Value {
        Phase::ALL
            .iter()
            .map(|phase| (format!("{}_ms", phase.name()), json!(millis(spent[phase.at()]))))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let link = |link: &Link| {
        let after = match link.after {
            After::Start => "start",
            After::Dependency => "dependency",
            After::Slot => "slot",
        };
        json!({"recipe": profile.recipes[link.at].recipe, "after": after, "waited_ms": millis(link.waited)})
    };
    let recipe = |entry: &Entry| {
        let mut told = json!({
            "recipe": entry.recipe,
            "persistent": entry.server,
            "outcome": entry.ended.name(),
            "dependencies": entry.dependencies.iter().map(|at| profile.recipes[*at as usize].recipe.as_str()).collect::<Vec<_>>(),
        });
        match &entry.ended {
            Ended::Cached { tier, restored, saved } => {
                told["tier"] = json!(tier);
                told["restored"] = json!(restored);
                told["saved_ms"] = json!(millis(*saved));
            }
            Ended::Ran { miss, .. } => told["miss"] = json!(miss),
            Ended::Failed { reason } => told["reason"] = json!(reason),
            _ => {}
        }
        if let Some(timing) = &entry.timing {
            told["lane"] = json!(timing.lane);
            told["ready_ms"] = json!(millis(timing.ready));
            told["begun_ms"] = json!(millis(timing.begun));
            told["took_ms"] = json!(millis(timing.took));
            told["spent"] = phases(&timing.spent);
        }
        told
    };
    let tiers: serde_json::Map<String, Value> = totals
        .tiers
        .iter()
        .map(|(tier, hits)| {
            (
                tier.clone(),
                json!({"hits": hits.hits, "restored": hits.restored, "saved_ms": millis(hits.saved)}),
            )
        })
        .collect();
    let slowest = totals::slowest(profile, top);
    json!({
        "version": 1,
        "run": course.run,
        "name": profile.name,
        "project": profile.project,
        "begun_unix_ms": profile.begun / 1000,
        "jobs": profile.jobs,
        "cancelled": profile.cancelled,
        "wall_ms": millis(profile.wall()),
        "before_ms": millis(profile.before),
        "took_ms": millis(profile.took),
        "sending_ms": millis(profile.sending),
        "busy_ms": millis(totals.busy),
        "queued_ms": millis(totals.queued),
        "at_once": totals.at_once(profile),
        "most_at_once": totals.most_at_once,
        "shortest_ms": millis(path::shortest(profile)),
        "saved_ms": millis(totals.saved),
        "spent": phases(&totals.spent),
        "tiers": tiers,
        "critical_path": path::critical(profile).iter().map(link).collect::<Vec<_>>(),
        "slowest": slowest.into_iter().map(|at| profile.recipes[at].recipe.as_str()).collect::<Vec<_>>(),
        "recipes": profile.recipes.iter().map(recipe).collect::<Vec<_>>(),
    })
}
