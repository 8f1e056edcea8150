//! Distances grow with corruption: real test images against others that are blurred, noised, or too often of
//! one class.

use std::ops::ControlFlow;
use std::path::PathBuf;

use offramp::data::{FashionMnist, LabelledImages};
use offramp::evaluate::{Extraction, FeatureSet, ImageSet, KidOptions, frechet_distance_of_features, kid};
use offramp::extract::{Extractor, ExtractorSpec, Network, open};
use offramp::output::Pixels;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

const SIDE: usize = 28;

/// What is done to a set, and how much of it; the first amount is none.
struct Corruption {
    name: &'static str,
    amounts: &'static [f64],
    apply: fn(&[Pixels], &LabelledImages, f64) -> Vec<Pixels>,
}

const CORRUPTIONS: [Corruption; 3] = [
    Corruption { name: "blurred, σ in pixels", amounts: &[0.0, 0.6, 1.2, 2.4], apply: blurred },
    Corruption { name: "noised, σ of 255", amounts: &[0.0, 8.0, 24.0, 72.0], apply: noised },
    Corruption { name: "share of trousers more", amounts: &[0.0, 0.3, 0.6, 1.0], apply: of_one_class },
];

fn pixels(data: &LabelledImages) -> Vec<Pixels> {
    let all = Vec::<u8>::try_from(data.images.contiguous().view(-1)).unwrap();
    all.chunks_exact(SIDE * SIDE).map(|c| Pixels { shape: [SIDE, SIDE, 1], data: c.to_vec() }).collect()
}

/// Convolves rows, then columns, with a normal density; the border goes on outwards.
fn blurred(images: &[Pixels], _: &LabelledImages, sigma: f64) -> Vec<Pixels> {
    if sigma == 0.0 {
        return images.to_vec();
    }
    let reach = (3.0 * sigma).ceil() as isize;
    let weights: Vec<f64> = (-reach..=reach).map(|d| (-0.5 * (d as f64 / sigma).powi(2)).exp()).collect();
    let total: f64 = weights.iter().sum();
    let along = |image: &[f64], step: usize, other: usize| -> Vec<f64> {
        let value = |i: usize| {
            let (line, at) = (i / other % SIDE, (i / step % SIDE) as isize);
            let near = |d: isize| (at + d).clamp(0, SIDE as isize - 1) as usize;
            let sum = weights.iter().zip(-reach..).map(|(w, d)| w * image[line * other + near(d) * step]);
            sum.sum::<f64>() / total
        };
        (0..SIDE * SIDE).map(value).collect()
    };
    let blur = |image: &Pixels| {
        let values: Vec<f64> = image.data.iter().map(|&v| f64::from(v)).collect();
        let both = along(&along(&values, 1, SIDE), SIDE, 1);
        Pixels { shape: image.shape, data: both.iter().map(|v| v.round() as u8).collect() }
    };
    images.iter().map(blur).collect()
}

fn noised(images: &[Pixels], _: &LabelledImages, sigma: f64) -> Vec<Pixels> {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut noise = |v: u8| {
        let z: f64 = StandardNormal.sample(&mut rng);
        (f64::from(v) + sigma * z).round().clamp(0.0, 255.0) as u8
    };
    let add =
        |image: &Pixels| Pixels { shape: image.shape, data: image.data.iter().map(|&v| noise(v)).collect() };
    images.iter().map(add).collect()
}

/// The first `share` of the images gives way to trousers.
fn of_one_class(images: &[Pixels], rest: &LabelledImages, share: f64) -> Vec<Pixels> {
    let labels = Vec::<i64>::try_from(&rest.labels).unwrap();
    let replaced = (share * images.len() as f64).round() as usize;
    let trousers = pixels(rest).into_iter().zip(labels).filter(|(_, label)| *label == 1);
    let mut set: Vec<Pixels> = trousers.take(replaced).map(|(image, _)| image).collect();
    assert_eq!(set.len(), replaced, "not enough trousers");
    set.extend_from_slice(&images[replaced..]);
    set
}

/// n images against n others, corrupted more and more, by both distances.
fn check(extractor: &dyn Extractor, n: usize) {
    let test = FashionMnist::find(None).unwrap().test().unwrap();
    let features = |images: Vec<Pixels>| -> FeatureSet {
        let set = ImageSet::of("test images", images).unwrap();
        let run = Extraction::new(2).run(&set, extractor, &mut |_, _| ControlFlow::Continue(()));
        run.unwrap().features
    };
    let real = features(pixels(&test.narrow(0, n).unwrap()));
    let others = pixels(&test.narrow(n, n).unwrap());
    let rest = test.narrow(2 * n, 10_000).unwrap();
    let whole = KidOptions { subsets: 1, subset_size: Some(n), seed: 0 };
    for Corruption { name, amounts, apply } in &CORRUPTIONS {
        let mut before = [f64::NEG_INFINITY; 2];
        for &amount in *amounts {
            let corrupted = features(apply(&others, &rest, amount));
            let distances = [
                frechet_distance_of_features(&real, &corrupted).unwrap(),
                kid(&real, &corrupted, &whole).unwrap().value,
            ];
            println!("{name} {amount}: FD {:.4}, KID {:.6}", distances[0], distances[1]);
            for (distance, before) in distances.iter().zip(before) {
                assert!(*distance > before, "{name} {amount}: {distances:?} after {before}");
            }
            before = distances;
        }
    }
}

fn extractor(network: Network) -> Box<dyn Extractor> {
    open(&ExtractorSpec::new(network), &[PathBuf::from(env!("CARGO_MANIFEST_DIR"))]).unwrap()
}

#[test]
fn distances_over_fashion_features_grow_with_corruption() {
    check(&*extractor(Network::FashionFeatures), 800);
}

#[test]
#[ignore = "a minute: 5,200 images through EfficientNet-Lite0, which `make extractors` fetches"]
fn distances_over_efficientnet_grow_with_corruption() {
    check(&*extractor(Network::EfficientnetLite0), 400);
}

#[test]
fn the_blur_keeps_flat_images_and_spreads_a_point() {
    let flat = Pixels { shape: [SIDE, SIDE, 1], data: vec![77; SIDE * SIDE] };
    let mut point = Pixels { shape: [SIDE, SIDE, 1], data: vec![0; SIDE * SIDE] };
    point.data[14 * SIDE + 10] = 255;
    let none = FashionMnist::find(None).unwrap().test().unwrap().narrow(0, 0).unwrap();
    let made = blurred(&[flat.clone(), point], &none, 1.0);
    assert_eq!(made[0], flat);
    // 255/(2π) at the centre, e^(−1/2) of it beside, in all four directions alike.
    let at = |y: usize, x: usize| made[1].data[y * SIDE + x];
    assert!((40..=41).contains(&at(14, 10)), "{}", at(14, 10));
    assert_eq!([at(13, 10), at(15, 10), at(14, 9), at(14, 11)], [25; 4]);
}
