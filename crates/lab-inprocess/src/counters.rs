//! The processor's counters, as `perf stat` reads them of this process while figures count.
//!
//! Many virtual machines have none; then there are no figures, and the report says so. perf's own tool was preferred to its
//! system call: it knows what each processor calls its events, and needs no unsafe code here.

use std::process::{Child, Command, Stdio};

const EVENTS: &str = "cycles,instructions,cache-misses";

/// Begins to count for so long.
pub(crate) fn start(seconds: f64) -> Option<Child> {
    let mut command = Command::new("perf");
    command.args(["stat", "-x", ",", "-e", EVENTS, "-p", &std::process::id().to_string()]);
    command.args(["--", "sleep", &seconds.to_string()]);
    // A machine without perf has no counters.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().ok()
}

/// What was counted, by name.
pub(crate) fn read(child: Child) -> Vec<(String, f64)> {
    let Ok(output) = child.wait_with_output() else { return Vec::new() };
    parse(&String::from_utf8_lossy(&output.stderr))
}

/// Lines of `count,unit,event,...`; the count is `<not supported>` where there is none.
fn parse(text: &str) -> Vec<(String, f64)> {
    let line = |line: &str| {
        let mut fields = line.split(',');
        let (count, event) = (fields.next()?, fields.nth(1)?);
        let event = event.split(':').next()?.replace('-', "_");
        Some((format!("perf_{event}"), count.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_where_there_are_some() {
        let text = "1234,,cycles:u,1000,100.00,,\n<not supported>,,instructions,0,100.00,,\n56,,cache-misses,1,1,,\n";
        let expected = [("perf_cycles".to_owned(), 1234.0), ("perf_cache_misses".to_owned(), 56.0)];
        assert_eq!(parse(text), expected);
        assert!(parse("Error:\nNo permission\n").is_empty());
    }
}
