//! A kept cookbook is what parsing the file would give now, or it is not used.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::borrow::Cow;
use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Entry;
use crate::config::raw::RawCookbook;
use crate::config::{ConfigError, LoadOptions, Project};
use crate::listing::WorktreeListing;
use crate::state;
use crate::worktree::Worktree;

struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new(root_file: &str, cookbooks: &[&str]) -> Self {
        let fixture = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(fixture.root().join(root_file), "name: demo\n").unwrap();
        for name in cookbooks {
            fixture.write(name, "make", "true");
        }
        fixture
    }

    fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    fn kept(&self) -> PathBuf {
        self.root().join(".larder/state/cookbooks")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root().join(name).join("cookbook.yml")
    }

    fn write(&self, name: &str, recipe: &str, run: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text(name, recipe, run)).unwrap();
    }

    /// As a process of its own would load it.
    fn load(&self) -> Result<Project, ConfigError> {
        let root = self.root();
        let state = root.join(".larder/state");
        let worktree = Worktree::open(&root, &state).unwrap();
        let listing = WorktreeListing::new(&worktree, &root);
        let mut options = LoadOptions::new(&root, &listing);
        options.state = Some(state);
        let project = Project::load(options);
        worktree.save().unwrap();
        project
    }

    fn cookbooks(&self) -> Vec<Arc<RawCookbook>> {
        self.load().unwrap().cookbooks
    }

    /// What there is of each cookbook: its name and its first recipe.
    fn names(&self) -> Vec<String> {
        let name = |book: &Arc<RawCookbook>| format!("{}:{}", book.name, book.recipes[0].name);
        self.cookbooks().iter().map(name).collect()
    }

    /// Replaces every kept cookbook by another one, with checksums that are right.
    fn forge(&self) {
        let body = state::read_checked(&self.kept()).unwrap();
        let mut entries: Vec<Entry<'_>> = postcard::from_bytes(&body).unwrap();
        assert!(!entries.is_empty());
        for entry in &mut entries {
            let mut cookbook: RawCookbook = postcard::from_bytes(&entry.cookbook).unwrap();
            cookbook.recipes[0].name = "forged".to_owned();
            entry.cookbook = Cow::Owned(postcard::to_stdvec(&cookbook).unwrap());
        }
        state::write(&self.kept(), &entries).unwrap();
    }
}

fn text(name: &str, recipe: &str, run: &str) -> String {
    format!(
        "name: {name}\nrecipes:\n  {recipe}:\n    cache: {{inputs: [\"a/*.c\"], outputs: [out]}}\n    run: {run}\n"
    )
}

/// Writes in place (same inode, same size) and puts the times back.
fn edit_in_secret(path: &Path, content: &str) {
    let before = fs::metadata(path).unwrap();
    assert_eq!(before.len(), content.len() as u64);
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(content.as_bytes(), 0).unwrap();
    file.set_times(FileTimes::new().set_modified(before.modified().unwrap())).unwrap();
}

#[test]
fn unchanged_cookbooks_are_not_parsed_and_not_written_again() {
    for root_file in ["larder.yml", "bake.yml"] {
        let fixture = Fixture::new(root_file, &["a", "b"]);
        let parsed = fixture.cookbooks();
        let inode = fs::metadata(fixture.kept()).unwrap().ino();
        assert_eq!(fixture.cookbooks(), parsed);
        assert_eq!(fs::metadata(fixture.kept()).unwrap().ino(), inode);
        // What is kept is really what is used; without this the other tests would prove nothing.
        fixture.forge();
        assert_eq!(fixture.names(), ["a:forged", "b:forged"]);
    }
}

#[test]
fn an_edit_of_the_same_size_within_one_tick_with_times_put_back_is_seen() {
    let fixture = Fixture::new("larder.yml", &["a"]);
    fixture.write("a", "one", "true");
    for recipe in ["two", "one"].into_iter().cycle().take(40) {
        fixture.names();
        edit_in_secret(&fixture.path("a"), &text("a", recipe, "true"));
        assert_eq!(fixture.names(), [format!("a:{recipe}")]);
    }
}

#[test]
fn damage_costs_parsing_and_nothing_else() {
    let fixture = Fixture::new("larder.yml", &["a", "b"]);
    let parsed = fixture.cookbooks();
    let whole = fs::read(fixture.kept()).unwrap();
    for at in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(fixture.kept(), &bytes).unwrap();
        assert_eq!(fixture.cookbooks(), parsed, "byte {at}");
        fs::write(fixture.kept(), &whole[..at]).unwrap();
        assert_eq!(fixture.cookbooks(), parsed, "cut at {at}");
    }
    // Checksums that are right around a cookbook that does not read.
    let body = state::read_checked(&fixture.kept()).unwrap();
    let mut entries: Vec<Entry<'_>> = postcard::from_bytes(&body).unwrap();
    entries[0].cookbook = Cow::Borrowed(b"no cookbook");
    state::write(&fixture.kept(), &entries).unwrap();
    assert_eq!(fixture.cookbooks(), parsed);
    assert_eq!(fs::read(fixture.kept()).unwrap(), whole, "it is mended");
}

#[test]
fn cookbooks_come_and_go() {
    let fixture = Fixture::new("larder.yml", &["a", "b"]);
    assert_eq!(fixture.names(), ["a:make", "b:make"]);
    fixture.write("c", "new", "true");
    assert_eq!(fixture.names(), ["a:make", "b:make", "c:new"]);
    let three = fs::metadata(fixture.kept()).unwrap().len();
    fs::remove_file(fixture.path("a")).unwrap();
    assert_eq!(fixture.names(), ["b:make", "c:new"]);
    assert!(fs::metadata(fixture.kept()).unwrap().len() < three, "what is gone is forgotten");
    fs::rename(fixture.path("b"), fixture.path("a")).unwrap();
    let moved = fixture.cookbooks();
    assert_eq!(moved[0].source.file, Path::new("a/cookbook.yml"));
}

#[test]
fn what_came_with_the_project_is_not_used() {
    let theirs = Fixture::new("larder.yml", &["a"]);
    theirs.names();
    theirs.forge();
    let ours = Fixture::new("larder.yml", &["a"]);
    fs::create_dir_all(ours.kept().parent().unwrap()).unwrap();
    for file in ["cookbooks", "stat-table"] {
        fs::copy(theirs.kept().with_file_name(file), ours.kept().with_file_name(file)).unwrap();
    }
    assert_eq!(ours.names(), ["a:make"]);
}

#[test]
fn what_is_wrong_is_said_each_time() {
    let fixture = Fixture::new("bake.yml", &["a"]);
    fs::write(fixture.path("a"), format!("{}surprise: 1\n", text("a", "make", "true"))).unwrap();
    for _ in 0..3 {
        assert_eq!(fixture.load().unwrap().warnings.len(), 1);
    }
    fs::rename(fixture.root().join("bake.yml"), fixture.root().join("larder.yml")).unwrap();
    for _ in 0..3 {
        assert!(fixture.load().is_err());
    }
}

/// What `{{…}}` renders to depends on more than the file.
#[test]
fn cookbooks_that_are_rendered_before_parsing_are_not_kept() {
    let fixture = Fixture::new("bake.yml", &["a"]);
    let write = |value: &str| {
        let root_file = format!("name: demo\nvariables: {{recipe: {value}}}\n");
        fs::write(fixture.root().join("bake.yml"), root_file).unwrap();
    };
    fixture.write("a", "make", "echo {{var.recipe}}");
    for value in ["one", "two"] {
        write(value);
        let cookbooks = fixture.cookbooks();
        assert!(cookbooks[0].source.text.contains(&format!("echo {value}")));
    }
}

#[test]
fn a_mode_keeps_its_own() {
    let fixture = Fixture::new("larder.yml", &["a"]);
    fixture.names();
    fixture.forge();
    fs::rename(fixture.root().join("larder.yml"), fixture.root().join("bake.yml")).unwrap();
    assert_eq!(fixture.names(), ["a:make"]);
}
