//! The tools that check files, on files that a real redis-server wrote and that are then damaged in every way, beside
//! Debian's redis-check-aof and redis-check-rdb.
//!
//! The tools are run under the names of Redis's, as links to the binary, which is what Redis's own are too.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustredis_testkit::{Binary, Launch, Server};

/// The tool of one of the two, to be run in a directory of its own.
struct Tool {
    program: PathBuf,
    arguments: Vec<String>,
    directory: PathBuf,
}

impl Tool {
    /// Ours, under a name of Redis's.
    fn ours(name: &str, directory: &Path) -> Self {
        let link = directory.join(name);
        if !link.exists() {
            std::os::unix::fs::symlink(Binary::Rustredis("mutex".to_owned()).path(), &link)
                .expect("the directory is ours");
        }
        Self { program: link, arguments: vec![], directory: directory.to_owned() }
    }

    /// Ours, as a subcommand.
    fn subcommand(name: &str, directory: &Path) -> Self {
        let program = Binary::Rustredis("mutex".to_owned()).path();
        Self { program, arguments: vec![name.to_owned()], directory: directory.to_owned() }
    }

    /// Debian's.
    fn redis(name: &str, directory: &Path) -> Self {
        Self { program: PathBuf::from(name), arguments: vec![], directory: directory.to_owned() }
    }

    /// The exit code and all output.
    fn run(&self, arguments: &[&str], answer: &str) -> (i32, String) {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .args(arguments)
            .current_dir(&self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", self.program.display()));
        // It need not wait for the answer.
        let _ = child.stdin.take().expect("it is piped").write_all(answer.as_bytes());
        let Output { status, stdout, stderr } = child.wait_with_output().expect("it runs");
        let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        (status.code().unwrap_or_else(|| panic!("a signal ended it: {text}")), text)
    }

    #[track_caller]
    fn check(&self, arguments: &[&str], code: i32, expected: &str) {
        let (found, text) = self.run(arguments, "");
        assert!(found == code && text.contains(expected), "{arguments:?} ended with {found}:\n{text}");
    }
}

/// A real server with an AOF (and an RDB file) of all types, whose files do not change any more.
fn redis(arguments: &[&str]) -> Server {
    let always = ["--appendonly", "yes", "--appendfsync", "always", "--aof-timestamp-enabled", "yes"];
    let server = Launch::new(Binary::Redis).arguments(&always).arguments(arguments).start();
    let mut client = server.client();
    client.check("SELECT 3", "+OK");
    for line in [
        "SET text some-text",
        "SET expiring 1 PX 100000000",
        "RPUSH list a b c",
        "SADD set 1 2 three",
        "ZADD zset 1 a 2.5 b",
        "HSET hash f v",
        "MULTI",
        "SET in-multi 1",
        "INCR in-multi",
        "EXEC",
        "DEL set",
    ] {
        assert!(!client.line(line).is_error(), "{line}");
    }
    client.check("SAVE", "+OK");
    server
}

fn file(server: &Server, name: &str) -> Vec<u8> {
    fs::read(server.directory().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

const INCREMENT: &str = "appendonlydir/appendonly.aof.1.incr.aof";
const MANIFEST: &str = "appendonlydir/appendonly.aof.manifest";

#[test]
fn what_redis_wrote_is_valid() {
    for preamble in ["yes", "no"] {
        let server = redis(&["--aof-use-rdb-preamble", preamble]);
        let directory = server.directory();
        for tool in [Tool::ours("redis-check-aof", directory), Tool::subcommand("check-aof", directory)] {
            tool.check(&[MANIFEST], 0, "valid");
            tool.check(&[INCREMENT], 0, "valid");
            let (code, text) = tool.run(&["--fix", MANIFEST], "y\n");
            assert_eq!(code, 0, "{text}");
        }
        for tool in [Tool::ours("redis-check-rdb", directory), Tool::subcommand("check-rdb", directory)] {
            tool.check(&["dump.rdb"], 0, "6 keys read");
            tool.check(&["dump.rdb"], 0, "1 expires");
        }
        // An AOF of one file, with an RDB part and without.
        let old = [file(&server, "dump.rdb"), file(&server, INCREMENT)].concat();
        fs::write(directory.join("old.aof"), old).unwrap();
        fs::write(directory.join("empty.aof"), "").unwrap();
        let tool = Tool::ours("redis-check-aof", directory);
        tool.check(&["old.aof"], 0, "6 keys read");
        tool.check(&["empty.aof"], 0, "empty");
    }
}

/// Wherever the file is cut, ours keeps what Debian's tool keeps.
#[test]
fn a_torn_tail_is_cut_where_redis_cuts_it() {
    let server = redis(&[]);
    let directory = server.directory();
    let whole = file(&server, INCREMENT);
    let (ours, theirs) =
        (Tool::ours("redis-check-aof", directory), Tool::redis("redis-check-aof", directory));
    let mut lengths = std::collections::BTreeSet::new();
    for end in (1..whole.len()).step_by(2) {
        for name in ["ours.aof", "theirs.aof"] {
            fs::write(directory.join(name), &whole[..end]).unwrap();
        }
        let code = ours.run(&["ours.aof"], "").0;
        assert_eq!(file(&server, "ours.aof"), &whole[..end], "a look changes nothing");
        let (fixed, text) = ours.run(&["--fix", "ours.aof"], "y\n");
        let kept = file(&server, "ours.aof").len();
        assert_eq!((code, fixed), (i32::from(kept < end), 0), "{end}: {text}");
        assert_eq!(theirs.run(&["--fix", "theirs.aof"], "y\n").0, 0);
        let their_kept = file(&server, "theirs.aof").len();
        // Redis keeps the half of a timestamp, and what it appends then becomes part of that line.
        assert!(
            kept == their_kept || whole[kept] == b'#' && !whole[kept..end].contains(&b'\n'),
            "{end}: {text}"
        );
        lengths.insert(kept);
    }
    assert!(lengths.len() >= 10, "{lengths:?}");
}

/// Whatever Debian's tool finds, ours finds, and keeps no more. (It finds more: Redis lets leading zeros pass.)
#[test]
fn damage_is_found_where_redis_finds_it() {
    let server = redis(&[]);
    let directory = server.directory();
    let whole = file(&server, INCREMENT);
    let (ours, theirs) =
        (Tool::ours("redis-check-aof", directory), Tool::redis("redis-check-aof", directory));
    let mut found = 0;
    for place in (0..whole.len()).step_by(2) {
        let mut damaged = whole.clone();
        damaged[place] ^= [1, 0x10, 0x80, 0x3a][place / 2 % 4];
        for name in ["ours.aof", "theirs.aof"] {
            fs::write(directory.join(name), &damaged).unwrap();
        }
        let (code, text) = ours.run(&["--fix", "ours.aof"], "n\n");
        assert_eq!(file(&server, "ours.aof"), damaged, "without consent nothing is changed");
        let (their_code, their_text) = theirs.run(&["--fix", "theirs.aof"], "n\n");
        assert!(code >= their_code, "{place}: {text}{their_text}");
        if their_code == 1 {
            found += 1;
            assert_eq!(ours.run(&["--fix", "ours.aof"], "y\n").0, 0);
            assert_eq!(theirs.run(&["--fix", "theirs.aof"], "y\n").0, 0);
            let (kept, their) = (file(&server, "ours.aof"), file(&server, "theirs.aof"));
            assert!(kept.len() <= their.len() && their.starts_with(&kept), "{place}: {text}{their_text}");
            if !kept.is_empty() {
                theirs.check(&["ours.aof"], 0, "valid");
            }
        }
    }
    assert!(found > 50, "{found}");
}

#[test]
fn only_the_last_file_is_cut() {
    let server = redis(&["--aof-use-rdb-preamble", "no"]);
    let directory = server.directory();
    let tool = Tool::ours("redis-check-aof", directory);
    let whole = file(&server, INCREMENT);
    let torn = &whole[..whole.len() - 1];
    let aof = |name: &str, bytes: &[u8]| fs::write(directory.join(name), bytes).unwrap();
    aof("1.aof", torn);
    aof("2.aof", &whole);
    aof("m.manifest", b"file 1.aof seq 1 type b\nfile 2.aof seq 1 type i\nfile gone.aof seq 1 type h\n");
    tool.check(&["m.manifest"], 1, "1.aof is not valid");
    let (code, text) = tool.run(&["--fix", "m.manifest"], "y\n");
    assert!(code == 1 && text.contains("not the last"), "{text}");
    assert_eq!(file(&server, "1.aof"), torn);
    aof("1.aof", &whole);
    aof("2.aof", torn);
    tool.check(&["m.manifest"], 1, "2.aof is not valid");
    assert_eq!(tool.run(&["--fix", "m.manifest"], "y\n").0, 0);
    assert!(whole.starts_with(&file(&server, "2.aof")) && file(&server, "2.aof").len() < torn.len());
    tool.check(&["m.manifest"], 0, "valid");
    // A file is the last one as long as nothing was written behind it.
    aof("2.aof", torn);
    aof("3.aof", b"");
    aof("m.manifest", b"file 1.aof seq 1 type b\nfile 2.aof seq 1 type i\nfile 3.aof seq 2 type i\n");
    assert_eq!(tool.run(&["--fix", "m.manifest"], "y\n").0, 0);
    tool.check(&["m.manifest"], 0, "valid");
    // The RDB part is never cut.
    let rdb = file(&server, "dump.rdb");
    aof("2.aof", &rdb[..rdb.len() - 9]);
    assert_eq!(tool.run(&["--fix", "m.manifest"], "y\n").0, 1);
    assert_eq!(file(&server, "2.aof").len(), rdb.len() - 9);
    fs::remove_file(directory.join("1.aof")).unwrap();
    tool.check(&["m.manifest"], 1, "1.aof");
    aof("m.manifest", b"file 1.aof seq 1 type b\nfile 2.aof seq 0 type i\n");
    tool.check(&["m.manifest"], 1, "line 2");
}

#[test]
fn an_aof_can_be_cut_at_a_time() {
    let server = redis(&[]);
    let directory = server.directory();
    let (ours, theirs) =
        (Tool::ours("redis-check-aof", directory), Tool::redis("redis-check-aof", directory));
    let times =
        b"#TS:1000\r\n*1\r\n$4\r\nPING\r\n#TS:2000\r\n*1\r\n$4\r\nPING\r\n#TS:3000\r\n*1\r\n$4\r\nPING\r\n";
    for limit in ["999", "1000", "1999", "2000", "2500", "3000", "4000", "soon"] {
        for name in ["ours.aof", "theirs.aof"] {
            fs::write(directory.join(name), times).unwrap();
        }
        let arguments = ["--truncate-to-timestamp", limit];
        let (code, text) = ours.run(&[&arguments[..], &["ours.aof"]].concat(), "");
        let their_code = theirs.run(&[&arguments[..], &["theirs.aof"]].concat(), "").0;
        assert_eq!(code, their_code, "{limit}: {text}");
        assert_eq!(file(&server, "ours.aof"), file(&server, "theirs.aof"), "{limit}");
    }
}

#[test]
fn a_damaged_rdb_file_is_not_valid() {
    let server = redis(&[]);
    let directory = server.directory();
    let tool = Tool::ours("redis-check-rdb", directory);
    let whole = file(&server, "dump.rdb");
    let check = |bytes: &[u8], expected: &str| {
        fs::write(directory.join("damaged.rdb"), bytes).unwrap();
        tool.check(&["damaged.rdb"], 1, expected);
    };
    for place in (0..whole.len()).step_by(3) {
        check(&whole[..place], "RDB");
        let mut damaged = whole.clone();
        damaged[place] ^= 0x10;
        check(&damaged, "RDB");
    }
    check(b"REDIS9999", "9999");
    tool.check(&["none.rdb"], 1, "No such file");
    tool.check(&[], 1, "Usage");
    tool.check(&["--help"], 0, "Usage");
    Tool::ours("redis-check-aof", directory).check(&["."], 1, "directory");
    Tool::ours("redis-check-aof", directory).check(&["a", "b"], 1, "Usage");
}
