//! Commands under supervision and the locks they hold, through the public interface, with real processes.
//!
//! A test that needs a Larder to kill runs this binary again, as [`role`], told by `LARDER_TEST_ROLE` what to be.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests, which talk through pipes")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use larder_run::lock::{Acquired, LockError, RecipeLock, RecipeLocks, single_flight};
use larder_run::process::{
    CancelToken, Child, CommandSpec, Enclosure, Exit, GRACE, HeldLock, Refused, SpawnError, Status, Step,
    Stop, Stream, WaitError, spawn,
};

const ROLE: &str = "LARDER_TEST_ROLE";
const PLACE: &str = "LARDER_TEST_PLACE";

fn sh<'a>(script: &str, cwd: &Path) -> CommandSpec<'a> {
    CommandSpec {
        program: "sh".into(),
        args: vec!["-e".into(), "-c".into(), script.into()],
        cwd: cwd.to_owned(),
        env: vec![("PATH".into(), std::env::var_os("PATH").unwrap())],
        ..CommandSpec::default()
    }
}

fn finish(child: &mut Child) -> (Exit, Vec<u8>, Vec<u8>) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let collect = |stream, chunk: &[u8]| match stream {
        Stream::Stdout => out.extend_from_slice(chunk),
        Stream::Stderr => err.extend_from_slice(chunk),
    };
    let exit = child.wait_with(collect, &CancelToken::new().unwrap(), Some(Duration::from_secs(60))).unwrap();
    (exit, out, err)
}

fn run(script: &str) -> (Exit, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let (exit, out, err) = finish(&mut spawn(&sh(script, folder.path())).unwrap());
    (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(") ").next().unwrap().starts_with('Z'))
}

/// The process number that a script wrote to a file, once it is there.
fn pid_in(file: &Path) -> u32 {
    let since = Instant::now();
    loop {
        if let Ok(text) = std::fs::read_to_string(file)
            && text.ends_with('\n')
        {
            return text.trim().parse().unwrap();
        }
        assert!(since.elapsed() < Duration::from_secs(30), "no {}", file.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn until(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let since = Instant::now();
    while since.elapsed() < limit {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    holds()
}

/// This binary again, in a role.
fn myself(role: &str, place: &Path) -> std::process::Command {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "role", "--nocapture", "--test-threads=1"]).env(ROLE, role).env(PLACE, place);
    command
}

fn held(locks: &RecipeLocks, recipe: &str) -> RecipeLock {
    match locks.acquire(recipe, &CancelToken::new().unwrap(), |_| {}).unwrap() {
        Acquired::Held(lock) => lock,
        Acquired::Inherited(holder) => panic!("inherited from {holder:?}"),
    }
}

/// Not a test by itself: what the other tests start and kill.
#[test]
fn role() {
    let Some(role) = std::env::var_os(ROLE) else { return };
    let place = std::path::PathBuf::from(std::env::var_os(PLACE).unwrap());
    let locks = RecipeLocks::open(&place.join("locks")).unwrap();
    match role.to_str().unwrap() {
        // Two recipes at once, each stubborn and with a daemon.
        "runner" => std::thread::scope(|scope| {
            for name in ["one", "two"] {
                let (locks, place) = (&locks, &place);
                scope.spawn(move || {
                    let lock = held(locks, name);
                    let script = format!(
                        "trap '' TERM; setsid sh -c 'trap \"\" TERM; (trap \"\" TERM; echo $$ >{name}.group; \
                         sh -c \"echo \\$\\$ >{name}.daemon; while :; do sleep 1; done\" & ) ; sleep 1000' & \
                         echo $$ >{name}.main; while :; do sleep 1; done"
                    );
                    let mut spec = sh(&script, place);
                    spec.locks.push(&lock);
                    finish(&mut spawn(&spec).unwrap());
                });
            }
        }),
        "holder" => {
            let _lock = held(&locks, "x:y");
            println!("locked");
            std::thread::sleep(Duration::from_secs(1000));
        }
        // A nested run: inside x:y.
        "nested" => {
            let cancel = CancelToken::new().unwrap();
            let own = locks.acquire("x:y", &cancel, |_| {}).unwrap();
            assert!(matches!(own, Acquired::Inherited(_)), "{own:?}");
            let waited = std::cell::Cell::new(false);
            let other = locks.acquire("x:other", &cancel, |_| {
                waited.set(true);
                cancel.cancel();
            });
            assert!(matches!(other, Err(LockError::Cancelled(_))), "{other:?}");
            assert!(waited.get());
            println!("NESTED OK");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn exit_codes_signals_and_streams() {
    let (exit, out, err) = run("echo out; echo err >&2; exit 7");
    assert_eq!((exit.status, exit.success(), exit.leftovers), (Status::Code(7), false, false));
    assert_eq!((out.as_str(), err.as_str()), ("out\n", "err\n"));
    assert!(run("true").0.success());
    assert_eq!(run("kill -9 $$").0.status, Status::Signal(9));
    // A pipe's writer dies silently only when SIGPIPE is not ignored, as Rust programs have it.
    assert_eq!(run("(sh -c 'kill -PIPE $$'; echo $? >&2) || true").2, "141\n");
}

#[test]
fn a_clean_slate() {
    let folder = tempfile::tempdir().unwrap();
    let open = std::fs::File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&open, rustix::io::FdFlags::empty()).unwrap();
    let mut spec = sh(
        "umask; env | sort; ls /proc/self/fd; cat; grep -E '^Sig(Blk|Ign)' /proc/self/status",
        folder.path(),
    );
    spec.env.push(("A".into(), "b c".into()));
    let (exit, out, _) = finish(&mut spawn(&spec).unwrap());
    assert!(exit.success());
    let out = String::from_utf8(out).unwrap();
    let mut lines = out.lines();
    assert_eq!(lines.next(), Some("0022"));
    let rest: Vec<_> = lines.filter(|line| !line.starts_with("PATH=") && !line.starts_with("PWD=")).collect();
    let names: BTreeSet<_> =
        rest.iter().filter(|line| line.contains('=')).map(|line| line.split('=').next().unwrap()).collect();
    assert!(names.iter().all(|name| ["A", "OLDPWD", "SHLVL", "_"].contains(name)), "{names:?}");
    let fds: Vec<_> = rest.iter().filter(|line| line.parse::<u32>().is_ok()).copied().collect();
    assert_eq!(fds, ["0", "1", "2", "3"], "3 is what ls itself opened");
    assert_eq!(rest.iter().filter(|line| line.ends_with("0000000000000000")).count(), 2, "{rest:?}");
}

#[test]
fn what_cannot_start_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = sh("true", folder.path());
    spec.program = "no-such-program".into();
    assert!(
        matches!(spawn(&spec), Err(SpawnError::ProgramNotFound { program }) if program == "no-such-program")
    );
    std::fs::write(folder.path().join("plain"), "x").unwrap();
    spec.program = "./plain".into();
    assert!(matches!(spawn(&spec), Err(SpawnError::NotExecutable { .. })));
    spec.program = "".into();
    assert!(matches!(spawn(&spec), Err(SpawnError::Invalid { what: "program", .. })));
    let mut spec = sh("true", &folder.path().join("missing"));
    assert!(
        matches!(spawn(&spec), Err(SpawnError::WorkingDirectory { path, .. }) if path.ends_with("missing"))
    );
    spec = sh("true", folder.path());
    spec.env.push(("A=B".into(), "secret".into()));
    let error = spawn(&spec).unwrap_err();
    assert!(
        matches!(error, SpawnError::Invalid { what: "variable", .. })
            && !error.to_string().contains("secret")
    );
    let mut spec = sh("true", folder.path());
    spec.args.push("x".repeat(300_000).into());
    assert!(matches!(spawn(&spec), Err(SpawnError::TooLarge { .. })));
}

#[test]
fn what_is_left_in_the_background_dies() {
    let folder = tempfile::tempdir().unwrap();
    let script = "sleep 1000 & echo $! >held; setsid sh -c '(echo $$ >group; sh -c \"echo \\$\\$ >daemon; \
                  exec sleep 1000\" >/dev/null 2>&1 &) ; exit' ; while [ ! -s daemon ]; do sleep 0.01; done; echo done";
    let (exit, out, _) = finish(&mut spawn(&sh(script, folder.path())).unwrap());
    assert!(exit.success() && exit.leftovers);
    assert_eq!(out, b"done\n", "and a pipe that is still held does not keep the wait");
    for name in ["held", "daemon"] {
        assert!(!alive(pid_in(&folder.path().join(name))), "{name}");
    }
    assert!(exit.wall < Duration::from_secs(5), "{:?}", exit.wall);
    // What ends by itself in time is left to do so.
    let (exit, out, _) = run("(sleep 0.01; echo late) &");
    assert!(exit.success() && !exit.leftovers);
    assert_eq!(out, "late\n");
}

#[test]
fn timeout_cancel_and_drop_end_all() {
    let folder = tempfile::tempdir().unwrap();
    let never = CancelToken::new().unwrap();
    let script = "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ >stubborn; while :; do sleep 1; done'";
    let mut child = spawn(&sh(script, folder.path())).unwrap();
    let pid = pid_in(&folder.path().join("stubborn"));
    let exit = child.wait_with(|_, _| {}, &never, Some(Duration::from_millis(50))).unwrap();
    assert_eq!((exit.stopped, exit.status, exit.success()), (Some(Stop::TimedOut), Status::Signal(9), false));
    assert!(!alive(pid));

    let cancel = CancelToken::new().unwrap();
    let mut child =
        spawn(&sh("trap 'echo polite; exit 0' TERM; sleep 1000 & echo $!; wait", folder.path())).unwrap();
    let mut out = Vec::new();
    let exit = child
        .wait_with(
            |_, chunk| {
                out.extend_from_slice(chunk);
                cancel.cancel();
            },
            &cancel,
            None,
        )
        .unwrap();
    assert_eq!((exit.stopped, exit.status, exit.success()), (Some(Stop::Cancelled), Status::Code(0), false));
    assert!(String::from_utf8(out).unwrap().ends_with("polite\n"));

    let child = spawn(&sh("echo $$ >dropped; sleep 1000", folder.path())).unwrap();
    let pid = pid_in(&folder.path().join("dropped"));
    drop(child);
    assert!(!alive(pid));
}

#[test]
fn floods_are_read_with_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut child =
        spawn(&sh("head -c 100000000 /dev/zero & head -c 1000000 /dev/zero >&2; wait", folder.path()))
            .unwrap();
    let (mut out, mut err, mut largest) = (0, 0, 0);
    let count = |stream, chunk: &[u8]| {
        largest = largest.max(chunk.len());
        *(if stream == Stream::Stdout { &mut out } else { &mut err }) += chunk.len();
    };
    let exit = child.wait_with(count, &CancelToken::new().unwrap(), None).unwrap();
    assert!(exit.success());
    assert_eq!((out, err), (100_000_000, 1_000_000));
    assert!(largest <= 64 * 1024);
    assert!(exit.usage.peak_rss > 0 && exit.usage.user + exit.usage.system > Duration::ZERO);
    let (exit, out, _) = run("exec 2>&-; printf 'a\\0b'; exec >&-; sleep 0.05");
    assert!(exit.success());
    assert_eq!(out, "a\0b");
}

#[test]
fn a_killed_supervisor_is_an_error_and_no_success() {
    let folder = tempfile::tempdir().unwrap();
    let script = "sh -c 'echo $$ >inner; while :; do sleep 1; done' & echo $$ >main; wait";
    let mut child = spawn(&sh(script, folder.path())).unwrap();
    let pids = ["main", "inner"].map(|name| pid_in(&folder.path().join(name)));
    let supervisor = rustix::process::Pid::from_raw(child.supervisor().cast_signed()).unwrap();
    rustix::process::kill_process(supervisor, rustix::process::Signal::KILL).unwrap();
    let result = child.wait_with(|_, _| {}, &CancelToken::new().unwrap(), None);
    assert!(matches!(result, Err(WaitError::SupervisorLost)), "{result:?}");
    for pid in pids {
        assert!(until(Duration::from_secs(1), || !alive(pid)), "{pid}");
    }
}

#[test]
fn a_killed_larder_takes_everything_along_and_locks_last_until_then() {
    let folder = tempfile::tempdir().unwrap();
    let mut larder = myself("runner", folder.path()).stdout(Stdio::null()).spawn().unwrap();
    let mut pids = Vec::new();
    for name in ["one", "two"] {
        pids.extend(["main", "daemon"].map(|part| pid_in(&folder.path().join(format!("{name}.{part}")))));
    }
    assert!(pids.iter().all(|&pid| alive(pid)));
    let id = larder.id();
    let locks = RecipeLocks::open(&folder.path().join("locks")).unwrap();
    let cancel = CancelToken::new().unwrap();
    let mut killed = None;
    for name in ["one", "two"] {
        let lock = locks.acquire(name, &cancel, |holder| {
            assert_eq!(holder.runner.unwrap().pid, id);
            if killed.is_none() {
                killed = Some(Instant::now());
                larder.kill().unwrap();
            }
        });
        assert!(matches!(lock, Ok(Acquired::Held(_))));
        // Both recipes ignore SIGTERM: the first lock cannot be free before their grace is over.
        assert!(killed.is_some_and(|at| at.elapsed() >= GRACE), "{name}");
        for part in ["main", "daemon"] {
            assert!(
                !alive(pid_in(&folder.path().join(format!("{name}.{part}")))),
                "{name}.{part} outlived its lock"
            );
        }
    }
    larder.wait().unwrap();
}

#[test]
fn many_threads_spawn_and_kill_and_leak_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // Other tests of this binary open descriptors, too: count only those that a spawn makes and this process keeps.
    std::thread::scope(|scope| {
        for thread in 0..20 {
            let folder = folder.path();
            scope.spawn(move || {
                for round in 0..3 {
                    let mut child = spawn(&sh("sleep 0.02 & echo hi; wait; exit 3", folder)).unwrap();
                    if (thread + round) % 3 == 0 {
                        child.kill();
                        let exit = child.wait_with(|_, _| {}, &CancelToken::new().unwrap(), None).unwrap();
                        assert_eq!(exit.stopped, Some(Stop::Killed));
                    } else {
                        let (exit, out, _) = finish(&mut child);
                        assert_eq!((exit.status, out.as_slice()), (Status::Code(3), b"hi\n".as_slice()));
                    }
                }
            });
        }
    });
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let settled = until(Duration::from_secs(60), || {
        let before = open();
        drop(finish(&mut spawn(&sh("true", folder.path())).unwrap()));
        open() <= before && open() < 60
    });
    assert!(settled, "{} descriptors are open", open());
}

#[test]
fn a_nested_run_inherits_the_lock_of_its_own_recipe_only() {
    let folder = tempfile::tempdir().unwrap();
    let locks = RecipeLocks::open(&folder.path().join("locks")).unwrap();
    let (lock, _other) = (held(&locks, "x:y"), held(&locks, "x:other"));
    let mut spec = sh("\"$0\" --exact role --nocapture", folder.path());
    spec.args.push(std::env::current_exe().unwrap().into_os_string());
    spec.env.extend([(ROLE.into(), "nested".into()), (PLACE.into(), folder.path().into())]);
    spec.locks.push(&lock);
    let (exit, out, err) = finish(&mut spawn(&spec).unwrap());
    let out = String::from_utf8_lossy(&out);
    assert!(exit.success() && out.contains("NESTED OK"), "{out}\n{}", String::from_utf8_lossy(&err));
    // The same process outside of the recipe waits.
    let cancel = CancelToken::new().unwrap();
    assert!(matches!(locks.acquire("x:y", &cancel, |_| cancel.cancel()), Err(LockError::Cancelled(_))));
}

#[test]
fn a_waiter_gets_the_lock_of_a_killed_holder() {
    let folder = tempfile::tempdir().unwrap();
    let mut holder = myself("holder", folder.path()).stdout(Stdio::piped()).spawn().unwrap();
    let stdout = BufReader::new(holder.stdout.take().unwrap());
    assert!(stdout.lines().any(|line| line.unwrap().contains("locked")));
    let locks = RecipeLocks::open(&folder.path().join("locks")).unwrap();
    let id = holder.id();
    let lock = locks.acquire("x:y", &CancelToken::new().unwrap(), |seen| {
        assert_eq!((seen.runner.unwrap().pid, seen.what.as_str()), (id, "x:y"));
        holder.kill().unwrap();
    });
    assert!(matches!(lock, Ok(Acquired::Held(_))));
    holder.wait().unwrap();
}

#[test]
fn a_lock_that_cannot_be_marked_keeps_the_command_from_starting() {
    struct Unmarkable(std::fs::File);
    impl HeldLock for Unmarkable {
        fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
            std::os::fd::AsFd::as_fd(&self.0)
        }
        fn supervised_by(&self, _: u32) -> std::io::Result<()> {
            Err(std::io::ErrorKind::PermissionDenied.into())
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let lock = Unmarkable(std::fs::File::open("/dev/null").unwrap());
    let mut spec = sh("touch ran", folder.path());
    spec.locks.push(&lock);
    assert!(matches!(spawn(&spec), Err(SpawnError::System { step: "mark a lock", .. })));
    assert!(!folder.path().join("ran").exists());
}

#[test]
fn one_flight_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let cancel = CancelToken::new().unwrap();
    let inside = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let flight = single_flight(folder.path(), "ab12", &cancel, |_| {}).unwrap();
                    assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                    std::thread::yield_now();
                    inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    drop(flight);
                }
            });
        }
    });
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a finished flight leaves no file");
    assert!(matches!(single_flight(folder.path(), "../x", &cancel, |_| {}), Err(LockError::NotADigest(_))));
    std::fs::write(folder.path().join("dead.lock"), "of a runner that was killed").unwrap();
    drop(single_flight(folder.path(), "dead", &cancel, |_| {}).unwrap());
    // Something hostile under the name.
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("aa.lock")).unwrap();
    assert!(matches!(single_flight(folder.path(), "aa", &cancel, |_| {}), Err(LockError::File { .. })));
}

#[test]
fn an_enclosure_that_cannot_be_made_names_its_step() {
    let folder = tempfile::tempdir().unwrap();
    let text = |text: &str| std::ffi::CString::new(text).unwrap();
    let steps = vec![Step::Bind { from: text("/nowhere/at/all"), to: text("/tmp") }];
    let enclosure = Enclosure::new(steps, true).unwrap();
    let spec = CommandSpec { enclosure: Some(&enclosure), ..sh("touch ran", folder.path()) };
    match spawn(&spec).err() {
        Some(SpawnError::Enclosure { refused: Refused::Mounts, step, source }) => {
            // Where there can be none, it is an earlier step.
            if source.kind() == std::io::ErrorKind::NotFound {
                assert_eq!(step, "mount `/nowhere/at/all` at `/tmp`");
            }
        }
        Some(SpawnError::Enclosure { refused: Refused::Namespaces | Refused::Users, .. }) => {}
        other => panic!("{other:?}"),
    }
    assert!(!folder.path().join("ran").exists());
}
