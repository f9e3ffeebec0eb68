//! `larder key show`: standard output is the public key and nothing else, to be passed on.

use larder::core::Error;
use larder::keys::folder::OwnKey;
use larder::store::trust::PublicKey;
use serde_json::json;

use super::{Around, refuse};
use crate::cli::ShowArgs;
use crate::commands::Context;
use crate::exit::Exit;

/// Prints the public part of a key.
pub(super) fn show(context: &Context, args: &ShowArgs) -> Result<Exit, Error> {
    let around = Around::new(context);
    let signs = context.machine.keys().signing_key(context.machine.folder(), &around.places())?;
    if let (None, Some(key)) = (&args.name, &signs) {
        return Ok(print(context, args.json, None, key.public(), true));
    }
    let name = args.name.as_deref().unwrap_or("default");
    let found = around.folder(context)?.map(|folder| folder.own(name)).transpose()?.flatten();
    let key = found.ok_or_else(|| {
        refuse(
            format!("you have no key `{}`", name.escape_debug()),
            "`larder key list` shows those you have, `larder key generate` makes one",
        )
    })?;
    let is_signing = signs.is_some_and(|signs| *signs.public() == key.public);
    Ok(print(context, args.json, Some(&key), &key.public, is_signing))
}

fn print(
    context: &Context,
    as_json: bool,
    own: Option<&OwnKey>,
    public: &PublicKey,
    is_signing: bool,
) -> Exit {
    let printer = &context.printer;
    let secret = own.and_then(|own| own.secret_file.as_ref()).map(|path| path.to_string_lossy());
    if as_json {
        printer.json(&json!({
            "name": own.map(|own| &own.name), "id": public.key_id(), "public": public.to_string(),
            "secret_file": secret, "signs": is_signing,
        }));
    } else {
        printer.data(public);
        let signs = if is_signing { ", signs results here" } else { "" };
        let secret = secret.map(|path| format!(", secret in {path}")).unwrap_or_default();
        printer.talk(format_args!("id {}{signs}{secret}", public.key_id()));
    }
    Exit::Success
}
