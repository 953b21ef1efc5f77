//! What an engine tells of itself. Where its threads wait for each other is told by its contention.

use rustredis_keyspace::published::PublishedReport;
use rustredis_metrics::rows::{Row, counter, fact, gauge};

use crate::{Engine, EngineKind};

/// What does not change while an engine is used.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    kind: EngineKind,
    shards: usize,
}

impl Shape {
    /// That of an engine.
    pub fn of(engine: &Engine) -> Self {
        Self { kind: engine.kind(), shards: engine.store().shards() }
    }

    /// What is told.
    pub const SAMPLES: &'static [Row<Self>] = &[
        fact("engine", "How commands come by their keys.", |shape| shape.kind.name().into()),
        fact("shards", "Parts of the keyspace.", |shape| shape.shards.into()),
    ];
}

/// What is read without a lock, at a moment, on the engine that does.
#[derive(Clone, Copy, Debug)]
pub struct PublishedNow(PublishedReport);

impl PublishedNow {
    /// That of an engine; `None` if it publishes nothing. O(databases that were read x shards).
    pub fn of(engine: &Engine) -> Option<Self> {
        engine.store().publishes().then(|| Self(engine.store().published_report()))
    }

    /// What is told.
    pub const SAMPLES: &'static [Row<Self>] = &[
        gauge("published_keys", "Strings that are read without a lock.", |at| at.0.keys.into()),
        gauge("published_index_bytes", "Bytes of the index of these.", |at| at.0.index_bytes.into()),
        gauge("retired_blocks", "Blocks that were replaced and may still be read.", |at| at.0.retired.into()),
        gauge("retired_bytes", "Bytes of these.", |at| at.0.retired_bytes.into()),
        counter(
            "retired_waits",
            "Changes that waited for readers, as too much was held back for them.",
            |at| at.0.waits.into(),
        ),
    ];
}
