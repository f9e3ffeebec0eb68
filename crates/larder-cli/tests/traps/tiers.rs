//! Tiers as a person uses them: registries, encryption, and the commands that look after tiers.

use std::fs;

use larder_testing::registry::DockerRegistry;

use crate::remote::{machine, objects, project, same};
use crate::world::Project;

/// A project whose tier is a repository of a registry that runs.
fn with_registry() -> Option<(DockerRegistry, Project)> {
    let registry = DockerRegistry::start()?;
    let project = project();
    tier(&project, &format!("oci: {{reference: {}/team/cache}}", registry.host()));
    Some((registry, project))
}

fn tier(project: &Project, text: &str) {
    project.file("larder.yml", format!("name: demo\nconfig: {{cache: {{remotes: {{{text}}}}}}}\n"));
}

/// Two clones at different paths, two stores, one registry.
#[test]
fn machines_share_through_a_registry() {
    let Some((registry, ours)) = with_registry() else { return };
    let ran = ours.good(&[]);
    assert_eq!((ran.executed(), ran.warnings()), (2, 0), "{ran:#?}");
    let theirs = machine(&ours, "theirs");
    let ran = theirs.good(&[]);
    assert!(ran.out.contains("2 cached (2 oci)"), "{ran:#?}");
    same(&ours, &theirs);
    drop(registry);
    assert_eq!(theirs.good(&[]).warnings(), 0, "a run without changes asks nobody");
    theirs.file("in", "changed\n");
    let ran = theirs.good(&[]);
    assert_eq!((ran.executed(), ran.warnings()), (2, 1), "{ran:#?}");
    assert!(ran.err.contains("oci") && ran.err.contains("hint:"), "{ran:#?}");
}

/// Damage in a registry is a miss, and who builds again makes it whole.
#[test]
fn damage_in_a_registry_heals() {
    let Some((registry, ours)) = with_registry() else { return };
    ours.good(&[]);
    let mut damaged = 0;
    for path in registry.files().iter().filter(|path| path.ends_with("data") && path.is_file()) {
        let mut bytes = fs::read(path).unwrap();
        // Manifests are left: the registry itself would not serve them.
        if bytes.len() > 8 && bytes[0] != b'{' {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).unwrap();
            damaged += 1;
        }
    }
    assert!(damaged > 0);
    let theirs = machine(&ours, "theirs");
    assert_eq!(theirs.good(&[]).executed(), 2);
    same(&ours, &theirs);
    assert_eq!(machine(&ours, "third").good(&[]).executed(), 0, "what was built again has replaced it");
}

/// Whoever owns the bucket reads nothing; who has another key has nothing.
#[test]
fn an_encrypted_tier_shows_nothing() {
    let ours = project();
    let share = ours.base().join("share");
    tier(&ours, &format!("dir: {{path: {}, encryption: true}}", share.display()));
    let recipes = ours.read("cookbook.yml").replace("cp in out;", "cp in out; env > many-env;");
    ours.recipes(recipes.split_once("recipes:\n").unwrap().1);
    let ours = ours.with("LARDER_TIER_KEY", "a key that the whole team has");
    ours.good(&[]);
    assert!(!ours.read("many-env").contains("whole team"), "recipes do not see it");
    let all: Vec<_> = objects(&ours, "").iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(!all.is_empty());
    for bytes in &all {
        for told in ["app:make", "xxxxxxxx", "one\n", "many/large"] {
            assert!(!bytes.windows(told.len()).any(|window| window == told.as_bytes()), "it shows `{told}`");
        }
    }
    let theirs = machine(&ours, "theirs");
    assert!(theirs.good(&[]).out.contains("2 cached (2 dir)"));
    same(&ours, &theirs);
    let strangers = machine(&ours, "strangers");
    let strangers = strangers.with("LARDER_TIER_KEY", "a key that nobody else has");
    assert_eq!(strangers.good(&[]).executed(), 2);
    let forgetful = machine(&ours, "forgetful").without("LARDER_TIER_KEY");
    let ran = forgetful.good(&[]);
    assert_eq!((ran.executed(), ran.warnings()), (2, 1), "{ran:#?}");
    assert!(ran.err.contains("set LARDER_TIER_KEY"), "{ran:#?}");
}

/// With a key that cannot be used nothing is sent, and it is said how to make one.
#[test]
fn a_short_encryption_key_is_one_warning() {
    let ours = project();
    let share = ours.base().join("share");
    tier(&ours, &format!("dir: {{path: {}, encryption: {{key: short}}}}", share.display()));
    let ran = ours.good(&[]);
    assert_eq!((ran.executed(), ran.warnings()), (2, 1), "{ran:#?}");
    assert!(ran.err.contains("at least 16") && ran.err.contains("urandom"), "{ran:#?}");
    assert!(objects(&ours, "").is_empty());
}

#[test]
fn doctor_says_what_is_well_and_what_is_not() {
    let ours = project();
    let ran = ours.larder(&["doctor"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(ran.out.contains("may read, write, list, delete") && ran.out.contains("signs with"), "{ran:#?}");
    assert!(objects(&ours, "").is_empty(), "it leaves nothing behind");

    let ran = ours.larder(&["doctor", "--json"]);
    let lines: Vec<serde_json::Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let dir = lines.iter().find(|line| line["part"] == "dir").unwrap();
    assert_eq!((&dir["ok"], &dir["creates"]), (&true.into(), &true.into()), "{dir}");

    fs::remove_dir_all(ours.base().join("share")).unwrap();
    let ran = ours.larder(&["doctor"]);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert!(ran.out.contains("there is no such folder") && ran.out.contains("make it"), "{ran:#?}");
    let ran = ours.larder(&["doctor", "s3"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("no tier `s3`") && ran.err.contains("it has: dir"), "{ran:#?}");
}

/// What tiers have comes into the store without a single command run, and then the tiers may be gone.
#[test]
fn warm_brings_everything_and_runs_nothing() {
    let ours = project();
    ours.good(&[]);
    let theirs = machine(&ours, "theirs");
    let ran = theirs.larder(&["cache", "warm"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(ran.out.contains("2 recipes: 2 in the cache, 2 of them brought now"), "{ran:#?}");
    assert!(!theirs.has("out") && !theirs.has("used"), "nothing is placed");
    fs::remove_dir_all(ours.base().join("share")).unwrap();
    let ran = theirs.good(&[]);
    assert_eq!(ran.executed(), 0, "{ran:#?}");
    same(&ours, &theirs);
}

#[test]
fn collecting_in_a_tier_plans_and_keeps_what_is_needed() {
    let ours = project();
    ours.good(&[]);
    let before = objects(&ours, "");
    let ran = ours.larder(&["cache", "gc", "--tier", "dir", "--dry-run"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(ran.out.contains("5 kept, 0 would be deleted"), "{ran:#?}");
    let ran = ours.larder(&["cache", "gc", "--tier", "dir", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    // Two of recipes, one for each key, one for the latest run.
    assert_eq!(told["results"]["kept"], 5, "{told}");
    let mut after = objects(&ours, "");
    after.retain(|path| path.exists());
    assert_eq!(after.len(), before.len());
    let ran = ours.larder(&["cache", "gc", "--tier", "dir", "--grace", "1m"]);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert!(ran.err.contains("shorter than an hour"), "{ran:#?}");
    assert_eq!(machine(&ours, "theirs").good(&[]).executed(), 0);
}

/// One file carries results to a machine without a network, and only to who believes them.
#[test]
fn an_exported_file_is_imported_elsewhere() {
    let ours = project();
    ours.good(&[]);
    let file = ours.base().join("cache.tar").display().to_string();
    let ran = ours.larder(&["cache", "export", &file]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(ran.out.contains("2 results"), "{ran:#?}");
    fs::remove_dir_all(ours.base().join("share")).unwrap();

    let theirs = machine(&ours, "theirs");
    theirs.file("larder.yml", "name: demo\n");
    let ran = theirs.larder(&["cache", "import", &file, "--json"]);
    let told: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&told["imported"], &told["refused"]), (&2.into(), &0.into()), "{told}");
    assert_eq!(theirs.good(&[]).executed(), 0);
    same(&ours, &theirs);

    let strangers =
        machine(&ours, "strangers").with("LARDER_CACHE_SECRET", "a secret of other people, long enough");
    let ran = strangers.larder(&["cache", "import", &file]);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert!(ran.err.contains("2 results are not believed"), "{ran:#?}");
    strangers.file("larder.yml", "name: demo\n");
    assert_eq!(strangers.good(&[]).executed(), 2);
}

/// What is no regular file is written into or refused, never replaced; a link is followed.
#[test]
fn an_export_replaces_nothing_but_a_file() {
    let ours = project();
    ours.good(&[]);
    let base = ours.base();
    let export = |name: &str| ours.larder(&["cache", "export", &base.join(name).display().to_string()]);
    fs::write(base.join("file"), "old").unwrap();
    std::os::unix::fs::symlink("file", base.join("link")).unwrap();
    assert_eq!(export("link").code, Some(0));
    assert!(base.join("link").is_symlink() && fs::read(base.join("file")).unwrap().len() > 1000);
    let ran = export("share");
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert!(ran.err.contains("it is a folder"), "{ran:#?}");
    let ran = ours.larder(&["cache", "export", "/dev/null"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
    let ran = export("nowhere/cache.tar");
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert!(ran.err.contains("the folder must exist"), "{ran:#?}");
    ours.shell("mkfifo fifo");
    let ran = ours.larder(&["cache", "import", "fifo"]);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert!(ran.err.contains("it is no file"), "{ran:#?}");
}

/// Links in a shared folder lead nowhere: nothing is read, written or deleted through them. A FIFO is not waited for.
#[test]
fn a_shared_folder_leads_nowhere_else() {
    let ours = project();
    let (share, victim) = (ours.base().join("share/larder1/default"), ours.base().join("victim"));
    fs::create_dir_all(&share).unwrap();
    fs::create_dir_all(victim.join("ab")).unwrap();
    fs::write(victim.join("note.txt"), "mine").unwrap();
    let name = "ab".repeat(32);
    fs::write(victim.join("ab").join(&name), "mine").unwrap();
    for folder in ["packs", "recipes", "results", "marked"] {
        std::os::unix::fs::symlink(&victim, share.join(folder)).unwrap();
    }
    ours.shell(&format!("find '{}' -type f -exec touch -d '60 days ago' {{}} +", victim.display()));
    ours.good(&[]);
    ours.larder(&["cache", "gc", "--tier", "dir", "--older-than", "30d"]);
    let left: Vec<_> = fs::read_dir(&victim).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(victim.join("note.txt").exists() && victim.join("ab").join(&name).exists());

    let ours = project();
    ours.good(&[]);
    for result in objects(&ours, "/results/") {
        fs::remove_file(&result).unwrap();
        ours.shell(&format!("mkfifo '{}'", result.display()));
    }
    let theirs = machine(&ours, "theirs");
    assert_eq!(theirs.good(&[]).executed(), 2);
    same(&ours, &theirs);
}

/// Every damage of a pack is a miss that heals: the machine that rebuilds replaces it.
#[test]
fn every_damage_heals() {
    type Damage = fn(&std::path::Path);
    let damages: [(&str, Damage); 4] = [
        ("empty", |path| fs::write(path, "").unwrap()),
        ("cut", |path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("folder", |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
        ("gone", |path| fs::remove_file(path).unwrap()),
    ];
    for (name, damage) in damages {
        let ours = project();
        ours.good(&[]);
        objects(&ours, "/packs/").iter().for_each(|path| damage(path));
        let theirs = machine(&ours, "theirs");
        let ran = theirs.good(&[]);
        assert_eq!((ran.executed(), ran.warnings()), (2, 0), "{name}: {ran:#?}");
        let third = machine(&ours, "third");
        assert_eq!(third.good(&[]).executed(), 0, "{name}");
        same(&ours, &third);
    }
}

/// What nobody can believe is not exported, and it is said why.
#[test]
fn what_is_not_signed_is_not_exported() {
    let ours = Project::copying("one");
    ours.good(&[]);
    let file = ours.base().join("cache.tar").display().to_string();
    let ran = ours.larder(&["cache", "export", &file]);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert!(ran.err.contains("not signed") && ran.err.contains("larder key generate"), "{ran:#?}");
    assert!(!std::path::Path::new(&file).exists(), "no file that holds nothing");
}

/// A damaged file is misses, never wrong content; what is no archive is refused with a hint.
#[test]
fn a_damaged_archive_is_refused_or_gives_less() {
    let ours = project();
    ours.good(&[]);
    let file = ours.base().join("cache.tar");
    let path = file.display().to_string();
    ours.larder(&["cache", "export", &path]);
    let whole = fs::read(&file).unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 23) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&file, bytes).unwrap();
        let theirs = machine(&ours, &format!("theirs{at}"));
        theirs.file("larder.yml", "name: demo\n");
        let ran = theirs.larder(&["cache", "import", &path]);
        assert!(matches!(ran.code, Some(0..=2)), "{ran:#?}");
        theirs.good(&[]);
        same(&ours, &theirs);
    }
    fs::write(&file, b"no archive at all").unwrap();
    let ran = ours.larder(&["cache", "import", &path]);
    assert!(ran.code != Some(0) && ran.err.contains("hint:"), "{ran:#?}");
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let ran = ours.larder(&["cache", "import", &path]);
    assert!(ran.code != Some(0) && ran.err.contains("hint:"), "{ran:#?}");
}
