//! The workloads of the run bench, each in one folder per tool with that tool's own configuration.
//!
//! A workload is some cookbooks: folders `pkgs/NAME` with `src/`, one recipe `build`, and outputs in `out/`. Every command
//! begins by adding one byte to a file outside the project, so that the bench knows how many commands really ran: a hit
//! that ran, or a miss that did not, is a failure and no figure. Inputs are committed to git, as a user's would be.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::generate::{Content, Kind, Rng};
use super::{Setting, measure, remove};
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
}

/// What is built.
pub(crate) struct Workload {
    /// `w1` …
    pub(crate) name: &'static str,
    /// Number of cookbooks.
    pub(crate) cookbooks: usize,
    /// Input files per cookbook.
    pub(crate) inputs: usize,
    /// Shell text of the recipe after the counter; makes `out/`.
    pub(crate) command: String,
}

/// A workload, ready for one tool.
pub(crate) struct Project {
    /// Whose configuration it has.
    pub(crate) tool: Tool,
    /// Path of the tool.
    pub(crate) program: String,
    /// The project's root.
    pub(crate) root: PathBuf,
    /// Home of the tool, where its caches may be.
    pub(crate) home: PathBuf,
    /// Counts commands that ran.
    pub(crate) ran: PathBuf,
    /// The commands' environment.
    pub(crate) env: Vec<(String, String)>,
}

/// Name of the cookbook with that number.
pub(crate) fn cookbook(index: usize) -> String {
    format!("c{index:03}")
}

impl Workload {
    /// The whole command of the recipe.
    fn script(&self, ran: &Path) -> String {
        format!("printf x >> '{}' && rm -rf out && {}", ran.display(), self.command)
    }

    /// Writes inputs and configuration for `tool`.
    pub(crate) fn project(&self, setting: &Setting, tool: Tool, program: &str) -> Result<Project> {
        let base = setting.work.join(self.name).join(format!("{tool:?}").to_lowercase());
        let (root, home, ran) = (base.join("project"), base.join("home"), base.join("ran"));
        fs::create_dir_all(&home)?;
        let content = Content::new(1);
        for index in 0..self.cookbooks {
            let dir = root.join("pkgs").join(cookbook(index));
            for input in 0..self.inputs {
                let part = (index * self.inputs + input) as u64;
                let path = dir.join(format!("src/d{:03}/f{input:05}.txt", input / 100));
                content.file(&path, Kind::Text, &mut Rng::new(2, part), 512 + part % 2048, &[])?;
            }
            self.configure_cookbook(tool, &dir, &cookbook(index), &ran)?;
        }
        self.configure_root(tool, &root)?;
        fs::write(root.join(".gitignore"), "out/\n.turbo/\n.bake/\n.larder/state/\nnode_modules/\n")?;
        git(&root, &["init", "--quiet", "."])?;
        git(&root, &["add", "-A"])?;
        let identity = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"];
        git(&root, &[identity.as_slice(), &["commit", "--quiet", "-m", "inputs"]].concat())?;
        let larder_home = home.join("larder").display().to_string();
        let secret = ("BAKE_CACHE_SECRET", "a secret that only this bench has");
        let env = setting.env(&home, &[("LARDER_HOME", &larder_home), secret]);
        Ok(Project { tool, program: program.to_owned(), root, home, ran, env })
    }

    fn configure_cookbook(&self, tool: Tool, dir: &Path, name: &str, ran: &Path) -> Result<()> {
        let script = self.script(ran);
        if tool == Tool::Turbo {
            let package = serde_json::json!({"name": name, "version": "1.0.0", "private": true, "scripts": {"build": script}});
            return Ok(fs::write(dir.join("package.json"), package.to_string())?);
        }
        // A folder, not a glob: bake takes the text as a path, so that it would keep nothing of `out/**/*`.
        let text = format!(
            "name: {name}\nrecipes:\n  build:\n    cache:\n      inputs: [\"src/**/*\"]\n      outputs: [out]\n    run: |\n      {script}\n"
        );
        Ok(fs::write(dir.join("cookbook.yml"), text)?)
    }

    fn configure_root(&self, tool: Tool, root: &Path) -> Result<()> {
        match tool {
            Tool::Larder => fs::write(root.join("larder.yml"), format!("name: {}\n", self.name))?,
            Tool::Bake => {
                let text = "config:\n  cache:\n    local:\n      enabled: true\n      path: .bake/cache\n";
                fs::write(root.join("bake.yml"), format!("name: {}\n{text}", self.name))?;
            }
            Tool::Turbo => {
                let tasks =
                    serde_json::json!({"tasks": {"build": {"inputs": ["src/**"], "outputs": ["out/**"]}}});
                fs::write(root.join("turbo.json"), tasks.to_string())?;
                let name = self.name;
                let package = serde_json::json!({
                    "name": name, "private": true, "packageManager": "npm@10.0.0", "workspaces": ["pkgs/*"]
                });
                fs::write(root.join("package.json"), package.to_string())?;
                let mut packages = serde_json::json!({"": {"name": name, "workspaces": ["pkgs/*"]}});
                for name in (0..self.cookbooks).map(cookbook) {
                    packages[format!("pkgs/{name}")] = serde_json::json!({"name": name, "version": "1.0.0"});
                    let link = serde_json::json!({"resolved": format!("pkgs/{name}"), "link": true});
                    packages[format!("node_modules/{name}")] = link;
                }
                let lock = serde_json::json!({"name": name, "lockfileVersion": 3, "requires": true, "packages": packages});
                fs::write(root.join("package-lock.json"), lock.to_string())?;
            }
        }
        Ok(())
    }
}

impl Project {
    /// The name in tables.
    pub(crate) fn peer(&self) -> String {
        format!("{:?}", self.tool).to_lowercase()
    }

    /// The command line that builds everything, or only `one` cookbook.
    pub(crate) fn command(&self, one: Option<&str>) -> Vec<String> {
        let mut line = vec![self.program.clone()];
        let recipe = one.map(|name| format!("{name}:build"));
        match self.tool {
            Tool::Larder => line.extend(["run".to_owned()].into_iter().chain(recipe)),
            Tool::Bake => line.extend(recipe),
            Tool::Turbo => {
                line.extend(["run", "build", "--output-logs=none"].map(str::to_owned));
                line.extend(one.map(|name| format!("--filter={name}")));
            }
        }
        line
    }

    /// Forgets all caches, outputs and state.
    pub(crate) fn forget(&self) -> Result<()> {
        remove(&self.home)?;
        fs::create_dir_all(&self.home)?;
        for state in [".bake", ".turbo", ".larder/state", "node_modules"] {
            remove(&self.root.join(state))?;
        }
        self.remove_outputs()
    }

    /// Removes what recipes made, and what turbo left beside it.
    pub(crate) fn remove_outputs(&self) -> Result<()> {
        for package in fs::read_dir(self.root.join("pkgs"))? {
            let package = package?.path();
            remove(&package.join("out"))?;
            remove(&package.join(".turbo"))?;
        }
        self.reset()
    }

    /// Sets the count of commands to none.
    pub(crate) fn reset(&self) -> Result<()> {
        remove(&self.ran)
    }

    /// An error unless exactly `want` commands ran since [`Self::reset`].
    pub(crate) fn expect_ran(&self, want: usize) -> Result<()> {
        let ran = fs::metadata(&self.ran).map_or(0, |file| file.len());
        if ran == want as u64 {
            Ok(())
        } else {
            Err(format!("{ran} commands ran where {want} should have").into())
        }
    }

    /// A run that fills the caches, not measured.
    pub(crate) fn build(&self, setting: &Setting) -> Result<()> {
        measure::run(&self.command(None), &self.root, &self.env, &setting.log())?;
        Ok(())
    }
}

fn git(dir: &Path, args: &[&str]) -> Result<()> {
    let done = Command::new("git").args(args).current_dir(dir).status()?;
    if done.success() { Ok(()) } else { Err(format!("git {args:?} ended with {done}").into()) }
}
