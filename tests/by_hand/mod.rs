//! One image drawn by a plain loop: exits, tails and guidance written down straight, each half of the image run by
//! itself, residuals kept and carried on in f64 by Neville's scheme.

#![allow(dead_code, reason = "each test crate uses its own part")]

use offramp::backbone::{Input, State};
use offramp::exit::Pair;
use offramp::noise::{Draw, standard_normal};
use offramp::solver::{History, Prediction, SolverSpec, StartAt, advance};
use offramp::{Guidance, Model};
use tch::{Kind, Tensor};

/// What stands in for skipped blocks: h(a), and the last residuals over it.
#[derive(Clone, Copy)]
pub struct HandTail {
    /// Order of the polynomial through the residuals; none without residuals.
    pub order: Option<usize>,
    /// Whether h is the trained heads.
    pub heads: bool,
}

/// A half after some block.
pub struct Look<'a> {
    pub evaluation: usize,
    pub depth: usize,
    pub half: usize,
    pub hidden: &'a Tensor,
    pub previous: &'a Tensor,
    /// g_i.
    pub head: &'a dyn Fn() -> Tensor,
}

pub struct ByHand<'a> {
    pub model: &'a Model,
    pub solver: &'a str,
    pub steps: usize,
    pub guidance: Guidance,
    pub pair: Pair,
    pub tail: HandTail,
    /// So many evaluations in a row may leave early.
    pub cap: usize,
    /// The uncertainty of a half; it may leave below `limit`.
    pub score: &'a dyn Fn(&Look) -> f64,
    pub limit: f64,
}

/// What came of it.
#[derive(Debug)]
pub struct Drawn {
    pub x: Tensor,
    /// Blocks that each half ran at each evaluation.
    pub depths: Vec<Vec<usize>>,
    /// The higher of the halves' last scores at each evaluation.
    pub uncertainties: Vec<f64>,
    pub cost: f64,
}

/// The residuals of one half at its full evaluations, by λ: one an exit, in f64.
type Nodes = Vec<(f64, Vec<Tensor>)>;

impl ByHand<'_> {
    fn base(&self, depth: usize, a: &Tensor) -> Tensor {
        let head = self.model.exits.as_ref().and_then(|exits| exits.head(depth));
        match head.filter(|_| self.tail.heads) {
            Some(head) => head.forward(a).unwrap(),
            None => a.shallow_clone(),
        }
    }

    /// The output of a half that leaves after `depth` blocks.
    fn finish(&self, depth: usize, mut state: State, lambda: f64, nodes: &Nodes) -> Tensor {
        let base = self.base(depth, &state.hidden);
        state.hidden = match nodes.is_empty() {
            true => base,
            false => {
                let residuals = nodes.iter().map(|(at, r)| (*at, r[depth - 1].shallow_clone())).collect();
                (base.to_kind(Kind::Double) + neville(residuals, lambda)).to_kind(Kind::Float)
            }
        };
        self.model.backbone.finish(depth, state).unwrap()
    }

    /// Draws the image.
    pub fn run(&self, class: i64, seed: u64) -> Drawn {
        let (net, config) = (&self.model.backbone, &self.model.config);
        let (blocks, chw) = (net.depth(), net.shape().chw());
        let solver: SolverSpec = self.solver.parse().unwrap();
        let plan = solver.plan(&self.model.diffusion, self.steps, StartAt::Noise).unwrap();
        let noise = |draw| standard_normal(seed, draw, chw).unwrap();
        let (mut x, mut history, mut early) = (noise(Draw::Initial).unsqueeze(0), History::new(), 0);
        let mut kept: [Nodes; 2] = [vec![], vec![]];
        let mut drawn = Drawn { x: x.shallow_clone(), depths: vec![], uncertainties: vec![], cost: 0.0 };
        for (e, evaluation) in plan.evaluations().iter().enumerate() {
            let (node, lambda) = (evaluation.node, evaluation.node.lambda());
            let halves = 1 + usize::from(self.guidance.acts_at(node.t));
            let t = Tensor::full([1], node.t, (Kind::Float, tch::Device::Cpu));
            let begin = |class: i64| {
                net.begin(&Input { x: &x, t: &t, class: &Tensor::from_slice(&[class]) }).unwrap()
            };
            let mut states: Vec<State> =
                [class, config.null_class.unwrap()][..halves].iter().map(|&class| begin(class)).collect();
            let mut passed: Vec<Vec<Tensor>> = (0..halves).map(|_| vec![]).collect();
            let mut out: Vec<Option<(usize, Tensor)>> = (0..halves).map(|_| None).collect();
            let mut said = vec![f64::NEG_INFINITY; halves];
            for depth in 1..=blocks {
                let here: Vec<usize> = (0..halves).filter(|&h| out[h].is_none()).collect();
                let mut scores = vec![];
                for &half in &here {
                    let previous = states[half].hidden.shallow_clone();
                    net.block(depth - 1, &mut states[half]).unwrap();
                    passed[half].push(states[half].hidden.shallow_clone());
                    if depth == blocks {
                        let whole = states[half].share();
                        out[half] = Some((depth, net.finish(depth, whole).unwrap()));
                        continue;
                    }
                    let (hidden, state) = (&states[half].hidden, states[half].share());
                    let head = || self.finish(depth, state.share(), lambda, &kept[half]);
                    let look = Look { evaluation: e, depth, half, hidden, previous: &previous, head: &head };
                    scores.push((self.score)(&look));
                    said[half] = scores[scores.len() - 1];
                }
                if depth == blocks || early >= self.cap {
                    continue;
                }
                let below = |score: f64| score < self.limit;
                let ready = |half: &usize| self.tail.order.is_none() || !kept[*half].is_empty();
                let together = here.iter().all(ready)
                    && match self.pair {
                        Pair::Conditional => scores.first().copied().is_some_and(below),
                        Pair::Mean => below(scores.iter().sum::<f64>() / scores.len() as f64),
                        _ => scores.iter().copied().all(below),
                    };
                for (place, half) in here.iter().enumerate() {
                    let leaves = match self.pair {
                        Pair::Apart => ready(half) && below(scores[place]),
                        _ => together,
                    };
                    if leaves {
                        let left = self.finish(depth, states[*half].share(), lambda, &kept[*half]);
                        out[*half] = Some((depth, left));
                    }
                }
            }
            let out: Vec<(usize, Tensor)> = out.into_iter().flatten().collect();
            let depths: Vec<usize> = out.iter().map(|(depth, _)| *depth).collect();
            for half in (0..halves).filter(|&half| depths[half] == blocks) {
                let Some(order) = self.tail.order else { continue };
                let last = states[half].hidden.to_kind(Kind::Double);
                let residual = |(i, a)| &last - self.base(i + 1, a).to_kind(Kind::Double);
                let residuals = passed[half].iter().enumerate().map(residual).collect();
                kept[half].retain(|(at, _)| *at != lambda);
                kept[half].push((lambda, residuals));
                let spare = kept[half].len().saturating_sub(order + 1);
                kept[half].drain(..spare);
            }
            early = if depths.iter().any(|&depth| depth < blocks) { early + 1 } else { 0 };
            drawn.cost += depths.iter().map(|&depth| net.cost(depth)).sum::<f64>();
            drawn.uncertainties.push(said.into_iter().fold(f64::NEG_INFINITY, f64::max));
            drawn.depths.push(depths);
            let eps = match &out[..] {
                [(_, c), (_, u)] => u + (c - u) * self.guidance.scale,
                _ => out[0].1.shallow_clone(),
            };
            let (kind, clip) = (config.diffusion.prediction, config.x0_clip);
            let prediction = Prediction::new(&x, &eps, None, &[node], kind, clip, (-1.0, 1.0)).unwrap();
            let z = |_| Ok(noise(Draw::Evaluation(e)));
            x = advance(&plan, &[e], &x, &prediction, &mut [&mut history], z).unwrap().x;
        }
        Drawn { x: x.get(0), ..drawn }
    }
}

/// The value at `at` of the polynomial through the points.
fn neville(mut points: Vec<(f64, Tensor)>, at: f64) -> Tensor {
    let places: Vec<f64> = points.iter().map(|(place, _)| *place).collect();
    for span in 1..places.len() {
        for i in 0..places.len() - span {
            let (from, to) = (places[i], places[i + span]);
            points[i].1 = (&points[i].1 * (to - at) + &points[i + 1].1 * (at - from)) / (to - from);
        }
    }
    points.swap_remove(0).1
}

/// Asserts that a sample is what was drawn by hand.
pub fn assert_same(sample: &offramp::Sample, drawn: &Drawn, what: &str) {
    let deeper: Vec<usize> = drawn.depths.iter().map(|halves| *halves.iter().max().unwrap()).collect();
    assert_eq!(sample.depths, deeper, "{what}: by halves {:?}", drawn.depths);
    assert!((sample.cost - drawn.cost).abs() < 1e-9, "{what}: {} and {}", sample.cost, drawn.cost);
    let far = (&sample.x - &drawn.x).abs().max().double_value(&[]);
    assert!(far <= 1e-4, "{what}: {far:.1e}");
}
