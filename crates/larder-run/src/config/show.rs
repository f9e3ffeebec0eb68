//! `--render`: a resolved project as JSON, with the real root in place of its placeholder.

use serde_json::{Map, Value, json};

use super::{Project, Resolved};
use crate::recipe::{Inputs, ROOT_PLACEHOLDER, Recipe, TraceMode};

impl Project {
    /// The project and these recipes, as they are after templating. Values of the environment are left out: they may be secret.
    #[must_use]
    pub fn render(&self, resolved: &Resolved) -> Value {
        let root = self.root.to_string_lossy();
        let mut cookbooks: Map<String, Value> = Map::new();
        for recipe in &resolved.recipes {
            let cookbook = cookbooks
                .entry(recipe.id.cookbook.clone())
                .or_insert_with(|| json!({ "folder": recipe.folder.to_string_lossy(), "recipes": {} }));
            let name = match &recipe.id.instance {
                Some(value) => format!("{}[{value}]", recipe.id.recipe),
                None => recipe.id.recipe.clone(),
            };
            cookbook["recipes"][name] = show_recipe(recipe);
        }
        let mut shown = json!({
            "name": self.name,
            "root": root,
            "cookbooks": cookbooks,
            "skipped": resolved.skipped.iter().map(ToString::to_string).collect::<Vec<_>>(),
        });
        with_root(&mut shown, &root);
        shown
    }
}

fn show_recipe(recipe: &Recipe) -> Value {
    let mut shown = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() && value != json!([]) && value != json!({}) && value != json!(false) {
            shown.insert(key.to_owned(), value);
        }
    };
    put("description", json!(recipe.description));
    put("run", json!(recipe.run));
    put("shell", json!(recipe.shell));
    put("dependencies", recipe.dependencies.iter().map(ToString::to_string).collect());
    if let Some(cache) = &recipe.cache {
        let mut map = Map::new();
        if let Inputs::Patterns(patterns) = &cache.inputs {
            map.insert("inputs".into(), json!(patterns));
        }
        map.insert("outputs".into(), json!(cache.outputs));
        put("cache", Value::Object(map));
    }
    put("environment", recipe.environment.keys().cloned().collect());
    put("variables", json!(recipe.variables));
    put("tags", json!(recipe.tags));
    put("tools", json!(recipe.tools));
    let mode = match recipe.trace.mode {
        TraceMode::Off => Value::Null,
        TraceMode::Warn => json!("warn"),
        TraceMode::Strict => json!("strict"),
    };
    if recipe.trace.ignore.is_empty() {
        put("trace", mode);
    } else {
        put("trace", json!({ "mode": mode, "ignore": recipe.trace.ignore }));
    }
    put("relocatable", json!(recipe.relocatable));
    put("incremental", json!(recipe.incremental));
    put("persistent", json!(recipe.persistent));
    put("timeout", json!(recipe.timeout.map(|timeout| timeout.as_secs_f64())));
    put("retries", if recipe.retries == 0 { Value::Null } else { json!(recipe.retries) });
    Value::Object(shown)
}

fn with_root(value: &mut Value, root: &str) {
    match value {
        Value::String(text) if text.contains(ROOT_PLACEHOLDER) => {
            *text = text.replace(ROOT_PLACEHOLDER, root)
        }
        Value::Array(items) => items.iter_mut().for_each(|item| with_root(item, root)),
        Value::Object(map) => map.values_mut().for_each(|value| with_root(value, root)),
        _ => {}
    }
}

impl Project {
    /// A diagnostic at a place, with the line as it is in the file now.
    #[must_use]
    pub fn locate(
        &self,
        diagnostic: crate::diagnostic::Diagnostic,
        place: &crate::recipe::Place,
        width: usize,
    ) -> crate::diagnostic::Diagnostic {
        let book = self.cookbooks.iter().find(|book| book.source.file == place.file);
        let text = book.map(|book| book.source.original.as_ref().unwrap_or(&book.source.text));
        let line = text
            .and_then(|text| text.lines().nth((place.line as usize).saturating_sub(1)))
            .map(str::to_owned);
        diagnostic.at(place.clone(), line, u32::try_from(width).unwrap_or(1))
    }
}
