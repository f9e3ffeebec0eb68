//! A recipe that fails leaves the project as it was: what stood in the place of outputs, and no folder for them.

use std::os::unix::fs::PermissionsExt;

use crate::world::{World, all};

/// Everything in the project but Larder's own: kind, permissions, inode, time, size, place.
fn seen(world: &World) -> String {
    let script =
        "find . -path ./.larder -prune -o ! -name '*cook*' -printf '%y %m %i %T@ %s %p %l\\n' | sort -k 6";
    let mut command = std::process::Command::new("sh");
    let found = command.args(["-c", script]).current_dir(world.project.root()).output();
    let text = String::from_utf8_lossy(&found.expect("sh is there").stdout).into_owned();
    // A folder's own time and size tell that something was there for a moment; only names count.
    let of_folder = |line: &str| {
        line.split(' ')
            .enumerate()
            .filter(|(at, _)| !matches!(at, 3 | 4))
            .fold(String::new(), |text, (_, part)| text + part + " ")
    };
    text.lines()
        .map(|line| if line.starts_with('d') { of_folder(line) } else { line.to_owned() } + "\n")
        .collect()
}

/// Runs `recipe`, which must fail with `message`, and compares the project before and after.
#[track_caller]
fn fails(world: &World, recipe: &str, message: &str) {
    let before = seen(world);
    let ran = world.run(&[recipe]);
    assert_eq!(ran.code(), 2, "{}", all(&ran));
    assert!(all(&ran).contains(message), "`{message}` is not in: {}", all(&ran));
    assert!(!all(&ran).contains("moved away"), "{}", all(&ran));
    assert_eq!(seen(world), before, "after {recipe}: {}", all(&ran));
    assert_eq!(world.staged(), [""; 0]);
    let undone = world.run(&["--undo"]);
    assert!(all(&undone).contains("there is nothing to undo"), "{}", all(&undone));
}

const MAKE: &str = "  fails:
    cache: {inputs: [], outputs: [dist, some/deep/er/file.txt, 'gen/*.h']}
    sandbox: true
    run: mkdir dist; echo x > dist/x; echo o > gen/mine.h; echo f > some/deep/er/file.txt; exit 3
  incomplete:
    cache: {inputs: [], outputs: [dist, some/deep/er/file.txt, 'gen/*.h', dist/y]}
    sandbox: true
    run: mkdir -p dist; echo x > dist/x; echo o > gen/mine.h; echo stray > stray; echo f > some/deep/er/file.txt
  slow:
    cache: {inputs: [], outputs: [dist, some/deep/er/file.txt, 'gen/*.h']}
    sandbox: true
    timeout: 300ms
    run: mkdir dist; sleep 20
  again:
    retries: 2
    cache: {inputs: [], outputs: [dist]}
    sandbox: true
    run: mkdir dist; exit 3
  folder:
    cache: {inputs: [], outputs: [notes, 'many*']}
    sandbox: true
    run: echo n > notes; echo m > many
";

#[test]
fn what_a_person_has_where_outputs_would_go_stays_and_no_folder_is_made() {
    let files = [("dist/notes.txt", "mine"), ("gen/mine.h", "mine"), ("notes", "mine"), ("many/1", "mine")];
    World::each(MAKE, &files, |world| {
        fails(world, "fails", "exit code 3");
        fails(world, "incomplete", "did not make its output `dist/y`");
        assert!(all(&world.run(&["incomplete"])).contains("dropped: `stray`"));
        fails(world, "slow", "timed out");
        fails(world, "again", "exit code 3");
        // Not even where it is found out late.
        fails(world, "folder", "cannot put in place `many`");
    });
}

#[test]
fn outputs_of_an_earlier_run_stay() {
    let recipes = "  make:
    cache: {inputs: [in.txt], outputs: [out, 'gen/**']}
    sandbox: true
    run: mkdir -p gen/x; cp in.txt gen/x/y; mkdir gen/empty; cp in.txt out; grep good in.txt
";
    World::each(recipes, &[("in.txt", "good")], |world| {
        let _ = world.run(&["make"]).good();
        world.project.file("in.txt", "bad");
        fails(world, "make", "exit code 1");
        assert_eq!(world.project.read("out") + &world.project.read("gen/x/y"), "goodgood");
        world.project.file("in.txt", "good");
        let before = seen(world);
        assert!(all(&world.run(&["make"]).good()).contains("1 cached"));
        assert_eq!(seen(world), before);
        // They are the recipe's still.
        world.project.file("in.txt", "good again");
        let ran = world.run(&["make"]).good();
        assert!(!all(&ran).contains("moved away"), "{}", all(&ran));
        assert_eq!(world.project.read("out"), "good again");
    });
}

#[test]
fn what_is_found_out_after_outputs_were_put_in_place_is_taken_back() {
    let recipes = "  one:
    cache: {inputs: [in.txt], outputs: [dist, 'o/*/*1.txt']}
    sandbox: true
    run: mkdir -p dist/a o/x; cp in.txt dist/a; cp in.txt o/x/$(cat in.txt)1.txt; chmod 500 dist/a
  two:
    dependencies: [one]
    cache: {inputs: [], outputs: ['o/*/x*.txt']}
    sandbox: true
    run: mkdir -p o/x; echo 2 > o/x/x2.txt
";
    World::each(recipes, &[("in.txt", "y"), ("dist/notes.txt", "mine")], |world| {
        let first = world.run(&["two"]).good();
        assert!(all(&first).contains("moved away"), "{}", all(&first));
        let _ = world.run(&["--undo"]).good();
        std::fs::remove_dir_all(world.project.path("o")).expect("it is there");
        world.project.file("in.txt", "x").file("o/x/x1.txt", "mine");
        if world.is_stranger() {
            world.give_away();
        }
        let before = seen(world);
        let ran = world.run(&["two"]);
        assert_eq!(ran.code(), 2, "{}", all(&ran));
        assert!(all(&ran).contains("is an output of `app:two`, too"), "{}", all(&ran));
        assert_eq!(seen(world), before);
        assert_eq!(world.project.read("o/x/x1.txt") + &world.project.read("dist/notes.txt"), "minemine");
        assert_eq!(world.staged(), [""; 0]);
    });
}

#[test]
fn what_a_person_has_is_kept_when_an_output_comes_there() {
    let recipes = "  make:
    cache: {inputs: [], outputs: [dist, 'gen/*.h']}
    sandbox: true
    run: mkdir -p dist; echo made > dist/x; echo made > gen/a.h
";
    let files = [("dist/notes.txt", "mine"), ("gen/a.h", "mine"), ("gen/b.h", "mine")];
    World::each(recipes, &files, |world| {
        let ran = world.run(&["make"]).good();
        assert!(all(&ran).contains("moved away") && all(&ran).contains("--undo"), "{}", all(&ran));
        assert_eq!(
            ["dist/x", "gen/a.h", "gen/b.h"].map(|path| world.project.read(path)),
            ["made\n", "made\n", "mine"]
        );
        assert!(!world.has("dist/notes.txt"));
        let _ = world.run(&["--undo"]).good();
        assert_eq!(["dist/notes.txt", "gen/a.h"].map(|path| world.project.read(path)), ["mine", "mine"]);
        // The outputs were there all the time: a hit takes their place again, and that is no reason to lose anything.
        let _ = world.run(&["make"]).good();
        assert_eq!(["dist/x", "gen/a.h"].map(|path| world.project.read(path)), ["made\n", "made\n"]);
        let _ = world.run(&["--undo"]).good();
        assert_eq!(["dist/notes.txt", "gen/a.h"].map(|path| world.project.read(path)), ["mine", "mine"]);
    });
}

#[test]
fn a_file_of_a_person_among_the_recipes_own_is_kept_too() {
    let recipes = "  make:
    cache: {inputs: [in.txt], outputs: ['gen/*.h']}
    sandbox: true
    run: for name in $(cat in.txt); do echo made > gen/$name.h; done
";
    World::each(recipes, &[("in.txt", "a")], |world| {
        let _ = world.run(&["make"]).good();
        world.project.file("in.txt", "a b").file("gen/b.h", "mine");
        if world.is_stranger() {
            world.give_away();
        }
        let ran = world.run(&["make"]).good();
        assert!(all(&ran).contains("moved away"), "{}", all(&ran));
        assert_eq!(world.project.read("gen/b.h"), "made\n");
        let _ = world.run(&["--undo"]).good();
        assert_eq!(world.project.read("gen/b.h"), "mine");
    });
}

#[test]
fn an_output_that_cannot_be_read_fails_and_comes_not_into_the_project() {
    let recipes = "  make:
    cache: {inputs: [], outputs: [out]}
    sandbox: true
    run: echo x > out; chmod 000 out
";
    World::each(recipes, &[("out", "mine")], |world| {
        if world.is_stranger() {
            fails(world, "make", "Permission denied");
            assert_eq!(world.project.read("out"), "mine");
        }
    });
}

#[test]
fn a_folder_of_inputs_cannot_be_moved_to_where_outputs_go() {
    let recipes = "  make:
    cache: {inputs: ['a/*.c'], outputs: ['a/*.o', b]}
    sandbox: true
    run: mv a b
";
    World::each(recipes, &[("a/x.c", "text")], |world| {
        fails(world, "make", "moved a folder that holds its inputs");
        assert!(!world.has("b"));
    });
}

#[test]
fn a_place_for_outputs_that_cannot_be_one_is_found_before_the_command_runs() {
    let recipes = "  make:
    cache: {inputs: [], outputs: [way/out]}
    sandbox: true
    run: echo ran; echo x > way/out
";
    World::each(recipes, &[("way", "mine")], |world| {
        let ran = world.run(&["make", "--output", "stream"]);
        assert_eq!(ran.code(), 2);
        assert!(all(&ran).contains("`way` is not a folder") && !all(&ran).contains("ran\n"), "{}", all(&ran));
        assert_eq!(world.project.read("way"), "mine");
    });
}

#[test]
fn an_input_that_cannot_be_read_is_an_error() {
    let recipes = "  make:
    cache: {inputs: ['src/**'], outputs: [out]}
    sandbox: true
    run: cat src/* > out
";
    World::each(recipes, &[("src/a", "a"), ("src/b", "b")], |world| {
        if !world.is_stranger() {
            return;
        }
        let set = |path: &str, mode| {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(world.project.path(path), permissions).expect("it is there");
        };
        set("src/b", 0o000);
        fails(world, "make", "src/b");
        set("src/b", 0o644);
        let _ = world.run(&["make"]).good();
        assert_eq!(world.project.read("out"), "ab");
        // Known content does not make it readable.
        set("src/b", 0o000);
        fails(world, "make", "src/b");
        set("src/b", 0o644);
        set("src", 0o000);
        let ran = world.run(&["make"]);
        set("src", 0o755);
        let message = "`src` cannot be read: Permission denied";
        assert!(ran.code() != 0 && all(&ran).contains(message), "{}", all(&ran));
    });
}
