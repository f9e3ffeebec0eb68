//! Options of `larder cache`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// How large it is, what it holds, how often it hit
    Stats(StatsArgs),
    /// List results, the last used first
    Ls(LsArgs),
    /// Make it smaller
    Gc(GcArgs),
    /// Read and prove everything in it
    Verify(VerifyArgs),
    /// Keep results or blobs until they are unpinned
    Pin(PinArgs),
    /// Let go what was pinned
    Unpin(UnpinArgs),
    /// Write results into one file: an OCI image layout
    Export(ExportArgs),
    /// Take results from a file that was exported
    Import(ImportArgs),
    /// Bring what remote tiers have of recipes into this machine's store, and run nothing
    Warm(WarmArgs),
}

#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// Look-ups of this long
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = crate::units::parse_span)]
    pub(crate) since: Duration,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Only results whose label contains this: `app:build`, `compile`
    #[arg(value_name = "TEXT")]
    pub(crate) filter: Option<String>,
    /// At most so many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: usize,
    /// Print JSON, one result a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Order {
    /// What was not used for the longest time goes first
    Lru,
    /// What is largest goes first
    Largest,
}

#[derive(Debug, Args)]
pub(crate) struct GcArgs {
    /// Until it takes at most this much (default: what is configured, else 10 % of the disk and 50 GiB at most)
    #[arg(long, value_name = "SIZE", value_parser = crate::units::parse_size)]
    pub(crate) to_size: Option<u64>,
    /// What was not used for this long: `30d`, `12h`
    #[arg(long, value_name = "TIME", value_parser = crate::units::parse_span)]
    pub(crate) older_than: Option<Duration>,
    /// What was written in this time stays: others may have been told that it is here (default: 1h; 1d in a tier)
    #[arg(long, value_name = "TIME", value_parser = crate::units::parse_span)]
    pub(crate) grace: Option<Duration>,
    /// Collect in this remote tier instead, in two phases: what no result needs is marked, and deleted by a later collection
    #[arg(long, value_name = "TIER", conflicts_with_all = ["to_size", "order"])]
    pub(crate) tier: Option<String>,
    /// With --tier: delete also what was used less than 15 days ago
    #[arg(long, requires = "tier")]
    pub(crate) force: bool,
    /// What goes first
    #[arg(long, value_enum, default_value_t = Order::Lru)]
    pub(crate) order: Order,
    /// Show the plan, remove nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The file; it is replaced only when all is written. `-`: standard output
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: std::path::PathBuf,
    /// Only results whose label contains this: `app:build`, `compile`
    #[arg(value_name = "TEXT")]
    pub(crate) filter: Option<String>,
    /// Only results that were used in this time: `1h`, `7d`
    #[arg(long, value_name = "TIME", value_parser = crate::units::parse_span)]
    pub(crate) used_within: Option<Duration>,
    /// zstd level, 0 to 19
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(i32).range(0..=19))]
    pub(crate) level: i32,
    /// Say what would be written, write nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The file, or a folder that holds an image layout
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    pub(crate) file: std::path::PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WarmArgs {
    #[command(flatten)]
    pub(crate) selecting: super::Selecting,
    /// What the run would be given as `$@`
    #[arg(last = true, value_name = "ARGS")]
    pub(crate) args: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Remove what cannot be served, and make damaged parts again from what is sound
    #[arg(long)]
    pub(crate) repair: bool,
    /// With --repair: show what is wrong, repair nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PinArgs {
    /// Keys of results as `larder cache ls` shows them, or digests of blobs (`b3:…/size`)
    #[arg(value_name = "KEY")]
    pub(crate) keys: Vec<String>,
    /// Why they are kept
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) why: String,
    /// List what is pinned
    #[arg(short, long, conflicts_with = "keys")]
    pub(crate) list: bool,
    /// Show what would be pinned, change nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UnpinArgs {
    /// As they were pinned
    #[arg(value_name = "KEY", required = true)]
    pub(crate) keys: Vec<String>,
    /// Show what would be unpinned, change nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
