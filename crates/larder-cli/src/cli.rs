//! What can be typed. Only shapes and help texts: commands do the rest.

use clap::{Args, Parser, Subcommand, ValueEnum};

/// One cache for every build.
#[derive(Debug, Parser)]
#[command(name = "larder", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    /// Show how keys are computed and what is looked up (twice: everything).
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run recipes, or take their results from the cache
    Run(RunArgs),
}

/// How recipes are selected and configured; shared by several commands.
#[derive(Debug, Args)]
pub(crate) struct Selecting {
    /// `cookbook:recipe`, `cookbook:`, `:recipe` or `recipe`, each with `[value]` for one instance of a matrix
    #[arg(value_name = "SELECTOR")]
    pub(crate) selectors: Vec<String>,
    /// Selectors are regular expressions
    #[arg(long)]
    pub(crate) regex: bool,
    /// Only recipes with one of these tags
    #[arg(short, long = "tags", value_name = "TAG", value_delimiter = ',')]
    pub(crate) tags: Vec<String>,
    /// Set a variable (`a.b=value` for a nested one)
    #[arg(short = 'D', long = "define", value_name = "KEY=VALUE")]
    pub(crate) defines: Vec<String>,
    /// Use the overrides of this environment
    #[arg(long = "env", value_name = "NAME")]
    pub(crate) environment: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) selecting: Selecting,
    /// Given to the selected recipes as `$@`
    #[arg(last = true, value_name = "ARGS")]
    pub(crate) args: Vec<String>,
    /// Recipes at once (default: as many as cores)
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<usize>,
    /// Look up everything, run nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Run even what is in the cache (results are recorded)
    #[arg(short, long)]
    pub(crate) force: bool,
    /// List the recipes and stop
    #[arg(short, long)]
    pub(crate) list: bool,
    /// Check the whole configuration and stop
    #[arg(long)]
    pub(crate) check: bool,
    /// Show the configuration as it is after templating and stop
    #[arg(long)]
    pub(crate) render: bool,
    /// Show what would run, in which order, and stop
    #[arg(short = 'e', long)]
    pub(crate) show_plan: bool,
    /// Stop everything when a recipe fails
    #[arg(long, overrides_with = "no_fail_fast")]
    pub(crate) fail_fast: bool,
    /// Go on with what does not depend on a failed recipe
    #[arg(long)]
    pub(crate) no_fail_fast: bool,
    /// Which caches are used
    #[arg(long, value_enum, default_value_t = CacheStrategy::LocalFirst)]
    pub(crate) cache: CacheStrategy,
    /// How output is shown
    #[arg(long, value_enum, default_value_t = OutputMode::Errors)]
    pub(crate) output: OutputMode,
    /// Write events as JSON, one a line
    #[arg(long)]
    pub(crate) json: bool,
    /// Bring back what the last run replaced or removed
    #[arg(long)]
    pub(crate) undo: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CacheStrategy {
    /// This machine's store only
    LocalOnly,
    /// Remote tiers only
    RemoteOnly,
    /// This machine's store, then remote tiers
    LocalFirst,
    /// Remote tiers, then this machine's store
    RemoteFirst,
    /// None
    Disabled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputMode {
    /// As it comes, each line behind its recipe's name; hits replay their log
    Stream,
    /// All of a recipe's output when it is done
    Group,
    /// Only the output of recipes that fail
    Errors,
}

/// Logs go to standard error.
pub(crate) fn start_logging(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    };
    let logs = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).without_time();
    // Set once, at the start of the program.
    let _ = logs.try_init();
}
