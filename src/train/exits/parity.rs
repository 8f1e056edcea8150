//! Losses against the Python reference, `scripts/reference/training_losses.py`: values and gradients.
//!
//! Tolerance 1e-5: of a value, relative; of a gradient, relative to the largest entry of its tensor.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tch::{Kind, Tensor};

use super::ase::Ase;
use super::deediff::Deediff;
use super::error_table::{ErrorTable, gate_loss};
use super::recipe::{DeediffTerms as Terms, Tune};
use crate::backbone::{Config, Parameters};
use crate::exit::{Provenance, Schedule, Segment};
use crate::learned::{EstimatorConfig, EstimatorKind, HeadKind, LearnedConfig, Target, VERSION};
use crate::solver::Diffusion;
use crate::train::backbone::Denoising;
use crate::train::examples::Examples;
use crate::train::network::Network;
use crate::train::objective::Objective;
use crate::train::run::shard_gradient;
use crate::train::{Arithmetic, Weighting};

const TOLERANCE: f64 = 1e-5;
const GAMMA: f64 = 5.0;

struct Fixture {
    tensors: safetensors::SafeTensors<'static>,
    config: Config,
    diffusion: Diffusion,
}

impl Fixture {
    fn read() -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/training_losses.safetensors");
        let bytes: &'static [u8] = std::fs::read(file).unwrap().leak();
        let (_, header) = safetensors::SafeTensors::read_metadata(bytes).unwrap();
        let config: Config = serde_json::from_str(&header.metadata().as_ref().unwrap()["config"]).unwrap();
        let d = &config.diffusion;
        let diffusion = Diffusion::new(d.beta_schedule, d.timesteps, d.beta_start, d.beta_end).unwrap();
        Self { tensors: safetensors::SafeTensors::deserialize(bytes).unwrap(), config, diffusion }
    }

    fn tensor(&self, name: &str) -> Tensor {
        let view = self.tensors.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
        let kind = match view.dtype() {
            safetensors::Dtype::F32 => Kind::Float,
            safetensors::Dtype::F64 => Kind::Double,
            safetensors::Dtype::I64 => Kind::Int64,
            other => panic!("{other:?}"),
        };
        Tensor::from_data_size(view.data(), &shape, kind)
    }

    fn under(&self, prefix: &str) -> Parameters {
        let names = self.tensors.names();
        let names = names.iter().filter_map(|n| n.strip_prefix(prefix));
        names.map(|n| (n.to_owned(), self.tensor(&format!("{prefix}{n}")))).collect()
    }

    fn examples(&self) -> Examples {
        let times = Vec::<i64>::try_from(self.tensor("input.t")).unwrap();
        Examples {
            x: self.tensor("input.x_t"),
            noise: self.tensor("input.noise"),
            t: self.tensor("input.t").to_kind(Kind::Float),
            class: self.tensor("input.class"),
            times: times.iter().map(|&t| t as f64).collect(),
            step: 0,
        }
    }

    /// The fixture's exits under this crate's names.
    fn exits(&self, estimator: EstimatorKind, heads: HeadKind) -> Parameters {
        let mut exits = Parameters::new();
        let quantity = if estimator == EstimatorKind::Paper { "uncertainty" } else { "certainty" };
        for (name, tensor) in self.under("exits/") {
            if let Some(rest) = name.strip_prefix(quantity) {
                exits.insert(format!("estimators{rest}"), tensor);
            } else if let Some(rest) = name.strip_prefix("head")
                && heads == HeadKind::Linear
            {
                exits.insert(format!("heads{rest}"), tensor);
            }
        }
        exits
    }

    fn network(&self, estimator: EstimatorKind, target: Target, heads: HeadKind) -> Network {
        let c = &self.config;
        let side = (c.input_size / c.patch_size) as usize;
        Network {
            config: c.clone(),
            diffusion: self.diffusion.clone(),
            exits: Some(LearnedConfig {
                version: VERSION,
                weights_sha256: "0".repeat(64),
                width: c.hidden_size as usize,
                grid: [side, side],
                patch_outputs: (c.patch_size * c.patch_size * c.in_channels) as usize,
                points: (1..c.depth).collect(),
                heads,
                estimator: Some(EstimatorConfig::new(estimator, target)),
                gate: None,
            }),
            fixed: Parameters::new(),
            origin: None,
            haste: 1.0,
        }
    }

    /// The name that the fixture gives a tensor.
    fn name(name: &str, estimator: EstimatorKind) -> String {
        let quantity = if estimator == EstimatorKind::Paper { "uncertainty" } else { "certainty" };
        name.replace("estimators.", &format!("{quantity}.")).replace("heads.", "head.")
    }

    /// Compares an objective's loss and all of its gradients with a case. A gradient that the fixture does not
    /// have must be zero, but for those left out for their size.
    fn compare(&self, case: &str, objective: &dyn Objective, learned: Parameters, estimator: EstimatorKind) {
        let names: Vec<String> = learned.keys().cloned().collect();
        let leaves: Vec<Tensor> =
            learned.values().map(|t| t.detach().copy().set_requires_grad(true)).collect();
        let examples = self.examples();
        let got = shard_gradient(objective, &names, &leaves, &examples, examples.len()).unwrap();
        let expected = self.tensor(&format!("{case}.value")).double_value(&[]);
        assert!((got.loss - expected).abs() <= TOLERANCE * expected.abs(), "{case}: {} {expected}", got.loss);
        let mut compared = BTreeSet::new();
        let gradients = self.under(&format!("{case}.grad."));
        for (name, gradient) in names.iter().zip(&got.gradients) {
            let name = Self::name(name, estimator);
            match gradients.get(&name) {
                Some(expected) => {
                    let largest = expected.abs().max().double_value(&[]);
                    let off = (gradient - expected).abs().max().double_value(&[]);
                    assert!(off <= TOLERANCE * largest, "{case} {name}: off by {off:e} of {largest:e}");
                    compared.insert(name);
                }
                None if name == "t_embedder.mlp.0.weight" => {}
                None => assert_eq!(gradient.abs().max().double_value(&[]), 0.0, "{case} {name}"),
            }
        }
        let missing: Vec<&String> =
            gradients.keys().filter(|k| !compared.contains(*k) && *k != "pos_embed").collect();
        assert!(missing.is_empty(), "{case}: not learned: {missing:?}");
        assert!(!compared.is_empty(), "{case}");
    }

    fn denoising(&self, case: &str, weighting: Weighting) {
        let objective = Denoising {
            network: Network {
                exits: None,
                ..self.network(EstimatorKind::Paper, Target::Noise, HeadKind::Shared)
            },
            weighting,
            arithmetic: Arithmetic::F32,
        };
        self.compare(case, &objective, self.under("weights/"), EstimatorKind::Paper);
    }

    fn ase(&self, case: &str, weighting: Weighting) {
        let depths = [3, 3, 3, 2, 2, 2, 2, 1, 1, 1];
        let segment = |(i, &depth): (usize, &usize)| Segment {
            from: 100.0 * i as f64,
            to: 100.0 * (i + 1) as f64,
            depth,
        };
        let schedule = Schedule {
            version: 1,
            name: "fixture".into(),
            depth: 3,
            timesteps: 1000,
            segments: depths.iter().enumerate().map(segment).collect(),
            provenance: Provenance {
                method: "the fixture's".into(),
                source: "none".into(),
                weights_sha256: None,
                exits_trained: true,
                measured: None,
            },
        };
        let at: Vec<i64> = self.examples().times.iter().map(|&t| schedule.depth_at(t) as i64).collect();
        assert_eq!(at, Vec::<i64>::try_from(self.tensor("input.ase_depth")).unwrap());
        let mut network = self.network(EstimatorKind::Paper, Target::Noise, HeadKind::Shared);
        network.exits = None;
        let (fixed, learned) =
            self.under("weights/").into_iter().partition(|(k, _)| crate::backbone::embeds_time(k));
        network.fixed = fixed;
        let objective = Ase { network, schedule, weighting, arithmetic: Arithmetic::F32 };
        self.compare(case, &objective, learned, EstimatorKind::Paper);
    }

    /// A case of DeeDiff's terms. `learned` says whose gradients are compared: the network's, the exits', or both.
    fn deediff(&self, case: &str, terms: Terms, tune: Tune, heads: HeadKind, learned: [bool; 2]) {
        let mut network = self.network(terms.estimator, terms.target, heads);
        let mut learns = Parameters::new();
        for (tensors, is_learned) in
            [self.under("weights/"), self.exits(terms.estimator, heads)].into_iter().zip(learned)
        {
            if is_learned { &mut learns } else { &mut network.fixed }.extend(tensors);
        }
        // Heads are learned or not by themselves.
        if heads == HeadKind::Linear {
            learns.retain(|key, tensor| {
                let keep = key.starts_with("heads.");
                if !keep {
                    network.fixed.insert(key.clone(), tensor.shallow_clone());
                }
                keep
            });
        }
        let objective =
            Deediff { network, terms, tune, weighting: Weighting::Uniform, arithmetic: Arithmetic::F32 };
        self.compare(case, &objective, learns, terms.estimator);
    }
}

const NONE: Terms = Terms {
    estimator: EstimatorKind::Paper,
    target: Target::Noise,
    teacher: Target::Noise,
    lambda: 0.0,
    beta: 0.0,
    ual_grad: false,
    exits_per_step: 2,
};

#[test]
fn denoising_losses_are_the_references() {
    let fixture = Fixture::read();
    fixture.denoising("ddpm", Weighting::Uniform);
    fixture.denoising("min_snr", Weighting::MinSnr { gamma: GAMMA });
}

#[test]
fn ase_losses_are_the_references() {
    let fixture = Fixture::read();
    fixture.ase("ase", Weighting::Uniform);
    fixture.ase("ase_min_snr", Weighting::MinSnr { gamma: GAMMA });
}

#[test]
fn deediff_losses_are_the_references() {
    let fixture = Fixture::read();
    let both = Terms { lambda: 1.0, beta: 1.0, ..NONE };
    fixture.deediff("deediff", both, Tune::All, HeadKind::Shared, [true, true]);
    let weighted = Terms { lambda: 0.5, beta: 2.0, ..NONE };
    fixture.deediff("deediff_weighted", weighted, Tune::All, HeadKind::Shared, [true, true]);
    // Where the network is frozen, L_simple has no part in the loss: each term stands alone.
    for (case, target) in [("uem", Target::Noise), ("uem_full", Target::Full)] {
        let terms = Terms { lambda: 1.0, target, ..NONE };
        fixture.deediff(case, terms, Tune::Exits, HeadKind::Shared, [false, true]);
    }
    let ual = Terms { beta: 1.0, ..NONE };
    fixture.deediff("head_linear", ual, Tune::Exits, HeadKind::Linear, [false, true]);
    let released = Terms { estimator: EstimatorKind::Released, lambda: 1.0, ..NONE };
    fixture.deediff("released", released, Tune::Exits, HeadKind::Shared, [false, true]);
}

/// Terms with the backbone's gradients, alone: by the difference of two losses that share L_simple.
#[test]
fn terms_that_change_the_backbone_are_the_references() {
    let fixture = Fixture::read();
    let cases = [
        ("uem_tuned", Terms { lambda: 1.0, ..NONE }),
        ("uem_full_tuned", Terms { lambda: 1.0, target: Target::Full, ..NONE }),
        ("ual", Terms { beta: 1.0, ..NONE }),
        ("ual_grad", Terms { beta: 1.0, ual_grad: true, ..NONE }),
        ("released_ual", Terms { beta: 1.0, estimator: EstimatorKind::Released, ..NONE }),
    ];
    for (case, terms) in cases {
        let mut learned = fixture.under("weights/");
        learned.extend(fixture.exits(terms.estimator, HeadKind::Shared));
        let names: Vec<String> = learned.keys().cloned().collect();
        let leaves: Vec<Tensor> = learned.values().map(|t| t.copy().set_requires_grad(true)).collect();
        let gradient = |terms: Terms| {
            let objective = Deediff {
                network: fixture.network(terms.estimator, terms.target, HeadKind::Shared),
                terms,
                tune: Tune::All,
                weighting: Weighting::Uniform,
                arithmetic: Arithmetic::F32,
            };
            let examples = fixture.examples();
            shard_gradient(&objective, &names, &leaves, &examples, examples.len()).unwrap()
        };
        let (with, without) = (gradient(terms), gradient(Terms { lambda: 0.0, beta: 0.0, ..terms }));
        let expected = fixture.tensor(&format!("{case}.value")).double_value(&[]);
        // The difference of two sums in f32 keeps the error of the sums.
        let off = (with.loss - without.loss - expected).abs();
        assert!(off <= TOLERANCE * (expected.abs() + without.loss), "{case}: off by {off}");
        let gradients = fixture.under(&format!("{case}.grad."));
        let all: BTreeMap<String, (&Tensor, &Tensor)> = names
            .iter()
            .map(|n| Fixture::name(n, terms.estimator))
            .zip(with.gradients.iter().zip(&without.gradients))
            .collect();
        for (name, expected) in gradients.iter().filter(|(name, _)| *name != "pos_embed") {
            let (with, without) = all[name];
            let largest = expected.abs().max().double_value(&[]).max(without.abs().max().double_value(&[]));
            let off = (with - without - expected).abs().max().double_value(&[]);
            assert!(off <= TOLERANCE * largest, "{case} {name}: off by {off:e} of {largest:e}");
        }
    }
}

#[test]
fn gate_targets_labels_and_losses_are_the_references() {
    let fixture = Fixture::read();
    let list =
        |name: &str| Vec::<f64>::try_from(fixture.tensor(name).to_kind(Kind::Double).view(-1)).unwrap();
    let table = |costs: &str| ErrorTable {
        errors: fixture.tensor("gate.errors").to_kind(Kind::Float),
        costs: list(costs),
    };
    for (case, price) in [("gate_0", 0.0), ("gate_0p1", 0.1), ("gate_1", 1.0)] {
        let targets = |costs| Vec::<i64>::try_from(table(costs).targets(price).unwrap()).unwrap();
        let expected = |name| Vec::<i64>::try_from(fixture.tensor(&format!("{case}.{name}"))).unwrap();
        assert_eq!(targets("gate.costs"), expected("target"), "{case}");
        assert_eq!(targets("gate.linear_costs"), expected("linear_target"), "ECO-M2F's, {case}");
        let labels = table("gate.costs").labels(price).unwrap();
        assert_eq!(labels, fixture.tensor(&format!("{case}.labels")), "{case}");
        let logits = fixture.tensor("gate.logits").to_kind(Kind::Float).set_requires_grad(true);
        let loss = gate_loss(&logits, &labels).unwrap();
        let value = fixture.tensor(&format!("{case}.value")).double_value(&[]);
        assert!((loss.double_value(&[]) - value).abs() <= TOLERANCE * value, "{case}");
        let gradient = &Tensor::run_backward(&[&loss], &[&logits], false, false)[0];
        let reference = fixture.tensor(&format!("{case}.grad.logits"));
        let largest = reference.abs().max().double_value(&[]);
        let off = (gradient - &reference).abs().max().double_value(&[]);
        assert!(off <= TOLERANCE * largest, "{case}: off by {off:e}");
    }
}
