//! The order of the append-only file is the order of execution: whatever many clients did at once, replaying the file
//! gives what the live server held.

use rustredis_testkit::every_engine;

use crate::files::{
    ALWAYS, EVERYSEC, check_replay, contents, digest, load, settle, sync, wait_for_background,
};

/// Steps of each of the histories of a load.
const STEPS: usize = 1_200;

every_engine! {
    fn a_replay_gives_what_was_there(server: &Server)
        with ["--appendonly", "yes", "--appendfsync", "always", "--enable-debug-command", "yes"] {
        load(server, 1, STEPS, |_| {});
        check_replay(server, &ALWAYS);
    }

    /// The same with the shortest way to the file, and everything in memory moved meanwhile: snapshots and rewrites.
    fn a_replay_after_rewrites_gives_what_was_there(server: &Server)
        with ["--appendonly", "yes", "--appendfsync", "everysec", "--enable-debug-command", "yes"] {
        load(server, 2, STEPS, |server| {
            let mut client = server.client();
            for command in ["BGREWRITEAOF", "BGSAVE", "BGREWRITEAOF"] {
                let reply = client.line(command).to_string();
                assert!(reply.starts_with("+Background"), "{reply}");
                wait_for_background(server);
            }
        });
        check_replay(server, &EVERYSEC);
        // And once more when all is quiet: nothing but a base.
        server.client().line("BGREWRITEAOF");
        wait_for_background(server);
        check_replay(server, &EVERYSEC);
    }

    /// A base of commands instead of an RDB file says the same.
    fn a_base_of_commands_gives_what_was_there(server: &Server) with [
        "--appendonly", "yes", "--aof-use-rdb-preamble", "no", "--enable-debug-command", "yes",
    ] {
        load(server, 3, STEPS / 2, |server| {
            server.client().line("BGREWRITEAOF");
            wait_for_background(server);
        });
        check_replay(server, &EVERYSEC);
        server.client().line("BGREWRITEAOF");
        wait_for_background(server);
        check_replay(server, &EVERYSEC);
    }

    /// In place: an end in order, and the same server again.
    fn a_restart_gives_what_was_there(server: &Server) {
        let launch = rustredis_testkit::Launch::new(server.binary().clone()).arguments(&EVERYSEC);
        let mut server = launch.start();
        load(&server, 4, STEPS / 2, |_| {});
        for has_crashed in [false, true] {
            settle(&server);
            let (expected, held) = (digest(&server), contents(&server));
            if has_crashed {
                sync(&server);
                server.kill();
            } else {
                assert_eq!(server.stop().code, Some(0));
            }
            server.restart();
            contents(&server).assert_same(&held, "after and before the restart");
            assert_eq!(digest(&server), expected);
        }
    }
}
