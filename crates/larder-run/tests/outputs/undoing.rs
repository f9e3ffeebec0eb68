//! What was replaced comes back.

use std::fs;
use std::time::{Duration, SystemTime};

use larder_run::outputs::undo::{KEPT_FOR, Which, expire, list, undo};
use larder_run::outputs::{Error, own};

use crate::world::{World, describe};

#[test]
fn undo_puts_back_and_is_itself_undone() {
    let mut world = World::new(&["out"]);
    for path in ["out/a", "out/sub/b", "out/kind/file"] {
        world.write(path, "made");
    }
    let recorded = world.record();
    let made = describe(&world.project);
    world.write("out/a", "by hand");
    world.write("out/stray/deep", "by hand too");
    fs::remove_dir_all(world.path("out/kind")).unwrap();
    world.write("out/kind", "a file now");
    let mine = describe(&world.project);

    let restored = world.restore(&recorded).unwrap();
    assert_eq!(describe(&world.project), made);
    let id = restored.kept.unwrap();
    let mut changed = undo(&world.state, &world.root, Which::LastRun).unwrap();
    changed.sort();
    assert_eq!(changed, [b"out/a".to_vec(), b"out/kind".to_vec(), b"out/stray".to_vec()]);
    assert_eq!(describe(&world.project), mine);
    undo(&world.state, &world.root, Which::Id(&id)).unwrap();
    assert_eq!(describe(&world.project), made);
    undo(&world.state, &world.root, Which::Id(&id)).unwrap();
    assert_eq!(describe(&world.project), mine);
}

#[test]
fn what_the_store_holds_is_not_kept() {
    let mut world = World::new(&["out"]);
    world.write("out/a", "one");
    let first = world.record();
    world.write("out/a", "another");
    world.write("out/more", "more");
    let second = world.record();
    let restored = world.restore(&first).unwrap();
    assert_eq!(restored.kept, None);
    world.owned = own(&world.spec, &first, &restored.stats);
    world.restore(&second).unwrap();
    assert_eq!(list(&world.state).unwrap(), []);
    assert!(matches!(undo(&world.state, &world.root, Which::LastRun), Err(Error::NothingKept { id: None })));
}

#[test]
fn kept_content_expires() {
    let mut world = World::new(&["out"]);
    world.write("out/a", "one");
    let recorded = world.record();
    world.write("out/a", "by hand");
    world.restore(&recorded).unwrap();
    let now = SystemTime::now();
    assert_eq!(expire(&world.state, now, KEPT_FOR).unwrap(), 0);
    assert_eq!(list(&world.state).unwrap().len(), 1);
    assert_eq!(expire(&world.state, now + KEPT_FOR + Duration::from_secs(60), KEPT_FOR).unwrap(), 1);
    assert_eq!(list(&world.state).unwrap(), []);
}
