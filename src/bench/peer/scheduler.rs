//! Our solvers in the words of Hugging Face's schedulers.

use serde_json::{Value, json};

use super::PeerError;
use crate::solver::{BhType, FinalSigma, Method, SolverSpec, Spacing};

/// What `scripts/peers/sampling.py` calls `solver`.
pub(super) fn describe(spec: &SolverSpec) -> Result<Value, PeerError> {
    let solver = match spec.method {
        Method::Ddim { eta: 0.0 } => json!({ "solver": "ddim" }),
        Method::DpmSolverPp { order } => json!({
            "solver": "dpm_solver_multistep", "algorithm": "dpmsolver++", "order": order,
            "solver_type": "midpoint", "lower_order_final": true,
        }),
        Method::Euler => json!({ "solver": "euler" }),
        Method::Heun => json!({ "solver": "heun" }),
        Method::UniPc { order, bh } => json!({
            "solver": "unipc", "order": order, "lower_order_final": true,
            "solver_type": match bh { BhType::Bh1 => "bh1", BhType::Bh2 => "bh2" },
        }),
        _ => {
            let known = "ddim without noise, dpm-solver++ in multistep form, euler, heun and unipc";
            return Err(PeerError::Unsupported { got: spec.to_string(), known });
        }
    };
    let mut solver = solver;
    solver["spacing"] = json!(match spec.spacing {
        Spacing::Leading => "leading",
        Spacing::Trailing => "trailing",
        Spacing::Linspace => "linspace",
    });
    solver["offset"] = json!(spec.offset);
    solver["final"] = json!(match spec.final_sigma {
        FinalSigma::Zero => "zero",
        FinalSigma::SigmaMin => "sigma_min",
    });
    Ok(solver)
}
