//! Which cells a run measures, how often, and in which order.

use rustredis_testkit::Random;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

use crate::cell::{Cell, Program, Setup, Tcp};
use crate::trial::Times;

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// Ten to fifteen minutes.
    Quick,
    /// More clients, more repetitions, longer measurements: about an hour and a half.
    Full,
}

/// What the experiments choose their cells from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Matrix {
    /// How much.
    pub scale: Scale,
    /// Cores of the machine.
    pub cores: usize,
    /// Engines that the server offers.
    pub engines: Vec<String>,
    /// Whether valkey-server is installed.
    pub has_valkey: bool,
}

/// A cell, and how often it is measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// The cell.
    pub cell: Cell,
    /// Repetitions.
    pub rounds: u32,
}

/// The engine that stands for RustRedis where only one is compared.
pub const DEFAULT_ENGINE: &str = "dashmap";

impl Matrix {
    /// Repetitions of the cells that verdicts stand on.
    pub fn rounds(&self) -> u32 {
        match self.scale {
            Scale::Quick => 6,
            Scale::Full => 15,
        }
    }

    /// Repetitions of long or secondary cells.
    pub fn rounds_few(&self) -> u32 {
        match self.scale {
            Scale::Quick => 4,
            Scale::Full => 9,
        }
    }

    /// How long measurements take.
    pub fn times(&self) -> Times {
        let ms = Duration::from_millis;
        match self.scale {
            Scale::Quick => Times {
                warm_up: ms(150),
                measured: ms(500),
                in_process: ms(250),
                calm: ms(700),
                saving: ms(1_000),
            },
            Scale::Full => Times {
                warm_up: ms(1_000),
                measured: ms(3_000),
                in_process: ms(1_500),
                calm: ms(2_000),
                saving: ms(2_000),
            },
        }
    }

    /// Numbers of clients.
    pub fn clients(&self) -> &'static [usize] {
        match self.scale {
            Scale::Quick => &[1, 10, 50, 100, 500, 1_000],
            Scale::Full => &[1, 5, 10, 25, 50, 100, 200, 500, 1_000, 2_000],
        }
    }

    /// Threads for fits and in-process cells: 1 to twice the cores, at least four numbers.
    pub fn threads(&self) -> Vec<usize> {
        let most = (2 * self.cores).max(4);
        let step = most.div_ceil(8);
        let mut threads: Vec<usize> = (1..=most).filter(|count| *count < 4 || count % step == 0).collect();
        if threads.last() != Some(&most) {
            threads.push(most);
        }
        threads
    }

    /// Serving threads of RustRedis: a core for each.
    pub fn server_threads(&self) -> usize {
        self.cores
    }

    /// Threads of the generator: enough not to be the bottleneck, if the machine has them.
    pub fn generators(&self) -> usize {
        (self.cores / 2).max(2).min(self.cores)
    }

    /// RustRedis with this engine, named after it.
    pub fn engine(&self, engine: &str) -> Setup {
        Setup::rustredis(engine, self.server_threads(), engine, &[])
    }

    /// Redis, and Valkey where it is installed.
    pub fn others(&self) -> Vec<Setup> {
        let mut others = vec![Setup::other(Program::Redis, "redis", &[])];
        if self.has_valkey {
            others.push(Setup::other(Program::Valkey, "valkey", &[]));
        }
        others
    }

    /// Every engine, then the others.
    pub fn setups(&self) -> Vec<Setup> {
        self.engines.iter().map(|engine| self.engine(engine)).chain(self.others()).collect()
    }

    /// A load over TCP.
    pub fn tcp(&self, setup: &Setup, workload: &str, clients: usize, pipeline: usize) -> Cell {
        Cell::Tcp(Tcp {
            setup: setup.clone(),
            workload: workload.to_owned(),
            clients,
            pipeline,
            generators: self.generators().min(clients),
        })
    }
}

/// The measurements in their order: round by round; within a round the loads in random order, and under each load its
/// servers in random order. What is compared is measured within seconds, so that what slows the machine down for a while
/// slows all of it. Cells that several experiments want are measured once, as often as the most demanding wants.
pub fn schedule(planned: Vec<Planned>, seed: u64) -> Vec<(Cell, u32)> {
    let mut cells: Vec<Planned> = Vec::new();
    for new in planned {
        match cells.iter_mut().find(|old| old.cell == new.cell) {
            Some(old) => old.rounds = old.rounds.max(new.rounds),
            None => cells.push(new),
        }
    }
    // The order depends on the seed alone, not on which experiment came first.
    cells.sort_by_key(|planned| planned.cell.id());
    let rounds = cells.iter().map(|planned| planned.rounds).max().unwrap_or(0);
    let mut order = Vec::new();
    for round in 0..rounds {
        let mut groups: BTreeMap<String, Vec<Cell>> = BTreeMap::new();
        for planned in cells.iter().filter(|planned| planned.rounds > round) {
            groups.entry(planned.cell.load()).or_default().push(planned.cell.clone());
        }
        let mut random = Random::new(seed ^ (u64::from(round) << 32));
        let mut groups: Vec<Vec<Cell>> = groups.into_values().collect();
        shuffle(&mut groups, &mut random);
        for mut group in groups {
            shuffle(&mut group, &mut random);
            order.extend(group.into_iter().map(|cell| (cell, round)));
        }
    }
    order
}

fn shuffle<T>(list: &mut [T], random: &mut Random) {
    for index in (1..list.len()).rev() {
        list.swap(index, random.below(index + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(cores: usize) -> Matrix {
        Matrix { scale: Scale::Quick, cores, engines: vec!["mutex".to_owned()], has_valkey: false }
    }

    #[test]
    fn rounds_are_whole_and_shuffled_by_the_seed() {
        let matrix = matrix(2);
        let cells: Vec<Planned> = (1..=20)
            .map(|clients| Planned {
                cell: matrix.tcp(&matrix.engine("mutex"), "get", clients, 1),
                rounds: 2,
            })
            .collect();
        let doubled = [cells.clone(), cells].concat();
        let order = schedule(doubled.clone(), 7);
        assert_eq!(order.len(), 40);
        assert!(order[..20].iter().all(|(_, round)| *round == 0));
        assert_eq!(order, schedule(doubled.clone().into_iter().rev().collect(), 7));
        assert_ne!(order, schedule(doubled, 8));
        let first: Vec<&Cell> = order[..20].iter().map(|(cell, _)| cell).collect();
        let second: Vec<&Cell> = order[20..].iter().map(|(cell, _)| cell).collect();
        assert_ne!(first, second);
    }

    #[test]
    fn servers_under_one_load_are_neighbours() {
        let matrix = matrix(2);
        let cell = |engine: &str, clients| matrix.tcp(&matrix.engine(engine), "get", clients, 1);
        let planned = (1..=9)
            .flat_map(|clients| ["mutex", "dashmap", "actor", "lockfree"].map(|engine| cell(engine, clients)))
            .map(|cell| Planned { cell, rounds: 1 });
        for four in schedule(planned.collect(), 3).chunks(4) {
            assert!(four.iter().all(|(cell, _)| cell.load() == four[0].0.load()), "{four:?}");
        }
    }

    /// The quick matrix on a small machine takes about fifteen minutes: so many measurements at a second each.
    #[test]
    fn the_quick_matrix_stays_quick() {
        let engines = ["mutex", "dashmap", "actor", "lockfree"].map(str::to_owned).to_vec();
        let matrix = Matrix { engines, ..matrix(2) };
        let planned = crate::claims::CLAIMS.iter().flat_map(|claim| (claim.cells)(&matrix)).collect();
        let count = schedule(planned, 1).len();
        assert!((400..=900).contains(&count), "{count} measurements");
    }

    #[test]
    fn threads_reach_twice_the_cores_and_suffice_for_a_fit() {
        assert_eq!(matrix(1).threads(), [1, 2, 3, 4]);
        assert_eq!(matrix(2).threads(), [1, 2, 3, 4]);
        assert_eq!(matrix(16).threads(), [1, 2, 3, 4, 8, 12, 16, 20, 24, 28, 32]);
    }
}
