//! The committed sample report: its numbers recomputed from its raw data, and its page opened in a browser.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustredis_lab::claims::Verdict;
use rustredis_lab::compare;
use rustredis_lab::data::Data;
use rustredis_lab::made_up;
use rustredis_lab::report;

/// A made-up run in a directory of its own, with its report.
struct Copy(PathBuf, Data);

impl Copy {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rustredis-report-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory for the test");
        let data = made_up::run(path.clone(), 1, |label| if label.starts_with("redis") { 2.0 } else { 1.0 });
        data.write().expect("the directory is there");
        report::write(&data).expect("the report is written");
        Self(path, data)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // What cannot be removed stays behind in the temporary directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_is_read_back_is_what_was_written() {
    let copy = Copy::new("same");
    let read = Data::read(&copy.0).unwrap().unwrap();
    let again = |data: &Data| report::answers(data);
    assert_eq!(again(&read), again(&copy.1));
}

#[test]
fn each_claim_has_statements_and_reasons() {
    let copy = Copy::new("answers");
    let findings = report::answers(&copy.1);
    let numbers: Vec<u8> = findings.iter().map(|finding| finding.number).collect();
    let claims = &rustredis_lab::rules::Rules::frozen().claims;
    assert_eq!(numbers, claims.iter().map(|claim| claim.number).collect::<Vec<_>>());
    for finding in findings {
        assert!(!finding.sentence.is_empty() && !finding.statements.is_empty(), "{}", finding.number);
        for judged in finding.statements.iter().filter(|judged| judged.verdict == Verdict::Untestable) {
            assert!(!judged.note.is_empty(), "{}: no reason", judged.text);
        }
    }
}

#[test]
fn a_run_agrees_with_itself() {
    let data = Copy::new("itself").1.clone();
    assert!(compare::runs(&data, &data).agrees);
    let other =
        made_up::run(data.directory.clone(), 1, |label| if label.starts_with("redis") { 0.5 } else { 1.0 });
    let comparison = compare::runs(&data, &other);
    assert!(!comparison.agrees && !comparison.flips.is_empty(), "{}", comparison.text);
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
    let charts: usize = report::answers(&copy.1).iter().map(|finding| finding.charts.len()).sum();
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
