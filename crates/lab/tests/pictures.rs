//! Every kind of picture, with long names and awkward numbers, looked at in a browser.

mod browser;

use rustredis_lab::report::chart::{Axis, Chart, Drawing, Mark, Point, Series};
use rustredis_lab::report::svg;

fn series(name: &str, is_curve: bool, points: &[(f64, f64)]) -> Series {
    let points = points.iter().map(|&(x, y)| Point { x, low: y * 0.8, median: y, high: y * 1.3 });
    Series { name: name.to_owned(), points: points.collect(), is_curve }
}

fn chart(id: &str, drawing: Drawing) -> Chart {
    Chart {
        id: id.to_owned(),
        title: format!("A title of {id} that is too long for one line of a phone"),
        caption: "What was measured, and how it was done: <as text>.".to_owned(),
        x_name: "along".to_owned(),
        y_name: "thousand requests/s".to_owned(),
        drawing,
    }
}

fn names(count: usize, word: &str) -> Vec<String> {
    (0..count).map(|index| format!("{word} {index}")).collect()
}

fn charts() -> Vec<Chart> {
    let engines = ["mutex", "dashmap", "actor", "lockfree", "redis", "redis, io-threads 2", "kevy"];
    let clients = [1.0_f64, 10.0, 50.0, 100.0, 500.0, 1_000.0, 2_000.0];
    let over = |factor: f64| clients.map(|x| (x, x.sqrt() * factor)).to_vec();
    let lines = |names: &[&str], is_curve| {
        names.iter().zip(1..).map(|(name, factor)| series(name, is_curve, &over(f64::from(factor)))).collect()
    };
    let bars = |count: usize| {
        let all: Vec<(f64, f64)> = (0..count).map(|index| (index as f64, 1e5 / (index + 1) as f64)).collect();
        engines.iter().map(|name| series(name, false, &all)).collect::<Vec<Series>>()
    };
    let time: Vec<(f64, f64)> =
        (0..60).map(|step| (f64::from(step) / 10.0, 0.2 + f64::from(step % 9))).collect();
    let nines: Vec<(f64, f64)> =
        (2..=44).map(|step| (10_f64.powf(f64::from(step) / 8.0), f64::from(step))).collect();
    let marks = [("BGSAVE", 1.4, 1.5), ("BGREWRITEAOF", 1.7, 5.9)];
    let marks = marks.map(|(name, from, to)| Mark { from, to, name: name.to_owned() }).to_vec();
    let plain = |x, y, series| Drawing::Lines { x, y, series, marks: Vec::new() };
    let fits = vec![series("mutex", false, &over(1.0)), series("mutex, fitted", true, &over(1.1))];
    vec![
        chart("clients", plain(Axis::Log, Axis::Log, lines(&engines, false))),
        chart("threads", plain(Axis::Linear, Axis::Linear, fits)),
        chart("percentiles", plain(Axis::Nines, Axis::Log, vec![series("dashmap", true, &nines)])),
        chart(
            "time",
            Drawing::Lines { x: Axis::Linear, y: Axis::Log, series: vec![series("p99", true, &time)], marks },
        ),
        chart("few", Drawing::Bars { categories: names(2, "clients"), series: bars(2) }),
        chart(
            "many",
            Drawing::Bars { categories: names(12, "a category with a long name, number"), series: bars(12) },
        ),
        chart(
            "heat",
            Drawing::Heat {
                columns: (0..32).map(|index| (index * 32).to_string()).collect(),
                rows: names(4, "dashmap, zipf-0.99, threads"),
                values: (0..32).map(|column| (column, column % 4, (column * column) as f64 * 3.0)).collect(),
            },
        ),
        chart("nothing", plain(Axis::Log, Axis::Log, Vec::new())),
    ]
}

#[test]
fn pictures_are_legible_on_a_screen_and_on_a_phone() {
    let directory = browser::Directory::new("pictures");
    let figures: String = charts().iter().map(|chart| svg::figure(chart).unwrap()).collect();
    let text = format!(
        "<!doctype html><meta charset=\"utf-8\"><style>body {{ margin: 0; background: var(--paper); color: var(--ink); \
         font: 16px/1.5 sans-serif; }}{}</style>{figures}",
        svg::STYLE
    );
    let page = directory.0.join("pictures.html");
    std::fs::write(&page, text).unwrap();
    for (width, is_dark) in [(600, false), (360, true)] {
        browser::look(&page, width, is_dark).is_legible(charts().len());
    }
}

#[test]
fn pictures_take_their_colours_from_the_page() {
    for chart in charts() {
        let html = svg::figure(&chart).unwrap();
        assert!(!html.contains("\"#"), "{}: a colour that no theme changes", chart.id);
        assert!(!html.contains("NaN") && !html.contains("inf\""), "{}", chart.id);
        assert!(html.contains("&lt;as text&gt;"));
    }
}
