//! What comes out of a sandbox.

use std::os::unix::fs::PermissionsExt;

use crate::world::{World, all};

const MAKE: &str = "  make:
    cache: {inputs: [in.txt], outputs: [dist, one/deep/file.txt, 'gen/**/*.h', '*.log', '!dist/scratch']}
    sandbox: true
    run: |
      mkdir -p dist/empty dist/sub dist/private gen/x/y
      cp in.txt dist/sub/file; chmod 750 dist/sub/file; chmod 700 dist/private
      ln -s sub/file dist/link; ln -s /nowhere dist/dangling
      echo s > dist/scratch
      echo 1 > one/deep/file.txt
      echo h > gen/x/y/a.h; echo c > gen/x/y/a.c
      echo l > run.log
      echo stray > stray.txt; mkdir -p many; touch many/1 many/2 src.tmp
";

fn seen(world: &World) -> String {
    let script = "find dist one gen *.log -printf '%y %m %p %l\\n' | sort";
    let found =
        std::process::Command::new("sh").args(["-c", script]).current_dir(world.project.root()).output();
    String::from_utf8_lossy(&found.expect("sh is there").stdout).into_owned()
}

const MADE: &str = "d 700 dist/private \nd 755 dist \nd 755 dist/empty \nd 755 dist/sub \nd 755 gen \nd 755 gen/x \nd 755 gen/x/y \nd 755 one \nd 755 one/deep \nf 644 gen/x/y/a.h \nf 644 one/deep/file.txt \nf 644 run.log \nf 750 dist/sub/file \nl 777 dist/dangling /nowhere\nl 777 dist/link sub/file\n";

#[test]
fn outputs_of_all_kinds_are_collected_and_a_hit_brings_the_same() {
    World::each(MAKE, &[("in.txt", "in\n")], |world| {
        let ran = world.run(&["make"]).good();
        assert_eq!(seen(world), MADE);
        let strays = "dropped: `gen/x/y/a.c`, `many/`, `src.tmp`, 1 more";
        assert!(all(&ran).contains(strays), "{}", all(&ran));
        assert!(!world.has("stray.txt") && !world.has("many"));
        assert!(all(&world.run(&["make"]).good()).contains("1 cached"));
        std::fs::remove_dir_all(world.project.path("dist")).expect("it is there");
        std::fs::remove_file(world.project.path("run.log")).expect("it is there");
        assert!(all(&world.run(&["make"]).good()).contains("1 cached"));
        assert_eq!(seen(world), MADE);
        // Again, over what is there.
        let _ = world.run(&["make", "--force"]).good();
        assert_eq!(seen(world), MADE);
        assert_eq!(world.staged(), [""; 0]);
    });
}

#[test]
fn of_a_failed_command_nothing_comes_into_the_project() {
    let recipes = "  make:
    cache: {inputs: [], outputs: [dist, '*.o']}
    sandbox: true
    run: mkdir dist; echo x > dist/x; echo o > a.o; exit 3
  silent:
    cache: {inputs: [], outputs: [never.txt]}
    sandbox: true
    run: 'true'
  slow:
    cache: {inputs: [], outputs: [x]}
    sandbox: true
    timeout: 300ms
    run: touch x; sleep 20
";
    World::each(recipes, &[], |world| {
        let ran = world.run(&["make"]);
        assert_eq!(ran.code(), 2);
        assert!(all(&ran).contains("exit code 3"), "{}", all(&ran));
        let ran = world.run(&["silent"]);
        assert_eq!(ran.code(), 2);
        assert!(all(&ran).contains("did not make its output `never.txt`"), "{}", all(&ran));
        let ran = world.run(&["slow"]);
        assert_eq!(ran.code(), 2);
        assert!(all(&ran).contains("timed out"), "{}", all(&ran));
        assert!(!world.has("dist") && !world.has("a.o") && !world.has("x"));
        assert_eq!(world.staged(), [""; 0]);
    });
}

#[test]
fn outputs_beside_inputs_in_one_folder() {
    let recipes = "  make:
    cache: {inputs: ['**/*.c'], outputs: ['**/*.o']}
    sandbox: true
    run: for f in $(find . -name '*.c'); do cp $f ${f%.c}.o; done
";
    World::each(recipes, &[("a.c", "a"), ("x/b.c", "b"), ("x/y/c.c", "c"), ("x/no.txt", "n")], |world| {
        let ran = world.run(&["make"]).good();
        assert!(!all(&ran).contains("warning"), "{}", all(&ran));
        assert_eq!(["a.o", "x/b.o", "x/y/c.o"].map(|path| world.project.read(path)), ["a", "b", "c"]);
        let mode = world.project.path("x/b.o").metadata().expect("it was made").permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
        assert!(all(&world.run(&["make"]).good()).contains("1 cached"));
    });
}

#[test]
fn an_input_among_outputs_is_there_and_stays() {
    let recipes = "  make:
    cache: {inputs: ['gen/keep.txt'], outputs: ['gen/**', '!gen/keep.txt']}
    sandbox: true
    run: cat gen/keep.txt > gen/made.txt
";
    World::each(recipes, &[("gen/keep.txt", "k")], |world| {
        let ran = world.run(&["make"]).good();
        assert!(!all(&ran).contains("dropped"), "{}", all(&ran));
        assert_eq!(world.project.read("gen/made.txt"), "k");
        assert_eq!(world.project.read("gen/keep.txt"), "k");
        assert!(all(&world.run(&["make"]).good()).contains("1 cached"));
    });
}

#[test]
fn a_retry_begins_with_a_new_sandbox() {
    let recipes = "  make:
    cache: {inputs: [], outputs: [out]}
    sandbox: true
    retries: 1
    run: ls -A; touch out left; test -e /proc/self/never
";
    World::each(recipes, &[], |world| {
        let ran = world.run(&["make", "--output", "stream"]);
        assert_eq!(ran.code(), 2);
        assert!(!all(&ran).contains("| left"));
    });
}
