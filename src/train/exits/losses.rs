//! The terms of the losses, on tensors.

use tch::{Kind, TchError, Tensor};

use crate::learned::{Estimator, EstimatorKind};

/// The pixels of images `[b, C, H, W]` by token, as the final layer gives them: `[b, T, p²·C]`, within a token by
/// row, column, channel.
pub(super) fn by_token(images: &Tensor, [rows, columns]: [usize; 2]) -> Result<Tensor, TchError> {
    let (b, c, h, w) = images.size4()?;
    let (rows, columns) = (rows as i64, columns as i64);
    let (p, q) = (h / rows, w / columns);
    images
        .f_reshape([b, c, rows, p, columns, q])?
        .f_permute([0, 2, 4, 3, 5, 1])? // [b, h, w, p, q, C]
        .f_reshape([b, rows * columns, p * q * c])
}

/// û: what an estimator is to say, from |g_i − target| by token `[b, T, p²·C]`; detached.
///
/// The paper's is the mean of tanh|·| over a token, `[b, T, 1]`; the released one's is 1 − tanh|·| of each
/// number, `[b, T, p²·C]`.
pub(super) fn pseudo_label(error: &Tensor, kind: EstimatorKind) -> Result<Tensor, TchError> {
    let tanh = error.f_detach()?.f_abs()?.f_tanh()?;
    match kind {
        EstimatorKind::Released => tanh.f_neg()?.f_add_scalar(1.0),
        _ => tanh.f_mean_dim(&[-1i64][..], true, Kind::Float),
    }
}

/// One exit's part of L_u: the mean of (u − û)² over images, tokens and, for the released estimator, patch
/// numbers. `u` is [`Estimator::per_token`].
pub(super) fn estimator_loss(u: &Tensor, label: &Tensor) -> Result<Tensor, TchError> {
    u.f_sub(label)?.f_square()?.f_mean(Kind::Float)
}

/// u_i for the estimator loss: the released estimator learns from states that it does not change.
pub(super) fn estimate(estimator: &Estimator, hidden: &Tensor, temb: &Tensor) -> Result<Tensor, TchError> {
    match estimator.config().kind {
        EstimatorKind::Released => estimator.per_token(&hidden.f_detach()?, temb),
        _ => estimator.per_token(hidden, temb),
    }
}

/// Weights of the exits in L_UAL, one `[b]` an exit, from each exit's [`Estimator::per_token`].
///
/// The paper's are 1 − u_i, image by image; the released code's are the batch's mean certainties, divided by their
/// sum over the exits.
pub(super) fn ual_weights(
    estimates: &[Tensor],
    kind: EstimatorKind,
    gradient: bool,
) -> Result<Vec<Tensor>, TchError> {
    let detached = |u: &Tensor| if gradient { Ok(u.shallow_clone()) } else { u.f_detach() };
    let of_images = |u: &Tensor| detached(u)?.f_mean_dim(&[1i64, 2][..], false, Kind::Float); // [b]
    match kind {
        EstimatorKind::Released => {
            let certainties = estimates.iter().map(|u| detached(u)?.f_mean(Kind::Float));
            let certainties = certainties.collect::<Result<Vec<_>, _>>()?;
            let sum = Tensor::f_stack(&certainties, 0)?.f_sum(Kind::Float)?;
            let spread = |(c, u): (&Tensor, &Tensor)| c.f_div(&sum)?.f_expand([u.size()[0]], false);
            certainties.iter().zip(estimates).map(spread).collect()
        }
        _ => estimates.iter().map(|u| of_images(u)?.f_neg()?.f_add_scalar(1.0)).collect(),
    }
}
