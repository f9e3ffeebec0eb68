//! The workloads of the run bench, each in one folder per tool with that tool's own configuration (`tools.rs`).
//!
//! A workload is some cookbooks: folders `pkgs/NAME` with `src/`, one recipe `build`, and outputs in `out/`. Every command
//! begins by adding one byte to a file outside the project, so that the bench knows how many commands really ran: a hit
//! that ran, or a miss that did not, is a failure and no figure. (A sandbox keeps commands from that file; what runs in one
//! is counted by what Larder says.) Inputs are committed to git, as a user's would be.
//!
//! nx's daemon is ended, by the process id that it left in the project, before its state is removed and at the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::generate::{Content, Kind, Rng};
use super::tools::{Told, Tool};
use super::{Setting, measure, remove};
use crate::Result;

/// What cookbooks are built from.
pub(crate) enum Inputs {
    /// That many generated files in each cookbook's `src/`.
    Made(usize),
    /// One file of a program in each cookbook's `src/`, and folders that all see, copied into the root.
    Program {
        /// One cookbook each.
        files: Vec<PathBuf>,
        /// Folders, by their last name.
        shared: Vec<PathBuf>,
    },
}

/// What is built.
pub(crate) struct Workload {
    /// `w1` …
    pub(crate) name: &'static str,
    /// Number of cookbooks.
    pub(crate) cookbooks: usize,
    /// Their inputs.
    pub(crate) inputs: Inputs,
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
    /// Counts commands that ran; `None`: the tool's word is taken.
    pub(crate) ran: Option<PathBuf>,
    /// The commands' environment.
    pub(crate) env: Vec<(String, String)>,
    /// The name in tables.
    label: String,
    /// What the last command printed.
    log: PathBuf,
}

/// Name of the cookbook with that number.
pub(crate) fn cookbook(index: usize) -> String {
    format!("c{index:03}")
}

impl Workload {
    /// Writes inputs and configuration for `tool`.
    pub(crate) fn project(&self, setting: &Setting, tool: Tool, program: &str) -> Result<Project> {
        let folder = format!("{tool:?}").to_lowercase();
        self.write(setting, tool, program, &folder, &[], true)
    }

    /// The same for Larder, with fields that every recipe has besides, and without the counter.
    pub(crate) fn larder_with(&self, setting: &Setting, program: &str, fields: &[&str]) -> Result<Project> {
        let label = [&["larder"], fields].concat().join(", ");
        let folder = label.replace([' ', ':', ','], "-");
        let mut project = self.write(setting, Tool::Larder, program, &folder, fields, false)?;
        project.label = label;
        Ok(project)
    }

    fn write(
        &self,
        setting: &Setting,
        tool: Tool,
        program: &str,
        folder: &str,
        fields: &[&str],
        counts: bool,
    ) -> Result<Project> {
        let base = setting.work.join(self.name).join(folder);
        let (root, home, ran) = (base.join("project"), base.join("home"), base.join("ran"));
        fs::create_dir_all(&home)?;
        let mut script = format!("rm -rf out && {}", self.command);
        if counts {
            script = format!("printf x >> '{}' && {script}", ran.display());
        }
        let shared = self.inputs(&root)?;
        let names: Vec<String> = (0..self.cookbooks).map(cookbook).collect();
        for name in &names {
            let told = Told { name, script: &script, shared: &shared, fields };
            tool.configure_cookbook(&root.join("pkgs").join(name), &told)?;
        }
        tool.configure_root(&root, self.name, &names, &shared, program)?;
        let ignored = "out/\n.turbo/\n.bake/\n.larder/state/\n.moon/cache/\n.nx/\nnode_modules\n";
        fs::write(root.join(".gitignore"), ignored)?;
        git(&root, &["init", "--quiet", "."])?;
        git(&root, &["add", "-A"])?;
        let identity = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"];
        git(&root, &[identity.as_slice(), &["commit", "--quiet", "-m", "inputs"]].concat())?;
        let larder_home = home.join("larder").display().to_string();
        let more = [tool.env(), &[("LARDER_HOME", larder_home.as_str())]].concat();
        let env = setting.env(&home, &more);
        let (program, label) = (program.to_owned(), tool.name().to_owned());
        let ran = counts.then_some(ran);
        Ok(Project { tool, program, root, home, ran, env, label, log: setting.log() })
    }

    /// Writes what is built, and says which folders of the root all cookbooks see.
    fn inputs(&self, root: &Path) -> Result<Vec<String>> {
        let source = |index: usize| root.join("pkgs").join(cookbook(index)).join("src");
        match &self.inputs {
            Inputs::Made(count) => {
                let content = Content::new(1);
                for index in 0..self.cookbooks {
                    for input in 0..*count {
                        let part = (index * count + input) as u64;
                        let path = source(index).join(format!("d{:03}/f{input:05}.txt", input / 100));
                        content.file(&path, Kind::Text, &mut Rng::new(2, part), 512 + part % 2048, &[])?;
                    }
                }
                Ok(Vec::new())
            }
            Inputs::Program { files, shared } => {
                for (index, file) in files.iter().enumerate() {
                    fs::create_dir_all(source(index))?;
                    fs::copy(file, source(index).join(file.file_name().ok_or("a file has a name")?))?;
                }
                let mut names = Vec::new();
                for folder in shared {
                    let name =
                        folder.file_name().and_then(|name| name.to_str()).ok_or("a folder has a name")?;
                    headers(folder, &root.join(name))?;
                    names.push(name.to_owned());
                }
                Ok(names)
            }
        }
    }
}

/// Copies the headers below a folder.
fn headers(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().ok_or("an entry has a name")?);
        if path.is_dir() {
            headers(&path, &target)?;
        } else if path.extension().is_some_and(|extension| extension == "h") {
            fs::copy(&path, target)?;
        }
    }
    Ok(())
}

impl Project {
    /// The name in tables.
    pub(crate) fn peer(&self) -> String {
        self.label.clone()
    }

    /// The command line that builds everything, or only `one` cookbook.
    pub(crate) fn command(&self, one: Option<&str>) -> Vec<String> {
        self.tool.command(&self.program, one)
    }

    /// Forgets all caches, outputs and state. A daemon begins again, as one would be there before a build.
    pub(crate) fn forget(&self) -> Result<()> {
        self.end_daemon();
        if self.tool.keeps_results_at_home() {
            remove(&self.home)?;
            fs::create_dir_all(&self.home)?;
        }
        for state in self.tool.states() {
            remove(&self.root.join(state))?;
        }
        self.remove_outputs()?;
        if self.tool == Tool::NxDaemon {
            let start = [self.program.as_str(), "daemon", "--start"].map(str::to_owned);
            measure::run(&start, &self.root, &self.env, &self.log)?;
        }
        Ok(())
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
        self.ran.as_deref().map_or(Ok(()), remove)
    }

    /// An error unless exactly `want` commands ran since [`Self::reset`] (where they are not counted: in the last command).
    pub(crate) fn expect_ran(&self, want: usize) -> Result<()> {
        let Some(ran) = &self.ran else {
            let text = fs::read_to_string(&self.log)?;
            let said = text.lines().rev().find(|line| line.contains(" cached") && line.contains(" run"));
            let is_so = said
                .is_some_and(|line| line.split([',', '·']).any(|part| part.trim() == format!("{want} run")));
            return if is_so {
                Ok(())
            } else {
                Err(format!("not {want} run: {}", said.unwrap_or(&text)).into())
            };
        };
        let ran = fs::metadata(ran).map_or(0, |file| file.len());
        if ran == want as u64 {
            Ok(())
        } else {
            Err(format!("{ran} commands ran where {want} should have").into())
        }
    }

    /// A run that fills the caches, not measured.
    pub(crate) fn build(&self) -> Result<()> {
        measure::run(&self.command(None), &self.root, &self.env, &self.log)?;
        Ok(())
    }

    /// Builds everything, and again from the cache; what a tool learns only from finding its outputs in place, it knows then.
    pub(crate) fn caches(&self, cookbooks: usize) -> Result<()> {
        self.build()?;
        self.expect_ran(cookbooks)?;
        self.reset()?;
        self.build()?;
        self.expect_ran(0)
    }

    /// Ends nx's daemon, if there is one, and waits for that.
    fn end_daemon(&self) {
        let file = self.root.join(".nx/workspace-data/d/server-process.json");
        let Some(pid) = fs::read(file)
            .ok()
            .and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok())
            .and_then(|known| known["processId"].as_u64())
        else {
            return;
        };
        let line = PathBuf::from(format!("/proc/{pid}/cmdline"));
        let is_daemon = || {
            fs::read(&line).is_ok_and(|text| String::from_utf8_lossy(&text).contains("nx/dist/src/daemon"))
        };
        for _ in 0..100 {
            if !is_daemon() {
                return;
            }
            let _ = Command::new("kill").arg(pid.to_string()).status();
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if self.tool == Tool::NxDaemon {
            self.end_daemon();
        }
    }
}

fn git(dir: &Path, args: &[&str]) -> Result<()> {
    let done = Command::new("git").args(args).current_dir(dir).status()?;
    if done.success() { Ok(()) } else { Err(format!("git {args:?} ended with {done}").into()) }
}
