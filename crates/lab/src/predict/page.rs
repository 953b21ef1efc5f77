//! The page: the error first, then the curves, then what they stand on.

use std::fmt::Write as _;

use super::extrapolate::Curve;
use super::report::{Drawn, METHOD, Prediction, parameters};
use crate::report::chart::{Axis, Chart, Drawing, Point, Series};
use crate::report::svg;
use crate::report::words::escaped;

const STYLE: &str = include_str!("../report/report.css");

/// The whole file.
pub(super) fn render(prediction: &Prediction) -> String {
    let mut body = String::new();
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        body,
        "<header><div><p class=\"eyebrow\">RustRedis laboratory</p><h1>What more cores would do</h1><p class=\"lead\">{}</p></div></header>",
        escaped(&prediction.verdict())
    );
    if let Some(warning) = prediction.warning() {
        let _ = write!(body, "<p class=\"summary\"><strong>{}</strong></p>", escaped(&warning));
    }
    for paragraph in METHOD {
        let _ = write!(body, "<p class=\"rule\">{}</p>", escaped(paragraph));
    }
    let rows: Vec<Vec<String>> = prediction
        .errors()
        .into_iter()
        .map(|(name, error, count)| vec![name, format!("{:.1}%", error * 100.0), count.to_string()])
        .collect();
    section(&mut body, "How far off it was", |body| {
        table(body, &["cells that were not fitted", "median error", "cells"], &rows);
    });
    for (index, drawn) in prediction.drawn.iter().enumerate() {
        section(&mut body, &drawn.load.title, |body| curves(body, drawn, index));
    }
    section(&mut body, "Published: I/O threads of Redis and Valkey", |body| published(body, prediction));
    section(&mut body, "Every check", |body| {
        let rows: Vec<Vec<String>> = prediction
            .checks
            .iter()
            .map(|check| {
                let nanos = |nanos: f64| format!("{nanos:.0}");
                let error = format!("{:.0}%", check.error() * 100.0);
                vec![check.cell.clone(), nanos(check.predicted_ns), nanos(check.measured_ns), error]
            })
            .collect();
        body.push_str("<details><summary>cell by cell</summary>");
        table(body, &["cell", "predicted ns", "measured ns", "error"], &rows);
        body.push_str("</details>");
    });
    section(&mut body, "Machine, parameters", |body| {
        let fits = prediction.fits.iter().map(|fit| (fit.kind.name().to_owned(), parameters(fit)));
        let rows: Vec<Vec<String>> = (prediction.machine.iter().cloned())
            .chain(prediction.settings())
            .chain(fits)
            .map(|(name, value)| vec![name, value])
            .collect();
        table(body, &["", ""], &rows);
    });
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>What more cores would do</title>\n\
         <style>\n{}{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        svg::STYLE
    )
}

fn section(body: &mut String, title: &str, fill: impl FnOnce(&mut String)) {
    let _ = write!(body, "<section><h2>{}</h2>", escaped(title));
    fill(body);
    body.push_str("</section>\n");
}

/// A table that becomes a list on a narrow screen.
fn table(body: &mut String, head: &[&str], rows: &[Vec<String>]) {
    body.push_str("<div class=\"parts\"><table><thead><tr>");
    for name in head {
        let _ = write!(body, "<th>{}</th>", escaped(name));
    }
    body.push_str("</tr></thead><tbody>");
    for row in rows {
        body.push_str("<tr>");
        for (name, value) in head.iter().zip(row) {
            let _ = write!(body, "<td data-label=\"{}\">{}</td>", escaped(name), escaped(value));
        }
        body.push_str("</tr>");
    }
    body.push_str("</tbody></table></div>");
}

fn curves(body: &mut String, drawn: &Drawn, index: usize) {
    match svg::figure(&chart(drawn, index)) {
        Ok(figure) => body.push_str(&figure),
        Err(why) => {
            let _ = write!(body, "<p class=\"rule\">Not drawn: {}</p>", escaped(&why));
        }
    }
    let rows: Vec<Vec<String>> =
        drawn.rankings.iter().map(|(threads, ranking)| vec![threads.to_string(), ranking.clone()]).collect();
    table(body, &["threads", "told apart"], &rows);
}

/// The picture of a load.
pub(super) fn chart(drawn: &Drawn, index: usize) -> Chart {
    let series = |curve: &Curve| Series {
        name: curve.kind.name().to_owned(),
        points: (curve.points.iter())
            .map(|point| Point {
                x: point.threads as f64,
                low: point.low / 1e6,
                median: point.median / 1e6,
                high: point.high / 1e6,
            })
            .collect(),
        is_curve: false,
    };
    let most = (drawn.curves.iter().flat_map(|curve| &curve.points))
        .filter(|point| point.is_measured)
        .map(|point| point.threads)
        .max();
    let measured = most.map_or_else(
        || "All of it is predicted.".to_owned(),
        |threads| format!("Measured up to {threads} threads, predicted beyond."),
    );
    Chart {
        id: format!("predict-{index}"),
        title: drawn.load.title.clone(),
        caption: format!("{measured} Bands hold what is not known; no line leads out of its band."),
        x_name: "threads, each with a core".to_owned(),
        y_name: "million requests a second".to_owned(),
        drawing: Drawing::Lines {
            x: Axis::Log,
            y: Axis::Log,
            series: drawn.curves.iter().map(series).collect(),
            marks: Vec::new(),
        },
    }
}

fn published(body: &mut String, prediction: &Prediction) {
    body.push_str(
        "<p class=\"rule\">Other machines and loads: only shapes can be compared.</p><ul class=\"notes\">",
    );
    for curve in &prediction.published {
        let points: Vec<String> = curve
            .points
            .iter()
            .map(|(threads, rate)| format!("{:.2} million/s with {threads} threads", rate / 1e6))
            .collect();
        let (server, points) = (escaped(curve.server), points.join(", "));
        let (conditions, source) = (escaped(curve.conditions), escaped(curve.source));
        let _ = write!(body, "<li>{server}: {points} ({conditions}). <a href=\"{source}\">{source}</a></li>");
    }
    for (words, source) in &prediction.published_ratios {
        let _ = write!(body, "<li>{}. <a href=\"{source}\">{source}</a></li>", escaped(words));
    }
    body.push_str("</ul>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predict::report::tests::example;

    #[test]
    fn the_page_is_whole_and_asks_for_nothing() {
        let page = render(&example());
        assert!(page.contains("a &lt;processor&gt;") && page.ends_with("</html>\n"));
        assert!(!page.contains("<script") && !page.contains("src="));
    }

    #[test]
    fn a_curve_says_what_of_it_was_measured() {
        let chart = chart(&example().drawn[0], 0);
        assert!(chart.caption.contains("Measured up to 1 threads"), "{}", chart.caption);
    }
}
