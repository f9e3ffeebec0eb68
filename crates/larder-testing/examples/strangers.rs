//! Asks containerd, moby, podman and umoci about the cases and says where they agree.
//!
//! ```text
//! strangers [NAME…]            what each says, of these cases or all
//! strangers --random FROM TO    how often they agree on images of these seeds, and what they say where not
//! strangers --bless [NAME…]    writes the trees on which the three agree into `trees.txt`; those by hand stay
//! ```
#![expect(clippy::print_stdout, reason = "this is a report")]

use std::{collections::BTreeMap, error::Error, fmt::Write, fs, path::Path};

use larder_testing::{
    layers::{Case, Expect, Listing, Packing, cases, random},
    strangers::{self, Answer},
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut wanted: Vec<String> = std::env::args().skip(1).collect();
    if let [word, from, to] = &wanted[..]
        && word == "--random"
    {
        return randoms(from.parse()?, to.parse()?);
    }
    let bless = wanted.iter().any(|word| word == "--bless");
    wanted.retain(|word| word != "--bless");
    let mut trees = Trees::read()?;
    let mut counts = BTreeMap::new();
    for case in cases() {
        if !wanted.is_empty() && !wanted.iter().any(|name| name == case.name) {
            continue;
        }
        let answer = strangers::answer(&case, Packing::Plain)?;
        let verdict = report(&case, &answer);
        *counts.entry(verdict).or_insert(0) += 1;
        trees.put(&case, &answer);
    }
    if bless {
        trees.write()?;
    }
    println!("{counts:?}");
    Ok(())
}

fn randoms(from: u64, to: u64) -> Result<(), Box<dyn Error>> {
    let mut counts = BTreeMap::new();
    for seed in from..to {
        let case = random(seed);
        let answer = strangers::answer(&case, Packing::Plain)?;
        let verdict = match answer.agreed() {
            Some(Ok(_)) => "agree",
            Some(Err(())) => "all refuse",
            None => {
                println!("\nseed {seed}");
                report(&case, &answer)
            }
        };
        *counts.entry(verdict).or_insert(0) += 1;
    }
    println!("{counts:?}");
    Ok(())
}

/// Prints what each says, and gives a word for it.
fn report(case: &Case, answer: &Answer) -> &'static str {
    println!("\n=== {}: {}", case.name, case.what);
    let verdict = match (answer.agreed(), &case.expect) {
        (Some(Ok(tree)), Expect::Tree(rules)) if rules.is_but_for_now(tree) => "agree, as the rules",
        (Some(Ok(_)), Expect::Tree(rules)) if rules.names.is_empty() => "agree, new",
        (Some(Ok(_)), _) => "AGREE AGAINST THE RULES",
        (Some(Err(())), Expect::Refused) => "all refuse, as the rules",
        (Some(Err(())), Expect::Tree(_)) => "ALL REFUSE, NOT THE RULES",
        (None, Expect::Refused) => "differ, the rules refuse",
        (None, Expect::Tree(_)) => "differ",
    };
    println!("    {verdict}");
    if let Expect::Tree(tree) = &case.expect
        && !tree.names.is_empty()
        && verdict != "agree, as the rules"
    {
        println!("--- rules\n{tree}");
    }
    let all = [
        ("containerd", &answer.containerd),
        ("moby", &answer.moby),
        ("podman", &answer.podman),
        ("umoci", &answer.umoci),
    ];
    let right = all.iter().filter(|(_, what)| match (what, &case.expect) {
        (Ok(tree), Expect::Tree(rules)) => rules.is_but_for_now(tree),
        (Err(_), Expect::Refused) => true,
        _ => false,
    });
    println!("    as the rules: {}", right.map(|(who, _)| *who).collect::<Vec<_>>().join(", "));
    let mut said: Vec<(String, String)> = Vec::new();
    for (who, what) in all {
        let what = match what {
            Ok(tree) => tree.to_string(),
            Err(error) => format!("refused: {error}\n"),
        };
        match said.iter_mut().find(|(_, other)| *other == what) {
            Some((names, _)) => {
                let _ = write!(names, ", {who}");
            }
            None => said.push((who.to_owned(), what)),
        }
    }
    for (names, what) in said {
        println!("--- {names}\n{what}");
    }
    verdict
}

/// A tree with the time of the extraction made 0, as the rules have it of parents that no layer lists.
fn settled(tree: &Listing) -> String {
    tree.to_string().replace(" now", " 0")
}

/// The file of trees: heading, who made it, lines.
struct Trees {
    head: String,
    sections: BTreeMap<String, (String, String)>,
}

impl Trees {
    const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/layers/trees.txt");

    fn read() -> Result<Self, Box<dyn Error>> {
        let text = fs::read_to_string(Path::new(Self::PATH))?;
        let mut parts = text.split("\n== ");
        let head = parts.next().unwrap_or_default().to_owned();
        let sections = parts.filter_map(|part| {
            let (heading, lines) = part.split_once('\n')?;
            let (name, word) = heading.split_once(' ')?;
            Some((name.to_owned(), (word.to_owned(), lines.to_owned())))
        });
        Ok(Self { head, sections: sections.collect() })
    }

    /// Notes what the three do, and their tree unless the case has one.
    fn put(&mut self, case: &Case, answer: &Answer) {
        let (word, agreed) = match answer.agreed() {
            Some(Ok(tree)) => ("agree", settled(tree)),
            Some(Err(())) => ("refuse", String::new()),
            None => ("differ", String::new()),
        };
        let section = self.sections.entry(case.name.to_owned()).or_default();
        word.clone_into(&mut section.0);
        if section.1.trim().is_empty() && matches!(&case.expect, Expect::Tree(tree) if tree.names.is_empty())
        {
            section.1 = agreed;
        }
    }

    fn write(&self) -> Result<(), Box<dyn Error>> {
        let mut text = format!("{}\n", self.head.trim_end());
        for (name, (word, lines)) in &self.sections {
            write!(text, "\n== {name} {word}\n{}", lines.trim_end())?;
            text.push_str(if lines.trim().is_empty() { "" } else { "\n" });
        }
        fs::write(Self::PATH, text)?;
        Ok(())
    }
}
