//! Small random changes that leave a garment what it is: a shift, a mirror.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

/// How far images are changed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Augmentation {
    /// Shifted by up to so many pixels each way; black comes in.
    pub shift: u16,
    /// Mirrored left to right in half of the cases.
    pub mirror: bool,
}

/// Writes the grey image `from`, u8 `[H, W]`, changed, to `into` in [0, 1]. The change follows from `seed`,
/// `epoch` and `image` alone.
pub fn augment(
    from: &[u8],
    [height, width]: [usize; 2],
    into: &mut [f32],
    augmentation: Augmentation,
    [seed, epoch, image]: [u64; 3],
) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // Streams of their own, far from those of the order.
    rng.set_stream((1 << 63) | (epoch << 32) | image);
    let shift = i32::from(augmentation.shift);
    let (dy, dx) = (rng.random_range(-shift..=shift) as isize, rng.random_range(-shift..=shift) as isize);
    let mirror = augmentation.mirror && rng.random::<bool>();
    for (y, row) in into.chunks_exact_mut(width).enumerate().take(height) {
        let from_y = y.checked_add_signed(dy).filter(|&y| y < height);
        for (x, value) in row.iter_mut().enumerate() {
            let from_x = x.checked_add_signed(dx).filter(|&x| x < width);
            let from_x = from_x.map(|x| if mirror { width - 1 - x } else { x });
            *value = match (from_y, from_x) {
                (Some(y), Some(x)) => f32::from(from[y * width + x]) / 255.0,
                _ => 0.0,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: [u8; 6] = [0, 51, 102, 153, 204, 255];

    fn changed(augmentation: Augmentation, image: u64) -> [f32; 6] {
        let mut into = [9.0; 6];
        augment(&IMAGE, [2, 3], &mut into, augmentation, [1, 2, image]);
        into
    }

    #[test]
    fn without_changes_it_only_scales() {
        let none = Augmentation { shift: 0, mirror: false };
        assert_eq!(changed(none, 0), IMAGE.map(|v| f32::from(v) / 255.0));
    }

    #[test]
    fn mirrors_about_half() {
        let mirror = Augmentation { shift: 0, mirror: true };
        let mirrored = [0.4, 0.2, 0.0, 1.0, 0.8, 0.6];
        let n = (0..400).filter(|&i| changed(mirror, i) == mirrored).count();
        assert!((140..260).contains(&n), "{n} of 400"); // six standard deviations
        assert_eq!(changed(mirror, 3), changed(mirror, 3));
    }

    #[test]
    fn shifts_all_ways_and_lets_black_in() {
        let shift = Augmentation { shift: 1, mirror: false };
        let seen: std::collections::BTreeSet<[u32; 6]> =
            (0..200).map(|i| changed(shift, i).map(f32::to_bits)).collect();
        assert_eq!(seen.len(), 9);
        assert!(seen.contains(&[0.0f32, 0.0, 0.0, 0.0, 0.0, 0.2].map(f32::to_bits)), "down and right");
    }
}
