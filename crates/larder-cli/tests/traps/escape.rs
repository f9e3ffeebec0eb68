//! Nothing outside the project is written, removed or captured.

use std::fs;

use crate::world::Project;

/// "an output outside the project … errors"; "a manifest path written outside the project"
#[test]
fn outputs_outside_the_project_are_refused() {
    let base = Project::empty();
    let absolute = base.base().join("outside").display().to_string();
    for output in
        ["../outside", "../../x", "a/../../outside", "'../*'", "'x/../../**'", absolute.as_str(), ".", "./"]
    {
        let project = Project::new(&format!(
            "  make:
    cache: {{inputs: [], outputs: [{output}]}}
    run: |
      echo >> $HOME/make
      mkdir -p a x; echo > ../outside
"
        ));
        let ran = project.run(&[]).ends(1);
        assert_eq!(project.count("make"), 0, "{output}: it must not run: {ran:#?}");
        assert!(ran.err.contains(output.trim_matches('\'').trim_end_matches('/')), "{output}: {ran:#?}");
    }
}

/// `../` is allowed inside the project.
#[test]
fn outputs_in_another_folder_of_the_project_are_allowed() {
    let project = Project::empty();
    project.file("larder.yml", "name: demo\n");
    project.file(
        "app/cookbook.yml",
        "name: app
recipes:
  make:
    cache: {inputs: [], outputs: [../dist/app]}
    run: mkdir -p ../dist; echo app > ../dist/app
",
    );
    project.good(&[]);
    project.remove("dist");
    assert_eq!(project.good(&[]).executed(), 0);
    assert_eq!(project.read("dist/app"), "app\n");
}

/// Larder's own folder is nobody's output.
#[test]
fn outputs_in_the_state_folder_are_refused() {
    for output in [".larder/state/", ".larder/state/x", "'.larder/**'", ".larder/"] {
        let project = Project::new(&format!(
            "  make:
    cache: {{inputs: [], outputs: [{output}]}}
    run: |
      echo >> $HOME/make
      mkdir -p .larder/state; echo > .larder/state/x
"
        ));
        let ran = project.run(&[]);
        assert_ne!(ran.code, Some(0), "{output}: {ran:#?}");
    }
}

/// "a parent of an output that became a symlink out of the project": neither capture, clean start, repair nor restore
/// follows it.
#[test]
fn a_parent_that_became_a_symlink_out_of_the_project_is_not_followed() {
    let project = Project::new(
        "  make:
    cache: {inputs: [in], outputs: [build/out/, 'build/gen/*.txt']}
    run: |
      echo >> $HOME/make
      mkdir -p build/out build/gen; cp in build/out/x; cp in build/gen/x.txt
",
    );
    project.file("in", "1");
    project.good(&[]);
    project.file("in", "2");
    project.good(&[]);
    let outside = project.base().join("outside");
    for folder in ["out", "gen"] {
        fs::create_dir_all(outside.join(folder)).unwrap();
        for name in ["x", "x.txt", "precious", "precious.txt"] {
            fs::write(outside.join(folder).join(name), "precious").unwrap();
        }
    }
    let untouched = |what: &str| {
        for folder in ["out", "gen"] {
            let names = fs::read_dir(outside.join(folder)).unwrap().count();
            assert_eq!(names, 4, "{what}: something was made or removed in {folder}");
            for name in ["x", "x.txt", "precious", "precious.txt"] {
                let text = fs::read_to_string(outside.join(folder).join(name)).unwrap();
                assert_eq!(text, "precious", "{what}: {folder}/{name}");
            }
        }
    };
    project.remove("build");
    project.link("../outside", "build");
    // A hit (`1` and `2` are known), a repair, and a dry run: none may look through the link.
    for content in ["1", "2", "2"] {
        project.file("in", content);
        let ran = project.run(&[]);
        untouched("hit");
        if ran.code == Some(0) {
            assert_eq!(project.read("build/out/x"), content, "{ran:#?}");
            assert!(project.path("build").symlink_metadata().unwrap().is_dir(), "{ran:#?}");
            project.remove("build");
            project.link("../outside", "build");
        }
    }
    // A miss: the command itself writes where it likes, but larder removes and captures nothing there.
    project.recipes(
        "  make:
    cache: {inputs: [in], outputs: [build/out/, 'build/gen/*.txt']}
    run: |
      echo >> $HOME/make
",
    );
    project.run(&[]);
    untouched("miss");
}

/// The output itself is a link to a folder outside: it is replaced, what it leads to is not touched.
#[test]
fn an_output_that_became_a_symlink_out_of_the_project_is_replaced() {
    let project = Project::new(
        "  make:
    cache: {inputs: [in], outputs: [out/, file]}
    run: mkdir -p out; cp in out/x; cp in file
",
    );
    project.file("in", "1");
    project.good(&[]);
    let outside = project.base().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("x"), "precious").unwrap();
    fs::write(outside.join("other"), "precious").unwrap();
    for content in ["1", "2"] {
        for (path, target) in [("out", "../outside"), ("file", "../outside/other")] {
            project.remove(path);
            project.link(target, path);
        }
        project.file("in", content);
        project.good(&[]);
        assert!(project.path("out").symlink_metadata().unwrap().is_dir());
        assert!(project.path("file").symlink_metadata().unwrap().is_file());
        assert_eq!((project.read("out/x"), project.read("file")), (content.into(), content.into()));
        assert_eq!(fs::read_to_string(outside.join("x")).unwrap(), "precious");
        assert_eq!(fs::read_to_string(outside.join("other")).unwrap(), "precious");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 2);
    }
}

/// A link among the outputs that leads out is captured as a link, never as what it leads to.
#[test]
fn a_link_out_of_the_project_is_captured_as_a_link() {
    let project = Project::new(
        "  make:
    cache: {inputs: [], outputs: [out/]}
    run: mkdir -p out; ln -s ../../secret out/link; ln -s / out/root
",
    );
    fs::write(project.base().join("secret"), "never to be stored").unwrap();
    project.good(&[]);
    project.remove("out");
    assert_eq!(project.good(&[]).executed(), 0);
    assert_eq!(fs::read_link(project.path("out/link")).unwrap().to_str(), Some("../../secret"));
    assert_eq!(fs::read_link(project.path("out/root")).unwrap().to_str(), Some("/"));
}
