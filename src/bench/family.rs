//! Rows that belong together: families by role, methods by exit and tail.

use super::{Role, Row};

/// What a row stands for among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// What the plan asks for.
    Ours,
    /// Full depth, in the plan's number of solver steps or in fewer.
    FewerSteps,
    /// The same depth always.
    FixedExit,
    /// A schedule over time alone.
    TimeSchedule,
    /// First-block residual cache.
    Cache,
    /// Other programs.
    Peer,
}

impl Family {
    /// All of them, in the order of legends.
    pub const ALL: [Family; 6] = [
        Family::Ours,
        Family::FewerSteps,
        Family::FixedExit,
        Family::TimeSchedule,
        Family::Cache,
        Family::Peer,
    ];

    /// The family of a role.
    pub fn of(role: &Role) -> Self {
        match role {
            Role::Point => Self::Ours,
            Role::Full | Role::FewerSteps => Self::FewerSteps,
            Role::FixedExit => Self::FixedExit,
            Role::TimeSchedule => Self::TimeSchedule,
            Role::FirstBlockCache => Self::Cache,
            Role::Peer { .. } => Self::Peer,
        }
    }

    /// As legends and tables say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "this plan's exits",
            Self::FewerSteps => "full depth, fewer steps",
            Self::FixedExit => "fixed exit",
            Self::TimeSchedule => "schedule over time",
            Self::Cache => "first-block cache",
            Self::Peer => "other programs",
        }
    }
}

/// The method that a row is one setting of: its exit's kind and its tail for what the plan asks for, its
/// name for another program, its family's name for a baseline.
pub fn method(row: &Row) -> String {
    match &row.role {
        Role::Point => {
            let kind = |spec: &str| spec.split(':').next().unwrap_or(spec).to_owned();
            let (exit, tail) = (kind(&row.settings.exit), kind(&row.settings.tail));
            if tail.is_empty() || tail == "head" { exit } else { format!("{exit} + {tail}") }
        }
        Role::Peer { name } => name.clone(),
        role => Family::of(role).name().to_owned(),
    }
}
