//! Which key a request asks for: the distributions.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use rand::TryRng;
use rand::distr::Distribution;
use rand_distr::Zipf;
use rustredis_testkit::Random;

/// How requests spread over the keys.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Spread {
    /// All keys alike.
    Uniform,
    /// The key of rank r is asked for in proportion to r to the power of minus this exponent.
    Zipf(f64),
    /// This share of the keys gets this share of the requests; both in 0..1.
    Hot {
        /// Share of the keys that are hot.
        keys: f64,
        /// Share of the requests that ask for one of them.
        requests: f64,
    },
    /// Every request asks for the same key.
    One,
}

impl fmt::Display for Spread {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform => out.write_str("uniform"),
            Self::Zipf(exponent) => write!(out, "zipf:{exponent}"),
            Self::Hot { keys, requests } => write!(out, "hot:{keys}:{requests}"),
            Self::One => out.write_str("one"),
        }
    }
}

impl FromStr for Spread {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default();
        let numbers: Vec<f64> =
            parts.map(str::parse).collect::<Result<_, _>>().map_err(|_| format!("no number in {text:?}"))?;
        match (name, numbers.as_slice()) {
            ("uniform", []) => Ok(Self::Uniform),
            ("one", []) => Ok(Self::One),
            ("zipf", [exponent]) if (0.0..=10.0).contains(exponent) => Ok(Self::Zipf(*exponent)),
            ("hot", [keys, requests]) if (0.0..=1.0).contains(keys) && (0.0..=1.0).contains(requests) => {
                Ok(Self::Hot { keys: *keys, requests: *requests })
            }
            _ => Err(format!(
                "no distribution is called {text:?}: uniform, zipf:EXPONENT, hot:KEYS:REQUESTS (shares), one"
            )),
        }
    }
}

/// Draws key numbers, the same for the same seed.
#[derive(Debug)]
pub struct KeyDraw {
    random: Bits,
    count: u64,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Uniform,
    Zipf(Zipf<f64>),
    Hot { hot: u64, requests: f64 },
    One,
}

/// The test kit's generator as the distribution crate wants it: what a seed draws does not change with a crate's release.
#[derive(Debug)]
struct Bits(Random);

impl TryRng for Bits {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.0.next_u64() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for part in out.chunks_mut(8) {
            let bits = self.0.next_u64().to_le_bytes();
            part.copy_from_slice(&bits[..part.len()]);
        }
        Ok(())
    }
}

impl KeyDraw {
    /// Draws from `0..count`; a count of 0 counts as 1.
    pub fn new(spread: Spread, count: u64, seed: u64) -> Self {
        let count = count.max(1);
        let way = match spread {
            Spread::Uniform => Way::Uniform,
            Spread::One => Way::One,
            Spread::Hot { keys, requests } => {
                Way::Hot { hot: ((count as f64 * keys) as u64).clamp(1, count), requests }
            }
            Spread::Zipf(exponent) => Way::Zipf(
                Zipf::new(count as f64, exponent.max(0.0))
                    .expect("at least one key, an exponent of at least 0"),
            ),
        };
        Self { random: Bits(Random::new(seed)), count, way }
    }

    /// The next key's number.
    #[inline]
    pub fn draw(&mut self) -> u64 {
        match &self.way {
            Way::Uniform => self.below(self.count),
            Way::One => 0,
            Way::Zipf(zipf) => (zipf.sample(&mut self.random) as u64).clamp(1, self.count) - 1,
            Way::Hot { hot, requests } => {
                let (hot, requests) = (*hot, *requests);
                if self.fraction() < requests || hot == self.count {
                    self.below(hot)
                } else {
                    hot + self.below(self.count - hot)
                }
            }
        }
    }

    /// A number in `0..limit`, for choices that go along with the keys.
    #[inline]
    pub fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.random.0.next_u64()) * u128::from(limit)) >> 64) as u64
    }

    fn fraction(&mut self) -> f64 {
        (self.random.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share_below(spread: &str, limit: u64) -> f64 {
        let mut draw = KeyDraw::new(spread.parse().unwrap(), 1_000, 7);
        let hits = (0..100_000).filter(|_| draw.draw() < limit).count();
        hits as f64 / 100_000.0
    }

    #[test]
    fn shares_are_as_named() {
        assert!((share_below("uniform", 100) - 0.1).abs() < 0.01);
        assert!((share_below("hot:0.01:0.9", 10) - 0.9).abs() < 0.01);
        assert!((share_below("one", 1) - 1.0).abs() < f64::EPSILON);
        // The first of 1,000 ranks at exponent 0.99 has 1/7.73 of all.
        let first: f64 = 1.0 / (1..=1_000).map(|rank| f64::from(rank).powf(-0.99)).sum::<f64>();
        assert!((share_below("zipf:0.99", 1) - first).abs() < 0.01, "{first}");
        assert!(share_below("zipf:1.2", 10) > share_below("zipf:0.99", 10));
    }

    #[test]
    fn every_key_is_reached_and_none_beyond() {
        for spread in ["uniform", "zipf:0.5", "hot:0.5:0.5"] {
            let mut draw = KeyDraw::new(spread.parse().unwrap(), 8, 3);
            let mut seen = [0_u32; 8];
            (0..2_000).for_each(|_| seen[draw.draw() as usize] += 1);
            assert!(seen.iter().all(|count| *count > 0), "{spread}: {seen:?}");
        }
    }

    #[test]
    fn names_are_read_back() {
        for name in ["uniform", "zipf:0.99", "hot:0.01:0.9", "one"] {
            assert_eq!(name.parse::<Spread>().unwrap().to_string(), name);
        }
        assert!("zipf".parse::<Spread>().is_err());
        assert!("hot:2:0.5".parse::<Spread>().is_err());
    }
}
