//! What is being learned: f32 tensors, with their optimiser and their moving average.

use tch::{Kind, TchError, Tensor};

use super::{AdamW, TrainError, average_into, clip_gradients};
use crate::backbone::Parameters;

/// How tensors are changed, apart from the learning rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rules {
    pub betas: [f64; 2],
    pub weight_decay: f64,
    /// Gradients are scaled down to this norm.
    pub clip: f64,
    /// Decay of the moving average, a step.
    pub average: f64,
}

/// Named tensors that change.
pub(super) struct Learner {
    names: Vec<String>,
    values: Vec<Tensor>,
    averages: Vec<Tensor>,
    groups: Vec<Group>,
    rules: Rules,
    threads: usize,
}

/// Tensors that are changed alike.
struct Group {
    /// Their places.
    members: Vec<usize>,
    optimizer: AdamW,
    /// What the learning rate is multiplied by.
    haste: f64,
}

impl Learner {
    /// Learns these tensors, whose average starts as a copy, each with the rate times its `haste`. Matrices decay;
    /// vectors do not.
    pub fn new(
        parameters: &Parameters,
        rules: Rules,
        haste: &dyn Fn(&str) -> f64,
        threads: usize,
    ) -> Result<Self, TchError> {
        let (mut names, mut values, mut averages) = (vec![], vec![], vec![]);
        for (name, tensor) in parameters {
            names.push(name.clone());
            values.push(copied(tensor)?);
            averages.push(copied(tensor)?);
        }
        let mut groups: Vec<Group> = vec![];
        for (place, (name, value)) in names.iter().zip(&values).enumerate() {
            let (decay, haste) = (if value.dim() > 1 { rules.weight_decay } else { 0.0 }, haste(name));
            let alike = |g: &&mut Group| g.optimizer.weight_decay == decay && g.haste == haste;
            match groups.iter_mut().find(alike) {
                Some(group) => group.members.push(place),
                None => {
                    let optimizer = AdamW::new(&[], rules.betas, decay)?;
                    groups.push(Group { members: vec![place], optimizer, haste });
                }
            }
        }
        for Group { members, optimizer, .. } in &mut groups {
            *optimizer = AdamW::new(&chosen(&values, members), rules.betas, optimizer.weight_decay)?;
        }
        Ok(Self { names, values, averages, groups, rules, threads })
    }

    /// The names, in the order of gradients.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The tensors, in that order; what is made of them sees every change.
    pub fn values(&self) -> &[Tensor] {
        &self.values
    }

    /// Their moving averages, by name.
    pub fn averages(&self) -> Parameters {
        self.names.iter().cloned().zip(self.averages.iter().map(Tensor::shallow_clone)).collect()
    }

    /// One step along gradients that have been averaged over the batch; gives their norm before clipping.
    /// Nothing changes where it is not finite.
    pub fn step(&mut self, mut gradients: Vec<Tensor>, rate: f64, step: usize) -> Result<f64, TrainError> {
        let _no_grad = tch::no_grad_guard();
        let norm = clip_gradients(&mut gradients, self.rules.clip)?;
        if !norm.is_finite() {
            return Ok(norm);
        }
        for Group { members, optimizer, haste } in &mut self.groups {
            let values = chosen(&self.values, members);
            optimizer.step_in_threads(&values, &chosen(&gradients, members), rate * *haste, self.threads)?;
        }
        average_into(&self.averages, &self.values, self.rules.average, step)?;
        Ok(norm)
    }

    /// All tensors that the next step depends on, by name.
    pub fn remembered(&self) -> Vec<(String, Tensor)> {
        let mut all = vec![];
        let mut add = |part: &str, names: &mut dyn Iterator<Item = &String>, tensors: &[Tensor]| {
            all.extend(names.zip(tensors).map(|(name, t)| (format!("{part}.{name}"), t.shallow_clone())));
        };
        add("value", &mut self.names.iter(), &self.values);
        add("average", &mut self.names.iter(), &self.averages);
        for Group { members, optimizer, .. } in &self.groups {
            let ([means, squares], _) = optimizer.moments();
            let names = || members.iter().map(|&place| &self.names[place]);
            add("mean", &mut names(), means);
            add("square", &mut names(), squares);
        }
        all
    }

    /// Says how many steps the moments that were filled in come from.
    pub fn set_steps(&mut self, steps: usize) {
        for group in &mut self.groups {
            group.optimizer.set_steps(steps);
        }
    }
}

fn copied(tensor: &Tensor) -> Result<Tensor, TchError> {
    let _no_grad = tch::no_grad_guard();
    let mut copy = Tensor::f_empty(tensor.size(), (Kind::Float, tensor.device()))?;
    copy.f_copy_(tensor)?;
    Ok(copy)
}

fn chosen(tensors: &[Tensor], places: &[usize]) -> Vec<Tensor> {
    places.iter().map(|&place| tensors[place].shallow_clone()).collect()
}
