//! One recipe, field by field.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::super::bake;
use super::super::decode::Reader;
use super::super::keys;
use super::super::patterns::{PatternError, escape_brackets, escape_value, normalize};
use super::super::raw::{RawCookbook, RawRecipe};
use super::super::scope::{Level, Values};
use super::super::source::Source;
use super::super::variables::flatten;
use super::super::yaml::{Node, Value};
use super::template::Inherited;
use super::{Resolver, recipe_constants};
use crate::diagnostic::Diagnostic;
use crate::recipe::{CacheSpec, Inputs, Mode, Recipe, RecipeId, Sandbox, TraceSpec};

/// Where the fields of a recipe come from: its own, then its template's, then those of what that extends.
struct Fields<'a> {
    raw: &'a RawRecipe,
    source: &'a Source,
    inherited: &'a [Inherited],
    mode: Mode,
}

impl<'a> Fields<'a> {
    fn get(&self, key: &str) -> Option<(&'a Node, &'a Source)> {
        // In bake mode an empty value is as good as none.
        let is_void = |node: &Node| match &node.value {
            Value::Null => true,
            Value::Text(text) => text.trim().is_empty(),
            Value::List(items) => items.is_empty(),
            _ => false,
        };
        let own = self.raw.body.get(key).filter(|node| self.mode == Mode::Strict || !is_void(node));
        let inherited =
            || self.inherited.iter().find_map(|level| level.body.get(key).map(|node| (node, &level.source)));
        own.map(|node| (node, self.source)).or_else(inherited)
    }
}

impl Resolver<'_> {
    /// Resolves one recipe; `None` if `when` is false or something is wrong (and reported).
    pub(super) fn recipe(&mut self, id: &RecipeId) -> Option<Recipe> {
        let at = *self.index.get(&id.cookbook)?;
        let book = Arc::clone(&self.books[at]);
        let raw = book.recipes.iter().find(|raw| raw.name == id.recipe)?;
        let instance = self.instances(at, raw).into_iter().find(|instance| instance.label == id.instance)?;
        let mut level = self.level(at);
        level.scope.recipe = recipe_constants(&book.name, &raw.name);
        level.scope.matrix = instance.label.is_some().then_some(instance.values);
        let inherited = self.inherit(&book, raw, &mut level).ok()?;
        for inherited in inherited.iter().rev() {
            self.project.enter(&mut level, &inherited.body, &inherited.source, self.execution, &mut self.out);
        }
        self.project.enter(&mut level, &raw.body, &book.source, self.execution, &mut self.out);
        let fields = Fields { raw, source: &book.source, inherited: &inherited, mode: self.project.mode };
        if !self.when(&fields, &level) {
            return None;
        }
        Some(self.assemble(id, &book, &fields, &level))
    }

    fn assemble(&mut self, id: &RecipeId, book: &RawCookbook, fields: &Fields<'_>, level: &Level) -> Recipe {
        let folder = book.source.file.parent().unwrap_or(Path::new("")).to_owned();
        let persistent = self.flag(fields, "persistent", level);
        let cache = self.cache(fields, level, &folder);
        if persistent && let (Some(_), Some((node, source))) = (&cache, fields.get("cache")) {
            let found = Diagnostic::error("a persistent recipe is never cached: it has no result to keep")
                .with_hint("remove `cache`, or `persistent`");
            self.reader(source).doubt(node.span, found);
        }
        let run = self.text(fields, "run", level).unwrap_or_default();
        if run.trim().is_empty()
            && fields.get("run").is_none_or(|(node, _)| node.text().is_some_and(|t| !t.contains("{{")))
        {
            let found = Diagnostic::error(format!("recipe `{id}` has no `run`"))
                .with_hint("add `run: COMMAND`, or a `template` that has one");
            self.out.push(book.source.locate(found, fields.raw.span));
        }
        let mut variables = serde_json::Value::Object(level.scope.var.clone());
        bake::settle_root(&mut variables);
        let variables =
            if let serde_json::Value::Object(map) = &variables { flatten(map) } else { Default::default() };
        let mut dependencies = Vec::new();
        for (text, node, source) in self.texts(fields, "dependencies", level) {
            dependencies.extend(self.dependency(&text, &node, &source, &book.name));
        }
        dependencies.sort();
        dependencies.dedup();
        let own_tags: Vec<String> =
            self.texts(fields, "tags", level).into_iter().map(|(text, ..)| text).collect();
        let tags = if own_tags.is_empty() {
            let own = Fields {
                raw: &RawRecipe { name: String::new(), span: fields.raw.span, body: book.body.clone() },
                source: &book.source,
                inherited: &[],
                mode: fields.mode,
            };
            self.texts(&own, "tags", level).into_iter().map(|(text, ..)| text).collect()
        } else {
            own_tags
        };
        Recipe {
            id: id.clone(),
            place: book.source.place(fields.raw.span),
            description: self.text(fields, "description", level),
            shell: self.shell(fields, level),
            dependencies,
            environment: level.declared.clone(),
            variables,
            tags,
            tools: self.texts(fields, "tools", level).into_iter().map(|(text, ..)| text).collect(),
            relocatable: self.flag(fields, "relocatable", level),
            incremental: self.flag(fields, "incremental", level),
            trace: self.trace(fields, level, &folder),
            sandbox: self.sandbox(fields, level),
            persistent,
            timeout: self.value(fields, "timeout", level, |reader, node| reader.duration(node)),
            retries: self
                .value(fields, "retries", level, |reader, node| reader.count(node))
                .map_or(0, |count| u32::try_from(count).unwrap_or(u32::MAX)),
            inherit_environment: !self.project.config.clean_environment,
            cache,
            folder,
            run,
        }
    }

    /// A field, rendered and decoded.
    fn value<T>(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        level: &Level,
        decode: impl FnOnce(&mut Reader<'_>, &Node) -> Option<T>,
    ) -> Option<T> {
        let (node, source) = fields.get(key)?;
        let node = self.deep(level, node, source)?;
        decode(&mut self.reader(source), &node)
    }

    /// What the recipe says of `trace`, over what the project says.
    fn trace(&mut self, fields: &Fields<'_>, level: &Level, folder: &Path) -> TraceSpec {
        let root = self.project.root.clone();
        let own = self.value(fields, "trace", level, |reader, node| {
            super::super::trace::decode(reader, node, folder, &root)
        });
        let mut spec = self.project.config.trace.clone();
        if let Some(own) = own {
            spec.mode = own.mode;
            spec.ignore.extend(own.ignore);
        }
        spec
    }

    fn flag(&mut self, fields: &Fields<'_>, key: &str, level: &Level) -> bool {
        self.value(fields, key, level, |reader, node| reader.boolean(node)).unwrap_or(false)
    }

    fn sandbox(&mut self, fields: &Fields<'_>, level: &Level) -> Option<Sandbox> {
        let sandbox = self.value(fields, "sandbox", level, super::super::sandbox::decode)??;
        let (node, source) = fields.get("sandbox")?;
        let reason = if self.flag(fields, "persistent", level) {
            let hint = "build what it serves in a recipe of its own, which can have one";
            Some(("a persistent recipe has no sandbox: it declares no inputs", hint))
        } else if fields.get("cache").is_none() {
            let hint =
                "add `cache: {inputs: […], outputs: […]}`; with `outputs: []` its success is what is cached";
            Some(("a sandbox shows what `cache` declares, and there is no `cache`", hint))
        } else if self.flag(fields, "incremental", level) {
            let hint = "an incremental recipe starts with what an earlier run left, which a sandbox never shows: remove one of the two";
            Some(("`incremental` and `sandbox` exclude each other", hint))
        } else {
            None
        };
        if let Some((message, hint)) = reason {
            self.out.push(source.locate(Diagnostic::error(message).with_hint(hint), node.span));
        }
        Some(sandbox)
    }

    fn text(&mut self, fields: &Fields<'_>, key: &str, level: &Level) -> Option<String> {
        let (node, source) = fields.get(key)?;
        let text = self.reader(source).text(node)?;
        let renderer = self.project.renderer(self.execution);
        Values::new(renderer, &level.scope, self.project.mode, &mut self.out).text(&text, node.span, source)
    }

    fn texts(&mut self, fields: &Fields<'_>, key: &str, level: &Level) -> Vec<(String, Node, Source)> {
        let Some((node, source)) = fields.get(key) else { return Vec::new() };
        let Some(node) = self.deep(level, node, source) else { return Vec::new() };
        let texts = self.reader(source).texts(&node);
        // Elements that are no text were reported, and the lists no longer match: the project is refused anyway.
        texts.into_iter().zip(node.items()).map(|(text, item)| (text, item.clone(), source.clone())).collect()
    }

    fn when(&mut self, fields: &Fields<'_>, level: &Level) -> bool {
        let Some((node, source)) = fields.get("when") else { return true };
        let Some(node) = self.deep(level, node, source) else { return true };
        match &node.value {
            Value::Null => false,
            Value::Bool(value) => *value,
            Value::Int(value) => *value != 0,
            Value::Float(value) => *value != 0.0,
            Value::Text(text) => !matches!(
                text.trim().to_ascii_lowercase().as_str(),
                "" | "false" | "0" | "no" | "off" | "null"
            ),
            Value::List(items) => !items.is_empty(),
            Value::Map(entries) => !entries.is_empty(),
        }
    }

    fn shell(&mut self, fields: &Fields<'_>, level: &Level) -> Vec<String> {
        let default = || ["sh", "-e", "-c"].map(str::to_owned).to_vec();
        let Some((node, source)) = fields.get("shell") else { return default() };
        let Some(node) = self.deep(level, node, source) else { return default() };
        let mut words: Vec<String> = match &node.value {
            Value::Text(text) => text.split_whitespace().map(str::to_owned).collect(),
            _ => self.reader(source).texts(&node),
        };
        match words.len() {
            0 => {
                let hint = "name one: `shell: bash`; without the key it is `sh -e -c`";
                self.reader(source).refuse(node.span, "`shell` is empty", hint);
                default()
            }
            1 => {
                words.extend(["-e".to_owned(), "-c".to_owned()]);
                words
            }
            _ => words,
        }
    }

    fn cache(&mut self, fields: &Fields<'_>, level: &Level, folder: &Path) -> Option<CacheSpec> {
        let (node, source) = fields.get("cache")?;
        // A value of a matrix is a name, never a pattern.
        let mut level = level.clone();
        for value in level.scope.matrix.iter_mut().flat_map(Map::values_mut) {
            if let Json::String(text) = value {
                *text = escape_value(text);
            }
        }
        let node = self.deep(&level, node, source)?;
        let mode = self.project.mode;
        let entries = self.reader(source).map(&node, &keys::CACHE).to_vec();
        let entry = |key: &str| entries.iter().find(|entry| entry.key == key);
        let outputs = match entry("outputs") {
            Some(entry) => self.patterns(&entry.value, source, folder, true),
            None => Vec::new(),
        };
        let inputs = match entry("inputs") {
            Some(entry) => Inputs::Patterns(self.patterns(&entry.value, source, folder, false)),
            None if mode == Mode::Strict => Inputs::Folder { except: Vec::new() },
            None => {
                let found =
                    Diagnostic::warning("`cache` without `inputs`: no file makes this recipe run again");
                let found =
                    found.with_hint("list `inputs`; with `larder.yml` the default is the cookbook's folder");
                self.out.push(source.locate(found, node.span));
                Inputs::Patterns(Vec::new())
            }
        };
        Some(CacheSpec { inputs, outputs })
    }

    fn patterns(&mut self, node: &Node, source: &Source, folder: &Path, is_output: bool) -> Vec<String> {
        let texts = self.reader(source).texts(node);
        let what = if is_output { "output" } else { "input" };
        let mut found = Vec::new();
        for (at, text) in texts.iter().enumerate() {
            let span = node.items().get(at).map_or(node.span, |item| item.span);
            let mut pattern = text.as_str();
            if self.project.mode == Mode::Bake {
                // Bake strips quotes that a helper printed around a pattern.
                pattern = pattern.trim();
                for quote in ['\'', '"'] {
                    pattern =
                        pattern.strip_prefix(quote).and_then(|p| p.strip_suffix(quote)).unwrap_or(pattern);
                }
            }
            let result = normalize(&escape_brackets(pattern), folder, &self.project.root);
            match result {
                Ok(pattern) => {
                    let covers_cookbook =
                        pattern == "." || (pattern.ends_with("..") && pattern.split('/').all(|p| p == ".."));
                    if is_output && covers_cookbook {
                        self.reader(source).refuse(
                            span,
                            format!("output `{text}` holds the cookbook itself"),
                            "name the files or the folder that the recipe makes",
                        );
                    }
                    found.push(pattern);
                }
                Err(error) => {
                    let shown = text.replace(crate::recipe::ROOT_PLACEHOLDER, "{{project.root}}");
                    let message = format!("{what} `{shown}` {}", error.reason());
                    let diagnostic = Diagnostic::error(message);
                    let diagnostic = diagnostic.with_hint(match error {
                        PatternError::Absolute => {
                            "paths are relative to the cookbook; `{{project.root}}/…` is the project's root"
                        }
                        PatternError::Outside if is_output => "a recipe makes files of its own project only",
                        PatternError::Outside => {
                            "a program from elsewhere is named in `tools`; other files must lie in the project"
                        }
                        PatternError::Bad => "patterns are globs: `*`, `**`, `?`, `{a,b}`, and `!` in front excludes",
                    });
                    self.out.push(source.locate(diagnostic, span));
                }
            }
        }
        found
    }
}
