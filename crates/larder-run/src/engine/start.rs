//! What a run does to the project beside its command: room is made for its outputs, and in the end what was moved away is
//! kept, removed, or comes back.
//!
//! Without a sandbox that is a clean start, before the command; what a failed one made stays for inspection. In a sandbox the
//! command does not see what its recipe owns, so that this stays until the command has ended well and has made what
//! it declares: whatever fails leaves the project, and what is remembered of it, as it was.

use larder_core::error::chain;

use super::execute::Failure;
use super::recipe::Job;
use super::timing;
use crate::event::Event;
use crate::outputs::exchange::{Exchange, Room};
use crate::outputs::{Error, Owned, Result, Scope, Snapshot, capture, clean, record as owning};
use crate::profile::Phase;
use crate::sandbox::Sandbox;
use crate::state::Placed;

/// Said of what was moved away and is nobody's.
const MOVED: &str = "files that stood where its outputs go were moved away; they are kept for a day";
/// Said of what was moved away and could not come back.
const NOT_BACK: &str =
    "something came to stand where files were moved away from for it; they are kept for a day";
/// What can be done about both.
const UNDO: &str = "`larder run --undo` brings them back";

/// What a run has done to the project.
pub(super) struct Start<'a> {
    away: Away<'a>,
    /// What matched its globs before without being its own.
    pub(super) before: Snapshot,
    /// What it had left there.
    placed: Option<Placed>,
}

enum Away<'a> {
    /// Nothing yet.
    Untouched,
    /// What it owns was moved away before the command.
    Cleaned(Option<clean::Cleaned<'a>>),
    /// What it owns was exchanged after the command.
    Exchanged(Exchange<'a>),
}

impl Job<'_> {
    /// Before the command; what it does depends on whether there is a sandbox.
    pub(super) fn start<'a>(&self, scope: Scope<'a>, is_sandboxed: bool) -> Result<Start<'a>> {
        let (session, id) = (self.session, &self.recipe.id);
        let placed = session.state.placed(id);
        if is_sandboxed {
            crate::outputs::exchange::check(&scope)?;
            return Ok(Start { away: Away::Untouched, before: Snapshot::default(), placed });
        }
        session.state.set_placed(id, None);
        let cleaned = if self.recipe.incremental {
            clean::make_parents(&scope).map(|()| None)
        } else {
            clean::clean(&scope).map(Some)
        }?;
        let before = self.snapshot(scope.owned)?;
        Ok(Start { away: Away::Cleaned(cleaned), before, placed })
    }

    fn snapshot(&self, owned: &Owned) -> Result<Snapshot> {
        let session = self.session;
        let before = capture::snapshot(&session.root_dir, &self.spec, owned)?;
        owning::begin(session.state.folder(), &self.recipe.id, &before)?;
        Ok(before)
    }

    /// After a command that ended well, in a sandbox: its outputs are put into the project.
    pub(super) fn take_in<'a>(
        &self,
        sandbox: &Sandbox<'_>,
        scope: Scope<'a>,
        start: &mut Start<'a>,
    ) -> Result<(), Failure> {
        let _counting = timing::enter(Phase::Prepare);
        let session = self.session;
        let failed = |error: Error| Failure::new(chain(&error));
        let room = Room::look(scope).map_err(failed)?;
        let collected = sandbox.collect(&room).map_err(|error| Failure::new(chain(&error)))?;
        self.warn_of_strays(&collected);
        let missing = room.missing(&collected.arrivals).map_err(failed)?;
        if !missing.is_empty() && !session.options.lenient_outputs {
            return Err(failed(Error::Missing { paths: missing }));
        }
        let exchange = room.clear(&collected.arrivals).map_err(failed)?;
        session.state.set_placed(&self.recipe.id, None);
        start.away = Away::Exchanged(exchange);
        start.before = self.snapshot(scope.owned).map_err(failed)?;
        if let Away::Exchanged(exchange) = &mut start.away {
            exchange.put(&collected.arrivals).map_err(failed)?;
        }
        session.worktree.ran();
        Ok(())
    }

    /// After everything.
    pub(super) fn end(&self, start: Start<'_>, owned: &Owned, has_failed: bool) {
        let (session, id) = (self.session, &self.recipe.id);
        let _counting = timing::enter(Phase::Prepare);
        let moved = match start.away {
            Away::Untouched => {
                if owning::interrupted(session.state.folder(), id).is_some() {
                    self.save(owned);
                }
                return;
            }
            Away::Exchanged(exchange) if has_failed => {
                let back = exchange.roll_back();
                self.save(owned);
                session.state.set_placed(id, start.placed);
                session.worktree.ran();
                return self.tell(back, Some(NOT_BACK));
            }
            Away::Exchanged(exchange) => {
                let displaces = exchange.displaces();
                self.keep_ownership(owned, &start.before);
                (exchange.keep(&session.cache), displaces)
            }
            Away::Cleaned(cleaned) => {
                self.keep_ownership(owned, &start.before);
                (cleaned.map_or(Ok(None), |cleaned| cleaned.finish(&session.cache)), false)
            }
        };
        let (kept, displaces) = moved;
        // Its own earlier outputs are no news; what stood there before its first run is somebody's.
        self.tell(kept, (displaces || owned.entries.is_empty()).then_some(MOVED));
    }

    /// Says that something is kept for undo.
    fn tell(&self, kept: Result<Option<String>>, message: Option<&str>) {
        let events = self.session.events;
        match (kept, message) {
            (Ok(Some(_)), Some(message)) => {
                events(Event::Warning { recipe: Some(&self.recipe.id), message, hint: Some(UNDO) });
            }
            (Ok(_), _) => {}
            (Err(error), _) => {
                tracing::warn!(error = chain(&error), "what was moved away could not be tidied");
            }
        }
    }

    /// What the recipe owns here, with what a killed or failed run left.
    pub(super) fn owned(&self) -> Owned {
        let (session, recipe) = (self.session, self.recipe);
        let mut owned = Owned::load(session.state.folder(), &recipe.id);
        if let Some(before) = owning::interrupted(session.state.folder(), &recipe.id)
            && let Ok(found) = capture::glob_matches(&session.root_dir, &self.spec)
        {
            owning::take_over(&mut owned, &before, &found);
        }
        owned
    }

    /// After a run without a result: what it made through globs is the recipe's, so that the next clean start takes it.
    fn keep_ownership(&self, owned: &Owned, before: &Snapshot) {
        if self.session.state.placed(&self.recipe.id).is_some() {
            return;
        }
        let mut owned = owned.clone();
        match capture::glob_matches(&self.session.root_dir, &self.spec) {
            Ok(found) => {
                owning::take_over(&mut owned, before, &found);
                self.save(&owned);
            }
            Err(error) => tracing::warn!(error = chain(&error), "what a run made could not be noted"),
        }
    }

    fn save(&self, owned: &Owned) {
        if let Err(error) = owned.save(self.session.state.folder(), &self.recipe.id) {
            tracing::warn!(error = chain(&error), "what a run made could not be noted");
        }
    }
}
