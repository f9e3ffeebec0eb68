//! The key of a recipe: everything that may change what it makes, as a REAPI `Action`.
//!
//! ```text
//! Action   command_digest, input_root_digest (from the worktree), salt "larder-recipe-1"
//! Command  arguments   shell, command, $0, ARGS
//!          environment_variables   declared ones that are set
//!          working_directory       the cookbook's folder        output_paths   the patterns, sorted
//!          platform    OSFamily, ISA, and larder:… : project, cookbook, recipe, instance, variables,
//!                      sandbox (if any), tools by content, digests of dependencies' outputs, `trace: strict` (if so),
//!                      spared (inputs that the output patterns cover and `!` takes out, if any)
//! ```
//! The project's real root is in none of it ([`crate::recipe::ROOT_PLACEHOLDER`]). Two recipes, cookbooks or projects
//! never share a key by sharing a text. What is added here changes all keys: raise [`VERSION`] when the meaning of something
//! that is there changes.

use larder_core::{Digest, DigestFunction};
use larder_reapi::{Action, Command, EnvironmentVariable, Platform, Property, name};
use larder_store::message::{encode, to_message};

use std::os::unix::ffi::OsStrExt;

use crate::recipe::{CacheSpec, Inputs, Recipe, RecipeId, Sandbox, TraceMode};
use crate::secret::Secrets;
use crate::state::KeyItem;

/// Version of the key's format.
pub const VERSION: &str = "larder-recipe-1";

/// Stands in a list of items for the value of a declared variable that is not set.
pub(crate) const UNSET: &str = "(unset)";

/// What a key is computed from, beside the recipe.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    /// Name of the project.
    pub project: &'a str,
    /// The recipe.
    pub recipe: &'a Recipe,
    /// ARGS, if the recipe was selected.
    pub args: &'a [String],
    /// Root digest of the inputs; `None` without `cache`.
    pub inputs: Option<Digest>,
    /// Digest of inputs that the output patterns cover and exclude again.
    pub spared: Option<Digest>,
    /// Tools with the digests of their files.
    pub tools: &'a [(String, Digest)],
    /// Dependencies, each with the digest of its outputs, or its own key if it is not cached.
    pub dependencies: &'a [(RecipeId, Digest)],
}

/// A computed key.
#[derive(Clone, Debug)]
pub struct Key {
    /// Digest of the `Action`: the key itself.
    pub digest: Digest,
    /// The encoded `Action` and `Command`, for tiers that want them beside a result (the local tier does not).
    pub blobs: [Vec<u8>; 2],
}

fn property(name: impl Into<String>, value: impl Into<String>) -> Property {
    Property { name: name.into(), value: value.into() }
}

/// The shell's arguments for a recipe, still with the root's placeholder.
#[must_use]
pub fn arguments(recipe: &Recipe, args: &[String]) -> Vec<String> {
    let mut arguments = recipe.shell.clone();
    let zero = arguments.first().cloned().unwrap_or_else(|| "sh".to_owned());
    arguments.push(recipe.run.clone());
    arguments.push(zero);
    arguments.extend(args.iter().cloned());
    arguments
}

fn platform(parts: &Parts<'_>) -> Platform {
    let recipe = parts.recipe;
    let mut properties = vec![
        property("ISA", std::env::consts::ARCH),
        property("OSFamily", std::env::consts::OS),
        property("larder:cookbook", &recipe.id.cookbook),
        property("larder:project", parts.project),
        property("larder:recipe", &recipe.id.recipe),
        property("larder:version", VERSION),
    ];
    if recipe.trace.mode == TraceMode::Strict {
        properties.push(property("larder:trace", traced(recipe)));
    }
    properties.extend(parts.spared.map(|digest| property("larder:spared", digest.to_string())));
    properties.extend(recipe.sandbox.as_ref().map(|sandbox| property("larder:sandbox", sandboxed(sandbox))));
    properties.extend(recipe.id.instance.as_ref().map(|instance| property("larder:instance", instance)));
    properties.extend(
        recipe.variables.iter().map(|(name, value)| property(format!("larder:variable:{name}"), value)),
    );
    properties.extend(
        parts.tools.iter().map(|(name, digest)| property(format!("larder:tool:{name}"), digest.to_string())),
    );
    let dependency =
        |(id, digest): &(RecipeId, Digest)| property(format!("larder:dependency:{id}"), digest.to_string());
    properties.extend(parts.dependencies.iter().map(dependency));
    properties.sort_by(|a, b| (&a.name, &a.value).cmp(&(&b.name, &b.value)));
    Platform { properties }
}

/// How `trace: strict` looked on, and at what: a result that was recorded without it, with more patterns that were not in question, or with an input
/// more that happens not to be there (so that its absence was declared) will not do.
fn traced(recipe: &Recipe) -> String {
    let mut text = String::from("strict");
    let mut add = |kind: &str, patterns: &[String]| {
        let mut patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        patterns.sort_unstable();
        patterns.dedup();
        for pattern in patterns {
            text.extend(["\n", kind, " ", pattern]);
        }
    };
    add("ignores", &recipe.trace.ignore);
    match recipe.cache.as_ref().map(|cache| &cache.inputs) {
        Some(Inputs::Patterns(patterns)) => add("reads", patterns),
        Some(Inputs::Folder { except }) => add("reads all but", except),
        None => {}
    }
    text
}

/// What a sandbox shows, as text; a recipe without one says nothing, so that its key is what it always was.
fn sandboxed(sandbox: &Sandbox) -> String {
    let mut text = if sandbox.network { "on".to_owned() } else { "on, no network".to_owned() };
    for folder in &sandbox.folders {
        text.push_str(", ");
        text.push_str(&name::encode(folder.as_os_str().as_bytes()));
    }
    text
}

/// The salt that binds an action to one place: results whose bytes hold the project's root, and incremental ones.
#[must_use]
pub fn place_salt(root: &std::path::Path) -> Vec<u8> {
    let mut salt = VERSION.as_bytes().to_vec();
    salt.extend_from_slice(b"\0place\0");
    salt.extend_from_slice(root.as_os_str().as_bytes());
    salt
}

/// Computes the key. `salt`: [`VERSION`]'s bytes, or [`place_salt`].
#[must_use]
pub fn compute(parts: &Parts<'_>, salt: &[u8]) -> Key {
    let recipe = parts.recipe;
    let variable = |(name, value): (&String, &Option<String>)| {
        value.as_ref().map(|value| EnvironmentVariable { name: name.clone(), value: value.clone() })
    };
    let mut output_paths = recipe.cache.as_ref().map(|cache| cache.outputs.clone()).unwrap_or_default();
    output_paths.sort();
    let platform = platform(parts);
    let command = Command {
        arguments: arguments(recipe, parts.args),
        environment_variables: recipe.environment.iter().filter_map(variable).collect(),
        output_paths,
        working_directory: name::encode(recipe.folder.as_os_str().as_bytes()).into_owned(),
        platform: Some(platform.clone()),
        ..Command::default()
    };
    let function = DigestFunction::Blake3;
    let (command_digest, command) = encode(function, &command);
    let inputs = parts.inputs.unwrap_or_else(|| Digest::empty(function));
    let action = Action {
        command_digest: Some(to_message(&command_digest)),
        input_root_digest: Some(to_message(&inputs)),
        do_not_cache: recipe.cache.is_none(),
        salt: salt.to_vec(),
        platform: Some(platform),
        ..Action::default()
    };
    let (digest, action) = encode(function, &action);
    Key { digest, blobs: [action, command] }
}

fn item(kind: &str, name: impl Into<String>, value: impl Into<String>) -> KeyItem {
    KeyItem { kind: kind.to_owned(), name: name.into(), value: value.into() }
}

/// The same key as a list that two runs can be compared by, and that may be shown, kept and told: without secrets. `inputs` are (path, content) pairs.
#[must_use]
pub fn items(parts: &Parts<'_>, inputs: impl IntoIterator<Item = (String, String)>) -> Vec<KeyItem> {
    let recipe = parts.recipe;
    let mut items = vec![
        item("command", "run", recipe.run.clone()),
        item("command", "shell", recipe.shell.join(" ")),
        item("platform", "os", std::env::consts::OS),
        item("platform", "architecture", std::env::consts::ARCH),
        item("platform", "key version", VERSION),
        item("platform", "project", parts.project),
    ];
    if recipe.trace.mode == TraceMode::Strict {
        items.push(item("platform", "trace", traced(recipe)));
    }
    items.extend(recipe.sandbox.as_ref().map(|sandbox| item("sandbox", "what is seen", sandboxed(sandbox))));
    items.extend(parts.args.iter().enumerate().map(|(at, arg)| item("args", (at + 1).to_string(), arg)));
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| UNSET.to_owned());
    items.extend(recipe.environment.iter().map(|(name, set)| item("env", name, value(set))));
    items.extend(recipe.variables.iter().map(|(name, value)| item("variable", name, value)));
    items.extend(parts.tools.iter().map(|(name, digest)| item("tool", name, digest.to_string())));
    items.extend(
        parts.dependencies.iter().map(|(id, digest)| item("dependency", id.to_string(), digest.to_string())),
    );
    let outputs =
        recipe.cache.as_ref().map(|CacheSpec { outputs, .. }| outputs.as_slice()).unwrap_or_default();
    items.extend(outputs.iter().map(|pattern| item("output", pattern, "")));
    items.extend(inputs.into_iter().map(|(path, content)| item("input", path, content)));
    let secrets = Secrets::of(&recipe.environment, &recipe.variables);
    let mut items: Vec<KeyItem> = items.into_iter().map(|item| secrets.hide(item)).collect();
    items.sort();
    items
}
