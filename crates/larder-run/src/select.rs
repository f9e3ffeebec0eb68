//! Selectors, `--regex`, tags: which recipes are asked for.
//!
//! `cookbook:recipe`, `cookbook:` (all of it), `:recipe` (in every cookbook), a bare name (as `:name`), each with
//! `[value]` for one instance of a matrix. Several selectors add up; tags narrow (any of them, whatever the case). With `--regex` both
//! sides are regular expressions that may match anywhere. Pure: works on a list of what there is.

use std::collections::BTreeSet;

use regex::Regex;

use crate::config::{ConfigError, Listed};
use crate::diagnostic::nearest;
use crate::recipe::{Mode, RecipeId};

/// What a person asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Selectors; empty: the defaults.
    pub selectors: Vec<String>,
    /// Selectors are regular expressions.
    pub regex: bool,
    /// Any of these tags.
    pub tags: Vec<String>,
    /// None but these, if there is a list; it may leave nothing.
    pub only: Option<BTreeSet<RecipeId>>,
}

impl Selection {
    /// These selectors, exactly.
    #[must_use]
    pub fn of(selectors: &[&str]) -> Self {
        Self { selectors: selectors.iter().map(|&s| s.to_owned()).collect(), ..Self::default() }
    }

    /// Every recipe of every cookbook.
    #[must_use]
    pub fn everything() -> Self {
        Self { selectors: vec![String::new()], regex: true, ..Self::default() }
    }
}

/// One selector, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// Cookbook; `None`: any.
    pub cookbook: Option<String>,
    /// Recipe; `None`: any.
    pub recipe: Option<String>,
    /// Instance; `None`: all.
    pub instance: Option<String>,
}

impl Selector {
    /// Takes a selector apart.
    ///
    /// # Errors
    /// An empty one, a bracket that is not closed, more than one `:`.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let bad =
            |reason: &str| ConfigError::BadSelector { selector: text.to_owned(), reason: reason.to_owned() };
        let (name, instance) = match text.split_once('[') {
            Some((name, rest)) => {
                let value = rest.strip_suffix(']').ok_or_else(|| bad("`[` without `]`"))?;
                (name, Some(value.to_owned()))
            }
            None => (text, None),
        };
        let (cookbook, recipe) = name.split_once(':').unwrap_or(("", name));
        if recipe.contains(':') {
            return Err(bad("more than one `:`"));
        }
        if cookbook.is_empty() && recipe.is_empty() {
            return Err(bad("it names nothing"));
        }
        let some = |part: &str| (!part.is_empty()).then(|| part.to_owned());
        Ok(Self { cookbook: some(cookbook), recipe: some(recipe), instance })
    }

    /// Whether it means this recipe.
    #[must_use]
    pub fn matches(&self, id: &RecipeId) -> bool {
        self.cookbook.as_ref().is_none_or(|name| *name == id.cookbook)
            && self.recipe.as_ref().is_none_or(|name| *name == id.recipe)
            && (self.instance.is_none() || self.instance == id.instance)
    }
}

/// Picks from all recipes of a project; `default` are the project's own selectors.
///
/// # Errors
/// A selector that cannot be read or names nothing, a tag that nothing has.
pub fn pick(
    selection: &Selection,
    all: &[Listed],
    default: &[String],
    mode: Mode,
) -> Result<Vec<RecipeId>, ConfigError> {
    let mut wanted = vec![false; all.len()];
    if !selection.selectors.is_empty() {
        for selector in &selection.selectors {
            mark(selector, selection.regex, all, &mut wanted)?;
        }
    } else if !selection.tags.is_empty() {
        wanted.fill(true);
    } else if !default.is_empty() {
        for selector in default {
            mark(selector, false, all, &mut wanted)?;
        }
    } else {
        for (slot, listed) in wanted.iter_mut().zip(all) {
            *slot = mode == Mode::Bake || (listed.is_cached && !listed.is_persistent);
        }
    }
    if !selection.tags.is_empty() {
        let known = |tag: &str| all.iter().any(|listed| has_tag(listed, tag));
        if let Some(tag) = selection.tags.iter().find(|tag| !known(tag)) {
            let tags = all.iter().flat_map(|listed| listed.tags.iter().map(String::as_str));
            let suggestion = nearest(tag, tags).map(str::to_owned);
            return Err(ConfigError::UnknownTag { tag: tag.clone(), suggestion });
        }
        for (slot, listed) in wanted.iter_mut().zip(all) {
            *slot &= selection.tags.iter().any(|tag| has_tag(listed, tag));
        }
    }
    if let Some(only) = &selection.only {
        for (slot, listed) in wanted.iter_mut().zip(all) {
            *slot &= only.contains(&listed.id);
        }
    }
    Ok(wanted.iter().zip(all).filter(|(wanted, _)| **wanted).map(|(_, listed)| listed.id.clone()).collect())
}

fn has_tag(listed: &Listed, tag: &str) -> bool {
    listed.tags.iter().any(|own| own.to_lowercase() == tag.to_lowercase())
}

fn mark(text: &str, is_regex: bool, all: &[Listed], wanted: &mut [bool]) -> Result<(), ConfigError> {
    let matches: Box<dyn Fn(&RecipeId) -> bool> = if is_regex {
        let (cookbook, recipe) = text.split_once(':').unwrap_or(("", text));
        let compile = |part: &str| {
            Regex::new(part).map_err(|error| ConfigError::BadSelector {
                selector: text.to_owned(),
                reason: error.to_string().lines().last().unwrap_or_default().trim().to_owned(),
            })
        };
        let (cookbook, recipe) = (compile(cookbook)?, compile(recipe)?);
        Box::new(move |id: &RecipeId| {
            let instance = id.instance.as_ref().map(|value| format!("{}[{value}]", id.recipe));
            cookbook.is_match(&id.cookbook)
                && (recipe.is_match(&id.recipe) || instance.is_some_and(|name| recipe.is_match(&name)))
        })
    } else {
        let selector = Selector::parse(text)?;
        Box::new(move |id: &RecipeId| selector.matches(id))
    };
    let mut any = false;
    for (slot, listed) in wanted.iter_mut().zip(all) {
        if matches(&listed.id) {
            *slot = true;
            any = true;
        }
    }
    if any { Ok(()) } else { Err(unknown(text, all)) }
}

/// The error for a selector that names nothing, with what is near.
#[must_use]
pub fn unknown(text: &str, all: &[Listed]) -> ConfigError {
    let mut near: Vec<(usize, String)> = Vec::new();
    let wanted = text.trim_start_matches(':');
    for listed in all {
        let full = listed.id.to_string();
        let short = format!("{}:{}", listed.id.cookbook, listed.id.recipe);
        let names = [full.as_str(), short.as_str(), listed.id.recipe.as_str(), listed.id.cookbook.as_str()];
        let best =
            names.iter().map(|name| strsim::damerau_levenshtein(wanted, name)).min().unwrap_or(usize::MAX);
        if best <= (wanted.chars().count() / 3).max(1) + 1 {
            near.push((best, full));
        }
    }
    near.sort();
    let suggestions = near.into_iter().take(3).map(|(_, name)| name).collect();
    ConfigError::UnknownRecipe { selector: text.to_owned(), suggestions, total: all.len() }
}
