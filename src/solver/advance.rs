//! Applying a plan to a batch.
//!
//! Rows of one batch may stand at different evaluations, so a weight is a `[B,1,1,1]` tensor and the k-th term
//! of every row's sum is worked out at once. A row's result must be, bit for bit, what it would be alone:
//! each row's terms are added in the order in which its own plan lists them, with plain multiplications and
//! additions only, and a row that has fewer terms than its neighbours adds −0, the one number that changes
//! nothing (+0 would turn −0 into +0).

use tch::{Kind, Tensor};

use super::history::History;
use super::plan::{Combination, Noise, Plan, Term, Value};
use super::prediction::Prediction;
use super::{SolverError, expect, per_row};

/// The outcome of [`advance`].
#[derive(Debug)]
pub struct Advanced {
    /// x of each row's next evaluation, or the finished image after its last, `[B,C,H,W]` f32.
    pub x: Tensor,
    /// x of the evaluation just made, revised by the corrector where a row has one; `None` if no row has.
    pub corrected: Option<Tensor>,
}

// The tensors of the evaluation at hand, [B,C,H,W].
struct Current<'a> {
    x: &'a Tensor,
    prediction: &'a Prediction,
}

impl Current<'_> {
    fn of(&self, value: Value) -> &Tensor {
        match value {
            Value::X => self.x,
            Value::X0 => &self.prediction.x0,
            Value::Eps => &self.prediction.eps,
        }
    }
}

/// Moves every row of a batch past the evaluation that was just made.
///
/// `e` holds each row's evaluation, `x` `[B,C,H,W]` what the network saw and `prediction` what it said; row i
/// belongs to the image whose history is `histories[i]`. `noise(i)` is called only for rows whose update
/// draws noise and gives standard normal `[C,H,W]` f32.
///
/// # Errors
/// Wrong shapes, lengths or evaluations; a history that lacks what the plan refers to; whatever `noise`
/// returns. The histories are then unchanged.
pub fn advance(
    plan: &Plan,
    e: &[usize],
    x: &Tensor,
    prediction: &Prediction,
    histories: &mut [&mut History],
    noise: impl Fn(usize) -> Result<Tensor, SolverError>,
) -> Result<Advanced, SolverError> {
    let shape = x.size();
    let rows = if shape.len() == 4 { shape[0] as usize } else { 0 };
    for (what, found) in [("evaluations", e.len()), ("histories", histories.len())] {
        if found != rows || rows == 0 {
            return Err(SolverError::Rows { what, found, rows });
        }
    }
    for (what, tensor) in
        [("x", x), ("the predicted x0", &prediction.x0), ("the predicted ε", &prediction.eps)]
    {
        expect(what, tensor, &shape)?;
    }
    if let Some(variance) = &prediction.variance {
        expect("the predicted variance", variance, &shape)?;
    }
    let count = plan.evaluations().len();
    if let Some(&evaluation) = e.iter().find(|&&e| e >= count) {
        return Err(SolverError::Evaluation { evaluation, expected: format!("the plan has {count}") });
    }

    let mut current = Current { x, prediction };
    let corrected = match e.iter().any(|&e| plan.update(e).correct.is_some()) {
        false => None,
        true => {
            let unchanged: Vec<Combination> = e.iter().map(|&e| Combination::new().x(e, 1.0)).collect();
            let sums = e.iter().zip(&unchanged);
            let sums: Vec<_> =
                sums.map(|(&e, same)| plan.update(e).correct.as_ref().unwrap_or(same)).collect();
            Some(combine(&sums, e, &current, histories)?)
        }
    };
    current.x = corrected.as_ref().unwrap_or(x);
    let sums: Vec<_> = e.iter().map(|&e| &plan.update(e).next).collect();
    let next = combine(&sums, e, &current, histories)?;
    let next = match draw(plan, e, prediction, &shape[1..], noise)? {
        Some(z) => next.f_add(&z)?,
        None => next,
    };
    for (row, (&e, history)) in e.iter().zip(histories.iter_mut()).enumerate() {
        let mut kept = Vec::new();
        for value in [Value::X, Value::X0, Value::Eps] {
            if plan.needed_after(e, value, e) {
                kept.push((value, e, current.of(value).f_select(0, row as i64)?));
            }
        }
        history.values.retain(|(value, of, _)| *of < e && plan.needed_after(e, *value, *of));
        history.values.extend(kept);
    }
    Ok(Advanced { x: next, corrected })
}

/// Each row's own sum, `[B,C,H,W]`.
fn combine(
    sums: &[&Combination],
    e: &[usize],
    current: &Current,
    histories: &[&mut History],
) -> Result<Tensor, SolverError> {
    let longest = sums.iter().map(|s| s.terms().len()).max().unwrap_or(0);
    let mut total: Option<Tensor> = None;
    for k in 0..longest.max(1) {
        let terms: Vec<Option<&Term>> = sums.iter().map(|s| s.terms().get(k)).collect();
        let weights = per_row(terms.iter().map(|t| t.map_or(1.0, |t| t.weight)), current.x)?;
        let product = match common(&terms, e) {
            Some(value) => current.of(value).f_mul(&weights)?,
            None => {
                let neutral = neutral(current.x, &current.x.size()[1..])?;
                let gathered = terms.iter().enumerate().map(|(row, term)| match term {
                    None => Ok(neutral.shallow_clone()),
                    Some(t) if t.evaluation == e[row] => Ok(current.of(t.value).f_select(0, row as i64)?),
                    Some(Term { value, evaluation, .. }) => histories[row]
                        .get(*value, *evaluation)
                        .map(Tensor::shallow_clone)
                        .ok_or(SolverError::NoHistory { value: *value, evaluation: *evaluation }),
                });
                Tensor::f_stack(&gathered.collect::<Result<Vec<_>, _>>()?, 0)?.f_mul(&weights)?
            }
        };
        total = Some(match total {
            None => product,
            Some(total) => total.f_add(&product)?,
        });
    }
    // The loop runs at least once.
    total.ok_or(SolverError::Rows { what: "sums", found: 0, rows: e.len() })
}

/// The value that all rows' terms name, if it is one and of the evaluation at hand: then nothing is gathered.
fn common(terms: &[Option<&Term>], e: &[usize]) -> Option<Value> {
    let value = terms.first().copied().flatten()?.value;
    let same = |(t, &e): (&Option<&Term>, &usize)| t.is_some_and(|t| t.value == value && t.evaluation == e);
    terms.iter().zip(e).all(same).then_some(value)
}

/// The noise to be added, `[B,C,H,W]`, or `None` where no row draws any.
fn draw(
    plan: &Plan,
    e: &[usize],
    prediction: &Prediction,
    shape: &[i64],
    noise: impl Fn(usize) -> Result<Tensor, SolverError>,
) -> Result<Option<Tensor>, SolverError> {
    if e.iter().all(|&e| plan.update(e).noise == Noise::None) {
        return Ok(None);
    }
    let z = |row: usize| {
        let z = noise(row)?;
        expect("the noise", &z, shape)?;
        Ok::<_, SolverError>(z.f_to_device(prediction.eps.device())?)
    };
    let rows = e.iter().enumerate().map(|(row, &e)| match plan.update(e).noise {
        Noise::None => neutral(&prediction.eps, shape),
        Noise::Fixed(scale) => Ok(z(row)?.f_mul_scalar(scale)?),
        Noise::Learned { log_min, log_max } => {
            // One row at a time: a vectorised exp may round the last few elements of a batch differently.
            let v = prediction.variance.as_ref().ok_or(SolverError::NoVariance)?.f_select(0, row as i64)?;
            let half =
                v.f_add_scalar(1.0)?.f_mul_scalar((log_max - log_min) / 4.0)?.f_add_scalar(log_min / 2.0)?;
            Ok(half.f_exp()?.f_mul(&z(row)?)?)
        }
    });
    Ok(Some(Tensor::f_stack(&rows.collect::<Result<Vec<_>, SolverError>>()?, 0)?))
}

/// −0 everywhere: added to anything it leaves every bit as it was.
fn neutral(like: &Tensor, shape: &[i64]) -> Result<Tensor, SolverError> {
    Ok(Tensor::f_full(shape, -0.0, (Kind::Float, like.device()))?)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use proptest::prelude::*;

    use super::super::diffusion::{BetaSchedule, Diffusion, Node};
    use super::super::prediction::{PredictionType, X0Clip};
    use super::super::spec::{SolverSpec, StartAt};
    use super::*;

    // 35 numbers an image: no whole number of vector registers.
    const SHAPE: [i64; 3] = [1, 5, 7];

    fn plan(spec: &str, steps: usize) -> Plan {
        let diffusion = Diffusion::new(BetaSchedule::Linear, 1000, 1e-4, 0.02).unwrap();
        spec.parse::<SolverSpec>().unwrap().plan(&diffusion, steps, StartAt::Noise).unwrap()
    }

    fn numbers(seed: f32) -> Tensor {
        let values: Vec<f32> = (0..35).map(|i| (i as f32 * (1.0 + seed) + seed).sin() * 1.7).collect();
        Tensor::from_slice(&values).view(SHAPE)
    }

    fn predict(plan: &Plan, e: &[usize], x: &Tensor) -> Prediction {
        let nodes: Vec<Node> = e.iter().map(|&e| plan.evaluations()[e].node).collect();
        let (output, variance) = (x * 0.8 + x.abs() * 0.1, x * 0.5);
        Prediction::new(
            x,
            &output,
            Some(variance),
            &nodes,
            PredictionType::Epsilon,
            X0Clip::None,
            (-1.0, 1.0),
        )
        .unwrap()
    }

    fn noise_of(image: usize, e: usize) -> Tensor {
        numbers(0.37 * image as f32 + 0.11 * e as f32 + 2.0)
    }

    fn bits(t: &Tensor) -> Vec<u32> {
        Vec::<f32>::try_from(t.contiguous().view(-1)).unwrap().into_iter().map(f32::to_bits).collect()
    }

    /// One image by itself: the bits of x (corrected where it is) at each evaluation, and of the end.
    fn alone(plan: &Plan, image: usize) -> Vec<Vec<u32>> {
        let mut x = numbers(image as f32).unsqueeze(0);
        let (mut history, mut path) = (History::new(), Vec::new());
        for e in 0..plan.evaluations().len() {
            let said = predict(plan, &[e], &x);
            let moved =
                advance(plan, &[e], &x, &said, &mut [&mut history], |_| Ok(noise_of(image, e))).unwrap();
            path.push(bits(moved.corrected.as_ref().unwrap_or(&x)));
            x = moved.x;
        }
        path.push(bits(&x));
        assert!(history.is_empty());
        path
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        /// Images that start at different times, in batches of changing size, end in the bits they end in alone.
        #[test]
        fn a_row_does_not_depend_on_its_neighbours(
            which in 0usize..10, starts in prop::collection::vec(0usize..6, 1..6),
        ) {
            let spec = [
                "ddim:eta=0.6", "ddpm:variance=learned_range", "ddpm:variance=fixed_large", "dpm-solver-3",
                "dpm-solver++3m", "dpm-solver++2m-sde", "euler-ancestral", "heun", "unipc:order=3", "unipc:type=bh1",
            ][which];
            let plan = plan(spec, 6);
            let count = plan.evaluations().len();
            let mut xs: Vec<Tensor> = (0..starts.len()).map(|image| numbers(image as f32)).collect();
            let mut histories: Vec<History> = starts.iter().map(|_| History::new()).collect();
            let expected: Vec<_> = (0..starts.len()).map(|image| alone(&plan, image)).collect();
            for tick in 0..count + 6 {
                let images: Vec<usize> =
                    (0..starts.len()).filter(|&i| tick >= starts[i] && tick - starts[i] < count).collect();
                if images.is_empty() {
                    continue;
                }
                let e: Vec<usize> = images.iter().map(|&i| tick - starts[i]).collect();
                let x = Tensor::stack(&images.iter().map(|&i| xs[i].shallow_clone()).collect::<Vec<_>>(), 0);
                let said = predict(&plan, &e, &x);
                let mut rows: Vec<&mut History> =
                    histories.iter_mut().enumerate().filter(|(i, _)| images.contains(i)).map(|(_, h)| h).collect();
                let moved =
                    advance(&plan, &e, &x, &said, &mut rows, |row| Ok(noise_of(images[row], e[row]))).unwrap();
                for (row, &image) in images.iter().enumerate() {
                    let seen = moved.corrected.as_ref().unwrap_or(&x).select(0, row as i64);
                    prop_assert_eq!(&bits(&seen), &expected[image][e[row]], "{} image {}", spec, image);
                    xs[image] = moved.x.select(0, row as i64);
                }
            }
            for (image, x) in xs.iter().enumerate() {
                prop_assert_eq!(&bits(x), expected[image].last().unwrap(), "{} image {}", spec, image);
            }
        }
    }

    #[test]
    fn a_negative_zero_survives_neighbours_with_longer_sums() {
        let plan = plan("dpm-solver++3m", 20);
        let (a, b) = (numbers(1.0), numbers(2.0));
        let mut history = History::new();
        for e in 0..5 {
            let x = b.unsqueeze(0);
            let said = predict(&plan, &[e], &x);
            advance(&plan, &[e], &x, &said, &mut [&mut history], |_| panic!("deterministic")).unwrap();
        }
        // The first update has two terms, the sixth four; x = −0 and x0 = −0 give −0 alone.
        let x = Tensor::stack(&[a * -0.0f64, b], 0);
        let zero = Tensor::full([1, 5, 7], -0.0, tch::kind::FLOAT_CPU);
        let x = Tensor::stack(&[zero.shallow_clone(), x.select(0, 1)], 0);
        let mut said = predict(&plan, &[0, 5], &x);
        said.x0 = Tensor::stack(&[zero, said.x0.select(0, 1)], 0);
        let mut fresh = History::new();
        let moved =
            advance(&plan, &[0, 5], &x, &said, &mut [&mut fresh, &mut history], |_| panic!("deterministic"));
        assert!(bits(&moved.unwrap().x.select(0, 0)).iter().all(|&b| b == (-0.0f32).to_bits()));
    }

    #[test]
    fn noise_is_drawn_only_where_it_is_asked_for() {
        let plan = plan("ddpm", 4);
        let x = Tensor::stack(&[numbers(1.0), numbers(2.0), numbers(3.0)], 0);
        let e = [3, 0, 3]; // evaluation 3 is the last and adds none
        let said = predict(&plan, &e, &x);
        let drawn = RefCell::new(Vec::new());
        let mut h: Vec<History> = (0..3).map(|_| History::new()).collect();
        let mut h: Vec<&mut History> = h.iter_mut().collect();
        let noise = |row| {
            drawn.borrow_mut().push(row);
            Ok(numbers(4.0))
        };
        advance(&plan, &e, &x, &said, &mut h, noise).unwrap();
        assert_eq!(*drawn.borrow(), [1]);
    }

    #[test]
    fn history_holds_what_will_be_used() {
        let plan = plan("dpm-solver++2m", 20);
        let (mut history, x) = (History::new(), numbers(1.0).unsqueeze(0));
        for e in 0..20 {
            let said = predict(&plan, &[e], &x);
            advance(&plan, &[e], &x, &said, &mut [&mut history], |_| panic!("deterministic")).unwrap();
            // The last step is of order 1: after evaluation 18 nothing is needed any more.
            assert_eq!(history.len(), usize::from(e < 18), "after {e}");
            assert_eq!(history.get(Value::X0, e).is_some(), e < 18);
        }
    }

    #[test]
    fn bad_input_is_refused_and_changes_nothing() {
        let plan = plan("dpm-solver++2m", 5);
        let x = numbers(1.0).unsqueeze(0);
        let said = predict(&plan, &[1], &x);
        let mut history = History::new();
        let mut call = |e: &[usize], x: &Tensor| {
            advance(&plan, e, x, &said, &mut [&mut history], |_| Ok(numbers(0.0))).map(|_| ()).unwrap_err()
        };
        assert!(matches!(call(&[0, 1], &x), SolverError::Rows { found: 2, rows: 1, .. }));
        assert!(matches!(call(&[5], &x), SolverError::Evaluation { evaluation: 5, .. }));
        assert!(matches!(call(&[0], &x.squeeze()), SolverError::Rows { .. }));
        assert!(matches!(call(&[0], &x.to_kind(Kind::Double)), SolverError::Shape { .. }));
        let missing = SolverError::NoHistory { value: Value::X0, evaluation: 0 }.to_string();
        assert_eq!(call(&[1], &x).to_string(), missing);
        assert!(history.is_empty());

        let noisy = super::tests::plan("ddpm:variance=learned_range", 5);
        let mut said = predict(&noisy, &[0], &x);
        let short = |_| Ok(Tensor::zeros([1], tch::kind::FLOAT_CPU));
        let got = advance(&noisy, &[0], &x, &said, &mut [&mut history], short);
        assert!(matches!(got, Err(SolverError::Shape { what: "the noise", .. })));
        said.variance = None;
        let got = advance(&noisy, &[0], &x, &said, &mut [&mut history], |_| Ok(numbers(0.0)));
        assert!(matches!(got, Err(SolverError::NoVariance)));
    }
}
