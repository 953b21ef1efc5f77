//! Tables as text, raw figures as JSON, and medians.

use std::fmt::Write as _;
use std::time::SystemTime;

use crate::shell;

/// The median of at least one figure; of an even number, the mean of the middle two.
pub(super) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

/// The value below which this share (0.0 to 1.0) of the sorted figures lies.
pub(super) fn percentile(sorted: &[u64], share: f64) -> u64 {
    let index = (sorted.len() as f64 * share) as usize;
    sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or(0)
}

/// Prints rows in columns as wide as their widest cell; the first row is the head.
pub(super) fn print_table(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.len()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a String cannot fail.
            let _ = write!(line, "{cell:>width$}  ");
        }
        println!("{}", line.trim_end());
    }
}

/// A figure with its labels: one object of the JSON file.
pub(super) struct Figure {
    /// What it belongs to: server, test, pipeline and so on.
    pub(super) labels: Vec<(&'static str, String)>,
    /// What was measured; the name ends in the unit.
    pub(super) values: Vec<(&'static str, f64)>,
}

/// Writes the figures to `target/bench/<name>-<seconds>.json` and says where.
pub(super) fn save(name: &str, figures: &[Figure]) -> Result<(), String> {
    let directory = shell::target().join("bench");
    let seconds = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_secs());
    let path = directory.join(format!("{name}-{seconds}.json"));
    let written = std::fs::create_dir_all(&directory).and_then(|()| std::fs::write(&path, json(figures)));
    written.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    println!("\nraw figures: {}", path.display());
    Ok(())
}

fn json(figures: &[Figure]) -> String {
    let object = |figure: &Figure| {
        let labels =
            figure.labels.iter().map(|(name, text)| format!("\"{name}\": \"{}\"", text.replace('"', "'")));
        let values = figure.values.iter().map(|(name, value)| format!("\"{name}\": {value}"));
        format!("  {{{}}}", labels.chain(values).collect::<Vec<_>>().join(", "))
    };
    format!("[\n{}\n]\n", figures.iter().map(object).collect::<Vec<_>>().join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        let sorted: Vec<u64> = (1..=1_000).collect();
        assert_eq!(
            (percentile(&sorted, 0.5), percentile(&sorted, 0.999), percentile(&sorted, 1.0)),
            (501, 1_000, 1_000)
        );
        assert_eq!(percentile(&[], 0.5), 0);
    }

    #[test]
    fn figures_are_json() {
        let figures =
            [Figure { labels: vec![("server", "a".into())], values: vec![("rate", 1.5), ("count", 2.0)] }];
        assert_eq!(json(&figures), "[\n  {\"server\": \"a\", \"rate\": 1.5, \"count\": 2}\n]\n");
    }
}
