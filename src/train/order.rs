//! In which order the images of an epoch are seen.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// A permutation of 0 … `n` − 1 that follows from `seed` and `epoch` alone, so that a resumed run sees what
/// an unbroken one would have seen.
pub fn epoch_order(seed: u64, epoch: usize, n: usize) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(epoch as u64);
    let mut order: Vec<usize> = (0..n).collect();
    order.shuffle(&mut rng);
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_a_permutation_of_its_own(seed: u64, epoch in 0..1000usize, n in 32..200usize) {
            let order = epoch_order(seed, epoch, n);
            prop_assert_eq!(&order, &epoch_order(seed, epoch, n));
            prop_assert_ne!(&order, &epoch_order(seed, epoch + 1, n));
            prop_assert_ne!(&order, &epoch_order(seed ^ 1, epoch, n));
            let mut sorted = order;
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..n).collect::<Vec<_>>());
        }
    }
}
