//! A run's depths as a picture: one row an image, one column a network evaluation, the colour how many blocks ran.
//!
//! A schedule is vertical stripes, a rule that tells images apart is not, and one whose threshold does nothing is of
//! one colour. Colours are on one scale for all runs of a network, from 1 to N blocks, so that pictures can be laid
//! side by side. What does not fit into the picture's pixels is averaged, and the picture says so.

mod canvas;
mod cells;
mod colors;
mod drawing;
mod font;

pub use colors::depth_color;

use std::path::Path;

use ndarray::ArrayView2;

use self::cells::Cells;
use self::drawing::{MAP_SIZE, draw};
use super::{OutputError, Pixels, write_png};

/// What a heat map is drawn of.
#[derive(Debug, Clone, Copy)]
pub struct DepthMap<'a> {
    /// The line above the map.
    pub title: &'a str,
    /// Blocks run, u16 `[images, evaluations]`, each 1 to `blocks`.
    pub depths: ArrayView2<'a, u16>,
    /// Blocks of the backbone, N.
    pub blocks: usize,
    /// The evaluations' real times.
    pub times: &'a [f64],
    /// The images' indices, from above.
    pub images: &'a [usize],
    /// The name of each image's class, or none at all. Where each class's images follow one another, gaps part the
    /// classes.
    pub classes: &'a [String],
}

/// Why there is no heat map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeatMapError {
    /// No images, or no evaluations.
    #[error("a heat map of {images} images at {evaluations} evaluations: at least one of each is needed")]
    Empty {
        /// Images.
        images: usize,
        /// Evaluations.
        evaluations: usize,
    },
    /// A list that is not as long as the depths are.
    #[error("a heat map with {got} {what}, and depths of {expected}")]
    Length {
        /// `times`, `images` or `classes`.
        what: &'static str,
        /// Rows or columns of the depths.
        expected: usize,
        /// Its length.
        got: usize,
    },
    /// A depth that the backbone does not have.
    #[error("image {image} ran {got} blocks at evaluation {evaluation}, of 1 to {blocks}")]
    Depth {
        /// The image's index.
        image: usize,
        /// The evaluation, from 0.
        evaluation: usize,
        /// Its depth.
        got: u16,
        /// Blocks of the backbone.
        blocks: usize,
    },
}

/// Draws a heat map, at most 1,300 pixels wide and 1,000 high, whatever the run's size.
///
/// # Errors
/// The parts are of different lengths, or empty; a depth is not one of the backbone's.
pub fn heat_map(map: &DepthMap) -> Result<Pixels, HeatMapError> {
    check(map)?;
    let [columns, rows] = MAP_SIZE.map(|n| n as usize);
    Ok(draw(map, &Cells::new(map.depths, map.classes, rows, columns)))
}

/// Writes a heat map as PNG.
///
/// # Errors
/// [`heat_map`]'s, and the disk's.
pub fn write_heat_map(file: &Path, map: &DepthMap) -> Result<(), OutputError> {
    write_png(file, &heat_map(map)?, None)
}

fn check(map: &DepthMap) -> Result<(), HeatMapError> {
    let (images, evaluations) = map.depths.dim();
    if images == 0 || evaluations == 0 {
        return Err(HeatMapError::Empty { images, evaluations });
    }
    let classes = if map.classes.is_empty() { images } else { map.classes.len() };
    for (what, expected, got) in [
        ("times", evaluations, map.times.len()),
        ("images", images, map.images.len()),
        ("classes", images, classes),
    ] {
        if got != expected {
            return Err(HeatMapError::Length { what, expected, got });
        }
    }
    match map.depths.indexed_iter().find(|(_, depth)| !(1..=map.blocks).contains(&usize::from(**depth))) {
        Some(((row, evaluation), &got)) => {
            Err(HeatMapError::Depth { image: map.images[row], evaluation, got, blocks: map.blocks })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;

    /// A map of images of one class.
    fn drawn(depths: &Array2<u16>, blocks: usize, classes: &[String]) -> Result<Pixels, HeatMapError> {
        let (images, evaluations) = depths.dim();
        let times: Vec<f64> = (0..evaluations).map(|e| 999.0 - e as f64 / 3.0).collect();
        let images: Vec<usize> = (0..images).collect();
        heat_map(&DepthMap {
            title: "a title",
            depths: depths.view(),
            blocks,
            times: &times,
            images: &images,
            classes,
        })
    }

    /// Pixels of a colour.
    fn area(pixels: &Pixels, color: [u8; 3]) -> usize {
        pixels.data.chunks(3).filter(|pixel| **pixel == color).count()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// One cell for each image and evaluation, of equal size and of its own depth's colour; besides them only the
        /// colour bar, which a map of other depths has too, shows these colours.
        #[test]
        fn cells_show_their_depths(n in 1usize..30, length in 1usize..30, blocks in 1usize..16, seed in 0usize..1000) {
            let depths =
                Array2::from_shape_fn((n, length), |(k, e)| (1 + (k * 5 + e * 3 + k * e * seed) % blocks) as u16);
            let pixels = drawn(&depths, blocks, &[]).unwrap();
            let alike = drawn(&Array2::ones((n, length)), blocks, &[]).unwrap();
            let shallow = depth_color(1.0, blocks);
            let cell = (area(&alike, shallow) - area(&pixels, shallow))
                .checked_div(depths.iter().filter(|&&d| d > 1).count());
            for depth in 2..=blocks {
                let color = depth_color(depth as f64, blocks);
                let expected = depths.iter().filter(|&&d| usize::from(d) == depth).count();
                if let Some(cell) = cell {
                    prop_assert!(cell > 0);
                    prop_assert_eq!(area(&pixels, color) - area(&alike, color), expected * cell, "depth {}", depth);
                }
            }
        }

        /// No run makes a picture that is too large or that fails.
        #[test]
        fn every_run_fits(n in 1usize..3000, length in 1usize..1200, blocks in 1usize..1024, of_class in 1usize..500) {
            let depths = Array2::from_shape_fn((n, length), |(k, e)| (1 + (k + e) % blocks) as u16);
            let classes: Vec<String> = (0..n).map(|k| format!("a long name of class {}", k / of_class)).collect();
            let [height, width, channels] = drawn(&depths, blocks, &classes).unwrap().shape;
            prop_assert!(width <= 1300 && height <= 1000 && channels == 3, "{} × {}", width, height);
        }
    }

    #[test]
    fn ten_thousand_images_are_averaged_into_one_picture() {
        let depths = Array2::from_shape_fn((10_000, 20), |(k, _)| if k % 2 == 0 { 2 } else { 4 });
        let pixels = drawn(&depths, 12, &[]).unwrap();
        let [height, width, _] = pixels.shape;
        assert!(width <= 1300 && (700..=1000).contains(&height), "{width} × {height}");
        // Each row is of 14 images, half of them two blocks deep and half four.
        let alike = drawn(&Array2::ones((10_000, 20)), 12, &[]).unwrap();
        let mean = depth_color(3.0, 12);
        assert_eq!(area(&pixels, mean) - area(&alike, mean), 715 * 20 * 40);
    }

    #[test]
    fn one_image_at_one_evaluation_is_one_cell() {
        let pixels = drawn(&Array2::from_elem((1, 1), 7), 12, &["Bag".into()]).unwrap();
        let other = drawn(&Array2::from_elem((1, 1), 8), 12, &["Bag".into()]).unwrap();
        let seven = depth_color(7.0, 12);
        assert_eq!(area(&pixels, seven) - area(&other, seven), 39 * 27);
    }

    #[test]
    fn what_is_no_map_is_refused_with_its_numbers() {
        let depths = Array2::from_shape_vec((2, 2), vec![1, 2, 3, 4]).unwrap();
        let one_class = ["Bag".to_owned()];
        let map = DepthMap {
            title: "",
            depths: depths.view(),
            blocks: 4,
            times: &[9.0, 1.0],
            images: &[5, 8],
            classes: &[],
        };
        assert!(heat_map(&map).is_ok());
        let too_deep = HeatMapError::Depth { image: 8, evaluation: 1, got: 4, blocks: 3 };
        assert_eq!(heat_map(&DepthMap { blocks: 3, ..map }), Err(too_deep));
        for (what, wrong, got) in [
            ("times", DepthMap { times: &[9.0], ..map }, 1),
            ("images", DepthMap { images: &[0, 1, 2], ..map }, 3),
            ("classes", DepthMap { classes: &one_class, ..map }, 1),
        ] {
            assert_eq!(heat_map(&wrong), Err(HeatMapError::Length { what, expected: 2, got }));
        }
        let nothing = Array2::<u16>::zeros((0, 3));
        let empty = heat_map(&DepthMap { depths: nothing.view(), ..map });
        assert_eq!(empty, Err(HeatMapError::Empty { images: 0, evaluations: 3 }));
        let none_ran = Array2::<u16>::zeros((2, 2));
        assert!(matches!(
            heat_map(&DepthMap { depths: none_ran.view(), ..map }),
            Err(HeatMapError::Depth { got: 0, .. })
        ));
    }
}
