//! Heads, estimators and gates against slow straight formulas in f64, and their gradients.

mod learned_exits;

use learned_exits::{config, estimator, gate, normal, random, sha, tensors};
use offramp::learned::{EstimatorKind, HeadKind, LearnedConfig, LearnedExits};
use tch::{Device, Kind, Tensor};

const HEADS: [HeadKind; 3] = [HeadKind::Linear, HeadKind::Local, HeadKind::Global];
const R: usize = 2;

/// Of odd sides, and wide enough for two attention heads.
fn odd(heads: HeadKind) -> LearnedConfig {
    LearnedConfig { width: 128, grid: [3, 5], points: vec![3], heads, ..config(&sha()) }
}

/// States `[R, T, D]` of a network.
fn states(config: &LearnedConfig) -> Tensor {
    normal(&[R as i64, config.tokens() as i64, config.width as i64], 1.5, 7)
}

fn temb(config: &LearnedConfig) -> Tensor {
    normal(&[R as i64, config.width as i64], 1.0, 8)
}

fn numbers(x: &Tensor) -> Vec<f64> {
    Vec::try_from(x.to_kind(Kind::Double).contiguous().view([-1])).unwrap()
}

/// Largest difference, relative to the largest value.
fn apart(got: &Tensor, expected: &[f64]) -> f64 {
    let got = numbers(got);
    assert_eq!(got.len(), expected.len());
    let size = expected.iter().fold(0f64, |m, v| m.max(v.abs()));
    assert!(size > 0.05, "nothing to compare: {size}");
    got.iter().zip(expected).fold(0f64, |m, (a, b)| m.max((a - b).abs())) / size
}

/// One row's tokens.
type Tokens = Vec<Vec<f64>>;

fn rows(x: &Tensor) -> Vec<Tokens> {
    let (t, d) = (x.size()[1] as usize, x.size()[2] as usize);
    numbers(x).chunks(t * d).map(|row| row.chunks(d).map(<[f64]>::to_vec).collect()).collect()
}

/// The tensors of one part as numbers.
struct Weights(std::collections::BTreeMap<String, Vec<f64>>);

impl Weights {
    fn of(exits: &LearnedExits) -> Self {
        Self(exits.named().into_iter().map(|(name, tensor)| (name, numbers(&tensor))).collect())
    }

    fn linear(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let (weight, bias) = (&self.0[&format!("{name}.weight")], &self.0[&format!("{name}.bias")]);
        weight.chunks(x.len()).zip(bias).map(|(w, b)| b + dot(w, x)).collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(x: &[f64]) -> Vec<f64> {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    x.iter().map(|v| (v - mean) / (variance + 1e-6).sqrt()).collect()
}

fn affine_norm(weights: &Weights, x: &[f64]) -> Vec<f64> {
    let (w, b) = (&weights.0["heads.3.norm.weight"], &weights.0["heads.3.norm.bias"]);
    norm(x).iter().zip(w.iter().zip(b)).map(|(v, (w, b))| v * w + b).collect()
}

fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// A_i of one row's normed tokens.
fn change(config: &LearnedConfig, weights: &Weights, tokens: &Tokens) -> Tokens {
    let [h, w] = config.grid;
    match config.heads {
        HeadKind::Linear => tokens.iter().map(|x| weights.linear("heads.3.linear", x)).collect(),
        HeadKind::Local => {
            let (kernel, bias) = (&weights.0["heads.3.conv.weight"], &weights.0["heads.3.conv.bias"]);
            let at = |y: usize, x: usize, c: usize| {
                let mut sum = bias[c];
                for dy in 0..3 {
                    for dx in 0..3 {
                        let (ny, nx) = ((y + dy).wrapping_sub(1), (x + dx).wrapping_sub(1));
                        if ny < h && nx < w {
                            sum += kernel[c * 9 + dy * 3 + dx] * tokens[ny * w + nx][c];
                        }
                    }
                }
                gelu(sum)
            };
            let token = |i: usize| (0..config.width).map(|c| at(i / w, i % w, c)).collect::<Vec<f64>>();
            (0..h * w).map(|i| weights.linear("heads.3.linear", &token(i))).collect()
        }
        HeadKind::Global => {
            let mut pooled = vec![];
            for y in (0..h).step_by(2) {
                for x in (0..w).step_by(2) {
                    let near: Vec<&Vec<f64>> = (y..h.min(y + 2))
                        .flat_map(|y| (x..w.min(x + 2)).map(move |x| y * w + x))
                        .map(|i| &tokens[i])
                        .collect();
                    let mean = |c: usize| near.iter().map(|t| t[c]).sum::<f64>() / near.len() as f64;
                    pooled.push((0..config.width).map(mean).collect::<Vec<f64>>());
                }
            }
            let keys: Tokens = pooled.iter().map(|x| weights.linear("heads.3.key", x)).collect();
            let values: Tokens = pooled.iter().map(|x| weights.linear("heads.3.value", x)).collect();
            let per = 64;
            let attend = |x: &Vec<f64>| {
                let query = weights.linear("heads.3.query", x);
                let mut joined = vec![];
                for from in (0..config.width).step_by(per) {
                    let part = from..from + per;
                    let score = |k: &Vec<f64>| {
                        (dot(&query[part.clone()], &k[part.clone()]) / (per as f64).sqrt()).exp()
                    };
                    let scores: Vec<f64> = keys.iter().map(score).collect();
                    let total: f64 = scores.iter().sum();
                    for c in part.clone() {
                        joined.push(scores.iter().zip(&values).map(|(s, v)| s / total * v[c]).sum());
                    }
                }
                weights.linear("heads.3.proj", &joined)
            };
            tokens.iter().map(attend).collect()
        }
        other => panic!("{other:?} changes nothing"),
    }
}

#[test]
fn an_untrained_head_is_the_shared_one() {
    for heads in HEADS {
        for config in [odd(heads), LearnedConfig { heads, ..config(&sha()) }] {
            let exits = LearnedExits::init(config.clone(), 3).unwrap();
            let a = states(&config);
            for &depth in &config.points {
                assert_eq!(exits.head(depth).unwrap().forward(&a).unwrap(), a, "{heads:?}");
            }
        }
    }
    assert!(LearnedExits::init(config(&sha()), 3).unwrap().head(1).is_none());
}

#[test]
fn heads_equal_the_straight_formula() {
    for heads in HEADS {
        let config = odd(heads);
        let exits = random(config.clone(), 0.15);
        let a = states(&config);
        let b = exits.head(3).unwrap().forward(&a).unwrap();
        assert_eq!(b.size(), a.size());
        let weights = Weights::of(&exits);
        let mut changes = vec![];
        for tokens in rows(&a) {
            let normed: Tokens = tokens.iter().map(|x| affine_norm(&weights, x)).collect();
            changes.extend(change(&config, &weights, &normed).into_iter().flatten());
        }
        let difference = apart(&(b - &a), &changes);
        assert!(difference < 2e-5, "{heads:?}: {difference:.1e}");
    }
}

#[test]
fn estimators_equal_the_straight_formula() {
    for kind in [EstimatorKind::Paper, EstimatorKind::Released] {
        let config = LearnedConfig { estimator: estimator(kind), ..odd(HeadKind::Shared) };
        let exits = random(config.clone(), 0.1);
        let (hidden, temb) = (states(&config), temb(&config));
        let weights = Weights::of(&exits);
        let times = numbers(&temb);
        let mut expected = vec![];
        for (row, time) in rows(&hidden).iter().zip(times.chunks(config.width)) {
            for token in row {
                let seen = match kind {
                    EstimatorKind::Paper => [token, time].concat(),
                    _ => token.clone(),
                };
                expected.extend(weights.linear("estimators.3", &seen).into_iter().map(sigmoid));
            }
        }
        let estimator = exits.estimator(3).unwrap();
        let outputs = if kind == EstimatorKind::Paper { 1 } else { config.patch_outputs };
        let tokens = estimator.per_token(&hidden, &temb).unwrap();
        assert_eq!(tokens.size(), [R as i64, config.tokens() as i64, outputs as i64]);
        assert!(apart(&tokens, &expected) < 2e-6);
        let image = estimator.per_image(&hidden, &temb).unwrap();
        let mean = |row: &[f64]| row.iter().sum::<f64>() / row.len() as f64;
        let means: Vec<f64> = expected.chunks(config.tokens() * outputs).map(mean).collect();
        assert_eq!((image.size(), image.kind()), (vec![R as i64], Kind::Float));
        assert!(apart(&image, &means) < 2e-6);
    }
}

#[test]
fn a_gate_equals_the_straight_formula() {
    let config = LearnedConfig { gate: gate(9), ..odd(HeadKind::Shared) };
    let exits = random(config.clone(), 0.2);
    let (hidden, temb) = (states(&config), temb(&config));
    let weights = Weights::of(&exits);
    let times = numbers(&temb);
    let expected: Vec<f64> = rows(&hidden)
        .iter()
        .zip(times.chunks(config.width))
        .map(|(row, time)| {
            let normed: Tokens = row.iter().map(|x| norm(x)).collect();
            let mean = |c: usize| normed.iter().map(|t| t[c]).sum::<f64>() / normed.len() as f64;
            let seen: Vec<f64> = (0..config.width).map(mean).chain(time.iter().copied()).collect();
            let inner = weights.linear("gates.3.fc1", &seen).into_iter().map(|x| x * sigmoid(x));
            weights.linear("gates.3.fc2", &inner.collect::<Vec<f64>>())[0]
        })
        .collect();
    let logit = exits.gate(3).unwrap().logit(&hidden, &temb).unwrap();
    assert_eq!((logit.size(), logit.kind()), (vec![R as i64], Kind::Float));
    assert!(apart(&logit, &expected) < 1e-5);
}

/// The sum of the mean squares of all that exits give.
fn all_outputs(exits: &LearnedExits, hidden: &Tensor, temb: &Tensor) -> Tensor {
    let mut squares = vec![];
    for &depth in &exits.config().points {
        let mut parts = vec![];
        if let Some(head) = exits.head(depth) {
            parts.push(head.forward(hidden).unwrap());
        }
        if let Some(estimator) = exits.estimator(depth) {
            parts.push(estimator.per_image(hidden, temb).unwrap());
            parts.push(estimator.per_token(hidden, temb).unwrap());
        }
        if let Some(gate) = exits.gate(depth) {
            parts.push(gate.logit(hidden, temb).unwrap());
        }
        for part in parts {
            squares.push(part.to_kind(Kind::Float).square().mean(Kind::Float));
        }
    }
    Tensor::stack(&squares, 0).sum(Kind::Float)
}

#[test]
fn every_parameter_has_a_finite_gradient() {
    for heads in HEADS {
        for kind in [EstimatorKind::Paper, EstimatorKind::Released] {
            let config = LearnedConfig { estimator: estimator(kind), gate: gate(6), ..odd(heads) };
            let leaves: std::collections::BTreeMap<String, Tensor> =
                tensors(&config, 0.1).into_iter().map(|(n, t)| (n, t.set_requires_grad(true))).collect();
            let exits = LearnedExits::assemble(config.clone(), &leaves).unwrap();
            // The states come out of a network that is trained, too.
            let hidden = states(&config).set_requires_grad(true);
            let temb = temb(&config).set_requires_grad(true);
            all_outputs(&exits, &hidden, &temb).backward();
            let states = [("hidden".to_owned(), hidden), ("temb".to_owned(), temb)];
            for (name, tensor) in leaves.iter().map(|(n, t)| (n.clone(), t.shallow_clone())).chain(states) {
                let grad = tensor.grad();
                assert!(grad.defined(), "{name}");
                assert!(grad.isfinite().all().int64_value(&[]) == 1, "{name}");
                // Softmax takes no notice of what all keys share.
                let some = grad.abs().max().double_value(&[]) > 0.0;
                assert!(some || name.ends_with(".key.bias"), "{name}");
            }
            // What the exits call theirs are the leaves themselves.
            for (name, tensor) in exits.named() {
                assert!(tensor.is_leaf() && tensor.grad() == leaves[&name].grad(), "{name}");
            }
        }
    }
}

#[test]
fn gradients_reach_through_a_change_of_dtype() {
    let config =
        LearnedConfig { estimator: estimator(EstimatorKind::Paper), gate: gate(6), ..odd(HeadKind::Local) };
    let leaves: std::collections::BTreeMap<String, Tensor> =
        tensors(&config, 0.1).into_iter().map(|(n, t)| (n, t.set_requires_grad(true))).collect();
    let master = LearnedExits::assemble(config.clone(), &leaves).unwrap();
    let fast = master.to(Device::Cpu, Kind::BFloat16).unwrap();
    let (hidden, temb) = (states(&config), temb(&config));
    let half = |x: &Tensor| x.to_kind(Kind::BFloat16);
    let exact = master.estimator(3).unwrap().per_image(&hidden, &temb).unwrap();
    let rough = fast.estimator(3).unwrap().per_image(&half(&hidden), &half(&temb)).unwrap();
    assert_eq!(rough.kind(), Kind::Float);
    assert!((exact - rough).abs().max().double_value(&[]) < 0.01);
    all_outputs(&fast, &half(&hidden), &half(&temb)).backward();
    for (name, leaf) in &leaves {
        assert!(leaf.grad().defined() && leaf.grad().kind() == Kind::Float, "{name}");
    }
}

#[test]
fn a_seed_alone_says_how_exits_start() {
    let config =
        LearnedConfig { estimator: estimator(EstimatorKind::Paper), gate: gate(6), ..odd(HeadKind::Global) };
    tch::manual_seed(5);
    let undisturbed = Tensor::randn([4], (Kind::Float, Device::Cpu));
    tch::manual_seed(5);
    let a = LearnedExits::init(config.clone(), 1).unwrap();
    assert_eq!(Tensor::randn([4], (Kind::Float, Device::Cpu)), undisturbed);
    tch::manual_seed(6);
    let again = LearnedExits::init(config.clone(), 1).unwrap();
    let other = LearnedExits::init(config.clone(), 2).unwrap();
    assert!(a.named().iter().zip(again.named()).all(|(a, b)| *a == b));
    assert!(a.named().iter().zip(other.named()).any(|(a, b)| *a != b));
    let found: Vec<String> = a.named().into_iter().map(|(name, _)| name).collect();
    assert!(LearnedExits::shapes(&config).into_keys().eq(found));
    // No opinion at first.
    let (hidden, temb) = (states(&config), temb(&config));
    let u = a.estimator(3).unwrap().per_image(&hidden, &temb).unwrap();
    assert_eq!(Vec::<f32>::try_from(u).unwrap(), [0.5; R]);
}
