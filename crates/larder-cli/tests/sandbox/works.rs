//! Ordinary work inside.

use std::time::{Duration, Instant};

use crate::world::{World, all};

#[test]
fn a_c_program_is_built_from_its_declared_headers_alone() {
    let recipes = "  compile:
    matrix: {unit: [main, part]}
    cache: {inputs: ['src/{{matrix.unit}}.c', 'include/*.h'], outputs: ['build/{{matrix.unit}}.o']}
    sandbox: true
    tools: [cc]
    run: cc -Iinclude -c src/{{matrix.unit}}.c -o build/{{matrix.unit}}.o
  link:
    dependencies: [compile]
    cache: {inputs: [], outputs: [build/app]}
    sandbox: true
    tools: [cc]
    run: cc build/*.o -o build/app && build/app
";
    let files = [
        ("src/main.c", "#include \"part.h\"\nint main(void) { return part() - 7; }\n"),
        ("src/part.c", "#include \"part.h\"\nint part(void) { return 7; }\n"),
        ("include/part.h", "int part(void);\n"),
    ];
    World::each(recipes, &files, |world| {
        let ran = world.run(&["link"]).good();
        assert!(all(&ran).contains("3 run") && !all(&ran).contains("warning"), "{}", all(&ran));
        assert!(all(&world.run(&["link"]).good()).contains("3 cached"));
        // A header that is not declared is not found.
        let text = world.project.read("cookbook.yml").replace(", 'include/*.h'", "");
        world.project.file("cookbook.yml", text);
        let ran = world.run(&["link", "--output", "stream"]);
        assert_eq!(ran.code(), 2);
        assert!(all(&ran).contains("part.h: No such file"));
    });
}

#[test]
fn python_works_with_processes_and_temporary_files() {
    let recipes = r#"  py:
    cache: {inputs: ['*.py'], outputs: [out.json]}
    sandbox: true
    run: /usr/bin/env python3 main.py
"#;
    let main = r#"
import json, multiprocessing, os, tempfile, helper
def square(n): return n * n
if __name__ == "__main__":
    with tempfile.NamedTemporaryFile() as file, multiprocessing.Pool(2) as pool:
        json.dump([helper.NAME, pool.map(square, range(4)), os.path.exists(file.name)], open("out.json", "w"))
"#;
    World::each(recipes, &[("main.py", main), ("helper.py", "NAME = 'helper'\n")], |world| {
        let path = std::env::var("PATH").expect("a PATH");
        let has_python = std::env::split_paths(&path)
            .any(|folder| folder == std::path::Path::new("/usr/bin"))
            && std::path::Path::new("/usr/bin/python3").exists();
        if !has_python {
            return;
        }
        let mut command = world.command(&["run", "py", "--output", "stream"]);
        let ran = command.env("PATH", "/usr/bin:/bin").output().expect("the binary starts");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        assert_eq!(world.project.read("out.json"), "[\"helper\", [0, 1, 4, 9], true]");
    });
}

#[test]
fn the_place_is_the_real_one() {
    let recipes = "  make:
    cache: {inputs: [], outputs: [where.txt]}
    sandbox: true
    run: pwd > where.txt
";
    World::each(recipes, &[], |world| {
        let _ = world.run(&["make"]).good();
        assert_eq!(world.project.read("where.txt").trim_end(), world.project.root().to_string_lossy());
    });
}

#[test]
fn thousands_of_inputs_are_quick() {
    let recipes = "  make:
    cache: {inputs: ['src/**'], outputs: [count.txt]}
    sandbox: true
    run: find src -type f | wc -l > count.txt
";
    World::each(recipes, &[("src/first", "")], |world| {
        for at in 0..2000 {
            world.project.file(format!("src/{}/{at}.txt", at % 20), at.to_string());
        }
        let begun = Instant::now();
        let _ = world.run(&["make"]).good();
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert_eq!(world.project.read("count.txt"), "2001\n");
    });
}

#[test]
fn a_run_inside_is_a_run_of_what_is_seen() {
    let recipes = "  outer:
    cache: {inputs: [larder.yml, cookbook.yml], outputs: [out]}
    sandbox: {folders: [~/programs]}
    run: ~/programs/larder run inner && touch out
  inner:
    cache: {inputs: [], outputs: [made]}
    sandbox: true
    run: echo inner > made
";
    World::each(recipes, &[], |world| {
        // Where the stranger may look, too.
        let folder = world.project.user_folder().join("programs");
        std::fs::create_dir_all(&folder).expect("a folder");
        let _ = std::fs::copy(env!("CARGO_BIN_EXE_larder"), folder.join("larder")).expect("a copy");
        let ran = world.run(&["outer", "--output", "stream"]).good();
        assert!(all(&ran).contains("dropped") && all(&ran).contains("`made`"), "{}", all(&ran));
        assert!(!world.has("made"));
    });
}
