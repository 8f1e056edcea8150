//! How the halves of a guided image agree: `pair = max | mean | cond | apart`, against a plain loop that is given the
//! same uncertainties.

mod by_hand;
mod made_up_policy;
mod six_blocks;

use by_hand::{ByHand, HandTail, Look, assert_same};
use made_up_policy::Policy;
use offramp::Guidance;
use offramp::exit::{Bounds, Pair, Verdict, View};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use six_blocks::{DEPTH, IN_THE_MIDDLE, SixBlocks, draw};

const STEPS: usize = 6;
const CLASSES: [i64; 3] = [0, 2, 3];
const PAIRS: [Pair; 4] = [Pair::Max, Pair::Mean, Pair::Conditional, Pair::Apart];
const TAILS: [(&str, HandTail); 4] = [
    ("head", HandTail { order: None, heads: false }),
    ("heads", HandTail { order: None, heads: true }),
    ("residual", HandTail { order: Some(0), heads: false }),
    ("forecast:1,over=heads", HandTail { order: Some(1), heads: true }),
];

/// A made-up uncertainty, an odd multiple of 1/128.
fn uncertainty(salt: u64, evaluation: usize, depth: usize, image: usize, half: usize) -> f64 {
    let mut state = [evaluation, depth, image, half]
        .iter()
        .fold(salt, |h, &n| (h ^ (n as u64 + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29));
    state ^= state >> 31;
    (2 * (state.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 58) + 1) as f64 / 128.0
}

fn policy(salt: u64, limit: f64, pair: Pair) -> Policy {
    let whole = Bounds { min: 1, max: DEPTH };
    let policy = Policy::new(whole, move |view: &mut View| {
        let verdict = |row: usize| {
            let u = uncertainty(salt, view.evaluation[row], view.depth, view.image[row], view.half[row]);
            Verdict::below(u as f32, limit)
        };
        Ok(Some((0..view.t.len()).map(verdict).collect()))
    });
    Policy { pair, ..policy }
}

/// Compares all images of a batch with the plain loop; at how many evaluations halves left apart.
fn check(
    place: &SixBlocks,
    salt: u64,
    limit: f64,
    pair: Pair,
    tail: (&str, HandTail),
    guidance: Guidance,
) -> usize {
    let _no_grad = tch::no_grad_guard();
    let (tail, by_hand) = tail;
    let solver = if salt.is_multiple_of(2) { "dpm-solver++2m" } else { "ddim" };
    let sampler = place.sampler(policy(salt, limit, pair), tail, solver, STEPS).with_guidance(guidance);
    let mut apart = 0;
    for (k, sample) in draw(&sampler, &CLASSES, salt).samples.iter().enumerate() {
        let score = |look: &Look| uncertainty(salt, look.evaluation, look.depth, k, look.half);
        let hand = ByHand {
            model: &place.model,
            solver,
            steps: STEPS,
            guidance,
            pair,
            tail: by_hand,
            cap: usize::MAX,
            score: &score,
            limit,
        };
        let drawn = hand.run(CLASSES[k], sample.seed);
        let what = format!("{pair:?}, {tail}, {solver}, image {k}, scale {}", guidance.scale);
        assert_same(sample, &drawn, &what);
        let said: Vec<f64> = sample.uncertainties.iter().map(|u| u.unwrap().into()).collect();
        assert_eq!(said, drawn.uncertainties, "{what}: by halves {:?}", drawn.depths);
        apart += drawn.depths.iter().filter(|halves| halves.windows(2).any(|h| h[0] != h[1])).count();
    }
    apart
}

#[test]
fn halves_agree_as_in_a_plain_loop() {
    let place = SixBlocks::new();
    for tail in TAILS {
        for pair in PAIRS {
            for guidance in [Guidance::NONE, Guidance::scale(2.0), IN_THE_MIDDLE] {
                let apart: usize =
                    (0..2).map(|salt| check(&place, salt, 24.0 / 64.0, pair, tail, guidance)).sum();
                let may = pair == Pair::Apart && guidance.scale != 1.0;
                assert_eq!(apart >= 3, may, "{pair:?}, {}: parted {apart} times", tail.0);
            }
        }
    }
}

proptest! {
    // Always the same cases: the last bits of other batch sizes, made more of by random weights and guidance, have a median
    // of 4e-6 at full depth too, and a tail that passes 1e-4 in about one of a hundred cases.
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(4), ..ProptestConfig::with_cases(32) })]

    #[test]
    fn halves_agree_whatever_they_say(
        salt in any::<u32>(),
        limit in 0usize..64,
        pair in prop::sample::select(PAIRS.to_vec()),
        tail in 0..TAILS.len(),
        guidance in prop::sample::select(vec![Guidance::scale(0.5), IN_THE_MIDDLE]),
    ) {
        check(&SixBlocks::new(), u64::from(salt), limit as f64 / 64.0, pair, TAILS[tail], guidance);
    }
}
