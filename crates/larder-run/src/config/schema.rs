//! JSON Schemas (draft 7, which editors know) of the files of a `larder.yml` project, made from the table of keys.
//!
//! A schema refuses what the parser refuses where a schema can say it: unknown keys, wrong types, missing keys. It is never stricter: text with
//! `{{` may become a value of any type, so it is allowed for each. `bake.yml` projects have no schema: they are text until they are rendered.

use serde_json::{Map, Value as Json, json};

use super::keys::{COOKBOOK, HELPER, Key, Kind, PROJECT, TEMPLATE, Table};
use crate::recipe::Mode;

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// `larder.yml`
    Project,
    /// `cookbook.yml`, `NAME.cookbook.yml`
    Cookbook,
    /// `.larder/templates/*.yml`
    Template,
    /// `.larder/helpers/*.yml`
    Helper,
}

impl File {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Project, Self::Cookbook, Self::Template, Self::Helper];

    /// Its name: `project`, `cookbook`, …
    #[must_use]
    pub fn name(self) -> &'static str {
        self.table().name
    }

    /// What it may say.
    #[must_use]
    pub fn table(self) -> &'static Table {
        match self {
            Self::Project => &PROJECT,
            Self::Cookbook => &COOKBOOK,
            Self::Template => &TEMPLATE,
            Self::Helper => &HELPER,
        }
    }

    /// Its schema.
    #[must_use]
    pub fn schema(self) -> Json {
        let mut definitions = Map::new();
        let body = object(self.table(), &mut definitions);
        let mut schema = json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "title": self.table().doc,
        });
        if let (Json::Object(schema), Json::Object(body)) = (&mut schema, body) {
            schema.extend(body);
            if !definitions.is_empty() {
                definitions.sort_keys();
                schema.insert("definitions".into(), definitions.into());
            }
        }
        schema
    }
}

/// A map with known keys. The tables that it refers to are added to the definitions.
fn object(table: &'static Table, definitions: &mut Map<String, Json>) -> Json {
    let mut properties = Map::new();
    for key in table.keys.iter().filter(|key| table.knows(key.name, Mode::Strict)) {
        properties.insert(key.name.into(), property(key, definitions));
    }
    let mut schema = json!({
        "description": table.doc, "type": "object", "properties": properties, "additionalProperties": false,
    });
    let required: Vec<&str> = table.required().collect();
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    if !table.one_of.is_empty() {
        let each = table.one_of.iter().map(|key| json!({ "required": [key] }));
        schema["anyOf"] = each.collect();
    }
    schema
}

fn property(key: &Key, definitions: &mut Map<String, Json>) -> Json {
    let mut said = kind(key.kind, definitions);
    if said.get("$ref").is_some() {
        // What stands beside a `$ref` does not count.
        said = json!({ "allOf": [said] });
    }
    let template = json!({ "type": "string", "pattern": "\\{\\{" });
    said = match key.kind {
        Kind::Any | Kind::Name | Kind::Text | Kind::TextOrTexts | Kind::Each(Kind::Map(_)) => said,
        // So that an editor says what is wrong inside, and not that no alternative fits.
        Kind::Texts | Kind::Values | Kind::Each(_) | Kind::List(_) | Kind::Map(_) => {
            json!({ "if": { "type": "string" }, "then": template, "else": said })
        }
        _ => {
            let either =
                said.as_object_mut().filter(|one| one.len() == 1).and_then(|one| one.remove("anyOf"));
            let mut either = match either {
                Some(Json::Array(either)) => either,
                _ => vec![said],
            };
            either.push(template);
            json!({ "anyOf": either })
        }
    };
    let mut described = json!({ "description": key.doc });
    if let (Json::Object(described), Json::Object(said)) = (&mut described, said) {
        described.extend(said);
    }
    described
}

fn kind(kind_: Kind, definitions: &mut Map<String, Json>) -> Json {
    match kind_ {
        Kind::Name => json!({ "type": "string", "pattern": "^[^-:\\[\\]][^:\\[\\]]*$" }),
        Kind::Text => json!({ "type": "string" }),
        Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::TextOrTexts => {
            json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
        }
        // A rendered value is text: `"true"` and `"3"` will do.
        Kind::Flag => {
            json!({ "anyOf": [{ "type": "boolean" }, { "type": "string", "enum": ["true", "false"] }] })
        }
        Kind::Count => json!({ "anyOf": [
            { "type": "integer", "minimum": 0 },
            { "type": "string", "pattern": "^\\s*[0-9]+\\s*$" },
        ] }),
        Kind::Number => json!({ "type": "number" }),
        Kind::Size => json!({ "anyOf": [
            { "type": "integer", "minimum": 0 },
            { "type": "string", "pattern": "^\\s*[0-9.]+\\s*([kKmMgGtT]?[bB]?|[kKmMgGtT][iI][bB]?)\\s*$" },
        ] }),
        Kind::Duration => json!({ "anyOf": [
            { "type": "number", "minimum": 0 },
            { "type": "string", "pattern": "^\\s*([0-9]+|([0-9]+\\s*(ms|s|m|h)\\s*)+)\\s*$" },
        ] }),
        Kind::Word(words) => json!({ "type": "string", "enum": words }),
        Kind::Any => json!({}),
        Kind::Scalar => json!({ "type": ["string", "number", "boolean"] }),
        Kind::Values => json!({ "type": ["object", "null"] }),
        Kind::Each(each) => {
            json!({ "type": ["object", "null"], "additionalProperties": kind(*each, definitions) })
        }
        Kind::List(each) => json!({ "type": "array", "items": kind(*each, definitions) }),
        Kind::Map(table) => {
            if !definitions.contains_key(table.name) {
                // In its place before what it refers to is described, since that may be itself.
                definitions.insert(table.name.into(), Json::Null);
                let body = object(table, definitions);
                definitions.insert(table.name.into(), body);
            }
            json!({ "$ref": format!("#/definitions/{}", table.name) })
        }
        Kind::Either(kinds) => {
            let mut either = Vec::new();
            for each in kinds {
                either.push(kind(*each, definitions));
            }
            json!({ "anyOf": either })
        }
    }
}
