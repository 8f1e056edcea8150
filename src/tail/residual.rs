//! `residual`: what the skipped blocks added at the image's last full evaluation is added again,
//! `b_i = a_i + R_i` with `R_i = b_N − a_i` (first-block cache, TeaCache, Δ-DiT; untrained).
//!
//! R_i is kept for each exit i that the policy can take, for each guidance half by itself, and replaced
//! whenever the half runs to the end; it is `T·D` numbers of the network's dtype. A half that has not yet
//! run to the end, be it that guidance set in later, is not ready.

use tch::{TchError, Tensor};

use super::Tail;
use crate::row_memory::RowMemory;

/// The last full evaluation's residual.
#[derive(Debug, Clone, Copy)]
pub struct Residual;

impl Tail for Residual {
    fn spec(&self) -> String {
        "residual".into()
    }

    /// Without a residual a_i stands for itself.
    fn stand_in(&self, _depth: usize, a: &Tensor) -> Result<Tensor, TchError> {
        Ok(a.shallow_clone())
    }

    fn remembers(&self) -> bool {
        true
    }

    fn ready(&self, depth: usize, row: &RowMemory) -> bool {
        row.get(depth).is_some()
    }

    fn recall(&self, depth: usize, a: &Tensor, rows: &[&RowMemory]) -> Result<Tensor, TchError> {
        let shape = &a.size()[1..];
        let kept: Vec<Option<&Tensor>> = rows.iter().map(|row| row.get(depth)).collect();
        // The usual case first: every row has a residual, and one sum does for all.
        if kept.iter().all(|r| r.is_some_and(|r| r.size() == shape)) {
            let residuals: Vec<&Tensor> = kept.into_iter().flatten().collect();
            return a.f_add(&Tensor::f_stack(&residuals, 0)?);
        }
        let mut b = Vec::with_capacity(rows.len());
        for (row, kept) in kept.into_iter().enumerate() {
            let a = a.f_get(row as i64)?;
            b.push(match kept {
                Some(residual) if residual.size() == shape => a.f_add(residual)?,
                // A backbone whose states change their shape: L_N itself.
                Some(last) => last.shallow_clone(),
                None => a,
            });
        }
        Tensor::f_stack(&b, 0)
    }

    fn learn(
        &self,
        depth: usize,
        a: &Tensor,
        b: &Tensor,
        rows: &mut [&mut RowMemory],
    ) -> Result<(), TchError> {
        let kept = if a.size() == b.size() { b.f_sub(a)? } else { b.shallow_clone() };
        for (row, memory) in rows.iter_mut().enumerate() {
            memory.keep(depth, kept.f_get(row as i64)?.f_alias_copy()?);
        }
        Ok(())
    }

    fn share(&self) -> Box<dyn Tail> {
        Box::new(*self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(shape: [i64; 3]) -> Tensor {
        Tensor::rand(shape, tch::kind::FLOAT_CPU)
    }

    fn learned(a: &Tensor, b: &Tensor) -> Vec<RowMemory> {
        let mut memory: Vec<RowMemory> = (0..a.size()[0]).map(|_| RowMemory::default()).collect();
        Residual.learn(3, a, b, &mut memory.iter_mut().collect::<Vec<_>>()).unwrap();
        memory
    }

    #[test]
    fn the_state_that_it_learned_from_gives_what_the_blocks_made_of_it() {
        let (a, b) = (random([4, 5, 6]), random([4, 5, 6]));
        let memory = learned(&a, &b);
        // Rows in another order and number bring their own memories.
        let order = [2i64, 0, 3];
        let rows: Vec<&RowMemory> = order.iter().map(|&r| &memory[r as usize]).collect();
        let again = Residual.recall(3, &a.index_select(0, &Tensor::from_slice(&order)), &rows).unwrap();
        let expected = b.index_select(0, &Tensor::from_slice(&order));
        assert!((again - expected).abs().max().double_value(&[]) <= 1e-6);
        assert!(memory.iter().all(|row| Residual.ready(3, row) && !Residual.ready(2, row)));
        assert_eq!(memory[0].bytes(), 5 * 6 * 4);
    }

    #[test]
    fn a_row_without_a_residual_is_taken_as_it_is() {
        let (a, b) = (random([2, 5, 6]), random([2, 5, 6]));
        let (memory, none) = (learned(&a, &b), RowMemory::default());
        assert!(!Residual.ready(3, &none));
        let recalled = Residual.recall(3, &a, &[&none, &memory[1]]).unwrap();
        assert_eq!(recalled.get(0), a.get(0));
        assert!((recalled.get(1) - b.get(1)).abs().max().double_value(&[]) <= 1e-6);
    }

    #[test]
    fn where_shapes_differ_the_last_output_stands_in() {
        let (a, b) = (random([2, 5, 6]), random([2, 3, 6]));
        let memory = learned(&a, &b);
        let recalled = Residual.recall(3, &random([2, 5, 6]), &[&memory[1], &memory[0]]).unwrap();
        assert_eq!(recalled, b.flip([0]));
    }
}
