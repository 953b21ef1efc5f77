//! What the rules choose their cells from: the machine's cores, the engines, and how much is measured.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cell::Cell;
use crate::trial::Times;

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// Twenty minutes at most on two cores.
    Quick,
    /// Longer measurements and twice the repetitions: some hours.
    Full,
}

/// What the rules choose their cells from.
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
    /// Whether the generator runs on another machine, so that all cores here are the server's.
    #[serde(default)]
    pub is_generator_elsewhere: bool,
}

/// A number of threads, of whatever machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Threads {
    /// One.
    One,
    /// As many as have a core beside the generator's threads.
    #[default]
    Room,
    /// As many as the server takes by itself.
    Default,
    /// A quarter of the cores.
    Quarter,
    /// Half of the cores.
    Half,
    /// As many as there are cores.
    Cores,
    /// Twice as many, of which half wait for a core.
    Twice,
}

impl Matrix {
    /// Repetitions, from those of the quick matrix.
    pub fn rounds(&self, quick: u32) -> u32 {
        match self.scale {
            Scale::Quick => quick,
            Scale::Full => 2 * quick,
        }
    }

    /// How long measurements take.
    pub fn times(&self) -> Times {
        let ms = Duration::from_millis;
        match self.scale {
            Scale::Quick => Times {
                warm_up: ms(120),
                measured: ms(450),
                tail: ms(600),
                in_process: ms(200),
                calm: ms(500),
                saving: ms(800),
            },
            Scale::Full => Times {
                warm_up: ms(1_000),
                measured: ms(3_000),
                tail: ms(5_000),
                in_process: ms(1_500),
                calm: ms(2_000),
                saving: ms(2_000),
            },
        }
    }

    /// A number of threads on this machine.
    pub fn threads(&self, threads: Threads) -> usize {
        match threads {
            Threads::One => 1,
            Threads::Room => self.room(),
            // As the server chooses, see its `start`.
            Threads::Default => (self.cores - 1).max(1),
            Threads::Quarter => (self.cores / 4).max(1),
            Threads::Half => (self.cores / 2).max(1),
            Threads::Cores => self.cores,
            Threads::Twice => 2 * self.cores,
        }
    }

    /// Server threads that have a core beside the generator's: at least one.
    pub fn room(&self) -> usize {
        if self.is_generator_elsewhere { self.cores } else { (self.cores - self.generators()).max(1) }
    }

    /// Threads of the generator: half of the cores, for a request costs it about as much as the server.
    pub fn generators(&self) -> usize {
        (self.cores / 2).max(1)
    }

    /// Whether a server of this name can be measured here.
    pub fn has_server(&self, name: &str) -> bool {
        match name {
            "redis" | "" => true,
            "valkey" => self.has_valkey,
            engine => self.engines.iter().any(|offered| offered == engine),
        }
    }

    /// Whether a cell's threads are more than the cores: then some wait for a core, and what is measured is the scheduler.
    pub fn is_oversubscribed(&self, cell: &Cell) -> bool {
        let own = if self.is_generator_elsewhere {
            cell.setup().map_or_else(|| cell.threads(), |setup| setup.serving_threads())
        } else {
            cell.threads()
        };
        own > self.cores.max(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(cores: usize) -> Matrix {
        let (engines, has_valkey) = (Vec::new(), false);
        Matrix { scale: Scale::Quick, cores, engines, has_valkey, is_generator_elsewhere: false }
    }

    #[test]
    fn threads_fit_the_cores() {
        assert_eq!((matrix(2).room(), matrix(2).generators()), (1, 1));
        assert_eq!((matrix(8).room(), matrix(8).generators()), (4, 4));
        assert_eq!((matrix(1).room(), matrix(1).threads(Threads::Default)), (1, 1));
        let elsewhere = Matrix { is_generator_elsewhere: true, ..matrix(2) };
        assert_eq!(elsewhere.room(), 2);
    }
}
