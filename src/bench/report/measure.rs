//! The measures of quality that rows are compared by.

use crate::bench::{Quality, Role, Row};

/// A distance: lower is better.
#[derive(Debug, Clone, PartialEq)]
pub enum Measure {
    /// Fréchet distance over a named extractor.
    Frechet(String),
    /// Kernel distance × 10³ over a named extractor.
    Kid(String),
    /// Root mean square error to full depth from the same seeds.
    Rmse,
}

/// A value and its 95 % interval, where one is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    pub value: f64,
    pub interval: Option<(f64, f64)>,
}

/// The field writes KID so.
pub const KID_SCALE: f64 = 1e3;

impl Measure {
    /// All that any row was judged by.
    pub fn all(rows: &[Row]) -> Vec<Measure> {
        let mut all: Vec<Measure> = vec![];
        for quality in rows.iter().flat_map(|row| &row.quality) {
            let known = Measure::Frechet(quality.extractor.clone());
            if !all.contains(&known) {
                all.extend([known, Measure::Kid(quality.extractor.clone())]);
            }
        }
        all.push(Measure::Rmse);
        all
    }

    /// Short, as axes and table heads say it.
    pub fn name(&self) -> String {
        match self {
            Self::Frechet(extractor) => frechet_name(extractor).into(),
            Self::Kid(_) => "KID × 10³".into(),
            Self::Rmse => "RMSE to full depth".into(),
        }
    }

    /// Short, as sentences say it.
    pub fn short(&self) -> &'static str {
        match self {
            Self::Frechet(extractor) => frechet_name(extractor),
            Self::Kid(_) => "KID × 10³",
            Self::Rmse => "RMSE",
        }
    }

    /// Its name without a scale.
    pub fn noun(&self) -> &'static str {
        match self {
            Self::Kid(_) => "KID",
            other => other.short(),
        }
    }

    /// In full.
    pub fn described(&self) -> String {
        match self {
            Self::Frechet(extractor) => format!("Fréchet distance over {extractor}"),
            Self::Kid(extractor) => format!("kernel distance (KID) × 10³ over {extractor}"),
            Self::Rmse => "root mean square error to full depth from the same seeds, x in [−1, 1]".into(),
        }
    }

    fn quality<'a>(&self, row: &'a Row) -> Option<&'a Quality> {
        match self {
            Self::Frechet(name) | Self::Kid(name) => row.quality.iter().find(|q| q.extractor == *name),
            Self::Rmse => None,
        }
    }

    /// How a row was judged; none where it was not, or not by a finite number.
    pub fn of(&self, row: &Row) -> Option<Judged> {
        let judged = match self {
            Self::Frechet(_) => {
                let q = self.quality(row)?;
                let interval = q.frechet_difference.map(|d| {
                    let full = q.frechet - d.value;
                    (full + d.low, full + d.high)
                });
                Judged { value: q.frechet, interval }
            }
            Self::Kid(_) => {
                let kid = self.quality(row)?.kid;
                let (value, error) = (KID_SCALE * kid.value, KID_SCALE * 1.96 * kid.standard_error);
                Judged { value, interval: Some((value - error, value + error)) }
            }
            // Full depth is what the others are compared with.
            Self::Rmse if row.role == Role::Full => Judged { value: 0.0, interval: None },
            Self::Rmse => Judged { value: row.fidelity?.rmse, interval: None },
        };
        let interval = judged.interval.filter(|(low, high)| low.is_finite() && high.is_finite());
        judged.value.is_finite().then_some(Judged { interval, ..judged })
    }

    /// The same distance between real images and real images.
    pub fn floor(&self, row: &Row) -> Option<f64> {
        let q = self.quality(row)?;
        let floor = match self {
            Self::Frechet(_) => q.frechet_floor,
            _ => KID_SCALE * q.kid_floor.value,
        };
        floor.is_finite().then_some(floor)
    }

    /// Images that a row was judged on.
    pub fn n(&self, row: &Row) -> usize {
        let drawn = row.peer.as_ref().map_or(row.settings.n, |peer| peer.images);
        self.quality(row).map_or(drawn, |q| q.n)
    }

    /// Whether its expectation depends on the number of images, so that only rows of one N can be compared.
    pub fn is_biased(&self) -> bool {
        matches!(self, Self::Frechet(_))
    }
}

/// The number is called FID only over the features that define it.
pub fn frechet_name(extractor: &str) -> &'static str {
    if extractor == "inception-2015" { "FID" } else { "FD" }
}
