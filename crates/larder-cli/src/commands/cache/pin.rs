//! `larder cache pin` and `unpin`.

use std::time::{Duration, SystemTime};

use larder::store::Store;
use larder::store::local::index::PinKind;
use serde_json::json;

use super::keys::{self, Named};
use super::{fail, open};
use crate::cli::{PinArgs, UnpinArgs};
use crate::commands::Context;
use crate::exit::Exit;
use crate::units;

/// Pins what is named, or lists what is pinned. All names are found before anything is pinned.
pub(super) fn pin(context: &Context, args: &PinArgs) -> Result<Exit, Exit> {
    let (store, _) = open(context)?;
    if args.list || args.keys.is_empty() {
        return list(context, &store, args.json);
    }
    let named: Vec<Named> = args
        .keys
        .iter()
        .map(|typed| keys::find(&store, typed))
        .collect::<Result<_, _>>()
        .map_err(|error| fail(context, &error))?;
    let (local, namespace, who) = (store.local_store(), store.namespace(), context.machine.user());
    for one in &named {
        if !args.dry_run {
            let pinned = match one {
                Named::Result { key, .. } => local.pin_result(namespace, key, &who, &args.why),
                Named::Blob(digest) => local.pin_blob(namespace, digest, &who, &args.why),
            };
            pinned.map_err(|error| fail(context, &error))?;
        }
        tell(context, if args.dry_run { "would pin" } else { "pinned" }, &one.text(), args.json);
    }
    Ok(Exit::Success)
}

/// Lifts pins. What is no longer in the store can be unpinned by what `larder cache pin --list` shows.
pub(super) fn unpin(context: &Context, args: &UnpinArgs) -> Result<Exit, Exit> {
    let (store, _) = open(context)?;
    let index = store.index().map_err(|error| fail(context, &error))?;
    let namespace = store.namespace();
    let pins = index.pins(Some(namespace)).map_err(|error| fail(context, &error))?;
    let mut exit = Exit::Success;
    for typed in &args.keys {
        let wanted = match keys::find(&store, typed) {
            Ok(Named::Result { key, .. }) => keys::text(&key),
            Ok(Named::Blob(digest)) => blob_text(&digest),
            Err(_) => typed.clone(),
        };
        let fits = |key: &[u8]| keys::text(key).starts_with(&wanted);
        let mut found = pins.iter().filter(|pin| fits(&pin.key));
        let (Some(pin), None) = (found.next(), found.next()) else {
            context.printer.refuse(
                format_args!("`{}` names no pin, or several", units::printable(typed)),
                Some("`larder cache pin --list` shows what is pinned"),
            );
            exit = Exit::Usage;
            continue;
        };
        if !args.dry_run {
            index.unpin(namespace, pin.kind, &pin.key).map_err(|error| fail(context, &error))?;
        }
        tell(
            context,
            if args.dry_run { "would unpin" } else { "unpinned" },
            &keys::text(&pin.key),
            args.json,
        );
    }
    Ok(exit)
}

fn blob_text(digest: &larder::core::Digest) -> String {
    format!("{}/{}", digest.hash, digest.size)
}

fn tell(context: &Context, verb: &str, what: &str, as_json: bool) {
    if as_json {
        context.printer.json(&json!({ "done": verb, "what": what }));
    } else {
        context.printer.data(format_args!("{verb} {}", units::printable(what)));
    }
}

fn list(context: &Context, store: &Store, as_json: bool) -> Result<Exit, Exit> {
    let index = store.index().map_err(|error| fail(context, &error))?;
    let pins = index.pins(Some(store.namespace())).map_err(|error| fail(context, &error))?;
    for pin in &pins {
        let kind = if pin.kind == PinKind::Result { "result" } else { "blob" };
        let key = keys::text(&pin.key);
        if as_json {
            context.printer.json(&json!({
                "kind": kind, "key": key, "who": pin.who, "why": pin.why, "created": pin.created,
            }));
            continue;
        }
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(pin.created);
        let ago = then.elapsed().map_or_else(|_| "just now".to_owned(), units::ago);
        let said = format!("{key}  {kind}  {ago}  {}  {}", pin.who, pin.why);
        context.printer.data(units::printable(said.trim_end()));
    }
    if pins.is_empty() && !as_json {
        context.printer.talk("nothing is pinned");
    }
    Ok(Exit::Success)
}
