//! What a 401 asks for: `WWW-Authenticate` (RFC 9110, 11.6.1; distribution-spec leaves the rest to docker's token protocol).

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// The most that is read of one answer.
const MOST: usize = 16;
const LONGEST: usize = 8 << 10;

/// A way to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password with every request.
    Basic,
    /// A token from the server at `realm`.
    Bearer { realm: String, service: Option<String>, scopes: Vec<String> },
}

/// The best challenge among those of an answer: tokens before passwords.
pub(super) fn best(headers: &HeaderMap) -> Option<Challenge> {
    let mut basic = None;
    for value in headers.get_all(WWW_AUTHENTICATE).iter().take(MOST) {
        let Ok(text) = value.to_str() else { continue };
        for (scheme, parameters) in parse(text) {
            let get = |name: &str| {
                let found = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.clone())
            };
            if scheme.eq_ignore_ascii_case("bearer")
                && let Some(realm) = get("realm")
            {
                let scopes = get("scope").unwrap_or_default();
                let scopes = scopes.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
                return Some(Challenge::Bearer { realm, service: get("service"), scopes });
            }
            if scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Challenge::Basic);
            }
        }
    }
    basic
}

type Parameters = Vec<(String, String)>;

/// The challenges in one header: several may stand in it, with the same commas between them as between parameters.
fn parse(text: &str) -> Vec<(String, Parameters)> {
    let mut found: Vec<(String, Parameters)> = Vec::new();
    let Some(mut rest) = Some(text).filter(|text| text.len() <= LONGEST) else { return found };
    while found.len() < MOST {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find(|c: char| !is_token(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if name.is_empty() {
            break;
        }
        let after = after.trim_start();
        match (after.strip_prefix('='), found.last_mut()) {
            (Some(value), Some((_, parameters))) if parameters.len() < MOST => {
                let (value, after) = parse_value(value.trim_start());
                parameters.push((name.to_owned(), value));
                rest = after;
            }
            (Some(_), _) => break,
            (None, _) => {
                found.push((name.to_owned(), Vec::new()));
                rest = after;
            }
        }
    }
    found
}

fn parse_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut escaped = false;
    for (at, character) in quoted.char_indices() {
        match character {
            _ if escaped => {
                value.push(character);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (value, &quoted[at + 1..]),
            _ => value.push(character),
        }
    }
    (value, "")
}

fn is_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn of(lines: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(WWW_AUTHENTICATE, line.parse().unwrap());
        }
        best(&headers)
    }

    #[test]
    fn tokens_come_before_passwords() {
        let bearer = Challenge::Bearer {
            realm: "https://a.example/t?x=1,2".into(),
            service: Some("r \"q\"".into()),
            scopes: vec!["repository:a/b:pull,push".into(), "repository:c:pull".into()],
        };
        let line = r#"Bearer realm="https://a.example/t?x=1,2",service="r \"q\"", scope="repository:a/b:pull,push repository:c:pull""#;
        assert_eq!(of(&[line]), Some(bearer.clone()));
        assert_eq!(of(&[&format!("Basic realm=\"x\", {line}")]), Some(bearer.clone()));
        assert_eq!(of(&["Basic realm=x", line]), Some(bearer));
        assert_eq!(of(&["bAsic realm=\"x, y\", Negotiate"]), Some(Challenge::Basic));
    }

    #[test]
    fn nonsense_is_no_challenge() {
        for nonsense in
            ["", "=", "\"", "Bearer", "Bearer realm", "Bearer service=x", "Negotiate abc=", ",,,=,,"]
        {
            assert_eq!(of(&[nonsense]), None, "{nonsense}");
        }
        assert_eq!(of(&[&format!("Bearer realm=\"{}\"", "x".repeat(LONGEST))]), None);
        assert!(of(&["Bearer realm=\"unfinished"]).is_some());
    }
}
