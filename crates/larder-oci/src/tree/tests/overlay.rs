//! What a container sees after a normal pull.

use super::picture::{assert_tree, assert_wrong, merged};
use crate::tree::{MergeRule, Oddity};

#[track_caller]
fn tree(layers: &[&str], want: &str) {
    assert_tree(MergeRule::Overlay, layers, want);
}

#[track_caller]
fn wrong(layers: &[&str], want: &str) {
    assert_wrong(MergeRule::Overlay, layers, want);
}

#[test]
fn names_are_cleaned_as_text_first() {
    tree(
        &["link s -> elsewhere
           file s/../f2 644
           file ./a//b 600
           file ../../up 644
           file /slash 644"],
        "a/ 755
         a/b 600 \"\"
         f2 644 \"\"
         s -> elsewhere
         slash 644 \"\"
         up 644 \"\"",
    );
}

#[test]
fn links_of_the_own_layer_are_followed_inside_the_root() {
    tree(
        &["link lib -> usr/lib
           file lib/foo 644
           link up -> ../../../etc
           file up/passwd 600
           link abs -> /var
           link twice -> abs/run
           file twice/x 644
           dir lib 700"],
        "abs -> /var
         etc/ 755
         etc/passwd 600 \"\"
         lib/ 700
         twice -> abs/run
         up -> ../../../etc
         usr/ 755
         usr/lib/ 755
         usr/lib/foo 644 \"\"
         var/ 755
         var/run/ 755
         var/run/x 644 \"\"",
    );
}

#[test]
fn dotdot_in_a_link_goes_to_the_directory_above_the_one_it_leads_to() {
    tree(
        &["dir a/b 755
           link x -> a/b
           link y -> x/../c
           file y/f 644"],
        "a/ 755
         a/b/ 755
         a/c/ 755
         a/c/f 644 \"\"
         x -> a/b
         y -> x/../c",
    );
}

#[test]
fn links_of_other_layers_are_not_followed() {
    tree(
        &["dir usr/lib 700\nlink lib -> usr/lib", "file lib/foo 644"],
        "lib/ 755\nlib/foo 644 \"\"\nusr/ 755\nusr/lib/ 700",
    );
    tree(&["file f 644 \"low\"", "file f/x 600"], "f/ 755\nf/x 600 \"\"");
}

#[test]
fn what_is_no_directory_in_the_own_layer_is_an_error() {
    wrong(
        &["", "file f 644\nfile f/x 644"],
        "layer 2 (from the bottom): entry `f/x`: `f` is not a directory",
    );
    wrong(
        &["fifo d/f 644\nlink l -> d/f\nfile l/x 644"],
        "layer 1 (from the bottom): entry `l/x`: `d/f` is not a directory",
    );
    wrong(&["wh d\nfile d/x 644"], "layer 1 (from the bottom): entry `d/x`: `d` is not a directory");
}

#[test]
fn loops_of_links_are_an_error() {
    wrong(
        &["link a -> b\nlink b -> a\nfile a/x 644"],
        "layer 1 (from the bottom): entry `a/x`: too many symbolic links on the way to it",
    );
    let chain = |length: usize| {
        let mut text: String = (1..length).map(|at| format!("link l{at} -> l{}\n", at - 1)).collect();
        text += &format!("link l0 -> d\nfile l{}/x 644", length - 1);
        merged(&[&text], MergeRule::Overlay)
    };
    assert!(chain(255).is_ok());
    assert!(chain(256).is_err());
}

#[test]
fn parents_that_are_not_listed() {
    tree(&["file a/b/c 644 t=9"], "a/ 755\na/b/ 755\na/b/c 644 \"\" t=9");
    tree(
        &["dir a 1770 u=3:4 t=5 x:user.k=v", "file a/b/c 644", "file a/b/d 644"],
        "a/ 1770 u=3:4 t=5 x:user.k=v\na/b/ 755\na/b/c 644 \"\"\na/b/d 644 \"\"",
    );
    // Listed later in the same layer.
    tree(&["file a/b 644\ndir a 700 t=3"], "a/ 700 t=3\na/b 644 \"\"");
}

#[test]
fn listed_directories_replace_all_that_is_known_of_the_lower_one() {
    tree(
        &["dir a 1770 u=3:4 t=5 x:user.k=v\nfile a/b 644", "dir a 700 t=6 x:user.l=w"],
        "a/ 700 t=6 x:user.l=w\na/b 644 \"\"",
    );
    tree(&["dir a 700 x:user.k=v", "dir a 755"], "a/ 755");
}

#[test]
fn the_root_can_be_described() {
    tree(&["file a 644"], "a 644 \"\"");
    tree(
        &["dir . 700 u=1:1 t=4 x:user.k=v\nfile a 644", "file b 644"],
        "/ 700 u=1:1 t=4 x:user.k=v\na 644 \"\"\nb 644 \"\"",
    );
    tree(&["dir / 700 u=1:1 x:user.k=v", "dir ./ 711"], "/ 711");
    wrong(&["link / -> a"], "layer 1 (from the bottom): entry `/`: the root is always a directory");
    let tree = merged(&[""], MergeRule::Overlay).unwrap();
    assert_eq!((tree.nodes(), tree.inode_of(tree.root()).links), (1, 2));
}

#[test]
fn a_directory_listed_twice_in_one_layer_keeps_the_attributes_of_both() {
    tree(&["dir a 700 t=1 x:user.a=1 x:user.b=1\ndir a 711 x:user.b=2"], "a/ 711 x:user.a=1 x:user.b=2");
}

#[test]
fn whiteouts_hide_lower_layers_only() {
    tree(&["file a 644\nfile b/c 644\nfile b/d 644", "wh a\nwh b/c\nwh nothing"], "b/ 755\nb/d 644 \"\"");
    // A whole directory, and then a file of its name.
    tree(&["file d/e/f 644", "wh d", "file d 600"], "d 600 \"\"");
    // What a third layer puts there is new.
    tree(&["dir d 700\nfile d/old 644", "wh d", "file d/new 644"], "d/ 755\nd/new 644 \"\"");
    // A device by another name hides as well.
    tree(&["file b 644", "wh a\nhard b => a 644"], "");
    // Hidden in the middle only.
    tree(&["file a 644 \"1\"", "wh a", "file a 644 \"3\""], "a 644 \"3\"");
}

#[test]
fn whiteouts_and_marks_make_their_parents() {
    tree(&["", "wh a/b/c\nopq d/e"], "a/ 755\na/b/ 755\nd/ 755\nd/e/ 755");
    tree(&["file f 644\nlink l -> f", "wh f/x\nopq l"], "f/ 755\nl/ 755");
    tree(&["dir a 700\nfile a/b/c 644", "wh a/b/c"], "a/ 700\na/b/ 755");
    // Through a link of the own layer.
    tree(
        &["file usr/lib/foo 644\nfile usr/lib/bar 644", "link lib -> usr/lib\nwh lib/foo"],
        "lib -> usr/lib\nusr/ 755\nusr/lib/ 755\nusr/lib/bar 644 \"\"",
    );
    // A link that leads through nothing does not make it.
    tree(&["", "link l -> nothing/../d\nfile l/x 644"], "d/ 755\nd/x 644 \"\"\nl -> nothing/../d");
}

#[test]
fn opaque_marks_hide_what_the_lower_directory_has() {
    let low = "dir d 750 u=1:1\nfile d/old 644\nfile d/e/older 644";
    tree(&[low, "opq d"], "d/ 750 u=1:1");
    tree(&[low, "opq d\nfile d/new 644"], "d/ 750 u=1:1\nd/new 644 \"\"");
    tree(&[low, "file d/new 644\nopq d"], "d/ 750 u=1:1\nd/new 644 \"\"");
    tree(&[low, "dir d 700\nfile d/e/new 644\nopq d"], "d/ 700\nd/e/ 755\nd/e/new 644 \"\"");
    tree(&[low, "opq d/e"], "d/ 750 u=1:1\nd/e/ 755\nd/old 644 \"\"");
}

#[test]
fn an_opaque_root_hides_nothing() {
    tree(&["file a 644", "opq .\nfile b 644"], "a 644 \"\"\nb 644 \"\"");
    let odd = merged(&["opq ."], MergeRule::Overlay).unwrap();
    assert_eq!(odd.warnings()[0].oddity, Oddity::OpaqueRoot);
}

#[test]
fn a_whiteout_is_an_object_that_its_own_layer_can_replace() {
    tree(
        &["dir d 700\nfile d/old 644", "wh d\ndir d 750\nfile d/new 644"],
        "d/ 750\nd/new 644 \"\"\nd/old 644 \"\"",
    );
    tree(&["dir d 700\nfile d/old 644", "wh d\nfile d 644"], "d 644 \"\"");
    // Nobody else makes anything of these.
    tree(&["file f 644 \"low\"", "file f 600 \"up\"\nwh f\nwh g\nwh g"], "f 600 \"up\"");
    tree(&["dir d 700\nfile d/old 644", "file d/new 644\nwh d"], "d/ 755\nd/new 644 \"\"");
    tree(&["dir d 700\nfile d/old 644", "opq d\ndir d 711\nwh d"], "d/ 711");
    let odd = merged(&["file a 644\nwh a"], MergeRule::Overlay).unwrap();
    assert_eq!(odd.warnings()[0].oddity, Oddity::WhiteoutOfOwn);
    // Opaque no more.
    tree(&["dir d 700\nfile d/old 644", "opq d\nfile d 644\ndir d 711"], "d/ 711\nd/old 644 \"\"");
    // Below it there is nothing left to hide.
    let odd = merged(&["wh foo\nwh foo/bar"], MergeRule::Overlay).unwrap();
    assert_eq!(odd.warnings()[0].oddity, Oddity::WhiteoutBelowFile);
    assert_eq!(odd.warnings()[0].entry, "foo/.wh.bar");
}

#[test]
fn a_device_without_numbers_hides_as_a_whiteout_does() {
    tree(&["file a 644\nfile b/c 644", "chr a 666 0:0\nchr b 600 0:0"], "");
    tree(&["chr a 666 0:0\nchr null 666 1:3\nblk b 660 0:0"], "b 660 blk 0:0\nnull 666 chr 1:3");
    let odd = merged(&["chr a 666 0:0"], MergeRule::Overlay).unwrap();
    assert_eq!(odd.warnings()[0].oddity, Oddity::DeviceHides);
}

#[test]
fn malformed_marks_are_errors() {
    for (mark, shown) in [("d/.wh.", "d/.wh."), (".wh..", ".wh.."), ("x/.wh...", "x/.wh...")] {
        wrong(
            &[&format!("file {mark} 644")],
            &format!("layer 1 (from the bottom): entry `{shown}`: a whiteout that names nothing"),
        );
    }
    // Only the last part of a path is a mark.
    tree(&["file .wh.d/f 644"], ".wh.d/ 755\n.wh.d/f 644 \"\"");
}

#[test]
fn the_last_of_equal_names_wins() {
    tree(&["file a 644 \"1\"\nfile a 600 \"2\""], "a 600 \"2\"");
    tree(&["file d/e/f 644\nlink d -> x"], "d -> x");
    tree(&["link d -> x\ndir d 711"], "d/ 711");
    tree(
        &["file d/e 644\nfile d 600\nfile g 644\ndir d 755\nfile d/h 644"],
        "d/ 755\nd/h 644 \"\"\ng 644 \"\"",
    );
}

#[test]
fn names_resolve_anew_once_something_is_replaced() {
    tree(
        &["link l -> one
           file l/a 644
           link l -> two
           file l/b 644"],
        "l -> two\none/ 755\none/a 644 \"\"\ntwo/ 755\ntwo/b 644 \"\"",
    );
}

#[test]
fn hard_links_bind_what_is_there_at_that_moment() {
    tree(
        &["file a 644 \"1\" t=1
           hard b => a 644 t=1
           file a 600 \"2\""],
        "a 600 \"2\"\nb 644 \"1\" t=1",
    );
    tree(
        &["file a 644 \"1\" x:user.k=v
           hard d/b => ./x/../a 4755 u=7:8 t=9"],
        "a 4755 \"1\" u=7:8 t=9 x:user.k=v n=2\nd/ 755\nd/b 4755 \"1\" u=7:8 t=9 x:user.k=v n=2",
    );
    tree(
        &["link s -> a\nhard t => s 600 u=1:2\nchr n 666 1:3\nhard m => n 666"],
        "m 666 chr 1:3 n=2\nn 666 chr 1:3 n=2\ns -> a u=1:2 n=2\nt -> a u=1:2 n=2",
    );
    // Through a link to a directory.
    tree(
        &["link lib -> usr/lib\nfile usr/lib/a 644\nhard b => lib/a 644"],
        "b 644 \"\" n=2\nlib -> usr/lib\nusr/ 755\nusr/lib/ 755\nusr/lib/a 644 \"\" n=2",
    );
}

#[test]
fn a_hard_link_with_another_owner_takes_capabilities_away() {
    let capable = "file a 755 x:security.capability=c x:user.k=v";
    for (link, has) in [
        ("hard b => a 755 u=0:1", "u=0:1 x:user.k=v"),
        ("hard b => a 755", "x:security.capability=c x:user.k=v"),
        ("hard b => a 755 u=1:0 x:security.capability=d", "u=1:0 x:security.capability=d x:user.k=v"),
    ] {
        tree(&[&format!("{capable}\n{link}")], &format!("a 755 \"\" {has} n=2\nb 755 \"\" {has} n=2"));
    }
}

#[test]
fn links_are_counted_by_visible_names() {
    tree(&["file a 644\nhard b => a 644", "wh b"], "a 644 \"\"");
    tree(
        &["file a 644\nhard b => a 644\nhard c => b 644", "file b 600"],
        "a 644 \"\" n=2\nb 600 \"\"\nc 644 \"\" n=2",
    );
    let tree = merged(&["dir a/b 755\ndir a/c 755\nfile a/d 644"], MergeRule::Overlay).unwrap();
    let a = tree.look_up(b"a", false).unwrap().unwrap();
    assert_eq!(tree.inode_of(a).links, 4);
    assert_eq!(tree.inode_of(tree.root()).links, 3);
}

#[test]
fn hard_links_without_a_target_are_errors() {
    let says = |target| format!("a hard link to `{target}`, which does not exist before it");
    for (layers, entry, target) in [
        (&["hard b => a 644"][..], "1 (from the bottom): entry `b`", "a"),
        (&["hard b => a 644\nfile a 644"], "1 (from the bottom): entry `b`", "a"),
        (&["file b 644\nhard b => b 644"], "1 (from the bottom): entry `b`", "b"),
        (&["file a 644", "hard b => a 644"], "2 (from the bottom): entry `b`", "a"),
        (&["file a 644\nhard b => a/x 644"], "1 (from the bottom): entry `b`", "a/x"),
        (&["file d/a 644\nhard d => d/a 644"], "1 (from the bottom): entry `d`", "d/a"),
    ] {
        wrong(layers, &format!("layer {entry}: {}", says(target)));
    }
    wrong(
        &["dir d 755\nhard b => d 644"],
        "layer 1 (from the bottom): entry `b`: a hard link to the directory `d`",
    );
    wrong(&["hard b => .. 644"], "layer 1 (from the bottom): entry `b`: a hard link to the directory `..`");
}

#[test]
fn a_directory_over_something_else_is_new() {
    tree(&["file d/old 644", "file d 644", "dir d 700\nfile d/new 644"], "d/ 700\nd/new 644 \"\"");
    tree(&["file d/old 644", "link d -> x"], "d -> x");
}

#[test]
fn symbolic_links_and_modes() {
    tree(&["link s -> a 600 u=1:2 t=3.4"], "s -> a u=1:2 t=3.4");
    let odd = merged(&["link s -> a x:trusted.t=w x:user.k=v"], MergeRule::Overlay).unwrap();
    assert_eq!(odd.warnings()[0].oddity, Oddity::UserAttributes);
    let link = odd.inode_of(odd.look_up(b"s", false).unwrap().unwrap());
    assert_eq!((link.mode, link.size, link.xattrs.len()), (0o777, 1, 1));
}
