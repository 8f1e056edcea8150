//! At the ends of their scale rules leave as early as they may, or never.

mod six_blocks;

use offramp::learned::{EstimatorKind, LearnedConfig};
use offramp::{Guidance, Outcome};
use six_blocks::{DEPTH, IN_THE_MIDDLE, SixBlocks, draw, learned_exits};
use tch::Tensor;

const STEPS: usize = 5;
const CLASSES: [i64; 3] = [3, 0, 1];
const TAILS: [&str; 4] = ["head", "heads", "residual", "forecast:3,over=heads"];
const GUIDANCE: [Guidance; 2] = [Guidance::NONE, IN_THE_MIDDLE];

fn run(place: &SixBlocks, exit: &str, tail: &str, guidance: Guidance) -> Outcome {
    let sampler = place.sampler(place.exit(exit), tail, "dpm-solver++2m", STEPS);
    draw(&sampler.with_guidance(guidance), &CLASSES, 5)
}

/// The same network with the released estimators, which give certainty.
fn certain() -> SixBlocks {
    let mut place = SixBlocks::new();
    let paper = place.model.exits.as_ref().unwrap().config();
    let estimator = learned_exits::estimator(EstimatorKind::Released);
    let released = LearnedConfig { estimator, ..paper.clone() };
    place.model.exits = Some(learned_exits::random(released, 0.3));
    place
}

#[test]
fn at_one_end_a_rule_never_leaves() {
    let uncertain = SixBlocks::new();
    let certain = certain();
    for (place, exit) in [
        (&uncertain, "uncertainty:0"),
        (&certain, "uncertainty:1"),
        (&uncertain, "gate:1"),
        (&uncertain, "gate:q=1"),
        (&uncertain, "similarity:1"),
        (&uncertain, "change:0"),
        (&uncertain, "change:0,after=4"),
        (&uncertain, "patience:1,change=1e-30"),
        // The first of five exits agrees with nothing.
        (&uncertain, "patience:5,change=inf"),
        (&uncertain, "fixed:6"),
        (&uncertain, "full,warmup=2"),
        (&uncertain, "fixed:1,warmup=5"),
        (&uncertain, "uncertainty:1,only=9-"),
    ] {
        for (guidance, pairs) in GUIDANCE.into_iter().zip([&["max"][..], &["max", "mean", "cond", "apart"]]) {
            let full = run(place, "full", "head", guidance);
            for tail in TAILS {
                for pair in pairs {
                    let ours = run(place, &format!("{exit},pair={pair}"), tail, guidance);
                    for (ours, full) in ours.samples.iter().zip(&full.samples) {
                        assert_eq!(ours.depths, [DEPTH; STEPS], "{exit},pair={pair}, {tail}");
                        assert_eq!(ours.x, full.x, "{exit},pair={pair}, {tail}");
                        assert_eq!((ours.cost, ours.full_cost), (full.cost, full.full_cost));
                    }
                }
            }
        }
    }
}

#[test]
fn at_the_other_end_it_leaves_as_early_as_it_may() {
    let uncertain = SixBlocks::new();
    let certain = certain();
    for (place, exit, first) in [
        (&uncertain, "uncertainty:1", 1),
        (&certain, "uncertainty:0", 1),
        (&uncertain, "gate:0", 1),
        (&uncertain, "gate:q=0", 1),
        (&uncertain, "similarity:0", 1),
        // One exit after the first that it hears.
        (&uncertain, "patience:1,change=1e30", 2),
        (&uncertain, "fixed:1", 1),
    ] {
        for tail in TAILS {
            for guidance in GUIDANCE {
                for min in 1..DEPTH {
                    let outcome = run(place, &format!("{exit},min={min}"), tail, guidance);
                    let early = min + first - 1;
                    for sample in outcome.samples {
                        // A tail that remembers has to see each half run to the end first.
                        let times = if tail.starts_with("head") { 0 } else { 1 };
                        let full = sample.depths.iter().filter(|&&depth| depth == DEPTH).count();
                        let new_halves = times * (1 + usize::from(guidance.scale != 1.0));
                        let what = format!("{exit},min={min}, {tail}: {:?}", sample.depths);
                        assert!(early == DEPTH || full == new_halves, "{what}");
                        assert!(sample.depths.iter().all(|&d| d == early || d == DEPTH), "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_change_without_limit_leaves_once_there_is_something_to_compare_with() {
    let place = SixBlocks::new();
    for after in 1..DEPTH {
        // With `head` too: the rule compares, whatever the tail.
        for tail in ["residual", "forecast:1", "head"] {
            let outcome = run(&place, &format!("change:inf,after={after}"), tail, Guidance::NONE);
            assert!(outcome.samples.iter().all(|s| s.depths == [DEPTH, after, after, after, after]));
        }
    }
}

#[test]
fn blocks_that_do_nothing_are_not_more_alike_than_one() {
    // All gates at zero, as before training: L_i = L_{i−1} to the bit, and its cosine is no more than 1.
    let place = SixBlocks::new();
    let folder = &place.model.folder;
    let mut tensors: Vec<(String, Tensor)> =
        Tensor::read_safetensors(folder.join("model.safetensors")).unwrap();
    for (name, tensor) in &mut tensors {
        if name.starts_with("blocks.") && name.contains("adaLN_modulation") {
            *tensor = tensor.zeros_like();
        }
    }
    Tensor::write_safetensors(&tensors, folder.join("model.safetensors")).unwrap();
    let model = offramp::Model::open(folder).unwrap();
    for seed in 0..20 {
        let sampler = offramp::Sampler::new(model.share())
            .with_exit(place.exit("similarity:1"))
            .with_solver("ddim".parse().unwrap(), 2)
            .with_threads(1);
        for sample in draw(&sampler, &[0, 1, 2, 3], seed).samples {
            assert_eq!(sample.depths, [DEPTH; 2], "seed {seed}");
            assert!(sample.uncertainties.iter().all(|u| u.unwrap() >= 0.0), "{:?}", sample.uncertainties);
        }
    }
}
