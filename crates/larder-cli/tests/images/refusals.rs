//! What cannot be done, and how it is said.

use std::fs;

use larder_testing::Project;
use larder_testing::layers::{Packing, Tar};
use serde_json::{Value, json};

use super::world::{World, base, good, image, layout, refused, top};

/// Changes a layout's index.
fn edit(machine: &Project, name: &str, change: impl FnOnce(&mut Value)) {
    let path = machine.path(name).join("index.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut index);
    fs::write(path, index.to_string()).unwrap();
}

#[test]
fn files_that_are_no_images() {
    let machine = Project::new();
    layout(&machine, "one", &[base()], Packing::Gzip);
    machine
        .file("empty", "")
        .file("text", "no archive\n")
        .file("zeros", vec![0; 10_240])
        .file("bare/file", "");
    machine.file("tar", Tar::of([]));
    let mut cut = Tar::of([larder_testing::layers::Item::file("manifest.json", vec![b' '; 5000])]);
    cut.truncate(2000);
    machine.file("cut", cut);
    let mut said = Vec::new();
    for args in [
        "ls oci:none",
        "ls oci:bare",
        "ls oci:empty",
        "ls oci:one:none",
        "ls oci:one/index.json",
        "ls oci-archive:none",
        "ls oci-archive:empty",
        "ls oci-archive:text",
        "ls oci-archive:zeros",
        "ls oci-archive:tar",
        "ls oci-archive:one",
        "ls docker-archive:none",
        "ls docker-archive:empty",
        "ls docker-archive:text",
        "ls docker-archive:zeros",
        "ls docker-archive:tar",
        "ls docker-archive:cut",
        "ls docker-archive:one",
        "ls oci:",
        "ls A_B:c:d",
        "ls oci:one --platform linux",
        "ls oci:one --span 1kB",
        "ls oci:one /none",
        "cat oci:one /etc",
        "cat oci:one /dev/null",
        "cat oci:one /none",
        "export oci:one /none",
        "find oci:one [",
        "find oci:one --below /none",
        "index oci:one -o none/file.toc",
    ] {
        said.push(format!("$ larder image {args}\n{}", refused(&machine, args, "")));
    }
    for said in &said {
        assert!(
            said.contains("hint:")
                || said.contains("`/")
                || said.contains("; for instance")
                || said.contains("invalid value"),
            "no hint: {said}"
        );
    }
    insta::assert_snapshot!(
        "files_that_are_no_images",
        said.join("\n").replace(&*machine.root().to_string_lossy(), "[ROOT]")
    );
}

#[test]
fn images_for_other_platforms_and_artifacts() {
    let machine = Project::new();
    for name in ["two", "none", "empty", "several", "artifact"] {
        layout(&machine, name, &[base()], Packing::Gzip);
    }
    edit(&machine, "two", |index| {
        index["manifests"][0]["platform"] = json!({"os": "linux", "architecture": "s390x"});
        let mut other = index["manifests"][0].clone();
        other["platform"]["architecture"] = json!("riscv64");
        index["manifests"].as_array_mut().unwrap().push(other);
        for one in index["manifests"].as_array_mut().unwrap() {
            one.as_object_mut().unwrap().remove("annotations");
        }
    });
    let said =
        refused(&machine, "ls oci:two --platform linux/arm64", "the image is not there for `linux/arm64`");
    assert!(said.contains("linux/s390x, linux/riscv64"), "{said}");
    good(&machine, "ls oci:two --platform linux/riscv64");
    edit(&machine, "empty", |index| index["manifests"] = json!([]));
    refused(&machine, "ls oci:empty", "there is no image");
    edit(&machine, "several", |index| {
        let mut other = index["manifests"][0].clone();
        other["annotations"]["org.opencontainers.image.ref.name"] = json!("other");
        index["manifests"].as_array_mut().unwrap().push(other);
    });
    let said = refused(&machine, "ls oci:several", "it holds several images");
    assert!(said.contains("hint: name one of: latest, other"), "{said}");
    good(&machine, "ls oci:several:other");
    edit(&machine, "artifact", |index| {
        let digest = index["manifests"][0]["digest"].as_str().unwrap().replace("sha256:", "");
        let blobs = machine.path("artifact/blobs/sha256");
        let mut manifest: Value = serde_json::from_slice(&fs::read(blobs.join(digest)).unwrap()).unwrap();
        manifest["artifactType"] = json!("application/vnd.example.thing");
        let bytes = manifest.to_string().into_bytes();
        let new = larder_core::DigestFunction::Sha256.digest(&bytes).hash.to_hex();
        index["manifests"][0]["digest"] = json!(format!("sha256:{new}"));
        index["manifests"][0]["size"] = json!(bytes.len());
        fs::write(blobs.join(new), bytes).unwrap();
    });
    refused(&machine, "ls oci:artifact", "this is no image, but `application/vnd.example.thing`");
    for command in ["index", "status", "inspect"] {
        refused(&machine, &format!("{command} oci:artifact"), "this is no image");
    }
}

#[test]
fn names_that_a_registry_does_not_know() {
    let Some(world) = World::new() else { return };
    let (machine, host) = (&world.machine, world.registry.host());
    let zeros = "0".repeat(64);
    for name in ["app:none".to_owned(), "none:1".to_owned(), format!("app@sha256:{zeros}")] {
        let said = refused(machine, &format!("ls {host}/{name}"), "there is no image");
        assert!(said.contains("hint:"), "{said}");
    }
    for command in ["index", "status", "inspect", "du", "find", "export"] {
        refused(machine, &format!("{command} {host}/none"), "there is no image");
    }
    // Nobody is there at all.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let said = refused(machine, &format!("ls {free}/app"), "the registry cannot be reached");
    assert!(said.contains("hint:"), "{said}");
}

/// Damage in a layout is found while it is indexed and while it is read.
#[test]
fn damaged_files() {
    let machine = Project::new();
    let folder = layout(&machine, "one", &[base(), top(1)], Packing::Gzip);
    let blobs = folder.join("blobs/sha256");
    let largest = fs::read_dir(&blobs)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .max_by_key(|path| path.metadata().unwrap().len())
        .unwrap();
    let right = fs::read(&largest).unwrap();
    for at in [0, 5, right.len() / 2, right.len() - 6, right.len() - 1] {
        let mut wrong = right.clone();
        wrong[at] ^= 1;
        fs::write(&largest, &wrong).unwrap();
        let said = refused(&machine, "ls oci:one", "cannot be indexed");
        assert!(said.contains("hint:"), "{said}");
    }
    fs::write(&largest, &right[..right.len() / 2]).unwrap();
    refused(&machine, "ls oci:one", "");
    fs::write(&largest, &right).unwrap();
    good(&machine, "index oci:one");
    let mut wrong = right.clone();
    wrong[right.len() / 2] ^= 1;
    fs::write(&largest, &wrong).unwrap();
    let output = image(&machine, "cat oci:one /bin/tool");
    assert_eq!((output.code(), output.stdout.len()), (1, 0), "{}", output.stderr);
    assert!(output.stderr.contains("hint:"), "{}", output.stderr);
    fs::write(&largest, &right).unwrap();
    assert!(good(&machine, "cat oci:one /bin/same-tool").stdout.len() > 100_000);
}

/// Limits are of all layers together, and of tables that are known as well.
#[test]
fn limits_of_an_image() {
    let machine = Project::new();
    layout(&machine, "one", &[base(), top(1)], Packing::Gzip);
    for known in [false, true] {
        if known {
            good(&machine, "index oci:one");
        }
        for command in ["ls", "du", "inspect", "find"] {
            // 13 and 5 entries; 300 kB and 100 kB.
            let said = refused(&machine, &format!("{command} oci:one --max-entries 15"), "over a limit");
            assert!(said.contains("hint: raise the limit with `--max-entries`"), "{said}");
            assert!(said.contains("in `app/"), "no entry is named: {said}");
            refused(&machine, &format!("{command} oci:one --max-size 350kB"), "over a limit");
        }
        good(&machine, "ls oci:one --max-entries 18 --max-size 500kB");
    }
    // No damage: nothing is wrong with it.
    refused(&machine, "verify oci:one --max-entries 3", "more entries than are allowed");
    layout(&machine, "many", &vec![top(1); 513], Packing::Gzip);
    let said = refused(&machine, "ls oci:many", "513 layers");
    assert!(said.contains("hint:"), "{said}");
}

/// The image is wrong, not a table of it.
#[test]
fn images_that_are_wrong() {
    let machine = Project::new();
    let folder = layout(&machine, "one", &[base(), top(1)], Packing::Gzip);
    let blobs = folder.join("blobs/sha256");
    let put = |value: &Value| {
        let bytes = value.to_string().into_bytes();
        let digest = larder_core::DigestFunction::Sha256.digest(&bytes).hash.to_hex();
        fs::write(blobs.join(&digest), &bytes).unwrap();
        (json!(format!("sha256:{digest}")), json!(bytes.len()))
    };
    let read = |digest: &Value| -> Value {
        let digest = digest.as_str().unwrap().replace("sha256:", "");
        serde_json::from_slice(&fs::read(blobs.join(digest)).unwrap()).unwrap()
    };
    let index: Value = serde_json::from_slice(&fs::read(folder.join("index.json")).unwrap()).unwrap();
    let manifest = read(&index["manifests"][0]["digest"]);
    let config = read(&manifest["config"]["digest"]);
    for (change, words) in [
        (json!({}), "the image is wrong: its configuration names no tar streams of layers"),
        (
            json!({"type": "layers", "diff_ids": [config["rootfs"]["diff_ids"][0]]}),
            "the image is wrong: its manifest and its configuration name different numbers of layers",
        ),
    ] {
        let (mut config, mut manifest) = (config.clone(), manifest.clone());
        config["rootfs"] = change;
        (manifest["config"]["digest"], manifest["config"]["size"]) = put(&config);
        let (digest, size) = put(&manifest);
        edit(&machine, "one", |index| {
            index["manifests"][0]["digest"] = digest;
            index["manifests"][0]["size"] = size;
        });
        let said = refused(&machine, "ls oci:one", words);
        assert!(said.contains("hint: no tool could make containers of it"), "{said}");
    }
}

/// A rule by which there is no tree is told, and so is what is odd.
#[test]
fn inspect_says_what_is_wrong_and_what_is_odd() {
    use larder_testing::layers::Item;
    let machine = Project::new();
    let file = Tar::of([Item::file("f", "1"), Item::mark(".wh..wh..opq")]);
    let below = Tar::of([Item::file("f/x", "2")]);
    layout(&machine, "one", &[file, below], Packing::Gzip);
    let output = good(&machine, "inspect oci:one");
    assert!(output.stdout.contains("1 entry is odd:\n  layer 1 (from the bottom)"), "{}", output.stdout);
    assert!(output.stderr.contains("warning: no tree can be made with `--merge=spec`"), "{}", output.stderr);
    let said = refused(&machine, "inspect oci:one --merge=spec", "`f` is not a directory");
    assert!(!said.contains("--merge=overlay"), "{said}");
    let output = good(&machine, "inspect oci:one --json");
    let value: Value = serde_json::from_str(&output.stdout).unwrap();
    assert!(value["errors"]["spec"].as_str().unwrap().contains("`f` is not a directory"), "{value}");
    assert!(value["errors"]["overlay"].is_null(), "{value}");
    assert!(value["warnings"][0].as_str().unwrap().contains("opaque"), "{value}");
    // By neither rule.
    let dangling = Tar::of([Item::hard_link("a", "none")]);
    layout(&machine, "neither", &[dangling], Packing::Gzip);
    let said = refused(&machine, "inspect oci:neither", "a hard link to `none`");
    assert_eq!(said.matches("a hard link to `none`").count(), 2, "{said}");
}
