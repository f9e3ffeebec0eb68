//! `larder key list`: whom the user trusts, and the keys of his own.

use larder::core::Error;
use larder::keys::folder::OwnKey;
use larder::keys::time;
use larder::keys::trust_file::Entry;
use larder::store::trust::PublicKey;
use serde_json::{Value, json};

use super::{Around, as_json, called, terms};
use crate::cli::ListKeysArgs;
use crate::commands::Context;
use crate::exit::Exit;
use crate::units;

/// Lists keys.
pub(super) fn list(context: &Context, args: &ListKeysArgs) -> Result<Exit, Error> {
    let printer = &context.printer;
    let around = Around::new(context);
    let signs = context.machine.keys().signing_key(context.machine.folder(), &around.places())?;
    let signs = signs.as_ref().map(|key| key.public());
    let folder = around.folder(context)?;
    let trust = folder.as_ref().map(|folder| folder.trust()).transpose()?.unwrap_or_default();
    let mut own = Vec::new();
    for name in folder.as_ref().map(|folder| folder.own_names()).transpose()?.unwrap_or_default() {
        own.extend(folder.as_ref().map(|folder| folder.own(&name)).transpose()?.flatten());
    }
    if args.json {
        printer.json(&json!({
            "kind": "settings", "not_before": (trust.not_before > 0).then_some(trust.not_before),
            "permit_signing_off": trust.permit_signing_off.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
        }));
        trust.keys.iter().for_each(|entry| printer.json(&with(as_json(entry), "trusted")));
        own.iter().for_each(|key| printer.json(&own_json(key, signs)));
        if let Some(key) = signs.filter(|key| !own.iter().any(|own| own.public == **key)) {
            printer.json(&json!({
                "kind": "own", "name": null, "id": key.key_id(), "public": key.to_string(),
                "secret_file": null, "signs": true,
            }));
        }
        return Ok(Exit::Success);
    }
    if trust.not_before > 0 {
        printer.data(format_args!("nothing signed before {} is believed", time::format(trust.not_before)));
    }
    trust.keys.iter().for_each(|entry| printer.data(trusted_line(entry)));
    own.iter().for_each(|key| printer.data(own_line(key, signs)));
    if let Some(key) = signs.filter(|key| !own.iter().any(|own| own.public == **key)) {
        printer.data(format_args!("own      {}  (LARDER_SIGNING_KEY)  signs", key.key_id()));
    }
    for project in &trust.permit_signing_off {
        let shown = project.display().to_string();
        printer.data(format_args!("`signing: off` is permitted in {}", units::printable(&shown)));
    }
    if trust.keys.is_empty() && own.is_empty() && signs.is_none() {
        printer
            .talk("no keys: what you build here is believed here, and nothing else (`larder key generate`)");
    }
    Ok(Exit::Success)
}

fn trusted_line(entry: &Entry) -> String {
    format!("trusted  {}  for {}", called(entry), terms(entry))
}

fn own_line(key: &OwnKey, signs: Option<&PublicKey>) -> String {
    let role = match (&key.secret_file, signs == Some(&key.public)) {
        (_, true) => "  signs",
        (None, false) => "  public part only",
        (Some(_), false) => "",
    };
    format!("own      {}  {}{role}", key.public.key_id(), key.name)
}

fn own_json(key: &OwnKey, signs: Option<&PublicKey>) -> Value {
    json!({
        "kind": "own", "name": key.name, "id": key.public.key_id(), "public": key.public.to_string(),
        "secret_file": key.secret_file.as_ref().map(|path| path.to_string_lossy()),
        "signs": signs == Some(&key.public),
    })
}

fn with(mut value: Value, kind: &str) -> Value {
    value["kind"] = kind.into();
    value
}
