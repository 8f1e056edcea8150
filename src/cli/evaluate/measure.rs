//! The numbers, one extractor after the other.

use std::collections::HashSet;
use std::io::Write;

use offramp::evaluate::{
    Extracted, Extraction, FeatureSet, Gaussian, InceptionScore, MetricError, Source, Statistics, kid,
    manifold,
};
use offramp::extract::Identity;

use super::args::Metric;
use super::paired;
use super::prepare::{Evaluation, Side, compared};
use super::report::{ByExtractor, Kid, Manifold, Measured, Report, Score};
use crate::cli::Failure;
use crate::cli::features::{self, Chosen};
use crate::cli::interrupt::Interrupt;

/// Below so many images a feature, the bias of a Fréchet distance is not small.
const MANY_PER_FEATURE: u64 = 10;

/// A set as an extractor sees it.
enum Seen<'a> {
    Images(Box<Extracted>),
    Statistics(&'a Statistics),
}

impl Seen<'_> {
    fn statistics(&self) -> &Statistics {
        match self {
            Seen::Images(extracted) => &extracted.statistics,
            Seen::Statistics(statistics) => statistics,
        }
    }

    fn features(&self) -> Option<&FeatureSet> {
        match self {
            Seen::Images(extracted) => Some(&extracted.features),
            Seen::Statistics(_) => None,
        }
    }

    /// The normal distribution; of few images, from the images themselves.
    fn gaussian(&self) -> Result<Gaussian, MetricError> {
        match self.features() {
            Some(features) if features.len() <= features.width() => Gaussian::of_features(features),
            _ => Gaussian::of_statistics(self.statistics()),
        }
    }

    fn inception_score(&self) -> Option<&InceptionScore> {
        match self {
            Seen::Images(extracted) => extracted.inception_score.as_ref(),
            Seen::Statistics(_) => None,
        }
    }
}

impl Evaluation {
    /// Measures everything.
    pub fn run(&self, interrupt: &Interrupt) -> Result<Report, Failure> {
        let mut notes = vec![];
        // Pairs first: they are cheap, and sets that cannot be paired are refused before a network runs.
        let paired = paired::compare(self)?;
        let needs_features =
            [Metric::Fd, Metric::Kid, Metric::Manifold, Metric::Is].iter().any(|&m| self.wants(m));
        let mut extractors = vec![];
        if needs_features && self.extractors.is_empty() {
            extractors.push(self.by_extractor(None, interrupt, &mut notes)?);
        }
        for chosen in self.extractors.iter().filter(|_| needs_features) {
            extractors.push(self.by_extractor(Some(chosen), interrupt, &mut notes)?);
        }
        if let Some(side) = self.sides().find(|s| s.images().is_none()).filter(|_| self.metrics.is_empty()) {
            notes.push(format!(
                "{} is statistics: beside them only the Fréchet distance can be had",
                side.name
            ));
        }
        // What is true of A and C alike, or by every extractor, is said once.
        let mut said = HashSet::new();
        notes.retain(|note| said.insert(note.clone()));
        Ok(Report {
            event: "evaluation",
            version: env!("CARGO_PKG_VERSION"),
            a: self.a.described(),
            b: self.b.described(),
            against: self.against.as_ref().map(Side::described),
            extractors,
            paired,
            notes,
        })
    }

    fn by_extractor(
        &self,
        chosen: Option<&Chosen>,
        interrupt: &Interrupt,
        notes: &mut Vec<String>,
    ) -> Result<ByExtractor, Failure> {
        let see = |side| self.see(side, chosen, interrupt);
        let (a, b) = (see(&self.a)?, see(&self.b)?);
        let against = self.against.as_ref().map(|side| Ok::<_, Failure>((side, see(side)?))).transpose()?;
        let identity = match chosen {
            Some(chosen) => Some(chosen.extractor.identity()),
            None => a.statistics().identity().or(b.statistics().identity()),
        };
        let mut difference = None;
        let mut reference = None;
        if self.wants(Metric::Fd) {
            let sides = [(&self.a, &a), (&self.b, &b)].into_iter();
            let sides: Vec<_> = sides.chain(against.as_ref().map(|(s, c)| (*s, c))).collect();
            note_if_few(&sides, notes);
            let target = b.gaussian().map_err(|e| compared(&self.a.name, &self.b.name, e))?;
            if let Some((side, c)) = &against {
                difference = self.fd_difference(&a, (side, c), &target, notes)?;
            }
            reference = Some(target);
        }
        let reference = reference.as_ref();
        let score_of_b = match b.inception_score() {
            Some(score) if self.wants(Metric::Is) => self.score(&self.b, score, notes)?,
            _ => None,
        };
        Ok(ByExtractor {
            extractor: identity.cloned(),
            chosen: chosen.and_then(|c| c.reason.clone()),
            width: b.statistics().width(),
            fd_name: fd_name(identity),
            a: self.measure(&self.a, &a, &b, reference, notes)?,
            against: against
                .as_ref()
                .map(|(side, c)| self.measure(side, c, &b, reference, notes))
                .transpose()?,
            fd_difference: difference,
            inception_score_of_b: score_of_b,
        })
    }

    /// Features of a side's images, or its statistics.
    fn see<'a>(
        &self,
        side: &'a Side,
        chosen: Option<&Chosen>,
        interrupt: &Interrupt,
    ) -> Result<Seen<'a>, Failure> {
        match (&side.source, chosen) {
            (Source::Statistics(statistics), _) => Ok(Seen::Statistics(statistics)),
            (Source::Images(images), Some(chosen)) => {
                let extracted = features::watched(self.silent, interrupt, |progress| {
                    self.extraction.run(images, &*chosen.extractor, progress)
                })?;
                Ok(Seen::Images(Box::new(extracted)))
            }
            // An extractor is chosen wherever a side has images.
            (Source::Images(_), None) => {
                Err(Failure::option("--extractor", "none", format!("{} has images", side.name)))
            }
        }
    }

    /// Judges a set by B, and by B's normal distribution where the Fréchet distance is wanted.
    fn measure(
        &self,
        side: &Side,
        seen: &Seen,
        b: &Seen,
        reference: Option<&Gaussian>,
        notes: &mut Vec<String>,
    ) -> Result<Measured, Failure> {
        let named = |source: MetricError| compared(&side.name, &self.b.name, source);
        let mut measured = Measured::default();
        if let Some(reference) = reference {
            measured.fd = Some(seen.gaussian().and_then(|g| g.distance(reference)).map_err(named)?);
        }
        if let (Some(x), Some(y)) = (seen.features(), b.features()) {
            if self.wants(Metric::Kid) {
                match kid(x, y, &self.kid) {
                    Ok(found) => {
                        measured.kid = Some(Kid {
                            value: found.value,
                            standard_error: found.standard_error,
                            subsets: self.kid.subsets,
                            subset_size: found.subset_size,
                            full: found.full,
                        });
                    }
                    Err(error) => self.leave_out(Metric::Kid, named, error, notes)?,
                }
            }
            if self.wants(Metric::Manifold) {
                match manifold(x, y, &self.manifold) {
                    Ok(found) => {
                        measured.manifold = Some(Manifold {
                            precision: found.precision(),
                            recall: found.recall(),
                            density: found.density(),
                            coverage: found.coverage(),
                            k: self.manifold.precision_neighbours,
                            k_density: self.manifold.density_neighbours,
                        });
                    }
                    Err(error) => self.leave_out(Metric::Manifold, named, error, notes)?,
                }
            }
        }
        if let (Some(score), true) = (seen.inception_score(), self.wants(Metric::Is)) {
            measured.inception_score = self.score(side, score, notes)?;
        }
        Ok(measured)
    }

    fn score(
        &self,
        side: &Side,
        score: &InceptionScore,
        notes: &mut Vec<String>,
    ) -> Result<Option<Score>, Failure> {
        match score.score() {
            Ok(found) => {
                Ok(Some(Score { mean: found.mean, deviation: found.deviation, splits: Extraction::SPLITS }))
            }
            Err(error) => {
                self.leave_out(Metric::Is, |e| compared(&side.name, &side.name, e), error, notes)?;
                Ok(None)
            }
        }
    }

    /// A metric for which the sets are too small is left out with a note, unless it was asked for by name.
    fn leave_out(
        &self,
        metric: Metric,
        named: impl FnOnce(MetricError) -> Failure,
        error: MetricError,
        notes: &mut Vec<String>,
    ) -> Result<(), Failure> {
        match error {
            MetricError::TooFew { .. } if !self.insists(metric) => {
                notes.push(format!("left out: {error}"));
                Ok(())
            }
            other => Err(named(other)),
        }
    }

    /// The difference of two Fréchet distances with its interval, where A's images are paired with C's.
    fn fd_difference(
        &self,
        a: &Seen,
        (side, c): (&Side, &Seen),
        reference: &Gaussian,
        notes: &mut Vec<String>,
    ) -> Result<Option<offramp::evaluate::Interval>, Failure> {
        let (Some(x), Some(y)) = (a.features(), c.features()) else {
            notes.push("no interval for A − C: statistics cannot be resampled".into());
            return Ok(None);
        };
        if let Err(reason) = paired::matches(&self.a, side) {
            notes.push(format!("no interval for A − C: {reason}"));
            return Ok(None);
        }
        if !self.silent {
            // Nobody need listen.
            let _ = writeln!(std::io::stderr(), "{} resamples of A − C …", self.bootstrap.resamples);
        }
        let interval = self.bootstrap.frechet_difference(x, y, reference);
        interval.map(Some).map_err(|e| compared(&self.a.name, &side.name, e))
    }
}

/// Only the 2015 graph makes it a FID.
fn fd_name(identity: Option<&Identity>) -> &'static str {
    match identity {
        Some(identity) if identity.name == "inception-2015" => "FID",
        _ => "FD",
    }
}

/// Says of which sets the Fréchet distance is biased, and of which nobody knows.
fn note_if_few(sides: &[(&Side, &Seen)], notes: &mut Vec<String>) {
    let mut few = vec![];
    for (side, seen) in sides {
        let statistics = seen.statistics();
        match statistics.count() {
            Some(n) if n < MANY_PER_FEATURE * statistics.width() as u64 => {
                few.push(format!("{} ({n})", side.name))
            }
            Some(_) => {}
            None => notes.push(format!("{} does not say of how many images it is", side.name)),
        }
    }
    if let Some((_, seen)) = sides.first().filter(|_| !few.is_empty()) {
        let d = seen.statistics().width();
        notes.push(format!(
            "few images against {d} features: {}; the Fréchet distance is biased upwards: compare it only at equal N, or \
             use KID, which is unbiased",
            few.join(", ")
        ));
    }
}
