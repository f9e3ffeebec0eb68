//! What templates see at each level (project, cookbook, recipe), and values rendered with it.

use std::path::Path;

use serde_json::{Map, Value as Json};

use super::environment::{Declared, declare, declare_file, parse_dotenv};
use super::source::Source;
use super::variables::merged;
use super::yaml::{Node, Span, Value};
use super::{Project, bake, files, load};
use crate::diagnostic::Diagnostic;
use crate::recipe::{Mode, ROOT_PLACEHOLDER};
use crate::template::{Execution, Renderer, Scope, undefined};

/// The scope of a level with the declared environment behind it.
#[derive(Clone, Debug, Default)]
pub(super) struct Level {
    /// What templates see.
    pub(super) scope: Scope,
    /// Declared names with values.
    pub(super) declared: Declared,
    /// Commands were left out while it was evaluated.
    pub(super) skipped: bool,
    /// What was found while the project's own level was evaluated, and is no error.
    pub(super) warnings: Vec<Diagnostic>,
}

/// Renders values with one scope. In bake mode they were rendered with their file's text already.
pub(super) struct Values<'a> {
    renderer: &'a Renderer,
    scope: &'a Scope,
    data: Option<Json>,
    mode: Mode,
    out: &'a mut Vec<Diagnostic>,
}

impl<'a> Values<'a> {
    pub(super) fn new(
        renderer: &'a Renderer,
        scope: &'a Scope,
        mode: Mode,
        out: &'a mut Vec<Diagnostic>,
    ) -> Self {
        Self { renderer, scope, data: None, mode, out }
    }

    /// Text, rendered; `None` if that failed (and was reported).
    pub(super) fn text(&mut self, text: &str, span: Span, source: &Source) -> Option<String> {
        match self.prepare(text, span, source) {
            Prepared::Done(text) => Some(text),
            Prepared::Failed => None,
            Prepared::Template => {
                let rendered = self.renderer.render(text, self.scope);
                rendered.map_err(|error| self.out.push(source.locate(error.into(), span))).ok()
            }
        }
    }

    /// A value; text that is one expression keeps the expression's type.
    pub(super) fn value(&mut self, text: &str, span: Span, source: &Source) -> Option<Json> {
        match self.prepare(text, span, source) {
            Prepared::Done(text) => Some(Json::String(text)),
            Prepared::Failed => None,
            Prepared::Template => {
                let value = self.renderer.evaluate(text, self.scope);
                value.map_err(|error| self.out.push(source.locate(error.into(), span))).ok()
            }
        }
    }

    /// A tree, rendered value by value. What fails becomes nothing.
    pub(super) fn deep(&mut self, node: &Node, source: &Source) -> Node {
        let value = match &node.value {
            Value::Text(text) => {
                return self
                    .value(text, node.span, source)
                    .map_or(Node { value: Value::Null, span: node.span }, |json| {
                        from_json(&json, node.span)
                    });
            }
            Value::List(items) => {
                let mut all = Vec::with_capacity(items.len());
                for item in items {
                    let was_text = item.text().is_some_and(|text| text.contains("{{"));
                    let rendered = self.deep(item, source);
                    match rendered.value {
                        // `- "{{list}}"` inside a list adds its elements.
                        Value::List(inner) if was_text => all.extend(inner),
                        _ => all.push(rendered),
                    }
                }
                Value::List(all)
            }
            Value::Map(entries) => Value::Map(
                entries
                    .iter()
                    .map(|entry| super::yaml::Entry {
                        value: self.deep(&entry.value, source),
                        ..entry.clone()
                    })
                    .collect(),
            ),
            other => other.clone(),
        };
        Node { value, span: node.span }
    }

    fn prepare(&mut self, text: &str, span: Span, source: &Source) -> Prepared {
        if self.mode == Mode::Bake {
            return Prepared::Done(text.replace(bake::ROOT_TOKEN, ROOT_PLACEHOLDER));
        }
        if !text.contains("{{") {
            return Prepared::Done(text.to_owned());
        }
        let data = self.data.get_or_insert_with(|| self.scope.data());
        let missing = undefined(text, data);
        for (reference, near) in &missing {
            let label = near.as_ref().map(|near| format!("did you mean `{near}`?")).unwrap_or_default();
            let mut found =
                Diagnostic::error(format!("undefined name `{}`", reference.path)).with_label(label);
            if let Some(name) = reference.path.strip_prefix("env.") {
                found = found.with_hint(format!("declare it: `environment: [{name}]`"));
            }
            self.out.push(match source.find(&reference.path, span) {
                Some(offset) => source.locate_offset(found, offset, reference.path.chars().count()),
                None => source.locate(found, span),
            });
        }
        if missing.is_empty() { Prepared::Template } else { Prepared::Failed }
    }
}

enum Prepared {
    Done(String),
    Template,
    Failed,
}

/// JSON as a node, all of it at one place.
pub(super) fn from_json(value: &Json, span: Span) -> Node {
    let value = match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(value) => Value::Int(value),
            None => Value::Float(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(|item| from_json(item, span)).collect()),
        Json::Object(map) => Value::Map(
            map.iter()
                .map(|(key, value)| super::yaml::Entry {
                    key: key.clone(),
                    key_span: span,
                    value: from_json(value, span),
                })
                .collect(),
        ),
    };
    Node { value, span }
}

impl Project {
    pub(super) fn evaluate_project(&self, execution: Execution) -> Result<Level, Vec<Diagnostic>> {
        let mut level = Level::default();
        level.scope.project.insert("root".into(), self.root_token().into());
        level.scope.project.insert("name".into(), self.name.clone().into());
        let mut out = Vec::new();
        self.enter(&mut level, &self.raw.body, &self.raw.source, execution, &mut out);
        if out.iter().any(Diagnostic::is_error) { Err(out) } else { Ok(Level { warnings: out, ..level }) }
    }

    /// What `{{project.root}}` renders to.
    fn root_token(&self) -> &'static str {
        if self.mode == Mode::Bake { bake::ROOT_TOKEN } else { ROOT_PLACEHOLDER }
    }

    /// `{{cookbook.…}}` for a cookbook's file.
    pub(super) fn cookbook_constants(&self, file: &Path, name: Option<&str>) -> Map<String, Json> {
        let folder = file.parent().unwrap_or(Path::new(""));
        let mut root = self.root_token().to_owned();
        for part in folder {
            root.push('/');
            root.push_str(&part.to_string_lossy());
        }
        let mut constants = Map::new();
        constants.insert("root".into(), root.into());
        constants.insert("name".into(), name.unwrap_or_default().into());
        constants
    }

    /// Adds what a file or a recipe says of environment and variables to a level.
    pub(super) fn enter(
        &self,
        level: &mut Level,
        body: &Node,
        source: &Source,
        execution: Execution,
        out: &mut Vec<Diagnostic>,
    ) {
        self.enter_environment(level, body, source, out);
        let renderer = self.renderer(execution);
        for define in &self.defines {
            define.apply(&mut level.scope.var);
        }
        for entry in merged(body, self.environment_name.as_deref()) {
            let value = if self.mode == Mode::Strict && load::has_template(&entry.value) {
                renderer.skipped_commands();
                let value =
                    Values::new(renderer, &level.scope, self.mode, out).deep(&entry.value, source).to_json();
                level.skipped |= renderer.skipped_commands();
                value
            } else {
                entry.value.to_json()
            };
            level.scope.var.insert(entry.key.clone(), value);
            for define in self.defines.iter().filter(|define| define.path[0] == entry.key) {
                define.apply(&mut level.scope.var);
            }
        }
    }

    fn enter_environment(&self, level: &mut Level, body: &Node, source: &Source, out: &mut Vec<Diagnostic>) {
        let mut reader = super::decode::Reader { source, mode: self.mode, out };
        if let Some(node) = body.get("env_file") {
            let files = if node.text().is_some() {
                reader.text(node).into_iter().collect()
            } else {
                reader.texts(node)
            };
            for file in files {
                let folder = source.file.parent().unwrap_or(Path::new(""));
                let path = self.root.join(folder).join(&file);
                match files::read(&path) {
                    Ok(text) => match parse_dotenv(&text, &self.process) {
                        Ok(found) => declare_file(&mut level.declared, found, &self.process),
                        Err(line) => {
                            reader.refuse(
                                node.span,
                                format!("`{file}`, line {line}: not `NAME=value`"),
                                "a line is `NAME=value`, a comment that begins with `#`, or empty; quotes are closed in it",
                            );
                        }
                    },
                    Err(reason) => {
                        let found = Diagnostic::error(format!("cannot read `{file}`: {reason}")).with_hint(
                            "the path is relative to this file; git may ignore what is named here",
                        );
                        reader.doubt(node.span, found);
                    }
                }
            }
        }
        if let Some(node) = body.get("environment") {
            let names = reader.texts(node);
            for name in names.iter().filter(|name| super::environment::is_own(name)) {
                let found =
                    Diagnostic::warning(format!("`{name}` is Larder's own and is never given to recipes"))
                        .with_hint("remove it from `environment`; a recipe's own settings need another name");
                reader.out.push(source.locate(found, node.span));
            }
            declare(&mut level.declared, &names, &self.process);
        }
        for (name, value) in &level.declared {
            level.scope.env.insert(name.clone(), value.clone().unwrap_or_default().into());
        }
    }
}
