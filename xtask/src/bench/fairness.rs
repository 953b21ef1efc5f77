//! Who could be starved: the longest waits of those who need more than others, or what others have all the time.
//!
//! One writes a key that twenty read; one has a transaction over keys of hundreds of shards, which takes everything, while twenty have single
//! keys; four have transactions over keys of all threads, which on the actor engine are borrowed in turn. Each is measured on each engine
//! and on redis-server, where everybody is served in turn by one thread.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use rustredis_testkit::{Client, Command, ENGINES, Server};

use super::report::{self, Figure, percentile};
use super::subject::{self, Subject};
use crate::arguments::Arguments;
use crate::task_result::TaskResult;

/// How long each is measured.
const TIME: Duration = Duration::from_secs(5);
/// Clients that have single keys.
const OTHERS: usize = 20;
/// Keys of the transaction that takes everything: more shards than are locked one by one.
const EVERYTHING: usize = 300;
/// Keys of one that spans threads.
const SPANNING: usize = 8;

/// Somebody who may be starved, among others.
struct Case {
    name: &'static str,
    /// How many of them there are.
    clients: usize,
    step: fn(&mut Client),
    others: fn(&mut Client, usize),
}

const CASES: [Case; 3] = [
    Case {
        name: "SET of a key that 20 GET",
        clients: 1,
        step: |client| _ = client.line("SET hot value"),
        others: |client, _| _ = client.line("GET hot"),
    },
    Case {
        name: "MULTI over 300 keys beside 20 of one key",
        clients: 1,
        step: |client| transaction(client, EVERYTHING),
        others: |client, number| _ = client.line(&format!("INCR key:{}", number % EVERYTHING)),
    },
    Case {
        name: "4 with MULTI over 8 keys beside 20 of one key",
        clients: 4,
        step: |client| transaction(client, SPANNING),
        others: |client, number| _ = client.line(&format!("INCR key:{}", number % SPANNING)),
    },
];

fn transaction(client: &mut Client, keys: usize) {
    let increments = (0..keys).map(|key| Command::line(&format!("INCR key:{key}")));
    let commands: Vec<Command> = std::iter::once(Command::line("MULTI"))
        .chain(increments)
        .chain(std::iter::once(Command::line("EXEC")))
        .collect();
    client.pipeline(&commands);
}

/// Runs the measurement.
pub(super) fn run(arguments: &Arguments) -> TaskResult {
    let columns =
        ["server", "case", "requests", "p50 us", "p99 us", "max us", "others", "their p99", "their max"];
    let mut rows = vec![columns.map(str::to_owned).to_vec()];
    let mut figures = Vec::new();
    let binary = subject::binary(arguments)?;
    let engines =
        ENGINES.iter().filter(|engine| arguments.value("engine").is_none_or(|chosen| chosen == **engine));
    let redis = (!arguments.has("no-redis")).then_some(None);
    for engine in engines.map(Some).chain(redis) {
        for case in &CASES {
            let Subject { name, server } = match engine {
                Some(engine) => subject::start(arguments, &binary, Some(engine))?,
                None => subject::start_redis()?,
            };
            let (row, figure) = measure(&server, &name, case);
            println!("{}", row.join("  "));
            rows.push(row);
            figures.push(figure);
        }
    }
    println!();
    report::print_table(&rows);
    report::save("fairness", &figures)?;
    Ok(true)
}

fn measure(server: &Server, name: &str, case: &Case) -> (Vec<String>, Figure) {
    let is_over = AtomicBool::new(false);
    let (waits, others) = thread::scope(|scope| {
        let is_over = &is_over;
        let others: Vec<_> = (0..OTHERS)
            .map(|number| {
                scope.spawn(move || {
                    timed(server, is_over, |client, step| (case.others)(client, number + step))
                })
            })
            .collect();
        let clients: Vec<_> = (0..case.clients)
            .map(|_| scope.spawn(move || timed(server, is_over, |client, _| (case.step)(client))))
            .collect();
        thread::sleep(TIME);
        is_over.store(true, Relaxed);
        let all = |threads: Vec<thread::ScopedJoinHandle<'_, Vec<u64>>>| {
            let waits = threads.into_iter().flat_map(|thread| thread.join().expect("a client was answered"));
            let mut waits: Vec<u64> = waits.collect();
            waits.sort_unstable();
            waits
        };
        (all(clients), all(others))
    });
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| percentile(&waits, share));
    let [their_p99, their_max] = [0.99, 1.0].map(|share| percentile(&others, share));
    let row = [waits.len() as u64, p50, p99, max, others.len() as u64, their_p99, their_max];
    let row = [name.to_owned(), case.name.to_owned()].into_iter().chain(row.map(|number| number.to_string()));
    let values = [
        ("p50_us", p50),
        ("p99_us", p99),
        ("max_us", max),
        ("others_p99_us", their_p99),
        ("others_max_us", their_max),
    ];
    let figure = Figure {
        labels: vec![("server", name.to_owned()), ("case", case.name.to_owned())],
        values: values.map(|(name, value)| (name, value as f64)).to_vec(),
    };
    (row.collect(), figure)
}

/// How long each step took, in microseconds.
fn timed(server: &Server, is_over: &AtomicBool, mut step: impl FnMut(&mut Client, usize)) -> Vec<u64> {
    let mut client = server.client();
    let mut waits = Vec::new();
    while !is_over.load(Relaxed) {
        let started = Instant::now();
        step(&mut client, waits.len());
        waits.push(started.elapsed().as_micros() as u64);
    }
    waits
}
