//! The remote bench: one tree of 2,000 files and 200 MB through a bucket, at several latencies.
//!
//! ```text
//! peer ── HTTP ── proxy (counts, adds latency) ── s3s-fs on loopback, files below the work folder
//! ```
//! Restore: the bucket is full, the machine is fresh (no local store, no outputs). First write: bucket and machine are
//! empty; a task cache also runs the command, which is a `cp`. The latency is waited for at each new connection and each
//! request, as a network's round trip would be; bandwidth is not limited. The server and the proxy share the machine's
//! cores with the peer: absolute figures without latency are as much theirs. CPU is the peer's alone.

use std::cell::RefCell;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use larder_testing::proxy::{Counts, Proxy};

use super::measure::{Task, alternate};
use super::peers::{self, Peer};
use super::report::Figure;
use super::tools::Tool;
use super::workload::{Inputs, Project, Workload, cookbook};
use super::{Setting, generate, measure, remove};
use crate::Result;

const KEY: &str = "larder-bench";
const SECRET: &str = "larder-bench-secret";
/// Added to each round trip, in milliseconds.
const RESTORES: [u64; 3] = [0, 5, 50];
const WRITES: [u64; 2] = [0, 50];

/// A server of buckets, and the network in front of it. Ends when it is dropped.
struct Buckets {
    child: Child,
    root: PathBuf,
    proxy: Proxy,
}

impl Drop for Buckets {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Buckets {
    fn start(setting: &Setting, program: &str, names: &[&str]) -> Result<Self> {
        let root = setting.work.join("buckets");
        for name in names {
            fs::create_dir_all(root.join(name))?;
        }
        let address: SocketAddr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(program);
        command.args(["--host", "127.0.0.1", "--port", &address.port().to_string()]);
        command.args(["--access-key", KEY, "--secret-key", SECRET]).arg(&root);
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| format!("`{program}`: {error}"))?;
        let buckets = Self { child, root, proxy: Proxy::new(address) };
        for _ in 0..100 {
            if TcpStream::connect(address).is_ok() {
                return Ok(buckets);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(format!("`{program}` does not answer").into())
    }

    /// Removes all objects of a bucket. What the server notes about them beside the bucket is written anew with each.
    fn empty(&self, name: &str) -> Result<()> {
        remove(&self.root.join(name))?;
        Ok(fs::create_dir_all(self.root.join(name))?)
    }

    fn is_empty(&self, name: &str) -> Result<bool> {
        Ok(fs::read_dir(self.root.join(name))?.next().is_none())
    }
}

/// Someone who puts the tree into a bucket and gets it back.
enum Party {
    Task(Project),
    /// Peer, options.
    Rclone(&'static str, &'static [&'static str], String),
}

/// What all tasks share.
struct World<'a> {
    setting: &'a Setting,
    buckets: Buckets,
    prepared: PathBuf,
    digest: String,
    env: Vec<(String, String)>,
}

/// Versions and figures.
pub(crate) fn bench(setting: &Setting, larder: Peer) -> Result<(Vec<String>, Vec<Figure>)> {
    let (bake, rclone, server) = (peers::bake(), peers::in_path("rclone"), peers::s3s_fs());
    let versions = [&larder, &bake, &rclone, &server].iter().filter_map(|peer| peer.version()).collect();
    let buckets = Buckets::start(setting, &server.path?, &["larder", "bake", "rclone"])?;
    let prepared = setting.work.join("prepared");
    generate::flat(&prepared, 3, if setting.quick { 200 } else { 2000 }, 100 << 10)?;
    let digest = generate::digest(&prepared)?;
    let endpoint = buckets.proxy.endpoint();
    let config = setting.work.join("no-rclone.conf").display().to_string();
    let env = [
        ("AWS_ACCESS_KEY_ID", KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL", &endpoint),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("LARDER_CACHE_SECRET", "a secret that only this bench has"),
        ("RCLONE_CONFIG", &config),
        ("RCLONE_CONFIG_BENCH_TYPE", "s3"),
        ("RCLONE_CONFIG_BENCH_PROVIDER", "Other"),
        ("RCLONE_CONFIG_BENCH_ENV_AUTH", "true"),
        ("RCLONE_CONFIG_BENCH_ENDPOINT", &endpoint),
        ("RCLONE_CONFIG_BENCH_NO_CHECK_BUCKET", "true"),
    ];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let world = World { setting, buckets, prepared, digest, env };
    let (parties, missing) = world.parties([(Tool::Larder, larder), (Tool::Bake, bake)], rclone)?;
    let mut figures = Vec::new();
    for latency in RESTORES {
        if setting.wants("restore") {
            figures.push(world.restore(&parties, latency));
        }
    }
    for latency in WRITES {
        if setting.wants("write") {
            figures.push(world.write(&parties, latency));
        }
    }
    for figure in &mut figures {
        figure.missing.extend(missing.iter().cloned());
    }
    Ok((versions, figures))
}

impl World<'_> {
    /// Those who could fill their bucket, and why others could not.
    fn parties(&self, tools: [(Tool, Peer); 2], rclone: Peer) -> Result<(Vec<Party>, Vec<String>)> {
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for (tool, peer) in tools {
            match peer.path {
                Ok(program) => found.push(Party::Task(self.project(tool, &program)?)),
                Err(why) => missing.push(why),
            }
        }
        match rclone.path {
            Ok(program) => {
                let many: &[&str] = &["--transfers", "32", "--checkers", "32"];
                found.push(Party::Rclone("rclone copy", &[], program.clone()));
                found.push(Party::Rclone("rclone copy, 32 at once", many, program));
            }
            Err(why) => missing.push(why),
        }
        let mut good = Vec::new();
        for party in found {
            match self.fill(&party) {
                Ok(()) => good.push(party),
                Err(error) => missing.push(format!("{}: {error}", party.peer())),
            }
        }
        Ok((good, missing))
    }

    fn project(&self, tool: Tool, program: &str) -> Result<Project> {
        let command = format!("cp -r --reflink=never '{}' out", self.prepared.display());
        let workload = Workload { name: "remote", cookbooks: 1, inputs: Inputs::Made(10), command };
        let mut project = workload.project(self.setting, tool, program)?;
        project.env.extend(self.env.iter().cloned());
        let endpoint = self.buckets.proxy.endpoint();
        let (file, text) = match tool {
            Tool::Bake => (
                "bake.yml",
                "name: remote\nconfig:\n  cache:\n    local: {enabled: true, path: .bake/cache}\n    \
                 remotes: {enabled: true, s3: {bucket: bake, region: us-east-1}}\n"
                    .to_owned(),
            ),
            _ => (
                "larder.yml",
                format!(
                    "name: remote\nconfig: {{cache: {{remotes: {{s3: {{bucket: larder, endpoint: '{endpoint}'}}}}}}}}\n"
                ),
            ),
        };
        fs::write(project.root.join(file), text)?;
        Ok(project)
    }

    /// Fills the bucket of a party, and sees whether that did anything.
    fn fill(&self, party: &Party) -> Result<()> {
        measure::once(&mut self.task(party, false, 0, &RefCell::default()), &self.setting.log())?;
        if self.buckets.is_empty(party.bucket())? {
            return Err("nothing is in its bucket".into());
        }
        Ok(())
    }

    fn restored(&self) -> PathBuf {
        self.setting.work.join("restored")
    }

    /// One restore, or one first write.
    fn task<'a>(
        &'a self,
        party: &'a Party,
        restores: bool,
        latency: u64,
        moved: &'a RefCell<Vec<Counts>>,
    ) -> Task<'a> {
        let counted = Rc::new(RefCell::new(Counts::default()));
        let earlier = counted.clone();
        let restored = self.restored();
        let (command, dir) = party.command(restores, &self.prepared, &restored);
        Task {
            peer: party.peer(),
            command,
            dir: dir.to_owned(),
            env: party.env(self.setting, &self.env),
            before: Box::new(move || {
                party.forget(&self.restored())?;
                if !restores {
                    self.buckets.empty(party.bucket())?;
                }
                self.buckets.proxy.round_trip(Duration::from_millis(latency));
                *earlier.borrow_mut() = self.buckets.proxy.counts();
                Ok(())
            }),
            after: Box::new(move || {
                moved.borrow_mut().push(self.buckets.proxy.counts() - &counted.borrow());
                self.buckets.proxy.round_trip(Duration::ZERO);
                party.check(restores, &self.restored(), &self.digest)
            }),
        }
    }

    fn figure(&self, title: &str, goal: &str, parties: &[Party], restores: bool, latency: u64) -> Figure {
        let moved: Vec<RefCell<Vec<Counts>>> = parties.iter().map(|_| RefCell::default()).collect();
        let with = parties.iter().zip(&moved);
        let mut tasks: Vec<Task<'_>> =
            with.map(|(party, moved)| self.task(party, restores, latency, moved)).collect();
        let measured = alternate(self.setting.rounds(), &self.setting.log(), &mut tasks);
        drop(tasks);
        let mut figure = Figure::of(title, goal, measured);
        for (party, moved) in parties.iter().zip(moved) {
            let of = |what: fn(&Counts) -> f64| moved.borrow().iter().map(what).collect::<Vec<f64>>();
            figure.spread(&party.peer(), "requests", &of(|counts| counts.total() as f64));
            figure.spread(&party.peer(), "connections", &of(|counts| counts.connections as f64));
            figure.spread(&party.peer(), "MB of bodies down", &of(|counts| counts.down.bodies as f64 / 1e6));
            figure.spread(&party.peer(), "MB of bodies up", &of(|counts| counts.up.bodies as f64 / 1e6));
        }
        figure
    }

    fn restore(&self, parties: &[Party], latency: u64) -> Figure {
        let title = format!("restore from a bucket, {latency} ms");
        self.figure(&title, "fewer than 100 requests; faster than peers", parties, true, latency)
    }

    fn write(&self, parties: &[Party], latency: u64) -> Figure {
        let title = format!("first write to a bucket, {latency} ms");
        self.figure(&title, "faster than peers", parties, false, latency)
    }
}

impl Party {
    fn peer(&self) -> String {
        match self {
            Self::Task(project) => project.peer(),
            Self::Rclone(peer, ..) => (*peer).to_owned(),
        }
    }

    fn bucket(&self) -> &'static str {
        match self {
            Self::Task(project) if project.tool == Tool::Bake => "bake",
            Self::Task(_) => "larder",
            Self::Rclone(..) => "rclone",
        }
    }

    fn command<'a>(&'a self, restores: bool, prepared: &Path, restored: &'a Path) -> (Vec<String>, &'a Path) {
        match self {
            Self::Task(project) => (project.command(None), &project.root),
            Self::Rclone(_, options, program) => {
                // The bucket itself, not a folder in it: s3s-fs answers a question for a folder with 500, which rclone
                // would repeat for a minute and a half.
                let (bucket, prepared) = ("bench:rclone".to_owned(), prepared.display().to_string());
                let places = if restores { [bucket, "out".to_owned()] } else { [prepared, bucket] };
                let mut line = vec![program.clone(), "copy".to_owned()];
                line.extend(options.iter().map(|&option| option.to_owned()));
                line.extend(places);
                (line, restored)
            }
        }
    }

    fn env(&self, setting: &Setting, env: &[(String, String)]) -> Vec<(String, String)> {
        match self {
            Self::Task(project) => project.env.clone(),
            Self::Rclone(..) => {
                let mut all = setting.env(&setting.work, &[]);
                all.extend(env.iter().cloned());
                all
            }
        }
    }

    /// A fresh machine.
    fn forget(&self, restored: &Path) -> Result<()> {
        match self {
            Self::Task(project) => project.forget(),
            Self::Rclone(..) => {
                remove(restored)?;
                Ok(fs::create_dir_all(restored)?)
            }
        }
    }

    fn check(&self, restores: bool, restored: &Path, digest: &str) -> Result<()> {
        let out = match self {
            Self::Task(project) => {
                project.expect_ran(usize::from(!restores))?;
                project.root.join("pkgs").join(cookbook(0)).join("out")
            }
            Self::Rclone(..) if !restores => return Ok(()),
            Self::Rclone(..) => restored.join("out"),
        };
        let same = generate::digest(&out)? == digest;
        if same { Ok(()) } else { Err("what was restored is not what was stored".into()) }
    }
}
