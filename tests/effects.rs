//! A command that changes nothing leaves nothing behind: not in the journal, not in that of the next command.

use rustredis_testkit::{Launch, every_engine};

use crate::files::{ALWAYS, contents};

/// Commands that find nothing to do, or are refused, beside keys of every type: `s`, `l`, `h`, `z`, `u`.
const NOTHING_DONE: &[&str] = &[
    "HGETDEL h FIELDS 1 nosuch",
    "HGETDEL h FIELDS 2 nosuch nosuch",
    "HGETDEL nosuch FIELDS 1 f",
    "HGETEX h FIELDS 1 f",
    "HGETEX h EX 100 FIELDS 1 nosuch",
    "HGETEX h PERSIST FIELDS 1 f",
    "HGETEX h EXAT 1 FIELDS 1 nosuch",
    "HSETEX h FNX EX 5 FIELDS 1 f v",
    "HSETEX h FXX EX 5 FIELDS 1 nosuch v",
    "HPEXPIRE h 100 NX FIELDS 1 nosuch",
    "HEXPIREAT h 1 XX FIELDS 1 f",
    "HPERSIST h FIELDS 1 f",
    "HINCRBYFLOAT h f 1",
    "HINCRBYFLOAT s f 1",
    "HDEL h nosuch",
    "INCRBYFLOAT s 1",
    "GETDEL nosuch",
    "GETDEL l",
    "GETEX nosuch EX 5",
    "GETEX s PERSIST",
    "GETEX l EX 5",
    "GETSET l v",
    "SET s v NX EX 5",
    "SET nosuch v XX PX 5",
    "SET l v GET EX 5",
    "SET s v IFEQ other EX 5",
    "SET s v IFNE text GET",
    "SET s v IFDEQ zzzzzzzzzzzzzzzz KEEPTTL",
    "SET nosuch v IFEQ v PX 5",
    "SET l v IFNE v EX 5",
    "DELEX s IFNE text",
    "DELEX s IFDEQ 1",
    "DELEX l IFEQ a",
    "DELEX nosuch",
    "DELIFEQ s other",
    "DELIFEQ l a",
    "MSETEX 2 nosuch 1 s 1 NX EX 5",
    "MSETEX 2 s 1 nosuch 1 XX KEEPTTL",
    "INCREX s EX 5",
    "INCREX nosuch BYINT 5 UBOUND 1 EX 5",
    "INCREX nosuch EXAT 1",
    "INCREX nosuch BYFLOAT 5 UBOUND 1.5 PERSIST",
    "EXPIRE nosuch 5",
    "EXPIRE s 5 XX",
    "PEXPIREAT s 1 XX",
    "LPOP l 0",
    "LMPOP 1 nosuch LEFT",
    "LMPOP 1 s LEFT",
    "LTRIM l 0 -1",
    "LMOVE nosuch l LEFT LEFT",
    "BLMOVE l s LEFT LEFT 0",
    "LMOVEM l l LEFT LEFT COUNT 1 BULK",
    "LMOVEM l nosuch LEFT LEFT EXACTLY 2 OBO",
    "LMOVEM nosuch l LEFT LEFT COUNT 2 OBO",
    "LMOVEM l s LEFT LEFT",
    "HSETEX h NX FIELDS 1 f v",
    "HSETEX nosuch XX EX 5 FIELDS 1 f v",
    "SPOP u 0",
    "SPOP nosuch",
    "SPOP s",
    "ZPOPMIN z 0",
    "ZMPOP 1 nosuch MIN",
    "ZADD z XX CH 1 nosuch",
    "BITFIELD s GET u8 0",
    "RESTORE s 0 x",
    "RESTORE nosuch 5 x",
];

every_engine! {
    fn what_changes_nothing_is_not_journalled(server: &Server) {
        // Effects are collected for each thread: with one, every client could inherit those of any other.
        let launch = Launch::new(server.binary().clone()).arguments(&ALWAYS).arguments(&["--threads", "1"]);
        let mut server = launch.start();
        for line in ["SET s text", "RPUSH l a", "HSET h f text", "ZADD z 1 a", "SADD u a"] {
            server.client().line(line);
        }
        let (mut client, mut other) = (server.client(), server.client());
        for (number, line) in NOTHING_DONE.iter().enumerate() {
            client.line(line);
            other.check(&format!("SET after:{number} v"), "+OK");
        }
        let before = contents(&server);
        assert_eq!(before.keys.len(), 5 + NOTHING_DONE.len());
        server.kill();
        server.restart();
        contents(&server).assert_same(&before, "keys after and before the restart");
    }
}
