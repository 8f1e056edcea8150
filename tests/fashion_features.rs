//! The shipped weights of `fashion-features` on Fashion-MNIST's test images.

use std::path::Path;
use std::thread;

use offramp::data::FashionMnist;
use offramp::extract::{Extractor, FashionFeatures};
use tch::Kind;

#[test]
fn the_shipped_weights_name_test_images_as_rightly_as_their_card_says() {
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("weights/fashion-features");
    let file = weights.join("model.safetensors");
    assert!(std::fs::metadata(&file).unwrap().len() <= 1_000_000);
    let test = FashionMnist::find(None).unwrap().test().unwrap();
    assert_eq!(test.images.size(), [10_000, 28, 28, 1]);

    let extractor = FashionFeatures::open(&file).unwrap();
    let halves = [0, 5_000].map(|from| (extractor.share(), test.narrow(from, 5_000).unwrap()));
    tch::set_num_threads(1);
    let counts = halves.map(|(extractor, part)| {
        thread::spawn(move || {
            let correct = (0..part.len()).step_by(100).map(|from| {
                let batch = part.narrow(from, 100).unwrap();
                let logits = extractor.extract(&batch.images).unwrap().logits.unwrap();
                logits.argmax(1, false).eq_tensor(&batch.labels).sum(Kind::Int64).int64_value(&[])
            });
            correct.sum::<i64>()
        })
    });
    let correct: i64 = counts.into_iter().map(|count| count.join().unwrap()).sum();
    let accuracy = correct as f64 / 10_000.0;
    assert!(accuracy >= 0.93, "{accuracy}");

    let card = std::fs::read_to_string(weights.join("README.md")).unwrap();
    let row = card.lines().find_map(|line| line.strip_prefix("| test accuracy | ")).unwrap();
    let told: f64 = row.split(' ').next().unwrap().parse().unwrap();
    // Other kernels round otherwise; two images of ten thousand may tip.
    assert!((told - 100.0 * accuracy).abs() < 0.021, "the card says {told}, and it is {}", 100.0 * accuracy);
    let sha256 = &extractor.identity().weights_sha256;
    assert!(card.contains(sha256.as_deref().unwrap()));
}
