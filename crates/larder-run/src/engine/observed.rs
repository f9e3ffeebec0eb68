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
use crate::trace::{Declared, FromDependency, Observation, Trace, TraceObserver, Undeclared, judge};
use crate::worktree::InputError;

/// How long after the command's end the observer may take to tell.
const PATIENCE: Duration = Duration::from_secs(30);

/// An observed command's trace, to come.
pub(super) struct Observed(Receiver<Observation>);

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
    /// What was seen, now that the command is over.
    fn end(self) -> Observation {
        self.0.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            let incomplete = Some("the observer did not come to an end".to_owned());
            Observation { trace: Trace { incomplete, ..Trace::default() }, hindered: false }
        })
    }

    /// What was seen of a command that nobody observed.
    fn none(reason: &str) -> Self {
        let (send, receive) = channel();
        let trace = Trace { incomplete: Some(reason.to_owned()), ..Trace::default() };
        // The other end is right here.
        let _ = send.send(Observation { trace, hindered: false });
        Self(receive)
    }

    /// Whether being observed may be why the command failed, and what kept it.
    pub(super) fn hindered(self) -> Option<String> {
        let Observation { trace, hindered } = self.end();
        trace.incomplete.filter(|_| hindered)
    }
}

/// Tells what an uncached recipe touched: it declares nothing.
pub(super) fn tell_uncached(session: &Session<'_>, recipe: &Recipe, observed: Observed) {
    let trace = observed.end().trace;
    let undeclared = judge(&trace, &surroundings(session, recipe));
    (session.events)(Event::Traced { recipe: &recipe.id, trace: &trace, undeclared: &undeclared });
}

impl Job<'_> {
    /// Judges what was seen. The reason why the result must not be recorded, if there is one.
    /// `unseen`: why it ran unobserved although it should not have.
    pub(super) fn verdict(
        &self,
        now: &Now,
        observed: Option<Observed>,
        unseen: Option<&str>,
    ) -> Option<String> {
        let (session, recipe) = (self.session, self.recipe);
        let observed = match (observed, unseen) {
            (Some(observed), _) => observed,
            (None, None) => return None,
            (None, Some(reason)) => Observed::none(reason),
        };
        let mut trace = observed.end().trace;
        let undeclared = match self.declared(now) {
            Ok(declared) => judge(&trace, &declared),
            Err(error) => {
                trace.incomplete.get_or_insert(larder_core::error::chain(&error));
                Undeclared::default()
            }
        };
        (session.events)(Event::Traced { recipe: &recipe.id, trace: &trace, undeclared: &undeclared });
        let mode = recipe.trace.mode;
        if mode == TraceMode::Off {
            return None;
        }
        // Who asked to observe all is told in full, and says it in its own way.
        if !undeclared.is_empty() && !session.options.trace_all {
            let message = format!("it touches what it does not declare: {}", undeclared.told());
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
        (mode == TraceMode::Strict).then(|| undeclared.short()).flatten()
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
        declared.dependencies = self.made_by_dependencies();
        Ok(declared)
    }

    fn made_by_dependencies(&self) -> Vec<FromDependency> {
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
    // One in the project is a folder of the project: what a command makes there itself is its own all the same.
    let temporary = value("TMPDIR").and_then(|folder| real(folder));
    exempt.extend(temporary.filter(|folder| !folder.starts_with(&session.root)));
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
    // As named, and as what it is without links and dots.
    let found = recipe.tools.iter().filter_map(|tool| find_tool(session, recipe, tool));
    let tools = found.flat_map(|tool| std::fs::canonicalize(&tool).into_iter().chain([tool])).collect();
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
