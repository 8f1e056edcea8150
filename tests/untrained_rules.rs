//! `similarity` and `patience` against plain loops that look at the states and outputs themselves.

mod by_hand;
mod listening_exit;
mod six_blocks;

use std::cell::RefCell;

use by_hand::{ByHand, HandTail, Look, assert_same};
use listening_exit::Listening;
use offramp::Guidance;
use offramp::exit::Pair;
use six_blocks::{DEPTH, IN_THE_MIDDLE, SixBlocks, draw};
use tch::{Kind, Tensor};

const STEPS: usize = 5;
const CLASSES: [i64; 4] = [0, 1, 2, 3];
const PAIRS: [Pair; 4] = [Pair::Max, Pair::Mean, Pair::Conditional, Pair::Apart];
const TAILS: [(&str, HandTail); 3] = [
    ("head", HandTail { order: None, heads: false }),
    ("heads", HandTail { order: None, heads: true }),
    ("forecast:1", HandTail { order: Some(1), heads: false }),
];

/// 1 − cos(L_i, L_{i−1}).
fn turned(look: &Look) -> f64 {
    let flat = |x: &Tensor| x.to_kind(Kind::Double).flatten(0, -1);
    let (a, b) = (flat(look.hidden), flat(look.previous));
    let dot = |a: &Tensor, b: &Tensor| a.dot(b).double_value(&[]);
    1.0 - dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
}

/// mean|g_i − g_{i−1}| / mean|g_i|.
fn changed(now: &Tensor, last: &Tensor) -> f64 {
    let mean = |x: &Tensor| x.to_kind(Kind::Double).abs().mean(Kind::Double).double_value(&[]);
    mean(&(now - last)) / mean(now)
}

/// The value that a share of what a rule has to say lies below, in a run where it lets nothing go.
fn quantile(place: &SixBlocks, never: &str, tail: &str, share: f64) -> f64 {
    let (exit, log) = Listening::to(place.exit(never));
    let sampler = place.sampler(exit, tail, "ddim", STEPS).with_guidance(Guidance::scale(2.0));
    assert!(draw(&sampler, &CLASSES, 9).samples.iter().all(|s| s.depths == [DEPTH; STEPS]));
    let said = std::mem::take(&mut log.lock().unwrap().verdicts);
    let mut said: Vec<f32> = said.iter().map(|j| j.verdict.uncertainty).filter(|u| u.is_finite()).collect();
    said.sort_by(f32::total_cmp);
    let place = (said.len() as f64 * share) as usize;
    f64::from(said[place] + said[place + 1]) / 2.0
}

/// Draws by a rule and by hand; how many different depths there were.
fn check(
    place: &SixBlocks,
    rule: &str,
    (pair, guidance): (Pair, Guidance),
    (tail, by_hand): (&str, HandTail),
    score: &dyn Fn(&Look) -> f64,
    limit: f64,
) -> usize {
    let _no_grad = tch::no_grad_guard();
    let typed = format!("{rule},pair={}", pair.name());
    let sampler = place.sampler(place.exit(&typed), tail, "ddim", STEPS).with_guidance(guidance);
    let (steps, tail) = (STEPS, (tail, by_hand));
    let mut depths = vec![];
    for (sample, class) in draw(&sampler, &CLASSES, 9).samples.iter().zip(CLASSES) {
        let model = &place.model;
        let (solver, cap) = ("ddim", usize::MAX);
        let hand = ByHand { model, solver, steps, guidance, pair, tail: tail.1, cap, score, limit };
        assert_same(sample, &hand.run(class, sample.seed), &format!("{typed}, {}", tail.0));
        depths.extend(sample.depths.iter().copied());
    }
    depths.sort();
    depths.dedup();
    depths.len()
}

#[test]
fn similarity_is_the_cosine_of_successive_states() {
    let place = SixBlocks::new();
    for tail in TAILS {
        for share in [0.1, 0.3, 0.6] {
            let limit = quantile(&place, "similarity:1", tail.0, share);
            let rule = format!("similarity:{}", 1.0 - limit);
            let mut seen = 0;
            for pair in PAIRS {
                for guidance in [Guidance::NONE, IN_THE_MIDDLE] {
                    seen = seen.max(check(&place, &rule, (pair, guidance), tail, &turned, limit));
                }
            }
            assert!(seen >= 2, "{rule}, {}: never parts", tail.0);
        }
    }
}

#[test]
fn patience_counts_exits_that_say_about_the_same() {
    let place = SixBlocks::new();
    for tail in TAILS {
        for (count, share) in [(1, 0.2), (1, 0.5), (2, 0.6), (3, 0.8)] {
            let limit = quantile(&place, "patience:6", tail.0, share);
            let rule = format!("patience:{count},change={limit}");
            let mut seen = 0;
            for pair in PAIRS {
                for guidance in [Guidance::NONE, IN_THE_MIDDLE] {
                    // Of each half: what it last said, and how often in a row it has said about the same.
                    let state: RefCell<[(Option<Tensor>, usize); 2]> = RefCell::default();
                    let score = |look: &Look| {
                        let now = (look.head)();
                        let (last, agreed) = &mut state.borrow_mut()[look.half];
                        if look.depth == 1 {
                            (*last, *agreed) = (None, 0);
                        }
                        let same = last.as_ref().is_some_and(|last| changed(&now, last) < limit);
                        *agreed = if same { *agreed + 1 } else { 0 };
                        *last = Some(now);
                        if *agreed >= count { 0.0 } else { 1.0 }
                    };
                    seen = seen.max(check(&place, &rule, (pair, guidance), tail, &score, 0.5));
                }
            }
            assert!(seen >= 2, "{rule}, {}: never parts", tail.0);
        }
    }
}
