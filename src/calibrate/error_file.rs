//! `errors.npz`: recordings on disk, so that searching again takes no network.
//!
//! For each number of steps N: `times_N` `[E]`, `errors_N` `[E, points, A, M]` (−1: there is none), `spans_N` `[S]`,
//! `products_N` `[S·P, S·P]`; once `points` and `exits`, and `about`, a JSON of what they were measured with. All numbers
//! are f64, as NumPy reads them.

use std::path::Path;

use ndarray::{Array2, Array4};
use serde::{Deserialize, Serialize};

use super::{CalibrateError, Recording, Trajectories};
use crate::data::{ArrayError, ArrayFile, ArrayWriter};
use crate::error::Error;
use crate::output::write_atomically;

/// What recordings were measured with; equal ones may stand for each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedWith {
    /// SHA-256 of the weights.
    pub weights_sha256: String,
    /// SHA-256 of the learned exits.
    pub exits_sha256: Option<String>,
    /// The solver.
    pub solver: String,
    /// Guidance scale.
    pub guidance: f64,
    /// Times at which it acts.
    pub guidance_interval: Option<[f64; 2]>,
    /// The tail.
    pub tail: String,
    /// The arithmetic.
    pub dtype: String,
    /// Classes, as typed; images take them in turn.
    pub class: String,
    /// Images, M.
    pub images: usize,
    /// Seed of the first.
    pub seed: u64,
    /// Evaluations that a remembering tail's last full one may lie back, A.
    pub ages: usize,
    /// The most spans that evaluations are taken together in.
    pub spans: usize,
    /// Images in a micro-batch, which moves the last bits.
    pub batch: usize,
}

#[derive(Serialize, Deserialize)]
struct About {
    with: RecordedWith,
    steps: Vec<usize>,
    discretisation: Vec<Option<f64>>,
}

/// Bytes that `about` may have.
const LARGEST_ABOUT: u64 = 1 << 20;

/// Writes recordings, all or nothing.
///
/// # Errors
/// The disk's.
pub fn write_recordings(file: &Path, with: &RecordedWith, recordings: &[Recording]) -> Result<(), Error> {
    let about = About {
        with: with.clone(),
        steps: recordings.iter().map(|r| r.steps).collect(),
        discretisation: recordings.iter().map(|r| r.discretisation).collect(),
    };
    // Strings and numbers always serialise.
    let about = serde_json::to_vec(&about).unwrap_or_default();
    Ok(write_atomically(file, |out| {
        let mut npz = ArrayWriter::new(file, out);
        npz.begin("about", "|u1", &[about.len()])?;
        npz.write(&about)?;
        let depths = |depths: &[usize]| depths.iter().map(|&d| d as f64).collect::<Vec<_>>();
        if let Some(first) = recordings.first() {
            for (key, of) in [("points", &first.trajectories.points), ("exits", &first.exits)] {
                npz.begin(key, "<f8", &[of.len()])?;
                npz.write_f64(depths(of).into_iter())?;
            }
        }
        for recording in recordings {
            let Trajectories { times, errors, .. } = &recording.trajectories;
            let name = |what: &str| format!("{what}_{}", recording.steps);
            npz.begin(&name("times"), "<f8", &[times.len()])?;
            npz.write_f64(times.iter().copied())?;
            npz.begin(&name("errors"), "<f8", errors.shape())?;
            npz.write_f64(errors.iter().map(|e| if e.is_finite() { *e } else { -1.0 }))?;
            npz.begin(&name("spans"), "<f8", &[recording.sizes.len()])?;
            npz.write_f64(depths(&recording.sizes).into_iter())?;
            npz.begin(&name("products"), "<f8", recording.products.shape())?;
            npz.write_f64(recording.products.iter().copied())?;
        }
        npz.finish()
    })?)
}

/// Reads recordings and what they were measured with.
///
/// # Errors
/// The file is not there, damaged, or its arrays do not fit each other.
pub fn read_recordings(file: &Path) -> Result<(RecordedWith, Vec<Recording>), Error> {
    let mut npz = ArrayFile::open(file).map_err(CalibrateError::from)?;
    let about =
        npz.array("about").and_then(|mut a| a.read_bytes(LARGEST_ABOUT)).map_err(CalibrateError::from)?;
    let parse = |source| CalibrateError::About { file: file.to_owned(), source };
    let about: About = serde_json::from_slice(&about).map_err(parse)?;
    let points = depths(&mut npz, "points").map_err(CalibrateError::from)?;
    let exits = depths(&mut npz, "exits").map_err(CalibrateError::from)?;
    let mut recordings = vec![];
    for (at, &steps) in about.steps.iter().enumerate() {
        let name = |what: &str| format!("{what}_{steps}");
        let (times_of, times) = numbers(&mut npz, &name("times"), 1).map_err(CalibrateError::from)?;
        let (shape, mut values) = numbers(&mut npz, &name("errors"), 4).map_err(CalibrateError::from)?;
        values.iter_mut().filter(|v| **v < 0.0).for_each(|v| *v = f64::INFINITY);
        let sizes = depths(&mut npz, &name("spans")).map_err(CalibrateError::from)?;
        let (square, products) = numbers(&mut npz, &name("products"), 2).map_err(CalibrateError::from)?;
        let side = sizes.len().saturating_mul(exits.len());
        let fits = shape[0] == times_of[0]
            && shape[1] == points.len()
            && shape[2] > 0
            && sizes.iter().try_fold(0usize, |sum, &size| sum.checked_add(size)) == Some(times_of[0])
            && sizes.iter().all(|&size| size > 0)
            && square == [side, side]
            && exits.iter().all(|d| points.contains(d));
        let misfit = || CalibrateError::Misfit { file: file.to_owned(), steps };
        if !fits {
            return Err(misfit().into());
        }
        let shape = (shape[0], shape[1], shape[2], shape[3]);
        let errors = Array4::from_shape_vec(shape, values).map_err(|_| misfit())?;
        let products = Array2::from_shape_vec((side, side), products).map_err(|_| misfit())?;
        recordings.push(Recording {
            steps,
            trajectories: Trajectories { times, points: points.clone(), errors },
            sizes,
            exits: exits.clone(),
            products,
            discretisation: about.discretisation.get(at).copied().flatten(),
        });
    }
    Ok((about.with, recordings))
}

fn numbers(npz: &mut ArrayFile, key: &str, dimensions: usize) -> Result<(Vec<usize>, Vec<f64>), ArrayError> {
    let mut array = npz.array(key)?;
    array.check_rows()?;
    let expected = ["", "[numbers]", "[S·P, S·P]", "", "[E, points, A, M]"][dimensions];
    let shape = array.shape(dimensions, expected)?.iter().map(|&n| n as usize).collect();
    Ok((shape, array.read_f64()?))
}

fn depths(npz: &mut ArrayFile, key: &str) -> Result<Vec<usize>, ArrayError> {
    Ok(numbers(npz, key, 1)?.1.into_iter().map(|d| d as usize).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(steps: usize) -> Recording {
        let shape = (steps, 2, 2, 3);
        let errors = Array4::from_shape_fn(shape, |(s, p, a, m)| {
            if a > s { f64::INFINITY } else { (s + 10 * p + 100 * a + 1000 * m) as f64 }
        });
        let times = (0..steps).map(|s| 999.0 - s as f64).collect();
        let trajectories = Trajectories { times, points: vec![4, 8], errors };
        let sizes = vec![2, steps - 2];
        let products = Array2::from_shape_fn((2, 2), |(a, b)| (a + 3 * b) as f64);
        Recording { steps, trajectories, sizes, exits: vec![8], products, discretisation: Some(0.25) }
    }

    fn with() -> RecordedWith {
        RecordedWith {
            weights_sha256: "a".into(),
            exits_sha256: None,
            solver: "ddim".into(),
            guidance: 1.5,
            guidance_interval: None,
            tail: "residual".into(),
            dtype: "f32".into(),
            class: "all".into(),
            images: 3,
            seed: 7,
            ages: 2,
            spans: 2,
            batch: 16,
        }
    }

    #[test]
    fn is_read_as_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("errors.npz");
        let recordings = [recording(5), recording(8)];
        write_recordings(&file, &with(), &recordings).unwrap();
        assert_eq!(read_recordings(&file).unwrap(), (with(), recordings.to_vec()));
    }

    #[test]
    fn arrays_that_do_not_fit_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("errors.npz");
        let mut short = recording(5);
        short.products = Array2::zeros((3, 3));
        write_recordings(&file, &with(), &[short]).unwrap();
        let error = read_recordings(&file).unwrap_err();
        assert!(matches!(error, Error::Calibrate(CalibrateError::Misfit { steps: 5, .. })), "{error}");
        std::fs::write(&file, b"PK no zip").unwrap();
        assert!(matches!(read_recordings(&file), Err(Error::Calibrate(CalibrateError::File(_)))));
    }
}
