//! A project and the user who runs it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use larder_testing::{Output, Project};

/// The binary under test.
const LARDER: &str = env!("CARGO_BIN_EXE_larder");

/// Nobody in particular.
const STRANGER: u32 = 65534;

/// A project, and who runs it.
pub(crate) struct World {
    pub(crate) project: Project,
    is_stranger: bool,
}

impl World {
    /// A project whose one cookbook `app` has these recipes (YAML below `recipes:`).
    pub(crate) fn new(recipes: &str) -> Self {
        let project = Project::new();
        project
            .file("larder.yml", "name: demo\n")
            .file("cookbook.yml", format!("name: app\nrecipes:\n{recipes}"));
        Self { project, is_stranger: false }
    }

    /// Runs the test as whoever runs the tests and, if that is root, as somebody without privilege.
    pub(crate) fn each(recipes: &str, files: &[(&str, &str)], test: impl Fn(&World)) {
        if !can_have_sandboxes() {
            return;
        }
        let world = Self::new(recipes);
        for (path, text) in files {
            world.project.file(path, text);
        }
        test(&world);
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let mut world = Self::new(recipes);
        for (path, text) in files {
            world.project.file(path, text);
        }
        world.is_stranger = true;
        world.give_away();
        test(&world);
    }

    /// It is somebody without privilege who runs the test.
    pub(crate) fn is_stranger(&self) -> bool {
        self.is_stranger
    }

    /// Everything belongs to the stranger.
    pub(crate) fn give_away(&self) {
        let base = self.project.user_folder();
        let base = base.parent().expect("the world's folder");
        fs::set_permissions(base, fs::Permissions::from_mode(0o755)).expect("its folder");
        for folder in ["tmp", "home", "user"] {
            let _ = fs::create_dir(base.join(folder));
        }
        give(base);
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        if !self.is_stranger {
            return self.project.command(LARDER, args);
        }
        let id = STRANGER.to_string();
        let user = ["--reuid", &id, "--regid", &id, "--clear-groups", "--", LARDER];
        self.project.command("setpriv", user.iter().chain(args))
    }

    /// `larder run ARGS`.
    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        let args: Vec<&str> = ["run"].iter().chain(args).copied().collect();
        let output = self.command(&args).output().expect("the binary can be started");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Output { status: output.status, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// What a recipe that must end well printed.
    #[track_caller]
    pub(crate) fn said(&self, recipe: &str) -> String {
        let output = self.run(&[recipe, "--output", "stream", "--force"]).good();
        let all = all(&output);
        let prefix = format!("app:{recipe} | ");
        let is_own = |line: &&str| {
            let is_summary = line.contains(" recipe: ") || line.contains(" recipes: ");
            !line.starts_with("  ")
                && !is_summary
                && !line.starts_with("warning:")
                && !line.starts_with("hint:")
        };
        let lines = all.lines().filter(is_own).map(|line| line.strip_prefix(&prefix).unwrap_or(line));
        lines.fold(String::new(), |text, line| text + line + "\n")
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.project.path(path).symlink_metadata().is_ok()
    }

    /// What lies in the folder of staging folders.
    pub(crate) fn staged(&self) -> Vec<String> {
        let Ok(found) = fs::read_dir(self.project.path(".larder/state/tmp")) else { return Vec::new() };
        found.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }
}

/// Everything that was printed.
pub(crate) fn all(output: &Output) -> String {
    format!("{}{}", output.stdout, output.stderr)
}

fn give(path: &Path) {
    std::os::unix::fs::lchown(path, Some(STRANGER), Some(STRANGER)).expect("root may");
    if path.symlink_metadata().expect("it is there").is_dir() {
        chown(path, Some(STRANGER), Some(STRANGER)).expect("root may");
        fs::read_dir(path).expect("a folder").flatten().for_each(|entry| give(&entry.path()));
    }
}

/// Whether this machine lets anybody have one.
#[expect(clippy::print_stderr, reason = "who runs the tests should know what they did not try")]
pub(crate) fn can_have_sandboxes() -> bool {
    let unshared = Command::new("unshare").args(["--user", "--map-root-user", "--mount", "true"]).output();
    let can = unshared.is_ok_and(|output| output.status.success());
    assert!(
        can || std::env::var_os("SANDBOX_TESTS").is_none_or(|wanted| wanted != "required"),
        "no user namespaces"
    );
    if !can {
        eprintln!("no user namespaces here: the test did nothing");
    }
    can
}
