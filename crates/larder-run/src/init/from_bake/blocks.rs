//! Block tags of a text that bake renders before it is parsed: `{{#if …}}` around recipes becomes `when`, a list's `{{#each …}}` its expression.
//!
//! Lines are looked at by their indentation, as bake's own reading of recipes does. Tags inside block scalars (`run: |`) are left: values are rendered in both
//! modes. What is neither is told, with its line.

use super::Task;

/// Text, line by line, and what is known of each.
pub(super) struct Lines {
    /// The lines, without their ends.
    pub(super) lines: Vec<String>,
}

/// A line, as far as its indentation and its first characters say.
#[derive(Clone, Debug, PartialEq)]
enum Line {
    /// Blank, or a comment.
    Nothing,
    /// Inside a block scalar.
    Scalar,
    /// Content at an indentation.
    Content(usize),
    /// Nothing but `{{#NAME …}}`.
    Open { name: String, condition: String },
    /// `{{else}}`, or `{{else if …}}`.
    Else(Option<String>),
    /// `{{/NAME}}`
    Close,
    /// `{{! … }}`
    Comment(String),
    /// Begins with a tag and is more than one.
    Mixed,
}

/// A block from its opening to its closing tag.
#[derive(Debug)]
struct Block {
    name: String,
    /// Line and condition of each branch; the last may have none.
    branches: Vec<(usize, Option<String>)>,
    end: usize,
}

/// Whether a condition must hold, or must not.
type Condition = (bool, String);

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        Self { lines: text.lines().map(str::to_owned).collect() }
    }

    pub(super) fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// Quotes values that hold templates, where YAML needs it.
    pub(super) fn quote(&mut self) {
        let kinds = self.classify();
        for (line, kind) in self.lines.iter_mut().zip(kinds) {
            if matches!(kind, Line::Content(_))
                && let Some(quoted) = super::values::quoted(line)
            {
                *line = quoted;
            }
        }
    }

    fn classify(&self) -> Vec<Line> {
        let mut scalar: Option<usize> = None;
        let mut all = Vec::with_capacity(self.lines.len());
        for line in &self.lines {
            let trimmed = line.trim();
            let indent = indent_of(line);
            if let Some(above) = scalar {
                if trimmed.is_empty() || indent > above {
                    all.push(Line::Scalar);
                    continue;
                }
                scalar = None;
            }
            all.push(if trimmed.is_empty() || trimmed.starts_with('#') {
                Line::Nothing
            } else if trimmed.starts_with("{{") {
                tag(trimmed)
            } else {
                if begins_scalar(trimmed) {
                    scalar = Some(indent);
                }
                Line::Content(indent)
            });
        }
        all
    }

    /// Replaces block tags by what says the same in a parsed text; the rest is told.
    pub(super) fn lift(&mut self, tasks: &mut Vec<Task>) {
        let kinds = self.classify();
        let recipes = recipe_lines(&self.lines, &kinds);
        let blocks = match blocks(&kinds) {
            Ok(blocks) => blocks,
            Err(line) => {
                tasks.push(Task::new(line, "this tag opens or closes a block that has no other end", ""));
                return;
            }
        };
        let mut out: Vec<Option<String>> = self.lines.iter().cloned().map(Some).collect();
        let mut conditions: Vec<Vec<Condition>> = vec![Vec::new(); self.lines.len()];
        for block in &blocks {
            let tags = block.branches.iter().map(|(at, _)| *at).chain([block.end]);
            if self.spread(block, &kinds, &mut out) {
                continue;
            }
            if matches!(block.name.as_str(), "if" | "unless") && is_around_recipes(block, &kinds, &recipes) {
                for (recipe, said) in guarded(block, &recipes) {
                    conditions[recipe].extend(said);
                }
                tags.for_each(|at| out[at] = None);
                continue;
            }
            let (message, hint) = if block.name == "each" && is_around_recipes(block, &kinds, &recipes) {
                (
                    "a loop makes these recipes",
                    "`matrix: {name: …}` makes one recipe for each value; it is called `recipe[value]`, and sees `{{matrix.name}}`",
                )
            } else {
                (
                    "a block around part of a recipe, or of the file",
                    "put the condition into the value: `run: \"{{#if …}}…{{/if}}\"`; a whole recipe is left out with `when`",
                )
            };
            tasks.push(Task::new(block.branches[0].0, message, hint));
        }
        for (at, kind) in kinds.iter().enumerate() {
            match kind {
                Line::Comment(said) => {
                    out[at] = Some(format!("{}# {said}", " ".repeat(indent_of(&self.lines[at]))))
                }
                Line::Mixed => tasks.push(Task::new(
                    at,
                    "a line that begins with a tag cannot be parsed before it is rendered",
                    "write the keys out, and quote values that hold `{{…}}`",
                )),
                _ => {}
            }
        }
        self.lines = self.written(out, &conditions, &kinds);
    }

    /// The lines that remain, with `when` for each recipe that has conditions.
    fn written(
        &self,
        out: Vec<Option<String>>,
        conditions: &[Vec<Condition>],
        kinds: &[Line],
    ) -> Vec<String> {
        let mut lines = Vec::new();
        for (at, line) in out.into_iter().enumerate() {
            let Some(line) = line else { continue };
            if conditions[at].is_empty() {
                lines.push(line);
                continue;
            }
            let when = format!("when: {}", super::values::quote(&when(&conditions[at])));
            match line.split_once(": {").or_else(|| line.split_once(":{")) {
                Some((name, fields)) if indent_of(&line) < line.len() => {
                    lines.push(format!("{name}: {{{when}, {}", fields.trim_start()));
                }
                _ => {
                    let own = indent_of(&line);
                    let inner = kinds[at + 1..].iter().find_map(|kind| match kind {
                        Line::Content(indent) => Some(*indent),
                        _ => None,
                    });
                    let indent = inner.filter(|inner| *inner > own).unwrap_or(own + 2);
                    lines.push(line);
                    lines.push(format!("{}{when}", " ".repeat(indent)));
                }
            }
        }
        lines
    }

    /// `{{#each LIST}}`, `- {{this}}`, `{{/each}}` is `- "{{LIST}}"`: the elements of a list in a list.
    fn spread(&self, block: &Block, kinds: &[Line], out: &mut [Option<String>]) -> bool {
        let [(start, Some(list))] = block.branches.as_slice() else { return false };
        let inside: Vec<usize> =
            (start + 1..block.end).filter(|at| !matches!(kinds[*at], Line::Nothing)).collect();
        let [at] = inside.as_slice() else { return false };
        let bare: String =
            self.lines[*at].chars().filter(|c| !c.is_whitespace() && !matches!(c, '"' | '\'')).collect();
        if block.name != "each" || bare != "-{{this}}" {
            return false;
        }
        let indent = " ".repeat(indent_of(&self.lines[*at]));
        out[*start] = None;
        out[block.end] = None;
        out[*at] =
            Some(format!("{indent}- {}", super::values::quote(&format!("{{{{{}}}}}", bare_call(list)))));
        true
    }
}

/// `(helper a b)` without its parentheses, as it stands alone in a tag.
fn bare_call(expression: &str) -> &str {
    expression.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(expression)
}

/// The value of `when` that says the same as blocks around a recipe.
fn when(conditions: &[Condition]) -> String {
    const BOOLEAN: [&str; 7] = ["eq", "ne", "gt", "lt", "gte", "lte", "not"];
    if let [(true, one)] = conditions {
        let call = bare_call(one);
        if call != one && call.split_whitespace().next().is_some_and(|name| BOOLEAN.contains(&name)) {
            return format!("{{{{{call}}}}}");
        }
    }
    // As `#if` has it: the text `false` counts as something.
    let (mut before, mut after) = (String::new(), String::new());
    for (wanted, condition) in conditions {
        let name = if *wanted { "if" } else { "unless" };
        before.push_str(&format!("{{{{#{name} {condition}}}}}"));
        after.insert_str(0, &format!("{{{{/{name}}}}}"));
    }
    format!("{before}true{after}")
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// Whether a line ends with the sign of a block scalar.
fn begins_scalar(line: &str) -> bool {
    let line = line.split(" #").next().unwrap_or(line).trim_end();
    let Some(last) = line.split_whitespace().next_back() else { return false };
    let is_sign = last.starts_with(['|', '>'])
        && last[1..].chars().all(|c| matches!(c, '+' | '-') || c.is_ascii_digit());
    is_sign && (line[..line.len() - last.len()].trim_end().ends_with([':', '-']) || line == last)
}

fn tag(line: &str) -> Line {
    let Some(inner) = line.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")) else {
        return Line::Mixed;
    };
    if let Some(comment) = inner.trim_start_matches('~').strip_prefix('!') {
        let comment = comment.trim_end_matches('~').trim_matches('-').trim();
        return if comment.contains("}}") { Line::Mixed } else { Line::Comment(comment.to_owned()) };
    }
    if inner.contains("}}") || inner.contains("{{") {
        return Line::Mixed;
    }
    let inner = inner.trim_matches('~').trim();
    if let Some(opened) = inner.strip_prefix('#') {
        let (name, condition) = opened.trim().split_once(char::is_whitespace).unwrap_or((opened, ""));
        return Line::Open { name: name.to_owned(), condition: condition.trim().to_owned() };
    }
    match inner.strip_prefix("else") {
        _ if inner.starts_with('/') => Line::Close,
        Some(rest) if rest.trim().is_empty() => Line::Else(None),
        Some(rest) => match rest.trim().strip_prefix("if ") {
            Some(condition) => Line::Else(Some(condition.trim().to_owned())),
            None => Line::Mixed,
        },
        None if inner == "^" => Line::Else(None),
        None => Line::Mixed,
    }
}

/// The lines on which recipes begin.
fn recipe_lines(lines: &[String], kinds: &[Line]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut inside = false;
    let mut depth = None;
    for (at, kind) in kinds.iter().enumerate() {
        let Line::Content(indent) = kind else { continue };
        if *indent == 0 {
            inside = lines[at].trim_start().starts_with("recipes:");
        } else if inside && *indent == *depth.get_or_insert(*indent) {
            found.push(at);
        }
    }
    found
}

/// The blocks, inner ones first; `Err`: a line whose tag has no other end.
fn blocks(kinds: &[Line]) -> Result<Vec<Block>, usize> {
    let mut open: Vec<Block> = Vec::new();
    let mut done = Vec::new();
    for (at, kind) in kinds.iter().enumerate() {
        match kind {
            Line::Open { name, condition } => {
                open.push(Block {
                    name: name.clone(),
                    branches: vec![(at, Some(condition.clone()))],
                    end: at,
                });
            }
            Line::Else(condition) => open.last_mut().ok_or(at)?.branches.push((at, condition.clone())),
            Line::Close => {
                let mut block = open.pop().ok_or(at)?;
                block.end = at;
                done.push(block);
            }
            _ => {}
        }
    }
    match open.pop() {
        Some(block) => Err(block.branches[0].0),
        None => Ok(done),
    }
}

/// Whether each tag of a block stands where a recipe begins or ends.
fn is_around_recipes(block: &Block, kinds: &[Line], recipes: &[usize]) -> bool {
    let next = |at: usize| {
        (at + 1..kinds.len()).find(|at| matches!(kinds[*at], Line::Content(_) | Line::Mixed | Line::Scalar))
    };
    let begins = |at: &usize| next(*at).is_some_and(|next| recipes.contains(&next) && next < block.end);
    let ends = match next(block.end) {
        None => true,
        Some(next) => recipes.contains(&next) || kinds[next] == Line::Content(0),
    };
    block.branches.iter().map(|(at, _)| at).all(begins) && ends
}

/// Each recipe of a block with the conditions under which it is there.
fn guarded(block: &Block, recipes: &[usize]) -> Vec<(usize, Vec<Condition>)> {
    let first = block.name == "if";
    let mut found = Vec::new();
    let mut before: Vec<Condition> = Vec::new();
    for (index, (start, condition)) in block.branches.iter().enumerate() {
        let end = block.branches.get(index + 1).map_or(block.end, |(at, _)| *at);
        let mut said = before.clone();
        // Only the first branch of `unless` is turned around.
        let wanted = index > 0 || first;
        if let Some(condition) = condition {
            said.push((wanted, condition.clone()));
            before.push((!wanted, condition.clone()));
        }
        found.extend(recipes.iter().filter(|at| (start + 1..end).contains(at)).map(|at| (*at, said.clone())));
    }
    found
}
