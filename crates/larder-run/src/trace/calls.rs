//! The system calls that touch paths, and where their arguments stand: [`Shape`], [`Shapes`].
//!
//! Calls on open descriptors (`read`, `fchmod`) are not here: opening was seen. What can reach files unseen (handles, other mounts,
//! rings) is [`Shape::Escapes`].

/// Which argument is a descriptor that relative paths start from; `None`: the working directory.
pub(super) type At = Option<usize>;

/// Where flags of `open` stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flags {
    /// In this argument.
    Argument(usize),
    /// In the memory that this argument points to (`openat2`).
    Memory(usize),
    /// As `creat` has them.
    Create,
}

/// What a call does to paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Looks a path up; `follows`: also what a link at its end leads to.
    Look { at: At, path: usize, follows: bool },
    /// Looks a path up, and follows a link at its end unless the flags say not to.
    LookFlags { at: At, path: usize, flags: usize },
    /// Opens.
    Open { at: At, path: usize, flags: Flags },
    /// Lists the folder of a descriptor.
    List { fd: usize },
    /// Runs a program.
    Execute { at: At, path: usize },
    /// Makes a folder or a node.
    Make { at: At, path: usize },
    /// Makes a symbolic link.
    Link { target: usize, at: At, path: usize },
    /// Removes a name.
    Remove { at: At, path: usize },
    /// Gives another name, or (`keeps`) one more.
    Rename { from_at: At, from: usize, to_at: At, to: usize, keeps: bool },
    /// Changes what is there.
    Change { at: At, path: usize },
    /// Names a socket's address: a path, if it is one of this machine's (`AF_UNIX`); `binds`: makes it.
    Address { address: usize, length: usize, binds: bool },
    /// Installs a filter of system calls; where it wants to see them itself it cannot while it is observed.
    Filters { operation: usize, flags: usize },
    /// From here on files can be reached unseen.
    Escapes(&'static str),
    /// The same: other things may be behind the same paths.
    Mounts,
}

/// The calls by number.
pub(super) struct Shapes(Vec<Option<Shape>>);

impl Shapes {
    /// Those of this machine's own architecture.
    pub(super) fn new() -> Self {
        let mut by_number = Vec::new();
        for (number, shape) in everywhere().into_iter().chain(older()) {
            let Ok(number) = usize::try_from(number) else { continue };
            if by_number.len() <= number {
                by_number.resize(number + 1, None);
            }
            by_number[number] = Some(shape);
        }
        Self(by_number)
    }

    /// What the call does.
    pub(super) fn get(&self, number: u32) -> Option<Shape> {
        self.0.get(number as usize).copied().flatten()
    }

    /// All numbers.
    pub(super) fn numbers(&self) -> Vec<u32> {
        (0..).zip(&self.0).filter(|(_, shape)| shape.is_some()).map(|(number, _)| number).collect()
    }
}

/// Calls that every architecture has.
fn everywhere() -> Vec<(libc::c_long, Shape)> {
    use Shape::{
        Address, Change, Escapes, Execute, Filters, Link, List, Look, LookFlags, Make, Mounts, Open, Remove,
        Rename,
    };
    let at = Some(0);
    vec![
        (libc::SYS_openat, Open { at, path: 1, flags: Flags::Argument(2) }),
        (libc::SYS_openat2, Open { at, path: 1, flags: Flags::Memory(2) }),
        (libc::SYS_newfstatat, LookFlags { at, path: 1, flags: 3 }),
        (libc::SYS_statx, LookFlags { at, path: 1, flags: 2 }),
        (libc::SYS_faccessat, Look { at, path: 1, follows: true }),
        (libc::SYS_faccessat2, LookFlags { at, path: 1, flags: 3 }),
        (libc::SYS_readlinkat, Look { at, path: 1, follows: false }),
        (libc::SYS_getxattr, Look { at: None, path: 0, follows: true }),
        (libc::SYS_lgetxattr, Look { at: None, path: 0, follows: false }),
        (libc::SYS_listxattr, Look { at: None, path: 0, follows: true }),
        (libc::SYS_llistxattr, Look { at: None, path: 0, follows: false }),
        (libc::SYS_statfs, Look { at: None, path: 0, follows: true }),
        (libc::SYS_inotify_add_watch, Look { at: None, path: 1, follows: true }),
        (libc::SYS_fanotify_mark, Look { at: Some(3), path: 4, follows: true }),
        (libc::SYS_acct, Look { at: None, path: 0, follows: true }),
        (libc::SYS_swapon, Look { at: None, path: 0, follows: true }),
        (468, Look { at, path: 1, follows: true }), // file_getattr
        (464, Look { at, path: 1, follows: true }), // getxattrat
        (465, Look { at, path: 1, follows: true }), // listxattrat
        (libc::SYS_chdir, Look { at: None, path: 0, follows: true }),
        (libc::SYS_name_to_handle_at, Look { at, path: 1, follows: true }),
        (libc::SYS_getdents64, List { fd: 0 }),
        (libc::SYS_execve, Execute { at: None, path: 0 }),
        (libc::SYS_execveat, Execute { at, path: 1 }),
        (libc::SYS_mkdirat, Make { at, path: 1 }),
        (libc::SYS_mknodat, Make { at, path: 1 }),
        (libc::SYS_symlinkat, Link { target: 0, at: Some(1), path: 2 }),
        (libc::SYS_unlinkat, Remove { at, path: 1 }),
        (libc::SYS_renameat2, Rename { from_at: at, from: 1, to_at: Some(2), to: 3, keeps: false }),
        (libc::SYS_renameat, Rename { from_at: at, from: 1, to_at: Some(2), to: 3, keeps: false }),
        (libc::SYS_linkat, Rename { from_at: at, from: 1, to_at: Some(2), to: 3, keeps: true }),
        (libc::SYS_truncate, Change { at: None, path: 0 }),
        (libc::SYS_fchmodat, Change { at, path: 1 }),
        (452, Change { at, path: 1 }), // fchmodat2
        (libc::SYS_fchownat, Change { at, path: 1 }),
        (libc::SYS_utimensat, Change { at, path: 1 }),
        (libc::SYS_setxattr, Change { at: None, path: 0 }),
        (libc::SYS_lsetxattr, Change { at: None, path: 0 }),
        (libc::SYS_removexattr, Change { at: None, path: 0 }),
        (libc::SYS_lremovexattr, Change { at: None, path: 0 }),
        (463, Change { at, path: 1 }), // setxattrat
        (466, Change { at, path: 1 }), // removexattrat
        (469, Change { at, path: 1 }), // file_setattr
        (libc::SYS_connect, Address { address: 1, length: 2, binds: false }),
        (libc::SYS_bind, Address { address: 1, length: 2, binds: true }),
        (libc::SYS_seccomp, Filters { operation: 0, flags: 1 }),
        (libc::SYS_open_by_handle_at, Escapes("it opens files by handle")),
        (libc::SYS_io_uring_setup, Escapes("it uses io_uring, which opens files unseen")),
        (libc::SYS_chroot, Escapes("it changes its root folder")),
        (libc::SYS_pivot_root, Mounts),
        (libc::SYS_mount, Mounts),
        (libc::SYS_umount2, Mounts),
        (libc::SYS_move_mount, Mounts),
        (libc::SYS_open_tree, Mounts),
        (467, Mounts), // open_tree_attr
        (libc::SYS_fsopen, Mounts),
        (libc::SYS_fsmount, Mounts),
        (libc::SYS_fspick, Mounts),
        (libc::SYS_setns, Escapes("it enters another namespace")),
    ]
}

/// Older forms, which only x86-64 has.
#[cfg(target_arch = "x86_64")]
fn older() -> Vec<(libc::c_long, Shape)> {
    use Shape::{Change, Link, List, Look, Make, Open, Remove, Rename};
    let at = None;
    vec![
        (libc::SYS_open, Open { at, path: 0, flags: Flags::Argument(1) }),
        (libc::SYS_creat, Open { at, path: 0, flags: Flags::Create }),
        (libc::SYS_stat, Look { at, path: 0, follows: true }),
        (libc::SYS_lstat, Look { at, path: 0, follows: false }),
        (libc::SYS_access, Look { at, path: 0, follows: true }),
        (libc::SYS_readlink, Look { at, path: 0, follows: false }),
        (libc::SYS_getdents, List { fd: 0 }),
        (libc::SYS_mkdir, Make { at, path: 0 }),
        (libc::SYS_mknod, Make { at, path: 0 }),
        (libc::SYS_symlink, Link { target: 0, at, path: 1 }),
        (libc::SYS_rmdir, Remove { at, path: 0 }),
        (libc::SYS_unlink, Remove { at, path: 0 }),
        (libc::SYS_rename, Rename { from_at: at, from: 0, to_at: at, to: 1, keeps: false }),
        (libc::SYS_link, Rename { from_at: at, from: 0, to_at: at, to: 1, keeps: true }),
        (libc::SYS_chmod, Change { at, path: 0 }),
        (libc::SYS_chown, Change { at, path: 0 }),
        (libc::SYS_lchown, Change { at, path: 0 }),
        (libc::SYS_utime, Change { at, path: 0 }),
        (libc::SYS_utimes, Change { at, path: 0 }),
        (libc::SYS_futimesat, Change { at: Some(0), path: 1 }),
        (libc::SYS_uselib, Look { at, path: 0, follows: true }),
    ]
}

#[cfg(not(target_arch = "x86_64"))]
fn older() -> Vec<(libc::c_long, Shape)> {
    Vec::new()
}
