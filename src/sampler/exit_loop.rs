//! The one loop that runs a backbone block by block and lets rows leave.
//!
//! Rows that leave are separated from those that stay, finished by the tail and the backbone's output
//! head, and put back in their places at the end. When all leave together nothing is copied; at full
//! depth the loop adds not one operation to the plain network's.
//!
//! A tail that remembers has the last word: where it is not ready for one of an image's rows, the image goes
//! on, whatever the policy and its bounds say, and so to the end.

use tch::{TchError, Tensor};

use crate::backbone::{Backbone, ExitPoint, Input, State, row_index};
use crate::exit::{Bounds, Departure, Exit, ExitError, Memory, Verdict, View};
use crate::row_memory::RowMemory;
use crate::sampler::lesson::{Lesson, depths_left, of_rows};
use crate::tail::Tail;

/// The parts that decide how one evaluation is run.
pub(crate) struct Network {
    pub backbone: Box<dyn Backbone>,
    pub exit: Box<dyn Exit>,
    tail: Box<dyn Tail>,
    /// Depths whose states the tail learns from; none if it remembers nothing.
    learned_at: Vec<usize>,
}

/// The rows of one batch: whose they are and when they are.
pub(crate) struct Rows<'a> {
    /// The image of each row, as an index into `memory`; an image's rows are adjacent.
    pub image: &'a [usize],
    /// Each row's real time.
    pub t: &'a [f64],
    /// What the policy remembers of each image.
    pub memory: &'a mut [Memory],
    /// What the policy remembers of each row.
    pub seen: &'a mut [RowMemory],
    /// What the tail remembers of each row.
    pub learned: &'a mut [RowMemory],
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
    /// L_0 of all rows.
    embedded: &'a Tensor,
}

impl Network {
    /// Composes the parts for trajectories whose evaluations are at `times`.
    pub fn new(
        backbone: Box<dyn Backbone>,
        exit: Box<dyn Exit>,
        tail: Box<dyn Tail>,
        times: impl Iterator<Item = f64>,
    ) -> Self {
        let learned_at = match tail.remembers() {
            true => depths_left(&*exit, &*backbone, &times.collect::<Vec<_>>()),
            false => vec![],
        };
        Self { backbone, exit, tail, learned_at }
    }

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
        let mut lesson = Lesson::default();
        let mut state = self.backbone.begin(input)?;
        let embedded = state.hidden.shallow_clone();
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
            if !undecided.is_empty() && point.depth < depth && self.exit.decides_at(point.depth) {
                let asked: Vec<usize> = undecided.iter().map(|&at| live[at]).collect();
                let seen =
                    Seen { depth: point.depth, state: &state, previous: &previous, embedded: &embedded };
                if let Some(verdicts) = self.judge(&seen, &undecided, &asked, &mut rows)? {
                    heed(&verdicts, asked.iter().map(|&row| rows.image[row]), &mut leave, &mut left);
                }
            }
            if self.tail.remembers() && point.depth < depth {
                for &row in &live {
                    leave[rows.image[row]] &= self.tail.ready(point.depth, &rows.learned[row]);
                }
            }
            let (gone, stay): (Vec<usize>, Vec<usize>) =
                (0..live.len()).partition(|&at| leave[rows.image[live[at]]]);
            for &at in &gone {
                left[rows.image[live[at]]].at = *point;
            }
            let rows_of = |places: &[usize]| places.iter().map(|&at| live[at]).collect::<Vec<_>>();
            if stay.is_empty() {
                if point.depth == depth {
                    lesson.teach(&*self.tail, &live, &state.hidden, rows.learned)?;
                }
                let output = self.finish(point.depth, state, &live, rows.learned)?;
                finished.push((live, output));
                break;
            }
            if !gone.is_empty() {
                let gone_rows = rows_of(&gone);
                let output = self.finish(point.depth, state.select(&gone)?, &gone_rows, rows.learned)?;
                finished.push((gone_rows, output));
                state = state.select(&stay)?;
                live = rows_of(&stay);
            }
            if self.learned_at.contains(&point.depth) {
                lesson.pass(point.depth, &live, &state.hidden);
            }
        }
        self.tell_departures(&left, &mut rows)?;
        Ok((in_row_order(finished)?, left))
    }

    /// Tells the policy where each image left.
    fn tell_departures(&self, left: &[Left], rows: &mut Rows) -> Result<(), ExitError> {
        let mut start = 0;
        for halves in rows.image.chunk_by(|a, b| a == b) {
            let (k, end) = (halves[0], start + halves.len());
            self.exit.left(&mut Departure {
                at: left[k].at.depth,
                depth: self.backbone.depth(),
                memory: &mut rows.memory[k],
                rows: &mut rows.seen[start..end],
            })?;
            start = end;
        }
        Ok(())
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
        let Rows { seen: of_policy, learned, memory, .. } = rows;
        let embedded = || match asked.len() as i64 == seen.embedded.size()[0] {
            true => Ok(seen.embedded.shallow_clone()),
            false => seen.embedded.f_index_select(0, &row_index(asked, seen.embedded)?),
        };
        let t: Vec<f64> = asked.iter().map(|&r| rows.t[r]).collect();
        let image: Vec<usize> = asked.iter().map(|&r| rows.image[r]).collect();
        let verdicts = self.exit.judge(&mut View {
            depth: seen.depth,
            hidden: &state.hidden,
            previous: &previous,
            embedded: &embedded,
            temb: &state.temb,
            t: &t,
            image: &image,
            memory,
            rows: &mut of_rows(of_policy, asked),
            head: &|| self.finish(seen.depth, state.share(), asked, learned),
        })?;
        match &verdicts {
            Some(v) if v.len() != asked.len() => {
                Err(ExitError::Verdicts { exit: self.exit.spec(), expected: asked.len(), got: v.len() })
            }
            _ => Ok(verdicts),
        }
    }

    /// The output of rows that leave after `depth` blocks; `learned` is what the tail remembers of all rows.
    fn finish(
        &self,
        depth: usize,
        mut state: State,
        rows: &[usize],
        learned: &[RowMemory],
    ) -> Result<Tensor, TchError> {
        if depth < self.backbone.depth() {
            state.hidden = match self.tail.remembers() {
                true => {
                    let memory: Vec<&RowMemory> = rows.iter().map(|&row| &learned[row]).collect();
                    self.tail.recall(depth, &state.hidden, &memory)?
                }
                false => self.tail.stand_in(depth, &state.hidden)?,
            };
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
pub(crate) fn within(bounds: Bounds, depth: usize) -> Bounds {
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
