//! `larder image cache`: what is kept of layers, and images that stay.

use std::time::{Duration, SystemTime};

use larder::image::{
    KeptLayer, PinnedImage, kept_layers, pin_image, pinned_images, remove_layers, unpin_image,
};
use larder::oci::image::ImageReference;
use larder::oci::manifest::Platform;
use serde_json::json;

use super::open::{self, fail};
use crate::cli::{ImageCacheCommand, ImageCacheGcArgs, ImageCacheLsArgs, ImagePinArgs, ImageUnpinArgs};
use crate::commands::{Context, cache as store};
use crate::exit::Exit;
use crate::units;

/// Runs the subcommand.
pub(super) fn cache(context: &Context, command: &ImageCacheCommand) -> Result<Exit, Exit> {
    match command {
        ImageCacheCommand::Ls(args) => ls(context, args),
        ImageCacheCommand::Gc(args) => gc(context, args),
        ImageCacheCommand::Pin(args) => pin(context, args),
        ImageCacheCommand::Unpin(args) => unpin(context, args),
    }
}

fn failed(context: &Context) -> impl Fn(larder::core::Error) -> Exit + '_ {
    |error| fail(&context.printer, &error, error.hint().unwrap_or_default())
}

fn age(layer: &KeptLayer) -> Duration {
    SystemTime::now().duration_since(layer.used).unwrap_or_default()
}

fn ls(context: &Context, args: &ImageCacheLsArgs) -> Result<Exit, Exit> {
    let printer = &context.printer;
    let (store, _) = store::open(context)?;
    for layer in kept_layers(&store).map_err(failed(context))? {
        if args.json {
            printer.json(&json!({
                "layer": format!("sha256:{}", layer.tar.hash.to_hex()), "size": layer.tar.size,
                "present": layer.present, "whole": layer.whole, "bytes": layer.bytes, "pinned": layer.pinned,
                "unused_seconds": age(&layer).as_secs(),
            }));
            continue;
        }
        let (size, used) = (units::bytes(layer.bytes), units::ago(age(&layer)));
        let of =
            if layer.whole { "whole".to_owned() } else { format!("of {}", units::bytes(layer.tar.size)) };
        let pinned = if layer.pinned { "  pinned" } else { "" };
        printer.data(format_args!(
            "{size:>10}  {of:>12}  {used:>12}  sha256:{}{pinned}",
            layer.tar.hash.to_hex()
        ));
    }
    Ok(Exit::Success)
}

fn gc(context: &Context, args: &ImageCacheGcArgs) -> Result<Exit, Exit> {
    let printer = &context.printer;
    let (store, _) = store::open(context)?;
    let mut layers = kept_layers(&store).map_err(failed(context))?;
    let mut left: u64 = layers.iter().map(|layer| layer.bytes).sum();
    let before = left;
    layers.retain(|layer| {
        let is_old = args.older_than.is_some_and(|limit| age(layer) >= limit);
        let is_over = args.to_size.is_some_and(|limit| left > limit);
        let goes = !layer.pinned && (is_old || is_over);
        left -= if goes { layer.bytes } else { 0 };
        goes
    });
    let (removed, bytes) = (layers.len(), before - left);
    if !args.dry_run {
        remove_layers(&store, &layers).map_err(failed(context))?;
    }
    if args.json {
        printer.json(
            &json!({"version": 1, "dry_run": args.dry_run, "removed": removed, "bytes": bytes, "left": left}),
        );
    } else {
        let verb = if args.dry_run { "would remove" } else { "removed" };
        let what = units::counted(removed, "layer", "layers");
        let (bytes, rest) = (units::bytes(bytes), units::bytes(left));
        printer.data(format_args!("{verb} what is kept of {what}, {bytes}; {rest} are left"));
        if let Some(limit) = args.to_size.filter(|limit| left > *limit) {
            let hint = "what is pinned stays: `larder image cache pin --list`";
            printer.warning(format_args!("that is more than {} still", units::bytes(limit)), Some(hint));
        }
    }
    Ok(Exit::Success)
}

fn platform_name(platform: &Platform) -> String {
    let variant = platform.variant.as_ref().map_or(String::new(), |variant| format!("/{variant}"));
    format!("{}/{}{variant}", platform.os, platform.architecture)
}

/// Pins an image, indexing what is not known of it, or lists what is pinned.
fn pin(context: &Context, args: &ImagePinArgs) -> Result<Exit, Exit> {
    let printer = &context.printer;
    let (store, _) = store::open(context)?;
    let Some(image) = args.image.as_ref().filter(|_| !args.list) else {
        let pinned = pinned_images(&store).map_err(failed(context))?;
        if pinned.is_empty() && !args.json {
            printer.talk("no image is pinned");
        }
        pinned.iter().for_each(|one| tell(context, None, one, args.json));
        return Ok(Exit::Success);
    };
    let source = open::source(context, image, &args.named)?;
    if args.dry_run {
        let found = source.source.manifest(&source.platform);
        let found = found.map_err(|error| fail(printer, &error, &error.hint()))?;
        let (image, digest) = (image.to_string(), found.digest.to_string());
        if args.json {
            printer.json(&json!({"done": "would pin", "image": image, "manifest": digest}));
        } else {
            printer.data(format_args!("would pin {}  {digest}", units::printable(&image)));
        }
        return Ok(Exit::Success);
    }
    let indexer = open::indexer(context, &args.named)?;
    let (toc, _) = open::toc(context, &source, &indexer)?;
    let name = (image.to_string(), platform_name(&source.platform));
    let who = context.machine.user();
    let pinned = pin_image(&store, &indexer, (&name.0, &name.1), &toc, &who).map_err(failed(context))?;
    tell(context, Some("pinned"), &pinned, args.json);
    Ok(Exit::Success)
}

/// Unpins images. No registry is asked.
fn unpin(context: &Context, args: &ImageUnpinArgs) -> Result<Exit, Exit> {
    let printer = &context.printer;
    let (store, _) = store::open(context)?;
    let mut exit = Exit::Success;
    for name in &args.images {
        // Pins have references as they are written in full.
        let full = name.parse::<ImageReference>().map_or_else(|_| name.clone(), |image| image.to_string());
        let mut unpinned = Vec::new();
        for name in [name, &full] {
            unpinned.extend(unpin_image(&store, name, args.dry_run).map_err(failed(context))?);
        }
        unpinned.dedup();
        if unpinned.is_empty() {
            printer.refuse(
                format_args!("no image `{}` is pinned", units::printable(name)),
                Some("`larder image cache pin --list` shows what is"),
            );
            exit = Exit::Usage;
        }
        let verb = if args.dry_run { "would unpin" } else { "unpinned" };
        unpinned.iter().for_each(|one| tell(context, Some(verb), one, args.json));
    }
    Ok(exit)
}

fn tell(context: &Context, done: Option<&str>, image: &PinnedImage, as_json: bool) {
    if as_json {
        context.printer.json(&json!({
            "done": done, "image": image.reference, "manifest": image.manifest, "platform": image.platform,
            "layers": image.layers(),
        }));
        return;
    }
    let done = done.map_or(String::new(), |done| format!("{done} "));
    let layers = units::counted(image.layers(), "layer", "layers");
    let said = format!("{}  {}  {}  {layers}", image.reference, image.manifest, image.platform);
    context.printer.data(format_args!("{done}{}", units::printable(&said)));
}
