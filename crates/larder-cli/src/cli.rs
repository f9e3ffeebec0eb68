//! What can be typed. Only shapes and help texts: commands do the rest.

mod cache;
mod doctor;
mod image;
mod key;
mod reference;
mod run;
mod which;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use cache::{
    CacheCommand, ExportArgs, GcArgs, ImportArgs, LsArgs, Order, PinArgs, StatsArgs, UnpinArgs, VerifyArgs,
    WarmArgs,
};
pub(crate) use doctor::DoctorArgs;
pub(crate) use image::{
    CatArgs, DiffArgs, DuArgs, FindArgs, ImageCacheCommand, ImageCacheGcArgs, ImageCacheLsArgs, ImageCommand,
    ImageLsArgs, ImagePinArgs, ImageUnpinArgs, IndexArgs, InspectArgs, Merge, Named, PushTocArgs, TarArgs,
};
pub(crate) use key::{GenerateArgs, KeyCommand, ListKeysArgs, ShowArgs, TrustArgs, UntrustArgs};
pub(crate) use reference::{CompletionsArgs, ManArgs, SchemaArgs, SchemaKind};
pub(crate) use run::{CacheStrategy, GraphFormat, OutputMode, RunArgs, Selecting};
pub(crate) use which::{Which, parse_name};

const EXIT_CODES: &str = "Exit codes: 0 all good, 1 usage or configuration, 2 a recipe failed, \
                          3 unknown recipe, 4 cancelled";

/// One cache for every build
#[derive(Debug, Parser)]
#[command(name = "larder", version, propagate_version = true, max_term_width = 100, after_help = EXIT_CODES)]
#[command(disable_help_subcommand = true, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Go to DIR first
    #[arg(short = 'C', long, global = true, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) directory: Option<PathBuf>,
    /// Show hits, keys and look-ups (twice: everything)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run recipes, or take their results from the cache
    #[command(visible_alias = "r", after_help = EXIT_CODES)]
    Run(Box<RunArgs>),
    /// Write a first configuration for what is in this folder
    Init(InitArgs),
    /// Say why a recipe is not a hit: what differs from its last run, or from an older one
    Why(WhyArgs),
    /// Show where the time of a run went: critical path, phases, hits, the slowest recipes
    Profile(ProfileArgs),
    /// Remove what recipes made in this worktree (the cache keeps it)
    Clean(CleanArgs),
    /// Look at the cache and keep it small
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Index container images, and read them without pulling them
    #[command(subcommand)]
    Image(Box<ImageCommand>),
    /// Make keys that sign results, and say whose results are believed
    #[command(subcommand)]
    Key(KeyCommand),
    /// Try the store, the keys and each remote tier, and say what to mend
    Doctor(DoctorArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Write man pages into a folder, or print all commands as Markdown
    Man(ManArgs),
    /// Print the JSON Schema of a configuration file, for editors
    Schema(SchemaArgs),
    /// Names of all recipes, one a line, for completion scripts
    #[command(name = "__recipes", hide = true)]
    Recipes,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Turn the project of `bake.yml` into one of `larder.yml`, with the same recipes
    ///
    /// What would change is shown, with what has to be done by hand. `bake.yml` stays, and is not read any more.
    #[arg(long)]
    pub(crate) from_bake: bool,
    /// Write a section of AGENTS.md that tells coding agents how to use this project's recipes
    ///
    /// Written again, it is brought up to date; the rest of the file stays.
    #[arg(long, conflicts_with_all = ["from_bake", "force"])]
    pub(crate) agents: bool,
    /// With --from-bake: change files that are there, and write what can be told though something remains for you
    #[arg(long, requires = "from_bake")]
    pub(crate) force: bool,
    /// Show the files, write nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// The recipe, as for `larder run`
    #[arg(value_name = "SELECTOR", required = true)]
    pub(crate) selector: String,
    /// Compare with this run: a number, as `larder profile` tells it, a name that `larder run --name` gave, or `latest`
    ///
    /// Numbers are runs of this worktree. A name that is not known here, and `latest`, are runs of any machine that sent its results to the project's
    /// remote tiers: these tell which items differ, never the other machine's values.
    #[arg(long, value_name = "RUN")]
    pub(crate) against: Option<Which>,
    /// Set a variable (`a.b=value` for a nested one)
    #[arg(short = 'D', long = "define", value_name = "KEY=VALUE")]
    pub(crate) defines: Vec<String>,
    /// Use the overrides of this environment
    #[arg(long = "env", value_name = "NAME")]
    pub(crate) environment: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// What the run would be given as `$@`
    #[arg(last = true, value_name = "ARGS")]
    pub(crate) args: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ProfileArgs {
    /// A number, a name, or `latest` (default)
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<Which>,
    /// How many of the slowest recipes are shown
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) top: usize,
    /// Write a trace that Perfetto and chrome://tracing load: a lane for each job slot
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) chrome: Option<PathBuf>,
    /// Write a page for the browser, as `larder run --report`
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) report: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub(crate) struct CleanArgs {
    /// Recipes, as for `larder run`
    #[arg(value_name = "SELECTOR", group = "what")]
    pub(crate) selectors: Vec<String>,
    /// All recipes
    #[arg(long, group = "what", conflicts_with = "selectors")]
    pub(crate) all: bool,
    /// Shrink the cache to this size, the least recently used first (as `larder cache gc --to-size`)
    #[arg(long, value_name = "SIZE", group = "what", value_parser = crate::units::parse_size)]
    pub(crate) evict_to_size: Option<u64>,
    /// Show what would go, remove nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
