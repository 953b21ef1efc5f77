//! Directives that ask for what this server does not do.
//!
//! A server that starts without the encryption or the primary that its file names is worse than none: it is plain, or
//! holds other data than its operator believes. So such a value is refused, at the start and by CONFIG SET,
//! unless `ignore-unsupported` says that this is known. A value that asks for nothing (the default, or what amounts to it)
//! is accepted, for files carry those.

use crate::directive::{Directive, Row};
use crate::value::Value;

/// Whether the value of a directive that is refused here asks for anything.
pub(crate) fn asks(row: &Row, value: &Value) -> bool {
    match value {
        // These compare bytes, as is done here.
        Value::Text(name) if row.id == Directive::LocaleCollate => {
            !["", "C", "POSIX"].iter().any(|known| name == known.as_bytes())
        }
        _ => *value != row.default_value(),
    }
}

#[cfg(test)]
mod tests {
    use crate::{Config, Source};

    fn check(text: &str, expected: Option<&str>) {
        let file = || Source::File("redis.conf".into());
        let error = Config::from_text(text.as_bytes(), file()).err().map(|error| error.to_string());
        match (&error, expected) {
            (None, None) => {}
            (Some(error), Some(expected)) => assert!(error.contains(expected), "{text}: {error}"),
            _ => panic!("{text}: {error:?}"),
        }
        if expected.is_some() {
            let text = format!("ignore-unsupported yes\n{text}");
            let config = Config::from_text(text.as_bytes(), file()).unwrap();
            assert_eq!(config.unsupported().len(), 1, "{text}");
        }
    }

    #[test]
    fn what_asks_for_something_is_refused() {
        for line in [
            "tls-port 6380",
            "tls-cert-file /a.pem",
            "tls-replication yes",
            "masterauth x",
            "masteruser x",
            "slaveof 1.2.3.4 6379",
            "cluster-enabled yes",
            "loadmodule /a.so",
            "activedefrag yes",
            "syslog-enabled yes",
            "locale-collate de_DE.UTF-8",
        ] {
            check(&format!("hz 5\n{line}\nport 1\n"), Some("at line 2 of redis.conf\n>>> '"));
        }
    }

    #[test]
    fn what_asks_for_nothing_is_accepted() {
        for line in [
            "tls-port 0",
            "tls-port 1\ntls-port 0",
            "tls-cert-file \"\"",
            "tls-session-caching no",
            "masterauth \"\"",
            "replicaof no one",
            "replicaof 1.2.3.4 5\nreplicaof no one",
            "cluster-enabled no\ncluster-node-timeout 5",
            "activedefrag no",
            "locale-collate C",
        ] {
            check(line, None);
        }
    }

    #[test]
    fn secrets_stay_out_of_the_error() {
        for line in ["masterauth hunter2", "tls-key-file-pass hunter2"] {
            let error = Config::from_text(line.as_bytes(), Source::StandardInput).unwrap_err().to_string();
            assert!(error.contains("(redacted)") && !error.contains("hunter2"), "{error}");
        }
    }
}
