//! A mistake of Larder's own ends the run, whichever thread it strikes: the program neither waits for a thread that is no more, nor goes on.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use larder_run::config::{LoadOptions, Project, WalkListing};
use larder_run::engine::{Options, Order, Session};
use larder_run::event::Event;
use larder_run::plan::Plan;
use larder_run::process::CancelToken;
use larder_run::select::Selection;
use larder_run::worktree::Worktree;

/// `fails` is where the mistake is; all others take longer than the test may.
const RECIPES: &str = "name: app
recipes:
  fails: {run: ':'}
  long: {run: sleep 300}
  after: {run: ':', dependencies: [fails]}
  server: {run: sleep 300, persistent: true}
  uses: {run: sleep 300, dependencies: [server]}
";

/// Runs everything, and panics in whatever thread tells of something that `is_it`.
fn run(root: &Path, jobs: usize, selected: &[&str], is_it: &(dyn Fn(&Event<'_>) -> bool + Sync)) {
    let project = Project::load(LoadOptions::new(root, &WalkListing)).expect("a configuration");
    let plan = Plan::build(&project, &Selection::of(selected), &WalkListing).expect("a plan");
    let worktree = Worktree::open(root, &root.join(".larder/state")).expect("a worktree");
    let path = ("PATH".into(), std::env::var_os("PATH").expect("a path"));
    let options = Options {
        jobs,
        fail_fast: false,
        force: false,
        dry_run: false,
        args: Vec::new(),
        read_cache: false,
        write_cache: false,
        replay: false,
        environment: BTreeMap::from([path]),
        lenient_outputs: false,
        order: Order::LocalFirst,
        trace_all: false,
        flights: None,
        name: None,
    };
    let events = |event: Event<'_>| assert!(!is_it(&event), "on purpose");
    let cancel = CancelToken::new().expect("a descriptor");
    let session =
        Session::new("demo", root, &worktree, None, None, options, cancel, "run".to_owned(), &events);
    let _ = session.expect("a session").run(&plan);
}

/// The run ends, and with the panic.
#[track_caller]
fn ends(jobs: usize, selected: &'static [&str], is_it: fn(&Event<'_>) -> bool) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().canonicalize().expect("it is there");
    std::fs::write(root.join("larder.yml"), "name: demo\n").expect("a file of ours");
    std::fs::write(root.join("cookbook.yml"), RECIPES).expect("a file of ours");
    let (send, receive) = channel();
    let begun = Instant::now();
    std::thread::spawn(move || {
        let ran = catch_unwind(AssertUnwindSafe(|| run(&root, jobs, selected, &is_it)));
        let _ = send.send(ran.is_err());
    });
    let panicked = receive.recv_timeout(Duration::from_secs(60));
    assert_eq!(panicked, Ok(true), "{jobs} jobs, after {:?}", begun.elapsed());
}

fn name<'e>(event: &'e Event<'_>) -> (&'static str, &'e str) {
    match event {
        Event::Started { recipe, .. } => ("started", recipe.recipe.as_str()),
        Event::Finished { recipe, .. } => ("finished", recipe.recipe.as_str()),
        _ => ("", ""),
    }
}

#[test]
fn in_the_midst_of_a_recipe() {
    for jobs in [1, 2, 4] {
        ends(jobs, &["fails", "after", "long"], |event| name(event) == ("started", "fails"));
    }
}

/// While the board is locked.
#[test]
fn at_the_end_of_a_recipe() {
    for jobs in [1, 2, 4] {
        ends(jobs, &["fails", "after", "long"], |event| name(event) == ("finished", "fails"));
    }
}

#[test]
fn in_the_thread_of_a_server() {
    for selected in [&["uses"][..], &["server"], &["server", "uses", "fails"]] {
        ends(2, selected, |event| name(event) == ("started", "server"));
    }
    ends(2, &["server", "uses", "fails"], |event| name(event) == ("started", "uses"));
}
