//! Histories: what follows from a seed.

use super::grammar::Template;
use super::{draw, families};
use crate::{Command, Random};

/// Commands that belong together: shrinking keeps or drops them as one.
pub type Step = Vec<Command>;

/// How often, of 100, a command is damaged: wrong arity, wrong order, edge numbers.
const DAMAGE_PER_CENT: usize = 5;
/// How often, of 100, a step is a transaction, how often one that answers at random, how often one in which a key comes due
/// (which takes two milliseconds), and how often it is the server's own.
const TRANSACTION_PER_CENT: usize = 4;
const RANDOM_PER_CENT: usize = 4;
const DUE_PER_CENT: usize = 2;
const SERVER_PER_CENT: usize = 2;
/// Limits of the compact encodings: Redis's defaults, and others so small that histories go beyond.
const THRESHOLDS: [(&str, i64, i64); 4] = [
    ("hash-max-listpack-entries", 128, 4),
    ("set-max-intset-entries", 512, 4),
    ("zset-max-listpack-entries", 128, 4),
    ("list-max-listpack-size", -2, 3),
];
/// Databases that templates select.
const DATABASES: usize = 4;

/// Which commands a history may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// What redis-server 7.0.15 knows; its known differences from 7.2 are accepted.
    Redis70,
    /// All that we know; the reference is our own server, and nothing may differ.
    Own,
    /// All that we know of keys, which live for milliseconds: there is no reference but a replay of what happened.
    Near,
}

/// A seeded sequence of steps.
#[derive(Debug, Clone)]
pub struct History {
    prologue: Vec<Command>,
    steps: Vec<Step>,
    coverage: Coverage,
}

impl History {
    /// The history of this seed. Odd seeds speak RESP3; with every other pair of seeds collections leave their compact
    /// encodings early, so that few elements reach the large ones; with every other four keys expire only when they are
    /// looked at.
    pub fn new(seed: u64, steps: usize, coverage: Coverage) -> Self {
        Self::of(seed, steps, coverage, Source::new(coverage))
    }

    /// The same without the server's own commands: for clients that are not alone.
    pub fn of_keys(seed: u64, steps: usize, coverage: Coverage) -> Self {
        Self::of(seed, steps, coverage, Source { server: Vec::new(), ..Source::new(coverage) })
    }

    fn of(seed: u64, steps: usize, coverage: Coverage, source: Source) -> Self {
        let mut random = Random::new(seed);
        let mut prologue = vec![Command::line("SELECT 0")];
        if seed % 2 == 1 {
            prologue.insert(0, Command::line("HELLO 3"));
        }
        prologue.extend(THRESHOLDS.iter().map(|(name, usual, small)| {
            Command::line(&format!("CONFIG SET {name} {}", if seed % 4 < 2 { usual } else { small }))
        }));
        prologue.push(Command::line(&format!("DEBUG SET-ACTIVE-EXPIRE {}", u8::from(seed % 8 < 4))));
        let steps = (0..steps).map(|_| source.step(&mut random)).collect();
        Self { prologue, steps, coverage }
    }

    /// What a connection says first.
    pub(super) fn prologue(&self) -> &[Command] {
        &self.prologue
    }

    /// The steps.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What it covers.
    pub(super) fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// The same history with other steps.
    pub(super) fn with_steps(&self, steps: Vec<Step>) -> Self {
        Self { steps, prologue: self.prologue.clone(), coverage: self.coverage }
    }

    /// All commands in order with the index of their step: the prologue (as step 0), the steps, and the commands that
    /// read all databases (as a step behind the last).
    pub(super) fn commands(&self) -> Vec<(usize, Command)> {
        // The reply to HELLO names the server's version.
        let prologue = self.prologue.iter().map(|command| (0, command.clone()));
        let steps = self.steps.iter().enumerate();
        let steps = steps.flat_map(|(index, step)| step.iter().map(move |command| (index, command.clone())));
        let last = self.steps.len();
        prologue.chain(steps).chain(read_everything().into_iter().map(|command| (last, command))).collect()
    }
}

/// The templates, parsed.
struct Source {
    coverage: Coverage,
    families: Vec<Vec<Template>>,
    random: Vec<Vec<Template>>,
    due: Vec<Vec<Template>>,
    server: Vec<Vec<Template>>,
}

impl Source {
    fn new(coverage: Coverage) -> Self {
        let parse =
            |texts: &&[&'static str]| texts.iter().map(|text| Template::parse(text)).collect::<Vec<_>>();
        let steps = |steps: &[&[&'static str]]| steps.iter().map(parse).collect::<Vec<_>>();
        let mut families: Vec<Vec<Template>> = families::COMMON.iter().map(parse).collect();
        let (mut due, mut server) = (steps(families::DUE[0]), steps(families::SERVER[0]));
        match coverage {
            Coverage::Redis70 => server.extend(steps(families::SERVER[1])),
            Coverage::Own | Coverage::Near => {
                families.extend(families::LATER.iter().map(parse));
                due.extend(steps(families::DUE[1]));
                server.extend(steps(families::SERVER[2]));
            }
        }
        if coverage == Coverage::Near {
            // So often that keys come due all the time.
            families.extend(families::NEAR.iter().cycle().take(families.len() / 2).map(parse));
            server.clear();
        }
        Self { coverage, families, random: steps(families::RANDOM), due, server }
    }

    fn step(&self, random: &mut Random) -> Step {
        for (per_cent, steps) in
            [(RANDOM_PER_CENT, &self.random), (DUE_PER_CENT, &self.due), (SERVER_PER_CENT, &self.server)]
        {
            if !steps.is_empty() && random.chance(per_cent) {
                let templates: &Vec<Template> = random.pick(steps);
                return self.of_templates(templates, random);
            }
        }
        if random.chance(TRANSACTION_PER_CENT) {
            return self.transaction(random);
        }
        vec![self.command(random)]
    }

    /// A step of these templates, of which `{same}` is the first argument of the first.
    fn of_templates(&self, templates: &[Template], random: &mut Random) -> Step {
        let mut step = Step::new();
        for template in templates {
            let first = step.first().and_then(|first: &Command| first.arguments.get(1));
            let same = first.cloned().unwrap_or_default();
            step.push(command(template, random, &same, self.coverage));
        }
        step
    }

    fn command(&self, random: &mut Random) -> Command {
        let family = random.below(self.families.len());
        let template = random.below(self.families[family].len());
        let mut command = command(&self.families[family][template], random, b"", self.coverage);
        // A damaged SPOP of all members would be one of some.
        if random.chance(DAMAGE_PER_CENT) && command.name() != "SPOP" {
            damage(&mut command, random);
        }
        command
    }

    /// MULTI to EXEC or DISCARD; what is watched may have been changed by the connection itself in between.
    fn transaction(&self, random: &mut Random) -> Step {
        let mut step = Step::new();
        if random.chance(30) {
            step.push(command(&Template::parse("WATCH {any}+"), random, b"", self.coverage));
            if random.chance(50) {
                step.push(self.transactional_command(random));
            }
        }
        step.push(Command::line("MULTI"));
        for _ in 0..random.below(5) {
            step.push(self.transactional_command(random));
        }
        step.push(Command::line(if random.chance(85) { "EXEC" } else { "DISCARD" }));
        step
    }

    /// A command whose reply in a transaction needs no tolerance.
    fn transactional_command(&self, random: &mut Random) -> Command {
        loop {
            let command = self.command(random);
            if !super::normalise::is_time(&command) {
                return command;
            }
        }
    }
}

fn command(template: &Template, random: &mut Random, same: &[u8], coverage: Coverage) -> Command {
    let mut draw = |random: &mut Random, name: &str| match name {
        "same" => same.to_vec(),
        "ttlms" if coverage == Coverage::Near => draw::near_ms(random),
        _ => draw::draw(random, name),
    };
    Command { arguments: template.expand(random, &mut draw) }
}

/// Makes a command wrong, or odd. Times are left as they are: a damaged one might be near, or a timeout without end. So
/// are the cursors of scans, for what is behind them is up to the server, and commands that take more arguments in 7.2.
fn damage(command: &mut Command, random: &mut Random) {
    let has_time = |argument: &Vec<u8>| {
        [&b"EX"[..], b"PX", b"EXAT", b"PXAT"].iter().any(|word| argument.eq_ignore_ascii_case(word))
    };
    let name = command.name();
    let may_block = ["BL", "BR", "BZ"].iter().any(|prefix| name.starts_with(prefix));
    let may_be_longer = ["ZRANK", "ZREVRANK"].contains(&name.as_str());
    let is_reserved = command.arguments.get(1).is_some_and(|key| draw::is_reserved(key));
    if is_reserved
        || may_be_longer
        || may_block
        || name.ends_with("SCAN")
        || name.contains("EXP")
        || name.ends_with("SETEX")
        || command.arguments.iter().any(has_time)
    {
        command.arguments.pop();
        return;
    }
    let count = command.arguments.len();
    let index = 1 + random.below(count.max(2) - 1);
    match random.below(4) {
        0 if count > 1 => drop(command.arguments.pop()),
        1 if count > 1 => command.arguments[index] = draw::edge(random),
        2 if count > 2 => command.arguments.swap(index, count - 1),
        _ => command.arguments.push(draw::edge(random)),
    }
}

/// Reads every key of every database in every way; most of it answers with the wrong type, which is compared as well.
fn read_everything() -> Vec<Command> {
    let mut lines = vec!["UNWATCH".to_owned()];
    for database in 0..DATABASES {
        lines.push(format!("SELECT {database}"));
        lines.push("KEYS *".to_owned());
        for key in draw::keys() {
            let reads =
                ["TYPE {}", "PEXPIRETIME {}", "GET {}", "LRANGE {} 0 -1", "HGETALL {}", "SMEMBERS {}"];
            lines.extend(reads.iter().map(|read| read.replace("{}", &key)));
            lines.push(format!("ZRANGE {key} 0 -1 WITHSCORES"));
        }
    }
    lines.iter().map(|line| Command::line(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_history() {
        let text = |seed| {
            History::new(seed, 200, Coverage::Own).commands().iter().map(|(_, c)| c.to_string()).collect()
        };
        let (first, again, other): (Vec<String>, Vec<String>, Vec<String>) = (text(7), text(7), text(8));
        assert_eq!(first, again);
        assert_ne!(first, other);
        assert_eq!(first[0], "HELLO 3");
    }

    #[test]
    fn every_template_can_be_drawn() {
        let mut random = Random::new(5);
        let steps = families::DUE.iter().chain(&families::SERVER).copied().flatten();
        let families = families::COMMON.iter().chain(&families::LATER).chain(&families::NEAR);
        for text in families.chain(families::RANDOM).chain(steps).copied().flatten() {
            for _ in 0..20 {
                let drawn = command(&Template::parse(text), &mut random, b"key", Coverage::Near);
                let name = drawn.name();
                assert!(
                    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'),
                    "{drawn}"
                );
            }
        }
    }
}
