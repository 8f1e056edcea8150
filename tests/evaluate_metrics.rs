//! Metrics against the programs that define them, on the same numbers.

mod solver_fixture;

use ndarray::{Array2, Array3};
use offramp::evaluate::{
    FeatureSet, InceptionScore, ManifoldOptions, PairedImages, Statistics, frechet_distance,
    frechet_distance_of_features, kid_of_subsets, manifold,
};
use offramp::extract::Identity;
use serde_json::Value;
use solver_fixture::{Fixture, count, text};

fn identity() -> Identity {
    Identity { name: "fixture".into(), resize: "none".into(), weights_sha256: None }
}

fn array(fixture: &Fixture, name: &str) -> Array2<f32> {
    let shape = fixture.tensor(name).size();
    let values = fixture.values(name).iter().map(|&v| v as f32).collect();
    Array2::from_shape_vec((shape[0] as usize, shape[1] as usize), values).unwrap()
}

fn set(fixture: &Fixture, name: &str) -> FeatureSet {
    FeatureSet::from_rows(identity(), array(fixture, name).view()).unwrap()
}

fn number(case: &Value, key: &str) -> f64 {
    case[key].as_f64().unwrap_or_else(|| panic!("{case} has no number {key}"))
}

/// Asserts a relative difference.
fn close(got: f64, expected: f64, tolerance: f64, what: &str) {
    let apart = (got - expected).abs() / expected.abs();
    assert!(apart <= tolerance, "{what}: {got} against {expected}, {apart:e} apart");
}

#[test]
fn frechet_distance_is_that_of_scipy_and_of_sixty_digits() {
    let fixture = Fixture::open("metrics_frechet");
    let (tight, loose) = (fixture.number("tolerance"), fixture.number("tolerance_scipy_singular"));
    let mut exact_cases = 0;
    for case in fixture.cases() {
        let name = text(&case, "name");
        let (a, b) = (set(&fixture, &format!("{name}/a")), set(&fixture, &format!("{name}/b")));
        let by_statistics =
            frechet_distance(&Statistics::of(&a).unwrap(), &Statistics::of(&b).unwrap()).unwrap();
        let by_features = frechet_distance_of_features(&a, &b).unwrap();
        let scipy = if case["singular"].as_bool().unwrap() { loose } else { tight };
        for (route, got) in [("statistics", by_statistics), ("features", by_features)] {
            let what = format!("{name} by {route}");
            close(got, number(&case, "scipy"), scipy, &format!("{what}, SciPy"));
            if let Some(exact) = case["exact"].as_f64() {
                close(got, exact, tight, &format!("{what}, exact"));
                exact_cases += 1;
            }
        }
    }
    assert_eq!(exact_cases, 8);
}

#[test]
fn kid_of_given_subsets_is_that_of_torch_fidelity() {
    let fixture = Fixture::open("metrics_kid");
    let tolerance = fixture.number("tolerance");
    let size = fixture.tensor("left").size()[1] as usize;
    let indices = |name: &str| -> Vec<Vec<usize>> {
        let flat: Vec<i64> = Vec::try_from(fixture.tensor(name).reshape([-1])).unwrap();
        flat.chunks(size).map(|chunk| chunk.iter().map(|&i| i as usize).collect()).collect()
    };
    let subsets: Vec<_> = indices("left").into_iter().zip(indices("right")).collect();
    let got = kid_of_subsets(&set(&fixture, "a"), &set(&fixture, "b"), &subsets).unwrap();
    let expected = fixture.values("mmd");
    assert_eq!(got.len(), expected.len());
    for (k, (got, expected)) in got.iter().zip(&expected).enumerate() {
        assert!((got - expected).abs() <= 1e-12 * expected.abs().max(1.0), "subset {k}: {got}, {expected}");
    }
    // Its own figures, which it works out in f32.
    let case = &fixture.cases()[0];
    let mean = got.iter().sum::<f64>() / got.len() as f64;
    let deviation = (got.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / got.len() as f64).sqrt();
    for (got, key) in [(mean, "mean_f32"), (deviation, "deviation_f32")] {
        let expected = number(case, key);
        assert!((got - expected).abs() <= tolerance, "{key}: {got}, {expected}");
    }
}

#[test]
fn counts_of_manifolds_equal_their_definitions() {
    let fixture = Fixture::open("metrics_manifold");
    assert_eq!(fixture.cases().len(), 4);
    for case in fixture.cases() {
        let name = text(&case, "name");
        let (drawn, real) = (set(&fixture, &format!("{name}/drawn")), set(&fixture, &format!("{name}/real")));
        let got = manifold(&drawn, &real, &ManifoldOptions::default()).unwrap();
        assert_eq!(
            (got.precise, got.recalled, got.pairs_within as usize, got.covered),
            (
                count(&case, "precise"),
                count(&case, "recalled"),
                count(&case, "pairs_within"),
                count(&case, "covered")
            ),
            "{name}"
        );
    }
}

#[test]
fn inception_score_is_that_of_torch_fidelity_however_it_arrives() {
    let fixture = Fixture::open("metrics_inception_score");
    let (case, logits) = (&fixture.cases()[0], array(&fixture, "logits"));
    let splits = count(case, "splits");
    let part = |from: usize, to: usize| {
        let mut part = InceptionScore::new(logits.ncols(), splits).unwrap();
        part.push(from as u64, logits.slice(ndarray::s![from..to, ..])).unwrap();
        part
    };
    let mut sharded = part(50, logits.nrows());
    sharded.merge(&part(0, 50)).unwrap();
    for scored in [part(0, logits.nrows()), sharded] {
        let got = scored.score().unwrap();
        close(got.mean, number(case, "mean"), fixture.number("tolerance"), "mean");
        close(got.deviation, number(case, "deviation"), fixture.number("tolerance"), "deviation");
    }
}

#[test]
fn ssim_psnr_and_rmse_are_those_of_scikit_image() {
    let fixture = Fixture::open("metrics_paired");
    let tolerance = fixture.number("tolerance");
    let image = |name: String| {
        let tensor = fixture.tensor(&name);
        let shape: Vec<usize> = tensor.size().iter().map(|&n| n as usize).collect();
        let values: Vec<i64> = Vec::try_from(tensor.reshape([-1])).unwrap();
        let values = values.iter().map(|&v| v as u8).collect();
        Array3::from_shape_vec((shape[0], shape[1], shape[2]), values).unwrap()
    };
    let mut all = PairedImages::new();
    let mut square = 0.0;
    let cases = fixture.cases();
    for case in &cases {
        let name = text(case, "name");
        let mut pair = PairedImages::new();
        let (x, y) = (image(format!("{name}/x")), image(format!("{name}/y")));
        pair.push(x.view(), y.view()).unwrap();
        all.push(x.view(), y.view()).unwrap();
        let got = pair.fidelity().unwrap();
        close(got.ssim, number(case, "ssim"), tolerance, &format!("{name} SSIM"));
        close(got.rmse, number(case, "rmse"), tolerance, &format!("{name} RMSE"));
        close(got.psnr.unwrap(), number(case, "psnr"), tolerance, &format!("{name} PSNR"));
        square += number(case, "rmse").powi(2);
    }
    assert_eq!(all.len(), cases.len());
    close(all.fidelity().unwrap().rmse, (square / cases.len() as f64).sqrt(), tolerance, "all");
}

#[test]
fn statistics_are_those_of_numpy_and_its_file_is_read() {
    let fixture = Fixture::open("metrics_statistics");
    let tolerance = fixture.number("tolerance");
    let ours = Statistics::of(&set(&fixture, "features")).unwrap();
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/metrics_statistics.npz");
    let theirs = Statistics::read(&path).unwrap();
    assert_eq!((theirs.identity(), theirs.count()), (None, None));
    assert_eq!(ours.count(), Some(count(&fixture.cases()[0], "n") as u64));
    assert_eq!(theirs.mean().to_vec(), fixture.values("mu"));
    assert_eq!(theirs.covariance().into_raw_vec_and_offset().0, fixture.values("sigma"));
    for (what, got, expected) in [
        ("mu", ours.mean().to_vec(), theirs.mean().to_vec()),
        ("sigma", ours.covariance().into_raw_vec_and_offset().0, fixture.values("sigma")),
    ] {
        let largest = expected.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
        for (got, expected) in got.iter().zip(&expected) {
            assert!((got - expected).abs() <= tolerance * largest, "{what}: {got} against {expected}");
        }
    }
}
