//! From arguments to sets and extractors that fit each other; all that can be refused is refused here.

use offramp::evaluate::{
    Bootstrap, EvaluateError, Extraction, KidOptions, ManifoldOptions, MetricError, Shard, Source,
};
use offramp::extract::Identity;

use super::args::{Args, Metric};
use super::report::Set;
use crate::cli::features::{self, Chosen};
use crate::cli::{Failure, target};

/// Every resample keeps a number an image, and every subset costs time; more of them say no more.
const MOST_DRAWS: usize = 10_000;

/// A set and its name as typed.
pub struct Side {
    pub name: String,
    pub source: Source,
}

/// Everything that is needed to begin.
pub struct Evaluation {
    pub a: Side,
    pub b: Side,
    pub against: Option<Side>,
    /// None for statistics alone.
    pub extractors: Vec<Chosen>,
    pub extraction: Extraction,
    pub kid: KidOptions,
    pub manifold: ManifoldOptions,
    pub bootstrap: Bootstrap,
    /// What was asked for by name; nothing is everything.
    pub metrics: Vec<Metric>,
    /// Pair by order.
    pub by_order: bool,
    /// No progress.
    pub silent: bool,
}

impl Evaluation {
    pub fn prepare(args: Args) -> Result<Self, Failure> {
        if let Some(file) = &args.out {
            target::check(file, None)?;
        }
        for (option, draws) in [("--resamples", args.resamples), ("--kid-subsets", args.kid_subsets)] {
            if !(1..=MOST_DRAWS).contains(&draws) {
                return Err(Failure::option(option, draws, format!("it must be 1 to {MOST_DRAWS}")));
            }
        }
        for (option, k) in [("--k", args.k), ("--k-density", args.k_density)] {
            if k == 0 {
                return Err(Failure::option(option, k, "it must be at least 1"));
            }
        }
        let extraction = features::extraction(args.batch, args.threads, Shard::WHOLE)?;
        let (a, b) = (Side::open(&args.a)?, Side::open(&args.b)?);
        let against = args.against.as_deref().map(Side::open).transpose()?;
        let sides: Vec<&Side> = [&a, &b].into_iter().chain(&against).collect();
        let smallest = sides.iter().filter_map(|s| s.images()).map(|i| i.len()).min();
        if let (Some(size), Some(n)) = (args.kid_size, smallest)
            && !(2..=n).contains(&size)
        {
            return Err(Failure::option(
                "--kid-size",
                size,
                format!("it must be 2 to {n}, the smallest set"),
            ));
        }
        let extractors = extractors(&args, &sides)?;
        for chosen in &extractors {
            check_comparable(&sides, chosen)?;
        }
        let evaluation = Self {
            extraction,
            kid: KidOptions { subsets: args.kid_subsets, subset_size: args.kid_size, seed: args.seed },
            manifold: ManifoldOptions { precision_neighbours: args.k, density_neighbours: args.k_density },
            bootstrap: Bootstrap { resamples: args.resamples, seed: args.seed },
            by_order: args.paired,
            silent: args.quiet || args.json,
            metrics: args.metrics,
            a,
            b,
            against,
            extractors,
        };
        evaluation.check_metrics()?;
        Ok(evaluation)
    }

    /// Whether a metric is to be measured.
    pub fn wants(&self, metric: Metric) -> bool {
        self.metrics.is_empty() || self.metrics.contains(&metric)
    }

    /// Whether it was asked for by name, so that it must not be left out.
    pub fn insists(&self, metric: Metric) -> bool {
        self.metrics.contains(&metric) || (metric == Metric::Paired && self.by_order)
    }

    pub fn sides(&self) -> impl Iterator<Item = &Side> {
        [&self.a, &self.b].into_iter().chain(&self.against)
    }

    /// Refuses what was asked for by name and cannot be had.
    fn check_metrics(&self) -> Result<(), Failure> {
        let refuse = |name, reason: String| Err(Failure::option("--metrics", name, reason));
        for (metric, name) in [
            (Metric::Kid, "kid"),
            (Metric::Manifold, "manifold"),
            (Metric::Is, "is"),
            (Metric::Paired, "paired"),
        ] {
            let statistics = self.sides().find(|s| s.images().is_none());
            if let Some(side) = statistics.filter(|_| self.insists(metric)) {
                let reason = format!("{} is statistics; images are needed", side.name);
                return refuse(name, reason);
            }
        }
        if self.insists(Metric::Is) && self.extractors.iter().all(|c| c.extractor.classes().is_none()) {
            return refuse("is", "the extractor has no classes".into());
        }
        Ok(())
    }
}

impl Side {
    fn open(path: &std::path::Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let source = Source::open(path)?;
        let n = match &source {
            Source::Images(images) => Some(images.len() as u64),
            Source::Statistics(statistics) => statistics.count(),
        };
        match n {
            Some(n @ 0..2) => Err(EvaluateError::TooFew { set: name, n, least: 2 }.into()),
            _ => Ok(Self { name, source }),
        }
    }

    pub fn images(&self) -> Option<&offramp::evaluate::ImageSet> {
        match &self.source {
            Source::Images(images) => Some(images),
            Source::Statistics(_) => None,
        }
    }

    pub fn described(&self) -> Set {
        let (n, shape) = match &self.source {
            Source::Images(images) => (Some(images.len() as u64), Some(images.shape())),
            Source::Statistics(statistics) => (statistics.count(), None),
        };
        Set { name: self.name.clone(), n, shape }
    }
}

/// The extractors typed; those of the statistics; or the default for the images.
fn extractors(args: &Args, sides: &[&Side]) -> Result<Vec<Chosen>, Failure> {
    let Some(images) = sides.iter().find_map(|s| s.images()) else {
        if let Some(typed) = args.extractor.first() {
            return Err(Failure::option(
                "--extractor",
                typed,
                "all sets are statistics: nothing is left to extract",
            ));
        }
        return Ok(vec![]);
    };
    let statistics = sides.iter().find_map(|s| match &s.source {
        Source::Statistics(statistics) => Some((s, statistics)),
        Source::Images(_) => None,
    });
    match statistics {
        Some((side, statistics)) if args.extractor.is_empty() => {
            let Some(Identity { name, resize, .. }) = statistics.identity() else {
                let reason =
                    format!("{} does not say whose features it holds: name the extractor", side.name);
                return Err(Failure::option("--extractor", "(none)", reason));
            };
            let spec = if resize == "none" { name.clone() } else { format!("{name}:resize={resize}") };
            let mut chosen = features::choose(&[spec], images.shape())?;
            for one in &mut chosen {
                one.reason = Some(format!("that of {}", side.name));
            }
            Ok(chosen)
        }
        _ => features::choose(&args.extractor, images.shape()),
    }
}

/// Refuses statistics of other features, and images of which the extractor makes features of another width.
fn check_comparable(sides: &[&Side], chosen: &Chosen) -> Result<(), Failure> {
    let ours = chosen.extractor.identity();
    let mut widths: Vec<(&str, usize)> = vec![];
    for side in sides {
        let width = match &side.source {
            Source::Images(images) => chosen.extractor.width(images.shape()).map_err(EvaluateError::from)?,
            Source::Statistics(statistics) => {
                if let Some(theirs) = statistics.identity().filter(|theirs| *theirs != ours) {
                    let source = MetricError::Extractors {
                        left: Box::new(ours.clone()),
                        right: Box::new(theirs.clone()),
                    };
                    return Err(compared("the images", &side.name, source));
                }
                statistics.width()
            }
        };
        if let Some((other, expected)) = widths.first().filter(|(_, w)| *w != width) {
            return Err(compared(other, &side.name, MetricError::Widths { expected: *expected, got: width }));
        }
        widths.push((&side.name, width));
    }
    Ok(())
}

/// An error about two sets, by their names.
pub fn compared(a: &str, b: &str, source: MetricError) -> Failure {
    EvaluateError::Compared { a: a.to_owned(), b: b.to_owned(), source: Box::new(source) }.into()
}
