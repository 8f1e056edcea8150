//! The learning rate against the step.

use std::f64::consts::PI;

/// Linear warm-up from zero, then half a cosine down to a floor (SGDR without restarts, arXiv 1608.03983).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WarmupCosine {
    /// The highest rate, reached at the end of the warm-up.
    pub peak: f64,
    /// The rate of the last step.
    pub floor: f64,
    /// Steps of warm-up.
    pub warm_up: usize,
    /// Steps in all.
    pub steps: usize,
}

impl WarmupCosine {
    /// The rate of step 0 … `steps` − 1; the floor behind them.
    pub fn rate(&self, step: usize) -> f64 {
        if step < self.warm_up {
            return self.peak * (step + 1) as f64 / self.warm_up as f64;
        }
        let last = self.steps.saturating_sub(1).max(self.warm_up);
        let share = match last - self.warm_up {
            0 => 1.0,
            length => (step.min(last) - self.warm_up) as f64 / length as f64,
        };
        self.floor + (self.peak - self.floor) * 0.5 * (1.0 + (PI * share).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn climbs_to_the_peak_and_falls_to_the_floor() {
        let schedule = WarmupCosine { peak: 1.0, floor: 0.1, warm_up: 4, steps: 13 };
        let rates: Vec<f64> = (0..13).map(|s| schedule.rate(s)).collect();
        assert_eq!(rates[..5], [0.25, 0.5, 0.75, 1.0, 1.0]);
        assert!(rates[4..].windows(2).all(|w| w[0] > w[1]), "{rates:?}");
        assert!((rates[8] - 0.55).abs() < 1e-12, "half-way: {}", rates[8]);
        assert!((rates[12] - 0.1).abs() < 1e-12 && schedule.rate(99) == rates[12]);
    }

    #[test]
    fn may_be_all_warm_up_or_none() {
        assert_eq!(WarmupCosine { peak: 1.0, floor: 0.0, warm_up: 2, steps: 2 }.rate(1), 1.0);
        assert_eq!(WarmupCosine { peak: 1.0, floor: 0.0, warm_up: 0, steps: 1 }.rate(0), 0.0);
    }
}
