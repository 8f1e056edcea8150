//! `offramp generate`: everything is checked first, then images are drawn and written one by one.

mod args;
mod choices;
mod measured;
mod prepare;
mod summary;
mod totals;

pub use args::Args;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Instant;

use offramp::exit::ExitSpec;
use offramp::output::{
    ImageParameters, OutputError, OutputFolder, Parameters, Pixels, RunParameters, read_parameters, read_png,
    write_npz, write_png, write_sheet,
};
use offramp::{Event, Request, Sample, Sampler};

use self::choices::Choices;
use self::totals::Totals;
use super::Failure;
use super::interrupt::Interrupt;
use super::preview::Preview;
use super::progress::Progress;
use super::stdout::say;
use super::trace::Trace;

/// A run whose every part has been checked.
struct Run {
    args: Args,
    exit: ExitSpec,
    sampler: Sampler,
    request: Request,
    folder: OutputFolder,
    parameters: RunParameters,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let interrupt = Interrupt::listen();
    Run::prepare(args)?.draw(&interrupt)
}

impl Run {
    fn draw(self, interrupt: &Interrupt) -> Result<(), Failure> {
        let evaluations = self.sampler.evaluations(&self.request)?;
        let value_range = self.sampler.model().config.value_range;
        let left = self.request.len() - self.request.done.len();
        let mut progress =
            Progress::new((left * evaluations.len()) as u64, self.args.quiet || self.args.json);
        let traced = self.args.trace.is_some() || self.args.heat_map.is_some();
        let mut trace = traced.then(|| Trace::new(self.parameters.clone(), &evaluations));
        if let Some(trace) = &mut trace {
            for &k in &self.request.done {
                trace.keep(read_parameters(&self.folder.image(k))?.image);
            }
        }
        let mut preview = match self.args.preview_every {
            Some(every) => {
                let folder = self.args.out.join("preview");
                std::fs::create_dir_all(&folder)
                    .map_err(|source| OutputError::NotWritable { folder: folder.clone(), source })?;
                let drawn = (0..self.request.len()).filter(|k| !self.request.done.contains(k));
                Some(Preview::new(folder, every, drawn, value_range))
            }
            None => None,
        };

        let start = Instant::now();
        let mut totals = Totals::default();
        let mut choices = Choices::new(&self.exit, &self.sampler, &evaluations);
        let mut failure: Option<Failure> = None;
        let complete = self.sampler.run(&self.request, &mut |event: &Event| {
            let handled = match event {
                Event::Evaluated(evaluated) => {
                    progress.tick();
                    preview.as_mut().map_or(Ok(()), |p| p.see(evaluated).map_err(Failure::from))
                }
                Event::Finished(sample) => {
                    totals.add(sample);
                    choices.add(sample);
                    if let Some(trace) = &mut trace {
                        trace.add(sample);
                    }
                    self.write(sample)
                }
                _ => Ok(()),
            };
            if let Err(error) = handled {
                failure.get_or_insert(error);
            }
            match failure.is_some() || interrupt.requested() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        progress.finish();
        if let Some(failure) = failure {
            return Err(failure);
        }
        let complete = complete?;
        totals.seconds = start.elapsed().as_secs_f64();
        // The trace of an interrupted run says what was done.
        if let Some(trace) = trace {
            self.write_trace(&trace.sorted())?;
        }
        if !complete {
            let finished = self.request.done.len() + totals.images;
            return Err(Failure::Interrupted { finished, count: self.request.len() });
        }
        self.write_collections()?;
        let measured = match self.args.measure && totals.images > 0 {
            true => Some(self.measure(interrupt)?),
            false => None,
        };
        self.summary(&totals, &choices, measured.as_ref())
    }

    /// Writes a finished image.
    fn write(&self, sample: &Sample) -> Result<(), Failure> {
        let config = &self.sampler.model().config;
        let image = ImageParameters {
            image: sample.image,
            seed: sample.seed,
            class: sample.class,
            label: sample.class.map(|c| config.class_name(c)),
            depths: sample.depths.clone(),
        };
        let pixels = Pixels::from_tensor(&sample.x, config.value_range)?;
        let file = self.folder.image(sample.image);
        let parameters = Parameters { run: self.parameters.clone(), image };
        write_png(&file, &pixels, Some(&parameters))?;
        if self.args.json {
            let line = serde_json::json!({
                "event": "image", "image": sample.image, "seed": sample.seed, "class": sample.class,
                "file": file, "depths": sample.depths, "cost_share": sample.cost / sample.full_cost,
            });
            say!("{line}")?;
        }
        Ok(())
    }

    /// The trace, as numbers and as a picture.
    fn write_trace(&self, trace: &Trace) -> Result<(), Failure> {
        if let Some(file) = &self.args.trace {
            trace.write(file)?;
        }
        if let Some(file) = &self.args.heat_map {
            let model = self.sampler.model();
            trace.write_heat_map(file, model.backbone.depth(), |class| model.config.class_name(class))?;
        }
        Ok(())
    }

    /// The grid and the npz, read back from the folder so that resumed images are in them too.
    fn write_collections(&self) -> Result<(), Failure> {
        if self.args.grid.is_none() && self.args.npz.is_none() {
            return Ok(());
        }
        let count = self.request.len();
        let images = (0..count).map(|k| read_png(&self.folder.image(k))).collect::<Result<Vec<_>, _>>()?;
        if let Some(file) = &self.args.grid {
            let kinds: BTreeSet<_> = self.request.classes.iter().collect();
            let columns = if kinds.len() > 1 { kinds.len() } else { (count as f64).sqrt().ceil() as usize };
            write_sheet(file, &images, columns)?;
        }
        if let Some(file) = &self.args.npz {
            let labels: Vec<i64> = self.request.classes.iter().map(|c| c.unwrap_or(-1)).collect();
            write_npz(file, &images, &labels)?;
        }
        Ok(())
    }
}
