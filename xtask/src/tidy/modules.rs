//! The modules of each crate: which file holds which, what each calls by which name, and where a path leads. Names that
//! a module passes on (`pub use`) are followed to the file that defines them, so that a `mod.rs` which lists its
//! folder's names is not itself what others depend on.

use std::collections::{BTreeMap, BTreeSet};

use super::source::Source;
use super::tokens::{Token, find_outside, past_closing, tokens};

/// How many names that stand for others are followed before a path counts as leading nowhere.
const ALIASES_MAX: usize = 16;

/// A crate's modules; the first is its root.
#[derive(Default)]
pub(super) struct Modules {
    all: Vec<Module>,
}

/// A path written in a file.
#[derive(Debug)]
pub(super) struct Import {
    /// The file, and the line within.
    pub(super) file: String,
    pub(super) line: usize,
    /// As it is written, with `::`.
    pub(super) path: String,
    /// The file that it leads to.
    pub(super) target: String,
}

#[derive(Default)]
struct Module {
    file: String,
    /// Where the files of its children are.
    folder: String,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    defined: BTreeSet<String>,
    uses: Vec<Use>,
    /// Paths outside `use`, and words outside `use`.
    paths: Vec<(usize, Vec<String>)>,
    words: BTreeSet<String>,
}

struct Use {
    line: usize,
    path: Vec<String>,
    /// None for all names (`*`).
    name: Option<String>,
    is_passed_on: bool,
}

impl Modules {
    /// The modules of the crate whose root is this file.
    pub(super) fn of_crate(sources: &[Source], root: &str) -> Self {
        let mut modules = Self::default();
        let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
        modules.add_file(sources, root, folder, None);
        modules
    }

    /// What the files of the crate import from one another.
    pub(super) fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        for (index, module) in self.all.iter().enumerate() {
            for used in module.uses.iter().filter(|used| self.is_import(module, used)) {
                let target = self.target(index, used);
                self.push(&mut imports, module, used.line, &used.path, target);
            }
            for (line, path) in &module.paths {
                self.push(&mut imports, module, *line, path, self.resolve(index, path, ALIASES_MAX));
            }
        }
        imports
    }

    /// A name that is only passed on is not used here.
    fn is_import(&self, module: &Module, used: &Use) -> bool {
        !used.is_passed_on || used.name.as_ref().is_some_and(|name| module.words.contains(name))
    }

    fn target(&self, index: usize, used: &Use) -> Option<Place> {
        self.resolve(index, &used.path, ALIASES_MAX)
    }

    fn push(
        &self,
        imports: &mut Vec<Import>,
        module: &Module,
        line: usize,
        path: &[String],
        target: Option<Place>,
    ) {
        let Some(target) = target.map(|target| &self.all[target.module()].file) else { return };
        if *target != module.file {
            let (file, target) = (module.file.clone(), target.clone());
            imports.push(Import { file, line, path: path.join("::"), target });
        }
    }

    /// Where a path leads that is written in module `from`; None if it leads out of the crate.
    fn resolve(&self, from: usize, path: &[String], aliases_left: usize) -> Option<Place> {
        let (first, mut rest) = path.split_first()?;
        let mut place = match first.as_str() {
            "crate" => Place::Module(0),
            "self" => Place::Module(from),
            "super" => Place::Module(self.all[from].parent?),
            name => self.look_up(from, name, aliases_left)?,
        };
        while let (Place::Module(module), Some((name, others))) = (place, rest.split_first()) {
            place = match name.as_str() {
                "super" => Place::Module(self.all[module].parent?),
                "self" => place,
                name => self.look_up(module, name, aliases_left).unwrap_or(Place::Item(module)),
            };
            rest = others;
        }
        Some(place)
    }

    /// What a name means within a module.
    fn look_up(&self, module: usize, name: &str, aliases_left: usize) -> Option<Place> {
        let this = &self.all[module];
        if let Some(child) = this.children.get(name) {
            return Some(Place::Module(*child));
        }
        if this.defined.contains(name) {
            return Some(Place::Item(module));
        }
        let aliases_left = aliases_left.checked_sub(1)?;
        // `use name::other` of another crate must not look for itself.
        let leads_on = |used: &&Use| used.path.first().is_some_and(|first| first != name);
        let mut named = this.uses.iter().filter(|used| used.name.as_deref() == Some(name)).filter(leads_on);
        if let Some(used) = named.next() {
            return self.resolve(module, &used.path, aliases_left);
        }
        let mut all = this.uses.iter().filter(|used| used.name.is_none()).filter(leads_on);
        all.find_map(|used| match self.resolve(module, &used.path, aliases_left)? {
            Place::Module(other) if other != module => self.look_up(other, name, aliases_left),
            _ => None,
        })
    }

    fn add_file(
        &mut self,
        sources: &[Source],
        file: &str,
        folder: &str,
        parent: Option<usize>,
    ) -> Option<usize> {
        let source = sources.iter().find(|source| source.path == file)?;
        let module = Module { file: file.into(), folder: folder.into(), parent, ..Module::default() };
        Some(self.add(sources, module, &tokens(&source.text)))
    }

    fn add(&mut self, sources: &[Source], module: Module, tokens: &[Token<'_>]) -> usize {
        let index = self.all.len();
        let (file, folder) = (module.file.clone(), module.folder.clone());
        self.all.push(module);
        let mut at = 0;
        while at < tokens.len() {
            let name = tokens.get(at + 1).filter(|token| token.is_word()).map(|token| token.text);
            let mark = tokens.get(at + 2).map(|token| token.text);
            match (tokens[at].text, name, mark) {
                ("mod", Some(name), Some("{")) => {
                    let end = past_closing(tokens, at + 2);
                    let folder = format!("{folder}/{name}");
                    let child =
                        Module { file: file.clone(), folder, parent: Some(index), ..Module::default() };
                    let child = self.add(sources, child, &tokens[at + 3..end]);
                    self.all[index].children.insert(name.into(), child);
                    at = end;
                }
                ("mod", Some(name), Some(";")) => {
                    let inner = format!("{folder}/{name}");
                    let child = self
                        .add_file(sources, &format!("{inner}.rs"), &inner, Some(index))
                        .or_else(|| self.add_file(sources, &format!("{inner}/mod.rs"), &inner, Some(index)));
                    self.all[index].children.extend(child.map(|child| (name.to_owned(), child)));
                    at += 3;
                }
                ("use", ..) => {
                    let end = find_outside(tokens, at, &[";"]);
                    let is_passed_on = at > 0 && is_visibility(tokens, at - 1);
                    let mut uses = Vec::new();
                    add_uses(&tokens[at + 1..end], &[], is_passed_on, &mut uses);
                    self.all[index].uses.append(&mut uses);
                    at = end + 1;
                }
                _ => at = self.all[index].add_word(tokens, at),
            }
        }
        index
    }
}

impl Module {
    /// Notes what the word at `at` defines or leads to; gives back what comes next.
    fn add_word(&mut self, tokens: &[Token<'_>], at: usize) -> usize {
        let token = tokens[at];
        if !token.is_word() {
            return at + 1;
        }
        let mut name = at + 1;
        if token.text == "macro_rules" {
            name += 1;
        }
        const DEFINING: [&str; 9] =
            ["fn", "struct", "enum", "union", "trait", "type", "const", "static", "macro_rules"];
        if let Some(name) = tokens.get(name).filter(|name| name.is_word() && DEFINING.contains(&token.text)) {
            self.defined.insert(name.text.into());
        }
        let mut path = vec![token.text.to_owned()];
        let mut end = at + 1;
        while let [mark, next, ..] = tokens[end..]
            && mark.text == "::"
            && next.is_word()
        {
            path.push(next.text.to_owned());
            end += 2;
        }
        let is_part = at > 0 && matches!(tokens[at - 1].text, "::" | ".");
        if !is_part {
            self.words.insert(token.text.to_owned());
            if path.len() > 1 {
                self.paths.push((token.line, path));
            }
        }
        end
    }
}

/// A module, or an item that a module's file defines.
#[derive(Clone, Copy)]
enum Place {
    Module(usize),
    Item(usize),
}

impl Place {
    fn module(self) -> usize {
        let (Self::Module(index) | Self::Item(index)) = self;
        index
    }
}

/// True if what ends at `last` is `pub` or `pub(..)`.
fn is_visibility(tokens: &[Token<'_>], last: usize) -> bool {
    match tokens[last].text {
        "pub" => true,
        ")" => tokens[..last]
            .iter()
            .rposition(|token| token.text == "(")
            .is_some_and(|open| open > 0 && tokens[open - 1].text == "pub"),
        _ => false,
    }
}

/// Takes the tree of a `use` apart.
fn add_uses(tree: &[Token<'_>], prefix: &[String], is_passed_on: bool, uses: &mut Vec<Use>) {
    let mut path = prefix.to_vec();
    let mut at = 0;
    while at < tree.len() {
        let token = tree[at];
        match token.text {
            "{" => {
                let end = past_closing(tree, at).saturating_sub(1);
                let mut start = at + 1;
                while start < end {
                    let comma = find_outside(&tree[..end], start, &[","]);
                    add_uses(&tree[start..comma], &path, is_passed_on, uses);
                    start = comma + 1;
                }
                return;
            }
            "*" => {
                uses.push(Use { line: token.line, path, name: None, is_passed_on });
                return;
            }
            "as" => break,
            "self" if !path.is_empty() => {}
            _ if token.is_word() => path.push(token.text.to_owned()),
            _ => {}
        }
        at += 1;
    }
    let (Some(last), Some(line)) = (path.last().cloned(), tree.first().map(|token| token.line)) else {
        return;
    };
    let name = tree.get(at + 1).map_or(last, |alias| alias.text.to_owned());
    uses.push(Use { line, path, name: Some(name), is_passed_on });
}
