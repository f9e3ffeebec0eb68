//! Helpers that only compute: `stem`, `basename`, `dirname`, `ext`, `replace`, `sh`.

use handlebars::{
    Context, Handlebars, Helper, HelperDef, JsonRender, RenderContext, RenderError, RenderErrorReason,
    ScopedJson,
};
use serde_json::Value;

/// Arguments, rendered → result.
type Function = fn(&[String]) -> String;

/// A helper that is a function of its arguments.
struct Pure {
    name: &'static str,
    arguments: usize,
    function: Function,
}

impl HelperDef for Pure {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        registry: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        if h.params().len() != self.arguments {
            let message = format!(
                "helper `{}` takes {} argument(s), got {}",
                self.name,
                self.arguments,
                h.params().len()
            );
            return Err(RenderErrorReason::Other(message).into());
        }
        if let Some(missing) = h.params().iter().find(|p| p.is_value_missing())
            && registry.strict_mode()
        {
            return Err(RenderErrorReason::MissingVariable(missing.relative_path().cloned()).into());
        }
        let arguments: Vec<String> = h.params().iter().map(|p| p.value().render()).collect();
        // A list is quoted element by element.
        if self.name == "sh"
            && let Some(Value::Array(items)) = h.param(0).map(|p| p.value())
        {
            let words: Vec<String> = items.iter().map(|item| quote(&item.render())).collect();
            return Ok(ScopedJson::Derived(Value::String(words.join(" "))));
        }
        Ok(ScopedJson::Derived(Value::String((self.function)(&arguments))))
    }
}

/// `{{__chunk n}}`: text of bake mode that is rendered with variables of its own (see `config::bake`).
struct Chunk;

impl HelperDef for Chunk {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        registry: &'reg Handlebars<'reg>,
        context: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let index = h.param(0).and_then(|p| p.value().as_u64()).and_then(|index| usize::try_from(index).ok());
        let chunk = index.and_then(|index| context.data().get("__chunks")?.get(index));
        let Some((text, data)) = chunk.and_then(|c| Some((c.get("text")?.as_str()?, c.get("data")?))) else {
            return Err(RenderErrorReason::Other("`__chunk` is not for use in files".into()).into());
        };
        let text = registry.render_template(text, data)?;
        Ok(ScopedJson::Derived(Value::String(text)))
    }
}

/// Names of what templates can call, Handlebars' own included.
pub(super) const NAMES: &[&str] = &[
    "basename", "dirname", "stem", "ext", "replace", "sh", "if", "unless", "each", "with", "lookup", "eq",
    "ne", "gt", "gte", "lt", "lte", "and", "or", "not", "len",
];

/// Registers them all.
pub(super) fn register(engine: &mut Handlebars<'static>) {
    engine.register_helper("__chunk", Box::new(Chunk));
    let helpers: [(&'static str, usize, Function); 6] = [
        ("basename", 1, |a| basename(&a[0]).to_owned()),
        ("dirname", 1, |a| match a[0].trim_end_matches('/').rsplit_once('/') {
            Some(("", _)) => "/".to_owned(),
            Some((folder, _)) => folder.to_owned(),
            None => ".".to_owned(),
        }),
        ("stem", 1, |a| split_extension(basename(&a[0])).0.to_owned()),
        ("ext", 1, |a| split_extension(basename(&a[0])).1.to_owned()),
        ("replace", 3, |a| if a[1].is_empty() { a[0].clone() } else { a[0].replace(&a[1], &a[2]) }),
        ("sh", 1, |a| quote(&a[0])),
    ];
    for (name, arguments, function) in helpers {
        engine.register_helper(name, Box::new(Pure { name, arguments, function }));
    }
}

fn basename(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

/// `a.tar.gz` → (`a.tar`, `gz`); a leading dot is no extension.
fn split_extension(name: &str) -> (&str, &str) {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => (stem, extension),
        _ => (name, ""),
    }
}

/// Quotes one word for a POSIX shell.
fn quote(word: &str) -> String {
    let plain = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '=' | '@' | '%' | '+' | ',')
    };
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
