//! What commands are seen to touch, with real programs: linked in any way, threaded, daemonised, nested.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;

use larder_run::process::{CancelToken, CommandSpec, Observer, SystemCall, Watch, Way, spawn_watched};
use larder_run::trace::{Access, AccessKind, Trace, TraceObserver};

/// Runs a script in `folder`, observed.
fn observe(script: &str, folder: &Path, way: Way) -> Trace {
    let env = |name: &str| Some((name.into(), std::env::var_os(name)?));
    let spec = CommandSpec {
        program: "sh".into(),
        args: vec!["-e".into(), "-c".into(), script.into()],
        cwd: folder.to_owned(),
        env: ["PATH", "HOME"].into_iter().filter_map(env).collect(),
        ..CommandSpec::default()
    };
    let (send, receive) = channel();
    let observer = TraceObserver::new(send);
    let watch = Watch { calls: observer.calls(), way, observer: Box::new(observer) };
    let mut child = spawn_watched(&spec, Some(watch)).unwrap();
    let mut output = Vec::new();
    let exit = child
        .wait_with(
            |_, bytes| output.extend_from_slice(bytes),
            &CancelToken::new().unwrap(),
            Some(Duration::from_secs(60)),
        )
        .unwrap();
    assert!(exit.success(), "{exit:?}: {}", String::from_utf8_lossy(&output));
    receive.recv_timeout(Duration::from_secs(10)).unwrap().trace
}

/// What of a trace lies in `folder`, as `kind path`.
fn within(trace: &Trace, folder: &Path) -> Vec<String> {
    let name = |access: &Access| {
        let path = access.path.strip_prefix(folder).ok()?;
        let kind = match access.kind {
            AccessKind::Read => "read",
            AccessKind::Missing => "missing",
            AccessKind::Listed => "listed",
            AccessKind::Executed => "executed",
            AccessKind::Written => "written",
        };
        Some(format!("{kind} {}", path.display()))
    };
    trace.accesses.iter().filter_map(name).filter(|name| name != "read ").collect()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn both(script: &str, prepare: impl Fn(&Path)) -> Vec<String> {
    let found = [Way::Best, Way::Tracing].map(|way| {
        let folder = folder();
        let root = folder.path().canonicalize().unwrap();
        prepare(&root);
        let trace = observe(script, &root, way);
        assert_eq!(trace.incomplete, None, "{way:?}");
        within(&trace, &root)
    });
    assert_eq!(found[0], found[1], "both ways see the same");
    let [found, _] = found;
    found
}

/// Compiles a program; the flags come last.
fn compile(root: &Path, name: &str, source: &str, flags: &[&str]) {
    let file = root.join(format!("{name}.c"));
    std::fs::write(&file, source).unwrap();
    let compiled = Command::new("cc").arg("-o").arg(root.join(name)).arg(&file).args(flags).status().unwrap();
    assert!(compiled.success());
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_shell_script_is_seen() {
    let prepare = |root: &Path| {
        std::fs::write(root.join("a"), "a").unwrap();
        std::fs::create_dir(root.join("d")).unwrap();
        std::fs::write(root.join("d/b"), "b").unwrap();
    };
    let found = both("cat a d/../d/b > out; test -e none || true; ls d > /dev/null; rm d/b", prepare);
    assert_eq!(
        found,
        ["read a", "read d", "listed d", "read d/b", "written d/b", "missing none", "written out"]
    );
}

#[test]
fn what_a_command_makes_itself_is_its_own() {
    let script = "mkdir tmp; echo x > tmp/x; cat tmp/x tmp/x > tmp/y; ls tmp > /dev/null; mv tmp/y out
        rm -r tmp; cat out > /dev/null; mkdir -p deep/er; echo x > deep/er/x; mv deep moved";
    assert_eq!(
        both(script, |_| ()),
        ["written moved", "written moved/er", "written moved/er/x", "written out"]
    );
}

#[test]
fn what_was_there_is_not_its_own() {
    let prepare = |root: &Path| {
        for name in ["appended", "opened", "replaced", "removed", "moved", "linked"] {
            std::fs::write(root.join(name), "x").unwrap();
        }
    };
    let script = "echo x >> appended; exec 3<> opened; echo y > replaced; cat replaced > /dev/null
        rm removed; mv moved new; cat new > /dev/null; ln linked other";
    assert_eq!(
        both(script, prepare),
        [
            "read appended",
            "written appended",
            "read linked",
            "read moved",
            "written moved",
            "written new",
            "read opened",
            "written other",
            "read removed",
            "written removed",
            "written replaced",
        ],
        "opened for writing and left alone is not written"
    );
}

#[test]
fn nothing_hides_behind_links_that_the_command_makes() {
    let prepare = |root: &Path| {
        std::fs::create_dir(root.join("d")).unwrap();
        std::fs::write(root.join("d/secret"), "x").unwrap();
        std::os::unix::fs::symlink("d", root.join("before")).unwrap();
    };
    let script =
        "ln -s d link; cat link/secret; rm link; cat /proc/self/cwd/d/secret; cat before/../d/secret";
    let found = both(script, prepare);
    assert!(found.contains(&"read d/secret".to_owned()), "{found:?}");
    assert!(!found.iter().any(|name| name.contains("link")), "{found:?}");
    let found = both("cd d; cd ..; cat before/secret", prepare);
    assert!(found.contains(&"read before/secret".to_owned()), "named as the command named it: {found:?}");
}

const THREADED: &str = r##"
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
static void touch(const char *name) { int fd = open(name, O_RDONLY); if (fd >= 0) close(fd); }
static void *thread(void *name) { struct stat s; touch(name); stat("gone", &s); return 0; }
int main(void) {
    pthread_t other;
    pthread_create(&other, 0, thread, "by-thread");
    pthread_join(other, 0);
    if (fork() == 0) {
        setsid();
        if (fork() == 0) { usleep(20000); touch("by-daemon"); }
        _exit(0);
    }
    wait(0);
    if (vfork() == 0) { execlp("cat", "cat", "by-child", (char *)0); _exit(1); }
    wait(0);
    return 0;
}
"##;

#[test]
fn threads_daemons_and_static_programs_are_seen() {
    for flags in [&["-pthread"][..], &["-pthread", "-static"]] {
        let prepare = |root: &Path| {
            compile(root, "program", THREADED, flags);
            for name in ["by-thread", "by-daemon", "by-child"] {
                std::fs::write(root.join(name), "x").unwrap();
            }
        };
        let wanted =
            ["read by-child", "read by-daemon", "read by-thread", "missing gone", "executed program"];
        assert_eq!(both("./program > /dev/null", prepare), wanted, "{flags:?}");
    }
}

#[test]
fn scripts_name_their_interpreters() {
    let prepare = |root: &Path| {
        std::fs::write(root.join("inner"), "#!/bin/sh\nexec sh \"$@\"\n").unwrap();
        std::fs::write(root.join("outer"), format!("#!{}\ncat data\n", root.join("inner").display()))
            .unwrap();
        std::fs::write(root.join("data"), "x").unwrap();
        Command::new("chmod").arg("755").args([root.join("inner"), root.join("outer")]).status().unwrap();
    };
    let wanted = ["read data", "executed inner", "read inner", "executed outer", "read outer"];
    let mut found = both("./outer > /dev/null", prepare);
    found.sort();
    let mut wanted = wanted.map(str::to_owned).to_vec();
    wanted.sort();
    assert_eq!(found, wanted);
}

#[test]
fn python_programs_are_seen() {
    let folder = folder();
    let root = folder.path().canonicalize().unwrap();
    std::fs::write(root.join("data"), "x").unwrap();
    std::fs::write(root.join("m.py"), "open('data').read()\ntry:\n  open('none')\nexcept OSError: pass\n")
        .unwrap();
    for way in [Way::Best, Way::Tracing] {
        let found = within(&observe("/usr/bin/env python3 -B m.py", &root, way), &root);
        for wanted in ["read data", "missing none", "read m.py"] {
            assert!(found.contains(&wanted.to_owned()), "{way:?}: {found:?}");
        }
    }
}

#[test]
fn go_programs_are_seen() {
    let has_go = Command::new("go").arg("version").output().is_ok_and(|output| output.status.success());
    if !has_go {
        return larder_testing::skipped("observing a Go program: there is no `go`");
    }
    let folder = folder();
    let root = folder.path().canonicalize().unwrap();
    std::fs::write(root.join("data"), "x").unwrap();
    let source = "package main\nimport \"os\"\nfunc main() {\n\tdone := make(chan bool)\n\tgo func() { os.ReadFile(\"data\"); \
                  os.Stat(\"none\"); done <- true }()\n\t<-done\n}\n";
    std::fs::write(root.join("main.go"), source).unwrap();
    let build = ["build", "-o", "program", "main.go"];
    assert!(Command::new("go").args(build).current_dir(&root).status().unwrap().success());
    for way in [Way::Best, Way::Tracing] {
        let found = within(&observe("./program", &root, way), &root);
        assert_eq!(found, ["read data", "missing none", "executed program"], "{way:?}");
    }
}

/// "those make the trace incomplete, never fail"
#[test]
fn what_would_be_unseen_is_told_and_works() {
    let folder = folder();
    let root = folder.path().canonicalize().unwrap();
    let ring = "#include <sys/syscall.h>\n#include <unistd.h>\nint main(void) { char p[120] = {0}; syscall(SYS_io_uring_setup, 4, p); return 0; }\n";
    compile(&root, "ring", ring, &[]);
    let mut programs = vec![("./ring", "io_uring")];
    if cfg!(target_arch = "x86_64") {
        let old = "int main(void) { int r; __asm__ volatile(\"int $0x80\" : \"=a\"(r) : \"a\"(20)); return r > 0 ? 0 : 1; }\n";
        compile(&root, "old", old, &[]);
        programs.push(("./old", "32-bit"));
    }
    for (program, reason) in programs {
        for way in [Way::Best, Way::Tracing] {
            let incomplete = observe(program, &root, way).incomplete;
            assert!(incomplete.as_ref().is_some_and(|told| told.contains(reason)), "{way:?}: {incomplete:?}");
        }
    }
}

struct Panics(std::sync::mpsc::Sender<Option<String>>);

impl Observer for Panics {
    fn before(&mut self, _: &SystemCall) {
        panic!("on purpose");
    }

    fn after(&mut self, _: bool) {}

    fn ended(self: Box<Self>, trouble: Option<String>) {
        self.0.send(trouble).unwrap();
    }
}

/// "The observer must never deadlock the command"
#[test]
fn an_observer_that_fails_breaks_nothing() {
    let folder = folder();
    let (send, receive) = channel();
    let spec = CommandSpec {
        program: "sh".into(),
        args: vec!["-c".into(), "for n in 1 2 3; do cat /etc/hostname; done".into()],
        cwd: folder.path().to_owned(),
        env: vec![("PATH".into(), std::env::var_os("PATH").unwrap())],
        ..CommandSpec::default()
    };
    let calls = TraceObserver::new(channel().0).calls();
    let watch = Watch { calls, way: Way::Best, observer: Box::new(Panics(send)) };
    let mut child = spawn_watched(&spec, Some(watch)).unwrap();
    let exit =
        child.wait_with(|_, _| (), &CancelToken::new().unwrap(), Some(Duration::from_secs(30))).unwrap();
    assert!(exit.success(), "{exit:?}");
    assert_eq!(receive.recv_timeout(Duration::from_secs(5)).unwrap().as_deref(), Some("the observer failed"));
}

#[test]
fn a_program_that_is_not_there_is_an_error_as_ever() {
    let folder = folder();
    let (send, receive) = channel();
    let observer = TraceObserver::new(send);
    let spec =
        CommandSpec { program: "/none/such".into(), cwd: folder.path().to_owned(), ..CommandSpec::default() };
    let watch = Watch { calls: observer.calls(), way: Way::Best, observer: Box::new(observer) };
    assert!(spawn_watched(&spec, Some(watch)).is_err());
    // And the observer comes to an end.
    receive.recv_timeout(Duration::from_secs(5)).unwrap();
}

/// CPU time of this process, all threads, in ticks of 10 ms.
fn own_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(") ").next().unwrap().split(' ').skip(11).take(2);
    fields.map(|field| field.parse::<u64>().unwrap()).sum()
}

#[test]
#[ignore = "a measurement: `cc` per file, seen and unseen; run it with optimisation"]
#[expect(clippy::print_stderr, reason = "a measurement")]
fn what_being_seen_costs() {
    let folder = folder();
    let root = folder.path().canonicalize().unwrap();
    for file in 0..20 {
        let function = |n: u32| {
            format!(
                "int f{file}_{n}(int x) {{ int s = 0; for (int k = 0; k < x; k++) s += k * {n} + (s >> 3); printf(\"%d\", s); return s; }}\n"
            )
        };
        let functions: String = (0..60).map(function).collect();
        let source = format!("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n{functions}");
        std::fs::write(root.join(format!("f{file}.c")), source).unwrap();
    }
    let script = "for f in f*.c; do cc -O1 -c $f -o ${f%.c}.o; done";
    for round in 0..4 {
        let mut costs = Vec::new();
        for seen in [false, true] {
            let before = own_ticks();
            let spec = CommandSpec {
                program: "sh".into(),
                args: vec!["-e".into(), "-c".into(), script.into()],
                cwd: root.clone(),
                env: vec![("PATH".into(), std::env::var_os("PATH").unwrap())],
                ..CommandSpec::default()
            };
            let (send, receive) = channel();
            let observer = TraceObserver::new(send);
            let watch = Watch { calls: observer.calls(), way: Way::Best, observer: Box::new(observer) };
            let mut child = spawn_watched(&spec, seen.then_some(watch)).unwrap();
            let exit = child.wait_with(|_, _| (), &CancelToken::new().unwrap(), None).unwrap();
            assert!(exit.success());
            if seen {
                receive.recv_timeout(Duration::from_secs(10)).unwrap();
            }
            let own = Duration::from_millis(10 * (own_ticks() - before));
            costs.push((exit.usage.user + exit.usage.system + own, exit.wall));
        }
        let (unseen, seen) = (costs[0], costs[1]);
        let ratio = seen.0.as_secs_f64() / unseen.0.as_secs_f64();
        eprintln!(
            "round {round}: CPU {:?} → {:?} ({ratio:.3}), wall {:?} → {:?}",
            unseen.0, seen.0, unseen.1, seen.1
        );
    }
}
