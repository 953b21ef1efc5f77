//! One test, every engine.

use std::time::{Duration, Instant};

use crate::launch::POLL_INTERVAL;
use crate::{Binary, Launch, Server};

/// The engines that [`every_engine!`] writes a test for.
pub const ENGINES: [&str; 3] = ["mutex", "dashmap", "actor"];

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

/// Runs `body` against a fresh server with this engine, if it is one of [`engines`]. [`every_engine!`] calls it.
#[track_caller]
pub fn run_on_engine(engine: &str, arguments: &[&str], body: fn(&Server)) {
    if !engines().iter().any(|name| name == engine) {
        eprintln!("left out: {engine} is not among the chosen engines");
        return;
    }
    let server = Launch::new(Binary::Rustredis(engine.to_owned())).arguments(arguments).start();
    body(&server);
}

/// Waits until `condition` holds; panics, naming what was waited for, if it does not within `limit`.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + limit;
    while !condition() {
        assert!(Instant::now() < end, "waited {limit:?} for {what}");
        std::thread::sleep(POLL_INTERVAL);
    }
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
                $crate::run_on_engine("mutex", ARGUMENTS, body);
            }

            #[test]
            fn dashmap() {
                $crate::run_on_engine("dashmap", ARGUMENTS, body);
            }

            #[test]
            fn actor() {
                $crate::run_on_engine("actor", ARGUMENTS, body);
            }
        }
    )+};
}
