//! The DiT against Meta's formula and Hugging Face's class, on random tensors.

#[path = "solver_fixture/mod.rs"]
mod fixture;

use fixture::Fixture;
use offramp::Model;
use offramp::backbone::{Backbone, Input, State};
use tch::{Kind, Tensor};

/// The fixture's weights as a weights folder, opened.
fn open(fixture: &Fixture) -> (tempfile::TempDir, Model) {
    let folder = tempfile::tempdir().unwrap();
    let weights: Vec<(String, Tensor)> = fixture
        .names()
        .into_iter()
        .filter_map(|n| Some((n.strip_prefix("weights/")?.to_owned(), fixture.tensor(&n))))
        .collect();
    Tensor::write_safetensors(&weights, folder.path().join("model.safetensors")).unwrap();
    std::fs::write(folder.path().join("config.json"), fixture.cases()[0].to_string()).unwrap();
    let model = Model::open(folder.path()).unwrap();
    (folder, model)
}

/// Runs the blocks `blocks` and finishes as after `depth`.
fn forward(
    net: &dyn Backbone,
    fixture: &Fixture,
    blocks: impl IntoIterator<Item = usize>,
    depth: usize,
) -> Tensor {
    let (x, t, y) = (fixture.tensor("x"), fixture.tensor("t").to_kind(Kind::Float), fixture.tensor("y"));
    let mut state: State = net.begin(&Input { x: &x, t: &t, class: &y }).unwrap();
    for i in blocks {
        net.block(i, &mut state).unwrap();
    }
    net.finish(depth, state).unwrap()
}

/// max|a − b| / max|b|
fn relative(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().double_value(&[]) / b.abs().max().double_value(&[])
}

fn check(name: &str) {
    let _no_grad = tch::no_grad_guard();
    let fixture = Fixture::open(name);
    let tolerance = fixture.number("tolerance");
    let (_folder, model) = open(&fixture);
    let net = &*model.backbone;
    let n = net.depth();
    let expected = fixture.tensor("out");
    assert!(expected.abs().max().double_value(&[]) > 0.1, "{name}: the reference is all but zero");

    let full = forward(net, &fixture, 0..n, n);
    let error = relative(&full, &expected);
    assert!(error <= tolerance, "{name}: {error:.1e} > {tolerance:.0e}");

    for skipped in 0..n {
        let change = relative(&forward(net, &fixture, (0..n).filter(|&i| i != skipped), n), &full);
        assert!(change > 1e-3, "{name}: block {skipped} changes the output by {change:.1e} only");
    }
    for depth in (1..=n).filter(|d| fixture.has(&format!("exit/{d}"))) {
        let expected = fixture.tensor(&format!("exit/{depth}"));
        let error = relative(&forward(net, &fixture, 0..depth, depth), &expected);
        assert!(error <= tolerance, "{name}, exit {depth}: {error:.1e} > {tolerance:.0e}");
    }
}

#[test]
fn meta_layout_with_learned_sigma() {
    check("dit_meta_a");
}

#[test]
fn meta_layout_without() {
    check("dit_meta_b");
}

#[test]
fn huggingface_layout_with_learned_sigma() {
    check("dit_hf_a");
}

#[test]
fn huggingface_layout_without() {
    check("dit_hf_b");
}

/// Hugging Face stores the embedders once a block; offramp runs one, and must not pick silently.
#[test]
fn huggingface_embedders_that_differ_between_blocks_are_refused() {
    let fixture = Fixture::open("dit_hf_a");
    let (folder, _model) = open(&fixture);
    let file = folder.path().join("model.safetensors");
    let mut weights = Tensor::read_safetensors(&file).unwrap();
    let odd = "transformer_blocks.1.norm1.emb.timestep_embedder.linear_1.bias";
    for (name, tensor) in &mut weights {
        if name == odd {
            *tensor = &*tensor + 1.0;
        }
    }
    Tensor::write_safetensors(&weights, &file).unwrap();
    let error = Model::open(folder.path()).expect_err("must be refused").to_string();
    assert!(error.contains(odd), "{error}");
}
