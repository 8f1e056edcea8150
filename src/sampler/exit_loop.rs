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
use crate::exit::{Bounds, Departure, Exit, ExitError, Memory, Moment, Pair, Verdict, View};
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
    /// Each row's guidance half.
    pub half: &'a [usize],
    /// Each row's real time.
    pub t: &'a [f64],
    /// Each row's ln(α/σ).
    pub lambda: &'a [f64],
    /// Each row's evaluation.
    pub evaluation: &'a [usize],
    /// What the policy remembers of each image.
    pub memory: &'a mut [Memory],
    /// What the policy remembers of each row.
    pub seen: &'a mut [RowMemory],
    /// What the tail remembers of each row.
    pub learned: &'a mut [RowMemory],
}

/// How deep one image went.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Left {
    /// Blocks that the deeper of its rows ran.
    pub depth: usize,
    /// Block cost of all its rows, in full-depth rows.
    pub cost: f64,
    /// The higher of its rows' last uncertainties, where the policy looked.
    pub uncertainty: Option<f32>,
}

/// What a tail may learn from rows that all ran to the end.
pub(crate) struct FullPass {
    lesson: Lesson,
    /// L_N, `[R, T, D]`.
    end: Tensor,
}

impl Left {
    /// Adds one of the image's rows.
    fn add(&mut self, point: &ExitPoint, uncertainty: Option<f32>) {
        self.depth = self.depth.max(point.depth);
        self.cost += point.cost;
        self.uncertainty = match (self.uncertainty, uncertainty) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
    }
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
    pub fn new(backbone: Box<dyn Backbone>, exit: Box<dyn Exit>, tail: Box<dyn Tail>, times: &[f64]) -> Self {
        let learned_at = match tail.remembers() {
            true => depths_left(&*exit, &*backbone, times),
            false => vec![],
        };
        Self { backbone, exit, tail, learned_at }
    }

    /// Runs one evaluation, as deep as the policy says for each image.
    ///
    /// Returns the output `[R, C or 2C, H, W]` in the order of `rows`, and per image where it left.
    pub fn evaluate(&self, input: &Input, mut rows: Rows) -> Result<(Tensor, Vec<Left>), ExitError> {
        let depth = self.backbone.depth();
        let bounds: Vec<Bounds> = (0..rows.image.len()).map(|row| self.bounds(&rows, row)).collect();
        let mut at = vec![ExitPoint { depth, cost: 1.0 }; rows.image.len()];
        let mut uncertainty: Vec<Option<f32>> = vec![None; rows.image.len()];
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
            // By place in the state; an image's rows share their bounds.
            let mut leave: Vec<bool> = live.iter().map(|&row| point.depth >= bounds[row].max).collect();
            let undecided: Vec<usize> =
                (0..live.len()).filter(|&p| !leave[p] && point.depth >= bounds[live[p]].min).collect();
            if !undecided.is_empty() && point.depth < depth && self.exit.decides_at(point.depth) {
                let asked: Vec<usize> = undecided.iter().map(|&place| live[place]).collect();
                let seen =
                    Seen { depth: point.depth, state: &state, previous: &previous, embedded: &embedded };
                if let Some(verdicts) = self.judge(&seen, &undecided, &asked, &mut rows)? {
                    for (&row, verdict) in asked.iter().zip(&verdicts) {
                        uncertainty[row] = Some(verdict.uncertainty);
                    }
                    let images: Vec<usize> = asked.iter().map(|&row| rows.image[row]).collect();
                    for (&place, word) in undecided.iter().zip(self.agree(&verdicts, &images)) {
                        leave[place] = word;
                    }
                }
            }
            if self.tail.remembers() && point.depth < depth {
                self.hold_back(point.depth, &live, &rows, &mut leave);
            }
            let (gone, stay): (Vec<usize>, Vec<usize>) = (0..live.len()).partition(|&place| leave[place]);
            for &place in &gone {
                at[live[place]] = *point;
            }
            let rows_of = |places: &[usize]| places.iter().map(|&place| live[place]).collect::<Vec<_>>();
            if stay.is_empty() {
                if point.depth == depth {
                    lesson.teach(&*self.tail, &live, &state.hidden, rows.lambda, rows.learned)?;
                }
                let output = self.finish(point.depth, state, &live, rows.lambda, rows.learned)?;
                finished.push((live, output));
                break;
            }
            if !gone.is_empty() {
                let gone_rows = rows_of(&gone);
                let state_of = state.select(&gone)?;
                let output = self.finish(point.depth, state_of, &gone_rows, rows.lambda, rows.learned)?;
                finished.push((gone_rows, output));
                state = state.select(&stay)?;
                live = rows_of(&stay);
            }
            if self.learned_at.contains(&point.depth) {
                lesson.pass(point.depth, &live, &state.hidden);
            }
        }
        self.tell_departures(&at, &mut rows)?;
        let mut left = vec![Left::default(); rows.memory.len()];
        for ((point, uncertainty), &image) in at.iter().zip(uncertainty).zip(rows.image) {
            left[image].add(point, uncertainty);
        }
        Ok((in_row_order(finished)?, left))
    }

    /// Runs every row to the end, whatever the policy says: the output as of [`Network::evaluate`], and what the tail may
    /// learn from it.
    pub fn in_full(&self, input: &Input) -> Result<(Tensor, FullPass), TchError> {
        let depth = self.backbone.depth();
        let mut state = self.backbone.begin(input)?;
        let all: Vec<usize> = (0..state.rows()).collect();
        let mut lesson = Lesson::default();
        for block in 0..depth {
            self.backbone.block(block, &mut state)?;
            if self.learned_at.contains(&(block + 1)) {
                lesson.pass(block + 1, &all, &state.hidden);
            }
        }
        let end = state.hidden.shallow_clone();
        Ok((self.backbone.finish(depth, state)?, FullPass { lesson, end }))
    }

    /// Whether its tail remembers.
    pub fn remembers(&self) -> bool {
        self.tail.remembers()
    }

    /// Lets the tail learn from some rows of a full pass; `lambda` and `memory` are of all of them.
    pub fn learn(
        &self,
        pass: &FullPass,
        rows: &[usize],
        lambda: &[f64],
        memory: &mut [RowMemory],
    ) -> Result<(), TchError> {
        let end = pass.end.f_index_select(0, &row_index(rows, &pass.end)?)?;
        pass.lesson.teach(&*self.tail, rows, &end, lambda, memory)
    }

    fn bounds(&self, rows: &Rows, row: usize) -> Bounds {
        let depth = self.backbone.depth();
        let memory = &rows.memory[rows.image[row]];
        let (t, evaluation) = (rows.t[row], rows.evaluation[row]);
        self.exit.bounds(&Moment { t, evaluation, depth, memory }).within(depth)
    }

    /// Which rows leave by their verdicts: one word a verdict.
    fn agree(&self, verdicts: &[Verdict], images: &[usize]) -> Vec<bool> {
        let pair = self.exit.pair();
        if pair == Pair::Apart {
            return verdicts.iter().map(|v| v.leave).collect();
        }
        let mut words = Vec::with_capacity(verdicts.len());
        for halves in images.chunk_by(|a, b| a == b) {
            let of_image = &verdicts[words.len()..words.len() + halves.len()];
            words.extend(halves.iter().map(|_| pair.leave(of_image)));
        }
        words
    }

    /// Keeps rows for which the tail is not ready, and, unless they leave apart, the rows of the same image.
    fn hold_back(&self, depth: usize, live: &[usize], rows: &Rows, leave: &mut [bool]) {
        let apart = self.exit.pair() == Pair::Apart;
        let mut start = 0;
        for halves in live.chunk_by(|&a, &b| !apart && rows.image[a] == rows.image[b]) {
            let ready = halves.iter().all(|&row| self.tail.ready(depth, &rows.learned[row]));
            leave[start..start + halves.len()].iter_mut().for_each(|word| *word &= ready);
            start += halves.len();
        }
    }

    /// Tells the policy where each image left.
    fn tell_departures(&self, at: &[ExitPoint], rows: &mut Rows) -> Result<(), ExitError> {
        let mut start = 0;
        for halves in rows.image.chunk_by(|a, b| a == b) {
            let end = start + halves.len();
            self.exit.left(&mut Departure {
                at: &at[start..end].iter().map(|point| point.depth).collect::<Vec<_>>(),
                depth: self.backbone.depth(),
                memory: &mut rows.memory[halves[0]],
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
        let Rows { seen: of_policy, learned, memory, lambda, .. } = rows;
        let embedded = || match asked.len() as i64 == seen.embedded.size()[0] {
            true => Ok(seen.embedded.shallow_clone()),
            false => seen.embedded.f_index_select(0, &row_index(asked, seen.embedded)?),
        };
        let t: Vec<f64> = asked.iter().map(|&r| rows.t[r]).collect();
        let image: Vec<usize> = asked.iter().map(|&r| rows.image[r]).collect();
        let evaluation: Vec<usize> = asked.iter().map(|&r| rows.evaluation[r]).collect();
        let half: Vec<usize> = asked.iter().map(|&r| rows.half[r]).collect();
        let verdicts = self.exit.judge(&mut View {
            depth: seen.depth,
            hidden: &state.hidden,
            previous: &previous,
            embedded: &embedded,
            temb: &state.temb,
            t: &t,
            evaluation: &evaluation,
            image: &image,
            half: &half,
            memory,
            rows: &mut of_rows(of_policy, asked),
            head: &|| self.finish(seen.depth, state.share(), asked, lambda, learned),
        })?;
        match &verdicts {
            Some(v) if v.len() != asked.len() => {
                Err(ExitError::Verdicts { exit: self.exit.spec(), expected: asked.len(), got: v.len() })
            }
            _ => Ok(verdicts),
        }
    }

    /// The output of rows that leave after `depth` blocks; `lambda` and `learned`, what the tail remembers, are of all
    /// rows.
    fn finish(
        &self,
        depth: usize,
        mut state: State,
        rows: &[usize],
        lambda: &[f64],
        learned: &[RowMemory],
    ) -> Result<Tensor, TchError> {
        if depth < self.backbone.depth() {
            state.hidden = match self.tail.remembers() {
                true => {
                    let memory: Vec<&RowMemory> = rows.iter().map(|&row| &learned[row]).collect();
                    let lambda: Vec<f64> = rows.iter().map(|&row| lambda[row]).collect();
                    self.tail.recall(depth, &state.hidden, &lambda, &memory)?
                }
                false => self.tail.stand_in(depth, &state.hidden)?,
            };
        }
        self.backbone.finish(depth, state)
    }
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
