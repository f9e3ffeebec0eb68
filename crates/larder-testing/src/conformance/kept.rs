//! Listing, deleting, leases; for backends that have them.

use larder_core::Digest;

use super::{Backend, Case, Sample, wait};

pub(super) const CASES: &[Case] = &[
    ("listing tells everything once", listing),
    ("deleted is gone and can be written again", deleting),
    ("a lease keeps, until it is released", leases),
    ("a lease that ended cannot be renewed", ended),
];

fn listing(backend: &Backend) {
    let Some(sweep) = &backend.sweep else { return };
    let samples: Vec<Sample> = (0..25).map(|seed| Sample::new(300 + seed, 100)).collect();
    for sample in &samples {
        sample.write(&*backend.blobs);
    }
    Sample::new(999, 100).write(&*backend.other);
    let mut listed: Vec<Digest> = Vec::new();
    loop {
        let page = wait(sweep.list(listed.last(), 10)).expect("list");
        assert!(page.len() <= 10);
        if page.is_empty() {
            break;
        }
        listed.extend(page.iter().map(|swept| swept.digest));
    }
    let mut expected: Vec<Digest> = samples.iter().map(|sample| sample.digest).collect();
    expected.sort_unstable();
    assert_eq!(listed, expected);
}

fn deleting(backend: &Backend) {
    let Some(sweep) = &backend.sweep else { return };
    let sample = Sample::new(40, 5000);
    sample.write(&*backend.blobs);
    sample.write(&*backend.other);
    assert_eq!(wait(sweep.delete(&[sample.digest, Digest::blake3(b"absent")])).expect("delete"), 1);
    assert!(!sample.is_visible(&*backend.blobs));
    assert!(sample.is_visible(&*backend.other), "another namespace keeps its own");
    assert_eq!(sample.write(&*backend.blobs), 5000);
    assert!(sample.is_visible(&*backend.blobs));
}

fn leases(backend: &Backend) {
    let (Some(sweep), Some(leases)) = (&backend.sweep, &backend.leases) else { return };
    let sample = Sample::new(41, 100);
    let lease = wait(leases.lease(&[sample.digest], 3600)).expect("lease");
    sample.write(&*backend.blobs);
    assert_eq!(wait(sweep.delete(&[sample.digest])).expect("delete"), 0);
    assert!(sample.is_visible(&*backend.blobs));
    wait(lease.release()).expect("release");
    assert_eq!(wait(sweep.delete(&[sample.digest])).expect("delete"), 1);
}

fn ended(backend: &Backend) {
    let Some(leases) = &backend.leases else { return };
    let mut lease = wait(leases.lease(&[Digest::blake3(b"blob")], 3600)).expect("lease");
    assert!(wait(lease.renew(7200)).expect("renew"));
    wait(lease.release()).expect("release");
}
