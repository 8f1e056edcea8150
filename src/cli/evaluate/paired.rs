//! Images against images of the same name, pixel by pixel.

use ndarray::ArrayView3;
use offramp::evaluate::{EvaluateError, ImageSet, MetricError, PairedImages};
use offramp::output::Pixels;

use super::args::Metric;
use super::prepare::{Evaluation, Side, compared};
use super::report::Paired;
use crate::cli::Failure;

/// Images of each set read at a time.
const BLOCK: usize = 256;

/// Compares A with B, and C with B, where images have partners.
pub fn compare(evaluation: &Evaluation) -> Result<Option<Paired>, Failure> {
    if !evaluation.wants(Metric::Paired) && !evaluation.by_order {
        return Ok(None);
    }
    let sides = [Some(&evaluation.a), evaluation.against.as_ref()];
    let mut names = true;
    for side in sides.into_iter().flatten() {
        if let Err(reason) = partners(side, &evaluation.b, evaluation.by_order) {
            return match evaluation.insists(Metric::Paired) {
                true => Err(Failure::option("--paired", &side.name, reason)),
                false => Ok(None),
            };
        }
        names &= side.images().is_some_and(|i| i.names().is_some());
    }
    let pairs = |side: &Side| match (side.images(), evaluation.b.images()) {
        (Some(x), Some(y)) => pairs(x, y).map(Some),
        _ => Ok(None),
    };
    let Some(a) = pairs(&evaluation.a)? else { return Ok(None) };
    let c = evaluation.against.as_ref().map(pairs).transpose()?.flatten();
    let named = |source: MetricError| compared(&evaluation.a.name, &evaluation.b.name, source);
    let difference = |of: fn(&PairedImages) -> &[f64]| {
        let Some(c) = &c else { return Ok(None) };
        let differences: Vec<f64> = of(&a).iter().zip(of(c)).map(|(a, c)| a - c).collect();
        evaluation.bootstrap.mean_difference(&differences).map(Some)
    };
    Ok(Some(Paired {
        by: if names { "name" } else { "order" },
        pairs: a.len(),
        rmse_difference: difference(PairedImages::rmse).map_err(named)?,
        ssim_difference: difference(PairedImages::ssim).map_err(named)?,
        a: a.fidelity().map_err(named)?,
        against: c.as_ref().map(|c| c.fidelity()).transpose().map_err(named)?,
    }))
}

/// Whether the images of two sides come from the same seeds as far as names and numbers tell.
pub fn matches(a: &Side, c: &Side) -> Result<(), String> {
    let (Some(x), Some(y)) = (a.images(), c.images()) else {
        return Err("statistics have no images".into());
    };
    if x.len() != y.len() {
        return Err(format!("{} has {} images, {} has {}", a.name, x.len(), c.name, y.len()));
    }
    match (x.names(), y.names()) {
        (Some(left), Some(right)) => match left.iter().zip(&right).find(|(l, r)| l != r) {
            Some((l, r)) => Err(format!("{l} of {} would be paired with {r} of {}", a.name, c.name)),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Whether each image of `side` has its partner in `b`: by name, or by order where that was asked for.
fn partners(side: &Side, b: &Side, by_order: bool) -> Result<(), String> {
    matches(side, b)?;
    let (Some(x), Some(y)) = (side.images(), b.images()) else {
        return Err("statistics have no images".into());
    };
    let nameless = [(side, x), (b, y)].into_iter().find(|(_, images)| images.names().is_none());
    if let Some((nameless, _)) = nameless.filter(|_| !by_order) {
        return Err(format!(
            "the images of {} have no names; --paired pairs them by their order",
            nameless.name
        ));
    }
    match x.shape() == y.shape() {
        true => Ok(()),
        false => Err(format!("images of {:?} beside images of {:?} [H, W, C]", x.shape(), y.shape())),
    }
}

fn pairs(x: &ImageSet, y: &ImageSet) -> Result<PairedImages, Failure> {
    let mut paired = PairedImages::new();
    for start in (0..x.len()).step_by(BLOCK) {
        let range = start..(start + BLOCK).min(x.len());
        for (left, right) in x.read(range.clone())?.iter().zip(&y.read(range)?) {
            let pair = view(left).and_then(|left| Ok((left, view(right)?)));
            pair.and_then(|(left, right)| paired.push(left, right)).map_err(EvaluateError::from)?;
        }
    }
    Ok(paired)
}

fn view(image: &Pixels) -> Result<ArrayView3<'_, u8>, MetricError> {
    ArrayView3::from_shape(image.shape, &image.data)
        .map_err(|_| MetricError::Shapes { expected: image.shape.to_vec(), got: vec![image.data.len()] })
}
