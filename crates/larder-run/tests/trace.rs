//! What commands are seen to touch, with real programs: linked in any way, threaded, daemonised, nested.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;

use larder_run::process::{CancelToken, CommandSpec, Watch, Way, spawn_watched};
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
    receive.recv_timeout(Duration::from_secs(10)).unwrap()
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
    let script = "mkdir tmp; echo x > tmp/x; cat tmp/x tmp/x > tmp/y; ls tmp > /dev/null; mv tmp/y out; rm -r tmp; cat out > /dev/null";
    assert_eq!(both(script, |_| ()), ["written out"]);
}
