//! The page, section by section.

use std::fmt::Write;
use std::time::Duration;

use base64::Engine;
use larder::core::DigestFunction;
use larder::run::profile::path::{self, After};
use larder::run::profile::totals::Totals;
use larder::run::profile::{Ended, Entry, Phase, Profile};

use super::Page;
use super::html::{escape, escaped, log, percent};
use crate::units;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Links of the chain that are listed at its beginning and at its end.
const SHOWN_LINKS: usize = 12;
/// Lanes that are drawn.
const MOST_LANES: u32 = 128;

/// What is the same for all sections.
struct Seen<'a> {
    page: &'a Page<'a>,
    profile: &'a Profile,
    totals: Totals,
    chain: Vec<path::Link>,
}

fn time(micros: u64) -> String {
    units::exact_duration(Duration::from_micros(micros))
}

/// The whole file.
pub(super) fn page(page: &Page<'_>) -> String {
    let profile = page.profile;
    let seen = Seen { page, profile, totals: Totals::of(profile), chain: path::critical(profile) };
    let mut out = String::with_capacity(32_768 + profile.recipes.len() * 640);
    seen.head(&mut out);
    seen.summary(&mut out);
    seen.timeline(&mut out);
    seen.failures(&mut out);
    out.push_str("<div class=two>");
    seen.critical(&mut out);
    seen.phases(&mut out);
    out.push_str("</div>");
    seen.table(&mut out);
    out.push_str("<footer>Written by larder ");
    escape(&mut out, env!("CARGO_PKG_VERSION"));
    out.push_str(
        ". Times are wall time; a recipe that waits for a job slot has not begun.</footer></main><script>",
    );
    out.push_str(SCRIPT);
    out.push_str("</script></body></html>\n");
    out
}

/// Writing to a string never fails.
macro_rules! put {
    ($out:expr, $($arg:tt)*) => {{ let _ = write!($out, $($arg)*); }};
}

impl Seen<'_> {
    fn count(&self, wanted: fn(&Ended) -> bool) -> usize {
        self.profile.recipes.iter().filter(|entry| wanted(&entry.ended)).count()
    }

    fn title(&self) -> String {
        let profile = self.profile;
        let mut title = escaped(self.page.project);
        match (&profile.name, self.page.run) {
            (Some(name), _) => put!(title, " · {}", escaped(name)),
            (None, Some(run)) => put!(title, " · run {run}"),
            (None, None) => {}
        }
        title
    }

    fn verdict(&self) -> &'static str {
        if self.profile.cancelled {
            "cancelled"
        } else if self.count(|ended| matches!(ended, Ended::Failed { .. })) > 0 {
            "failed"
        } else {
            "succeeded"
        }
    }

    fn head(&self, out: &mut String) {
        let digest = DigestFunction::Sha256.digest(SCRIPT.as_bytes()).hash.0;
        let digest = base64::engine::general_purpose::STANDARD.encode(digest);
        let title = self.title();
        put!(
            out,
            "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8>\
             <meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'\">\
             <meta name=generator content=larder><meta name=viewport content=\"width=device-width,initial-scale=1\"><meta name=referrer content=no-referrer>\
             <title>{title}: {}</title><style>{STYLE}</style></head><body><main>",
            self.verdict()
        );
    }

    fn summary(&self, out: &mut String) {
        let profile = self.profile;
        put!(out, "<header><h1>{}</h1>", self.title());
        let begun = i64::try_from(profile.begun / 1_000_000).unwrap_or(0);
        if let Ok(begun) = jiff::Timestamp::from_second(begun) {
            let stamp = begun.to_string();
            put!(out, "<time datetime=\"{stamp}\">{}</time>", stamp.replace('T', " ").replace('Z', " UTC"));
        }
        let ran = self.count(|ended| matches!(ended, Ended::Ran { .. }));
        let cached = self.count(|ended| matches!(ended, Ended::Cached { .. }));
        let failed = self.count(|ended| matches!(ended, Ended::Failed { .. }));
        let others: Vec<String> = [
            (self.count(|ended| matches!(ended, Ended::Skipped { .. })), "skipped"),
            (self.count(|ended| matches!(ended, Ended::Cancelled)), "cancelled"),
            (self.count(|ended| matches!(ended, Ended::NotNeeded)), "not needed"),
            (self.count(|ended| matches!(ended, Ended::Serving)), "serving"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
        let recipes = units::counted(profile.recipes.len(), "recipe", "recipes");
        let is_bad = failed > 0 || profile.cancelled;
        put!(
            out,
            "<p class=\"sum{}\"><b>{}</b> · {recipes} in {}</p></header><dl class=tiles>",
            if is_bad { " bad" } else { "" },
            self.verdict(),
            time(profile.wall())
        );
        let tiers: Vec<String> =
            self.totals.tiers.iter().map(|(tier, hits)| format!("{} {tier}", hits.hits)).collect();
        tile(out, "cached", &cached.to_string(), &tiers.join(", "));
        tile(out, "ran", &ran.to_string(), "");
        tile(out, "failed", &failed.to_string(), &others.join(", "));
        tile(out, "saved", &time(self.totals.saved), "what hits took when they ran");
        let at_once = format!("{:.1}", self.totals.at_once(profile));
        tile(
            out,
            "at once",
            &at_once,
            &format!("on average, of {}", units::counted(profile.jobs as usize, "slot", "slots")),
        );
        out.push_str("</dl>");
    }

    fn timeline(&self, out: &mut String) {
        let profile = self.profile;
        let whole = profile.recipes.iter().filter_map(|entry| Some(entry.timing.as_ref()?.end())).max();
        let Some(whole) = whole.map(|end| end.max(profile.took).max(1)) else { return };
        out.push_str("<section><h2>Timeline</h2><div class=time aria-hidden=true><div class=plot>");
        let step = tick(whole);
        for at in (0..).map(|n| n * step).take_while(|at| *at < whole - whole / 16) {
            out.push_str("<div class=tick style=left:");
            percent(out, at, whole);
            put!(out, ">{}</div>", ticked(at, step));
        }
        for (lane, server) in profile.lanes().into_iter().take(MOST_LANES as usize) {
            let name = if server { "server".to_owned() } else { format!("slot {}", lane + 1) };
            put!(out, "<div class=lane><span>{name}</span>");
            for (at, entry) in profile.recipes.iter().enumerate() {
                if entry.timing.as_ref().is_some_and(|timing| timing.lane == lane) {
                    self.bar(out, at, entry, whole);
                }
            }
            out.push_str("</div>");
        }
        out.push_str(
            "</div></div><ul class=key><li class=ran>ran<li class=cached>cached<li class=failed>failed<li>not finished\
             <li class=crit>on the critical path</ul></section>",
        );
    }

    fn bar(&self, out: &mut String, at: usize, entry: &Entry, whole: u64) {
        let Some(timing) = &entry.timing else { return };
        let critical = self.chain.iter().any(|link| link.at == at);
        put!(
            out,
            "<a tabindex=-1 class=\"bar {}{}\" href=#r{at} style=left:",
            entry.ended.name(),
            if critical { " crit" } else { "" }
        );
        percent(out, timing.begun, whole);
        out.push_str(";width:");
        percent(out, timing.took, whole);
        let name = escaped(&entry.recipe);
        put!(out, " title=\"{name}: {}\">", time(timing.took));
        // A bar that is too narrow for any text has none.
        if timing.took.saturating_mul(40) >= whole {
            put!(out, "<i>{name}</i>");
        }
        out.push_str("</a>");
    }

    fn failures(&self, out: &mut String) {
        let failed: Vec<(usize, &Entry, &str)> = self
            .profile
            .recipes
            .iter()
            .enumerate()
            .filter_map(|(at, entry)| match &entry.ended {
                Ended::Failed { reason } => Some((at, entry, reason.as_str())),
                _ => None,
            })
            .collect();
        if failed.is_empty() {
            return;
        }
        out.push_str("<section><h2>Failures</h2>");
        for (at, entry, reason) in failed {
            put!(
                out,
                "<article class=fail id=f{at}><h3>{}</h3><b class=bad>{}</b>",
                escaped(&entry.recipe),
                escaped(reason)
            );
            match self.page.logs.get(&at) {
                Some(tail) if !tail.text.is_empty() => {
                    let cut = if tail.is_cut { "… the end of its output\n" } else { "" };
                    put!(out, "<pre tabindex=0>{cut}{}</pre>", log(&tail.text));
                }
                Some(_) if entry.timing.is_some() => out.push_str("<p class=dim>It wrote nothing.</p>"),
                _ => {}
            }
            out.push_str("</article>");
        }
        out.push_str("</section>");
    }

    fn critical(&self, out: &mut String) {
        if self.chain.is_empty() {
            return;
        }
        let took =
            |link: &path::Link| self.profile.recipes[link.at].timing.as_ref().map_or(0, |timing| timing.took);
        let whole: u64 = self.chain.iter().map(took).sum();
        let longest = self.chain.iter().map(took).max().unwrap_or(0);
        put!(
            out,
            "<section><h2>Critical path</h2><p class=dim>What decided how long it took: {} of {}. With a slot for each recipe it would be {}.</p><table class=bars>",
            time(whole),
            time(self.profile.took),
            time(path::shortest(self.profile))
        );
        for (number, link) in self.chain.iter().enumerate() {
            let hidden = self.chain.len().saturating_sub(2 * SHOWN_LINKS);
            if number == SHOWN_LINKS && hidden > 0 {
                put!(out, "<tr><th scope=row class=dim>… {hidden} more, in the table<td><td>");
            }
            if (SHOWN_LINKS..SHOWN_LINKS + hidden).contains(&number) {
                continue;
            }
            let entry = &self.profile.recipes[link.at];
            let Some(timing) = &entry.timing else { continue };
            put!(out, "<tr><th scope=row><a href=#r{}>{}</a>", link.at, escaped(&entry.recipe));
            if link.after == After::Slot {
                put!(out, "<br><span class=dim>waited {} for a slot</span>", time(link.waited));
            }
            put!(out, "<td>{}", time(timing.took));
            width(out, timing.took, longest);
        }
        out.push_str("</table></section>");
    }

    fn phases(&self, out: &mut String) {
        let (totals, profile) = (&self.totals, self.profile);
        put!(
            out,
            "<section><h2>Where time went</h2><p class=dim>{} in job slots; {} before the first recipe",
            time(totals.busy),
            time(profile.before)
        );
        if profile.sending > 0 {
            put!(out, "; {} sending to tiers at the end", time(profile.sending));
        }
        out.push_str(".</p><table class=bars>");
        let mut phases = Phase::ALL;
        phases.sort_by_key(|phase| std::cmp::Reverse(totals.spent[phase.at()]));
        for phase in phases {
            let spent = totals.spent[phase.at()];
            if spent > 0 {
                put!(out, "<tr><th scope=row>{}<td>{}", phase.words(), time(spent));
                width(out, spent, totals.busy);
            }
        }
        out.push_str("</table></section>");
    }

    fn table(&self, out: &mut String) {
        out.push_str(
            "<section><h2 id=recipes>Recipes</h2><div class=tools hidden><input type=search id=find placeholder=Filter aria-label=\"filter recipes\">\
             <select id=order aria-label=\"order of recipes\" hidden><option value=6u>in order of begin<option value=4d>slowest first<option value=5d>most saved first\
             <option value=0u>by name<option value=1u>by outcome</select></div>\
             <table class=all aria-labelledby=recipes><thead><tr>",
        );
        for head in ["recipe", "outcome", "why", "tier", "took", "saved", "at"] {
            put!(out, "<th scope=col><button type=button disabled>{head}</button>");
        }
        out.push_str("<tbody>");
        for (at, entry) in self.profile.recipes.iter().enumerate() {
            row(out, at, entry);
        }
        out.push_str("</table><p id=none class=dim hidden>No recipe has that.</p></section>");
    }
}

fn tile(out: &mut String, name: &str, value: &str, remark: &str) {
    put!(out, "<div><dt>{name}<dd>{value}");
    if !remark.is_empty() {
        put!(out, "<small>{}</small>", escaped(remark));
    }
    out.push_str("</div>");
}

fn width(out: &mut String, part: u64, whole: u64) {
    out.push_str("<td class=w aria-hidden=true><i style=width:");
    percent(out, part, whole);
    out.push_str("></i>");
}

fn row(out: &mut String, at: usize, entry: &Entry) {
    let name = entry.ended.name();
    put!(out, "<tr id=r{at} class={name}><td>{}<td class=o>", escaped(&entry.recipe));
    let (word, why, tier, saved) = match &entry.ended {
        Ended::Cached { tier, restored, saved } => {
            (if *restored { "restored" } else { "in place" }, String::new(), tier.as_str(), Some(*saved))
        }
        Ended::Ran { miss, not_cached, unchanged } => {
            let mut why: Vec<String> = miss.iter().map(|miss| format!("miss: {miss}")).collect();
            why.extend(not_cached.iter().map(|why| format!("not cached: {why}")));
            if *unchanged {
                why.push("made the same bytes".to_owned());
            }
            ("ran", why.join("; "), "", None)
        }
        Ended::Failed { reason } => ("failed", reason.clone(), "", None),
        Ended::Skipped { because } => ("skipped", format!("{because} failed"), "", None),
        Ended::Cancelled => ("cancelled", String::new(), "", None),
        Ended::NotNeeded => ("not needed", String::new(), "", None),
        Ended::Serving => ("serving", String::new(), "", None),
        Ended::WouldRun { miss } => ("would run", miss.clone().unwrap_or_default(), "", None),
    };
    if matches!(entry.ended, Ended::Failed { .. }) {
        put!(out, "<a href=#f{at}>{word}</a>");
    } else {
        out.push_str(word);
    }
    put!(out, "<td>{}<td>{}", escaped(&why), escaped(tier));
    let timed = |out: &mut String, time_of: Option<u64>| match time_of {
        Some(micros) => put!(out, "<td data-v={micros}>{}", time(micros)),
        None => out.push_str("<td>"),
    };
    timed(out, entry.timing.as_ref().map(|timing| timing.took));
    timed(out, saved);
    timed(out, entry.timing.as_ref().map(|timing| timing.begun));
    out.push('\n');
}

/// The distance of ticks, so that there are three to eight.
fn tick(whole: u64) -> u64 {
    const NICE: [u64; 16] =
        [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000];
    let millis = NICE.into_iter().find(|step| whole / (step * 1_000) < 9).unwrap_or(whole / 7_000);
    (millis * 1_000).max(1)
}

fn ticked(at: u64, step: u64) -> String {
    match (at / 1_000, step / 1_000) {
        (0, _) => "0".to_owned(),
        (millis, step) if step >= 60_000 => format!("{} min", millis / 60_000),
        (millis, step) if step >= 1_000 => format!("{} s", millis / 1_000),
        (millis, step) if step >= 100 => format!("{:.1} s", millis as f64 / 1_000.0),
        (millis, _) => format!("{millis} ms"),
    }
}
