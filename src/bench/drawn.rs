//! What one point drew in one round: images as pixels, with depth and cost of each, in one `.npz`.

use std::io::Cursor;
use std::path::Path;

use ndarray::{Array1, Array2, Array4};
use ndarray_npy::{NpzReader, NpzWriter};
use tch::Tensor;

use crate::observer::Sample;
use crate::output::{OutputError, Pixels};

/// One finished image.
#[derive(Debug)]
pub struct Image {
    /// Its index in the round.
    pub image: usize,
    class: Option<i64>,
    depths: Vec<usize>,
    cost: f64,
    full_cost: f64,
    pixels: Pixels,
}

impl Image {
    /// From a sample, whose tensor is not kept.
    pub fn new(sample: &Sample, value_range: [f64; 2]) -> Result<Self, OutputError> {
        let pixels = Pixels::from_tensor(&sample.x, value_range)?;
        let Sample { image, class, cost, full_cost, .. } = *sample;
        Ok(Self { image, class, depths: sample.depths.clone(), cost, full_cost, pixels })
    }
}

/// The images of one round.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    /// u8 `[n, H, W, C]`.
    pub images: Array4<u8>,
    /// i64 `[n]`; −1 is none.
    pub labels: Array1<i64>,
    /// Blocks run, `[n, evaluations]`; no columns where the program does not say.
    pub depths: Array2<u16>,
    /// Block cost of each image, in network rows at full depth, `[n]`; empty where the program does not say.
    pub cost: Array1<f64>,
    /// The same at full depth, `[n]`.
    pub full_cost: Array1<f64>,
}

impl Drawn {
    /// From all images of a round.
    pub fn new(mut drawn: Vec<Image>) -> Result<Self, OutputError> {
        drawn.sort_by_key(|i| i.image);
        let n = drawn.len();
        let shape = drawn.first().map_or([0; 3], |i| i.pixels.shape);
        let evaluations = drawn.first().map_or(0, |i| i.depths.len());
        let mut data = Vec::with_capacity(n * shape.iter().product::<usize>());
        let mut depths = Array2::zeros((n, evaluations));
        for (k, image) in drawn.iter().enumerate() {
            if image.pixels.shape != shape {
                return Err(OutputError::MixedShapes { expected: shape, got: image.pixels.shape });
            }
            data.extend_from_slice(&image.pixels.data);
            for (e, &depth) in image.depths.iter().enumerate() {
                depths[[k, e]] = u16::try_from(depth).unwrap_or(u16::MAX);
            }
        }
        let [h, w, c] = shape;
        Ok(Self {
            images: Array4::from_shape_vec((n, h, w, c), data)
                .map_err(|_| OutputError::MixedShapes { expected: shape, got: [0; 3] })?,
            labels: drawn.iter().map(|i| i.class.unwrap_or(-1)).collect(),
            depths,
            cost: drawn.iter().map(|i| i.cost).collect(),
            full_cost: drawn.iter().map(|i| i.full_cost).collect(),
        })
    }

    /// From what another program drew: images f32 `[n, C, H, W]` in `value_range`; it ran `cost_share` of the block
    /// cost `full_cost` of each image.
    pub fn of_peer(
        images: &Tensor,
        value_range: [f64; 2],
        classes: &[Option<i64>],
        cost_share: f64,
        full_cost: f64,
    ) -> Result<Self, OutputError> {
        let image = |(k, class): (usize, &Option<i64>)| {
            let pixels = Pixels::from_tensor(&images.f_get(k as i64)?, value_range)?;
            let cost = cost_share * full_cost;
            Ok(Image { image: k, class: *class, depths: vec![], cost, full_cost, pixels })
        };
        Self::new(classes.iter().enumerate().map(image).collect::<Result<_, OutputError>>()?)
    }

    /// Writes it, all or nothing.
    pub fn write(&self, file: &Path) -> Result<(), OutputError> {
        let archive = || {
            let mut npz = NpzWriter::new(Cursor::new(vec![]));
            npz.add_array("arr_0", &self.images)?;
            npz.add_array("arr_1", &self.labels)?;
            npz.add_array("depths", &self.depths)?;
            npz.add_array("cost", &self.cost)?;
            npz.add_array("full_cost", &self.full_cost)?;
            npz.finish()
        };
        let archive =
            archive().map_err(|e| OutputError::Array { file: file.into(), reason: e.to_string() })?;
        crate::output::write_bytes(file, archive.get_ref())
    }

    /// Reads what [`Drawn::write`] wrote.
    pub fn read(file: &Path) -> Result<Self, OutputError> {
        let bytes = std::fs::read(file).map_err(OutputError::io(file))?;
        let archive = || {
            let mut npz = NpzReader::new(Cursor::new(bytes))?;
            Ok(Self {
                images: npz.by_name("arr_0")?,
                labels: npz.by_name("arr_1")?,
                depths: npz.by_name("depths")?,
                cost: npz.by_name("cost")?,
                full_cost: npz.by_name("full_cost")?,
            })
        };
        archive().map_err(|e: ndarray_npy::ReadNpzError| OutputError::Array {
            file: file.into(),
            reason: e.to_string(),
        })
    }
}
