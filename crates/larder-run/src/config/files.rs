//! Reads the project's files: bounded, decoded, with everything wrong collected.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::bake;
use super::discover::{self, Listing};
use super::environment::is_own;
use super::load::LoadOptions;
use super::raw::{self, RawProject, RawTemplate};
use super::source::Source;
use super::variables::Define;
use super::yaml::{self, MAX_FILE_BYTES, Node};
use crate::diagnostic::Diagnostic;
use crate::recipe::{Mode, ROOT_PLACEHOLDER};
use crate::template::{CustomHelper, Execution, Renderer, Scope};

/// Reads a file whose size is bounded.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    let show = |error: std::io::Error| error.to_string();
    let file = File::open(path).map_err(show)?;
    let about = file.metadata().map_err(show)?;
    if !about.is_file() {
        return Err("not a regular file".to_owned());
    }
    // Room for all of it and the end: two calls read most files.
    let size = usize::try_from(about.len().min(MAX_FILE_BYTES)).unwrap_or(0);
    let mut text = String::with_capacity(size + 1);
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(show)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("larger than {} MiB", MAX_FILE_BYTES >> 20));
    }
    Ok(text)
}

/// What is read so far, and what was found.
pub(super) struct Loader<'a> {
    pub(super) root: PathBuf,
    pub(super) mode: Mode,
    pub(super) listing: &'a dyn Listing,
    pub(super) instead: BTreeMap<PathBuf, String>,
    pub(super) out: Vec<Diagnostic>,
}

impl Loader<'_> {
    pub(super) fn source(&mut self, file: PathBuf) -> Option<Source> {
        let text = match self.instead.remove(&file) {
            Some(text) => Ok(text),
            None => read(&self.root.join(&file)),
        };
        match text {
            Ok(text) if text.contains(ROOT_PLACEHOLDER) => {
                let found =
                    Diagnostic::error(format!("`{}` holds a reserved control sequence", file.display()));
                self.out.push(found.with_hint("remove the control characters U+0001"));
                None
            }
            Ok(text) => Some(Source { file, text, original: None }),
            Err(reason) => {
                self.out.push(Diagnostic::error(format!("cannot read `{}`: {reason}", file.display())));
                None
            }
        }
    }

    pub(super) fn parse(&mut self, source: &Source) -> Option<Node> {
        match yaml::parse(&source.text) {
            Ok(node) => Some(node),
            Err(error) => {
                let found = Diagnostic::error(error.message);
                let looks_like_template = source
                    .text
                    .lines()
                    .nth((error.span.line as usize).saturating_sub(1))
                    .is_some_and(|line| line.contains("{{"));
                let found = Diagnostic { hint: error.hint.map(str::to_owned), ..found };
                let found = if self.mode == Mode::Strict && looks_like_template {
                    found.with_hint("in `larder.yml` projects values are rendered after parsing: quote them (`\"{{…}}\"`); for repeated or conditional recipes use `matrix` and `when`")
                } else {
                    found
                };
                self.out.push(source.locate(found, error.span));
                None
            }
        }
    }

    /// The `.yml` files of `.larder/KIND` and `.bake/KIND`.
    fn files_of(&self, kind: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for base in [".bake", ".larder"] {
            let folder = Path::new(base).join(kind);
            let Ok(entries) = std::fs::read_dir(self.root.join(&folder)) else { continue };
            let mut files: Vec<PathBuf> = entries
                .filter_map(Result::ok)
                .map(|entry| folder.join(entry.file_name()))
                .filter(|path| path.extension().is_some_and(|ext| ext == "yml" || ext == "yaml"))
                .collect();
            files.sort();
            found.append(&mut files);
        }
        found
    }

    pub(super) fn helpers(&mut self, env: &BTreeMap<String, String>) -> Vec<CustomHelper> {
        let mut helpers: Vec<CustomHelper> = Vec::new();
        for file in self.files_of("helpers") {
            let Some(source) = self.source(file) else { continue };
            let Some(body) = self.parse(&source) else { continue };
            let value = |name: &str| env.get(name).filter(|_| !is_own(name)).cloned();
            let Some(helper) = raw::helper(&source, &body, &value, self.mode, &mut self.out) else {
                continue;
            };
            if helpers.iter().any(|known| known.name == helper.name) {
                let found = Diagnostic::error(format!("helper `{}` is defined twice", helper.name))
                    .with_hint(
                        "a helper of one name stands in `.larder/helpers` or in `.bake/helpers`: remove one",
                    );
                self.out.push(source.locate(found, body.get("name").unwrap_or(&body).span));
            }
            helpers.push(helper);
        }
        helpers
    }

    pub(super) fn templates(&mut self) -> BTreeMap<String, RawTemplate> {
        let mut templates = BTreeMap::new();
        for file in self.files_of("templates") {
            let Some(mut source) = self.source(file) else { continue };
            let mut block = None;
            if self.mode == Mode::Bake {
                block = bake::block(&source.text, "template", Some(0));
                // What is left is plain YAML; the lines stay where they were.
                let rest = without_block(&source.text, "template");
                source.original = Some(std::mem::replace(&mut source.text, rest));
            }
            let Some(body) = self.parse(&source) else { continue };
            let place = source.clone();
            let Some(template) = raw::template(source, &body, block, self.mode, &mut self.out) else {
                continue;
            };
            if let Some(known) = templates.insert(template.name.clone(), template) {
                let found = Diagnostic::error(format!("template `{}` is defined twice", known.name))
                    .with_label(format!("also in {}", known.source.file.display()))
                    .with_hint("names of templates are unique in a project: rename or remove one");
                self.out.push(place.locate(found, body.get("name").unwrap_or(&body).span));
            }
        }
        templates
    }

    pub(super) fn cookbook_files(&mut self) -> Vec<PathBuf> {
        match self.listing.files_named(&self.root, &discover::is_cookbook) {
            Ok(files) => files,
            Err(error) => {
                self.out.push(Diagnostic::error(format!("cannot look for cookbooks: {error}")));
                Vec::new()
            }
        }
    }
}

/// The text with the lines of a top-level block emptied.
fn without_block(text: &str, key: &str) -> String {
    let mut inside = false;
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let is_top = !line.is_empty() && !line.starts_with([' ', '#']) && !line.starts_with("{{");
        if is_top {
            inside = line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'));
        }
        if !inside {
            out.push_str(line);
        }
        out.push('\n');
    }
    out
}
impl Loader<'_> {
    /// Reads the root file; in bake mode its text is rendered first.
    pub(super) fn root_file(
        &mut self,
        file: &Path,
        options: &LoadOptions<'_>,
        live: &Renderer,
        inert: &Renderer,
        defines: &[Define],
    ) -> Option<RawProject> {
        let mut source = self.source(file.to_owned())?;
        if self.mode == Mode::Bake && source.text.contains("{{") {
            let mut scope = Scope::default();
            scope.project.insert("root".into(), bake::ROOT_TOKEN.into());
            scope
                .project
                .insert("name".into(), bake::plain_value(&source.text, "name").unwrap_or_default().into());
            let render = |renderer| {
                let context = bake::Context {
                    renderer,
                    environment_name: options.environment_name.as_deref(),
                    defines,
                    process: &options.env,
                };
                bake::render(&context, &source.text, scope.clone())
            };
            let mut rendered = render(inert);
            if inert.skipped_commands() && options.execution == Execution::Run {
                rendered = render(live);
            }
            match rendered {
                Ok(rendered) => {
                    source.original = Some(std::mem::replace(&mut source.text, rendered.text));
                    for (warning, offset, width) in rendered.undefined {
                        self.out.push(source.locate_offset(warning, offset, width));
                    }
                }
                Err(error) => {
                    let span = Source::line_span(&source.text, error.line);
                    self.out.push(source.locate(error.into(), span));
                    return None;
                }
            }
        }
        let body = self.parse(&source)?;
        raw::project(source, body, self.mode, &mut self.out)
    }
}
