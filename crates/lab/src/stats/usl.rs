//! The Universal Scalability Law (Gunther, 1993): X(N) = λN / (1 + σ(N−1) + κN(N−1)).
//!
//! λ is the throughput of one thread, σ what is serial (waiting for a lock), κ what each must tell each other (cache lines
//! that travel). N/X is linear in the three, so they come from weighted least squares with none of them negative: all four
//! choices of what is held at zero are solved and the best kept. Rejected: iterative fits, which for so few points find a
//! local answer and depend on where they start. It is fitted to server threads, not to clients: a closed loop is saturated
//! by a few clients, and the law explains nothing there.

use serde::{Deserialize, Serialize};

/// Fewest different numbers of threads that a fit needs: one more than it has parameters.
pub const POINTS_MIN: usize = 4;
/// Below this R² the law does not describe what was measured.
pub const R2_MIN: f64 = 0.8;

/// A fit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// Throughput of one thread.
    pub lambda: f64,
    /// What is serial.
    pub sigma: f64,
    /// What each must tell each other.
    pub kappa: f64,
    /// The number of threads with the greatest throughput; `None` where it only rises.
    pub peak: Option<f64>,
    /// How much of the variance the fit explains, 1 at best.
    pub r2: f64,
}

impl Fit {
    /// The throughput of so many threads.
    pub fn at(&self, threads: f64) -> f64 {
        let serial = self.sigma * (threads - 1.0);
        let crosstalk = self.kappa * threads * (threads - 1.0);
        self.lambda * threads / (1.0 + serial + crosstalk)
    }
}

/// Fits points of (threads, throughput), or says why it does not.
pub fn fit(points: &[(f64, f64)]) -> Result<Fit, String> {
    let points: Vec<(f64, f64)> = points.iter().copied().filter(|(n, x)| *n >= 1.0 && *x > 0.0).collect();
    let mut counts: Vec<u64> = points.iter().map(|(threads, _)| threads.to_bits()).collect();
    counts.sort_unstable();
    counts.dedup();
    if counts.len() < POINTS_MIN {
        return Err(format!("{} numbers of threads, a fit needs {POINTS_MIN}", counts.len()));
    }
    let candidates = [[true, true], [true, false], [false, true], [false, false]]
        .into_iter()
        .filter_map(|uses| solve(&points, uses))
        .map(|fit| Fit { r2: r2(&points, &fit), ..fit });
    let best = candidates.max_by(|a, b| a.r2.total_cmp(&b.r2)).ok_or("no solution without negative terms")?;
    if best.r2 < R2_MIN {
        return Err(format!("R² is {:.2}, below {R2_MIN}: the law does not describe this", best.r2));
    }
    Ok(best)
}

/// Weighted least squares of N/X over 1, N−1 and N(N−1), where `uses` says which of the last two take part. `None` if a
/// term comes out negative.
fn solve(points: &[(f64, f64)], uses: [bool; 2]) -> Option<Fit> {
    let mut sums = [[0.0; 4]; 3];
    for (threads, throughput) in points {
        let terms = [
            1.0,
            if uses[0] { threads - 1.0 } else { 0.0 },
            if uses[1] { threads * (threads - 1.0) } else { 0.0 },
        ];
        let (left, weight) = (threads / throughput, (throughput / threads).powi(2));
        for row in 0..3 {
            for column in 0..3 {
                sums[row][column] += weight * terms[row] * terms[column];
            }
            sums[row][3] += weight * terms[row] * left;
        }
    }
    for (row, is_used) in [(1, uses[0]), (2, uses[1])] {
        if !is_used {
            sums[row][row] = 1.0;
        }
    }
    let [constant, linear, square] = eliminate(sums)?;
    if constant <= 0.0 || linear < 0.0 || square < 0.0 {
        return None;
    }
    let (sigma, kappa) = (linear / constant, square / constant);
    // More than all cannot be serial.
    if sigma > 1.0 {
        return None;
    }
    let peak = (kappa > 0.0).then(|| ((1.0 - sigma).max(0.0) / kappa).sqrt().max(1.0));
    Some(Fit { lambda: 1.0 / constant, sigma, kappa, peak, r2: 0.0 })
}

/// Gaussian elimination with pivots.
fn eliminate(mut rows: [[f64; 4]; 3]) -> Option<[f64; 3]> {
    for column in 0..3 {
        let pivot = (column..3).max_by(|a, b| rows[*a][column].abs().total_cmp(&rows[*b][column].abs()))?;
        rows.swap(column, pivot);
        if rows[column][column].abs() < 1e-12 {
            return None;
        }
        for row in 0..3 {
            if row != column {
                let pivot_row = rows[column];
                let factor = rows[row][column] / pivot_row[column];
                for (value, above) in rows[row].iter_mut().zip(pivot_row) {
                    *value -= factor * above;
                }
            }
        }
    }
    Some([rows[0][3] / rows[0][0], rows[1][3] / rows[1][1], rows[2][3] / rows[2][2]])
}

fn r2(points: &[(f64, f64)], fit: &Fit) -> f64 {
    let mean = points.iter().map(|(_, x)| x).sum::<f64>() / points.len() as f64;
    let total: f64 = points.iter().map(|(_, x)| (x - mean).powi(2)).sum();
    let left: f64 = points.iter().map(|(n, x)| (x - fit.at(*n)).powi(2)).sum();
    if total == 0.0 { 0.0 } else { 1.0 - left / total }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(lambda: f64, sigma: f64, kappa: f64) -> Vec<(f64, f64)> {
        let fit = Fit { lambda, sigma, kappa, peak: None, r2: 1.0 };
        [1.0, 2.0, 3.0, 4.0, 8.0, 16.0].map(|threads| (threads, fit.at(threads))).to_vec()
    }

    #[test]
    fn known_parameters_are_found() {
        for (lambda, sigma, kappa) in [(1000.0, 0.05, 0.01), (5e6, 0.3, 0.0), (2e5, 0.0, 0.02)] {
            let found = fit(&points(lambda, sigma, kappa)).unwrap();
            assert!((found.lambda / lambda - 1.0).abs() < 1e-3, "{found:?}");
            assert!((found.sigma - sigma).abs() < 1e-3 && (found.kappa - kappa).abs() < 1e-3, "{found:?}");
            assert!(found.r2 > 0.999);
        }
        let found = fit(&points(1000.0, 0.05, 0.01)).unwrap();
        assert!((found.peak.unwrap() - 9.75).abs() < 0.1, "{found:?}");
    }

    #[test]
    fn what_the_law_does_not_describe_is_refused() {
        let flat = [(1.0, 100.0), (2.0, 100.0), (4.0, 100.0)];
        assert!(fit(&flat).unwrap_err().contains("needs 4"));
        let wild = [(1.0, 100.0), (2.0, 10.0), (3.0, 300.0), (4.0, 5.0), (5.0, 200.0)];
        assert!(fit(&wild).unwrap_err().starts_with("R²"));
    }
}
