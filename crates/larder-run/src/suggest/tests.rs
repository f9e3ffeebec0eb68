//! Traces of made-up commands in real folders, and what is proposed for them.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::config::discover::WalkListing;
use crate::config::{LoadOptions, Project};
use crate::template::Execution;
use crate::trace::{Access, AccessKind, UndeclaredAccess};

/// A project, and what a command is said to have touched.
struct World {
    folder: TempDir,
    accesses: Vec<(AccessKind, String)>,
    /// Paths that the recipe declares.
    declared: Vec<&'static str>,
    home: PathBuf,
    path: Vec<PathBuf>,
}

impl World {
    fn new(cookbook: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let (home, bin) = (folder.path().join("home"), folder.path().join("bin"));
        std::fs::create_dir_all(&bin).unwrap();
        let world = Self { folder, accesses: Vec::new(), declared: Vec::new(), home, path: vec![bin] };
        world.file("larder.yml", "name: p\n").file("cookbook.yml", cookbook)
    }

    /// The root of the project, with links resolved.
    fn root(&self) -> PathBuf {
        let root = self.folder.path().join("project");
        std::fs::create_dir_all(&root).unwrap();
        root.canonicalize().unwrap()
    }

    fn file(self, path: &str, text: &str) -> Self {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    /// A program in `PATH`.
    fn program(self, name: &str) -> Self {
        let file = self.path[0].join(name);
        std::fs::write(&file, name).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        self.did(AccessKind::Executed, &[&file.to_string_lossy()])
    }

    /// The command did this. Paths are relative to the root, unless they are absolute.
    fn did(mut self, kind: AccessKind, paths: &[&str]) -> Self {
        self.accesses.extend(paths.iter().map(|path| (kind, (*path).to_owned())));
        self
    }

    /// The command read these, which are there.
    fn read(mut self, paths: &[&str]) -> Self {
        for path in paths {
            self = self.file(path, path);
        }
        self.did(AccessKind::Read, paths)
    }

    fn missed(self, paths: &[&str]) -> Self {
        self.did(AccessKind::Missing, paths)
    }

    fn trace(&self) -> (Trace, Undeclared) {
        let access =
            |(kind, path): &(AccessKind, String)| Access { path: self.root().join(path), kind: *kind };
        let accesses = self.accesses.iter().map(access).collect();
        let wanting = self.accesses.iter().filter(|(kind, path)| {
            !self.declared.contains(&path.as_str())
                && (*kind != AccessKind::Executed || !path.starts_with('/'))
        });
        let found =
            wanting.map(access).map(|access| UndeclaredAccess { access, name: String::new() }).collect();
        (Trace { accesses, incomplete: None }, Undeclared { found })
    }

    fn load(&self) -> Project {
        Project::load(LoadOptions::new(self.root(), &WalkListing)).unwrap()
    }

    /// The proposal for the recipe `build` with all its instances.
    fn proposal(&self) -> Proposal {
        let mut all = self.proposals(|_| true);
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    fn proposals(&self, is_of: impl Fn(&RecipeId) -> bool) -> Vec<Proposal> {
        let project = self.load();
        let root = self.root();
        let worktree = Worktree::open(&root, &root.join(".larder/state")).unwrap();
        let recipes = project.resolve_all(&WalkListing, Execution::Inert).unwrap().recipes;
        let (trace, undeclared) = self.trace();
        let place = Place {
            root: &root,
            worktree: &worktree,
            home: Some(&self.home),
            path: &self.path,
            recipes: &recipes,
            axes: &axes(&project),
        };
        let observed: Vec<Observed<'_>> = recipes
            .iter()
            .filter(|recipe| recipe.id.recipe == "build" && is_of(&recipe.id))
            .map(|recipe| Observed { recipe, trace: &trace, undeclared: &undeclared, is_named: true })
            .collect();
        propose(&place, &observed)
    }

    #[track_caller]
    fn proposes(self, inputs: &[&str]) {
        assert_eq!(self.proposal().inputs, inputs);
    }
}

const PLAIN: &str = "name: a\nrecipes:\n  build: {run: cc, cache: {inputs: [], outputs: [out]}}\n";

#[test]
fn few_files_are_named_one_by_one() {
    World::new(PLAIN).read(&["src/a.c", "src/b.c", "x [1]{y}.txt"]).proposes(&[
        "src/a.c",
        "src/b.c",
        "x [1]\\{y\\}.txt",
    ]);
    World::new(PLAIN).read(&["é", "ü\u{a0}"]).proposes(&["é", "ü?"]);
}

#[test]
fn a_kind_that_was_read_whole_is_a_pattern() {
    let world = World::new(PLAIN).file("src/readme", "").file("src/more/d.c", "");
    world.read(&["src/a.c", "src/b.c", "src/c.c", "x.h"]).proposes(&["src/*.c", "x.h"]);
    // Not if one of them was not read.
    let world = World::new(PLAIN).file("src/other.c", "");
    world.read(&["src/a.c", "src/b.c", "src/c.c"]).proposes(&["src/a.c", "src/b.c", "src/c.c"]);
    // Nor if one of them was made.
    let world = World::new(PLAIN).read(&["src/a.c", "src/b.c", "src/c.c", "src/gen.c"]);
    world.did(AccessKind::Written, &["src/gen.c"]).proposes(&["src/a.c", "src/b.c", "src/c.c"]);
}

#[test]
fn listed_folders_are_patterns() {
    let world = World::new(PLAIN).read(&["src/a.c"]);
    world.did(AccessKind::Listed, &["src"]).proposes(&["src/*.c"]);
    let world = World::new(PLAIN).file("src/readme", "").file("src/b.c", "").read(&["src/a.c"]);
    world.did(AccessKind::Listed, &["src"]).proposes(&["src/*"]);
    // Names of several kinds, and none at all.
    let world = World::new(PLAIN).read(&["src/a.c", "src/Makefile"]);
    world.did(AccessKind::Listed, &["src"]).proposes(&["src/*"]);
    let world = World::new(PLAIN).file("src/deep/x", "").did(AccessKind::Listed, &["src"]);
    world.proposes(&["src/*"]);
    // Outputs in it are no names, and never inputs.
    let cookbook = "name: a\nrecipes:\n  build: {run: x, cache: {inputs: [], outputs: [src/a.o]}}\n  \
                    other: {run: x, cache: {inputs: [], outputs: [src/b.txt]}}\n";
    let world = World::new(cookbook).file("src/a.o", "").read(&["src/a.c"]);
    world.did(AccessKind::Listed, &["src"]).proposes(&["src/*.c"]);
    let world =
        World::new(cookbook).file("src/b.txt", "").read(&["src/a.c"]).did(AccessKind::Listed, &["src"]);
    let proposal = world.proposal();
    assert_eq!(proposal.inputs, ["src/*", "!src/b.txt"]);
    let by = RecipeId { cookbook: "a".into(), recipe: "other".into(), instance: None };
    assert_eq!(proposal.notes, [Note::Lists { path: "src/b.txt".into(), by }]);
    // What is declared already is not proposed again.
    let declared = cookbook.replacen("inputs: []", "inputs: ['src/*', '!src/b.txt']", 1);
    world.file("cookbook.yml", &declared).proposes(&[]);
    // Python keeps what it compiled in the folder that it lists.
    let world = World::new(PLAIN).read(&["a.py", "pkg/b.py", "pkg/__pycache__/b.pyc"]);
    world.did(AccessKind::Listed, &["pkg"]).proposes(&["a.py", "pkg/*.py"]);
}

#[test]
fn a_folder_that_is_asked_for_is_named() {
    let world = World::new(PLAIN).file("conf/x", "").file("src/x", "").read(&["src/a.c"]);
    world.did(AccessKind::Read, &["conf", "src"]).proposes(&["conf", "src/a.c"]);
}

#[test]
fn a_folder_that_was_read_whole_is_a_pattern() {
    let read = ["src/a.c", "src/a.h", "src/deep/Makefile"];
    World::new(PLAIN).read(&read).proposes(&["src/**"]);
    let world = World::new(PLAIN).file("src/deep/other", "");
    world.read(&read).proposes(&["src/a.c", "src/a.h", "src/deep/Makefile"]);
    World::new(PLAIN).read(&["src/a.c", "src/b.c", "src/deep/c.c"]).proposes(&["src/**/*.c"]);
    World::new(PLAIN).read(&["x/y/a.c", "x/y/a.h", "x/y/b"]).proposes(&["x/y/**"]);
    // The cookbook's folder never is.
    World::new(PLAIN).read(&["a.x", "b.y", "c.z"]).proposes(&["a.x", "b.y", "c.z"]);
}

#[test]
fn what_was_looked_for_in_vain_is_named_too() {
    let world =
        World::new(PLAIN).read(&["include/a.h"]).missed(&["src/a.h", "node/x", "node", "src/b.h", "src/c.h"]);
    world.proposes(&["include/a.h", "node", "src/*.h"]);
    // What compilers try, and headers that somebody might have compiled.
    let world = World::new(PLAIN).read(&["include/a.h"]);
    let world = world.missed(&["include/a.h.gch", "include/std.h", "-lc", "-lgcc", "libgcc_s.so.1"]);
    world.proposes(&["include/*", "libgcc_s.so.1"]);
    let world = World::new(PLAIN).read(&["src/a.c", "src/b.c", "src/c.c"]).missed(&["src/d.c"]);
    world.proposes(&["src/*.c"]);
    // A search path.
    let world = World::new(PLAIN).read(&["include/a.h"]).missed(&["include/sys/x.h", "include/bits/y.h"]);
    world.proposes(&["include/**"]);
    // What the command then made itself is none.
    let world = World::new(PLAIN).missed(&["tmp/x", "tmp/y"]).did(AccessKind::Written, &["tmp"]);
    world.proposes(&[]);
}

#[test]
fn outputs_are_no_inputs() {
    let cookbook = "name: a\nrecipes:\n  part: {run: x, cache: {inputs: [], outputs: [gen, part.txt]}}\n  \
                    far: {run: x, cache: {inputs: [], outputs: [far.txt]}}\n  \
                    build: {run: x, dependencies: [part], cache: {inputs: [], outputs: [out]}}\n";
    let world = World::new(cookbook).read(&["gen/a.h", "part.txt", "out/b.o", "far.txt", "a.c"]);
    let proposal = world.proposal();
    assert_eq!(proposal.inputs, ["a.c"]);
    let by = RecipeId { cookbook: "a".into(), recipe: "far".into(), instance: None };
    let own = Note::OwnOutput { path: "out/b.o".into() };
    assert_eq!(proposal.notes, [own, Note::Foreign { path: "far.txt".into(), by }]);
}

#[test]
fn what_leads_out_of_the_cookbook_is_relative_to_it() {
    let world = World::new("name: root\nrecipes: {}\n")
        .file("app/cookbook.yml", "name: a\nrecipes:\n  build: {run: cc, cache: {inputs: []}}\n");
    world.read(&["lib/a.h", "lib/b.h", "lib/c.h", "app/x.c", "VERSION"]).proposes(&[
        "../VERSION",
        "../lib/*.h",
        "x.c",
    ]);
}

#[test]
fn a_recipe_without_a_list_gets_one_only_if_its_folder_is_not_enough() {
    let cookbook = "name: a\nrecipes:\n  build: {run: cc, cache: {outputs: [out]}}\n";
    let mut world =
        World::new("name: root\nrecipes: {}\n").file("app/cookbook.yml", cookbook).read(&["app/x.c"]);
    world.declared = vec!["app/x.c"];
    assert_eq!(world.proposal().inputs, Vec::<String>::new());
    world.read(&["y.h"]).proposes(&["../y.h", "x.c"]);
}

#[test]
fn instances_of_a_matrix_share_one_proposal() {
    let cookbook =
        "name: a\nrecipes:\n  build:\n    run: cc\n    matrix: {file: [a.c, b.c]}\n    cache: {inputs: []}\n";
    let world = World::new(cookbook).read(&["a.c", "b.c", "x.h"]);
    // Both instances read both files here, so that both are named as well.
    assert_eq!(world.proposal().inputs, ["{{matrix.file}}", "a.c", "b.c", "x.h"]);
    // Patterns do not make the file of one instance an input of all.
    let deep = cookbook.replace("[a.c, b.c]", "[src/a.c, src/b.c]");
    let world = World::new(&deep).file("src/b.c", "").read(&["src/a.c"]).missed(&["src/x.h", "src/y.gch"]);
    let found =
        world.did(AccessKind::Read, &["src"]).proposals(|id| id.instance.as_deref() == Some("src/a.c"));
    assert_eq!(found[0].inputs, ["{{matrix.file}}", "src/x.h", "src/y.gch"]);
    let only = World::new(cookbook).read(&["a.c", "x.h"]);
    let found = only.proposals(|id| id.instance.as_deref() == Some("a.c"));
    assert_eq!(found[0].inputs, ["{{matrix.file}}", "x.h"]);
}

#[test]
fn programs_that_a_result_depends_on_are_tools() {
    let cookbook = "name: a\nrecipes:\n  build: {run: 'cc -c x.c && ld x.o', tools: [make, gone], cache: {inputs: []}}\n";
    let mut world =
        World::new(cookbook).program("cc").program("sh").program("cat").program("as").program("ld");
    world = world.program("make").did(AccessKind::Executed, &["/usr/libexec/cc1", "tools/gen.py"]);
    let proposal = world.file("tools/gen.py", "").proposal();
    assert_eq!(proposal.tools, ["cc", "ld"]);
    assert_eq!(proposal.inputs, ["tools/gen.py"]);
    assert_eq!(proposal.notes, []);
    let idle = World::new("name: a\nrecipes:\n  build: {run: x, tools: [cc], cache: {inputs: []}}\n");
    let idle = idle.file("../bin/cc", "");
    std::fs::set_permissions(idle.path[0].join("cc"), std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(idle.proposal().notes, [Note::NeverRun { tool: "cc".into() }]);
}

#[test]
fn what_cannot_be_an_input_is_a_note() {
    let world = World::new(
        "name: a\nrecipes:\n  build: {run: x, cache: {inputs: [a.c, 'doc/**', 'none/*'], outputs: [out]}}\n",
    );
    let home = world.home.join(".cargo/registry/x").to_string_lossy().into_owned();
    let other = world.home.join(".cargo/registry/y/z").to_string_lossy().into_owned();
    let mut world =
        world.file("doc/x.md", "").read(&["a.c"]).did(AccessKind::Read, &[&home, &other, ".git/HEAD"]);
    world.declared = vec!["a.c"];
    let proposal = world.file("log.txt", "").did(AccessKind::Written, &["log.txt", "gone.tmp"]).proposal();
    assert!(proposal.is_empty());
    assert_eq!(
        proposal.notes,
        [
            Note::NeverRead { pattern: "doc/**".into() },
            Note::Home { folder: "~/.cargo/registry".into(), paths: 2 },
            Note::Git,
            Note::Writes { path: "log.txt".into() },
        ]
    );
}

#[test]
fn nothing_is_concluded_from_half_a_trace() {
    let world = World::new(PLAIN).read(&["a.c"]);
    let project = world.load();
    let root = world.root();
    let worktree = Worktree::open(&root, &root.join(".larder/state")).unwrap();
    let recipes = project.resolve_all(&WalkListing, Execution::Inert).unwrap().recipes;
    let (mut trace, undeclared) = world.trace();
    trace.incomplete = Some("too much".into());
    let (path, axes) = (&[][..], &axes(&project));
    let place = Place { root: &root, worktree: &worktree, home: None, path, recipes: &recipes, axes };
    let observed = Observed { recipe: &recipes[0], trace: &trace, undeclared: &undeclared, is_named: true };
    let found = propose(&place, &[observed]);
    assert!(found[0].is_empty());
    assert_eq!(found[0].notes, [Note::Incomplete { reason: "too much".into() }]);
}

#[test]
fn a_recipe_without_cache_gets_one_if_it_makes_something() {
    let cookbook = "name: a\nrecipes:\n  build:\n    run: cc\n";
    let world = World::new(cookbook).read(&["a.c"]).file("out/x/a.o", "").file("out/b.o", "").file("app", "");
    let world = world.did(AccessKind::Written, &["out/x/a.o", "out/b.o", "app"]);
    let proposal = world.proposal();
    assert!(proposal.is_new);
    assert_eq!(
        (proposal.inputs.clone(), proposal.outputs.clone()),
        (vec!["a.c".into()], vec!["app".into(), "out".into()])
    );
    let edited = edit(&world.load(), &[proposal]);
    assert_eq!(
        edited.files[0].after,
        "name: a\nrecipes:\n  build:\n    cache:\n      inputs: [a.c]\n      outputs: [app, out]\n    run: cc\n"
    );
    // One that makes nothing does what it is run for.
    let proposal = World::new(cookbook).read(&["a.c"]).proposal();
    assert!(proposal.is_empty());
    assert_eq!(proposal.notes, [Note::NotCached]);
}

/// The project as it would be.
fn edited(world: &World, edited: &Edited) -> Vec<Recipe> {
    let mut options_of = LoadOptions::new(world.root(), &WalkListing);
    options_of.instead = edited.files.iter().map(|file| (file.file.clone(), file.after.clone())).collect();
    Project::load(options_of).unwrap().resolve_all(&WalkListing, Execution::Inert).unwrap().recipes
}

#[test]
fn an_edit_is_checked_against_the_recipes_that_it_makes() {
    let cookbook = "name: a # n\nrecipes:\n  # b\n  build:\n    run: cc\n    cache:\n      inputs: [x] # i\n  other: {run: x}\n";
    let world = World::new(cookbook).read(&["a.c", "[id].c"]).program("cc");
    let proposals = vec![world.proposal()];
    let done = edit(&world.load(), &proposals);
    assert_eq!(
        done.files[0].after,
        "name: a # n\nrecipes:\n  # b\n  build:\n    run: cc\n    tools: [cc]\n    cache:\n      inputs: [x, '[id].c', a.c] # i\n  other: {run: x}\n"
    );
    let project = world.load();
    let before = project.resolve_all(&WalkListing, Execution::Inert).unwrap().recipes;
    let after = edited(&world, &done);
    assert_eq!(check(&project, &before, &after, &proposals, &done.by_hand), Ok(()));
    let build = &before[0].id;
    // What was not proposed may not change.
    assert_eq!(check(&project, &before, &after, &[], &[]), Err(Refusal::Field { recipe: build.clone() }));
    let mut other = after.clone();
    other[1].run.push('!');
    assert_eq!(
        check(&project, &before, &other, &proposals, &[]),
        Err(Refusal::Field { recipe: before[1].id.clone() })
    );
    assert_eq!(check(&project, &before, &after[..1], &proposals, &[]), Err(Refusal::Recipes));
    let mut more = proposals.clone();
    more[0].inputs.push("z".into());
    assert_eq!(
        check(&project, &before, &after, &more, &[]),
        Err(Refusal::Lost { recipe: build.clone(), item: "z".into() })
    );
}

#[test]
fn what_comes_from_elsewhere_is_left_to_a_person() {
    let template = "name: t\ntemplate: {run: cc, tools: [cc], cache: {inputs: [x], outputs: [out]}}\n";
    let world =
        World::new("name: a\nrecipes:\n  build: {template: t}\n").file(".larder/templates/t.yml", template);
    let world = world.read(&["a.c"]).program("ld.x");
    let done = edit(&world.load(), &[world.proposal()]);
    assert_eq!(done.files, []);
    let lists: Vec<(&str, &[String])> =
        done.by_hand.iter().map(|left| (left.list.as_str(), left.items.as_slice())).collect();
    assert_eq!(lists, [("tools", &["ld.x".to_owned()][..]), ("cache.inputs", &["a.c".to_owned()])]);
    let world = World::new(
        "name: a\nvariables: {files: [x]}\nrecipes:\n  build: {run: cc, cache: {inputs: '{{var.files}}'}}\n",
    );
    let world = world.read(&["a.c"]);
    let done = edit(&world.load(), &[world.proposal()]);
    assert_eq!((done.files.len(), done.by_hand.len()), (0, 1));
    // A template that says nothing of the list is no obstacle, and an element that is an expression is none.
    let world = World::new(
        "name: a\nvariables: {files: [x]}\nrecipes:\n  build: {template: t, cache: {inputs: ['{{var.files}}']}}\n",
    );
    let world =
        world.file(".larder/templates/t.yml", "name: t\ntemplate: {run: cc}\n").read(&["a.c"]).program("cc");
    let proposals = [world.proposal()];
    let done = edit(&world.load(), &proposals);
    assert_eq!(
        done.files[0].after,
        "name: a\nvariables: {files: [x]}\nrecipes:\n  build: {template: t, tools: ['cc'], cache: {inputs: ['{{var.files}}', 'a.c']}}\n"
    );
    let project = world.load();
    let before = project.resolve_all(&WalkListing, Execution::Inert).unwrap().recipes;
    assert_eq!(check(&project, &before, &edited(&world, &done), &proposals, &[]), Ok(()));
}
