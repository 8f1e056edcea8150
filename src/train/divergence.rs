//! When a run is beyond saving.

use super::TrainError;

/// Steps before gradients are compared with those before them.
const SETTLING: usize = 50;
/// So many times the usual norm is an explosion.
const EXPLOSION: f64 = 100.0;
/// How long a norm is remembered, as a share kept a step.
const MEMORY: f64 = 0.98;

/// Watches the loss and the gradients' norm.
#[derive(Debug, Default)]
pub(super) struct Watch {
    usual: f64,
    seen: usize,
}

impl Watch {
    /// Looks at a step's loss and its gradients' norm before clipping.
    ///
    /// # Errors
    /// One of them is not finite, or the norm is far out of the ordinary.
    pub fn look(&mut self, step: usize, loss: f64, norm: f64) -> Result<(), TrainError> {
        if !loss.is_finite() || !norm.is_finite() {
            return Err(TrainError::Diverged { step, loss });
        }
        if self.seen >= SETTLING && norm > EXPLOSION * self.usual {
            return Err(TrainError::Exploded { step, norm, usual: self.usual });
        }
        let keep = if self.seen == 0 { 0.0 } else { MEMORY };
        self.usual = keep * self.usual + (1.0 - keep) * norm;
        self.seen += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_an_explosion_from_a_rough_patch() {
        let mut watch = Watch::default();
        watch.look(1, 1.0, 500.0).unwrap();
        for step in 2..=400 {
            watch.look(step, 1.0, if step % 40 == 0 { 20.0 } else { 1.0 }).unwrap();
        }
        assert!(matches!(watch.look(401, 1.0, 1e4), Err(TrainError::Exploded { step: 401, .. })));
        watch.look(401, 1.0, 50.0).unwrap();
        assert!(matches!(watch.look(402, f64::NAN, 1.0), Err(TrainError::Diverged { step: 402, .. })));
        assert!(matches!(watch.look(402, 1.0, f64::INFINITY), Err(TrainError::Diverged { .. })));
    }
}
