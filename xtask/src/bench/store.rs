//! The store bench: the rows of the table "Measured" of the store's requirements.
//!
//! Each peer ingests the same generated tree into a fresh repository, on one core (`taskset`). Bytes are what the
//! repository occupies afterwards (lengths of its files). The baseline is reading, BLAKE3 and zstd-1 of what compresses,
//! which it knows from the generator instead of trying; like Larder's operations it runs in a child process (`bench child
//! …`), so that its CPU is its own. tar with zstd and cp are there for scale.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::generate::{self, Summary, Version};
use super::measure::{self, Measured, Task, alternate};
use super::peers::{self, Peer};
use super::report::Figure;
use super::{Setting, larder_store, remove, source};
use crate::Result;

/// The seed of the fixed tree.
const SEED: u64 = 20_240_601;

/// A way to keep trees: shell text with `$REPO`, `$TREE`, `$NAME` and `$SELF`.
struct Store {
    peer: &'static str,
    program: &'static str,
    /// Makes an empty repository, not measured.
    create: &'static str,
    /// Stores `$TREE` as `$NAME`.
    ingest: &'static str,
    /// Restores `$NAME` into the current, empty folder; none if that is not compared.
    restore: &'static str,
}

const STORES: [Store; 6] = [
    Store {
        peer: "larder",
        program: "sh",
        create: "mkdir -p $REPO",
        ingest: "exec $SELF bench child ingest $REPO $NAME $TREE",
        restore: "exec $SELF bench child restore $REPO $NAME out",
    },
    Store {
        peer: "baseline (read, BLAKE3, zstd-1)",
        program: "sh",
        create: "mkdir -p $REPO",
        ingest: "exec $SELF bench child baseline $TREE",
        restore: "",
    },
    Store {
        peer: "restic",
        program: "restic",
        create: "restic init --quiet --repository-version 2",
        ingest: "cd $TREE && exec restic backup --quiet --compression auto --tag $NAME --host bench .",
        restore: "exec restic restore --quiet latest --tag $NAME --target out",
    },
    Store {
        peer: "borg",
        program: "borg",
        create: "borg init --encryption none $REPO",
        ingest: "cd $TREE && exec borg create --compression auto,zstd,1 $REPO::$NAME .",
        restore: "mkdir out && cd out && exec borg extract $REPO::$NAME",
    },
    Store {
        peer: "casync",
        program: "casync",
        create: "mkdir -p $REPO",
        ingest: "exec casync make --store=$REPO/store.castr $REPO/$NAME.caidx $TREE",
        restore: "exec casync extract --store=$REPO/store.castr $REPO/$NAME.caidx out",
    },
    Store {
        peer: "tar and zstd",
        program: "zstd",
        create: "mkdir -p $REPO",
        ingest: "tar -C $TREE -cf - . | zstd -q -1 -T1 -f -o $REPO/$NAME.tar.zst",
        restore: "mkdir out && zstd -q -dc $REPO/$NAME.tar.zst | tar -C out -xf -",
    },
];

/// The operations that run in a child: `child OPERATION ARGS…`.
pub(crate) fn child(words: &[&str]) -> Result<()> {
    match words {
        ["baseline", tree] => baseline(Path::new(tree)),
        ["ingest", home, name, tree] => larder_store::ingest(Path::new(home), name, Path::new(tree)),
        ["restore", home, name, tree] => larder_store::restore(Path::new(home), name, Path::new(tree)),
        ["fill", home, blobs] => larder_store::fill(Path::new(home), blobs.parse()?),
        ["find-missing", home, blobs] => {
            println!("{}", larder_store::find_missing(Path::new(home), blobs.parse()?)? * 1e3);
            Ok(())
        }
        ["read-4k", home, blobs] => {
            println!("{}", larder_store::read_4k(Path::new(home), blobs.parse()?)?);
            Ok(())
        }
        _ => Err("unknown operation".into()),
    }
}

fn baseline(tree: &Path) -> Result<()> {
    let mut files = Vec::new();
    generate::list(tree, tree, &mut files)?;
    let mut compressor = zstd::bulk::Compressor::new(1)?;
    let mut block = vec![0; 128 << 10];
    let mut packed = Vec::with_capacity(zstd::zstd_safe::compress_bound(block.len()));
    for path in files {
        let compresses = !path.starts_with(generate::Kind::Incompressible.folder());
        let mut file = File::open(tree.join(&path))?;
        let mut hasher = blake3::Hasher::new();
        loop {
            let mut len = 0;
            while len < block.len() {
                match file.read(&mut block[len..])? {
                    0 => break,
                    more => len += more,
                }
            }
            hasher.update(&block[..len]);
            if compresses {
                packed.clear();
                compressor.compress_to_buffer(&block[..len], &mut packed)?;
            }
            if len < block.len() {
                break;
            }
        }
        std::hint::black_box(hasher.finalize());
    }
    Ok(())
}

/// Versions and figures.
pub(crate) fn bench(setting: &Setting) -> Result<(Vec<String>, Vec<Figure>)> {
    let programs: Vec<Peer> =
        ["restic", "borg", "casync", "tar", "zstd", "cp", "cc"].map(peers::in_path).into();
    let versions = programs.iter().filter_map(Peer::version).collect();
    let mut missing: Vec<String> = programs.into_iter().filter_map(|peer| peer.path.err()).collect();
    missing.push("rustic: not compared yet".to_owned());
    let stores: Vec<&Store> =
        STORES.iter().filter(|store| peers::in_path(store.program).path.is_ok()).collect();

    let mut figures = Vec::new();
    if setting.wants("trees") {
        figures.extend(trees(setting, &stores)?);
    }
    if setting.wants("builds") {
        figures.push(ten_builds(setting, &stores));
    }
    if setting.wants("restore") {
        figures.push(restore(setting, &stores)?);
    }
    if setting.wants("lookups") {
        figures.extend(lookups(setting)?);
    }
    for figure in &mut figures {
        figure.missing.extend(missing.iter().cloned());
    }
    Ok((versions, figures))
}

impl Store {
    fn repository(&self, setting: &Setting) -> PathBuf {
        setting.work.join("repositories").join(self.peer.split(' ').next().unwrap_or(self.peer))
    }

    fn env(&self, setting: &Setting, name: &str, tree: &Path) -> Result<Vec<(String, String)>> {
        let repository = self.repository(setting).display().to_string();
        let (this, tree) = (std::env::current_exe()?.display().to_string(), tree.display().to_string());
        let home = setting.work.join("home");
        fs::create_dir_all(&home)?;
        Ok(setting.env(
            &home,
            &[
                ("REPO", &repository),
                ("RESTIC_REPOSITORY", &repository),
                ("RESTIC_PASSWORD", "bench"),
                ("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes"),
                ("GOMAXPROCS", "1"),
                ("NAME", name),
                ("TREE", &tree),
                ("SELF", &this),
            ],
        ))
    }

    /// Empties and creates the repository.
    fn create(&self, setting: &Setting) -> Result<()> {
        let repository = self.repository(setting);
        remove(&repository)?;
        fs::create_dir_all(repository.parent().ok_or("a repository has a parent")?)?;
        let env = self.env(setting, "none", &setting.work)?;
        measure::run(&shell(self.create), &setting.work, &env, &setting.log())?;
        Ok(())
    }

    /// Stores `tree` under `name`, on one core.
    fn ingest<'a>(&'a self, setting: &'a Setting, name: &str, tree: &Path, fresh: bool) -> Result<Task<'a>> {
        let mut command = ["taskset", "-c", "0"].map(str::to_owned).to_vec();
        command.extend(shell(self.ingest));
        Ok(Task {
            peer: self.peer.to_owned(),
            command,
            dir: setting.work.clone(),
            env: self.env(setting, name, tree)?,
            before: Box::new(move || if fresh { self.create(setting) } else { Ok(()) }),
            after: Box::new(|| Ok(())),
        })
    }

    /// Whether it keeps anything.
    fn keeps(&self) -> bool {
        !self.restore.is_empty()
    }
}

fn shell(text: &str) -> Vec<String> {
    ["sh", "-c", text].map(str::to_owned).to_vec()
}

/// Bytes of all files below `dir`.
fn occupied(dir: &Path) -> Result<f64> {
    let mut files = Vec::new();
    generate::list(dir, dir, &mut files)?;
    let mut sum = 0;
    for path in files {
        sum += fs::symlink_metadata(dir.join(path))?.len();
    }
    Ok(sum as f64)
}

/// Ingest of the tree and of its second version.
fn trees(setting: &Setting, stores: &[&Store]) -> Result<Vec<Figure>> {
    let bytes = if setting.quick { 64 << 20 } else { 1 << 30 };
    let (one, two) = (setting.work.join("tree1"), setting.work.join("tree2"));
    generate::tree(&one, SEED, bytes, Version::First)?;
    let summary: Summary = generate::tree(&two, SEED, bytes, Version::Second)?;
    let mut tasks = Vec::new();
    for store in stores {
        tasks.push(store.ingest(setting, "one", &one, true)?);
    }
    let goal = "one core: at most 1.3 × the baseline's CPU; at least 2 × restic's speed";
    let mut first =
        Figure::of("ingest of a 1 GiB tree", goal, alternate(setting.rounds(), &setting.log(), &mut tasks));

    let changed = summary.edited_in_chunks + summary.inserted;
    let goal = "new stored bytes at most 1.5 × the changed bytes rounded to chunks";
    let mut second = Figure::of("second version of that tree", goal, Vec::new());
    second.number("generator", "changed bytes rounded to chunks, MiB", mib(changed as f64));
    for store in stores.iter().filter(|store| store.keeps()) {
        let before = occupied(&store.repository(setting))?;
        first.number(store.peer, "stored MiB", mib(before));
        let mut measured =
            Measured { peer: store.peer.to_owned(), samples: Vec::new(), failures: Vec::new() };
        match measure::once(&mut store.ingest(setting, "two", &two, false)?, &setting.log()) {
            Ok(sample) => {
                measured.samples.push(sample);
                let new = occupied(&store.repository(setting))? - before;
                second.number(store.peer, "new MiB", mib(new));
                second.number(store.peer, "new ÷ changed", new / changed as f64);
            }
            Err(error) => measured.failures.push(error.to_string()),
        }
        second.measured.push(measured);
    }
    Ok(vec![first, second])
}

/// Ten successive builds of one program. What fails (a network, a package) is in the figure.
fn ten_builds(setting: &Setting, stores: &[&Store]) -> Figure {
    let goal = "physical bytes at most 40 % of the logical; better than restic, borg and casync";
    let mut figure = Figure::of("ten successive release builds of one program", goal, Vec::new());
    let builds = match source::builds(setting) {
        Ok(builds) => builds,
        Err(error) => {
            figure.missing.push(format!("all peers: no builds to store: {error}"));
            return figure;
        }
    };
    for store in stores.iter().filter(|store| store.keeps()) {
        match keep_builds(setting, store, &builds, &mut figure) {
            Ok(measured) => figure.measured.push(measured),
            Err(error) => figure.missing.push(format!("{}: {error}", store.peer)),
        }
    }
    figure
}

fn keep_builds(
    setting: &Setting,
    store: &Store,
    builds: &[PathBuf],
    figure: &mut Figure,
) -> Result<Measured> {
    let mut measured = Measured { peer: store.peer.to_owned(), samples: Vec::new(), failures: Vec::new() };
    let mut logical = 0.0;
    store.create(setting)?;
    for (index, build) in builds.iter().enumerate() {
        logical += occupied(build)?;
        let mut task = store.ingest(setting, &format!("build{index}"), build, false)?;
        measured.samples.push(measure::once(&mut task, &setting.log())?);
    }
    let physical = occupied(&store.repository(setting))?;
    figure.number(store.peer, "physical MiB", mib(physical));
    figure.number(store.peer, "physical ÷ logical", physical / logical);
    Ok(measured)
}

fn mib(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}

/// Restore of 2,000 files of 100 KiB, beside `cp`.
fn restore(setting: &Setting, stores: &[&Store]) -> Result<Figure> {
    let (tree, into) = (setting.work.join("files"), setting.work.join("restored"));
    generate::flat(&tree, SEED, if setting.quick { 200 } else { 2000 }, 100 << 10)?;
    let digest = generate::digest(&tree)?;
    let mut tasks = Vec::new();
    let mut failed = Vec::new();
    let copies = [
        ("cp --reflink=never", "cp -r --reflink=never $TREE out"),
        ("cp --reflink=always", "cp -r --reflink=always $TREE out"),
    ];
    for store in stores.iter().filter(|store| store.keeps()) {
        let filled = measure::once(&mut store.ingest(setting, "files", &tree, true)?, &setting.log());
        match filled {
            Ok(_) => tasks.push((store.peer, store.restore, store.env(setting, "files", &tree)?)),
            Err(error) => failed.push(format!("{}: {error}", store.peer)),
        }
    }
    for (peer, command) in copies {
        tasks.push((peer, command, STORES[0].env(setting, "files", &tree)?));
    }
    let mut tasks: Vec<Task<'_>> = tasks
        .into_iter()
        .map(|(peer, command, env)| Task {
            peer: peer.to_owned(),
            command: shell(command),
            dir: into.clone(),
            env,
            before: Box::new(|| {
                remove(&into)?;
                Ok(fs::create_dir_all(&into)?)
            }),
            after: Box::new(|| {
                let same = generate::digest(&into.join("out"))? == digest;
                if same { Ok(()) } else { Err("what was restored is not what was stored".into()) }
            }),
        })
        .collect();
    let goal = "CPU at most 1.5 × cp --reflink=never; with reflinks at most 1.2 × cp --reflink=always";
    let mut figure = Figure::of(
        "restore, 2,000 files, 200 MB",
        goal,
        alternate(setting.rounds(), &setting.log(), &mut tasks),
    );
    figure.missing = failed;
    Ok(figure)
}

/// The two figures that have no peer: look-ups and small reads in process.
fn lookups(setting: &Setting) -> Result<Vec<Figure>> {
    let mut missing =
        Figure::of("find_missing of 100,000 digests among 1,000,000 blobs", "at most 100 ms", Vec::new());
    let mut read = Figure::of("read of a 4 KiB blob, in process", "at most 6 µs CPU, verified", Vec::new());
    let home = setting.work.join("lookups").display().to_string();
    let blobs = if setting.quick { "20000" } else { "1000000" };
    let this = std::env::current_exe()?.display().to_string();
    let child = |operation: &str| {
        let command = [this.as_str(), "bench", "child", operation, &home, blobs].map(str::to_owned);
        measure::run(&command, &setting.work, &setting.env(&setting.work, &[]), &setting.log())?;
        Ok::<String, Box<dyn std::error::Error>>(fs::read_to_string(setting.log())?)
    };
    fs::create_dir_all(&home)?;
    child("fill")?;
    let (mut millis, mut micros) = (Vec::new(), Vec::new());
    for _ in 0..setting.rounds() {
        millis.push(child("find-missing")?.trim().parse()?);
        micros.push(child("read-4k")?.trim().parse()?);
    }
    missing.spread("larder", "ms CPU", &millis);
    read.spread("larder", "µs CPU", &micros);
    Ok(vec![missing, read])
}
