//! Which of the programs that ran belong into `tools:`.
//!
//! Those that were found through `PATH` under their own name, less [`BASICS`], whose versions change no result worth a name. What compilers
//! start of their own accord ([`HELPERS`]) counts only where the command says its name. Programs of the project are inputs, not tools.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Observed, Place};
use crate::installation::find_tool;
use crate::recipe::Recipe;
use crate::trace::AccessKind;

/// Shells, coreutils and what is like them on every machine.
const BASICS: &[&str] = &[
    "[",
    "ash",
    "awk",
    "b2sum",
    "base32",
    "base64",
    "basename",
    "bash",
    "cat",
    "chgrp",
    "chmod",
    "chown",
    "cksum",
    "cmp",
    "comm",
    "cp",
    "csplit",
    "cut",
    "dash",
    "date",
    "dd",
    "df",
    "diff",
    "dir",
    "dirname",
    "du",
    "echo",
    "egrep",
    "env",
    "expand",
    "expr",
    "factor",
    "false",
    "fgrep",
    "find",
    "fmt",
    "fold",
    "gawk",
    "grep",
    "groups",
    "gunzip",
    "gzip",
    "head",
    "hostid",
    "hostname",
    "id",
    "install",
    "join",
    "kill",
    "ksh",
    "link",
    "ln",
    "logname",
    "ls",
    "mawk",
    "md5sum",
    "mkdir",
    "mkfifo",
    "mknod",
    "mktemp",
    "mv",
    "nice",
    "nl",
    "nohup",
    "nproc",
    "numfmt",
    "od",
    "paste",
    "pathchk",
    "pr",
    "printenv",
    "printf",
    "ps",
    "ptx",
    "pwd",
    "readlink",
    "realpath",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "sh",
    "sha1sum",
    "sha224sum",
    "sha256sum",
    "sha384sum",
    "sha512sum",
    "shred",
    "shuf",
    "sleep",
    "sort",
    "split",
    "stat",
    "stdbuf",
    "stty",
    "sum",
    "sync",
    "tac",
    "tail",
    "tee",
    "test",
    "time",
    "timeout",
    "touch",
    "tr",
    "true",
    "truncate",
    "tsort",
    "tty",
    "uname",
    "unexpand",
    "uniq",
    "unlink",
    "uptime",
    "users",
    "vdir",
    "wc",
    "which",
    "who",
    "whoami",
    "xargs",
    "yes",
    "zsh",
];

/// What compilers and linkers start by themselves.
const HELPERS: &[&str] = &["as", "collect2", "ld", "ld.bfd", "ld.gold", "ld.lld", "ld64.lld", "rust-lld"];

fn executed<'a>(observed: &Observed<'a>) -> impl Iterator<Item = &'a Path> + use<'a> {
    let all = &observed.trace.accesses;
    all.iter().filter(|access| access.kind == AccessKind::Executed).map(|access| access.path.as_path())
}

/// The file that this name means.
fn find(place: &Place<'_>, recipe: &Recipe, tool: &str) -> Option<PathBuf> {
    find_tool(place.root, recipe, place.path, tool)
}

fn is_same(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// Whether the command says this word.
fn is_said(recipe: &Recipe, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '+');
    let words = recipe.run.split(|c| !is_part(c)).chain(recipe.shell.iter().map(String::as_str));
    words.into_iter().any(|word| word == name)
}

/// Programs that were run and are to be declared.
pub(super) fn used(place: &Place<'_>, observed: &Observed<'_>) -> Vec<String> {
    let recipe = observed.recipe;
    let declared: Vec<PathBuf> = recipe.tools.iter().filter_map(|tool| find(place, recipe, tool)).collect();
    let mut found: BTreeMap<PathBuf, String> = BTreeMap::new();
    for path in executed(observed) {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let is_out = path.starts_with(place.root)
            || BASICS.contains(&name)
            || (HELPERS.contains(&name) && !is_said(recipe, name))
            || declared.iter().any(|tool| is_same(tool, path));
        if is_out || !find(place, recipe, name).is_some_and(|file| is_same(&file, path)) {
            continue;
        }
        // One program of two names goes by the one that the command says.
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let is_better = found.get(&real).is_none_or(|known| !is_said(recipe, known) && is_said(recipe, name));
        if is_better {
            found.insert(real, name.to_owned());
        }
    }
    found.into_values().collect()
}

/// Where the programs of these names are.
pub(super) fn files(place: &Place<'_>, recipe: &Recipe, tools: &[String]) -> Vec<PathBuf> {
    recipe.tools.iter().chain(tools).filter_map(|tool| find(place, recipe, tool)).collect()
}

/// Declared tools that were not run.
pub(super) fn unused(place: &Place<'_>, observed: &Observed<'_>) -> BTreeSet<String> {
    let ran = |tool: &&String| {
        find(place, observed.recipe, tool)
            .is_none_or(|file| executed(observed).any(|path| is_same(path, &file)))
    };
    observed.recipe.tools.iter().filter(|tool| !ran(tool)).cloned().collect()
}
