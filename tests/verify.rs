//! Verify mode: drafts are accepted within a tolerance of the full step, recomputed here by hand.

mod per_image_exit;
mod two_sigma_model;

use std::ops::ControlFlow;

use offramp::backbone::Input;
use offramp::exit::{Bounds, Departure, Exit, ExitError, Fixed, Full, Moment};
use offramp::solver::{History, Node, Plan, Prediction, SolverSpec, StartAt, advance};
use offramp::tail::{Forecast, Tail};
use offramp::{Error, Event, Guidance, Model, Outcome, Request, Sample, Sampler, Verify, VerifyError};
use per_image_exit::Saturated;
use proptest::prelude::*;
use serde_json::json;
use tch::{Kind, Tensor};
use two_sigma_model::{CHW, DEPTH, STEPS, alone};

/// Deterministic solvers of every kind: one call a step, two, several steps, single steps, a corrector.
const SOLVERS: [&str; 7] =
    ["ddim", "euler", "heun", "dpm-solver++2m", "dpm-solver++3m", "dpm-solver++2s", "unipc:order=3"];
const SEED: u64 = 30;

/// Random weights, with predictions held in the range of images so that numbers compare.
fn model() -> Model {
    two_sigma_model::model(|config| config["x0_clip"] = json!("range"))
}

fn guidance(which: usize) -> Guidance {
    match which {
        0 => Guidance::NONE,
        1 => Guidance::scale(2.0),
        _ => Guidance { interval: [150.0, 700.0], ..Guidance::scale(2.0) },
    }
}

fn verify(steps: usize, tolerance: f64) -> Verify {
    Verify { steps, tolerance }
}

fn request(images: usize) -> Request {
    Request::classes((0..images as i64).map(|k| k % 4), SEED)
}

/// A finished image and the x of its evaluations, `[C, H, W]`.
struct Drawn {
    sample: Sample,
    path: Vec<Tensor>,
}

/// Draws images and checks that each of their evaluations is heard once, in order.
fn draw(sampler: &Sampler, request: &Request) -> Vec<Drawn> {
    let mut paths: Vec<Vec<Tensor>> = request.classes.iter().map(|_| vec![]).collect();
    let mut depths: Vec<Vec<usize>> = request.classes.iter().map(|_| vec![]).collect();
    let outcome = sampler
        .sample(request, &mut |event: &Event| {
            if let Event::Evaluated(e) = event {
                assert_eq!(e.evaluation, paths[e.image].len(), "image {}", e.image);
                paths[e.image].push(e.x.copy());
                depths[e.image].push(e.depth);
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    let drawn = |(sample, path): (Sample, Vec<Tensor>)| Drawn { sample, path };
    let drawn: Vec<Drawn> = outcome.samples.into_iter().zip(paths).map(drawn).collect();
    for (Drawn { sample, .. }, heard) in drawn.iter().zip(depths) {
        assert_eq!(sample.depths, heard);
        assert!(sample.accepted <= sample.drafted);
    }
    drawn
}

fn plan(model: &Model, solver: &str, steps: usize) -> Plan {
    solver.parse::<SolverSpec>().unwrap().plan(&model.diffusion, steps, StartAt::Noise).unwrap()
}

/// The full network's prediction for one image, `x` `[1, C, H, W]`.
fn in_full(model: &Model, guidance: Guidance, x: &Tensor, node: Node, class: Option<i64>) -> Prediction {
    let null = model.config.null_class.unwrap();
    let guided = guidance.acts_at(node.t) && class.is_some();
    let classes = &[class.unwrap_or(null), null][..1 + usize::from(guided)];
    let rows = classes.len() as i64;
    let input = Input {
        x: &x.repeat([rows, 1, 1, 1]),
        t: &Tensor::full([rows], node.t, (Kind::Float, tch::Device::Cpu)),
        class: &Tensor::from_slice(classes),
    };
    let net = &model.backbone;
    let mut state = net.begin(&input).unwrap();
    (0..net.depth()).for_each(|i| net.block(i, &mut state).unwrap());
    let output = net.finish(net.depth(), state).unwrap().narrow(1, 0, x.size()[1]);
    let eps = match guided {
        true => output.get(1) + (output.get(0) - output.get(1)) * guidance.scale,
        false => output.get(0),
    };
    let (diffusion, clip) = (&model.config.diffusion, model.config.x0_clip);
    Prediction::new(x, &eps.unsqueeze(0), None, &[node], diffusion.prediction, clip, (-1.0, 1.0)).unwrap()
}

/// How far each step of an image is from the full step, whose predictions are the full network's at all points of the
/// image's trajectory so far.
fn deviations(model: &Model, plan: &Plan, guidance: Guidance, drawn: &Drawn) -> Vec<f64> {
    let mut history = History::new();
    let ends = drawn.path[1..].iter().chain([&drawn.sample.x]);
    let steps = drawn.path.iter().zip(ends).enumerate();
    let off = steps.map(|(e, (x, end))| {
        let x = x.unsqueeze(0);
        let said = in_full(model, guidance, &x, plan.evaluations()[e].node, drawn.sample.class);
        let next = advance(plan, &[e], &x, &said, &mut [&mut history], |_| unreachable!()).unwrap().x;
        (next.get(0) - end).square().mean(Kind::Double).double_value(&[]).sqrt()
    });
    off.collect()
}

fn assert_close(a: &Sample, b: &Sample, what: &str) {
    let difference = (&a.x - &b.x).abs().max().double_value(&[]);
    assert!(difference <= 1e-4, "{what}, image {}: {difference:.1e}", a.image);
}

/// A tolerance between those that let nothing and everything through.
fn middle(deviations: impl IntoIterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = deviations.into_iter().collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn no_tolerance_is_full_depth(
        solver in 0..SOLVERS.len(), steps in 1usize..7, which in 0usize..3, images in 1usize..4, batch in 1usize..4,
        depth in 1..DEPTH, order in prop::option::of(0usize..3),
    ) {
        let _alone = alone();
        let (model, solver) = (model(), SOLVERS[solver]);
        let plain = || two_sigma_model::with_solver(&model, solver).with_guidance(guidance(which)).with_batch(batch);
        let mut verified = plain().with_exit(Fixed { depth }).with_verify(verify(steps, 0.0));
        if let Some(order) = order {
            verified = verified.with_tail(Forecast::new(order));
        }
        let (ours, full) = (draw(&verified, &request(images)), draw(&plain(), &request(images)));
        for (ours, full) in ours.iter().zip(&full) {
            assert_close(&ours.sample, &full.sample, solver);
            prop_assert_eq!(&ours.sample.depths, &full.sample.depths);
            prop_assert_eq!(ours.sample.full_cost, full.sample.full_cost);
            prop_assert!(ours.sample.cost > full.sample.cost);
        }
    }

    #[test]
    fn without_a_bound_it_is_the_draft_to_the_bit(
        solver in 0..SOLVERS.len(), steps in 1usize..7, which in 0usize..3, images in 1usize..4, batch in 1usize..4,
        threshold in prop_oneof![Just(0.0), 0.0..0.5],
    ) {
        let _alone = alone();
        let (model, solver) = (model(), SOLVERS[solver]);
        let draft = || {
            let exit = Saturated { threshold, min: 1 };
            two_sigma_model::with_solver(&model, solver).with_guidance(guidance(which)).with_batch(batch).with_exit(exit)
        };
        let ours = draw(&draft().with_verify(verify(steps, f64::INFINITY)), &request(images));
        for (ours, draft) in ours.iter().zip(&draw(&draft(), &request(images))) {
            let (ours, draft) = (&ours.sample, &draft.sample);
            prop_assert_eq!(&ours.x, &draft.x);
            prop_assert_eq!(&ours.depths, &draft.depths);
            prop_assert_eq!(&ours.uncertainties, &draft.uncertainties);
            prop_assert_eq!((ours.drafted, ours.accepted), (draft.depths.len(), draft.depths.len()));
            // Every draft short of full depth is checked, and the others are not run again.
            let early = draft.cost < draft.full_cost - 1e-9;
            prop_assert_eq!(ours.cost > draft.cost + 1e-9, early);
            prop_assert!(ours.cost <= draft.cost + draft.full_cost + 1e-9);
        }
    }

    #[test]
    fn each_step_is_within_the_tolerance_and_a_batch_equals_its_singles(
        solver in 0..SOLVERS.len(), steps in 1usize..7, which in 0usize..3, images in 1usize..5, depth in 1..DEPTH,
        order in prop::option::of(0usize..3), share in 0.3..1.7,
    ) {
        let _alone = alone();
        let _no_grad = tch::no_grad_guard();
        let (model, solver, guidance) = (model(), SOLVERS[solver], guidance(which));
        let plan = plan(&model, solver, STEPS);
        let sampler = |tolerance, batch| {
            let sampler = two_sigma_model::with_solver(&model, solver).with_guidance(guidance).with_batch(batch);
            let sampler = sampler.with_exit(Fixed { depth }).with_verify(verify(steps, tolerance));
            match order {
                Some(order) => sampler.with_tail(Forecast::new(order)),
                None => sampler,
            }
        };
        let off = |drawn: &Drawn| deviations(&model, &plan, guidance, drawn);
        let tolerance = share * middle(draw(&sampler(f64::INFINITY, 1), &request(images)).iter().flat_map(off));
        let batch = draw(&sampler(tolerance, images), &request(images));
        for drawn in &batch {
            for (e, (off, &at)) in off(drawn).into_iter().zip(&drawn.sample.depths).enumerate() {
                let within = if at == DEPTH { tolerance.max(1e-5) } else { tolerance };
                prop_assert!(off <= within * (1.0 + 1e-4) + 1e-6, "{solver}, {e}: {off:.2e} > {within:.2e}");
            }
            let kept = drawn.sample.depths.iter().filter(|&&d| d == depth).count();
            prop_assert!(kept <= drawn.sample.accepted);
            prop_assert_eq!(drawn.sample.depths.len(), plan.evaluations().len());
            prop_assert!(drawn.sample.drafted >= drawn.sample.depths.len());
        }
        // A deviation at the tolerance may fall on either side.
        for (a, b) in batch.iter().zip(draw(&sampler(tolerance, 1), &request(images))) {
            if a.sample.depths == b.sample.depths {
                assert_close(&a.sample, &b.sample, solver);
                prop_assert_eq!((a.sample.drafted, a.sample.accepted), (b.sample.drafted, b.sample.accepted));
            } else {
                let parted = a.sample.depths.iter().zip(&b.sample.depths).position(|(a, b)| a != b).unwrap();
                let kept = if a.sample.depths[parted] < DEPTH { a } else { &b };
                let near = (off(kept)[parted] - tolerance).abs();
                prop_assert!(near <= 1e-4 * tolerance + 1e-6, "{solver}, {parted}: {near:.1e} from the tolerance");
            }
        }
    }
}

#[test]
fn a_rejected_step_is_the_full_one() {
    let _alone = alone();
    let _no_grad = tch::no_grad_guard();
    let model = model();
    for solver in SOLVERS {
        let plan = plan(&model, solver, STEPS);
        let sampler =
            two_sigma_model::with_solver(&model, solver).with_exit(Fixed { depth: 1 }).with_batch(3);
        let (mut kept, mut rejected) = (0, 0);
        let drafts = draw(&sampler, &request(3));
        let off = |drawn: &Drawn| deviations(&model, &plan, Guidance::NONE, drawn);
        let tolerance = middle(drafts.iter().flat_map(off));
        let sampler = sampler.with_verify(verify(2, tolerance));
        for drawn in draw(&sampler, &request(3)) {
            for (off, &depth) in off(&drawn).iter().zip(&drawn.sample.depths) {
                match depth {
                    DEPTH => assert!(*off <= 1e-5, "{solver}: {off:.1e} off a full step"),
                    _ => assert!(*off > 1e-4 && *off <= tolerance * 1.0001, "{solver}: {off:.1e}"),
                }
                *(if depth == DEPTH { &mut rejected } else { &mut kept }) += 1;
            }
        }
        assert!(kept >= 2 && rejected >= 2, "{solver}: {kept} kept, {rejected} rejected at {tolerance}");
    }
}

#[test]
fn a_draft_that_ran_to_the_end_is_its_own_check() {
    let _alone = alone();
    let model = model();
    for (solver, tolerance) in SOLVERS.into_iter().zip([0.0, 0.1, f64::INFINITY].into_iter().cycle()) {
        let full = || two_sigma_model::with_solver(&model, solver).with_exit(Full);
        let verified = draw(&full().with_verify(verify(3, tolerance)), &request(2));
        for (ours, full) in verified.iter().zip(&draw(&full(), &request(2))) {
            assert_eq!(ours.sample.x, full.sample.x, "{solver}");
            assert_eq!(ours.sample.cost, full.sample.full_cost, "{solver}");
            assert_eq!(ours.sample.accepted, ours.sample.drafted, "{solver}");
        }
    }
}

#[test]
fn all_that_is_run_is_counted() {
    let _alone = alone();
    let model = model();
    let sampler = two_sigma_model::sampler(&model).with_exit(Fixed { depth: 1 });
    // Five evaluations: three drafts make one step at a time, then two, then one.
    let sample = &draw(&sampler.with_verify(verify(3, 0.0)), &request(1))[0].sample;
    assert_eq!((sample.drafted, sample.accepted), (3 + 3 + 3 + 2 + 1, 0));
    assert!((sample.cost - 12.0 * (1.0 + 1.0 / DEPTH as f64)).abs() < 1e-9, "{}", sample.cost);
    assert_eq!(sample.full_cost, STEPS as f64);
    let sampler = two_sigma_model::sampler(&model).with_exit(Fixed { depth: 1 });
    let outcome = sampler
        .with_guidance(Guidance::scale(2.0))
        .with_verify(verify(2, f64::INFINITY))
        .sample(&request(2), &mut ())
        .unwrap();
    assert_eq!(outcome.acceptance(), 1.0);
    assert!((outcome.cost_share() - (1.0 + 1.0 / DEPTH as f64)).abs() < 1e-9, "{}", outcome.cost_share());
}

// ---- what is remembered

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

// ---- what cannot be

#[test]
fn what_cannot_be_verified_is_refused_by_name() {
    let _alone = alone();
    let model = model();
    let refused = |solver: &str, verify: Verify| {
        let sampler = two_sigma_model::with_solver(&model, solver).with_verify(verify);
        match sampler.sample(&request(1), &mut ()) {
            Err(Error::Verify(error)) => error,
            other => panic!("{solver}, {verify:?}: {other:?}"),
        }
    };
    assert_eq!(refused("ddim", verify(0, 0.1)), VerifyError::Steps);
    assert_eq!(refused("ddim", verify(1, -0.1)), VerifyError::Tolerance { got: -0.1 });
    assert!(matches!(refused("ddim", verify(1, f64::NAN)), VerifyError::Tolerance { .. }));
    for solver in ["ddpm", "ddim:eta=0.5", "euler-ancestral", "dpm-solver++2m-sde"] {
        let error = refused(solver, verify(2, 0.1));
        assert_eq!(error, VerifyError::Stochastic { solver: solver.into() });
        assert!(error.to_string().contains(solver) && Error::from(error).is_bad_input());
    }
    #[cfg(feature = "diffusers")]
    assert_eq!(
        refused("diffusers:euler", verify(2, 0.1)),
        VerifyError::Lockstep { solver: "diffusers:euler".into() }
    );
}

#[test]
fn an_observer_that_breaks_off_is_heard() {
    let _alone = alone();
    let sampler = two_sigma_model::sampler(&model()).with_exit(Fixed { depth: 1 }).with_batch(2);
    let mut heard = 0;
    let outcome = sampler.with_verify(verify(3, f64::INFINITY)).sample(&request(2), &mut |_: &Event| {
        heard += 1;
        if heard == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let Outcome { samples, cancelled, .. } = outcome.unwrap();
    assert!(cancelled && samples.is_empty());
    assert_eq!(heard, 2);
}

// ---- trained exits

#[test]
fn trained_exits_are_kept_in_part_and_the_error_shrinks_with_the_tolerance() {
    let model = Model::open("weights/fashion-dit-exits").unwrap();
    let exit = offramp::exit::Schedule::read("schedules/fashion-dit-exits/swift.json").unwrap();
    let sampler = |guidance: f64, batch: usize| {
        Sampler::new(model.share())
            .with_solver("dpm-solver++2m".parse().unwrap(), 10)
            .with_guidance(Guidance::scale(guidance))
            .with_batch(batch)
            .with_threads(2)
    };
    for guidance in [1.0, 1.5] {
        let request = Request::classes([0, 3, 5, 7, 8, 9], 40);
        let full = draw(&sampler(guidance, 6), &request);
        let with = |tolerance: f64, batch: usize| {
            draw(
                &sampler(guidance, batch).with_exit(exit.clone()).with_verify(verify(3, tolerance)),
                &request,
            )
        };
        let error = |drawn: &[Drawn]| {
            let off = drawn.iter().zip(&full).map(|(a, b)| (&a.sample.x - &b.sample.x).square());
            off.map(|off| off.mean(Kind::Double).double_value(&[])).sum::<f64>().sqrt()
        };
        let (loose, half, tight) = (with(f64::INFINITY, 6), with(0.01, 6), with(0.0, 6));
        for (tight, full) in tight.iter().zip(&full) {
            assert_close(&tight.sample, &full.sample, "τ = 0");
        }
        let plan = plan(&model, "dpm-solver++2m", 10);
        for d in &loose {
            println!("{:.4?}", deviations(&model, &plan, Guidance::scale(guidance), d));
        }
        for d in &half {
            println!("{:?}", d.sample.depths);
        }
        let early = |drawn: &Drawn| drawn.sample.depths.iter().filter(|&&d| d < 12).count();
        let kept: usize = half.iter().map(early).sum();
        let most: usize = loose.iter().map(early).sum();
        assert!(kept > 0 && kept < most, "{kept} of {most} kept");
        let errors = [error(&tight), error(&half), error(&loose)];
        assert!(errors[0] < 1e-3 && errors[0] < errors[1] && errors[1] < errors[2], "{errors:?}");
        // Images keep prefixes of their own.
        assert!(half.iter().any(|image| image.sample.depths != half[0].sample.depths));
        for (a, b) in half.iter().zip(&with(0.01, 1)) {
            assert_eq!(a.sample.depths, b.sample.depths, "image {}", a.sample.image);
            assert_close(&a.sample, &b.sample, "a batch and its singles");
        }
    }
}
