//! Rule 8: what a command touches and its recipe does not declare.

use rustix::process::Signal;

use crate::world::{Project, lives, wait_until};

/// Two sources, headers beside them (and precompiled ones that `cc` looks for), others, a generated one, the script, and a text
/// that it reads.
const INPUTS: [&str; 7] =
    ["src/main.c", "src/other.c", "src/*.{h,gch}", "include/**", "gen/**", "build.sh", "flags.txt"];

fn c_project(inputs: &[&str]) -> Project {
    let inputs: Vec<String> = inputs.iter().map(|input| format!("'{input}'")).collect();
    let project = Project::new(&format!(
        "  app:
    tools: [cc]
    trace: strict
    cache: {{inputs: [{}], outputs: [out/]}}
    run: sh build.sh
",
        inputs.join(", ")
    ));
    project.file("src/own.h", "\n");
    project.file(
        "src/main.c",
        "#include \"own.h\"\n#include \"main.h\"\nint main(void) { return other() - VALUE; }\n",
    );
    project.file("src/other.c", "#include \"value.h\"\nint other(void) { return VALUE; }\n");
    project.file("include/main.h", "#include \"value.h\"\nint other(void);\n");
    project.file("gen/value.h", "#define VALUE 3\n");
    project.file("flags.txt", "-O1\n");
    project.file(
        "build.sh",
        "mkdir -p out\nfor f in main other; do cc $(cat flags.txt) -Iinclude -Igen -c src/$f.c -o out/$f.o; done\nar rcs out/all.a out/*.o\n",
    );
    project
}

/// "removing any single declared input makes `trace: strict` refuse to cache and name it"
#[test]
fn every_single_missing_input_is_refused_and_named() {
    let project = c_project(&INPUTS);
    project.good(&["app"]);
    assert!(project.good(&["app"]).out.contains("1 cached"), "with all inputs it is cached");
    for (at, missing) in INPUTS.iter().enumerate() {
        let inputs: Vec<&str> =
            INPUTS.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, input)| *input).collect();
        let project = c_project(&inputs);
        let ran = project.good(&["app"]);
        let file = match *missing {
            "src/*.{h,gch}" => "src/own.h",
            "include/**" => "include/main.h",
            "gen/**" => "gen/value.h",
            file => file,
        };
        assert!(ran.out.contains(&format!("not cached: undeclared input `{file}`")), "{missing}: {ran:#?}");
        assert!(ran.err.contains(&format!("reads `{file}`")), "{missing}: {ran:#?}");
        assert!(project.good(&["app"]).out.contains("0 cached"), "{missing}: nothing was recorded");
    }
}

fn not_cached(recipe: &str, files: &[&str]) -> String {
    let project = Project::new(&format!("  make:\n    trace: strict\n{recipe}"));
    for file in files {
        project.file(file, "x");
    }
    let ran = project.good(&["make"]);
    let text = ran.out.split("not cached: ").nth(1).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

/// "reads, failed look-ups and directory listings outside the declared inputs … and writes in the project outside the
/// declared outputs"
#[test]
fn look_ups_listings_and_writes_count() {
    let of = |run: &str, inputs: &str, files: &[&str]| {
        not_cached(&format!("    cache: {{inputs: [{inputs}], outputs: []}}\n    run: {run}\n"), files)
    };
    assert_eq!(of("cat a", "a", &["a"]), "");
    assert_eq!(of("test -e b || true", "a", &["a"]), "undeclared input `b`");
    assert_eq!(of("test -e b || true", "a, b", &["a"]), "", "a literal input may be absent");
    assert_eq!(of("test -e d/b || true", "'d/*'", &["d/a"]), "");
    assert_eq!(of("test -e $HOME/.config || true", "a", &["a"]), "undeclared input `~/.config`");
    assert_eq!(
        of("ls d", "d/a", &["d/a"]),
        "undeclared input `d/`",
        "another name would be seen by the command alone"
    );
    assert_eq!(of("ls d", "'d/*'", &["d/a"]), "");
    assert_eq!(of("ls d", "'d/*.c'", &["d/a.c", "d/b.h"]), "undeclared input `d/`");
    assert_eq!(of("echo x > stray", "a", &["a"]), "undeclared output `stray`");
    assert_eq!(of("echo x > stray; rm stray", "a", &["a"]), "", "a scratch file is nobody's");
    assert_eq!(of("echo x > $HOME/mine", "a", &["a"]), "", "only the project is in question");
    assert_eq!(of("rm a", "", &["a"]), "undeclared input `a` (+1)");
    assert_eq!(
        of("cp a t; mv -n t b; rm -f t", "a", &["a", "b"]),
        "undeclared input `b`",
        "it was not replaced"
    );
    assert_eq!(of("stat -f b || true", "a", &["a"]), "undeclared input `b`");
    let socket = |call: &str| {
        let python = format!("import socket; s = socket.socket(socket.AF_UNIX); {call}");
        of(&format!("PATH=/usr/bin:/bin python3 -IS -c '{python}' 2> /dev/null || true"), "a", &["a"])
    };
    assert_eq!(socket(r#"s.connect("b")"#), "undeclared input `b`");
    assert_eq!(socket(r#"s.connect("\0b")"#), "", "an abstract name is no path");
    assert_eq!(socket(r#"s.bind("b")"#), "undeclared output `b`");
}

/// What did not happen gives the command nothing: a folder that could not be removed or replaced is still not its own.
#[test]
fn calls_that_fail_hide_nothing() {
    let of = |run: &str| {
        let recipe = format!("    cache: {{inputs: [a], outputs: []}}\n    run: |\n      {run}\n");
        not_cached(&recipe, &["a", "d/b", "d/c"])
    };
    assert_eq!(of("rmdir d 2> /dev/null || true; cat d/b"), "undeclared input `d/b`");
    let python =
        |what: &str| of(&format!("PATH=/usr/bin:/bin python3 -IS -c '{what}; open(\"d/b\").read()'"));
    let tried = "import os, contextlib as c\n      with c.suppress(OSError): ";
    assert_eq!(python(&format!("{tried}os.remove(\"d\")\n      0")), "undeclared input `d/b`");
    let renamed =
        format!("import os; os.mkdir(\"t\")\n      {tried}os.rename(\"t\", \"d\")\n      os.rmdir(\"t\")");
    assert_eq!(python(&renamed), "undeclared input `d/b`");
    let exchanged = of(
        "echo > t; PATH=/usr/bin:/bin python3 -IS -c 'import ctypes; ctypes.CDLL(None).renameat2(-100, b\"t\", -100, b\"d/c\", 2)'; cat t",
    );
    assert!(exchanged.starts_with("undeclared input `d/c`"), "{exchanged}");
    assert_eq!(of("echo > f; rm f; rmdir n 2> /dev/null || true"), "undeclared input `n`");
}

/// A link with another name leads from there.
#[test]
fn links_that_are_moved_lead_elsewhere() {
    for call in
        ["ln -P s/l new", "cp -P s/l t; mv t new", "mkdir u; ln -s ../b u/l; mv u new; cat new/l; false ||"]
    {
        let project = Project::new(&format!(
            "  make:\n    trace: strict\n    cache: {{inputs: ['s/**'], outputs: []}}\n    run: |\n      {call}\n      cat new || true\n      rm -r new\n"
        ));
        project.file("b", "x");
        project.file("s/b", "y");
        project.link("b", "s/l");
        let ran = project.good(&["make"]);
        assert!(ran.err.contains("reads `b`") && ran.out.contains("not cached"), "{call}: {ran:#?}");
    }
}

/// "a link on the way": what it leads to counts, and the link itself.
#[test]
fn links_are_gone_through() {
    let project = Project::new(
        "  make:
    trace: strict
    cache: {inputs: ['src/*'], outputs: []}
    run: cat src/link ../outer/a
",
    );
    project.file("src/a", "x");
    project.file("other/b", "x");
    project.link("../other/b", "src/link");
    project.shell("ln -s \"$PWD\"/other ../outer; cp other/b other/a");
    let ran = project.good(&["make"]);
    assert!(
        ran.out.contains("undeclared input `other/a`\n"),
        "through a link outside of the project: {ran:#?}"
    );
}

/// Outputs of direct dependencies are declared by depending on it; those of others are not.
#[test]
fn outputs_of_direct_dependencies_are_declared() {
    let chain = |reads: &str| {
        format!(
            "  a: {{run: echo a > a.out, cache: {{inputs: [], outputs: [a.out]}}}}
  b: {{run: cp a.out b.out, dependencies: [a], cache: {{inputs: [], outputs: [b.out]}}, trace: strict}}
  make: {{run: cat {reads}, dependencies: [b], cache: {{inputs: [], outputs: []}}, trace: strict}}
"
        )
    };
    let ran = Project::new(&chain("b.out")).good(&["make"]);
    assert!(!ran.out.contains("not cached"), "{ran:#?}");
    let ran = Project::new(&chain("a.out")).good(&["make"]);
    assert!(ran.out.contains("undeclared input `a.out`"), "{ran:#?}");
}

/// "`warn` names them"; what cannot change the result is taken out of question.
#[test]
fn warn_names_and_caches_and_patterns_are_not_in_question() {
    let recipe = |trace: &str| {
        format!(
            "  make: {{run: cat a b d/x $HOME/c/y, trace: {trace}, cache: {{inputs: [a], outputs: []}}}}\n"
        )
    };
    let project = Project::new(&recipe("warn"));
    for file in ["a", "b", "d/x", "../user/c/y"] {
        project.file(file, "x");
    }
    let ran = project.good(&["make"]);
    assert!(
        ran.err.contains("app:make: it touches what it does not declare: reads `b`, `d/x`, `~/c/y`"),
        "{ran:#?}"
    );
    assert!(!ran.out.contains("not cached"), "{ran:#?}");
    // A result that was recorded without strictness is none with it.
    project.recipes(&recipe("{mode: strict, ignore: [b, 'd/**']}"));
    let ran = project.good(&["make"]);
    assert!(ran.out.contains("not cached: undeclared input `~/c/y`\n"), "{ran:#?}");
    project.recipes(&recipe("{mode: strict, ignore: [b, 'd/**', '~/c']}"));
    let ran = project.good(&["make"]);
    assert!(!ran.out.contains("not cached") && ran.err.is_empty(), "{ran:#?}");
    assert!(project.good(&["make"]).out.contains("1 cached"));
}

/// "when the trace is incomplete nothing is cached; a task is never broken by tracing"
#[test]
fn an_incomplete_trace_is_not_cached() {
    let project = Project::new(
        "  make: {run: ./ring, trace: warn, cache: {inputs: [ring], outputs: []}}
",
    );
    project.file(
        "ring.c",
        "#include <sys/syscall.h>\n#include <unistd.h>\nint main(void) { char p[120] = {0}; syscall(SYS_io_uring_setup, 4, p); return 0; }\n",
    );
    project.shell("cc ring.c -o ring");
    let ran = project.good(&["make"]);
    assert!(ran.out.contains("not cached: its trace is incomplete: it uses io_uring"), "{ran:#?}");
    assert!(project.good(&["make"]).out.contains("0 cached"));
}

/// "Nested traced `larder run` must not break": the inner one is observed twice, in two ways.
#[test]
fn a_nested_run_is_observed_within_an_observed_one() {
    let larder = env!("CARGO_BIN_EXE_larder");
    let project = Project::new(&format!(
        "  outer: {{run: '{larder} run inner', trace: warn, cache: {{inputs: [], outputs: []}}}}
  inner: {{run: cat secret > out, trace: strict, cache: {{inputs: [], outputs: [out]}}}}
"
    ));
    project.file("secret", "x");
    let ran = project.good(&["outer", "--output", "stream"]);
    assert!(ran.out.contains("undeclared input `secret`"), "the inner run saw it: {ran:#?}");
    let outer = ran.err.lines().find(|line| line.contains("app:outer")).unwrap_or_default();
    assert!(outer.contains("`secret`"), "and so did the outer one: {ran:#?}");
    assert!(!ran.out.contains("incomplete"), "{ran:#?}");
    assert_eq!(project.read("out"), "x");
}

/// "orphan children after … `kill -9`", while they are observed.
#[test]
fn nothing_that_is_observed_survives_kill_9() {
    let project = Project::new(
        "  make:
    cache: {inputs: [], outputs: []}
    run: |
      setsid sh -c 'echo $$ >> $HOME/pids; while :; do cat /etc/hostname > /dev/null; done' &
      sh -c 'echo $$ >> $HOME/pids; exec sleep 300' &
      while test \"$(cat $HOME/pids 2>/dev/null | wc -l)\" -lt 2; do sleep 0.01; done
      touch $HOME/reached
      sleep 300
",
    );
    project.file("larder.yml", "name: demo\nconfig: {trace: warn}\n");
    let running = project.start(&["make"]);
    project.wait_for("reached");
    let pids = std::fs::read_to_string(project.user().join("pids")).unwrap();
    assert!(pids.lines().all(lives), "the test itself: all live");
    running.signal(Signal::KILL);
    assert_eq!(running.end().code, None);
    wait_until("the end of all children", || !pids.lines().any(lives));
}

/// What nobody may look at runs unobserved, and is not cached: a set-uid program has no privileges while it is observed.
#[test]
fn a_set_uid_program_does_what_it_does() {
    if !rustix::process::geteuid().is_root() {
        return larder_testing::skipped("observing a set-uid program: only root can make one");
    }
    let project = Project::new(
        "  make:
    trace: strict
    cache: {inputs: [who], outputs: [out]}
    run: ./who -u > out; test \"$(cat out)\" = 0
",
    );
    let by = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let base = project.base();
    project.shell(
        "cp $(command -v id) who; chmod -R a+rwX ..; chown -R 65534:65534 ..; chown 0:0 who; chmod 4755 who",
    );
    let can = std::process::Command::new(by[0])
        .args(&by[1..])
        .args(["sh", "-c", "test \"$(./who -u)\" = 0"])
        .current_dir(&project.root)
        .status();
    if !can.is_ok_and(|status| status.success()) {
        let why = "there is no `setpriv`, or the folder for temporary files allows none";
        return larder_testing::skipped(&format!("observing a set-uid program: {why}"));
    }
    assert!(base.exists());
    let ran = project.run_by(&by, &["make"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(project.read("out"), "0\n");
    assert!(
        ran.out.contains("not cached: its trace is incomplete: it runs a program with privileges"),
        "{ran:#?}"
    );
}

/// `tools: [cargo]` says which program it is, and nothing of what somebody told it.
#[test]
fn settings_beside_a_tool_are_undeclared() {
    let of = |reads: &str, ignore: &str| {
        let project = Project::new(&format!(
            "  make:
    trace: {{mode: strict, ignore: [{ignore}]}}
    tools: [cargo]
    cache: {{inputs: [], outputs: []}}
    run: cargo {reads}
"
        ));
        project.file("../user/.cargo/bin/cargo", "#!/bin/sh\nfor f; do cat ~/.cargo/$f; done\n");
        for file in ["registry/src/lib.rs", "config.toml", "credentials.toml", "bin/other"] {
            project.file(format!("../user/.cargo/{file}"), "x");
        }
        project.shell("chmod +x ../user/.cargo/bin/cargo");
        let path = std::env::var("PATH").unwrap();
        let ran = project
            .with("PATH", format!("{}:{path}", project.user().join(".cargo/bin").display()))
            .good(&["make"]);
        let text = ran.out.split("not cached: ").nth(1).unwrap_or_default();
        text.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(of("registry/src/lib.rs", ""), "");
    assert_eq!(of("config.toml", ""), "undeclared input `~/.cargo/config.toml`");
    assert_eq!(of("credentials.toml", ""), "undeclared input `~/.cargo/credentials.toml`");
    assert_eq!(of("bin/other", ""), "undeclared input `~/.cargo/bin/other`");
    assert_eq!(of("config.toml", "'~/.cargo/config*'"), "");
}

/// The events say what was seen.
#[test]
fn json_tells_what_is_undeclared() {
    let project = Project::new("  make: {run: cat a, trace: strict, cache: {inputs: [], outputs: []}}\n");
    project.file("a", "x");
    let ran = project.good(&["make", "--json"]);
    let line = ran.out.lines().find(|line| line.contains("\"traced\"")).unwrap_or_default();
    assert!(line.contains(r#""undeclared":[{"path":"a","how":"read"}]"#), "{line}");
}

#[test]
fn a_mistake_in_trace_is_told() {
    for trace in ["loud", "[strict]", "{mode: loud}", "{modes: strict}", "{mode: strict, ignore: ['/etc']}"] {
        let project = Project::new(&format!("  make: {{run: x, trace: {trace}, cache: {{inputs: []}}}}\n"));
        let ran = project.run(&["make"]);
        assert_eq!(ran.code, Some(1), "{trace}: {ran:#?}");
        assert!(ran.err.contains("cookbook.yml:3"), "{trace}: {ran:#?}");
    }
}
