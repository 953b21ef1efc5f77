//! What the figures were measured on.

use std::fs;
use std::io::Write;
use std::time::Instant;

use crate::stats;
use crate::target::first_line;

/// Probes of the disk.
const FSYNCS: usize = 20;

/// The machine, line by line: a name and what it is.
pub fn describe() -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let mut add = |name: &str, value: Option<String>| {
        lines.extend(value.filter(|value| !value.is_empty()).map(|value| (name.to_owned(), value)));
    };
    add("processor", field("/proc/cpuinfo", "model name"));
    add("cores", std::thread::available_parallelism().ok().map(|cores| cores.to_string()));
    add(
        "virtual",
        field("/proc/cpuinfo", "flags")
            .filter(|flags| flags.contains("hypervisor"))
            .map(|_| "yes".to_owned()),
    );
    add("memory", field("/proc/meminfo", "MemTotal"));
    add("system", first_line("uname", &["-sr"]));
    add("governor", read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"));
    add("load before", read("/proc/loadavg"));
    add("fsync of 100 bytes, median", fsync_ms().map(|ms| format!("{ms:.2} ms")));
    add("rustc", first_line("rustc", &["--version"]));
    add("commit", first_line("git", &["-C", env!("CARGO_MANIFEST_DIR"), "log", "-1", "--format=%h %cs"]));
    lines
}

/// Processor seconds that the machine has been busy since it started, over all cores, with those that its host took away.
pub fn busy_seconds() -> f64 {
    // cpu user nice system idle iowait irq softirq steal ..., in hundredths of a second
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<f64> = text
        .lines()
        .next()
        .map(|line| line.split_whitespace().skip(1).take(8).filter_map(|field| field.parse().ok()).collect())
        .unwrap_or_default();
    let busy = |index: &usize| fields.get(*index).copied().unwrap_or(0.0);
    [0, 1, 2, 5, 6, 7].iter().map(busy).sum::<f64>() / 100.0
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}

/// What an fsync costs where the servers' directories are.
fn fsync_ms() -> Option<f64> {
    let path = std::env::temp_dir().join(format!("rustredis-lab-fsync-{}", std::process::id()));
    let measured = (|| {
        let mut file = fs::File::create(&path).ok()?;
        let mut times = Vec::new();
        for _ in 0..FSYNCS {
            let started = Instant::now();
            file.write_all(&[b'x'; 100]).ok()?;
            file.sync_data().ok()?;
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
        Some(stats::median(&times))
    })();
    // A file that was never made cannot be removed.
    let _ = fs::remove_file(&path);
    measured
}
