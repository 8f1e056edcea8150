//! One batch, shared out over copies of the network.
//!
//! A batch is cut into a fixed number of shards. Each has a copy of the network of its own (batch norm takes
//! a shard's statistics, and writes running ones) and one libtorch thread; shards run side by side as far as
//! threads go. What comes out does not depend on how many threads there were.

use tch::{Kind, Reduction, TchError, Tensor};

use crate::extract::FashionNet;
use crate::train::TrainError;
use crate::train::workers::in_threads;

/// Copies of a network.
pub(super) struct Shards {
    copies: Vec<FashionNet>,
    threads: usize,
}

/// Images f32 `[b, 1, 28, 28]` and labels i64 `[b]`.
pub(super) type Batch = (Tensor, Tensor);

impl Shards {
    /// So many copies, whose values come from elsewhere.
    pub fn new(shards: usize, threads: usize) -> Result<Self, TchError> {
        let copy = |_| {
            let net = FashionNet::init(0)?;
            for (_, tensor) in net.named().into_iter().filter(|(_, tensor)| tensor.dim() == 4) {
                store_channels_last(tensor)?;
            }
            Ok(net)
        };
        let copies = (0..shards).map(copy).collect::<Result<_, TchError>>()?;
        Ok(Self { copies, threads: threads.clamp(1, shards) })
    }

    /// Gives every copy the values of `net`, then calls `work` with each shard's index and copy, in threads;
    /// results come by shard.
    fn each<T: Send>(
        &mut self,
        net: &FashionNet,
        work: &(dyn Fn(usize, &FashionNet) -> Result<T, TchError> + Sync),
    ) -> Result<Vec<T>, TrainError> {
        let values = values(net);
        let own = |copy| (copy, values.iter().map(Tensor::shallow_clone).collect::<Vec<_>>());
        in_threads(self.threads, self.copies.iter_mut().map(own).collect(), &|i, (copy, values)| {
            copy_values(copy, &values)?;
            Ok(work(i, copy)?)
        })
    }

    /// Mean loss of a batch and its gradients, one a parameter; `shard` makes each shard's part, all of one
    /// size. The running statistics of `net` become the mean of the shards'.
    pub fn gradient(
        &mut self,
        net: &FashionNet,
        label_smoothing: f64,
        shard: &(dyn Fn(usize) -> Result<Batch, TchError> + Sync),
    ) -> Result<(f64, Vec<Tensor>), TrainError> {
        let parts = self.each(net, &|s, copy| {
            let (images, labels) = shard(s)?;
            let (_, logits) = copy.forward(&images, true)?;
            let loss = logits.f_cross_entropy_loss::<Tensor>(
                &labels,
                None,
                Reduction::Mean,
                -100,
                label_smoothing,
            )?;
            let parameters: Vec<Tensor> = copy.parameters().into_iter().map(|(_, p)| p).collect();
            let gradients = Tensor::f_run_backward(&[&loss], &parameters, false, false)?;
            Ok((f64::try_from(&loss)?, gradients))
        })?;
        let _no_grad = tch::no_grad_guard();
        let share = 1.0 / parts.len() as f64;
        let statistics: Vec<Vec<Tensor>> = self.copies.iter().map(statistics).collect();
        for (i, mut of_net) in self::statistics(net).into_iter().enumerate() {
            of_net.f_copy_(&mean(statistics.iter().map(|of_copy| &of_copy[i]), share)?)?;
        }
        let loss = parts.iter().map(|(loss, _)| loss * share).sum();
        let count = parts.first().map_or(0, |(_, gradients)| gradients.len());
        let gradients = (0..count).map(|i| mean(parts.iter().map(|(_, gradients)| &gradients[i]), share));
        Ok((loss, gradients.collect::<Result<_, _>>()?))
    }

    /// How many images the network names rightly; `part(s)` makes the batches of shard s.
    pub fn correct(
        &mut self,
        net: &FashionNet,
        part: &(dyn Fn(usize) -> Result<Vec<Batch>, TchError> + Sync),
    ) -> Result<usize, TrainError> {
        let counts = self.each(net, &|s, copy| {
            let _no_grad = tch::no_grad_guard();
            let mut correct = 0;
            for (images, labels) in part(s)? {
                let (_, logits) = copy.forward(&images, false)?;
                let right = logits.f_argmax(1, false)?.f_eq_tensor(&labels)?;
                correct += i64::try_from(right.f_sum(Kind::Int64)?)?;
            }
            Ok(correct as usize)
        })?;
        Ok(counts.into_iter().sum())
    }
}

/// Every tensor of a network.
fn values(net: &FashionNet) -> Vec<Tensor> {
    net.named().into_iter().map(|(_, tensor)| tensor).collect()
}

/// Those that are not learned.
fn statistics(net: &FashionNet) -> Vec<Tensor> {
    values(net).into_iter().filter(|tensor| !tensor.requires_grad()).collect()
}

fn copy_values(into: &FashionNet, from: &[Tensor]) -> Result<(), TchError> {
    let _no_grad = tch::no_grad_guard();
    for (mut into, from) in values(into).into_iter().zip(from) {
        into.f_copy_(from)?;
    }
    Ok(())
}

fn mean<'a>(tensors: impl Iterator<Item = &'a Tensor>, share: f64) -> Result<Tensor, TchError> {
    let mut sum: Option<Tensor> = None;
    for tensor in tensors {
        sum = Some(match sum {
            Some(sum) => sum.f_add(tensor)?,
            None => tensor.shallow_clone(),
        });
    }
    sum.ok_or_else(|| TchError::Shape("a mean of nothing".into()))?.f_mul_scalar(share)
}

/// Puts a kernel's channels innermost in memory, where convolutions on the CPU are a fifth faster.
fn store_channels_last(mut kernel: Tensor) -> Result<(), TchError> {
    let last = kernel.f_detach()?.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])?;
    kernel.f_set_data(&last)
}
