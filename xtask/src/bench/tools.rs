//! The task caches that are compared, each as its own users would set it up: configuration, command line, environment,
//! and where it keeps what it must forget before a cold run.
//!
//! Every tool gets one task `build` per cookbook with the same command, inputs `src/` (and shared folders of the root) and
//! output `out/`. Nothing is reported to anybody: telemetry, clouds and update checks are off. moon uses the programs of
//! `PATH`, no toolchain of its own. nx is measured twice: without its daemon, which is its way in CI, and with it, which is
//! its way on a desk; what the daemon does is in no CPU figure, so compare that one by wall time only.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::Result;

/// A task cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// `larder.yml` and cookbooks.
    Larder,
    /// `bake.yml` and cookbooks.
    Bake,
    /// `turbo.json` and npm workspaces.
    Turbo,
    /// `.moon/workspace.yml` and `moon.yml`.
    Moon,
    /// `nx.json` and `project.json`, without the daemon.
    Nx,
    /// The same with the daemon.
    NxDaemon,
}

/// One task, as all tools are told it.
pub(crate) struct Told<'a> {
    /// The cookbook.
    pub(crate) name: &'a str,
    /// The whole command.
    pub(crate) script: &'a str,
    /// Folders of the root that are inputs, too.
    pub(crate) shared: &'a [String],
    /// Further fields of a Larder recipe, one a line.
    pub(crate) fields: &'a [&'a str],
}

impl Tool {
    /// The name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Larder => "larder",
            Self::Bake => "bake",
            Self::Turbo => "turbo",
            Self::Moon => "moon",
            Self::Nx => "nx, no daemon",
            Self::NxDaemon => "nx, with its daemon",
        }
    }

    /// What is removed from the project before a cold run.
    pub(crate) fn states(self) -> &'static [&'static str] {
        match self {
            Self::Larder => &[".larder/state"],
            Self::Bake => &[".bake"],
            Self::Turbo => &[".turbo", "node_modules"],
            Self::Moon => &[".moon/cache"],
            Self::Nx | Self::NxDaemon => &[".nx"],
        }
    }

    /// Whether its home holds results. moon's holds plugins, compiled once, which is no part of a build.
    pub(crate) fn keeps_results_at_home(self) -> bool {
        self != Self::Moon
    }

    /// Its environment.
    pub(crate) fn env(self) -> &'static [(&'static str, &'static str)] {
        const NX: [(&str, &str); 3] = [("NX_NO_CLOUD", "true"), ("NX_TUI", "false"), ("NX_DAEMON", "false")];
        const NX_DAEMON: [(&str, &str); 3] = [NX[0], NX[1], ("NX_DAEMON", "true")];
        match self {
            Self::Larder | Self::Turbo => &[],
            Self::Bake => &[("BAKE_CACHE_SECRET", "a secret that only this bench has")],
            Self::Moon => &[("MOON_TOOLCHAIN_FORCE_GLOBALS", "true"), ("MOON_TELEMETRY", "false")],
            Self::Nx => &NX,
            Self::NxDaemon => &NX_DAEMON,
        }
    }

    /// The command line that builds everything, or only `one` cookbook.
    pub(crate) fn command(self, program: &str, one: Option<&str>) -> Vec<String> {
        let recipe = one.map(|name| format!("{name}:build"));
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let rest = match self {
            Self::Larder => [words(&["run"]), recipe.into_iter().collect()].concat(),
            Self::Bake => recipe.into_iter().collect(),
            Self::Turbo => {
                let mut line = words(&["run", "build", "--output-logs=none"]);
                line.extend(one.map(|name| format!("--filter={name}")));
                line
            }
            Self::Moon => {
                let target = recipe.unwrap_or_else(|| ":build".to_owned());
                [words(&["run"]), vec![target], words(&["--summary", "none"])].concat()
            }
            Self::Nx | Self::NxDaemon => match recipe {
                Some(recipe) => [words(&["run"]), vec![recipe]].concat(),
                None => words(&["run-many", "-t", "build"]),
            },
        };
        [vec![program.to_owned()], rest].concat()
    }

    /// The configuration of one cookbook.
    pub(crate) fn configure_cookbook(self, dir: &Path, told: &Told<'_>) -> Result<()> {
        let Told { name, script, shared, fields } = told;
        match self {
            Self::Larder | Self::Bake => {
                // A folder, not a glob: bake takes the text as a path, so that it would keep nothing of `out/**/*`.
                let shared: String =
                    shared.iter().map(|folder| format!(", \"../../{folder}/**/*\"")).collect();
                let fields: String = fields.iter().map(|field| format!("    {field}\n")).collect();
                let cache = format!("inputs: [\"src/**/*\"{shared}]\n      outputs: [out]");
                let text = format!(
                    "name: {name}\nrecipes:\n  build:\n{fields}    cache:\n      {cache}\n    run: |\n      {script}\n"
                );
                fs::write(dir.join("cookbook.yml"), text)?;
            }
            Self::Turbo => {
                let package =
                    json!({"name": name, "version": "1.0.0", "private": true, "scripts": {"build": script}});
                fs::write(dir.join("package.json"), package.to_string())?;
            }
            Self::Moon => {
                let shared: String = shared.iter().map(|folder| format!(", '/{folder}/**/*'")).collect();
                let text = format!(
                    "tasks:\n  build:\n    script: |\n      {script}\n    toolchains: ['system']\n    \
                     inputs: ['src/**/*'{shared}]\n    outputs: ['out']\n"
                );
                fs::write(dir.join("moon.yml"), text)?;
            }
            Self::Nx | Self::NxDaemon => {
                let mut inputs = vec!["{projectRoot}/src/**/*".to_owned()];
                inputs.extend(shared.iter().map(|folder| format!("{{workspaceRoot}}/{folder}/**/*")));
                let project = json!({"name": name, "targets": {"build": {
                    "executor": "nx:run-commands", "cache": true, "inputs": inputs, "outputs": ["{projectRoot}/out"],
                    "options": {"cwd": "{projectRoot}", "command": script},
                }}});
                fs::write(dir.join("project.json"), project.to_string())?;
            }
        }
        Ok(())
    }

    /// The configuration of the root. `program`: of nx, whose packages must be seen from the project.
    pub(crate) fn configure_root(
        self,
        root: &Path,
        name: &str,
        cookbooks: &[String],
        shared: &[String],
        program: &str,
    ) -> Result<()> {
        match self {
            Self::Larder => fs::write(root.join("larder.yml"), format!("name: {name}\n"))?,
            Self::Bake => {
                let text = "config:\n  cache:\n    local:\n      enabled: true\n      path: .bake/cache\n";
                fs::write(root.join("bake.yml"), format!("name: {name}\n{text}"))?;
            }
            Self::Turbo => turbo(root, name, cookbooks, shared)?,
            Self::Moon => {
                fs::create_dir_all(root.join(".moon"))?;
                fs::write(root.join(".moon/workspace.yml"), "projects: ['pkgs/*']\ntelemetry: false\n")?;
            }
            Self::Nx | Self::NxDaemon => {
                fs::write(root.join("nx.json"), r#"{"neverConnectToCloud":true,"analytics":false}"#)?;
                fs::write(root.join("package.json"), json!({"name": name, "private": true}).to_string())?;
                let lock = json!({"name": name, "lockfileVersion": 3, "requires": true, "packages": {}});
                fs::write(root.join("package-lock.json"), lock.to_string())?;
                let packages = Path::new(program).parent().and_then(Path::parent);
                let packages = packages.ok_or("nx is not in `node_modules/.bin`")?;
                std::os::unix::fs::symlink(packages, root.join("node_modules"))?;
            }
        }
        Ok(())
    }
}

fn turbo(root: &Path, name: &str, cookbooks: &[String], shared: &[String]) -> Result<()> {
    let mut inputs = vec!["src/**".to_owned()];
    inputs.extend(shared.iter().map(|folder| format!("$TURBO_ROOT$/{folder}/**")));
    let tasks = json!({"tasks": {"build": {"inputs": inputs, "outputs": ["out/**"]}}});
    fs::write(root.join("turbo.json"), tasks.to_string())?;
    let package =
        json!({"name": name, "private": true, "packageManager": "npm@10.0.0", "workspaces": ["pkgs/*"]});
    fs::write(root.join("package.json"), package.to_string())?;
    let mut packages = json!({"": {"name": name, "workspaces": ["pkgs/*"]}});
    for name in cookbooks {
        packages[format!("pkgs/{name}")] = json!({"name": name, "version": "1.0.0"});
        packages[format!("node_modules/{name}")] = json!({"resolved": format!("pkgs/{name}"), "link": true});
    }
    let lock = json!({"name": name, "lockfileVersion": 3, "requires": true, "packages": packages});
    Ok(fs::write(root.join("package-lock.json"), lock.to_string())?)
}
