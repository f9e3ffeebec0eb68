//! One result between a store and one tier, in either direction.
//!
//! Nothing that a tier has is believed: the envelope is judged by the store's trust before anything else is read, and
//! content proves itself. Only what the store may publish is published.

use std::time::Duration;

use bytes::Bytes;
use larder_core::{Digest, Error, ErrorKind, Result};
use larder_reapi::{ActionResult, Message};
use larder_store::action::{LARGEST_TREE, needs};
use larder_store::{ActionDigest, Store, envelope};

use crate::tier::{Offer, Publication, Receipt, Tier, Transfer};

/// What came of asking a tier.
#[derive(Debug)]
pub(crate) enum Brought {
    /// It has nothing.
    Absent,
    /// The result is in the store now, with all its content.
    Whole {
        /// What moved for it.
        moved: Transfer,
        /// It is so old that who uses it should write it anew.
        old: bool,
    },
    /// It has a result in a form that only a newer Larder reads. It is left alone.
    Foreign,
    /// The store cannot keep what the tier has: nothing of it is the tier's fault.
    Unkept(Error),
    /// It has something that is not believed.
    Refused(envelope::Rejected),
}

/// A look-up that takes longer, with all that belongs to it (a connection, a token, the result itself), is a failure.
const LONGEST_LOOK_UP: Duration = Duration::from_secs(10);

/// Brings the result of `action` into `store`.
pub(crate) async fn bring(store: &Store, tier: &dyn Tier, action: &ActionDigest) -> Result<Brought> {
    let look_up = tokio::time::timeout(LONGEST_LOOK_UP, tier.look_up(store.namespace(), action));
    let found = look_up.await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Unavailable, "look up a result")
            .with_message(format!("no answer within {} s", LONGEST_LOOK_UP.as_secs()))
            .with("tier", tier.name().to_owned())
            .with_hint("look at the network between this machine and the server"))
    });
    let offer = match found {
        Ok(Some(offer)) => offer,
        Ok(None) => return Ok(Brought::Absent),
        Err(error) if error.kind() == ErrorKind::Version => return Ok(Brought::Foreign),
        Err(error) => return Err(error),
    };
    let payload = match store.judge_remote(action, offer.envelope()) {
        Ok(payload) => payload,
        Err(rejected) => return Ok(Brought::Refused(rejected)),
    };
    let malformed = || Error::new(ErrorKind::Corrupt, "read a result").with("tier", tier.name());
    let result = ActionResult::decode(payload).map_err(|error| malformed().caused_by(error))?;
    let needs = offered_needs(store, action, &result, &*offer)?;
    let missing = match store.find_missing(&needs) {
        Ok(missing) => missing,
        Err(error) => return Ok(Brought::Unkept(error)),
    };
    let moved = if missing.is_empty() {
        Transfer::default()
    } else {
        match offer.fetch(store, &needs, &missing).await {
            Ok(moved) => moved,
            // Who reads a tier writes into the store alone.
            Err(error) if matches!(error.kind(), ErrorKind::Full | ErrorKind::ReadOnly | ErrorKind::Io) => {
                return Ok(Brought::Unkept(error));
            }
            Err(error) => return Err(error),
        }
    };
    match store.promote(action, offer.envelope()) {
        Ok(_) => Ok(Brought::Whole { moved, old: offer.is_old() }),
        Err(error) => Ok(Brought::Unkept(error)),
    }
}

/// All that a result names; the trees that came with it are kept on the way.
fn offered_needs(
    store: &Store,
    action: &ActionDigest,
    result: &ActionResult,
    offer: &dyn Offer,
) -> Result<Vec<Digest>> {
    let function = action.function();
    let mut writer = store.writer()?;
    let needs = needs(function, result, &mut |digest| {
        let carried = offer.trees().iter().find(|tree| function.digest(tree) == *digest);
        let Some(tree) = carried else {
            return store.get(digest, LARGEST_TREE);
        };
        writer.put_verified(digest, &mut &tree[..])?;
        Ok(tree.to_vec())
    })?;
    writer.commit()?;
    Ok(needs)
}

/// Publishes the result of `action`; nothing if it may not be published.
pub(crate) async fn publish(
    store: &Store,
    tier: &dyn Tier,
    action: &ActionDigest,
    label: &str,
    replace: bool,
) -> Result<Option<Receipt>> {
    let Some(envelope) = store.publishable(action)? else {
        return Ok(None);
    };
    let malformed = |why: String| Error::new(ErrorKind::NotFound, "publish a result").with_message(why);
    let payload = envelope::payload_unjudged(&envelope).map_err(|error| malformed(error.to_string()))?;
    let result = ActionResult::decode(payload).map_err(|error| malformed(error.to_string()))?;
    let mut trees = Vec::new();
    let needs = needs(action.function(), &result, &mut |digest| {
        let tree = store.get(digest, LARGEST_TREE)?;
        trees.push(Bytes::from(tree.clone()));
        Ok(tree)
    })?;
    let envelope = Bytes::from(envelope);
    let publication =
        Publication { store, action, envelope: &envelope, needs: &needs, trees: &trees, label, replace };
    tier.publish(&publication).await.map(Some)
}
