//! `larder run --undo`: brings back what the last run replaced or moved away and the store did not hold.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use larder::project::Surroundings;
use larder::run::config::ConfigError;
use larder::run::config::discover::find_root;
use larder::run::lock::{Acquired, LockError, RecipeLocks};
use larder::run::outputs::undo::{Kept, Which, list, undo as put_back};
use larder::run::outputs::{self, Root};
use larder::run::process::CancelToken;
use serde_json::json;

use super::super::project::{fail, refuse};
use crate::commands::Context;
use crate::exit::Exit;
use crate::signals::Watch;
use crate::units;

/// Undoes the last run that kept something. It may be undone again.
pub(super) fn undo(context: &Context, around: &Surroundings, as_json: bool) -> Result<Exit, Exit> {
    let printer = &context.printer;
    let not_found = || refuse(printer, &ConfigError::NotFound { start: around.folder.clone() });
    let found = find_root(&around.folder).ok_or_else(not_found)?;
    let root = found.path.parent().unwrap_or(&around.folder);
    let state = root.join(".larder/state");
    if !state.is_dir() {
        return Err(nothing(context));
    }
    let open = |path| Root::open(path).map_err(|error| fail(printer, &error, None));
    let (root, state_dir) = (open(root)?, open(&state)?);
    // What a killed run had moved away is found first.
    outputs::staging::recover(&state_dir).map_err(|error| fail(printer, &error, None))?;
    let kept = list(&state_dir).map_err(|error| fail(printer, &error, None))?;
    let Some(last) = kept.first() else { return Err(nothing(context)) };
    let recipes: BTreeSet<&str> =
        kept.iter().filter(|kept| kept.run == last.run).map(|kept| kept.recipe.as_str()).collect();
    let cancel = CancelToken::new().map_err(|error| fail(printer, &error, None))?;
    let watch = Watch::new(cancel.clone()).map_err(|error| fail(printer, &error, None))?;
    let locks = RecipeLocks::open(&state.join("locks")).map_err(|error| fail(printer, &error, None))?;
    let mut held: Vec<Acquired> = Vec::new();
    for recipe in recipes {
        let waiting = |_: &_| {
            watch.be_gentle();
            printer.talk(format_args!("  … waits for {}, which runs", units::printable(recipe)));
        };
        match locks.acquire(recipe, &cancel, waiting) {
            Ok(lock) => held.push(lock),
            Err(LockError::Cancelled(_)) => return Err(Exit::Cancelled),
            Err(error) => return Err(fail(printer, &error, None)),
        }
    }
    let changed = match put_back(&state_dir, &root, Which::LastRun) {
        Ok(changed) => changed,
        Err(outputs::Error::NothingKept { .. }) => return Err(nothing(context)),
        Err(error) => return Err(fail(printer, &error, None)),
    };
    drop(held);
    show(context, last, changed, as_json);
    Ok(Exit::Success)
}

fn nothing(context: &Context) -> Exit {
    let hint = "what a run replaces is kept for a day, unless the cache holds it";
    context.printer.refuse("there is nothing to undo", Some(hint));
    Exit::Usage
}

fn show(context: &Context, last: &Kept, changed: Vec<Vec<u8>>, as_json: bool) {
    let count = changed.len();
    let paths: Vec<String> =
        changed.into_iter().map(|path| OsString::from_vec(path).to_string_lossy().into_owned()).collect();
    if as_json {
        return context.printer.json(&json!({ "version": 1, "run": last.run, "paths": paths }));
    }
    for path in &paths {
        context.printer.data(format_args!("  {}", units::printable(path)));
    }
    let ago = last.at.elapsed().map(units::ago).unwrap_or_else(|_| "just now".to_owned());
    let count = units::counted(count, "path", "paths");
    context.printer.data(format_args!(
        "{count} as before the run ({ago}); the same command again brings back what was there now"
    ));
}
