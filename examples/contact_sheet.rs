//! The demo: all ten classes at full depth, below them the same seeds with trained exits, and last the honest
//! baseline: full depth in half the steps.
//!
//! `make demo` runs it. It writes `out/demo.png` and prints what each row cost and how far it is from full
//! depth. Rows are timed in turn, round after round, so that a slow moment of the machine hits all alike.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use offramp::exit::ExitSpec;
use offramp::output::{Pixels, write_sheet};
use offramp::{Model, Outcome, Request, Sampler};
use tch::Tensor;

const STEPS: usize = 20;
/// Exit and solver steps of each row; all rows are compared with the first.
const ROWS: [(&str, usize); 6] = [
    ("full", STEPS),
    ("schedule:gentle", STEPS),
    ("schedule:brisk", STEPS),
    ("schedule:swift", STEPS),
    ("uncertainty:0.0091", STEPS),
    ("full", STEPS / 2),
];
const SEED: u64 = 7;
const IMAGES: i64 = 20;
const ROUNDS: usize = 5;

/// A row of the sheet: one exit in so many steps.
struct Row {
    steps: usize,
    exit: ExitSpec,
    sampler: Sampler,
    seconds: Vec<f64>,
    outcome: Option<Outcome>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let model = Model::open("weights/fashion-dit-exits")?;
    let mut rows = vec![];
    for (exit, steps) in ROWS {
        let exit: ExitSpec = exit.parse()?;
        let schedules = Path::new("schedules/fashion-dit-exits");
        let sampler = Sampler::new(model.share())
            .with_exit(exit.build(schedules, model.exits.as_ref())?)
            .with_solver("dpm-solver++2m".parse()?, steps);
        rows.push(Row { steps, exit, sampler, seconds: vec![], outcome: None });
    }
    // Two images of each class; the first round warms up.
    let request = Request::classes((0..IMAGES).map(|k| k % 10), SEED);
    for round in 0..=ROUNDS {
        for row in &mut rows {
            let start = Instant::now();
            row.outcome = Some(row.sampler.sample(&request, &mut ())?);
            if round > 0 {
                row.seconds.push(start.elapsed().as_secs_f64());
            }
        }
    }
    report(&rows)?;
    sheet(&rows, Path::new("out/demo.png"))
}

fn report(rows: &[Row]) -> Result<(), Box<dyn Error>> {
    println!(
        "fashion-dit-exits, DPM-Solver++ 2M, {IMAGES} images from seed {SEED}, \
         median of {ROUNDS} interleaved rounds\n"
    );
    println!("| row | exit | steps | images/s | mean depth | predicted | measured | RMSE | PSNR |");
    println!("|---|---|---|---|---|---|---|---|---|");
    let full = &rows[0];
    for (number, row) in rows.iter().enumerate() {
        let (Some(outcome), Some(reference)) = (&row.outcome, &full.outcome) else { continue };
        let [seconds, full_seconds] = [row, full].map(|r| median(&r.seconds));
        let (rmse, psnr) = fidelity(outcome, reference, &row.sampler)?;
        println!(
            "| {} | {} | {} | {:.2} | {:.2} of {} | {:.2}× | {:.2}× | {rmse:.3} | {psnr} |",
            number + 1,
            row.exit,
            row.steps,
            IMAGES as f64 / seconds,
            outcome.mean_depth(),
            row.sampler.model().backbone.depth(),
            cost(reference) / cost(outcome),
            full_seconds / seconds,
        );
    }
    Ok(())
}

/// Block cost of all images, in full-depth network rows.
fn cost(outcome: &Outcome) -> f64 {
    outcome.samples.iter().map(|s| s.cost).sum()
}

/// RMSE over all images and pixels, and PSNR with the value range as peak.
fn fidelity(a: &Outcome, b: &Outcome, sampler: &Sampler) -> Result<(f64, String), Box<dyn Error>> {
    let stack = |o: &Outcome| Tensor::f_stack(&o.samples.iter().map(|s| &s.x).collect::<Vec<_>>(), 0);
    let mean_square = stack(a)?.f_sub(&stack(b)?)?.f_square()?.f_mean(None)?.f_double_value(&[])?;
    let [lo, hi] = sampler.model().config.value_range;
    let rmse = mean_square.sqrt();
    let psnr = match rmse > 0.0 {
        true => format!("{:.1} dB", 20.0 * ((hi - lo) / rmse).log10()),
        false => "equal".into(),
    };
    Ok((rmse, psnr))
}

fn sheet(rows: &[Row], file: &Path) -> Result<(), Box<dyn Error>> {
    let mut images = vec![];
    for row in rows {
        let range = row.sampler.model().config.value_range;
        for sample in row.outcome.iter().flat_map(|o| &o.samples).take(10) {
            images.push(Pixels::from_tensor(&sample.x, range)?);
        }
    }
    std::fs::create_dir_all("out")?;
    write_sheet(file, &images, 10)?;
    println!("\n{}: the rows of the table, from above", file.display());
    Ok(())
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
