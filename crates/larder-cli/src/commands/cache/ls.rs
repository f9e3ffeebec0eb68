//! `larder cache ls`: results, the last used first.

use std::time::{Duration, SystemTime};

use larder::store::local::index::Listed;
use serde_json::json;

use super::keys::What;
use super::{fail, keys, open};
use crate::cli::LsArgs;
use crate::commands::Context;
use crate::exit::Exit;
use crate::printer::Style;
use crate::units;

/// Digits of a key that are shown.
const DIGITS: usize = 16;

fn ago(seconds: u64) -> String {
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    then.elapsed().map_or_else(|_| "just now".to_owned(), units::ago)
}

/// Runs the subcommand.
pub(super) fn ls(context: &Context, args: &LsArgs) -> Result<Exit, Exit> {
    let printer = &context.printer;
    let (store, _) = open(context)?;
    let index = store.index().map_err(|error| fail(context, &error))?;
    let (mut shown, mut is_cut) = (0, false);
    let done = keys::each(index, None, &mut |row: Listed| {
        let What::Result(label) = keys::what(index, &row) else { return true };
        let fits = |wanted: &String| label.as_ref().is_some_and(|label| label.contains(wanted.as_str()));
        if !args.filter.as_ref().is_none_or(fits) {
            return true;
        }
        if shown == args.limit {
            is_cut = true;
            return false;
        }
        shown += 1;
        let key = keys::text(&row.key);
        if args.json {
            printer.json(&json!({
                "key": key, "namespace": row.namespace, "recipe": label,
                "created": row.created, "last_used": row.last_used,
            }));
        } else {
            let label = label.as_deref().map_or("-".into(), units::printable);
            let key = printer.paint(Style::Faint, key.get(..DIGITS).unwrap_or(&key));
            let place = if row.namespace == store.namespace() {
                String::new()
            } else {
                format!("  [{}]", row.namespace)
            };
            printer.data(format_args!(
                "{key}  {:>11}  {label}{}",
                ago(row.last_used),
                units::printable(&place)
            ));
        }
        true
    });
    done.map_err(|error| fail(context, &error))?;
    if !args.json && is_cut {
        printer.talk(format_args!("… more than {}: `--limit N` shows N", args.limit));
    } else if !args.json && shown == 0 {
        printer.talk("no results");
    }
    Ok(Exit::Success)
}
