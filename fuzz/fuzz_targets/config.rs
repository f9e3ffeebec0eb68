//! A configuration from anywhere never panics, whichever way it is read.
#![no_main]

use larder_run::config::{LoadOptions, Project, WalkListing};
use larder_run::template::Execution;

libfuzzer_sys::fuzz_target!(|input: (bool, &[u8], &[u8])| {
    let (strict, root, cookbook) = input;
    let Ok(folder) = tempfile::tempdir() else { return };
    let name = if strict { "larder.yml" } else { "bake.yml" };
    let written = std::fs::write(folder.path().join(name), root)
        .and_then(|()| std::fs::write(folder.path().join("cookbook.yml"), cookbook));
    if written.is_err() {
        return;
    }
    let mut options = LoadOptions::new(folder.path(), &WalkListing);
    options.execution = Execution::Inert;
    if let Ok(project) = Project::load(options) {
        let _ = project.resolve_all(&WalkListing, Execution::Inert);
    }
});
