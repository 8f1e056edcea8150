//! Verify mode: several solver steps are drafted with early exits, then checked in one full pass.
//!
//! The idea is Kangaroo's (Liu et al. 2024, arXiv 2404.18911): a shallow part of the network drafts, the whole of it
//! verifies many drafts in parallel. There a token is right or wrong, and the result is lossless; an image is only near or
//! far, so here it is a tolerance.
//!
//! From x_e up to K steps are drafted with the exit and tail as they are, which gives x̃_{e+1} … x̃_{e+K}. The full
//! network then looks at x_e, x̃_{e+1}, …, x̃_{e+K−1} in one batch. Let F_j be the state that the solver reaches from
//! drafted point j when its prediction there, and all its earlier ones along the trajectory, are the full network's. The
//! draft of step j deviates by
//!
//! `d_j = √(mean over C·H·W of (F_j − x̃_{j+1})²)`, scaled as for images in [−1, 1],
//!
//! and is accepted while d_j ≤ τ. At the first that is not, the image goes on from F_j, with the full predictions as its
//! solver's history; so at least one step is gained a round. Where all are accepted it goes on from the draft with the
//! draft's own history. Each image has its own prefix. A step then deviates from the full step by at most τ; of the
//! finished image nothing is promised, and its error is to be measured. τ = 0 is full depth, within what libtorch's
//! kernels differ by between batch sizes; τ = ∞ is the draft, to the bit where the tail remembers nothing.
//!
//! The policy hears of drafts alone, and what it saw of drafts behind a rejected one is forgotten. A tail that remembers
//! learns from the full passes over accepted points and the first rejected one, and forgets all later drafts. A draft that
//! ran to the end is its own full evaluation, and isn't run again unless the tail is to learn from it.
//!
//! # When it pays
//! Never in blocks: every evaluation that counts has been made in full, beside the drafts and what was rejected. It saves
//! time only where n evaluations in one batch take clearly less time than n one after another, and most drafts are
//! accepted: one image, or a few, on a device that they leave idle. A core gains a little that way at batch 1, not
//! enough, and nothing at batch 16: verified runs were slower than full depth at either. `cargo run --release --example
//! verify` measures it: acceptance, final error, predicted and measured time for some K and τ, at batch 1 and 16.

use tch::{TchError, Tensor};

use super::exit_loop::FullPass;
use super::guided_rows::GuidedRows;
use super::slot::Slot;
use super::trajectory::{Evaluations, Mover, Worker, finished};
use crate::backbone::Input;
use crate::error::Error;
use crate::observer::{Evaluated, Event};
use crate::row_memory::RowMemory;
use crate::solver::{self, History, Node, Plan, Prediction, Solver, SolverSpec};

/// Drafts are checked in full, so many at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verify {
    /// K, evaluations drafted between two full passes, from 1; the end of the trajectory cuts them short.
    pub steps: usize,
    /// τ, the RMSE of a step to the full network's up to which its draft is accepted, x in [−1, 1]: from 0 (full depth)
    /// to ∞ (whatever was drafted).
    pub tolerance: f64,
}

/// Why a run cannot be verified.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Nothing to draft.
    #[error("verify 0: at least one step must be drafted")]
    Steps,
    /// A tolerance that is no number from 0.
    #[error("verify tolerance {got}: it must be a number from 0 (0 is full depth, inf whatever was drafted)")]
    Tolerance {
        /// What was given.
        got: f64,
    },
    /// The solver draws noise.
    #[error("solver {solver} draws noise, and verify needs a deterministic one")]
    Stochastic {
        /// The solver.
        solver: String,
    },
    /// The solver keeps its state for a whole batch.
    #[error("solver {solver} moves a whole batch at once, and in verify mode images go their own ways")]
    Lockstep {
        /// The solver.
        solver: String,
    },
}

impl Verify {
    /// Refuses numbers that mean nothing, and solvers that cannot go back.
    pub(super) fn check(&self, spec: &SolverSpec, solver: &Solver) -> Result<(), VerifyError> {
        if self.steps == 0 {
            return Err(VerifyError::Steps);
        }
        if self.tolerance.is_nan() || self.tolerance < 0.0 {
            return Err(VerifyError::Tolerance { got: self.tolerance });
        }
        match solver {
            Solver::Lockstep(_) => Err(VerifyError::Lockstep { solver: spec.to_string() }),
            Solver::Plan(plan) if plan.is_stochastic() => {
                Err(VerifyError::Stochastic { solver: spec.to_string() })
            }
            Solver::Plan(_) => Ok(()),
        }
    }
}

/// One image between two full passes.
struct Window {
    /// Behind its last draft.
    tip: Slot,
    drafts: Vec<Draft>,
    /// The solver's history if all its predictions had been the full network's.
    full: History,
    /// What the tail remembers of its halves without the drafts.
    learned: [RowMemory; 2],
    accepted: usize,
    /// F behind the accepted drafts, where one was rejected.
    instead: Option<Tensor>,
}

/// A drafted evaluation.
struct Draft {
    from: Slot,
    event: Evaluated,
    /// Block cost of drafting it and of checking it, in full-depth rows.
    cost: [f64; 2],
    full: Option<FullPrediction>,
}

/// The full network's word on one image, `[C, H, W]` each.
struct FullPrediction {
    x0: Tensor,
    eps: Tensor,
}

/// The full pass over some drafts.
struct Check {
    /// The window and draft of each image of the batch.
    of: Vec<(usize, usize)>,
    rows: GuidedRows,
    /// ln(α/σ) of each row.
    lambda: Vec<f64>,
    pass: FullPass,
}

impl Worker {
    /// Runs a micro-batch to its end in verify mode, or until `tell` says no; images that are done leave it.
    pub(super) fn run_verified(
        &self,
        slots: Vec<Slot>,
        plan: &Plan,
        verify: Verify,
        tell: &mut dyn FnMut(Event) -> bool,
    ) -> Result<(), Error> {
        let mut going: Vec<Window> =
            slots.into_iter().map(|slot| Window::new(slot, History::new())).collect();
        while !going.is_empty() {
            self.draft(&mut going, plan, verify.steps)?;
            let check = self.look_in_full(&mut going)?;
            self.compare(&mut going, plan, verify.tolerance)?;
            if let Some(check) = check.filter(|_| self.network.remembers()) {
                self.learn(&mut going, &check)?;
            }
            let mut left = Vec::with_capacity(going.len());
            for window in going {
                let (slot, full, events) =
                    window.close(self.network.backbone.depth(), self.network.remembers())?;
                if !events.into_iter().all(|event| tell(Event::Evaluated(event))) {
                    return Ok(());
                }
                if slot.evaluation < plan.evaluations().len() {
                    left.push(Window::new(slot, full));
                } else if !tell(finished(slot)?) {
                    return Ok(());
                }
            }
            going = left;
        }
        Ok(())
    }

    /// Drafts up to `steps` evaluations of every image.
    fn draft(&self, windows: &mut [Window], plan: &Plan, steps: usize) -> Result<(), Error> {
        for _ in 0..steps {
            let mut drafting: Vec<&mut Window> =
                windows.iter_mut().filter(|w| w.tip.evaluation < plan.evaluations().len()).collect();
            if drafting.is_empty() {
                break;
            }
            let mut slots: Vec<Slot> = drafting.iter().map(|w| w.tip.share()).collect();
            let Evaluations { events, prediction, left, rows } =
                self.evaluation(&mut slots, &mut Mover::Plan(plan))?;
            for (k, ((window, slot), event)) in drafting.iter_mut().zip(slots).zip(events).enumerate() {
                // Depth is the deeper half's: the cost says whether both ran to the end.
                let known = left[k].cost >= rows[k] as f64 && !self.network.remembers();
                let full = known.then(|| FullPrediction::of(&prediction, k)).transpose()?;
                let from = std::mem::replace(&mut window.tip, slot);
                window.drafts.push(Draft { from, event, cost: [left[k].cost, 0.0], full });
            }
        }
        Ok(())
    }

    /// Runs the full network on all drafts of which its word is not known, as one batch.
    fn look_in_full(&self, windows: &mut [Window]) -> Result<Option<Check>, Error> {
        let mut of = vec![];
        let mut slots: Vec<Slot> = vec![];
        for (w, window) in windows.iter().enumerate() {
            for (d, draft) in window.drafts.iter().enumerate().filter(|(_, draft)| draft.full.is_none()) {
                of.push((w, d));
                slots.push(draft.from.share());
            }
        }
        if slots.is_empty() {
            return Ok(None);
        }
        let nodes: Vec<Node> = slots.iter().map(|s| self.evaluations()[s.evaluation].node).collect();
        let x = stack(slots.iter().map(|s| &s.x))?;
        let rows = self.rows(&slots, &nodes.iter().map(|node| node.t).collect::<Vec<_>>());
        let (t, class) = rows.conditions(self.device)?;
        let (output, pass) = self.network.in_full(&Input { x: &rows.spread(&x)?, t: &t, class: &class })?;
        let prediction = self.predict(&x, &rows.join(&output, &self.guidance, x.size()[1])?, &nodes)?;
        for (k, &(w, d)) in of.iter().enumerate() {
            let draft = &mut windows[w].drafts[d];
            draft.full = Some(FullPrediction::of(&prediction, k)?);
            draft.cost[1] = rows.of(k) as f64;
        }
        let lambda = rows.image.iter().map(|&k| nodes[k].lambda()).collect();
        Ok(Some(Check { of, rows, lambda, pass }))
    }

    /// Takes the full steps beside the drafted ones, image by image up to the first that is farther off than
    /// `tolerance`.
    fn compare(&self, windows: &mut [Window], plan: &Plan, tolerance: f64) -> Result<(), Error> {
        let [lo, hi] = self.config.value_range;
        for step in 0.. {
            let mut open: Vec<&mut Window> = windows
                .iter_mut()
                .filter(|window| window.instead.is_none() && step < window.drafts.len())
                .collect();
            if open.is_empty() {
                break;
            }
            let at: Vec<usize> = open.iter().map(|w| w.drafts[step].from.evaluation).collect();
            let x = stack(open.iter().map(|w| &w.drafts[step].from.x))?;
            let said = |of: fn(&FullPrediction) -> &Tensor| {
                // Each has been looked at.
                stack(open.iter().filter_map(|w| w.drafts[step].full.as_ref()).map(of))
            };
            let prediction =
                Prediction { x0: said(|full| &full.x0)?, eps: said(|full| &full.eps)?, variance: None };
            let drafted = stack(open.iter().map(|w| &w.behind(step).x))?;
            let mut histories: Vec<&mut History> = open.iter_mut().map(|w| &mut w.full).collect();
            // A solver that draws noise has been refused.
            let no_noise = |_| Ok(Tensor::new());
            let next = solver::advance(plan, &at, &x, &prediction, &mut histories, no_noise)?.x;
            let off = rmse(&next, &drafted)?;
            for (k, window) in open.into_iter().enumerate() {
                // Not a number is not within.
                match off[k] * 2.0 / (hi - lo) <= tolerance {
                    true => window.accepted += 1,
                    false => window.instead = Some(next.f_get(k as i64)?),
                }
            }
        }
        Ok(())
    }

    /// Lets the tail learn from the full passes over the points that the images have passed, in their order.
    fn learn(&self, windows: &mut [Window], check: &Check) -> Result<(), Error> {
        let Check { of, rows, lambda, pass } = check;
        for step in 0..windows.iter().map(Window::gained).max().unwrap_or(0) {
            let passed = |&row: &usize| {
                let (w, d) = of[rows.image[row]];
                d == step && step < windows[w].gained()
            };
            let passed: Vec<usize> = (0..rows.image.len()).filter(passed).collect();
            let mut memory: Vec<RowMemory> = rows.image.iter().map(|_| RowMemory::default()).collect();
            let mut lend = |memory: &mut [RowMemory]| {
                for &row in &passed {
                    let (w, _) = of[rows.image[row]];
                    std::mem::swap(&mut windows[w].learned[rows.half[row]], &mut memory[row]);
                }
            };
            lend(&mut memory);
            self.network.learn(pass, &passed, lambda, &mut memory)?;
            lend(&mut memory);
        }
        Ok(())
    }
}

impl Window {
    fn new(slot: Slot, full: History) -> Self {
        let learned = slot.learned.each_ref().map(RowMemory::share);
        Self { tip: slot, drafts: vec![], full, learned, accepted: 0, instead: None }
    }

    /// The image behind its draft `step`.
    fn behind(&self, step: usize) -> &Slot {
        self.drafts.get(step + 1).map_or(&self.tip, |next| &next.from)
    }

    /// Evaluations that the image has passed.
    fn gained(&self) -> usize {
        self.accepted + usize::from(self.instead.is_some())
    }

    /// The image where it goes on, its history of full predictions, and what is to be told.
    fn close(self, depth: usize, remembers: bool) -> Result<(Slot, History, Vec<Evaluated>), TchError> {
        let gained = self.gained();
        let mut slot = self.behind(gained - 1).share();
        if let Some(x) = self.instead {
            slot.correct(x, self.full.share(), depth);
        }
        if remembers {
            slot.learned = self.learned;
        }
        let mut beside = 0.0;
        let mut events = Vec::with_capacity(gained);
        let drafted = self.drafts.len();
        for (step, Draft { mut event, cost: [draft, check], full, .. }) in self.drafts.into_iter().enumerate()
        {
            beside += check;
            if step >= gained {
                beside += draft;
                continue;
            }
            if step == self.accepted {
                event.depth = depth;
                if let Some(full) = full {
                    event.x0 = full.x0.f_alias_copy()?;
                }
            }
            events.push(event);
        }
        slot.note_drafts(beside, drafted, self.accepted);
        Ok((slot, self.full, events))
    }
}

impl FullPrediction {
    /// That of image `k` of a batch.
    fn of(prediction: &Prediction, k: usize) -> Result<Self, TchError> {
        Ok(Self { x0: prediction.x0.f_get(k as i64)?, eps: prediction.eps.f_get(k as i64)? })
    }
}

fn stack<'t>(images: impl Iterator<Item = &'t Tensor>) -> Result<Tensor, TchError> {
    Tensor::f_stack(&images.collect::<Vec<_>>(), 0)
}

/// Image by image, in f64; `[B, C, H, W]` both.
fn rmse(a: &Tensor, b: &Tensor) -> Result<Vec<f64>, TchError> {
    let square = a.f_sub(b)?.f_to_kind(tch::Kind::Double)?.f_square()?;
    Vec::try_from(square.f_mean_dim(&[1i64, 2, 3][..], false, tch::Kind::Double)?.f_sqrt()?)
}
