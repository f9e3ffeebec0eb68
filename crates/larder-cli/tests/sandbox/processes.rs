//! Processes: what a sandbox leaves when it is killed.

use std::process::Stdio;

use larder_testing::running::wait_until;

use crate::world::World;

#[test]
fn a_killed_run_leaves_no_process_no_mount_and_no_staging_after_the_next() {
    let recipes = "  slow:
    cache: {inputs: [in.txt], outputs: [out]}
    sandbox: true
    run: |
      echo begun
      touch out; (setsid sleep 86399 &) ; sleep 86399
  quick:
    cache: {inputs: [in.txt], outputs: [done]}
    sandbox: true
    run: touch done
";
    World::each(recipes, &[("in.txt", "1")], |world| {
        let mut command = world.command(&["run", "slow"]);
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts");
        let log = || {
            let logs = std::fs::read_dir(world.project.path(".larder/state/logs")).into_iter().flatten();
            logs.flatten().any(|log| std::fs::read(log.path()).is_ok_and(|text| text.starts_with(b"begun")))
        };
        wait_until("the command begins", log);
        assert_eq!(world.staged().len(), 2, "a folder and its lock");
        child.kill().expect("it runs");
        child.wait().expect("it was killed");
        let root = world.project.root();
        let is_left = || {
            let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
            processes.into_iter().any(|process| {
                let cwd = std::fs::read_link(process.path().join("cwd"));
                cwd.is_ok_and(|cwd| cwd == root)
            })
        };
        wait_until("all processes are gone", || !is_left());
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("/proc");
        assert!(!mounts.contains(&*root.to_string_lossy()));
        let _ = world.run(&["quick"]).good();
        assert_eq!(world.staged(), [""; 0]);
        assert!(!world.has("out") && world.has("done"));
    });
}

#[test]
fn what_a_command_leaves_in_the_background_ends_with_it() {
    let recipes = "  make:
    cache: {inputs: [], outputs: [out]}
    sandbox: true
    run: (setsid sh -c 'sleep 86398; echo late > out' >/dev/null 2>&1 &); echo now > out
";
    World::each(recipes, &[], |world| {
        let _ = world.run(&["make"]).good();
        assert_eq!(world.project.read("out"), "now\n");
    });
}
