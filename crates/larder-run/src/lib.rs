//! Recipes: configuration, keys, execution, capture and restore.
//!
//! See `docs/design/0002-runner.md` for the flow and the decisions. The library reads no home directory, prints nothing
//! and never exits: what happens is told through events; the CLI shows it.
//!
//! | module | what |
//! |---|---|
//! | [`config`], [`template`], [`diagnostic`] | files → `Project`; Handlebars; what is said about a configuration |
//! | [`select`], [`plan`], [`recipe`] | selectors → recipes; the graph; the resolved recipe |
//! | [`worktree`], [`listing`] | what is on disk: stat table, walk, globs, digests; the same for the configuration |
//! | [`init`] | a first configuration for a folder |
//! | `installation`, `links` | which file a tool is, and what was installed with it; links on the way to a path |
//! | [`changes`], [`affected`] | what git says has changed; the recipes that it concerns |
//! | [`suggest`] | inputs and tools that a recipe should declare, from what its command touched |
//! | [`key`] | recipe + inputs + dependencies → REAPI `Action` |
//! | [`engine`], [`event`] | runs a plan; what happened |
//! | [`trace`] | what a command touches, and what of that is not declared |
//! | [`outputs`], [`process`], [`lock`] | outputs in and out; supervised commands; locks |
//! | [`sandbox`] | what a sandboxed command sees, and what is taken from it |
//! | [`watch`] | waits until something changes that concerns a plan |
//! | [`state`], [`history`] | `.larder/state/`: what this worktree remembers; its last runs |
//! | [`records`], [`lines`] | what other machines are told of keys; differences of commands |
//! | `secret` | values that are not shown |
//! | [`profile`] | the course of a run: where its time went |

pub mod affected;
pub mod changes;
pub mod config;
pub mod diagnostic;
pub mod engine;
pub mod event;
pub mod history;
pub mod init;
mod installation;
pub mod key;
pub mod lines;
mod links;
pub mod listing;
pub mod lock;
pub mod outputs;
pub mod plan;
pub mod process;
pub mod profile;
pub mod recipe;
pub mod records;
pub mod sandbox;
mod secret;
pub mod select;
pub mod state;
pub mod suggest;
pub mod template;
pub mod trace;
pub mod watch;
pub mod worktree;
