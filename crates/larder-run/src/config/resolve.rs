//! Raw recipes → [`Recipe`]s, on demand: only what a selection reaches is rendered.
//!
//! A recipe whose `when` is false is skipped: it is in no result, and a dependency on it is satisfied.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::decode::Reader;
use super::matrix::Instance;
use super::raw::{RawCookbook, RawRecipe, RawTemplate, TemplateContent};
use super::scope::{Level, Values};
use super::source::Source;
use super::yaml::{Node, Value};
use super::{ConfigError, Listing, Project};
use crate::diagnostic::{Diagnostic, nearest};
use crate::recipe::{CacheSpec, Inputs, Mode, Place, Recipe, RecipeId};
use crate::select::{self, Selection, Selector};
use crate::template::Execution;

mod build;
mod instances;
mod template;

/// A recipe as lists and selectors see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub id: RecipeId,
    /// `description`.
    pub description: Option<String>,
    /// Its tags, or those of its cookbook.
    pub tags: Vec<String>,
    /// Where it is defined.
    pub place: Place,
    /// It has `cache`.
    pub is_cached: bool,
    /// It is `persistent`.
    pub is_persistent: bool,
}

/// What a selection reaches.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resolved {
    /// The selected recipes and all that they depend on, by name.
    pub recipes: Vec<Recipe>,
    /// The selected ones that are not skipped.
    pub selected: Vec<RecipeId>,
    /// Those whose `when` is false.
    pub skipped: Vec<RecipeId>,
    /// What was found and is no error.
    pub warnings: Vec<Diagnostic>,
}

impl Project {
    /// All recipes, with instances. Runs no command.
    ///
    /// # Errors
    /// A matrix or a description that cannot be read.
    pub fn list(&self, listing: &dyn Listing) -> Result<Vec<Listed>, ConfigError> {
        let mut resolver = Resolver::new(self, listing, Execution::Inert);
        let listed = resolver.listed();
        ConfigError::check(&mut resolver.out)?;
        Ok(listed)
    }

    /// Renders the selected recipes and those they depend on. Commands in their templates run.
    ///
    /// # Errors
    /// Selectors that name nothing, or anything wrong with a recipe that is reached.
    pub fn resolve(&self, selection: &Selection, listing: &dyn Listing) -> Result<Resolved, ConfigError> {
        let mut resolver = Resolver::new(self, listing, Execution::Run);
        resolver.make_live_for(selection);
        let listed = resolver.listed();
        ConfigError::check(&mut resolver.out)?;
        let picked = select::pick(selection, &listed, &self.default, self.mode)?;
        let resolved = resolver.close(picked);
        ConfigError::check(&mut resolver.out)?;
        Ok(Resolved { warnings: resolver.out, ..resolved })
    }

    /// The files that say what recipes are, with the cookbook whose recipes they concern; without one: all.
    /// Templates and helpers are found by their folders.
    #[must_use]
    pub fn definitions(&self) -> Vec<(PathBuf, Option<String>)> {
        let mut files = Vec::new();
        let mut add = |source: &Source, body: &Node, cookbook: Option<&String>| {
            let folder = source.file.parent().unwrap_or(Path::new(""));
            files.push((source.file.clone(), cookbook.cloned()));
            let mut reader = Reader { source, mode: self.mode, out: &mut Vec::new() };
            let named = body.get("env_file").map(|node| match node.text() {
                Some(_) => reader.text(node).into_iter().collect(),
                None => reader.texts(node),
            });
            files.extend(named.into_iter().flatten().map(|file| (folder.join(file), cookbook.cloned())));
        };
        add(&self.raw.source, &self.raw.body, None);
        for book in &self.cookbooks {
            add(&book.source, &book.body, Some(&book.name));
        }
        files
    }

    /// Files that `env_file` names, relative to the root.
    pub(crate) fn env_files(&self) -> Vec<PathBuf> {
        let own: BTreeSet<&Path> = [self.raw.source.file.as_path()]
            .into_iter()
            .chain(self.cookbooks.iter().map(|book| book.source.file.as_path()))
            .collect();
        let files = self.definitions().into_iter().map(|(file, _)| file);
        files.filter(|file| !own.contains(file.as_path())).collect()
    }

    /// Environments that some `overrides` names.
    pub(crate) fn override_names(&self) -> BTreeSet<String> {
        let bodies = self.cookbooks.iter().flat_map(|c| c.recipes.iter().map(|r| &r.body).chain([&c.body]));
        bodies
            .chain([&self.raw.body])
            .filter_map(|body| body.get("overrides"))
            .flat_map(|node| node.entries().iter().map(|entry| entry.key.clone()))
            .collect()
    }

    /// All recipes, for `--check` and `--render`; with [`Execution::Inert`], commands in templates give nothing.
    ///
    /// # Errors
    /// Anything wrong with any recipe.
    pub fn resolve_all(&self, listing: &dyn Listing, execution: Execution) -> Result<Resolved, ConfigError> {
        let mut resolver = Resolver::new(self, listing, execution);
        resolver.make_live_for(&Selection {
            regex: true,
            selectors: vec![":".into()],
            ..Selection::default()
        });
        let picked = resolver.listed().into_iter().map(|listed| listed.id).collect();
        let resolved = resolver.close(picked);
        ConfigError::check(&mut resolver.out)?;
        Ok(Resolved { warnings: resolver.out, ..resolved })
    }
}

/// The state of one resolution.
pub(super) struct Resolver<'p> {
    project: &'p Project,
    listing: &'p dyn Listing,
    execution: Execution,
    out: Vec<Diagnostic>,
    books: Vec<Arc<RawCookbook>>,
    provisional: Vec<bool>,
    index: HashMap<String, usize>,
    levels: HashMap<usize, Level>,
    instances: HashMap<(usize, String), Vec<Instance>>,
}

impl<'p> Resolver<'p> {
    fn new(project: &'p Project, listing: &'p dyn Listing, execution: Execution) -> Self {
        let books = project.cookbooks.clone();
        let index = books.iter().enumerate().map(|(at, book)| (book.name.clone(), at)).collect();
        let is_run = execution == Execution::Run;
        let provisional = project.provisional.iter().map(|provisional| *provisional && is_run).collect();
        Self {
            project,
            listing,
            execution,
            out: Vec::new(),
            books,
            provisional,
            index,
            levels: HashMap::new(),
            instances: HashMap::new(),
        }
    }

    /// Reads a bake cookbook again with its commands run.
    fn make_live(&mut self, book: usize) {
        if !std::mem::replace(&mut self.provisional[book], false) {
            return;
        }
        let source = self.books[book].source.clone();
        let mut found = Vec::new();
        let (cookbook, _) = self.project.bake_cookbook(source, Execution::Run, &mut found);
        // What was said when the project was loaded is not said again.
        found.retain(|finding| !self.project.warnings.contains(finding));
        self.out.append(&mut found);
        if let Some(cookbook) = cookbook {
            self.index.insert(cookbook.name.clone(), book);
            self.books[book] = Arc::new(cookbook);
            self.levels.remove(&book);
            self.instances.retain(|(at, _), _| *at != book);
        }
    }

    /// The same for all cookbooks that a selection may concern.
    fn make_live_for(&mut self, selection: &Selection) {
        let selectors =
            if selection.selectors.is_empty() { &self.project.default } else { &selection.selectors };
        let named: Option<BTreeSet<String>> = if selection.regex || selectors.is_empty() {
            None
        } else {
            selectors.iter().map(|text| Selector::parse(text).ok()?.cookbook).collect()
        };
        for book in 0..self.books.len() {
            if named.as_ref().is_none_or(|named| named.contains(&self.books[book].name)) {
                self.make_live(book);
            }
        }
    }

    fn listed(&mut self) -> Vec<Listed> {
        let mut all = Vec::new();
        for at in 0..self.books.len() {
            let book = Arc::clone(&self.books[at]);
            for raw in &book.recipes {
                let templates = self.parsed_templates(raw);
                let field = |key| field(raw, &templates, key);
                let tags = match field("tags").filter(|node| !node.items().is_empty()) {
                    Some(node) => self.light_texts(at, node, &book.source),
                    None => book
                        .body
                        .get("tags")
                        .map(|n| self.light_texts(at, n, &book.source))
                        .unwrap_or_default(),
                };
                let description = raw.body.get("description").or_else(|| field("description"));
                let description = description.and_then(Node::text).map(|text| self.light_text(at, raw, text));
                let is_cached = field("cache").is_some() || self.text_template_caches(raw);
                let is_persistent = field("persistent").is_some_and(|node| node.value == Value::Bool(true));
                let mut instances = self.instances(at, raw);
                if instances.is_empty() && self.execution == Execution::Inert {
                    // Its axes may come from commands, which did not run: it is listed all the same.
                    instances.push(Instance::default());
                }
                for instance in instances {
                    all.push(Listed {
                        id: RecipeId {
                            cookbook: book.name.clone(),
                            recipe: raw.name.clone(),
                            instance: instance.label,
                        },
                        description: description.clone(),
                        tags: tags.clone(),
                        place: book.source.place(raw.span),
                        is_cached,
                        is_persistent,
                    });
                }
            }
        }
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// A description, rendered as far as that is possible without the recipe's own scope; else as written.
    fn light_text(&mut self, book: usize, raw: &RawRecipe, text: &str) -> String {
        if self.project.mode == Mode::Bake || !text.contains("{{") {
            return text.to_owned();
        }
        let mut scope = self.level(book).scope;
        scope.recipe = recipe_constants(&self.books[book].name, &raw.name);
        let rendered = self.project.renderer(Execution::Inert).render(text, &scope);
        rendered.unwrap_or_else(|_| text.to_owned())
    }

    fn light_texts(&mut self, book: usize, node: &Node, source: &Source) -> Vec<String> {
        if self.project.mode == Mode::Strict && super::load::has_template(node) {
            let level = self.level(book);
            let node = self.deep(&level, node, source);
            return node.map(|node| self.reader(source).texts(&node)).unwrap_or_default();
        }
        self.reader(source).texts(node)
    }

    fn reader<'s>(&'s mut self, source: &'s Source) -> Reader<'s> {
        Reader { source, mode: self.project.mode, out: &mut self.out }
    }

    /// A tree rendered with a level's scope; `None` if something in it failed (and was reported).
    fn deep(&mut self, level: &Level, node: &Node, source: &Source) -> Option<Node> {
        let errors = self.out.len();
        let renderer = self.project.renderer(self.execution);
        let node = Values::new(renderer, &level.scope, self.project.mode, &mut self.out).deep(node, source);
        self.out[errors..].iter().all(|found| !found.is_error()).then_some(node)
    }

    /// What the templates of a cookbook see.
    fn level(&mut self, book: usize) -> Level {
        if let Some(level) = self.levels.get(&book) {
            return level.clone();
        }
        let raw = Arc::clone(&self.books[book]);
        let mut level = match self.project.project_level(self.execution) {
            Ok(level) => {
                self.say_once(&level.warnings);
                level.clone()
            }
            Err(diagnostics) => {
                self.say_once(diagnostics);
                Level::default()
            }
        };
        level.scope.cookbook = self.project.cookbook_constants(&raw.source.file, Some(&raw.name));
        self.project.enter(&mut level, &raw.body, &raw.source, self.execution, &mut self.out);
        self.levels.insert(book, level.clone());
        level
    }

    fn say_once(&mut self, findings: &[Diagnostic]) {
        for found in findings {
            if !self.out.contains(found) {
                self.out.push(found.clone());
            }
        }
    }

    /// The recipe's template and those that it extends, nearest first, as far as they exist.
    fn templates(&self, raw: &RawRecipe) -> Vec<&'p RawTemplate> {
        let known = &self.project.templates;
        let mut chain: Vec<&RawTemplate> = Vec::new();
        let mut next = raw.body.get("template").and_then(Node::text);
        while let Some(template) = next.and_then(|name| known.get(name)) {
            if chain.iter().any(|before| before.name == template.name) {
                break;
            }
            chain.push(template);
            next = template.extends.as_ref().map(|(base, _)| base.as_str());
        }
        chain
    }

    /// The fields of these, as far as they could be parsed before rendering (strict mode).
    fn parsed_templates(&self, raw: &RawRecipe) -> Vec<&'p Node> {
        let parsed = |template: &&'p RawTemplate| match &template.content {
            TemplateContent::Parsed(node) => Some(node),
            TemplateContent::Text(_) => None,
        };
        self.templates(raw).iter().filter_map(parsed).collect()
    }

    fn text_template_caches(&self, raw: &RawRecipe) -> bool {
        self.templates(raw).iter().any(|template| {
            matches!(&template.content, TemplateContent::Text(text) if super::bake::block(text, "cache", None).is_some())
        })
    }

    /// Resolves recipes and all that they depend on.
    fn close(&mut self, picked: Vec<RecipeId>) -> Resolved {
        let mut done: BTreeMap<RecipeId, Option<Recipe>> = BTreeMap::new();
        let mut queue: VecDeque<RecipeId> = picked.iter().cloned().collect();
        while let Some(id) = queue.pop_front() {
            if done.contains_key(&id) {
                continue;
            }
            let recipe = self.recipe(&id);
            if let Some(recipe) = &recipe {
                queue.extend(
                    recipe.dependencies.iter().filter(|dependency| !done.contains_key(dependency)).cloned(),
                );
            }
            done.insert(id, recipe);
        }
        let skipped: Vec<RecipeId> =
            done.iter().filter(|(_, r)| r.is_none()).map(|(id, _)| id.clone()).collect();
        let is_skipped = |id: &RecipeId| skipped.binary_search(id).is_ok();
        let selected = picked.into_iter().filter(|id| !is_skipped(id)).collect();
        let mut recipes: Vec<Recipe> = done.into_values().flatten().collect();
        for recipe in &mut recipes {
            recipe.dependencies.retain(|dependency| !is_skipped(dependency));
        }
        self.except_declared_outputs(&mut recipes);
        Resolved { recipes, selected, skipped, warnings: Vec::new() }
    }

    /// Omitted inputs are the cookbook's folder less what its recipes declare as outputs, be they reached or not. Those
    /// that are not reached are rendered without running commands, and what is wrong with them is not said.
    fn except_declared_outputs(&mut self, recipes: &mut [Recipe]) {
        let is_folder = |recipe: &&mut Recipe| {
            recipe.cache.as_ref().is_some_and(|c| matches!(c.inputs, Inputs::Folder { .. }))
        };
        let books: BTreeSet<String> =
            recipes.iter_mut().filter(is_folder).map(|recipe| recipe.id.cookbook.clone()).collect();
        if books.is_empty() {
            return;
        }
        let findings = self.out.len();
        let execution = std::mem::replace(&mut self.execution, Execution::Inert);
        let mut outputs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for listed in self.listed().into_iter().filter(|listed| books.contains(&listed.id.cookbook)) {
            let reached = recipes.iter().find(|recipe| recipe.id == listed.id).cloned();
            let cache = reached.or_else(|| self.recipe(&listed.id)).and_then(|recipe| recipe.cache);
            outputs
                .entry(listed.id.cookbook)
                .or_default()
                .extend(cache.into_iter().flat_map(|cache| cache.outputs));
        }
        self.execution = execution;
        self.out.truncate(findings);
        for recipe in recipes {
            if let Some(CacheSpec { inputs: Inputs::Folder { except }, .. }) = &mut recipe.cache {
                except.extend(outputs.get(&recipe.id.cookbook).into_iter().flatten().cloned());
            }
        }
    }

    /// A dependency's text → the recipes that it means.
    fn dependency(&mut self, text: &str, node: &Node, source: &Source, cookbook: &str) -> Vec<RecipeId> {
        let name = text.split('[').next().unwrap_or_default();
        let full = if name.contains(':') { text.to_owned() } else { format!("{cookbook}:{text}") };
        let selector = match Selector::parse(&full) {
            Ok(Selector { cookbook: Some(cookbook), recipe: Some(recipe), instance }) => {
                (cookbook, recipe, instance)
            }
            _ => {
                self.reader(source).refuse(
                    node.span,
                    format!("`{text}` is no dependency"),
                    "write `recipe`, `cookbook:recipe` or `recipe[value]`",
                );
                return Vec::new();
            }
        };
        let (cookbook, recipe, instance) = selector;
        let Some(&book) = self.index.get(&cookbook) else {
            self.unknown_dependency(&full, node, source);
            return Vec::new();
        };
        self.make_live(book);
        let raw_book = Arc::clone(&self.books[book]);
        let Some(raw) = raw_book.recipes.iter().find(|raw| raw.name == recipe) else {
            self.unknown_dependency(&full, node, source);
            return Vec::new();
        };
        let instances = self.instances(book, raw);
        let id = |label: Option<String>| RecipeId {
            cookbook: cookbook.clone(),
            recipe: recipe.clone(),
            instance: label,
        };
        match instance {
            None => instances.into_iter().map(|instance| id(instance.label)).collect(),
            Some(wanted) if instances.iter().any(|i| i.label.as_ref() == Some(&wanted)) => {
                vec![id(Some(wanted))]
            }
            Some(_) => {
                self.unknown_dependency(&full, node, source);
                Vec::new()
            }
        }
    }

    fn unknown_dependency(&mut self, full: &str, node: &Node, source: &Source) {
        let mut names: Vec<String> = Vec::new();
        for at in 0..self.books.len() {
            let book = Arc::clone(&self.books[at]);
            for raw in &book.recipes {
                names.push(format!("{}:{}", book.name, raw.name));
                if full.contains('[') {
                    let labels = self.instances(at, raw).into_iter().filter_map(|i| i.label);
                    names.extend(labels.map(|label| format!("{}:{}[{label}]", book.name, raw.name)));
                }
            }
        }
        let near = nearest(full, names.iter().map(String::as_str));
        let found = Diagnostic::error(format!("no recipe `{full}` to depend on"));
        let found = match near {
            Some(near) => found.with_label(format!("did you mean `{near}`?")),
            None => found.with_hint("`larder run --list` shows all recipes"),
        };
        self.out.push(source.locate(found, node.span));
    }
}

/// A field of a recipe, or of the nearest of its templates that has it.
fn field<'n>(raw: &'n RawRecipe, templates: &[&'n Node], key: &str) -> Option<&'n Node> {
    raw.body.get(key).or_else(|| templates.iter().find_map(|template| template.get(key)))
}

/// `{{recipe.name}}`, `{{recipe.cookbook}}`.
fn recipe_constants(cookbook: &str, recipe: &str) -> Map<String, Json> {
    let mut constants = Map::new();
    constants.insert("name".into(), recipe.into());
    constants.insert("cookbook".into(), cookbook.into());
    constants
}
