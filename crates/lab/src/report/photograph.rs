//! Pictures of the report as PNG, for pages that take no SVG: a browser photographs one figure, in light and in dark.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::chart::Chart;
use super::svg;
use crate::data::Data;

/// Width of a photograph, in pixels of the page; it has twice as many.
const WIDTH: u32 = 720;
/// Room at each side of the figure.
const MARGIN: u32 = 20;
/// Height of title, unit, legend, axis and caption.
const TEXTS: u32 = 170;

/// Writes `CHART-light.png` and `CHART-dark.png` into the run's directory; their paths.
///
/// # Errors
///
/// If the report has no such picture, or Chromium is not installed or fails.
pub fn photograph(data: &Data, id: &str) -> Result<Vec<PathBuf>, String> {
    let charts = || crate::claims::answers(data).into_iter().flat_map(|finding| finding.charts);
    let Some(chart) = charts().find(|chart| chart.id == id) else {
        let ids: Vec<String> = charts().map(|chart| chart.id).collect();
        return Err(format!("no picture is named {id}; there are {}", ids.join(", ")));
    };
    ["light", "dark"].into_iter().map(|theme| take(&data.directory, &chart, theme)).collect()
}

fn take(directory: &Path, chart: &Chart, theme: &str) -> Result<PathBuf, String> {
    let target = directory.join(format!("{}-{theme}.png", chart.id));
    let rooms = std::env::temp_dir().join(format!("rustredis-photograph-{}-{theme}", std::process::id()));
    let failed = |what: &dyn std::fmt::Display| format!("{}: {what}", target.display());
    fs::create_dir_all(&rooms).map_err(|error| failed(&error))?;
    let page = rooms.join("figure.html");
    let height = svg::height(chart, f64::from(WIDTH - 2 * MARGIN))?.ceil() as u32 + TEXTS;
    let text = format!(
        "<!doctype html>\n<html data-theme=\"{theme}\"><meta charset=\"utf-8\"><style>{}\n\
         body {{ margin: 0; background: var(--card); color: var(--ink); font: 16px/1.5 system-ui, \"DejaVu Sans\", sans-serif; }}\n\
         figure {{ border: 0; border-radius: 0; padding: {MARGIN}px; box-sizing: border-box; }}</style>\n{}</html>\n",
        svg::STYLE,
        svg::figure(chart)?
    );
    let result = fs::write(&page, text).map_err(|error| failed(&error)).and_then(|()| {
        let output = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--force-device-scale-factor=2", &format!("--window-size={WIDTH},{height}")])
            .arg(format!("--user-data-dir={}", rooms.join("profile").display()))
            .arg(format!("--screenshot={}", target.display()))
            .arg(format!("file://{}", page.display()))
            .stdin(Stdio::null())
            .output();
        match output {
            Ok(output) if output.status.success() && target.is_file() => Ok(target.clone()),
            Ok(output) => Err(failed(&String::from_utf8_lossy(&output.stderr))),
            Err(error) => Err(failed(&format!("chromium: {error}"))),
        }
    });
    // What cannot be removed stays behind in the temporary directory.
    let _ = fs::remove_dir_all(&rooms);
    result
}
