//! ASE's objective (Moon et al. 2024, arXiv 2408.05927): every image learns at the depth that the schedule gives its
//! time, and runs no further.

use tch::Kind;

use crate::Sampler;
use crate::backbone::{Parameters, State};
use crate::exit::Schedule;
use crate::train::backbone::squared_errors;
use crate::train::examples::Examples;
use crate::train::network::Network;
use crate::train::objective::{Losses, Objective};
use crate::train::{Arithmetic, TrainError, Weighting};

pub(super) struct Ase {
    pub network: Network,
    pub schedule: Schedule,
    pub weighting: Weighting,
    pub arithmetic: Arithmetic,
}

impl Objective for Ase {
    fn losses(&self, learned: &Parameters, examples: &Examples) -> Result<Losses, TrainError> {
        let (backbone, _) = self.network.assemble(learned, self.arithmetic.kind())?;
        let depths: Vec<usize> = examples.times.iter().map(|&t| self.schedule.depth_at(t)).collect();
        let weights = examples.weights(self.weighting, &self.network.diffusion)?;
        let mut state = backbone.begin(&examples.input())?;
        let mut live: Vec<usize> = (0..examples.len()).collect();
        let (mut weighted, mut plain) = (vec![], vec![]);
        for depth in 1..=backbone.depth() {
            backbone.block(depth - 1, &mut state)?;
            let (gone, stay): (Vec<usize>, Vec<usize>) =
                (0..live.len()).partition(|&at| depths[live[at]] <= depth);
            if gone.is_empty() {
                continue;
            }
            let rows: Vec<usize> = gone.iter().map(|&at| live[at]).collect();
            let leaving: State = if stay.is_empty() { state.share() } else { state.select(&gone)? };
            let output = backbone.finish(depth, leaving)?;
            let index = crate::backbone::row_index(&rows, &output)?;
            let errors = squared_errors(&output, &examples.noise.f_index_select(0, &index)?)?;
            weighted.push(errors.f_mul(&weights.f_index_select(0, &index)?)?);
            plain.push(errors);
            if stay.is_empty() {
                break;
            }
            state = state.select(&stay)?;
            live = stay.iter().map(|&at| live[at]).collect();
        }
        let total = tch::Tensor::f_cat(&weighted, 0)?.f_mean(Kind::Float)?;
        let mse = tch::Tensor::f_cat(&plain, 0)?.f_mean(Kind::Float)?;
        Ok(Losses { total, parts: vec![("mse".into(), mse)] })
    }

    fn network(&self) -> &Network {
        &self.network
    }

    fn sampler(&self, learned: &Parameters) -> Result<Sampler, TrainError> {
        Ok(self.network.sampler(learned)?.with_exit(self.schedule.clone()))
    }

    fn share(&self) -> Box<dyn Objective> {
        Box::new(Self { network: self.network.share(), schedule: self.schedule.clone(), ..*self })
    }
}
