//! One micro-batch from noise to images: evaluate, guide, predict, advance, tell.

use std::mem::take;

use tch::{Device, Tensor};

use super::exit_loop::{Left, Network, Rows};
use super::guided_rows::GuidedRows;
use super::slot::Slot;
use super::start::Start;
use super::verify::Verify;
use crate::backbone::{Config, Input};
use crate::error::Error;
use crate::exit::Memory;
use crate::guidance::Guidance;
use crate::noise::{self, Draw};
use crate::observer::{Evaluated, Event};
use crate::row_memory::RowMemory;
use crate::solver::{self, Evaluation, History, LockstepRun, Node, Plan, Prediction, Solver};

/// All that a worker needs to run micro-batches; its own, since tensors are not shared between threads.
pub(crate) struct Worker {
    pub network: Network,
    pub solver: Solver,
    pub guidance: Guidance,
    pub config: Config,
    pub start: Start,
    pub verify: Option<Verify>,
    pub device: Device,
}

/// How a batch moves on: row by row along a plan, or all together through another library's scheduler.
pub(super) enum Mover<'a> {
    Plan(&'a Plan),
    Lockstep(Box<dyn LockstepRun>),
}

/// One evaluation of some images.
pub(super) struct Evaluations {
    pub events: Vec<Evaluated>,
    pub prediction: Prediction,
    pub left: Vec<Left>,
    /// Network rows of each image.
    pub rows: Vec<usize>,
}

impl Worker {
    /// An image at the start of its trajectory.
    pub fn slot(&self, image: usize, seed: u64, class: Option<i64>) -> Result<Slot, Error> {
        Ok(Slot::new(image, seed, class, self.start.x(image, seed)?, self.network.exit.memory()))
    }

    /// The network calls of a trajectory.
    pub fn evaluations(&self) -> &[Evaluation] {
        self.solver.evaluations()
    }

    /// Runs a micro-batch to its end, or until `tell`, which hears every event, says no.
    pub fn run(&self, mut slots: Vec<Slot>, tell: &mut dyn FnMut(Event) -> bool) -> Result<(), Error> {
        if let (Some(verify), Solver::Plan(plan)) = (self.verify, &self.solver) {
            return self.run_verified(slots, plan, verify, tell);
        }
        let mut mover = match &self.solver {
            Solver::Plan(plan) => Mover::Plan(plan),
            Solver::Lockstep(lockstep) => Mover::Lockstep(lockstep.start()?),
        };
        let evaluations = self.evaluations().len();
        while slots.iter().any(|s| s.evaluation < evaluations) {
            for event in self.evaluation(&mut slots, &mut mover)?.events {
                if !tell(Event::Evaluated(event)) {
                    return Ok(());
                }
            }
        }
        for slot in slots {
            if !tell(finished(slot)?) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// One network evaluation of every image, and the solver's step behind it.
    pub(super) fn evaluation(&self, slots: &mut [Slot], mover: &mut Mover) -> Result<Evaluations, Error> {
        let at: Vec<usize> = slots.iter().map(|s| s.evaluation).collect();
        let nodes: Vec<Node> = at.iter().map(|&e| self.evaluations()[e].node).collect();
        let t: Vec<f64> = nodes.iter().map(|n| n.t).collect();
        let x = Tensor::f_stack(&slots.iter().map(|s| &s.x).collect::<Vec<_>>(), 0)?; // [B, C, H, W]

        let rows = self.rows(slots, &t);
        let lambda: Vec<f64> = nodes.iter().map(Node::lambda).collect();
        let (output, left) = self.look(&x, &rows, &lambda, slots)?;
        let prediction = self.predict(&x, &output, &nodes)?;
        let next = self.advance(&at, &x, &prediction, slots, mover)?; // [B, C, H, W]

        // Copies: an observer may do with its tensors what it likes, the history holds views of ours.
        let (shown, shown_x0) = (x.f_alias_copy()?, prediction.x0.f_alias_copy()?);
        let mut events = Vec::with_capacity(slots.len());
        for (k, slot) in slots.iter_mut().enumerate() {
            events.push(Evaluated {
                image: slot.image,
                evaluation: slot.evaluation,
                evaluations: self.evaluations().len(),
                t: t[k],
                x: shown.f_get(k as i64)?,
                x0: shown_x0.f_get(k as i64)?,
                depth: left[k].depth,
                uncertainty: left[k].uncertainty,
            });
            slot.advance(next.f_get(k as i64)?, left[k], rows.of(k));
        }
        let rows = (0..slots.len()).map(|k| rows.of(k)).collect();
        Ok(Evaluations { events, prediction, left, rows })
    }

    /// The network's rows for images at their times.
    pub(super) fn rows(&self, slots: &[Slot], t: &[f64]) -> GuidedRows {
        // A request is checked against the model beforehand: no class means that there is a null class.
        GuidedRows::new(slots, t, &self.guidance, self.config.null_class.unwrap_or(0))
    }

    /// Runs the network on every image; its output, guided, `[B, C or 2C, H, W]`, and how deep each went.
    fn look(
        &self,
        x: &Tensor,
        rows: &GuidedRows,
        lambda: &[f64],
        slots: &mut [Slot],
    ) -> Result<(Tensor, Vec<Left>), Error> {
        let (t, class) = rows.conditions(self.device)?;
        let input = Input { x: &rows.spread(x)?, t: &t, class: &class };
        let lambda: Vec<f64> = rows.image.iter().map(|&k| lambda[k]).collect();
        let evaluation: Vec<usize> = rows.image.iter().map(|&k| slots[k].evaluation).collect();
        let mut memory: Vec<Memory> = slots.iter_mut().map(|s| take(&mut s.memory)).collect();
        let halves = || rows.image.iter().zip(&rows.half);
        let mut seen: Vec<RowMemory> = halves().map(|(&k, &h)| take(&mut slots[k].seen[h])).collect();
        let mut learned: Vec<RowMemory> = halves().map(|(&k, &h)| take(&mut slots[k].learned[h])).collect();
        let rows_of = Rows {
            image: &rows.image,
            half: &rows.half,
            t: &rows.t,
            lambda: &lambda,
            evaluation: &evaluation,
            memory: &mut memory,
            seen: &mut seen,
            learned: &mut learned,
        };
        let (output, left) = self.network.evaluate(&input, rows_of)?;
        for (slot, memory) in slots.iter_mut().zip(memory) {
            slot.memory = memory;
        }
        for (((&k, &half), seen), learned) in halves().zip(seen).zip(learned) {
            slots[k].seen[half] = seen;
            slots[k].learned[half] = learned;
        }
        Ok((rows.join(&output, &self.guidance, x.size()[1])?, left))
    }

    /// Splits a learned variance off and turns the network's output into a prediction.
    pub(super) fn predict(&self, x: &Tensor, output: &Tensor, nodes: &[Node]) -> Result<Prediction, Error> {
        let (channels, all) = (x.size()[1], output.size()[1]);
        let variance = match all > channels {
            true => Some(output.f_narrow(1, channels, all - channels)?),
            false => None,
        };
        let output = output.f_narrow(1, 0, channels)?;
        let (c, range) = (&self.config, self.config.value_range.into());
        Ok(Prediction::new(x, &output, variance, nodes, c.diffusion.prediction, c.x0_clip, range)?)
    }

    fn advance(
        &self,
        at: &[usize],
        x: &Tensor,
        prediction: &Prediction,
        slots: &mut [Slot],
        mover: &mut Mover,
    ) -> Result<Tensor, Error> {
        match mover {
            Mover::Lockstep(run) => Ok(run.advance(at[0], x, prediction)?),
            Mover::Plan(plan) => {
                let seeds: Vec<u64> = slots.iter().map(|s| s.seed).collect();
                let chw = self.network.backbone.shape().chw();
                let noise = |row: usize| {
                    let z = noise::standard_normal(seeds[row], Draw::Evaluation(at[row]), chw)?;
                    Ok(z.f_to_device(self.device)?)
                };
                let mut histories: Vec<&mut History> = slots.iter_mut().map(|s| &mut s.history).collect();
                Ok(solver::advance(plan, at, x, prediction, &mut histories, noise)?.x)
            }
        }
    }
}

/// The event of an image that is done; an image that left the finite numbers is an error.
pub(super) fn finished(slot: Slot) -> Result<Event, Error> {
    match slot.x.f_isfinite()?.f_all()?.f_int64_value(&[])? {
        0 => Err(Error::NotFinite { image: slot.image }),
        _ => Ok(Event::Finished(slot.finish()?)),
    }
}
