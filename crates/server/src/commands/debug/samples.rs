//! DEBUG SAMPLES: what all subsystems tell, as it comes.

use rustredis_metrics::Sample;
use rustredis_resp::Reply;

use crate::start::samples::{Look, rows};
use crate::start::server::Server;

/// Answers each sample with its subsystem, name, labels, kind, value and meaning.
pub(super) fn reply_all(server: &Server, reply: &mut Reply<'_>) {
    let look = Look::new(server);
    let mut told = Vec::new();
    for row in rows() {
        let mut groups = Vec::new();
        look.tell(row.id, &mut groups);
        told.push((row.subsystem, groups));
    }
    let samples = told.iter().flat_map(|(subsystem, groups)| {
        groups.iter().flat_map(|group| group.samples()).map(|sample| (*subsystem, sample))
    });
    reply.array(samples.clone().count());
    samples.for_each(|(subsystem, sample)| write(subsystem, sample, reply));
}

fn write(subsystem: &str, sample: &Sample, reply: &mut Reply<'_>) {
    reply.array(6);
    reply.bulk(subsystem.as_bytes());
    reply.bulk(sample.field.name.as_bytes());
    reply.map(sample.labels.len());
    for label in &sample.labels {
        reply.bulk(label.name.as_bytes());
        reply.bulk(label.value.as_bytes());
    }
    reply.bulk(sample.field.kind.name().as_bytes());
    reply.bulk(sample.value.to_string().as_bytes());
    reply.bulk(sample.field.help.as_bytes());
}
