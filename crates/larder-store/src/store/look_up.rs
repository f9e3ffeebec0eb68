//! Results: recorded, looked up, and judged at every look-up.
//!
//! A look-up goes: row of the index → envelope believed? → decodes? → all blobs there? Whatever stops it is a
//! [`Miss`] with its reason; a look-up never fails. Many look-ups share one read transaction and one question for
//! blobs.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use larder_core::{Digest, Error, ErrorKind, Result};
use larder_reapi::{ActionResult, Message, Timestamp};

use crate::action::{ActionDigest, LARGEST_TREE, needs, signed_name};
use crate::envelope::{self, Rejected};
use crate::event::{Content, Event, Kind, MissReason, now_ms};
use crate::local::index::{Condition, NewResult, Origin, Outcome, ResultRow};
use crate::local::now_seconds;
use crate::trust::Place;

use super::{LOCAL_TIER, Store};

/// What came of a look-up.
#[derive(Debug)]
pub enum LookUp {
    /// A result that is believed and complete.
    Hit(Box<Hit>),
    /// None, and why.
    Miss(Miss),
}

impl LookUp {
    /// The result, if there is one.
    #[must_use]
    pub fn hit(self) -> Option<Hit> {
        match self {
            Self::Hit(hit) => Some(*hit),
            Self::Miss(_) => None,
        }
    }
}

/// A result that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The result.
    pub result: ActionResult,
    /// The tier that had it.
    pub tier: &'static str,
    /// When it was sealed, in seconds since 1970; proven only if it is signed.
    pub time: u64,
    /// The trusted key that signed it, if one did.
    pub signed_by: Option<String>,
}

impl Hit {
    /// How long the action took when it ran, as measured then; nothing if it was not measured.
    #[must_use]
    pub fn original_millis(&self) -> Option<u64> {
        original_millis(&self.result)
    }
}

/// Why there is no result to use.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Miss {
    /// Nothing is recorded.
    Absent,
    /// A result is recorded, and these of its blobs are gone or corrupt.
    Incomplete(Vec<Digest>),
    /// What is recorded does not decode.
    Corrupt(Arc<Error>),
    /// What is recorded is not believed.
    Untrusted(Rejected),
    /// The store could not be asked.
    Unavailable(Arc<Error>),
}

impl Miss {
    /// The reason as events tell it.
    #[must_use]
    pub fn reason(&self) -> MissReason {
        match self {
            Self::Absent => MissReason::Absent,
            Self::Incomplete(_) => MissReason::Incomplete,
            Self::Corrupt(_) => MissReason::Corrupt,
            Self::Untrusted(_) => MissReason::Untrusted,
            Self::Unavailable(_) => MissReason::Unavailable,
        }
    }
}

/// How much of a result must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Check {
    /// Every blob that it names, through its trees.
    #[default]
    AllBlobs,
    /// The result alone: for callers that have its outputs already.
    ResultOnly,
}

/// Which outcome is noted in the event log. Somebody who asks again after waiting would else count as several look-ups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Note {
    /// Both.
    #[default]
    All,
    /// Only a hit: the same was asked before, and was a miss.
    Hits,
    /// Nothing: the same was asked before, and was a hit.
    Nothing,
}

/// One look-up of many.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The action.
    pub action: ActionDigest,
    /// How events call it; its digest if there is none.
    pub label: Option<&'a str>,
    /// How much must be there.
    pub check: Check,
    /// What the event log is told.
    pub note: Note,
    /// The tier that the result was brought from just before; else the local one.
    pub from: &'static str,
}

impl Store {
    /// Looks up the result of `action`, complete.
    #[must_use]
    pub fn look_up(&self, action: &ActionDigest) -> LookUp {
        self.look_up_one(Ask {
            action: *action,
            label: None,
            check: Check::AllBlobs,
            note: Note::All,
            from: LOCAL_TIER,
        })
    }

    /// Looks up one result.
    #[must_use]
    pub fn look_up_one(&self, ask: Ask<'_>) -> LookUp {
        self.look_up_many(&[ask]).pop().unwrap_or(LookUp::Miss(Miss::Absent))
    }

    /// Looks up many results, in one view of the index; answers in their order.
    #[must_use]
    pub fn look_up_many(&self, asks: &[Ask<'_>]) -> Vec<LookUp> {
        let started = Instant::now();
        let keys: Vec<[u8; 40]> = asks.iter().map(|ask| ask.action.key()).collect();
        let found = self.fetch_rows(&keys).map(|rows| {
            let opened = asks.iter().zip(rows).map(|(ask, row)| self.open_row(ask, row));
            self.check_blobs(asks, opened.collect())
        });
        let answers = match found {
            Ok(answers) => answers,
            Err(error) => asks.iter().map(|_| LookUp::Miss(Miss::Unavailable(error.clone()))).collect(),
        };
        self.note_look_ups(asks, &keys, &answers, started);
        answers
    }

    fn fetch_rows(&self, keys: &[[u8; 40]]) -> Result<Vec<Option<ResultRow>>, Arc<Error>> {
        let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        self.index()?.get_results(self.namespace(), &keys).map_err(Arc::new)
    }

    fn open_row(&self, ask: &Ask<'_>, row: Option<ResultRow>) -> Result<Hit, Miss> {
        let action = &ask.action;
        let row = row.ok_or(Miss::Absent)?;
        let key = action.key();
        let context = self.context(signed_name(action.function()), &key);
        let place = match row.origin {
            Origin::Built => Place::Built,
            Origin::Promoted => Place::Promoted,
        };
        let now = u64::from(now_seconds());
        let opened =
            envelope::open(&row.payload, &context, self.trust(), place, now).map_err(Miss::Untrusted)?;
        let result = ActionResult::decode(opened.payload).map_err(|error| {
            let corrupt = Error::new(ErrorKind::Corrupt, "read an action result").with("action", action);
            Miss::Corrupt(Arc::new(corrupt.caused_by(error)))
        })?;
        let signed_by = opened.signed_by.map(str::to_owned);
        Ok(Hit { result, tier: ask.from, time: opened.time, signed_by })
    }

    /// Turns hits whose blobs are not all there into misses, with one question for all blobs.
    fn check_blobs(&self, asks: &[Ask<'_>], opened: Vec<Result<Hit, Miss>>) -> Vec<LookUp> {
        let needed: Vec<Result<(Hit, Vec<Digest>), Miss>> = asks
            .iter()
            .zip(opened)
            .map(|(ask, hit)| {
                let hit = hit?;
                let needs = match ask.check {
                    Check::AllBlobs => self.needs_of(&ask.action, &hit.result)?,
                    Check::ResultOnly => Vec::new(),
                };
                Ok((hit, needs))
            })
            .collect();
        let all: HashSet<Digest> = needed.iter().flatten().flat_map(|(_, needs)| needs).copied().collect();
        let all: Vec<Digest> = all.into_iter().collect();
        let missing = if all.is_empty() { Ok(Vec::new()) } else { self.find_missing(&all) };
        let missing: HashSet<Digest> = match missing {
            Ok(missing) => missing.into_iter().collect(),
            Err(error) => {
                let error = Arc::new(error);
                let answer = |needed: Result<_, Miss>| match needed {
                    Ok((hit, needs)) if Vec::<Digest>::is_empty(&needs) => LookUp::Hit(Box::new(hit)),
                    Ok(_) => LookUp::Miss(Miss::Unavailable(error.clone())),
                    Err(miss) => LookUp::Miss(miss),
                };
                return needed.into_iter().map(answer).collect();
            }
        };
        let answer = |needed: Result<(Hit, Vec<Digest>), Miss>| {
            let (hit, needs) = match needed {
                Ok(found) => found,
                Err(miss) => return LookUp::Miss(miss),
            };
            let gone: Vec<Digest> = needs.into_iter().filter(|digest| missing.contains(digest)).collect();
            if gone.is_empty() { LookUp::Hit(Box::new(hit)) } else { LookUp::Miss(Miss::Incomplete(gone)) }
        };
        needed.into_iter().map(answer).collect()
    }

    fn needs_of(&self, action: &ActionDigest, result: &ActionResult) -> Result<Vec<Digest>, Miss> {
        let mut unreadable = None;
        let needed = needs(action.function(), result, &mut |digest| {
            let read = self.get(digest, LARGEST_TREE);
            if let Err(error) = &read {
                let gone = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Corrupt);
                unreadable = Some((*digest, gone));
            }
            read
        });
        needed.map_err(|error| match unreadable {
            Some((digest, true)) => Miss::Incomplete(vec![digest]),
            Some((_, false)) => Miss::Unavailable(Arc::new(error)),
            None => Miss::Corrupt(Arc::new(error)),
        })
    }

    fn note_look_ups(&self, asks: &[Ask<'_>], keys: &[[u8; 40]], answers: &[LookUp], started: Instant) {
        // What a batch took cannot be told apart into its parts, so only a single look-up has a time.
        let millis = u64::try_from(started.elapsed().as_millis()).ok().filter(|_| asks.len() == 1);
        let now = now_ms();
        let mut events = Vec::with_capacity(2 * asks.len());
        for ((ask, key), answer) in asks.iter().zip(keys).zip(answers) {
            if let LookUp::Hit(_) = answer {
                self.inner.journal.used(key);
            }
            let is_noted = match ask.note {
                Note::All => true,
                Note::Hits => matches!(answer, LookUp::Hit(_)),
                Note::Nothing => false,
            };
            if !is_noted {
                continue;
            }
            let what = ask.label.map_or_else(|| ask.action.to_string(), str::to_owned);
            let event = |kind| Event::new(now, kind, Content::Result, self.namespace(), what.clone());
            events.push(event(Kind::LookUp));
            events.push(match answer {
                LookUp::Hit(hit) => {
                    let original_millis = hit.original_millis();
                    Event { millis, original_millis, ..event(Kind::Hit { tier: hit.tier.to_owned() }) }
                }
                LookUp::Miss(miss) => Event { millis, ..event(Kind::Miss { reason: miss.reason() }) },
            });
        }
        self.inner.journal.note(events);
    }

    /// Records the result of `action` as made here, sealed with the signer. Its blobs must have been committed:
    /// otherwise it is recorded and never found.
    ///
    /// # Errors
    /// `ReadOnly`, `Full`, `Busy` and others when the index cannot be written to.
    pub fn record(&self, action: &ActionDigest, result: &ActionResult) -> Result<Outcome> {
        self.record_as(action, result, None)
    }

    /// Records a result, with the name that events call it by.
    ///
    /// # Errors
    /// As [`Store::record`].
    pub fn record_as(
        &self,
        action: &ActionDigest,
        result: &ActionResult,
        label: Option<&str>,
    ) -> Result<Outcome> {
        let started = Instant::now();
        let (key, now) = (action.key(), u64::from(now_seconds()));
        let context = self.context(signed_name(action.function()), &key);
        let payload = envelope::seal(self.signer(), &context, &result.encode_to_vec(), now)?;
        let index = self.index().map_err(|error| {
            Error::new(error.kind(), "record result").with("action", action).caused_by(error)
        })?;
        let new =
            NewResult { namespace: self.namespace(), key: &key, payload: &payload, origin: Origin::Built };
        let outcome = index.put_result(&new, Condition::Always, now)?;
        if matches!(outcome, Outcome::Created | Outcome::Replaced) {
            let what = label.map_or_else(|| action.to_string(), str::to_owned);
            let kind = Kind::Write { tier: LOCAL_TIER.to_owned() };
            let mut event = Event::new(now_ms(), kind, Content::Result, self.namespace(), what);
            event.bytes = Some(payload.len() as u64);
            event.millis = u64::try_from(started.elapsed().as_millis()).ok();
            event.original_millis = original_millis(result);
            self.inner.journal.note([event]);
        }
        Ok(outcome)
    }

    /// Keeps a sealed result that came from another tier, whose content is here. It is judged at every look-up, as
    /// something that others made.
    ///
    /// # Errors
    /// As [`Store::record`].
    pub fn promote(&self, action: &ActionDigest, envelope: &[u8]) -> Result<Outcome> {
        let index = self.index().map_err(|error| {
            Error::new(error.kind(), "keep a result").with("action", action).caused_by(error)
        })?;
        let key = action.key();
        let new =
            NewResult { namespace: self.namespace(), key: &key, payload: envelope, origin: Origin::Promoted };
        index.put_result(&new, Condition::Always, u64::from(now_seconds()))
    }

    /// The sealed result of `action` as it may be published: signed by a key that is trusted here, or anything where
    /// signing is off. A result that was made here without a key is sealed now, if there is one. `None`: nothing here
    /// may be published.
    ///
    /// # Errors
    /// When the index cannot be read, or sealing fails.
    pub fn publishable(&self, action: &ActionDigest) -> Result<Option<Vec<u8>>> {
        let index = self.index().map_err(|error| {
            Error::new(error.kind(), "publish a result").with("action", action).caused_by(error)
        })?;
        let key = action.key();
        let Some(row) = index.get_result(self.namespace(), &key)? else { return Ok(None) };
        let context = self.context(signed_name(action.function()), &key);
        let (place, now) = (Place::from(row.origin), u64::from(now_seconds()));
        let signed = match envelope::open(&row.payload, &context, self.trust(), place, now) {
            Ok(opened) => opened.signed_by.is_some() || self.trust().policy() == crate::trust::Policy::Off,
            Err(Rejected::Unsigned) => false,
            Err(_) => return Ok(None),
        };
        if signed {
            return Ok(Some(row.payload));
        }
        if row.origin != Origin::Built || !self.signer().signs() {
            return Ok(None);
        }
        let payload = envelope::payload_unjudged(&row.payload).map_err(|error| {
            Error::new(ErrorKind::Corrupt, "publish a result").with_message(error.to_string())
        })?;
        envelope::seal(self.signer(), &context, payload, now).map(Some)
    }

    /// Judges an envelope that another tier has for `action`; the encoded result in it.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn judge_remote<'a>(
        &self,
        action: &ActionDigest,
        bytes: &'a [u8],
    ) -> std::result::Result<&'a [u8], Rejected> {
        let key = action.key();
        let context = self.context(signed_name(action.function()), &key);
        let now = u64::from(now_seconds());
        Ok(envelope::open(bytes, &context, self.trust(), Place::Remote, now)?.payload)
    }

    /// Forgets the result of `action`; says whether one was there.
    ///
    /// # Errors
    /// When the index cannot be written to.
    pub fn forget(&self, action: &ActionDigest) -> Result<bool> {
        let index =
            self.index().map_err(|error| Error::new(error.kind(), "forget result").caused_by(error))?;
        Ok(index.delete_results(self.namespace(), &[&action.key()])? > 0)
    }
}

/// From the metadata that whoever ran it wrote.
fn original_millis(result: &ActionResult) -> Option<u64> {
    let metadata = result.execution_metadata.as_ref()?;
    if let Some(duration) = &metadata.virtual_execution_duration {
        let millis =
            duration.seconds.checked_mul(1000)?.checked_add(i64::from(duration.nanos) / 1_000_000)?;
        return u64::try_from(millis).ok();
    }
    let millis =
        |time: &Timestamp| time.seconds.checked_mul(1000)?.checked_add(i64::from(time.nanos) / 1_000_000);
    let start = millis(metadata.execution_start_timestamp.as_ref()?)?;
    let end = millis(metadata.execution_completed_timestamp.as_ref()?)?;
    u64::try_from(end.checked_sub(start)?).ok()
}
