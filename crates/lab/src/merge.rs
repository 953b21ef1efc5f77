//! `merge A B ... --out C`: runs of the same rules as sessions of one, for their difference is a random effect.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;

use crate::data::Data;
use crate::report;

/// Options of `merge`.
#[derive(Debug, Clone, Args)]
pub struct MergeArgs {
    /// Runs' directories
    #[arg(required = true, num_args = 2..)]
    pub runs: Vec<PathBuf>,
    /// Where the merged run and its report go
    #[arg(long)]
    pub out: PathBuf,
}

/// Merges the runs and writes the report.
pub fn run(args: &MergeArgs) -> Result<bool, String> {
    if args.out.join("run.json").exists() {
        return Err(format!("{} holds a run; choose another --out", args.out.display()));
    }
    let mut runs = Vec::new();
    let mut seen = BTreeSet::new();
    for directory in &args.runs {
        let run = Data::read(directory)?.ok_or_else(|| format!("{} holds no run", directory.display()))?;
        let is_empty = |session: &usize| !run.trials.iter().any(|trial| trial.session as usize == *session);
        if let Some(session) = (0..run.session_count()).find(is_empty) {
            return Err(format!("session {session} of {} holds no measurements", directory.display()));
        }
        // What is counted twice looks like two sessions that agree.
        if !run.trials.iter().all(|trial| seen.insert((trial.unix_ms, trial.cell.clone(), trial.round))) {
            return Err(format!("{} holds measurements that another run holds, too", directory.display()));
        }
        runs.push(run);
    }
    let merged = merged(runs, args.out.clone())?;
    merged.write()?;
    let written = report::write(&merged)?;
    print!("{}", report::overview(&merged));
    println!("{}", written.display());
    Ok(true)
}

/// The runs as one. They must be of the same rules, scale, cores and engines: otherwise their cells have the same names and
/// mean different things.
pub fn merged(runs: Vec<Data>, directory: PathBuf) -> Result<Data, String> {
    let mut runs = runs.into_iter();
    let mut all = runs.next().ok_or("nothing to merge")?;
    for run in runs {
        if run.settings.rules != all.settings.rules {
            return Err(format!("{} was measured under other rules", run.directory.display()));
        }
        if run.settings.matrix != all.settings.matrix {
            return Err(format!(
                "{} was measured with another scale, number of cores or set of engines",
                run.directory.display()
            ));
        }
        if run.settings.placement() != all.settings.placement() {
            return Err(format!("{} was measured with another placement", run.directory.display()));
        }
        let first = u32::try_from(all.session_count()).map_err(|error| error.to_string())?;
        all.settings.sessions.extend(run.settings.sessions);
        all.settings.cells.extend(run.settings.cells);
        for version in run.settings.versions {
            if !all.settings.versions.contains(&version) {
                all.settings.versions.push(version);
            }
        }
        all.trials.extend(run.trials.into_iter().map(|mut trial| {
            trial.session += first;
            trial
        }));
    }
    all.directory = directory;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::Verdict;
    use crate::{judge, made_up};

    fn run(factor: f64) -> Data {
        made_up::run(PathBuf::new(), 1, move |label| if label.starts_with("redis") { factor } else { 1.0 })
    }

    #[test]
    fn sessions_that_differ_widen_what_they_agree_on() {
        let id = "6.cost-50";
        let of = |data: &Data| judge::all(data).into_iter().find(|judged| judged.id == id).unwrap();
        let alike = of(&merged(vec![run(2.0), run(2.0), run(2.0)], PathBuf::new()).unwrap());
        let apart = of(&merged(vec![run(1.5), run(2.0), run(3.0)], PathBuf::new()).unwrap());
        let width =
            |judged: &crate::claims::Judged| judged.ratio.map(|ratio| ratio.high / ratio.low).unwrap();
        assert_eq!(alike.verdict, Verdict::Holds);
        assert!(width(&apart) > 1.3 * width(&alike), "{} {}", width(&apart), width(&alike));
    }

    #[test]
    fn a_run_is_not_merged_with_itself() {
        let directory = std::env::temp_dir().join(format!("rustredis-lab-merge-{}", std::process::id()));
        let own = made_up::run(directory.join("run"), 1, |_| 1.0);
        own.write().unwrap();
        let runs = vec![own.directory.clone(), own.directory];
        let refused = super::run(&MergeArgs { runs, out: directory.join("out") }).unwrap_err();
        std::fs::remove_dir_all(&directory).unwrap();
        assert!(refused.ends_with("holds measurements that another run holds, too"), "{refused}");
    }

    #[test]
    fn sessions_without_measurements_and_other_places_are_not_merged() {
        let directory = std::env::temp_dir().join(format!("rustredis-lab-empty-{}", std::process::id()));
        let own = made_up::run(directory.join("run"), 1, |_| 1.0);
        let none = Data { directory: directory.join("none"), trials: Vec::new(), ..own.clone() };
        own.write().unwrap();
        none.write().unwrap();
        let runs = vec![own.directory.clone(), none.directory];
        let refused = super::run(&MergeArgs { runs, out: directory.join("out") }).unwrap_err();
        std::fs::remove_dir_all(&directory).unwrap();
        assert!(refused.ends_with("holds no measurements"), "{refused}");
        let mut pinned = own.clone();
        pinned
            .settings
            .machine
            .push((crate::data::PLACEMENT.to_owned(), "servers on processors 0".to_owned()));
        assert!(merged(vec![own, pinned], PathBuf::new()).unwrap_err().contains("placement"));
    }

    #[test]
    fn other_rules_are_not_merged() {
        let mut other = run(1.0);
        other.settings.rules = "none".to_owned();
        assert!(merged(vec![run(1.0), other], PathBuf::new()).unwrap_err().contains("other rules"));
    }
}
