//! Modes, owners, times, extended attributes.

use super::{refused, tar, tree};
use crate::layers::{Case, Item};

pub(super) fn cases() -> Vec<Case> {
    [modes(), owners(), times(), kept(), dropped(), lists()].into_iter().flatten().collect()
}

fn modes() -> Vec<Case> {
    vec![
        tree(
            "mode-special-bits",
            "setuid, setgid and sticky, of files and folders",
            [tar([
                Item::file("u", "u").mode(0o4755),
                Item::file("g", "g").mode(0o2755),
                Item::file("t", "t").mode(0o1644),
                Item::file("all", "all").mode(0o7777),
                Item::file("none", "none").mode(0),
                Item::folder("d").mode(0o3777),
                Item::file("owned", "owned").mode(0o6755).owner(1, 1),
            ])],
        ),
        tree(
            "mode-type-bits",
            "Modes are masked with 07777: a type in them is passed over",
            [tar([
                Item::file("f", "f").mode(0o100_644),
                Item::folder("d").mode(0o40_755),
                Item::file("wrong", "wrong").mode(0o120_600),
            ])],
        ),
        tree(
            "mode-setgid-folder",
            "What is put into a folder with setgid has its own group; what no layer lists has 0",
            [tar([
                Item::folder("d").mode(0o2755).owner(0, 50),
                Item::file("d/x/f", "f"),
                Item::folder("d/y"),
                Item::file("d/g", "g"),
            ])],
        ),
        tree(
            "mode-of-symlink",
            "A symlink is 0777 whatever it says",
            [tar([Item::symlink("s", "t").mode(0o600)])],
        ),
    ]
}

fn owners() -> Vec<Case> {
    vec![
        tree(
            "owner-base-256",
            "Owners that need base 256",
            [tar([
                Item::file("f", "f").owner(3_000_000, 0xffff_fffe),
                Item::file("g", "g").owner(0o777_7777, 2_097_152),
            ])],
        ),
        tree(
            "owner-pax",
            "Owners in PAX records win over the header's",
            [tar([Item::file("f", "f").owner(1, 2).pax("uid", "4294967294").pax("gid", "70000")])],
        ),
        refused("owner-too-large", "An owner above 32 bits", [tar([Item::file("f", "f").owner(1 << 32, 0)])]),
        refused("owner-negative", "A negative owner", [tar([Item::file("f", "f").owner(-5, 0)])]),
        refused(
            "owner-nobody-at-all",
            "Owner 4294967295 is what the system takes for none",
            [tar([Item::file("f", "f").pax("uid", "4294967295")])],
        ),
        tree(
            "owner-of-links",
            "Owners of symlinks, devices, pipes and folders",
            [tar([
                Item::symlink("s", "t").owner(1, 2),
                Item::fifo("p").owner(3, 4),
                Item::folder("d").owner(5, 6),
                Item::block_device("b", 8, 1).owner(7, 8),
            ])],
        ),
    ]
}

fn times() -> Vec<Case> {
    let at = |name: &str, time: &str| Item::file(name, "").pax("mtime", time);
    vec![
        tree(
            "time-nanoseconds",
            "Times to the nanosecond; more digits are cut",
            [tar([
                at("a", "1.000000001"),
                at("b", "1700000000.123456789"),
                at("c", "5.5"),
                at("d", "6.1234567899"),
                Item::symlink("s", "a").pax("mtime", "7.25"),
                Item::folder("z").pax("mtime", "8.125"),
            ])],
        ),
        tree(
            "time-negative",
            "Times before 1970 are 0",
            [tar([
                at("a", "-1"),
                at("b", "-1.5"),
                Item::file("c", "").time(-100),
                Item::folder("d").pax("mtime", "-3"),
            ])],
        ),
        tree(
            "time-far",
            "The last second of 2262's range is kept, later ones are 0",
            [tar([
                at("a", "9223372036.854775807"),
                at("b", "9223372037"),
                Item::file("c", "").time(1 << 35),
                at("d", "4294967296"),
                Item::symlink("s", "a").pax("mtime", "9223372037"),
            ])],
        ),
        tree(
            "time-of-folder-final",
            "A folder's own time holds, whatever is put into it later",
            [tar([
                Item::folder("a").time(5),
                Item::file("a/b", "b"),
                Item::folder("a/c").time(6),
                Item::file("a/c/d", "d"),
            ])],
        ),
        tree(
            "time-of-folder-through-symlink",
            "A folder's own time holds where it was named through a symlink",
            [tar([
                Item::folder("d").time(5),
                Item::symlink("s", "d"),
                Item::folder("s/sub").time(7),
                Item::file("s/sub/f", "f"),
            ])],
        ),
        tree(
            "time-of-folder-replaced",
            "The time of a folder that was replaced by a file is not the file's",
            [tar([Item::folder("a").time(5), Item::file("a", "file").time(9)])],
        ),
        tree(
            "time-access-later",
            "An access time is of no matter",
            [tar([Item::file("f", "f").time(5).pax("atime", "9").pax("ctime", "11")])],
        ),
        refused("time-malformed", "A PAX time that is no number", [tar([at("a", "tomorrow")])]),
    ]
}

fn kept() -> Vec<Case> {
    // Version 2, permitted: CAP_NET_BIND_SERVICE.
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    // Version 3 has the user namespace's root too.
    let capability_3 = [1, 0, 0, 3, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xe8, 3, 0, 0];
    vec![
        tree(
            "xattr-user",
            "`user.` on files and folders, odd names and values, empty ones",
            [tar([
                Item::file("f", "f")
                    .xattr("user.a", "one")
                    .xattr("user.b", b"\0\xff\n=")
                    .xattr("user.a=b", "x"),
                Item::folder("d").xattr("user.d", "d"),
                Item::file("e", "e").xattr("user.empty", ""),
            ])],
        ),
        tree(
            "xattr-capability",
            "`security.capability` survives the owner's change",
            [tar([
                Item::file("ping", "x").mode(0o755).owner(3, 4).xattr("security.capability", capability),
                Item::file("ping3", "x").mode(0o755).xattr("security.capability", capability_3),
            ])],
        ),
        tree(
            "xattr-capability-above",
            "A capability of a lower file does not survive the file's being replaced",
            [
                tar([Item::file("ping", "x").xattr("security.capability", capability)]),
                tar([Item::file("ping", "y")]),
            ],
        ),
        tree(
            "xattr-security-other",
            "`security.` of other names",
            [tar([Item::file("f", "f").xattr("security.larder", "x")])],
        ),
        tree(
            "xattr-longest",
            "A value of 65,535 bytes",
            [tar([Item::file("f", "f").xattr("user.a", vec![7; 65_535])])],
        ),
        refused(
            "xattr-value-65536",
            "A value of 65,536 bytes is too long",
            [tar([Item::file("f", "f").xattr("user.a", vec![7; 65_536])])],
        ),
        refused(
            "xattr-value-too-long",
            "A value of 65,537 bytes is too long",
            [tar([Item::file("f", "f").xattr("user.a", vec![7; 65_537])])],
        ),
        tree(
            "xattr-duplicate",
            "Of two records of one attribute the last wins",
            [tar([Item::file("f", "f").xattr("user.a", "one").xattr("user.a", "two")])],
        ),
        tree(
            "xattr-libarchive",
            "libarchive's own records (`LIBARCHIVE.xattr.`) are not read",
            [tar([Item::file("f", "f").pax("LIBARCHIVE.xattr.user.a", "b25l")])],
        ),
    ]
}

fn dropped() -> Vec<Case> {
    vec![
        tree(
            "xattr-user-on-symlink",
            "`user.` on a symlink, a device, a pipe: dropped",
            [tar([
                Item::symlink("s", "t").xattr("user.a", "a"),
                Item::fifo("p").xattr("user.a", "a"),
                Item::char_device("c", 1, 3).xattr("user.a", "a"),
            ])],
        ),
        tree(
            "xattr-trusted",
            "`trusted.` other than the overlay's is kept",
            [tar([Item::file("f", "f").xattr("trusted.larder", "x")])],
        ),
        tree(
            "xattr-overlay-opaque",
            "`trusted.overlay.opaque` in an archive is dropped, and hides nothing",
            [
                tar([Item::folder("d"), Item::file("d/low", "low")]),
                tar([
                    Item::folder("d").time(9).xattr("trusted.overlay.opaque", "y"),
                    Item::file("d/new", "new"),
                ]),
            ],
        ),
        tree(
            "xattr-overlay-redirect",
            "`trusted.overlay.redirect` in an archive is dropped, and shows nothing",
            [
                tar([Item::folder("d"), Item::file("d/low", "low")]),
                tar([Item::folder("e").time(9).xattr("trusted.overlay.redirect", "/d")]),
            ],
        ),
        tree(
            "xattr-selinux",
            "`security.selinux` is dropped",
            [tar([Item::file("f", "f").xattr("security.selinux", "system_u:object_r:bin_t:s0\0")])],
        ),
        tree(
            "xattr-unknown-namespace",
            "An attribute of no namespace that the system knows is dropped",
            [tar([Item::file("f", "f").xattr("com.apple.quarantine", "x")])],
        ),
    ]
}

/// An access control list: owner rw, user 1000 r, group r, mask rw, others none.
fn list() -> Vec<u8> {
    let mut value = 2_u32.to_le_bytes().to_vec();
    let none = u32::MAX;
    for (tag, permissions, id) in
        [(1_u16, 6_u16, none), (2, 4, 1000), (4, 4, none), (0x10, 6, none), (0x20, 0, none)]
    {
        value.extend(tag.to_le_bytes());
        value.extend(permissions.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    value
}

fn lists() -> Vec<Case> {
    vec![
        tree(
            "xattr-acl",
            "Access control lists are kept; the mode's group bits are their mask",
            [tar([
                Item::file("f", "f").mode(0o660).xattr("system.posix_acl_access", list()),
                Item::folder("d").mode(0o760).xattr("system.posix_acl_default", list()),
            ])],
        ),
        tree(
            "xattr-acl-other-mode",
            "A list whose mask is not the mode's group bits: the mode wins",
            [tar([Item::file("f", "f").mode(0o640).xattr("system.posix_acl_access", list())])],
        ),
        tree(
            "xattr-acl-inherited",
            "A default list is passed on to what the same layer puts into that folder later",
            [tar([
                Item::folder("d").mode(0o755).time(4).xattr("system.posix_acl_default", list()),
                Item::file("d/f", "f").mode(0o644),
                Item::folder("d/sub").mode(0o755).time(5),
            ])],
        ),
        tree(
            "xattr-acl-malformed",
            "A list that is none is dropped",
            [tar([Item::file("f", "f").xattr("system.posix_acl_access", "nonsense")])],
        ),
    ]
}
