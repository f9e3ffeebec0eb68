//! The one walk: from patterns to the paths on disk that match, and everything that the answer depends upon.
//!
//! Goes down level by level, so that each level is brought up to date in one batch on all cores. Only folders in which
//! a pattern can match are looked at, and only listed if a wildcard must be tried. Symbolic links are followed by their
//! text, inside the project only; what they lead to is taken at its real path, so cycles end by themselves.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ignore::gitignore::Gitignore;

use super::error::{InputError, SpecialKind};
use super::ignored::{self, Rules};
use super::pattern::{Patterns, Place, Via};
use super::refresh::{Disk, Refused, Want};
use super::table::{Dep, Id, Kind, On, ROOT, Table};

/// What is looked for.
pub(super) struct Question<'a> {
    pub(super) include: &'a Patterns,
    pub(super) exclude: &'a Patterns,
    /// Ignore files have a say.
    pub(super) ignore: bool,
    /// What links point to counts.
    pub(super) follow: bool,
    /// Contents matter; else only which names there are.
    pub(super) contents: bool,
}

/// Everything in a folder and below counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum All {
    /// Less what is ignored.
    Filtered,
    /// Without exception.
    Raw,
}

/// A path to look at.
struct Item {
    node: Id,
    include: Vec<Place>,
    exclude: Vec<Place>,
    all: Option<All>,
    /// A pattern ends here.
    end: Option<Via>,
    rules: Rules,
    /// Places below, if this is a link that is gone through (not those that `**` keeps alive).
    direct: Vec<Place>,
}

/// Compiled ignore files by folder, valid for the versions noted.
pub(super) type RuleCache = HashMap<Id, (Vec<(Id, u32)>, Arc<Gitignore>)>;

/// A walk under way.
pub(super) struct Walk<'a> {
    pub(super) table: &'a mut Table,
    pub(super) disk: &'a Disk,
    pub(super) cache: &'a mut RuleCache,
    pub(super) epoch: u32,
    pub(super) state: Option<Id>,
    pub(super) question: Question<'a>,
    pub(super) deps: HashSet<Dep>,
    pub(super) found: HashMap<Id, Via>,
    pub(super) pending: Vec<Id>,
    pub(super) done: HashSet<(Id, All)>,
}

/// What a walk brought back.
pub(super) struct Walked {
    /// Files, links and folders that belong to the set, by path.
    pub(super) found: Vec<Id>,
    /// What that depends upon, sorted.
    pub(super) deps: Vec<Dep>,
}

/// What one step into a folder needs.
struct Here<'a> {
    item: &'a Item,
    all: Option<All>,
    listed: bool,
    path: Vec<u8>,
    rules: Rules,
}

impl<'a> Walk<'a> {
    /// A walk at `epoch`; `state` is never entered and never found.
    pub(super) fn new(
        (table, disk, cache): (&'a mut Table, &'a Disk, &'a mut RuleCache),
        epoch: u32,
        state: Option<Id>,
        question: Question<'a>,
    ) -> Self {
        let (deps, found, pending, done) = Default::default();
        Self { table, disk, cache, epoch, state, question, deps, found, pending, done }
    }

    /// Does it.
    pub(super) fn run(mut self) -> Result<Walked, InputError> {
        let (include, root_counts) = self.question.include.start();
        let (exclude, root_excluded) = self.question.exclude.start();
        let mut items = Vec::new();
        if !root_excluded {
            let all = root_counts.then_some(All::Raw);
            items.push(Item {
                node: ROOT,
                include,
                exclude,
                all,
                end: None,
                rules: None,
                direct: Vec::new(),
            });
        }
        loop {
            while !items.is_empty() {
                items = self.level(&items)?;
            }
            let pending = std::mem::take(&mut self.pending);
            if pending.is_empty() || !self.question.contents {
                break;
            }
            self.bring(pending.iter().map(|&id| (id, Want::Content)))?;
            for id in pending {
                self.take(id, &mut items)?;
            }
        }
        let mut deps: Vec<Dep> = self.deps.into_iter().collect();
        deps.sort_unstable();
        let table = self.table;
        let mut found: Vec<(std::path::PathBuf, Id)> =
            self.found.into_keys().map(|id| (table.path(id), id)).collect();
        found.sort_unstable_by(|a, b| a.0.as_os_str().cmp(b.0.as_os_str()));
        Ok(Walked { found: found.into_iter().map(|(_, id)| id).collect(), deps })
    }

    pub(super) fn bring(&mut self, wanted: impl Iterator<Item = (Id, Want)>) -> Result<(), InputError> {
        let wanted: Vec<_> = wanted.collect();
        match self.disk.refresh(self.table, self.epoch, &wanted).into_iter().next() {
            None => Ok(()),
            Some(Refused { node, error }) => {
                Err(InputError::Unreadable { path: self.table.path(node), source: error })
            }
        }
    }

    fn depend_on_kind(&mut self, node: Id) {
        self.deps.insert(Dep { node, on: On::Kind(self.table.node(node).kind as u8) });
    }

    pub(super) fn depend_on_content(&mut self, node: Id) {
        match self.table.node(node).kind {
            Kind::File | Kind::Link => {
                self.deps.insert(Dep { node, on: On::Content(self.table.node(node).version) });
            }
            _ => self.depend_on_kind(node),
        }
    }

    fn find(&mut self, node: Id, via: Via) {
        if self.found.insert(node, via).is_none() {
            self.pending.push(node);
        }
    }

    /// Takes a found path whose content is known.
    fn take(&mut self, id: Id, items: &mut Vec<Item>) -> Result<(), InputError> {
        self.depend_on_content(id);
        match self.table.node(id).kind {
            Kind::Special => {
                use rustix::fs::FileType;
                let kind = match self.table.node(id).stat.file_type() {
                    FileType::Fifo => SpecialKind::Fifo,
                    FileType::Socket => SpecialKind::Socket,
                    _ => SpecialKind::Device,
                };
                return Err(InputError::Special { path: self.table.path(id), kind });
            }
            Kind::Absent | Kind::Unknown => {
                self.found.remove(&id);
            }
            Kind::Link if self.question.follow => self.follow(id, items)?,
            Kind::File | Kind::Link | Kind::Folder => {}
        }
        Ok(())
    }

    /// Adds what a found link points to.
    fn follow(&mut self, link: Id, items: &mut Vec<Item>) -> Result<(), InputError> {
        let Some(target) = self.resolve(link)? else { return Ok(()) };
        let Some(exclude) = self.exclude_at(target) else { return Ok(()) };
        let via = self.found.get(&link).copied().unwrap_or(Via::Name);
        match self.table.node(target).kind {
            Kind::Folder => {
                let raw = via == Via::Name || !self.question.ignore;
                let all = Some(if raw { All::Raw } else { All::Filtered });
                let rules = self.rules_at(target)?;
                let (include, direct) = Default::default();
                items.push(Item { node: target, include, exclude, all, end: None, rules, direct });
            }
            Kind::File | Kind::Special => self.find(target, via),
            _ => {}
        }
        Ok(())
    }

    /// One level: brings all items up to date, then goes into the folders among them.
    fn level(&mut self, items: &[Item]) -> Result<Vec<Item>, InputError> {
        let lists: Vec<bool> = items.iter().map(|item| self.must_list(item)).collect();
        let wants = items.iter().zip(&lists);
        self.bring(wants.map(|(item, &list)| (item.node, if list { Want::Listing } else { Want::Kind })))?;
        let filters = self.question.ignore && (self.question.include.any_wild() || self.question.follow);
        if filters {
            let mut files = Vec::new();
            for (item, &listed) in items.iter().zip(&lists) {
                files.extend(self.ignore_files(item.node, listed));
            }
            self.bring(files.into_iter().map(|id| (id, Want::Content)))?;
        }
        let mut next = Vec::new();
        for (item, &listed) in items.iter().zip(&lists) {
            match self.table.node(item.node).kind {
                Kind::Folder => self.enter(item, listed, filters, &mut next)?,
                Kind::Link => self.go_through(item, &mut next)?,
                Kind::File | Kind::Special => {
                    self.depend_on_kind(item.node);
                    if let Some(via) = item.end.or(item.all.map(|_| Via::Wildcard)) {
                        self.find(item.node, via);
                    }
                }
                Kind::Absent | Kind::Unknown => self.depend_on_kind(item.node),
            }
        }
        Ok(next)
    }

    fn must_list(&self, item: &Item) -> bool {
        item.all.is_some() || item.end == Some(Via::Name) || self.question.include.must_list(&item.include)
    }

    /// A link: found, or gone through to a folder.
    fn go_through(&mut self, item: &Item, next: &mut Vec<Item>) -> Result<(), InputError> {
        self.bring([(item.node, Want::Content)].into_iter())?;
        self.depend_on_content(item.node);
        if let Some(via) = item.end.or(item.all.map(|_| Via::Wildcard)) {
            self.find(item.node, via);
        }
        if item.direct.is_empty() {
            return Ok(());
        }
        let Some(target) = self.resolve(item.node)? else { return Ok(()) };
        if self.table.node(target).kind != Kind::Folder {
            return Ok(());
        }
        let Some(exclude) = self.exclude_at(target) else { return Ok(()) };
        self.find(item.node, Via::Wildcard);
        let rules = self.rules_at(target)?;
        let include = item.direct.clone();
        next.push(Item { node: target, include, exclude, all: None, end: None, rules, direct: Vec::new() });
        Ok(())
    }

    fn enter(
        &mut self,
        item: &Item,
        listed: bool,
        filters: bool,
        next: &mut Vec<Item>,
    ) -> Result<(), InputError> {
        let all = item.all.or((item.end == Some(Via::Name)).then_some(All::Raw));
        let mut path = Vec::new();
        self.table.path_into(item.node, &mut path);
        let rules = match filters {
            true => self.rules_of(item.node, listed, item.rules.clone(), &path)?,
            false => None,
        };
        if listed {
            self.deps.insert(Dep { node: item.node, on: On::Listing(self.table.node(item.node).version) });
        } else {
            self.depend_on_kind(item.node);
        }
        if let Some(all) = all {
            let again = self.done.contains(&(item.node, All::Raw)) || !self.done.insert((item.node, all));
            if again && item.include.is_empty() {
                return Ok(());
            }
            if all == All::Raw && item.node != ROOT {
                self.found.entry(item.node).or_insert(Via::Name);
            }
        }
        let here = Here { item, all, listed, path, rules };
        let children: Vec<Id> = if listed {
            let listed = |id: &Id| self.table.node(*id).listed.is_some();
            self.table.children(item.node).iter().copied().filter(listed).collect()
        } else {
            let names: HashSet<&[u8]> = self.question.include.names(&item.include).collect();
            names.into_iter().map(|name| self.table.child_or_new(item.node, name)).collect()
        };
        for child in children {
            self.step(&here, child, next)?;
        }
        Ok(())
    }

    /// Decides about one entry of a folder.
    fn step(&mut self, here: &Here<'_>, child: Id, next: &mut Vec<Item>) -> Result<(), InputError> {
        if self.state == Some(child) {
            return Ok(());
        }
        let kind = self.kind_of(here, child)?;
        let name = self.table.name(child);
        let mut exclude = Vec::new();
        let excludes = self.question.exclude;
        if excludes.step(&here.item.exclude, name, &mut exclude, None, || true).is_some() {
            return Ok(());
        }
        let is_git = name == b".git";
        let ignored = || {
            let mut path = here.path.clone();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            ignored::is_ignored(&here.rules, &path, kind == Kind::Folder)
        };
        let (mut include, mut direct) = (Vec::new(), Vec::new());
        let end =
            self.question
                .include
                .step(&here.item.include, name, &mut include, Some(&mut direct), || !is_git && !ignored());
        let all = here.all.filter(|all| match all {
            All::Raw => !is_git || !self.question.ignore,
            All::Filtered => !is_git && !ignored(),
        });
        let via = match all {
            Some(All::Raw) => Some(Via::Name),
            Some(All::Filtered) => end.max(Some(Via::Wildcard)),
            None => end,
        };
        match kind {
            Kind::File | Kind::Special if here.listed => {
                if let Some(via) = via {
                    self.find(child, via);
                }
            }
            Kind::Link if here.listed && direct.is_empty() => {
                if let Some(via) = via {
                    self.find(child, via);
                }
            }
            _ if via.is_some() || !include.is_empty() => {
                // For a link, `via` is what counts; for a folder, `all` and `end` do.
                let end = if kind == Kind::Link { via } else { end };
                let rules = here.rules.clone();
                next.push(Item { node: child, include, exclude, all, end, rules, direct });
            }
            _ => {}
        }
        Ok(())
    }

    fn kind_of(&mut self, here: &Here<'_>, child: Id) -> Result<Kind, InputError> {
        match self.table.node(child).listed {
            Some(Kind::Unknown) if here.listed => {
                self.bring([(child, Want::Kind)].into_iter())?;
                self.depend_on_kind(child);
                Ok(self.table.node(child).kind)
            }
            Some(kind) if here.listed => Ok(kind),
            _ => Ok(Kind::Unknown),
        }
    }

    /// The ignore files that may be in a folder.
    fn ignore_files(&mut self, folder: Id, listed: bool) -> Vec<Id> {
        if self.table.node(folder).kind != Kind::Folder {
            return Vec::new();
        }
        let table = &mut *self.table;
        let look = |name: &&[u8]| {
            if listed {
                table.child(folder, name).filter(|&id| table.node(id).listed.is_some())
            } else {
                Some(table.child_or_new(folder, name))
            }
        };
        ignored::NAMES.iter().filter_map(look).collect()
    }

    /// The rules that hold in a folder.
    fn rules_of(&mut self, folder: Id, listed: bool, above: Rules, path: &[u8]) -> Result<Rules, InputError> {
        let files = self.ignore_files(folder, listed);
        self.bring(files.iter().map(|&id| (id, Want::Content)))?;
        let mut versions = Vec::new();
        for id in files {
            self.depend_on_content(id);
            if self.table.node(id).kind == Kind::File {
                versions.push((id, self.table.node(id).version));
            }
        }
        if versions.is_empty() {
            return Ok(above);
        }
        if let Some((of, rules)) = self.cache.get(&folder)
            && *of == versions
        {
            return Ok(ignored::deeper(above, Arc::clone(rules), path));
        }
        let mut texts = Vec::new();
        for &(id, _) in &versions {
            let text = self.disk.read_text(self.table, id);
            texts.push(text.map_err(|source| InputError::Unreadable { path: self.table.path(id), source })?);
        }
        let rules = ignored::compile(&texts);
        self.cache.insert(folder, (versions, Arc::clone(&rules)));
        Ok(ignored::deeper(above, rules, path))
    }

    /// The rules above a folder that was reached through a link.
    fn rules_at(&mut self, folder: Id) -> Result<Rules, InputError> {
        let mut rules = None;
        if self.question.ignore && folder != ROOT {
            let mut chain = vec![ROOT];
            chain.extend(self.chain(folder));
            chain.pop();
            for id in chain {
                let mut path = Vec::new();
                self.table.path_into(id, &mut path);
                rules = self.rules_of(id, false, rules, &path)?;
            }
        }
        Ok(rules)
    }
}
