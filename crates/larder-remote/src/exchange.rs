//! One result between a store and one tier, in either direction.
//!
//! Nothing that a tier has is believed: the envelope is judged by the store's trust before anything else is read, and
//! content proves itself. Only what the store may publish is published.

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
    Whole(Transfer),
    /// It has something that is not believed.
    Refused(envelope::Rejected),
}

/// Brings the result of `action` into `store`.
pub(crate) async fn bring(store: &Store, tier: &dyn Tier, action: &ActionDigest) -> Result<Brought> {
    let Some(offer) = tier.look_up(store.namespace(), action).await? else {
        return Ok(Brought::Absent);
    };
    let payload = match store.judge_remote(action, offer.envelope()) {
        Ok(payload) => payload,
        Err(rejected) => return Ok(Brought::Refused(rejected)),
    };
    let malformed = || Error::new(ErrorKind::Corrupt, "read a result").with("tier", tier.name());
    let result = ActionResult::decode(payload).map_err(|error| malformed().caused_by(error))?;
    let needs = offered_needs(store, action, &result, &*offer)?;
    let missing = store.find_missing(&needs)?;
    let moved =
        if missing.is_empty() { Transfer::default() } else { offer.fetch(store, &needs, &missing).await? };
    store.promote(action, offer.envelope())?;
    Ok(Brought::Whole(moved))
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
