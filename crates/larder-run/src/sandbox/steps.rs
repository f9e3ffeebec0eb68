//! The steps that make a sandbox out of a fresh mount namespace.
//!
//! One file system in memory is mounted at `base` of the ground and entered; all paths below are relative to it:
//! ```text
//! root/   becomes `/`          skel/  the project's folders, without what is on disk      in/  the whole project, read-only
//! tmp/ home/ shm/              what can be written to beside the project       none/  empty, to cover something
//! ```
//! A mount made from `in/` is read-only like `in/`, so that an input costs one call. Everything in `root/` that something
//! is mounted on is made before it is frozen.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::ground::{Ground, below};
use super::machine::{Machine, Shown};
use super::{Error, Layout, Place, Seen, ancestors, text};
use crate::outputs::beneath::{join, split};
use crate::process::Step;

/// Devices that commands use.
const DEVICES: &[&str] = &["full", "null", "ptmx", "random", "tty", "urandom", "zero"];

/// Where the kernel shows the machine's devices, network cards among them.
const DEVICES_OF_SYSTEM: &str = "/sys";

struct Steps(Vec<Step>);

impl Steps {
    fn folder(&mut self, path: &[u8], mode: u32) -> Result<(), Error> {
        self.0.push(Step::Folder(text(path)?, mode));
        Ok(())
    }

    /// A folder with all that lead to it.
    fn folders(&mut self, path: &[u8]) -> Result<(), Error> {
        for way in ancestors(path) {
            self.folder(way, 0o755)?;
        }
        self.folder(path, 0o755)
    }

    fn file(&mut self, path: &[u8]) -> Result<(), Error> {
        self.0.push(Step::File(text(path)?));
        Ok(())
    }

    fn link(&mut self, target: &[u8], path: &[u8]) -> Result<(), Error> {
        self.0.push(Step::Link { target: text(target)?, path: text(path)? });
        Ok(())
    }

    fn bind(&mut self, from: &[u8], to: &[u8]) -> Result<(), Error> {
        self.0.push(Step::Bind { from: text(from)?, to: text(to)? });
        Ok(())
    }

    fn freeze(&mut self, path: &[u8]) -> Result<(), Error> {
        self.0.push(Step::Freeze(text(path)?));
        Ok(())
    }

    /// Something for what is shown to be mounted on; a link as such.
    fn place(&mut self, shown: &Shown) -> Result<(), Error> {
        let path = in_root(shown.path());
        match shown {
            Shown::Folder(_) => self.folders(&path),
            Shown::File(_) => {
                self.folders(split(&path).0)?;
                self.file(&path)
            }
            Shown::Link { target, .. } => {
                self.folders(split(&path).0)?;
                self.link(target.as_os_str().as_bytes(), &path)
            }
        }
    }

    fn show(&mut self, shown: &Shown) -> Result<(), Error> {
        match shown {
            Shown::Folder(path) | Shown::File(path) => self.bind(path.as_os_str().as_bytes(), &in_root(path)),
            Shown::Link { .. } => Ok(()),
        }
    }

    /// `/sys` of a command with a network of its own. Where the kernel refuses one (a container that hides parts of its own), the machine's
    /// with its network cards covered.
    fn own_devices(&mut self) -> Result<(), Error> {
        let (mut own, mut shared) = (Self(Vec::new()), Self(Vec::new()));
        let to = in_root(Path::new(DEVICES_OF_SYSTEM));
        own.0.push(Step::Devices(text(&to)?));
        let limits = Path::new("/sys/fs/cgroup");
        if limits.is_dir() {
            own.bind(limits.as_os_str().as_bytes(), &in_root(limits))?;
        }
        shared.bind(DEVICES_OF_SYSTEM.as_bytes(), &to)?;
        for folder in network_cards() {
            shared.bind(b"none", &in_root(&folder))?;
        }
        self.0.push(Step::Either(own.0, shared.0));
        Ok(())
    }

    /// From the start to a root that shows the system, and can only be read.
    fn system(
        &mut self,
        base: &Path,
        machine: &Machine,
        more: &[&[u8]],
        has_network: bool,
    ) -> Result<(), Error> {
        let base = text(base.as_os_str().as_bytes())?;
        self.0.push(Step::Memory(base.clone()));
        self.0.push(Step::Enter(base));
        for name in ["root", "skel", "in", "home", "none"] {
            self.folder(name.as_bytes(), 0o755)?;
        }
        for name in ["tmp", "shm"] {
            self.folder(name.as_bytes(), 0o1777)?;
        }
        for name in ["dev", "dev/pts", "dev/shm", "proc", "tmp", "var", "var/tmp"] {
            self.folder(&join(b"root", name.as_bytes()), 0o755)?;
        }
        for name in devices() {
            self.file(&join(b"root/dev", name.as_bytes()))?;
        }
        for (name, target) in
            [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")]
        {
            self.link(target.as_bytes(), &join(b"root/dev", name.as_bytes()))?;
        }
        for shown in machine.system.iter().chain(&machine.added) {
            self.place(shown)?;
        }
        for path in more {
            self.folders(path)?;
        }
        self.bind(b"root", b"root")?;
        for shown in &machine.system {
            if !has_network && shown.path() == Path::new(DEVICES_OF_SYSTEM) {
                self.own_devices()?;
            } else {
                self.show(shown)?;
            }
        }
        self.freeze(b"root")?;
        self.bind(b"/proc", b"root/proc")?;
        for name in devices() {
            self.bind(&join(b"/dev", name.as_bytes()), &join(b"root/dev", name.as_bytes()))?;
        }
        if Path::new("/dev/pts").is_dir() {
            self.bind(b"/dev/pts", b"root/dev/pts")?;
        }
        for (from, to) in [("shm", "root/dev/shm"), ("tmp", "root/tmp"), ("tmp", "root/var/tmp")] {
            self.bind(from.as_bytes(), to.as_bytes())?;
        }
        Ok(())
    }

    /// Where the project's folders, files and links are, and what is mounted on them.
    fn project(&mut self, place: Place<'_>, layout: &Layout, ground: &Ground<'_>) -> Result<(), Error> {
        let root = in_root(place.root);
        let on_ground = ground.folder().as_os_str().as_bytes();
        let is_placed = |path: &[u8]| ground.is_on_disk(split(path).0);
        for (path, seen) in layout.nodes() {
            let own = join(b"skel", path);
            match seen {
                Seen::Folder(mode) => self.folder(&own, mode | 0o700)?,
                Seen::Whole => self.folder(&own, 0o755)?,
                Seen::File if !is_placed(path) => self.file(&own)?,
                Seen::Link(target) if !is_placed(path) => self.link(target, &own)?,
                Seen::File | Seen::Link(_) => {}
            }
        }
        self.0.push(Step::Keep(text(b"skel")?));
        self.folders(&root)?;
        self.bind(b"skel", &root)?;
        for (at, writable) in layout.writable().iter().enumerate() {
            self.bind(&join(on_ground, at.to_string().as_bytes()), &below_root(&root, writable))?;
        }
        for path in ground.in_memory() {
            self.bind(&join(b"skel", path), &below_root(&root, path))?;
        }
        self.bind(place.root.as_os_str().as_bytes(), b"in")?;
        self.freeze(b"in")?;
        for (path, seen) in layout.nodes() {
            if matches!(seen, Seen::File | Seen::Whole) {
                self.bind(&join(b"in", path), &below_root(&root, path))?;
            }
        }
        Ok(())
    }
}

fn devices() -> impl Iterator<Item = &'static str> {
    DEVICES.iter().copied().filter(|name| Path::new("/dev").join(name).exists())
}

/// The folders of `/sys` that list network cards.
fn network_cards() -> BTreeSet<PathBuf> {
    let class = Path::new("/sys/class/net");
    let cards = std::fs::read_dir(class).into_iter().flatten().flatten();
    let of_card = |card: std::fs::DirEntry| Some(card.path().canonicalize().ok()?.parent()?.to_owned());
    let mut folders: BTreeSet<PathBuf> = cards.filter_map(of_card).collect();
    folders.extend([class.to_owned(), PathBuf::from("/sys/devices/virtual/net")]);
    folders.retain(|folder| folder.is_dir() && folder.starts_with(DEVICES_OF_SYSTEM));
    folders
}

/// An absolute path in what becomes the root.
fn in_root(path: &Path) -> Vec<u8> {
    join(b"root", below(path.as_os_str().as_bytes(), b"/"))
}

fn below_root(root: &[u8], path: &[u8]) -> Vec<u8> {
    if path.is_empty() { root.to_vec() } else { join(root, path) }
}

/// A sandbox that shows the system alone.
pub(super) fn bare(base: &Path, machine: &Machine) -> Result<Vec<Step>, Error> {
    let mut steps = Steps(Vec::new());
    steps.system(base, machine, &[], true)?;
    steps.0.push(Step::Root(text(b"root")?));
    Ok(steps.0)
}

/// The sandbox of a recipe.
pub(super) fn of(
    place: Place<'_>,
    layout: &Layout,
    machine: &Machine,
    ground: &Ground<'_>,
    has_network: bool,
) -> Result<Vec<Step>, Error> {
    let mut steps = Steps(Vec::new());
    let home = machine.home.as_deref().map(in_root);
    let project = in_root(place.root);
    let more: Vec<&[u8]> = home.iter().map(Vec::as_slice).chain([project.as_slice()]).collect();
    steps.system(&ground.folder().join("base"), machine, &more, has_network)?;
    if let Some(home) = &home {
        steps.folders(home)?;
        steps.bind(b"home", home)?;
    }
    for shown in &machine.added {
        // Again, where that is in `HOME` or a temporary folder, which are new.
        steps.place(shown)?;
        steps.show(shown)?;
        if !matches!(shown, Shown::Link { .. }) {
            steps.freeze(&in_root(shown.path()))?;
        }
    }
    steps.project(place, layout, ground)?;
    steps.0.push(Step::Root(text(b"root")?));
    Ok(steps.0)
}
