//! A random project: recipes that combine what they read into what they write, and say all of it.
//!
//! Cookbooks are `c0`, `c1`, …, each with sources in `src/`; `shared/` belongs to all. Everything that a recipe writes
//! has a name that begins with `o_`: `o_r3.txt`, the folder `o_r3d`, and `o_r3g/**/*.gen` as a glob. A recipe's script
//! lists names, modes, link targets and bytes of all that it declares as inputs, so that nothing can change without being
//! seen; some then forget most of it, so that results are often equal.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::random::Random;

/// What a recipe reads beside its dependencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inputs {
    /// The cookbook's folder (`inputs` omitted).
    Omitted,
    /// `src` as a folder.
    Folder,
    /// `src/**/*.txt` without `src/skip/**`.
    Glob,
    /// `src/*`
    OneLevel,
    /// Three names, there or not.
    Files,
    /// `../shared/**`
    Shared,
    /// Nothing.
    None,
}

/// A kind of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// `o_rN.txt`
    File,
    /// `o_rNd`
    Folder,
    /// `o_rNg/**/*.gen` without `skip*`.
    Glob,
}

/// One recipe.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) cookbook: usize,
    pub(crate) number: usize,
    pub(crate) dependencies: Vec<usize>,
    pub(crate) cached: bool,
    pub(crate) incremental: bool,
    pub(crate) inputs: Inputs,
    pub(crate) outputs: Vec<Output>,
    /// Declares `PV0` or `PV1`.
    pub(crate) environment: Option<usize>,
    pub(crate) variable: String,
    pub(crate) matrix: Vec<&'static str>,
    /// A number in the command's text.
    pub(crate) salt: u64,
    /// Writes its place into its outputs.
    pub(crate) placed: bool,
    /// Forgets most of what it read.
    pub(crate) narrow: bool,
    /// Of the written file.
    pub(crate) mode: &'static str,
    /// Seconds to sleep in the middle, as text.
    pub(crate) sleep: &'static str,
    /// A file outside the project to which each execution adds a line.
    pub(crate) counter: Option<PathBuf>,
    /// Leaves a process behind that does not want to end.
    pub(crate) clings: bool,
}

/// What a clinging recipe starts.
pub(crate) const CLINGING: &str = "setsid sleep 300";

/// A project.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) cookbooks: usize,
    pub(crate) recipes: Vec<Recipe>,
    pub(crate) variable: String,
    /// `-D p=…`
    pub(crate) define: Option<String>,
    pub(crate) environment: BTreeMap<String, String>,
}

const TAR: &str =
    "tar --format=gnu --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --hard-dereference";

impl Model {
    /// A random project.
    pub(crate) fn random(random: &mut Random) -> Self {
        let cookbooks = 1 + random.below(3);
        let mut recipes: Vec<Recipe> = Vec::new();
        for number in 0..2 + random.below(7) {
            let mut dependencies: Vec<usize> = (0..number).filter(|_| random.once_in(3)).collect();
            dependencies.truncate(3);
            let all = [Inputs::Omitted, Inputs::Folder, Inputs::Glob, Inputs::OneLevel, Inputs::Files];
            let inputs = match random.below(8) {
                0 => Inputs::Shared,
                1 => Inputs::None,
                _ => *random.pick(&all),
            };
            let mut outputs = vec![*random.pick(&[Output::File, Output::Folder, Output::Glob])];
            for more in [Output::File, Output::Folder, Output::Glob] {
                if random.once_in(4) && !outputs.contains(&more) {
                    outputs.push(more);
                }
            }
            recipes.push(Recipe {
                cookbook: random.below(cookbooks),
                number,
                dependencies,
                cached: !random.once_in(6),
                incremental: random.once_in(12),
                inputs,
                outputs,
                environment: random.once_in(3).then(|| random.below(2)),
                variable: "v".into(),
                matrix: if random.once_in(6) { vec!["a", "b"] } else { Vec::new() },
                salt: random.next() % 100,
                placed: random.once_in(8),
                narrow: random.once_in(3),
                mode: random.pick::<&str>(&["644", "600", "755", "444", "640"]),
                sleep: "",
                counter: None,
                clings: false,
            });
        }
        // What no declaration can name is not read: outputs of recipes without cache are listed inputs.
        for at in 0..recipes.len() {
            let unsure = |other: &Recipe| !other.cached && other.cookbook == recipes[at].cookbook;
            let lists = recipes[at].dependencies.iter().any(|&on| !recipes[on].cached);
            if recipes[at].inputs == Inputs::Omitted && (lists || recipes.iter().any(unsure)) {
                recipes[at].inputs = Inputs::Folder;
            }
        }
        let environment = [("PV0".to_owned(), "one".to_owned())].into();
        Self { cookbooks, recipes, variable: "p".into(), define: None, environment }
    }

    /// The name for selectors.
    pub(crate) fn name(&self, at: usize) -> String {
        format!("c{}:r{at}", self.recipes[at].cookbook)
    }

    /// What runs for a selection (empty: the default), in an order that works.
    pub(crate) fn closure(&self, selected: &[usize]) -> Vec<usize> {
        let mut wanted = vec![false; self.recipes.len()];
        for at in (0..self.recipes.len()).rev() {
            let by_default = selected.is_empty() && self.recipes[at].cached;
            if wanted[at] || by_default || selected.contains(&at) {
                wanted[at] = true;
                self.recipes[at].dependencies.iter().for_each(|&on| wanted[on] = true);
            }
        }
        (0..wanted.len()).filter(|&at| wanted[at]).collect()
    }

    /// Whether an immediate second run must find everything: recipes, and those of them that are cached.
    pub(crate) fn instances(&self, closure: &[usize], cached: bool) -> usize {
        let count = |&at: &usize| self.recipes[at].matrix.len().max(1);
        closure.iter().filter(|&&at| !cached || self.recipes[at].cached).map(count).sum()
    }

    /// Writes the configuration.
    pub(crate) fn write(&self, root: &Path) {
        let text = |value: &str| serde_json::to_string(value).unwrap();
        let project = format!("name: random\nvariables:\n  p: {}\n", text(&self.variable));
        put(&root.join("larder.yml"), &project);
        for cookbook in 0..self.cookbooks {
            let mut out = format!("name: c{cookbook}\nrecipes:\n  idle:\n    run: \"true\"\n");
            for recipe in self.recipes.iter().filter(|recipe| recipe.cookbook == cookbook) {
                let _ = write!(out, "  r{}:\n    run: {}\n", recipe.number, text(&self.script(recipe)));
                let dependencies: Vec<String> = recipe.dependencies.iter().map(|&on| self.name(on)).collect();
                let _ = writeln!(out, "    dependencies: {}", serde_json::to_string(&dependencies).unwrap());
                let _ = writeln!(out, "    variables: {{v: {}}}", text(&recipe.variable));
                if let Some(number) = recipe.environment {
                    let _ = writeln!(out, "    environment: [PV{number}]");
                }
                if !recipe.matrix.is_empty() {
                    let _ = writeln!(
                        out,
                        "    matrix: {{m: {}}}",
                        serde_json::to_string(&recipe.matrix).unwrap()
                    );
                }
                if recipe.incremental {
                    out.push_str("    incremental: true\n");
                }
                if recipe.cached {
                    let outputs: Vec<String> = self.output_patterns(recipe);
                    let _ = writeln!(
                        out,
                        "    cache:\n      outputs: {}",
                        serde_json::to_string(&outputs).unwrap()
                    );
                    if recipe.inputs != Inputs::Omitted {
                        let inputs = serde_json::to_string(&self.input_patterns(recipe)).unwrap();
                        let _ = writeln!(out, "      inputs: {inputs}");
                    }
                }
            }
            put(&root.join(format!("c{cookbook}/cookbook.yml")), &out);
        }
    }

    fn output_patterns(&self, recipe: &Recipe) -> Vec<String> {
        let stem = stem(recipe, None);
        let patterns = |output: &Output| match output {
            Output::File => vec![format!("{stem}.txt")],
            Output::Folder => vec![format!("{stem}d")],
            Output::Glob => vec![format!("{stem}g/**/*.gen"), format!("!{stem}g/**/skip*")],
        };
        recipe.outputs.iter().flat_map(patterns).collect()
    }

    fn input_patterns(&self, recipe: &Recipe) -> Vec<String> {
        let own: &[&str] = match recipe.inputs {
            Inputs::Omitted | Inputs::None => &[],
            Inputs::Folder => &["src"],
            Inputs::Glob => &["!src/skip/**", "src/**/*.txt"],
            Inputs::OneLevel => &["src/*"],
            Inputs::Files => &["src/f0.txt", "src/f1.txt", "src/new0.txt"],
            Inputs::Shared => &["../shared/**"],
        };
        let mut patterns: Vec<String> = own.iter().map(|&pattern| pattern.to_owned()).collect();
        for on in recipe.dependencies.iter().map(|&on| &self.recipes[on]).filter(|on| !on.cached) {
            for (path, _) in outputs_of(on) {
                patterns.push(format!("../{}", path.display()));
            }
        }
        patterns
    }

    /// The command's text, with what templates fill in.
    pub(crate) fn script(&self, recipe: &Recipe) -> String {
        let stem = stem(recipe, None);
        let mut out = String::new();
        if !recipe.cached || recipe.incremental {
            let _ = writeln!(out, "chmod -R u+w {stem}d 2>&- || true\nrm -rf {stem}.txt {stem}d {stem}g");
        }
        out.push_str("w=$(\n");
        self.hash_what_is_read(&mut out, recipe);
        out.push_str(match recipe.inputs {
            Inputs::Folder => "cat src/*.txt 2>&- || true\n",
            Inputs::OneLevel => "for f in src/*; do if [ -f \"$f\" ]; then cat \"$f\"; fi; done\n",
            _ => "",
        });
        let declared = recipe.environment.map_or(String::new(), |number| format!("${{PV{number}-unset}}"));
        let salt = recipe.salt;
        let _ = writeln!(out, "echo {salt} '{{{{var.v}}}}' '{{{{var.p}}}}' \"$*\" {{{{project.name}}}}");
        let _ = writeln!(out, "echo \"{declared} ${{UNDECLARED-unset}} ${{LARDER_HOME-unset}}\"\n)");
        if recipe.narrow {
            out.push_str("w=${w%\"${w#?}\"}\n");
        }
        if recipe.placed {
            out.push_str("w=\"$w $(pwd) {{project.root}}\"\n");
        }
        if !recipe.sleep.is_empty() {
            let _ = writeln!(out, "sleep {}", recipe.sleep);
        }
        if recipe.clings {
            let _ = writeln!(out, "(trap '' TERM HUP INT; exec {CLINGING}) <&- >&- 2>&- &");
        }
        if let Some(counter) = &recipe.counter {
            let _ = writeln!(out, "echo {stem} >> '{}'", counter.display());
        }
        recipe.outputs.iter().for_each(|output| write_output(&mut out, recipe, *output, &stem));
        out
    }

    /// Names, modes, link targets and bytes of all that is read, in one number.
    fn hash_what_is_read(&self, out: &mut String, recipe: &Recipe) {
        let (mut whole, mut finds) = (Vec::new(), Vec::new());
        match recipe.inputs {
            Inputs::Omitted => finds.push(". -name 'o_*' -prune -o ! -type d -print0".to_owned()),
            Inputs::Folder => whole.push("src".to_owned()),
            Inputs::Glob => finds.push("src -path src/skip -prune -o -name '*.txt' ! -type d -print0".into()),
            Inputs::OneLevel => finds.push("src -mindepth 1 -maxdepth 1 ! -type d -print0".into()),
            Inputs::Shared => finds.push("../shared ! -type d -print0".into()),
            Inputs::Files | Inputs::None => {}
        }
        for on in recipe.dependencies.iter().map(|&on| &self.recipes[on]) {
            for (path, output) in outputs_of(on) {
                let path = path.display();
                match output {
                    Output::Glob => {
                        finds.push(format!("../{path} -name '*.gen' ! -name 'skip*' ! -type d -print0"));
                    }
                    _ => whole.push(format!("../{path}")),
                }
            }
        }
        let files = "for f in src/f0.txt src/f1.txt src/new0.txt; do if [ -e $f ] || [ -L $f ]; then find $f -print0; fi; done";
        let files = if recipe.inputs == Inputs::Files { files } else { "" };
        if finds.is_empty() && files.is_empty() {
            if !whole.is_empty() {
                let _ = writeln!(out, "{TAR} -cf - {} | sha256sum", whole.join(" "));
            }
            return;
        }
        let mut lines: Vec<String> = finds.iter().map(|find| format!("find {find}")).collect();
        if !whole.is_empty() {
            lines.push(format!("find {} -print0", whole.join(" ")));
        }
        if !files.is_empty() {
            lines.push(files.to_owned());
        }
        let lines = lines.join("; ");
        let _ = writeln!(
            out,
            "{{ {lines}; }} | LC_ALL=C sort -z | {TAR} --null --no-recursion -T - -cf - | sha256sum"
        );
    }
}

fn write_output(out: &mut String, recipe: &Recipe, output: Output, stem: &str) {
    let reads_src = matches!(recipe.inputs, Inputs::Folder | Inputs::OneLevel);
    let _ = match output {
        Output::File => writeln!(out, "printf '%s\\n' \"$w\" > {stem}.txt\nchmod {} {stem}.txt", recipe.mode),
        Output::Folder => {
            let _ = writeln!(
                out,
                "mkdir {stem}d {stem}d/empty '{stem}d/with space'\nprintf %s \"$w\" > '{stem}d/with space/da\"ta'\n\
                 ln -s 'with space' ../nowhere {stem}d/empty\nprintf x > \"$(printf '{stem}d/caf\\351\\377')\"\n\
                 chmod {} {stem}d/with*/*",
                recipe.mode
            );
            let mode = if recipe.mode == "444" { "555" } else { "750" };
            let last = format!("chmod {mode} {stem}d/empty\n");
            if recipe.number.is_multiple_of(3) {
                // Large enough to be chunked and to lie in several frames; and bytes that do not compress well.
                let size = 20_000 + recipe.salt * 6_000;
                let _ = writeln!(
                    out,
                    "yes \"$w\" | head -c {size} > {stem}d/large\nln {stem}d/large {stem}d/again"
                );
                let _ = writeln!(out, "{{ cat /bin/sh; printf %s \"$w\"; }} > {stem}d/program");
            }
            if recipe.inputs == Inputs::Folder {
                let _ = writeln!(out, "cp -a src {stem}d/copy");
            }
            out.push_str(&last);
            Ok(())
        }
        Output::Glob => {
            let _ = writeln!(
                out,
                "mkdir -p {stem}g/sub\nprintf %s \"$w\" > {stem}g/sub/all.gen\necho no > {stem}g/skip.gen"
            );
            if reads_src {
                writeln!(
                    out,
                    "for f in src/*; do if [ -f \"$f\" ]; then cat \"$f\" > \"{stem}g/${{f##*/}}.gen\"; fi; done"
                )
            } else {
                writeln!(
                    out,
                    "r=$w; for i in 1 2 3; do n=${{r%\"${{r#?}}\"}}; r=${{r#?}}; n=${{n#/}}; echo $n > \"{stem}g/n$n.gen\"; done"
                )
            }
        }
    };
}

/// The common part of the names of outputs; without an instance, as a template.
pub(crate) fn stem(recipe: &Recipe, instance: Option<&str>) -> String {
    match instance {
        Some(instance) => format!("o_r{}_{instance}", recipe.number),
        None if recipe.matrix.is_empty() => format!("o_r{}", recipe.number),
        None => format!("o_r{}_{{{{matrix.m}}}}", recipe.number),
    }
}

/// Instances by value (one `None` without a matrix).
pub(crate) fn instances(recipe: &Recipe) -> Vec<Option<&'static str>> {
    if recipe.matrix.is_empty() { vec![None] } else { recipe.matrix.iter().copied().map(Some).collect() }
}

/// Where a recipe's outputs are, from the project's root; for a glob, its folder.
pub(crate) fn outputs_of(recipe: &Recipe) -> Vec<(PathBuf, Output)> {
    let mut paths = Vec::new();
    for instance in instances(recipe) {
        let stem = stem(recipe, instance);
        for output in &recipe.outputs {
            let end = match output {
                Output::File => ".txt",
                Output::Folder => "d",
                Output::Glob => "g",
            };
            paths.push((PathBuf::from(format!("c{}/{stem}{end}", recipe.cookbook)), *output));
        }
    }
    paths
}

/// Writes a file only if it differs.
fn put(path: &Path, text: &str) {
    if fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
        return;
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
