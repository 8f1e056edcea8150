//! What a remembering tail may learn from one evaluation: the states at the exits that the policy can take.
//!
//! They are held until it is known which rows run to the end, and only theirs are shown to the tail.

use tch::{TchError, Tensor};

use crate::backbone::{Backbone, row_index};
use crate::exit::{Exit, Moment};
use crate::row_memory::RowMemory;
use crate::tail::Tail;

/// The states of one evaluation on its way.
#[derive(Default)]
pub(crate) struct Lesson {
    passed: Vec<Passed>,
}

/// Rows that went on after `depth` blocks, and their states.
struct Passed {
    depth: usize,
    rows: Vec<usize>,
    a: Tensor, // [R, T, D]
}

impl Lesson {
    /// Notes the state of the rows that go on.
    pub fn pass(&mut self, depth: usize, rows: &[usize], a: &Tensor) {
        self.passed.push(Passed { depth, rows: rows.to_vec(), a: a.shallow_clone() });
    }

    /// Tells the tail what became of the rows that ran to the end, whose L_N is `b`, `[R, T, D]`; `lambda` is of all
    /// rows.
    pub fn teach(
        &self,
        tail: &dyn Tail,
        rows: &[usize],
        b: &Tensor,
        lambda: &[f64],
        memory: &mut [RowMemory],
    ) -> Result<(), TchError> {
        let lambda: Vec<f64> = rows.iter().map(|&row| lambda[row]).collect();
        for Passed { depth, rows: passed, a } in &self.passed {
            let a = if passed.len() == rows.len() {
                a.shallow_clone()
            } else {
                let places: Vec<usize> =
                    (0..passed.len()).filter(|&at| rows.binary_search(&passed[at]).is_ok()).collect();
                a.f_index_select(0, &row_index(&places, a)?)?
            };
            tail.learn(*depth, &a, b, &lambda, &mut of_rows(memory, rows))?;
        }
        Ok(())
    }
}

/// The memories of some rows, by increasing row.
pub(crate) fn of_rows<'m>(memory: &'m mut [RowMemory], rows: &[usize]) -> Vec<&'m mut RowMemory> {
    let mut wanted = rows.iter().peekable();
    let all = memory.iter_mut().enumerate();
    all.filter(|(row, _)| wanted.next_if(|&&r| r == *row).is_some()).map(|(_, memory)| memory).collect()
}

/// The depths short of the full one at which the policy may leave, or must, at one of the evaluations, whose times these
/// are.
pub(crate) fn depths_left(exit: &dyn Exit, backbone: &dyn Backbone, times: &[f64]) -> Vec<usize> {
    let depth = backbone.depth();
    let nothing = vec![0.0; exit.memory()];
    let mut before = 0;
    let mut found = vec![];
    for point in backbone.exit_points().iter().map(|p| p.depth).filter(|&d| d < depth) {
        let leaves = |(evaluation, &t): (usize, &f64)| {
            let moment = Moment { t, evaluation, depth, memory: &nothing };
            if exit.runs_to_the_end(&moment) {
                return false;
            }
            let bounds = exit.bounds(&moment).within(depth);
            let must = point >= bounds.max && before < bounds.max;
            must || (point >= bounds.min && point < bounds.max && exit.decides_at(point))
        };
        if times.iter().enumerate().any(leaves) {
            found.push(point);
        }
        before = point;
    }
    found
}
