//! What counts as an input, and that it is what was built.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::world::Project;

/// A recipe that lists and joins all of `src`, with these inputs.
fn joining(inputs: &str) -> Project {
    let project = Project::new(&format!(
        "  make:
    cache: {{inputs: [{inputs}], outputs: [out]}}
    run: |
      echo >> $HOME/make
      cat $(find src -type f | LC_ALL=C sort) > out
"
    ));
    project.file("src/a", "a");
    project
}

/// "Explicitly listed inputs count even when git ignores them"; "ignored inputs not hashed"; "a literal path always counts"
#[test]
fn listed_inputs_count_even_when_git_ignores_them() {
    let project = joining("src/generated, 'src/deep/**'");
    project.file(".gitignore", "generated\ndeep/\n");
    project.file("src/generated", "1");
    project.file("src/deep/x", "1");
    project.git();
    project.good(&[]);
    project.file("src/generated", "2");
    assert_eq!(project.good(&[]).executed(), 1, "a literal path always counts");
    project.file("src/deep/x", "2");
    assert_eq!(project.good(&[]).executed(), 1, "ignore files do not apply to what the literal part names");
    assert_eq!(project.good(&[]).executed(), 0);
}

/// "Ignore files apply to what a glob's wildcards find"
#[test]
fn wildcards_do_not_find_what_is_ignored() {
    let project = joining("'src/**'");
    project.file(".gitignore", "*.tmp\n");
    project.git();
    project.good(&[]);
    project.file("src/x.tmp", "noise");
    assert_eq!(project.good(&[]).executed(), 0);
    project.file("src/x", "signal");
    assert_eq!(project.good(&[]).executed(), 1);
}

/// "`!` globs"
#[test]
fn exclusions_are_applied_and_nothing_else_is_excluded() {
    let project = joining("'src/**', '!src/**/*.md', '!src/skip/'");
    project.good(&[]);
    for path in ["src/a.md", "src/deep/b.md", "src/skip/c"] {
        project.file(path, "new");
        assert_eq!(project.good(&[]).executed(), 0, "{path} is excluded");
    }
    for path in ["src/deep/d", "src/skipper", "src/md"] {
        project.file(path, "new");
        assert_eq!(project.good(&[]).executed(), 1, "{path} is not excluded");
    }
}

/// "Omitted `inputs` means the cookbook's folder, less ignored files and what recipes of this cookbook declare as outputs"
#[test]
fn omitted_inputs_are_the_folder_less_ignored_and_declared_outputs() {
    let project = Project::new(
        "  make:
    cache: {outputs: [out]}
    run: |
      echo >> $HOME/make
      cat a* > out
  other:
    cache: {inputs: [], outputs: [made/]}
    run: mkdir -p made; date +%N > made/x
",
    );
    project.file(".gitignore", "*.log\n");
    project.file("a", "1");
    project.good(&["make"]);
    project.good(&["other"]);
    project.file("x.log", "noise");
    assert_eq!(project.good(&["make"]).executed(), 0, "ignored, or made by another recipe");
    project.file("a2", "2");
    assert_eq!(project.good(&["make"]).executed(), 1);
    project.file("deep/er/b", "3");
    assert_eq!(project.good(&["make"]).executed(), 1);
}

/// "A recipe's own outputs (literal ones always, globs as recorded) are never its inputs (`inputs: ['**']` works)"
#[test]
fn everything_as_input_works_with_outputs_of_its_own() {
    let project = Project::new(
        "  make:
    cache: {inputs: ['**'], outputs: [out, 'gen/*.txt', dir/]}
    run: |
      echo >> $HOME/make
      mkdir -p gen dir
      cat src/* > out; cp out gen/a.txt; cp out dir/b
",
    );
    project.file("src/a", "1");
    project.good(&[]);
    for _ in 0..2 {
        assert_eq!(project.good(&[]).executed(), 0);
    }
    project.file("src/a", "2");
    assert_eq!(project.good(&[]).executed(), 1);
    assert_eq!((project.read("gen/a.txt"), project.read("dir/b")), ("2".into(), "2".into()));
    project.file("src/a", "1");
    assert_eq!(project.good(&[]).executed(), 0, "outputs of the second are no inputs of the first");
    assert_eq!(project.read("out"), "1");
    project.file("gen/hand.txt", "not recorded: an input");
    assert_eq!(project.good(&[]).executed(), 1);
}

/// "a recipe that rewrites its inputs is not cached"
#[test]
fn a_recipe_that_rewrites_its_inputs_is_not_cached() {
    let project = Project::new(
        "  make:
    cache: {inputs: [in], outputs: [out]}
    run: |
      echo >> $HOME/make
      cp in out; echo more >> in
",
    );
    project.file("in", "one\n");
    project.good(&[]).says("not cached");
    project.file("in", "one\n");
    assert_eq!(project.good(&[]).executed(), 1, "nothing was recorded for `one`");
    assert_eq!(project.count("make"), 2);
}

/// "an input edited while its recipe runs, recorded as if it had been built"
#[test]
fn an_input_edited_while_its_recipe_runs_is_not_recorded() {
    let project = Project::new(
        "  make:
    cache: {inputs: [in], outputs: [out]}
    run: |
      echo >> $HOME/make
      cp in out
      touch $HOME/reached; while ! test -e $HOME/go; do sleep 0.01; done
",
    );
    project.file("in", "old");
    let running = project.start(&[]);
    project.wait_for("reached");
    project.file("in", "new");
    project.let_go("go");
    running.end().good().says("not cached: an input changed while it ran");
    assert_eq!(project.good(&[]).executed(), 1, "`new` was never built");
    assert_eq!(project.read("out"), "new");
    project.file("in", "old");
    assert_eq!(project.good(&[]).executed(), 1, "`old` was not recorded");
    assert_eq!(project.read("out"), "old");
}

/// The same, put back before the recipe ended: it may have read what was there in between.
#[test]
fn an_input_edited_and_put_back_while_its_recipe_runs_is_not_recorded() {
    let project = Project::new(
        "  make:
    cache: {inputs: [in], outputs: [out]}
    run: |
      echo >> $HOME/make
      touch $HOME/reached; while ! test -e $HOME/go; do sleep 0.01; done
      cp in out
      touch $HOME/copied; while ! test -e $HOME/on; do sleep 0.01; done
",
    );
    project.file("in", "old");
    let running = project.start(&[]);
    project.wait_for("reached");
    project.file("in", "new");
    project.let_go("go");
    project.wait_for("copied");
    project.file("in", "old");
    project.let_go("on");
    running.end().good();
    project.good(&[]);
    assert_eq!(project.read("out"), "old", "what was built from `new` is a hit for `old`");
}

/// "Inputs and dependency outputs are checked again after the run: if one changed meanwhile, nothing is cached"
#[test]
fn a_dependency_changed_while_its_dependent_runs_is_not_recorded() {
    let project = Project::new(
        "  dep:
    cache: {inputs: [in], outputs: [dep]}
    run: cp in dep
  make:
    dependencies: [dep]
    cache: {inputs: [], outputs: [out]}
    run: |
      echo >> $HOME/make
      touch $HOME/reached; while ! test -e $HOME/go; do sleep 0.01; done
      cp dep out
",
    );
    project.file("in", "right");
    let running = project.start(&["make"]);
    project.wait_for("reached");
    project.file("dep", "wrong");
    project.let_go("go");
    running.end().good().says("not cached");
    assert_eq!(project.read("out"), "wrong", "that is what it read");
    project.good(&["make"]);
    assert_eq!((project.read("dep"), project.read("out")), ("right".into(), "right".into()));
    assert_eq!(project.count("make"), 2);
}

/// "file names that are not UTF-8", as inputs
#[test]
fn inputs_with_names_that_are_not_utf8_count() {
    let project = joining("'src/**'");
    let name = OsStr::from_bytes(b"src/caf\xe9");
    project.file(name, "1");
    project.good(&[]);
    assert_eq!(project.good(&[]).executed(), 0);
    project.file(name, "2");
    assert_eq!(project.good(&[]).executed(), 1);
    assert_eq!(project.read("out"), "a2");
    std::fs::rename(project.path(name), project.path(OsStr::from_bytes(b"src/caf\xe8"))).unwrap();
    assert_eq!(project.good(&[]).executed(), 1, "another name");
}

/// "a link cycle … among the inputs"
#[test]
fn link_cycles_among_the_inputs_do_not_hang() {
    let project = joining("'src/**'");
    project.link("b", "src/c");
    project.link("c", "src/b");
    project.link(".", "src/self");
    project.link("../src", "src/around");
    let ran = project.run(&[]);
    assert!(ran.code == Some(0) || !ran.err.is_empty(), "goes on, or says what is wrong: {ran:#?}");
    if ran.code == Some(0) {
        project.file("src/a", "2");
        project.good(&[]);
        assert_eq!(project.read("out"), "2");
    }
}

/// "… or a FIFO among the inputs"
#[test]
fn a_fifo_among_the_inputs_does_not_hang() {
    for inputs in ["'src/**'", "src/pipe, src/a"] {
        let project = joining(inputs);
        project.shell("mkfifo src/pipe");
        let ran = project.run(&[]);
        match ran.code {
            Some(0) => {
                project.file("src/a", "2");
                project.good(&[]);
                assert_eq!(project.read("out"), "2");
            }
            code => assert!(
                matches!(code, Some(1 | 2)) && ran.all().contains("src/pipe"),
                "the error names it: {ran:#?}"
            ),
        }
    }
}

/// "An input that cannot be read is an error, not a warning"
#[test]
fn an_input_that_cannot_be_read_is_an_error() {
    let project = joining("'src/**'");
    project.file("src/secret", "x");
    project.chmod("src/secret", 0);
    let ran = if rustix::process::geteuid().is_root() {
        project.shell("chmod -R a+rX,o+w .. && chmod 0 src/secret && chmod 755 .. && chown -R 65534 ..");
        let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"];
        project.run_by(&nobody, &[])
    } else {
        project.run(&[])
    };
    assert!(matches!(ran.code, Some(1 | 2)), "{ran:#?}");
    assert_eq!(project.count("make"), 0, "it must not even run");
    assert!(ran.all().contains("src/secret"), "{ran:#?}");
}

/// "a listed input that another recipe of the plan writes without being a dependency … errors that name both"
#[test]
fn an_input_made_by_a_recipe_that_is_no_dependency_is_an_error() {
    let recipes = "  one:
    cache: {inputs: [], outputs: [made/]}
    run: mkdir -p made; echo > made/x
  two:
    cache: {inputs: [made/x], outputs: [out]}
    run: cp made/x out
";
    let project = Project::new(recipes);
    let ran = project.run(&[]).ends(1);
    assert!(ran.err.contains("app:one") && ran.err.contains("app:two"), "{ran:#?}");
    assert!(!project.has("made") && !project.has("out"), "nothing ran");
    let indirect = recipes.replace(
        "  two:\n",
        "  middle: {dependencies: [one], run: ':'}\n  two:\n    dependencies: [middle]\n",
    );
    project.recipes(&indirect);
    project.good(&[]);
}

/// Covered by an output pattern and taken out again by `!`, a file is no output: so it is an input like any other.
#[test]
fn a_file_that_outputs_exclude_is_an_input() {
    for cache in
        ["{outputs: ['gen/**', '!gen/keep.txt']}", "{inputs: ['**'], outputs: [gen, '!gen/keep.txt']}"]
    {
        let project = Project::new(&format!(
            "  make:
    cache: {cache}
    run: |
      echo >> $HOME/make
      mkdir -p gen
      tr a-z A-Z < gen/keep.txt > gen/made.txt
"
        ));
        project.file("gen/keep.txt", "one");
        project.good(&[]);
        assert_eq!(project.read("gen/made.txt"), "ONE");
        assert_eq!(project.good(&[]).executed(), 0, "{cache}");
        project.file("gen/keep.txt", "two");
        assert_eq!(project.good(&[]).executed(), 1, "{cache}");
        assert_eq!(project.read("gen/made.txt"), "TWO");
        project.remove("gen/made.txt");
        assert_eq!(project.good(&[]).executed(), 0, "{cache}");
        assert_eq!(
            (project.read("gen/made.txt"), project.read("gen/keep.txt")),
            ("TWO".into(), "two".into())
        );
    }
}

/// What a person saves beside the outputs while the command runs cannot be told from what the command makes there; what they save later can.
#[test]
fn a_file_that_came_during_a_run_is_an_input_once_it_is_edited() {
    let project = Project::new(
        "  make:
    cache: {inputs: ['**'], outputs: [gen, '!gen/keep']}
    run: |
      echo >> $HOME/make
      mkdir -p gen
      test -e gen/keep || cat $HOME/saved > gen/keep
      cat gen/keep in > gen/made
",
    );
    project.file("in", "1\n");
    project.file("../user/saved", "one\n");
    project.good(&[]);
    assert_eq!(project.good(&[]).executed(), 0, "it is the recipe's own");
    project.file("gen/keep", "two\n");
    assert_eq!(project.good(&[]).executed(), 1, "somebody edited it");
    assert_eq!(project.read("gen/made"), "two\n1\n");
    assert_eq!(project.good(&[]).executed(), 0, "and that is in the key");
    project.file("gen/keep", "three\n");
    assert_eq!(project.good(&[]).executed(), 1);
    project.file("gen/keep", "two\n");
    assert_eq!(project.good(&[]).executed(), 0, "as before");
    assert_eq!(project.read("gen/made"), "two\n1\n");
}

/// A scratch file with another content each time is the recipe's all the same, and `larder clean` forgets whose it was.
#[test]
fn scratch_beside_outputs_is_nobodys_input() {
    let project = Project::new(
        "  make:
    cache: {inputs: ['**'], outputs: [gen, '!gen/log']}
    run: |
      echo >> $HOME/make
      mkdir -p gen
      date +%N > gen/log
      cp in gen/made
",
    );
    for content in ["1", "2", "3"] {
        project.file("in", content);
        let ran = project.good(&[]);
        assert!(ran.executed() == 1 && !ran.out.contains("not cached"), "{content}: {ran:#?}");
        assert_eq!(project.good(&[]).executed(), 0, "{content}");
    }
    let cleaned = project.larder(&["clean", "make"]);
    assert_eq!(cleaned.code, Some(0), "{cleaned:#?}");
    let ran = project.good(&[]);
    let why = "not cached: an input changed while it ran: `gen/log`, which is no output";
    assert!(ran.out.contains(why), "{ran:#?}");
    project.remove("gen/log");
    assert_eq!(project.good(&[]).executed(), 0);
}

/// A name with brackets, braces or a leading `!` is a name, listed or from a matrix: `pages/[id].tsx` is common.
#[test]
fn odd_names_are_no_patterns() {
    let project = Project::new(
        "  each:
    matrix: {f: {glob: 'src/*.c'}}
    cache: {inputs: ['{{matrix.f}}'], outputs: ['{{matrix.f}}.o']}
    run: |
      echo >> $HOME/make
      cp ./{{sh matrix.f}} ./{{sh matrix.f}}.o
  page:
    cache: {inputs: ['pages/[id].tsx'], outputs: ['out/[id].js', 'dist[x]']}
    run: |
      echo >> $HOME/make
      mkdir -p out 'dist[x]'
      cp 'pages/[id].tsx' 'out/[id].js'
      cp 'pages/[id].tsx' 'dist[x]/f'
",
    );
    let names = ["[id].c", "b{x,y}.c", "!x.c", "c*.c", "d?.c", "plain.c"];
    for name in names {
        project.file(format!("src/{name}"), "1");
    }
    project.file("pages/[id].tsx", "1");
    project.good(&[]);
    assert_eq!(project.good(&[]).executed(), 0);
    for name in names {
        project.file(format!("src/{name}"), "2");
        assert_eq!(project.good(&[]).executed(), 1, "{name}");
        assert_eq!(project.read(format!("src/{name}.o")), "2", "{name}");
        project.remove(format!("src/{name}.o"));
        assert_eq!(project.good(&[]).executed(), 0, "{name}");
        assert_eq!(project.read(format!("src/{name}.o")), "2", "{name}");
    }
    project.file("pages/[id].tsx", "2");
    assert_eq!(project.good(&[]).executed(), 1);
    for output in ["out/[id].js", "dist[x]/f"] {
        assert_eq!(project.read(output), "2");
        project.remove(output);
    }
    assert_eq!(project.good(&[]).executed(), 0);
    assert_eq!((project.read("out/[id].js"), project.read("dist[x]/f")), ("2".into(), "2".into()));
}
