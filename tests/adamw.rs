//! AdamW against PyTorch's, step by step.

mod solver_fixture;

use offramp::train::AdamW;
use solver_fixture::{Fixture, count, text};
use tch::Tensor;

#[test]
fn every_step_is_pytorchs() {
    let fixture = Fixture::open("adamw");
    let tolerance = fixture.number("tolerance");
    for case in fixture.cases() {
        let name = text(&case, "name");
        let tensors: Vec<[Tensor; 2]> = (0..count(&case, "tensors"))
            .map(|i| ["gradients", "parameters"].map(|part| fixture.tensor(&format!("{name}/{part}/{i}"))))
            .collect();
        let parameters: Vec<Tensor> =
            tensors.iter().map(|[_, p]| p.get(0).copy().set_requires_grad(true)).collect();
        let betas = [0, 1].map(|i| case["betas"][i].as_f64().unwrap());
        let mut optimizer = AdamW::new(&parameters, betas, case["weight_decay"].as_f64().unwrap()).unwrap();
        optimizer.eps = case["eps"].as_f64().unwrap();
        let rates = case["rates"].as_array().unwrap();
        assert_eq!(rates.len(), 20);
        for (step, rate) in rates.iter().enumerate() {
            let gradients: Vec<Tensor> = tensors.iter().map(|[g, _]| g.get(step as i64)).collect();
            optimizer.step(&parameters, &gradients, rate.as_f64().unwrap()).unwrap();
            for ([_, expected], got) in tensors.iter().zip(&parameters) {
                let expected = expected.get(step as i64 + 1);
                let gap = (got - &expected).abs().max().double_value(&[]);
                let largest = expected.abs().max().double_value(&[]);
                assert!(gap <= tolerance * largest, "{name}, step {step}: {gap} of {largest}");
            }
        }
    }
}

#[test]
fn moments_that_are_saved_and_filled_in_go_on_alike() {
    let start = Tensor::from_slice(&[1f32, -2.0, 3.0]);
    let gradient = |step: i64| Tensor::from_slice(&[0.1f32 * step as f32, -0.3, 1.0 / (1.0 + step as f32)]);
    let make = |p: &Tensor| AdamW::new(&[p.shallow_clone()], [0.9, 0.99], 0.1).unwrap();

    let whole = start.copy();
    let mut optimizer = make(&whole);
    for step in 0..6 {
        optimizer.step(&[whole.shallow_clone()], &[gradient(step)], 0.01).unwrap();
    }

    let halves = start.copy();
    let mut first = make(&halves);
    for step in 0..3 {
        first.step(&[halves.shallow_clone()], &[gradient(step)], 0.01).unwrap();
    }
    let mut second = make(&halves);
    let ([means, squares], steps) = first.moments();
    let ([new_means, new_squares], _) = second.moments();
    for (mut into, from) in
        new_means.iter().chain(new_squares).map(Tensor::shallow_clone).zip(means.iter().chain(squares))
    {
        into.copy_(from);
    }
    second.set_steps(steps);
    for step in 3..6 {
        second.step(&[halves.shallow_clone()], &[gradient(step)], 0.01).unwrap();
    }
    assert_eq!(whole, halves);
}
