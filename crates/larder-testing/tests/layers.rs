//! The cases of hard layers: that they are whole, that every packing holds the same bytes, and that the three still do what is written.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    time::{Duration, SystemTime},
};

use larder_testing::{
    layers::{Blob, Case, Expect, Item, Layer, Listing, Packing, Tar, Three, cases},
    strangers,
};
use sha2::{Digest, Sha256};

#[test]
fn cases_are_whole() {
    let all = cases();
    assert!(all.len() >= 200, "{} cases", all.len());
    let names: BTreeSet<_> = all.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), all.len(), "two cases of one name");
    for case in &all {
        assert!(case.what.len() > 10 && !case.layers.is_empty(), "{}", case.name);
        assert_ne!(case.three, Three::Unknown, "nobody was asked about `{}`", case.name);
        if let Expect::Tree(tree) = &case.expect {
            assert!(tree.names.contains_key("."), "`{}` has no tree in `trees.txt`", case.name);
            assert_eq!(Listing::parse(&tree.to_string()).as_ref(), Some(tree), "{}", case.name);
        }
    }
}

#[test]
fn every_packing_holds_the_same_bytes() {
    let tar = Tar::of([Item::file("a", vec![7; 9000]), Item::symlink("s", "a"), Item::file("b", "b")]);
    let mut seen = BTreeSet::new();
    for packing in Packing::ALL {
        let packed = packing.pack(&tar);
        assert!(seen.insert(packed.clone()), "{packing:?} is another's");
        let mut open = Vec::new();
        match packing {
            Packing::Plain => open = packed,
            Packing::Gzip | Packing::GzipStored | Packing::GzipMembers => {
                flate2::bufread::MultiGzDecoder::new(&packed[..]).read_to_end(&mut open).map(drop).unwrap();
            }
            Packing::Zstd | Packing::ZstdFrames => open = zstd::decode_all(&packed[..]).unwrap(),
        }
        assert_eq!(open, tar, "{packing:?}");
    }
}

#[test]
fn layouts_have_right_digests() {
    let folder = tempfile::tempdir().unwrap();
    let case = cases().into_iter().find(|case| case.layers.len() == 3).unwrap();
    case.write(folder.path(), Packing::GzipMembers).unwrap();
    let mut diff_ids = Vec::new();
    for entry in fs::read_dir(folder.path().join("blobs/sha256")).unwrap() {
        let entry = entry.unwrap();
        let bytes = fs::read(entry.path()).unwrap();
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(entry.file_name().to_str().unwrap(), digest);
        let Ok(json) = serde_json::from_slice::<serde_json::Value>(&bytes) else { continue };
        if let Some(found) = json["rootfs"]["diff_ids"].as_array() {
            diff_ids = found.iter().map(|id| id.as_str().unwrap().to_owned()).collect();
        }
    }
    let expected: Vec<_> = case
        .layers
        .iter()
        .map(|layer| match layer {
            Layer::Tar(tar) => format!("sha256:{}", Blob::new(tar, Packing::Plain).diff_id),
            Layer::Blob(blob) => format!("sha256:{}", blob.diff_id),
        })
        .collect();
    assert_eq!(diff_ids, expected);
}

#[test]
fn differences_name_what_differs() {
    let one = Listing::parse(". d 755 0:0 0\na f 644 0:0 1 \"a\" #1\nb f 644 0:0 1 \"a\" #1\n").unwrap();
    let same = Listing::parse(". d 755 0:0 0\na f 644 0:0 1.0 \"a\" #7\nb f 644 0:0 1 \"a\" #7\n").unwrap();
    assert_eq!(one.differences(&same), []);
    let other = Listing::parse(". d 755 0:0 0\na f 644 0:0 1.000000001 \"a\"\nc p 600 1:2 3\n").unwrap();
    let found: Vec<_> = one.differences(&other).iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "`a`: expected `f 644 0:0 1 \"a\" #1`, found `f 644 0:0 1.000000001 \"a\"`",
            "`b`: expected `f 644 0:0 1 \"a\" #1`, found nothing",
            "`c`: expected nothing, found `p 600 1:2 3`",
        ]
    );
}

/// Some twenty seconds: each case is extracted four times.
#[test]
fn the_three_do_what_is_written() {
    if !strangers::available() {
        return;
    }
    let wrong: Vec<_> = cases().iter().filter_map(as_written).collect();
    assert_eq!(wrong, Vec::<String>::new());
}

/// What is not as `trees.txt` has it.
fn as_written(case: &Case) -> Option<String> {
    let answer = strangers::answer(case, Packing::Plain).unwrap();
    let three = match answer.agreed() {
        Some(Ok(_)) => Three::Agree,
        Some(Err(())) => Three::Refuse,
        None => Three::Differ,
    };
    let wrong = three != case.three
        || matches!((answer.agreed(), &case.expect), (Some(Ok(tree)), Expect::Tree(rules))
            if !rules.is_but_for_now(tree));
    wrong.then(|| format!("`{}`: written {:?}, found {three:?}: {answer:?}", case.name, case.three))
}

#[test]
fn packing_is_of_no_matter() {
    if !strangers::available() {
        return;
    }
    let all = cases();
    for name in ["opaque-keeps-subfolder", "link-chain", "sparse-pax-10", "end-then-junk"] {
        let case = all.iter().find(|case| case.name == name).unwrap();
        let Expect::Tree(tree) = &case.expect else { panic!("`{name}` has a tree") };
        for packing in Packing::ALL {
            let answer = strangers::answer(case, packing).unwrap();
            let agreed = answer.agreed().unwrap_or_else(|| panic!("{name} as {packing:?}: {answer:?}"));
            assert_eq!(agreed.unwrap().names.len(), tree.names.len(), "{name} as {packing:?}");
        }
    }
}

/// A folder made by hand is compared with what a case expects: the one call that tests of an export make.
#[test]
fn an_exported_folder_is_compared() {
    if !strangers::available() {
        return;
    }
    let case = cases().into_iter().find(|case| case.name == "end-none").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let time = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let file = fs::File::create(folder.path().join("f")).unwrap();
    (&file).write_all(b"f").unwrap();
    file.set_permissions(fs::Permissions::from_mode(0o644)).unwrap();
    file.set_modified(time(1)).unwrap();
    let root = fs::File::open(folder.path()).unwrap();
    root.set_permissions(fs::Permissions::from_mode(0o755)).unwrap();
    root.set_modified(time(0)).unwrap();
    assert_eq!(strangers::compare(&case, folder.path()), []);

    file.set_modified(time(2)).unwrap();
    let found = strangers::compare(&case, folder.path());
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].to_string(), "`f`: expected `f 644 0:0 1 \"f\"`, found `f 644 0:0 2 \"f\"`");

    let refused = cases().into_iter().find(|case| case.expect == Expect::Refused).unwrap();
    assert_eq!(strangers::compare(&refused, folder.path()).len(), 1);
    let gone = folder.path().join("gone");
    assert_eq!(strangers::compare(&case, &gone).len(), 1, "a folder that is not there is a difference");
}
