//! What a command sees.

use crate::world::{World, all};

const LOOK: &str = "  look:
    cache: {inputs: [src/a.txt, 'lib/**', link], outputs: [out]}
    sandbox: true
    run: |
      cat src/secret.txt 2>&1 || true
      echo src: $(ls -A src)
      echo lib: $(ls -AR lib)
      echo link: $(readlink link) $(cat link)
      echo home: $(ls -A \"$HOME\")
      echo tmp: $TMPDIR $(find /tmp /var/tmp /dev/shm -path \"$PWD\" -prune -o -type f -print)
      echo here: $(ls -A)
      echo outside: $(cat ../outside.txt 2>&1)
      touch out
";

#[test]
fn only_declared_inputs_are_there() {
    let files = [("src/a.txt", "a"), ("src/secret.txt", "s"), ("lib/x/y.txt", "y"), ("target.txt", "t")];
    World::each(LOOK, &files, |world| {
        std::os::unix::fs::symlink("target.txt", world.project.path("link")).expect("a new link");
        std::fs::write(world.project.path("../outside.txt"), "o").expect("a folder of ours");
        std::fs::create_dir_all(world.project.user_folder()).expect("a folder of ours");
        let _ = std::fs::write(world.project.user_folder().join(".profile"), "p");
        let said = world.said("look");
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(
            lines,
            [
                "cat: src/secret.txt: No such file or directory",
                "src: a.txt",
                "lib: lib: x lib/x: y.txt",
                "link: target.txt t",
                "home:",
                "tmp:",
                "here: lib link src target.txt",
                "outside: cat: ../outside.txt: No such file or directory",
            ],
        );
    });
}

#[test]
fn inputs_can_be_read_only() {
    let recipes = "  look:
    cache: {inputs: [a.txt, dir/b.txt], outputs: [out]}
    sandbox: true
    run: |
      (echo x >> a.txt) 2>&1 || true
      rm -f dir/b.txt 2>&1 || true
      mv dir elsewhere 2>&1 || true
      chmod 777 a.txt 2>&1 || true
      cat a.txt dir/b.txt > out
";
    World::each(recipes, &[("a.txt", "a\n"), ("dir/b.txt", "b\n")], |world| {
        let said = world.said("look");
        assert!(said.contains("Read-only file system") && said.contains("busy"), "{said}");
        assert_eq!(world.project.read("out"), "a\nb\n");
        assert_eq!(world.project.read("a.txt"), "a\n");
    });
}

#[test]
fn what_direct_dependencies_made_is_there_and_nothing_of_others() {
    let recipes = "  far:
    cache: {inputs: [], outputs: [far.txt]}
    run: echo far > far.txt
  near:
    dependencies: [far]
    cache: {inputs: [], outputs: [near, 'n*.glob']}
    run: mkdir -p near/empty; echo near > near/x; ln -s x near/link; echo 1 > n1.glob
  look:
    dependencies: [near]
    cache: {inputs: [], outputs: []}
    sandbox: true
    run: |
      echo $(ls -A) + $(ls -A near) + $(cat near/link n1.glob)
      (echo y > near/y) 2>/dev/null || echo read-only
";
    World::each(recipes, &[], |world| {
        assert_eq!(world.said("look"), "n1.glob near + empty link x + near 1\nread-only\n");
    });
}

#[test]
fn a_declared_tool_that_lies_elsewhere_is_there_with_its_installation() {
    let recipes = "  look:
    cache: {inputs: [], outputs: []}
    tools: [greet, ./scripts/own]
    sandbox: true
    run: greet; ./scripts/own; echo $(ls -A \"$HOME\" \"$HOME\"/sdk) $(command -v other)
";
    let own = [("scripts/own", "#!/bin/sh\necho own\n"), ("scripts/beside", "x")];
    World::each(recipes, &own, |world| {
        let home = world.project.user_folder();
        let script = "set -e; mkdir -p sdk/bin sdk/share bin; printf '#!/bin/sh\\ncat \"$(dirname \"$(readlink -f \"$0\")\")/../share/text\"\\n' > sdk/bin/greet
            echo hello > sdk/share/text; ln -sf ../sdk/bin/greet bin/greet; printf '#!/bin/sh\\n' > bin/other; chmod +x sdk/bin/greet bin/other; echo s > secret";
        let made = std::process::Command::new("sh")
            .args([
                "-c",
                &format!(
                    "mkdir -p {0}; cd {0}; {script}; chmod +x {1}",
                    home.display(),
                    world.project.path("scripts/own").display()
                ),
            ])
            .status();
        assert!(made.expect("sh is there").success());
        let path = format!("{}:{}", home.join("bin").display(), std::env::var("PATH").expect("a PATH"));
        let mut command = world.command(&["run", "look", "--output", "stream"]);
        let output = command.env("PATH", path).output().expect("the binary starts");
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("hello\n") && said.contains("own\n"), "{said}");
        let listed = format!("{0}: bin sdk {0}/sdk: bin share", home.display());
        assert!(said.contains(&listed), "{said}");
    });
}

/// Of a folder that many programs share a tool has its libraries, and neither settings nor the other programs.
#[test]
fn a_tool_from_a_shared_folder_comes_without_settings() {
    let recipes = "  look:
    cache: {inputs: [], outputs: []}
    tools: [cargo, mine]
    sandbox: true
    run: cargo; mine; cd \"$HOME\"; find . -type f | sort
";
    World::each(recipes, &[], |world| {
        let home = world.project.user_folder();
        let script = "set -e; mkdir -p .cargo/bin .cargo/registry .local/bin .local/lib .local/share
            printf '#!/bin/sh\n' > .cargo/bin/cargo; cp .cargo/bin/cargo .cargo/bin/other; cp .cargo/bin/cargo .local/bin/mine
            touch .cargo/registry/x .cargo/config.toml .cargo/credentials.toml .cargo/.package-cache .local/lib/x .local/share/x
            chmod +x .cargo/bin/* .local/bin/*";
        let made = std::process::Command::new("sh")
            .args(["-c", &format!("mkdir -p {0}; cd {0}; {script}", home.display())])
            .status();
        assert!(made.expect("sh is there").success());
        let folders =
            [home.join(".cargo/bin"), home.join(".local/bin")].map(|folder| folder.display().to_string());
        let path = format!("{}:{}", folders.join(":"), std::env::var("PATH").expect("a PATH"));
        let mut command = world.command(&["run", "look", "--output", "stream"]);
        let output = command.env("PATH", path).output().expect("the binary starts");
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let seen: Vec<&str> =
            said.lines().filter_map(|line| line.split_once("./")).map(|(_, file)| file).collect();
        assert_eq!(
            seen,
            [".cargo/bin/cargo", ".cargo/registry/x", ".local/bin/mine", ".local/lib/x"],
            "{said}"
        );
    });
}

#[test]
fn folders_that_are_named_are_seen_read_only() {
    let recipes = "  look:
    cache: {inputs: [], outputs: []}
    sandbox: {folders: [~/data]}
    run: cat ~/data/x; (echo y > ~/data/y) 2>/dev/null || echo read-only; ls -A ~
";
    World::each(recipes, &[], |world| {
        let data = world.project.user_folder().join("data");
        std::fs::create_dir_all(&data).expect("a folder of ours");
        std::fs::write(data.join("x"), "x\n").expect("a folder of ours");
        assert_eq!(world.said("look"), "x\nread-only\ndata\n");
    });
}

#[test]
fn without_network_there_is_a_loopback_and_nothing_else() {
    let recipes = "  look:
    cache: {inputs: [], outputs: []}
    sandbox: {network: false}
    run: |
      tail -n +3 /proc/net/dev | cut -d ':' -f1 | tr -d ' '
";
    World::each(recipes, &[], |world| assert_eq!(world.said("look"), "lo\n"));
}

#[test]
fn a_sandboxed_recipe_has_a_key_of_its_own() {
    let recipe =
        |sandbox: &str| format!("  a:\n    cache: {{inputs: [], outputs: []}}\n    run: echo hi\n{sandbox}");
    World::each(&recipe(""), &[], |world| {
        let miss = |text: &str| {
            world.project.file("cookbook.yml", format!("name: app\nrecipes:\n{}", recipe(text)));
            all(&world.run(&["a"]).good()) + &all(&world.run(&["a"]).good())
        };
        assert!(miss("").contains("1 cached"));
        for text in
            ["    sandbox: true\n", "    sandbox: {network: false}\n", "    sandbox: {folders: [/opt]}\n"]
        {
            let seen = miss(text);
            assert!(seen.contains("miss: `sandbox` changed") && seen.contains("1 cached"), "{seen}");
        }
        assert!(!miss("    sandbox: false\n").contains("miss"));
    });
}
