//! `matrix`: axes and their values → instances.
//!
//! ```yaml
//! matrix:
//!   os: [linux, macos]            # a list
//!   file: {glob: "src/*.c"}       # the files that match, relative to the cookbook, sorted
//! ```
//! The first axis varies slowest. An instance is named by its values, joined with `,`.

use std::collections::HashSet;

use serde_json::{Map, Value as Json};

/// Most instances that one recipe may have.
pub(super) const MAX_INSTANCES: usize = 10_000;

/// One instance of a recipe.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Instance {
    /// What stands in the brackets; `None` without a matrix.
    pub(super) label: Option<String>,
    /// `{{matrix.AXIS}}`
    pub(super) values: Map<String, Json>,
}

/// All combinations.
///
/// # Errors
/// Too many instances, or two with one name; with what to do.
pub(super) fn expand(axes: &[(String, Vec<Json>)]) -> Result<Vec<Instance>, (String, &'static str)> {
    let total = axes.iter().try_fold(1usize, |total, (_, values)| total.checked_mul(values.len()));
    if total.is_none_or(|total| total > MAX_INSTANCES) {
        let message = format!("the matrix has more than {MAX_INSTANCES} instances");
        return Err((message, "narrow an axis, or let one command do many files"));
    }
    let mut instances = vec![Instance::default()];
    for (axis, values) in axes {
        let mut next = Vec::with_capacity(instances.len() * values.len());
        for instance in &instances {
            for value in values {
                let text = value_text(value);
                let label =
                    instance.label.as_ref().map_or_else(|| text.clone(), |label| format!("{label},{text}"));
                let mut values = instance.values.clone();
                values.insert(axis.clone(), value.clone());
                next.push(Instance { label: Some(label), values });
            }
        }
        instances = next;
    }
    let mut seen = HashSet::new();
    if let Some(twice) =
        instances.iter().filter_map(|i| i.label.as_deref()).find(|label| !seen.insert(*label))
    {
        return Err((
            format!("two instances are named `[{twice}]`"),
            "a value stands twice in an axis, or holds the `,` that joins values",
        ));
    }
    Ok(instances)
}

/// A value as it stands in an instance's name.
fn value_text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}
