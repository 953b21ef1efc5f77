//! What replicas tell.

use std::sync::atomic::Ordering::Relaxed;

use rustredis_metrics::SampleField;
use rustredis_metrics::rows::{Family, Row, Thing, counter, gauge};

use super::{Replica, Replicas, Stage};

/// The replicas at a moment.
pub struct ReplicasNow {
    things: Vec<Told>,
    full_syncs: u64,
    sent_bytes: u64,
    buffer_bytes: usize,
    waiting_bytes: usize,
}

/// One of them.
struct Told {
    address: String,
    port: u16,
    stage: Stage,
    acknowledged: u64,
    lag_seconds: u64,
}

impl ReplicasNow {
    /// Looks, at `now_ms`.
    pub fn of(replicas: &Replicas, now_ms: u64) -> Self {
        let all = replicas.all();
        Self {
            things: all.iter().map(|replica| Told::of(replica, now_ms)).collect(),
            full_syncs: replicas.full_syncs.load(Relaxed),
            sent_bytes: replicas.sent_bytes.load(Relaxed)
                + all.iter().map(|replica| replica.client.sent.load(Relaxed)).sum::<u64>(),
            buffer_bytes: all.iter().map(|replica| replica.client.memory_bytes()).sum(),
            waiting_bytes: replicas.waiting_bytes(),
        }
    }

    /// What is told.
    pub const SAMPLES: &'static [Row<Self>] = &[
        gauge("connected_slaves", "Replicas that are connected.", |at| at.things.len().into()),
        Row::Family(Family {
            prefix: "slave",
            labels: &["replica"],
            fields: &[
                SampleField::fact("ip", "Its address."),
                SampleField::fact("port", "Where it listens; 0 if it has not said."),
                SampleField::fact("state", "wait_bgsave, send_bulk or online."),
                SampleField::gauge("offset", "Bytes of its stream that it has said to have got."),
                SampleField::gauge("lag", "Seconds since it has said something, or came online."),
            ],
            things: |at| at.things.iter().enumerate().map(|(index, told)| told.thing(index)).collect(),
        }),
        counter("total_net_repl_output_bytes", "Bytes to replicas.", |at| at.sent_bytes.into()),
        counter("sync_full", "Replicas that were sent all data.", |at| at.full_syncs.into()),
        gauge("mem_total_replication_buffers", "Bytes of history, and of what waits for replicas.", |at| {
            at.waiting_bytes.into()
        }),
        gauge("mem_clients_slaves", "Bytes of replicas' buffers.", |at| at.buffer_bytes.into()),
    ];
}

impl Told {
    fn of(replica: &Replica, now_ms: u64) -> Self {
        let (address, port) = replica.address();
        Self {
            address: address.to_owned(),
            port,
            stage: replica.stage(),
            acknowledged: replica.acknowledged(),
            lag_seconds: replica.lag_seconds(now_ms),
        }
    }

    fn thing(&self, index: usize) -> Thing {
        let lag_seconds = if self.stage == Stage::Online { self.lag_seconds } else { 0 };
        let values = [
            self.address.clone().into(),
            u64::from(self.port).into(),
            self.stage.name().into(),
            self.acknowledged.into(),
            lag_seconds.into(),
        ];
        Thing::new(index.to_string(), values)
    }
}
