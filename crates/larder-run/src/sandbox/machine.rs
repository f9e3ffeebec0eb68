//! [`Machine`]: what of the machine is seen in a sandbox: the system's folders, tools that lie elsewhere, folders that the
//! recipe names, and where `HOME` is.
//!
//! A tool that lies outside of what is seen anyway brings what was installed with it (`crate::installation`). A link to a tool is
//! seen as a link to where it leads.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::{Error, Layout, Seen};
use crate::installation::installation;

/// Folders of the root that are the system. What is a link there is a link in the sandbox.
const SYSTEM: &[&str] =
    &["bin", "etc", "gnu", "lib", "lib32", "lib64", "libx32", "nix", "opt", "sbin", "sys", "usr"];

/// Files and folders of the system that lie elsewhere: where a link in `/etc` leads, or a system's own tools are.
const ELSEWHERE: &[&str] = &["/run/current-system", "/var/lib/texmf", "/var/lib/ghc"];

/// Links in `/etc` whose targets are looked for.
const LEAD_ELSEWHERE: &[&str] = &["/etc/resolv.conf", "/etc/localtime"];

/// Something of the machine, at its own path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Folder(PathBuf),
    File(PathBuf),
    Link { path: PathBuf, target: PathBuf },
}

impl Shown {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::File(path) | Self::Link { path, .. } => path,
        }
    }
}

/// See the module's header.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    /// The system.
    pub(super) system: Vec<Shown>,
    /// Tools and named folders.
    pub(super) added: Vec<Shown>,
    /// An empty folder.
    pub(super) home: Option<PathBuf>,
}

impl Machine {
    /// The system alone.
    pub(super) fn bare() -> Self {
        let mut system = Vec::new();
        for name in SYSTEM {
            let path = Path::new("/").join(name);
            match path.symlink_metadata() {
                Ok(found) if found.is_symlink() => {
                    system.extend(std::fs::read_link(&path).ok().map(|target| Shown::Link { path, target }));
                }
                Ok(found) if found.is_dir() => system.push(Shown::Folder(path)),
                _ => {}
            }
        }
        let mut machine = Self { system, ..Self::default() };
        for path in ELSEWHERE.iter().map(PathBuf::from) {
            match path.symlink_metadata() {
                Ok(found) if found.is_symlink() => {
                    let target = std::fs::read_link(&path).unwrap_or_default();
                    machine.system.push(Shown::Link { path, target });
                }
                Ok(found) if found.is_dir() => machine.system.push(Shown::Folder(path)),
                _ => {}
            }
        }
        for link in LEAD_ELSEWHERE {
            if let Ok(real) = Path::new(link).canonicalize()
                && !machine.shows(&real)
                && real.is_file()
            {
                machine.system.push(Shown::File(real));
            }
        }
        machine
    }

    /// What a recipe of the project at `root` sees. Tools that lie in the project become part of `layout`.
    pub(super) fn look(
        root: &Path,
        home: Option<&Path>,
        folders: &[PathBuf],
        tools: &[PathBuf],
        layout: &mut Layout,
    ) -> Result<Self, Error> {
        let mut machine = Self::bare();
        if machine.system.iter().any(|shown| shown.path().starts_with(root)) {
            return Err(Error::HoldsSystem { path: root.to_owned() });
        }
        match home.map(|home| (home, home.strip_prefix(root))) {
            // A folder of the project like any other.
            Some((_, Ok(inside))) => layout.add(inside.as_os_str().as_bytes(), Seen::Folder(0o755)),
            Some((home, Err(_))) => {
                machine.home = Some(home.to_owned()).filter(|home| machine.can_hide(home))
            }
            None => {}
        }
        for folder in folders {
            let real = folder.canonicalize().ok().filter(|real| real.is_dir());
            let real = real.ok_or_else(|| Error::NoFolder { path: folder.clone() })?;
            if root.starts_with(&real) {
                return Err(Error::HoldsProject { path: folder.clone() });
            }
            if real.starts_with(root) {
                return Err(Error::InProject { path: folder.clone() });
            }
            machine.add(Shown::Folder(real.clone()));
            if real != *folder {
                machine.add(Shown::Link { path: folder.clone(), target: real });
            }
        }
        for tool in tools {
            machine.tool(root, tool, layout);
        }
        Ok(machine)
    }

    /// `path` is seen without being named.
    fn shows(&self, path: &Path) -> bool {
        let holds = |shown: &Shown| match shown {
            Shown::Folder(folder) => path.starts_with(folder),
            Shown::File(file) => path == file,
            // Through a link of the root into something that is seen itself.
            Shown::Link { path: link, .. } => path.starts_with(link),
        };
        self.system.iter().chain(&self.added).any(holds)
    }

    /// An empty folder can take the place of `home` without hiding the system.
    fn can_hide(&self, home: &Path) -> bool {
        let is_usual = home.is_absolute() && home.components().count() > 1;
        let exists = home.is_dir();
        let holds_system = self.system.iter().any(|shown| shown.path().starts_with(home));
        is_usual && !holds_system && (exists || !home.exists() && !self.shows(home))
    }

    fn add(&mut self, shown: Shown) {
        if !self.shows(shown.path()) {
            self.added.push(shown);
        }
    }

    fn tool(&mut self, root: &Path, file: &Path, layout: &mut Layout) {
        // What is gone by now is found missing by the command.
        let Ok(real) = file.canonicalize() else { return };
        let lies = file.parent().and_then(|parent| parent.canonicalize().ok());
        let name = file.file_name().unwrap_or_default();
        if let Ok(inside) = real.strip_prefix(root) {
            layout.add(inside.as_os_str().as_bytes(), Seen::File);
        } else {
            for place in installation(file, root, self.home.as_deref()) {
                if place.is_symlink() {
                    continue;
                }
                // A tool's notes about its downloads are made anew in there.
                match place.canonicalize() {
                    Ok(place) if place.starts_with(root) || root.starts_with(&place) => {}
                    Ok(place) if place.is_dir() => self.add(Shown::Folder(place)),
                    Ok(place) if place == real => self.add(Shown::File(place)),
                    _ => {}
                }
            }
        }
        // The name by which it is found, where that is a link or lies behind one.
        let inside = lies.as_deref().and_then(|lies| lies.strip_prefix(root).ok());
        match inside {
            Some(inside) => {
                let path = inside.join(name);
                if let Ok(target) = root.join(&path).read_link() {
                    layout.add(path.as_os_str().as_bytes(), Seen::Link(target.into_os_string().into_vec()));
                }
            }
            None if file != real => self.add(Shown::Link { path: file.to_owned(), target: real }),
            None => {}
        }
    }
}
