//! Micro-measurements, by hand: `cargo test --release -p larder-run measure -- --ignored --nocapture`.

use std::time::Instant;

use super::*;

/// User and system time so far, in ms.
fn cpu() -> (f64, f64) {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) * 10.0, ticks(12) * 10.0)
}

fn measure(name: &str, project: &Project, specs: &[PathSpec]) {
    let worktree = project.open();
    let begin = Instant::now();
    for spec in specs {
        worktree.digest_of(spec).unwrap();
    }
    worktree.save().unwrap();
    let cold = begin.elapsed();
    worktree.wait_tick();
    let worktree = project.open();
    for spec in specs {
        worktree.digest_of(spec).unwrap();
    }
    worktree.save().unwrap();
    let mut best = f64::MAX;
    let mut opened = 0.0;
    let used = cpu();
    for _ in 0..20 {
        let begin = Instant::now();
        let worktree = project.open();
        let open = begin.elapsed().as_secs_f64() * 1e3;
        worktree.warm(&specs.iter().collect::<Vec<_>>());
        for spec in specs {
            worktree.digest_of(spec).unwrap();
        }
        worktree.save().unwrap();
        let all = begin.elapsed().as_secs_f64() * 1e3;
        if all < best {
            (best, opened) = (all, open);
        }
    }
    let (user, system) = cpu();
    let (user, system) = ((user - used.0) / 20.0, (system - used.1) / 20.0);
    let said = format!(
        "{name}: first {cold:?}, no change {best:.1} ms (table {opened:.1}), CPU user {user:.1} system {system:.1} ms\n"
    );
    std::io::Write::write_all(&mut std::io::stderr(), said.as_bytes()).unwrap();
}

#[test]
#[ignore = "a measurement"]
fn sizes_of_the_workloads() {
    let project = Project::new();
    for i in 0..20_000 {
        project.write(format!("src/d{}/f{i}.ts", i / 100), &format!("export const x = {i};\n"));
    }
    measure("W3", &project, &[PathSpec::inputs("", ["src/**"])]);
    let project = Project::new();
    let mut specs = Vec::new();
    for book in 0..300 {
        for i in 0..40 {
            project.write(format!("c{book}/src/f{i}.ts"), &format!("export const x = {book}{i};\n"));
        }
        specs.push(PathSpec::inputs(format!("c{book}"), ["src/**"]));
    }
    measure("W2", &project, &specs);
    let project = Project::new();
    for i in 0..2_000 {
        project.write(format!("out/f{i}"), &"x".repeat(102_400));
    }
    measure("W1", &project, &[PathSpec::outputs("", ["out"])]);
}
