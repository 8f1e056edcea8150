//! What `--dtype bf16` costs and buys: the same seeds in f32 and in bf16.
//!
//! `cargo run --release --example precision`

use std::time::Instant;

use offramp::{Model, Request, Sampler};
use tch::{Device, Kind, Tensor};

const IMAGES: i64 = 100;
const SEED: u64 = 1;
const STEPS: usize = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let request = Request::classes((0..IMAGES).map(|k| k % 10), SEED);
    let draw = |dtype| -> Result<(Tensor, f64), offramp::Error> {
        let model = Model::open_on("weights/fashion-dit", Device::Cpu, dtype)?;
        let sampler = Sampler::new(model).with_solver("dpm-solver++2m".parse()?, STEPS);
        let start = Instant::now();
        let outcome = sampler.sample(&request, &mut ())?;
        let seconds = start.elapsed().as_secs_f64();
        Ok((Tensor::f_stack(&outcome.samples.iter().map(|s| &s.x).collect::<Vec<_>>(), 0)?, seconds))
    };
    let ((f32, slow), (bf16, fast)) = (draw(Kind::Float)?, draw(Kind::BFloat16)?);
    let rmse = f32.f_sub(&bf16)?.f_square()?.f_mean(None)?.f_double_value(&[])?.sqrt();
    println!(
        "fashion-dit, DPM-Solver++ 2M, {STEPS} steps, {IMAGES} images from seed {SEED}: bf16 against f32 has \
         RMSE {rmse:.4} (x in [-1, 1]), PSNR {:.1} dB, and takes {:.2} of its time",
        20.0 * (2.0 / rmse).log10(),
        fast / slow
    );
    Ok(())
}
