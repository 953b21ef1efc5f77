//! Pages in a headless browser: what a reader would see of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Smallest letters of a picture, in pixels.
const LETTERS_MIN: f64 = 9.0;

/// A directory for a test, removed at its end.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rustredis-report-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory for the test");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed stays behind in the temporary directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What was seen of a page.
pub(crate) struct Seen {
    width: u32,
    is_dark: bool,
    facts: BTreeMap<String, String>,
}

impl Seen {
    /// All of so many pictures are shown, in the right colours, and can be read.
    pub(crate) fn is_legible(&self, pictures: usize) {
        let (width, facts) = (self.width, &self.facts);
        let fact = |name: &str| facts.get(name).map_or("", String::as_str);
        assert_eq!(fact("width"), width.to_string(), "{facts:?}");
        let numbers = fact("paper").trim_start_matches("rgb(").trim_end_matches(')').split(", ");
        let brightness = numbers.map(|number| number.parse::<u32>().expect("a colour")).sum::<u32>();
        assert_eq!(brightness < 300, self.is_dark, "{facts:?}");
        assert_eq!([fact("shown"), fact("figures")], [pictures.to_string(), pictures.to_string()], "{width}");
        assert_eq!([fact("covered"), fact("cut")], ["", ""], "{width}: texts of pictures cannot be read");
        let letters = fact("text").parse::<f64>().expect("a number");
        assert!(letters > LETTERS_MIN, "{width}: letters of {letters} pixels");
        assert_eq!(fact("overflow"), "0", "{width}: the page is wider than the window");
    }
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
pub(crate) fn look(page: &Path, width: u32, is_dark: bool) -> Seen {
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
    let name = page.file_name().expect("a page").to_string_lossy();
    let text = format!(
        "<!doctype html><iframe src=\"{name}\" style=\"width:{width}px;height:2000px;border:0\"></iframe><script>{LOOK}</script>"
    );
    std::fs::write(&frame, text).expect("the directory is there");
    let output = command.arg(format!("file://{}", frame.display())).stdin(Stdio::null()).output();
    let output = output.expect("chromium runs: `cargo xtask test` installs it");
    let text = String::from_utf8_lossy(&output.stdout);
    let head =
        text.split_once("<html").and_then(|(_, rest)| rest.split_once('>')).map_or("", |(head, _)| head);
    let pairs = head.split("data-").skip(1).filter_map(|pair| pair.split_once("=\""));
    let facts =
        pairs.map(|(name, value)| (name.to_owned(), value.trim_end().trim_end_matches('"').to_owned()));
    Seen { width, is_dark, facts: facts.collect() }
}
