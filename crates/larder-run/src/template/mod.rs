//! Handlebars: text with `{{…}}` and a [`Scope`] → text, or a typed value.
//!
//! - Text without `{{` never meets Handlebars. No HTML escaping.
//! - `{{shell}}`, `{{shell-lines}}` and the project's own helpers run commands. Their results are remembered by directory, command
//!   *and* environment. With [`Execution::Inert`] nothing is executed: they give empty results, and [`Renderer::skipped_commands`]
//!   tells that it happened.
//! - `{{project.root}}` renders to the renderer's root token, never to the machine's path; commands get the real one,
//!   and the real root in what they print becomes the token again.
//!
//! Thread safety: a `Renderer` may be shared; nothing but the memory of results is mutable.

mod builtin;
mod custom;
mod path;
mod shell;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use handlebars::{Handlebars, RenderError, RenderErrorReason, TemplateErrorReason};
use serde_json::{Map, Value};

use crate::diagnostic::{Diagnostic, nearest};

pub use custom::{CustomHelper, Parameter, ParameterType, Returns, bind};
pub use path::{Reference, references, undefined};
use shell::Commands;

/// Whether helpers that run commands do so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Execution {
    /// They run (for recipes that will be run, and for `--render`).
    Run,
    /// They give nothing (for lists and completion).
    Inert,
}

/// The values that a template sees.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// `{{var.…}}`
    pub var: Map<String, Value>,
    /// `{{env.…}}`: declared names; an unset one is empty text.
    pub env: Map<String, Value>,
    /// `{{project.…}}`
    pub project: Map<String, Value>,
    /// `{{cookbook.…}}`
    pub cookbook: Map<String, Value>,
    /// `{{recipe.…}}`, inside a recipe.
    pub recipe: Map<String, Value>,
    /// `{{params.…}}`, inside a template or a helper.
    pub params: Option<Map<String, Value>>,
    /// `{{matrix.…}}`, inside an instance of a matrix.
    pub matrix: Option<Map<String, Value>>,
}

impl Scope {
    /// As the one JSON value that Handlebars reads.
    #[must_use]
    pub fn data(&self) -> Value {
        let mut data = Map::new();
        data.insert("var".into(), Value::Object(self.var.clone()));
        data.insert("env".into(), Value::Object(self.env.clone()));
        data.insert("project".into(), Value::Object(self.project.clone()));
        data.insert("cookbook".into(), Value::Object(self.cookbook.clone()));
        if !self.recipe.is_empty() {
            data.insert("recipe".into(), Value::Object(self.recipe.clone()));
        }
        if let Some(params) = &self.params {
            data.insert("params".into(), Value::Object(params.clone()));
        }
        if let Some(matrix) = &self.matrix {
            data.insert("matrix".into(), Value::Object(matrix.clone()));
        }
        Value::Object(data)
    }
}

/// Why a template could not be rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// What went wrong.
    pub message: String,
    /// What a person can do.
    pub hint: Option<String>,
    /// Line inside the template, from 1, if known.
    pub line: Option<usize>,
}

impl TemplateError {
    /// An error without a line.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, line: None }
    }

    /// The same at a line of the template.
    #[must_use]
    pub fn at(self, line: Option<usize>) -> Self {
        Self { line, ..self }
    }

    /// The same with what a person can do.
    #[must_use]
    pub fn hinted(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl From<TemplateError> for Diagnostic {
    fn from(error: TemplateError) -> Self {
        Self { hint: error.hint, ..Self::error(error.message) }
    }
}

/// What a renderer needs to know of its surroundings.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The project's real root.
    pub root: PathBuf,
    /// What `{{project.root}}` renders to.
    pub root_token: String,
    /// The environment that commands get.
    pub environment: BTreeMap<String, String>,
    /// Whether commands run.
    pub execution: Execution,
    /// Whether an undefined name is an error.
    pub strict: bool,
    /// How long a command may take.
    pub timeout: Duration,
}

/// How long a command of a helper may take unless something else is said.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);

/// Renders templates of one project.
#[derive(Clone)]
pub struct Renderer {
    engine: Arc<Handlebars<'static>>,
    commands: Arc<Commands>,
    helpers: Arc<HashSet<String>>,
    skipped: Arc<AtomicBool>,
}

thread_local! {
    /// Where `{{__capture x}}` leaves its value for [`Renderer::evaluate`].
    static CAPTURED: RefCell<Option<Value>> = const { RefCell::new(None) };
}

impl Renderer {
    /// A renderer with the project's own helpers.
    #[must_use]
    pub fn new(surroundings: Surroundings, helpers: Vec<CustomHelper>) -> Self {
        let strict = surroundings.strict;
        let skipped = Arc::new(AtomicBool::new(false));
        let commands = Arc::new(Commands::new(surroundings, Arc::clone(&skipped)));
        let mut engine = Handlebars::new();
        engine.register_escape_fn(handlebars::no_escape);
        engine.set_strict_mode(strict);
        builtin::register(&mut engine);
        shell::register(&mut engine, &commands);
        let mut names: HashSet<String> = ["shell", "shell-lines"].map(str::to_owned).into();
        for helper in helpers {
            names.insert(helper.name.clone());
            custom::register(&mut engine, helper, &commands);
        }
        engine.register_helper(
            "__capture",
            Box::new(
                move |h: &handlebars::Helper<'_>,
                      _: &Handlebars<'_>,
                      _: &handlebars::Context,
                      _: &mut handlebars::RenderContext<'_, '_>,
                      _: &mut dyn handlebars::Output|
                      -> handlebars::HelperResult {
                    let value = h.param(0).map(|p| (p.is_value_missing(), p.value().clone()));
                    match value {
                        Some((true, _)) if strict => Err(RenderErrorReason::MissingVariable(
                            h.param(0).and_then(|p| p.relative_path().cloned()),
                        )
                        .into()),
                        Some((_, value)) => {
                            CAPTURED.with_borrow_mut(|slot| *slot = Some(value));
                            Ok(())
                        }
                        None => Ok(()),
                    }
                },
            ),
        );
        Self { engine: Arc::new(engine), commands, helpers: Arc::new(names), skipped }
    }

    /// Renders text.
    ///
    /// # Errors
    /// Bad syntax, an unknown helper, a failed command and, if strict, an undefined name.
    pub fn render(&self, text: &str, scope: &Scope) -> Result<String, TemplateError> {
        if !text.contains("{{") {
            return Ok(text.to_owned());
        }
        self.render_data(text, &scope.data())
    }

    /// As [`Renderer::render`], with data that is more than a scope.
    pub(crate) fn render_data(&self, text: &str, data: &Value) -> Result<String, TemplateError> {
        if text.contains("{{>") || text.contains("{{#>") {
            return Err(TemplateError::new("partials (`{{> name}}`) are not supported")
                .hinted("a helper in `.larder/helpers` or a variable can hold what is repeated"));
        }
        self.engine.render_template(text, data).map_err(|error| self.describe(&error))
    }

    /// Renders text; if it is exactly one expression, its value keeps its type (a list stays a list).
    ///
    /// # Errors
    /// As [`Renderer::render`].
    pub fn evaluate(&self, text: &str, scope: &Scope) -> Result<Value, TemplateError> {
        let Some(expression) = path::sole_expression(text) else {
            return self.render(text, scope).map(Value::String);
        };
        let is_call = expression.contains(char::is_whitespace) || self.has_helper(expression);
        let capture = if is_call {
            format!("{{{{__capture ({expression})}}}}")
        } else {
            format!("{{{{__capture {expression}}}}}")
        };
        CAPTURED.with_borrow_mut(Option::take);
        self.render_data(&capture, &scope.data())?;
        let value = CAPTURED.with_borrow_mut(Option::take).unwrap_or(Value::Null);
        Ok(value)
    }

    /// Whether a helper of this name runs a command (the project's own, `shell`, `shell-lines`).
    #[must_use]
    pub fn has_helper(&self, name: &str) -> bool {
        self.helpers.contains(name)
    }

    /// Whether a command was not run because of [`Execution::Inert`] since the last call.
    pub fn skipped_commands(&self) -> bool {
        self.skipped.swap(false, Ordering::Relaxed)
    }

    /// The text with the root token replaced by the real root.
    #[must_use]
    pub fn with_real_root(&self, text: &str) -> String {
        self.commands.with_real_root(text)
    }

    /// The project's real root.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.commands.root()
    }
}

const DECLARE: &str = "declare it under `variables`, or in `environment` for `env.…`";

impl Renderer {
    fn describe(&self, error: &RenderError) -> TemplateError {
        let line = error.line_no;
        let (message, hint) = match error.reason() {
            RenderErrorReason::TemplateError(template) => {
                // The parser lists everything that could stand there.
                let reason = match template.reason() {
                    TemplateErrorReason::InvalidSyntax(_) => {
                        "a tag or a block is not closed, or cannot be read".to_owned()
                    }
                    other => other.to_string(),
                };
                let message = format!("bad template: {reason}");
                let hint = "each `{{#if …}}` ends with `{{/if}}`; braces for the shell are written `\\{{`"
                    .to_owned();
                return TemplateError {
                    message,
                    hint: Some(hint),
                    line: template.pos().map(|(line, _)| line),
                };
            }
            RenderErrorReason::MissingVariable(Some(name)) => {
                (format!("undefined name `{name}`"), Some(DECLARE.to_owned()))
            }
            RenderErrorReason::MissingVariable(None) => {
                ("undefined name in an expression".to_owned(), Some(DECLARE.to_owned()))
            }
            RenderErrorReason::HelperNotFound(name) => {
                let known = self.helpers.iter().map(String::as_str).chain(builtin::NAMES.iter().copied());
                let hint = match nearest(name, known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "a project's own helpers are read from `.larder/helpers/NAME.yml`".to_owned(),
                };
                (format!("no helper `{name}`"), Some(hint))
            }
            other => (other.to_string(), None),
        };
        TemplateError { message, hint, line }
    }
}
