//! The project's own helpers (`.larder/helpers/*.yml`, `.bake/helpers/*.yml`): a command with parameters.
//!
//! Positional arguments bind to parameters in the order in which the file declares them; named arguments win. The
//! command is rendered with `params`, the helper's variables and all that the caller sees, and runs in the cookbook's folder.

use std::collections::BTreeMap;
use std::sync::Arc;

use handlebars::{
    Context, Handlebars, Helper, HelperDef, RenderContext, RenderError, RenderErrorReason, ScopedJson,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::shell::{Commands, lines, written};

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParameterType {
    /// Text.
    String,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A list.
    Array,
    /// A map.
    Object,
}

impl ParameterType {
    /// The name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Array => "array",
            Self::Object => "object",
        }
    }

    fn accepts(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
        }
    }
}

/// A parameter of a template or of a helper.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it takes.
    pub kind: ParameterType,
    /// Whether it must be given.
    pub required: bool,
    /// Its value if it is not given.
    pub default: Option<Value>,
    /// For people.
    pub description: Option<String>,
    /// Text must match this regular expression.
    pub pattern: Option<String>,
    /// Smallest number, or length of text or list.
    pub min: Option<f64>,
    /// Largest number, or length of text or list.
    pub max: Option<f64>,
    /// What each element of a list must be.
    pub items: Option<Box<Parameter>>,
}

/// What a helper gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returns {
    /// The trimmed output.
    String,
    /// Its lines that are not blank.
    Array,
}

/// A helper, as its file says.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomHelper {
    /// Its name in templates.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// What it gives.
    pub returns: Returns,
    /// Parameters, in the order of the file.
    pub parameters: Vec<Parameter>,
    /// Variables of its own.
    pub variables: Map<String, Value>,
    /// Values of the environment that it declares.
    pub environment: BTreeMap<String, String>,
    /// The command.
    pub run: String,
}

impl Parameter {
    /// Checks a value against type, pattern, bounds and element type.
    ///
    /// # Errors
    /// A message that names the parameter and what it takes.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        let name = &self.name;
        if !self.kind.accepts(value) {
            return Err(format!("parameter `{name}` takes a {}, got `{value}`", self.kind.name()));
        }
        if let (Some(pattern), Value::String(text)) = (&self.pattern, value) {
            let regex =
                regex::Regex::new(pattern).map_err(|e| format!("pattern of parameter `{name}`: {e}"))?;
            if !regex.is_match(text) {
                return Err(format!("parameter `{name}` is `{text}`, which does not match `{pattern}`"));
            }
        }
        let size = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => Some(text.chars().count() as f64),
            Value::Array(items) => Some(items.len() as f64),
            _ => None,
        };
        if let (Some(size), Some(min)) = (size, self.min)
            && size < min
        {
            return Err(format!("parameter `{name}` is `{value}`, less than {min}"));
        }
        if let (Some(size), Some(max)) = (size, self.max)
            && size > max
        {
            return Err(format!("parameter `{name}` is `{value}`, more than {max}"));
        }
        if let (Some(element), Value::Array(items)) = (&self.items, value) {
            for item in items {
                element.check(item)?;
            }
        }
        Ok(())
    }
}

/// Fills in defaults and checks; a parameter without value and default is `null`.
///
/// # Errors
/// A required parameter that is missing, an unknown one, a value that is not allowed.
pub fn bind(parameters: &[Parameter], mut given: Map<String, Value>) -> Result<Map<String, Value>, String> {
    if let Some(unknown) = given.keys().find(|name| parameters.iter().all(|p| p.name != **name)) {
        let near = crate::diagnostic::nearest(unknown, parameters.iter().map(|p| p.name.as_str()));
        let tail = near.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        return Err(format!("unknown parameter `{unknown}`{tail}"));
    }
    let mut bound = Map::new();
    for parameter in parameters {
        let value = given.remove(&parameter.name).or_else(|| parameter.default.clone());
        if let Some(value) = &value {
            parameter.check(value)?;
        } else if parameter.required {
            return Err(format!("parameter `{}` is required", parameter.name));
        }
        bound.insert(parameter.name.clone(), value.unwrap_or(Value::Null));
    }
    Ok(bound)
}

struct Custom {
    helper: CustomHelper,
    commands: Arc<Commands>,
}

impl Custom {
    fn value(
        &self,
        h: &Helper<'_>,
        registry: &Handlebars<'_>,
        context: &Context,
    ) -> Result<Value, RenderError> {
        let helper = &self.helper;
        let fail = |message: String| -> RenderError {
            RenderErrorReason::Other(format!("helper `{}`: {message}", helper.name)).into()
        };
        if h.params().len() > helper.parameters.len() {
            return Err(fail(format!(
                "takes {} argument(s), got {}",
                helper.parameters.len(),
                h.params().len()
            )));
        }
        let mut given = Map::new();
        for (parameter, argument) in helper.parameters.iter().zip(h.params()) {
            given.insert(parameter.name.clone(), argument.value().clone());
        }
        for (name, argument) in h.hash() {
            given.insert((*name).to_owned(), argument.value().clone());
        }
        given.retain(|_, value| !value.is_null());
        let params = bind(&helper.parameters, given).map_err(fail)?;
        let mut data = context.data().clone();
        if let Value::Object(data) = &mut data {
            data.insert("params".into(), Value::Object(params));
            if let Some(Value::Object(var)) = data.get_mut("var") {
                var.extend(helper.variables.clone());
            }
            if let Some(Value::Object(env)) = data.get_mut("env") {
                env.extend(
                    helper.environment.iter().map(|(name, value)| (name.clone(), Value::from(value.clone()))),
                );
            }
        }
        let script = registry.render_template(&helper.run, &data)?;
        let output =
            self.commands.run(&helper.name, &script, &data, &helper.environment)?.unwrap_or_default();
        Ok(match helper.returns {
            Returns::String => Value::String(output),
            Returns::Array => lines(&output),
        })
    }
}

impl HelperDef for Custom {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        registry: &'reg Handlebars<'reg>,
        context: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        self.value(h, registry, context).map(ScopedJson::Derived)
    }

    fn call<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        registry: &'reg Handlebars<'reg>,
        context: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn handlebars::Output,
    ) -> handlebars::HelperResult {
        out.write(&written(&self.value(h, registry, context)?))?;
        Ok(())
    }
}

/// Registers one helper.
pub(super) fn register(engine: &mut Handlebars<'static>, helper: CustomHelper, commands: &Arc<Commands>) {
    let name = helper.name.clone();
    engine.register_helper(&name, Box::new(Custom { helper, commands: Arc::clone(commands) }));
}
