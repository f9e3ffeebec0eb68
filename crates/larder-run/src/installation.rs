//! Whose a program is: the file that a tool's name means, and what was installed with it. One rule for all who ask: the key, `trace`,
//! `sandbox` and `--suggest-inputs`.
//!
//! **[`find_tool`]**: a name with `/` is a file, seen from the recipe's folder. Any other is looked for as `execve` does it, in the `PATH` that the
//! command has: the first plain file that may be executed is the one, and one that may not be is passed over.
//!
//! **[`installation`]**: of `DIR/bin/NAME` (or `sbin`, `libexec`, `shims`), as it is named and where its links lead:
//!
//! | `DIR` | what belongs to the tool, beside the program itself and the links to it |
//! |---|---|
//! | the root; is or holds the home folder or the project; lies in the project | nothing |
//! | is shared by programs that have nothing to do with one another: `.local`, `.cargo`, `~/go`, a hidden folder in the home, a folder of shims | libraries, and what is downloaded and checked by a lock file (`.cargo/registry`, `go/pkg`) |
//! | is the tool's own: anything else, and a shared one that says what it is ([`SAYS_WHOSE`]) | all of `DIR` |
//!
//! Settings, credentials and other programs in a shared folder change results and are in no key, so they belong to nobody. Nor do the
//! compilers that rustup, pyenv and their like choose by settings: the content of the program that chooses does not tell which it is.
//!
//! Not promised: that a tool needs nothing else, or that what belongs to it stays what it is while the program stays.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};

use crate::links::follow;
use crate::recipe::{Recipe, with_root};

/// Folders that hold programs.
const OF_PROGRAMS: [&[u8]; 4] = [b"bin", b"sbin", b"libexec", b"shims"];
/// Folders of what programs need to run.
const LIBRARIES: [&str; 5] = ["lib", "lib32", "lib64", "libexec", "include"];
/// Cargo's downloads, and what it keeps about them.
const CARGO: [&str; 5] = ["registry", "git", ".package-cache", ".package-cache-mutate", ".global-cache"];
/// By these files a folder says that it is one installation: Python's environments, Conda, Go.
const SAYS_WHOSE: [&str; 3] = ["pyvenv.cfg", "conda-meta", "VERSION"];

/// Where a tool of the recipe is. `search`: the folders of the caller's `PATH`, which the recipe's own goes before.
pub(crate) fn find_tool(root: &Path, recipe: &Recipe, search: &[PathBuf], tool: &str) -> Option<PathBuf> {
    let folder = root.join(&recipe.folder);
    if tool.contains('/') {
        return Some(folder.join(tool)).filter(|file| file.is_file());
    }
    let own = recipe.environment.get("PATH").and_then(Option::as_ref);
    let own: Option<Vec<PathBuf>> = own.map(|path| std::env::split_paths(&with_root(root, path)).collect());
    // What is no absolute path is one from where the command runs.
    let mut files = own.as_deref().unwrap_or(search).iter().map(|at| folder.join(at).join(tool));
    files.find(|file| is_program(file))
}

/// A plain file that this process may execute: for root one that anybody may.
fn is_program(file: &Path) -> bool {
    file.is_file() && rustix::fs::accessat(CWD, file, Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}

/// What belongs to the tool of a recipe of the project at `root`: files, and folders with all that is in them; never what lies in the project.
pub(crate) fn installation(tool: &Path, root: &Path, home: Option<&Path>) -> Vec<PathBuf> {
    let (links, real) = follow(tool, |path| path.read_link().ok());
    let real = Some(real).filter(|real| real != tool);
    let real_home = home.and_then(|home| home.canonicalize().ok());
    let homes: Vec<&Path> = home.into_iter().chain(real_home.as_deref()).collect();
    let mut found = Vec::new();
    for program in std::iter::once(tool).chain(real.as_deref()) {
        found.extend(prefix(program).into_iter().flat_map(|prefix| parts(program, prefix, root, &homes)));
        if !program.starts_with(root) {
            found.push(program.to_owned());
        }
    }
    // They say which program it is, and that is in the key.
    let is_apart = |link: &PathBuf| {
        !link.starts_with(root) && !root.starts_with(link) && !homes.iter().any(|home| home.starts_with(link))
    };
    found.extend(links.into_iter().filter(is_apart));
    found
}

fn is_named(path: &Path, names: &[&[u8]]) -> bool {
    names.contains(&path.file_name().unwrap_or_default().as_bytes())
}

/// The folder that a program is installed in.
fn prefix(program: &Path) -> Option<&Path> {
    program.parent().filter(|folder| is_named(folder, &OF_PROGRAMS))?.parent()
}

/// What of `prefix` belongs to `program`.
fn parts(program: &Path, prefix: &Path, root: &Path, homes: &[&Path]) -> Vec<PathBuf> {
    let is_anybodys = root.starts_with(prefix)
        || prefix.starts_with(root)
        || prefix.parent().is_none()
        || homes.iter().any(|home| home.starts_with(prefix));
    if is_anybodys {
        return Vec::new();
    }
    let is_in_home = homes.iter().any(|home| prefix.parent() == Some(home));
    let is_shim = program.parent().is_some_and(|folder| is_named(folder, &[b"shims"]));
    let is_one = || SAYS_WHOSE.iter().any(|name| prefix.join(name).exists());
    let more: &[&str] = match prefix.file_name().map(OsStr::as_bytes).unwrap_or_default() {
        // The rest of it is data of the user.
        b".local" => &[],
        b".cargo" | b"cargo" => &CARGO,
        b"go" if is_in_home && !is_one() => &["pkg"],
        name if is_shim || (is_in_home && name.starts_with(b".") && !is_one()) => &["share"],
        _ => return vec![prefix.to_owned()],
    };
    LIBRARIES.iter().chain(more).map(|name| prefix.join(name)).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::os::unix::fs::{PermissionsExt, symlink};

    use tempfile::TempDir;

    use super::*;
    use crate::config::discover::WalkListing;
    use crate::config::{LoadOptions, Project};
    use crate::recipe::ROOT_PLACEHOLDER;
    use crate::template::Execution;

    /// A home with a project in it.
    struct World {
        _folder: TempDir,
        home: PathBuf,
        root: PathBuf,
    }

    impl World {
        fn new() -> Self {
            let folder = TempDir::new().unwrap();
            let home = folder.path().canonicalize().unwrap().join("home");
            let root = home.join("work/project");
            std::fs::create_dir_all(&root).unwrap();
            Self { _folder: folder, home, root }
        }

        /// A file in the home.
        fn file(&self, path: &str, mode: u32) -> PathBuf {
            let path = self.home.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "#!/bin/sh\n").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path
        }

        /// Whether the path belongs to the program.
        fn has(&self, program: &str, path: &str) -> bool {
            let program = self.home.join(program);
            assert!(program.is_file(), "{}", program.display());
            let places = installation(&program, &self.root, Some(&self.home));
            places.iter().any(|place| self.home.join(path).starts_with(place))
        }

        /// The recipe with this environment and these tools.
        fn recipe(&self, more: &str) -> Recipe {
            std::fs::write(self.root.join("larder.yml"), "name: p\n").unwrap();
            let folder = self.root.join("app");
            std::fs::create_dir_all(&folder).unwrap();
            let text = format!("name: a\nrecipes:\n  build: {{run: x, {more}}}\n");
            std::fs::write(folder.join("cookbook.yml"), text).unwrap();
            let project = Project::load(LoadOptions::new(self.root.clone(), &WalkListing)).unwrap();
            project.resolve_all(&WalkListing, Execution::Inert).unwrap().recipes.remove(0)
        }
    }

    #[test]
    fn a_folder_of_ones_own_is_free_and_one_that_many_share_is_not() {
        let world = World::new();
        let own = ["sdk/bin/tool", "sdk/go/bin/go", ".rustup/toolchains/stable/bin/rustc", ".venv/bin/black"];
        let shared =
            [".cargo/bin/cargo", ".local/bin/tool", "go/bin/lint", ".bun/bin/bun", ".pyenv/shims/python"];
        for program in own.iter().chain(&shared) {
            world.file(program, 0o755);
        }
        world.file(".venv/pyvenv.cfg", 0o644);
        for program in own {
            let prefix = program.split("/bin/").next().unwrap();
            assert!(world.has(program, &format!("{prefix}/etc/settings")), "{program}");
            assert!(world.has(program, &format!("{prefix}/bin/other")), "{program}");
        }
        for program in shared {
            let prefix = program.split('/').next().unwrap();
            assert!(world.has(program, program), "{program}");
            assert!(world.has(program, &format!("{prefix}/lib/x.so")), "{program}");
            let others = [
                "config.toml",
                "config",
                "credentials.toml",
                "version",
                "etc/settings",
                "bin/other",
                "versions/3/bin/python",
            ];
            for other in others {
                assert!(!world.has(program, &format!("{prefix}/{other}")), "{program}: {other}");
            }
        }
        assert!(world.has(".cargo/bin/cargo", ".cargo/registry/src/index/x/lib.rs"));
        assert!(world.has(".cargo/bin/cargo", ".cargo/git/checkouts/x"));
        assert!(!world.has(".cargo/bin/cargo", ".rustup/settings.toml"));
        assert!(world.has("go/bin/lint", "go/pkg/mod/x"));
        assert!(!world.has("go/bin/lint", "go/src/x"));
        assert!(!world.has(".local/bin/tool", ".local/share/keyrings/login"));
    }

    #[test]
    fn links_lead_to_another_installation_and_a_project_belongs_to_none() {
        let world = World::new();
        world.file("sdk/bin/tool", 0o755);
        world.file("bin/other", 0o755);
        world.file("work/project/bin/mine", 0o755);
        world.file("work/bin/near", 0o755);
        symlink("../sdk/bin/tool", world.home.join("bin/tool")).unwrap();
        symlink("bin", world.home.join("now")).unwrap();
        assert!(world.has("now/tool", "sdk/share/x") && world.has("now/tool", "bin/tool"));
        assert!(world.has("now/tool", "now") && !world.has("now/tool", "bin/none"));
        assert!(!world.has("now/tool", "bin/other"), "the home's own `bin` is shared");
        assert!(!world.has("work/project/bin/mine", "work/project/bin/mine"), "that is an input");
        assert!(!world.has("work/bin/near", "work/project/x") && world.has("work/bin/near", "work/bin/near"));
    }

    #[test]
    fn the_first_that_may_be_executed_is_the_one() {
        let world = World::new();
        let recipe = world.recipe("tools: [tool]");
        let search: Vec<PathBuf> =
            ["none", "plain", "folder", "good", "late"].iter().map(|name| world.home.join(name)).collect();
        world.file("plain/tool", 0o644);
        std::fs::create_dir_all(world.home.join("folder/tool")).unwrap();
        assert_eq!(find_tool(&world.root, &recipe, &search, "tool"), None);
        let good = world.file("good/tool", 0o755);
        world.file("late/tool", 0o755);
        assert_eq!(find_tool(&world.root, &recipe, &search, "tool"), Some(good));
        // A name with a folder is that file, which another program may read.
        let script = world.file("work/project/app/run.py", 0o644);
        assert_eq!(
            find_tool(&world.root, &recipe, &search, "./run.py").map(|file| file.canonicalize().unwrap()),
            Some(script)
        );
    }

    #[test]
    fn the_path_of_the_recipe_goes_before_the_callers() {
        let world = World::new();
        world.file("caller/tool", 0o755);
        let own = world.file("work/project/tools/tool", 0o755);
        let beside = world.file("work/project/app/near/tool", 0o755);
        let search = [world.home.join("caller")];
        let find = |path: &str| {
            let mut recipe = world.recipe("tools: [tool]");
            recipe.environment.insert("PATH".to_owned(), Some(path.to_owned()));
            find_tool(&world.root, &recipe, &search, "tool")
        };
        assert_eq!(find(&format!("{ROOT_PLACEHOLDER}/tools:/usr/bin")), Some(own));
        assert_eq!(find("near"), Some(beside), "from where the command runs");
    }
}
