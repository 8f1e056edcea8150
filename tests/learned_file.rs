//! `exits.safetensors`: what comes back, what is refused, and AdaDiff's own file.

mod learned_exits;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use half::f16;
use learned_exits::{config, estimator, gate, normal, random, sha};
use offramp::backbone::CheckpointError;
use offramp::learned::{
    EstimatorConfig, EstimatorKind, GateConfig, HeadKind, LearnedConfig, LearnedError, LearnedExits,
    Quantity, Target,
};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use tch::{Kind, Tensor};

fn full_config() -> LearnedConfig {
    LearnedConfig {
        heads: HeadKind::Local,
        estimator: estimator(EstimatorKind::Paper),
        gate: gate(5),
        ..config(&sha())
    }
}

/// Writes tensors as f32 with a description.
fn write(file: &Path, tensors: &BTreeMap<String, Tensor>, description: Option<&str>) {
    let arrays: Vec<(&String, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| {
            let values = Vec::<f32>::try_from(tensor.contiguous().view([-1])).unwrap();
            let shape = tensor.size().iter().map(|&n| n as usize).collect();
            (name, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())
        })
        .collect();
    let views = arrays.iter().map(|(n, s, b)| (n, TensorView::new(Dtype::F32, s.clone(), b).unwrap()));
    let facts = description.map(|text| HashMap::from([("exits".to_owned(), text.to_owned())]));
    std::fs::write(file, safetensors::serialize(views, facts).unwrap()).unwrap();
}

#[test]
fn comes_back_as_written_but_for_f16() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("exits.safetensors");
    for heads in [HeadKind::Shared, HeadKind::Linear, HeadKind::Local, HeadKind::Global] {
        for kind in [EstimatorKind::Paper, EstimatorKind::Released] {
            let target = EstimatorConfig::new(kind, Target::Full);
            let config = LearnedConfig { heads, estimator: Some(target), ..full_config() };
            let exits = random(config.clone(), 0.3);
            exits.write(&file).unwrap();
            let read = LearnedExits::read(&file, 3, &sha()).unwrap();
            assert_eq!(read.config(), &config);
            let digest = offramp::digest::sha256_of(&file).unwrap();
            assert_eq!(read.sha256(), Some(digest.as_str()));
            assert_eq!(read.share().sha256(), Some(digest.as_str()));
            assert_eq!(exits.sha256(), None);
            for ((name, before), (same, after)) in exits.named().into_iter().zip(read.named()) {
                assert_eq!(name, same);
                assert_eq!(before.to_kind(Kind::Half).to_kind(Kind::Float), after, "{name}");
            }
            // Once f16, always the same.
            let bytes = std::fs::read(&file).unwrap();
            read.write(&file).unwrap();
            assert_eq!(std::fs::read(&file).unwrap(), bytes);
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_f16_cannot_hold_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("exits.safetensors");
    random(full_config(), 0.3).write(&file).unwrap();
    let before = std::fs::read(&file).unwrap();
    for value in [1e5, f64::NAN] {
        let mut tensors = learned_exits::tensors(&full_config(), 0.1);
        tensors.insert("gates.2.fc1.bias".into(), Tensor::from_slice(&[0.0, 0.0, value, 0.0, 0.0f64]));
        let exits = LearnedExits::assemble(full_config(), &tensors).unwrap();
        let error = exits.write(&file).unwrap_err().to_string();
        assert!(error.contains("gates.2.fc1.bias") && error.contains("element 2"), "{error}");
        assert_eq!(std::fs::read(&file).unwrap(), before, "what was there stays");
    }
    assert!(f16::from_f32(1e5).is_infinite());
    assert!(random(full_config(), 0.3).write(&folder.path().join("no/such.safetensors")).is_err());
}

#[test]
fn tensors_that_are_not_those_described_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("exits.safetensors");
    let description = serde_json::to_string(&full_config()).unwrap();
    let whole = learned_exits::tensors(&full_config(), 0.1);
    let refused = |tensors: &BTreeMap<String, Tensor>| {
        write(&file, tensors, Some(&description));
        let error = LearnedExits::read(&file, 3, &sha()).unwrap_err();
        assert!(error.is_bad_input());
        match error {
            LearnedError::Checkpoint(error) => error,
            other => panic!("{other}"),
        }
    };
    write(&file, &whole, Some(&description));
    LearnedExits::read(&file, 3, &sha()).unwrap();

    let mut odd = learned_exits::tensors(&full_config(), 0.1);
    odd.remove("heads.1.conv.weight");
    odd.insert("heads.2.conv.weight".into(), normal(&[32, 3, 3], 1.0, 1));
    odd.insert("heads.3.conv.weight".into(), normal(&[32, 1, 3, 3], 1.0, 1));
    let text = refused(&odd).to_string();
    for mention in [
        "exits.safetensors",
        "1 missing: heads.1.conv.weight",
        "1 unexpected: heads.3.conv.weight",
        "heads.2.conv.weight (expected [32, 1, 3, 3], got [32, 3, 3])",
    ] {
        assert!(text.contains(mention), "no {mention:?} in {text}");
    }
    let mut nan = learned_exits::tensors(&full_config(), 0.1);
    nan.insert("estimators.2.bias".into(), Tensor::from_slice(&[f32::NAN]));
    assert!(
        matches!(refused(&nan), CheckpointError::NotFinite { tensor, .. } if tensor == "estimators.2.bias")
    );

    for (missing, shape) in [("gates.1.fc2.bias", None), ("gates.1.fc2.bias", Some([2i64]))] {
        let mut tensors = learned_exits::tensors(&full_config(), 0.1);
        tensors.remove(missing);
        if let Some(shape) = shape {
            tensors.insert(missing.into(), normal(&shape, 1.0, 1));
        }
        match LearnedExits::assemble(full_config(), &tensors).unwrap_err() {
            LearnedError::Tensor { tensor, expected, got } => {
                assert_eq!((tensor.as_str(), expected), (missing, vec![1]));
                assert_eq!(got, shape.map(|s| vec![s[0] as usize]));
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn exits_of_other_weights_or_another_depth_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("exits.safetensors");
    random(full_config(), 0.1).write(&file).unwrap();
    let other = "f".repeat(64);
    match LearnedExits::read(&file, 3, &other).unwrap_err() {
        LearnedError::OtherWeights { expected, got, .. } => assert_eq!((expected, got), (other, sha())),
        other => panic!("{other}"),
    }
    let error = LearnedExits::read(&file, 2, &sha()).unwrap_err().to_string();
    assert!(error.contains("points = [1, 2]") && error.contains("2 blocks"), "{error}");
}

#[test]
fn descriptions_that_cannot_be_are_refused_with_their_value() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("exits.safetensors");
    let whole = learned_exits::tensors(&full_config(), 0.1);
    let good = serde_json::to_value(full_config()).unwrap();
    let with = |field: &str, value: Value| {
        let mut description = good.clone();
        match field.split_once('.') {
            Some((outer, inner)) => description[outer][inner] = value,
            None => description[field] = value,
        }
        description
    };
    for (field, value, mention) in [
        ("version", json!(2), "version = 2: this offramp reads version 1"),
        ("version", json!("1"), "invalid type"),
        ("weights_sha256", json!("abc"), "weights_sha256 = abc"),
        ("weights_sha256", json!("F".repeat(64)), "weights_sha256"),
        ("width", json!(0), "width = 0"),
        ("width", json!(u64::MAX), "width = 18446744073709551615"),
        ("grid", json!([2, 0]), "grid = 0"),
        ("grid", json!([2]), "length"),
        ("patch_outputs", json!(1u64 << 60), "patch_outputs"),
        ("points", json!([]), "points = []"),
        ("points", json!([2, 1]), "points = [2, 1]"),
        ("points", json!([1, 1]), "points = [1, 1]"),
        ("points", json!([0, 1]), "points = [0, 1]"),
        ("points", json!([1, 5000]), "points = [1, 5000]"),
        ("heads", json!("tall"), "unknown variant `tall`"),
        ("estimator.kind", json!("released"), "estimator.quantity = uncertainty"),
        ("estimator.quantity", json!("certainty"), "a paper estimator gives uncertainty"),
        ("estimator.target", json!("x0"), "unknown variant `x0`"),
        ("gate.hidden", json!(0), "gate.hidden = 0"),
        ("gate.depth", json!(2), "unknown field `depth`"),
        ("comment", json!("hello"), "unknown field `comment`"),
    ] {
        write(&file, &whole, Some(&with(field, value).to_string()));
        let error = LearnedExits::read(&file, 3, &sha()).unwrap_err();
        assert!(error.is_bad_input());
        let text = error.to_string();
        assert!(text.contains("exits.safetensors") && text.contains(mention), "no {mention:?} in {text}");
    }
    // An unknown version is named, whatever else it holds.
    let mut later = with("version", json!(7));
    later["heads"] = json!({ "1": "local" });
    write(&file, &whole, Some(&later.to_string()));
    let text = LearnedExits::read(&file, 3, &sha()).unwrap_err().to_string();
    assert!(text.contains("version = 7"), "{text}");
    write(&file, &whole, Some("{"));
    assert!(matches!(LearnedExits::read(&file, 3, &sha()), Err(LearnedError::Parse { .. })));
    write(&file, &whole, None);
    assert!(matches!(LearnedExits::read(&file, 3, &sha()), Err(LearnedError::NoDescription { .. })));
    std::fs::write(&file, b"").unwrap();
    assert!(matches!(LearnedExits::read(&file, 3, &sha()), Err(LearnedError::Checkpoint(_))));

    let wide = LearnedConfig { width: 96, heads: HeadKind::Global, ..config(&sha()) };
    let text = LearnedExits::init(wide, 0).unwrap_err().to_string();
    assert!(text.contains("width = 96") && text.contains("multiple of 64"), "{text}");
    let swapped = EstimatorConfig { quantity: Quantity::Certainty, ..full_config().estimator.unwrap() };
    let swapped = LearnedConfig { estimator: Some(swapped), ..full_config() };
    assert!(matches!(LearnedExits::init(swapped, 0), Err(LearnedError::Config(_))));
    let none = LearnedConfig { gate: Some(GateConfig { hidden: 0 }), ..full_config() };
    assert!(matches!(LearnedExits::init(none, 0), Err(LearnedError::Config(_))));
}

#[test]
fn adadiffs_estimators_are_read_as_certainty() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nnet_ema.safetensors");
    let mut stored = BTreeMap::from([("mid_block.norm1.weight".to_owned(), normal(&[8], 1.0, 1))]);
    for block in 0..3u64 {
        stored.insert(format!("lte_classifer.{block}.lte.weight"), normal(&[12, 8], 1.0, block));
        stored.insert(format!("lte_classifer.{block}.lte.bias"), normal(&[12], 1.0, 10 + block));
    }
    write(&file, &stored, None);
    let exits = LearnedExits::from_adadiff(&file, 3, [2, 2], &sha()).unwrap();
    let config = exits.config();
    assert_eq!((config.width, config.patch_outputs, config.heads), (8, 12, HeadKind::Shared));
    // The third stands at the end, where nothing is left to skip.
    assert_eq!(config.points, [1, 2]);
    let e = config.estimator.unwrap();
    assert_eq!((e.kind, e.quantity, e.target), (EstimatorKind::Released, Quantity::Certainty, Target::Noise));
    let (hidden, temb) = (normal(&[2, 4, 8], 1.0, 20), normal(&[2, 8], 1.0, 21));
    let c = exits.estimator(2).unwrap().per_token(&hidden, &temb).unwrap();
    let weight = &stored["lte_classifer.1.lte.weight"];
    let expected = (hidden.matmul(&weight.tr()) + &stored["lte_classifer.1.lte.bias"]).sigmoid();
    assert!((c - expected).abs().max().double_value(&[]) < 1e-6);

    let refused = |stored: &BTreeMap<String, Tensor>, mention: &str| {
        write(&file, stored, None);
        let text = LearnedExits::from_adadiff(&file, 3, [2, 2], &sha()).unwrap_err().to_string();
        assert!(text.contains(mention), "no {mention:?} in {text}");
    };
    let same = || stored.iter().map(|(n, t)| (n.clone(), t.shallow_clone())).collect::<BTreeMap<_, _>>();
    let mut none = same();
    none.retain(|name, _| !name.starts_with("lte"));
    refused(&none, "lte_classifer");
    let mut flat = same();
    flat.insert("lte_classifer.0.lte.weight".into(), normal(&[96], 1.0, 0));
    refused(&flat, "[96]");
    let mut narrow = same();
    narrow.insert("lte_classifer.1.lte.weight".into(), normal(&[12, 7], 1.0, 0));
    refused(&narrow, "estimators.2.weight: expected [12, 8], got [12, 7]");
    let mut unbiased = same();
    unbiased.remove("lte_classifer.1.lte.bias");
    refused(&unbiased, "estimators.2.bias: expected [12], got none");
}
