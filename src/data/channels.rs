//! From the order of image files, `[H, W, C]`, to a network's, `[C, H, W]`.

use std::path::Path;

use super::DataError;

/// Appends an image to `into`, channels first.
///
/// Grey becomes colour by repetition; colour becomes grey where its three channels are the same in every pixel, so
/// that nothing is lost.
///
/// # Errors
/// [`DataError::Coloured`] where something would be lost, [`DataError::Channels`] for any other two numbers of
/// channels. The errors name `file`, and the position of the image in it if there is one.
pub(super) fn append_channels_first(
    pixels: &[u8], // [H, W, C]
    [channels, wanted]: [usize; 2],
    into: &mut Vec<u8>, // [.., wanted, H, W]
    file: &Path,
    image: Option<usize>,
) -> Result<(), DataError> {
    check(file, [channels, wanted])?;
    match (channels, wanted) {
        (1, 1) => into.extend_from_slice(pixels),
        (1, _) => (0..wanted).for_each(|_| into.extend_from_slice(pixels)),
        (_, 1) => {
            let (colours, _) = pixels.as_chunks::<3>();
            if colours.iter().any(|[r, g, b]| r != g || g != b) {
                return Err(DataError::Coloured { file: file.to_owned(), image });
            }
            into.extend(colours.iter().map(|[grey, ..]| grey));
        }
        _ => (0..channels).for_each(|c| into.extend(pixels.iter().skip(c).step_by(channels))),
    }
    Ok(())
}

/// Whether images of so many channels can become images of so many wanted ones.
pub(super) fn check(file: &Path, [got, expected]: [usize; 2]) -> Result<(), DataError> {
    match got == expected || matches!((got, expected), (1, 3) | (3, 1)) {
        true => Ok(()),
        false => Err(DataError::Channels { file: file.to_owned(), expected, got }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn converted(pixels: &[u8], channels: usize, wanted: usize) -> Result<Vec<u8>, DataError> {
        let mut into = vec![];
        append_channels_first(pixels, [channels, wanted], &mut into, Path::new("a.npz"), Some(7))?;
        Ok(into)
    }

    #[test]
    fn only_equal_channels_become_grey() {
        assert_eq!(converted(&[1, 1, 1, 9, 9, 9], 3, 1).unwrap(), [1, 9]);
        let lost = converted(&[1, 1, 1, 9, 9, 8], 3, 1);
        assert!(matches!(&lost, Err(DataError::Coloured { image: Some(7), .. })), "{lost:?}");
        for (channels, wanted) in [(1, 4), (4, 1), (4, 3), (2, 3)] {
            let refused = converted(&[0; 8], channels, wanted);
            assert!(
                matches!(refused, Err(DataError::Channels { expected, got, .. }) if (got, expected) == (channels, wanted))
            );
        }
    }

    proptest! {
        #[test]
        fn every_pixel_finds_its_channel(pixels in prop::collection::vec(any::<u8>(), 6 * 4), channels in 1..5usize) {
            let n = 6;
            let pixels = &pixels[..n * channels];
            let planes = converted(pixels, channels, channels).unwrap();
            for at in 0..n {
                for c in 0..channels {
                    prop_assert_eq!(planes[c * n + at], pixels[at * channels + c]);
                }
            }
        }

        #[test]
        fn grey_becomes_colour_and_comes_back(grey in prop::collection::vec(any::<u8>(), 1..20)) {
            let planes = converted(&grey, 1, 3).unwrap();
            prop_assert_eq!(&planes, &grey.repeat(3));
            let interleaved: Vec<u8> = grey.iter().flat_map(|&g| [g; 3]).collect();
            prop_assert_eq!(converted(&interleaved, 3, 1).unwrap(), grey);
        }
    }
}
