//! What the program knows of user and machine: the only place that reads the environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use larder::project::Surroundings;

/// The store's folder: `LARDER_HOME`, `BAKE_CACHE_DIR` (for projects that come from bake), else `larder/` in the platform's
/// cache folder.
fn home(environment: &BTreeMap<OsString, OsString>) -> Option<PathBuf> {
    let get = |name: &str| {
        environment.get(&OsString::from(name)).filter(|value| !value.is_empty()).map(PathBuf::from)
    };
    let cache = || {
        get("XDG_CACHE_HOME").filter(|path| path.is_absolute()).or_else(|| Some(get("HOME")?.join(".cache")))
    };
    get("LARDER_HOME").or_else(|| get("BAKE_CACHE_DIR")).or_else(|| Some(cache()?.join("larder")))
}

/// Reads the environment.
pub(crate) fn read(defines: Vec<String>, environment_name: Option<String>) -> std::io::Result<Surroundings> {
    let environment: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    let secret = ["LARDER_CACHE_SECRET", "BAKE_CACHE_SECRET"]
        .iter()
        .find_map(|name| environment.get(&OsString::from(name)))
        .map(|value| value.clone().into_vec());
    Ok(Surroundings {
        folder: std::env::current_dir()?,
        home: home(&environment),
        secret,
        environment,
        defines,
        environment_name,
    })
}
