//! Trust in a hit, tested through the built program alone.
//!
//! ```text
//! property.rs     random projects, random steps: the tree is always that of a clean build without cache
//! kills.rs        SIGKILL at random moments: nothing lives on, nothing is wrong afterwards
//! concurrency.rs  several processes and clones at once: one execution each
//!
//! model.rs        a random project: recipes, their scripts, their files      random.rs   numbers from a seed
//! edits.rs        what is done to sources, outputs, store and state          steps.rs    the steps of a case
//! world.rs        clones that share a store; runs of the program             tree.rs     a folder in memory
//! reference.rs    the same build by a few lines of code that know nothing of Larder
//! ```
//!
//! `LARDER_TEST_CASES` (default 40) and `LARDER_TEST_KILLS` (default 15) say how many; `LARDER_TEST_SEED` repeats one
//! case, `LARDER_TEST_FIRST` begins elsewhere, `LARDER_TEST_KEEP` keeps the folder of a case that failed, and
//! `LARDER_TEST_PROGRAM` names another build of the program.

#![expect(clippy::unwrap_used, reason = "tests")]

mod concurrency;
mod edits;
mod kills;
mod model;
mod property;
mod random;
mod reference;
mod steps;
mod tree;
mod world;
