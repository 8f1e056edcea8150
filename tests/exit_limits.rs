//! Limits around a rule (`min`, `max`, `warmup`, `cap`, `only`, `pair`) against what they say, written down straight:
//! no depth lies outside them, and where the rule's word is known, it is exactly the one that they leave.

mod listening_exit;
mod six_blocks;

use listening_exit::Listening;
use offramp::{Guidance, Request};
use proptest::prelude::*;
use six_blocks::{DEPTH, IN_THE_MIDDLE, SixBlocks, draw};

const STEPS: usize = 8;
const CLASSES: [i64; 3] = [3, 0, 1];

/// The schedules of the network, by hand.
fn scheduled(name: &str, t: f64) -> usize {
    match name {
        "stairs" if t < 300.0 => 5,
        "stairs" if t < 600.5 => 3,
        "stairs" => 2,
        _ if t < 450.0 => 2,
        _ if t < 800.0 => 6,
        _ => 4,
    }
}

/// A bound as typed: a number or a schedule.
fn edge(typed: &str, t: f64) -> usize {
    typed.parse().unwrap_or_else(|_| scheduled(typed, t))
}

#[derive(Debug, Clone)]
struct Limits {
    min: Option<String>,
    max: Option<String>,
    warmup: usize,
    cap: Option<usize>,
    /// The first and last evaluation that may leave early.
    only: Option<(usize, usize)>,
    pair: &'static str,
}

impl Limits {
    fn typed(&self) -> String {
        let mut typed = String::new();
        let mut option = |key: &str, value: Option<String>| {
            typed += &value.map(|value| format!(",{key}={value}")).unwrap_or_default();
        };
        option("min", self.min.clone());
        option("max", self.max.clone());
        option("warmup", Some(self.warmup).filter(|&w| w > 0).map(|w| w.to_string()));
        option("cap", self.cap.map(|c| c.to_string()));
        option("only", self.only.map(|(first, last)| format!("{first}-{last}")));
        option("pair", Some(self.pair.into()));
        typed
    }

    fn bounds(&self, t: f64) -> (usize, usize) {
        let at = |typed: &Option<String>, default| typed.as_ref().map_or(default, |typed| edge(typed, t));
        let min = at(&self.min, 1);
        (min, at(&self.max, DEPTH).max(min))
    }

    /// Whether an evaluation must run to the end, after so many early ones in a row.
    fn held(&self, evaluation: usize, early: usize) -> bool {
        let masked = self.only.is_some_and(|(first, last)| !(first..=last).contains(&evaluation));
        evaluation < self.warmup || self.cap.is_some_and(|cap| early >= cap) || masked
    }

    /// What the rule comes to between the bounds, where that is known.
    fn wanted(&self, rule: &str, t: f64) -> Option<usize> {
        let (min, max) = self.bounds(t);
        let depth = match rule.split_once(':') {
            None => DEPTH,
            Some(("fixed", depth)) => depth.parse().unwrap(),
            Some(("schedule", name)) => scheduled(name, t),
            Some(("uncertainty" | "gate", "0" | "1" | "q=1")) if never(rule) => DEPTH,
            Some(("uncertainty" | "gate", "0" | "1")) => 1,
            _ => return None,
        };
        Some(depth.clamp(min, max))
    }
}

fn never(rule: &str) -> bool {
    ["uncertainty:0", "gate:1", "gate:q=1"].contains(&rule)
}

fn check(place: &SixBlocks, rule: &str, limits: &Limits, tail: &str, guidance: Guidance, seed: u64) {
    let typed = format!("{rule}{}", limits.typed());
    let (exit, log) = Listening::to(place.exit(&typed));
    let sampler = place.sampler(exit, tail, "dpm-solver++2m", STEPS).with_guidance(guidance);
    let times: Vec<f64> =
        sampler.evaluations(&Request::classes([0], 0)).unwrap().iter().map(|e| e.node.t).collect();
    let samples = draw(&sampler, &CLASSES, seed).samples;
    let departures = std::mem::take(&mut log.lock().unwrap().departures);
    let remembers = tail != "head" && tail != "heads";
    for (k, sample) in samples.iter().enumerate() {
        let what = format!("{typed}, {tail}, image {k}: {:?}", sample.depths);
        let (mut early, mut learned) = (0, [!remembers; 2]);
        for (e, &t) in times.iter().enumerate() {
            let halves = &departures[e * CLASSES.len() + k];
            assert_eq!(halves.len(), 1 + usize::from(guidance.acts_at(t)), "{what}");
            assert_eq!(sample.depths[e], *halves.iter().max().unwrap(), "{what}");
            let apart = limits.pair == "apart";
            assert!(apart || halves.iter().all(|d| *d == halves[0]), "{what}: {halves:?}");
            let (min, max) = limits.bounds(t);
            let all_learned = learned[..halves.len()].iter().all(|&learned| learned);
            for (half, &depth) in halves.iter().enumerate() {
                let ready = if apart { learned[half] } else { all_learned };
                if limits.held(e, early) || !ready {
                    assert_eq!(depth, DEPTH, "{what}: evaluation {e} must run to the end");
                    continue;
                }
                assert!((min..=max).contains(&depth), "{what}: evaluation {e} outside {min}..={max}");
                if let Some(wanted) = limits.wanted(rule, t) {
                    assert_eq!(depth, wanted, "{what}: evaluation {e}, half {half}");
                }
            }
            early = if halves.iter().any(|&depth| depth < DEPTH) { early + 1 } else { 0 };
            for (half, &depth) in halves.iter().enumerate() {
                learned[half] |= depth == DEPTH;
            }
        }
    }
}

fn bound() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        2 => Just(None),
        3 => (1..=DEPTH).prop_map(|depth| Some(depth.to_string())),
        2 => prop::sample::select(vec!["stairs", "hill"]).prop_map(|name| Some(name.into())),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    let only = prop::option::of((0..STEPS, 0..STEPS).prop_map(|(a, b)| (a.min(b), a.max(b))));
    let pair = prop::sample::select(vec!["max", "mean", "cond", "apart"]);
    (bound(), bound(), 0usize..4, prop::option::of(1usize..4), only, pair).prop_map(
        |(min, mut max, warmup, cap, only, pair)| {
            // Numbers the wrong way round are refused; schedules may cross.
            if let (Some(Ok(least)), Some(Ok(most))) =
                (min.as_ref().map(|m| m.parse::<usize>()), max.as_ref().map(|m| m.parse::<usize>()))
                && least > most
            {
                max = None;
            }
            Limits { min, max, warmup, cap, only, pair }
        },
    )
}

const RULES: [&str; 16] = [
    "full",
    "fixed:1",
    "fixed:4",
    "schedule:stairs",
    "schedule:hill",
    "uncertainty:0",
    "uncertainty:1",
    "uncertainty:0.5",
    "gate:0",
    "gate:1",
    "gate:0.5",
    "gate:q=0.7",
    "similarity:0.98",
    "change:inf",
    "change:0.5,after=2",
    "patience:1,change=0.3",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn no_depth_lies_outside_the_limits(
        rule in prop::sample::select(RULES.to_vec()),
        limits in limits(),
        tail in prop::sample::select(vec!["head", "heads", "residual", "forecast:2,over=heads"]),
        guidance in prop::sample::select(vec![Guidance::NONE, Guidance::scale(2.0), IN_THE_MIDDLE]),
        seed in any::<u32>(),
    ) {
        check(&SixBlocks::new(), rule, &limits, tail, guidance, seed.into());
    }
}

#[test]
fn where_the_limits_cross_the_least_depth_holds() {
    let place = SixBlocks::new();
    for rule in RULES {
        let (min, max) = (Some("hill".into()), Some("stairs".into()));
        let limits = Limits { min, max, warmup: 0, cap: None, only: None, pair: "max" };
        check(&place, rule, &limits, "head", Guidance::NONE, 1);
        check(&place, rule, &limits, "residual", IN_THE_MIDDLE, 1);
    }
}
