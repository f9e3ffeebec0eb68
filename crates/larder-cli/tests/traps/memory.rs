//! Memory does not grow with what recipes print or make.

use crate::world::Project;

/// In KiB. "peak memory … at most 64 MiB"
const MOST: u64 = 64 << 10;

/// "memory growing with output size": what is printed
#[test]
fn memory_does_not_grow_with_what_is_printed() {
    let project = Project::new(
        "  make:
    cache: {inputs: [], outputs: []}
    run: yes 'a line of some length that is printed again and again' | head -c 200000000
",
    );
    let ran = project.good(&[]);
    assert!(ran.peak > 0 && ran.peak < MOST, "{} KiB", ran.peak);
    let again = project.good(&[]);
    assert!(again.executed() == 0 && again.peak < MOST, "{} KiB", again.peak);
}

/// "memory growing with output size": what is made, stored and restored
#[test]
fn memory_does_not_grow_with_the_size_of_outputs() {
    let project = Project::new(
        "  make:
    cache: {inputs: [], outputs: [big]}
    run: head -c 300000000 /dev/zero > big; date >> big
",
    );
    let ran = project.good(&[]);
    assert!(ran.peak > 0 && ran.peak < MOST, "{} KiB", ran.peak);
    let length = std::fs::metadata(project.path("big")).unwrap().len();
    project.remove("big");
    let again = project.good(&[]);
    assert!(again.executed() == 0 && again.peak < MOST, "{} KiB", again.peak);
    assert_eq!(std::fs::metadata(project.path("big")).unwrap().len(), length);
}

/// Of a large input neither.
#[test]
fn memory_does_not_grow_with_the_size_of_inputs() {
    let project = Project::new(
        "  make:
    cache: {inputs: [big], outputs: []}
    run: ':'
",
    );
    project.shell("head -c 300000000 /dev/zero > big");
    let ran = project.good(&[]);
    assert!(ran.peak > 0 && ran.peak < MOST, "{} KiB", ran.peak);
}
