//! The committed sample report: its numbers recomputed from its raw data, and its page opened in a browser.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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

/// Looks at a page in a frame as wide as a phone or a screen, and writes what it sees into its own head: what is shown and in
/// which colours, texts that others cover or that are cut off, and what is wider than the window.
const LOOK: &str = r#"
const frame = document.querySelector("iframe");
frame.addEventListener("load", () => {
  const page = frame.contentDocument;
  const isShown = (element) => element.getClientRects().length > 0;
  const pictures = [...page.querySelectorAll(".plot svg")].filter(isShown);
  let [covered, cut] = [[], []];
  for (const picture of pictures) {
    const edge = picture.getBoundingClientRect();
    const texts = [...picture.querySelectorAll("text")].map((text) => [text.textContent.trim(), text.getBoundingClientRect()]);
    texts.forEach(([words, a], index) => {
      if (a.left < edge.left - 1 || a.right > edge.right + 1 || a.top < edge.top - 1 || a.bottom > edge.bottom + 1) cut.push(words);
      for (const [others, b] of texts.slice(index + 1)) {
        const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        // The boxes of letters are higher than letters.
        if (across > 0.5 && down > 4) covered.push(words + " / " + others);
      }
    });
  }
  Object.assign(document.documentElement.dataset, {
    figures: page.querySelectorAll("figure").length, shown: pictures.length, covered: covered.join("; "), cut: cut.join("; "),
    paper: frame.contentWindow.getComputedStyle(page.body).backgroundColor, width: frame.contentWindow.innerWidth,
    overflow: Math.max(0, page.documentElement.scrollWidth - frame.contentWindow.innerWidth),
    text: Math.min(...pictures.filter((picture) => picture.querySelector("text")).map((picture) => 24 * picture.getBoundingClientRect().width / picture.viewBox.baseVal.width)),
  });
});
"#;

/// What is seen of the page in Chromium.
fn rendered(page: &Path, width: u32, is_dark: bool) -> BTreeMap<String, String> {
    let profile = page.with_file_name(format!("profile-{width}-{is_dark}"));
    let mut command = Command::new("chromium");
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    command.args(["--allow-file-access-from-files", "--virtual-time-budget=20000", "--dump-dom"]);
    command.arg(format!("--window-size={},900", width.max(600)));
    command.arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!is_dark)));
    command.arg(format!("--user-data-dir={}", profile.display()));
    // A window is never as narrow as a phone, but a frame in it can be.
    let frame = page.with_file_name(format!("frame-{width}.html"));
    let text = format!(
        "<!doctype html><iframe src=\"report.html\" style=\"width:{width}px;height:2000px;border:0\"></iframe><script>{LOOK}</script>"
    );
    std::fs::write(&frame, text).expect("the directory is there");
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
    let size = std::fs::metadata(&page).unwrap().len();
    assert!(size < PAGE_BYTES_MAX, "{size} bytes");
    let charts: usize = report::answers(&copy.1).iter().map(|finding| finding.charts.len()).sum();
    let is_dark = |colour: &str| {
        let numbers = colour.trim_start_matches("rgb(").trim_end_matches(')').split(", ");
        numbers.map(|number| number.parse::<u32>().unwrap()).sum::<u32>() < 300
    };
    for (width, wants_dark) in [(1280, false), (1280, true), (360, false), (360, true)] {
        let facts = rendered(&page, width, wants_dark);
        let fact = |name: &str| facts.get(name).map_or("", String::as_str);
        assert_eq!(fact("width"), width.to_string(), "{facts:?}");
        assert_eq!(is_dark(fact("paper")), wants_dark, "{facts:?}");
        assert_eq!([fact("shown"), fact("figures")], [charts.to_string(), charts.to_string()], "{width}");
        assert_eq!([fact("covered"), fact("cut")], ["", ""], "{width}: texts of pictures cannot be read");
        assert!(fact("text").parse::<f64>().unwrap() > 9.0, "{width}: letters of {} pixels", fact("text"));
        assert_eq!(fact("overflow"), "0", "{width}: the page is wider than the window");
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
