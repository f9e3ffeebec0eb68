//! `larder doctor`: tries what the cache stands on, and says what to mend.

use std::time::Duration;

use larder::project::OpenProject;
use larder::remote::{Examination, Rate};
use larder::run::template::Execution;
use larder::store::Store;
use larder::store::trust::Policy;
use serde_json::{Value, json};

use super::{Context, project};
use crate::cli::DoctorArgs;
use crate::exit::Exit;
use crate::printer::{Printer, Style};
use crate::units;

/// A clock further away makes clouds refuse requests, and not-before times wrong.
const CLOCK_TOLERANCE_MS: i64 = 30_000;
/// Slower look-ups than this are worth a remark: a run makes one for each recipe that it lacks.
const SLOW: Duration = Duration::from_millis(500);

/// Runs the command.
pub(super) fn doctor(context: &Context, args: &DoctorArgs) -> Result<Exit, Exit> {
    let around = context.machine.surroundings(None);
    let open = project::open(context, &around, Execution::Inert)?;
    let store = project::store(context, &around, &open)?;
    let mut findings = Findings { printer: &context.printer, json: args.json, trouble: 0 };
    findings.store(&open, store.as_ref());
    findings.keys(store.as_ref());
    findings.sandbox();
    let cache = &open.project.config.cache;
    let tiers = if args.tiers.is_empty() {
        larder::tiers::configured(cache, &open.project.root, &around, true)
    } else {
        let tier = |name: &String| project::tier(context, &around, &open, name);
        args.tiers.iter().map(tier).collect::<Result<_, _>>()?
    };
    project::close(&open);
    if tiers.is_empty() {
        findings.say("tiers", "none is configured", &json!({"part": "tiers", "configured": 0}));
    } else if !cache.remotes.enabled {
        let off = json!({"part": "tiers", "configured": tiers.len(), "enabled": false});
        findings.say("tiers", "`remotes.enabled: false`: runs do not use them", &off);
    }
    let runtime = larder::tiers::runtime();
    for tier in tiers {
        let opened = (tier.open)().and_then(|opened| Ok((opened, runtime.handle()?)));
        match opened {
            Ok((opened, runtime)) => {
                let examined = runtime.block_on(opened.examine(larder::cache::DEFAULT_NAMESPACE));
                findings.tier(tier.name, &examined);
            }
            Err(error) => findings.broken(tier.name, "open", &error),
        }
    }
    let exit = if findings.trouble == 0 { Exit::Success } else { Exit::Usage };
    Ok(exit)
}

/// Says what is found, as it is found.
struct Findings<'a> {
    printer: &'a Printer,
    json: bool,
    trouble: usize,
}

impl Findings<'_> {
    fn say(&self, part: &str, line: &str, value: &Value) {
        if self.json {
            self.printer.json(value);
        } else {
            self.printer.data(format_args!("{part:<7} {line}"));
        }
    }

    fn trouble(&mut self, part: &str, what: &str, message: &str, hint: Option<&str>) {
        self.trouble += 1;
        if self.json {
            let value = json!({"part": part, "check": what, "ok": false, "error": message, "hint": hint});
            self.printer.json(&value);
            return;
        }
        let bad = self.printer.paint(Style::Bad, "fails");
        self.printer.data(format_args!("{part:<7} {what} {bad}: {message}"));
        if let Some(hint) = hint {
            self.printer.data(format_args!("{:<7} {hint}", ""));
        }
    }

    fn broken(&mut self, part: &str, what: &str, error: &larder::core::Error) {
        self.trouble(part, what, &error.to_string(), error.hint());
    }

    fn store(&mut self, open: &OpenProject, store: Option<&Store>) {
        let cache = &open.project.config.cache;
        let Some(store) = store else {
            if cache.local.enabled {
                self.trouble("store", "open", "it cannot be used", Some("see the warning above"));
            } else {
                self.say("store", "`local: {enabled: false}`", &json!({"part": "store", "enabled": false}));
            }
            return;
        };
        let local = store.local_store();
        match local.stats() {
            Ok(held) => {
                let limit = cache.local.max_size.unwrap_or(held.default_limit);
                let home = local.home().path().display().to_string();
                let line = format!(
                    "{}  {} of {}",
                    units::printable(&home),
                    units::bytes(held.physical_bytes),
                    units::bytes(limit)
                );
                let value = json!({
                    "part": "store", "home": home, "bytes": held.physical_bytes, "limit": limit, "ok": true,
                });
                self.say("store", &line, &value);
            }
            Err(error) => self.broken("store", "read", &error),
        }
    }

    fn keys(&mut self, store: Option<&Store>) {
        let Some(store) = store else { return };
        let (trust, signer) = (store.trust(), store.signer());
        let line = match (trust.policy(), signer.key_id()) {
            (Policy::Off, _) => "`signing: off`: unsigned results are believed".to_owned(),
            (Policy::OwnOnly, _) => {
                "none: remote tiers are not used (`larder key generate`, or LARDER_CACHE_SECRET)".to_owned()
            }
            (Policy::VerifyOnly, _) => {
                format!("{} trusted, none signs: nothing is sent", trust.keys().len())
            }
            (Policy::Required, Some(id)) => {
                let trusted = units::counted(trust.keys().len(), "key is", "keys are");
                format!("signs with {id}; {trusted} trusted")
            }
            (Policy::Required, None) => {
                format!("{} trusted, none signs: nothing is sent", trust.keys().len())
            }
        };
        let value = json!({
            "part": "keys", "signs": signer.signs(), "key_id": signer.key_id(), "trusted": trust.keys().len(),
        });
        self.say("keys", &line, &value);
    }

    /// Without one, recipes that want one fail; whether there are any is not this command's to know, so it is no trouble.
    fn sandbox(&mut self) {
        let tried = tempfile::tempdir().map_err(|error| (error.to_string(), None)).and_then(|scratch| {
            let probed = larder::run::sandbox::probe(scratch.path());
            probed.map_err(|error| (larder::core::error::chain(&error), larder::run::sandbox::hint(&error)))
        });
        let (line, value) = match tried {
            Ok(()) => (
                "can be had: recipes may say `sandbox: true`".to_owned(),
                json!({"part": "sandbox", "ok": true}),
            ),
            Err((message, hint)) => (
                hint.iter().fold(message.clone(), |line, hint| format!("{line}\n{:<7} {hint}", "")),
                json!({"part": "sandbox", "ok": false, "error": message, "hint": hint}),
            ),
        };
        self.say("sandbox", &line, &value);
    }

    fn tier(&mut self, name: &str, examined: &Examination) {
        for (what, error) in examined.failures() {
            // Only deletion lists, and who may only read is told what that means.
            self.broken(name, what, error);
        }
        let median = examined.look_up.as_ref().and_then(|tried| tried.as_ref().ok()).map(|took| median(took));
        let mut parts = Vec::new();
        if let Some(median) = median {
            parts.push(format!("answers in {}", units::duration(median)));
        }
        let rate = |tried: &Option<larder::core::Result<Rate>>| {
            tried.as_ref().and_then(|tried| tried.as_ref().ok()).map(Rate::per_second)
        };
        let (up, down) = (rate(&examined.write), rate(&examined.read));
        for (word, rate) in [("up", up), ("down", down)] {
            parts.extend(rate.map(|rate| format!("{word} {}/s", units::bytes(rate))));
        }
        let done = |tried: &Option<larder::core::Result<()>>| matches!(tried, Some(Ok(())));
        let rights = [
            ("read", median.is_some()),
            ("write", up.is_some()),
            ("list", done(&examined.list)),
            ("delete", done(&examined.delete)),
        ];
        let may: Vec<&str> = rights.iter().filter(|(_, may)| *may).map(|(name, _)| *name).collect();
        if !may.is_empty() {
            parts.push(format!("may {}", may.join(", ")));
        }
        match examined.creates {
            Some(true) => parts.push("creates if absent".into()),
            Some(false) => parts.push("ignores `create if absent`: the last writer wins".into()),
            None => {}
        }
        if self.json {
            self.printer.json(&json!({
                "part": name, "ok": examined.failures().next().is_none(),
                "look_up_ms": median.map(|took| took.as_secs_f64() * 1e3),
                "up_bytes_per_second": up, "down_bytes_per_second": down, "may": may,
                "creates": examined.creates, "clock_ahead_ms": examined.clock_ahead,
            }));
        } else if !parts.is_empty() {
            self.say(name, &parts.join(", "), &Value::Null);
        }
        self.remarks(name, median, examined.clock_ahead);
    }

    fn remarks(&mut self, name: &str, median: Option<Duration>, clock_ahead: Option<i64>) {
        if let Some(ahead) = clock_ahead.filter(|ahead| ahead.abs() > CLOCK_TOLERANCE_MS) {
            let way = if ahead > 0 { "ahead of" } else { "behind" };
            let by = units::duration(Duration::from_millis(ahead.unsigned_abs()));
            self.trouble(
                name,
                "clock",
                &format!("it is {by} {way} this machine's"),
                Some("set this machine's clock"),
            );
        }
        if let Some(median) = median.filter(|median| *median > SLOW && !self.json) {
            let message = format!(
                "look-ups take {}: every recipe that must run waits so long",
                units::duration(median)
            );
            self.printer.warning(format_args!("{name}: {message}"), Some("use a region that is nearer"));
        }
    }
}

fn median(took: &[Duration]) -> Duration {
    let mut took = took.to_vec();
    took.sort();
    took.get(took.len() / 2).copied().unwrap_or_default()
}
