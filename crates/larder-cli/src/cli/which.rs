//! Which run is meant: its number, its name, or the latest one.

use std::str::FromStr;

/// A run, as people name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// The latest.
    Latest,
    /// As this worktree counts them.
    Number(u64),
    /// As `larder run --name` gave it.
    Name(String),
}

const LATEST: &str = "latest";
const LONGEST: usize = 64;

/// The name of a run: letters, digits, `.`, `_` and `-`, not digits alone, not `latest`.
pub(crate) fn parse_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.is_empty() || text.len() > LONGEST || !text.chars().all(fits) {
        return Err(format!("a name is 1 to {LONGEST} letters, digits, `.`, `_` or `-`"));
    }
    if text == LATEST || text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("a name is not `{LATEST}`, and not digits alone: those are numbers of runs"));
    }
    Ok(text.to_owned())
}

impl FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == LATEST {
            return Ok(Self::Latest);
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Self::Number).map_err(|_| "there is no run of such a number".to_owned());
        }
        parse_name(text)
            .map(Self::Name)
            .map_err(|why| format!("a run is a number, `{LATEST}` or a name: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_numbers_names_or_the_latest() {
        assert_eq!("41".parse(), Ok(Which::Number(41)));
        assert_eq!("latest".parse(), Ok(Which::Latest));
        assert_eq!("ci-1234".parse(), Ok(Which::Name("ci-1234".into())));
        for bad in ["", "a b", "ä", "99999999999999999999", "../x", &"x".repeat(65)] {
            assert!(bad.parse::<Which>().is_err(), "{bad}");
        }
        assert!(
            parse_name("latest").is_err() && parse_name("12").is_err() && parse_name("v1.2_rc-3").is_ok()
        );
    }
}
