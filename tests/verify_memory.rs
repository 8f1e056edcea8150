//! Verify mode goes back: what policy and tail remember of drafts that were dropped is forgotten, and a tail learns from
//! the full passes.

mod drafts;

use drafts::two_sigma_model::{self, CHW, DEPTH, STEPS, alone};
use drafts::{SEED, draw, guidance, model, plan, request, verify};
use offramp::Model;
use offramp::backbone::Input;
use offramp::exit::{Bounds, Departure, Exit, ExitError, Fixed, Moment};
use offramp::solver::{History, Prediction, advance};
use offramp::tail::{Forecast, Tail};
use tch::{Kind, Tensor};

/// Leaves after block 1 and counts the evaluations that it has heard of.
#[derive(Clone)]
struct Counts;

impl Exit for Counts {
    fn spec(&self) -> String {
        "counts".into()
    }

    fn bounds(&self, moment: &Moment) -> Bounds {
        // The tail asks with an empty memory, at every evaluation; nothing here remembers.
        assert_eq!(moment.memory[0], moment.evaluation as f64);
        Bounds::exactly(1)
    }

    fn memory(&self) -> usize {
        1
    }

    fn left(&self, departure: &mut Departure) -> Result<(), ExitError> {
        departure.memory[0] += 1.0;
        Ok(())
    }

    fn share(&self) -> Box<dyn Exit> {
        Box::new(self.clone())
    }
}

#[test]
fn the_policy_forgets_the_drafts_that_were_dropped() {
    let _alone = alone();
    let model = model();
    for tolerance in [0.0, 0.02, 0.05, f64::INFINITY] {
        let sampler = two_sigma_model::sampler(&model).with_exit(Counts).with_batch(3);
        let drawn = draw(&sampler.with_verify(verify(4, tolerance)), &request(3));
        assert_eq!(drawn.len(), 3);
    }
}

/// One image drawn by DDIM from residuals after block 1, each learned from the full pass over the last verified point.
fn residuals_by_hand(model: &Model, steps: usize) -> (Tensor, Vec<usize>) {
    let plan = plan(model, "ddim", STEPS);
    let net = &model.backbone;
    let mut x =
        offramp::noise::standard_normal(SEED, offramp::noise::Draw::Initial, CHW).unwrap().unsqueeze(0);
    let (mut reused, mut newest): (Option<Tensor>, Option<Tensor>) = (None, None);
    let (mut history, mut depths) = (History::new(), vec![]);
    for (e, evaluation) in plan.evaluations().iter().enumerate() {
        if e % steps == 0 {
            reused = newest.take().or(reused);
        }
        let t = Tensor::full([1], evaluation.node.t, (Kind::Float, tch::Device::Cpu));
        let input = Input { x: &x, t: &t, class: &Tensor::from_slice(&[0i64]) };
        let mut state = net.begin(&input).unwrap();
        net.block(0, &mut state).unwrap();
        let mut left = state.share();
        (1..DEPTH).for_each(|i| net.block(i, &mut state).unwrap());
        let residual = &state.hidden - &left.hidden;
        newest = Some(residual.shallow_clone());
        // The very first evaluation must run to the end.
        depths.push(if reused.is_some() { 1 } else { DEPTH });
        left.hidden = &left.hidden + &*reused.get_or_insert(residual);
        let output = net.finish(1, left).unwrap().narrow(1, 0, CHW[0]);
        let (kind, clip) = (model.config.diffusion.prediction, model.config.x0_clip);
        let said = Prediction::new(&x, &output, None, &[evaluation.node], kind, clip, (-1.0, 1.0)).unwrap();
        x = advance(&plan, &[e], &x, &said, &mut [&mut history], |_| unreachable!()).unwrap().x;
    }
    (x.get(0), depths)
}

#[test]
fn a_tail_that_remembers_learns_from_the_full_passes() {
    let _alone = alone();
    let _no_grad = tch::no_grad_guard();
    let model = model();
    let sampler = || {
        two_sigma_model::sampler(&model)
            .with_exit(Fixed { depth: 1 })
            .with_tail(Forecast::residual())
            .with_batch(1)
    };
    let never_refreshed = &draw(&sampler(), &request(1))[0].sample;
    for steps in 1..=STEPS {
        let ours = &draw(&sampler().with_verify(verify(steps, f64::INFINITY)), &request(1))[0].sample;
        let (expected, depths) = residuals_by_hand(&model, steps);
        let difference = (&ours.x - expected).abs().max().double_value(&[]);
        assert!(difference <= 1e-4, "K = {steps}: {difference:.1e}");
        assert_eq!(ours.depths, depths);
        let moved = (&ours.x - &never_refreshed.x).abs().max().double_value(&[]);
        assert_eq!(moved > 1e-3, steps < STEPS, "K = {steps}: {moved:.1e}");
    }
}

/// A residual that says in its memory, under 7, at which λ it learned.
struct Diary(Forecast);

impl Tail for Diary {
    fn spec(&self) -> String {
        "diary".into()
    }

    fn stand_in(&self, depth: usize, a: &Tensor) -> Result<Tensor, tch::TchError> {
        self.0.stand_in(depth, a)
    }

    fn remembers(&self) -> bool {
        true
    }

    fn ready(&self, depth: usize, row: &offramp::RowMemory) -> bool {
        self.0.ready(depth, row)
    }

    fn recall(
        &self,
        depth: usize,
        a: &Tensor,
        lambda: &[f64],
        rows: &[&offramp::RowMemory],
    ) -> Result<Tensor, tch::TchError> {
        // Nodes come in the order of sampling, and none lies ahead.
        for (row, &now) in rows.iter().zip(lambda) {
            let noted: Vec<f64> = row.series(depth).iter().map(|(at, _)| *at).collect();
            assert!(noted.is_sorted() && noted.iter().all(|&at| at < now), "{noted:?}, {now}");
        }
        self.0.recall(depth, a, lambda, rows)
    }

    fn learn(
        &self,
        depth: usize,
        a: &Tensor,
        b: &Tensor,
        lambda: &[f64],
        rows: &mut [&mut offramp::RowMemory],
    ) -> Result<(), tch::TchError> {
        self.0.learn(depth, a, b, lambda, rows)
    }

    fn share(&self) -> Box<dyn Tail> {
        Box::new(Self(Forecast::new(2)))
    }
}

#[test]
fn a_tail_forgets_the_drafts_that_were_dropped_and_learns_in_order() {
    let _alone = alone();
    let model = model();
    for (steps, tolerance) in [(1, 0.0), (3, 0.0), (3, 0.03), (4, 0.1), (2, f64::INFINITY)] {
        for which in 0..3 {
            let sampler =
                two_sigma_model::with_solver(&model, "dpm-solver++2m").with_exit(Fixed { depth: 1 });
            let sampler =
                sampler.with_tail(Diary(Forecast::new(2))).with_guidance(guidance(which)).with_batch(3);
            draw(&sampler.with_verify(verify(steps, tolerance)), &request(3));
        }
    }
}
