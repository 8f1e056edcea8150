//! Extractors: what they take, what they refuse, and that an image's features are its own.

use std::path::PathBuf;

use offramp::extract::{ExtractorSpec, FashionNet, open};
use tch::{Device, Kind, Tensor};

/// Noise as images, u8 `[b, h, w, c]`.
fn images(b: i64, h: i64, w: i64, c: i64) -> Tensor {
    let n = b * h * w * c;
    let values: Vec<u8> =
        (0..n as u64).map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect();
    Tensor::from_slice(&values).view([b, h, w, c])
}

/// max|a − b|
fn gap(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().double_value(&[])
}

/// A classifier with running statistics of its own, written; and the option that names it.
fn fashion(folder: &tempfile::TempDir) -> (FashionNet, String) {
    let net = FashionNet::init(3).unwrap();
    for _ in 0..20 {
        let x = images(16, 28, 28, 1).permute([0, 3, 1, 2]).to_kind(Kind::Float) / 255.0;
        drop(net.forward(&x, true).unwrap());
    }
    let file = folder.path().join("net.safetensors");
    net.write(&file).unwrap();
    (net, format!("fashion-features:weights={}", file.display()))
}

fn refused(spec: &str, roots: &[PathBuf]) -> String {
    let error = spec.parse::<ExtractorSpec>().and_then(|spec| open(&spec, roots).map(|_| ()));
    let error = error.expect_err("must be refused");
    assert!(error.is_bad_input());
    error.to_string()
}

#[test]
fn pixels_are_pixels() {
    let pixels = open(&"pixels".parse().unwrap(), &[]).unwrap();
    assert_eq!(pixels.width([4, 5, 3]).unwrap(), 60);
    let x = images(2, 4, 5, 3);
    let features = pixels.extract(&x).unwrap();
    assert!(features.logits.is_none() && pixels.classes().is_none());
    assert_eq!((features.pooled * 255.0).round().to_kind(Kind::Uint8), x.view([2, 60]));
}

#[test]
fn the_folded_classifier_is_the_one_that_was_trained() {
    let folder = tempfile::tempdir().unwrap();
    let (net, spec) = fashion(&folder);
    let x = images(5, 28, 28, 1);
    let _no_grad = tch::no_grad_guard();
    let (pooled, logits) =
        net.forward(&(x.permute([0, 3, 1, 2]).to_kind(Kind::Float) / 255.0), false).unwrap();
    let ours = open(&spec.parse().unwrap(), &[]).unwrap().extract(&x).unwrap();
    let largest = pooled.abs().max().double_value(&[]);
    assert!(largest > 0.1, "{largest}");
    // The file holds f16.
    assert!(gap(&ours.pooled, &pooled) < 5e-3 * largest);
    assert!(gap(&ours.logits.unwrap(), &logits) < 5e-3 * logits.abs().max().double_value(&[]));
}

#[test]
fn training_reaches_every_parameter_and_moves_the_running_statistics() {
    let net = FashionNet::init(0).unwrap();
    let before: Vec<Tensor> = net.named().iter().map(|(_, t)| t.copy()).collect();
    let x = images(8, 28, 28, 1).permute([0, 3, 1, 2]).to_kind(Kind::Float) / 255.0;
    let (_, logits) = net.forward(&x, true).unwrap();
    logits.cross_entropy_for_logits(&Tensor::arange(8, (Kind::Int64, Device::Cpu))).backward();
    for (name, parameter) in net.parameters() {
        let largest = parameter.grad().abs().max().double_value(&[]);
        assert!(largest > 0.0, "{name} has no gradient");
    }
    for ((name, now), before) in net.named().iter().zip(before) {
        let moved = gap(now, &before) > 0.0;
        assert_eq!(moved, name.ends_with(".mean") || name.ends_with(".var"), "{name}");
    }
    let again = FashionNet::init(0).unwrap();
    assert!(net.parameters().iter().zip(again.parameters()).all(|(a, b)| a.1.equal(&b.1)));
}

#[test]
fn the_classifier_is_small_enough_to_ship() {
    let folder = tempfile::tempdir().unwrap();
    fashion(&folder);
    assert!(std::fs::metadata(folder.path().join("net.safetensors")).unwrap().len() <= 1 << 20);
}

#[test]
fn images_that_an_extractor_cannot_take_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (_, spec) = fashion(&folder);
    let fashion = open(&spec.parse().unwrap(), &[]).unwrap();
    let pixels = open(&"pixels".parse().unwrap(), &[]).unwrap();
    let error = fashion.extract(&images(2, 28, 28, 3)).expect_err("colour").to_string();
    assert!(error.contains("28×28, grey") && error.contains("3 channels"), "{error}");
    let error = fashion.extract(&images(2, 32, 28, 1)).expect_err("size").to_string();
    assert!(error.contains("28×32"), "{error}");
    let error = pixels.extract(&images(2, 8, 8, 2)).expect_err("channels").to_string();
    assert!(error.contains("[2, 8, 8, 2]"), "{error}");
    let error = pixels.extract(&images(2, 8, 8, 1).to_kind(Kind::Float)).expect_err("dtype").to_string();
    assert!(error.contains("Float"), "{error}");
}

#[test]
fn what_cannot_be_an_extractor_is_refused() {
    let none = [PathBuf::from("/nonexistent")];
    for (spec, tells) in [
        ("inception", "did you mean \"inception-2015\"?"),
        ("squeezenet", "there are inception-2015, efficientnet-lite0, fashion-features, pixels"),
        ("pixels:resize=clean", "takes images as they are"),
        ("pixels:weights=a", "has no weights"),
        ("inception-2015:resize=lanczos", "there are clean and legacy"),
        ("inception-2015:resize=clean,resize=legacy", "twice"),
        ("inception-2015:size=299", "weights=FILE"),
        ("inception-2015:weights=/nonexistent", "scripts/convert_inception.py"),
        ("efficientnet-lite0:weights=/nonexistent", "make extractors"),
        ("fashion-features:weights=/nonexistent", "offramp train features"),
    ] {
        let error = refused(spec, &none);
        assert!(error.contains(tells), "{spec}: {error}");
    }
}

#[test]
fn weights_of_another_network_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.safetensors");
    Tensor::write_safetensors(
        &[("conv1.weight", Tensor::zeros([32, 1, 5, 5], (Kind::Float, Device::Cpu)))],
        &file,
    )
    .unwrap();
    let error = refused(&format!("fashion-features:weights={}", folder.path().display()), &[]);
    assert!(error.contains("expected [32, 1, 3, 3], got [32, 1, 5, 5]"), "{error}");
}

#[test]
fn a_spec_survives_being_written() {
    for spec in
        ["pixels", "inception-2015:resize=legacy", "efficientnet-lite0:resize=clean,weights=a/b.safetensors"]
    {
        assert_eq!(spec.parse::<ExtractorSpec>().unwrap().to_string(), spec);
    }
}
