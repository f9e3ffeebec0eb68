//! `larder key untrust`: removes a key from `trust.yml`.

use larder::core::Error;
use larder::keys::trust_file::{Change, Entry, TrustFile};
use serde_json::json;

use super::{Around, as_json, called, refuse, terms};
use crate::cli::UntrustArgs;
use crate::commands::Context;
use crate::exit::Exit;
use crate::units;

/// Trusts a key no longer. All entries of one key go; a name that several keys have removes none.
pub(super) fn untrust(context: &Context, args: &UntrustArgs) -> Result<Exit, Error> {
    let around = Around::new(context);
    let Some(folder) = around.folder(context)? else { return Err(unknown(&args.key)) };
    let (mut gone, mut left) = (Vec::new(), 0);
    let mut decide = |trust: &TrustFile| {
        let found = positions(trust, &args.key)?;
        gone = found.iter().map(|at| trust.keys[*at].clone()).collect();
        left = trust.keys.len() - found.len();
        // From the last to the first, so that positions stay what they are.
        Ok(found.into_iter().rev().map(Change::Remove).collect())
    };
    if args.dry_run {
        let _: Vec<Change> = decide(&folder.trust()?)?;
    } else {
        folder.change_trust(&mut decide)?;
    }
    let verb = if args.dry_run { "would untrust" } else { "untrusted" };
    for entry in &gone {
        if args.json {
            context.printer.json(&json!({ "done": verb, "key": as_json(entry) }));
        } else {
            context.printer.data(format_args!("{verb} {}  for {}", called(entry), terms(entry)));
        }
    }
    warn(context, &around, &gone, left)?;
    Ok(Exit::Success)
}

fn unknown(text: &str) -> Error {
    refuse(
        format!("no key that you trust is called `{}`", text.escape_debug()),
        "`larder key list` shows those you trust, with their ids",
    )
}

fn positions(trust: &TrustFile, text: &str) -> Result<Vec<usize>, Error> {
    let called = trust.keys.iter().enumerate().filter(|(_, entry)| entry.is_called(text));
    let found: Vec<usize> = called.map(|(at, _)| at).collect();
    let first = found.first().ok_or_else(|| unknown(text))?;
    if found.iter().any(|at| trust.keys[*at].key != trust.keys[*first].key) {
        return Err(refuse(
            format!("`{}` means several keys", units::printable(text)),
            "say which one by its id",
        ));
    }
    Ok(found)
}

/// Says what is believed still although the key is gone from the file.
fn warn(context: &Context, around: &Around, gone: &[Entry], left: usize) -> Result<(), Error> {
    let keys = context.machine.keys();
    let signs = keys.signing_key(context.machine.folder(), &around.places())?;
    let is_own = |entry: &Entry| signs.as_ref().is_some_and(|key| entry.key_id() == Some(key.key_id()));
    if gone.iter().any(is_own) {
        let hint = Some("set another key, or none");
        context.printer.warning("LARDER_SIGNING_KEY is this key: what it signs is believed here still", hint);
    } else if left == 0 && signs.is_none() && keys.secret.is_none() {
        let message = "no key is trusted now: what was built here is believed, whatever its signature";
        context.printer.warning(message, None);
    }
    Ok(())
}
