//! `larder key`: one file per subcommand. All work in the user's configuration folder, never in a project.

mod generate;
mod list;
mod show;
mod trust;
mod untrust;

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use larder::core::{Error, ErrorKind};
use larder::keys::folder::{KeyFolder, Places};
use larder::keys::time;
use larder::keys::trust_file::Entry;
use larder::run::config::discover::find_root;
use larder::store::trust::Namespaces;
use serde_json::{Value, json};

use super::Context;
use crate::cli::KeyCommand;
use crate::exit::Exit;
use crate::units;

/// Runs the subcommand.
pub(super) fn key(context: &Context, command: &KeyCommand) -> Result<Exit, Exit> {
    match command {
        KeyCommand::Generate(args) => generate::generate(context, args),
        KeyCommand::Show(args) => show::show(context, args),
        KeyCommand::Trust(args) => trust::trust(context, args),
        KeyCommand::List(args) => list::list(context, args),
        KeyCommand::Untrust(args) => untrust::untrust(context, args),
    }
    .map_err(|error| {
        context.printer.error(&error, error.hint());
        Exit::Usage
    })
}

/// What the commands work with.
struct Around {
    /// The project around the current folder, if there is one.
    project: Option<PathBuf>,
    store: Option<PathBuf>,
}

impl Around {
    fn new(context: &Context) -> Self {
        let root = find_root(context.machine.folder());
        let project = root.and_then(|found| found.path.parent().map(Path::to_owned));
        Self { project, store: context.machine.home() }
    }

    fn places(&self) -> Places<'_> {
        Places { project: self.project.as_deref(), store: self.store.as_deref() }
    }

    /// The configuration folder, if it is there.
    fn folder(&self, context: &Context) -> Result<Option<KeyFolder>, Error> {
        context.machine.keys().folder(&self.places())
    }

    /// The configuration folder, made if it is not there.
    fn make_folder(&self, context: &Context) -> Result<KeyFolder, Error> {
        let path = context.machine.keys().folder.ok_or_else(|| {
            refuse("there is no configuration folder", "set LARDER_CONFIG to the path of one")
        })?;
        KeyFolder::make(&path, &self.places())
    }
}

fn refuse(message: impl Into<String>, hint: &str) -> Error {
    Error::new(ErrorKind::Invalid, "work with keys").with_message(message.into()).with_hint(hint)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// For whom and when a key is believed, as people read it.
fn terms(entry: &Entry) -> String {
    let mut terms = match &entry.namespaces {
        Namespaces::All => "all namespaces".to_owned(),
        Namespaces::Only(names) => names.join(", "),
    };
    if entry.not_before > 0 {
        terms.push_str(&format!(", from {}", time::format(entry.not_before)));
    }
    if let Some(end) = entry.not_after {
        let word = if end < now() { "retired" } else { "until" };
        terms.push_str(&format!(", {word} {}", time::format(end)));
    }
    units::printable(&terms).into_owned()
}

/// How an entry is called.
fn called(entry: &Entry) -> String {
    let id = entry.key_id().unwrap_or("secret");
    match &entry.name {
        Some(name) => format!("{id}  {}", units::printable(name)),
        None => id.to_owned(),
    }
}

/// An entry as JSON.
fn as_json(entry: &Entry) -> Value {
    use larder::keys::trust_file::Key;
    let (public, secret_file) = match &entry.key {
        Key::Public(key) => (Some(key.to_string()), None),
        Key::SecretFile(path) => (None, Some(path.to_string_lossy())),
    };
    let namespaces = match &entry.namespaces {
        Namespaces::All => None,
        Namespaces::Only(names) => Some(names),
    };
    json!({
        "name": entry.name, "id": entry.key_id(), "public": public, "secret_file": secret_file,
        "namespaces": namespaces, "not_before": (entry.not_before > 0).then_some(entry.not_before),
        "not_after": entry.not_after,
    })
}
