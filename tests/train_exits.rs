//! `offramp train exits`: every method, what it changes and what it leaves alone.

mod tiny_training;

use std::collections::BTreeMap;

use tiny_training::tiny_model::{Run, Workplace};
use tiny_training::{bytes, killed_and_resumed, losses, train, workplace};

/// A weights file's tensors as f32.
fn tensors(place: &Workplace, name: &str) -> BTreeMap<String, Vec<f32>> {
    let bytes = bytes(place, name);
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let values = |view: &safetensors::tensor::TensorView| match view.dtype() {
        safetensors::Dtype::F16 => {
            view.data().as_chunks::<2>().0.iter().map(|b| half::f16::from_le_bytes(*b).to_f32()).collect()
        }
        _ => view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
    };
    file.tensors().iter().map(|(name, view)| (name.clone(), values(view))).collect()
}

/// The tensors of the run's weights that are not the tiny network's own, rounded as they are on disk.
fn changed(place: &Workplace) -> Vec<String> {
    let before = tensors(place, "weights/tiny/model.safetensors");
    let after = tensors(place, "run/weights/model.safetensors");
    let rounded = |v: &Vec<f32>| v.iter().map(|&v| half::f16::from_f32(v).to_f32()).collect::<Vec<_>>();
    before
        .iter()
        .filter(|(name, v)| rounded(v) != rounded(&after[*name]))
        .map(|(name, _)| name.clone())
        .collect()
}

#[test]
fn a_frozen_backbone_stays_bit_identical_and_its_exits_can_be_taken() {
    let place = workplace();
    for (heads, estimator, method) in [
        ("shared", "paper", "deediff"),
        ("linear", "released", "deediff"),
        ("local", "paper", "deediff"),
        ("global", "paper", "deediff"),
        ("linear", "paper", "gate"),
        ("linear", "paper", "gate --record 40"),
    ] {
        let out = format!("{}-{heads}", method.replace(' ', ""));
        let words = format!(
            "exits --method {method} --tune exits --heads {heads} --estimator {estimator} --out {out} --steps 6"
        );
        Run::ok(&mut train(&place, &words));
        assert!(
            bytes(&place, &format!("{out}/weights/model.safetensors"))
                == bytes(&place, "weights/tiny/model.safetensors"),
            "{words}"
        );
        let rule = if method.starts_with("gate") { "gate:0.5" } else { "uncertainty:0.5" };
        let draw =
            format!("generate --weights {out}/weights --steps 3 --threads 1 --exit {rule} --out drawn-{out}");
        Run::ok(&mut place.command(&draw));
    }
}

#[test]
fn tuning_changes_the_backbone_and_ase_leaves_its_clock_alone() {
    let place = workplace();
    Run::ok(&mut train(&place, "exits --method deediff --tune all --steps 6 --rate 1e-2"));
    let all = changed(&place);
    assert!(
        all.iter().any(|n| n.starts_with("t_embedder.")) && all.iter().any(|n| n.starts_with("blocks.2."))
    );
    assert!(!all.contains(&"pos_embed".to_owned()));

    std::fs::remove_dir_all(place.path("run")).unwrap();
    Run::ok(&mut train(&place, "exits --method ase --schedule stairs --steps 6 --rate 1e-2"));
    let by_ase = changed(&place);
    assert!(by_ase.iter().all(|n| !n.starts_with("t_embedder.")), "{by_ase:?}");
    assert!(
        by_ase.iter().any(|n| n.starts_with("blocks.2."))
            && by_ase.iter().any(|n| n.starts_with("final_layer."))
    );
    assert!(
        !place.names("run/weights").contains(&"exits.safetensors".to_owned()),
        "the final layer is its head"
    );
}

#[test]
fn a_killed_run_is_the_same_run() {
    let place = workplace();
    let words = "exits --method deediff --exits-per-step 1 --teacher full --target full";
    let whole = losses(&Run::ok(&mut train(&place, &format!("{words} --json --out whole"))));
    let rest = killed_and_resumed(&place, &format!("{words} --out broken"), 8);
    let first = rest.json_lines()[0]["step"].as_u64().unwrap() as usize;
    for (got, expected) in losses(&rest).iter().zip(&whole[first - 1..]) {
        assert!((got - expected).abs() <= 1e-5 * expected.abs(), "{got} {expected}");
    }
    for name in ["model.safetensors", "exits.safetensors"] {
        assert!(
            bytes(&place, &format!("broken/weights/{name}"))
                == bytes(&place, &format!("whole/weights/{name}"))
        );
    }
}

#[test]
fn estimators_learn_to_tell_errors() {
    let place = workplace();
    let words = "exits --method deediff --tune exits --target full --steps 300 --rate 1e-2 --batch 16 --json --log-every 1";
    let run = Run::ok(&mut train(&place, words));
    let of = |name: &str| -> Vec<f64> { run.json_lines().iter().filter_map(|l| l[name].as_f64()).collect() };
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    for name in ["loss.estimator", "loss.exits"] {
        let v = of(name);
        assert!(mean(&v[280..]) < 0.7 * mean(&v[..20]), "{name}: {} {}", mean(&v[..20]), mean(&v[280..]));
    }
}

#[test]
fn a_recorded_table_is_kept_and_another_price_needs_only_new_gates() {
    let place = workplace();
    let words = "exits --method gate --record 40 --steps 100 --rate 3e-3 --json";
    let run = Run::ok(&mut train(&place, &format!("{words} --price 0.05 --out dear")));
    let losses = losses(&run);
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    assert!(mean(&losses[80..]) < mean(&losses[..20]), "{losses:?}");
    // The same table in another run's folder is not recorded again.
    place.write("cheap/errors.safetensors", bytes(&place, "dear/errors.safetensors"));
    let before = std::fs::metadata(place.path("cheap/errors.safetensors")).unwrap().modified().unwrap();
    Run::ok(&mut train(&place, &format!("{words} --price 0.0001 --out cheap")));
    assert_eq!(
        std::fs::metadata(place.path("cheap/errors.safetensors")).unwrap().modified().unwrap(),
        before
    );
    let of = |run: &str| tensors(&place, &format!("{run}/weights/exits.safetensors"));
    let (dear, cheap) = (of("dear"), of("cheap"));
    let differing: Vec<&String> = dear.iter().filter(|(n, v)| *v != &cheap[*n]).map(|(n, _)| n).collect();
    assert!(!differing.is_empty() && differing.iter().all(|n| n.starts_with("gates.")), "{differing:?}");
    // One of other exits is refused.
    place.write("other/errors.safetensors", bytes(&place, "dear/errors.safetensors"));
    let other = train(&place, "exits --method gate --record 40 --points 1 --out other");
    let refused = Run::of(&mut { other });
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("errors.safetensors"), "{refused:?}");
}

#[test]
fn refuses_what_cannot_be() {
    let place = workplace();
    for (words, named) in [
        ("--method ase", "--schedule"),
        ("--method ase --schedule nothing", "nothing"),
        ("--method ase --schedule stairs --tune exits", "method ase"),
        ("--method gate --tune all", "tune all"),
        ("--method gate --price -1", "price -1"),
        ("--method gate --hidden 0", "hidden 0"),
        ("--method gate --record 0", "record 0"),
        ("--method gate --record 97", "record 97"),
        ("--method deediff --points 0,1", "points"),
        ("--method deediff --points 3", "points"),
        ("--method deediff --points 2,1", "points"),
        ("--method deediff --exits-per-step 0", "exits-per-step 0"),
        ("--method deediff --exits-per-step 9", "exits-per-step 9"),
        ("--method deediff --estimator released --exits-per-step 1", "exits-per-step 1"),
        ("--method deediff --lambda -1", "lambda -1"),
        ("--method deediff --beta inf", "beta inf"),
        ("--method else", "else"),
    ] {
        place.refuses(train(&place, &format!("exits {words}")), &[named]);
    }
}
