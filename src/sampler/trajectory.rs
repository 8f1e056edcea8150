//! One micro-batch from noise to images: evaluate, guide, predict, advance, tell.

use tch::{Device, Kind, Tensor};

use super::exit_loop::{Network, Rows};
use super::slot::Slot;
use super::start::Start;
use crate::backbone::{Config, Input};
use crate::error::Error;
use crate::guidance::Guidance;
use crate::noise::{self, Draw};
use crate::observer::{Evaluated, Event};
use crate::solver::{self, Evaluation, History, LockstepRun, Plan, Prediction, Solver};

/// All that a worker needs to run micro-batches; its own, since tensors are not shared between threads.
pub(crate) struct Worker {
    pub network: Network,
    pub solver: Solver,
    pub guidance: Guidance,
    pub config: Config,
    pub start: Start,
    pub device: Device,
}

/// The rows that a batch of images makes: a guided image is two.
struct Layout {
    image: Vec<usize>,
    t: Vec<f64>,
    class: Vec<i64>,
    /// Each image's conditional row.
    first: Vec<usize>,
    guided: Vec<bool>,
}

/// How a batch moves on: row by row along a plan, or all together through another library's scheduler.
enum Mover<'a> {
    Plan(&'a Plan),
    Lockstep(Box<dyn LockstepRun>),
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
        let mut mover = match &self.solver {
            Solver::Plan(plan) => Mover::Plan(plan),
            Solver::Lockstep(lockstep) => Mover::Lockstep(lockstep.start()?),
        };
        let evaluations = self.evaluations().len();
        while slots.iter().any(|s| s.evaluation < evaluations) {
            let events = self.evaluation(&mut slots, &mut mover)?;
            for event in events {
                if !tell(Event::Evaluated(event)) {
                    return Ok(());
                }
            }
        }
        for slot in slots {
            if !tell(Event::Finished(slot.finish())) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// One network evaluation of every image, and the solver's step behind it.
    fn evaluation(&self, slots: &mut [Slot], mover: &mut Mover) -> Result<Vec<Evaluated>, Error> {
        let at: Vec<usize> = slots.iter().map(|s| s.evaluation).collect();
        let nodes: Vec<_> = at.iter().map(|&e| self.evaluations()[e].node).collect();
        let x = Tensor::f_stack(&slots.iter().map(|s| &s.x).collect::<Vec<_>>(), 0)?; // [B, C, H, W]

        let layout = self.layout(slots, &nodes.iter().map(|n| n.t).collect::<Vec<_>>());
        let rows_x = match layout.guided.contains(&true) {
            true => x.f_index_select(0, &crate::backbone::row_index(&layout.image, &x)?)?,
            false => x.shallow_clone(),
        }; // [R, C, H, W]
        let t = Tensor::f_from_slice(&layout.t)?.f_to_kind(Kind::Float)?.f_to_device(self.device)?;
        let class = Tensor::f_from_slice(&layout.class)?.f_to_device(self.device)?;

        let mut memory: Vec<_> = slots.iter_mut().map(|s| std::mem::take(&mut s.memory)).collect();
        let rows = Rows { image: &layout.image, t: &layout.t, memory: &mut memory };
        let (output, left) = self.network.evaluate(&Input { x: &rows_x, t: &t, class: &class }, rows)?;
        for (slot, memory) in slots.iter_mut().zip(memory) {
            slot.memory = memory;
        }

        let channels = x.size()[1];
        let output = self.guidance.combine(&output, &layout.first, &layout.guided, channels)?;
        let variance = match output.size()[1] > channels {
            true => Some(output.f_narrow(1, channels, output.size()[1] - channels)?),
            false => None,
        };
        let c = &self.config;
        let prediction = Prediction::new(
            &x,
            &output.f_narrow(1, 0, channels)?,
            variance,
            &nodes,
            c.diffusion.prediction,
            c.x0_clip,
            c.value_range.into(),
        )?;
        let next = self.advance(&at, &x, &prediction, slots, mover)?; // [B, C, H, W]

        let mut events = Vec::with_capacity(slots.len());
        for (k, slot) in slots.iter_mut().enumerate() {
            events.push(Evaluated {
                image: slot.image,
                evaluation: slot.evaluation,
                evaluations: self.evaluations().len(),
                t: nodes[k].t,
                x: x.f_get(k as i64)?,
                x0: prediction.x0.f_get(k as i64)?,
                depth: left[k].at.depth,
                score: left[k].score,
            });
            slot.advance(next.f_get(k as i64)?, left[k], 1 + usize::from(layout.guided[k]));
        }
        Ok(events)
    }

    fn layout(&self, slots: &[Slot], t: &[f64]) -> Layout {
        let mut layout = Layout { image: vec![], t: vec![], class: vec![], first: vec![], guided: vec![] };
        // A request is checked against the model beforehand: no class means that there is a null class.
        let null = self.config.null_class.unwrap_or(0);
        for (k, slot) in slots.iter().enumerate() {
            let guided = slot.class.is_some() && self.guidance.acts_at(t[k]);
            layout.first.push(layout.image.len());
            layout.guided.push(guided);
            for class in [slot.class.unwrap_or(null), null].into_iter().take(1 + usize::from(guided)) {
                layout.image.push(k);
                layout.t.push(t[k]);
                layout.class.push(class);
            }
        }
        layout
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
