//! What a subsystem tells: rows over its state at a moment.
//!
//! A subsystem has a list of rows beside its state. A row is a field and a function that finds its value in the state, or a
//! family: the same fields for each of several things, such as commands or databases. The state is a value that is read
//! once for each look, so all that one look shows agrees. Who shows samples, INFO or a page of metrics, chooses rows by
//! their names and gives them an order and a form; a subsystem knows of neither.
//!
//! Rejected: a trait that a subsystem implements by pushing samples. What may come would be known only by looking, and
//! a test could not say that a name is missing or told twice.
//!
//! ```
//! use rustredis_metrics::rows::{Group, Row, gauge};
//!
//! struct Queue {
//!     waiting: usize,
//! }
//!
//! const SAMPLES: &[Row<Queue>] = &[gauge("waiting", "Messages that wait.", |queue| queue.waiting.into())];
//!
//! let mut groups = Vec::new();
//! SAMPLES[0].tell(&Queue { waiting: 3 }, &mut groups);
//! let [Group::Single(sample)] = &groups[..] else { panic!("one sample") };
//! assert_eq!((sample.field.name, sample.value.to_string()), ("waiting", "3".to_owned()));
//! ```

use crate::sample::{Sample, SampleField, SampleLabel, SampleValue};

/// One of the things that a subsystem tells of its state `S`.
pub enum Row<S: 'static> {
    /// A sample.
    Single {
        /// What is known of it.
        field: SampleField,
        /// Finds its value.
        value: fn(&S) -> SampleValue,
    },
    /// Samples of each of several things.
    Family(Family<S>),
}

/// Samples of the same fields for each thing of a kind.
pub struct Family<S: 'static> {
    /// What the family is called, with its separator: `cmdstat_`. The thing's name follows.
    pub prefix: &'static str,
    /// What kind of thing it is. A second label ends the name of a field that comes several times: `p50`.
    pub labels: &'static [&'static str],
    /// What is told of each thing.
    pub fields: &'static [SampleField],
    /// Finds the things, in their order.
    pub things: fn(&S) -> Vec<Thing>,
}

/// One of a family's things: a command, a database.
pub struct Thing {
    /// The value of the first label.
    pub name: String,
    /// What is told of it.
    pub values: Vec<ThingValue>,
}

/// A value of a thing.
pub struct ThingValue {
    /// The index of the family's field.
    pub field: usize,
    /// The value of the second label.
    pub detail: Option<String>,
    /// The value.
    pub value: SampleValue,
}

/// What is known of a row before there is a state.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// The field's name, or the family's prefix.
    pub name: &'static str,
    /// The field, or what is told of each of the family's things.
    pub fields: &'static [SampleField],
    /// What kind of thing; nothing for a single sample.
    pub labels: &'static [&'static str],
}

/// Samples that belong together.
#[derive(Debug)]
pub enum Group {
    /// That of a row.
    Single(Sample),
    /// Those of a thing; there may be none.
    Thing {
        /// What the family is called.
        prefix: &'static str,
        /// The thing's name.
        name: String,
        /// What is told of it.
        samples: Vec<Sample>,
    },
}

/// A row of a value that grows.
pub const fn counter<S: 'static>(
    name: &'static str,
    help: &'static str,
    value: fn(&S) -> SampleValue,
) -> Row<S> {
    Row::Single { field: SampleField::counter(name, help), value }
}

/// A row of a value that rises and falls.
pub const fn gauge<S: 'static>(
    name: &'static str,
    help: &'static str,
    value: fn(&S) -> SampleValue,
) -> Row<S> {
    Row::Single { field: SampleField::gauge(name, help), value }
}

/// A row of a fact.
pub const fn fact<S: 'static>(
    name: &'static str,
    help: &'static str,
    value: fn(&S) -> SampleValue,
) -> Row<S> {
    Row::Single { field: SampleField::fact(name, help), value }
}

/// A row of something that others have and this server has not: always 0.
pub const fn absent<S: 'static>(name: &'static str, help: &'static str) -> Row<S> {
    gauge(name, help, |_| SampleValue::Whole(0))
}

impl<S: 'static> Row<S> {
    /// What is known of it.
    pub const fn head(&'static self) -> Head {
        match self {
            Self::Single { field, .. } => {
                Head { name: field.name, fields: std::slice::from_ref(field), labels: &[] }
            }
            Self::Family(family) => {
                Head { name: family.prefix, fields: family.fields, labels: family.labels }
            }
        }
    }

    /// Adds what the state says: one group, or one for each thing.
    pub fn tell(&'static self, state: &S, groups: &mut Vec<Group>) {
        match self {
            Self::Single { field, value } => {
                groups.push(Group::Single(Sample { field, labels: Vec::new(), value: value(state) }));
            }
            Self::Family(family) => {
                groups.extend((family.things)(state).into_iter().map(|thing| family.group(thing)));
            }
        }
    }
}

impl<S: 'static> Family<S> {
    fn group(&'static self, Thing { name, values }: Thing) -> Group {
        let sample = |value: ThingValue| {
            let details = [Some(name.clone()), value.detail].into_iter().flatten();
            let labels = self.labels.iter().zip(details).map(|(name, value)| SampleLabel { name, value });
            Sample { field: &self.fields[value.field], labels: labels.collect(), value: value.value }
        };
        let samples = values.into_iter().map(sample).collect();
        Group::Thing { prefix: self.prefix, name, samples }
    }
}

impl Thing {
    /// A thing with one value for each of the family's fields.
    pub fn new(name: impl Into<String>, values: impl IntoIterator<Item = SampleValue>) -> Self {
        let values = values.into_iter().enumerate();
        let values = values.map(|(field, value)| ThingValue { field, detail: None, value });
        Self { name: name.into(), values: values.collect() }
    }
}

impl Group {
    /// Its samples.
    pub fn samples(&self) -> &[Sample] {
        match self {
            Self::Single(sample) => std::slice::from_ref(sample),
            Self::Thing { samples, .. } => samples,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Herd(Vec<(&'static str, u64)>);

    const ROWS: &[Row<Herd>] = &[
        gauge("sheep", "How many there are.", |herd| herd.0.len().into()),
        absent("wolves", "How many wolves."),
        Row::Family(Family {
            prefix: "sheep_",
            labels: &["sheep", "year"],
            fields: &[SampleField::counter("wool", "Kilograms."), SampleField::gauge("lambs", "Lambs.")],
            things: |herd| {
                let mut things: Vec<Thing> = herd
                    .0
                    .iter()
                    .map(|(name, wool)| Thing::new(*name, [(*wool).into(), 1_u64.into()]))
                    .collect();
                things[0].values[1].detail = Some("2".to_owned());
                things
            },
        }),
    ];

    /// Samples as text: `name{label=value}=value`.
    fn told(row: usize, state: &Herd) -> Vec<String> {
        let mut groups = Vec::new();
        ROWS[row].tell(state, &mut groups);
        let text = |sample: &Sample| {
            let labels = sample.labels.iter().map(|label| format!("{}={}", label.name, label.value));
            format!("{}{{{}}}={}", sample.field.name, labels.collect::<Vec<_>>().join(","), sample.value)
        };
        groups.iter().flat_map(|group| group.samples().iter().map(text)).collect()
    }

    #[test]
    fn a_row_tells_what_the_state_says() {
        let herd = Herd(vec![("dolly", 4), ("molly", 5)]);
        assert_eq!(told(0, &herd), ["sheep{}=2"]);
        assert_eq!(told(1, &herd), ["wolves{}=0"]);
        assert_eq!(
            told(2, &herd),
            [
                "wool{sheep=dolly}=4",
                "lambs{sheep=dolly,year=2}=1",
                "wool{sheep=molly}=5",
                "lambs{sheep=molly}=1"
            ]
        );
    }

    #[test]
    fn a_head_is_known_without_a_state() {
        let head = |row: usize| {
            let head = ROWS[row].head();
            (head.name, head.labels.len(), head.fields.iter().map(|field| field.name).collect::<Vec<_>>())
        };
        assert_eq!(head(0), ("sheep", 0, vec!["sheep"]));
        assert_eq!(head(2), ("sheep_", 2, vec!["wool", "lambs"]));
    }
}
