//! `change` × `residual`, the first-block cache decided for each image: against a plain loop that keeps the
//! residuals by hand, and what must hold whatever the threshold.

mod per_image_exit;
mod two_sigma_model;

use offramp::backbone::{Backbone, Input};
use offramp::exit::{Change, Exit, ExitSpec, Fixed, Full};
use offramp::noise::{Draw, standard_normal};
use offramp::solver::{History, Prediction, PredictionType, SolverSpec, StartAt, X0Clip, advance};
use offramp::tail::{Forecast, Head, Tail};
use offramp::{Guidance, Model, Outcome, Request, RowMemory, Sample, Sampler};
use per_image_exit::Saturated;
use proptest::prelude::*;
use tch::{Kind, Tensor};
use two_sigma_model::alone;

const STEPS: usize = 8;
const BLOCKS: usize = 12;

fn fashion() -> Model {
    Model::open("weights/fashion-dit").unwrap()
}

fn change(typed: &str) -> Box<dyn Exit> {
    let spec: ExitSpec = format!("change:{typed}").parse().unwrap();
    spec.build("schedules".as_ref(), None).unwrap()
}

fn sampler(exit: impl Exit + 'static, solver: &str) -> Sampler {
    Sampler::new(fashion())
        .with_exit(exit)
        .with_tail(Forecast::residual())
        .with_solver(solver.parse().unwrap(), STEPS)
        .with_batch(1)
        .with_threads(1)
}

fn draw(sampler: &Sampler, classes: &[i64], seed: u64) -> Outcome {
    sampler.sample(&Request::classes(classes.iter().copied(), seed), &mut ()).unwrap()
}

fn assert_same(a: &Outcome, b: &Outcome) {
    assert_eq!(a.samples.len(), b.samples.len());
    for (a, b) in a.samples.iter().zip(&b.samples) {
        assert_eq!(a.depths, b.depths, "image {}", a.image);
        assert_eq!(a.x, b.x, "image {}", a.image);
    }
}

// ---- the plain loop

/// One row's first-block and skipped-block residuals at its last full evaluation.
struct Cached {
    first: Tensor,
    rest: Tensor,
}

/// A first-block cache over one image, written down straight.
struct ByHand<'a> {
    net: &'a dyn Backbone,
    class: i64,
    threshold: f64,
    after: usize,
    cached: [Option<Cached>; 2],
}

impl ByHand<'_> {
    /// ε of the halves (one, or the conditional and the unconditional one), `[H, C, H, W]`, and the depth.
    fn evaluate(&mut self, x: &Tensor, t: f64, halves: usize) -> (Tensor, usize) {
        let n = halves as i64;
        let classes = &[self.class, 10][..halves];
        let input = Input {
            x: &x.unsqueeze(0).repeat([n, 1, 1, 1]),
            t: &Tensor::full([n], t, (Kind::Float, tch::Device::Cpu)),
            class: &Tensor::from_slice(classes),
        };
        let mut state = self.net.begin(&input).unwrap();
        let embedded = state.hidden.shallow_clone();
        for i in 0..self.after {
            self.net.block(i, &mut state).unwrap();
        }
        let (a, first) = (state.hidden.shallow_clone(), &state.hidden - embedded);
        let similar = |half: usize| {
            self.cached[half].as_ref().is_some_and(|cached| {
                let mean = |x: Tensor| x.abs().mean(Kind::Float).double_value(&[]);
                mean(first.get(half as i64) - &cached.first) / mean(cached.first.shallow_clone())
                    < self.threshold
            })
        };
        if (0..halves).all(similar) {
            let rest = self.cached.iter().flatten().map(|cached| &cached.rest).collect::<Vec<_>>();
            state.hidden = a + Tensor::stack(&rest[..halves], 0);
            return (self.net.finish(self.after, state).unwrap(), self.after);
        }
        for i in self.after..BLOCKS {
            self.net.block(i, &mut state).unwrap();
        }
        let rest = &state.hidden - a;
        for half in 0..halves {
            let row = half as i64;
            self.cached[half] = Some(Cached { first: first.get(row), rest: rest.get(row) });
        }
        (self.net.finish(BLOCKS, state).unwrap(), BLOCKS)
    }
}

/// Draws one image; gives it with its depths.
fn by_hand(
    model: &Model,
    solver: &str,
    guidance: Guidance,
    exit: (f64, usize),
    class: i64,
    seed: u64,
) -> (Tensor, Vec<usize>) {
    let solver: SolverSpec = solver.parse().unwrap();
    let plan = solver.plan(&model.diffusion, STEPS, StartAt::Noise).unwrap();
    let (threshold, after) = exit;
    let mut network = ByHand { net: &*model.backbone, class, threshold, after, cached: [None, None] };
    let noise = |draw| standard_normal(seed, draw, [1, 28, 28]).unwrap();
    let (mut x, mut history, mut depths) = (noise(Draw::Initial), History::new(), vec![]);
    for (e, evaluation) in plan.evaluations().iter().enumerate() {
        let node = evaluation.node;
        let guided =
            guidance.scale != 1.0 && guidance.interval[0] <= node.t && node.t <= guidance.interval[1];
        let (out, depth) = network.evaluate(&x, node.t, 1 + usize::from(guided));
        let eps = match guided {
            true => out.get(1) + (out.get(0) - out.get(1)) * guidance.scale,
            false => out.get(0),
        };
        depths.push(depth);
        let x_batch = x.unsqueeze(0);
        let prediction = Prediction::new(
            &x_batch,
            &eps.unsqueeze(0),
            None,
            &[node],
            PredictionType::Epsilon,
            X0Clip::Range,
            (-1.0, 1.0),
        );
        let z = |_| Ok(noise(Draw::Evaluation(e)));
        x = advance(&plan, &[e], &x_batch, &prediction.unwrap(), &mut [&mut history], z).unwrap().x.get(0);
    }
    (x, depths)
}

#[test]
fn it_equals_a_plain_loop_that_keeps_the_residuals_by_hand() {
    let _alone = alone();
    let _no_grad = tch::no_grad_guard();
    let model = fashion();
    let interval = Guidance { interval: [150.0, 700.0], ..Guidance::scale(2.0) };
    for (solver, guidance, threshold, after) in [
        ("ddim", Guidance::NONE, 0.25, 1),
        ("ddim", interval, 0.25, 2),
        ("dpm-solver++2m", Guidance::NONE, 0.25, 1),
        ("dpm-solver++2m", Guidance::scale(1.5), 0.25, 3),
        ("dpm-solver++2m", interval, 0.25, 1),
        ("ddpm", Guidance::NONE, 0.35, 1),
        ("euler-ancestral", interval, 0.35, 1),
    ] {
        let exit = Change::new(threshold).unwrap().after(after).unwrap();
        let ours = draw(&sampler(exit, solver).with_guidance(guidance), &[0, 7, 9], 5);
        let mut reused = 0;
        let mut refreshed = 0;
        for (sample, class) in ours.samples.iter().zip([0, 7, 9]) {
            let (x, depths) = by_hand(&model, solver, guidance, (threshold, after), class, sample.seed);
            assert_eq!(sample.depths, depths, "{solver}, {}", exit.spec());
            assert_eq!(sample.x, x, "{solver}, {}", exit.spec());
            reused += depths.iter().filter(|&&d| d == after).count();
            refreshed += depths[1..].iter().filter(|&&d| d == BLOCKS).count();
        }
        assert!(reused >= 3 && refreshed >= 3, "{solver}: {:?}", ours.samples[0].uncertainties);
    }
}

// ---- the ends of the scale

#[test]
fn a_threshold_of_zero_is_full_depth_bit_for_bit() {
    for (solver, guidance) in [("ddim", 1.5), ("euler-ancestral", 1.0)] {
        let with =
            |s: Sampler| draw(&s.with_guidance(Guidance::scale(guidance)).with_batch(3), &[1, 2, 3], 9);
        let ours = with(sampler(change("0"), solver));
        assert_same(&ours, &with(sampler(Full, solver)));
        assert_same(&ours, &with(sampler(Full, solver).with_tail(Head)));
    }
}

#[test]
fn an_infinite_threshold_runs_to_the_end_once() {
    let mut expected = vec![1; STEPS];
    expected[0] = BLOCKS;
    for guidance in [1.0, 1.5] {
        let outcome = draw(&sampler(change("inf"), "ddim").with_guidance(Guidance::scale(guidance)), &[3], 0);
        let sample = &outcome.samples[0];
        assert_eq!(sample.depths, expected);
        assert_eq!(sample.uncertainties[0], Some(f32::INFINITY));
        let rows = if guidance == 1.0 { 1.0 } else { 2.0 };
        let blocks = (BLOCKS + STEPS - 1) as f64 / BLOCKS as f64;
        assert!((sample.cost - rows * blocks).abs() < 1e-9, "{}", sample.cost);
        assert_eq!(sample.full_cost, rows * STEPS as f64);
    }
}

#[test]
fn reuses_in_a_row_may_be_limited() {
    let outcome = draw(&sampler(change("inf,after=2,cap=2"), "ddim"), &[3], 0);
    assert_eq!(outcome.samples[0].depths, [12, 2, 2, 12, 2, 2, 12, 2]);
}

#[test]
fn nothing_is_skipped_before_a_residual_is_there_even_if_time_alone_decides() {
    let fixed = draw(&sampler(Fixed { depth: 2 }, "ddim"), &[3, 4], 0);
    assert_eq!(fixed.samples[0].depths, [12, 2, 2, 2, 2, 2, 2, 2]);
    assert_same(&fixed, &draw(&sampler(change("inf,after=2"), "ddim"), &[3, 4], 0));
}

#[test]
fn a_half_that_was_absent_must_run_to_the_end_first() {
    let guidance = Guidance { interval: [150.0, 700.0], ..Guidance::scale(2.0) };
    let exit = sampler(change("inf"), "ddim").with_guidance(guidance);
    let times: Vec<f64> =
        exit.evaluations(&Request::classes([3], 0)).unwrap().iter().map(|e| e.node.t).collect();
    let first_guided = times.iter().position(|&t| guidance.acts_at(t)).unwrap();
    let (before, behind) = (first_guided, times.iter().rposition(|&t| guidance.acts_at(t)).unwrap());
    assert!(before >= 2 && behind < STEPS - 1, "{times:?}");
    let expected: Vec<usize> =
        (0..STEPS).map(|e| if e == 0 || e == first_guided { BLOCKS } else { 1 }).collect();
    assert_eq!(draw(&exit, &[3], 0).samples[0].depths, expected);
}

#[test]
fn an_evaluation_repeated_gives_the_full_output() {
    let _no_grad = tch::no_grad_guard();
    let net = fashion().backbone;
    let x = standard_normal(1, Draw::Initial, [2, 28, 28]).unwrap().view([2, 1, 28, 28]);
    let t = Tensor::from_slice(&[800.0f32, 300.0]);
    let input = Input { x: &x, t: &t, class: &Tensor::from_slice(&[2i64, 5]) };
    for depth in [1, 6, 11] {
        let mut state = net.begin(&input).unwrap();
        (0..depth).for_each(|i| net.block(i, &mut state).unwrap());
        let mut left = state.share();
        (depth..BLOCKS).for_each(|i| net.block(i, &mut state).unwrap());
        let mut memory = [RowMemory::default(), RowMemory::default()];
        let [first, second] = &mut memory;
        Forecast::residual()
            .learn(depth, &left.hidden, &state.hidden, &[0.0; 2], &mut [first, second])
            .unwrap();
        left.hidden =
            Forecast::residual().recall(depth, &left.hidden, &[0.0; 2], &[&memory[0], &memory[1]]).unwrap();
        let (reused, full) = (net.finish(depth, left).unwrap(), net.finish(BLOCKS, state).unwrap());
        let worst = ((reused - &full).abs().max() / full.abs().max()).double_value(&[]);
        assert!(worst <= 1e-6, "depth {depth}: {worst:.1e}");
    }
}

// ---- memory

#[test]
fn only_the_exits_that_can_be_taken_are_kept() {
    let row = fashion().backbone.state_size() * 4;
    let bytes = |s: &Sampler| draw(s, &[3], 0).samples[0].tail_bytes;
    assert_eq!(bytes(&sampler(change("0.2,after=3"), "ddim")), row);
    assert_eq!(bytes(&sampler(change("0.2"), "ddim").with_guidance(Guidance::scale(2.0))), 2 * row);
    assert_eq!(bytes(&sampler(Full, "ddim")), 0);
    assert_eq!(bytes(&sampler(Fixed { depth: 5 }, "ddim")), row);
    assert_eq!(bytes(&sampler(Saturated { threshold: 0.0, min: 4 }, "ddim")), 8 * row);
    assert_eq!(bytes(&sampler(change("0.2"), "ddim").with_tail(Head)), 0);
    // Evaluations that run to the end whatever the rule says ask for no exit of their own.
    let limited = |typed: &str| typed.parse::<ExitSpec>().unwrap().build("schedules".as_ref(), None).unwrap();
    assert_eq!(bytes(&sampler(limited("fixed:5,warmup=2"), "ddim")), row);
    assert_eq!(bytes(&sampler(limited("fixed:5,only=3-,cap=1"), "ddim")), row);
    assert_eq!(bytes(&sampler(limited("similarity:1,max=3,warmup=1"), "ddim")), 3 * row);
    assert_eq!(bytes(&sampler(limited("fixed:5,warmup=99"), "ddim")), 0);
}

#[test]
fn a_request_leaves_nothing_behind() {
    let used = sampler(change("0.25"), "dpm-solver++2m").with_batch(2);
    let other = draw(&used, &[8, 1], 70);
    let again = draw(&used, &[5, 6], 30);
    assert_same(&again, &draw(&sampler(change("0.25"), "dpm-solver++2m").with_batch(2), &[5, 6], 30));
    assert_same(&other, &draw(&used, &[8, 1], 70));
}

// ---- neighbours

const THRESHOLD: f64 = 0.25;

fn agree(a: &Sample, b: &Sample) {
    for (e, uncertainty) in a.uncertainties.iter().enumerate() {
        let margin = (f64::from(uncertainty.unwrap()) - THRESHOLD).abs();
        assert!(margin > 1e-4 * THRESHOLD, "evaluation {e} is a near tie: choose other seeds");
    }
    assert_eq!(a.depths, b.depths);
    let difference = (&a.x - &b.x).abs().max().double_value(&[]);
    assert!(difference <= 1e-4, "image {}: {difference:.1e}", a.image);
}

#[test]
fn a_batch_equals_its_singles_and_its_permutations() {
    let (classes, order) = ([0i64, 3, 5, 7, 9], [3usize, 0, 4, 2, 1]);
    let noise: Vec<Tensor> =
        (0..5).map(|k| standard_normal(40 + k, Draw::Initial, [1, 28, 28]).unwrap()).collect();
    let guidance = Guidance { interval: [150.0, 700.0], ..Guidance::scale(1.5) };
    for (solver, guidance) in [("dpm-solver++2m", Guidance::NONE), ("unipc", guidance)] {
        let sampler = sampler(Change::new(THRESHOLD).unwrap(), solver).with_guidance(guidance);
        let singles = draw(&sampler, &classes, 40);
        let sampler = sampler.with_batch(5);
        let batch = draw(&sampler, &classes, 40);
        let parts = |e: &usize| batch.samples.iter().any(|s| s.depths[*e] != batch.samples[0].depths[*e]);
        assert!((0..STEPS).any(|e| parts(&e)), "{solver}: the policy never parts the batch");
        batch.samples.iter().zip(&singles.samples).for_each(|(a, b)| agree(a, b));

        let stacked = Tensor::stack(&order.map(|k| &noise[k]), 0);
        let request = Request::classes(order.map(|k| classes[k]), 0).with_noise(stacked);
        let permuted = sampler.sample(&request, &mut ()).unwrap();
        for (place, &k) in order.iter().enumerate() {
            agree(&permuted.samples[place], &batch.samples[k]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// On a network of random weights, where every block matters.
    #[test]
    fn depths_follow_the_changes(
        threshold in prop_oneof![Just(0.0), Just(f64::INFINITY), 0.01..2.0],
        after in 1usize..two_sigma_model::DEPTH,
        max in prop::option::of(1usize..4),
        guidance in prop_oneof![Just(1.0), Just(2.0)],
        classes in prop::collection::vec(0i64..5, 1..4),
        batch in 1usize..4,
        seed in any::<u64>(),
    ) {
        let _alone = alone();
        let change = Change::new(threshold).unwrap().after(after).unwrap();
        let typed = max.map_or(change.spec(), |max| format!("{},cap={max}", change.spec()));
        let exit: ExitSpec = typed.parse().unwrap();
        let exit = exit.build("schedules".as_ref(), None).unwrap();
        let sampler = two_sigma_model::sampler(&two_sigma_model::model(|_| ()))
            .with_exit(exit)
            .with_tail(Forecast::residual())
            .with_guidance(Guidance::scale(guidance))
            .with_batch(batch);
        for sample in draw(&sampler, &classes, seed).samples {
            let mut reuses = 0;
            for (e, (&depth, change)) in sample.depths.iter().zip(&sample.uncertainties).enumerate() {
                let similar = f64::from(change.unwrap()) < threshold && e > 0;
                let leaves = similar && max.is_none_or(|max| reuses < max);
                prop_assert_eq!(depth, if leaves { after } else { two_sigma_model::DEPTH });
                reuses = if leaves { reuses + 1 } else { 0 };
            }
        }
    }

    #[test]
    fn what_is_typed_is_what_is_said(
        threshold in prop_oneof![Just(f64::INFINITY), 0.0..1e6],
        after in 1usize..100,
    ) {
        let exit = Change::new(threshold).unwrap().after(after).unwrap();
        prop_assert_eq!(exit.to_string().parse::<Change>().unwrap(), exit);
        let spec: ExitSpec = exit.spec().parse().unwrap();
        prop_assert_eq!(spec.to_string(), exit.spec());
    }
}
