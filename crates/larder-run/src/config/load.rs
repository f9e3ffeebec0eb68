//! Files → [`Project`]: the root file, helpers, templates, cookbooks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::decode::Reader;
use super::discover::{self, Listing, RootFile};
use super::environment::is_own;
use super::files::{Loader, read};
use super::parsed::Parsed;
use super::raw::{self, RawCookbook};
use super::scope::Level;
use super::settings::{self, Secret};
use super::source::Source;
use super::variables::Define;
use super::yaml::{self, Node};
use super::{ConfigError, Project, bake};
use crate::diagnostic::Diagnostic;
use crate::recipe::{Mode, ROOT_PLACEHOLDER};
use crate::template::{COMMAND_TIMEOUT, CustomHelper, Execution, Renderer, Surroundings};

/// What [`Project::load`] needs to know.
pub struct LoadOptions<'a> {
    /// Where the search for the root file begins; absolute.
    pub start_dir: PathBuf,
    /// The root file, if it is named instead of searched.
    pub root_file: Option<PathBuf>,
    /// The caller's environment.
    pub env: BTreeMap<String, String>,
    /// `-D key=value`, as given.
    pub defines: Vec<String>,
    /// `--env`.
    pub environment_name: Option<String>,
    /// Answers which files there are.
    pub listing: &'a dyn Listing,
    /// Whether commands in the root file itself may run: `Inert` for completion and lists, `Run` if recipes will be
    /// resolved.
    pub execution: Execution,
    /// The project's state folder, to keep parsed cookbooks in; `None`: all are parsed.
    pub state: Option<PathBuf>,
    /// Texts to read in place of files, by path from the root: what the project would be with them. Not together with `state`.
    pub instead: BTreeMap<PathBuf, String>,
}

impl<'a> LoadOptions<'a> {
    /// Options for a folder, with everything else empty.
    #[must_use]
    pub fn new(start_dir: impl Into<PathBuf>, listing: &'a dyn Listing) -> Self {
        Self {
            start_dir: start_dir.into(),
            root_file: None,
            env: BTreeMap::new(),
            defines: Vec::new(),
            environment_name: None,
            listing,
            execution: Execution::Run,
            state: None,
            instead: BTreeMap::new(),
        }
    }

    fn find(&self) -> Result<RootFile, ConfigError> {
        match &self.root_file {
            Some(path) => {
                let path = self.start_dir.join(path);
                Ok(RootFile { mode: discover::mode_of(&path), path, ignored: None })
            }
            None => discover::find_root(&self.start_dir)
                .ok_or_else(|| ConfigError::NotFound { start: self.start_dir.clone() }),
        }
    }
}

/// Names of all recipes (`cookbook:recipe`) for completion: nothing is rendered, no command runs, broken files are passed over.
#[must_use]
pub fn recipe_names(start_dir: &Path, listing: &dyn Listing) -> Vec<String> {
    let Some(found) = discover::find_root(start_dir) else { return Vec::new() };
    let root = found.path.parent().unwrap_or(start_dir);
    let mut names = Vec::new();
    for file in listing.files_named(root, &discover::is_cookbook).unwrap_or_default() {
        let Ok(text) = read(&root.join(file)) else { continue };
        if let Some(cookbook) = bake::plain_value(&text, "name") {
            names.extend(bake::recipe_names(&text).into_iter().map(|recipe| format!("{cookbook}:{recipe}")));
        }
    }
    names.sort();
    names
}

/// A renderer for each way of execution.
fn renderers(
    root: &Path,
    mode: Mode,
    env: &BTreeMap<String, String>,
    helpers: Vec<CustomHelper>,
) -> (Renderer, Renderer) {
    let root_token = match mode {
        Mode::Strict => ROOT_PLACEHOLDER,
        Mode::Bake => bake::ROOT_TOKEN,
    };
    let environment: BTreeMap<_, _> =
        env.iter().filter(|(name, _)| !is_own(name)).map(|(n, v)| (n.clone(), v.clone())).collect();
    let surroundings = |execution| Surroundings {
        root: root.to_owned(),
        root_token: root_token.to_owned(),
        environment: environment.clone(),
        execution,
        strict: mode == Mode::Strict,
        timeout: COMMAND_TIMEOUT,
    };
    let live = Renderer::new(surroundings(Execution::Run), helpers.clone());
    (live, Renderer::new(surroundings(Execution::Inert), helpers))
}

impl Project {
    /// Finds and reads a project. Of commands in templates, only those of the root file may run (in bake mode, and for `config`).
    ///
    /// # Errors
    /// [`ConfigError::NotFound`], or [`ConfigError::Invalid`] with all findings.
    pub fn load(options: LoadOptions<'_>) -> Result<Self, ConfigError> {
        let found = options.find()?;
        let folder = found.path.parent().unwrap_or(&options.start_dir);
        let root = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let file = PathBuf::from(found.path.file_name().unwrap_or_default());
        let mut loader = Loader {
            root: root.clone(),
            mode: found.mode,
            listing: options.listing,
            instead: options.instead.clone(),
            out: Vec::new(),
        };
        if let Some(ignored) = &found.ignored {
            let other = ignored.file_name().unwrap_or_default().to_string_lossy().into_owned();
            loader.out.push(
                Diagnostic::warning(format!("`{}` is used, `{other}` beside it is not read", file.display()))
                    .with_hint(format!("remove `{other}` when nobody uses it any more")),
            );
        }
        let defines = parse_defines(&options.defines, found.mode)?;
        let helpers = loader.helpers(&options.env);
        let templates = loader.templates();
        let (live, inert) = renderers(&root, found.mode, &options.env, helpers);
        let Some(raw) = loader.root_file(&file, &options, &live, &inert, &defines) else {
            return Err(ConfigError::Invalid { diagnostics: loader.out });
        };
        let mut project = Self {
            mode: found.mode,
            name: raw.name.clone(),
            description: None,
            root,
            root_file: file,
            config: settings::defaults(found.mode),
            default: Vec::new(),
            warnings: Vec::new(),
            cookbooks: Vec::new(),
            templates,
            raw,
            provisional: Vec::new(),
            process: options.env,
            defines,
            environment_name: options.environment_name,
            live,
            inert,
            live_scope: OnceLock::new(),
            inert_scope: OnceLock::new(),
        };
        project.read_settings(options.execution, &mut loader.out);
        project.read_cookbooks(&mut loader, Parsed::open(options.state.as_deref()));
        project.check_environment_name(&mut loader.out);
        ConfigError::check(&mut loader.out)?;
        project.warnings = loader.out;
        Ok(project)
    }

    fn read_settings(&mut self, execution: Execution, out: &mut Vec<Diagnostic>) {
        let execution = if self.mode == Mode::Bake { Execution::Inert } else { execution };
        let wanted = ["config", "default", "description"].map(|key| self.raw.body.get(key).cloned());
        let [config, default, description] = wanted.map(|node| {
            let node = node?;
            if self.mode == Mode::Bake || !has_template(&node) {
                return Some(node);
            }
            match self.project_level(execution) {
                Ok(level) => {
                    let level = level.clone();
                    let mut values =
                        super::scope::Values::new(self.renderer(execution), &level.scope, self.mode, out);
                    Some(values.deep(&node, &self.raw.source))
                }
                Err(diagnostics) => {
                    out.extend(diagnostics.iter().cloned());
                    None
                }
            }
        });
        // Settings are for this machine: the root is the real one.
        let config = config.map(|mut node| {
            let root = self.root.to_string_lossy();
            bake::replace_in(&mut node, bake::ROOT_TOKEN, &root);
            bake::replace_in(&mut node, ROOT_PLACEHOLDER, &root);
            node
        });
        let mut reader = Reader { source: &self.raw.source, mode: self.mode, out };
        self.config = settings::decode(&mut reader, config.as_ref(), &self.root);
        self.default = default.map(|node| reader.texts(&node)).unwrap_or_default();
        self.description = description.and_then(|node| reader.text(&node));
        if self.mode == Mode::Bake {
            if let Some(path) = self.process.get("BAKE_CACHE_DIR").filter(|path| !path.is_empty()) {
                self.config.cache.local.path = Some(path.into());
            }
            if let Some(secret) = self.process.get("BAKE_CACHE_SECRET").filter(|secret| !secret.is_empty()) {
                self.config.cache.secret = Some(Secret::new(secret.as_str()));
            }
        }
    }

    fn read_cookbooks(&mut self, loader: &mut Loader<'_>, mut parsed: Parsed) {
        let mut names: BTreeMap<String, PathBuf> = BTreeMap::new();
        let files = loader.cookbook_files();
        let marks =
            if parsed.is_on() { loader.listing.marks(&self.root, &files) } else { vec![None; files.len()] };
        for (file, mark) in files.into_iter().zip(marks) {
            let kept = mark.map(|mark| (mark.digest, parsed.key(self.mode, &file, &mark)));
            let known = kept.and_then(|(_, key)| parsed.take(&key));
            let (cookbook, provisional) = match known {
                Some(known) => (known, false),
                None => {
                    let findings = loader.out.len();
                    let Some((cookbook, provisional)) = self.read_cookbook(loader, file) else { continue };
                    let is_plain = cookbook.source.original.is_none() && findings == loader.out.len();
                    if let Some((digest, key)) = kept
                        && is_plain
                        && digest.function.digest(cookbook.source.text.as_bytes()) == digest
                    {
                        parsed.keep(key, &cookbook);
                    }
                    (cookbook, provisional)
                }
            };
            if let Some(other) = names.insert(cookbook.name.clone(), cookbook.source.file.clone()) {
                let found = Diagnostic::error(format!("cookbook `{}` is defined twice", cookbook.name))
                    .with_label(format!("also in {}", other.display()))
                    .with_hint("names of cookbooks are unique in a project: rename one");
                loader.out.push(cookbook.source.locate(found, cookbook.name_span));
            }
            self.cookbooks.push(Arc::new(cookbook));
            self.provisional.push(provisional);
        }
        parsed.save();
    }

    /// Reads one cookbook; whether commands in it were left out.
    fn read_cookbook(&self, loader: &mut Loader<'_>, file: PathBuf) -> Option<(RawCookbook, bool)> {
        let source = loader.source(file)?;
        let (cookbook, provisional) = match self.mode {
            Mode::Strict => {
                let body = loader.parse(&source)?;
                (raw::cookbook(source, body, self.mode, &mut loader.out), false)
            }
            Mode::Bake => self.bake_cookbook(source, Execution::Inert, &mut loader.out),
        };
        Some((cookbook?, provisional))
    }

    /// Renders and parses a cookbook of bake mode; whether commands were left out.
    pub(super) fn bake_cookbook(
        &self,
        mut source: Source,
        execution: Execution,
        out: &mut Vec<Diagnostic>,
    ) -> (Option<RawCookbook>, bool) {
        let text = source.original.take().unwrap_or_else(|| std::mem::take(&mut source.text));
        if !text.contains("{{") {
            source.text = text;
            return (self.bake_parse(source, out), false);
        }
        let level = match self.project_level(execution) {
            Ok(level) => level,
            Err(diagnostics) => {
                out.extend(diagnostics.iter().cloned());
                return (None, false);
            }
        };
        let mut scope = level.scope.clone();
        scope.cookbook = self.cookbook_constants(&source.file, bake::plain_value(&text, "name").as_deref());
        let renderer = self.renderer(execution);
        renderer.skipped_commands();
        let rendered = bake::render(&self.bake_context(renderer), &text, scope);
        let skipped = renderer.skipped_commands() || level.skipped;
        match rendered {
            Ok(rendered) => {
                source.text = rendered.text;
                source.original = Some(text);
                for (warning, offset, width) in rendered.undefined {
                    if execution == Execution::Inert {
                        out.push(source.locate_offset(warning, offset, width));
                    }
                }
                (self.bake_parse(source, out), skipped)
            }
            Err(error) => {
                let span = Source::line_span(&text, error.line);
                source.text = text;
                out.push(source.locate(error.into(), span));
                (None, skipped)
            }
        }
    }

    fn bake_parse(&self, source: Source, out: &mut Vec<Diagnostic>) -> Option<RawCookbook> {
        match yaml::parse(&source.text) {
            Ok(body) => raw::cookbook(source, body, self.mode, out),
            Err(error) => {
                let rendered = "the text was rendered before it was parsed; `larder run --render` shows it";
                let hint = if source.original.is_some() { Some(rendered) } else { error.hint };
                let found = Diagnostic::error(error.message);
                let found = if let Some(hint) = hint { found.with_hint(hint) } else { found };
                out.push(source.locate(found, error.span));
                None
            }
        }
    }

    pub(super) fn bake_context<'a>(&'a self, renderer: &'a Renderer) -> bake::Context<'a> {
        bake::Context {
            renderer,
            environment_name: self.environment_name.as_deref(),
            defines: &self.defines,
            process: &self.process,
        }
    }

    pub(super) fn renderer(&self, execution: Execution) -> &Renderer {
        if execution == Execution::Run { &self.live } else { &self.inert }
    }

    /// The project's own level, evaluated once per way of execution.
    pub(super) fn project_level(&self, execution: Execution) -> Result<&Level, &Vec<Diagnostic>> {
        let slot = if execution == Execution::Run { &self.live_scope } else { &self.inert_scope };
        slot.get_or_init(|| self.evaluate_project(execution)).as_ref()
    }

    /// In strict mode an `--env` that nothing knows is a mistake.
    fn check_environment_name(&self, out: &mut Vec<Diagnostic>) {
        let Some(wanted) = self.environment_name.as_deref().filter(|_| self.mode == Mode::Strict) else {
            return;
        };
        let bodies = self.cookbooks.iter().flat_map(|c| c.recipes.iter().map(|r| &r.body).chain([&c.body]));
        let known: Vec<&str> = bodies
            .chain([&self.raw.body])
            .filter_map(|body| body.get("overrides"))
            .flat_map(|node| node.entries().iter().map(|entry| entry.key.as_str()))
            .collect();
        if !known.contains(&wanted) {
            let near = crate::diagnostic::nearest(wanted, known.iter().copied());
            let found = Diagnostic::error(format!("no `overrides` for the environment `{wanted}`"));
            out.push(match near {
                Some(near) => found.with_hint(format!("did you mean `{near}`?")),
                None if known.is_empty() => found.with_hint("no file of this project has `overrides`"),
                None => found.with_hint(format!(
                    "there are {}",
                    known
                        .iter()
                        .map(|name| format!("`{name}`"))
                        .collect::<BTreeSet<_>>()
                        .into_iter()
                        .collect::<Vec<_>>()
                        .join(", ")
                )),
            });
        }
    }
}

fn parse_defines(texts: &[String], mode: Mode) -> Result<Vec<Define>, ConfigError> {
    let parse = |text: &String| {
        Define::parse(text, mode == Mode::Strict).ok_or_else(|| ConfigError::Invalid {
            diagnostics: vec![
                Diagnostic::error(format!("`-D {text}` is not `key=value`"))
                    .with_hint("for example `-D mode=release`, or `-D a.b=value` for a nested one"),
            ],
        })
    };
    texts.iter().map(parse).collect()
}

/// Whether any text of a tree holds a template.
pub(super) fn has_template(node: &Node) -> bool {
    match &node.value {
        yaml::Value::Text(text) => text.contains("{{"),
        yaml::Value::List(items) => items.iter().any(has_template),
        yaml::Value::Map(entries) => entries.iter().any(|entry| has_template(&entry.value)),
        _ => false,
    }
}
