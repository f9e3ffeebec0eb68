//! A recipe's `template:` with its `parameters:` → fields that the recipe inherits.

use serde_json::{Map, Value as Json};

use super::super::bake;
use super::super::raw::{self, RawCookbook, RawRecipe, RawTemplate, TemplateContent};
use super::super::scope::Level;
use super::super::source::Source;
use super::super::yaml::{self, Node, Span};
use super::Resolver;
use crate::diagnostic::{Diagnostic, Severity, nearest};
use crate::recipe::Mode;
use crate::template::{bind, undefined};

/// What a recipe inherits.
pub(super) struct Inherited {
    /// The template's fields.
    pub(super) body: Node,
    /// Where they stand.
    pub(super) source: Source,
}

impl Resolver<'_> {
    /// Binds parameters into the level, and gives the template's fields. `Err`: reported.
    pub(super) fn inherit(
        &mut self,
        book: &RawCookbook,
        raw: &RawRecipe,
        level: &mut Level,
    ) -> Result<Option<Inherited>, ()> {
        let Some(node) = raw.body.get("template") else {
            if let Some(node) = raw.body.get("parameters") {
                self.reader(&book.source)
                    .doubt(node.span, Diagnostic::error("`parameters` without `template`"));
            }
            return Ok(None);
        };
        let Some(name) = self.reader(&book.source).text(node) else {
            return if self.project.mode == Mode::Bake { Ok(None) } else { Err(()) };
        };
        let Some(template) = self.project.templates.get(&name) else {
            let near = nearest(&name, self.project.templates.keys().map(String::as_str));
            let label = near.map(|near| format!("did you mean `{near}`?")).unwrap_or_default();
            let found = Diagnostic::error(format!("no template `{name}`")).with_label(label);
            self.out.push(book.source.locate(found, node.span));
            return Err(());
        };
        if let Some((base, span)) = &template.extends {
            let found = Diagnostic::error(format!("`extends` is not built yet: `{base}` is not read"))
                .with_hint("repeat what the template needs");
            self.not_built(&template.source, *span, found);
        }
        let given = self.given_parameters(book, raw, level)?;
        let at = raw.body.get("parameters").unwrap_or(node).span;
        let params = self.bind_parameters(template, given, book, at)?;
        level.scope.params = Some(params);
        match &template.content {
            TemplateContent::Parsed(body) => {
                Ok(Some(Inherited { body: body.clone(), source: template.source.clone() }))
            }
            TemplateContent::Text(text) => self.rendered_template(template, text, level).map(Some),
        }
    }

    /// Says that something parses and does nothing: an error in strict mode, a warning in bake mode.
    pub(super) fn not_built(&mut self, source: &Source, span: Span, found: Diagnostic) {
        let severity = if self.project.mode == Mode::Strict { Severity::Error } else { Severity::Warning };
        let found = source.locate(Diagnostic { severity, ..found }, span);
        if !self.out.contains(&found) {
            self.out.push(found);
        }
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
                ));
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
                self.out.push(book.source.locate(found, at));
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
        let fail = |resolver: &mut Self, message: String| {
            let found = Diagnostic::error(format!("template `{}`: {message}", template.name));
            resolver.out.push(template.source.locate(found, Span::default()));
        };
        let rendered = renderer.render_data(text, &data).map_err(|error| fail(self, error.message))?;
        let body = yaml::parse(&rendered)
            .map_err(|error| fail(self, format!("after rendering: {}", error.message)))?;
        let source = Source {
            file: template.source.file.clone(),
            text: rendered,
            original: template.source.original.clone(),
        };
        debug_assert!(!text.contains(bake::ROOT_TOKEN), "files with the token are refused when read");
        self.reader(&source).map(&body, raw::RECIPE_KEYS);
        Ok(Inherited { body, source })
    }
}
