//! Append-only files that are torn, damaged, incomplete or in the wrong place. A torn end is cut away, with a line in the
//! log that says how much; everything else is an error that names the file and the place and leaves the file as it was.

use std::fs;
use std::path::{Path, PathBuf};

use rustredis_testkit::{Command, Directory, Launch, Random, Server, every_engine};

use crate::files::{ALWAYS, aof_directory, contents, names, newest_increment, refusal, second, sync};

/// A directory whose newest increment ends in commands of several kinds, and the places where they begin and end.
struct Sample {
    directory: Directory,
    increment: PathBuf,
    bytes: Vec<u8>,
    /// Where a whole command, or a whole transaction, ends; the last is the file's length.
    ends: Vec<usize>,
}

impl Sample {
    fn new(server: &Server) -> Self {
        let mut live = Launch::new(server.binary().clone()).arguments(&ALWAYS).start();
        let mut client = live.client();
        let increment = newest_increment(&aof_directory(&live));
        let mut ends = Vec::new();
        let lines = [
            "SET first 1",
            "RPUSH list a b c",
            "SET binary \"\\x00\\r\\n*3\\r\\n$3\\r\\n\"",
            "HSET hash f v",
        ];
        for line in lines {
            assert!(!client.line(line).is_error());
            sync_size(&live, &increment, &mut ends);
        }
        client.pipeline(&["MULTI", "SET one 1", "SET two 2", "EXEC"].map(Command::line));
        sync_size(&live, &increment, &mut ends);
        client.line("SET last 9");
        sync_size(&live, &increment, &mut ends);
        live.kill();
        let directory = Directory::copy_of(live.directory());
        let increment = newest_increment(&directory.path().join("appendonlydir"));
        let bytes = fs::read(&increment).unwrap();
        assert_eq!(ends.last(), Some(&bytes.len()));
        Self { directory, increment, bytes, ends }
    }

    /// A copy of the directory whose increment holds these bytes.
    fn with(&self, bytes: &[u8]) -> (Directory, PathBuf) {
        let copy = Directory::copy_of(self.directory.path());
        let increment = copy.path().join("appendonlydir").join(self.increment.file_name().unwrap());
        fs::write(&increment, bytes).unwrap();
        (copy, increment)
    }

    fn name(&self) -> String {
        self.increment.file_name().unwrap().to_string_lossy().into_owned()
    }
}

fn sync_size(server: &Server, increment: &Path, ends: &mut Vec<usize>) {
    // With always, what was acknowledged is in the file.
    let _ = server;
    ends.push(fs::metadata(increment).unwrap().len() as usize);
}

/// True if a number stands in the text as a word of its own.
fn has_number(text: &str, number: usize) -> bool {
    text.split(|byte: char| !byte.is_ascii_digit()).any(|word| word == number.to_string())
}

every_engine! {
    /// Cut anywhere after the first command, the file gives what it holds wholly, and is cut there.
    fn a_torn_end_is_cut_away(server: &Server) {
        let sample = Sample::new(server);
        let mut random = Random::new(5);
        let mut cuts: Vec<usize> = (0..8).map(|_| sample.ends[0] + random.below(sample.bytes.len() - sample.ends[0])).collect();
        // In the middle of the transaction, before its EXEC, and one byte before the end.
        let transaction = sample.ends[3]..sample.ends[4];
        cuts.extend([transaction.start + 3, transaction.end - 1, transaction.end - 14, sample.bytes.len() - 1]);
        for cut in cuts {
            let (copy, increment) = sample.with(&sample.bytes[..cut]);
            let kept = sample.ends.iter().copied().rfind(|end| *end <= cut).unwrap();
            let torn = second(server, copy.path(), &ALWAYS);
            let held = contents(&torn);
            let whole = sample.ends.iter().filter(|end| **end <= cut).count();
            let expected: usize = [1, 1, 1, 1, 2, 1][..whole].iter().sum();
            assert_eq!(held.keys.len(), expected, "cut at {cut}: {held:?}");
            if server.is_redis() && transaction.contains(&cut) {
                // Redis leaves the transaction's whole commands in the file, behind a MULTI without an end.
                continue;
            }
            assert_eq!(fs::metadata(&increment).unwrap().len() as usize, kept, "cut at {cut}");
            assert_eq!(fs::read(&increment).unwrap(), sample.bytes[..kept]);
            if kept < cut {
                let log = torn.log();
                assert!(log.contains(&sample.name()) && has_number(&log, kept), "cut at {cut}, {kept} in:\n{log}");
                if !server.is_redis() {
                    assert!(has_number(&log, cut - kept), "how much was cut, {}, in:\n{log}", cut - kept);
                }
            }
            // And it goes on from there.
            torn.client().check("SET after 1", "+OK");
            sync(&torn);
            assert!(fs::read(&increment).unwrap().starts_with(&sample.bytes[..kept]));
        }
    }

    /// Unless that is unwanted.
    fn a_torn_end_can_be_fatal(server: &Server) {
        let sample = Sample::new(server);
        let cut = sample.bytes.len() - 5;
        let (copy, increment) = sample.with(&sample.bytes[..cut]);
        let arguments = [&ALWAYS[..], &["--aof-load-truncated", "no"]].concat();
        let log = refusal(server.binary(), copy.path(), &arguments);
        assert!(log.contains(&sample.name()), "{log}");
        if !server.is_redis() {
            assert!(has_number(&log, sample.ends[4]), "{log}");
        }
        assert_eq!(fs::read(&increment).unwrap(), sample.bytes[..cut]);
        second(server, copy.path(), &ALWAYS).client().check("EXISTS one last", "1");
    }

    /// Damage in the middle is not taken for a torn end, whatever it is.
    fn damage_in_the_middle_is_fatal(server: &Server) {
        let sample = Sample::new(server);
        let start = sample.ends[0];
        let replaced = |at: usize, length: usize, with: &[u8]| {
            [&sample.bytes[..at], with, &sample.bytes[at + length..]].concat()
        };
        // *4\r\n$5\r\nRPUSH...
        let damages = [
            ("the count's mark", replaced(start, 1, b"x"), start),
            ("the count", replaced(start + 1, 1, b"z"), start),
            ("no arguments", replaced(start + 1, 1, b"0"), start),
            ("a negative count", replaced(start + 1, 1, b"-7"), start),
            ("the length's mark", replaced(start + 4, 1, b"x"), start),
            ("a length that promises everything", replaced(start + 5, 1, b"99999999999999"), start),
            ("a negative length", replaced(start + 5, 1, b"-1"), start),
            ("the line's end after an argument", replaced(start + 13, 2, b"xx"), start),
            ("an unknown command", replaced(start + 8, 5, b"NOSUC"), start),
            ("text between commands", replaced(start, 0, b"hello\r\n"), start),
            ("a shorter length", replaced(start + 5, 1, b"4"), start),
        ];
        for (what, bytes, place) in damages {
            if server.is_redis() && (what.contains("promises") || what.contains("line's end")) {
                // Redis cuts away all that follows the former, and does not look at the latter.
                continue;
            }
            println!("{what}");
            let (copy, increment) = sample.with(&bytes);
            let log = refusal(server.binary(), copy.path(), &ALWAYS);
            if !server.is_redis() {
                assert!(log.contains(&sample.name()), "{what}: no file in\n{log}");
                // Where the command begins, or the place in it.
                let is_named = (place..place + 16).any(|offset| has_number(&log, offset));
                assert!(is_named, "{what}: no offset from {place} on in\n{log}");
            }
            assert_eq!(fs::read(&increment).unwrap(), bytes, "{what}: the file was changed");
        }
    }

    /// Only the last file of a manifest may be torn.
    fn a_torn_file_before_the_last_is_fatal(server: &Server) {
        let sample = Sample::new(server);
        let (copy, increment) = sample.with(&sample.bytes[..sample.bytes.len() - 4]);
        let directory = copy.path().join("appendonlydir");
        let next = "appendonly.aof.2.incr.aof";
        fs::copy(&sample.increment, directory.join(next)).unwrap();
        let manifest = directory.join("appendonly.aof.manifest");
        let text = fs::read_to_string(&manifest).unwrap() + &format!("file {next} seq 2 type i\n");
        fs::write(&manifest, text).unwrap();
        let log = refusal(server.binary(), copy.path(), &ALWAYS);
        assert!(log.contains(&sample.name()), "{log}");
        // Redis cuts it first and fails afterwards.
        if !server.is_redis() {
            assert_eq!(fs::metadata(&increment).unwrap().len() as usize, sample.bytes.len() - 4);
        }
    }

    /// A file is the last one as long as nothing was written behind it: killed while a rewrite begins, a server leaves a torn file and the
    /// next one, which is empty.
    fn a_torn_file_before_empty_ones_is_cut_away(server: &Server) {
        if server.is_redis() {
            // It cuts the file, fails, and starts the next time.
            return;
        }
        let sample = Sample::new(server);
        let (copy, increment) = sample.with(&sample.bytes[..sample.bytes.len() - 4]);
        let directory = copy.path().join("appendonlydir");
        let manifest = directory.join("appendonly.aof.manifest");
        let mut text = fs::read_to_string(&manifest).unwrap();
        for sequence in [2, 3] {
            let next = format!("appendonly.aof.{sequence}.incr.aof");
            fs::write(directory.join(&next), "").unwrap();
            text += &format!("file {next} seq {sequence} type i\n");
        }
        fs::write(&manifest, text).unwrap();
        let refuses = [&ALWAYS[..], &["--aof-load-truncated", "no"]].concat();
        assert!(refusal(server.binary(), copy.path(), &refuses).contains(&sample.name()));
        let torn = second(server, copy.path(), &ALWAYS);
        assert!(torn.log().contains("Truncated the append only file"), "{}", torn.log());
        let mut client = torn.client();
        client.check("EXISTS one last", "1");
        client.check("SET after 1", "+OK");
        assert_eq!(fs::metadata(&increment).unwrap().len() as usize, sample.ends[4]);
        drop(torn);
        second(server, copy.path(), &ALWAYS).client().check("EXISTS one last after", "2");
    }

    fn a_missing_file_is_named(server: &Server) {
        let sample = Sample::new(server);
        for name in [sample.name(), "appendonly.aof.1.base.rdb".to_owned()] {
            let (copy, _) = sample.with(&sample.bytes);
            let directory = copy.path().join("appendonlydir");
            fs::remove_file(directory.join(&name)).unwrap();
            let left = names(&directory);
            let log = refusal(server.binary(), copy.path(), &ALWAYS);
            assert!(log.contains(&name), "{log}");
            assert_eq!(names(&directory), left, "nothing was made in its place");
        }
    }

    fn a_broken_manifest_is_fatal(server: &Server) {
        let sample = Sample::new(server);
        let line = format!("file {} seq 1 type i\n", sample.name());
        for text in [
            "", "nonsense\n", "file\n", "file a seq x type i\n", "file a seq 1 type z\n", "file ../../etc/passwd seq 1 type i\n",
            &line[..line.len() - 1], &format!("{line}{line}"), &format!("{line}file {} seq 2 type b\nfile x seq 3 type b\n", sample.name()),
            &format!("file appendonly.aof.9.incr.aof seq 9 type i\n{line}"), "file a b c d e seq 1 type i\n",
        ] {
            let (copy, increment) = sample.with(&sample.bytes);
            let manifest = copy.path().join("appendonlydir/appendonly.aof.manifest");
            fs::write(&manifest, text).unwrap();
            let log = refusal(server.binary(), copy.path(), &ALWAYS);
            if !server.is_redis() {
                assert!(log.contains("manifest") || log.contains("appendonly.aof"), "{text:?}: {log}");
            }
            assert_eq!(fs::read_to_string(&manifest).unwrap(), text);
            assert_eq!(fs::read(&increment).unwrap(), sample.bytes);
        }
    }

    /// A base that is damaged, or cut, is no start either.
    fn a_damaged_base_is_fatal(server: &Server) {
        let mut live = Launch::new(server.binary().clone()).arguments(&ALWAYS).start();
        live.client().check("SET key value", "+OK");
        live.client().line("BGREWRITEAOF");
        crate::files::wait_for_background(&live);
        live.kill();
        let base = "appendonlydir/appendonly.aof.2.base.rdb";
        let bytes = fs::read(live.directory().join(base)).unwrap();
        let mut flipped = bytes.clone();
        let at = bytes.windows(5).position(|window| window == b"value").expect("the value");
        flipped[at] ^= 1;
        for damaged in [&flipped[..], &bytes[..bytes.len() - 9], &bytes[..at], b"REDIS9999", b""] {
            if server.is_redis() && damaged.is_empty() {
                // Redis takes it for a file without a command.
                continue;
            }
            let copy = Directory::copy_of(live.directory());
            fs::write(copy.path().join(base), damaged).unwrap();
            let log = refusal(server.binary(), copy.path(), &ALWAYS);
            if !server.is_redis() {
                assert!(log.contains("appendonly.aof.2.base.rdb"), "{log}");
            }
            assert_eq!(fs::read(copy.path().join(base)).unwrap(), damaged);
        }
    }

    /// Places where nothing can be written: an error at the start, not a server that keeps nothing.
    fn a_place_that_cannot_be_written_is_an_error(server: &Server) {
        // Even root cannot make a directory in /sys.
        let log = refusal(server.binary(), Path::new("/sys"), &ALWAYS);
        assert!(log.contains("appendonlydir"), "{log}");
        let directory = Directory::new();
        fs::write(directory.path().join("appendonlydir"), "a file").unwrap();
        let log = refusal(server.binary(), directory.path(), &ALWAYS);
        assert!(log.contains("appendonlydir"), "{log}");
        assert_eq!(fs::read(directory.path().join("appendonlydir")).unwrap(), b"a file");
        let log = refusal(server.binary(), Path::new("/no/such/directory"), &ALWAYS);
        assert!(log.contains("/no/such/directory"), "{log}");
    }
}
