//! Runs commands as children and says what they cost.
//!
//! CPU (user + system) and peak memory come from `wait4`, so they are of that child and of all its descendants that were
//! waited for, to the microsecond; a daemon that outlives its parent is not in them. Wall time is around spawn and wait.
//! Peers alternate (A B C A B C …), so that a slow minute of the machine hits all of them. Medians with minimum and
//! maximum; every sample is in the JSON; a run that failed, or did not do what it should have, is reported and is no sample.
//!
//! Peak memory has a floor: a child inherits this process's peak at the moment of the spawn. So this process stays small
//! and [`floor`] says what the floor was.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde::Serialize;
use wait4::Wait4;

use crate::Result;

/// A step around a measured command, itself not measured.
pub(crate) type Step<'a> = Box<dyn FnMut() -> Result<()> + 'a>;

/// One command of one peer.
pub(crate) struct Task<'a> {
    /// Whose command it is.
    pub(crate) peer: String,
    /// Program and arguments.
    pub(crate) command: Vec<String>,
    /// Where it runs.
    pub(crate) dir: PathBuf,
    /// All of its environment.
    pub(crate) env: Vec<(String, String)>,
    /// Puts the machine into the state that is measured.
    pub(crate) before: Step<'a>,
    /// Checks that the command did what it should have.
    pub(crate) after: Step<'a>,
}

/// What one run cost.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Sample {
    /// User and system time in seconds.
    pub(crate) cpu: f64,
    /// Seconds from spawn to exit.
    pub(crate) wall: f64,
    /// Peak resident bytes of the largest process.
    pub(crate) peak: u64,
}

/// All runs of one task.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measured {
    /// Whose they are.
    pub(crate) peer: String,
    /// The good runs, in order.
    pub(crate) samples: Vec<Sample>,
    /// What went wrong in the others.
    pub(crate) failures: Vec<String>,
}

/// Median, minimum and maximum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// The middle value (the mean of the two middle ones).
    pub(crate) median: f64,
    /// The smallest.
    pub(crate) min: f64,
    /// The largest.
    pub(crate) max: f64,
}

impl Spread {
    /// Of `values`; `None` if there are none.
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let median = f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self { median, min, max })
    }
}

impl Measured {
    /// Spread of the CPU time.
    pub(crate) fn cpu(&self) -> Option<Spread> {
        Spread::of(self.samples.iter().map(|sample| sample.cpu))
    }

    /// Spread of the wall time.
    pub(crate) fn wall(&self) -> Option<Spread> {
        Spread::of(self.samples.iter().map(|sample| sample.wall))
    }

    /// Spread of the peak memory, in MiB.
    pub(crate) fn peak(&self) -> Option<Spread> {
        Spread::of(self.samples.iter().map(|sample| sample.peak as f64 / f64::from(1 << 20)))
    }
}

/// Runs every task `rounds` times, in turn. `log` gets the output of the last run.
pub(crate) fn alternate(rounds: usize, log: &Path, tasks: &mut [Task<'_>]) -> Vec<Measured> {
    let mut all: Vec<Measured> = tasks
        .iter()
        .map(|task| Measured { peer: task.peer.clone(), samples: Vec::new(), failures: Vec::new() })
        .collect();
    for round in 0..rounds {
        for (task, measured) in tasks.iter_mut().zip(&mut all) {
            match once(task, log) {
                Ok(sample) => measured.samples.push(sample),
                Err(error) => measured.failures.push(format!("round {}: {error}", round + 1)),
            }
        }
    }
    all
}

/// Prepares, runs and checks one task.
pub(crate) fn once(task: &mut Task<'_>, log: &Path) -> Result<Sample> {
    (task.before)()?;
    let sample = run(&task.command, &task.dir, &task.env, log)?;
    (task.after)()?;
    Ok(sample)
}

/// Runs one command; a failure carries the end of what it printed.
pub(crate) fn run(command: &[String], dir: &Path, env: &[(String, String)], log: &Path) -> Result<Sample> {
    let (program, args) = command.split_first().ok_or("an empty command")?;
    let output = File::create(log)?;
    let mut child = Command::new(program);
    child.args(args).current_dir(dir).env_clear().envs(env.iter().cloned()).stdin(Stdio::null());
    child.stdout(output.try_clone()?).stderr(output);
    let start = Instant::now();
    let mut child = child.spawn().map_err(|error| format!("`{program}`: {error}"))?;
    let used = child.wait4()?;
    let wall = start.elapsed().as_secs_f64();
    if !used.status.success() {
        let text = String::from_utf8_lossy(&fs::read(log)?).into_owned();
        let lines: Vec<&str> = text.lines().rev().take(4).collect();
        let tail: Vec<&str> = lines.into_iter().rev().collect();
        return Err(format!("`{program}` ended with {}: {}", used.status, tail.join(" | ")).into());
    }
    let cpu = (used.rusage.utime + used.rusage.stime).as_secs_f64();
    Ok(Sample { cpu, wall, peak: used.rusage.maxrss })
}

/// The least peak memory that can be seen from here, in bytes.
pub(crate) fn floor(log: &Path) -> Result<u64> {
    Ok(run(&["true".to_owned()], Path::new("/"), &[("PATH".to_owned(), "/usr/bin:/bin".to_owned())], log)?
        .peak)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn task<'a>(script: &str, order: &'a std::cell::RefCell<String>, peer: &'static str) -> Task<'a> {
        Task {
            peer: peer.to_owned(),
            command: ["sh", "-c", script].map(str::to_owned).to_vec(),
            dir: "/".into(),
            env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            before: Box::new(move || {
                order.borrow_mut().push_str(peer);
                Ok(())
            }),
            after: Box::new(|| Ok(())),
        }
    }

    #[test]
    fn peers_alternate_and_failures_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let order = std::cell::RefCell::new(String::new());
        let mut tasks = [task("exit 0", &order, "A"), task("echo sorry >&2; exit 3", &order, "B")];
        let measured = alternate(3, &dir.path().join("log"), &mut tasks);
        drop(tasks);
        assert_eq!(*order.borrow(), "ABABAB");
        assert_eq!((measured[0].samples.len(), measured[0].failures.len()), (3, 0));
        assert_eq!((measured[1].samples.len(), measured[1].failures.len()), (0, 3));
        assert!(measured[1].failures[0].contains("sorry"), "{:?}", measured[1].failures);
    }

    #[test]
    fn descendants_count() {
        let dir = tempfile::tempdir().unwrap();
        let busy = "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'";
        let order = std::cell::RefCell::new(String::new());
        let sample = once(&mut task(busy, &order, "A"), &dir.path().join("log")).unwrap();
        assert!(sample.cpu > 0.02 && sample.peak > 0, "{sample:?}");
    }

    #[test]
    fn a_spread_of_values() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0].into_iter()), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Spread::of([1.0, 2.0].into_iter()).map(|spread| spread.median), Some(1.5));
        assert_eq!(Spread::of(std::iter::empty()), None);
    }
}
