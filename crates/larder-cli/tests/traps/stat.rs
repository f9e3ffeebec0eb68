//! Rule 6: size and times are no proof.

use std::fs::{self, File, FileTimes};
use std::io::Write;
use std::os::unix::fs::FileExt;

use crate::world::Project;

fn copying() -> Project {
    let project = Project::new(
        "  make:
    cache: {inputs: [in], outputs: [out, dir/]}
    run: |
      echo >> $HOME/make
      cp in out; mkdir -p dir; cp in dir/x
",
    );
    project.file("in", "one");
    project
}

/// Writes in place (same inode, same size) and puts the times back.
fn edit_in_secret(project: &Project, path: &str, content: &str) {
    let path = project.path(path);
    let before = fs::metadata(&path).unwrap();
    assert_eq!(before.len(), content.len() as u64);
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(content.as_bytes(), 0).unwrap();
    let times =
        FileTimes::new().set_accessed(before.accessed().unwrap()).set_modified(before.modified().unwrap());
    file.set_times(times).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before.modified().unwrap());
}

/// "a hit judged by file size"
#[test]
fn an_input_edited_to_the_same_size_is_a_miss() {
    let project = copying();
    project.good(&[]);
    project.file("in", "two");
    assert_eq!(project.good(&[]).executed(), 1);
    assert_eq!(project.read("out"), "two");
}

/// "an input … edited with its size and times put back"
#[test]
fn an_input_edited_with_size_and_times_put_back_is_a_miss() {
    let project = copying();
    project.good(&[]);
    project.good(&[]);
    edit_in_secret(&project, "in", "two");
    assert_eq!(project.good(&[]).executed(), 1);
    assert_eq!(project.read("out"), "two");
}

/// "a hit judged by file size", of outputs
#[test]
fn an_output_edited_to_the_same_size_is_repaired() {
    let project = copying();
    project.good(&[]);
    for path in ["out", "dir/x"] {
        project.file(path, "bad");
        assert_eq!(project.good(&[]).executed(), 0);
        assert_eq!(project.read(path), "one", "{path}");
    }
}

/// "an … output edited with its size and times put back"
#[test]
fn an_output_edited_with_size_and_times_put_back_is_repaired() {
    let project = copying();
    project.good(&[]);
    project.good(&[]);
    for path in ["out", "dir/x"] {
        edit_in_secret(&project, path, "bad");
        assert_eq!(project.good(&[]).executed(), 0);
        assert_eq!(project.read(path), "one", "{path}");
    }
}

/// "or within one clock tick": edited right after the run, many times, so that some edits meet the same tick.
#[test]
fn edits_within_one_clock_tick_are_seen() {
    let project = copying();
    for round in 0..12 {
        let content = format!("{round:03}");
        let mut file = File::create(project.path("in")).unwrap();
        file.write_all(content.as_bytes()).unwrap();
        drop(file);
        project.good(&[]);
        assert_eq!(project.read("out"), content);
        edit_in_secret(&project, "out", "bad");
        edit_in_secret(&project, "in", &format!("{:03}", round + 500));
        project.good(&[]);
        assert_eq!(project.read("out"), format!("{:03}", round + 500));
    }
}

/// The recipe itself edits its output twice within one tick: what is captured is the last.
#[test]
fn an_output_written_twice_within_one_tick_is_captured_as_it_ended() {
    let project = Project::new(
        "  make:
    cache: {inputs: [in], outputs: [out]}
    run: |
      i=0; while test $i -lt 200; do echo $i > out; i=$((i+1)); done
      (sleep 0; cat in > out)
",
    );
    for content in ["aaa", "bbb", "aaa", "bbb"] {
        project.file("in", content);
        project.good(&[]);
        assert_eq!(project.read("out"), content);
    }
}

/// A file put in the place of an input by renaming, with the same size and modification time.
#[test]
fn an_input_replaced_by_renaming_with_its_times_is_a_miss() {
    let project = copying();
    project.good(&[]);
    project.good(&[]);
    let before = fs::metadata(project.path("in")).unwrap();
    project.file("in.new", "two");
    let file = File::options().write(true).open(project.path("in.new")).unwrap();
    file.set_times(FileTimes::new().set_modified(before.modified().unwrap())).unwrap();
    fs::rename(project.path("in.new"), project.path("in")).unwrap();
    assert_eq!(project.good(&[]).executed(), 1);
    assert_eq!(project.read("out"), "two");
}

/// A folder's listing is proven like a file: a file that comes or goes is seen, with the folder's times put back.
#[test]
fn a_new_input_is_seen_though_its_folder_has_the_old_times() {
    let project = Project::new(
        "  make:
    cache: {inputs: ['src/**'], outputs: [out]}
    run: cat src/* > out
",
    );
    project.file("src/a", "a");
    project.good(&[]);
    project.good(&[]);
    let before = fs::metadata(project.path("src")).unwrap();
    project.file("src/b", "b");
    let folder = File::open(project.path("src")).unwrap();
    folder.set_times(FileTimes::new().set_modified(before.modified().unwrap())).unwrap();
    assert_eq!(project.good(&[]).executed(), 1);
    assert_eq!(project.read("out"), "ab");
}
