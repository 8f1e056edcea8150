//! A sampler holds nothing between requests, whatever its rule and tail remember, and however the first one ended.

mod six_blocks;

use std::ops::ControlFlow;

use offramp::{Event, Guidance, Outcome, Request};
use six_blocks::{IN_THE_MIDDLE, SixBlocks};

const STEPS: usize = 6;
const RULES: [&str; 10] = [
    "full",
    "fixed:2,cap=2",
    "schedule:hill,warmup=1",
    "uncertainty:0.5",
    "gate:q=0.6,pair=apart",
    "similarity:0.98,pair=mean",
    "change:0.6,cap=2",
    "change:0.6,after=2,pair=apart",
    "patience:1,change=0.4",
    "patience:2,change=0.6,cap=1,pair=apart",
];
const TAILS: [&str; 5] = ["head", "heads", "residual", "forecast:1", "forecast:3,over=heads"];

fn same(a: &Outcome, b: &Outcome, what: &str) {
    assert_eq!(a.samples.len(), b.samples.len(), "{what}");
    for (a, b) in a.samples.iter().zip(&b.samples) {
        assert_eq!((a.image, a.seed, &a.depths), (b.image, b.seed, &b.depths), "{what}");
        assert_eq!(a.x, b.x, "{what}");
        assert_eq!((a.cost, a.tail_bytes), (b.cost, b.tail_bytes), "{what}");
        let bits = |u: &[Option<f32>]| u.iter().map(|u| u.map(f32::to_bits)).collect::<Vec<_>>();
        assert_eq!(bits(&a.uncertainties), bits(&b.uncertainties), "{what}");
    }
}

/// For every rule and tail: a sampler that has drawn something else before against fresh ones.
fn check(solver: &str, threads: usize, guidance: Guidance, mut before: impl FnMut(&offramp::Sampler)) {
    let place = SixBlocks::new();
    let (first, second) = (|| Request::classes([0, 1, 2], 20), || Request::classes([3, 3, 1, 0], 4));
    for rule in RULES {
        for tail in TAILS {
            let fresh = || {
                let sampler = place.sampler(place.exit(rule), tail, solver, STEPS);
                sampler.with_batch(2).with_threads(threads).with_guidance(guidance)
            };
            let draw = |s: &offramp::Sampler, request: Request| s.sample(&request, &mut ()).unwrap();
            let what = format!("{rule}, {tail}, {solver}");
            let used = fresh();
            before(&used);
            same(&draw(&used, first()), &draw(&fresh(), first()), &what);
            same(&draw(&used, second()), &draw(&fresh(), second()), &what);
        }
    }
}

#[test]
fn two_requests_in_a_row_are_as_from_two_samplers() {
    check("dpm-solver++2m", 1, IN_THE_MIDDLE, |_| ());
}

#[test]
fn stochastic_solvers_give_the_same_bytes_for_the_same_seeds() {
    for solver in ["ddpm", "euler-ancestral"] {
        check(solver, 1, Guidance::NONE, |_| ());
    }
}

#[test]
fn a_request_that_was_cancelled_in_the_middle_leaves_nothing_behind() {
    let mut told = 0;
    check("unipc", 2, Guidance::scale(2.0), |sampler| {
        // After more and more of the first request, from the first event to the last.
        let stop = told % (4 * STEPS);
        told += 1;
        let mut left = stop;
        let mut observer = |_: &Event| match left {
            0 => ControlFlow::Break(()),
            _ => {
                left -= 1;
                ControlFlow::Continue(())
            }
        };
        let outcome = sampler.sample(&Request::classes((0..32).map(|k| k % 4), 90), &mut observer).unwrap();
        assert!(outcome.cancelled && outcome.samples.len() < 32);
    });
}
