//! `larder completions SHELL`, and the hidden `larder __recipes` that its scripts ask for names.
//!
//! Names of recipes are read from the files without rendering anything: completion runs no command of the project.

use clap::CommandFactory;
use clap_complete::{Shell, generate};
use larder::run::config::{WalkListing, recipe_names};

use super::Context;
use crate::cli::{Cli, CompletionsArgs};
use crate::exit::Exit;
use crate::units;

/// What is added to a shell's script so that recipes are offered, where the shell allows it.
fn recipes_of(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
        Shell::Fish => FISH,
        _ => "",
    }
}

const BASH: &str = r#"
_larder_recipes() {
    local current word seen=
    current=${COMP_LINE:0:COMP_POINT}
    current=${current##*[[:space:]]}
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $word in run|r|why|clean) seen=1 ;; esac
    done
    if [[ -n $seen && $current != -* ]]; then
        local names prefix=
        # `:` splits words in bash: what stands before it is typed already.
        [[ $current == *:* && $COMP_WORDBREAKS == *:* ]] && prefix=${current%"${current##*:}"}
        names=$(larder __recipes 2>/dev/null)
        COMPREPLY=($(compgen -W "$names" -- "$current"))
        COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
        return 0
    fi
    _larder "$@"
}
complete -F _larder_recipes -o bashdefault -o default larder
"#;

const ZSH: &str = r#"
_larder_recipes() {
    local -a names
    names=(${(f)"$(larder __recipes 2>/dev/null)"})
    compadd -a names
}
"#;

const FISH: &str = r#"
complete -c larder -n "__fish_seen_subcommand_from run r why clean" -f -a "(larder __recipes 2>/dev/null)"
"#;

/// Prints the script.
pub(super) fn script(context: &Context, args: &CompletionsArgs) -> Exit {
    let mut command = Cli::command();
    let mut script = Vec::new();
    generate(args.shell, &mut command, "larder", &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    if args.shell == Shell::Zsh {
        // The generated script offers nothing for selectors; they are offered from the project.
        let from = script.find("#compdef larder\n").map_or(0, |at| at + "#compdef larder\n".len());
        for positional in ["selectors", "selector"] {
            script = script.replace(&format!("::{positional} -- "), &format!("::{positional} -- @"));
        }
        script = with_recipes(&script);
        script.insert_str(from, ZSH);
    } else {
        script.push_str(recipes_of(args.shell));
    }
    context.printer.bytes(script.as_bytes());
    Exit::Success
}

/// In the zsh script, lets the arguments that were marked be completed by `_larder_recipes`.
fn with_recipes(script: &str) -> String {
    let line = |line: &str| {
        let marked = line.contains("selectors -- @") || line.contains("selector -- @");
        let line = line.replace("-- @", "-- ");
        if marked { line.replace(":_default'", ":_larder_recipes'") } else { line }
    };
    script.lines().map(|each| line(each) + "\n").collect()
}

/// Prints names for completion. Whatever is wrong with the project, this is silent.
pub(super) fn recipes(context: &Context) -> Exit {
    for name in recipe_names(context.machine.folder(), &WalkListing) {
        context.printer.data(units::printable(&name));
    }
    Exit::Success
}
