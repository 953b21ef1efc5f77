//! Histograms of latencies, and their text: HdrHistogram's compressed V2 form in base64, as in `trials.jsonl` and on the wire
//! between a lab and its generator on another machine.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use hdrhistogram::{Counter, Histogram};
use serde::de::Error as _;
use serde::{Deserialize as _, Deserializer as SerdeDeserializer, Serializer as SerdeSerializer};

/// Longest latency that is told apart, in nanoseconds: 100 s.
const LATENCY_NANOS_MAX: u64 = 100_000_000_000;

/// An empty histogram of latencies in nanoseconds, from 1 us on, exact to two digits.
pub(crate) fn empty<T: Counter>() -> Histogram<T> {
    Histogram::new_with_bounds(1_000, LATENCY_NANOS_MAX, 2).expect("the bounds are in order")
}

/// A histogram as text.
pub fn encode<T: Counter>(histogram: &Histogram<T>) -> String {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(histogram, &mut bytes)
        .expect("a histogram of in-memory counts is written to memory");
    STANDARD.encode(bytes)
}

/// The histogram of such a text.
pub fn decode(text: &str) -> Result<Histogram<u64>, String> {
    read(text)
}

fn read<T: Counter>(text: &str) -> Result<Histogram<T>, String> {
    let bytes = STANDARD.decode(text).map_err(|error| error.to_string())?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|error| format!("{error:?}"))
}

/// For serde: `with = "histogram::text"`.
pub(crate) mod text {
    use super::*;

    pub(crate) fn serialize<T: Counter, S: SerdeSerializer>(
        histogram: &Histogram<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encode(histogram))
    }

    /// With the bounds that all of the lab have: what comes from another machine is only believed to hold counts.
    pub(crate) fn deserialize<'de, T: Counter, D: SerdeDeserializer<'de>>(
        deserializer: D,
    ) -> Result<Histogram<T>, D::Error> {
        let read: Histogram<T> = read(&String::deserialize(deserializer)?).map_err(D::Error::custom)?;
        let mut histogram = empty();
        histogram.add(&read).map_err(D::Error::custom)?;
        Ok(histogram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_survive_their_text() {
        let mut histogram = empty::<u64>();
        (1..1_000_u64).for_each(|value| histogram.record(value * 10_000).unwrap());
        let back = decode(&encode(&histogram)).unwrap();
        assert_eq!(back.value_at_quantile(0.99), histogram.value_at_quantile(0.99));
        assert_eq!(back.len(), histogram.len());
        assert!(decode("%").is_err());
    }
}
