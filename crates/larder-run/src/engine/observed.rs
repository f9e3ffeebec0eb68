//! What a command is seen to touch, beside what its recipe declares: `trace: warn|strict`, and observing on demand.
//!
//! The verdict falls after the run, from what is declared and on disk then. A trace that is not whole proves nothing, so
//! nothing is cached with it; a recipe that is only observed on demand is cached as ever.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::Session;
use super::execute::environment;
use super::recipe::{Job, Now, find_tool};
use super::schedule::Made;
use super::spared::Spared;
use crate::event::Event;
use crate::outputs::OutputSpec;
use crate::process::{Watch, Way};
use crate::recipe::{Recipe, RecipeId, TraceMode};
use crate::trace::{Declared, FromDependency, Trace, TraceObserver, Undeclared, judge};
use crate::worktree::InputError;

/// How long after the command's end the observer may take to tell.
const PATIENCE: Duration = Duration::from_secs(30);
/// Names in a message.
const MOST_NAMED: usize = 12;

/// An observed command's trace, to come.
pub(super) struct Observed(Receiver<Trace>);

/// Sets an observer up, if one is wanted.
pub(super) fn begin(session: &Session<'_>, recipe: &Recipe) -> Option<(Watch, Observed)> {
    let mode = if recipe.cache.is_some() { recipe.trace.mode } else { TraceMode::Off };
    if mode == TraceMode::Off && !session.options.trace_all {
        return None;
    }
    let (send, receive) = channel();
    let observer = TraceObserver::new(send);
    let watch = Watch { calls: observer.calls(), way: Way::Best, observer: Box::new(observer) };
    Some((watch, Observed(receive)))
}

impl Observed {
    /// The trace, now that the command is over.
    fn end(self) -> Trace {
        self.0.recv_timeout(PATIENCE).unwrap_or_else(|_| Trace {
            incomplete: Some("the observer did not come to an end".to_owned()),
            ..Trace::default()
        })
    }
}

/// Tells what an uncached recipe touched: it declares nothing.
pub(super) fn tell_uncached(session: &Session<'_>, recipe: &Recipe, observed: Observed) {
    let trace = observed.end();
    let undeclared = judge(&trace, &surroundings(session, recipe));
    (session.events)(Event::Traced { recipe: &recipe.id, trace: &trace, undeclared: &undeclared });
}

impl Job<'_> {
    /// Judges what was seen. The reason why the result must not be recorded, if there is one.
    pub(super) fn verdict(&self, now: &Now, observed: Observed) -> Option<String> {
        let (session, recipe) = (self.session, self.recipe);
        let mut trace = observed.end();
        let undeclared = match self.declared(now) {
            Ok(declared) => judge(&trace, &declared),
            Err(error) => {
                trace.incomplete.get_or_insert(super::execute::chain(&error));
                Undeclared::default()
            }
        };
        (session.events)(Event::Traced { recipe: &recipe.id, trace: &trace, undeclared: &undeclared });
        let mode = recipe.trace.mode;
        if mode == TraceMode::Off {
            return None;
        }
        if !undeclared.is_empty() {
            let message = message(&undeclared);
            let hint = "declare them in `inputs`, `outputs` or `tools` (`larder run --suggest-inputs` writes that), or, if \
                        they cannot change the result, in `trace: {mode: …, ignore: […]}`";
            (session.events)(Event::Warning {
                recipe: Some(&recipe.id),
                message: &message,
                hint: Some(hint),
            });
        }
        if let Some(reason) = &trace.incomplete {
            let message = format!("not all that it touches could be seen: {reason}");
            let hint = "without `trace` it would be cached";
            (session.events)(Event::Warning {
                recipe: Some(&recipe.id),
                message: &message,
                hint: Some(hint),
            });
            return Some(format!("its trace is incomplete: {reason}"));
        }
        (mode == TraceMode::Strict).then(|| short(&undeclared)).flatten()
    }

    /// All that the recipe declares, as it is on disk now.
    fn declared(&self, now: &Now) -> Result<Declared, InputError> {
        let (session, recipe) = (self.session, self.recipe);
        let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
        let entries = session.worktree.entries(&now.inputs)?;
        let mut inputs: BTreeSet<Vec<u8>> = entries.iter().map(|entry| bytes(&entry.path)).collect();
        let spared = Spared::look(session, recipe, self.cache, &self.spec)?;
        inputs.extend(spared.entries().iter().map(|entry| bytes(&entry.path)));
        let mut declared = surroundings(session, recipe);
        declared.inputs = inputs;
        declared.cover = Some(session.worktree.cover(&now.inputs)?);
        declared.outputs = self.spec.clone();
        declared.incremental = recipe.incremental;
        declared.dependencies = self.from_dependencies();
        Ok(declared)
    }

    fn from_dependencies(&self) -> Vec<FromDependency> {
        let Some((plan, ..)) = self.plan else { return Vec::new() };
        let made = |(id, made): (&RecipeId, &Made)| {
            let outputs = made.outputs.as_ref()?;
            let recipe = plan.recipes.iter().find(|recipe| recipe.id == *id)?;
            let spec = OutputSpec::new(&recipe.folder, &recipe.cache.as_ref()?.outputs).ok()?;
            let paths = outputs.spec.paths.iter().map(|path| path.as_os_str().as_bytes().to_vec()).collect();
            Some(FromDependency { spec, paths })
        };
        self.recipe.dependencies.iter().zip(self.dependencies).filter_map(made).collect()
    }
}

/// What is declared by nothing but where the recipe runs.
fn surroundings(session: &Session<'_>, recipe: &Recipe) -> Declared {
    let environment = environment(session, recipe);
    let value = |wanted: &str| -> Option<&OsString> {
        environment.iter().find(|(name, _)| name == wanted).map(|(_, value)| value)
    };
    let real = |path: &OsStr| {
        let path = Path::new(path);
        path.is_absolute().then(|| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()))
    };
    // The user's own home, whatever the recipe is told.
    let home = session.options.environment.get(OsStr::new("HOME")).and_then(|home| real(home));
    let mut exempt: Vec<PathBuf> =
        ["/tmp", "/var/tmp", "/dev", "/proc", "/sys", "/run"].iter().map(PathBuf::from).collect();
    exempt.extend(value("TMPDIR").and_then(|folder| real(folder)));
    exempt.push(session.state.folder().to_owned());
    exempt.extend(
        session
            .options
            .flights
            .as_ref()
            .and_then(|locks| locks.parent())
            .and_then(|home| real(home.as_os_str())),
    );
    // A run within the recipe keeps its results where it is not told otherwise.
    exempt.extend(home.as_ref().map(|home| home.join(".cache/larder")));
    let search = value("PATH")
        .map(|path| std::env::split_paths(path).filter_map(|folder| real(folder.as_os_str())).collect());
    let tools = recipe.tools.iter().filter_map(|tool| find_tool(session, recipe, tool)).collect();
    Declared {
        root: session.root.clone(),
        home,
        folder: recipe.folder.clone().into_os_string().into_vec(),
        inputs: BTreeSet::new(),
        cover: None,
        outputs: OutputSpec::default(),
        incremental: false,
        dependencies: Vec::new(),
        tools,
        exempt,
        search: search.unwrap_or_default(),
        ignore: recipe.trace.ignore.clone(),
    }
}

/// Why it is not cached, in few words.
fn short(undeclared: &Undeclared) -> Option<String> {
    let (what, first) = match (undeclared.inputs().next(), undeclared.outputs().next()) {
        (Some(input), _) => ("input", input),
        (None, output) => ("output", output?),
    };
    let more = undeclared.found.len() - 1;
    let more = if more > 0 { format!(" (+{more})") } else { String::new() };
    Some(format!("undeclared {what} `{}`{more}", first.name))
}

/// All of it, by what was done.
fn message(undeclared: &Undeclared) -> String {
    use crate::trace::AccessKind::{Executed, Listed, Missing, Read, Written};
    let mut parts = Vec::new();
    let mut left = MOST_NAMED;
    for (kind, verb) in [
        (Read, "reads"),
        (Executed, "executes"),
        (Listed, "lists"),
        (Missing, "looks for"),
        (Written, "writes"),
    ] {
        let names: Vec<String> = undeclared
            .found
            .iter()
            .filter(|found| found.access.kind == kind)
            .map(|found| format!("`{}`", found.name))
            .collect();
        if names.is_empty() {
            continue;
        }
        let shown = names.len().min(left.max(1));
        left -= shown.min(left);
        let mut part = format!("{verb} {}", names[..shown].join(", "));
        if names.len() > shown {
            part.push_str(&format!(" and {} more", names.len() - shown));
        }
        parts.push(part);
    }
    format!("it touches what it does not declare: {}", parts.join("; "))
}
