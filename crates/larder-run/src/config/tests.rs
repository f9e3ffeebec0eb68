//! Configuration, as its users see it: files in a folder → recipes, or what is said about them.
#![expect(clippy::unwrap_used, reason = "tests")]

mod bake;
mod environment;
mod errors;
mod load;
mod messages;
mod schema;
mod templating;
mod yaml;

use std::collections::BTreeMap;
use std::path::Path;

use super::{ConfigError, LoadOptions, Project, Resolved, WalkListing};
use crate::recipe::Recipe;
use crate::select::Selection;

/// A project in a temporary folder.
struct Fixture {
    folder: tempfile::TempDir,
    env: BTreeMap<String, String>,
    defines: Vec<String>,
    environment_name: Option<String>,
}

impl Fixture {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut env = BTreeMap::new();
        env.insert("PATH".to_owned(), "/usr/bin:/bin".to_owned());
        let fixture = Self { folder, env, defines: Vec::new(), environment_name: None };
        for (path, text) in files {
            fixture.write(path, text);
        }
        fixture
    }

    /// A strict project with one cookbook `app` in its root.
    fn strict(cookbook: &str) -> Self {
        Self::new(&[("larder.yml", "name: demo\n"), ("cookbook.yml", cookbook)])
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn load(&self) -> Result<Project, ConfigError> {
        let mut options = LoadOptions::new(self.root(), &WalkListing);
        options.env = self.env.clone();
        options.defines.clone_from(&self.defines);
        options.environment_name.clone_from(&self.environment_name);
        Project::load(options)
    }

    fn resolve(&self, selectors: &[&str]) -> Result<Resolved, ConfigError> {
        let project = self.load()?;
        let resolved = project.resolve(&Selection::of(selectors), &WalkListing)?;
        if project.mode == crate::recipe::Mode::Strict {
            schema::all_conform(self.root());
        }
        Ok(resolved)
    }

    fn recipe(&self, selector: &str) -> Recipe {
        let resolved = self.resolve(&[selector]).unwrap_or_else(|error| panic!("{}", show(&error)));
        let id = &resolved.selected[0];
        resolved.recipes.into_iter().find(|recipe| recipe.id == *id).unwrap()
    }

    /// What is said about an error anywhere from loading to planning.
    fn error(&self, selectors: &[&str]) -> String {
        let result = self
            .load()
            .and_then(|project| crate::plan::Plan::build(&project, &Selection::of(selectors), &WalkListing));
        show(&result.unwrap_err())
    }
}

fn show(error: &ConfigError) -> String {
    error.diagnostics().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn shows(diagnostics: &[crate::diagnostic::Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
