//! Gradients, before the optimiser sees them.

use tch::{Kind, TchError, Tensor};

/// Scales all gradients together so that their joint Euclidean norm is at most `max_norm`; gives the norm
/// before. (Pascanu et al. 2013, arXiv 1211.5063.)
///
/// # Errors
/// libtorch refuses.
pub fn clip_gradients(gradients: &mut [Tensor], max_norm: f64) -> Result<f64, TchError> {
    let mut squares = 0.0;
    for gradient in gradients.iter() {
        squares += f64::try_from(gradient.f_square()?.f_sum(Kind::Double)?)?;
    }
    let norm = squares.sqrt();
    if norm > max_norm {
        for gradient in gradients {
            let _ = gradient.f_mul_scalar_(max_norm / norm)?;
        }
    }
    Ok(norm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_the_joint_norm_and_keeps_the_direction() {
        let mut gradients = [Tensor::from_slice(&[3f32, 0.0]), Tensor::from_slice(&[4f32])];
        assert_eq!(clip_gradients(&mut gradients, 10.0).unwrap(), 5.0);
        assert_eq!(gradients[1].double_value(&[0]), 4.0, "short enough as it is");
        assert_eq!(clip_gradients(&mut gradients, 1.0).unwrap(), 5.0);
        assert!((gradients[0].double_value(&[0]) - 0.6).abs() < 1e-6);
        assert!((gradients[1].double_value(&[0]) - 0.8).abs() < 1e-6);
    }
}
