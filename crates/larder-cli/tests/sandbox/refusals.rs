//! Where there can be no sandbox: an error, and never a run outside.

use std::process::Command;

use larder_testing::Output;

use crate::world::{World, all, can_have_sandboxes};

const MAKE: &str = "  make:
    cache: {inputs: [], outputs: [out]}
    sandbox: true
    run: touch out
";

/// `larder ARGS` in a user namespace whose limit of further ones is 0, and without the right to mounts.
fn without_namespaces(world: &World, args: &str) -> Output {
    let larder = world.command(&[]);
    let script = format!(
        "echo 0 > /proc/sys/user/max_user_namespaces && echo 0 > /proc/sys/user/max_mnt_namespaces && \
         exec setpriv --bounding-set=-all --inh-caps=-all -- {} {args}",
        larder.get_program().to_string_lossy()
    );
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c", &script]);
    command.current_dir(world.project.root()).env_clear();
    command.envs(larder.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().expect("unshare is there");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Output { status: output.status, stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

#[test]
fn without_namespaces_the_recipe_fails_and_says_why() {
    if !can_have_sandboxes() {
        return;
    }
    let world = World::new(MAKE);
    let ran = without_namespaces(&world, "run make");
    assert_eq!(ran.code(), 2, "{}", all(&ran));
    for part in
        ["cannot make the sandbox: cannot make namespaces", "os error", "sysctl user.max_user_namespaces"]
    {
        assert!(all(&ran).contains(part), "`{part}` is not in: {}", all(&ran));
    }
    assert!(!world.has("out"));
    assert_eq!(world.staged(), [""; 0]);
    let doctor = without_namespaces(&world, "doctor");
    assert!(
        doctor.stdout.contains("sandbox cannot make the sandbox")
            && doctor.stdout.contains("max_user_namespaces"),
        "{}",
        doctor.stdout
    );
    // A result that is there is as good as ever.
    let _ = world.run(&["make"]).good();
    assert_eq!(without_namespaces(&world, "run make").code(), 0);
}

#[test]
fn doctor_says_that_there_can_be_sandboxes() {
    if !can_have_sandboxes() {
        return;
    }
    let world = World::new(MAKE);
    let output = world.command(&["doctor"]).output().expect("the binary starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("sandbox can be had"), "{text}");
    let output = world.command(&["doctor", "--json"]).output().expect("the binary starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.lines().any(|line| line.contains("\"part\":\"sandbox\"") && line.contains("\"ok\":true")),
        "{text}"
    );
}

#[test]
fn a_folder_that_is_not_there_or_holds_the_project_is_refused() {
    let recipe = |folder: &str| {
        format!(
            "  make:\n    cache: {{inputs: [], outputs: []}}\n    sandbox: {{folders: [{folder}]}}\n    run: 'true'\n"
        )
    };
    let ran = World::new(&recipe("/nowhere/at/all")).run(&["make"]);
    assert_eq!(ran.code(), 2);
    assert!(all(&ran).contains("the folder `/nowhere/at/all` of `sandbox` is not there"), "{}", all(&ran));
    let ran = World::new(&recipe("/")).run(&["make"]);
    assert_eq!(ran.code(), 2);
    assert!(all(&ran).contains("the folder `/` of `sandbox` holds the project"), "{}", all(&ran));
    let world = World::new("");
    let inside = recipe(&world.project.path("src").to_string_lossy());
    world.project.file("src/x", "").file("cookbook.yml", format!("name: app\nrecipes:\n{inside}"));
    let ran = world.run(&["make"]);
    assert_eq!(ran.code(), 2);
    assert!(all(&ran).contains("of `sandbox` is in the project: make it an input"), "{}", all(&ran));
}
