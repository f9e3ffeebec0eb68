//! A recipe's `template:` with its `parameters:` → fields that the recipe inherits.

use serde_json::{Map, Value as Json};

use super::super::bake;
use super::super::keys;
use super::super::raw::{RawCookbook, RawRecipe, RawTemplate, TemplateContent};
use super::super::scope::Level;
use super::super::source::Source;
use super::super::yaml::{self, Node, Span};
use super::Resolver;
use crate::diagnostic::{Diagnostic, nearest};
use crate::recipe::Mode;
use crate::template::{Parameter, bind, undefined};

/// What a recipe inherits.
pub(super) struct Inherited {
    /// The template's fields.
    pub(super) body: Node,
    /// Where they stand.
    pub(super) source: Source,
}

impl<'p> Resolver<'p> {
    /// Binds parameters into the level, and gives the fields of the template and of those that it extends, nearest first. `Err`: reported.
    pub(super) fn inherit(
        &mut self,
        book: &RawCookbook,
        raw: &RawRecipe,
        level: &mut Level,
    ) -> Result<Vec<Inherited>, ()> {
        let Some(node) = raw.body.get("template") else {
            if let Some(node) = raw.body.get("parameters") {
                self.reader(&book.source).doubt(
                    node.span,
                    Diagnostic::error("`parameters` without `template`")
                        .with_hint("name the template that they are for: `template: NAME`"),
                );
            }
            return Ok(Vec::new());
        };
        let Some(name) = self.reader(&book.source).text(node) else {
            return if self.project.mode == Mode::Bake { Ok(Vec::new()) } else { Err(()) };
        };
        let chain = self.chain(&name, &book.source, node.span)?;
        let template = RawTemplate { parameters: parameters_of(&chain), ..chain[0].clone() };
        let given = self.given_parameters(book, raw, level)?;
        let at = raw.body.get("parameters").unwrap_or(node).span;
        let params = self.bind_parameters(&template, given, book, at)?;
        level.scope.params = Some(params);
        let fields = |template: &RawTemplate| match &template.content {
            TemplateContent::Parsed(body) => {
                Ok(Inherited { body: body.clone(), source: template.source.clone() })
            }
            TemplateContent::Text(text) => self.rendered_template(template, text, level),
        };
        chain.into_iter().map(fields).collect()
    }

    /// A template, the one that it extends, and so on. `source` and `span`: where it is named.
    fn chain(&mut self, name: &str, source: &Source, span: Span) -> Result<Vec<&'p RawTemplate>, ()> {
        let templates = &self.project.templates;
        let mut chain: Vec<&RawTemplate> = Vec::new();
        let mut next = Some((name, source, span));
        while let Some((name, source, span)) = next {
            let found = match templates.get(name) {
                None => {
                    let near = nearest(name, templates.keys().map(String::as_str));
                    let found = Diagnostic::error(format!("no template `{name}`"));
                    match near {
                        Some(near) => found.with_label(format!("did you mean `{near}`?")),
                        None => found.with_hint("templates are read from `.larder/templates/*.yml`, and are called by their `name`"),
                    }
                }
                Some(template) if chain.iter().any(|before| before.name == template.name) => {
                    let names = chain.iter().map(|template| template.name.as_str()).chain([name]);
                    let circle = names.collect::<Vec<_>>().join(" → ");
                    Diagnostic::error(format!("templates extend each other in a circle: {circle}"))
                        .with_hint("one of them must stand alone: remove its `extends`")
                }
                Some(template) => {
                    chain.push(template);
                    next = template
                        .extends
                        .as_ref()
                        .map(|(base, span)| (base.as_str(), &template.source, *span));
                    continue;
                }
            };
            let found = source.locate(found, span);
            if !self.out.contains(&found) {
                self.out.push(found);
            }
            return Err(());
        }
        Ok(chain)
    }

    fn given_parameters(
        &mut self,
        book: &RawCookbook,
        raw: &RawRecipe,
        level: &Level,
    ) -> Result<Map<String, Json>, ()> {
        let Some(node) = raw.body.get("parameters") else { return Ok(Map::new()) };
        let node = if self.project.mode == Mode::Strict && super::super::load::has_template(node) {
            // Parameters may use the recipe's own variables.
            let mut inner = level.clone();
            self.project.enter(&mut inner, &raw.body, &book.source, self.execution, &mut self.out);
            self.deep(&inner, node, &book.source).ok_or(())?
        } else {
            node.clone()
        };
        let entries = self.reader(&book.source).free_map(&node);
        Ok(entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect())
    }

    fn bind_parameters(
        &mut self,
        template: &RawTemplate,
        mut given: Map<String, Json>,
        book: &RawCookbook,
        at: Span,
    ) -> Result<Map<String, Json>, ()> {
        let mut more = Map::new();
        if self.project.mode == Mode::Bake {
            // Bake takes parameters that the template does not declare.
            let unknown: Vec<String> = given
                .keys()
                .filter(|name| template.parameters.iter().all(|parameter| parameter.name != **name))
                .cloned()
                .collect();
            for name in unknown {
                let found = Diagnostic::warning(format!(
                    "template `{}` declares no parameter `{name}`",
                    template.name
                ))
                .with_hint(takes(template));
                self.out.push(book.source.locate(found, at));
                more.extend(given.remove(&name).map(|value| (name, value)));
            }
        }
        match bind(&template.parameters, given) {
            Ok(mut bound) => {
                bound.extend(more);
                Ok(bound)
            }
            Err(message) => {
                let found = Diagnostic::error(format!("template `{}`: {message}", template.name));
                self.out.push(book.source.locate(found.with_hint(takes(template)), at));
                Err(())
            }
        }
    }

    /// Bake mode: the template's text, rendered, then parsed.
    fn rendered_template(
        &mut self,
        template: &RawTemplate,
        text: &str,
        level: &Level,
    ) -> Result<Inherited, ()> {
        let renderer = self.project.renderer(self.execution);
        let data = level.scope.data();
        let base =
            template.source.original.as_deref().and_then(|original| original.find(text)).unwrap_or_default();
        for (reference, near) in undefined(text, &data) {
            if reference.is_bare {
                let label = near.map(|near| format!("did you mean `{near}`?")).unwrap_or_default();
                let found = Diagnostic::warning(format!("undefined name `{}` renders empty", reference.path))
                    .with_label(label);
                let found = template.source.locate_offset(
                    found,
                    base + reference.offset,
                    reference.path.chars().count(),
                );
                if !self.out.contains(&found) {
                    self.out.push(found);
                }
            }
        }
        let fail = |resolver: &mut Self, message: String, hint: Option<String>, line: Option<usize>| {
            let found = Diagnostic::error(format!("template `{}`: {message}", template.name));
            let found = Diagnostic { hint, ..found };
            // Lines of the text, in the file.
            let original = template.source.original.as_deref().unwrap_or_default();
            let rest = original.get(base..).unwrap_or_default();
            let start: usize =
                rest.split_inclusive('\n').take(line.unwrap_or(1).saturating_sub(1)).map(str::len).sum();
            let line = rest.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
            let indent = line.len() - line.trim_start().len();
            let width = line.trim().chars().count().max(1);
            resolver.out.push(template.source.locate_offset(found, base + start + indent, width));
        };
        let rendered = renderer
            .render_data(text, &data)
            .map_err(|error| fail(self, error.message, error.hint, error.line))?;
        let body = yaml::parse(&rendered).map_err(|error| {
            let hint =
                "the text was rendered before it was parsed: quote values that hold `: `, `#` or quotes";
            fail(self, format!("after rendering: {}", error.message), Some(hint.to_owned()), None);
        })?;
        let source = Source {
            file: template.source.file.clone(),
            text: rendered,
            original: template.source.original.clone(),
        };
        debug_assert!(!text.contains(bake::ROOT_TOKEN), "files with the token are refused when read");
        self.reader(&source).map(&body, &keys::RECIPE);
        Ok(Inherited { body, source })
    }
}

/// What a template takes, in words.
fn takes(template: &RawTemplate) -> String {
    let known: Vec<String> = template
        .parameters
        .iter()
        .map(|parameter| {
            format!("`{}`{}", parameter.name, if parameter.required { " (required)" } else { "" })
        })
        .collect();
    if known.is_empty() {
        return "it takes no parameters".to_owned();
    }
    format!("it takes {}", known.join(", "))
}

/// The parameters of a chain of templates: what one declares replaces what it extends declares under the same name.
fn parameters_of(chain: &[&RawTemplate]) -> Vec<Parameter> {
    let mut all: Vec<Parameter> = Vec::new();
    for parameter in chain.iter().flat_map(|template| &template.parameters) {
        if all.iter().all(|nearer| nearer.name != parameter.name) {
            all.push(parameter.clone());
        }
    }
    all
}
