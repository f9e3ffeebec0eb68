//! Proposals → new texts of cookbooks ([`edit`]), and whether these mean what was meant ([`check`]).
//!
//! What a recipe has from a template, what is an expression, and what a `bake.yml` project renders as text cannot be edited here: that is [`ByHand`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Proposal;
use crate::config::Project;
use crate::config::edit::append;
use crate::config::patterns::{escape_brackets, normalize};
use crate::config::raw::{RawCookbook, RawRecipe};
use crate::recipe::{Inputs, Recipe, RecipeId};

/// A cookbook as it is, and as it would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEdit {
    /// Relative to the project's root.
    pub file: PathBuf,
    /// Its text as it was read.
    pub before: String,
    /// Its text with the proposals.
    pub after: String,
}

/// What a person has to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByHand {
    /// The recipe.
    pub recipe: String,
    /// `cache.inputs`, `tools`, …
    pub list: String,
    /// What belongs there.
    pub items: Vec<String>,
    /// Why it is not done here.
    pub reason: String,
}

/// What [`edit`] came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edited {
    /// The files that change.
    pub files: Vec<FileEdit>,
    /// What is left to do.
    pub by_hand: Vec<ByHand>,
}

/// Why edited files are not to be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A recipe would not be there any more, or another one would.
    #[error("the edit would change which recipes there are")]
    Recipes,
    /// Something else of a recipe would change.
    #[error("the edit would change more of `{recipe}` than its inputs and tools")]
    Field {
        /// Which.
        recipe: RecipeId,
    },
    /// The recipe would not have what was proposed.
    #[error("after the edit `{recipe}` would not read `{item}`")]
    Lost {
        /// Which.
        recipe: RecipeId,
        /// What.
        item: String,
    },
}

/// The axes of every matrix, in order, by cookbook and recipe.
#[must_use]
pub fn axes(project: &Project) -> BTreeMap<(String, String), Vec<String>> {
    let recipes = project.cookbooks.iter().flat_map(|book| book.recipes.iter().map(move |raw| (book, raw)));
    recipes
        .filter_map(|(book, raw)| {
            let axes = raw.body.get("matrix")?.entries().iter().map(|entry| entry.key.clone());
            Some(((book.name.clone(), raw.name.clone()), axes.collect()))
        })
        .collect()
}

/// The new texts. Nothing is written.
#[must_use]
pub fn edit(project: &Project, proposals: &[Proposal]) -> Edited {
    let mut edited = Edited::default();
    let mut texts: BTreeMap<usize, String> = BTreeMap::new();
    for proposal in proposals {
        let Some(at) = project.cookbooks.iter().position(|book| book.name == proposal.cookbook) else {
            continue;
        };
        let book = &project.cookbooks[at];
        let Some(raw) = book.recipes.iter().find(|raw| raw.name == proposal.recipe) else { continue };
        // `inputs` goes before `outputs`, which has to be there then.
        let lists: [(&[&str], &[String]); 3] = [
            (&["tools"], &proposal.tools),
            (&["cache", "outputs"], &proposal.outputs),
            (&["cache", "inputs"], &proposal.inputs),
        ];
        for (list, items) in lists.into_iter().filter(|(_, items)| !items.is_empty()) {
            let text = texts.get(&at).unwrap_or(&book.source.text);
            let path: Vec<&str> =
                ["recipes", raw.name.as_str()].into_iter().chain(list.iter().copied()).collect();
            let done = match obstacle(project, book, raw, proposal, list[0]) {
                Some(reason) => Err(reason.to_owned()),
                None => append(text, &path, items).map_err(|error| error.to_string()),
            };
            match done {
                Ok(after) => drop(texts.insert(at, after)),
                Err(reason) => edited.by_hand.push(ByHand {
                    recipe: format!("{}:{}", proposal.cookbook, proposal.recipe),
                    list: list.join("."),
                    items: items.to_vec(),
                    reason,
                }),
            }
        }
    }
    edited.files = texts
        .into_iter()
        .map(|(at, after)| {
            let source = &project.cookbooks[at].source;
            FileEdit { file: source.file.clone(), before: source.text.clone(), after }
        })
        .collect();
    edited
}

/// Why a field of a recipe cannot be edited where the recipe is.
fn obstacle(
    project: &Project,
    book: &RawCookbook,
    raw: &RawRecipe,
    proposal: &Proposal,
    field: &str,
) -> Option<&'static str> {
    if book.source.original.is_some() {
        return Some("the file is rendered before it is read");
    }
    if raw.body.get(field).is_some() {
        return None;
    }
    let is_inherited = raw.body.get("template").is_some()
        && match field {
            "cache" => !proposal.is_new,
            _ => inherits(project, raw, field),
        };
    is_inherited.then_some("it comes from the recipe's template")
}

/// Whether the recipe's template, or one that that one extends, says the field; if in doubt it does.
fn inherits(project: &Project, raw: &RawRecipe, field: &str) -> bool {
    use crate::config::raw::TemplateContent;
    let mut name = raw.body.get("template").and_then(|node| node.text());
    // Circles were refused when the recipe was resolved.
    for _ in 0..=project.templates.len() {
        let Some(template) = name.and_then(|name| project.templates.get(name)) else { return name.is_some() };
        match &template.content {
            TemplateContent::Parsed(node) if node.get(field).is_none() => {}
            _ => return true,
        }
        match &template.extends {
            Some((base, _)) => name = Some(base),
            None => return false,
        }
    }
    true
}

/// Compares the recipes as they were with those of the project that was loaded from the edited texts.
///
/// # Errors
/// The first difference that no proposal means.
pub fn check(
    project: &Project,
    before: &[Recipe],
    after: &[Recipe],
    proposals: &[Proposal],
    by_hand: &[ByHand],
) -> Result<(), Refusal> {
    if before.len() != after.len() {
        return Err(Refusal::Recipes);
    }
    for old in before {
        let new = after.iter().find(|new| new.id == old.id).ok_or(Refusal::Recipes)?;
        let proposal = proposals.iter().find(|proposal| {
            proposal.cookbook == old.id.cookbook && proposal.recipe == old.id.recipe && !proposal.is_empty()
        });
        let mut expected = Recipe { place: new.place.clone(), ..old.clone() };
        if let Some(proposal) = proposal {
            let name = format!("{}:{}", proposal.cookbook, proposal.recipe);
            let written = |list: &str, items: &[String]| {
                !items.is_empty() && !by_hand.iter().any(|left| left.recipe == name && left.list == list)
            };
            if written("cache.outputs", &proposal.outputs) {
                expected.cache.clone_from(&new.cache);
            }
            if written("cache.inputs", &proposal.inputs) {
                has_all(project, old, new, proposal)?;
                expected.cache.clone_from(&new.cache);
            }
            if written("tools", &proposal.tools) {
                expected.tools.extend(proposal.tools.iter().cloned());
            }
        }
        if expected != *new {
            return Err(Refusal::Field { recipe: old.id.clone() });
        }
    }
    Ok(())
}

/// The recipe has its old inputs, then what was proposed, and its old outputs.
fn has_all(project: &Project, old: &Recipe, new: &Recipe, proposal: &Proposal) -> Result<(), Refusal> {
    let lost = |item: &str| Refusal::Lost { recipe: old.id.clone(), item: item.to_owned() };
    let patterns = |recipe: &Recipe| match recipe.cache.as_ref().map(|cache| cache.inputs.clone()) {
        Some(Inputs::Patterns(patterns)) => patterns,
        _ => Vec::new(),
    };
    let there = patterns(new);
    let own = patterns(old);
    let is_kept = there.starts_with(&own);
    let outputs = |recipe: &Recipe| recipe.cache.as_ref().map(|cache| cache.outputs.clone());
    let same_outputs = proposal.is_new || outputs(old) == outputs(new);
    if !is_kept || !same_outputs {
        return Err(Refusal::Field { recipe: old.id.clone() });
    }
    let plain = proposal.inputs.iter().filter(|item| !item.contains("{{"));
    for item in plain {
        let wanted = normalize(&escape_brackets(item), &old.folder, &project.root);
        if !wanted.is_ok_and(|wanted| there[own.len()..].contains(&wanted)) {
            return Err(lost(item));
        }
    }
    Ok(())
}
