//! Images that other programs made: buildah's, in each compression that it writes, and layers that containerd's lazy pulls seek in.
//!
//! What they are compared with is the tree that the program itself mounts, or that containerd, moby, podman and umoci make of the layers.

use std::path::{Path, PathBuf};
use std::process::Command;

use larder_testing::Project;
use larder_testing::layers::{Blob, Item, Tar, write_layout};
use larder_testing::registry::{DockerRegistry, is_installed};
use larder_testing::strangers::{self, Seekable};

use super::world::{LARDER, base, copy, good, noise, tell, top};

/// buildah with a storage of its own.
struct Buildah {
    folder: PathBuf,
}

impl Buildah {
    fn run(&self, args: &[&str]) -> String {
        let mut command = Command::new("buildah");
        command.arg("--root").arg(self.folder.join("root")).arg("--runroot").arg(self.folder.join("run"));
        let output = command.args(["--storage-driver", "overlay"]).args(args).output().unwrap();
        assert!(output.status.success(), "buildah {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A container of an image, what it is changed by, and what it is committed as.
    fn layer(&self, from: &str, script: &str, to: &str) {
        let container = self.run(&["from", "--pull-never", from]);
        let mounted = self.run(&["mount", &container]);
        let script = format!("set -eu\ncd '{mounted}'\n{script}");
        let output = Command::new("bash").args(["-c", &script]).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        self.run(&["commit", "--quiet", "--rm", &container, to]);
    }
}

impl Drop for Buildah {
    fn drop(&mut self) {
        // Mounts would keep the folder from being removed.
        let _ = self.run(&["umount", "--all"]);
        let _ = self.run(&["rm", "--all"]);
        let _ = self.run(&["rmi", "--all", "--force"]);
        let overlay = self.folder.join("root/overlay");
        let _ = Command::new("umount").arg(overlay).stderr(std::process::Stdio::null()).status();
    }
}

/// Three layers: programs and links; what removes, replaces and changes them; folders made anew, whole and in part.
const LAYERS: [&str; 3] = [
    "mkdir -p bin etc/app.d lib/deep/er var/empty opt/gone opt/kept
     head -c 5000000 /dev/urandom > bin/tool; chmod 4755 bin/tool; ln bin/tool bin/same; ln -s tool bin/sh
     seq 200000 > lib/deep/er/text; ln lib/deep/er/text lib/text; ln lib/text etc/text
     for i in 1 2 3; do echo $i > etc/app.d/$i; echo $i > opt/gone/$i; echo $i > opt/kept/$i; done
     mknod var/null c 1 3; mkfifo var/pipe; chmod 1777 var/empty; chown 1000:2000 opt/kept opt/kept/1
     truncate -s 3M lib/holes; echo end >> lib/holes; ln -s /nowhere/at/all etc/dangling
     printf %0200d 0 | xargs -I% touch opt/kept/%; touch \"opt/a name with  blanks\" opt/ümlaut",
    "rm bin/same etc/app.d/2 etc/dangling; rm -r opt/gone; mkdir opt/gone; echo new > opt/gone/new
     echo more >> lib/text; ln etc/app.d/1 etc/app.d/one; rm var/pipe; echo no pipe > var/pipe
     rm lib/holes; ln -s ../lib/deep lib/holes; chmod 700 opt/kept",
    "rm -r opt/gone lib/deep; echo a file now > opt/gone; mkdir -p lib/deep; echo x > lib/deep/x
     ln bin/tool bin/again; chown 5:6 etc/app.d; rm opt/kept/3; mv etc/app.d/3 etc/three; touch -d @1000000000 etc/three",
];

#[test]
fn images_of_buildah_are_the_trees_that_it_mounts() {
    if !is_installed("buildah") || !is_installed("skopeo") || !strangers::available() {
        return;
    }
    let machine = Project::new();
    let buildah = Buildah { folder: machine.path("buildah") };
    std::fs::create_dir(&buildah.folder).unwrap();
    for (at, script) in LAYERS.into_iter().enumerate() {
        let from = if at == 0 { "scratch".to_owned() } else { format!("made:{at}") };
        buildah.layer(&from, script, &format!("made:{}", at + 1));
    }
    let container = buildah.run(&["from", "--pull-never", "made:3"]);
    let mut expected = strangers::list(Path::new(&buildah.run(&["mount", &container]))).unwrap();
    // No layer lists the root: podman's storage makes it 0555, docker's 0755 as the rules have it.
    expected.names.remove(".").unwrap();
    assert!(expected.names.len() > 25, "{expected}");
    let registry = DockerRegistry::start();
    for (name, options) in [
        ("gzip", &[][..]),
        ("plain", &["--disable-compression"]),
        ("zstd", &["--compression-format", "zstd"]),
        ("chunked", &["--compression-format", "zstd:chunked"]),
    ] {
        let layout = format!("oci:{}:latest", machine.path(name).display());
        buildah.run(&[&["push", "--quiet"], options, &["made:3", &layout]].concat());
        let out = format!("out-{name}");
        let said = good(&machine, &format!("export oci:{name} -C {out}")).stderr;
        tell(format_args!("{name}: {said}"));
        let mut found = strangers::list(&machine.path(&out)).unwrap();
        found.names.remove(".").unwrap();
        let differences = expected.differences(&found);
        assert!(differences.is_empty(), "{name}: {differences:#?}");
        each_file_reads_alike(&machine, &format!("oci:{name}"), &out);
        let verified = good(&machine, &format!("verify oci:{name}")).stdout;
        assert_eq!(verified.matches("its table is right").count(), 3, "{verified}");
        // The same from a registry, with what was indexed forgotten.
        let Some(registry) = &registry else { continue };
        copy(&layout, &format!("docker://{}/made:{name}", registry.host()));
        std::fs::remove_dir_all(machine.store()).unwrap();
        each_file_reads_alike(&machine, &format!("{}/made:{name}", registry.host()), &out);
    }
}

/// Each of a few files, large and small, is what the folder holds.
fn each_file_reads_alike(machine: &Project, image: &str, folder: &str) {
    let listed = good(machine, &format!("find {image} --json")).stdout;
    let mut read = 0;
    for line in listed.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        if entry["type"] != "file" {
            continue;
        }
        let path = entry["path"].as_str().unwrap().trim_start_matches('/');
        let output = machine.command(LARDER, ["image", "cat", image, path]).output().unwrap();
        assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout == std::fs::read(machine.path(folder).join(path)).unwrap(), "{path}");
        read += 1;
    }
    assert!(read > 5, "{read} files in\n{listed}");
}

#[test]
fn layers_for_lazy_pulls_of_others_are_the_tar_streams_that_they_are() {
    if !strangers::available() || !is_installed("umoci") {
        return;
    }
    let more = Tar::of([
        Item::folder("data"),
        Item::file("data/noise", noise(3, 3_500_000)),
        Item::file("data/lines", "a line of text\n".repeat(300_000)),
        Item::hard_link("data/again", "data/lines"),
        Item::file("data/empty", ""),
    ]);
    for (name, kind, first) in [
        ("estargz", Seekable::Estargz, &[][..]),
        ("estargz-first", Seekable::Estargz, &["data/lines", "data/empty"]),
        ("zstd-chunked", Seekable::ZstdChunked, &[]),
        ("zstd-chunked-first", Seekable::ZstdChunked, &["data/noise"]),
    ] {
        let machine = Project::new();
        let tars = [(base(), &[][..]), (more.clone(), first), (top(2), &[])];
        let layers: Vec<Blob> =
            tars.map(|(tar, first)| strangers::seekable(kind, &tar, first).unwrap()).into();
        write_layout(&machine.path(name), &layers).unwrap();
        let answer = strangers::answer_layout(&machine.path(name)).unwrap();
        good(&machine, &format!("export oci:{name} -C out"));
        let differences = strangers::compare_agreed(&answer, &machine.path("out"));
        let differences = differences.unwrap_or_else(|| panic!("{name}: they do not agree: {answer:?}"));
        assert!(differences.is_empty(), "{name}: {differences:#?}");
        if kind == Seekable::Estargz {
            // umoci reads no zstd.
            good(&machine, &format!("export --merge=spec oci:{name} -C spec"));
            let differences = strangers::compare_spec(&answer, &machine.path("spec"));
            assert!(differences.is_empty(), "{name}: {differences:#?}");
        }
        // What is a table for others is a file like any other, if a pull makes it one.
        let shown = good(&machine, &format!("ls oci:{name}")).stdout;
        assert_eq!(shown.contains("stargz.index.json"), kind == Seekable::Estargz, "{shown}");
        each_file_reads_alike(&machine, &format!("oci:{name}"), "out");
        let verified = good(&machine, &format!("verify oci:{name}")).stdout;
        assert_eq!(verified.matches("its table is right").count(), 3, "{verified}");
    }
}
