//! What can be said of a plan without its models: values that cannot be, and contradictions.

use super::peer::PEERS;
use super::plan::{Peers, Plan};
use super::plan_error::PlanError;

/// More than any published evaluation draws; larger numbers are slips.
const MOST_IMAGES: usize = 100_000_000;

/// Trajectories whose every state is held at once.
const MOST_TRAJECTORIES: usize = 10_000;

/// Density and coverage look at five neighbours.
const LEAST_JUDGED: usize = 6;

impl Plan {
    /// What can be said without the models.
    pub(super) fn check(&self) -> Result<(), PlanError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.name.is_empty() || self.name.starts_with('.') || !self.name.chars().all(plain) {
            let reason = "letters, digits, -, _ and . are allowed, and it names a folder";
            return Err(PlanError::value("name", format!("{:?}", self.name), reason));
        }
        for (key, empty) in [
            ("weights", self.weights.is_empty()),
            ("solver", self.solver.is_empty()),
            ("steps", self.steps.is_empty()),
            ("exit", self.exit.is_empty()),
            ("tail", self.tail.as_ref().is_some_and(Vec::is_empty)),
            ("guidance", self.guidance.is_empty()),
            ("batch", self.batch.is_empty()),
            ("dtype", self.dtype.is_empty()),
        ] {
            if empty {
                return Err(PlanError::value(key, "[]", "at least one is needed"));
            }
        }
        let batches = self.batch.iter().copied().chain(self.point.iter().filter_map(|p| p.batch));
        if let Some(batch) = batches.into_iter().find(|b| !(1..=MOST_IMAGES).contains(b)) {
            return Err(PlanError::value(
                "batch",
                batch,
                format!("a micro-batch holds 1 to {MOST_IMAGES} images"),
            ));
        }
        let steps = self.steps.iter().copied().chain(self.point.iter().filter_map(|p| p.steps));
        if steps.into_iter().any(|s| s == 0) {
            return Err(PlanError::value("steps", 0, "at least one solver step is needed"));
        }
        if self.n < 2 {
            return Err(PlanError::value("n", self.n, "a distribution needs at least two images"));
        }
        if self.n > MOST_IMAGES {
            return Err(PlanError::value("n", self.n, format!("at most {MOST_IMAGES} images a point")));
        }
        if self.error_images > MOST_TRAJECTORIES {
            let reason = format!("at most {MOST_TRAJECTORIES}: their states are held in memory");
            return Err(PlanError::value("error-images", self.error_images, reason));
        }
        if let Some(threads) = self.threads.filter(|t| !(1..=crate::MAX_THREADS).contains(t)) {
            let reason = format!("it must be 1 to {}", crate::MAX_THREADS);
            return Err(PlanError::value("threads", threads, reason));
        }
        let dtypes = self.dtype.iter().chain(self.point.iter().filter_map(|p| p.dtype.as_ref()));
        if let Some(dtype) = dtypes.into_iter().find(|d| !["f32", "bf16"].contains(&d.as_str())) {
            return Err(PlanError::value("dtype", format!("{dtype:?}"), "there are f32 and bf16"));
        }
        self.check_sets()?;
        self.check_peers()?;
        self.check_baselines()
    }

    fn check_sets(&self) -> Result<(), PlanError> {
        let sets = [("reference", &self.reference), ("floor", &self.floor)];
        for (key, set) in sets {
            match set {
                None if !self.extractors.is_empty() => {
                    let reason = format!("features are compared with real images: {key} = \"…\" is needed");
                    return Err(PlanError::value("extractors", list(&self.extractors), reason));
                }
                Some(set) if self.extractors.is_empty() => {
                    let reason = "nothing is compared with it unless extractors are named";
                    return Err(PlanError::value(key, format!("{set:?}"), reason));
                }
                _ => {}
            }
        }
        if !self.extractors.is_empty() && self.n < LEAST_JUDGED {
            let reason = format!("distances between distributions need at least {LEAST_JUDGED} images");
            return Err(PlanError::value("n", self.n, reason));
        }
        match (&self.reference, &self.floor) {
            (Some(reference), Some(floor)) if reference == floor => {
                let reason = "the floor is the distance of other real images than the reference";
                Err(PlanError::value("floor", format!("{floor:?}"), reason))
            }
            _ => Ok(()),
        }
    }

    fn check_peers(&self) -> Result<(), PlanError> {
        for peer in self.peers.iter().flat_map(Peers::names) {
            if !PEERS.contains(&peer.split(':').next().unwrap_or_default()) {
                let reason = format!("there are {}", PEERS.join(", "));
                return Err(PlanError::value("peers.names", format!("{peer:?}"), reason));
            }
        }
        if let Some(peers) = &self.peers {
            if peers.names.as_ref().is_some_and(Vec::is_empty) {
                return Err(PlanError::value("peers.names", "[]", "without peers, leave [peers] out"));
            }
            if peers.rounds == Some(0) {
                return Err(PlanError::value("peers.rounds", 0, "at least one round is timed"));
            }
            let fewest =
                self.rounds.and_then(|all| Some(self.n / all.max(1) * peers.rounds?.saturating_add(1)));
            if !self.extractors.is_empty() && fewest.is_some_and(|n| n < LEAST_JUDGED) {
                let reason = format!("distances between distributions need at least {LEAST_JUDGED} images");
                return Err(PlanError::value("peers.rounds", peers.rounds.unwrap_or_default(), reason));
            }
        }
        Ok(())
    }

    fn check_baselines(&self) -> Result<(), PlanError> {
        for (baseline, reason) in &self.left_out {
            let key = format!("left-out.{baseline}");
            if baseline == "full" {
                let refused = "speed-ups and fidelity refer to it, it cannot be left out";
                return Err(PlanError::value(key, format!("{reason:?}"), refused));
            }
            if reason.trim().is_empty() {
                return Err(PlanError::value(key, format!("{reason:?}"), "a reason is needed"));
            }
            let b = &self.baselines;
            let set = match baseline.as_str() {
                "fewer-steps" => b.fewer_steps.is_some(),
                "fixed" => b.fixed.is_some(),
                "schedule" => b.schedule.is_some(),
                _ => b.first_block_cache.is_some(),
            };
            if set {
                let reason = format!("baselines.{baseline} asks for it");
                return Err(PlanError::value(key, "\"…\"", reason));
            }
        }
        if let Some(steps) = &self.baselines.fewer_steps {
            let most = self.steps.iter().copied().max().unwrap_or_default();
            if steps.is_empty() {
                let reason = "empty; to leave the baseline out, say why in left-out.fewer-steps";
                return Err(PlanError::value("baselines.fewer-steps", "[]", reason));
            }
            if let Some(s) = steps.iter().find(|&&s| s == 0 || s >= most) {
                let reason = format!("it must be fewer than steps, 1 to {}", most - 1);
                return Err(PlanError::value("baselines.fewer-steps", s, reason));
            }
        }
        if self.baselines.fixed.as_ref().is_some_and(Vec::is_empty) {
            let reason = "empty; to leave the baseline out, say why in left-out.fixed";
            return Err(PlanError::value("baselines.fixed", "[]", reason));
        }
        if let Some(thresholds) = &self.baselines.first_block_cache {
            let key = "baselines.first-block-cache";
            if thresholds.is_empty() {
                let reason = "empty; to leave the baseline out, say why in left-out.first-block-cache";
                return Err(PlanError::value(key, "[]", reason));
            }
            if let Some(threshold) = thresholds.iter().find(|t| !(t.is_finite() && **t >= 0.0)) {
                return Err(PlanError::value(key, threshold, "a finite number from 0 is needed"));
            }
        }
        if self.score.reference != "fewer-steps" {
            let reason = "there is fewer-steps";
            return Err(PlanError::value("score.reference", format!("{:?}", self.score.reference), reason));
        }
        Ok(())
    }
}

/// A list as in the file.
fn list(items: &[String]) -> String {
    format!("{items:?}")
}
