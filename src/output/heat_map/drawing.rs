//! Where everything stands on the picture: a header, the map between its axes, its classes, a colour bar.

use super::DepthMap;
use super::canvas::{Anchor, Canvas, text_width};
use super::cells::Cells;
use super::colors::depth_color;
use super::font::{HEIGHT, WIDTH};
use crate::output::Pixels;

/// The map's width and height are at most this, but for the gaps between classes and a row more for each of them.
pub const MAP_SIZE: [u32; 2] = [800, 720];
/// The largest cell; smaller maps are smaller.
const CELL: [u32; 2] = [40, 28];
/// From cells of this size on, a line of paper parts them.
const PARTED: u32 = 12;
/// Between classes.
const BAND_GAP: u32 = 2;

const PAPER: [u8; 3] = [255; 3];
const INK: [u8; 3] = [32; 3];
const MUTED: [u8; 3] = [92; 3];

const MARGIN: u32 = 20;
const LINE: u32 = HEIGHT + 6;
/// From the top of what stands above an axis to the axis.
const ABOVE: u32 = LINE + 4;
const TICK: u32 = 4;
/// From the names of the x axis's two lines of labels to the map: the first label needs some.
const NAMES_GAP: u32 = 36;
/// The most letters of the title and of a class.
const TITLE: usize = 100;
const CLASS: usize = 16;

const BAR_WIDTH: u32 = 18;
const BAR_HEIGHT: u32 = 280;
/// The highest block of the colour bar.
const BAR_BLOCK: u32 = 22;

struct Drawing<'a, 'd> {
    map: &'a DepthMap<'d>,
    cells: &'a Cells,
    /// The map's upper left corner.
    corner: [u32; 2],
    /// A cell's width and height, with the line that parts it from the next.
    cell: [u32; 2],
    /// The map's width and height.
    size: [u32; 2],
    /// The colour bar's left edge and height.
    bar: [u32; 2],
}

/// Draws a map whose parts fit together.
pub fn draw(map: &DepthMap, cells: &Cells) -> Pixels {
    let header = header(map, cells);
    let drawing = Drawing::new(map, cells, header.len() as u32);
    let mut canvas = drawing.canvas(&header);
    for (line, text) in (0..).zip(&header) {
        canvas.text([MARGIN, MARGIN + line * LINE], Anchor::Left, text, INK);
    }
    // Struck twice, the title is bold.
    canvas.text([MARGIN + 1, MARGIN], Anchor::Left, &header[0], INK);
    drawing.cells(&mut canvas);
    drawing.image_axis(&mut canvas);
    drawing.time_axis(&mut canvas);
    drawing.classes(&mut canvas);
    drawing.color_bar(&mut canvas);
    canvas.into_pixels()
}

/// The lines above the map.
fn header(map: &DepthMap, cells: &Cells) -> Vec<String> {
    let (images, evaluations) = map.depths.dim();
    let mean = map.depths.iter().map(|&d| f64::from(d)).sum::<f64>() / map.depths.len() as f64;
    let counted = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let mut lines = vec![
        cut(map.title, TITLE),
        format!(
            "{} at {}, mean depth {mean:.1} of {}",
            counted(images, "image"),
            counted(evaluations, "evaluation"),
            counted(map.blocks, "block")
        ),
    ];
    let whole = [
        cells.rows.iter().all(|row| row.len() == cells.images),
        evaluations.is_multiple_of(cells.evaluations),
    ];
    let mean = |n: usize, what: &str, whole: bool| {
        format!("{}{}", if whole { "" } else { "up to " }, counted(n, what))
    };
    let of_images = mean(cells.images, "image", whole[0]);
    let of_evaluations = mean(cells.evaluations, "evaluation", whole[1]);
    match (cells.images, cells.evaluations) {
        (1, 1) => {}
        (_, 1) => lines.push(format!("each row is the mean of {of_images}")),
        (1, _) => lines.push(format!("each column is the mean of {of_evaluations}")),
        _ => lines.push(format!("each cell is the mean of {of_images} at {of_evaluations}")),
    }
    lines
}

impl<'a, 'd> Drawing<'a, 'd> {
    fn new(map: &'a DepthMap<'d>, cells: &'a Cells, header: u32) -> Self {
        let (rows, columns) = (cells.means.nrows() as u32, cells.means.ncols() as u32);
        let cell = [(MAP_SIZE[0] / columns).clamp(1, CELL[0]), (MAP_SIZE[1] / rows).clamp(1, CELL[1])];
        let gaps = BAND_GAP * (cells.bands.len() as u32 - 1);
        let size = [columns * cell[0], rows * cell[1] + gaps];
        let corner =
            [MARGIN + text_width("evaluation") + NAMES_GAP, MARGIN + header * LINE + LINE / 2 + ABOVE];
        let blocks = map.blocks.min(BAR_HEIGHT as usize) as u32;
        let bar_height = match map.blocks > BAR_HEIGHT as usize {
            true => BAR_HEIGHT,
            false => blocks * (BAR_HEIGHT / blocks).clamp(1, BAR_BLOCK),
        };
        let drawing = Self { map, cells, corner, cell, size, bar: [0, bar_height] };
        let names = drawing.class_names().map(|(_, name)| text_width(&name) + WIDTH).max().unwrap_or(0);
        Self { bar: [corner[0] + size[0] + names + 3 * WIDTH, bar_height], ..drawing }
    }

    /// Paper that holds all of it.
    fn canvas(&self, header: &[String]) -> Canvas {
        let beside = self.bar[0] + BAR_WIDTH + WIDTH + text_width(&self.map.blocks.to_string());
        let above = MARGIN + header.iter().map(|line| text_width(line)).max().unwrap_or(0);
        let below = self.corner[1] + (self.size[1] + TICK + 2 * LINE).max(self.bar[1]);
        Canvas::new(beside.max(above) + MARGIN, below + MARGIN, PAPER)
    }

    /// The line of paper between cells.
    fn gap(&self) -> u32 {
        u32::from(self.cell.iter().all(|&side| side >= PARTED))
    }

    /// A row's upper edge.
    fn top(&self, row: usize) -> u32 {
        let band = self.cells.bands.partition_point(|band| band.end <= row) as u32;
        self.corner[1] + row as u32 * self.cell[1] + band * BAND_GAP
    }

    fn cells(&self, canvas: &mut Canvas) {
        let shown = self.cell.map(|side| side - self.gap());
        for ((row, column), &mean) in self.cells.means.indexed_iter() {
            let corner = [self.corner[0] + column as u32 * self.cell[0], self.top(row)];
            canvas.fill(corner, shown, depth_color(mean, self.map.blocks));
        }
    }

    /// Indices of images, left of their rows.
    fn image_axis(&self, canvas: &mut Canvas) {
        let x = self.corner[0] - TICK;
        let text_x = x - WIDTH / 2;
        canvas.text([text_x, self.corner[1] - ABOVE], Anchor::Right, "image", MUTED);
        let step = round_step(f64::from(LINE) * self.map.images.len() as f64 / f64::from(self.size[1]));
        let mut free_from = 0;
        for (row, images) in self.cells.rows.iter().enumerate() {
            let labelled = self.map.images[images.clone()].iter().find(|image| image.is_multiple_of(step));
            let middle = self.top(row) + (self.cell[1] - self.gap()) / 2;
            if let Some(image) = labelled.filter(|_| middle >= free_from) {
                canvas.fill([x, middle], [TICK - 1, 1], MUTED);
                canvas.text([text_x, middle - HEIGHT / 2], Anchor::Right, &image.to_string(), INK);
                free_from = middle + HEIGHT;
            }
        }
    }

    /// Evaluations and their times, below their columns.
    fn time_axis(&self, canvas: &mut Canvas) {
        let y = self.corner[1] + self.size[1];
        let lines = [y + TICK + 2, y + TICK + 2 + LINE];
        for (y, name) in lines.into_iter().zip(["evaluation", "time t"]) {
            canvas.text([self.corner[0] - NAMES_GAP, y], Anchor::Right, name, MUTED);
        }
        let whole = self.map.times.iter().all(|t| (t - t.round()).abs() < 1e-6);
        let times: Vec<String> = self.map.times.iter().map(|&t| time(t, whole)).collect();
        let last = (times.len() - 1).to_string();
        let widest = times.iter().chain([&last]).map(|text| text_width(text)).max().unwrap_or(0) + WIDTH;
        let each = f64::from(self.cell[0]) / self.cells.evaluations as f64;
        for evaluation in (0..times.len()).step_by(round_step(f64::from(widest) / each)) {
            let column = (evaluation / self.cells.evaluations) as u32;
            let x = self.corner[0] + column * self.cell[0] + (self.cell[0] - self.gap()) / 2;
            canvas.fill([x, y + 1], [1, TICK - 1], MUTED);
            for (y, text) in lines.into_iter().zip([&evaluation.to_string(), &times[evaluation]]) {
                canvas.text([x, y], Anchor::Middle, text, INK);
            }
        }
    }

    /// The classes in the images' order and where their bands begin; none if they are not told apart.
    fn class_names(&self) -> impl Iterator<Item = (&std::ops::Range<usize>, String)> {
        let bands = if self.cells.bands.len() > 1 { &self.cells.bands[..] } else { &[] };
        bands.iter().map(|band| (band, cut(&self.map.classes[self.cells.rows[band.start].start], CLASS)))
    }

    /// Names of classes, right of their bands, where there is room.
    fn classes(&self, canvas: &mut Canvas) {
        let x = self.corner[0] + self.size[0] + WIDTH;
        let mut free_from = 0;
        for (band, name) in self.class_names() {
            let middle = (self.top(band.start) + self.top(band.end - 1) + self.cell[1] - self.gap()) / 2;
            if middle >= free_from {
                canvas.text([x, middle - HEIGHT / 2], Anchor::Left, &name, INK);
                free_from = middle + HEIGHT;
            }
        }
    }

    /// Every depth's colour, the deepest on top.
    fn color_bar(&self, canvas: &mut Canvas) {
        let ([x, height], y) = (self.bar, self.corner[1]);
        let blocks = self.map.blocks;
        canvas.text([x, y - ABOVE], Anchor::Left, "depth", MUTED);
        let from_top = |row: u32| row as usize * blocks / height as usize;
        for row in 0..height {
            let color = depth_color((blocks - from_top(row)) as f64, blocks);
            canvas.fill([x, y + row], [BAR_WIDTH, 1], color);
        }
        let block = f64::from(height) / blocks as f64;
        for above in (0..blocks).step_by(round_step(f64::from(HEIGHT) / block)) {
            let middle = y + ((above as f64 + 0.5) * block) as u32;
            let label = (blocks - above).to_string();
            canvas.text([x + BAR_WIDTH + WIDTH, middle - HEIGHT / 2], Anchor::Left, &label, INK);
        }
    }
}

/// The smallest of 1, 2, 5, 10, 20, … that is at least so much.
fn round_step(least: f64) -> usize {
    let powers = (0..19).map(|power| 10usize.pow(power));
    let steps = powers.flat_map(|power| [1, 2, 5].map(|digit| power.saturating_mul(digit)));
    steps.into_iter().find(|&step| step as f64 >= least).unwrap_or(usize::MAX)
}

/// A time, short enough for a label.
fn time(t: f64, whole: bool) -> String {
    match (t.abs() < 1e5, whole) {
        (true, true) => format!("{t:.0}"),
        (true, false) => format!("{t:.1}"),
        _ => format!("{t:.1e}"),
    }
}

/// The first `letters` letters of a text.
fn cut(text: &str, letters: usize) -> String {
    match text.chars().count() > letters {
        true => text.chars().take(letters - 2).chain("..".chars()).collect(),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_counts_and_says_what_was_averaged() {
        for (n, length, expected) in [
            (1, 1, &["1 image at 1 evaluation, mean depth 2.0 of 3 blocks"][..]),
            (720, 800, &["720 images at 800 evaluations, mean depth 2.0 of 3 blocks"]),
            (
                1440,
                20,
                &[
                    "1440 images at 20 evaluations, mean depth 2.0 of 3 blocks",
                    "each row is the mean of 2 images",
                ],
            ),
            (
                5,
                801,
                &[
                    "5 images at 801 evaluations, mean depth 2.0 of 3 blocks",
                    "each column is the mean of up to 2 evaluations",
                ],
            ),
            (
                721,
                1600,
                &[
                    "721 images at 1600 evaluations, mean depth 2.0 of 3 blocks",
                    "each cell is the mean of up to 2 images at 2 evaluations",
                ],
            ),
        ] {
            let depths = ndarray::Array2::from_elem((n, length), 2);
            let map = DepthMap {
                title: "a title",
                depths: depths.view(),
                blocks: 3,
                times: &[],
                images: &[],
                classes: &[],
            };
            let cells = Cells::new(map.depths, &[], MAP_SIZE[1] as usize, MAP_SIZE[0] as usize);
            assert_eq!(header(&map, &cells), [&["a title"], expected].concat());
        }
    }

    #[test]
    fn steps_are_round() {
        for (least, step) in [(0.0, 1), (0.3, 1), (1.0, 1), (1.1, 2), (2.5, 5), (7.0, 10), (140.0, 200)] {
            assert_eq!(round_step(least), step, "{least}");
        }
        assert_eq!(round_step(f64::NAN), usize::MAX);
    }

    #[test]
    fn times_and_names_are_short() {
        assert_eq!(
            [time(999.0, true), time(949.06, false), time(-1e300, true)],
            ["999", "949.1", "-1.0e300"]
        );
        assert_eq!([cut("Sneaker", 7), cut("Ankle boot", 7)], ["Sneaker", "Ankle.."]);
    }
}
