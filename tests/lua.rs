//! What the tests of scripts share: running a text, tables of texts with their replies, and servers that are soon busy.

use rustredis_testkit::{Client, Command, DEADLINE_DEFAULT, Launch, Replay, Reply, Server, wait_until};

/// How often something is done: more often where RUSTREDIS_LONG is set.
pub(crate) fn often(short: usize, long: usize) -> usize {
    if std::env::var_os("RUSTREDIS_LONG").is_some() { long } else { short }
}

/// A script that never ends.
pub(crate) const ENDLESS: &str = "while true do end";

/// Runs a script without keys.
#[track_caller]
pub(crate) fn eval(client: &mut Client, text: &str) -> Reply {
    client.call(&["EVAL", text, "0"])
}

/// Runs a script with these keys and arguments.
#[track_caller]
pub(crate) fn eval_with(client: &mut Client, text: &str, keys: &[&str], arguments: &[&str]) -> Reply {
    let count = keys.len().to_string();
    client.call(&[&["EVAL", text, &count][..], keys, arguments].concat())
}

/// The reply's notation. An error that a script or a function raised says where it was, and that becomes a line's number:
/// `-ERR x script: <name>, on @user_script:3.` is `-ERR x @3`.
#[track_caller]
pub(crate) fn said(reply: &Reply) -> String {
    let text = reply.to_string();
    let Some((error, place)) = text.rsplit_once(" script: ").filter(|_| reply.is_error()) else {
        return text;
    };
    let name_and_line = place.strip_suffix('.').and_then(|place| place.rsplit_once(':'));
    let Some((name, line)) = name_and_line else { panic!("no place: {text}") };
    match name.split_once(", on @") {
        Some((name, "user_script")) => {
            assert!(name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit()), "{text}");
        }
        Some((_, "user_function")) => {}
        _ => panic!("neither a script nor a function: {text}"),
    }
    format!("{error} @{line}")
}

/// Runs each text and compares what was [`said`]. All that differ are told.
#[track_caller]
pub(crate) fn check_all(client: &mut Client, rows: &[(&str, &str)]) {
    let differing: Vec<String> = rows
        .iter()
        .filter_map(|(text, expected)| {
            let reply = said(&eval(client, text));
            (reply != *expected).then(|| format!("{text}\n  expected: {expected}\n  got:      {reply}"))
        })
        .collect();
    assert!(differing.is_empty(), "{} of {} differ:\n{}", differing.len(), rows.len(), differing.join("\n"));
}

/// After whatever a script tried, the server answers, and what scripts share is as it was.
#[track_caller]
pub(crate) fn check_untouched(client: &mut Client) {
    let text = "local ok = pcall(function() return nosuch end) \
        return {redis.call('echo', ('x'):rep(2)), ('%d'):format(7), tostring(ok), table.concat({1, 2}), cjson.encode({1}), math.huge == 1/0, #KEYS}";
    assert_eq!(eval(client, text).to_string(), "[\"xx\", \"7\", \"false\", \"12\", \"[1]\", 1, 0]");
}

/// A server of the same kind with these arguments and so many threads, which the test may end. It is compared with its
/// append-only file when it is dropped.
#[track_caller]
pub(crate) fn another(server: &Server, threads: &str, arguments: &[&str]) -> Server {
    let launch = Launch::new(server.binary().clone()).replayed(Replay::Loading);
    launch.arguments(arguments).arguments(&["--threads", threads]).start()
}

/// Runs the test with one thread and with two, on servers that tell that they are busy after so many milliseconds.
pub(crate) fn busy_after(server: &Server, threshold_ms: &str, body: impl Fn(&mut Server)) {
    for threads in ["1", "2"] {
        body(&mut another(server, threads, &["--busy-reply-threshold", threshold_ms]));
    }
}

/// As [`busy_after`] the shortest time.
pub(crate) fn soon_busy(server: &Server, body: impl Fn(&mut Server)) {
    busy_after(server, "1", body);
}

/// True if a script keeps the server busy for longer than it may.
pub(crate) fn is_busy(server: &Server) -> bool {
    server.client().line("PING").to_string().starts_with("-BUSY ")
}

/// Sends the command and waits until it keeps the server busy. It has not been answered when this returns.
#[track_caller]
pub(crate) fn run_away<A: AsRef<[u8]>>(server: &Server, client: &mut Client, arguments: &[A]) {
    client.send(arguments);
    let what = format!("{} to keep the server busy", Command::new(arguments));
    wait_until(&what, DEADLINE_DEFAULT, || is_busy(server));
}

/// Waits until no script keeps the server busy.
#[track_caller]
pub(crate) fn wait_until_free(server: &Server) {
    wait_until("the server to be free", DEADLINE_DEFAULT, || !is_busy(server));
}
