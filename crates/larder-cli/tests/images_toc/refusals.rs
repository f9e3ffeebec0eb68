//! Tables that are not used, and what is said of them.

use std::fs;

use larder::image::Statement;
use larder::store::trust::{SecretKey, Signer};
use larder_testing::Project;
use larder_testing::registry::Software;

use crate::forge::forge;
use crate::world::{
    NAMESPACE, World, bytes_of, cat, content, fetched, known, larder, machine, seal, trusting,
};

/// Asserts that a machine indexes, reads what is right, and says why once, with these words.
#[track_caller]
fn assert_indexes(project: &Project, world: &World, words: &[&str]) {
    let read = cat(project, &world.image(), "/l1/030", &[]);
    assert!(read.stdout == content(1, 30), "wrong bytes");
    assert!(fetched(&read) >= world.layers[1].stored.len() as u64, "{}", read.stderr);
    assert_eq!(read.stderr.matches("warning:").count(), 1, "{}", read.stderr);
    for word in words {
        assert!(read.stderr.contains(word), "no `{word}` in\n{}", read.stderr);
    }
    assert!(known(project, &world.image()).iter().all(|(_, key)| key.is_none()));
}

#[test]
fn without_a_key_nothing_is_pushed_unless_told_to() {
    let Some(world) = World::new() else { return };
    let (nobody, image) = (machine(None), world.image());
    let before = world.registry.files();
    let args = ["image", "push-toc", "--platform", "linux/amd64", &image];
    let refused = larder(&nobody, &args);
    assert_eq!(refused.code(), 1);
    assert!(refused.stderr.contains("docs/guides/signing.md"), "{}", refused.stderr);
    assert_eq!(world.registry.files(), before);
    let _ = larder(&nobody, &[&args[..], &["--unsigned"]].concat()).good();
    assert_indexes(&machine(None), &world, &["is not signed", "--trust-unsigned-toc"]);
    let quiet = cat(&machine(None), &image, "/l1/030", &["--no-remote-toc"]);
    assert!(!quiet.stderr.contains("warning"), "{}", quiet.stderr);
}

#[test]
fn a_key_that_is_not_trusted_counts_as_none() {
    let Some(world) = World::new() else { return };
    let (key, other) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
    let (table, image) = (world.table(1), world.image());
    world.push(vec![(1, bytes_of(&table), seal(&table, &key))]);
    for project in [machine(None), trusting(&other)] {
        assert_indexes(&project, &world, &[key.key_id(), "--trust-unsigned-toc"]);
        // Then it has its own.
        let again = cat(&project, &image, "/l1/031", &[]);
        assert!(!again.stderr.contains("warning"), "{}", again.stderr);
    }
    // For one command, and nothing of it is kept.
    let once = machine(None);
    let read = cat(&once, &image, "/l1/030", &["--trust-unsigned-toc"]);
    assert_eq!(read.stdout, content(1, 30));
    assert!(!known(&once, &image)[1].0, "an unsigned table was kept");
    let parts = larder(&once, &["image", "cache", "ls"]).good();
    assert_eq!(parts.stdout, "", "parts read by an unsigned table were kept");
}

#[test]
fn a_forged_table_is_not_used_unless_told_to_and_found_out() {
    let Some(world) = World::new() else { return };
    let (key, thief) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
    let forged = forge(&world.table(1), &world.layers[1].stored);
    let image = world.image();
    world.push(vec![(1, bytes_of(&forged), seal(&forged, &thief))]);
    assert_indexes(&trusting(&key), &world, &[thief.key_id(), "--trust-unsigned-toc"]);
    let read = |project: &Project, more: &[&str]| {
        let paths: Vec<String> = (0..60).map(|file| format!("/l1/{file:03}")).collect();
        let mut args = vec!["image", "cat", "--platform", "linux/amd64", &image];
        args.extend(paths.iter().map(String::as_str));
        larder(project, &[&args[..], more].concat())
    };
    let all = |project: &Project, more: &[&str]| read(project, more).good().stdout;
    let right: String = (0..60).map(|file| content(1, file)).collect();
    assert!(all(&machine(None), &["--trust-unsigned-toc"]) != right, "the forgery is none");

    // Signed by who is trusted, it is used. Once all of the layer was read it is found out, and nothing is read by it any more.
    let is_fooled = |project: &Project| {
        let first = read(project, &[]);
        assert!(first.code() == 2 && first.stdout != right, "{}", first.stderr);
        assert!(first.stderr.contains("is not true") && first.stderr.contains("hint:"), "{}", first.stderr);
        let kept = larder(project, &["image", "cache", "ls"]).good().stdout;
        assert!(!kept.contains(&world.table(1).info().diff_id.hex()), "{kept}");
        let again = read(project, &[]);
        assert!(again.code() == 1 && again.stdout.is_empty(), "{}", again.stderr);
        assert!(again.stderr.contains("is not true"), "{}", again.stderr);
    };
    let fooled = trusting(&thief);
    is_fooled(&fooled);
    let verified = larder(&fooled, &["image", "verify", "--platform", "linux/amd64", &image]);
    assert_eq!(verified.code(), 2, "{}\n{}", verified.stdout, verified.stderr);
    assert!(verified.stderr.contains(thief.key_id()), "{}", verified.stderr);
    assert!(all(&fooled, &[]) == right);
    let _ = larder(&fooled, &["image", "verify", "--platform", "linux/amd64", &image]).good();

    // So does whoever indexes anyway.
    let fooled = trusting(&thief);
    is_fooled(&fooled);
    let forced = larder(&fooled, &["image", "index", "--force", "--platform", "linux/amd64", &image]).good();
    assert!(forced.stderr.contains(thief.key_id()), "{}", forced.stderr);
    assert!(all(&fooled, &[]) == right);
}

/// A layer that is whole in the store shows at once that a table lies.
#[test]
fn a_forged_table_of_a_layer_that_is_here_is_found_out_at_the_first_read() {
    let Some(world) = World::new() else { return };
    let (thief, image) = (SecretKey::generate().unwrap(), world.image());
    let forged = forge(&world.table(1), &world.layers[1].stored);
    let project = trusting(&thief);
    let paths: Vec<String> = (0..60).map(|file| format!("/l1/{file:03}")).collect();
    let mut args = vec!["image", "cat", "--platform", "linux/amd64", &image];
    args.extend(paths.iter().map(String::as_str));
    let right = larder(&project, &args).good().stdout;
    // The table that was made here goes, the layer stays.
    let tar = format!("sha256:{}/{}", world.table(1).info().diff_id.hex(), world.table(1).info().size);
    let _ = larder(&project, &["cache", "pin", &tar]).good();
    let _ = larder(&project, &["cache", "gc", "--to-size", "0", "--grace", "0s"]).good();
    world.push(vec![(1, bytes_of(&forged), seal(&forged, &thief))]);
    let read = larder(&project, &args);
    assert!(read.code() == 1 && read.stderr.contains("is not true"), "{}", read.stderr);
    assert!(right.starts_with(&read.stdout), "wrong bytes were shown");
    let _ = larder(&project, &["image", "verify", "--platform", "linux/amd64", &image]);
    assert!(larder(&project, &args).good().stdout == right);
}

#[test]
fn a_flipped_byte_of_a_table_is_found() {
    let Some(world) = World::new() else { return };
    let key = SecretKey::generate().unwrap();
    let table = bytes_of(&world.table(1));
    world.push(vec![(1, table.clone(), seal(&world.table(1), &key))]);
    let file = world.registry.files().into_iter().find(|file| fs::read(file).unwrap() == table).unwrap();
    let mut flipped = table;
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    fs::write(file, flipped).unwrap();
    if *world.registry.software() == Software::GoContainerregistry {
        // It checks what it gives, and says that there is none.
        let read = cat(&trusting(&key), &world.image(), "/l1/030", &[]);
        assert_eq!(read.stdout, content(1, 30));
        return;
    }
    assert_indexes(&trusting(&key), &world, &["damaged", key.key_id()]);
}

#[test]
fn a_signature_that_is_wrong_counts_under_no_flag() {
    let Some(world) = World::new() else { return };
    let key = SecretKey::generate().unwrap();
    let (one, two) = (world.table(0), world.table(1));
    let mut flipped = seal(&two, &key);
    *flipped.last_mut().unwrap() ^= 1;
    world.push(vec![(1, bytes_of(&two), flipped)]);
    assert_indexes(&trusting(&key), &world, &["wrong", key.key_id()]);
    let read = cat(&trusting(&key), &world.image(), "/l1/030", &["--trust-unsigned-toc"]);
    assert_eq!(read.stdout, content(1, 30));
    assert!(read.stderr.contains("wrong"), "{}", read.stderr);

    // The statement of another layer, right and signed.
    let Some(world) = World::new() else { return };
    world.push(vec![(1, bytes_of(&one), seal(&one, &key))]);
    assert_indexes(&trusting(&key), &world, &["wrong", key.key_id()]);
    // A true statement of the layer, and another table with it.
    let Some(world) = World::new() else { return };
    world.push(vec![(1, bytes_of(&one), seal(&two, &key))]);
    assert_indexes(&trusting(&key), &world, &["not the table that the signature is of", key.key_id()]);
}

#[test]
fn a_later_version_is_left_alone() {
    let Some(world) = World::new() else { return };
    let key = SecretKey::generate().unwrap();
    let table = world.table(1);
    let later = Statement { rule: 99, ..Statement::of(&table) };
    let envelope = later.seal(&Signer::Ed25519(key.clone()), NAMESPACE).unwrap();
    world.push(vec![(1, bytes_of(&table), envelope)]);
    assert_indexes(&trusting(&key), &world, &["rules of version 99", "later Larder"]);
}

#[test]
fn a_key_for_another_namespace_is_not_believed() {
    let Some(world) = World::new() else { return };
    let key = SecretKey::generate().unwrap();
    let table = world.table(1);
    let envelope = Statement::of(&table).seal(&Signer::Ed25519(key.clone()), "other").unwrap();
    world.push(vec![(1, bytes_of(&table), envelope)]);
    assert_indexes(&trusting(&key), &world, &[key.key_id()]);
}
