//! Commands inside templates: `{{shell "…"}}` (text) and `{{shell-lines "…"}}` (list).
//!
//! A result is remembered for the life of the renderer under (directory, command, environment): the same text in two cookbooks is two
//! commands. A failed command is an error that shows what it printed. Output and time are bounded. Commands run under a
//! supervisor as recipes do: what one leaves in the background is not waited for, but ended, and nothing outlives Larder.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use handlebars::{
    Context, Handlebars, Helper, HelperDef, RenderContext, RenderError, RenderErrorReason, ScopedJson,
};
use serde_json::Value;

use super::{Execution, Surroundings};
use crate::process::{self, CancelToken, CommandSpec, Status, Stop, Stream};

const MAX_OUTPUT: usize = 8 << 20;
/// As much of what a failed command complained of is shown.
const MAX_COMPLAINT: usize = 4096;

/// Directory, command and environment: all that a result may depend on.
type Memory = HashMap<(PathBuf, String, BTreeMap<String, String>), Result<String, String>>;

/// Runs commands for templates and remembers their results.
pub(super) struct Commands {
    surroundings: Surroundings,
    memory: Mutex<Memory>,
    skipped: Arc<AtomicBool>,
}

impl Commands {
    pub(super) fn new(surroundings: Surroundings, skipped: Arc<AtomicBool>) -> Self {
        Self { surroundings, memory: Mutex::default(), skipped }
    }

    pub(super) fn root(&self) -> &Path {
        &self.surroundings.root
    }

    pub(super) fn with_real_root(&self, text: &str) -> String {
        if text.contains(&self.surroundings.root_token) {
            text.replace(&self.surroundings.root_token, &self.surroundings.root.to_string_lossy())
        } else {
            text.to_owned()
        }
    }

    /// Runs `command` of `helper` where the template's cookbook lives; trimmed standard output. `None` if nothing may run.
    pub(super) fn run(
        &self,
        helper: &str,
        command: &str,
        data: &Value,
        more: &BTreeMap<String, String>,
    ) -> Result<Option<String>, RenderError> {
        if self.surroundings.execution == Execution::Inert {
            self.skipped.store(true, Ordering::Relaxed);
            return Ok(None);
        }
        let folder = data
            .get("cookbook")
            .and_then(|cookbook| cookbook.get("root"))
            .and_then(Value::as_str)
            .map_or_else(|| self.surroundings.root.clone(), |root| PathBuf::from(self.with_real_root(root)));
        let mut environment = self.surroundings.environment.clone();
        environment.extend(more.iter().map(|(name, value)| (name.clone(), value.clone())));
        let key = (folder, self.with_real_root(command), environment);
        let known = self.memory.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let result = match known {
            Some(result) => result,
            None => {
                let output = execute(&key.0, &key.1, &key.2, self.surroundings.timeout);
                let result = output.map(|text| self.hide_root(&text));
                self.memory.lock().unwrap_or_else(PoisonError::into_inner).insert(key, result.clone());
                result
            }
        };
        let named = |message| RenderErrorReason::Other(format!("helper `{helper}`: {message}")).into();
        result.map(Some).map_err(named)
    }

    /// The real root, where it stands as a whole path, becomes the token.
    fn hide_root(&self, text: &str) -> String {
        let root = self.surroundings.root.to_string_lossy();
        if root.len() < 2 || !text.contains(root.as_ref()) {
            return text.to_owned();
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(root.as_ref()) {
            let (before, found) = rest.split_at(at);
            let after = &found[root.len()..];
            let ends = !after.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
            out.push_str(before);
            out.push_str(if ends { &self.surroundings.root_token } else { &root });
            rest = after;
        }
        out.push_str(rest);
        out
    }
}

fn execute(
    folder: &Path,
    command: &str,
    environment: &BTreeMap<String, String>,
    timeout: Duration,
) -> Result<String, String> {
    let shown = command.trim();
    let fail = |error: &dyn std::error::Error| {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("command `{shown}`: {error}{cause}")
    };
    let spec = CommandSpec {
        program: "sh".into(),
        args: vec!["-c".into(), command.into()],
        cwd: folder.to_owned(),
        env: environment.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        ..CommandSpec::default()
    };
    let enough = CancelToken::new().map_err(|error| fail(&error))?;
    let (mut output, mut complaint) = (Vec::new(), Vec::new());
    let mut child = process::spawn(&spec).map_err(|error| fail(&error))?;
    let take = |stream: Stream, bytes: &[u8]| match stream {
        Stream::Stdout if output.len() + bytes.len() > MAX_OUTPUT => enough.cancel(),
        Stream::Stdout => output.extend_from_slice(bytes),
        Stream::Stderr => complaint.extend(bytes.iter().take(MAX_COMPLAINT.saturating_sub(complaint.len()))),
    };
    let exit = child.wait_with(take, &enough, Some(timeout)).map_err(|error| fail(&error))?;
    if enough.is_cancelled() {
        return Err(format!("command `{shown}` printed more than {} MiB", MAX_OUTPUT >> 20));
    }
    let status = match (exit.stopped, exit.status) {
        (Some(Stop::TimedOut), _) => {
            let limit = timeout.as_secs_f64();
            return Err(format!("command `{shown}` took longer than {limit} s and was ended"));
        }
        (_, Status::Code(0)) => return Ok(String::from_utf8_lossy(&output).trim().to_owned()),
        (_, Status::Code(code)) => format!("exit status: {code}"),
        (_, Status::Signal(signal)) => format!("signal: {signal}"),
    };
    let complaint = String::from_utf8_lossy(&complaint);
    let tail = if complaint.trim().is_empty() { String::new() } else { format!(": {}", complaint.trim()) };
    Err(format!("command `{shown}` failed ({status}){tail}"))
}

/// The lines that are not blank, trimmed.
pub(super) fn lines(output: &str) -> Value {
    output.lines().map(str::trim).filter(|line| !line.is_empty()).map(Value::from).collect()
}

struct Shell {
    commands: Arc<Commands>,
    as_lines: bool,
}

impl HelperDef for Shell {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        context: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let command = h.param(0).and_then(|p| p.value().as_str()).ok_or_else(|| {
            RenderErrorReason::Other(format!("helper `{}` takes a command as text", h.name()))
        })?;
        let output =
            self.commands.run(h.name(), command, context.data(), &BTreeMap::new())?.unwrap_or_default();
        Ok(ScopedJson::Derived(if self.as_lines { lines(&output) } else { Value::String(output) }))
    }

    fn call<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        registry: &'reg Handlebars<'reg>,
        context: &'rc Context,
        rc: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn handlebars::Output,
    ) -> handlebars::HelperResult {
        let value = self.call_inner(h, registry, context, rc)?;
        out.write(&written(value.as_json()))?;
        Ok(())
    }
}

/// How a helper's value is written into text: a list as JSON, which is a YAML list too.
pub(super) fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Registers `shell` and `shell-lines`.
pub(super) fn register(engine: &mut Handlebars<'static>, commands: &Arc<Commands>) {
    for (name, as_lines) in [("shell", false), ("shell-lines", true)] {
        engine.register_helper(name, Box::new(Shell { commands: Arc::clone(commands), as_lines }));
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::time::Instant;

    use super::*;

    fn run(command: &str, timeout: Duration) -> Result<String, String> {
        let path = std::env::var("PATH").unwrap();
        execute(Path::new("/"), command, &BTreeMap::from([("PATH".to_owned(), path)]), timeout)
    }

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_background_child_that_holds_the_output_is_not_waited_for() {
        let begun = Instant::now();
        assert_eq!(run("sleep 1000 & echo done", LONG).unwrap(), "done");
        assert_eq!(run("(setsid sleep 1000 >&2 &); echo done", LONG).unwrap(), "done");
        assert!(begun.elapsed() < Duration::from_secs(500));
    }

    #[test]
    fn a_command_that_does_not_end_is_ended() {
        let error = run("echo begun; (sleep 1000; true) | cat", Duration::from_millis(300)).unwrap_err();
        assert!(error.ends_with("took longer than 0.3 s and was ended"), "{error}");
    }

    #[test]
    fn output_is_bounded_on_both_streams() {
        let error = run("yes", LONG).unwrap_err();
        assert!(error.ends_with("printed more than 8 MiB"), "{error}");
        let error = run("head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 7", LONG).unwrap_err();
        assert!(error.contains("(exit status: 7): xxx") && error.len() < 5000, "{}", error.len());
    }
}
