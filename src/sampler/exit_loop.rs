//! The one loop that runs a backbone block by block and lets rows leave.
//!
//! Rows that leave are separated from those that stay, finished by the tail and the backbone's output
//! head, and put back in their places at the end. When all leave together nothing is copied; at full
//! depth the loop adds not one operation to the plain network's.

use tch::{TchError, Tensor};

use crate::backbone::{Backbone, ExitPoint, Input, State, row_index};
use crate::exit::{Bounds, Exit, ExitError, Memory, Verdict, View};
use crate::tail::Tail;

/// The parts that decide how one evaluation is run.
pub(crate) struct Network {
    pub backbone: Box<dyn Backbone>,
    pub exit: Box<dyn Exit>,
    pub tail: Box<dyn Tail>,
}

/// The rows of one batch: whose they are and when they are.
pub(crate) struct Rows<'a> {
    /// The image of each row, as an index into `memory`; an image's rows are adjacent.
    pub image: &'a [usize],
    /// Each row's real time.
    pub t: &'a [f64],
    /// What the policy remembers of each image.
    pub memory: &'a mut [Memory],
}

/// How deep one image went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Left {
    pub at: ExitPoint,
    /// The policy's last uncertainty, where it looked.
    pub uncertainty: Option<f32>,
}

/// What there is to look at after a block.
struct Seen<'a> {
    depth: usize,
    state: &'a State,
    previous: &'a Tensor,
}

impl Network {
    /// Runs one evaluation, as deep as the policy says for each image.
    ///
    /// Returns the output `[R, C or 2C, H, W]` in the order of `rows`, and per image where it left.
    pub fn evaluate(&self, input: &Input, mut rows: Rows) -> Result<(Tensor, Vec<Left>), ExitError> {
        let depth = self.backbone.depth();
        let bounds: Vec<Bounds> = rows.t.iter().map(|&t| within(self.exit.bounds(t, depth), depth)).collect();
        let full = ExitPoint { depth, cost: 1.0 };
        let mut left = vec![Left { at: full, uncertainty: None }; rows.memory.len()];
        let mut live: Vec<usize> = (0..rows.image.len()).collect();
        let mut finished: Vec<(Vec<usize>, Tensor)> = vec![];
        let mut state = self.backbone.begin(input)?;
        let mut blocks = 0;
        for point in self.backbone.exit_points() {
            let mut previous = state.hidden.shallow_clone();
            while blocks < point.depth {
                previous = state.hidden.shallow_clone();
                self.backbone.block(blocks, &mut state)?;
                blocks += 1;
            }
            // An image leaves when each of its rows must, or may.
            let mut leave = vec![true; left.len()];
            for &row in &live {
                leave[rows.image[row]] &= point.depth >= bounds[row].max;
            }
            let undecided: Vec<usize> = (0..live.len())
                .filter(|&at| !leave[rows.image[live[at]]] && point.depth >= bounds[live[at]].min)
                .collect();
            if !undecided.is_empty() && point.depth < depth {
                let asked: Vec<usize> = undecided.iter().map(|&at| live[at]).collect();
                let seen = Seen { depth: point.depth, state: &state, previous: &previous };
                if let Some(verdicts) = self.judge(&seen, &undecided, &asked, &mut rows)? {
                    heed(&verdicts, asked.iter().map(|&row| rows.image[row]), &mut leave, &mut left);
                }
            }
            let (gone, stay): (Vec<usize>, Vec<usize>) =
                (0..live.len()).partition(|&at| leave[rows.image[live[at]]]);
            for &at in &gone {
                left[rows.image[live[at]]].at = *point;
            }
            let rows_of = |places: &[usize]| places.iter().map(|&at| live[at]).collect::<Vec<_>>();
            if stay.is_empty() {
                finished.push((rows_of(&gone), self.finish(point.depth, state)?));
                break;
            }
            if !gone.is_empty() {
                finished.push((rows_of(&gone), self.finish(point.depth, state.select(&gone)?)?));
                state = state.select(&stay)?;
                live = rows_of(&stay);
            }
        }
        Ok((in_row_order(finished)?, left))
    }

    /// Asks the policy about the rows `asked`, which stand at the places `at` of the state.
    fn judge(
        &self,
        seen: &Seen,
        at: &[usize],
        asked: &[usize],
        rows: &mut Rows,
    ) -> Result<Option<Vec<Verdict>>, ExitError> {
        let all = at.len() == seen.state.rows();
        let state = if all { seen.state.share() } else { seen.state.select(at)? };
        let previous = match all {
            true => seen.previous.shallow_clone(),
            false => seen.previous.f_index_select(0, &row_index(at, seen.previous)?)?,
        };
        let t: Vec<f64> = asked.iter().map(|&r| rows.t[r]).collect();
        let image: Vec<usize> = asked.iter().map(|&r| rows.image[r]).collect();
        let verdicts = self.exit.judge(&mut View {
            depth: seen.depth,
            hidden: &state.hidden,
            previous: &previous,
            temb: &state.temb,
            t: &t,
            image: &image,
            memory: rows.memory,
            head: &|| self.finish(seen.depth, state.share()),
        })?;
        match &verdicts {
            Some(v) if v.len() != asked.len() => {
                Err(ExitError::Verdicts { exit: self.exit.spec(), expected: asked.len(), got: v.len() })
            }
            _ => Ok(verdicts),
        }
    }

    /// The output of rows that leave after `depth` blocks.
    fn finish(&self, depth: usize, mut state: State) -> Result<Tensor, TchError> {
        if depth < self.backbone.depth() {
            state.hidden = self.tail.stand_in(depth, &state.hidden)?;
        }
        self.backbone.finish(depth, state)
    }
}

/// Turns verdicts on rows into verdicts on images: a guided image leaves when both its rows may, and its
/// uncertainty is the higher of the two.
fn heed(verdicts: &[Verdict], images: impl Iterator<Item = usize>, leave: &mut [bool], left: &mut [Left]) {
    let mut last = None;
    for (verdict, image) in verdicts.iter().zip(images) {
        if last == Some(image) {
            leave[image] &= verdict.leave;
            left[image].uncertainty = left[image].uncertainty.map(|s| s.max(verdict.uncertainty));
        } else {
            leave[image] = verdict.leave;
            left[image].uncertainty = Some(verdict.uncertainty);
        }
        last = Some(image);
    }
}

/// Bounds as they are meant, whatever the policy says: 1 ≤ min ≤ max ≤ N.
fn within(bounds: Bounds, depth: usize) -> Bounds {
    let min = bounds.min.clamp(1, depth);
    Bounds { min, max: bounds.max.clamp(min, depth) }
}

/// Joins the outputs of rows that left at different depths.
fn in_row_order(mut parts: Vec<(Vec<usize>, Tensor)>) -> Result<Tensor, TchError> {
    if parts.len() == 1 {
        return Ok(parts.remove(0).1);
    }
    let order: Vec<usize> = parts.iter().flat_map(|(rows, _)| rows.iter().copied()).collect();
    let mut place = vec![0; order.len()];
    for (at, &row) in order.iter().enumerate() {
        place[row] = at;
    }
    let outputs: Vec<Tensor> = parts.into_iter().map(|(_, output)| output).collect();
    let joined = Tensor::f_cat(&outputs, 0)?;
    joined.f_index_select(0, &row_index(&place, &joined)?)
}
