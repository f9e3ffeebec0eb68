//! Waiting until something changes that concerns a plan.
//!
//! ```text
//! bell.rs     Bell: rung when something may have changed; who waits hears it after a quiet moment
//! folders.rs  Folders: the operating system rings the bell for the folders that matter
//! sight.rs    Sight: what a plan reads, looked at now; what is different from an earlier look
//! asked.rs    Asked: what the configuration asked about files, so that it can be asked again
//! root.rs     waiting until the project itself is there again
//! ```
//! # Invariants
//! - **Events are only the alarm clock.** What changed is found by looking: the same questions to the same stat table that a run asks. So an event
//!   that is lost, doubled, late or about something else changes nothing that is decided; an overflow is one ring; polling is a clock that rings.
//! - **Watched first, looked at then.** A look counts when no folder had to be added to the watched ones after it ([`look_around`]): from then on whatever
//!   changes rings. A folder that is made and filled at once is seen by the look that follows the ring of its parent.
//! - Which folders matter is what the answers of the stat table depend upon: the folders of every input and definition, the folders that patterns
//!   must list, and all above them up to the root. Ignored folders without inputs are none of them, and no link is followed out of the project.
//! - What recipes of the plan own is no input here ([`Sight::changes`]): whether it is as the run left it is a question of its own
//!   ([`crate::engine::Report::displaced`]).
//! - A project that was renamed away or removed is none: whoever waits also asks from time to time whether its path still leads to the folder that was
//!   opened ([`crate::worktree::Worktree::is_at`]), because a watch does not tell when a folder above was renamed. Then it waits for a project at that path
//!   ([`until_there`]), and watches and looks anew.
//!
//! # Not promised
//! Changes outside the project (tools in `PATH`, programs that templates call) ring no bell; the next run sees them. Network file systems tell only what this machine
//! writes: for them one polls.

mod asked;
mod bell;
mod folders;
mod root;
mod sight;

use std::collections::BTreeSet;

pub use asked::Asked;
pub use bell::{Bell, Woken};
pub use folders::{Folders, Trouble, is_remote};
pub use root::until_there;
pub use sight::{Change, How, Look, Sight, files_of};

use crate::worktree::Worktree;

/// How often a look is repeated because it found new folders; what comes later rings.
const ROUNDS: usize = 16;

/// Looks at everything, and watches the folders that it depends upon. What changes after the look has begun rings the bell.
///
/// `full`: files with their times; else only whether something is different from the look before.
pub fn look_around(sight: &Sight, worktree: &Worktree, folders: &mut Folders, full: bool) -> Look {
    for _ in 0..ROUNDS {
        worktree.ran();
        let look = sight.look(worktree, full);
        let wanted: BTreeSet<_> = sight.folders(worktree);
        if !folders.keep(&wanted) {
            return look;
        }
    }
    folders.bell().ring();
    worktree.ran();
    sight.look(worktree, full)
}
