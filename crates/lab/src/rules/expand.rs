//! From the file to the rules: `each` multiplied out, tables put together.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::rules::{
    ChartRule, Claim, Direction, Figure, HeatRule, Limits, Needs, Peak, Rules, Statement, TimelineRule,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    limits: Limits,
    peak: Vec<PeakRow>,
    claim: Vec<ClaimRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PeakRow {
    name: String,
    #[serde(default)]
    each: Table,
    cell: Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClaimRow {
    number: u8,
    title: String,
    claim: String,
    #[serde(default)]
    notes: Vec<String>,
    #[serde(default)]
    statement: Vec<StatementRow>,
    #[serde(default)]
    chart: Vec<ChartRow>,
    #[serde(default)]
    heat: Vec<HeatRow>,
    #[serde(default)]
    timeline: Vec<TimelineRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatementRow {
    id: String,
    text: String,
    #[serde(default = "dash")]
    article: String,
    #[serde(default)]
    each: Table,
    #[serde(default)]
    cell: Table,
    #[serde(default)]
    left: Table,
    #[serde(default)]
    right: Table,
    figure: Figure,
    right_figure: Option<Figure>,
    direction: Direction,
    effect: Option<f64>,
    #[serde(default = "yes")]
    decides: bool,
    rounds: Option<u32>,
    needs: Option<Needs>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChartRow {
    id: String,
    title: String,
    caption: String,
    #[serde(default)]
    x_name: String,
    y_name: String,
    figure: Figure,
    #[serde(default = "unit")]
    scale: f64,
    #[serde(default)]
    is_bars: bool,
    #[serde(default)]
    is_log: bool,
    base: Option<String>,
    cell: Table,
    places: Vec<Place>,
    series: Vec<Place>,
    rounds: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeatRow {
    id: String,
    title: String,
    caption: String,
    name: String,
    each: Table,
    cell: Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TimelineRow {
    id: String,
    title: String,
    each: Table,
    cell: Table,
}

/// A name, and what it adds to the cell.
#[derive(Deserialize)]
struct Place {
    name: String,
    #[serde(flatten)]
    more: Table,
}

fn dash() -> String {
    "–".to_owned()
}

fn yes() -> bool {
    true
}

fn unit() -> f64 {
    1.0
}

pub(super) fn rules(text: &str, hash: String) -> Result<Rules, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    let limits = file.limits;
    let peaks = file.peak.into_iter().map(peak).collect::<Result<_, _>>()?;
    let claims = file.claim.into_iter().map(|row| claim(row, &limits)).collect::<Result<_, _>>()?;
    Ok(Rules { limits, peaks, claims, hash })
}

fn peak(row: PeakRow) -> Result<Peak, String> {
    let cells = combinations(&row.each)
        .iter()
        .map(|chosen| read(replaced(&row.cell, chosen), &row.name))
        .collect::<Result<_, _>>()?;
    Ok(Peak { name: row.name, cells })
}

fn claim(row: ClaimRow, limits: &Limits) -> Result<Claim, String> {
    let mut statements = Vec::new();
    for row in &row.statement {
        for chosen in combinations(&row.each) {
            statements.push(statement(row, &chosen, limits)?);
        }
    }
    let charts = row.chart.into_iter().map(|row| chart(row, limits)).collect::<Result<_, _>>()?;
    let heats = row.heat.iter().map(|row| heat(row, limits)).collect::<Result<_, _>>()?;
    let mut timelines = Vec::new();
    for row in &row.timeline {
        for chosen in combinations(&row.each) {
            let cell = read(replaced(&row.cell, &chosen), &row.id)?;
            timelines.push(TimelineRule {
                id: filled(&row.id, &chosen),
                title: filled(&row.title, &chosen),
                cell,
            });
        }
    }
    let ClaimRow { number, title, claim, notes, .. } = row;
    Ok(Claim { number, title, claim, notes, statements, charts, heats, timelines })
}

fn heat(row: &HeatRow, limits: &Limits) -> Result<HeatRule, String> {
    let rows = combinations(&row.each)
        .iter()
        .map(|chosen| Ok((filled(&row.name, chosen), read(replaced(&row.cell, chosen), &row.id)?)))
        .collect::<Result<_, String>>()?;
    let (id, title, caption) = (row.id.clone(), row.title.clone(), row.caption.clone());
    Ok(HeatRule { id, title, caption, rows, rounds: limits.rounds.pictures })
}

fn statement(row: &StatementRow, chosen: &Table, limits: &Limits) -> Result<Statement, String> {
    let side = |own: &Table| read(replaced(&joined(&[&row.cell, own]), chosen), &row.id);
    let rounds = if row.decides { limits.rounds.decides } else { limits.rounds.informs };
    Ok(Statement {
        id: filled(&row.id, chosen),
        text: filled(&row.text, chosen),
        article: row.article.clone(),
        left: side(&row.left)?,
        right: side(&row.right)?,
        figure: row.figure,
        right_figure: row.right_figure.unwrap_or(row.figure),
        direction: row.direction,
        effect: row.effect,
        decides: row.decides,
        rounds: row.rounds.unwrap_or(rounds),
        needs: row.needs.clone(),
    })
}

fn chart(row: ChartRow, limits: &Limits) -> Result<ChartRule, String> {
    let cell = |series: &Place, place: &Place| read(joined(&[&row.cell, &series.more, &place.more]), &row.id);
    let series = row
        .series
        .iter()
        .map(|series| {
            let cells = row.places.iter().map(|place| cell(series, place)).collect::<Result<_, _>>()?;
            Ok((series.name.clone(), cells))
        })
        .collect::<Result<_, String>>()?;
    Ok(ChartRule {
        places: row.places.iter().map(|place| place.name.clone()).collect(),
        series,
        id: row.id,
        title: row.title,
        caption: row.caption,
        x_name: row.x_name,
        y_name: row.y_name,
        figure: row.figure,
        scale: row.scale,
        is_bars: row.is_bars,
        is_log: row.is_log,
        base: row.base,
        rounds: row.rounds.unwrap_or(limits.rounds.pictures),
    })
}

fn read<T: DeserializeOwned>(table: Table, whose: &str) -> Result<T, String> {
    Value::Table(table).try_into().map_err(|error| format!("{whose}: {error}"))
}

/// Each way to choose one value of every list; one empty choice of no lists.
fn combinations(each: &Table) -> Vec<Table> {
    let mut all = vec![Table::new()];
    for (name, values) in each {
        let values = values.as_array().cloned().unwrap_or_default();
        let grown = all.iter().flat_map(|chosen| {
            values.iter().map(|value| {
                let mut chosen = chosen.clone();
                chosen.insert(name.clone(), value.clone());
                chosen
            })
        });
        all = grown.collect();
    }
    all
}

/// The tables as one; what comes later wins.
fn joined(tables: &[&Table]) -> Table {
    tables.iter().flat_map(|table| (*table).clone()).collect()
}

/// The table with `{name}` replaced: by the value itself where it is all of a text.
fn replaced(table: &Table, chosen: &Table) -> Table {
    table.iter().map(|(name, old)| (name.clone(), value(old, chosen))).collect()
}

fn value(old: &Value, chosen: &Table) -> Value {
    match old {
        Value::String(text) => {
            let whole = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
            whole.and_then(|name| chosen.get(name)).cloned().unwrap_or_else(|| filled(text, chosen).into())
        }
        Value::Array(values) => Value::Array(values.iter().map(|old| value(old, chosen)).collect()),
        other => other.clone(),
    }
}

fn filled(text: &str, chosen: &Table) -> String {
    chosen.iter().fold(text.to_owned(), |text, (name, value)| {
        let word = match value {
            Value::Integer(number) => number.to_string(),
            other => other.as_str().unwrap_or_default().to_owned(),
        };
        text.replace(&format!("{{{name}}}"), &word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_multiplied_and_names_replaced() {
        let each: Table = toml::from_str("server = ['a', 'b']\nclients = [1, 50]").unwrap();
        let all = combinations(&each);
        assert_eq!(all.len(), 4);
        let cell = "server = '{server}'\nclients = '{clients}'\npeak = 'x-{clients}'";
        let found = replaced(&toml::from_str(cell).unwrap(), &all[3]);
        assert_eq!(found, toml::from_str("server = 'b'\nclients = 50\npeak = 'x-50'").unwrap());
    }
}
