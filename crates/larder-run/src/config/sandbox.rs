//! `sandbox:` of a recipe: `true`, `false`, or a map with `network` and `folders`.

use std::path::PathBuf;

use super::decode::Reader;
use super::keys;
use super::yaml::{Node, Value};
use crate::diagnostic::Diagnostic;
use crate::recipe::{ROOT_PLACEHOLDER, Sandbox};

/// The outer `None`: it is wrong, and was reported; the inner one: no sandbox.
pub(super) fn decode(reader: &mut Reader<'_>, node: &Node) -> Option<Option<Sandbox>> {
    let Value::Map(_) = &node.value else {
        let plain = Sandbox { network: true, folders: Vec::new() };
        return reader.boolean(node).map(|on| on.then_some(plain));
    };
    reader.map(node, &keys::SANDBOX);
    let network = node.get("network").is_none_or(|node| reader.boolean(node).unwrap_or(true));
    let listed = node.get("folders").map(|node| (reader.texts(node), node));
    let mut folders = Vec::new();
    for (at, text) in listed.iter().flat_map(|(texts, _)| texts.iter().enumerate()) {
        let is_placed = text.starts_with('/') || text.starts_with("~/");
        if is_placed && !text.contains('\0') && !text.split('/').any(|part| part == "..") {
            folders.push(PathBuf::from(text));
            continue;
        }
        let span =
            listed.as_ref().and_then(|(_, node)| node.items().get(at)).map_or(node.span, |item| item.span);
        let shown = text.replace(ROOT_PLACEHOLDER, "{{project.root}}");
        let found = Diagnostic::error(format!("folder `{}` is no absolute path", shown.escape_debug()));
        let found = found
            .with_hint("these are folders of the machine, `/…` or `~/…`; what is in the project is an input");
        reader.out.push(reader.source.locate(found, span));
    }
    folders.sort();
    folders.dedup();
    Some(Some(Sandbox { network, folders }))
}
