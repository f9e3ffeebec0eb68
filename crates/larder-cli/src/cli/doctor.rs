//! Options of `larder doctor`.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Only these tiers: `s3`, `dir`, …
    #[arg(value_name = "TIER")]
    pub(crate) tiers: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
