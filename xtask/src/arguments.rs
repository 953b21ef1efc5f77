//! The arguments of a task: `--name value`, `--flag`, and the rest.

use std::collections::HashMap;
use std::str::FromStr;

/// What a task was called with.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    values: HashMap<String, Vec<String>>,
    flags: Vec<String>,
    /// What is no option.
    pub(crate) rest: Vec<String>,
}

impl Arguments {
    /// Sorts `given` by the names that the task knows. `None` after printing `help` if that was asked for.
    pub(crate) fn parse(
        given: &[String],
        help: &str,
        values: &[&str],
        flags: &[&str],
    ) -> Result<Option<Self>, String> {
        let mut arguments = Self::default();
        let mut given = given.iter();
        while let Some(argument) = given.next() {
            let Some(name) = argument.strip_prefix("--") else {
                arguments.rest.push(argument.clone());
                continue;
            };
            if name == "help" {
                print!("{help}");
                return Ok(None);
            } else if values.contains(&name) {
                let value = given.next().ok_or_else(|| format!("--{name} needs a value\n\n{help}"))?;
                arguments.values.entry(name.to_owned()).or_default().push(value.clone());
            } else if flags.contains(&name) {
                arguments.flags.push(name.to_owned());
            } else {
                return Err(format!("an unknown option: --{name}\n\n{help}"));
            }
        }
        Ok(Some(arguments))
    }

    /// The last value of an option.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.values(name).last().map(String::as_str)
    }

    /// All values of an option that may be repeated.
    pub(crate) fn values(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// The number of an option, or the default.
    pub(crate) fn number<N: FromStr>(&self, name: &str, default: N) -> Result<N, String> {
        match self.value(name) {
            Some(text) => text.parse().map_err(|_| format!("--{name} needs a number, not {text:?}")),
            None => Ok(default),
        }
    }

    /// The numbers of a comma-separated option, or the default.
    pub(crate) fn numbers(&self, name: &str, default: &[u32]) -> Result<Vec<u32>, String> {
        let Some(text) = self.value(name) else { return Ok(default.to_vec()) };
        let numbers = text.split(',').map(|part| part.trim().parse());
        numbers.collect::<Result<_, _>>().map_err(|_| format!("--{name} needs numbers, not {text:?}"))
    }

    /// True if the flag was given.
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|given| given == flag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Arguments>, String> {
        let given: Vec<String> = line.split_ascii_whitespace().map(str::to_owned).collect();
        Arguments::parse(&given, "help\n", &["engine", "keys"], &["release"])
    }

    #[test]
    fn options_and_the_rest() {
        let arguments = parse("a --engine actor --release b --engine mutex --keys 1,2").unwrap().unwrap();
        assert_eq!(arguments.value("engine"), Some("mutex"));
        assert_eq!(arguments.values("engine").len(), 2);
        assert_eq!(arguments.numbers("keys", &[]), Ok(vec![1, 2]));
        assert_eq!(arguments.number("other", 7), Ok(7));
        assert!(arguments.has("release") && !arguments.has("other"));
        assert_eq!(arguments.rest, ["a", "b"]);
        assert!(arguments.number::<u32>("engine", 0).is_err());
    }

    #[test]
    fn mistakes() {
        assert!(parse("--steam").unwrap_err().contains("--steam"));
        assert!(parse("--engine").unwrap_err().contains("needs a value"));
        assert_eq!(parse("--help"), Ok(None));
    }
}
