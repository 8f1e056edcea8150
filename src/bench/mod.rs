//! The benchmark: a plan of points, each timed and judged, and a report.
//!
//! ```text
//! Plan → Models, Points → draw (round by round, into a Ledger) → finish (Rows) → Report
//! ```
//!
//! A [`Plan`] is the product of lists, with its baselines; [`Models`] checks every [`Point`] of it before anything
//! is run. [`draw`] lets all points draw the same images in turn, so that their times can be compared, and the
//! [`Ledger`] keeps what is done. A [`Row`] is what is known of one point; rows are kept in `rows.jsonl` as they are
//! finished, and every table and plot is drawn from that file and `run.json` alone.

mod drawn;
mod error;
mod exit_errors;
mod family;
mod finish;
mod json_file;
mod ledger;
mod machine;
mod measure;
mod measure_exits;
mod memory;
mod merge;
mod models;
pub mod peer;
mod plan;
mod plan_check;
mod plan_error;
mod plan_keys;
mod points;
mod quality;
mod real;
mod report;
mod rounds;
mod row;
mod run;
pub mod score;
mod speed;
mod told;

pub use self::error::BenchError;
pub use self::exit_errors::ExitErrors;
pub use self::family::Family;
pub use self::finish::{extract_all, finish};
pub use self::ledger::{Ledger, Line};
pub use self::machine::{Machine, libtorch_version};
pub use self::measure::draw;
pub use self::measure_exits::{exit_errors, measure_exits};
pub use self::merge::merge;
pub use self::models::{Models, WeightsPlace, weights_of};
pub use self::plan::{BASELINES, Baselines, Peers, Plan, PointTable, Score};
pub use self::plan_error::PlanError;
pub use self::points::{Point, WeightsFacts, expand};
pub use self::real::{MOST_REAL, Real};
pub use self::report::{Report, ReportError};
pub use self::rounds::rounds;
pub use self::row::{
    AtTime, Depth, Labels, PeerFacts, PeerTrial, Quality, Role, Row, Settings, Speed, Spread,
};
pub use self::run::{RunFile, read_run};
pub use self::told::{Tell, Told};
pub use crate::evaluate::{Estimate, Fidelity, Interval, Shard};
