//! Several processes in one clone, and several clones, at once: one execution of each action, all of them good.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;

use super::model::{Model, instances, stem};
use super::random::{self, Random};
use super::reference;
use super::tree;
use super::world::{self, World};

/// A project without what must run more than once.
fn model(world: &World, random: &mut Random) -> Model {
    let mut model = Model::random(random);
    for recipe in &mut model.recipes {
        recipe.cached = true;
        recipe.incremental = false;
        recipe.placed = false;
        recipe.sleep = *random.pick(&["0", "0.02", "0.1"]);
        recipe.counter = Some(world.outside().join("counter"));
    }
    model
}

/// A case with both clones alike.
fn case(random: &mut Random) -> (World, Model) {
    let world = World::new();
    let model = model(&world, random);
    for clone in [0, 1] {
        model.write(&world.root(clone));
    }
    world::first_sources(&world.root(0), &model, random);
    tree::replace_sources(&world.root(1), &tree::read(&world.root(0), &tree::is_source));
    (world, model)
}

/// Runs in these clones at once and checks trees and exit codes.
fn run_at_once(world: &World, model: &Model, clones: &[usize], seed: u64) {
    let closure = model.closure(&[]);
    let counter = world.outside().join("counter");
    let expected = reference::build(&world.root(0), model, &closure, &[], &[]);
    let _ = fs::remove_file(&counter);
    let start = |&clone: &usize| {
        let mut command = world::run_command(world, clone, model, &[], &["-j2"], &[]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<_> = clones.iter().map(start).collect();
    let outputs: Vec<_> = children.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    let all: String = outputs.iter().map(world::said).collect();
    assert!(outputs.iter().all(|output| output.status.success()), "seed {seed}: {all}");
    for &clone in clones {
        let found = reference::relevant(&world.root(clone), model, &closure);
        if let Some(difference) = tree::difference(&found, &expected) {
            panic!("seed {seed}, clone {clone}: {difference}\n{all}");
        }
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in fs::read_to_string(&counter).unwrap().lines() {
        *counts.entry(line.to_owned()).or_default() += 1;
    }
    let once: BTreeMap<String, usize> = closure
        .iter()
        .flat_map(|&at| {
            instances(&model.recipes[at]).into_iter().map(move |i| (stem(&model.recipes[at], i), 1))
        })
        .collect();
    assert_eq!(counts, once, "seed {seed}: executions of {clones:?}\n{all}");
}

fn seeds() -> std::ops::Range<u64> {
    let first = random::count("LARDER_TEST_FIRST", 1);
    first..first + random::count("LARDER_TEST_CASES", 40).div_ceil(20)
}

#[test]
fn processes_in_one_clone_run_each_recipe_once() {
    for seed in seeds() {
        for count in [2, 5] {
            let (world, model) = case(&mut Random::new(seed, count));
            run_at_once(&world, &model, &vec![0; count as usize], seed);
        }
    }
}

#[test]
fn clones_that_share_a_store_run_each_action_once() {
    for seed in seeds() {
        let (world, model) = case(&mut Random::new(seed, 7));
        run_at_once(&world, &model, &[0, 1], seed);
    }
}

#[test]
fn collecting_garbage_meanwhile_does_no_harm() {
    if !World::can("gc") {
        return;
    }
    for seed in seeds() {
        let (world, mut model) = case(&mut Random::new(seed, 8));
        let closure = model.closure(&[]);
        for round in 0..3 {
            model.variable = format!("round {round}");
            for clone in [0, 1] {
                model.write(&world.root(clone));
            }
            let expected = reference::build(&world.root(0), &model, &closure, &[], &[]);
            let piped = |mut command: std::process::Command| {
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            };
            let runs = [0, 1, 0].map(|clone| {
                let options: &[&str] = if round == 2 { &["--force"] } else { &[] };
                piped(world::run_command(&world, clone, &model, &[], options, &[]))
            });
            for _ in 0..3 {
                let mut gc = world.larder(0);
                gc.args(["cache", "gc", "--to-size", "0"]);
                let output = piped(gc).wait_with_output().unwrap();
                assert!(output.status.success(), "seed {seed}: gc: {}", world::said(&output));
            }
            let outputs = runs.map(|child| child.wait_with_output().unwrap());
            let all: String = outputs.iter().map(world::said).collect();
            assert!(outputs.iter().all(|output| output.status.success()), "seed {seed}: {all}");
            for clone in [0, 1] {
                let found = reference::relevant(&world.root(clone), &model, &closure);
                if let Some(difference) = tree::difference(&found, &expected) {
                    panic!("seed {seed}, clone {clone}, round {round}: {difference}\n{all}");
                }
            }
        }
    }
}
