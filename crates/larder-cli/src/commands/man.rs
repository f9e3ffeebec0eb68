//! `larder man`: man pages in a folder, or all commands as Markdown. Both are made from what can be typed (`cli.rs`), so they cannot say anything else.
//!
//! `docs/reference/cli.md` is the Markdown, written by `cargo xtask generate`.

use std::fs;
use std::path::Path;

use clap::{Arg, Command, CommandFactory};

use super::Context;
use crate::cli::{Cli, ManArgs};
use crate::exit::Exit;
use crate::units;

/// Writes pages, or prints Markdown.
pub(super) fn man(context: &Context, args: &ManArgs) -> Result<Exit, Exit> {
    let mut command = Cli::command();
    command.build();
    let Some(dir) = &args.dir else {
        context.printer.bytes(markdown(&command).as_bytes());
        return Ok(Exit::Success);
    };
    let folder = context.machine.folder().join(dir);
    let mut count = 0;
    let written = fs::create_dir_all(&folder).and_then(|()| pages(&command, "larder", &folder, &mut count));
    written.map_err(|error| {
        context.printer.refuse(
            format_args!("`{}` cannot be written: {error}", units::printable(&dir.to_string_lossy())),
            None,
        );
        Exit::Usage
    })?;
    context.printer.data(format_args!("wrote {count} pages"));
    Ok(Exit::Success)
}

/// Commands that people type.
fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|command| !command.is_hide_set())
}

/// The page of a command and of those below it: `larder.1`, `larder-run.1`, …
fn pages(command: &Command, name: &str, folder: &Path, count: &mut usize) -> std::io::Result<()> {
    let mut page = Vec::new();
    // Without a date: the same program writes the same pages.
    clap_mangen::Man::new(command.clone()).date("").render(&mut page)?;
    fs::write(folder.join(format!("{name}.1")), page)?;
    *count += 1;
    shown(command).try_for_each(|below| pages(below, &format!("{name}-{}", below.get_name()), folder, count))
}

const PREFACE: &str = "\
# Commands

All commands with their options, as `larder … --help` says them. Made by `cargo xtask generate`; do not edit.

What is printed where is in [output](output.md), exit codes are in [exit codes](exit-codes.md), selectors in [selection](selection.md).
";

fn markdown(command: &Command) -> String {
    let mut text = PREFACE.to_owned();
    text.push_str("\n## Everywhere\n\n");
    arguments(&mut text, command.get_arguments().filter(|argument| !argument.is_hide_set()));
    for below in shown(command) {
        section(&mut text, below, &format!("larder {}", below.get_name()), 2);
    }
    text
}

fn section(text: &mut String, command: &Command, name: &str, level: usize) {
    text.push_str(&format!("\n{} `{name}`\n\n", "#".repeat(level)));
    if let Some(about) = command.get_long_about().or_else(|| command.get_about()) {
        text.push_str(&format!("{about}.\n"));
    }
    let aliases: Vec<String> = command.get_visible_aliases().map(|alias| format!("`{alias}`")).collect();
    if !aliases.is_empty() {
        text.push_str(&format!("Also: {}.\n", aliases.join(", ")));
    }
    let usage = command.clone().bin_name(name).render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").lines().map(str::trim).collect::<Vec<_>>().join("\n");
    text.push_str(&format!("\n```text\n{usage}\n```\n"));
    let own: Vec<&Arg> = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set() && !argument.is_global_set())
        .filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version"))
        .collect();
    let mut headings: Vec<Option<&str>> = Vec::new();
    for argument in &own {
        if !headings.contains(&argument.get_help_heading()) {
            headings.push(argument.get_help_heading());
        }
    }
    // What stands under no heading comes first, as in the help.
    headings.sort_by_key(Option::is_some);
    for heading in headings {
        text.push_str(
            &heading.map(|heading| format!("\n**{heading}**\n\n")).unwrap_or_else(|| "\n".to_owned()),
        );
        arguments(text, own.iter().copied().filter(|argument| argument.get_help_heading() == heading));
    }
    if let Some(after) = command.get_after_help() {
        text.push_str(&format!("\n{after}.\n"));
    }
    for below in shown(command) {
        section(text, below, &format!("{name} {}", below.get_name()), level + 1);
    }
}

fn arguments<'a>(text: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    let (positional, options): (Vec<&Arg>, Vec<&Arg>) =
        arguments.partition(|argument| argument.is_positional());
    for argument in positional.into_iter().chain(options) {
        text.push_str(&format!("* `{}`", head(argument)));
        let help = argument.get_long_help().or_else(|| argument.get_help()).map(ToString::to_string);
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let paragraphs: Vec<String> = help.unwrap_or_default().split("\n\n").map(words).collect();
        let help = paragraphs.join(". ");
        if !help.is_empty() {
            text.push_str(&format!(": {help}"));
        }
        text.push_str(&values(argument));
        text.push('\n');
    }
}

/// `-o, --option <VALUE>`, `[ARGS]…`
fn head(argument: &Arg) -> String {
    let value = || {
        let names = argument.get_value_names().unwrap_or_default();
        names.iter().map(|name| format!("<{name}>")).collect::<Vec<_>>().join(" ")
    };
    if argument.is_positional() {
        let many = argument.get_num_args().is_some_and(|count| count.max_values() > 1);
        return format!("{}{}", value(), if many { "…" } else { "" });
    }
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    let takes = argument.get_action().takes_values();
    let is_optional = argument.get_num_args().is_some_and(|count| count.min_values() == 0);
    let value = match (takes, is_optional) {
        (false, _) => String::new(),
        (true, true) => format!(" [{}]", value()),
        (true, false) => format!(" {}", value()),
    };
    format!("{}{value}", names.join(", "))
}

/// Values that there are, and the one without the option.
fn values(argument: &Arg) -> String {
    if !argument.get_action().takes_values() {
        return String::new();
    }
    let mut text = String::new();
    let defaults: Vec<String> =
        argument.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
    if !defaults.is_empty() {
        text.push_str(&format!(" (default: {})", defaults.join(", ")));
    }
    for value in argument.get_possible_values().iter().filter(|value| !value.is_hide_set()) {
        text.push_str(&format!("\n  * `{}`", value.get_name()));
        if let Some(help) = value.get_help() {
            text.push_str(&format!(": {help}"));
        }
    }
    text
}
