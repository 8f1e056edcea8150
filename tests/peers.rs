//! Peers: what goes wrong with one has a name; the real ones draw our images.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use offramp::bench::peer::{PEERS, Peer, PeerError, Program};
use offramp::bench::{Labels, Settings};
use offramp::{Guidance, Model, Request, Sampler};
use tch::Tensor;

fn model() -> Model {
    Model::open("weights/fashion-dit").unwrap()
}

fn settings(solver: &str) -> Settings {
    Settings {
        weights: "fashion-dit".into(),
        weights_sha256: model().sha256,
        exits_sha256: None,
        solver: solver.into(),
        steps: 10,
        exit: "full".into(),
        tail: "head".into(),
        guidance: 1.0,
        batch: 4,
        dtype: "f32".into(),
        threads: 2,
        n: 8,
        seed: 40,
        labels: Labels::Balanced,
    }
}

/// A shell script in the place of Python.
fn fake(folder: &tempfile::TempDir, script: &str) -> Program {
    let file = folder.path().join("peer.sh");
    fs::write(&file, script).unwrap();
    Program { python: PathBuf::from("/bin/sh"), script: file, timeout: Duration::from_secs(30) }
}

fn refusal(script: &str) -> PeerError {
    let folder = tempfile::tempdir().unwrap();
    let program = fake(&folder, script);
    Peer::start_as(&program, "fake", &model(), &settings("ddim")).unwrap_err()
}

const HELLO: &str = r#"echo '{"torch":"1","diffusers":"1","blocks":12,"exact":true}'"#;

#[test]
fn a_python_that_is_not_there_is_named() {
    let program = Program {
        python: "/nowhere/python".into(),
        script: "scripts/peers/sampler_peer.py".into(),
        timeout: Duration::from_secs(5),
    };
    let error = Peer::start_as(&program, "diffusers-eager", &model(), &settings("ddim")).unwrap_err();
    assert!(matches!(error, PeerError::Spawn { .. }));
    let message = error.to_string();
    assert!(message.contains("/nowhere/python") && message.contains("OFFRAMP_PYTHON"), "{message}");
}

#[test]
fn a_peer_that_dies_leaves_its_last_words() {
    let early = refusal("echo first >&2; echo 'no such module' >&2; exit 3");
    assert!(matches!(early, PeerError::Ended { .. }), "{early}");
    assert!(early.to_string().contains("no such module") && early.to_string().contains('3'), "{early}");
    let later = refusal(&format!("{HELLO}; read order; exit 4"));
    assert!(later.to_string().contains("it said nothing") && later.to_string().contains('4'), "{later}");
}

#[test]
fn a_peer_that_is_silent_is_not_waited_for_forever() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("{HELLO}; exec sleep 60");
    let program = Program { timeout: Duration::from_secs(2), ..fake(&folder, &script) };
    let error = Peer::start_as(&program, "fake", &model(), &settings("ddim")).unwrap_err();
    // Had it been waited for, it would have ended.
    assert!(matches!(&error, PeerError::Timeout { order, .. } if order == "check"), "{error}");
}

#[test]
fn a_peer_that_answers_badly_is_refused() {
    let said = refusal(r#"echo '{"error": "ImportError: no torch"}'"#);
    assert!(matches!(&said, PeerError::Refused { message, .. } if message.contains("no torch")), "{said}");
    for answer in ["Loading weights...", "[1, 2]", "{}", r#"{"torch": 3}"#] {
        let odd = refusal(&format!("echo '{answer}'"));
        assert!(matches!(&odd, PeerError::Answer { answer: got, .. } if got == answer), "{odd}");
    }
}

#[test]
fn a_peer_that_computes_another_function_is_not_timed() {
    let answer = r#"read order; echo '{"difference":2e-5,"compile_seconds":0}'"#;
    let error = refusal(&format!("{HELLO}; while true; do {answer}; done"));
    assert!(matches!(error, PeerError::Forward { difference: 2e-5, .. }), "{error}");
    assert!(error.to_string().contains("2.0e-5"), "{error}");
}

#[test]
fn settings_that_peers_lack_are_refused_before_anything_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let program = fake(&folder, "exit 1");
    let start = |settings: Settings| Peer::start_as(&program, "fake", &model(), &settings).unwrap_err();
    for solver in ["ddpm", "ddim:eta=0.5", "euler-ancestral", "dpm-solver-2", "diffusers:lms"] {
        let error = start(settings(solver));
        assert!(matches!(error, PeerError::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains(solver), "{error}");
    }
    let error = start(Settings { dtype: "bf16".into(), ..settings("ddim") });
    assert!(matches!(error, PeerError::Unsupported { .. }), "{error}");
    assert!(matches!(start(settings("dmp")), PeerError::Solver(_)));
}

/// Our full-depth images of a request, `[n, C, H, W]`.
fn ours(settings: &Settings, request: &Request) -> Tensor {
    let sampler = Sampler::new(model())
        .with_solver(settings.solver.parse().unwrap(), settings.steps)
        .with_guidance(Guidance::scale(settings.guidance))
        .with_batch(settings.batch)
        .with_threads(settings.threads);
    let outcome = sampler.sample(request, &mut ()).unwrap();
    Tensor::stack(&outcome.samples.iter().map(|s| &s.x).collect::<Vec<_>>(), 0)
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

#[test]
#[ignore = "needs the Python that `make peers-python` sets up; compiles a network: minutes"]
fn every_peer_draws() {
    // 10 images are micro-batches of 4, 4 and 2: one process has two of them.
    let request = Request::classes(0..10, 40);
    let settings = settings("dpm-solver++2m");
    let full = ours(&settings, &request);
    for name in PEERS {
        let mut peer = Peer::start(name, &model(), &settings).unwrap_or_else(|e| panic!("{e}"));
        let drawn = peer.draw(&request).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(drawn.images.size(), full.size(), "{name}");
        assert!(drawn.seconds > 0.0 && drawn.peak_rss.is_none_or(|rss| rss > 100 << 20), "{name}");
        assert_eq!(peer.trials().len(), 2, "{name}");
        assert_eq!(peer.trials()[0].arrangement, peer.arrangement(), "{name}");
        let difference = largest_difference(&drawn.images, &full);
        println!("{name}: {difference:.1e} from our images, {} from our forward", peer.forward_difference());
        if peer.is_exact() {
            assert!(difference <= 1e-4, "{name}: {difference:e}");
            assert_eq!((drawn.mean_depth, drawn.cost_share, drawn.taken_depth), (12.0, 1.0, None), "{name}");
        }
        assert_eq!(peer.compile_seconds() > 0.0, name == "diffusers-compile", "{name}");
    }
}

#[test]
#[ignore = "needs the Python that `make peers-python` sets up"]
fn every_solver_is_the_other_programs_too() {
    let request = Request::classes([3, 1, 4, 1, 5], 92);
    for (solver, guidance) in [
        ("ddim", 1.0),
        ("ddim:spacing=trailing", 1.0),
        ("euler", 1.0),
        ("heun", 1.0),
        ("unipc", 1.0),
        ("dpm-solver++1", 1.0),
        ("dpm-solver++3m:spacing=trailing", 1.0),
        ("dpm-solver++2m:final=sigma_min", 2.5),
    ] {
        let settings = Settings { guidance, threads: 1, ..settings(solver) };
        let mut peer = Peer::start("plain-eager", &model(), &settings).unwrap_or_else(|e| panic!("{e}"));
        let drawn = peer.draw(&request).unwrap();
        let difference = largest_difference(&drawn.images, &ours(&settings, &request));
        assert!(difference <= 1e-4, "{solver}, guidance {guidance}: {difference:e}");
    }
}

#[test]
#[ignore = "needs the Python that `make peers-python` sets up"]
fn peers_that_skip_say_how_much() {
    let request = Request::classes(0..8, 40);
    let settings = Settings { threads: 1, ..settings("dpm-solver++2m") };
    let mut depths = vec![];
    for name in ["first-block-cache:threshold=0", "first-block-cache:threshold=0.3"] {
        let drawn = Peer::start(name, &model(), &settings).unwrap().draw(&request).unwrap();
        assert!((drawn.cost_share - drawn.mean_depth / 12.0).abs() < 1e-9);
        depths.push(drawn.mean_depth);
        if depths.len() == 1 {
            // Nothing is below a threshold of zero: the cache is never used, and costs no accuracy.
            assert!(largest_difference(&drawn.images, &ours(&settings, &request)) <= 1e-4);
        }
    }
    assert!(depths[0] == 12.0 && depths[1] > 1.0 && depths[1] < 12.0, "{depths:?}");

    let drawn = Peer::start("adadiff-rule", &model(), &settings).unwrap().draw(&request).unwrap();
    assert_eq!(drawn.mean_depth, 12.0);
    assert!(drawn.taken_depth.is_some_and(|depth| (2.0..12.0).contains(&depth)));

    let unknown = Peer::start("diffusers-slow", &model(), &settings).unwrap_err().to_string();
    assert!(unknown.contains("diffusers-slow") && unknown.contains("known are"), "{unknown}");
    let option = Peer::start("plain-eager:threshold=1", &model(), &settings).unwrap_err().to_string();
    assert!(option.contains("no option"), "{option}");
}
