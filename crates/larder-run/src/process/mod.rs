//! Running commands so that nothing of them outlives Larder: the only module of this crate with `unsafe`.
//!
//! ```text
//! Larder ──control socket──▶ supervisor (forked, never execs, subreaper, holds the recipe's lock files)
//!    ▲                            │ fork + exec
//!    └──── stdout, stderr ──── recipe ── its children, daemons, … (adopted by the supervisor when orphaned)
//! ```
//!
//! - `spec.rs` what to run · `spawn.rs` prepares everything and forks · `supervisor.rs` the forked side
//! - `descendants.rs` finds what lives, without allocating · `child.rs` Larder's side · `cancel.rs` the way to stop
//! - `observe.rs` lets somebody see the command's system calls · `filter.rs` by a filter · `ptrace.rs` where there can be none
//!
//! # Invariants
//! - When [`Child::wait_with`] returns an [`Exit`], no descendant of the command lives: not one that was left in the
//!   background, called `setsid`, or forked twice. Leftovers get [`LINGER`] to end by themselves (a `tee` that
//!   flushes), then SIGTERM, [`GRACE`], SIGKILL.
//! - The same happens, without [`LINGER`], when the command is cancelled, times out, or Larder dies in any way:
//!   Larder's end of the control socket is held by no other process, so its closing is Larder's death.
//! - The files in [`CommandSpec::locks`] stay open in the supervisor until then. The command itself inherits stdin,
//!   stdout and stderr, and no other descriptor.
//! - The command begins with a clean slate: the given environment and no other, umask 022, default signal handlers,
//!   no blocked signal, a session and a process group of its own (but see [`Stdin::Inherit`]).
//! - Output is read with bounded memory; a command that writes faster than its reader waits. A process that got hold
//!   of the output pipe without being a descendant cannot keep [`Child::wait_with`] from returning.
//!
//! # Concurrency
//! Everything may be called from many threads at once; a [`Child`] belongs to one thread at a time. A recipe's
//! supervisor closes every descriptor that it inherited by accident (another recipe's control socket among them)
//! before it does anything else.
//!
//! # Not promised
//! - A supervisor that is itself killed with SIGKILL cannot clean up. The wait is then an error, never a success; the
//!   command dies (parent-death signal) and so does all of its session, but a descendant that had called `setsid`
//!   may survive.
//! - A descendant that Larder's user may not kill (a set-uid program) or that hangs in the kernel cannot be ended:
//!   the supervisor goes on trying and holds the locks, while the wait ends with [`WaitError::StillAlive`].
//! - Work handed to a process that is not a descendant (a container engine's daemon, `systemd-run`) is not seen.
#![expect(
    unsafe_code,
    reason = "fork without exec, and what a forked child may call, exist only as libc calls"
)]

mod cancel;
mod child;
mod descendants;
mod filter;
mod observe;
mod ptrace;
mod spawn;
mod spec;
mod supervisor;

pub use cancel::CancelToken;
pub use child::{Child, Exit, Status, Stop, Stream, Usage, WaitError};
pub use observe::{Observer, SystemCall, Watch, Way};
pub use spawn::{spawn, spawn_watched};
pub use spec::{CommandSpec, HeldLock, SpawnError, Stdin};

use std::time::Duration;

/// Between SIGTERM and SIGKILL.
pub const GRACE: Duration = Duration::from_millis(500);

/// How long what a finished command left in the background may take to end by itself before SIGTERM.
pub const LINGER: Duration = Duration::from_millis(100);
