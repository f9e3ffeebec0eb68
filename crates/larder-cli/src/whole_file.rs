//! A file that is written whole or not at all: beside its place first, then renamed. An interrupted program leaves nothing behind.
//!
//! What is there and is no plain file (a pipe, a device, a link) is written to, never replaced. A file that people wrote is put in place of what was
//! read of it ([`replace`]), also behind a link.

use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level::emulate_default_handler;

/// Whether a file is there that is not of the kind which bears this mark in its first 4 KiB: perhaps the only copy of something.
pub(crate) fn is_foreign(path: &Path, mark: &str) -> bool {
    if !fs::metadata(path).is_ok_and(|found| found.is_file()) {
        return false;
    }
    let mut begin = Vec::new();
    match File::open(path).and_then(|file| file.take(4096).read_to_end(&mut begin)) {
        Ok(0) => false,
        Ok(_) => !begin.windows(mark.len()).any(|part| part == mark.as_bytes()),
        Err(_) => true,
    }
}

/// Writes `path` with `write`; `failed` makes the caller's error of the file's own. A signal ends the program.
pub(crate) fn write<T, E>(
    path: &Path,
    failed: impl Fn(io::Error) -> E,
    write: impl FnOnce(&File) -> Result<T, E>,
) -> Result<T, E> {
    whole(path, OnSignal::End, failed, write)
}

/// As [`write`] in a run, which answers signals itself ([`crate::signals`]) and goes on to its end.
pub(crate) fn write_in_run<T, E>(
    path: &Path,
    failed: impl Fn(io::Error) -> E,
    write: impl FnOnce(&File) -> Result<T, E>,
) -> Result<T, E> {
    whole(path, OnSignal::GoOn, failed, write)
}

/// What a signal does while a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnSignal {
    /// It ends the program, and what was begun is removed.
    End,
    /// Somebody else answers it, and the file is written to its end.
    GoOn,
}

fn whole<T, E>(
    path: &Path,
    on_signal: OnSignal,
    failed: impl Fn(io::Error) -> E,
    write: impl FnOnce(&File) -> Result<T, E>,
) -> Result<T, E> {
    let is_plain = fs::symlink_metadata(path).map_or(true, |found| found.is_file());
    if !is_plain {
        return write(&File::create(path).map_err(failed)?);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::metadata(folder).map_err(&failed)?;
    // Readable as any new file of this user would be.
    let file = tempfile::Builder::new().permissions(Permissions::from_mode(0o644)).tempfile_in(folder);
    let file = file.map_err(|error| failed(unnamed(error)))?;
    let is_watched = on_signal == OnSignal::End;
    let watched = is_watched.then(|| Watched::start(file.path())).transpose().map_err(&failed)?;
    let written = write(file.as_file())?;
    file.persist(path).map_err(|error| failed(error.error))?;
    drop(watched);
    Ok(written)
}

/// Without the name of a file that nobody asked for.
fn unnamed(error: io::Error) -> io::Error {
    use io::ErrorKind::{NotADirectory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        kind @ (NotADirectory | PermissionDenied | QuotaExceeded | ReadOnlyFilesystem | StorageFull) => {
            io::Error::from(kind)
        }
        _ => error,
    }
}

/// Removes a file that was begun when the program is interrupted.
struct Watched(Handle);

impl Watched {
    fn start(file: &Path) -> io::Result<Self> {
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
        let (handle, file) = (signals.handle(), file.to_owned());
        std::thread::spawn(move || {
            for signal in signals.forever() {
                let _ = fs::remove_file(&file);
                let _ = emulate_default_handler(signal);
            }
        });
        Ok(Self(handle))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Puts `after` into a file that is still `before`, what was read of it (`None`: nothing was). Its mode stays, and a link to it stays a link.
pub(crate) fn replace(path: &Path, on_signal: OnSignal, before: Option<&str>, after: &str) -> io::Result<()> {
    let path = match path.canonicalize() {
        Ok(path) => path,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    let mode = path.metadata().ok().map(|found| found.permissions());
    whole(&path, on_signal, std::convert::identity, |mut file| {
        io::Write::write_all(&mut file, after.as_bytes())?;
        if !file.metadata()?.is_file() {
            return Ok(());
        }
        mode.map_or(Ok(()), |mode| file.set_permissions(mode))?;
        file.sync_all()?;
        match before {
            Some(before) if fs::read(&path)? != before.as_bytes() => {
                Err(io::Error::other("it was changed meanwhile, and is left as it is"))
            }
            _ => Ok(()),
        }
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn what_was_changed_meanwhile_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "edited by somebody").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        for path in [&file, &link] {
            let error = replace(path, OnSignal::End, Some("as it was read"), "new").unwrap_err();
            assert!(error.to_string().contains("changed meanwhile"), "{error}");
            assert_eq!(fs::read_to_string(&file).unwrap(), "edited by somebody");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left behind");
        replace(&link, OnSignal::End, Some("edited by somebody"), "new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    }
}
