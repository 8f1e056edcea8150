//! An image's neighbours decide nothing, for every rule and tail: a batch, its permutation, its singles and other
//! batches with the same image in them agree.
//!
//! Depths must be equal wherever no score of the evaluation lies within 1e-4·max(θ, 0.01) of the threshold, images to
//! 1e-4 where depths are; such near ties are counted.

mod listening_exit;
mod six_blocks;

use listening_exit::{Judged, Listening};
use offramp::noise::{Draw, standard_normal};
use offramp::{Guidance, Request, Sample};
use six_blocks::{CHW, DEPTH, IN_THE_MIDDLE, SixBlocks};
use tch::Tensor;

const STEPS: usize = 4;
const CLASSES: [i64; 5] = [0, 3, 1, 2, 3];
const ORDER: [usize; 5] = [3, 0, 4, 2, 1];
const TAILS: [&str; 6] = ["head", "heads", "residual", "forecast:1", "forecast:2,over=heads", "forecast:3"];
/// Rules with a hole for the threshold, and a threshold at which they let nothing go. Whether it is what is told of in
/// traces, or one minus that.
const RULES: [(&str, &str, bool); 6] = [
    ("uncertainty:", "0", false),
    ("gate:", "1", true),
    ("gate:q=", "1", true),
    ("similarity:", "1", true),
    ("change:", "0", false),
    ("patience:2,change=", "1e-30", false),
];

/// Images in a batch by their places among [`CLASSES`], from noise of their own.
struct Batch<'a> {
    place: &'a SixBlocks,
    exit: &'a str,
    tail: &'a str,
    guidance: Guidance,
}

impl Batch<'_> {
    fn draw(&self, images: &[usize]) -> (Vec<Sample>, Vec<Judged>) {
        let noise = |&k: &usize| standard_normal(60 + k as u64, Draw::Initial, CHW).unwrap();
        let noise = Tensor::stack(&images.iter().map(noise).collect::<Vec<_>>(), 0);
        let classes = images.iter().map(|&k| CLASSES[k % CLASSES.len()]);
        let request = Request::classes(classes, 0).with_noise(noise);
        let (exit, log) = Listening::to(self.place.exit(self.exit));
        let sampler = self.place.sampler(exit, self.tail, "dpm-solver++2m", STEPS);
        let samples = sampler.with_guidance(self.guidance).sample(&request, &mut ()).unwrap().samples;
        let verdicts = std::mem::take(&mut log.lock().unwrap().verdicts);
        (samples, verdicts)
    }
}

/// What the rules say in a full run, sorted.
fn scores(batch: &Batch) -> Vec<f32> {
    let (samples, said) = batch.draw(&[0, 1, 2, 3, 4]);
    assert!(samples.iter().all(|s| s.depths == [DEPTH; STEPS]), "{} lets go", batch.exit);
    let mut said: Vec<f32> = said.iter().map(|j| j.verdict.uncertainty).filter(|u| u.is_finite()).collect();
    said.sort_by(f32::total_cmp);
    said
}

/// The first evaluation at which a score, of any image, is a near tie; and how many there are.
fn near_ties(said: &[Judged], limit: Option<f64>) -> (usize, usize) {
    let Some(limit) = limit else { return (usize::MAX, 0) };
    let near = |j: &&Judged| (f64::from(j.verdict.uncertainty) - limit).abs() <= 1e-4 * limit.abs().max(0.01);
    let near: Vec<&Judged> = said.iter().filter(near).collect();
    (near.iter().map(|j| j.evaluation).min().unwrap_or(usize::MAX), near.len())
}

fn agree(a: &Sample, b: &Sample, tie: usize, what: &str) {
    let parted = (0..STEPS).find(|&e| a.depths[e] != b.depths[e]);
    match parted {
        Some(e) => assert!(tie <= e, "{what}: {:?} and {:?}", a.depths, b.depths),
        None => {
            let far = (&a.x - &b.x).abs().max().double_value(&[]);
            assert!(far <= 1e-4, "{what}: {far:.1e}");
        }
    }
}

/// Draws the batch, its permutation, its singles and batches of other neighbours; how many scores there were, how many
/// near ties, and at how many evaluations the images of the batch went to different depths.
fn check(batch: &Batch, limit: Option<f64>) -> [usize; 3] {
    let what = format!("{}, {}, guidance {:?}", batch.exit, batch.tail, batch.guidance);
    let (together, said) = batch.draw(&[0, 1, 2, 3, 4]);
    let (tie, near) = near_ties(&said, limit);
    let (permuted, _) = batch.draw(&ORDER);
    for (place, &k) in ORDER.iter().enumerate() {
        agree(&permuted[place], &together[k], tie, &format!("{what}, image {k} at {place}"));
    }
    for (k, sample) in together.iter().enumerate() {
        let (single, said) = batch.draw(&[k]);
        let tie = tie.min(near_ties(&said, limit).0);
        agree(&single[0], sample, tie, &format!("{what}, image {k} alone"));
    }
    for others in [[7, 0, 11, 12, 6], [21, 0, 0, 29, 35]] {
        let (among, said) = batch.draw(&others);
        let tie = tie.min(near_ties(&said, limit).0);
        agree(&among[1], &together[0], tie, &format!("{what}, image 0 among {others:?}"));
    }
    let parts = |e: &usize| together.iter().any(|s| s.depths[*e] != together[0].depths[*e]);
    [said.len(), near, (0..STEPS).filter(parts).count()]
}

#[test]
fn neighbours_decide_nothing() {
    let place = SixBlocks::new();
    let [mut said, mut near] = [0, 0];
    for (rule, never, inverse) in RULES {
        let mut parted = 0;
        for tail in TAILS {
            for (guidance, share) in [(Guidance::NONE, 0.35), (IN_THE_MIDDLE, 0.5)] {
                let exit = format!("{rule}{never}");
                let seen = scores(&Batch { place: &place, exit: &exit, tail, guidance });
                let at = (seen.len() as f64 * share) as usize;
                let limit = f64::from(seen[at] + seen[at + 1]) / 2.0;
                let exit = format!("{rule}{}", if inverse { 1.0 - limit } else { limit });
                let batch = Batch { place: &place, exit: &exit, tail, guidance };
                let found = check(&batch, Some(limit));
                said += found[0];
                near += found[1];
                parted += found[2];
            }
        }
        assert!(parted >= 6, "{rule}: the batches part at {parted} evaluations only");
    }
    println!("{near} near ties among {said} scores");
    assert!(said > 3000 && 1000 * near < said, "{near} near ties among {said} scores");
}

#[test]
fn neighbours_decide_nothing_where_time_decides() {
    let place = SixBlocks::new();
    for exit in ["schedule:stairs", "schedule:hill,cap=1", "fixed:2,warmup=1", "full"] {
        for tail in TAILS {
            for guidance in [Guidance::NONE, IN_THE_MIDDLE] {
                check(&Batch { place: &place, exit, tail, guidance }, None);
            }
        }
    }
}
