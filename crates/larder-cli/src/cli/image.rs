//! Options of `larder image`.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use larder::oci::image::{ImageReference, Mirror};
use larder::oci::manifest::Platform;
use larder::oci::toc::{ImageToc, TocError};

#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Make the table by which an image is read without pulling it
    Index(IndexArgs),
    /// List a folder of an image
    Ls(ImageLsArgs),
    /// Print files of an image
    Cat(CatArgs),
    /// Search an image by name, type and size
    Find(FindArgs),
    /// Say what differs between two images
    Diff(DiffArgs),
    /// Say what takes room in an image
    Du(DuArgs),
    /// Write an image's files as a tar file, or as they are into a folder
    Export(TarArgs),
    /// Show an image's manifest, configuration, layers and tables
    Inspect(InspectArgs),
    /// Say what of an image is here: tables, and parts of layers
    Status(InspectArgs),
    /// Push an image's tables to its registry, signed, so that others need not index it
    PushToc(PushTocArgs),
    /// Read every layer, and check digests and tables
    Verify(InspectArgs),
    /// Look at what is kept of layers, remove it, or see that it stays
    #[command(subcommand)]
    Cache(ImageCacheCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImageCacheCommand {
    /// List the layers of which parts or all are kept, the least recently used first
    Ls(ImageCacheLsArgs),
    /// Remove what is kept of layers
    Gc(ImageCacheGcArgs),
    /// Keep an image's tables, and what is and will be fetched of it, until it is unpinned
    Pin(Box<ImagePinArgs>),
    /// Let go an image that was pinned
    Unpin(ImageUnpinArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ImagePinArgs {
    /// The image, as for `larder image index`
    #[arg(value_name = "REF", value_parser = parse_reference)]
    pub(crate) image: Option<ImageReference>,
    /// List what is pinned
    #[arg(short, long, conflicts_with = "image")]
    pub(crate) list: bool,
    /// Show what would be pinned, change nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) named: Named,
    /// Print JSON, one image a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ImageUnpinArgs {
    /// Images as they were pinned, or digests of manifests
    #[arg(value_name = "REF", required = true)]
    pub(crate) images: Vec<String>,
    /// Show what would be unpinned, change nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Print JSON, one image a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ImageCacheLsArgs {
    /// Print JSON, one layer a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub(crate) struct ImageCacheGcArgs {
    /// Until they take at most this much, the least recently used first
    #[arg(long, value_name = "SIZE", group = "what", value_parser = crate::units::parse_size)]
    pub(crate) to_size: Option<u64>,
    /// What was not used for this long: `7d`, `12h`
    #[arg(long, value_name = "TIME", group = "what", value_parser = crate::units::parse_span)]
    pub(crate) older_than: Option<std::time::Duration>,
    /// Show what would go, remove nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which image, and how its layers are put together.
#[derive(Args, Clone, Debug)]
pub(crate) struct Named {
    /// For which platform: `linux/arm64`. An image that is not for it is refused [default: this machine's, of an image of several]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_parser = parse_platform)]
    pub(crate) platform: Option<Platform>,
    /// Ask this registry first for what lies in that one; `LARDER_REGISTRY_MIRRORS` has more of them, with commas
    #[arg(long = "mirror", value_name = "REGISTRY=MIRROR[/PREFIX]", value_parser = parse_mirror)]
    pub(crate) mirrors: Vec<Mirror>,
    /// How layers are put together
    #[arg(long, value_enum, default_value_t = Merge::Overlay, hide_possible_values = false)]
    pub(crate) merge: Merge,
    /// At least so many bytes between two places where reading may begin, when a layer is indexed
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = crate::units::parse_size)]
    pub(crate) span: u64,
    /// Refuse images with more entries, in all layers together
    #[arg(long, value_name = "N", default_value_t = 4_000_000, hide_short_help = true)]
    pub(crate) max_entries: u64,
    /// Refuse images whose files are larger together, in all layers
    #[arg(long, value_name = "SIZE", default_value = "1TiB", value_parser = crate::units::parse_size, hide_short_help = true)]
    pub(crate) max_size: u64,
    /// Do not ask the registry for tables that others made
    #[arg(long)]
    pub(crate) no_remote_toc: bool,
    /// Use tables from the registry that nobody signed whom you trust, this once. Who made them decides what you read
    #[arg(long, conflicts_with = "no_remote_toc")]
    pub(crate) trust_unsigned_toc: bool,
}

/// How layers are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Merge {
    /// As containers see them after a pull
    Overlay,
    /// As the specification's words have it, each layer extracted on top of the others
    Spec,
}

fn parse_platform(text: &str) -> Result<Platform, String> {
    let mut parts = text.split('/').map(str::to_owned);
    let (Some(os), Some(architecture), variant, None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("a platform is written like `linux/amd64` or `linux/arm/v7`".to_owned());
    };
    if os.is_empty() || architecture.is_empty() || variant.as_ref().is_some_and(String::is_empty) {
        return Err("a platform is written like `linux/amd64` or `linux/arm/v7`".to_owned());
    }
    Ok(Platform { architecture, os, variant, ..Platform::default() })
}

fn parse_reference(text: &str) -> Result<ImageReference, String> {
    match text.parse() {
        // `docker://` says that a registry is meant, whatever lies here.
        Ok(ImageReference::Registry(_))
            if let Some(Local { what, hint, is_meant: true }) = Local::of(text) =>
        {
            Err(format!("this is {what}; {hint}"))
        }
        Ok(reference) => Ok(reference),
        Err(error) => {
            let error: larder::oci::image::ParseImageReferenceError = error;
            Err(match Local::of(text) {
                Some(Local { what, hint, .. }) => format!("this is {what}; {hint}"),
                None => format!("{error}; {}", error.hint()),
            })
        }
    }
}

/// Something on this machine that is named where an image is wanted.
struct Local {
    what: &'static str,
    hint: &'static str,
    /// Nobody has an image in a registry that is called like this file.
    is_meant: bool,
}

impl Local {
    fn of(text: &str) -> Option<Self> {
        let file = File::open(text).ok()?;
        let found = file.metadata().ok()?;
        if found.is_dir() {
            let hint = "an image layout in a folder is read with `oci:DIR[:NAME]`";
            return Some(Self { what: "a folder", hint, is_meant: false });
        }
        if !found.is_file() {
            return None;
        }
        let mut begin = [0; 263];
        let is_tar = file.read_exact_at(&mut begin, 0).is_ok() && begin[257..].starts_with(b"ustar");
        let is_table = !matches!(ImageToc::open(Arc::new(file)), Err(TocError::NoToc));
        if is_table {
            let hint = "name the image that it was made of: the store has its table";
            return Some(Self { what: "a table's file", hint, is_meant: true });
        }
        let hint = "an image in a file is read with `oci-archive:FILE` or `docker-archive:FILE`";
        Some(Self { what: if is_tar { "a tar file" } else { "a file" }, hint, is_meant: is_tar })
    }
}

fn parse_mirror(text: &str) -> Result<Mirror, String> {
    text.parse().map_err(|error: larder::oci::image::ParseMirrorError| format!("{error}; {}", error.hint()))
}

#[derive(Debug, Args)]
pub(crate) struct IndexArgs {
    /// The image: `debian:12`, `127.0.0.1:5000/app@sha256:…`, `oci:DIR[:NAME]`, `oci-archive:FILE[:NAME]`, `docker-archive:FILE[:NAME]`
    #[arg(value_name = "REF", value_parser = parse_reference)]
    pub(crate) image: ImageReference,
    /// Write the table also to this file
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Index every layer, also those whose tables are known
    #[arg(long)]
    pub(crate) force: bool,
    /// See that the layers make a tree, also where they have so many entries that this is left to the first command that reads them
    #[arg(long)]
    pub(crate) check: bool,
    /// Keep digests of files, too: `ls --json` and `find --json` show them. Layers are read for that that were indexed without
    #[arg(long)]
    pub(crate) file_digests: bool,
    #[command(flatten)]
    pub(crate) named: Named,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PushTocArgs {
    /// The image, in a registry
    #[arg(value_name = "REF", value_parser = parse_reference)]
    pub(crate) image: ImageReference,
    /// List the tables also in the index that the tag points to, so that they are copied with the image (`skopeo copy --all`). The tag then
    /// points to another digest
    #[arg(long)]
    pub(crate) embed: bool,
    /// Push without a signature: nobody uses such tables unless told to
    #[arg(long)]
    pub(crate) unsigned: bool,
    /// Show what would be pushed, push nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) named: Named,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ImageLsArgs {
    /// The image, as for `larder image index`
    #[arg(value_name = "REF", value_parser = parse_reference)]
    pub(crate) image: ImageReference,
    /// The folder or file
    #[arg(value_name = "PATH", default_value = "/")]
    pub(crate) path: OsString,
    /// Modes, owners, sizes and times
    #[arg(short, long)]
    pub(crate) long: bool,
    /// Everything below, too
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    #[command(flatten)]
    pub(crate) named: Named,
    /// Print JSON, one name a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CatArgs {
    /// The image, as for `larder image index`
    #[arg(value_name = "REF", value_parser = parse_reference)]
    pub(crate) image: ImageReference,
    /// The files; symbolic links are followed
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<OsString>,
    #[command(flatten)]
    pub(crate) named: Named,
}

#[derive(Debug, Args)]
pub(crate) struct FindArgs {
    /// The image, as for `larder image index`
    #[arg(value_name = "REF", value_parser = parse_reference)]
    pub(crate) image: ImageReference,
    /// A name, or a pattern with `*`, `?` and `[…]`; with a `/` in it of the whole path, `**` matches folders
    #[arg(value_name = "PATTERN")]
    pub(crate) pattern: Option<OsString>,
    /// Only below this folder
    #[arg(long, value_name = "PATH", default_value = "/")]
    pub(crate) below: OsString,
    /// Only these: f(ile), d(irectory), l(ink), b(lock), c(haracter), p(ipe)
    #[arg(long = "type", value_name = "TYPE", value_parser = ["f", "d", "l", "b", "c", "p"])]
    pub(crate) kind: Option<String>,
    /// Only files of at least this size
    #[arg(long, value_name = "SIZE", value_parser = crate::units::parse_size)]
    pub(crate) larger: Option<u64>,
    /// Only what is setuid or setgid
    #[arg(long)]
    pub(crate) setuid: bool,
    #[command(flatten)]
    pub(crate) named: Named,
    /// Print JSON, one name a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The image before
    #[arg(value_name = "REF", value_parser = parse_reference)]
    pub(crate) before: ImageReference,
    /// The image after
    #[arg(value_name = "REF", value_parser = parse_reference)]
    pub(crate) after: ImageReference,
    /// Only below this folder
    #[arg(long, value_name = "PATH", default_value = "/")]
    pub(crate) below: OsString,
    /// A file with another time and the same content is no difference; reads files of the same size
    #[arg(long)]
    pub(crate) content: bool,
    #[command(flatten)]
    pub(crate) named: Named,
    /// Print JSON, one name a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DuArgs {
    /// The image, as for `larder image index`
    #[arg(value_name = "REF", value_parser = parse_reference)]
    pub(crate) image: ImageReference,
    /// The folder or file
    #[arg(value_name = "PATH", default_value = "/")]
    pub(crate) path: OsString,
    /// Count the holes of sparse files, which take no room
    #[arg(long)]
    pub(crate) apparent_size: bool,
    /// Folders so far below it
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    pub(crate) depth: usize,
    /// What each layer adds, and how much of it later layers hide
    #[arg(long)]
    pub(crate) layers: bool,
    #[command(flatten)]
    pub(crate) named: Named,
    /// Print JSON, one folder a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("to").multiple(false))]
pub(crate) struct TarArgs {
    /// The image, as for `larder image index`
    #[arg(value_name = "REF", value_parser = parse_reference)]
    pub(crate) image: ImageReference,
    /// Only this file or folder, and what is below
    #[arg(value_name = "PATH", default_value = "/")]
    pub(crate) path: OsString,
    /// Write a tar file [default: standard output]
    #[arg(short, long, value_name = "FILE.tar", group = "to", value_hint = clap::ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Write the files into this folder, which must be new or empty (as root)
    // It takes the place of the option that all commands have.
    #[arg(id = "directory", short = 'C', long = "directory", value_name = "DIR", group = "to", value_hint = clap::ValueHint::DirPath)]
    pub(crate) into: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) named: Named,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The image, as for `larder image index`
    #[arg(value_name = "REF", value_parser = parse_reference)]
    pub(crate) image: ImageReference,
    #[command(flatten)]
    pub(crate) named: Named,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
