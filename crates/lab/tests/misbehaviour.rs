//! The load generator against servers of known behaviour, made of threads: one that swallows a reply, answers another key's
//! value or a shorter one, stalls, or takes a known time for each request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use rustredis_lab::load::value::value;
use rustredis_lab::load::{self, Figures, Generator, Load, Mix, Pace, Spread, remote};

const VALUE_BYTES: usize = 64;
const STALL: Duration = Duration::from_millis(200);
const STALL_EVERY: Duration = Duration::from_secs(2);
/// When the first stall begins, after the first request.
const STALL_FIRST: Duration = Duration::from_secs(1);

type Behaviour = dyn Fn(usize, &[Vec<u8>]) -> Option<Vec<u8>> + Send + Sync;

/// Serves for the rest of the process: the behaviour is asked with the number of the request and its words.
fn fake(behaviour: impl Fn(usize, &[Vec<u8>]) -> Option<Vec<u8>> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let (behaviour, count): (Arc<Behaviour>, _) = (Arc::new(behaviour), Arc::new(AtomicUsize::new(0)));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (behaviour, count) = (behaviour.clone(), count.clone());
            // The end of a connection is an error here.
            std::thread::spawn(move || drop(serve(stream, &*behaviour, &count)));
        }
    });
    address
}

fn serve(mut stream: TcpStream, behaviour: &Behaviour, count: &AtomicUsize) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let words = (0..number(&mut reader)?).map(|_| {
            let mut word = vec![0; number(&mut reader)? + 2];
            reader.read_exact(&mut word)?;
            word.truncate(word.len() - 2);
            Ok(word)
        });
        let words = words.collect::<std::io::Result<Vec<Vec<u8>>>>()?;
        if let Some(reply) = behaviour(count.fetch_add(1, Relaxed), &words) {
            stream.write_all(&reply)?;
        }
    }
}

/// The number of a `*` or `$` line.
fn number(reader: &mut impl BufRead) -> std::io::Result<usize> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let number = line.get(1..).and_then(|line| line.trim().parse().ok());
    number.ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
}

fn bulk(bytes: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// The right reply to GET.
fn got(words: &[Vec<u8>], key_step: u64, bytes: usize) -> Option<Vec<u8>> {
    let key = std::str::from_utf8(&words[1]).expect("keys are text").trim_start_matches("key:");
    Some(bulk(&value(key.parse::<u64>().expect("a number") + key_step, VALUE_BYTES)[..bytes]))
}

fn load_on(address: SocketAddr, mix: &str, pace: Pace) -> Load {
    Load {
        address,
        clients: 4,
        threads: 1,
        pipeline: 1,
        pace,
        mix: Mix::parse(mix, &[VALUE_BYTES]).expect("a mix"),
        keys: 1_000,
        spread: Spread::Uniform,
        seed: 1,
        patience: Duration::from_secs(1),
        generator: Generator::default(),
    }
}

fn drive(load: &Load, time: Duration) -> Figures {
    load::run(load, "measured", &AtomicBool::new(false), |conductor| {
        conductor.wait(time);
    })
    .expect("the server accepts")
}

const LOST: &str = "a request was not answered within 1.0 s, while others were";

#[test]
fn a_swallowed_reply_is_found_while_others_are_answered() {
    for pace in [Pace::Closed, Pace::Open(1_000.0)] {
        let address = fake(|number, words| (number != 200).then(|| got(words, 0, VALUE_BYTES)).flatten());
        let figures = drive(&load_on(address, "1 GET {key}", pace), Duration::from_secs(20));
        assert_eq!(figures.fault.as_deref(), Some(LOST), "{pace:?}");
        assert!(figures.phases[0].requests > 500, "others were answered: {}", figures.phases[0].requests);
    }
}

/// Replies that say nothing of their request, pipelined: each answers the request before, and the last one has none. The
/// run is shorter than the deadline.
#[test]
fn a_swallowed_reply_is_found_at_the_end_of_a_short_run() {
    let address = fake(|number, _| (number != 50).then(|| b":1\r\n".to_vec()));
    let load = Load { pipeline: 16, ..load_on(address, "1 INCR {key}", Pace::Open(500.0)) };
    let figures = drive(&load, Duration::from_millis(400));
    assert!(figures.fault.is_some(), "{figures:?}");
    assert!(figures.in_flight >= 1 && figures.unfinished >= 1);
}

#[test]
fn another_keys_value_and_a_shorter_one_are_wrong() {
    for (key_step, bytes) in [(1, VALUE_BYTES), (0, VALUE_BYTES - 1), (0, 3)] {
        let address = fake(move |number, words| match number {
            100 => got(words, key_step, bytes),
            _ => got(words, 0, VALUE_BYTES),
        });
        let figures = drive(&load_on(address, "1 GET {key}", Pace::Closed), Duration::from_millis(500));
        assert_eq!(figures.fault, None);
        assert_eq!(figures.phases[0].errors, 1, "{key_step} {bytes}: {:?}", figures.error_texts);
        let text = figures.error_texts.keys().next().unwrap();
        assert!(text.starts_with("wrong reply") && text.contains("is not the value of key"), "{text}");
    }
    // Whole and the key's own, but of a length that nobody wrote.
    let address = fake(|_, words| {
        let key = String::from_utf8_lossy(&words[1]).trim_start_matches("key:").parse().expect("a number");
        Some(bulk(&value(key, 32)))
    });
    let figures = drive(&load_on(address, "1 GET {key}", Pace::Closed), Duration::from_millis(50));
    assert!(figures.phases[0].requests == 0 && figures.phases[0].errors > 0);
}

#[test]
fn what_is_under_way_at_the_end_is_counted_and_waited_for() {
    let address = fake(|_, _| {
        std::thread::sleep(Duration::from_millis(300));
        Some(b":1\r\n".to_vec())
    });
    let load = load_on(address, "1 INCR {key}", Pace::Closed);
    let figures = drive(&load, Duration::from_millis(100));
    assert_eq!((figures.fault.as_deref(), figures.in_flight, figures.phases[0].requests), (None, 4, 0));
    // In an open loop they are latencies as well, and none is shorter than the server takes.
    let figures = drive(&load_on(address, "1 INCR {key}", Pace::Open(40.0)), Duration::from_millis(100));
    let phase = &figures.phases[0];
    assert_eq!(phase.latency.len(), figures.in_flight + figures.unfinished);
    assert!(figures.in_flight > 0 && phase.latency.max() >= 300_000_000, "{figures:?}");
}

#[test]
fn late_sending_is_told() {
    let address = fake(|_, _| Some(b":1\r\n".to_vec()));
    let easy = drive(&load_on(address, "1 INCR {key}", Pace::Open(200.0)), Duration::from_millis(500));
    let sent = easy.phases[0].requests + easy.in_flight + easy.unfinished;
    assert_eq!(easy.phases[0].late.len(), sent);
    // More than a thread can send.
    let load = Load { pipeline: 100_000, ..load_on(address, "1 INCR {key}", Pace::Open(50e6)) };
    let hard = drive(&load, Duration::from_millis(300));
    assert!(hard.phases[0].late_share() > 0.9, "{}", hard.phases[0].late_share());
    assert!(hard.phases[0].late_share() > easy.phases[0].late_share());
}

/// The latency of each request of a schedule, were the server to answer at once but while it stalls; nanoseconds.
fn stalled_latencies(load: &Load, time: Duration) -> Vec<f64> {
    let due: Vec<u64> = load
        .arrivals(0, 1)
        .expect("the loop is open")
        .take_while(|due| u128::from(*due) < time.as_nanos())
        .collect();
    let (first, every) = (due[0] + STALL_FIRST.as_nanos() as u64, STALL_EVERY.as_nanos() as u64);
    let latency = |due: u64| {
        let into = due.checked_sub(first).map_or(u64::MAX, |since| since % every);
        (STALL.as_nanos() as u64).saturating_sub(into) as f64
    };
    due.into_iter().map(latency).collect()
}

fn quantile_ms(mut values: Vec<f64>, quantile: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() as f64 * quantile).ceil() as usize).clamp(1, values.len()) - 1] / 1e6
}

/// A tenth of the time is stalled, so the hundredth request waits for 9/10 of a stall, and the thousandth for 99/100.
#[test]
fn the_schedule_shows_a_stall_of_200_ms_in_its_tail() {
    let mut p99s = 0.0;
    for seed in 0..20 {
        let load = Load { seed, ..load_on("127.0.0.1:1".parse().unwrap(), "1 PING", Pace::Open(1_000.0)) };
        let latencies = stalled_latencies(&load, Duration::from_secs(40));
        p99s += quantile_ms(latencies.clone(), 0.99) / 20.0;
        let p999 = quantile_ms(latencies, 0.999);
        assert!((196.5..200.0).contains(&p999), "{p999}");
    }
    assert!((179.0..181.0).contains(&p99s), "{p99s}");
}

/// How a thread that wants to wake every millisecond does while a test runs: whether the machine is quiet enough for the
/// times of a test to be its own.
struct Metronome {
    is_over: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<(u32, u32)>,
}

impl Metronome {
    fn start() -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let flag = is_over.clone();
        let thread = std::thread::spawn(move || {
            let (mut late, mut all) = (0, 0);
            while !flag.load(Relaxed) {
                let before = Instant::now();
                std::thread::sleep(Duration::from_millis(1));
                late += u32::from(before.elapsed() > Duration::from_millis(3));
                all += 1;
            }
            (late, all)
        });
        Self { is_over, thread }
    }

    fn was_quiet(self) -> bool {
        self.is_over.store(true, Relaxed);
        let (late, all) = self.thread.join().expect("it only sleeps");
        late * 500 < all
    }
}

/// Whether the times stand: those of a busy machine are only long, and a second attempt may find it quiet.
fn attempt(run: impl Fn() -> Result<(), String>, is_long_enough: impl Fn() -> bool) {
    for _ in 0..2 {
        let metronome = Metronome::start();
        let result = run();
        let was_quiet = metronome.was_quiet();
        assert!(is_long_enough(), "{result:?}");
        match result {
            Ok(()) => return,
            Err(reason) => assert!(!was_quiet, "{reason}"),
        }
    }
    println!("the machine was too busy to tell how much too long the times are");
}

/// The same in a run of 20 s: an open loop shows the stall where a closed one would lose four requests in it.
#[test]
fn a_stall_of_200_ms_every_2_s_shows_in_full() {
    let (p99, p999) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let run = || {
        let started = Arc::new(OnceLock::new());
        let address = fake(move |_, words| {
            let since = started.get_or_init(Instant::now).elapsed();
            if let Some(since) = since.checked_sub(STALL_FIRST) {
                let into = Duration::from_nanos((since.as_nanos() % STALL_EVERY.as_nanos()) as u64);
                std::thread::sleep(STALL.saturating_sub(into));
            }
            got(words, 0, VALUE_BYTES)
        });
        let load = Load { pipeline: 64, seed: 5, ..load_on(address, "1 GET {key}", Pace::Open(1_000.0)) };
        let time = Duration::from_secs(20);
        let figures = drive(&load, time);
        let phase = &figures.phases[0];
        assert_eq!((figures.fault.as_deref(), phase.errors), (None, 0), "{:?}", figures.error_texts);
        let us = |quantile: f64| (phase.latency.value_at_quantile(quantile) / 1_000) as usize;
        p99.store(us(0.99), Relaxed);
        p999.store(us(0.999), Relaxed);
        let expected = stalled_latencies(&load, time);
        let told = format!(
            "p50 {} us, p99 {} us, p99.9 {} us; by the schedule p99 {:.1} ms, p99.9 {:.1} ms",
            us(0.5),
            us(0.99),
            us(0.999),
            quantile_ms(expected.clone(), 0.99),
            quantile_ms(expected, 0.999)
        );
        println!("{told}");
        let is_right = us(0.99) <= 190_000 && us(0.999) <= 210_000;
        is_right.then_some(()).ok_or(told)
    };
    attempt(run, || p99.load(Relaxed) >= 180_000 && p999.load(Relaxed) >= 198_000);
}

const SERVICE: Duration = Duration::from_millis(20);

/// A single server that takes 20 ms for each request, at 60% of what it can do: latencies are the queue's, which the
/// schedule determines request by request.
#[test]
fn a_known_service_time_gives_the_right_percentiles() {
    let is_long_enough = AtomicBool::new(true);
    let run = || {
        let free = Mutex::new(Instant::now());
        let address = fake(move |_, words| {
            let done = {
                let mut free = free.lock().expect("no request panics");
                *free = (*free).max(Instant::now()) + SERVICE;
                *free
            };
            std::thread::sleep(done.saturating_duration_since(Instant::now()));
            got(words, 0, VALUE_BYTES)
        });
        // More connections than requests wait at a time: none waits in the generator.
        let load = Load { clients: 32, ..load_on(address, "1 GET {key}", Pace::Open(30.0)) };
        let time = Duration::from_secs(10);
        let figures = drive(&load, time);
        let phase = &figures.phases[0];
        let mut free = 0;
        let due = load.arrivals(0, 1).unwrap().take_while(|due| u128::from(*due) < time.as_nanos());
        let expected: Vec<f64> = due
            .map(|due| {
                free = due.max(free) + SERVICE.as_nanos() as u64;
                (free - due) as f64
            })
            .collect();
        assert!(phase.latency.len().abs_diff(expected.len() as u64) <= 2, "{}", phase.latency.len());
        let mut result = Ok(());
        for quantile in [0.25, 0.5, 0.9, 0.99] {
            let measured = phase.latency.value_at_quantile(quantile) as f64 / 1e6;
            let expected = quantile_ms(expected.clone(), quantile);
            let told = format!("{quantile}: {measured:.1} ms, by the schedule {expected:.1} ms");
            println!("{told}");
            is_long_enough.fetch_and(measured >= expected * 0.98, Relaxed);
            // What the machine adds on the way there and back, and the histogram's hundredth.
            if measured > expected * 1.01 + 3.0 {
                result = Err(told);
            }
        }
        result
    };
    attempt(run, || is_long_enough.load(Relaxed));
}

/// A generator in another process would be one behind a socket: here it is one behind a socket in a thread.
fn far_generator() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || remote::serve_on(&listener, &AtomicBool::new(false)));
    address
}

#[test]
fn a_generator_elsewhere_gives_the_same_figures() {
    let address = fake(|_, words| got(words, 0, VALUE_BYTES));
    let mut load = load_on(address, "1 GET {key}", Pace::Open(1_000.0));
    load.generator.address = Some(far_generator());
    let figures = load::run(&load, "warm-up", &AtomicBool::new(false), |conductor| {
        conductor.wait(Duration::from_millis(200));
        conductor.phase("measured");
        conductor.wait(Duration::from_millis(500));
    })
    .unwrap();
    assert_eq!(figures.fault, None);
    let names: Vec<&str> = figures.phases.iter().map(|phase| phase.name.as_str()).collect();
    assert_eq!(names, ["warm-up", "measured"]);
    let measured = figures.phase("measured").unwrap();
    assert!((0.4..2.0).contains(&measured.seconds), "{}", measured.seconds);
    let due = load.arrivals(0, 1).unwrap();
    let end = ((measured.start + measured.seconds) * 1e9) as u64;
    let sent = figures.phases.iter().map(|phase| phase.late.len()).sum::<u64>();
    assert!(due.take_while(|due| *due < end).count().abs_diff(sent as usize) <= 200, "{sent}");
    assert_eq!(measured.errors, 0);
    assert!(measured.requests > 100 && measured.latency.len() >= measured.requests);
}

#[test]
fn a_generator_elsewhere_says_what_is_wrong() {
    let wrong = fake(|_, _| Some(b"hello\r\n".to_vec()));
    let generator = far_generator();
    let mut load = load_on(wrong, "1 GET {key}", Pace::Closed);
    load.generator.address = Some(generator);
    // The run is over long before its script would be.
    let figures = drive(&load, Duration::from_secs(60));
    assert!(figures.fault.unwrap().starts_with("the server sent what is not RESP"));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    load.address = closed;
    let refused = load::run(&load, "x", &AtomicBool::new(false), |_| {}).unwrap_err();
    assert!(refused.starts_with(&format!("the generator at {generator}: connection 0 of 4")), "{refused}");
    load.generator.address = Some(closed);
    assert!(load::run(&load, "x", &AtomicBool::new(false), |_| {}).is_err());
}
