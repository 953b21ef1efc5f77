//! The claims' answers: statements as they were judged, and pictures. What is claimed, compared and drawn stands in
//! `rules.toml`; what is no grid of cells is drawn here.
//!
//! The article is "Most people use Redis as SET and GET"; its figures come from one laptop, and its own reports call them
//! unreliable.

mod draw;
pub mod finding;

pub use finding::{Finding, Judged, Verdict};

use std::collections::BTreeMap;

use crate::data::Data;
use crate::judge;
use crate::rules::{Claim, Rules};

/// The claims of which the run has measured something, or all of a run that planned all.
pub fn answers(data: &Data) -> Vec<Finding> {
    let mut judged: BTreeMap<String, Judged> =
        judge::all(data).into_iter().map(|judged| (judged.id.clone(), judged)).collect();
    let claims = Rules::frozen().claims.iter().filter(|claim| is_planned(claim, data));
    claims
        .map(|claim| {
            let own = claim.statements.iter().filter_map(|statement| judged.remove(&statement.id));
            let (mut statements, informing): (Vec<Judged>, Vec<Judged>) =
                own.partition(|judged| judged.decides);
            statements.extend(informing);
            let mut finding = Finding {
                number: claim.number,
                title: claim.title.clone(),
                claim: claim.claim.clone(),
                sentence: String::new(),
                statements,
                charts: draw::charts(claim, data),
                notes: claim.notes.iter().cloned().chain(draw::notes(claim, data)).collect(),
            };
            finding.sentence = sentence(&finding);
            finding
        })
        .collect()
}

/// Claims share cells: a claim was planned if none of its cells is missing from the plan.
fn is_planned(claim: &Claim, data: &Data) -> bool {
    let planned = data.settings.matrix.plan(&[claim]);
    planned.iter().all(|planned| data.settings.cells.contains_key(&planned.cell.id()))
}

/// How many of the statements that decide became what.
fn sentence(finding: &Finding) -> String {
    let counts = finding.counts();
    let all: usize = counts.iter().map(|(_, count)| count).sum();
    if all == 0 {
        return "No statement decides.".to_owned();
    }
    let words = counts.iter().map(|(words, count)| format!("{count} {words}"));
    format!("Of {all} statements that decide: {}.", words.collect::<Vec<_>>().join(", "))
}
