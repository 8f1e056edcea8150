//! Extractors against the programs whose numbers the field quotes, on the same weights.

#[path = "solver_fixture/mod.rs"]
mod fixture;

use std::path::Path;

use fixture::Fixture;
use offramp::extract::{Extractor, Resize, open};
use tch::{Kind, Tensor};

/// max|a − b| / max|b|
fn relative(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().double_value(&[]) / b.abs().max().double_value(&[])
}

/// `n` numbers in [0, 1), multiples of 2⁻²⁴: SplitMix64 started at the FNV-1a hash of a name.
fn uniform(name: &str, n: usize) -> impl Iterator<Item = f64> {
    let seed =
        name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01B3));
    (1..=n as u64).map(move |i| {
        let mut z = seed.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 24)
    })
}

/// A tensor of the Inception, as `scripts/reference/extractors.py` draws it.
fn drawn(name: &str, shape: &[i64]) -> Tensor {
    let n = shape.iter().product::<i64>() as usize;
    let fan_in = shape[1..].iter().product::<i64>() as f64;
    let value = |u: f64| match name.rsplit('.').next().unwrap() {
        "weight" if shape.len() > 1 => (2.0 * u - 1.0) * (6.0 / fan_in).sqrt(),
        "weight" | "running_var" => 0.5 + u,
        _ => 0.4 * (u - 0.5),
    };
    let values: Vec<f32> = uniform(name, n).map(|u| value(u) as f32).collect();
    Tensor::from_slice(&values).view(shape)
}

/// A photograph, u8 `[1, H, W, 3]`.
fn photo(name: &str) -> Tensor {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/photos/{name}.png"));
    let image = image::open(file).unwrap().into_rgb8();
    let (w, h) = (i64::from(image.width()), i64::from(image.height()));
    Tensor::from_slice(&image.into_raw()).view([1, h, w, 3])
}

fn images(fixture: &Fixture, kind: &str) -> Tensor {
    match kind {
        "chelsea" | "coffee" => photo(kind),
        _ => fixture.tensor(&format!("images/{kind}")),
    }
}

/// Features and logits against the reference's, and each image by itself against itself among others.
fn check(fixture: &Fixture, extractor: &dyn Extractor, rule: &str, kind: &str) {
    let name = &extractor.identity().name;
    let tolerance = fixture.number("tolerance");
    let x = images(fixture, kind);
    let ours = extractor.extract(&x).unwrap();
    let theirs = |what: &str| fixture.tensor(&format!("{name}/{rule}/{kind}/{what}"));
    let logits = ours.logits.unwrap();
    assert_eq!(ours.pooled.size()[1] as usize, extractor.width([1, 1, 3]).unwrap());
    assert_eq!(logits.size()[1] as usize, extractor.classes().unwrap());
    for (what, ours, theirs) in
        [("features", &ours.pooled, theirs("features")), ("logits", &logits, theirs("logits"))]
    {
        let error = relative(ours, &theirs);
        println!("{name} {rule} {kind} {what}: {error:.1e}");
        assert!(error <= tolerance, "{name}, {rule}, {kind}: {what} differ by {error:.1e} of the largest");
    }
    for i in 0..x.size()[0] {
        let alone = extractor.extract(&x.narrow(0, i, 1)).unwrap().pooled;
        let among = ours.pooled.narrow(0, i, 1);
        assert!(relative(&alone, &among) < 1e-5, "{name}: image {i} of {kind} depends on its neighbours");
    }
}

#[test]
fn resizing_is_pillows_and_torchs() {
    let fixture = Fixture::open("extractors");
    let tolerance = fixture.number("tolerance_resize"); // of 255
    for name in fixture.names() {
        let Some(case) = name.strip_prefix("resize/") else { continue };
        let [rule, kind, size] = case.split('/').collect::<Vec<_>>()[..] else { panic!("{name}") };
        let x = images(&fixture, kind).narrow(0, 0, 1).permute([0, 3, 1, 2]).to_kind(Kind::Float);
        let ours = rule.parse::<Resize>().unwrap().apply(&x, size.parse().unwrap()).unwrap();
        let gap = (ours - fixture.tensor(&name)).abs().max().double_value(&[]);
        assert!(gap <= tolerance, "{name}: {gap:.1e}");
    }
}

#[test]
#[ignore = "draws 24 million weights: some ten seconds"]
fn the_inception_is_pytorch_fids() {
    let fixture = Fixture::open("extractors");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.safetensors");
    let weights: Vec<(String, Tensor)> = fixture
        .cases()
        .iter()
        .map(|case| {
            let name = case["name"].as_str().unwrap();
            let shape: Vec<i64> = serde_json::from_value(case["shape"].clone()).unwrap();
            (name.to_owned(), drawn(name, &shape))
        })
        .collect();
    Tensor::write_safetensors(&weights, &file).unwrap();
    drop(weights);
    for rule in ["legacy", "clean"] {
        let spec = format!("inception-2015:resize={rule},weights={}", file.display());
        let extractor = open(&spec.parse().unwrap(), &[]).unwrap();
        assert_eq!(extractor.identity().resize, rule);
        for kind in ["colour", "grey"] {
            check(&fixture, &*extractor, rule, kind);
        }
    }
}

#[test]
fn efficientnet_is_pytorchs() {
    let fixture = Fixture::open("extractors");
    for (rule, kinds) in [("clean", &["colour", "chelsea", "coffee"][..]), ("legacy", &["grey"])] {
        let spec = format!("efficientnet-lite0:resize={rule}");
        let extractor = open(&spec.parse().unwrap(), &[]).expect("`make extractors` gets them");
        for kind in kinds {
            check(&fixture, &*extractor.share(), rule, kind);
        }
    }
}

/// ImageNet has five cats, 281 … 285; 967 is an espresso, 968 a cup.
#[test]
fn efficientnet_sees_a_cat_and_a_cup_of_coffee() {
    let extractor = open(&"efficientnet-lite0".parse().unwrap(), &[]).expect("`make extractors` gets them");
    let top = |name: &str| -> Vec<i64> {
        let logits = extractor.extract(&photo(name)).unwrap().logits.unwrap();
        Vec::try_from(logits.squeeze().topk(5, 0, true, true).1).unwrap()
    };
    let cat = top("chelsea");
    assert!((281..=285).contains(&cat[0]), "{cat:?}");
    assert!((281..=285).filter(|class| cat.contains(class)).count() >= 3, "{cat:?}");
    let coffee = top("coffee");
    assert!(coffee[0] == 967 && coffee.contains(&968), "{coffee:?}");
}
