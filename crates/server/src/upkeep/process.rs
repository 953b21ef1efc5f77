//! What the process tells: what it runs on, and the processor time that it has taken.

use std::sync::OnceLock;

use rustredis_metrics::SampleValue;
use rustredis_metrics::rows::{Row, counter, fact, gauge};

use crate::clock::now_us;
use crate::upkeep::sampled::Sampled;

/// The process at a moment. But for the time it stays as it is.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    now_us: u64,
}

impl Process {
    /// Looks.
    pub fn now() -> Self {
        Self { now_us: now_us() }
    }

    /// What is told.
    pub const SAMPLES: &'static [Row<Self>] = &[
        fact("os", "Name, release and machine of the operating system.", |_| operating_system().into()),
        fact("arch_bits", "Bits of an address.", |_| usize::BITS.into()),
        fact("process_id", "The process's number.", |_| std::process::id().into()),
        fact("process_supervised", "Who supervises the process.", |_| "no".into()),
        gauge("server_time_usec", "The time, Unix microseconds.", |process| process.now_us.into()),
        fact("executable", "The program's path.", |_| executable().into()),
    ];
}

/// The path of the program, as it was started.
fn executable() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        std::env::current_exe().map_or_else(|_| String::new(), |path| path.display().to_string())
    })
}

/// Name, release and machine, as `uname` has them.
fn operating_system() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(look_up_operating_system)
}

fn look_up_operating_system() -> String {
    let line = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let (kind, release) = (line("/proc/sys/kernel/ostype"), line("/proc/sys/kernel/osrelease"));
    if kind.is_empty() {
        return format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
    }
    format!("{kind} {release} {}", std::env::consts::ARCH)
}

/// Processor time, in seconds.
#[derive(Clone, Copy, Debug, Default)]
struct Seconds {
    user: f64,
    system: f64,
}

/// The processor time that was taken until a moment.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    process: Seconds,
    children: Seconds,
    main_thread: Seconds,
}

impl Cpu {
    /// Looks.
    pub fn now() -> Self {
        static MAIN_THREAD: Sampled<Seconds> = Sampled::new();
        Self {
            process: usage(libc::RUSAGE_SELF),
            children: usage(libc::RUSAGE_CHILDREN),
            main_thread: MAIN_THREAD.get(|| main_thread().unwrap_or_default()),
        }
    }

    /// What is told.
    pub const SAMPLES: &'static [Row<Self>] = &[
        counter("used_cpu_sys", "Seconds of the kernel's work for this process.", |cpu| {
            SampleValue::Decimal(cpu.process.system, 6)
        }),
        counter("used_cpu_user", "Seconds of this process's own work.", |cpu| {
            SampleValue::Decimal(cpu.process.user, 6)
        }),
        counter(
            "used_cpu_sys_children",
            "Seconds of the kernel's work for processes that have ended.",
            |cpu| SampleValue::Decimal(cpu.children.system, 6),
        ),
        counter("used_cpu_user_children", "Seconds of the work of processes that have ended.", |cpu| {
            SampleValue::Decimal(cpu.children.user, 6)
        }),
        counter("used_cpu_sys_main_thread", "Seconds of the kernel's work for the main thread.", |cpu| {
            SampleValue::Decimal(cpu.main_thread.system, 6)
        }),
        counter("used_cpu_user_main_thread", "Seconds of the main thread's own work.", |cpu| {
            SampleValue::Decimal(cpu.main_thread.user, 6)
        }),
    ];
}

fn usage(who: libc::c_int) -> Seconds {
    // SAFETY: `usage` is plain data that the call fills in.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(who, &mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Seconds { user: seconds(usage.ru_utime), system: seconds(usage.ru_stime) }
}

/// Those of the main thread, as the kernel's ticks tell it.
fn main_thread() -> Option<Seconds> {
    let pid = std::process::id();
    let text = std::fs::read_to_string(format!("/proc/self/task/{pid}/stat")).ok()?;
    // The name, in parentheses, may contain anything; fields 14 and 15 of all are 11 and 12 behind it.
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    // SAFETY: `sysconf` reads a constant of the system.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as f64;
    let mut next = || fields.next()?.parse::<f64>().ok().map(|count| count / ticks);
    Some(Seconds { user: next()?, system: next()? })
}
