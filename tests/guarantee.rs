//! Whether the promise is kept: calibrated many times on fresh draws, how often is the accepted setting unsafe, and how
//! much of what could be saved is saved?
//!
//! The model is a Gaussian mixture in the plane, whose ε*(x, t) = −σ_t ∇ log p_t(x) has a closed form, so that full depth
//! is exact and an image takes half a microsecond. Each exit adds an error that depends on x and t and shrinks with depth;
//! an estimator knows its size but for a factor. The risk of every setting is measured once, on 100,000 images.

use std::convert::Infallible;
use std::sync::LazyLock;

use offramp::calibrate::{Losses, Promise};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

/// The promise: at most 5 % of images lose, with confidence 90 %.
const RISK: f64 = 0.05;
const CONFIDENCE: f64 = 0.9;
/// Images of one calibration. The binomial test at 5 % then errs with a probability of 0.099, just below ε.
const IMAGES: usize = 282;
const REPETITIONS: usize = 1000;
/// Images by which the risks of all settings are known.
const MANY: usize = 100_000;

/// Thresholds, from safe to fast.
const SETTINGS: usize = 30;
fn threshold(setting: usize) -> f64 {
    0.0155 * 1.08f64.powi(setting as i32)
}

/// An image loses if its RMSE to full depth is larger.
const TOLERANCE: f64 = 0.1;
/// Evaluations of a run.
const EVALUATIONS: usize = 12;
/// The size of each exit's error, where the model is sure; the first is after one block, full depth one behind the last.
const EXIT_ERRORS: [f64; 4] = [0.03, 0.01, 0.003, 0.001];
const BLOCKS: f64 = EXIT_ERRORS.len() as f64 + 1.0;
/// How much larger it is where the model is unsure.
const UNSURE: f64 = 20.0;
/// The estimator's error: the standard deviation of its logarithm.
const ESTIMATOR: f64 = 0.5;

type Point = [f64; 2];

/// Weight, mean, standard deviation.
const MIXTURE: [(f64, Point, f64); 3] =
    [(0.5, [-0.6, -0.4], 0.3), (0.3, [0.7, -0.2], 0.4), (0.2, [0.1, 0.7], 0.35)];

/// x_t = α x_0 + σ ε, and the mixture at t.
struct Time {
    alpha: f64,
    sigma: f64,
    /// Logarithm of weight over variance; mean; 1 / variance.
    mixture: [(f64, Point, f64); 3],
}

/// Evenly spaced in log-SNR, from −8 to 6; then the end, where σ = 0.
static TIMES: LazyLock<[Time; EVALUATIONS + 1]> = LazyLock::new(|| {
    std::array::from_fn(|e| {
        let log_snr =
            if e == EVALUATIONS { f64::INFINITY } else { -8.0 + 14.0 * e as f64 / (EVALUATIONS - 1) as f64 };
        let [alpha, sigma] = [-log_snr, log_snr].map(|l: f64| (1.0 + l.exp()).sqrt().recip());
        let mixture = MIXTURE.map(|(weight, mean, deviation)| {
            let variance = (alpha * deviation).powi(2) + sigma * sigma;
            ((weight / variance).ln(), mean.map(|m| alpha * m), variance.recip())
        });
        Time { alpha, sigma, mixture }
    })
});

/// ε*(x, t), and the probability that x comes from another part of the mixture than the likeliest.
fn exact(x: Point, t: &Time) -> (Point, f64) {
    let parts = t.mixture.map(|(ln_weight, mean, precision)| {
        let away = [x[0] - mean[0], x[1] - mean[1]];
        let square = away[0] * away[0] + away[1] * away[1];
        (ln_weight - 0.5 * square * precision, away.map(|a| a * precision))
    });
    let most = parts.iter().map(|part| part.0).fold(f64::NEG_INFINITY, f64::max);
    let (mut sum, mut noise) = (0.0, [0.0; 2]);
    for (ln_density, away) in parts {
        let density = (ln_density - most).exp();
        sum += density;
        noise = [noise[0] + density * away[0], noise[1] + density * away[1]];
    }
    (noise.map(|n| t.sigma * n / sum), 1.0 - 1.0 / sum)
}

/// An image to be: its initial noise, what factors the estimator is wrong by, and what full depth makes of it.
struct Image {
    start: Point,
    wrong_by: [[f64; EXIT_ERRORS.len()]; EVALUATIONS],
    full: Point,
}

fn images(seed: u64) -> impl Iterator<Item = Image> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    std::iter::repeat_with(move || {
        let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
        let start = [normal(), normal()];
        let wrong_by = std::array::from_fn(|_| std::array::from_fn(|_| (ESTIMATOR * normal()).exp()));
        let image = Image { start, wrong_by, full: start };
        Image { full: sample(&image, 0.0).0, ..image }
    })
}

/// DDIM with exits: each evaluation leaves at the first exit whose estimated error is below the threshold. What comes
/// out, and the share of blocks that did not run.
fn sample(image: &Image, threshold: f64) -> (Point, f64) {
    let (mut x, mut blocks) = (image.start, 0.0);
    for (pair, wrong_by) in TIMES.windows(2).zip(&image.wrong_by) {
        let (t, next) = (&pair[0], &pair[1]);
        let (mut noise, unsure) = exact(x, t);
        let size = |exit: usize| EXIT_ERRORS[exit] * (1.0 + UNSURE * unsure);
        match (0..EXIT_ERRORS.len()).find(|&exit| size(exit) * wrong_by[exit] < threshold) {
            Some(exit) => {
                let (sine, cosine) = (5.0 * x[0] + 3.0 * x[1] + 2.0 * exit as f64).sin_cos();
                noise = [noise[0] + size(exit) * cosine, noise[1] + size(exit) * sine];
                blocks += exit as f64 + 1.0;
            }
            None => blocks += BLOCKS,
        }
        let step = |i: usize| next.alpha * (x[i] - t.sigma * noise[i]) / t.alpha + next.sigma * noise[i];
        x = [step(0), step(1)];
    }
    (x, 1.0 - blocks / (BLOCKS * EVALUATIONS as f64))
}

/// Whether an image loses at a threshold, and the share of blocks that did not run.
fn judge(image: &Image, threshold: f64) -> (bool, f64) {
    let (x, saved) = sample(image, threshold);
    let [a, b] = [x[0] - image.full[0], x[1] - image.full[1]];
    (((a * a + b * b) / 2.0).sqrt() > TOLERANCE, saved)
}

/// The true risk R and mean saving of a setting, as far as many images tell.
#[derive(Clone, Copy, Default)]
struct Truth {
    risk: f64,
    saving: f64,
}

static TRUTH: LazyLock<Vec<Truth>> = LazyLock::new(|| {
    let mut truth = vec![Truth::default(); SETTINGS];
    for image in images(0).take(MANY) {
        for (setting, truth) in truth.iter_mut().enumerate() {
            let (lost, saved) = judge(&image, threshold(setting));
            truth.risk += f64::from(u8::from(lost)) / MANY as f64;
            truth.saving += saved / MANY as f64;
        }
    }
    truth
});

fn calibration_images(series: u64, repetition: usize) -> Vec<Image> {
    images((series << 32) + repetition as u64 + 1).take(IMAGES).collect()
}

fn losses(images: &[Image], setting: usize) -> Losses {
    images.iter().map(|image| judge(image, threshold(setting)).0).collect()
}

/// How a calibrator did over repetitions.
#[derive(Debug)]
struct Record {
    /// Share whose accepted setting has R > α.
    violations: f64,
    /// The most that this may be: ε and two standard errors.
    allowed: f64,
    /// Mean saving over the best setting's of R ≤ α; that of full depth is 0.
    saving: f64,
}

/// `calibrate` gives the setting accepted for the images, or none.
fn record(series: u64, repetitions: usize, calibrate: impl Fn(&[Image]) -> Option<usize>) -> Record {
    let accepted: Vec<Option<Truth>> = (0..repetitions)
        .map(|repetition| calibrate(&calibration_images(series, repetition)).map(|setting| TRUTH[setting]))
        .collect();
    let n = repetitions as f64;
    let unsafe_ones = accepted.iter().flatten().filter(|t| t.risk > RISK).count();
    let best = TRUTH.iter().filter(|t| t.risk <= RISK).map(|t| t.saving).fold(0.0, f64::max);
    let error = 1.0 - CONFIDENCE;
    Record {
        violations: unsafe_ones as f64 / n,
        allowed: error + 2.0 * (error * (1.0 - error) / n).sqrt(),
        saving: accepted.iter().flatten().map(|t| t.saving).sum::<f64>() / n / best,
    }
}

fn promised(images: &[Image]) -> Option<usize> {
    let promise = Promise::new(RISK, CONFIDENCE).unwrap();
    let Ok(tests) = promise.fixed_sequence(SETTINGS, |setting| Ok::<_, Infallible>(losses(images, setting)));
    tests.accepted().map(|test| test.setting)
}

/// The fastest setting that looks safe on these images.
fn looks_safe(images: &[Image]) -> Option<usize> {
    (0..SETTINGS).rev().find(|&setting| losses(images, setting).failures() as f64 <= RISK * IMAGES as f64)
}

#[test]
fn the_settings_are_told_apart() {
    for (setting, Truth { risk, saving }) in TRUTH.iter().enumerate() {
        println!("{setting:2}: λ = {:.4}: R = {risk:.4}, saves {saving:.3}", threshold(setting));
        let error = (risk * (1.0 - risk) / MANY as f64).sqrt();
        assert!((risk - RISK).abs() > 3.0 * error, "setting {setting} is neither safe nor unsafe");
    }
    // From safe to fast, with settings of little saving at one end and of great risk at the other.
    assert!(TRUTH.is_sorted_by(|a, b| a.risk <= b.risk && a.saving <= b.saving));
    assert!(TRUTH[0].risk < 0.001 && TRUTH[SETTINGS - 1].risk > 0.3);
}

#[test]
fn the_promise_is_kept_and_little_is_lost() {
    let kept = record(1, REPETITIONS, promised);
    println!("{kept:?}");
    assert!(kept.violations <= kept.allowed, "{kept:?}");
    assert!(kept.saving >= 0.8, "{kept:?}");
    // Not kept by accepting nothing, nor with much to spare.
    assert!(kept.violations > 0.02, "{kept:?}");
}

#[test]
fn what_looks_safe_is_not() {
    let broken = record(2, REPETITIONS / 5, looks_safe);
    println!("{broken:?}");
    assert!(broken.violations > broken.allowed, "{broken:?}");
}

#[test]
#[ignore = "the same with other draws, a minute; `make test-heavy`"]
fn the_promise_is_kept_on_other_draws() {
    for series in 10..20 {
        let (kept, broken) =
            (record(series, REPETITIONS, promised), record(series, REPETITIONS / 5, looks_safe));
        println!("{series}: {kept:?}\n    {broken:?}");
        assert!(kept.violations <= kept.allowed && kept.saving >= 0.8, "{kept:?}");
        assert!(broken.violations > broken.allowed, "{broken:?}");
    }
}
