//! What may happen while the data set is loaded: nothing that enters it.

use std::path::Path;
use std::time::Duration;

use rustredis_testkit::{Client, Launch, Server, every_engine, wait_until};

const KEYS: usize = 150_000;
const LOADING: &str = "-LOADING Redis is loading the dataset in memory";
const ADMIN: [&str; 4] = ["--enable-debug-command", "yes", "--enable-protected-configs", "yes"];
const LIMIT: Duration = Duration::from_secs(60);

/// Writes an RDB file of some 40 MB in memory into a directory of the server's, and gives the directory.
fn filled(server: &Server) -> Server {
    let filled = Launch::new(server.binary().clone()).arguments(&["--enable-debug-command", "yes"]).start();
    let mut client = filled.client();
    client.check(&format!("DEBUG POPULATE {KEYS} key 200"), "+OK");
    client.check("SAVE", "+OK");
    filled
}

/// Starts in this directory, and does `beside` again and again while it loads; how often that was.
fn load(
    server: &Server,
    data: &Path,
    arguments: &[&str],
    mut beside: impl FnMut(&mut Client),
) -> (Server, usize) {
    let launch = Launch::new(server.binary().clone()).arguments(&ADMIN).arguments(arguments);
    let loading = launch.data(data).start_loading();
    let mut client = loading.client();
    let mut looks = 0;
    wait_until("the load to end", LIMIT, || {
        let is_loading = client.line("GET none").to_string() == LOADING;
        if is_loading {
            beside(&mut client);
            looks += 1;
        }
        !is_loading
    });
    (loading, looks)
}

every_engine! {
    /// The files decide what is there; the limit is kept by the first commands after the load.
    fn nothing_is_evicted_while_loading(server: &Server) {
        let filled = filled(server);
        for threads in ["1", "2"] {
            let arguments = ["--maxmemory", "20mb", "--maxmemory-policy", "allkeys-random", "--threads", threads];
            let (loaded, looks) = load(server, filled.directory(), &arguments, |client| {
                client.line("SET a 1");
                let info = client.line("INFO").text();
                assert!(info.contains("loading:0") || info.contains("evicted_keys:0"), "{info}");
                client.check("MULTI", "+OK");
                client.line("SET a 1");
                client.line("DISCARD");
            });
            assert!(looks > 0, "the load was over before anything happened");
            assert_eq!(loaded.info("rdb_last_load_keys_loaded"), Some(KEYS.to_string()));
            let mut client = loaded.client();
            wait_until("the limit to be kept", LIMIT, || {
                client.check("SET a 1", "+OK");
                loaded.info("used_memory").unwrap().parse::<usize>().unwrap() < 21 << 20
            });
        }
    }

    /// Where the files are cannot be changed, nor others begun, while they are read.
    fn the_files_are_fixed_while_loading(server: &Server) {
        let filled = filled(server);
        for threads in ["1", "2"] {
            let (loaded, looks) = load(server, filled.directory(), &["--threads", threads], |client| {
                for line in ["appendonly yes", "dir .", "maxmemory 1gb appendonly yes", "APPENDONLY no"] {
                    let reply = client.line(&format!("CONFIG SET {line}")).to_string();
                    // The load may end in between.
                    assert!(reply == LOADING || client.line("GET none").to_string() != LOADING, "{line}: {reply}");
                }
                client.line("BGSAVE");
                client.line("BGREWRITEAOF");
                client.check("CONFIG SET maxmemory 0", "+OK");
            });
            assert!(looks > 0, "the load was over before anything happened");
            loaded.client().check("DBSIZE", &format!("{KEYS}"));
        }
    }
}
