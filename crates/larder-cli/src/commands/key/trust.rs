//! `larder key trust`: adds a key to `trust.yml`, or changes what is said of it there.

use larder::core::Error;
use larder::keys::folder::{KeyFolder, read_public};
use larder::keys::time;
use larder::keys::trust_file::{Change, Entry, Key, TrustFile};
use larder::store::trust::ed25519::{PUBLIC_PREFIX, SECRET_PREFIX};
use larder::store::trust::{Namespaces, PublicKey};
use serde_json::json;

use super::{Around, as_json, called, now, refuse, terms};
use crate::cli::TrustArgs;
use crate::commands::Context;
use crate::exit::Exit;

/// What is to be written.
struct Wanted {
    entry: Entry,
    /// The entry whose place it takes.
    instead_of: Option<usize>,
    is_changed: bool,
}

/// Trusts a key.
pub(super) fn trust(context: &Context, args: &TrustArgs) -> Result<Exit, Error> {
    let around = Around::new(context);
    let found = around.folder(context);
    let (wanted, is_first) = if args.dry_run {
        let trust = found?.map(|folder| folder.trust()).transpose()?.unwrap_or_default();
        (wanted(context, args, &trust)?, trust.keys.is_empty())
    } else {
        change(context, args, &around.make_folder(context)?)?
    };
    let verb = match (wanted.is_changed, args.dry_run, wanted.instead_of) {
        (false, _, _) => "already trusted",
        (true, true, None) => "would trust",
        (true, true, Some(_)) => "would change",
        (true, false, None) => "trusted",
        (true, false, Some(_)) => "changed",
    };
    if args.json {
        context.printer.json(&json!({ "done": verb, "key": as_json(&wanted.entry) }));
        return Ok(Exit::Success);
    }
    context.printer.data(format_args!("{verb} {}  for {}", called(&wanted.entry), terms(&wanted.entry)));
    let keys = context.machine.keys();
    let signs = keys.secret.is_some() || keys.signing_key.is_some_and(|key| !key.trim_ascii().is_empty());
    if is_first && !signs {
        context.printer.talk(
            "what others sign with it is believed from now on; what you build here is believed here, and sent to nobody \
             without a key of your own (`larder key generate`)",
        );
    }
    Ok(Exit::Success)
}

fn change(context: &Context, args: &TrustArgs, folder: &KeyFolder) -> Result<(Wanted, bool), Error> {
    let mut done = None;
    folder.change_trust(|trust| {
        let wanted = wanted(context, args, trust)?;
        let change = match wanted.instead_of {
            _ if !wanted.is_changed => Vec::new(),
            Some(at) => vec![Change::Replace(at, wanted.entry.clone())],
            None => vec![Change::Add(wanted.entry.clone())],
        };
        done = Some((wanted, trust.keys.is_empty()));
        Ok(change)
    })?;
    Ok(done.expect("the closure was called, or there was an error"))
}

/// What the options make of what is there.
fn wanted(context: &Context, args: &TrustArgs, trust: &TrustFile) -> Result<Wanted, Error> {
    let mut called = trust.keys.iter().enumerate().filter(|(_, entry)| entry.is_called(&args.key));
    let (known, more) = (called.next(), called.next());
    // What is trusted comes first: a file of that name, in whatever folder this is, must not stand in for it.
    let key = match known {
        Some((_, entry)) => entry.key.clone(),
        None => Key::Public(typed(context, &args.key)?),
    };
    let mut same = trust.keys.iter().enumerate().filter(|(_, entry)| entry.key == key);
    let (known, again) = (same.next(), same.next());
    if again.is_some() || more.is_some() {
        return Err(refuse(
            "several entries of your trust file mean this key",
            "change them there, by hand: `larder key list` shows them",
        ));
    }
    let before = known.map(|(_, entry)| entry.clone());
    let mut entry = before.clone().unwrap_or(Entry {
        name: None,
        key,
        namespaces: Namespaces::All,
        not_before: 0,
        not_after: None,
    });
    if let Some(name) = &args.name {
        let is_taken = trust.keys.iter().any(|other| other.key != entry.key && other.is_called(name));
        if is_taken || name.is_empty() || name.len() > 64 || name.chars().any(char::is_control) {
            return Err(refuse(
                format!("the key cannot be called `{}`", name.escape_debug()),
                "take a name that no other trusted key has, of at most 64 printable characters",
            ));
        }
        entry.name = Some(name.clone());
    }
    if !args.namespaces.is_empty() {
        entry.namespaces = Namespaces::Only(args.namespaces.clone());
    }
    if let Some(text) = &args.not_before {
        entry.not_before = moment(text)?;
    }
    if let Some(text) = &args.not_after {
        entry.not_after = Some(moment(text)?);
    }
    if entry.not_after.is_some_and(|end| end < entry.not_before) {
        return Err(refuse("the key would be retired before its time begins", "see `larder key list`"));
    }
    let is_changed = before.as_ref() != Some(&entry);
    Ok(Wanted { entry, instead_of: known.map(|(at, _)| at), is_changed })
}

fn moment(text: &str) -> Result<u64, Error> {
    if text == "now" { Ok(now()) } else { time::parse(text).map_err(|message| refuse(message, "or `now`")) }
}

/// The key that was typed, or is in the file that was typed.
fn typed(context: &Context, text: &str) -> Result<PublicKey, Error> {
    if text.trim_start().starts_with(PUBLIC_PREFIX) || text.trim_start().starts_with(SECRET_PREFIX) {
        return PublicKey::parse(text);
    }
    read_public(&context.machine.folder().join(text))?.ok_or_else(|| {
        refuse(
            format!("`{}` is no public key, no file of one, and no key that you trust", text.escape_debug()),
            "`larder key show`, where the key is, prints what to type here",
        )
    })
}
