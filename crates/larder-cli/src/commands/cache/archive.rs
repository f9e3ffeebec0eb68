//! `larder cache export` and `import`: results in one file.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use larder::core::{Error, ErrorKind};
use larder::remote::archive::{self, Exported, Imported};
use larder::store::local::index::Listed;
use larder::store::{ActionDigest, Store};
use serde_json::json;

use super::keys::What;
use super::{keys, open};
use crate::cli::{ExportArgs, ImportArgs};
use crate::commands::Context;
use crate::exit::Exit;
use crate::units;

/// Results between two words of progress.
const TOLD_EVERY: usize = 500;

/// `larder cache export`.
pub(super) fn export(context: &Context, args: &ExportArgs) -> Result<Exit, Exit> {
    let printer = &context.printer;
    let (store, _) = open(context)?;
    let results = chosen(&store, args).map_err(|error| refuse(context, &error))?;
    if args.dry_run {
        if args.json {
            printer.json(&json!({"version": 1, "dry_run": true, "results": results.len()}));
        } else {
            printer.data(format_args!("would export {}", units::counted(results.len(), "result", "results")));
        }
        return Ok(Exit::Success);
    }
    let written = write(context, &store, args, &results).map_err(|error| refuse(context, &error))?;
    let Some((exported, bytes)) = written else {
        let hint = "sign what is made here: LARDER_CACHE_SECRET, or `larder key generate`; see docs/guides/signing.md";
        let why = if results.is_empty() {
            "there are no such results"
        } else {
            "the results are not signed, so nobody could believe them"
        };
        printer.refuse(format_args!("nothing was exported: {why}"), (!results.is_empty()).then_some(hint));
        return Err(Exit::Usage);
    };
    let is_piped = args.file.as_os_str() == "-";
    if args.json && !is_piped {
        printer.json(&json!({
            "version": 1, "results": exported.results, "unsigned": exported.unsigned,
            "incomplete": exported.incomplete, "bytes": bytes,
        }));
    } else if !is_piped {
        let count = usize::try_from(exported.results).unwrap_or(usize::MAX);
        let what = units::counted(count, "result", "results");
        printer.data(format_args!("exported {what}, {}", units::bytes(bytes)));
    }
    if exported.unsigned > 0 {
        let left = units::count(exported.unsigned);
        let hint = Some("set a key, and run their recipes again (`larder run --force`)");
        printer.warning(format_args!("{left} results were left out: they are not signed"), hint);
    }
    if exported.incomplete > 0 {
        let left = units::count(exported.incomplete);
        printer.warning(format_args!("{left} results were left out: their content is gone"), None);
    }
    Ok(Exit::Success)
}

fn chosen(store: &Store, args: &ExportArgs) -> Result<Vec<(ActionDigest, String)>, Error> {
    let index = store.index().map_err(|error| Error::new(error.kind(), "export").caused_by(error))?;
    let oldest = args.used_within.map(|time| {
        let since = SystemTime::now().checked_sub(time).unwrap_or(SystemTime::UNIX_EPOCH);
        since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
    });
    let mut results = Vec::new();
    keys::each(index, Some(store.namespace()), &mut |row: Listed| {
        let What::Result(label) = keys::what(index, &row) else { return true };
        let label = label.unwrap_or_default();
        let wanted = args.filter.as_ref().is_none_or(|filter| label.contains(filter.as_str()));
        if wanted && oldest.is_none_or(|oldest| row.last_used >= oldest) {
            results.extend(keys::action(&row.key).map(|action| (action, label)));
        }
        true
    })?;
    Ok(results)
}

/// Where an export goes.
enum Target {
    /// A file, written beside its place and put there when it is whole.
    File(PathBuf),
    /// Standard output, a device, a FIFO: written into, as it comes.
    Stream(Box<dyn Write + Send>),
}

impl Target {
    fn of(file: &Path) -> Result<Self, Error> {
        if file.as_os_str() == "-" {
            return Ok(Self::Stream(Box::new(io::stdout())));
        }
        let at = |error| Error::from_io(error, "export").with("path", file.display());
        match fs::metadata(file) {
            Ok(found) if found.is_file() => fs::canonicalize(file).map(Self::File).map_err(at),
            Ok(found) if found.is_dir() => Err(Error::new(ErrorKind::Invalid, "export")
                .with("path", file.display())
                .with_message("it is a folder")
                .with_hint("name a file in it")),
            Ok(_) => {
                let stream = File::options().write(true).open(file).map_err(at)?;
                Ok(Self::Stream(Box::new(stream)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::File(file.to_owned())),
            Err(error) => Err(at(error)),
        }
    }
}

/// Writes the archive. Nothing if it would hold nothing.
fn write(
    context: &Context,
    store: &Store,
    args: &ExportArgs,
    results: &[(ActionDigest, String)],
) -> Result<Option<(Exported, u64)>, Error> {
    let at = |error| Error::from_io(error, "export").with("path", args.file.display());
    let runtime = larder::tiers::runtime();
    let mut told = |done: usize| {
        if done.is_multiple_of(TOLD_EVERY) {
            context.printer.talk(format_args!("{done} of {} results", results.len()));
        }
    };
    let path = match Target::of(&args.file)? {
        Target::Stream(stream) => {
            let to = Counted { to: stream, bytes: 0 };
            let (exported, to) =
                archive::export(&runtime.handle()?, store, results, to, args.level, &mut told)?;
            return Ok((exported.results > 0).then_some((exported, to.bytes)));
        }
        Target::File(path) => path,
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let readable = fs::Permissions::from_mode(0o666);
    let file = tempfile::Builder::new().permissions(readable).tempfile_in(folder).map_err(|error| {
        Error::from_io(error, "export")
            .with("path", folder.display())
            .with_hint("the file is written beside its place first: the folder must exist, and be writable")
    })?;
    let to = BufWriter::with_capacity(1 << 20, file.reopen().map_err(at)?);
    let (exported, to) = archive::export(&runtime.handle()?, store, results, to, args.level, &mut told)?;
    let written: File = to.into_inner().map_err(|error| at(error.into_error()))?;
    if exported.results == 0 {
        return Ok(None);
    }
    written.sync_all().map_err(at)?;
    let bytes = written.metadata().map_err(at)?.len();
    file.persist(&path).map_err(|error| at(error.error))?;
    Ok(Some((exported, bytes)))
}

/// Counts what is written.
struct Counted {
    to: Box<dyn Write + Send>,
    bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// `larder cache import`.
pub(super) fn import(context: &Context, args: &ImportArgs) -> Result<Exit, Exit> {
    let printer = &context.printer;
    readable(&args.file).map_err(|error| refuse(context, &error))?;
    let (store, configured) = open(context)?;
    let mut told = |done: usize, of: usize| {
        if done.is_multiple_of(TOLD_EVERY) {
            printer.talk(format_args!("{done} of {of} results"));
        }
    };
    let runtime = larder::tiers::runtime();
    let imported = runtime
        .handle()
        .and_then(|runtime| archive::import(&runtime, &store, &args.file, &mut told))
        .map_err(|error| refuse(context, &error))?;
    let settled = store.flush().and_then(|()| store.local_store().maintain(configured).map(drop));
    if let Err(error) = settled {
        tracing::debug!(%error, "the store's upkeep is left to the next run");
    }
    if args.json {
        printer.json(&json!({
            "version": 1, "imported": imported.results, "refused": imported.refused,
            "reasons": imported.reasons, "damaged": imported.damaged, "other_namespaces": imported.others,
        }));
    } else {
        let count = usize::try_from(imported.results).unwrap_or(usize::MAX);
        printer.data(format_args!("imported {}", units::counted(count, "result", "results")));
    }
    Ok(judge(context, &imported))
}

/// Whether this can be an archive: a FIFO would be waited for without end.
fn readable(file: &Path) -> Result<(), Error> {
    let wrong = |message: &'static str, hint: &'static str| {
        let error = Error::new(ErrorKind::Invalid, "import").with("path", file.display());
        Err(error.with_message(message).with_hint(hint))
    };
    match fs::metadata(file) {
        Ok(found) if found.is_file() || found.is_dir() => Ok(()),
        Ok(_) => wrong("it is no file", "an archive is read at several places: write it to a file first"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            wrong("there is no such file", "`larder cache export FILE` makes one")
        }
        Err(error) => Err(Error::from_io(error, "import").with("path", file.display())),
    }
}

/// Shows what is wrong. Nothing of it is a recipe's failure.
fn refuse(context: &Context, error: &Error) -> Exit {
    context.printer.error(error, error.hint());
    Exit::Usage
}

/// Says what was left, and how that ends the program.
fn judge(context: &Context, imported: &Imported) -> Exit {
    let printer = &context.printer;
    if imported.refused > 0 {
        let count = units::count(imported.refused);
        let reasons: Vec<_> = imported.reasons.iter().map(|reason| units::printable(reason)).collect();
        let hint = Some(
            "trust the key that signed them (`larder key trust`), or set the team's LARDER_CACHE_SECRET",
        );
        printer.warning(format_args!("{count} results are not believed: {}", reasons.join("; ")), hint);
    }
    if imported.damaged > 0 {
        let count = units::count(imported.damaged);
        let hint = Some("copy or export the file again");
        printer.warning(format_args!("{count} results are damaged or not whole"), hint);
    }
    if imported.others > 0 {
        let count = units::count(imported.others);
        printer.warning(format_args!("{count} results of other namespaces were left"), None);
    }
    let nothing = imported.results == 0 && (imported.refused > 0 || imported.damaged > 0);
    if nothing { Exit::Usage } else { Exit::Success }
}
