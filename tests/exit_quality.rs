//! The quality of trained exits: the table against a pass put together by hand, and `offramp exits`, on a tiny
//! network whose exits are random.

mod tiny_model;

use std::collections::BTreeMap;
use std::io::Cursor;
use std::ops::ControlFlow;

use ndarray::{Array1, Array3, Array4};
use ndarray_npy::NpzWriter;
use offramp::Model;
use offramp::backbone::{Input, State};
use offramp::data::{TrainingSet, Wanted};
use offramp::digest::sha256_of;
use offramp::evaluate::exits::{ExitTable, HeldOut, SignalKind, Subject};
use offramp::evaluate::{Bootstrap, EvaluateError, exits::ExitQuality};
use offramp::learned::{
    EstimatorConfig, EstimatorKind, GateConfig, HeadKind, LearnedConfig, LearnedExits, Target, VERSION,
};
use offramp::noise::{Draw, standard_normal};
use serde_json::Value;
use tch::{Kind, Tensor};
use tiny_model::{DEPTH, LABELS, Run, SIZE, Workplace};

const POINTS: [usize; 2] = [1, 2];

/// A workplace with random exits and 12 images.
fn workplace(estimator: Option<EstimatorKind>, gate: bool) -> Workplace {
    let place = Workplace::new();
    let config = LearnedConfig {
        version: VERSION,
        weights_sha256: sha256_of(&place.path("weights/tiny/model.safetensors")).unwrap(),
        width: 32,
        grid: [2, 2],
        patch_outputs: 16,
        points: POINTS.into(),
        heads: HeadKind::Linear,
        estimator: estimator.map(|kind| EstimatorConfig::new(kind, Target::Full)),
        gate: gate.then_some(GateConfig { hidden: 8 }),
    };
    let tensors: BTreeMap<String, Tensor> = LearnedExits::shapes(&config)
        .into_iter()
        .map(|(name, shape)| {
            let bytes = tiny_model::random(&name, shape.clone()).bytes;
            let shape: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
            (name, Tensor::from_data_size(&bytes, &shape, Kind::Float))
        })
        .collect();
    LearnedExits::assemble(config, &tensors)
        .unwrap()
        .write(&place.path("weights/tiny/exits.safetensors"))
        .unwrap();
    images(&place, "images.npz", 12, SIZE);
    place
}

/// An `.npz` of random images with labels.
fn images(place: &Workplace, name: &str, n: usize, size: usize) {
    let pixels = tiny_model::random(name, vec![n * size * size]).bytes;
    let pixels = Array3::from_shape_fn((n, size, size), |(i, y, x)| pixels[4 * ((i * size + y) * size + x)]);
    let labels: Array1<i64> = (0..n as i64).map(|i| i % LABELS.len() as i64).collect();
    let mut npz = NpzWriter::new(Cursor::new(vec![]));
    npz.add_array("arr_0", &pixels).unwrap();
    npz.add_array("arr_1", &labels).unwrap();
    place.write(name, npz.finish().unwrap().into_inner());
}

fn data(place: &Workplace) -> TrainingSet {
    let wanted = Wanted { shape: [1, SIZE, SIZE], classes: LABELS.len() };
    TrainingSet::open(place.path("images.npz").to_str().unwrap(), &wanted).unwrap()
}

fn subject(model: &Model) -> Subject<'_> {
    Subject {
        backbone: &*model.backbone,
        exits: model.exits.as_ref().unwrap(),
        diffusion: &model.diffusion,
        value_range: model.config.value_range,
    }
}

fn open(place: &Workplace) -> Model {
    Model::open(place.path("weights/tiny")).unwrap()
}

fn table(place: &Workplace, held_out: HeldOut) -> ExitTable {
    let model = open(place);
    held_out.table(subject(&model), &data(place), &mut |_, _| ControlFlow::Continue(())).unwrap()
}

const HELD_OUT: HeldOut = HeldOut { count: 10, times: 4, seed: 7, batch: 4, threads: 2 };

/// All arrays of a table.
fn arrays(table: &ExitTable) -> Vec<Array3<f64>> {
    let errors = [&table.noise_error, &table.full_error, &table.distance].map(Array3::clone);
    errors.into_iter().chain(table.signals.iter().map(|s| s.u.clone())).collect()
}

#[test]
fn the_table_is_that_of_single_images_passed_by_hand() {
    let place = workplace(Some(EstimatorKind::Released), true);
    let found = table(&place, HELD_OUT);
    assert_eq!(found.times, [125.0, 375.0, 625.0, 875.0]);
    assert_eq!((&found.points[..], found.depth, found.images()), (&POINTS[..], DEPTH, 10));
    assert_eq!(found.costs, [1.0 / 3.0, 2.0 / 3.0]);
    assert_eq!(
        found.signals.iter().map(|s| s.kind).collect::<Vec<_>>(),
        [SignalKind::Certainty, SignalKind::Gate]
    );

    let _no_grad = tch::no_grad_guard();
    let (model, data) = (open(&place), data(&place));
    let (backbone, exits) = (&model.backbone, model.exits.as_ref().unwrap());
    let near = |got: f64, expected: f64, what: &str| {
        assert!(
            (got - expected).abs() <= 1e-5 * expected.abs().max(0.1),
            "{what}: {got}, by hand {expected}"
        );
    };
    for (k, j) in [(0, 0), (1, 9), (3, 4)] {
        let t = found.times[k];
        let bar = model.diffusion.alphas_cumprod()[t as usize];
        let pixels: Vec<f32> = data.image(j).iter().map(|&p| f32::from(p) / 127.5 - 1.0).collect();
        let clean = Tensor::from_slice(&pixels).view([1, 1, SIZE as i64, SIZE as i64]);
        let noise =
            standard_normal(7 + j as u64, Draw::Evaluation(t as usize), [1, SIZE as i64, SIZE as i64]);
        let noise = noise.unwrap().unsqueeze(0);
        let x: Tensor = clean * bar.sqrt() + &noise * (1.0 - bar).sqrt();
        let (t, class) = (Tensor::from_slice(&[t as f32]), Tensor::from_slice(&[data.labels[j]]));
        let mut state = backbone.begin(&Input { x: &x, t: &t, class: &class }).unwrap();
        let mut states = vec![];
        for i in 0..DEPTH {
            backbone.block(i, &mut state).unwrap();
            states.push(state.share());
        }
        let full = backbone.finish(DEPTH, states.pop().unwrap()).unwrap();
        let mean = |x: Tensor| x.mean(Kind::Double).double_value(&[]);
        near(found.noise_error[[k, 2, j]], mean((&full - &noise).square()), "(g_N − ε)²");
        for (p, state) in states.into_iter().enumerate() {
            let depth = p + 1;
            let certainty =
                mean(exits.estimator(depth).unwrap().per_token(&state.hidden, &state.temb).unwrap());
            let gate = exits.gate(depth).unwrap().logit(&state.hidden, &state.temb).unwrap();
            let hidden = exits.head(depth).unwrap().forward(&state.hidden).unwrap();
            let g = backbone.finish(depth, State { hidden, ..state }).unwrap();
            near(found.noise_error[[k, p, j]], mean((&g - &noise).square()), "(g_i − ε)²");
            near(found.full_error[[k, p, j]], mean((&g - &full).square()), "(g_i − g_N)²");
            near(found.distance[[k, p, j]], mean((&g - &full).abs()), "|g_i − g_N|");
            near(found.signals[0].u[[k, p, j]], 1.0 - certainty, "1 − c");
            near(found.signals[1].u[[k, p, j]], 1.0 - mean(gate.sigmoid()), "1 − λ");
        }
    }
}

#[test]
fn threads_change_nothing_and_batches_no_more_than_rounding() {
    let place = workplace(Some(EstimatorKind::Paper), false);
    let once = arrays(&table(&place, HELD_OUT));
    assert_eq!(once, arrays(&table(&place, HeldOut { threads: 3, ..HELD_OUT })));
    for (a, b) in once.iter().zip(arrays(&table(&place, HeldOut { batch: 10, ..HELD_OUT }))) {
        assert!((a - &b).iter().all(|d| d.abs() < 1e-5));
    }
    let other = arrays(&table(&place, HeldOut { seed: 8, ..HELD_OUT }));
    assert!(once.iter().zip(&other).all(|(a, b)| a != b), "another seed is other noise");
}

#[test]
fn a_run_can_be_stopped() {
    let place = workplace(Some(EstimatorKind::Paper), false);
    let model = open(&place);
    let mut heard = vec![];
    let stopped = HELD_OUT.table(subject(&model), &data(&place), &mut |done, count| {
        heard.push((done, count));
        if done >= 10 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(stopped, Err(EvaluateError::Stopped { done: 10..14, count: 40 })), "{stopped:?}");
    assert!(heard.iter().all(|&(_, count)| count == 40) && heard.is_sorted());
}

#[test]
fn outputs_that_are_not_finite_are_refused() {
    let place = workplace(Some(EstimatorKind::Paper), false);
    let model = open(&place);
    let subject = Subject { value_range: [-1.0, 1e30], ..subject(&model) };
    let refused = HELD_OUT.table(subject, &data(&place), &mut |_, _| ControlFlow::Continue(()));
    assert!(matches!(refused, Err(EvaluateError::ExitsNotFinite { .. })), "{refused:?}");
}

const SMALL: &str = "exits tiny --data images.npz --count 10 --times 4 --seed 7 --batch 4 --threads 2";

#[test]
fn json_has_the_librarys_numbers() {
    let place = workplace(Some(EstimatorKind::Paper), true);
    let run = Run::ok(&mut place.command(&format!("{SMALL} --json --threshold 0.5,0.55")));
    let [line] = &run.json_lines()[..] else { panic!("{run:?}") };
    let bootstrap = Bootstrap { seed: 7, ..Bootstrap::default() };
    let quality = ExitQuality::of(&table(&place, HELD_OUT), &[0.5, 0.55], bootstrap);
    // Through text, so that both have been rounded alike.
    let expected: Value = serde_json::from_str(&serde_json::to_string(&quality).unwrap()).unwrap();
    assert_eq!(line["quality"], expected);
    assert_eq!(
        (&line["event"], &line["weights"], &line["seed"]),
        (&"exits".into(), &"tiny".into(), &7.into())
    );
    assert_eq!(line["exits"]["points"], serde_json::json!(POINTS));
    let signals = expected["signals"].as_array().unwrap();
    assert_eq!([&signals[0]["signal"], &signals[1]["signal"]], ["uncertainty", "gate"]);
    assert_eq!(signals[0]["at_thresholds"].as_array().unwrap().len(), 2);
    let within = signals[0]["within"]["spearman"]["value"].as_f64().unwrap();
    assert!((within - quality.signals[0].knowledge.within.unwrap().spearman.value).abs() < 1e-12);
}

#[test]
fn markdown_has_every_table_whole() {
    let place = workplace(Some(EstimatorKind::Paper), true);
    let run = Run::ok(&mut place.command(&format!("{SMALL} --threshold 0.5")));
    let text = &run.stdout;
    for words in [
        "### Exits of tiny",
        "`offramp exits tiny --data images.npz --count 10 --times 4 --seed 7 --batch 4 --threshold 0.5`",
        "10 images of images.npz, noised at 4 times, run to the end of all 3 blocks",
        "linear heads; paper estimator (uncertainty of |g_i − g_N|); gate 8 wide",
        "What the estimator's uncertainty knows",
        "What one minus the gate's probability of leaving knows",
        "`uncertainty:0.5`",
        "`gate:0.5`",
    ] {
        assert!(text.contains(words), "no {words:?} in\n{text}");
    }
    // In every table all rows have the columns of the first.
    let tables = text.split("\n\n").filter(|part| part.starts_with('|'));
    let rows: Vec<Vec<usize>> =
        tables.map(|t| t.trim_end().lines().map(|l| l.matches('|').count()).collect()).collect();
    assert_eq!(rows.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5, 4, 8, 4, 8], "{text}");
    assert!(rows.iter().all(|t| t.iter().all(|columns| *columns == t[0])), "{text}");
}

#[test]
fn an_estimator_that_says_the_same_everywhere_is_a_schedule() {
    let place = workplace(Some(EstimatorKind::Paper), false);
    let file = place.path("weights/tiny/exits.safetensors");
    let trained = LearnedExits::read(&file, DEPTH, &open(&place).sha256).unwrap();
    LearnedExits::init(trained.config().clone(), 0).unwrap().write(&file).unwrap();
    let run = Run::ok(&mut place.command(&format!("{SMALL} --threshold 0.6")));
    for words in ["At equal times it is the same for all images", "~0 means it is a schedule"] {
        assert!(run.stdout.contains(words), "no {words:?} in\n{}", run.stdout);
    }
    // It says ½: all leave at the first exit, by any threshold above.
    assert!(run.stdout.contains("| `uncertainty:0.6` | 0.333 | 1.00 | 0.00 | – |"), "{}", run.stdout);
}

#[test]
fn bad_input_is_refused() {
    let place = workplace(Some(EstimatorKind::Paper), false);
    images(&place, "large.npz", 4, SIZE + 4);
    images(&place, "one.npz", 1, SIZE);
    let mut npz = NpzWriter::new(Cursor::new(vec![]));
    npz.add_array("arr_0", &Array4::<u8>::zeros((2, SIZE, SIZE, 1))).unwrap();
    npz.add_array("arr_1", &Array1::<i64>::from_elem(2, 9)).unwrap();
    place.write("labels.npz", npz.finish().unwrap().into_inner());
    let with = |option: &str, value: &str| {
        let words: Vec<&str> = SMALL.split(' ').collect();
        let at = words.iter().position(|w| *w == option).unwrap();
        [&words[..at + 1], &[value], &words[at + 2..]].concat().join(" ")
    };
    for (words, mentions) in [
        (with("--count", "0"), ["count 0", "2 images"]),
        (with("--count", "1"), ["count 1", "2 images"]),
        (with("--times", "0"), ["times 0", "at least 1"]),
        (with("--times", "1001"), ["times 1001", "1000"]),
        (with("--batch", "0"), ["--batch 0", "1 to"]),
        (with("--threads", "0"), ["--threads 0", "1 to"]),
        (with("--data", "large.npz"), ["large.npz", "12"]),
        (with("--data", "labels.npz"), ["labels.npz", "9"]),
        (with("--data", "one.npz"), ["one.npz", "at least 2"]),
        (with("--data", "nowhere.npz"), ["nowhere.npz", "no such"]),
        (format!("{SMALL} --threshold 1.5"), ["1.5", "from 0 to 1"]),
        (format!("{SMALL} --threshold NaN"), ["NaN", "from 0 to 1"]),
        ("exits nobody".into(), ["nobody", "no weights"]),
    ] {
        place.refuses(place.command(&words), &mentions);
    }
    std::fs::remove_file(place.path("weights/tiny/exits.safetensors")).unwrap();
    place.refuses(place.command(SMALL), &["weights/tiny", "exits.safetensors", "train exits"]);
}
