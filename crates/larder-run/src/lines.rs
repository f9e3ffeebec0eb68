//! The difference of two texts, line by line: for commands, which are short.

/// A line of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// It was there, and is no more.
    Removed(String),
    /// It was not there.
    Added(String),
}

/// Cells of the table that is made at most; longer texts differ as a whole.
const MOST_CELLS: usize = 1 << 20;

/// What differs, in the order of the texts. `old_text` and `new_text` give the text of a line by its place.
pub fn diff<T: PartialEq>(
    old: &[T],
    new: &[T],
    old_text: impl Fn(usize) -> String,
    new_text: impl Fn(usize) -> String,
) -> Vec<Line> {
    let same = |(a, b): &(&T, &T)| a == b;
    let start = old.iter().zip(new).take_while(same).count();
    let end = old[start..].iter().rev().zip(new[start..].iter().rev()).take_while(same).count();
    let (before, after) = (&old[start..old.len() - end], &new[start..new.len() - end]);
    let mut lines = Vec::new();
    if before.len().saturating_mul(after.len()) > MOST_CELLS {
        lines.extend((0..before.len()).map(|at| Line::Removed(old_text(start + at))));
        lines.extend((0..after.len()).map(|at| Line::Added(new_text(start + at))));
        return lines;
    }
    let common = longest_common(before, after);
    let (mut a, mut b) = (0, 0);
    while a < before.len() || b < after.len() {
        if a < before.len() && b < after.len() && before[a] == after[b] {
            (a, b) = (a + 1, b + 1);
        } else if a < before.len() && (b == after.len() || common[a + 1][b] >= common[a][b + 1]) {
            lines.push(Line::Removed(old_text(start + a)));
            a += 1;
        } else {
            lines.push(Line::Added(new_text(start + b)));
            b += 1;
        }
    }
    lines
}

/// Of two texts as they are.
#[must_use]
pub fn diff_texts(old: &str, new: &str) -> Vec<Line> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    diff(&old, &new, |at| old[at].to_owned(), |at| new[at].to_owned())
}

/// How long the longest common sequence is, from each pair of places to the ends.
fn longest_common<T: PartialEq>(old: &[T], new: &[T]) -> Vec<Vec<u32>> {
    let mut common = vec![vec![0; new.len() + 1]; old.len() + 1];
    for a in (0..old.len()).rev() {
        for b in (0..new.len()).rev() {
            common[a][b] = match old[a] == new[b] {
                true => common[a + 1][b + 1] + 1,
                false => common[a + 1][b].max(common[a][b + 1]),
            };
        }
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(old: &str, new: &str) -> String {
        let line = |line: &Line| match line {
            Line::Removed(text) => format!("-{text}"),
            Line::Added(text) => format!("+{text}"),
        };
        diff_texts(old, new).iter().map(line).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn lines_that_are_the_same_are_not_told() {
        assert_eq!(shown("a\nb\nc", "a\nb\nc"), "");
        assert_eq!(shown("a\nb\nc", "a\nx\nc"), "-b +x");
        assert_eq!(shown("a\nb\nc\nd", "b\nc\ne\nd"), "-a +e");
        assert_eq!(shown("", "a"), "+a");
        assert_eq!(shown("a\na\na", "a"), "-a -a");
        let long: String = (0..3_000).map(|n| format!("{n}\n")).collect();
        assert_eq!(diff_texts(&long, &long.replace("1\n", "x\n")).len() % 2, 0);
    }
}
