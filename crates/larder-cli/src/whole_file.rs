//! A file that is written whole or not at all: beside its place first, then renamed. An interrupted program leaves nothing behind.
//!
//! What is there and is no plain file (a pipe, a device, a link) is written to, never replaced.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level::emulate_default_handler;

/// Writes `path` with `write`; `failed` makes the caller's error of the file's own. A signal ends the program.
pub(crate) fn write<T, E>(
    path: &Path,
    failed: impl Fn(io::Error) -> E,
    write: impl FnOnce(&File) -> Result<T, E>,
) -> Result<T, E> {
    whole(path, failed, |file| Watched::start(file).map(Some), write)
}

/// As [`write`] in a run, which answers signals itself ([`crate::signals`]) and goes on to its end.
pub(crate) fn write_in_run<T, E>(
    path: &Path,
    failed: impl Fn(io::Error) -> E,
    write: impl FnOnce(&File) -> Result<T, E>,
) -> Result<T, E> {
    whole(path, failed, |_| Ok(None), write)
}

fn whole<T, E>(
    path: &Path,
    failed: impl Fn(io::Error) -> E,
    watch: impl FnOnce(&Path) -> io::Result<Option<Watched>>,
    write: impl FnOnce(&File) -> Result<T, E>,
) -> Result<T, E> {
    let is_plain = fs::symlink_metadata(path).map_or(true, |found| found.is_file());
    if !is_plain {
        return write(&File::create(path).map_err(failed)?);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Readable as any new file of this user would be.
    let file = tempfile::Builder::new().permissions(Permissions::from_mode(0o644)).tempfile_in(folder);
    let file = file.map_err(&failed)?;
    let watched = watch(file.path()).map_err(&failed)?;
    let written = write(file.as_file())?;
    file.persist(path).map_err(|error| failed(error.error))?;
    drop(watched);
    Ok(written)
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
