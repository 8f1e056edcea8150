//! An exponential moving average of weights: noise of the last steps cancels.

use tch::{TchError, Tensor};

/// average ← average + (1 − d)·(current − average), tensor by tensor and in place, with
/// d = min(`decay`, (1 + `step`)/(10 + `step`)): the first steps, far from the goal, are soon forgotten.
///
/// # Errors
/// The lists' shapes differ.
pub fn average_into(average: &[Tensor], current: &[Tensor], decay: f64, step: usize) -> Result<(), TchError> {
    let _no_grad = tch::no_grad_guard();
    let decay = decay.min((1 + step) as f64 / (10 + step) as f64);
    for (average, current) in average.iter().zip(current) {
        let _ = average.shallow_clone().f_lerp_(current, 1.0 - decay)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tends_to_the_mean() {
        let average = [Tensor::from_slice(&[1f32])];
        let current = [Tensor::from_slice(&[3f32])];
        average_into(&average, &current, 0.5, 1000).unwrap();
        assert_eq!(average[0].double_value(&[0]), 2.0);
        // Early on the decay is 1/10, whatever was asked for.
        average_into(&average, &current, 0.99, 0).unwrap();
        assert!((average[0].double_value(&[0]) - 2.9).abs() < 1e-6);
    }
}
