//! The checks. A tier shared by all of them: keys are of each check's own.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use larder_core::Result;
use larder_reapi::{ActionResult, Message};
use larder_remote::{Publication, Receipt, Tier};
use larder_store::action::needs;
use larder_store::{ActionDigest, envelope};
use tokio::runtime::{Builder, Runtime};

use crate::world::{Machine, key, noise};

type Open<'a> = &'a dyn Fn() -> Arc<dyn Tier>;

/// Runs all checks.
/// `large`: bytes of the blob that is changed a little.
pub(crate) fn run(open: Open<'_>, large: usize) {
    run_whole_blobs(open);
    a_small_change_moves_little(open, large);
}

/// Runs the checks of a tier whose content is whole blobs.
pub(crate) fn run_whole_blobs(open: Open<'_>) {
    what_is_published_is_found_by_another_machine(open);
    nothing_is_absent(open);
    a_second_publication_moves_nothing(open);
    many_small_files_take_few_requests(open);
    a_bad_result_is_replaced(open);
    namespaces_are_apart(open);
}

pub(crate) fn wait<T>(work: impl Future<Output = T>) -> T {
    // One for all: a connection is bound to the runtime that made it.
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());
    RUNTIME.block_on(work)
}

/// Publishes what `machine` has recorded.
pub(crate) fn publish(
    tier: &dyn Tier,
    machine: &Machine,
    action: &ActionDigest,
    replace: bool,
) -> Result<Receipt> {
    let envelope =
        Bytes::from(machine.store.publishable(action)?.expect("it was recorded and may be published"));
    let result = ActionResult::decode(envelope::payload_unjudged(&envelope).unwrap()).unwrap();
    let mut trees = Vec::new();
    let needs = needs(action.function(), &result, &mut |digest| {
        let tree = machine.store.get(digest, 1 << 30)?;
        trees.push(Bytes::from(tree.clone()));
        Ok(tree)
    })?;
    let publication = Publication {
        store: &machine.store,
        action,
        envelope: &envelope,
        needs: &needs,
        trees: &trees,
        label: "suite:recipe",
        replace,
    };
    wait(tier.publish(&publication))
}

/// Brings a result to `machine`; `None` if the tier has none. Answers requests and bytes.
pub(crate) fn bring(tier: &dyn Tier, machine: &Machine, action: &ActionDigest) -> Result<Option<(u64, u64)>> {
    let before = tier.moved();
    let Some(offer) = wait(tier.look_up(machine.store.namespace(), action))? else { return Ok(None) };
    let payload = machine.store.judge_remote(action, offer.envelope()).expect("it is believed");
    let result = ActionResult::decode(payload).unwrap();
    let mut writer = machine.store.writer()?;
    let needs = needs(action.function(), &result, &mut |digest| {
        let tree = offer.trees().iter().find(|tree| action.function().digest(tree) == *digest);
        let tree = tree.expect("trees travel with their result");
        writer.put_verified(digest, &mut &tree[..])?;
        Ok(tree.to_vec())
    })?;
    writer.commit()?;
    let missing = machine.store.find_missing(&needs)?;
    wait(offer.fetch(&machine.store, &needs, &missing))?;
    machine.store.promote(action, offer.envelope())?;
    let after = tier.moved();
    Ok(Some((after.requests - before.requests, after.bytes - before.bytes)))
}

fn what_is_published_is_found_by_another_machine(open: Open<'_>) {
    let (ours, theirs) = (Machine::new(), Machine::new());
    let files = vec![
        b"hello".to_vec(),
        Vec::new(),
        noise(1, 3_000_000),
        b"text ".repeat(100_000),
        noise(1, 3_000_000),
    ];
    let action = ours.build(1, &files);
    assert!(!publish(&*open(), &ours, &action, false).unwrap().present);
    assert!(bring(&*open(), &theirs, &action).unwrap().is_some());
    assert_eq!(theirs.files(&action).as_ref(), Some(&files));
}

fn nothing_is_absent(open: Open<'_>) {
    assert!(bring(&*open(), &Machine::new(), &key(2)).unwrap().is_none());
}

fn a_second_publication_moves_nothing(open: Open<'_>) {
    let (ours, theirs) = (Machine::new(), Machine::new());
    let files = vec![noise(3, 200_000)];
    let action = ours.build(3, &files);
    theirs.build(3, &files);
    publish(&*open(), &ours, &action, false).unwrap();
    let again = publish(&*open(), &theirs, &action, false).unwrap();
    assert!(again.present);
    assert!(again.sent.bytes < 1000, "{again:?}");
}

fn many_small_files_take_few_requests(open: Open<'_>) {
    let (ours, theirs) = (Machine::new(), Machine::new());
    let files: Vec<Vec<u8>> = (0..2000).map(|number| noise(1000 + number, 10_000)).collect();
    let action = ours.build(4, &files);
    let sent = publish(&*open(), &ours, &action, false).unwrap().sent;
    assert!(sent.requests < 100, "{sent:?}");
    let (requests, bytes) = bring(&*open(), &theirs, &action).unwrap().unwrap();
    assert!(requests < 100, "{requests}");
    assert!(bytes < 22_000_000, "{bytes}");
    assert_eq!(theirs.files(&action).as_ref(), Some(&files));
}

fn a_small_change_moves_little(open: Open<'_>, size: usize) {
    let (ours, theirs) = (Machine::new(), Machine::new());
    let mut content = noise(5, size);
    let first = ours.build(5, &[content.clone()]);
    publish(&*open(), &ours, &first, false).unwrap();
    bring(&*open(), &theirs, &first).unwrap().unwrap();
    content.splice(size / 3..size / 3 + 40, b"one line that is another".iter().copied());
    let second = ours.build(6, &[content.clone()]);
    let sent = publish(&*open(), &ours, &second, false).unwrap().sent;
    assert!(sent.bytes < 512 << 10, "both ways: {sent:?}");
    // Who has the first one fetches what is new.
    let (_, bytes) = bring(&*open(), &theirs, &second).unwrap().unwrap();
    assert!(bytes < 512 << 10, "{bytes}");
    assert_eq!(theirs.files(&second).unwrap()[0], content);
    // Who has nothing of it, and made it, sends no more.
    let fresh = Machine::new();
    content.splice(size / 2..size / 2 + 40, b"another line that is another".iter().copied());
    let third = fresh.build(7, &[content]);
    let sent = publish(&*open(), &fresh, &third, false).unwrap().sent;
    assert!(sent.bytes < 2 << 20, "with the lists that are read: {sent:?}");
}

fn a_bad_result_is_replaced(open: Open<'_>) {
    let (ours, theirs, third) = (Machine::new(), Machine::new(), Machine::new());
    let action = ours.build(8, &[b"one".to_vec()]);
    theirs.build(8, &[b"other".to_vec()]);
    publish(&*open(), &ours, &action, false).unwrap();
    assert!(publish(&*open(), &theirs, &action, false).unwrap().present);
    assert!(!publish(&*open(), &theirs, &action, true).unwrap().present);
    bring(&*open(), &third, &action).unwrap().unwrap();
    assert_eq!(third.files(&action).unwrap(), [b"other".to_vec()]);
}

fn namespaces_are_apart(open: Open<'_>) {
    let ours = Machine::new();
    let action = ours.build(9, &[b"mine".to_vec()]);
    publish(&*open(), &ours, &action, false).unwrap();
    assert!(wait(open().look_up("another/../default", &action)).unwrap().is_none());
    assert!(wait(open().look_up("default", &action)).unwrap().is_some());
}
