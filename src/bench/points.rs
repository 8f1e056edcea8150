//! From a plan to the list of its points: the product, the baselines, and each point's row of full depth.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::plan::{Plan, PointTable};
use super::plan_error::PlanError;
use super::{Role, Settings};
use crate::digest::hex;
use crate::exit::{ExitSpec, Rule};
use crate::solver::SolverSpec;
use crate::tail::TailSpec;

/// What a plan must know of a weights folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightsFacts {
    /// How the plan calls it.
    pub entry: String,
    /// The folder's name.
    pub name: String,
    /// SHA-256 of the weights.
    pub sha256: String,
    /// Blocks of the backbone.
    pub blocks: usize,
    /// The names of its schedules.
    pub schedules: Vec<String>,
    /// Its tail where a plan names none.
    pub tail: String,
    /// SHA-256 of its learned exits.
    pub exits_sha256: Option<String>,
}

/// A point of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Digest of settings and role: names its folder.
    pub id: String,
    /// Why it is there.
    pub role: Role,
    /// What it runs.
    pub settings: Settings,
    /// How the plan calls its weights.
    pub weights: String,
    /// The point of full depth that speed-up and fidelity refer to.
    pub full: String,
    /// Blocks of the backbone.
    pub blocks: usize,
    /// The time of each evaluation.
    #[serde(default)]
    pub times: Vec<f64>,
}

impl Point {
    /// Whether another program runs it.
    pub fn is_peer(&self) -> bool {
        matches!(self.role, Role::Peer { .. })
    }

    /// What a person calls it.
    pub fn name(&self) -> String {
        match &self.role {
            Role::Peer { name: peer } => {
                let s = &self.settings;
                format!("peer {peer}: {} {} × {} batch {}", s.weights, s.solver, s.steps, s.batch)
            }
            _ => name(&self.settings),
        }
    }
}

/// The relative changes up to which the first-block cache holds by default.
const FIRST_BLOCK_CACHE: [f64; 2] = [0.05, 0.1];

/// Shares of a plan's steps that the fewer-steps baseline takes by default.
const FEWER_STEPS: [f64; 4] = [0.4, 0.5, 0.6, 0.8];

/// Peers that run every block of every evaluation.
const EXACT_PEERS: [&str; 3] = ["diffusers-eager", "diffusers-compile", "plain-eager"];

/// The settings that points of a plan may differ in.
#[derive(Clone, Copy)]
struct Coordinates<'a> {
    weights: &'a WeightsFacts,
    solver: &'a str,
    steps: usize,
    guidance: f64,
    batch: usize,
    dtype: &'a str,
}

/// All points of a plan, those of full depth first, then the other baselines.
///
/// # Errors
/// Something that cannot be parsed, a baseline that cannot be derived, the same point twice.
pub fn expand(plan: &Plan, weights: &[WeightsFacts]) -> Result<Vec<Point>, PlanError> {
    let mut points = Points { plan, points: vec![] };
    let mut grids = vec![];
    for weights in weights.iter().filter(|w| plan.weights.contains(&w.entry)) {
        for solver in &plan.solver {
            for &guidance in &plan.guidance {
                for &batch in &plan.batch {
                    for dtype in &plan.dtype {
                        grids.push(Coordinates { weights, solver, steps: 0, guidance, batch, dtype });
                    }
                }
            }
        }
    }
    for &grid in &grids {
        for &steps in &plan.steps {
            points.baseline(Role::Full, Coordinates { steps, ..grid }, "full", "head", None)?;
        }
    }
    for table in &plan.point {
        let at = points.of_table(table, weights)?;
        if !points.has(&at, "full", "head")? {
            points.baseline(Role::Full, at, "full", "head", None)?;
        }
    }
    for &grid in &grids {
        points.baselines(grid)?;
    }
    for &grid in &grids {
        for &steps in &plan.steps {
            points.product(Coordinates { steps, ..grid })?;
        }
    }
    for &grid in &grids {
        for &steps in &plan.steps {
            points.peers(Coordinates { steps, ..grid })?;
        }
    }
    for table in &plan.point {
        let at = points.of_table(table, weights)?;
        let exit = table.exit.as_deref().unwrap_or(&plan.exit[0]);
        let asked = table.tail.as_deref().or(plan.tail.as_ref().map(|tails| tails[0].as_str()));
        let tail = match asked {
            Some(tail) if is_full(exit) && tail != "head" => return Err(needs_exit("point.tail", tail)),
            None if is_full(exit) => "head",
            asked => asked.unwrap_or(&at.weights.tail),
        };
        points.point(at, exit, tail)?;
    }
    Ok(points.points)
}

/// A tail without an exit.
fn needs_exit(key: &str, tail: &str) -> PlanError {
    let reason = "a tail stands in for skipped blocks, and exit \"full\" skips none";
    PlanError::value(key, format!("{tail:?}"), reason)
}

fn is_full(exit: &str) -> bool {
    exit.parse::<ExitSpec>().is_ok_and(|e| e == Rule::Full.into())
}

struct Points<'a> {
    plan: &'a Plan,
    points: Vec<Point>,
}

impl<'a> Points<'a> {
    /// The coordinates of a `[[point]]`: what it does not say is the first of the plan's list.
    fn of_table(
        &self,
        table: &'a PointTable,
        weights: &'a [WeightsFacts],
    ) -> Result<Coordinates<'a>, PlanError> {
        let plan = self.plan;
        let entry = table.weights.as_ref().unwrap_or(&plan.weights[0]);
        let weights = weights.iter().find(|w| w.entry == *entry);
        Ok(Coordinates {
            weights: weights
                .ok_or_else(|| PlanError::value("point.weights", format!("{entry:?}"), "not opened"))?,
            solver: table.solver.as_deref().unwrap_or(&plan.solver[0]),
            steps: table.steps.unwrap_or(plan.steps[0]),
            guidance: table.guidance.unwrap_or(plan.guidance[0]),
            batch: table.batch.unwrap_or(plan.batch[0]),
            dtype: table.dtype.as_deref().unwrap_or(&plan.dtype[0]),
        })
    }

    /// Every baseline but full depth, at the plan's numbers of steps.
    fn baselines(&mut self, grid: Coordinates) -> Result<(), PlanError> {
        let plan = self.plan;
        let wanted = |baseline: &str| !plan.left_out.contains_key(baseline);
        if wanted("fewer-steps") {
            for fewer in fewer_steps(plan)? {
                let more = plan.steps.iter().copied().filter(|&s| s > fewer).min().unwrap_or(fewer);
                let full = self.full(&Coordinates { steps: more, ..grid })?;
                let at = Coordinates { steps: fewer, ..grid };
                self.baseline(Role::FewerSteps, at, "full", "head", Some(full))?;
            }
        }
        for &steps in &plan.steps {
            let at = Coordinates { steps, ..grid };
            if wanted("fixed") {
                for depth in fixed_depths(plan, grid.weights)? {
                    let tail = &grid.weights.tail;
                    self.baseline(Role::FixedExit, at, &format!("fixed:{depth}"), tail, None)?;
                }
            }
            if wanted("schedule") {
                let exit = format!("schedule:{}", schedule(plan, grid.weights)?);
                self.baseline(Role::TimeSchedule, at, &exit, &grid.weights.tail, None)?;
            }
            if wanted("first-block-cache") {
                let thresholds = plan.baselines.first_block_cache.as_deref().unwrap_or(&FIRST_BLOCK_CACHE);
                for threshold in thresholds {
                    let exit = format!("change:{threshold}");
                    self.baseline(Role::FirstBlockCache, at, &exit, "residual", None)?;
                }
            }
        }
        Ok(())
    }

    /// The product of exits and tails at some coordinates.
    fn product(&mut self, at: Coordinates) -> Result<(), PlanError> {
        let plan = self.plan;
        let tails = plan.tail.as_deref().unwrap_or(std::slice::from_ref(&at.weights.tail));
        if let Some(tail) = plan.tail.iter().flatten().find(|t| *t != "head")
            && plan.exit.iter().all(|e| is_full(e))
        {
            return Err(needs_exit("tail", tail));
        }
        for exit in &plan.exit {
            for tail in tails {
                // Full depth is the same with any tail, and is there already.
                if !is_full(exit) {
                    self.point(at, exit, tail)?;
                } else if plan.exit.iter().filter(|e| is_full(e)).count() > 1 {
                    return Err(PlanError::Duplicate { what: "exit full".into() });
                }
            }
        }
        Ok(())
    }

    /// Adds the plan's peers.
    fn peers(&mut self, at: Coordinates) -> Result<(), PlanError> {
        let Some(peers) = &self.plan.peers else { return Ok(()) };
        for peer in peers.names() {
            // Another program's rule stands where our exits do; those that run every block have none.
            let mut settings = self.settings(&at, "full", "head")?;
            let rule = peer.split(':').next().unwrap_or_default();
            if !EXACT_PEERS.contains(&rule) {
                settings.exit = peer.clone();
            }
            let role = Role::Peer { name: peer.clone() };
            if self.points.iter().any(|p| p.role == role && p.settings == settings) {
                return Err(PlanError::Duplicate { what: format!("peer {peer}") });
            }
            let full = self.full(&at)?;
            self.push(role, settings, &at, full);
        }
        Ok(())
    }

    /// Adds a point; one that is a baseline already is there.
    fn point(&mut self, at: Coordinates, exit: &str, tail: &str) -> Result<(), PlanError> {
        let settings = self.settings(&at, exit, tail)?;
        match self.points.iter().find(|p| p.settings == settings && !p.is_peer()) {
            Some(there) if there.role == Role::Point => Err(PlanError::Duplicate { what: name(&settings) }),
            Some(_) => Ok(()),
            None => {
                let full = self.full(&at)?;
                self.push(Role::Point, settings, &at, full);
                Ok(())
            }
        }
    }

    /// Adds a baseline; `full` is by default the point of full depth at the same coordinates.
    fn baseline(
        &mut self,
        role: Role,
        at: Coordinates,
        exit: &str,
        tail: &str,
        full: Option<String>,
    ) -> Result<(), PlanError> {
        let settings = self.settings(&at, exit, tail)?;
        if self.points.iter().any(|p| p.settings == settings && !p.is_peer()) {
            return Err(PlanError::Duplicate { what: name(&settings) });
        }
        let full = match (full, &role) {
            (Some(full), _) => full,
            (None, Role::Full) => id(&settings, &role),
            (None, _) => self.full(&at)?,
        };
        self.push(role, settings, &at, full);
        Ok(())
    }

    fn push(&mut self, role: Role, settings: Settings, at: &Coordinates, full: String) {
        self.points.push(Point {
            id: id(&settings, &role),
            role,
            settings,
            weights: at.weights.entry.clone(),
            full,
            blocks: at.weights.blocks,
            times: vec![],
        });
    }

    /// The id of the point of full depth.
    fn full(&self, at: &Coordinates) -> Result<String, PlanError> {
        Ok(id(&self.settings(at, "full", "head")?, &Role::Full))
    }

    fn has(&self, at: &Coordinates, exit: &str, tail: &str) -> Result<bool, PlanError> {
        let settings = self.settings(at, exit, tail)?;
        Ok(self.points.iter().any(|p| p.settings == settings))
    }

    /// Settings in canonical spelling, so that equal ones are equal.
    fn settings(&self, at: &Coordinates, exit: &str, tail: &str) -> Result<Settings, PlanError> {
        let refuse = |key: &str, got: &str, reason: String| PlanError::value(key, format!("{got:?}"), reason);
        let solver: SolverSpec =
            at.solver.parse().map_err(|e| refuse("solver", at.solver, format!("{e}")))?;
        let exit: ExitSpec = exit.parse().map_err(|e| refuse("exit", exit, format!("{e}")))?;
        let tail: TailSpec = tail.parse().map_err(|e| refuse("tail", tail, format!("{e}")))?;
        let learned = exit.is_learned() || tail.is_learned();
        Ok(Settings {
            weights: at.weights.name.clone(),
            weights_sha256: at.weights.sha256.clone(),
            exits_sha256: at.weights.exits_sha256.clone().filter(|_| learned),
            solver: solver.to_string(),
            steps: at.steps,
            exit: exit.to_string(),
            tail: tail.to_string(),
            guidance: at.guidance,
            batch: at.batch,
            dtype: at.dtype.to_owned(),
            threads: self.plan.threads(),
            n: self.plan.n,
            seed: self.plan.seed,
            labels: self.plan.labels,
        })
    }
}

/// A digest of settings and role, short.
pub fn id(settings: &Settings, role: &Role) -> String {
    // Strings and finite numbers always serialise.
    let text = serde_json::to_string(&(settings, role)).unwrap_or_default();
    hex(&Sha256::digest(text.as_bytes()))[..12].to_owned()
}

/// What a person calls settings.
fn name(s: &Settings) -> String {
    let mut words = format!("{} {} × {} exit {}", s.weights, s.solver, s.steps, s.exit);
    if s.tail != "head" {
        words += &format!(" tail {}", s.tail);
    }
    if s.guidance != 1.0 {
        words += &format!(" guidance {}", s.guidance);
    }
    words + &format!(" batch {} {}", s.batch, s.dtype)
}

fn fewer_steps(plan: &Plan) -> Result<Vec<usize>, PlanError> {
    let fewer: Vec<usize> = match &plan.baselines.fewer_steps {
        Some(steps) => steps.clone(),
        None => {
            let of = |s: usize| FEWER_STEPS.map(|share| (share * s as f64).round() as usize);
            let mut fewer: Vec<usize> = plan.steps.iter().flat_map(|&s| of(s)).collect();
            let most = plan.steps.iter().copied().max().unwrap_or_default();
            fewer.retain(|&s| s > 0 && s < most);
            fewer.sort_unstable();
            fewer.dedup();
            if fewer.is_empty() {
                let reason = format!("steps = {:?} leaves none", plan.steps);
                return Err(PlanError::NoBaseline { baseline: "fewer-steps", reason });
            }
            fewer
        }
    };
    // Those that the plan runs anyway are rows of full depth.
    Ok(fewer.into_iter().filter(|s| !plan.steps.contains(s)).collect())
}

fn fixed_depths(plan: &Plan, weights: &WeightsFacts) -> Result<Vec<usize>, PlanError> {
    if let Some(depths) = &plan.baselines.fixed {
        return Ok(depths.clone());
    }
    let n = weights.blocks;
    let mut depths = vec![n / 2, 3 * n / 4];
    depths.retain(|&d| d > 0 && d < n);
    depths.dedup();
    if depths.is_empty() {
        let reason = format!("{} has {n} blocks", weights.name);
        return Err(PlanError::NoBaseline { baseline: "fixed", reason });
    }
    Ok(depths)
}

fn schedule(plan: &Plan, weights: &WeightsFacts) -> Result<String, PlanError> {
    let in_exits = plan.exit.iter().find_map(|e| e.strip_prefix("schedule:").map(str::to_owned));
    let first = || weights.schedules.iter().find(|s| *s != "full").cloned();
    let found = plan.baselines.schedule.clone().or(in_exits).or_else(first);
    found.ok_or_else(|| PlanError::NoBaseline {
        baseline: "schedule",
        reason: format!("there are no schedules for {}", weights.name),
    })
}
