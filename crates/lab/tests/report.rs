//! The committed sample report: its numbers recomputed from its raw data, and its page opened in a browser.

mod browser;

use std::path::PathBuf;

use rustredis_lab::claims::Verdict;
use rustredis_lab::compare;
use rustredis_lab::data::Data;
use rustredis_lab::made_up;
use rustredis_lab::report;

/// The page's greatest size: it is committed, and opened on phones.
const PAGE_BYTES_MAX: u64 = 1_500_000;
/// A picture that README shows.
const PHOTOGRAPHED: &str = "cost-redis";

/// A made-up run in a directory of its own, with its report.
struct Copy(PathBuf, Data, #[expect(dead_code, reason = "it is removed at the end")] browser::Directory);

impl Copy {
    fn new(name: &str) -> Self {
        let directory = browser::Directory::new(name);
        let path = directory.0.clone();
        let data = made_up::run(path.clone(), 1, |label| if label.starts_with("redis") { 2.0 } else { 1.0 });
        data.write().expect("the directory is there");
        report::write(&data).expect("the report is written");
        Self(path, data, directory)
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

#[test]
fn the_page_renders_in_a_browser() {
    let copy = Copy::new("page");
    let page = copy.0.join("report.html");
    let size = std::fs::metadata(&page).unwrap().len();
    assert!(size < PAGE_BYTES_MAX, "{size} bytes");
    let charts: usize = report::answers(&copy.1).iter().map(|finding| finding.charts.len()).sum();
    for (width, is_dark) in [(1280, false), (1280, true), (360, false), (360, true)] {
        browser::look(&page, width, is_dark).is_legible(charts);
    }
}

#[test]
fn pictures_are_photographed_in_light_and_dark() {
    let copy = Copy::new("photograph");
    let photographs = report::photograph(&copy.1, PHOTOGRAPHED).unwrap();
    let bytes: Vec<Vec<u8>> = photographs.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let names = photographs.iter().map(|path| path.file_name().unwrap().to_string_lossy());
    assert!(names.eq(["light", "dark"].map(|theme| format!("{PHOTOGRAPHED}-{theme}.png"))));
    let width = |png: &[u8]| u32::from_be_bytes(png[16..20].try_into().unwrap());
    assert!(bytes.iter().all(|png| png.len() > 10_000 && width(png) == 1440));
    assert_ne!(bytes[0], bytes[1]);
    assert!(report::photograph(&copy.1, "none").unwrap_err().contains(PHOTOGRAPHED));
}
