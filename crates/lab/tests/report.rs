//! The committed sample report: its numbers recomputed from its raw data, and its page opened in a browser.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustredis_lab::cell::TrialEnd;
use rustredis_lab::claims::Verdict;
use rustredis_lab::compare;
use rustredis_lab::data::Data;
use rustredis_lab::report;
use rustredis_lab::trial::decode;
use serde_json::Value;

/// Relative error that a figure of four digits may have.
const ROUNDING: f64 = 1e-3;

fn sample() -> Data {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/lab-sample");
    Data::read(&directory).expect("the sample can be read").expect("the sample is committed")
}

fn committed(data: &Data, name: &str) -> String {
    std::fs::read_to_string(data.directory.join(name)).expect("the sample is complete")
}

/// A copy of the sample in a directory of its own, its report written by the code as it is now.
struct Copy(PathBuf);

impl Copy {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rustredis-report-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory for the test");
        let data = Data { directory: path.clone(), ..sample() };
        report::write(&data).expect("the report is written");
        Self(path)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // What cannot be removed stays behind in the temporary directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_report_is_what_its_raw_data_says() {
    let data = sample();
    let copy = Copy::new("same");
    for name in ["report.json", "report.md", "trials.csv"] {
        let now = std::fs::read_to_string(copy.0.join(name)).unwrap();
        assert!(
            now == committed(&data, name),
            "{name} differs: `rustredis-lab report docs/lab-sample` writes it again"
        );
    }
}

/// Not by the code that wrote them: medians from the CSV, and percentiles from the histograms.
#[test]
fn numbers_can_be_recomputed_from_the_files() {
    let data = sample();
    let stated: Value = serde_json::from_str(&committed(&data, "report.json")).unwrap();
    let csv = committed(&data, "trials.csv");
    let mut rates: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for line in csv.lines().skip(1) {
        let (cell, rest) = line[1..].split_once("\",").unwrap();
        let fields: Vec<&str> = rest.split(',').collect();
        if fields[2] == "measured" {
            rates.entry(cell.to_owned()).or_default().push(fields[5].parse().unwrap());
        }
    }
    assert!(rates.len() > 50, "{} cells", rates.len());
    for (cell, mut values) in rates {
        values.sort_unstable_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        let interval = &stated["cells"][&cell]["requests_per_s"];
        let of = |index: usize| interval[index].as_f64().unwrap();
        assert!((of(1) / median - 1.0).abs() < 1e-9, "{cell}: {interval}, {median}");
        assert!(values[0] <= of(0) && of(0) <= of(1) && of(1) <= of(2) && of(2) <= values[values.len() - 1]);
    }
    for trial in &data.trials {
        let TrialEnd::Measured(measure) = &trial.outcome else { continue };
        for span in
            [&measure.main].into_iter().chain(&measure.phases).filter(|span| !span.histogram.is_empty())
        {
            let histogram = decode(&span.histogram).unwrap();
            for (stated, quantile) in
                [(span.p50_us, 0.5), (span.p99_us, 0.99), (span.p999_us, 0.999), (span.max_us, 1.0)]
            {
                let found = histogram.value_at_quantile(quantile) as f64 / 1e3;
                assert!((stated / found - 1.0).abs() < ROUNDING, "{}: {stated} {found}", trial.cell);
            }
        }
    }
}

#[test]
fn each_of_the_eight_has_an_answer_and_reasons() {
    let findings = report::answers(&sample());
    let numbers: Vec<u8> = findings.iter().map(|finding| finding.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 0]);
    for finding in findings {
        assert!(!finding.summary.is_empty() && !finding.parts.is_empty(), "{}", finding.number);
        for part in finding.parts.iter().filter(|part| part.verdict == Verdict::CannotTell) {
            assert!(!part.note.is_empty(), "{}: no reason", part.statement);
        }
    }
}

#[test]
fn a_run_agrees_with_itself() {
    let comparison = compare::runs(&sample(), &sample());
    assert!(comparison.agrees && comparison.cells == comparison.agreeing, "{}", comparison.text);
    let mut other = sample();
    for trial in &mut other.trials {
        if let TrialEnd::Measured(measure) = &mut trial.outcome {
            measure.main.rate *= 3.0;
        }
    }
    assert!(!compare::runs(&sample(), &other).agrees);
}

/// What the page's script has written about itself into the page, after Chromium has rendered it.
fn rendered(page: &Path, width: u32, more: &[&str]) -> BTreeMap<String, String> {
    let profile = page.with_file_name(format!("profile-{width}-{}", more.len()));
    let mut command = Command::new("chromium");
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    command.args(["--allow-file-access-from-files", "--virtual-time-budget=20000", "--dump-dom"]);
    command.arg(format!("--window-size={},900", width.max(600))).args(more);
    command.arg(format!("--user-data-dir={}", profile.display()));
    // A window is never as narrow as a phone, but a frame in it can be.
    let frame = page.with_file_name(format!("frame-{width}.html"));
    std::fs::write(
        &frame,
        format!(
            "<!doctype html><iframe src=\"report.html\" style=\"width:{width}px;height:2000px;border:0\" \
             onload=\"Object.assign(document.documentElement.dataset, this.contentDocument.documentElement.dataset)\"></iframe>"
        ),
    )
    .expect("the directory is there");
    let output = command.arg(format!("file://{}", frame.display())).stdin(Stdio::null()).output();
    let output = output.expect("chromium runs: `cargo xtask test` installs it");
    let text = String::from_utf8_lossy(&output.stdout);
    let head =
        text.split_once("<html").and_then(|(_, rest)| rest.split_once('>')).map_or("", |(head, _)| head);
    let pairs = head.split("data-").skip(1).filter_map(|pair| pair.split_once("=\""));
    pairs.map(|(name, value)| (name.to_owned(), value.trim_end().trim_end_matches('"').to_owned())).collect()
}

#[test]
fn the_page_renders_in_a_browser() {
    let copy = Copy::new("page");
    let page = copy.0.join("report.html");
    let charts: usize = report::answers(&sample()).iter().map(|finding| finding.charts.len()).sum();
    let is_dark = |colour: &str| {
        let numbers = colour.trim_start_matches("rgb(").trim_end_matches(')').split(", ");
        numbers.map(|number| number.parse::<u32>().unwrap()).sum::<u32>() < 300
    };
    for width in [1280, 390] {
        for (theme, setting) in [("light", "1"), ("dark", "0")] {
            let setting = format!("--blink-settings=preferredColorScheme={setting}");
            let facts = rendered(&page, width, &[&setting]);
            let fact = |name: &str| facts.get(name).map_or("", String::as_str);
            assert_eq!(fact("error"), "", "{width} {theme}");
            assert_eq!((fact("width"), fact("shown")), (width.to_string().as_str(), theme), "{facts:?}");
            assert_eq!(is_dark(fact("paper")), theme == "dark", "{facts:?}");
            assert_eq!(
                (fact("drawn"), fact("charts")),
                (charts.to_string().as_str(), charts.to_string().as_str())
            );
            assert_eq!(fact("overflow"), "0", "{width} {theme}: the page is wider than the window");
        }
    }
}
