//! The user's configuration folder, and the files of keys in it.
//!
//! Files are judged by what was opened, not by name: regular, of this user (or root), not writable by others, and for
//! secrets not readable by them. Writing is atomic: a reader sees the old file or the new one; two writers of
//! `trust.yml` wait for each other.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use larder_core::{Error, Result};
use larder_store::trust::{PublicKey, SecretKey};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use super::trust_file::{Change, TrustFile};
use super::{invalid, mended_by_user};

/// Larger files are no keys and no trust files.
const LARGEST_FILE: u64 = 1 << 20;
const TRUST: &str = "trust.yml";
const USE: &str = "use the configuration folder";

/// Places where nothing may lie that decides trust.
#[derive(Clone, Copy, Debug, Default)]
pub struct Places<'a> {
    /// The project's root.
    pub project: Option<&'a Path>,
    /// The store's folder.
    pub store: Option<&'a Path>,
}

impl Places<'_> {
    /// Refuses `path` (links resolved) if it lies in one of them.
    fn refuse(&self, path: &Path, operation: &'static str) -> Result<()> {
        let resolved = resolve(path);
        for (place, what) in [(self.project, "the project"), (self.store, "the cache folder")] {
            if place.is_some_and(|place| resolved.starts_with(resolve(place))) {
                return Err(invalid(
                    operation,
                    format!("it lies in {what}, which must not decide whom you trust"),
                )
                .with("path", path.display())
                .with_hint(
                    "keep keys and trust in a folder of their own: `~/.config/larder`, or LARDER_CONFIG",
                ));
            }
        }
        Ok(())
    }
}

/// The path with all links resolved, as far as it exists.
fn resolve(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut resolved = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                resolved.pop();
            }
            other => resolved.push(other),
        }
        if let Ok(found) = fs::canonicalize(&resolved) {
            resolved = found;
        }
    }
    resolved
}

/// Refuses what is of somebody else, or has one of the `forbidden` bits of its mode.
fn judge(path: &Path, metadata: &fs::Metadata, forbidden: u32, operation: &'static str) -> Result<()> {
    let wrong =
        |why: String, hint: String| Err(invalid(operation, why).with("path", path.display()).with_hint(hint));
    if metadata.uid() != 0 && metadata.uid() != rustix::process::geteuid().as_raw() {
        return wrong("it belongs to another user".into(), "use one of your own".into());
    }
    let (found, shown) = (metadata.mode() & forbidden, path.display());
    match () {
        () if found & 0o022 != 0 => wrong(
            format!("other users may write to it (mode {:03o})", metadata.mode() & 0o777),
            format!("`chmod go-w {shown}`, once you know that nobody changed it"),
        ),
        () if found != 0 => wrong(
            format!("other users may read it (mode {:03o})", metadata.mode() & 0o777),
            format!("`chmod 600 {shown}`, and make a new key if somebody may have read this one"),
        ),
        () => Ok(()),
    }
}

/// Reads a file of the user's that no mode bit of `forbidden` opens to others (`None`: a file of anybody's); `None` if
/// it is not there.
fn read(path: &Path, forbidden: Option<u32>, operation: &'static str) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let wrong = |error: io::Error| mended_by_user(operation, path, error);
    // A pipe must not make the caller wait.
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).expect("a flag of open(2)");
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(error)),
    };
    let metadata = file.metadata().map_err(wrong)?;
    let refused = |why: &'static str| Err(invalid(operation, why).with("path", path.display()));
    if !metadata.is_file() {
        return refused("it is no file");
    }
    if let Some(forbidden) = forbidden {
        judge(path, &metadata, forbidden, operation)?;
    }
    if metadata.len() > LARGEST_FILE {
        return refused("it is larger than any such file");
    }
    let size = usize::try_from(metadata.len()).expect("at most a MiB");
    let mut bytes = Zeroizing::new(Vec::with_capacity(size + 1));
    (&file).take(LARGEST_FILE).read_to_end(&mut bytes).map_err(wrong)?;
    Ok(Some(bytes))
}

/// Reads a file with a secret in it.
pub(super) fn read_secret(path: &Path, places: &Places<'_>) -> Result<Zeroizing<Vec<u8>>> {
    const READ: &str = "read a key";
    places.refuse(path, READ)?;
    read(path, Some(0o077), READ)?
        .ok_or_else(|| invalid(READ, "there is no such file").with("path", path.display()))
}

/// The content of a file of one line, as a variable would hold it.
pub(super) fn without_newline(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

/// A key of the user's own.
#[derive(Clone, Debug)]
pub struct OwnKey {
    /// Its name.
    pub name: String,
    /// What others verify with.
    pub public: PublicKey,
    /// The file of its secret part, if that is here.
    pub secret_file: Option<PathBuf>,
    /// The file of its public part.
    pub public_file: PathBuf,
}

/// The configuration folder, judged.
#[derive(Clone, Debug)]
pub struct KeyFolder {
    path: PathBuf,
}

impl KeyFolder {
    /// Opens it; `None` if it is not there. `is_named`: its place is judged even then.
    ///
    /// # Errors
    /// When it lies in one of `places`, belongs to somebody else, or others may write to it.
    pub fn open(path: &Path, is_named: bool, places: &Places<'_>) -> Result<Option<Self>> {
        if is_named {
            places.refuse(path, USE)?;
        }
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(mended_by_user(USE, path, error)),
        };
        places.refuse(path, USE)?;
        if !metadata.is_dir() {
            return Err(invalid(USE, "it is no folder").with("path", path.display()));
        }
        judge(path, &metadata, 0o022, USE)?;
        Ok(Some(Self { path: path.to_owned() }))
    }

    /// Opens it, or makes it with mode 0700.
    ///
    /// # Errors
    /// As [`open`](Self::open), and when it cannot be made.
    pub fn make(path: &Path, places: &Places<'_>) -> Result<Self> {
        places.refuse(path, USE)?;
        make_folder(path)?;
        Self::open(path, true, places)?
            .ok_or_else(|| invalid(USE, "there is no such folder").with("path", path.display()))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The trust file.
    #[must_use]
    pub fn trust_path(&self) -> PathBuf {
        self.path.join(TRUST)
    }

    fn trust_text(&self) -> Result<Option<String>> {
        let path = self.trust_path();
        let Some(bytes) = read(&path, Some(0o022), "read the trust file")? else { return Ok(None) };
        let text = String::from_utf8(bytes.to_vec());
        text.map(Some).map_err(|error| mended_by_user("read the trust file", &path, error.utf8_error()))
    }

    /// What the trust file says; without one, nothing.
    ///
    /// # Errors
    /// When it is wrong, or others may write to it.
    pub fn trust(&self) -> Result<TrustFile> {
        let text = self.trust_text()?;
        text.map_or_else(|| Ok(TrustFile::default()), |text| TrustFile::parse(&text, &self.trust_path()))
    }

    /// Changes the trust file as `decide` says, which sees what it says now. Comments stay.
    ///
    /// # Errors
    /// What `decide` answers; when the file is wrong, or cannot be changed or written.
    pub fn change_trust(&self, decide: impl FnOnce(&TrustFile) -> Result<Vec<Change>>) -> Result<()> {
        const WRITE: &str = "write the trust file";
        let path = self.trust_path();
        let wrong = |error: io::Error| mended_by_user(WRITE, &path, error);
        // Held until the new file is there. The folder is locked: the file itself is replaced.
        let folder = File::open(&self.path).map_err(wrong)?;
        folder.lock().map_err(wrong)?;
        let text = self.trust_text()?.unwrap_or_default();
        let trust = TrustFile::parse(&text, &path)?;
        let mut changed = text.clone();
        for change in decide(&trust)? {
            changed = TrustFile::changed(&changed, &path, &change)?;
        }
        if changed == text {
            return Ok(());
        }
        // A link stays a link, to the new text.
        let target = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        write_new(&target, changed.as_bytes(), 0o600, WRITE)?
            .persist(&target)
            .map_err(|error| wrong(error.error))?;
        folder.sync_all().map_err(wrong)
    }

    fn key_file(&self, name: &str, extension: &str) -> Result<PathBuf> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name.len() > 64 || name.starts_with(['.', '-']) || !name.chars().all(is_plain) {
            return Err(invalid("name a key", format!("`{}` cannot be a name", name.escape_debug()))
                .with_hint("letters, digits, `.`, `_` and `-`, at most 64, and a letter or digit first"));
        }
        Ok(self.path.join("keys").join(format!("{name}.{extension}")))
    }

    /// Makes a key, and writes both of its files; none that is there is ever replaced.
    ///
    /// # Errors
    /// When a key has this name already, the name cannot be one, or the files cannot be written.
    pub fn generate(&self, name: &str) -> Result<OwnKey> {
        const MAKE: &str = "make a key";
        let (secret_file, public_file) = (self.key_file(name, "key")?, self.key_file(name, "pub")?);
        make_folder(&self.path.join("keys"))?;
        let taken = |path: &Path| {
            invalid(MAKE, format!("there is a key `{name}` already"))
                .with("path", path.display())
                .with_hint("choose another name: no key is ever replaced")
        };
        for path in [&secret_file, &public_file] {
            if path.symlink_metadata().is_ok() {
                return Err(taken(path));
            }
        }
        let key = SecretKey::generate()?;
        let persist = |file: NamedTempFile, path: &Path| {
            file.persist_noclobber(path).map(drop).map_err(|error| match error.error.kind() {
                io::ErrorKind::AlreadyExists => taken(path),
                _ => mended_by_user(MAKE, path, error.error),
            })
        };
        let mut text = Zeroizing::new(String::with_capacity(128));
        text.push_str(&key.to_text());
        text.push('\n');
        let secret = write_new(&secret_file, text.as_bytes(), 0o600, MAKE)?;
        let public = write_new(&public_file, format!("{}\n", key.public()).as_bytes(), 0o644, MAKE)?;
        persist(secret, &secret_file)?;
        persist(public, &public_file)?;
        Ok(OwnKey {
            name: name.to_owned(),
            public: key.public().clone(),
            secret_file: Some(secret_file),
            public_file,
        })
    }

    /// The user's key of this name; `None` if there is none.
    ///
    /// # Errors
    /// When its files are no keys, or others may read the secret one.
    pub fn own(&self, name: &str) -> Result<Option<OwnKey>> {
        const READ: &str = "read a key";
        let (secret_file, public_file) = (self.key_file(name, "key")?, self.key_file(name, "pub")?);
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap_or_default().to_owned();
        let at = |path: &Path| {
            let path = path.display().to_string();
            move |error: Error| error.with("path", path)
        };
        // The secret part is the key; the public file is for people.
        if let Some(bytes) = read(&secret_file, Some(0o077), READ)? {
            let text = Zeroizing::new(text(&bytes));
            let public = SecretKey::parse(&text).map_err(at(&secret_file))?.public().clone();
            return Ok(Some(OwnKey {
                name: name.to_owned(),
                public,
                secret_file: Some(secret_file),
                public_file,
            }));
        }
        let Some(bytes) = read(&public_file, Some(0o022), READ)? else { return Ok(None) };
        let public = PublicKey::parse(&text(&bytes)).map_err(at(&public_file))?;
        Ok(Some(OwnKey { name: name.to_owned(), public, secret_file: None, public_file }))
    }

    /// The names of the user's keys, sorted.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn own_names(&self) -> Result<Vec<String>> {
        let path = self.path.join("keys");
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(mended_by_user("list keys", &path, error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let file =
                PathBuf::from(entry.map_err(|error| mended_by_user("list keys", &path, error))?.file_name());
            let is_key = file.extension().is_some_and(|extension| extension == "key" || extension == "pub");
            let name = file.file_stem().and_then(|name| name.to_str());
            names.extend(name.filter(|name| is_key && self.key_file(name, "key").is_ok()).map(str::to_owned));
        }
        names.sort();
        names.dedup();
        Ok(names)
    }
}

/// Reads a public key that was typed as the path of its file; `None` if no such file is there.
///
/// # Errors
/// When it is no public key.
pub fn read_public(path: &Path) -> Result<Option<PublicKey>> {
    let Some(bytes) = read(path, None, "read a key")? else { return Ok(None) };
    let key = PublicKey::parse(std::str::from_utf8(&bytes).unwrap_or_default());
    key.map(Some).map_err(|error| error.with("path", path.display()))
}

fn make_folder(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| mended_by_user("make the configuration folder", path, error))
}

/// A file beside `path` with this content, safe on disk, to be given its name.
fn write_new(path: &Path, content: &[u8], mode: u32, operation: &'static str) -> Result<NamedTempFile> {
    let folder = path.parent().unwrap_or(path);
    let write = || {
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(content)?;
        file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
        file.as_file().sync_all()?;
        Ok(file)
    };
    write().map_err(|error: io::Error| mended_by_user(operation, path, error))
}
