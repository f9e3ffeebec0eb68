//! Options of `larder key`.

use clap::{Args, Subcommand};

const TIMES: &str = "Times: `2026-11-21` (its first second, UTC), `2026-11-21T10:00:00Z`, `now`.";

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key that signs results
    Generate(GenerateArgs),
    /// Print the public part of a key, for others to trust
    Show(ShowArgs),
    /// Believe what a key signs, or change for what and how long
    #[command(after_help = TIMES)]
    Trust(TrustArgs),
    /// List whom you trust, and your own keys
    List(ListKeysArgs),
    /// Believe a key no longer
    Untrust(UntrustArgs),
}

#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// How it is called here
    #[arg(value_name = "NAME", default_value = "default")]
    pub(crate) name: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Which one (default: the one that signs, else `default`)
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TrustArgs {
    /// A public key (`larder-public-ed25519:…`), the path of its file, or the id or name of a key that is trusted
    #[arg(value_name = "PUBKEY")]
    pub(crate) key: String,
    /// Only for this namespace (may be given more than once; default: all)
    #[arg(long = "namespace", value_name = "NS")]
    pub(crate) namespaces: Vec<String>,
    /// What it signed earlier is not believed
    #[arg(long, value_name = "TIME")]
    pub(crate) not_before: Option<String>,
    /// What it signs later is not believed: it is retired
    #[arg(long, value_name = "TIME")]
    pub(crate) not_after: Option<String>,
    /// How it is called here
    #[arg(long, value_name = "N")]
    pub(crate) name: Option<String>,
    /// Show what would be written, change nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ListKeysArgs {
    /// Print JSON, one key a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UntrustArgs {
    /// Its id or name as `larder key list` shows it, or the public key
    #[arg(value_name = "ID")]
    pub(crate) key: String,
    /// Show what would be removed, change nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
