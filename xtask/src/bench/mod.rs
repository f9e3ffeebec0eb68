//! `cargo xtask bench store|run|remote|image`: the figures of the requirements, Larder and its peers side by side in one run.
//!
//! How it is measured is in `docs/benchmarks.md`. All files are made below one work folder outside the repository
//! (`--work DIR`, `LARDER_BENCH_WORK`, or the user's cache folder), which is emptied first; peers that are installed stay
//! beside it. `--quick` uses small workloads and few rounds to try the bench itself; its figures are no evidence.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;

mod compile;
mod generate;
mod image;
mod larder_store;
mod measure;
mod peers;
mod remote;
mod report;
mod run;
mod source;
mod store;
mod tools;
mod workload;

use report::{Figure, Report};

/// What a bench works with.
pub(crate) struct Setting {
    /// Small workloads, two rounds.
    pub(crate) quick: bool,
    /// Only these parts (`--only w1,w2`); empty: all.
    pub(crate) only: Vec<String>,
    /// Where everything is made.
    pub(crate) work: PathBuf,
    /// Where peers are installed; survives.
    pub(crate) cache: PathBuf,
}

impl Setting {
    /// How often each command runs.
    pub(crate) fn rounds(&self) -> usize {
        if self.quick { 2 } else { 5 }
    }

    /// Whether a part of the bench is wanted.
    pub(crate) fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == part)
    }

    /// Where the output of the last command went.
    pub(crate) fn log(&self) -> PathBuf {
        self.work.join("log")
    }

    /// The environment of every command: `PATH`, a home of its own, no telemetry, no colours; and `more`.
    pub(crate) fn env(&self, home: &Path, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let path = std::env::var("PATH").unwrap_or_default();
        let home = home.display().to_string();
        let fixed =
            [("PATH", path.as_str()), ("HOME", home.as_str()), ("LC_ALL", "C.UTF-8"), ("NO_COLOR", "1")];
        let quiet = [("DO_NOT_TRACK", "1"), ("TURBO_TELEMETRY_DISABLED", "1"), ("NO_UPDATE_NOTIFIER", "1")];
        fixed
            .iter()
            .chain(&quiet)
            .chain(more)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }
}

/// Entry: the arguments after `bench`.
pub(crate) fn main(args: &[String]) -> Result<()> {
    let (mut quick, mut json, mut work, mut only, mut words) = (false, None, None, Vec::new(), Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--quick" => quick = true,
            "--json" => json = Some(PathBuf::from(args.next().ok_or("`--json` needs a file")?)),
            "--work" => work = Some(PathBuf::from(args.next().ok_or("`--work` needs a folder")?)),
            "--only" => {
                let parts = args.next().ok_or(
                    "`--only` needs parts: w1,w2,w3,w4, or trees,builds,restore,lookups, or restore,write, or one,four",
                )?;
                only = parts.split(',').map(str::to_owned).collect();
            }
            _ => words.push(arg.as_str()),
        }
    }
    if let ["child", rest @ ..] = words.as_slice() {
        return store::child(rest);
    }
    let [bench @ ("store" | "run" | "remote" | "image")] = words.as_slice() else {
        return Err(crate::USAGE.into());
    };
    let setting = Setting { only, ..setting(quick, work, bench)? };
    let larder = peers::larder();
    let machine = peers::machine(&setting.work);
    let floor = measure::floor(&setting.log())?;
    let (bench, (versions, figures)) = match *bench {
        "store" => ("store", store::bench(&setting)?),
        "image" => ("image", image::bench(&setting, larder)?),
        "remote" => ("remote", remote::bench(&setting, larder)?),
        _ => ("run", run::bench(&setting, larder)?),
    };
    let report = Report { bench, quick, machine, versions, floor, figures };
    print(&report);
    if let Some(file) = json {
        fs::write(&file, serde_json::to_vec_pretty(&report)?)?;
    }
    Ok(())
}

fn setting(quick: bool, work: Option<PathBuf>, bench: &str) -> Result<Setting> {
    let cache = match std::env::var_os("XDG_CACHE_HOME") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(std::env::var_os("HOME").ok_or("`HOME` is not set")?).join(".cache"),
    }
    .join("larder-bench");
    let work = work
        .or_else(|| std::env::var_os("LARDER_BENCH_WORK").map(PathBuf::from))
        .unwrap_or_else(|| cache.join("work"))
        .join(bench);
    remove(&work)?;
    fs::create_dir_all(&work)?;
    fs::create_dir_all(&cache)?;
    Ok(Setting { quick, only: Vec::new(), work: work.canonicalize()?, cache })
}

/// Removes a file or a folder, if it is there.
fn remove(path: &Path) -> Result<()> {
    let gone = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match gone {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn print(report: &Report) {
    let small = if report.quick { " (quick: no evidence)" } else { "" };
    println!("## bench {}{small}\n{}", report.bench, report.machine.join(" · "));
    println!("{}", report.versions.join(" · "));
    println!("peak memory below {:.1} MiB cannot be seen", report.floor as f64 / f64::from(1 << 20));
    for table in report.figures.iter().map(Figure::table) {
        print!("{table}");
    }
}
