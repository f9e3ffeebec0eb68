//! W4: a real C program, compiled with `cc` file by file, each file a cookbook of its own, so that every tool has one task a file.
//!
//! Beside the tools: what `trace` and `sandbox` cost Larder, against the plain run in the same rounds.

use std::fs;
use std::path::PathBuf;

use super::Setting;
use super::measure::{Measured, Spread, Task, alternate};
use super::report::Figure;
use super::run::{Tools, projects, unchanged};
use super::source;
use super::tools::Tool;
use super::workload::{Inputs, Project, Workload};
use crate::Result;

/// Fields of a recipe whose cost is measured.
const GUARDED: [&str; 3] = ["trace: warn", "trace: strict", "sandbox: true"];

/// The figures of W4.
pub(crate) fn w4(setting: &Setting, tools: &Tools) -> Result<Vec<Figure>> {
    let tree = match source::fetched(setting) {
        Ok(tree) => tree,
        Err(error) => {
            let mut figure = Figure::of("W4", "", Vec::new());
            figure.missing.push(format!("all of it: {error}"));
            return Ok(vec![figure]);
        }
    };
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(tree.join("library"))? {
        files.extend(Some(entry?.path()).filter(|path| path.extension().is_some_and(|found| found == "c")));
    }
    files.sort();
    files.truncate(if setting.quick { 8 } else { usize::MAX });
    let workload = Workload {
        name: "w4",
        cookbooks: files.len(),
        inputs: Inputs::Program { files, shared: vec![tree.join("include"), tree.join("library")] },
        command: "mkdir out && cc -O2 -I../../include -I../../library -c src/*.c -o out/object.o".to_owned(),
    };
    let mut figures = tools_of(setting, tools, &workload)?;
    figures.push(guarded(setting, tools, &workload)?);
    Ok(figures)
}

fn tools_of(setting: &Setting, tools: &Tools, workload: &Workload) -> Result<Vec<Figure>> {
    let (projects, failed) = projects(setting, tools, workload)?;
    let (rounds, log) = (setting.rounds(), setting.log());
    let mut tasks: Vec<Task<'_>> = projects.iter().map(|project| unchanged(project, None)).collect();
    let same = Figure::of("W4 no change", "wall at most 0.4 × turbo", alternate(rounds, &log, &mut tasks));
    let mut tasks: Vec<Task<'_>> = projects.iter().map(|project| cold(project, workload.cookbooks)).collect();
    let title = "W4 cold (the compiler is nearly all of it)";
    let first = Figure::of(title, "the best peer", alternate(rounds, &log, &mut tasks));
    drop(tasks);
    let mut figures = vec![same, first];
    for figure in &mut figures {
        figure.missing.clone_from(&failed);
    }
    Ok(figures)
}

/// A first build.
fn cold(project: &Project, cookbooks: usize) -> Task<'_> {
    let mut task = unchanged(project, None);
    task.before = Box::new(|| project.forget());
    task.after = Box::new(move || project.expect_ran(cookbooks));
    task
}

/// Larder plain and with each of [`GUARDED`]. One that is refused, or whose result is not cached, is named with the reason.
fn guarded(setting: &Setting, tools: &Tools, workload: &Workload) -> Result<Figure> {
    let goal = "trace at most 1.15 × the plain run, sandbox at most 1.1 ×";
    let Some((_, program)) = tools.found.iter().find(|(tool, _)| *tool == Tool::Larder) else {
        return Ok(Figure::of("W4 overhead", goal, Vec::new()));
    };
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for fields in std::iter::once([].as_slice()).chain(GUARDED.iter().map(std::slice::from_ref)) {
        let project = workload.larder_with(setting, program, fields)?;
        match project.caches(workload.cookbooks) {
            Ok(()) => good.push(project),
            Err(error) => bad.push(format!("{}: {error}", project.peer())),
        }
    }
    let mut tasks: Vec<Task<'_>> = good.iter().map(|project| cold(project, workload.cookbooks)).collect();
    let measured = alternate(setting.rounds(), &setting.log(), &mut tasks);
    drop(tasks);
    let plain = measured.iter().find(|one| one.peer == Tool::Larder.name()).cloned();
    let mut figure = Figure::of("W4 overhead", goal, measured.clone());
    for one in measured.iter().filter(|one| one.peer != Tool::Larder.name()) {
        let Some(plain) = &plain else { continue };
        let mut ratio = |of: &str, value: fn(&Measured) -> Option<Spread>| {
            if let (Some(this), Some(plain)) = (value(one), value(plain)) {
                figure.number(&one.peer, of, this.median / plain.median);
            }
        };
        ratio("wall ÷ the plain run's", Measured::wall);
        ratio("CPU ÷ the plain run's", Measured::cpu);
    }
    figure.missing = bad;
    Ok(figure)
}
