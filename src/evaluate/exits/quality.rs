//! All numbers of a table.

use ndarray::{Array3, Axis};
use serde::Serialize;

use super::knowledge::{Knowledge, explained_by_group, mean};
use super::table::cells;
use super::{DepthSpread, ExitTable, SignalKind};
use crate::evaluate::Bootstrap;

/// Parts of the time axis that errors are given by.
pub const TENTHS: usize = 10;

/// How good exits are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExitQuality {
    /// Blocks of the network, N.
    pub depth: usize,
    /// T.
    pub timesteps: usize,
    /// The times looked at.
    pub times: Vec<f64>,
    /// Images at each time, M.
    pub images: usize,
    /// Errors by exit; full depth is last.
    pub errors: Vec<ExitErrorRow>,
    /// Share of the variance of d = mean |g_i − g_N| that time and exit explain together; none where d does not
    /// vary.
    pub explained_by_cell: Option<f64>,
    /// What each number to decide by knows.
    pub signals: Vec<SignalQuality>,
}

/// An exit's errors by tenths of the time axis, from t = 0; none where no time lies in a tenth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExitErrorRow {
    /// Blocks run.
    pub exit: usize,
    /// Mean of (g_i − ε)².
    pub noise: [Option<f64>; TENTHS],
    /// Mean of (g_i − g_N)².
    pub full: [Option<f64>; TENTHS],
}

/// One number to decide by.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SignalQuality {
    /// What it is.
    pub signal: SignalKind,
    /// What it knows of d.
    #[serde(flatten)]
    pub knowledge: Knowledge,
    /// Depths at the thresholds asked for.
    pub at_thresholds: Vec<DepthSpread>,
    /// Depths at the thresholds of some mean costs.
    pub at_costs: Vec<AtCost>,
}

/// The depths that come at a cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AtCost {
    /// The most that images may cost on average, as a share of full depth's.
    pub wanted: f64,
    /// The depths; none where no threshold is as cheap.
    pub found: Option<DepthSpread>,
}

impl ExitQuality {
    /// Mean costs, as shares of full depth's, whose thresholds are looked for.
    pub const COSTS: [f64; 5] = [0.8, 0.7, 0.6, 0.5, 0.4];

    /// Of a table; `thresholds` are the policies' own.
    pub fn of(table: &ExitTable, thresholds: &[f64], bootstrap: Bootstrap) -> Self {
        let signal = |signal: &super::Signal| SignalQuality {
            signal: signal.kind,
            knowledge: Knowledge::of(&signal.u, &table.distance, bootstrap),
            at_thresholds: thresholds.iter().map(|&t| DepthSpread::of(table, signal, t)).collect(),
            at_costs: Self::COSTS
                .map(|wanted| AtCost { wanted, found: DepthSpread::at_cost(table, signal, wanted) })
                .into(),
        };
        Self {
            depth: table.depth,
            timesteps: table.timesteps,
            times: table.times.clone(),
            images: table.images(),
            errors: errors(table),
            explained_by_cell: explained_by_group(cells(&table.distance).collect::<Vec<_>>().into_iter()),
            signals: table.signals.iter().map(signal).collect(),
        }
    }
}

fn errors(table: &ExitTable) -> Vec<ExitErrorRow> {
    let tenth_of = |t: f64| ((t * TENTHS as f64 / table.timesteps as f64) as usize).min(TENTHS - 1);
    let by_tenth = |errors: &Array3<f64>, p: usize| {
        std::array::from_fn(|tenth| {
            let own = |&(k, _): &(usize, _)| tenth_of(table.times[k]) == tenth;
            let of_exit = errors.index_axis(Axis(1), p);
            mean(of_exit.outer_iter().enumerate().filter(own).flat_map(|(_, row)| row.to_vec()))
        })
    };
    let exits = table.points.iter().enumerate().map(|(p, &exit)| ExitErrorRow {
        exit,
        noise: by_tenth(&table.noise_error, p),
        full: by_tenth(&table.full_error, p),
    });
    let noise = by_tenth(&table.noise_error, table.points.len());
    let full = noise.map(|there| there.map(|_| 0.0));
    exits.chain([ExitErrorRow { exit: table.depth, noise, full }]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_means_over_the_times_of_a_tenth() {
        let (k, m) = (4, 2);
        let value = |(k, p, m): (usize, usize, usize)| (100 * k + 10 * p + m) as f64;
        let table = ExitTable {
            timesteps: 1000,
            times: vec![0.0, 99.0, 100.0, 999.0],
            points: vec![2],
            depth: 3,
            costs: vec![2.0 / 3.0],
            noise_error: Array3::from_shape_fn((k, 2, m), value),
            full_error: Array3::from_shape_fn((k, 1, m), value),
            distance: Array3::from_shape_fn((k, 1, m), value),
            signals: vec![],
        };
        let quality = ExitQuality::of(&table, &[], Bootstrap::default());
        let [early, full] = &quality.errors[..] else { panic!("{:?}", quality.errors) };
        assert_eq!((early.exit, full.exit), (2, 3));
        assert_eq!(
            [early.full[0], early.full[1], early.full[5], early.full[9]].map(|e| e.unwrap_or(-1.0)),
            [50.5, 200.5, -1.0, 300.5]
        );
        assert_eq!(full.noise[1], Some(210.5));
        assert_eq!((full.full[0], full.full[5]), (Some(0.0), None));
        assert_eq!(quality.images, 2);
        assert!(quality.explained_by_cell.unwrap() > 0.99);
    }
}
