//! A recipe's `matrix:` → its instances.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;

use super::super::keys;
use super::super::matrix::{self, Instance};
use super::super::raw::RawRecipe;
use super::super::source::Source;
use super::super::yaml::{Node, Value};
use super::{Resolver, field, recipe_constants};

const AXIS: &str = "for example `matrix: {file: {glob: \"src/*.c\"}}`; globs are `*`, `**`, `?`, `{a,b}`";

impl Resolver<'_> {
    /// The instances of a recipe; one without a name if it has no matrix.
    pub(super) fn instances(&mut self, book: usize, raw: &RawRecipe) -> Vec<Instance> {
        let Some(node) = field(raw, &self.parsed_templates(raw), "matrix") else {
            return vec![Instance::default()];
        };
        let key = (book, raw.name.clone());
        if let Some(known) = self.instances.get(&key) {
            return known.clone();
        }
        let found = self.expand(book, raw, node).unwrap_or_default();
        self.instances.insert(key, found.clone());
        found
    }

    fn expand(&mut self, book: usize, raw: &RawRecipe, node: &Node) -> Option<Vec<Instance>> {
        let cookbook = Arc::clone(&self.books[book]);
        let source = &cookbook.source;
        let mut level = self.level(book);
        level.scope.recipe = recipe_constants(&cookbook.name, &raw.name);
        let node = self.deep(&level, node, source)?;
        if node.entries().is_empty() {
            let message = "`matrix` is a map: axis → list, or axis → `{glob: pattern}`";
            self.reader(source).refuse(node.span, message, AXIS);
            return None;
        }
        let mut axes: Vec<(String, Vec<Json>)> = Vec::new();
        for entry in node.entries() {
            axes.push((entry.key.clone(), self.axis(&entry.value, source)?));
        }
        matrix::expand(&axes)
            .map_err(|(message, hint)| self.reader(source).refuse(node.span, message, hint))
            .ok()
    }

    /// The values of an axis. `None`: refused.
    fn axis(&mut self, node: &Node, source: &Source) -> Option<Vec<Json>> {
        match &node.value {
            Value::List(items) => Some(items.iter().filter_map(|item| self.item(item, source)).collect()),
            Value::Map(_) => self.files(node, source),
            _ => {
                self.reader(source).refuse(node.span, "an axis is a list, or `{glob: pattern}`", AXIS);
                None
            }
        }
    }

    /// One value of a list.
    fn item(&mut self, item: &Node, source: &Source) -> Option<Json> {
        if matches!(item.value, Value::List(_) | Value::Map(_) | Value::Null) {
            self.reader(source).refuse(
                item.span,
                "a value of a matrix is text, a number or a boolean",
                "each axis has a list of its own: `matrix: {os: [linux], mode: [debug]}`",
            );
            return None;
        }
        if item.text().is_some_and(|text| text.is_empty() || text.chars().any(char::is_control)) {
            self.reader(source).refuse(
                item.span,
                "a value of a matrix is empty or holds control characters",
                "values stand in names: `recipe[value]`",
            );
            return None;
        }
        Some(item.to_json())
    }

    /// The files that `{glob: …}` finds.
    fn files(&mut self, node: &Node, source: &Source) -> Option<Vec<Json>> {
        let mut reader = self.reader(source);
        reader.map(node, &keys::GLOB);
        let patterns = match node.get("glob") {
            Some(glob) if glob.text().is_some() => reader.text(glob).into_iter().collect(),
            Some(glob) => reader.texts(glob),
            None => {
                reader.refuse(node.span, "missing key `glob`", AXIS);
                return None;
            }
        };
        let folder = self.project.root.join(source.file.parent().unwrap_or(Path::new("")));
        match self.listing.glob(&folder, &patterns) {
            // A name that is not UTF-8 cannot stand in a selector.
            Ok(files) => Some(files.iter().filter_map(|file| file.to_str()).map(Json::from).collect()),
            Err(error) => {
                self.reader(source).refuse(node.span, format!("cannot expand the glob: {error}"), AXIS);
                None
            }
        }
    }
}
