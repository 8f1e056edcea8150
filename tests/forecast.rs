//! `forecast:ORDER` against a plain loop that keeps the residuals by hand, on two networks.

mod by_hand;
mod six_blocks;

use by_hand::{ByHand, HandTail, assert_same};
use offramp::exit::{ExitSpec, Pair};
use offramp::tail::{Forecast, Tail, TailSpec};
use offramp::{Guidance, Model, RowMemory, Sampler};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use six_blocks::{DEPTH, IN_THE_MIDDLE, SixBlocks, draw};
use tch::{Kind, Tensor};

const SOLVERS: [&str; 4] = ["ddim", "dpm-solver++2m", "heun", "ddpm"];

/// Where an exit leaves: always after `depth` blocks, but no more than `cap` times in a row.
struct Case<'a> {
    depth: usize,
    cap: usize,
    solver: &'a str,
    steps: usize,
    guidance: Guidance,
    tail: HandTail,
}

impl Case<'_> {
    fn check(&self, model: &Model, seed: u64) {
        let _no_grad = tch::no_grad_guard();
        let Self { depth, cap, solver, steps, guidance, tail } = *self;
        let order = tail.order.unwrap();
        let typed = format!("forecast:{order},over={}", if tail.heads { "heads" } else { "head" });
        let tail_spec: TailSpec = typed.parse().unwrap();
        let exit: ExitSpec = format!("fixed:{depth},cap={cap}").parse().unwrap();
        let sampler = Sampler::new(model.share())
            .with_exit(exit.build("schedules".as_ref(), None).unwrap())
            .with_tail(tail_spec.build(model.exits.as_ref()).unwrap())
            .with_solver(solver.parse().unwrap(), steps)
            .with_guidance(guidance)
            .with_threads(1);
        let score = |look: &by_hand::Look| if look.depth == depth { 0.0 } else { 1.0 };
        let (pair, limit) = (Pair::Max, 0.5);
        let hand = ByHand { model, solver, steps, guidance, pair, tail, cap, score: &score, limit };
        for (sample, class) in draw(&sampler, &[1, 3], seed).samples.iter().zip([1, 3]) {
            let drawn = hand.run(class, sample.seed);
            assert_same(sample, &drawn, &format!("{typed} at {depth}, cap {cap}, {solver}"));
            assert!(drawn.depths.len() <= 2 || drawn.depths.iter().any(|d| d[0] == depth));
        }
    }
}

#[test]
fn every_order_equals_a_plain_loop() {
    let model = SixBlocks::new().model;
    for order in 0..=3 {
        for solver in SOLVERS {
            for (depth, cap, heads) in [(1, 1, false), (3, 2, true), (5, 3, false)] {
                for guidance in [Guidance::NONE, IN_THE_MIDDLE] {
                    let tail = HandTail { order: Some(order), heads };
                    Case { depth, cap, solver, steps: 9, guidance, tail }.check(&model, 3);
                }
            }
        }
    }
}

#[test]
fn every_order_equals_a_plain_loop_on_trained_weights() {
    tch::set_num_threads(1);
    let model = Model::open("weights/fashion-dit").unwrap();
    for (order, solver) in [(1, "ddim"), (2, "dpm-solver++2m"), (3, "dpm-solver++2m")] {
        let tail = HandTail { order: Some(order), heads: false };
        Case { depth: 2, cap: 1, solver, steps: 8, guidance: Guidance::NONE, tail }.check(&model, 7);
    }
}

/// Weights that are rounded to bf16 do not add up to one: with four nodes of one and the same residual, several
/// percent of it went missing.
#[test]
fn weights_are_not_rounded_to_the_networks_dtype() {
    let (tail, mut memory) = (Forecast::new(3), RowMemory::default());
    let bf16 = |x: Tensor| x.to_kind(Kind::BFloat16);
    let a = bf16(Tensor::zeros([1, 4, 8], tch::kind::FLOAT_CPU));
    let b = bf16(Tensor::arange(32, tch::kind::FLOAT_CPU).view([1, 4, 8]) + 100.0);
    for lambda in [-2.9, -1.7, -0.8, 0.3] {
        tail.learn(1, &a, &b, &[lambda], &mut [&mut memory]).unwrap();
    }
    let found = tail.recall(1, &a, &[2.1], &[&memory]).unwrap();
    assert_eq!(found.kind(), Kind::BFloat16);
    assert_eq!(found, b);
}

proptest! {
    // Always the same cases: the last bits of other batch sizes, made more of by random weights and guidance, have a median
    // of 4e-6 at full depth too, and a tail that passes 1e-4 in about one of a hundred cases.
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(4), ..ProptestConfig::with_cases(24) })]

    #[test]
    fn any_depth_and_cap_equal_a_plain_loop(
        depth in 1..DEPTH,
        cap in 1usize..6,
        order in 0usize..3,
        heads in any::<bool>(),
        solver in prop::sample::select(SOLVERS.to_vec()),
        steps in 2usize..9,
        guidance in prop::sample::select(vec![Guidance::NONE, Guidance::scale(2.0), IN_THE_MIDDLE]),
        seed in any::<u32>(),
    ) {
        let tail = HandTail { order: Some(order), heads };
        let case = Case { depth, cap, solver, steps, guidance, tail };
        case.check(&SixBlocks::new().model, seed.into());
    }
}
