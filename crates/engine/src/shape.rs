//! What an engine tells of itself. Where its threads wait for each other is told by its contention.

use rustredis_metrics::rows::{Row, fact};

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
