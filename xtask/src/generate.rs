//! `cargo xtask generate`: what is made from the program itself, and kept in the repository for those who read it there.
//!
//! ```text
//! docs/reference/cli.md              what can be typed     larder man --markdown
//! docs/reference/schemas/*.json      what files may say    larder schema FILE
//! ```
//! With `--check` nothing is written, and a file that would be another is an error: `scripts/test` does that.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

const FILES: [(&str, &[&str]); 5] = [
    ("cli.md", &["man", "--markdown"]),
    ("schemas/project.json", &["schema", "project"]),
    ("schemas/cookbook.json", &["schema", "cookbook"]),
    ("schemas/template.json", &["schema", "template"]),
    ("schemas/helper.json", &["schema", "helper"]),
];

/// Writes the files, or compares them.
pub(crate) fn main(args: &[String]) -> Result<()> {
    let is_check = match args {
        [] => false,
        [one] if one == "--check" => true,
        _ => return Err("usage: cargo xtask generate [--check]".into()),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("xtask lies in no folder")?;
    let larder = build(root)?;
    let mut stale = Vec::new();
    for (name, command) in FILES {
        let path = root.join("docs/reference").join(name);
        let text = output(&larder, command)?;
        if std::fs::read(&path).is_ok_and(|known| known == text) {
            continue;
        }
        if is_check {
            stale.push(format!("docs/reference/{name}"));
        } else {
            std::fs::create_dir_all(path.parent().ok_or("a file lies in no folder")?)?;
            std::fs::write(&path, text)?;
            println!("wrote docs/reference/{name}");
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    Err(format!("not what the program says: {} (`cargo xtask generate` writes them)", stale.join(", "))
        .into())
}

/// The program of this tree.
fn build(root: &Path) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--locked", "--package", "larder-cli"])
        .current_dir(root)
        .status()?;
    if !status.success() {
        return Err("larder does not build".into());
    }
    let metadata =
        cargo_metadata::MetadataCommand::new().manifest_path(root.join("Cargo.toml")).no_deps().exec()?;
    Ok(metadata.target_directory.join("debug/larder").into())
}

fn output(larder: &Path, args: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new(larder).args(args).output()?;
    if !output.status.success() {
        return Err(
            format!("`larder {}`: {}", args.join(" "), String::from_utf8_lossy(&output.stderr)).into()
        );
    }
    Ok(output.stdout)
}
