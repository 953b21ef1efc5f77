//! What CLIENT LIST says of a client, and the filters of CLIENT LIST and CLIENT KILL.

use std::fmt::Write;
use std::sync::atomic::Ordering::Relaxed;

use rustredis_commands::Registry;
use rustredis_config::ClientClass;

use crate::clients::client::{Client, flags};

/// The class that a name stands for, as `TYPE` takes it; `None` if it is none. Nobody is of class master.
pub fn class_of_name(name: &[u8]) -> Option<Option<ClientClass>> {
    let names = [
        ("normal", Some(ClientClass::Normal)),
        ("slave", Some(ClientClass::Replica)),
        ("replica", Some(ClientClass::Replica)),
        ("pubsub", Some(ClientClass::PubSub)),
        ("master", None),
    ];
    names.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes())).map(|(_, class)| *class)
}

/// The class of a client.
pub fn class_of(client: &Client) -> ClientClass {
    match () {
        () if client.has_flag(flags::REPLICA) => ClientClass::Replica,
        () if client.has_flag(flags::PUBSUB) => ClientClass::PubSub,
        () => ClientClass::Normal,
    }
}

/// Which clients are meant; what is not set does not matter.
#[derive(Debug, Default)]
pub struct Filter {
    /// This client.
    pub id: Option<u64>,
    /// From this address.
    pub addr: Option<Vec<u8>>,
    /// Connected to this address of ours.
    pub laddr: Option<Vec<u8>>,
    /// Of this class; the inner `None` is the class of masters.
    pub class: Option<Option<ClientClass>>,
    /// Of this user.
    pub user: Option<Vec<u8>>,
    /// At least so old, in seconds.
    pub age_seconds_min: Option<u64>,
}

impl Filter {
    /// Whether the client is meant.
    pub fn has(&self, client: &Client, now_ms: u64) -> bool {
        let age_seconds = now_ms.saturating_sub(client.created_ms) / 1000;
        self.id.is_none_or(|id| client.id == id)
            && self.addr.as_ref().is_none_or(|addr| client.addr.as_bytes() == addr)
            && self.laddr.as_ref().is_none_or(|laddr| client.laddr.as_bytes() == laddr)
            && self.class.is_none_or(|class| class == Some(class_of(client)))
            && self.user.as_ref().is_none_or(|user| client.identity.lock().user == *user)
            && self.age_seconds_min.is_none_or(|min| age_seconds >= min)
    }
}

/// The letters of the client's flags; `N` if there is none.
fn flag_letters(client: &Client) -> String {
    let is_dirty = client.watch_flag.is_dirty.load(Relaxed) && client.watched.load(Relaxed) > 0;
    let letters = [
        (client.has_flag(flags::REPLICA), 'S'),
        (client.has_flag(flags::MONITOR), 'O'),
        (client.has_flag(flags::PUBSUB), 'P'),
        (client.has_flag(flags::MULTI), 'x'),
        (client.has_flag(flags::BLOCKED), 'b'),
        (client.has_flag(flags::TRACKING), 't'),
        (client.has_flag(flags::BROKEN_REDIRECT), 'R'),
        (client.has_flag(flags::BROADCAST), 'B'),
        (is_dirty, 'd'),
        (client.has_flag(flags::CLOSE_AFTER_REPLY), 'c'),
        (client.has_flag(flags::UNIX_SOCKET), 'U'),
        (client.has_flag(flags::READONLY), 'r'),
        (client.has_flag(flags::NO_EVICT), 'e'),
        (client.has_flag(flags::NO_TOUCH), 'T'),
    ];
    let text: String = letters.iter().filter(|(is_set, _)| *is_set).map(|(_, letter)| *letter).collect();
    if text.is_empty() { "N".to_owned() } else { text }
}

/// Appends the client's line. `argument_bytes` are those of the command that it runs. What Redis holds in a fixed buffer
/// and in a list is here one buffer (`obl`, `rbs`) and the mailbox (`oll`); `omem` is what the output limits look at.
pub fn describe(out: &mut String, registry: &Registry, client: &Client, now_ms: u64, argument_bytes: usize) {
    let load = |counter: &std::sync::atomic::AtomicUsize| counter.load(Relaxed);
    let (input, input_capacity) = (load(&client.input_bytes), load(&client.input_capacity));
    let (output, output_capacity) = (load(&client.output_bytes), load(&client.output_capacity));
    let queued_bytes = load(&client.queued_bytes);
    let pending = client.pending_bytes();
    let total = client.memory_bytes() + argument_bytes;
    let row = client.last_command.load(Relaxed);
    let command = registry.rows().get(row as usize).map_or("NULL", |row| row.full_name);
    let identity = client.identity.lock().clone();
    let redirect = if client.has_flag(flags::TRACKING) { client.redirect.load(Relaxed) as i64 } else { -1 };
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={} \
         qbuf={input} qbuf-free={} argv-mem={argument_bytes} multi-mem={queued_bytes} rbs={output_capacity} rbp={output} \
         obl={output} oll={} omem={pending} tot-mem={total} events={} cmd={command} user={} redir={redirect} resp={} lib-name={} \
         lib-ver={}",
        client.id,
        client.addr,
        client.laddr,
        client.fd,
        identity.name,
        now_ms.saturating_sub(client.created_ms) / 1000,
        now_ms.saturating_sub(client.active_ms.load(Relaxed)) / 1000,
        flag_letters(client),
        client.db.load(Relaxed),
        load(&client.subscriptions),
        load(&client.pattern_subscriptions),
        load(&client.shard_subscriptions),
        client.queued.load(Relaxed),
        input_capacity.saturating_sub(input),
        client.mail_count(),
        if output > 0 { "rw" } else { "r" },
        String::from_utf8_lossy(&identity.user),
        client.resp.load(Relaxed),
        identity.lib_name,
        identity.lib_ver,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(id: u64) -> Client {
        Client::new(id, format!("127.0.0.1:{id}"), "127.0.0.1:6379".into(), 8, 0, 10_000)
    }

    #[test]
    fn all_of_a_filter_must_hold() {
        let client = client(7);
        let check = |filter: Filter, expected: bool| {
            assert_eq!(filter.has(&client, 15_500), expected, "{filter:?}");
        };
        check(Filter::default(), true);
        check(Filter { id: Some(7), ..Filter::default() }, true);
        check(Filter { id: Some(8), ..Filter::default() }, false);
        check(Filter { addr: Some(b"127.0.0.1:7".to_vec()), ..Filter::default() }, true);
        check(Filter { id: Some(7), laddr: Some(b"x".to_vec()), ..Filter::default() }, false);
        check(Filter { class: Some(Some(ClientClass::Normal)), ..Filter::default() }, true);
        check(Filter { class: Some(None), ..Filter::default() }, false);
        check(Filter { user: Some(b"default".to_vec()), ..Filter::default() }, true);
        check(Filter { age_seconds_min: Some(5), ..Filter::default() }, true);
        check(Filter { age_seconds_min: Some(6), ..Filter::default() }, false);
    }

    #[test]
    fn flags_are_letters() {
        let client = client(1);
        assert_eq!(flag_letters(&client), "N");
        client.set_flag(flags::PUBSUB | flags::MULTI | flags::NO_TOUCH, true);
        assert_eq!(flag_letters(&client), "PxT");
    }

    #[test]
    fn classes_have_names() {
        assert_eq!(class_of_name(b"PubSub"), Some(Some(ClientClass::PubSub)));
        assert_eq!(class_of_name(b"slave"), class_of_name(b"replica"));
        assert_eq!(class_of_name(b"master"), Some(None));
        assert_eq!(class_of_name(b"mistress"), None);
    }
}
