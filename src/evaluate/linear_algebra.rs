//! The few dense operations that the metrics need, in f64: `faer` behind `ndarray`.

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, MatMut, MatRef, Par, Side};
use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::MetricError;

/// A·Bᵀ for A `[m, k]` and B `[n, k]`.
pub(super) fn times_transposed(a: &Array2<f64>, b: &Array2<f64>) -> Array2<f64> {
    let mut product = Array2::zeros((a.nrows(), b.nrows())); // [m, n]
    matmul(view_mut(&mut product), Accum::Replace, view(a), view(b).transpose(), 1.0, Par::rayon(0));
    product
}

/// Adds RᵀR to the lower triangle of `sum`, for rows R `[n, d]`.
pub(super) fn add_gram(sum: &mut Array2<f64>, rows: &Array2<f64>) {
    triangular::matmul(
        view_mut(sum),
        BlockStructure::TriangularLower,
        Accum::Add,
        view(rows).transpose(),
        BlockStructure::Rectangular,
        view(rows),
        BlockStructure::Rectangular,
        1.0,
        Par::Seq,
    );
}

/// Copies the lower triangle to the upper one.
pub(super) fn mirror_lower(matrix: &mut Array2<f64>) {
    for i in 0..matrix.nrows() {
        for j in 0..i {
            matrix[[j, i]] = matrix[[i, j]];
        }
    }
}

/// F `[r, d]` with FᵀF = Σ, for a symmetric Σ whose lower triangle is read. r is the numerical rank:
/// eigenvalues below d·ε·λ_max are rounding, and their roots would not be small.
pub(super) fn factor(sigma: &Array2<f64>) -> Result<Array2<f64>, MetricError> {
    let d = sigma.nrows();
    let eigen =
        view(sigma).self_adjoint_eigen(Side::Lower).map_err(|_| MetricError::NoConvergence { width: d })?;
    let values = eigen.S().column_vector();
    let largest = values.iter().fold(0.0_f64, |most, &v| most.max(v));
    let least = d as f64 * f64::EPSILON * largest;
    let kept: Vec<usize> = (0..d).filter(|&i| values[i] > least).collect();
    let vectors = eigen.U(); // [d, d], one eigenvector per column
    Ok(Array2::from_shape_fn((kept.len(), d), |(i, j)| values[kept[i]].sqrt() * vectors[(j, kept[i])]))
}

/// Σ of singular values.
pub(super) fn nuclear_norm(matrix: &Array2<f64>) -> Result<f64, MetricError> {
    if matrix.is_empty() {
        return Ok(0.0);
    }
    let values = view(matrix)
        .singular_values()
        .map_err(|_| MetricError::NoConvergence { width: matrix.nrows().max(matrix.ncols()) })?;
    Ok(values.iter().sum())
}

/// f32 rows as f64.
pub(super) fn widen(rows: ArrayView2<f32>) -> Array2<f64> {
    rows.mapv(f64::from)
}

/// Mean over rows; zero where there are none.
pub(super) fn mean_row(rows: &Array2<f64>) -> Array1<f64> {
    rows.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(rows.ncols()))
}

/// What faer sees of an array in standard layout; every array here is made in it.
pub(super) fn view(matrix: &Array2<f64>) -> MatRef<'_, f64> {
    let (rows, columns) = matrix.dim();
    MatRef::from_row_major_slice(matrix.as_slice().unwrap_or_default(), rows, columns)
}

fn view_mut(matrix: &mut Array2<f64>) -> MatMut<'_, f64> {
    let (rows, columns) = matrix.dim();
    MatMut::from_row_major_slice_mut(matrix.as_slice_mut().unwrap_or_default(), rows, columns)
}
