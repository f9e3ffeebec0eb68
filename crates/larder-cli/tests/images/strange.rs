//! What people met who did not know Larder: names that are not UTF-8, images that cannot be put together, platforms, holes, files of other kinds.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use larder_testing::layers::{Blob, Item, Packing, Tar, write_layout};
use larder_testing::{Output, Project};
use serde_json::Value;

use super::world::{LARDER, base, good, image, layout, refused, top};

/// Runs `larder image` with arguments of any bytes.
fn bytes(machine: &Project, args: &[&[u8]]) -> Output {
    let args = args.iter().map(|arg| OsStr::from_bytes(arg));
    machine.larder(LARDER, [OsStr::new("image")].into_iter().chain(args))
}

/// The lines of an output as JSON.
fn lines(output: &Output) -> Vec<Value> {
    output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn names_that_are_not_utf_8() {
    let machine = Project::new();
    let names = [
        Item::folder(b"caf\xe9"),
        Item::file(b"caf\xe9/men\xfc", "soup\n"),
        Item::file("caf\u{fffd}", "something else\n"),
    ];
    layout(&machine, "one", &[Tar::of(names)], Packing::Plain);
    let more = Item::file(b"caf\xe9/g\xe2teau", "cake\n");
    layout(&machine, "two", &[Tar::of([Item::folder(b"caf\xe9"), more])], Packing::Plain);
    let said = |args: &[&[u8]]| bytes(&machine, args).good().stdout;
    assert_eq!(said(&[b"cat", b"oci:one", b"/caf\xe9/men\xfc"]), "soup\n");
    assert_eq!(said(&[b"ls", b"oci:one", b"/caf\xe9"]), "men\\xfc\n");
    assert_eq!(said(&[b"find", b"oci:one", b"men\xfc"]), "/caf\\xe9/men\\xfc\n");
    assert_eq!(said(&[b"find", b"oci:one", b"/caf\xe9/men\xfc"]), "/caf\\xe9/men\\xfc\n");
    assert_eq!(said(&[b"find", b"oci:one", b"--below", b"/caf\xe9", b"men?"]), "/caf\\xe9/men\\xfc\n");
    assert!(said(&[b"du", b"oci:one", b"/caf\xe9"]).contains("/caf\\xe9"));
    assert!(
        said(&[b"diff", b"oci:one", b"oci:two", b"--below", b"/caf\xe9"]).contains("+ /caf\\xe9/g\\xe2teau")
    );
    assert!(said(&[b"export", b"oci:one", b"/caf\xe9"]).contains("soup\n"));
    for args in [
        &[&b"ls"[..], b"oci:one", b"/caf\xff"][..],
        &[b"cat", b"oci:one", b"/caf\xff"],
        &[b"find", b"oci:one", b"caf\xff*"],
    ] {
        let output = bytes(&machine, args);
        assert_eq!(output.code(), 1, "{}", output.stderr);
        assert!(
            output.stderr.contains("there is no `/caf\\xff`") || output.stderr.contains("hint: `?`"),
            "{}",
            output.stderr
        );
    }
    // JSON has the bytes, too, where the text is not all of them, and only there.
    let hex = |name: &[u8]| name.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for args in [
        &[&b"ls"[..], b"oci:one", b"--json", b"/caf\xe9"][..],
        &[b"find", b"oci:one", b"--json", b"men\xfc"],
        &[b"diff", b"oci:one", b"oci:two", b"--json"],
        &[b"du", b"oci:one", b"--json", b"/caf\xe9/men\xfc"],
    ] {
        let told = lines(&bytes(&machine, args).good());
        let found = told.iter().any(|line| line["path_hex"] == hex(b"/caf\xe9/men\xfc"));
        assert!(found, "{told:?}");
    }
    let told = lines(&good(&machine, "ls --json oci:one"));
    assert!(
        told.iter().any(|line| line["path"] == "/caf\u{fffd}" && line.get("path_hex").is_none()),
        "{told:?}"
    );
}

/// Layers that make no tree are told of by the command that reads them first.
#[test]
fn index_tells_of_layers_that_do_not_go_together() {
    let machine = Project::new();
    for (name, item, problem) in [
        ("link", Item::hard_link("a", "none"), "a hard link to `none`, which does not exist before it"),
        ("self", Item::hard_link("a", "a"), "a hard link to `a`, which does not exist before it"),
        ("mark", Item::mark("etc/.wh."), "a whiteout that names nothing"),
    ] {
        layout(&machine, name, &[base(), Tar::of([item])], Packing::Gzip);
        let said = refused(&machine, &format!("index oci:{name} -o table.toc"), problem);
        assert!(said.contains("layer 2"), "{said}");
        assert!(!machine.path("table.toc").exists(), "nobody can use it");
        assert_eq!(
            refused(&machine, &format!("index oci:{name} --json"), problem).matches(problem).count(),
            1
        );
        // The configuration can be seen all the same, and what is wrong by either rule.
        refused(&machine, &format!("inspect oci:{name}"), problem);
        let output = image(&machine, &format!("inspect oci:{name}"));
        assert_eq!(output.stderr.matches(problem).count(), 2, "{}", output.stderr);
        assert!(output.stdout.contains("layer  2"), "{}", output.stdout);
    }
}

/// Of an image with very many entries the tree is made on demand only.
#[test]
fn index_of_very_many_entries_does_not_check() {
    let machine = Project::new();
    let names = (0..50_001).map(|at| Item::fifo(format!("f{at}")));
    let tar = Tar::of(names.chain([Item::hard_link("a", "none")]));
    layout(&machine, "many", &[tar], Packing::Plain);
    let said = good(&machine, "index oci:many").stdout;
    assert!(said.contains("tree not checked (`--check`)"), "{said}");
    let told = lines(&good(&machine, "index oci:many --json"));
    assert_eq!(told[0]["checked"], false, "{told:?}");
    refused(&machine, "index oci:many --check", "a hard link to `none`");
    layout(&machine, "one", &[base()], Packing::Gzip);
    let told = lines(&good(&machine, "index oci:one --json"));
    assert_eq!(told[0]["checked"], true, "{told:?}");
}

#[test]
fn an_image_of_one_platform_is_for_that_one() {
    let machine = Project::new();
    layout(&machine, "one", &[base()], Packing::Gzip);
    // Nobody asked for a platform: it is read, whatever it is for.
    good(&machine, "ls oci:one");
    good(&machine, "ls oci:one --platform linux/amd64");
    for command in ["ls", "index", "status", "verify", "inspect"] {
        let said = refused(
            &machine,
            &format!("{command} oci:one --platform linux/arm64"),
            "the image is not there for `linux/arm64`",
        );
        assert!(said.contains("`--platform` may be: linux/amd64"), "{said}");
    }
}

#[test]
fn holes_take_no_room() {
    let machine = Project::new();
    let sparse = Item::file("var/holes", vec![b'x'; 1000]).pax_sparse_10(&[(500_000, 1000)], 1_000_000);
    let tar = Tar::of([Item::folder("var"), sparse, Item::file("var/full", vec![b'y'; 2000])]);
    layout(&machine, "one", &[tar], Packing::Gzip);
    let told = lines(&good(&machine, "du --json oci:one /var"));
    assert_eq!(
        (told[0]["bytes"].as_u64(), told[0]["apparent"].as_u64()),
        (Some(3000), Some(1_002_000)),
        "{told:?}"
    );
    assert!(good(&machine, "du oci:one /var").stdout.trim_start().starts_with("3.0 kB"));
    assert!(good(&machine, "du --apparent-size oci:one /var").stdout.trim_start().starts_with("1.0 MB"));
    let layers = lines(&good(&machine, "du --layers --json oci:one"));
    assert_eq!((layers[0]["files"].as_u64(), layers[0]["apparent"].as_u64()), (Some(3000), Some(1_002_000)));
    // A file is told of, too.
    let file = good(&machine, "du oci:one /var/holes").stdout;
    assert!(file.trim_start().starts_with("1.0 kB") && file.trim_end().ends_with("/var/holes"), "{file}");
    assert_eq!(lines(&good(&machine, "du --json oci:one /var/full"))[0]["bytes"], 2000);
}

/// As text has them.
#[test]
fn layers_are_counted_from_one() {
    let machine = Project::new();
    layout(&machine, "one", &[base(), top(1)], Packing::Gzip);
    good(&machine, "index oci:one");
    for command in ["status --json", "verify --json", "du --layers --json"] {
        let told = lines(&good(&machine, &format!("{command} oci:one")));
        let counted: Vec<_> = told.iter().map(|line| line["layer"].as_u64().unwrap()).collect();
        assert_eq!(counted, [1, 2], "{command}");
    }
    assert_eq!(lines(&good(&machine, "ls --json oci:one /bin/tool"))[0]["layer"], 1);
    assert_eq!(lines(&good(&machine, "ls --json oci:one /app/version"))[0]["layer"], 2);
}

/// A file where a reference is wanted, and a folder that holds no layout.
#[test]
fn files_and_folders_in_the_wrong_place() {
    let machine = Project::new();
    layout(&machine, "one", &[base()], Packing::Gzip);
    good(&machine, "index oci:one -o one.toc");
    machine.file("one.tar", Tar::of([Item::file("a", "a")]));
    fs::create_dir_all(machine.path("sub")).unwrap();
    fs::copy(machine.path("one.toc"), machine.path("sub/one.toc")).unwrap();
    for name in ["one.toc", "./one.toc", "sub/one.toc"] {
        let said = refused(&machine, &format!("ls {name}"), "this is a table's file");
        assert!(said.contains("name the image that it was made of"), "{said}");
    }
    for name in ["one.tar", "./one.tar"] {
        let said = refused(&machine, &format!("ls {name}"), "this is a tar file");
        assert!(said.contains("oci-archive:FILE") && said.contains("docker-archive:FILE"), "{said}");
    }
    let said = refused(&machine, "ls ./one", "this is a folder");
    assert!(said.contains("oci:DIR"), "{said}");
    let said = refused(&machine, "ls oci:sub", "there is no `oci-layout` in it");
    assert!(said.contains("skopeo copy … oci:DIR:NAME"), "{said}");
}

/// A header that is broken has no name: it is told after which entry it is.
#[test]
fn broken_headers_are_told_with_their_place() {
    let machine = Project::new();
    let wrong = Tar::of([Item::file("good", "x"), Item::file("broken", "y").checksum_off_by(1)]);
    let first = Tar::of([Item::file("broken", "y").checksum_off_by(1)]);
    let named = Tar::of([Item::file("good", "x"), Item::file("named", "y").owner(-5, 0)]);
    for (name, tar) in [("wrong", wrong), ("first", first), ("named", named)] {
        write_layout(&machine.path(name), &[Blob::new(&tar, Packing::Plain)]).unwrap();
    }
    refused(&machine, "ls oci:wrong", ", after `good`: a header's checksum is wrong");
    refused(&machine, "ls oci:first", "at byte 0: a header's checksum is wrong");
    refused(&machine, "ls oci:named", ", in `named`: its owner");
}

/// A home that cannot be written is no reason not to read an image.
#[test]
fn a_home_that_cannot_be_used() {
    let mut machine = Project::new();
    layout(&machine, "one", &[base()], Packing::Gzip);
    machine.file("file", "no folder");
    let home = machine.path("file/home");
    machine.env("LARDER_HOME", home);
    for command in [
        "ls oci:one /etc",
        "cat oci:one /etc/os-release",
        "index oci:one",
        "status oci:one",
        "verify oci:one",
    ] {
        let output = image(&machine, command);
        assert!(output.code() == 0 && !output.stdout.is_empty(), "{command}: {}", output.stderr);
        assert_eq!(output.stderr.matches("warning:").count(), 1, "{command}: {}", output.stderr);
    }
}
