//! Options of `larder run`.

use clap::{Args, ValueEnum};

/// How recipes are selected and configured.
#[derive(Debug, Default, Args)]
pub(crate) struct Selecting {
    /// `cookbook:recipe`, `cookbook:`, `:recipe` or `recipe`, each with `[value]` for one instance of a matrix
    ///
    /// Without one: the project's `default`; without that, all recipes that have `cache` and are not `persistent`.
    #[arg(value_name = "SELECTOR")]
    pub(crate) selectors: Vec<String>,
    /// Selectors are regular expressions
    #[arg(long, help_heading = "Selection")]
    pub(crate) regex: bool,
    /// Only recipes with one of these tags
    #[arg(short, long = "tags", value_name = "TAG", value_delimiter = ',', help_heading = "Selection")]
    pub(crate) tags: Vec<String>,
    /// Set a variable (`a.b=value` for a nested one)
    #[arg(short = 'D', long = "define", value_name = "KEY=VALUE", help_heading = "Selection")]
    pub(crate) defines: Vec<String>,
    /// Use the overrides of this environment
    #[arg(long = "env", value_name = "NAME", help_heading = "Selection")]
    pub(crate) environment: Option<String>,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("instead").multiple(false))]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) selecting: Selecting,
    /// Only recipes that changes since BASE concern, with all that depends on them
    ///
    /// Changes are those that git tells: committed since the history left BASE, staged, in the worktree, untracked. BASE: a commit or branch (default:
    /// origin/HEAD, origin/main, origin/master, main or master, the first that there is).
    #[arg(long, value_name = "BASE", num_args = 0..=1, default_missing_value = "", help_heading = "Selection")]
    pub(crate) affected: Option<String>,
    /// Given to the selected recipes as `$@`
    #[arg(last = true, value_name = "ARGS")]
    pub(crate) args: Vec<String>,
    /// Recipes at once (default: as many as cores)
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<std::num::NonZeroUsize>,
    /// Look up everything, run nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Run even what is in the cache (results are recorded)
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Stop everything when a recipe fails
    #[arg(long, overrides_with = "no_fail_fast")]
    pub(crate) fail_fast: bool,
    /// Go on with what does not depend on a failed recipe
    #[arg(long, overrides_with = "fail_fast")]
    pub(crate) no_fail_fast: bool,
    /// Which caches are used
    #[arg(long, value_enum, value_name = "STRATEGY", default_value_t = CacheStrategy::LocalFirst)]
    pub(crate) cache: CacheStrategy,
    /// How recipes' output is shown
    #[arg(long, value_enum, value_name = "MODE", default_value_t = OutputMode::Errors)]
    pub(crate) output: OutputMode,
    /// Run, observe what is touched, and show which `inputs` and `tools` should be declared (Linux)
    ///
    /// All that is selected runs, as with `--force`. The cookbooks' edits are shown as a diff; on a terminal they are made when you say so.
    #[arg(long, group = "instead", conflicts_with_all = ["dry_run", "args"], help_heading = "Declaring inputs")]
    pub(crate) suggest_inputs: bool,
    /// Make the edits without asking
    #[arg(short, long, requires = "suggest_inputs", help_heading = "Declaring inputs")]
    pub(crate) yes: bool,
    /// Write events as JSON, one a line (with --list, --show-plan, --render, --check, --suggest-inputs: that, as JSON)
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a page with a timeline and a table of the run to FILE: one file, for any browser
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, conflicts_with = "instead")]
    pub(crate) report: Option<std::path::PathBuf>,
    /// A name for the run, for `larder profile` and `larder why --against` (default: LARDER_RUN_NAME)
    #[arg(long, value_name = "NAME", value_parser = super::which::parse_name)]
    pub(crate) name: Option<String>,
    /// Run again whenever something changes that the selection reads, until Ctrl-C
    #[arg(
        short,
        long,
        conflicts_with_all = [
            "affected", "suggest_inputs", "dry_run", "list", "show_plan", "tree", "graph", "render", "check", "undo",
        ],
        help_heading = "Watching"
    )]
    pub(crate) watch: bool,
    /// Also look every so many seconds (default 1), where changes are not announced
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "1",
        requires = "watch",
        help_heading = "Watching"
    )]
    pub(crate) poll: Option<std::num::NonZeroU32>,
    /// List the recipes
    #[arg(short, long, group = "instead", help_heading = "Instead of running")]
    pub(crate) list: bool,
    /// Show what would be looked up or run, in which order
    #[arg(short = 'e', long, group = "instead", help_heading = "Instead of running")]
    pub(crate) show_plan: bool,
    /// Show the selected recipes with what they depend on below them
    #[arg(long, group = "instead", help_heading = "Instead of running")]
    pub(crate) tree: bool,
    /// Write the graph of what would be looked up or run
    #[arg(long, value_enum, value_name = "FORMAT", group = "instead", help_heading = "Instead of running")]
    pub(crate) graph: Option<GraphFormat>,
    /// Show the recipes as they are after templating
    #[arg(long, group = "instead", help_heading = "Instead of running")]
    pub(crate) render: bool,
    /// Check the whole configuration
    #[arg(long, group = "instead", help_heading = "Instead of running")]
    pub(crate) check: bool,
    /// Bring back what the last run replaced or removed and the cache does not hold
    #[arg(long, group = "instead", help_heading = "Instead of running")]
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
pub(crate) enum GraphFormat {
    /// For Graphviz
    Dot,
    /// `nodes` and `edges`
    Json,
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
