//! A guide for coding agents: how this project uses Larder, as a section of `AGENTS.md` between two markers.
//!
//! It is made from the project: its recipes, with what they say of themselves. What stands outside of the markers is the project's, and stays byte for byte.

use std::fmt::Write as _;

use crate::config::{Listed, Project};

/// The line before the section.
pub const BEGIN: &str = "<!-- larder: begin (written by `larder init --agents`) -->";
/// The line behind it.
pub const END: &str = "<!-- larder: end -->";
/// Recipes that are listed.
const MOST_RECIPES: usize = 40;

/// The section, markers included.
#[must_use]
pub fn section(project: &Project, listed: &[Listed]) -> String {
    let mut text = format!("{BEGIN}\n## Building and testing: `larder run`\n\n");
    text.push_str(&intro(project));
    text.push_str(&recipes(listed));
    text.push_str(&commands(listed));
    text.push_str(RULES);
    text.push_str(END);
    text.push('\n');
    text
}

fn intro(project: &Project) -> String {
    let name = one_line(&project.name);
    let default = if project.default.is_empty() {
        "all recipes that have `cache` and are not `persistent`".to_owned()
    } else {
        project.default.iter().map(|one| format!("`{}`", one_line(one))).collect::<Vec<_>>().join(", ")
    };
    format!(
        "The project `{name}` is built, tested and run with recipes, from `{}` and `cookbook.yml` files. Use them rather than the tools \
         beneath: what did not change is taken from a cache in milliseconds, so running everything again is cheap. \
         `larder run` without a selector means {default}.\n\n",
        project.root_file.display()
    )
}

/// A table of what can be run; instances of a matrix are one line.
fn recipes(listed: &[Listed]) -> String {
    let mut text = String::from("| recipe | | |\n|---|---|---|\n");
    let mut names: Vec<String> = Vec::new();
    let mut left = 0usize;
    for each in listed {
        let name = format!("{}:{}", each.id.cookbook, each.id.recipe);
        if names.last() == Some(&name) {
            continue;
        }
        names.push(name.clone());
        if names.len() > MOST_RECIPES {
            left += 1;
            continue;
        }
        let kind = match (each.is_persistent, each.is_cached) {
            (true, _) => "a server: runs until it is stopped",
            (_, true) => "cached",
            _ => "always runs",
        };
        let instances = if each.id.instance.is_some() { ", one for each value in `[…]`" } else { "" };
        let said = each.description.as_deref().map(one_line).unwrap_or_default();
        let _ =
            writeln!(text, "| `{}` | {kind}{instances} | {} |", one_line(&name), said.replace('|', "\\|"));
    }
    if left > 0 {
        let _ = writeln!(text, "\n{left} more: `larder run --list`.");
    }
    text.push('\n');
    text
}

fn commands(listed: &[Listed]) -> String {
    let of = |listed: &Listed| format!("{}:{}", one_line(&listed.id.cookbook), one_line(&listed.id.recipe));
    let example = listed.iter().find(|one| one.is_cached).or(listed.first());
    let one = example.map_or_else(|| "cookbook:recipe".to_owned(), of);
    let recipe = one.split_once(':').map_or("recipe", |(_, recipe)| recipe);
    let cookbook = one.split_once(':').map_or("cookbook", |(cookbook, _)| cookbook);
    format!(
        "* `larder run {one}` runs one recipe and what it depends on; `{recipe}` is that recipe in every cookbook, `{cookbook}:` all of a cookbook. \
         Arguments follow `--`.\n\
         * `larder run --affected` runs what your changes concern, with all that depends on it. Do that before you say that you are done.\n\
         * `larder run -n SELECTOR` looks up and runs nothing; `larder run --list --json` names all recipes, with file and line.\n\
         * `larder run --json SELECTOR` tells events, one JSON object a line; the last one, `summary`, has the counts. Output of recipes that fail is shown without asking; \
         `--output stream` shows all of it, also of hits.\n\
         * `larder why SELECTOR` says what differs from the last run when something runs that you did not expect (`--json` too). A miss says so itself: `miss: src/a.c changed`.\n\
         * Exit codes: 0 all good, 1 usage or configuration, 2 a recipe failed, 3 no such recipe, 4 cancelled.\n\n"
    )
}

const RULES: &str = "\
When you change recipes:
* A recipe must declare all that it reads (`cache.inputs`, `tools`, `environment`) and all that it makes (`cache.outputs`). A file that is read and not declared is a wrong hit later.
* After a change of `larder.yml` or a cookbook, run `larder run --check`; errors name file, line and the nearest known name. `larder schema cookbook` prints what may stand there.
* Do not write into `.larder/` (save `.larder/templates` and `.larder/helpers`), and do not edit declared outputs: they are put back.
* Do not work around a failure with `--cache disabled` or `--force`, and do not widen `outputs` or remove `inputs` to get a hit: find out with `larder why`.
* Do not start a server recipe in the foreground and wait for it: it does not end by itself.
";

/// Text that cannot break out of its line, its backticks or the section.
fn one_line(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.replace('`', "'").replace("<!--", "<! --").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A file with the section in place of the one it has, or at its end, with the line ends of its first line. `None`: its markers do not go together.
#[must_use]
pub fn put(file: Option<&str>, section: &str) -> Option<String> {
    let Some(file) = file.filter(|file| !file.trim().is_empty()) else { return Some(section.to_owned()) };
    let is_crlf = file.split_inclusive('\n').next().is_some_and(|line| line.ends_with("\r\n"));
    let (section, end_of_line) =
        if is_crlf { (section.replace('\n', "\r\n"), "\r\n") } else { (section.to_owned(), "\n") };
    let begins: Vec<usize> = file.match_indices(BEGIN).map(|(at, _)| at).collect();
    let ends: Vec<usize> = file.match_indices(END).map(|(at, _)| at).collect();
    match (begins.as_slice(), ends.as_slice()) {
        ([], []) => {
            let missing = match file.strip_suffix(end_of_line) {
                Some(file) if file.ends_with(end_of_line) => 0,
                Some(_) => 1,
                None => 2,
            };
            Some(format!("{file}{}{section}", end_of_line.repeat(missing)))
        }
        ([begin], [end]) if begin < end => {
            let rest = &file[end + END.len()..];
            let rest = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n')).unwrap_or(rest);
            Some(format!("{}{section}{rest}", &file[..*begin]))
        }
        _ => None,
    }
}
