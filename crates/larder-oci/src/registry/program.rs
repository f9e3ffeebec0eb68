//! Programs that keep credentials: `docker-credential-NAME get` (docker's credential helper protocol).
//!
//! The program is looked for in the `PATH` that the caller handed in, gets the registry's name on its input and answers in JSON. It has
//! [`PATIENCE`], and at most [`LONGEST_ANSWER`] bytes of its answer are taken; then it is killed.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use zeroize::Zeroizing;

use super::credentials::{CredentialsError, Environment, Login, Secret};
use crate::said::short;

/// How long a program may take: some ask a person, or a cloud.
const PATIENCE: Duration = Duration::from_secs(30);
const LONGEST_ANSWER: u64 = 64 << 10;

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username", default)]
    user: String,
    #[serde(rename = "Secret")]
    secret: Secret,
}

/// What the program `name` keeps for `server`, if it keeps anything.
pub(super) fn get(
    environment: &Environment,
    name: &str,
    server: &str,
) -> Result<Option<Login>, CredentialsError> {
    run(environment, name, server, PATIENCE)
}

fn run(
    environment: &Environment,
    name: &str,
    server: &str,
    patience: Duration,
) -> Result<Option<Login>, CredentialsError> {
    let program = format!("docker-credential-{}", short(name, 80));
    let wrong = |why: String| CredentialsError::Program { program: program.clone(), why };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 80 || !name.chars().all(plain) {
        return Err(wrong("is no name of a program".to_owned()));
    }
    let path = find(environment, &program).ok_or_else(|| wrong("is not in `PATH`".to_owned()))?;
    let mut command = Command::new(path);
    command.arg("get").env_clear().envs(environment.iter());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| wrong(format!("cannot be started: {error}")))?;
    let answers = talk(&mut child, server);
    let until = Instant::now() + patience;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(5)),
            outcome => {
                // Whoever still holds its pipes is not waited for.
                let _ = child.kill();
                let _ = child.wait();
                return Err(wrong(match outcome {
                    Err(error) => format!("cannot be waited for: {error}"),
                    Ok(_) => format!("gave no answer within {} s", patience.as_secs()),
                }));
            }
        }
    };
    let rest = until.saturating_duration_since(Instant::now()).min(Duration::from_secs(1));
    let (Ok(answer), Ok(said)) = (answers.0.recv_timeout(rest), answers.1.recv_timeout(rest)) else {
        return Err(wrong("ended without closing its output".to_owned()));
    };
    if !status.success() {
        let text = String::from_utf8_lossy(&answer);
        // The protocol's own word for "none"; it has no status for it.
        if text.contains("credentials not found") || text.trim().is_empty() && said.is_empty() {
            return Ok(None);
        }
        let text = if text.trim().is_empty() { String::from_utf8_lossy(&said) } else { text };
        return Err(wrong(format!("failed ({status}): {}", short(&text, 200))));
    }
    if answer.len() as u64 > LONGEST_ANSWER {
        return Err(wrong("answered with more than 64 KiB".to_owned()));
    }
    let Answer { user, secret } = serde_json::from_slice(&answer)
        .map_err(|_| wrong("did not answer in the form that it must".to_owned()))?;
    Ok(Some(if user == "<token>" {
        Login::IdentityToken(secret)
    } else {
        Login::Password { user, password: secret }
    }))
}

type Pieces = mpsc::Receiver<Zeroizing<Vec<u8>>>;

/// Hands over the question, and collects both outputs, each on a thread: a pipe that is full must not hold up another.
fn talk(child: &mut Child, server: &str) -> (Pieces, Pieces) {
    if let Some(mut input) = child.stdin.take() {
        let server = server.to_owned();
        // It may well not read its input.
        std::thread::spawn(move || drop(input.write_all(server.as_bytes())));
    }
    (collect(child.stdout.take()), collect(child.stderr.take()))
}

fn collect(output: Option<impl Read + Send + 'static>) -> Pieces {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut all = Zeroizing::new(Vec::new());
        if let Some(output) = output {
            let _ = output.take(LONGEST_ANSWER + 1).read_to_end(&mut all);
        }
        let _ = sender.send(all);
    });
    receiver
}

fn find(environment: &Environment, program: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let path = environment.get("PATH")?;
    std::env::split_paths(path).filter(|folder| folder.is_absolute()).map(|folder| folder.join(program)).find(
        |file| {
            std::fs::metadata(file)
                .is_ok_and(|status| status.is_file() && status.permissions().mode() & 0o111 != 0)
        },
    )
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_program_that_does_not_answer_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker-credential-slow");
        std::fs::write(&path, "#!/bin/sh\nsleep 20\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let environment: Environment = [("PATH", path)].into_iter().collect();
        let started = Instant::now();
        let error = run(&environment, "slow", "r.example", Duration::from_millis(200)).unwrap_err();
        assert!(error.to_string().contains("gave no answer"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}
