//! Random edits while `--watch` runs: after each burst the outputs must become what a fresh build makes of the files, and each edit is of content that never was, so
//! that an edit without a run after it shows.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use larder_testing::Project;

use crate::watch::Watching;

/// A generator of numbers that says what it began with.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    fn pick<'t, T>(&mut self, from: &'t [T]) -> Option<&'t T> {
        let at = self.next(from.len().max(1) as u64) as usize;
        from.get(at)
    }
}

/// What is listed reads each file with its name: a listing, a cached one that depends on it, and one without `cache`.
fn project() -> Project {
    let project = Project::new();
    project
        .file("larder.yml", "name: p\n")
        .file(".gitignore", "*.seen\n")
        .file("lib/src/a.txt", "a\n")
        .file("app/src/b.txt", "b\n")
        .file(
            "lib/cookbook.yml",
            r#"name: lib
recipes:
  list:
    cache: {inputs: ['src/**'], outputs: [out]}
    run: |
      mkdir -p out
      find src -type f | LC_ALL=C sort > out/names
      sleep 0.02
      while read -r file; do echo "$file"; cat "$file" || true; done < out/names > out/all
"#,
        )
        .file(
            "app/cookbook.yml",
            r#"name: app
recipes:
  list:
    dependencies: ['lib:list']
    cache: {inputs: ['**', '../lib/src/**'], outputs: ['*.gen']}
    run: |
      find src -type f | LC_ALL=C sort > names.tmp
      while read -r file; do echo "$file"; cat "$file" || true; done < names.tmp > all.gen
      rm names.tmp
      cat ../lib/out/all >> all.gen
  show:
    dependencies: [list]
    run: cat all.gen > shown.seen
"#,
        );
    project
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            Ok(_) => found.push(entry.path()),
            Err(_) => {}
        }
    }
    found.sort_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    found
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(folders(&entry.path()));
        }
    }
    found
}

fn listed(cookbook: &Path) -> String {
    let mut files: Vec<(String, String)> = files(&cookbook.join("src"))
        .into_iter()
        .map(|file| {
            let name = file.strip_prefix(cookbook).expect("it is in it").to_string_lossy().into_owned();
            (name, fs::read_to_string(&file).expect("a file"))
        })
        .collect();
    files.sort();
    files.into_iter().map(|(name, text)| format!("{name}\n{text}")).collect()
}

/// One edit, as editors, people and programs make them; false: there was nothing to edit.
fn edit(random: &mut Random, source: &Path, number: usize) -> bool {
    let (all, every) = (files(source), folders(source));
    let text = format!("edit {number}\n");
    let some_folder = random.pick(&every).cloned().expect("there is one");
    let some_file = random.pick(&all).cloned();
    let inner = every.get(1 + random.next(every.len().max(2) as u64 - 1) as usize).cloned();
    let done = match (random.next(12), some_file) {
        (0 | 1, Some(file)) => fs::write(file, text),
        // As vim and many others save.
        (2 | 3, Some(file)) => {
            let beside = some_folder.join(".4913.tmp");
            fs::write(&beside, text).and_then(|()| fs::rename(&beside, file))
        }
        (4, Some(file)) if all.len() > 4 => fs::remove_file(file),
        (5, _) => {
            let deep = some_folder.join(format!("d{number}/e"));
            fs::create_dir_all(&deep).and_then(|()| fs::write(deep.join("f.txt"), text))
        }
        (6, _) if inner.is_some() => {
            let from = inner.expect("it is some");
            fs::rename(&from, source.join(format!("r{number}")))
        }
        (7, Some(file)) => {
            fs::File::open(file).and_then(|file| file.set_modified(std::time::SystemTime::now()))
        }
        (8, Some(file)) => {
            use std::io::Write;
            fs::OpenOptions::new()
                .append(true)
                .open(file)
                .and_then(|mut file| file.write_all(text.as_bytes()))
        }
        // Gone and there again before anybody can look.
        (9, _) if inner.is_some() => {
            let folder = inner.expect("it is some");
            fs::remove_dir_all(&folder)
                .and_then(|()| fs::create_dir_all(&folder))
                .and_then(|()| fs::write(folder.join("again.txt"), text))
        }
        (10, Some(file)) => fs::rename(file, some_folder.join(format!("m{number}.txt"))),
        (_, _) => fs::write(some_folder.join(format!("n{number}.txt")), text),
    };
    done.is_ok()
}

fn memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it has memory");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

#[expect(clippy::print_stdout, reason = "what was measured is of interest, and cargo shows it on demand")]
/// `edits` edits, in bursts of up to ten; within a burst they come while recipes run.
fn random_edits(edits: usize, seed: u64) {
    let project = project();
    let mut random = Random(seed);
    let mut watching = Watching::start(&project, "list show");
    watching.idle_after(1);
    let (lib, app) = (project.path("lib"), project.path("app"));
    let (mut done, mut early, mut bursts) = (0, None, 0);
    let mut before = String::new();
    while done < edits {
        let burst = if random.next(2) == 0 { 1 } else { 1 + random.next(10) };
        for _ in 0..burst {
            let source = if random.next(3) == 0 { app.join("src") } else { lib.join("src") };
            done += usize::from(edit(&mut random, &source, done));
            std::thread::sleep(Duration::from_millis([0, 1, 10, 40, 90][random.next(5) as usize]));
        }
        let expected = format!("{}{}", listed(&app), listed(&lib));
        // What only was touched needs no run.
        bursts += usize::from(expected != before);
        before.clone_from(&expected);
        let is = |file: &str| fs::read_to_string(app.join(file)).is_ok_and(|text| text == expected);
        let begun = Instant::now();
        while !is("all.gen") || !is("shown.seen") {
            if begun.elapsed() > Duration::from_secs(45) {
                let is = fs::read_to_string(app.join("all.gen")).unwrap_or_default();
                watching.wait(&format!("seed {seed}, edit {done} is seen:\n{expected}\nis\n{is}"), |_| false);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        if done >= edits / 4 && early.is_none() {
            early = Some(memory(watching.id()));
        }
    }
    let late = memory(watching.id());
    let early = early.expect("it was measured");
    watching.idle_after(bursts);
    let runs = watching.count("summary");
    println!("{done} edits in {bursts} bursts, {runs} runs, memory {early} → {late} KiB");
    assert!(late < early + 8 * 1024, "memory grows: {early} → {late} KiB after {runs} runs");
    std::thread::sleep(Duration::from_millis(500));
    watching.stop();
    // A fresh build elsewhere, from the same files alone.
    let fresh = self::project();
    for cookbook in ["lib", "app"] {
        fs::remove_dir_all(fresh.path(cookbook).join("src")).expect("it was there");
        for file in files(&project.path(cookbook).join("src")) {
            let name = file.strip_prefix(project.root()).expect("it is in it");
            fresh.file(name, fs::read(&file).expect("a file"));
        }
    }
    let _ = crate::larder(&fresh, "run list show").good();
    for output in ["lib/out/names", "lib/out/all", "app/all.gen"] {
        assert_eq!(project.read(output), fresh.read(output), "{output}, seed {seed}");
    }
}

fn seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos()) | 1
}

#[test]
fn no_edit_is_missed() {
    random_edits(30, seed());
}

#[test]
#[ignore = "takes minutes"]
fn none_of_a_thousand_edits_is_missed() {
    let cases = std::env::var("LARDER_TEST_CASES").ok().and_then(|cases| cases.parse().ok());
    random_edits(cases.map_or(1_000, |cases: usize| cases.max(1_000)), seed());
}
