//! What moves between machines and a bucket, counted by a proxy in between: requests, and bytes of bodies.
//!
//! The bounds are those of the store's requirements. Heads (lines and headers, 500 to 600 bytes for a signed request) are
//! counted apart: the bounds are of bodies, and what heads add is asserted beside.

use larder_testing::Project;
use larder_testing::proxy::{Counts, Proxy};

use crate::servers::{self, Kind, Server};
use crate::world::{SECRET, prefix, run};

/// S3 servers, each behind a proxy.
fn worlds() -> impl Iterator<Item = (Proxy, Server)> {
    servers::of(Kind::S3).into_iter().map(|server| {
        let proxy = Proxy::new(server.endpoint.trim_start_matches("http://").parse().expect("HOST:PORT"));
        let seen = Server { endpoint: proxy.endpoint(), ..server };
        (proxy, seen)
    })
}

/// A machine with a project of one recipe.
fn machine(server: &Server, prefix: &str, command: &str) -> Project {
    let mut project = Project::new();
    let tier = server.config(prefix);
    project.file("larder.yml", format!("name: demo\nconfig: {{cache: {{remotes: {{{tier}}}}}}}\n"));
    project.file(
        "cookbook.yml",
        format!(
            "name: app\nrecipes:\n  make:\n    cache: {{inputs: [in], outputs: [out]}}\n    run: |\n      {command}\n"
        ),
    );
    project.file("in", "first\n");
    project.env("LARDER_CACHE_SECRET", SECRET);
    for (name, value) in server.credentials() {
        project.env(name, value);
    }
    project
}

/// What a run moved; `how` is what its summary must say.
#[track_caller]
fn moved(proxy: &Proxy, project: &Project, how: &str) -> Counts {
    let before = proxy.counts();
    let output = run(project);
    assert!(!output.stderr.contains("warning"), "{}", output.stderr);
    let summary = output.stdout.lines().last().unwrap_or_default();
    assert!(summary.contains(how), "not `{how}`: {summary}");
    proxy.counts() - &before
}

/// 2,000 files of 2 to 12 KiB in 20 folders, 14 MB.
const MANY: &str = "awk 'BEGIN { srand(7); for (i = 0; i < 2000; i++) { d = \"out/d\" i % 20; if (i < 20) system(\"mkdir -p \" d); \
                    f = d \"/f\" i; n = 30 + i % 150; for (j = 0; j < n; j++) print i, j, rand(), rand(), rand(), rand(), rand(), \
                    rand(), rand() > f; close(f) } }'";

#[test]
fn two_thousand_small_files_are_few_requests_and_no_change_is_none() {
    for (proxy, server) in worlds() {
        many(&proxy, &server);
    }
}

fn many(proxy: &Proxy, server: &Server) {
    let prefix = prefix();
    let [first, second] = [(); 2].map(|()| machine(server, &prefix, MANY));
    let sent = moved(proxy, &first, "0 cached, 1 run");
    assert!(sent.total() < 100, "{}", proxy.told());

    let fetched = moved(proxy, &second, "1 cached (1 s3), 0 run");
    assert!(fetched.total() < 100, "{}", proxy.told());
    assert_eq!(fetched.total(), fetched.of("GET"), "who only reads only asks");
    for name in ["out/d0/f0", "out/d19/f1999", "out/d7/f1027"] {
        assert_eq!(first.read(name), second.read(name));
    }
    assert_eq!(std::fs::read_dir(second.path("out/d3")).unwrap().count(), 100);

    for machine in [&first, &second] {
        assert_eq!(moved(proxy, machine, "1 cached (1 local), 0 run"), Counts::default());
    }
    // Outputs that are gone come from the local store.
    std::fs::remove_dir_all(second.path("out")).unwrap();
    assert_eq!(moved(proxy, &second, "1 cached (1 local), 0 run"), Counts::default());
}

/// Lines of numbers, 112 MB, as the input edits them.
const LARGE: &str = "mkdir -p out && seq 10000000 22500000 | sed \"$(cat in)\" > out/large";

#[test]
fn one_line_of_a_large_file_moves_little() {
    for (proxy, server) in worlds() {
        large(&proxy, &server);
    }
}

fn large(proxy: &Proxy, server: &Server) {
    let prefix = prefix();
    let [first, second] = [(); 2].map(|()| machine(server, &prefix, LARGE));
    for machine in [&first, &second] {
        machine.file("in", "");
    }
    moved(proxy, &first, "0 cached, 1 run");
    let size = std::fs::metadata(first.path("out/large")).unwrap().len();
    assert!(size > 100_000_000, "{size}");
    moved(proxy, &second, "1 cached (1 s3), 0 run");

    // Edits pile up, and machines take turns: who has the file from the bucket knows as well what is there.
    let mut edits = String::from("1s/1/one/");
    for (round, line) in [6_000_000, 1_000_000, 12_400_000].into_iter().enumerate() {
        edits.push_str(&format!("; {line}s/$/, and more/"));
        let (writer, reader) = if round == 1 { (&second, &first) } else { (&first, &second) };
        for machine in [&first, &second] {
            machine.file("in", &edits);
        }
        let sent = moved(proxy, writer, "0 cached, 1 run");
        let fetched = moved(proxy, reader, "1 cached (1 s3), 0 run");
        assert!(sent.up.bodies < 256 << 10, "{sent:?}\n{}", proxy.told());
        assert!(sent.up.heads < 32 << 10, "{sent:?}");
        assert!(fetched.down.bodies < 256 << 10, "{fetched:?}\n{}", proxy.told());
        assert!(fetched.total() < 20, "{fetched:?}");
        let content = |machine: &Project| std::fs::read(machine.path("out/large")).unwrap();
        assert!(content(writer) == content(reader), "line {line}: the files differ");
    }
}
