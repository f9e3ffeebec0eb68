//! The schemas for editors and the parser say the same: of every key, of values of the right and of the wrong type, of every project in these tests and in
//! `examples/`.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value as Json, json};

use super::Fixture;
use crate::config::keys::{Kind, Table};
use crate::config::schema::File;
use crate::config::{WalkListing, yaml};
use crate::recipe::Mode;
use crate::template::Execution;

/// Why a value is not what a schema wants. Knows the words that our schemas use, and no others.
fn check(schema: &Json, root: &Json, value: &Json, at: &str) -> Result<(), String> {
    let Json::Object(schema) = schema else { panic!("no schema: {schema}") };
    for (word, wanted) in schema {
        let is_good = match word.as_str() {
            "$schema" | "title" | "description" | "definitions" | "then" | "else" => true,
            "if" => {
                let is_so = check(wanted, root, value, at).is_ok();
                check(&schema[if is_so { "then" } else { "else" }], root, value, at)?;
                true
            }
            "type" => {
                let is = |name: &Json| match name.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "number" => value.is_number(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "null" => value.is_null(),
                    other => panic!("{other}"),
                };
                wanted.as_array().map_or_else(|| is(wanted), |names| names.iter().any(is))
            }
            "enum" => wanted.as_array().unwrap().contains(value),
            "minimum" => value.as_f64().is_none_or(|value| value >= wanted.as_f64().unwrap()),
            "pattern" => {
                let pattern = regex::Regex::new(wanted.as_str().unwrap()).unwrap();
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "required" => {
                let has = |key: &Json| value.get(key.as_str().unwrap()).is_some();
                !value.is_object() || wanted.as_array().unwrap().iter().all(has)
            }
            "properties" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    if let Some(schema) = wanted.get(key) {
                        check(schema, root, value, &format!("{at}.{key}"))?;
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Json::as_object);
                for (key, value) in value.as_object().into_iter().flatten() {
                    if known.is_some_and(|known| known.contains_key(key)) {
                        continue;
                    }
                    match wanted {
                        Json::Bool(false) => return Err(format!("{at}: unknown key {key}")),
                        schema => check(schema, root, value, &format!("{at}.{key}"))?,
                    }
                }
                true
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    check(wanted, root, item, &format!("{at}[]"))?;
                }
                true
            }
            "anyOf" => wanted.as_array().unwrap().iter().any(|one| check(one, root, value, at).is_ok()),
            "allOf" => {
                wanted.as_array().unwrap().iter().try_for_each(|one| check(one, root, value, at))?;
                true
            }
            "$ref" => {
                let name = wanted.as_str().unwrap().strip_prefix("#/definitions/").unwrap();
                return check(&root["definitions"][name], root, value, at);
            }
            other => panic!("the schemas say `{other}`, which this test does not know"),
        };
        if !is_good {
            return Err(format!("{at}: {value} breaks {word} {wanted}"));
        }
    }
    Ok(())
}

fn conforms(file: File, document: &Json) -> Result<(), String> {
    let schema = file.schema();
    check(&schema, &schema, document, file.name())
}

/// Which schema is for a file of a project.
fn kind_of(path: &Path) -> Option<File> {
    let name = path.file_name()?.to_str()?;
    let folder = path.parent()?.to_str()?;
    match name {
        "larder.yml" | "larder.yaml" => Some(File::Project),
        _ if folder.ends_with("/templates") => Some(File::Template),
        _ if folder.ends_with("/helpers") => Some(File::Helper),
        _ => crate::config::discover::is_cookbook(name.as_ref()).then_some(File::Cookbook),
    }
}

/// All files of a project conform. What loads and resolves in these tests is looked at with this.
pub(super) fn all_conform(root: &Path) {
    for entry in ignore::WalkBuilder::new(root).hidden(false).build().map(Result::unwrap) {
        let Some(file) = kind_of(entry.path()).filter(|_| entry.path().is_file()) else { continue };
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let document = yaml::parse(&text).unwrap().to_json();
        if let Err(why) = conforms(file, &document) {
            panic!("{}: {why}\n{text}", entry.path().display());
        }
    }
}

#[test]
fn examples_conform() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    assert!(examples.join("c-library/larder.yml").is_file());
    all_conform(&examples);
}

/// Values that are right and wrong for a kind.
fn samples(kind: Kind) -> (Vec<Json>, Vec<Json>) {
    let in_map = |values: Vec<Json>| values.into_iter().map(|value| json!({ "a": value })).collect();
    match kind {
        Kind::Name => (vec![json!("x")], vec![json!(5), json!("a:b"), json!("-a"), json!(["x"])]),
        Kind::Text => (vec![json!("x")], vec![json!(5), json!(["x"])]),
        Kind::Texts => (vec![json!(["x"]), json!([])], vec![json!(5), json!("x"), json!([5])]),
        Kind::TextOrTexts => (vec![json!("x"), json!(["x"])], vec![json!(5), json!([5])]),
        Kind::Flag => (vec![json!(false), json!("false")], vec![json!(5), json!("maybe")]),
        Kind::Count => (vec![json!(3), json!("3")], vec![json!(-1), json!("many"), json!([])]),
        Kind::Number => (vec![json!(3), json!(1.5)], vec![json!("much"), json!([])]),
        Kind::Size => (vec![json!(10), json!("10G"), json!("1.5 MiB")], vec![json!("much"), json!([])]),
        Kind::Duration => {
            (vec![json!(90), json!("90s"), json!("1h30m"), json!("500ms")], vec![json!("soon"), json!([])])
        }
        Kind::Word(words) => {
            (words.iter().map(|word| json!(word)).collect(), vec![json!("nonsense"), json!([])])
        }
        Kind::Any => (vec![json!("x")], vec![]),
        Kind::Scalar => (vec![json!("x"), json!(5), json!(true)], vec![json!([]), json!({})]),
        Kind::Values => (vec![json!({"a": 1}), json!({})], vec![json!(5), json!([])]),
        Kind::Each(each) => {
            let (good, bad) = samples(*each);
            let mut bad: Vec<Json> = in_map(bad);
            bad.push(json!(5));
            (in_map(good), bad)
        }
        Kind::List(each) => {
            let in_list = |values: Vec<Json>| values.into_iter().map(|value| json!([value])).collect();
            let (good, bad) = samples(*each);
            (in_list(good), in_list(bad))
        }
        Kind::Map(table) => (vec![minimal(table)], vec![json!(5), json!([])]),
        Kind::Either(kinds) => (kinds.iter().flat_map(|kind| samples(*kind).0).collect(), vec![json!(5)]),
    }
}

/// A map with what must be there.
fn minimal(table: &Table) -> Json {
    let is_needed =
        |name: &&str| table.required().any(|key| key == *name) || table.one_of.first() == Some(name);
    let mut map = Map::new();
    for key in table.keys.iter().filter(|key| is_needed(&key.name)) {
        map.insert(key.name.to_owned(), samples(key.kind).0.swap_remove(0));
    }
    if table.name == "templateRecipe" {
        map.insert("run".into(), json!("x"));
    }
    map.into()
}

/// What the parser says of a project with this document in it; `None`: nothing.
fn parser_says(file: File, document: &Json) -> Option<String> {
    let mut files = vec![
        ("larder.yml", json!({ "name": "x" })),
        (
            "cookbook.yml",
            json!({ "name": "x", "recipes": { "x": { "run": "x" }, "t": { "template": "x" } } }),
        ),
        (".larder/templates/x.yml", json!({ "name": "x", "template": { "run": "x" } })),
        (".larder/helpers/x.yml", json!({ "name": "x", "run": "x" })),
    ];
    files[File::ALL.iter().position(|one| *one == file).unwrap()].1 = document.clone();
    // What templates extend.
    files.push((".larder/templates/base.yml", json!({ "name": "base", "template": { "run": "x" } })));
    let texts: Vec<(&str, String)> = files.into_iter().map(|(path, json)| (path, json.to_string())).collect();
    let mut files: Vec<(&str, &str)> = texts.iter().map(|(path, text)| (*path, text.as_str())).collect();
    files.push(("x", ""));
    let fixture = Fixture::new(&files);
    let resolved = fixture.load().and_then(|project| project.resolve_all(&WalkListing, Execution::Inert));
    resolved.err().map(|error| super::show(&error))
}

/// Keys whose value names something, which samples cannot.
fn by_name(table: &Table, key: &str) -> Option<Vec<Json>> {
    Some(match (table.name, key) {
        ("cookbook", "recipes") => vec![json!({ "x": { "run": "x" } })],
        ("recipe" | "templateRecipe", "dependencies") => vec![json!([])],
        ("recipe", "template" | "parameters") => vec![],
        ("sandbox", "folders") => vec![json!(["/usr"])],
        ("template", "extends") => vec![json!("base")],
        _ => return None,
    })
}

/// Tries every key of a table, and of those below it.
fn visit(
    file: File,
    table: &'static Table,
    wrap: &dyn Fn(Json) -> Json,
    seen: &mut BTreeSet<&'static str>,
    wrong: &mut Vec<String>,
) {
    if !seen.insert(table.name) {
        return;
    }
    let refused = |document: Json, wrong: &mut Vec<String>| {
        if conforms(file, &document).is_ok() {
            wrong.push(format!("the schema takes {document}"));
        }
        if parser_says(file, &document).is_none() {
            wrong.push(format!("the parser takes {document}"));
        }
    };
    for key in table.keys.iter().filter(|key| table.knows(key.name, Mode::Strict)) {
        let with = |value: Json| {
            let mut map = minimal(table);
            map[key.name] = value;
            if key.name == "sandbox" {
                map["cache"] = json!({});
            }
            wrap(map)
        };
        let (good, bad) = samples(key.kind);
        for value in by_name(table, key.name).unwrap_or(good) {
            let document = with(value);
            wrong.extend(
                conforms(file, &document).err().map(|why| format!("the schema refuses {document}: {why}")),
            );
            wrong.extend(
                parser_says(file, &document).map(|why| format!("the parser refuses {document}: {why}")),
            );
        }
        bad.into_iter().for_each(|value| refused(with(value), wrong));
        below(key.kind, &mut |table, inner| visit(file, table, &|map| with(inner(map)), seen, wrong));
    }
    for name in table.required().chain(["unknown-key"]) {
        let mut map = minimal(table);
        if map.as_object_mut().unwrap().remove(name).is_none() {
            map[name] = json!("x");
        }
        refused(wrap(map), wrong);
    }
}

type Found<'f> = dyn FnMut(&'static Table, &dyn Fn(Json) -> Json) + 'f;

/// The tables of a kind, each with how its map becomes a value of the kind.
fn below(kind: Kind, found: &mut Found<'_>) {
    match kind {
        Kind::Map(table) => found(table, &|map| map),
        Kind::Each(each) => below(*each, &mut |table, inner| found(table, &|map| json!({ "x": inner(map) }))),
        Kind::List(each) => below(*each, &mut |table, inner| found(table, &|map| json!([inner(map)]))),
        Kind::Either(kinds) => kinds.iter().for_each(|kind| below(*kind, found)),
        _ => {}
    }
}

#[test]
fn parser_and_schema_agree_on_every_key() {
    let mut wrong = Vec::new();
    for file in File::ALL {
        let mut seen = BTreeSet::new();
        visit(file, file.table(), &|map| map, &mut seen, &mut wrong);
        let schema = file.schema();
        let defined: Vec<&str> = schema
            .get("definitions")
            .and_then(Json::as_object)
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str())
            .collect();
        seen.remove(file.table().name);
        assert_eq!(defined, Vec::from_iter(seen));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_key_is_described_and_knows_its_table() {
    for file in File::ALL {
        let schema = file.schema();
        let properties = schema["properties"].as_object().unwrap();
        assert!(properties.values().all(|property| property["description"].is_string()));
        let names: Vec<&str> = file.table().names(Mode::Strict).collect();
        assert_eq!(properties.keys().map(String::as_str).collect::<Vec<_>>(), names);
    }
}
