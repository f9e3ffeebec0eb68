//! The last runs in this worktree, for `larder why --against RUN` and `larder profile RUN`: what the keys of the recipes that ran
//! or were restored in each were computed from, and its course.
//!
//! ```text
//! .larder/state/runs/N    one file for run N: postcard behind a version byte and a BLAKE3 checksum, as all state
//!     Run                 what keys were computed from
//!     format u8, Profile  its course (absent in files of the first version, unknown to those who read only that)
//! ```
//! Numbers rise; a run in which everything was in place is no file. At most [`KEPT`] runs and [`MOST_BYTES`] are kept, the newest
//! one always. Two processes at once take different numbers. A file that does not read is no run.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::profile::{FORMAT, Profile, micros};
use crate::recipe::RecipeId;
use crate::state::{self, KeyItem};

/// Runs that are kept.
pub const KEPT: usize = 50;
/// Bytes that they may take together.
pub const MOST_BYTES: u64 = 64 << 20;

/// A run that was kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    at: Duration,
    recipes: Vec<(String, Vec<KeyItem>)>,
}

/// What was found of a recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The run that it ran or was restored in.
    pub run: u64,
    /// When that run ended.
    pub at: SystemTime,
    /// What its key was computed from, sorted.
    pub items: Vec<KeyItem>,
}

/// Which run is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// The newest.
    Last,
    /// This one.
    Number(u64),
    /// The newest of this name.
    Name(&'a str),
}

/// The course of a run that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    /// Its number.
    pub run: u64,
    /// When it ended.
    pub at: SystemTime,
    /// What happened.
    pub profile: Profile,
}

/// The kept runs of a worktree.
#[derive(Clone, Debug)]
pub struct History {
    folder: PathBuf,
}

impl History {
    /// The history in the state folder; it is read when it is asked.
    #[must_use]
    pub fn open(state: &Path) -> Self {
        Self { folder: state.join("runs") }
    }

    /// Numbers of the runs that are kept, the oldest first.
    #[must_use]
    pub fn runs(&self) -> Vec<u64> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let number = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
        let mut numbers: Vec<u64> = entries.filter_map(number).collect();
        numbers.sort_unstable();
        numbers
    }

    fn path(&self, run: u64) -> PathBuf {
        self.folder.join(run.to_string())
    }

    /// Keeps a run; its number.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn append(&self, recipes: Vec<(String, Vec<KeyItem>)>, profile: Option<&Profile>) -> io::Result<u64> {
        state::make_one(&self.folder)?;
        let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let run = Run { at, recipes };
        let mut number = self.runs().last().map_or(1, |last| last.saturating_add(1));
        // The name is taken first, so that two processes never share one.
        loop {
            match fs::File::create_new(self.path(number)) {
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(error),
            }
        }
        write(&self.path(number), &run, profile)?;
        self.prune();
        Ok(number)
    }

    /// Completes the profile of a run: how long it took until tiers had what it made.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn set_sending(&self, number: u64, sending: Duration) -> io::Result<()> {
        let path = self.path(number);
        let Some((run, Some(mut profile))) = read(&path) else { return Ok(()) };
        profile.sending = micros(sending);
        write(&path, &run, Some(&profile))
    }

    /// The course of a run (the newest one of which it is known without a number or name).
    #[must_use]
    pub fn profile(&self, wanted: Wanted<'_>) -> Option<Course> {
        let numbers = self.runs().into_iter().rev();
        numbers.filter(|number| !matches!(wanted, Wanted::Number(wanted) if wanted != *number)).find_map(
            |number| {
                let (run, profile) = read(&self.path(number))?;
                let profile = profile?;
                if matches!(wanted, Wanted::Name(name) if profile.name.as_deref() != Some(name)) {
                    return None;
                }
                Some(Course { run: number, at: SystemTime::UNIX_EPOCH.checked_add(run.at)?, profile })
            },
        )
    }

    fn prune(&self) {
        let mut bytes = 0;
        for (at, number) in self.runs().into_iter().rev().enumerate() {
            let path = self.path(number);
            bytes += fs::metadata(&path).map_or(0, |metadata| metadata.len());
            if at > 0
                && (at >= KEPT || bytes > MOST_BYTES)
                && let Err(error) = fs::remove_file(&path)
            {
                tracing::debug!(%error, number, "an old run could not be removed");
            }
        }
    }

    /// The recipe as it was after run `number` (the newest run without one): from that run, or from the last one before it in
    /// which it ran or was restored.
    #[must_use]
    pub fn find(&self, recipe: &RecipeId, number: Option<u64>) -> Option<Found> {
        let name = recipe.to_string();
        let not_after = |run: &u64| number.is_none_or(|number| *run <= number);
        self.runs().into_iter().rev().filter(not_after).find_map(|run| {
            let (kept, _) = read_run(&self.path(run))?;
            let (_, items) = kept.recipes.into_iter().find(|(recipe, _)| *recipe == name)?;
            Some(Found { run, at: SystemTime::UNIX_EPOCH.checked_add(kept.at)?, items })
        })
    }
}

fn write(path: &Path, run: &Run, profile: Option<&Profile>) -> io::Result<()> {
    let mut body = postcard::to_stdvec(run).map_err(io::Error::other)?;
    if let Some(profile) = profile {
        body.push(FORMAT);
        body = postcard::to_extend(profile, body).map_err(io::Error::other)?;
    }
    state::write_checked(path, &body)
}

/// A run, and the bytes behind it.
fn read_run(path: &Path) -> Option<(Run, Vec<u8>)> {
    let body = state::read_checked(path)?;
    let (run, rest) = postcard::take_from_bytes(&body).ok()?;
    Some((run, rest.to_vec()))
}

fn read(path: &Path) -> Option<(Run, Option<Profile>)> {
    let (run, rest) = read_run(path)?;
    let profile = match rest.split_first() {
        Some((&FORMAT, rest)) => postcard::from_bytes(rest).ok().filter(Profile::is_sound),
        _ => None,
    };
    Some((run, profile))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn id(recipe: &str) -> RecipeId {
        RecipeId { cookbook: "app".into(), recipe: recipe.into(), instance: None }
    }

    fn items(value: &str) -> Vec<KeyItem> {
        vec![KeyItem { kind: "input".into(), name: "a".into(), value: value.into() }]
    }

    #[test]
    fn a_recipe_is_found_as_it_was_then() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::open(folder.path());
        assert_eq!(history.find(&id("build"), None), None);
        assert_eq!(history.append(vec![("app:build".into(), items("1"))], None).unwrap(), 1);
        assert_eq!(history.append(vec![("app:test".into(), items("t"))], None).unwrap(), 2);
        assert_eq!(history.append(vec![("app:build".into(), items("2"))], None).unwrap(), 3);
        let value =
            |run| history.find(&id("build"), run).map(|found| (found.run, found.items[0].value.clone()));
        assert_eq!(value(None), Some((3, "2".into())));
        assert_eq!(value(Some(3)), Some((3, "2".into())));
        assert_eq!(value(Some(2)), Some((1, "1".into())));
        assert_eq!(value(Some(0)), None);
        // A damaged run is none.
        std::fs::write(folder.path().join("runs/3"), b"rubbish").unwrap();
        assert_eq!(value(None), Some((1, "1".into())));
    }

    #[test]
    fn runs_without_a_profile_are_read_and_profiles_disturb_no_older_reader() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::open(folder.path());
        let profile = Profile { project: "p".into(), name: Some("ci-1".into()), ..Profile::default() };
        assert_eq!(history.append(vec![("app:build".into(), items("1"))], Some(&profile)).unwrap(), 1);
        let old: Run = state::read(&history.path(1)).unwrap();
        assert_eq!(old.recipes, [("app:build".to_owned(), items("1"))]);
        state::write(&history.path(2), &Run { recipes: vec![("app:build".into(), items("2"))], ..old })
            .unwrap();
        assert_eq!(history.find(&id("build"), None).map(|found| found.run), Some(2));
        assert_eq!(history.profile(Wanted::Number(2)), None);
        assert_eq!(history.profile(Wanted::Last).map(|course| course.run), Some(1));
        history.set_sending(1, Duration::from_millis(7)).unwrap();
        history.set_sending(2, Duration::from_millis(7)).unwrap();
        let course = history.profile(Wanted::Name("ci-1")).unwrap();
        assert_eq!(course.profile, Profile { sending: 7_000, ..profile });
        assert_eq!(history.profile(Wanted::Name("ci-2")), None);
        assert_eq!(history.find(&id("build"), Some(1)).map(|found| found.items), Some(items("1")));
    }

    #[test]
    fn a_profile_that_does_not_fit_itself_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::open(folder.path());
        let entry = crate::profile::Entry {
            recipe: "app:a".into(),
            dependencies: vec![7],
            server: false,
            ended: crate::profile::Ended::Cancelled,
            timing: None,
        };
        let profile = Profile { recipes: vec![entry], ..Profile::default() };
        history.append(Vec::new(), Some(&profile)).unwrap();
        assert_eq!(history.profile(Wanted::Last), None);
    }

    #[test]
    fn old_runs_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::open(folder.path());
        for number in 0..KEPT + 3 {
            history.append(vec![("app:build".into(), items(&number.to_string()))], None).unwrap();
        }
        let runs = history.runs();
        assert_eq!((runs.len(), runs.first(), runs.last()), (KEPT, Some(&4), Some(&53)));
    }
}
