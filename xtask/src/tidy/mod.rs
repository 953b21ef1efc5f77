//! House rules that neither rustfmt nor clippy checks. Each rule is one test; a breach names the rule, the file and the
//! line. Only files that git knows, or would, are looked at.

mod exceptions;
mod imports;
mod modules;
mod names;
mod server;
mod source;
mod text;
mod tokens;
mod types;

use crate::tally::Tally;
use crate::task_result::TaskResult;
use source::{Source, read_all};

const HELP: &str = "\
Usage: cargo xtask tidy [--imports]

The house rules that neither rustfmt nor clippy checks. With --imports: the files that import one another in a circle.
";

type Rule = fn(&[Source]) -> Vec<String>;

const RULES: [(&str, Rule); 13] = [
    ("a source file has at most 1,000 lines, or says why in its head", text::short_files),
    ("a source file begins with its module's documentation", text::module_docs),
    ("no unwrap outside tests", text::no_unwrap),
    ("nothing is left to do", text::nothing_left_to_do),
    ("no test is ignored", text::no_ignored_tests),
    ("a black-box test waits for a condition, it does not sleep", text::no_sleeps),
    ("every dependency has a line in ARCHITECTURE.md", text::explained_dependencies),
    ("no package registry's host is named", text::no_registry_hosts),
    ("no more than three files import one another in a circle", imports::small_circles),
    ("only start, request and commands name the type Server", server::named_by_few),
    ("no command is known by its name outside the file of its row", names::compared_nowhere),
    ("what a command reaches is read in one module", names::reach_is_read_once),
    ("ARCHITECTURE.md lists the files that tell all data types apart", types::files_of_data_types),
];

/// Runs the task.
pub(crate) fn run(arguments: &[String]) -> TaskResult {
    match arguments {
        [] => {}
        [option] if option == "--imports" => return imports::print(&read_all()?),
        _ => {
            print!("{HELP}");
            return Ok(arguments[0] == "--help");
        }
    }
    let tally = check()?;
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(tally.failed == 0)
}

/// Checks every rule.
pub(crate) fn check() -> Result<Tally, String> {
    let sources = read_all()?;
    let mut total = Tally::default();
    for (name, rule) in RULES {
        let breaches = rule(&sources);
        if !breaches.is_empty() {
            println!("{name}:");
        }
        for breach in &breaches {
            println!("  {breach}");
        }
        total += Tally::one(breaches.is_empty());
    }
    Ok(total)
}
