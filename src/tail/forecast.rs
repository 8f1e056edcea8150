//! `residual` and `forecast:ORDER`: what the skipped blocks added at the image's last full evaluations is added again,
//! as it was or carried on over log-SNR.
//!
//! At every full evaluation R_i = b_N − h(a_i) is noted for each exit i that the policy can take, where h is the tail
//! that this one corrects: the shared head, h(a) = a, or the trained ones (`forecast:1,over=heads`). Leaving at i, the
//! stand-in is h(a_i) plus the polynomial in λ = ln(α/σ) through the last ORDER + 1 noted R_i, or as many as there are.
//! Order 0 is `residual`, the last R_i as it was (first-block cache, TeaCache, Δ-DiT); higher orders are TaylorSeer's
//! idea (Liu et al. 2025, arXiv 2503.06923) with real distances in λ in place of equal steps. None is trained.
//!
//! Each guidance half has its own; a half that has not yet run to the end, be it that guidance set in later, is not
//! ready. What is kept is (ORDER + 1)·T·D numbers of the network's dtype an exit and half.

use tch::{Kind, TchError, Tensor};

use super::{Head, Tail};
use crate::row_memory::RowMemory;

/// The last full evaluations' residuals, carried on.
pub struct Forecast {
    order: usize,
    over: Box<dyn Tail>,
}

/// The highest order: a polynomial through more nodes swings more than it tells.
pub const MAX_ORDER: usize = 3;

impl Forecast {
    /// Of `order` 0 to [`MAX_ORDER`] (higher is brought down to it), over the shared head.
    pub fn new(order: usize) -> Self {
        Self { order: order.min(MAX_ORDER), over: Box::new(Head) }
    }

    /// The last residual as it was.
    pub fn residual() -> Self {
        Self::new(0)
    }

    /// Corrects another tail, one that remembers nothing.
    pub fn over(self, tail: impl Tail + 'static) -> Self {
        Self { over: Box::new(tail), ..self }
    }
}

impl Tail for Forecast {
    fn spec(&self) -> String {
        let name = if self.order == 0 { "residual".into() } else { format!("forecast:{}", self.order) };
        match (self.over.spec().as_str(), self.order) {
            ("head", _) => name,
            (over, 0) => format!("{name}:over={over}"),
            (over, _) => format!("{name},over={over}"),
        }
    }

    /// Without residuals what it corrects stands for itself.
    fn stand_in(&self, depth: usize, a: &Tensor) -> Result<Tensor, TchError> {
        self.over.stand_in(depth, a)
    }

    fn remembers(&self) -> bool {
        true
    }

    fn ready(&self, depth: usize, row: &RowMemory) -> bool {
        !row.series(depth).is_empty()
    }

    fn recall(
        &self,
        depth: usize,
        a: &Tensor,
        lambda: &[f64],
        rows: &[&RowMemory],
    ) -> Result<Tensor, TchError> {
        let base = self.over.stand_in(depth, a)?; // [R, T, D]
        let noted: Vec<&[(f64, Tensor)]> = rows.iter().map(|row| row.series(depth)).collect();
        let shape = &base.size()[1..];
        let usual = noted.first().map_or(0, |first| first.len());
        // The usual case first: all rows have as many, and one sum a node does for all.
        if usual > 0 && noted.iter().all(|n| n.len() == usual && n.iter().all(|(_, r)| r.size() == shape)) {
            let weights: Vec<Vec<f64>> = noted.iter().zip(lambda).map(|(n, &at)| weights(n, at)).collect();
            // In f32 at least: weights of either sign add up to one, rounded ones do not.
            let mut b = base.f_to_kind(Kind::Float)?;
            for node in 0..usual {
                let stacked = Tensor::f_stack(&noted.iter().map(|n| &n[node].1).collect::<Vec<_>>(), 0)?;
                let of_node: Vec<f64> = weights.iter().map(|w| w[node]).collect();
                b = match of_node.iter().all(|&w| w == 1.0) {
                    true => b.f_add(&stacked)?,
                    false => b.f_add(&stacked.f_to_kind(Kind::Float)?.f_mul(&column(&of_node, &b)?)?)?,
                };
            }
            return b.f_to_kind(base.kind());
        }
        let mut b = Vec::with_capacity(rows.len());
        for (row, (noted, &at)) in noted.into_iter().zip(lambda).enumerate() {
            let base = base.f_get(row as i64)?;
            let Some((_, last)) = noted.last() else {
                b.push(base);
                continue;
            };
            // A backbone whose states change their shape: L_N itself is carried on.
            let sum = if last.size() == shape { base } else { last.f_zeros_like()? };
            let (kind, mut sum) = (sum.kind(), sum.f_to_kind(Kind::Float)?);
            for ((_, residual), weight) in noted.iter().zip(weights(noted, at)) {
                sum = sum.f_add(&residual.f_to_kind(Kind::Float)?.f_mul_scalar(weight)?)?;
            }
            b.push(sum.f_to_kind(kind)?);
        }
        Tensor::f_stack(&b, 0)
    }

    fn learn(
        &self,
        depth: usize,
        a: &Tensor,
        b: &Tensor,
        lambda: &[f64],
        rows: &mut [&mut RowMemory],
    ) -> Result<(), TchError> {
        let base = self.over.stand_in(depth, a)?;
        let kept = if base.size() == b.size() { b.f_sub(&base)? } else { b.shallow_clone() };
        for (row, memory) in rows.iter_mut().enumerate() {
            memory.note(depth, lambda[row], kept.f_get(row as i64)?.f_alias_copy()?, self.order + 1);
        }
        Ok(())
    }

    fn share(&self) -> Box<dyn Tail> {
        Box::new(Self { order: self.order, over: self.over.share() })
    }
}

/// Lagrange's weights of the nodes for the value at `at`.
fn weights(nodes: &[(f64, Tensor)], at: f64) -> Vec<f64> {
    let weight = |(j, (node, _)): (usize, &(f64, Tensor))| {
        let others = nodes.iter().enumerate().filter(|(k, _)| *k != j);
        others.map(|(_, (other, _))| (at - other) / (node - other)).product()
    };
    nodes.iter().enumerate().map(weight).collect()
}

/// One number a row, `[R, 1, …]` to multiply `like`, `[R, …]`, by.
fn column(values: &[f64], like: &Tensor) -> Result<Tensor, TchError> {
    let mut shape = vec![1; like.dim()];
    shape[0] = values.len() as i64;
    let values = Tensor::f_from_slice(values)?.f_to_kind(like.kind())?;
    values.f_to_device(like.device())?.f_view(shape.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(shape: [i64; 3]) -> Tensor {
        Tensor::rand(shape, tch::kind::FLOAT_CPU)
    }

    fn far(a: &Tensor, b: &Tensor) -> f64 {
        (a - b).abs().max().double_value(&[])
    }

    fn memory(rows: i64) -> Vec<RowMemory> {
        (0..rows).map(|_| RowMemory::default()).collect()
    }

    fn learn(tail: &Forecast, memory: &mut [RowMemory], a: &Tensor, b: &Tensor, lambda: &[f64]) {
        tail.learn(3, a, b, lambda, &mut memory.iter_mut().collect::<Vec<_>>()).unwrap();
    }

    #[test]
    fn the_state_that_it_learned_from_gives_what_the_blocks_made_of_it() {
        let (a, b) = (random([4, 5, 6]), random([4, 5, 6]));
        let (tail, mut memory) = (Forecast::residual(), memory(4));
        learn(&tail, &mut memory, &a, &b, &[0.5; 4]);
        // Rows in another order and number bring their own memories.
        let order = [2i64, 0, 3];
        let rows: Vec<&RowMemory> = order.iter().map(|&r| &memory[r as usize]).collect();
        let a = a.index_select(0, &Tensor::from_slice(&order));
        let again = tail.recall(3, &a, &[0.7; 3], &rows).unwrap();
        assert!(far(&again, &b.index_select(0, &Tensor::from_slice(&order))) <= 1e-6);
        assert!(memory.iter().all(|row| tail.ready(3, row) && !tail.ready(2, row)));
        assert_eq!(memory[0].bytes(), 5 * 6 * 4);
    }

    #[test]
    fn a_polynomial_of_its_order_is_carried_on_exactly() {
        // R(λ) = r_0 + r_1·λ + … + r_k·λ^k at unequal distances, other ones for each row.
        for order in 0..=MAX_ORDER {
            let parts: Vec<Tensor> = (0..=order).map(|_| random([2, 5, 6])).collect();
            let residual = |lambda: [f64; 2]| {
                let power = |k| Tensor::from_slice(&lambda.map(|l| l.powi(k) as f32)).view([2, 1, 1]);
                parts
                    .iter()
                    .enumerate()
                    .map(|(k, part)| part * power(k as i32))
                    .fold(Tensor::zeros([2, 5, 6], tch::kind::FLOAT_CPU), |sum, term| sum + term)
            };
            let (tail, mut memory) = (Forecast::new(order), memory(2));
            let a = random([2, 5, 6]);
            // More nodes than it keeps, the first of which no polynomial goes through.
            learn(&tail, &mut memory, &a, &random([2, 5, 6]), &[-3.0, -4.0]);
            for node in 0..=order {
                let lambda = [-1.0 + 0.3 * node as f64, 0.2 + 0.5 * (node * node) as f64];
                learn(&tail, &mut memory, &a, &(&a + residual(lambda)), &lambda);
            }
            let at = [0.4, 1.0 + order as f64];
            let found = tail.recall(3, &a, &at, &memory.iter().collect::<Vec<_>>()).unwrap();
            let far = far(&found, &(&a + residual(at)));
            assert!(far <= 2e-3, "order {order}: {far}");
            assert_eq!(memory[0].bytes(), (order + 1) * 5 * 6 * 4);
        }
    }

    #[test]
    fn a_node_at_an_equal_place_takes_the_old_ones_place() {
        let (tail, mut memory) = (Forecast::new(1), memory(1));
        let a = Tensor::zeros([1, 2, 2], tch::kind::FLOAT_CPU);
        let full = |value: f64| a.ones_like() * value;
        for (lambda, value) in [(0.0, 1.0), (1.0, 9.0), (1.0, 2.0)] {
            learn(&tail, &mut memory, &a, &full(value), &[lambda]);
        }
        let found = tail.recall(3, &a, &[3.0], &[&memory[0]]).unwrap();
        assert_eq!(far(&found, &full(4.0)), 0.0, "1 + λ, not a line through both at λ = 1");
    }

    #[test]
    fn rows_with_fewer_nodes_are_carried_on_by_what_they_have() {
        let (tail, mut memory) = (Forecast::new(1), memory(3));
        let a = Tensor::zeros([3, 2, 2], tch::kind::FLOAT_CPU);
        let row = |k: i64, value: f64| a.narrow(0, k, 1).ones_like() * value;
        let mut note = |k: i64, lambda: f64, value: f64| {
            learn(&tail, &mut memory[k as usize..][..1], &a.narrow(0, k, 1), &row(k, value), &[lambda]);
        };
        note(0, 0.0, 1.0);
        note(0, 1.0, 2.0);
        note(1, 1.0, 5.0);
        let rows: Vec<&RowMemory> = memory.iter().collect();
        assert_eq!(rows.iter().map(|row| tail.ready(3, row)).collect::<Vec<_>>(), [true, true, false]);
        let found = tail.recall(3, &a, &[2.0; 3], &rows).unwrap();
        let means: Vec<f64> = (0..3).map(|k| found.get(k).mean(Kind::Float).double_value(&[])).collect();
        assert_eq!(means, [3.0, 5.0, 0.0]);
    }

    #[test]
    fn where_shapes_differ_the_last_output_stands_in() {
        let (a, b) = (random([2, 5, 6]), random([2, 3, 6]));
        let (tail, mut memory) = (Forecast::residual(), memory(2));
        learn(&tail, &mut memory, &a, &b, &[0.0; 2]);
        let recalled = tail.recall(3, &random([2, 5, 6]), &[1.0; 2], &[&memory[1], &memory[0]]).unwrap();
        assert_eq!(recalled, b.flip([0]));
    }
}
