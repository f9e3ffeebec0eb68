//! Every command, on every kind of place.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use larder_testing::Project;
use larder_testing::layers::{Item, Packing, Tar};

use super::world::{LARDER, World, base, copy, good, image, layout, noise, top};

/// The guide's commands, without those that write files. `REF` is the image, `OTHER` the one with another version.
const COMMANDS: &[&str] = &[
    "ls REF",
    "ls -l REF /etc",
    "ls -R REF",
    "ls REF /bin/sh",
    "ls --json REF /etc",
    "ls -R --json REF",
    "find REF",
    "find REF *.so*",
    "find REF os-*",
    "find REF /etc/*",
    "find REF --type l",
    "find REF --larger 50kB",
    "find REF --setuid --json",
    "find REF --below /bin tool",
    "cat REF /etc/os-release /app/version",
    "du REF",
    "du REF /bin -d 2 --json",
    "diff REF OTHER",
    "diff REF OTHER --json",
    "diff --content REF OTHER",
    "diff REF REF",
    "ls -lR --merge=spec REF",
];

#[test]
fn every_place_of_an_image_gives_the_same() {
    let Some(world) = World::new() else { return };
    let machine = &world.machine;
    for (name, version) in [("one", 1), ("two", 2)] {
        copy(
            &format!("oci:{}:latest", machine.path(name).display()),
            &format!("oci-archive:{}:latest", machine.path(format!("{name}.oci.tar")).display()),
        );
        copy(
            &format!("oci:{}:latest", machine.path(name).display()),
            &format!("docker-archive:{}:app:{version}", machine.path(format!("{name}.docker.tar")).display()),
        );
    }
    let places = [
        ("oci:one".to_owned(), "oci:two:latest".to_owned()),
        ("oci-archive:one.oci.tar:latest".to_owned(), "oci-archive:two.oci.tar".to_owned()),
        ("docker-archive:one.docker.tar".to_owned(), "docker-archive:two.docker.tar:app:2".to_owned()),
        (world.name(), format!("docker://{}/app:2", world.registry.host())),
    ];
    for command in COMMANDS {
        let mut first: Option<String> = None;
        for (one, two) in &places {
            let output = good(machine, &command.replace("REF", one).replace("OTHER", two));
            if command.contains("--json") {
                for line in output.stdout.lines() {
                    serde_json::from_str::<serde_json::Value>(line).unwrap();
                }
            }
            match &first {
                None => first = Some(output.stdout),
                Some(first) => assert_eq!(*first, output.stdout, "{command} of {one}"),
            }
        }
        let first = first.unwrap();
        assert!(!first.is_empty() || command.contains("so*") || command.ends_with("REF REF"), "{command}");
    }
    // These say how it is packed, which differs.
    for command in ["index REF", "inspect REF", "status REF", "du --layers REF"] {
        for (one, _) in &places {
            assert!(!good(machine, &command.replace("REF", one)).stdout.is_empty(), "{command} of {one}");
            let json = good(machine, &format!("{} --json", command.replace("REF", one)));
            assert!(
                json.stdout.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()),
                "{command}"
            );
        }
    }
    assert!(good(machine, "cache ls").stdout.contains("sha256:"), "parts are kept");
    good(machine, "cache gc --to-size 0B --json");
    assert_eq!(good(machine, "cache ls").stdout, "");
}

/// A machine with two layouts, always the same bytes.
fn fixed() -> Project {
    let machine = Project::new();
    for (name, version) in [("one", 1), ("two", 2)] {
        layout(&machine, name, &[base(), top(version)], Packing::Plain);
    }
    machine
}

fn seen(machine: &Project, args: &str) -> String {
    let output = image(machine, args);
    let mut text = format!("$ larder image {args}\nexit {}\n", output.code());
    // Layers are told of as they are done.
    let mut lines: Vec<_> = output.stderr.lines().map(|line| format!("{line}\n")).collect();
    if lines.iter().all(|line| line.starts_with("layer ")) {
        lines.sort();
    }
    for (name, stream) in [("stdout", &output.stdout), ("stderr", &lines.concat())] {
        if !stream.is_empty() {
            text.push_str(&format!("--- {name}\n{stream}"));
        }
    }
    text.replace(&*machine.root().to_string_lossy(), "[ROOT]")
}

#[test]
fn what_a_person_sees() {
    let machine = fixed();
    let told: Vec<_> = [
        "status oci:one",
        "index oci:one",
        "index oci:one",
        "index oci:two",
        "ls -l oci:one /etc",
        "ls -l oci:one /dev",
        "find oci:one --setuid",
        "cat oci:one /etc/os-release",
        "diff oci:one oci:two",
        "diff oci:one oci:one",
        "du oci:one",
        "du --layers oci:one",
        "status oci:one",
        "inspect oci:one",
    ]
    .iter()
    .map(|args| seen(&machine, args))
    .collect();
    insta::assert_snapshot!("what_a_person_sees", told.join("\n"));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let machine = fixed();
    for args in [
        "ls -R oci:one",
        "find oci:one",
        "cat oci:one /bin/tool /bin/tool",
        "export oci:one",
        "du oci:one",
        "inspect oci:one",
        "diff oci:one oci:two",
    ] {
        good(&machine, "index oci:one");
        let mut command = machine.command(LARDER, ["image"].into_iter().chain(args.split_whitespace()));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // One line, and then nobody reads any more.
        let mut line = Vec::new();
        BufReader::with_capacity(16, child.stdout.take().unwrap()).read_until(b'\n', &mut line).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("error"), "{args}: {:?}\n{said}", output.status);
    }
}

#[test]
fn digests_of_files_are_shown_where_they_were_asked_for() {
    let machine = Project::new();
    let (shared, sparse) = (noise(5, 700_000), noise(6, 5000));
    let one = Tar::of([
        Item::folder("a"),
        Item::file("a/shared", shared.clone()),
        Item::hard_link("a/link", "a/shared"),
        Item::file("a/empty", ""),
        Item::file("a/small", "small\n"),
        Item::symlink("a/symlink", "small"),
    ]);
    let two = Tar::of([Item::file("b", shared.clone()), Item::file("c", sparse.clone())]);
    layout(&machine, "digests", &[one, two], Packing::Gzip);
    let digests = |command: &str| -> Vec<(String, Option<String>)> {
        let listed = good(&machine, &format!("{command} oci:digests --json")).stdout;
        let entry = |line: &str| {
            let entry: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| entry[key].as_str().map(str::to_owned);
            (text("path").unwrap(), text("digest"))
        };
        let mut all: Vec<_> = listed.lines().map(entry).collect();
        all.sort();
        all
    };
    good(&machine, "index oci:digests");
    assert!(digests("ls -R").iter().all(|(_, digest)| digest.is_none()));
    let identity = |args: &str| {
        let told = good(&machine, &format!("index oci:digests --json {args}")).stdout;
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        (told["identity"].clone(), told["made"].clone())
    };
    let before = identity("");
    let asked = identity("--file-digests");
    assert_eq!((&asked.0, &asked.1), (&before.0, &2.into()), "the table depends on them");
    assert_eq!(identity("--file-digests").1, 0);
    let of = |bytes: &[u8]| Some(format!("b3:{}/{}", blake3::hash(bytes).to_hex(), bytes.len()));
    let right = [
        ("/a", None),
        ("/a/empty", of(b"")),
        ("/a/link", of(&shared)),
        ("/a/shared", of(&shared)),
        ("/a/small", of(b"small\n")),
        ("/a/symlink", None),
        ("/b", of(&shared)),
        ("/c", of(&sparse)),
    ];
    let right: Vec<_> = right.into_iter().map(|(path, digest)| (path.to_owned(), digest)).collect();
    assert_eq!(digests("ls -R"), right);
    assert_eq!(digests("find"), right);
    // What was asked for once stays.
    good(&machine, "verify oci:digests");
    good(&machine, "index oci:digests --force");
    assert_eq!(digests("ls -R"), right);
}
