//! What must hold of any numbers: symmetry, invariance, monotony, merging, and errors that cover.

use ndarray::{Array2, Axis, concatenate, s};
use offramp::evaluate::{
    Bootstrap, FeatureSet, Gaussian, KidOptions, ManifoldOptions, MetricError, PairedImages, Statistics,
    frechet_distance, frechet_distance_of_features, kid, kid_of_subsets, manifold,
};
use offramp::extract::Identity;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

fn identity(name: &str) -> Identity {
    Identity { name: name.into(), resize: "none".into(), weights_sha256: None }
}

fn set(rows: &Array2<f32>) -> FeatureSet {
    FeatureSet::from_rows(identity("normal"), rows.view()).unwrap()
}

fn statistics(rows: &Array2<f32>) -> Statistics {
    let mut statistics = Statistics::new(identity("normal"), rows.ncols());
    statistics.push(rows.view()).unwrap();
    statistics
}

/// Normal numbers whose columns' deviations fall from 1 to 0.1.
fn normal(seed: u64, n: usize, d: usize) -> Array2<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Array2::from_shape_fn((n, d), |(_, j)| {
        let z: f32 = StandardNormal.sample(&mut rng);
        z * 0.1_f32.powf(j as f32 / d as f32)
    })
}

/// A random rotation.
fn rotation(seed: u64, d: usize) -> Array2<f32> {
    let mut q = normal(seed, d, d).mapv(f64::from);
    for i in 0..d {
        for j in 0..i {
            let other = q.row(j).to_owned();
            let along = q.row(i).dot(&other);
            q.row_mut(i).scaled_add(-along, &other);
        }
        let length = q.row(i).dot(&q.row(i)).sqrt();
        q.row_mut(i).mapv_inplace(|v| v / length);
    }
    q.mapv(|v| v as f32)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn frechet_distance_is_a_distance(seed in 0u64..1000, n in 2usize..40, m in 2usize..40, d in 1usize..24) {
        let (a, b) = (normal(seed, n, d), normal(seed + 1000, m, d) + 0.2);
        let (sa, sb) = (statistics(&a), statistics(&b));
        let trace = sa.covariance().diag().sum();
        let between = frechet_distance(&sa, &sb).unwrap();
        prop_assert!(between.is_finite() && between >= 0.0);
        prop_assert!((between - frechet_distance(&sb, &sa).unwrap()).abs() <= 1e-9 * (between + trace));
        prop_assert!(frechet_distance(&sa, &sa).unwrap() <= 1e-7 * trace);
        prop_assert!(frechet_distance_of_features(&set(&a), &set(&a)).unwrap() <= 1e-12 * trace.max(1.0));
        // By either route.
        let by_features = frechet_distance_of_features(&set(&a), &set(&b)).unwrap();
        prop_assert!((between - by_features).abs() <= 1e-6 * between, "{between} {by_features}");
    }

    #[test]
    fn frechet_distance_does_not_change_under_rotation(seed in 0u64..1000, n in 3usize..40, d in 2usize..16) {
        let (a, b, q) = (normal(seed, n, d), normal(seed + 1000, n + 3, d) + 0.2, rotation(seed, d));
        let before = frechet_distance_of_features(&set(&a), &set(&b)).unwrap();
        let after = frechet_distance_of_features(&set(&a.dot(&q)), &set(&b.dot(&q))).unwrap();
        // The rotated features are rounded to f32.
        prop_assert!((before - after).abs() <= 1e-5 * before, "{before} {after}");
    }

    #[test]
    fn statistics_do_not_depend_on_how_rows_are_split(
        seed in 0u64..1000, n in 3usize..60, d in 1usize..12, one in 0.0..1.0, two in 0.0..1.0,
    ) {
        let rows = normal(seed, n, d) + 3.0;
        let (p, q) = ((one * n as f64) as usize, (two * n as f64) as usize);
        let (p, q) = (p.min(q), p.max(q));
        let part = |from, to| statistics(&rows.slice(s![from..to, ..]).to_owned());
        let whole = statistics(&rows);
        let mut left = part(0, p);
        left.merge(&part(p, q)).unwrap();
        left.merge(&part(q, n)).unwrap();
        let mut right = part(p, q);
        right.merge(&part(q, n)).unwrap();
        let mut outer = part(0, p);
        outer.merge(&right).unwrap();
        let mut pushed = part(0, p);
        pushed.push(rows.slice(s![p.., ..])).unwrap();
        for other in [left, outer, pushed] {
            prop_assert_eq!(other.count(), Some(n as u64));
            for (a, b) in other.mean().iter().zip(whole.mean()) {
                prop_assert!((a - b).abs() <= 1e-13);
            }
            for (a, b) in other.covariance().iter().zip(&whole.covariance()) {
                prop_assert!((a - b).abs() <= 1e-13);
            }
        }
    }

    #[test]
    fn kid_does_not_care_which_set_comes_first(seed in 0u64..1000, n in 4usize..30, d in 1usize..12) {
        let (a, b) = (set(&normal(seed, n, d)), set(&(normal(seed + 1000, n, d) + 0.3)));
        let subset: Vec<usize> = (0..n).step_by(2).collect();
        let there = kid_of_subsets(&a, &b, &[(subset.clone(), subset.clone())]).unwrap()[0];
        let back = kid_of_subsets(&b, &a, &[(subset.clone(), subset)]).unwrap()[0];
        prop_assert!((there - back).abs() <= 1e-12, "{there} {back}");
        let (there, back) = (
            kid(&a, &b, &KidOptions::default()).unwrap(),
            kid(&b, &a, &KidOptions::default()).unwrap(),
        );
        prop_assert!((there.full - back.full).abs() <= 1e-12);
        prop_assert!((there.standard_error - back.standard_error).abs() <= 1e-12);
    }

    #[test]
    fn a_set_lies_in_its_own_manifold(seed in 0u64..1000, n in 6usize..60, d in 1usize..12) {
        let a = normal(seed, n, d);
        let got = manifold(&set(&a), &set(&a), &ManifoldOptions::default()).unwrap();
        prop_assert_eq!((got.precision(), got.recall(), got.coverage()), (1.0, 1.0, 1.0));
        // Around each image its own ball, and those of which it is among the 4 nearest: 5 pairs a ball.
        prop_assert_eq!(got.density(), 1.0);
    }
}

#[test]
fn distances_grow_with_the_noise() {
    let (clean, noise) = (normal(1, 300, 20), normal(2, 300, 20));
    let reference = normal(3, 400, 20);
    let mut last = [f64::NEG_INFINITY; 2];
    for level in [0.5_f32, 1.0, 2.0, 4.0] {
        let noisy = set(&(&clean + &(&noise * level)));
        let got = [
            frechet_distance_of_features(&noisy, &set(&reference)).unwrap(),
            kid(&noisy, &set(&reference), &KidOptions::default()).unwrap().value,
        ];
        assert!(got[0] > last[0] && got[1] > last[1], "{level}: {got:?} after {last:?}");
        last = got;
    }
}

#[test]
fn distance_from_merged_shards_is_that_of_one_run() {
    let (a, b) = (normal(1, 1000, 64) + 0.5, normal(2, 900, 64));
    let in_batches = |rows: &Array2<f32>| {
        let mut all = Statistics::new(identity("normal"), rows.ncols());
        rows.axis_chunks_iter(Axis(0), 32).for_each(|batch| all.push(batch).unwrap());
        all
    };
    let whole = frechet_distance(&in_batches(&a), &in_batches(&b)).unwrap();
    // Shards end where a micro-batch does.
    let mut merged = Statistics::new(identity("normal"), 64);
    for (from, to) in [(0, 320), (320, 352), (352, 1000)] {
        merged.merge(&in_batches(&a.slice(s![from..to, ..]).to_owned())).unwrap();
    }
    let sharded = frechet_distance(&merged, &in_batches(&b)).unwrap();
    assert!((whole - sharded).abs() <= 1e-9 * whole, "{whole} {sharded}");
}

#[test]
fn a_gaussian_far_from_the_origin_keeps_its_covariance() {
    // f32 holds these numbers exactly; Σx² − (Σx)²/n in f64 would keep three digits of the variance.
    let rows = Array2::from_shape_fn((64, 2), |(i, j)| 1_048_576.0 + (i % 2) as f32 * (j + 1) as f32 / 8.0);
    let sigma = statistics(&rows).covariance();
    let expected = 64.0 / 63.0 / 4.0 / 64.0;
    for ((i, j), &got) in sigma.indexed_iter() {
        let expected = expected * ((i + 1) * (j + 1)) as f64;
        assert!((got - expected).abs() <= 1e-12 * expected, "{i} {j}: {got} {expected}");
    }
}

/// The standard error must be neither too small to cover nor so large that it says nothing.
#[test]
fn standard_error_of_kid_covers() {
    for shift in [0.0, 0.3] {
        let runs: Vec<(f64, f64)> = (0..400)
            .map(|run| {
                let (a, b) = (normal(2 * run, 60, 6), normal(2 * run + 1, 50, 6) + shift);
                let options = KidOptions { subsets: 10, subset_size: Some(40), seed: run };
                let got = kid(&set(&a), &set(&b), &options).unwrap();
                (got.value, got.standard_error)
            })
            .collect();
        let n = runs.len() as f64;
        // Unbiased: the mean over runs is the truth to within a twentieth of a run's own spread.
        let truth = runs.iter().map(|r| r.0).sum::<f64>() / n;
        let spread = (runs.iter().map(|r| (r.0 - truth).powi(2)).sum::<f64>() / n).sqrt();
        let covered = runs.iter().filter(|r| (r.0 - truth).abs() <= 1.96 * r.1).count() as f64 / n;
        let claimed = runs.iter().map(|r| r.1).sum::<f64>() / n;
        assert!(covered >= 0.93, "shift {shift}: covered {covered}");
        assert!((0.9..1.8).contains(&(claimed / spread)), "shift {shift}: {claimed} for {spread}");
    }
}

#[test]
fn bootstrap_interval_covers_and_tells_a_difference_from_none() {
    let reference = Gaussian::of_statistics(&statistics(&normal(9999, 4000, 6))).unwrap();
    let runs = 120;
    let difference = |run: u64, level: f32, resamples: usize| {
        let a = normal(3 * run, 80, 6);
        let c = &a + &(normal(3 * run + 1, 80, 6) * level);
        let bootstrap = Bootstrap { resamples, seed: run };
        bootstrap.frechet_difference(&set(&c), &set(&a), &reference).unwrap()
    };
    // What is measured on average at this N is the truth; many more runs than are judged make it sharp.
    let truth = (0..1000).map(|run| difference(run + 5000, 1.0, 1).value).sum::<f64>() / 1000.0;
    let judged: Vec<_> = (0..runs).map(|run| difference(run, 1.0, 200)).collect();
    let covered = judged.iter().filter(|i| i.low <= truth && truth <= i.high).count();
    assert!(covered as f64 >= 0.88 * runs as f64, "{covered} of {runs} cover {truth}");
    assert!(judged.iter().all(|i| i.low <= i.value && i.value <= i.high));
    let told = judged.iter().filter(|i| i.low > 0.0).count();
    assert!(2 * told > judged.len(), "noise this large is told in {told} of {runs}");
    let equal = difference(0, 0.0, 200);
    assert!(equal.value == 0.0 && equal.low.abs() < 1e-9 && equal.high.abs() < 1e-9, "{equal:?}");
}

#[test]
fn bootstrap_of_a_mean_is_as_wide_as_its_standard_error() {
    let values: Vec<f64> = normal(4, 500, 1).iter().map(|&v| f64::from(v)).collect();
    let got = Bootstrap { resamples: 4000, seed: 1 }.mean_difference(&values).unwrap();
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let error = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n / n).sqrt();
    assert_eq!(got.value, mean);
    let half = (got.high - got.low) / 2.0;
    assert!((half / (1.96 * error) - 1.0).abs() < 0.06, "{half} for {error}");
    assert_eq!(got, Bootstrap { resamples: 4000, seed: 1 }.mean_difference(&values).unwrap());
}

#[test]
fn equal_images_have_no_error_and_no_noise() {
    let image = ndarray::Array3::from_shape_fn((16, 16, 3), |(i, j, c)| (17 * i + 5 * j + c) as u8);
    let mut pairs = PairedImages::new();
    pairs.push(image.view(), image.view()).unwrap();
    let got = pairs.fidelity().unwrap();
    assert_eq!((got.rmse, got.psnr), (0.0, None));
    assert!((got.ssim - 1.0).abs() < 1e-12);
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let rows = normal(1, 8, 4);
    let (a, wide) = (set(&rows), set(&normal(1, 8, 5)));
    let other = FeatureSet::from_rows(identity("other"), rows.view()).unwrap();
    let one = set(&rows.slice(s![..1, ..]).to_owned());
    let fd = frechet_distance_of_features;
    assert!(matches!(fd(&a, &wide), Err(MetricError::Widths { expected: 4, got: 5 })));
    assert!(matches!(fd(&a, &other), Err(MetricError::Extractors { .. })));
    assert!(matches!(fd(&a, &one), Err(MetricError::TooFew { least: 2, got: 1, .. })));
    let of = |set: &FeatureSet| Statistics::of(set).unwrap();
    assert!(matches!(frechet_distance(&of(&one), &of(&a)), Err(MetricError::TooFew { .. })));
    assert!(matches!(frechet_distance(&of(&other), &of(&a)), Err(MetricError::Extractors { .. })));
    assert!(matches!(of(&a).merge(&of(&other)), Err(MetricError::Extractors { .. })));

    let size = |subset_size| KidOptions { subset_size: Some(subset_size), ..KidOptions::default() };
    assert!(matches!(kid(&a, &a, &size(9)), Err(MetricError::SubsetSize { size: 9, images: 8 })));
    for few in [0, 1] {
        assert!(matches!(kid(&a, &a, &size(few)), Err(MetricError::SubsetSize { .. })), "{few}");
    }
    assert!(matches!(kid(&a, &one, &KidOptions::default()), Err(MetricError::TooFew { .. })));
    assert!(matches!(kid(&a, &other, &size(4)), Err(MetricError::Extractors { .. })));
    let beyond = kid_of_subsets(&a, &a, &[(vec![0, 8], vec![0, 1])]);
    assert!(matches!(beyond, Err(MetricError::Index { index: 8, images: 8 })));

    let few = set(&rows.slice(s![..5, ..]).to_owned());
    let options = ManifoldOptions::default();
    assert!(matches!(manifold(&few, &a, &options), Err(MetricError::TooFew { least: 6, got: 5, .. })));
    assert!(matches!(manifold(&a, &other, &options), Err(MetricError::Extractors { .. })));

    let bootstrap = Bootstrap::default();
    let gaussian = |set| Gaussian::of_features(set).unwrap();
    assert!(matches!(
        bootstrap.frechet_difference(&a, &few, &gaussian(&a)),
        Err(MetricError::Unpaired { .. })
    ));
    assert!(matches!(
        bootstrap.frechet_difference(&a, &a, &gaussian(&wide)),
        Err(MetricError::Widths { .. })
    ));
    assert!(matches!(bootstrap.mean_difference(&[1.0]), Err(MetricError::TooFew { .. })));
    let none = Bootstrap { resamples: 0, seed: 0 };
    assert!(matches!(none.mean_difference(&[1.0, 2.0]), Err(MetricError::Option { .. })));

    let mut pairs = PairedImages::new();
    let (tall, broad) = (ndarray::Array3::zeros((3, 2, 1)), ndarray::Array3::zeros((2, 3, 1)));
    assert!(matches!(pairs.push(tall.view(), broad.view()), Err(MetricError::Shapes { .. })));
    assert!(matches!(pairs.fidelity(), Err(MetricError::TooFew { .. })));
}

#[test]
fn a_feature_file_is_the_set_and_shards_of_it_make_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let rows = normal(5, 50, 7);
    let mut whole: Option<FeatureSet> = None;
    for (k, (from, to)) in [(0, 20), (20, 21), (21, 50)].into_iter().enumerate() {
        let file = folder.path().join(format!("{k}.npz"));
        set(&rows.slice(s![from..to, ..]).to_owned()).write(&file).unwrap();
        let shard = FeatureSet::read(&file).unwrap();
        match &mut whole {
            None => whole = Some(shard),
            Some(whole) => whole.extend_from(&shard).unwrap(),
        }
    }
    let whole = whole.unwrap();
    assert_eq!(whole.identity(), &identity("normal"));
    assert_eq!(whole.rows(0..50).unwrap(), rows);
    let doubled = concatenate![Axis(0), rows, rows];
    let mut twice = set(&rows);
    twice.extend_from(&whole).unwrap();
    assert_eq!(twice.rows(0..100).unwrap(), doubled);
}
