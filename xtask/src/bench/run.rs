//! The run bench: the rows of the table "Measured" of the runner's requirements.
//!
//! W1 one recipe with 2,000 outputs of 100 KiB, copied from a prepared tree, so that the command itself is cheap and is
//! measured beside; W2 300 cookbooks of 40 files; W3 20,000 inputs; W4 is in `compile.rs`. Before each figure every tool starts cold and fills its
//! caches once; a tool that cannot is listed as missing with what it said.

use std::path::Path;

use super::measure::{Task, alternate};
use super::peers::{self, Peer};
use super::report::Figure;
use super::tools::Tool;
use super::workload::{Inputs, Project, Workload, cookbook};
use super::{Setting, compile, generate, measure};
use crate::Result;

/// The tools that are there, and why others are not.
pub(super) struct Tools {
    pub(super) found: Vec<(Tool, String)>,
    pub(super) missing: Vec<String>,
}

/// Versions and figures.
pub(crate) fn bench(setting: &Setting, larder: Peer) -> Result<(Vec<String>, Vec<Figure>)> {
    let nx = peers::nx(&setting.cache);
    let all = [
        (Tool::Larder, larder),
        (Tool::Bake, peers::bake()),
        (Tool::Turbo, peers::turbo(&setting.cache)),
        (Tool::Moon, peers::moon(&setting.cache)),
        (Tool::NxDaemon, nx.clone()),
        (Tool::Nx, nx),
    ];
    let mut versions: Vec<String> = all.iter().filter_map(|(_, peer)| peer.version()).collect();
    versions.dedup();
    versions.extend(peers::in_path("git").version());
    let mut tools = Tools { found: Vec::new(), missing: Vec::new() };
    for (tool, peer) in all {
        match peer.path {
            Ok(path) => tools.found.push((tool, path)),
            Err(why) if tools.missing.contains(&why) => {}
            Err(why) => tools.missing.push(why),
        }
    }
    let mut figures = Vec::new();
    if setting.wants("w1") {
        figures.extend(w1(setting, &tools)?);
    }
    if setting.wants("w2") {
        figures.extend(w2(setting, &tools)?);
    }
    if setting.wants("w3") {
        figures.push(w3(setting, &tools)?);
    }
    if setting.wants("w4") {
        figures.extend(compile::w4(setting, &tools)?);
    }
    for figure in &mut figures {
        figure.missing.extend(tools.missing.iter().cloned());
    }
    Ok((versions, figures))
}

/// The workload for each tool that can build it, and what the others said.
pub(super) fn projects(
    setting: &Setting,
    tools: &Tools,
    workload: &Workload,
) -> Result<(Vec<Project>, Vec<String>)> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (tool, program) in &tools.found {
        let project = workload.project(setting, *tool, program)?;
        match project.caches(workload.cookbooks) {
            Ok(()) => good.push(project),
            Err(error) => bad.push(format!("{} on {}: {error}", project.peer(), workload.name)),
        }
    }
    Ok((good, bad))
}

/// A run that must find everything in place.
pub(super) fn unchanged<'a>(project: &'a Project, one: Option<&str>) -> Task<'a> {
    Task {
        peer: project.peer(),
        command: project.command(one),
        dir: project.root.clone(),
        env: project.env.clone(),
        before: Box::new(|| project.reset()),
        after: Box::new(|| project.expect_ran(0)),
    }
}

/// A command that is not a tool's.
fn plain<'a>(setting: &Setting, peer: &str, command: &[&str], dir: &Path) -> Task<'a> {
    Task {
        peer: peer.to_owned(),
        command: command.iter().map(|&word| word.to_owned()).collect(),
        dir: dir.to_owned(),
        env: setting.env(&setting.work, &[]),
        before: Box::new(|| Ok(())),
        after: Box::new(|| Ok(())),
    }
}

fn w1(setting: &Setting, tools: &Tools) -> Result<Vec<Figure>> {
    let prepared = setting.work.join("prepared");
    generate::flat(&prepared, 3, if setting.quick { 200 } else { 2000 }, 100 << 10)?;
    let digest = generate::digest(&prepared)?;
    let copy = format!("cp -r --reflink=never '{}' out", prepared.display());
    let workload = Workload { name: "w1", cookbooks: 1, inputs: Inputs::Made(10), command: copy.clone() };
    let (projects, failed) = projects(setting, tools, &workload)?;
    let right = |project: &Project| {
        let same = generate::digest(&project.root.join("pkgs").join(cookbook(0)).join("out"))? == digest;
        if same { Ok(()) } else { Err("the outputs are not what the command made".into()) }
    };
    let (rounds, log) = (setting.rounds(), setting.log());

    let mut tasks: Vec<Task<'_>> = projects.iter().map(|project| unchanged(project, None)).collect();
    let same = Figure::of(
        "W1 no change",
        "wall at most 10 ms on a quiet machine and 0.4 × turbo; peak memory at most 64 MiB",
        alternate(rounds, &log, &mut tasks),
    );

    let mut tasks: Vec<Task<'_>> = projects.iter().map(|project| unchanged(project, None)).collect();
    for (task, project) in tasks.iter_mut().zip(&projects) {
        task.before = Box::new(|| project.remove_outputs());
        task.after = Box::new(|| project.expect_ran(0).and_then(|()| right(project)));
    }
    tasks.push(copying(setting, &copy));
    let restore = Figure::of(
        "W1 restore",
        "CPU at most 0.5 × the best peer and 1.5 × cp; peak memory at most 64 MiB",
        alternate(rounds, &log, &mut tasks),
    );
    drop(tasks);

    let mut figures = vec![same, restore, w1_cold(setting, &projects, &copy, &right)?];
    for figure in &mut figures {
        figure.missing.clone_from(&failed);
    }
    Ok(figures)
}

/// `cp` of the prepared tree: the command itself, and the yardstick of a restore.
fn copying<'a>(setting: &Setting, copy: &str) -> Task<'a> {
    let dir = setting.work.join("copied");
    let mut task = plain(setting, "cp", &["sh", "-c", copy], &dir);
    task.before = Box::new(move || {
        super::remove(&dir)?;
        Ok(std::fs::create_dir_all(&dir)?)
    });
    task
}

fn w1_cold(
    setting: &Setting,
    projects: &[Project],
    copy: &str,
    right: &dyn Fn(&Project) -> Result<()>,
) -> Result<Figure> {
    let mut tasks: Vec<Task<'_>> = Vec::new();
    for project in projects {
        let mut task = unchanged(project, None);
        task.before = Box::new(|| project.forget());
        task.after = Box::new(|| project.expect_ran(1).and_then(|()| right(project)));
        tasks.push(task);
        if project.tool == Tool::Turbo {
            let dir = project.root.join("pkgs").join(cookbook(0));
            let mut task =
                plain(setting, "npm run (turbo's command)", &["npm", "run", "--silent", "build"], &dir);
            task.before = Box::new(|| project.forget());
            tasks.push(task);
        }
    }
    tasks.push(copying(setting, copy));
    let measured = alternate(setting.rounds(), &setting.log(), &mut tasks);
    let cpu = |peer: &str| measured.iter().find(|one| one.peer == peer).and_then(measure::Measured::cpu);
    let mut beyond = Vec::new();
    for project in projects {
        let own = if project.tool == Tool::Turbo { "npm run (turbo's command)" } else { "cp" };
        if let (Some(whole), Some(command)) = (cpu(&project.peer()), cpu(own)) {
            beyond.push((project.peer(), whole.median - command.median));
        }
    }
    let goal =
        "beyond the command itself at most 0.7 CPU s and 0.5 × the best peer; peak memory at most 64 MiB";
    let mut figure = Figure::of("W1 cold", goal, measured);
    for (peer, seconds) in beyond {
        figure.number(&peer, "CPU s beyond the command", seconds);
    }
    Ok(figure)
}

fn w2(setting: &Setting, tools: &Tools) -> Result<Vec<Figure>> {
    let cookbooks = if setting.quick { 30 } else { 300 };
    let command = "mkdir out && cat src/*/* > out/all".to_owned();
    let workload = Workload { name: "w2", cookbooks, inputs: Inputs::Made(40), command };
    let (projects, failed) = projects(setting, tools, &workload)?;
    let one = cookbook(cookbooks / 2);
    let mut figures = Vec::new();
    for (title, goal, only) in [
        ("W2 no change", "CPU at most 0.15 × bake", None),
        ("W2 one recipe, no change", "wall at most 20 ms", Some(one.as_str())),
    ] {
        let mut tasks: Vec<Task<'_>> = projects.iter().map(|project| unchanged(project, only)).collect();
        let mut figure = Figure::of(title, goal, alternate(setting.rounds(), &setting.log(), &mut tasks));
        figure.missing.clone_from(&failed);
        figures.push(figure);
    }
    Ok(figures)
}

fn w3(setting: &Setting, tools: &Tools) -> Result<Figure> {
    let inputs = if setting.quick { 2000 } else { 20_000 };
    let command = "mkdir out && find src -type f | wc -l > out/count".to_owned();
    let workload = Workload { name: "w3", cookbooks: 1, inputs: Inputs::Made(inputs), command };
    let (projects, failed) = projects(setting, tools, &workload)?;
    let mut tasks: Vec<Task<'_>> = projects.iter().map(|project| unchanged(project, None)).collect();
    if let Some(project) = projects.first() {
        tasks.push(plain(setting, "git status", &["git", "status", "--short"], &project.root));
    }
    let goal = "wall at most 60 ms and 1.2 × git status";
    let mut figure =
        Figure::of("W3 no change", goal, alternate(setting.rounds(), &setting.log(), &mut tasks));
    figure.missing = failed;
    Ok(figure)
}
