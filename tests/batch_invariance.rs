//! An image does not depend on its neighbours: batches, permutations and singles agree, per-image exits
//! included.
//!
//! Across batch sizes libtorch picks other kernels, so depths must be equal wherever the uncertainty clears the
//! threshold by a margin, and images agree to 1e-4 where depths do; rows inside the margin are counted.

mod learned_exits;
mod per_image_exit;

use offramp::exit::Exit;
use offramp::exit::{Full, Threshold, Uncertainty};
use offramp::learned::{EstimatorKind, HeadKind, LearnedConfig};
use offramp::tail::Heads;
use offramp::{Guidance, Model, Outcome, Request, Sample, Sampler};
use per_image_exit::Saturated;

const THRESHOLD: f64 = 0.03;

fn sampler(exit: impl Exit + 'static, solver: &str, guidance: f64, batch: usize) -> Sampler {
    Sampler::new(Model::open("weights/fashion-dit").unwrap())
        .with_exit(exit)
        .with_solver(solver.parse().unwrap(), 6)
        .with_guidance(Guidance::scale(guidance))
        .with_batch(batch)
        .with_threads(2)
}

fn draw(sampler: &Sampler, classes: &[i64], seed: u64) -> Outcome {
    sampler.sample(&Request::classes(classes.iter().copied(), seed), &mut ()).unwrap()
}

fn saturated() -> Saturated {
    Saturated { threshold: THRESHOLD, min: 2 }
}

/// Compares two drawings of one image; returns how many evaluations fell inside the margin.
fn agree(a: &Sample, b: &Sample, threshold: f64) -> usize {
    for e in 0..a.depths.len() {
        if a.depths[e] == b.depths[e] {
            continue;
        }
        // The one that left earlier decided by its last uncertainty; only a near tie may part them, and behind
        // it the two are different images.
        let earlier = if a.depths[e] < b.depths[e] { a } else { b };
        let uncertainty = f64::from(earlier.uncertainties[e].unwrap());
        let margin = (uncertainty - threshold).abs();
        assert!(
            margin <= 1e-4 * threshold.max(0.01),
            "evaluation {e}: {:?} {:?}, {uncertainty}",
            a.depths,
            b.depths
        );
        return 1;
    }
    let difference = (&a.x - &b.x).abs().max().double_value(&[]);
    assert!(difference <= 1e-4, "image {}: {difference:.1e}", a.image);
    0
}

#[test]
fn a_batch_equals_its_singles() {
    let classes = [0, 3, 5, 7, 9, 1];
    for (solver, guidance) in [("dpm-solver++2m", 1.0), ("ddim:eta=1", 1.0), ("unipc", 1.5), ("heun", 1.0)] {
        let batch = draw(&sampler(saturated(), solver, guidance, 6), &classes, 40);
        let singles = draw(&sampler(saturated(), solver, guidance, 1), &classes, 40);
        let parts = |e: &usize| batch.samples.iter().any(|s| s.depths[*e] != batch.samples[0].depths[*e]);
        let split = (0..batch.samples[0].depths.len()).filter(parts).count();
        assert!(split >= 2, "{solver}: the policy parts the batch at {split} evaluations only");
        let parted: usize =
            batch.samples.iter().zip(&singles.samples).map(|(a, b)| agree(a, b, THRESHOLD)).sum();
        assert_eq!(parted, 0, "{solver}: near ties among {} evaluations", 6 * batch.samples[0].depths.len());
    }
}

#[test]
fn a_permuted_batch_gives_the_same_images() {
    // Image k is drawn from seed + k: giving the noise itself lets the order change.
    let noise: Vec<_> = (0..5)
        .map(|k| offramp::noise::standard_normal(k, offramp::noise::Draw::Initial, [1, 28, 28]).unwrap())
        .collect();
    let order = [3, 0, 4, 2, 1];
    let classes = [2i64, 4, 6, 8, 0];
    let stack =
        |order: &[usize]| tch::Tensor::stack(&order.iter().map(|&k| &noise[k]).collect::<Vec<_>>(), 0);
    let sampler = sampler(saturated(), "dpm-solver++2m", 1.5, 5);
    let straight =
        sampler.sample(&Request::classes(classes, 0).with_noise(stack(&[0, 1, 2, 3, 4])), &mut ()).unwrap();
    let shuffled = order.map(|k| classes[k]);
    let permuted = sampler.sample(&Request::classes(shuffled, 0).with_noise(stack(&order)), &mut ()).unwrap();
    for (place, &k) in order.iter().enumerate() {
        assert_eq!(agree(&permuted.samples[place], &straight.samples[k], THRESHOLD), 0);
    }
}

#[test]
fn other_neighbours_change_no_depth() {
    let sampler = sampler(saturated(), "dpm-solver++2m", 1.0, 4);
    let depths = |classes: [i64; 4]| draw(&sampler, &classes, 11).samples[1].depths.clone();
    let alone = depths([0, 7, 0, 0]);
    for neighbours in [[9, 7, 8, 1], [7, 7, 7, 7], [3, 7, 5, 2]] {
        assert_eq!(depths(neighbours), alone);
    }
}

#[test]
fn the_same_settings_give_the_same_bytes() {
    for solver in ["dpm-solver++2m", "ddpm", "euler-ancestral"] {
        let sampler = sampler(saturated(), solver, 1.5, 2);
        let (a, b) = (draw(&sampler, &[1, 2, 3, 4, 5], 3), draw(&sampler, &[1, 2, 3, 4, 5], 3));
        for (a, b) in a.samples.iter().zip(&b.samples) {
            assert_eq!(a.x, b.x, "{solver}");
            assert_eq!(a.depths, b.depths);
        }
    }
}

#[test]
fn image_k_is_redrawn_from_seed_plus_k() {
    let sampler = sampler(Full, "ddim:eta=1", 1.0, 1);
    let all = draw(&sampler, &[4, 5, 6, 7], 100);
    let third = draw(&sampler, &[6], 102);
    assert_eq!(all.samples[2].x, third.samples[0].x);
    assert_eq!(all.samples[2].seed, 102);
}

#[test]
fn learned_exits_and_heads_see_one_image_at_a_time() {
    let classes = [0, 3, 5, 7, 9, 1];
    let model = Model::open("weights/fashion-dit").unwrap();
    for (kind, heads) in [
        (EstimatorKind::Paper, HeadKind::Local),
        (EstimatorKind::Released, HeadKind::Global),
        (EstimatorKind::Paper, HeadKind::Linear),
    ] {
        let config = LearnedConfig {
            width: 192,
            grid: [7, 7],
            points: vec![8],
            heads,
            estimator: learned_exits::estimator(kind),
            ..learned_exits::config(&model.sha256)
        };
        let exits = learned_exits::random(config, 0.02);
        let with = |threshold: f64, batch: usize| {
            let exit = Uncertainty::new(Threshold::new(threshold).unwrap(), &exits).unwrap();
            sampler(exit, "dpm-solver++2m", 1.5, batch).with_tail(Heads::new(&exits).unwrap())
        };
        // Where nobody leaves (certainty is never above 1), every image's uncertainty at the first evaluation is
        // seen; the widest gap between two parts the batch there.
        let never = if kind == EstimatorKind::Paper { 0.0 } else { 1.0 };
        let seen = draw(&with(never, 6), &classes, 40);
        let mut said: Vec<f32> = seen.samples.iter().map(|s| s.uncertainties[0].unwrap()).collect();
        said.sort_by(f32::total_cmp);
        let gap = said.windows(2).max_by(|a, b| (a[1] - a[0]).total_cmp(&(b[1] - b[0]))).unwrap();
        let between = f64::from(gap[0] + gap[1]) / 2.0;
        let threshold = if kind == EstimatorKind::Paper { between } else { 1.0 - between };
        let (batch, singles) =
            (draw(&with(threshold, 6), &classes, 40), draw(&with(threshold, 1), &classes, 40));
        let parts = |e: &usize| batch.samples.iter().any(|s| s.depths[*e] != batch.samples[0].depths[*e]);
        let split = (0..batch.samples[0].depths.len()).filter(parts).count();
        assert!(split >= 1, "{kind:?}, {heads:?}: the batch is parted at {split} evaluations");
        let pairs = batch.samples.iter().zip(&singles.samples);
        let parted: usize = pairs.map(|(a, b)| agree(a, b, between)).sum();
        assert_eq!(parted, 0, "{kind:?}, {heads:?}: near ties");
    }
}
