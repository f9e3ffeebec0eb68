//! `larder cache stats`: what is measured, nothing estimated.

use std::time::Duration;

use larder::store::event::now_ms;
use larder::store::local::stats::StoreStats;
use larder::store::statistics::Statistics;
use serde_json::json;

use super::{fail, open};
use crate::cli::StatsArgs;
use crate::commands::Context;
use crate::exit::Exit;
use crate::units;

/// Runs the subcommand.
pub(super) fn stats(context: &Context, args: &StatsArgs) -> Result<Exit, Exit> {
    let (store, configured) = open(context)?;
    let local = store.local_store();
    let held = local.stats().map_err(|error| fail(context, &error))?;
    let since = now_ms().saturating_sub(u64::try_from(args.since.as_millis()).unwrap_or(u64::MAX));
    let used = local.event_statistics(since).map_err(|error| fail(context, &error))?;
    let home = local.home().path();
    if args.json {
        let limit = configured.unwrap_or(held.default_limit);
        context.printer.json(&json!({
            "version": 1, "home": home.to_string_lossy(), "limit": limit,
            "store": held, "since_ms": since, "use": used, "hit_rate": used.look_ups().hit_rate(),
        }));
        return Ok(Exit::Success);
    }
    let home = context
        .machine
        .user_folder()
        .and_then(|user| Some(format!("~/{}", home.strip_prefix(user).ok()?.display())))
        .unwrap_or_else(|| home.display().to_string());
    let size = units::bytes(held.physical_bytes);
    let limit = units::bytes(configured.unwrap_or(held.default_limit));
    let pad = 22usize.saturating_sub(console::measure_text_width(&home));
    context.printer.data(format_args!(
        "{:<10} {}{}  {size} of {limit}",
        "store",
        units::printable(&home),
        " ".repeat(pad)
    ));
    context.printer.data(format_args!("{:<10} {}", "holds", holds(&held)));
    if held.partial_blobs > 0 {
        let layers =
            units::counted(usize::try_from(held.partial_blobs).unwrap_or(usize::MAX), "layer", "layers");
        let bytes = units::bytes(held.sizes.partial);
        context.printer.data(format_args!("{:<10} {bytes} of {layers} of images, not whole", "parts"));
    }
    context.printer.data(format_args!("{:<10} {}", span(args.since), uses(&used)));
    Ok(Exit::Success)
}

fn span(since: Duration) -> String {
    let (days, hours) = (since.as_secs() / 86_400, since.as_secs() / 3600);
    match (days, hours) {
        (1.., _) => units::counted(usize::try_from(days).unwrap_or(usize::MAX), "day", "days"),
        (0, 1..) => format!("{hours} h"),
        _ => units::duration(since),
    }
}

fn holds(held: &StoreStats) -> String {
    let results = units::count(held.results);
    let blobs = units::count(held.blobs);
    let mut text = format!("{results} results, {blobs} blobs, {} logical", units::bytes(held.logical_bytes));
    let times = |ratio: Option<f64>| ratio.map(|ratio| format!("{ratio:.1} ×"));
    let parts: Vec<String> = [("dedup", times(held.dedup_ratio)), ("zstd", times(held.compression_ratio))]
        .into_iter()
        .filter_map(|(name, ratio)| Some(format!("{name} {}", ratio?)))
        .collect();
    if held.physical_bytes > 0 && held.logical_bytes > held.physical_bytes {
        let all = held.logical_bytes as f64 / held.physical_bytes as f64;
        text.push_str(&format!("    {all:.1} × smaller: {}", parts.join(", ")));
    } else if !parts.is_empty() {
        text.push_str(&format!("    {}", parts.join(", ")));
    }
    text
}

fn uses(used: &Statistics) -> String {
    let all = used.look_ups();
    let mut text = format!("{} look-ups", units::count(all.asked));
    let answered = all.hits.saturating_add(all.misses);
    if let Some(rate) = all.hit_rate() {
        let tier = |(tier, hits): (&String, &larder::store::statistics::Hits)| {
            format!("{tier} {:.0}", 100.0 * hits.count as f64 / answered as f64)
        };
        let tiers: Vec<String> = used.hits_by_tier.iter().map(tier).collect();
        text.push_str(&format!("   {:.0} % hit", 100.0 * rate));
        if !tiers.is_empty() {
            text.push_str(&format!(" ({})", tiers.join(", ")));
        }
    }
    if let Ok(saved @ 1..) = u64::try_from(used.saved_millis) {
        text.push_str(&format!("   saved {}", units::duration(Duration::from_millis(saved))));
    }
    if used.corrupt > 0 {
        text.push_str(&format!("   {} found damaged", units::count(used.corrupt)));
    }
    text
}
