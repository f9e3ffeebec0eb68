//! Images of random layers: few names, many collisions.
//!
//! Five names at three depths, two of them mostly folders, all types of entries, marks, hard and symbolic links among them: what a person would not think of. Modes and
//! owners of folders are the default ones, so that what containerd alone does (metadata of parents that a layer does not list are the lower
//! layer's) makes no difference. There is no expected tree: the three are asked, and mostly agree.

use super::{Case, Expect, Item, Layer, Listing, Tar, Three};

/// Numbers from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn pick(&mut self, names: &[&'static str]) -> &'static str {
        names[self.roll(names.len() as u64) as usize]
    }

    /// A path, and whether its last name is one that is also used for parents.
    fn path(&mut self) -> (String, bool) {
        let mut path = String::new();
        for _ in 0..self.roll(3) {
            path.push_str(self.pick(&["a", "b"]));
            path.push('/');
        }
        let parent = self.roll(3) == 0;
        path.push_str(if parent { self.pick(&["a", "b"]) } else { self.pick(&["c", "d", "e"]) });
        (path, parent)
    }
}

/// An image of one to four layers of up to ten entries each; the same for the same seed.
pub fn random(seed: u64) -> Case {
    let mut dice = Dice(seed);
    let layers = (0..=dice.roll(4)).map(|_| layer(&mut dice)).map(Layer::Tar).collect();
    Case {
        name: "random",
        layers,
        what: "Layers from a seed",
        expect: Expect::Tree(Listing::default()),
        three: Three::Unknown,
    }
}

fn layer(dice: &mut Dice) -> Vec<u8> {
    let mut tar = Tar::default();
    // What a hard link may name: nearly always something that is there.
    let mut made: Vec<String> = Vec::new();
    for _ in 0..=dice.roll(9) {
        let (path, parent) = dice.path();
        let time = dice.roll(5) as i64;
        // What others go through is a folder most of the time, and seldom something that nothing can go through.
        let kind = dice.roll(20);
        let item = match if parent && dice.roll(8) != 0 { kind.min(7) } else { kind } {
            0..=5 => Item::folder(&path),
            6 => Item::symlink(&path, target(dice)),
            7 => Item::mark(marked(&path)),
            8..=11 => {
                Item::file(&path, &path).mode(0o600 + dice.roll(64) as i64).owner(dice.roll(3) as i64, 7)
            }
            12..=14 => match made.get(dice.roll(made.len().max(1) as u64) as usize) {
                Some(target) if *target != path => Item::hard_link(&path, target),
                _ => Item::fifo(&path),
            },
            15 | 16 => Item::mark(marked(&path)),
            17 => Item::mark(format!("{path}/.wh..wh..opq")),
            18 => Item::char_device(&path, dice.roll(2) as i64, 0),
            _ => Item::fifo(&path).mode(0o640),
        };
        if item.is_linkable() {
            made.push(path);
        }
        tar = tar.item(item.time(time));
    }
    tar.end()
}

/// Where a symlink points: mostly to a folder, or to where one may be.
fn target(dice: &mut Dice) -> String {
    match dice.roll(4) {
        0 => format!("/{}", dice.path().0),
        1 => dice.path().0,
        _ => dice.pick(&["a", "b"]).to_owned(),
    }
}

/// The whiteout of a path.
fn marked(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((parent, name)) => format!("{parent}/.wh.{name}"),
        None => format!(".wh.{path}"),
    }
}
