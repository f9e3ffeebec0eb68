//! Commands inside templates: `{{shell "…"}}` (text) and `{{shell-lines "…"}}` (list).
//!
//! A result is remembered for the life of the renderer under (directory, command, environment): the same text in two cookbooks is two
//! commands. A failed command is an error that shows what it printed. Output is bounded.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use handlebars::{
    Context, Handlebars, Helper, HelperDef, RenderContext, RenderError, RenderErrorReason, ScopedJson,
};
use serde_json::Value;

use super::{Execution, Surroundings};

const MAX_OUTPUT: u64 = 8 << 20;

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

    /// Runs `command` where the template's cookbook lives; trimmed standard output. `None` if nothing may run.
    pub(super) fn run(
        &self,
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
                let result = execute(&key.0, &key.1, &key.2).map(|text| self.hide_root(&text));
                self.memory.lock().unwrap_or_else(PoisonError::into_inner).insert(key, result.clone());
                result
            }
        };
        result.map(Some).map_err(|message| RenderErrorReason::Other(message).into())
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

fn execute(folder: &Path, command: &str, environment: &BTreeMap<String, String>) -> Result<String, String> {
    let shown = command.trim();
    let mut child = Command::new("sh")
        .args(["-c", command])
        .current_dir(folder)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("command `{shown}` could not be started: {error}"))?;
    let errors = child.stderr.take();
    let complaint = std::thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(mut errors) = errors {
            let read = errors.by_ref().take(4096).read_to_end(&mut text);
            // The rest is thrown away, so that the command does not block on a full pipe.
            let rest = read.and_then(|_| std::io::copy(&mut errors, &mut std::io::sink()));
            if let Err(error) = rest {
                tracing::debug!(%error, "standard error of a template's command");
            }
        }
        String::from_utf8_lossy(&text).trim().to_owned()
    });
    let mut output = Vec::new();
    let read = match child.stdout.take() {
        Some(stdout) => stdout.take(MAX_OUTPUT + 1).read_to_end(&mut output),
        None => Ok(0),
    };
    let status = child.wait().map_err(|error| format!("command `{shown}`: {error}"))?;
    let complaint = complaint.join().unwrap_or_default();
    read.map_err(|error| format!("command `{shown}`: {error}"))?;
    if output.len() as u64 > MAX_OUTPUT {
        return Err(format!("command `{shown}` printed more than {} MiB", MAX_OUTPUT >> 20));
    }
    if !status.success() {
        let tail = if complaint.is_empty() { String::new() } else { format!(": {complaint}") };
        return Err(format!("command `{shown}` failed ({status}){tail}"));
    }
    Ok(String::from_utf8_lossy(&output).trim().to_owned())
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
        let output = self.commands.run(command, context.data(), &BTreeMap::new())?.unwrap_or_default();
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
