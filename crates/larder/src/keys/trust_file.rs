//! `trust.yml`: whose results the user believes.
//!
//! ```yaml
//! not-before: 2026-01-01                 # what was signed earlier is not believed
//! keys:
//!   - name: ci                           # for people
//!     public: larder-public-ed25519:…
//!     namespaces: [default]              # left out: all
//!     not-before: 2026-06-01
//!     not-after: 2026-11-21T10:00:00Z    # retired: what it signed later is not believed
//!   - name: old
//!     secret-file: keys/old.secret       # an HMAC secret; relative to the configuration folder
//! permit-signing-off: [/home/me/try]     # roots of projects that may say `signing: off`
//! ```
//! Read strictly: a key that is not known, or a value that cannot be meant, is an error. A misspelt `not-after` must not
//! leave a key believed for ever.

mod edit;

use std::path::{Path, PathBuf};

use larder_core::{Error, Result};
use larder_run::config::decode::Reader;
use larder_run::config::keys::{Kind, Table, key};
use larder_run::config::source::Source;
use larder_run::config::yaml::{self, Node, Value};
use larder_run::diagnostic::Diagnostic;
use larder_run::recipe::Mode;
use larder_store::trust::{Namespaces, PublicKey};

use super::{invalid, time};

pub use edit::Change;

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustFile {
    /// `not-before`, in seconds since 1970.
    pub not_before: u64,
    /// `keys`.
    pub keys: Vec<Entry>,
    /// `permit-signing-off`.
    pub permit_signing_off: Vec<PathBuf>,
}

/// A key that is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `name`.
    pub name: Option<String>,
    /// `public` or `secret-file`.
    pub key: Key,
    /// `namespaces`.
    pub namespaces: Namespaces,
    /// `not-before`, in seconds since 1970.
    pub not_before: u64,
    /// `not-after`, in seconds since 1970.
    pub not_after: Option<u64>,
}

/// What signatures are checked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// An Ed25519 key.
    Public(PublicKey),
    /// The file of an HMAC secret.
    SecretFile(PathBuf),
}

impl Entry {
    /// The id of a public key; a secret's is known only to who reads its file.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        match &self.key {
            Key::Public(key) => Some(key.key_id()),
            Key::SecretFile(_) => None,
        }
    }

    /// Whether a person who typed `text` means it: its id, its name, or the key itself.
    #[must_use]
    pub fn is_called(&self, text: &str) -> bool {
        let is_key = |key: &PublicKey| key.key_id() == text || key.to_string() == text;
        self.name.as_deref() == Some(text) || matches!(&self.key, Key::Public(key) if is_key(key))
    }
}

impl TrustFile {
    /// Reads the text of the file `path`, which is named in messages.
    ///
    /// # Errors
    /// `Invalid`, with the place and the line.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let source = Source { file: path.to_owned(), text: text.to_owned(), original: None };
        let root = yaml::parse(text)
            .map_err(|error| refuse(&source.locate(Diagnostic::error(error.message), error.span), 0))?;
        let mut out = Vec::new();
        let file = decode(&mut Reader { source: &source, mode: Mode::Strict, out: &mut out }, &root);
        match out.first() {
            Some(first) => Err(refuse(first, out.len() - 1)),
            None => Ok(file),
        }
    }

    /// Whether the project in `root` may say `signing: off`.
    #[must_use]
    pub fn permits_off(&self, root: &Path) -> bool {
        let Ok(root) = std::fs::canonicalize(root) else { return false };
        self.permit_signing_off.iter().any(|path| std::fs::canonicalize(path).is_ok_and(|path| path == root))
    }

    /// The text of the file `path` with a change made. What is not changed stays as it is written.
    ///
    /// # Errors
    /// When it is written in a way that cannot be changed line by line.
    pub fn changed(text: &str, path: &Path, change: &Change) -> Result<String> {
        edit::apply(text, path, change)
    }
}

/// The finding as an error that ends the program.
fn refuse(found: &Diagnostic, more: usize) -> Error {
    let hint = found.hint.clone();
    let shown = Diagnostic { hint: None, ..found.clone() }.to_string();
    let mut message = shown.strip_prefix("error: ").unwrap_or(&shown).to_owned();
    if more > 0 {
        message.push_str(&format!("\n(and {more} more)"));
    }
    let error = invalid("read the trust file", message);
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// What the file may say.
static FILE: Table = Table {
    name: "trust",
    doc: "Whose results are believed",
    keys: &[
        key("not-before", Kind::Text, "What was signed earlier is not believed"),
        key("keys", Kind::List(&Kind::Map(&ENTRY)), "Keys that are believed"),
        key("permit-signing-off", Kind::Texts, "Roots of projects that may say `signing: off`"),
    ],
    ..Table::PLAIN
};

static ENTRY: Table = Table {
    name: "entry",
    doc: "A key that is believed",
    keys: &[
        key("name", Kind::Text, "For people"),
        key("public", Kind::Text, "A public key"),
        key("secret-file", Kind::Text, "The file of a shared secret"),
        key("namespaces", Kind::Texts, "Whose results (default: all)"),
        key("not-before", Kind::Text, "What it signed earlier is not believed"),
        key("not-after", Kind::Text, "What it signed later is not believed"),
    ],
    ..Table::PLAIN
};

fn decode(reader: &mut Reader<'_>, root: &Node) -> TrustFile {
    let mut file = TrustFile::default();
    if root.value == Value::Null {
        return file;
    }
    for found in reader.map(root, &FILE) {
        let value = &found.value;
        match found.key.as_str() {
            "not-before" => file.not_before = moment(reader, value).unwrap_or_default(),
            "keys" => file.keys = keys(reader, value),
            "permit-signing-off" => file.permit_signing_off = projects(reader, value),
            _ => {}
        }
    }
    file
}

fn moment(reader: &mut Reader<'_>, node: &Node) -> Option<u64> {
    let found = match &node.value {
        Value::Text(text) => time::parse(text.trim()),
        _ => Err(format!("expected a time such as `2026-11-21`, got {}", node.kind())),
    };
    found.map_err(|message| reader.error(node.span, message)).ok()
}

/// The elements of a list; nothing at all counts as none.
fn items<'n>(reader: &mut Reader<'_>, node: &'n Node, wanted: &str) -> &'n [Node] {
    match &node.value {
        Value::List(items) => items,
        Value::Null => &[],
        _ => {
            reader.error(node.span, format!("expected {wanted}, got {}", node.kind()));
            &[]
        }
    }
}

fn keys(reader: &mut Reader<'_>, node: &Node) -> Vec<Entry> {
    items(reader, node, "a list of keys").iter().filter_map(|item| entry(reader, item)).collect()
}

fn projects(reader: &mut Reader<'_>, node: &Node) -> Vec<PathBuf> {
    let mut projects = Vec::new();
    for item in items(reader, node, "a list of folders") {
        let Some(path) = reader.text(item).map(PathBuf::from) else { continue };
        if path.is_absolute() {
            projects.push(path);
        } else {
            reader.error(item.span, format!("`{}` is no absolute path", path.display()));
        }
    }
    projects
}

fn entry(reader: &mut Reader<'_>, node: &Node) -> Option<Entry> {
    let (mut name, mut key, mut is_double) = (None, None, false);
    let (mut namespaces, mut not_before, mut not_after) = (Namespaces::All, 0, None);
    for found in reader.map(node, &ENTRY) {
        let value = &found.value;
        match found.key.as_str() {
            "name" => name = reader.text(value),
            "public" => {
                is_double |= key.is_some();
                key = reader.text(value).map(|text| public(reader, value, &text));
            }
            "secret-file" => {
                is_double |= key.is_some();
                key = reader.text(value).map(|path| Some(Key::SecretFile(path.into())));
            }
            "namespaces" => namespaces = names(reader, value),
            "not-before" => not_before = moment(reader, value).unwrap_or_default(),
            "not-after" => not_after = moment(reader, value),
            _ => {}
        }
    }
    if is_double {
        reader.error(node.span, "`public` and `secret-file` are two keys: write two entries");
    }
    if not_after.is_some_and(|end| end < not_before) {
        reader.error(node.span, "its `not-after` is before its `not-before`");
    }
    if key.is_none() && node.get("public").or(node.get("secret-file")).is_none() {
        reader.error(node.span, "this entry has no key: `public` or `secret-file`");
    }
    Some(Entry { name, key: key??, namespaces, not_before, not_after })
}

fn public(reader: &mut Reader<'_>, node: &Node, text: &str) -> Option<Key> {
    PublicKey::parse(text)
        .map(Key::Public)
        .map_err(|_| reader.error(node.span, "this is no public key (`larder-public-ed25519:…`)"))
        .ok()
}

fn names(reader: &mut Reader<'_>, node: &Node) -> Namespaces {
    let names = reader.texts(node);
    if matches!(&node.value, Value::List(list) if list.is_empty()) {
        reader
            .error(node.span, "a key for no namespace: leave `namespaces` out for all, or remove the entry");
    }
    Namespaces::Only(names)
}
