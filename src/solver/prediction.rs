//! What the network's output says about the image and about the noise.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::diffusion::Node;
use super::{SolverError, expect, per_row};

/// What a network was trained to output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PredictionType {
    /// The noise ε (Ho et al. 2020).
    Epsilon,
    /// `v = α·ε − σ·x0` (Salimans & Ho 2022).
    VPrediction,
    /// The image x0.
    Sample,
}

/// What is done to a predicted image that leaves the range of images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum X0Clip {
    /// Nothing.
    None,
    /// Values are clamped to the value range.
    Range,
    /// Dynamic thresholding (Saharia et al. 2022, Imagen): values are clamped to ±s and divided by s, where
    /// s is a quantile of |x0| over the image, held between 1 and `max`. For images in [−1, 1].
    Dynamic {
        /// The quantile, in [0, 1].
        ratio: f64,
        /// The largest s, at least 1.
        max: f64,
    },
}

impl X0Clip {
    /// Whether the clip's numbers make sense for images in `range`.
    ///
    /// # Errors
    /// A ratio outside [0, 1], a `max` below 1, an empty range, or any of them not finite.
    pub fn check(self, range: (f64, f64)) -> Result<(), SolverError> {
        let (low, high) = range;
        let valid = match self {
            X0Clip::None => true,
            X0Clip::Range => low.is_finite() && high.is_finite() && low < high,
            X0Clip::Dynamic { ratio, max } => (0.0..=1.0).contains(&ratio) && max.is_finite() && max >= 1.0,
        };
        if valid { Ok(()) } else { Err(SolverError::Clip { clip: self, low, high }) }
    }
}

/// A network's output, understood: `x = α·x0 + σ·eps` holds for every row.
#[derive(Debug)]
pub struct Prediction {
    /// The predicted noise `[B,C,H,W]`, f32.
    pub eps: Tensor,
    /// The predicted image `[B,C,H,W]`, f32.
    pub x0: Tensor,
    /// The network's variance output v `[B,C,H,W]`, f32, nominally in [−1, 1], if it has one.
    pub variance: Option<Tensor>,
}

impl Prediction {
    /// Converts the network's `output` (and its `variance` channels, already split off) for the batch `x`.
    ///
    /// All are `[B,C,H,W]` f32; `nodes` says where each row stands. Where x0 is clipped, eps is derived again
    /// from the clipped x0, as in guided-diffusion. A row's result does not depend on the other rows.
    ///
    /// # Errors
    /// Other shapes or element types; a node without noise or without image; a clip that
    /// [`X0Clip::check`] refuses.
    pub fn new(
        x: &Tensor,
        output: &Tensor,
        variance: Option<Tensor>,
        nodes: &[Node],
        prediction: PredictionType,
        clip: X0Clip,
        range: (f64, f64),
    ) -> Result<Self, SolverError> {
        let shape = x.size();
        if shape.len() != 4 || shape[0] as usize != nodes.len() {
            return Err(SolverError::Rows {
                what: "nodes",
                found: nodes.len(),
                rows: shape.first().map_or(0, |&rows| rows as usize),
            });
        }
        expect("x", x, &shape)?;
        expect("the network's output", output, &shape)?;
        if let Some(variance) = &variance {
            expect("the network's variance", variance, &shape)?;
        }
        if let Some(node) = nodes.iter().find(|n| !(n.alpha > 0.0 && n.sigma > 0.0)) {
            return Err(SolverError::Degenerate { t: node.t, alpha: node.alpha, sigma: node.sigma });
        }
        clip.check(range)?;

        let alpha = per_row(nodes.iter().map(|n| n.alpha), x)?; // [B,1,1,1]
        let sigma = per_row(nodes.iter().map(|n| n.sigma), x)?;
        let eps_from = |x0: &Tensor| x.f_sub(&alpha.f_mul(x0)?)?.f_div(&sigma);
        let (eps, x0) = match prediction {
            PredictionType::Epsilon => {
                (output.shallow_clone(), x.f_sub(&sigma.f_mul(output)?)?.f_div(&alpha)?)
            }
            PredictionType::VPrediction => {
                (alpha.f_mul(output)?.f_add(&sigma.f_mul(x)?)?, alpha.f_mul(x)?.f_sub(&sigma.f_mul(output)?)?)
            }
            PredictionType::Sample => (eps_from(output)?, output.shallow_clone()),
        };
        let x0 = match clip {
            X0Clip::None => return Ok(Self { eps, x0, variance }),
            X0Clip::Range => x0.f_clamp(range.0, range.1)?,
            X0Clip::Dynamic { ratio, max } => {
                // Image by image: the interpolation inside `quantile` may round differently in a longer vector.
                let s = (0..shape[0]).map(|row| {
                    let values = x0.f_select(0, row)?.f_abs()?.f_reshape([-1])?;
                    values.f_quantile_scalar(ratio, 0, true, "linear")?.f_clamp(1.0, max)
                });
                let s = Tensor::f_stack(&s.collect::<Result<Vec<_>, _>>()?, 0)?.f_view([-1, 1, 1, 1])?;
                x0.f_minimum(&s)?.f_maximum(&s.f_neg()?)?.f_div(&s)?
            }
        };
        Ok(Self { eps: eps_from(&x0)?, x0, variance })
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    const RANGE: (f64, f64) = (-1.0, 1.0);

    fn random(seed: u64, shape: [i64; 4]) -> Tensor {
        use rand::SeedableRng;
        use rand_distr::{Distribution, StandardNormal};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let n = shape.iter().product::<i64>() as usize;
        let values: Vec<f32> = (0..n).map(|_| StandardNormal.sample(&mut rng)).collect();
        Tensor::from_slice(&values).view(shape)
    }

    fn nodes(n: usize) -> Vec<Node> {
        (0..n).map(|i| Node::from_sigma_ve(i as f64, 0.3 + 0.7 * i as f64)).collect()
    }

    fn bits(t: &Tensor) -> Vec<u32> {
        Vec::<f32>::try_from(t.contiguous().view(-1)).unwrap().into_iter().map(f32::to_bits).collect()
    }

    #[test]
    fn the_three_kinds_agree_and_clipping_keeps_x() {
        let (x, eps, nodes) = (random(1, [3, 2, 4, 5]), random(2, [3, 2, 4, 5]), nodes(3));
        let new = |o: &Tensor, p, clip| Prediction::new(&x, o, None, &nodes, p, clip, RANGE).unwrap();
        let plain = new(&eps, PredictionType::Epsilon, X0Clip::None);
        let alpha = per_row(nodes.iter().map(|n| n.alpha), &x).unwrap();
        let sigma = per_row(nodes.iter().map(|n| n.sigma), &x).unwrap();
        let v = &alpha * &plain.eps - &sigma * &plain.x0;
        let largest = |t: Tensor| t.abs().max().double_value(&[]);
        for other in [
            new(&v, PredictionType::VPrediction, X0Clip::None),
            new(&plain.x0, PredictionType::Sample, X0Clip::None),
        ] {
            assert!(largest(&other.eps - &plain.eps) < 1e-5 && largest(&other.x0 - &plain.x0) < 1e-5);
        }
        for clip in [X0Clip::Range, X0Clip::Dynamic { ratio: 0.9, max: 2.0 }] {
            let clipped = new(&eps, PredictionType::Epsilon, clip);
            assert!(largest(clipped.x0.shallow_clone()) <= 1.0);
            assert!(largest(&alpha * &clipped.x0 + &sigma * &clipped.eps - &x) < 1e-5);
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours() {
        let shape = [5, 3, 3, 7];
        let (x, out, nodes) = (random(3, shape), random(4, shape), nodes(5));
        for clip in [X0Clip::None, X0Clip::Range, X0Clip::Dynamic { ratio: 0.83, max: 3.0 }] {
            let all =
                Prediction::new(&x, &out, None, &nodes, PredictionType::VPrediction, clip, RANGE).unwrap();
            for row in 0..5 {
                let (x, out) = (x.narrow(0, row, 1), out.narrow(0, row, 1));
                let node = &nodes[row as usize..row as usize + 1];
                let one =
                    Prediction::new(&x, &out, None, node, PredictionType::VPrediction, clip, RANGE).unwrap();
                assert_eq!(bits(&one.x0), bits(&all.x0.narrow(0, row, 1)), "{clip:?}");
                assert_eq!(bits(&one.eps), bits(&all.eps.narrow(0, row, 1)), "{clip:?}");
            }
        }
    }

    #[test]
    fn bad_input_is_refused() {
        let x = random(1, [2, 1, 2, 2]);
        let new = |o: &Tensor, n: &[Node], clip| {
            Prediction::new(&x, o, None, n, PredictionType::Epsilon, clip, RANGE).map(|_| ())
        };
        assert!(matches!(new(&x, &nodes(3), X0Clip::None), Err(SolverError::Rows { .. })));
        assert!(matches!(new(&x.narrow(0, 0, 1), &nodes(2), X0Clip::None), Err(SolverError::Shape { .. })));
        assert!(
            new(&Tensor::zeros([2, 1, 2, 2], (Kind::Double, Device::Cpu)), &nodes(2), X0Clip::None).is_err()
        );
        assert!(matches!(new(&x, &[Node::CLEAN; 2], X0Clip::None), Err(SolverError::Degenerate { .. })));
        let clip = X0Clip::Dynamic { ratio: 1.5, max: 1.0 };
        assert!(matches!(new(&x, &nodes(2), clip), Err(SolverError::Clip { .. })));
    }

    #[test]
    fn names_in_a_configuration() {
        let name = |p: PredictionType| serde_json::to_string(&p).unwrap();
        assert_eq!(name(PredictionType::VPrediction), "\"v_prediction\"");
        let clip: X0Clip = serde_json::from_str(r#"{"dynamic":{"ratio":0.995,"max":1.0}}"#).unwrap();
        assert_eq!(clip, X0Clip::Dynamic { ratio: 0.995, max: 1.0 });
        assert_eq!(serde_json::to_string(&X0Clip::None).unwrap(), "\"none\"");
    }
}
