//! One test, every engine.

use crate::{Binary, Launch, Replay, Server};

/// The engines that [`every_engine!`] writes a test for.
pub const ENGINES: [&str; 4] = ["mutex", "dashmap", "actor", "lockfree"];

/// The engines to test: `RUSTREDIS_ENGINES`, or all. Against a real redis-server (as `RUSTREDIS_BIN`), only the first.
pub fn engines() -> Vec<String> {
    let chosen: Vec<String> = match std::env::var("RUSTREDIS_ENGINES") {
        Ok(names) => {
            names.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
        }
        Err(_) => ENGINES.map(str::to_owned).to_vec(),
    };
    let is_redis = std::env::var_os("RUSTREDIS_BIN").is_some() && Binary::Rustredis(String::new()).is_redis();
    if is_redis { chosen.into_iter().take(1).collect() } else { chosen }
}

/// Tests, or whole files of them, whose servers are not compared with an append-only file, and why. A test of `tests`
/// fails if one of these is no more.
pub const NOT_REPLAYED: &[(&str, &str)] = &[
    ("acl::requirepass_is_the_default_users_password", "it changes its password"),
    ("aof", "its servers have files of their own"),
    ("check_tools", "files only"),
    ("crash", "its servers have files of their own"),
    ("damage", "its servers have files of their own"),
    ("faults", "its servers have files of their own"),
    ("linearize", "its servers are its own"),
    ("rdb_files", "its servers have files of their own"),
    ("client::a_password_is_asked_for", "it changes its password"),
    ("protocol::a_password_set_later_binds_new_connections", "it changes its password"),
    ("config::without_a_password_everybody_is_authenticated", "it changes its password"),
    ("dump::debug_must_be_enabled", "DEBUG is what it is about"),
    ("memory", "what waits to be written is memory too: how much is evicted would depend on the disk"),
    ("oracle", "it compares each history itself"),
];

/// How the test of this path (`families::file::test`) and engine is compared with an append-only file. On one engine of
/// three there is none, so that servers without one are tested as well; some are started again. Servers with files by
/// their options are what their tests are about, and left alone.
fn replay_of(path: &str, engine: &str, arguments: &[&str]) -> Replay {
    const PERSISTENCE: [&str; 4] = ["--appendonly", "--appendfsync", "--save", "--enable-debug-command"];
    let path = path.split_once("::").map_or(path, |(_, path)| path);
    let is_named = |(name, _): &(&str, &str)| {
        path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    if NOT_REPLAYED.iter().any(is_named) || arguments.iter().any(|argument| PERSISTENCE.contains(argument)) {
        return Replay::No;
    }
    // FNV-1a: a number that belongs to the name, on every machine.
    let hash = path.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let engine = ENGINES.iter().position(|name| *name == engine).unwrap_or_default() as u64;
    match (hash + engine) % 3 {
        0 => Replay::No,
        1 if hash % 2 == 0 => Replay::LoadingAndRestart,
        _ => Replay::Loading,
    }
}

/// Runs `body` against a fresh server with this engine, if it is one of [`engines`]. [`every_engine!`] calls it, with the
/// path of the test's module. What the server holds in the end is compared with its append-only file, if it has one by
/// [`NOT_REPLAYED`].
#[track_caller]
pub fn run_on_engine(path: &str, engine: &str, arguments: &[&str], body: fn(&Server)) {
    if !engines().iter().any(|name| name == engine) {
        eprintln!("left out: {engine} is not among the chosen engines");
        return;
    }
    let launch =
        Launch::new(Binary::Rustredis(engine.to_owned())).replayed(replay_of(path, engine, arguments));
    let server = launch.arguments(arguments).start();
    body(&server);
}

/// Writes each function as a module with one test per engine, each on a fresh server:
///
/// ```
/// rustredis_testkit::every_engine! {
///     /// What is set is there.
///     fn set_then_get(server: &Server) {
///         server.client().check("SET a 1", "+OK");
///     }
///
///     fn a_password_is_asked_for(server: &Server) with ["--requirepass", "secret"] {
///         server.client().check("GET a", "-NOAUTH Authentication required.");
///     }
/// }
/// # fn main() {}
/// ```
///
/// gives the tests `set_then_get::mutex`, `set_then_get::dashmap` and so on.
#[macro_export]
macro_rules! every_engine {
    ($(
        $(#[doc = $doc:literal])*
        fn $name:ident($server:ident: &Server) $(with [$($argument:expr),* $(,)?])? $body:block
    )+) => {$(
        $(#[doc = $doc])*
        #[cfg(test)]
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            fn body($server: &$crate::Server) $body

            const ARGUMENTS: &[&str] = &[$($($argument),*)?];

            #[test]
            fn mutex() {
                $crate::run_on_engine(module_path!(), "mutex", ARGUMENTS, body);
            }

            #[test]
            fn dashmap() {
                $crate::run_on_engine(module_path!(), "dashmap", ARGUMENTS, body);
            }

            #[test]
            fn actor() {
                $crate::run_on_engine(module_path!(), "actor", ARGUMENTS, body);
            }

            #[test]
            fn lockfree() {
                $crate::run_on_engine(module_path!(), "lockfree", ARGUMENTS, body);
            }
        }
    )+};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_tests_are_replayed_and_some_restarted() {
        let of = |path: &str| ENGINES.map(|engine| replay_of(path, engine, &[]));
        let all: Vec<Replay> =
            (0..30).flat_map(|number| of(&format!("families::lists::test_{number}"))).collect();
        let count = |replay: Replay| all.iter().filter(|of| **of == replay).count();
        // Each on some engine, and most on all others.
        let mut each = all.chunks(ENGINES.len());
        assert!(
            each.all(|engines| engines.contains(&Replay::No)) && count(Replay::No) <= all.len() * 2 / 5,
            "{all:?}"
        );
        assert!((5..25).contains(&count(Replay::LoadingAndRestart)), "{all:?}");
        assert_eq!(of("families::aof::any_test"), [Replay::No; ENGINES.len()]);
        assert_ne!(of("families::aof_like::any_test"), [Replay::No; ENGINES.len()]);
        assert_eq!(replay_of("families::lists::test", "mutex", &["--save", "1 1"]), Replay::No);
    }
}
