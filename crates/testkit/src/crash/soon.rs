//! Keys that expire soon, after a crash: gone when their time is over, there until then, and with the time they had.

use std::time::Instant;

use super::model::CLOCK_SLACK_MS;
use super::step::{Role, Trace};
use crate::contents::{Content, Contents, quoted};

/// Looks at the keys that connection `connection` wrote in this round. The contents were read between two times, in Unix
/// milliseconds.
pub(super) fn check(
    connection: usize,
    trace: &Trace,
    limit: Instant,
    end_ms: i64,
    recovered: &Contents,
    read_ms: (i64, i64),
) -> Vec<String> {
    let required = trace.required(limit);
    let mut violations = Vec::new();
    for (index, step) in trace.steps.iter().enumerate().filter(|(_, step)| step.role == Role::Soon) {
        let arguments = &step.commands[0].arguments;
        let ttl_ms: i64 = String::from_utf8_lossy(step.element()).parse().unwrap_or(0);
        let least = step.sent_at_ms + ttl_ms - CLOCK_SLACK_MS;
        let most = step.ack.as_ref().map_or(end_ms, |ack| ack.at_ms) + ttl_ms + CLOCK_SLACK_MS;
        let key = quoted(&arguments[1]);
        match recovered.get(0, &arguments[1]) {
            None if index < required && least > read_ms.1 => {
                violations.push(format!("{key} is gone, though it had {} ms to live", least - read_ms.1));
            }
            None => {}
            Some(held) if held.content != Content::Text(arguments[2].clone()) => {
                violations.push(format!("{key} is {held}, which was never sent"));
            }
            Some(held) => match held.expires_at_ms {
                Some(time) if (least..=most).contains(&time) && time > read_ms.0 - CLOCK_SLACK_MS => {}
                time => violations.push(format!("{key} expires at {time:?}, not in {least}..={most}")),
            },
        }
    }
    violations.into_iter().map(|violation| format!("connection {connection}: {violation}")).collect()
}
