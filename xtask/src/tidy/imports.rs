//! The rule against circles: of the files that import one another, in whatever long way round, there are at most three.
//! In a bigger circle no file can be understood, tested or moved without all the others.
//!
//! What counts is any path to another file of the crate: in a `use`, or written out in the code. A `mod` line counts as
//! nothing, and neither does a name that is only passed on, or what tests use. Between crates Cargo allows no circle.

use std::collections::{BTreeMap, BTreeSet};

use super::exceptions::Exceptions;
use super::modules::{Import, Modules};
use super::source::{Source, rust};
use crate::task_result::TaskResult;

/// The most files that may import one another.
const CIRCLE_FILES_MAX: usize = 3;

/// The files that are in a bigger circle all the same.
const EXCEPTIONS: &str = "xtask/src/tidy/exceptions/circles.txt";

/// Reports each file of a big circle that is not an exception, with its imports within the circle.
pub(super) fn small_circles(sources: &[Source]) -> Vec<String> {
    let graph = Graph::of(sources);
    let mut exceptions = Exceptions::read(sources, EXCEPTIONS);
    let mut breaches = Vec::new();
    for circle in graph.circles().iter().filter(|circle| circle.len() > CIRCLE_FILES_MAX) {
        let excused: BTreeSet<&str> = circle.iter().copied().filter(|file| exceptions.has(file)).collect();
        // Two of the edges that make the circle lead to and from a file that is new in it.
        let is_new =
            |import: &&Import| !excused.contains(&*import.file) || !excused.contains(&*import.target);
        for import in graph.within(circle).filter(is_new) {
            let size = circle.len();
            breaches.push(format!(
                "{}:{}: {} leads to {}, in a circle of {size} files",
                import.file, import.line, import.path, import.target
            ));
        }
    }
    breaches.extend(exceptions.unused("is in no big circle any more"));
    breaches
}

/// Prints the circles, the biggest first, with the imports that make them.
pub(super) fn print(sources: &[Source]) -> TaskResult {
    let graph = Graph::of(sources);
    let circles = graph.circles();
    for circle in &circles {
        println!("a circle of {} files:", circle.len());
        let mut file = "";
        for import in graph.within(circle) {
            if import.file != file {
                file = &import.file;
                println!("  {file}");
            }
            println!("    {}: {} -> {}", import.line, import.path, import.target);
        }
    }
    let largest = circles.first().map_or(0, |circle| circle.len());
    println!("{} circles, the biggest of {largest} files", circles.len());
    Ok(true)
}

/// The files of all crates, and the first import of each file from each other.
struct Graph {
    imports: BTreeMap<String, BTreeMap<String, Import>>,
}

impl Graph {
    fn of(sources: &[Source]) -> Self {
        let mut imports = BTreeMap::<String, BTreeMap<String, Import>>::new();
        for root in rust(sources).filter(|source| is_root(&source.path)) {
            for import in Modules::of_crate(sources, &root.path).imports() {
                let of_file = imports.entry(import.file.clone()).or_default();
                of_file.entry(import.target.clone()).or_insert(import);
            }
        }
        Self { imports }
    }

    fn targets(&self, file: &str) -> impl Iterator<Item = &str> {
        self.imports.get(file).into_iter().flat_map(|imports| imports.keys().map(String::as_str))
    }

    /// The imports among these files.
    fn within<'a>(&'a self, circle: &'a BTreeSet<&str>) -> impl Iterator<Item = &'a Import> {
        let of_circle = circle.iter().filter_map(|file| self.imports.get(*file));
        of_circle.flat_map(|imports| imports.values()).filter(|import| circle.contains(&*import.target))
    }

    /// The strongly connected components of at least two files, the biggest first.
    fn circles(&self) -> Vec<BTreeSet<&str>> {
        let mut search = Search { graph: self, ..Search::new(self) };
        for file in self.imports.keys() {
            if !search.seen.contains_key(file.as_str()) {
                search.visit(file);
            }
        }
        search.circles.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
        search.circles
    }
}

/// Tarjan's search for strongly connected components ("Depth-first search and linear graph algorithms", 1972).
struct Search<'a> {
    graph: &'a Graph,
    /// When each file was seen first.
    seen: BTreeMap<&'a str, usize>,
    /// Files whose circle is not complete yet.
    open: Vec<&'a str>,
    circles: Vec<BTreeSet<&'a str>>,
}

impl<'a> Search<'a> {
    fn new(graph: &'a Graph) -> Self {
        Self { graph, seen: BTreeMap::new(), open: Vec::new(), circles: Vec::new() }
    }

    /// Gives back when the earliest open file was seen that this one leads to.
    fn visit(&mut self, file: &'a str) -> usize {
        let order = self.seen.len();
        self.seen.insert(file, order);
        let depth = self.open.len();
        self.open.push(file);
        let mut earliest = order;
        for target in self.graph.targets(file) {
            match self.seen.get(target) {
                None => earliest = earliest.min(self.visit(target)),
                Some(seen) if self.open.contains(&target) => earliest = earliest.min(*seen),
                Some(_) => {}
            }
        }
        if earliest == order {
            let circle: BTreeSet<&str> = self.open.drain(depth..).collect();
            if circle.len() > 1 {
                self.circles.push(circle);
            }
        }
        earliest
    }
}

fn is_root(path: &str) -> bool {
    path.ends_with("/src/lib.rs") || path.ends_with("/src/main.rs") || path.contains("/src/bin/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crate_of(files: &[(&str, &str)]) -> Vec<Source> {
        let path = |name: &str| if name.ends_with(".rs") { format!("x/src/{name}") } else { name.to_owned() };
        files.iter().map(|(name, text)| Source { path: path(name), text: (*text).into() }).collect()
    }

    /// Checks which files, without folder and ending, are in circles.
    fn check(files: &[(&str, &str)], expected: &[&[&str]]) {
        let sources = crate_of(files);
        let graph = Graph::of(&sources);
        let name = |file: &&str| file.trim_start_matches("x/src/").trim_end_matches(".rs").to_owned();
        let found: Vec<Vec<String>> =
            graph.circles().iter().map(|circle| circle.iter().map(name).collect()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn whatever_leads_to_another_file_is_an_import() {
        let root = ("lib.rs", "mod a; mod b;");
        check(&[root, ("a.rs", "use crate::b::B;"), ("b.rs", "use super::a;")], &[&["a", "b"]]);
        check(
            &[root, ("a.rs", "use crate::{b::{self, C}, d};"), ("b.rs", "fn f() { crate::a::g() }")],
            &[&["a", "b"]],
        );
        check(
            &[
                root,
                ("a.rs", "pub(crate) use super::b as c; fn f() { c::g() }"),
                ("b.rs", "use super::a::*;"),
            ],
            &[&["a", "b"]],
        );
        check(&[("lib.rs", "mod a; fn f() { a::g() }"), ("a.rs", "use crate::f;")], &[&["a", "lib"]]);
        check(
            &[
                ("lib.rs", "mod a { mod b; } mod c;"),
                ("a/b.rs", "use super::super::c;"),
                ("c.rs", "use crate::a::b::x;"),
            ],
            &[&["a/b", "c"]],
        );
    }

    #[test]
    fn what_leads_to_none_is_no_import() {
        let root = ("lib.rs", "mod a; mod b;");
        check(
            &[
                root,
                ("a.rs", "use crate::b::B;"),
                ("b.rs", "use a::A; fn f() { std::mem::swap() } // crate::a\n"),
            ],
            &[],
        );
        check(
            &[root, ("a.rs", "use crate::b::B;"), ("b.rs", "#[cfg(test)] mod tests { use crate::a; }")],
            &[],
        );
        check(&[("lib.rs", "pub mod a; pub use a::A;"), ("a.rs", "use crate::B;")], &[]);
    }

    #[test]
    fn a_name_passed_on_leads_to_where_it_is_defined() {
        let files = [
            ("lib.rs", "mod a; mod b; pub use a::{A, c}; pub use b::*;"),
            ("a/mod.rs", "mod c; pub use c::C as A;"),
            ("a/c.rs", "use crate::B; pub struct C;"),
            ("b.rs", "pub struct B; use crate::A;"),
        ];
        check(&files, &[&["a/c", "b"]]);
    }

    #[test]
    fn a_big_circle_is_a_breach_unless_it_is_listed() {
        let mut files = vec![
            ("lib.rs", "mod a; mod b; mod c; mod d;"),
            ("a.rs", "use crate::b::x;"),
            ("b.rs", "use crate::c::x;"),
            ("c.rs", "use crate::d::x;"),
            ("d.rs", ""),
        ];
        assert_eq!(small_circles(&crate_of(&files)), [""; 0]);
        files[4].1 = "use crate::a::x;";
        assert_eq!(small_circles(&crate_of(&files)).len(), 4);
        files.push((EXCEPTIONS, "# Comment.\nx/src/a.rs\nx/src/b.rs\nx/src/c.rs\n"));
        let expected = [
            "x/src/c.rs:1: crate::d::x leads to x/src/d.rs, in a circle of 4 files",
            "x/src/d.rs:1: crate::a::x leads to x/src/a.rs, in a circle of 4 files",
        ];
        assert_eq!(small_circles(&crate_of(&files)), expected);
        files[5].1 = "x/src/a.rs\nx/src/b.rs\nx/src/c.rs\nx/src/d.rs\n";
        assert_eq!(small_circles(&crate_of(&files)), [""; 0]);
        files[4].1 = "";
        assert_eq!(small_circles(&crate_of(&files)).len(), 4);
        assert!(
            small_circles(&crate_of(&files))[0]
                .ends_with("circles.txt:1: x/src/a.rs is in no big circle any more")
        );
    }
}
