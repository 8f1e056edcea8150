//! Images and labels as the arrays of an `.npz`.

use std::path::Path;

use super::channels::{self, append_channels_first};
use super::training_set::Content;
use super::{ArrayFile, DataError, Wanted, labels};

/// Reads `arr_0`, u8 `[N, H, W]` or `[N, H, W, C]`, and `arr_1`, integers `[N]`.
pub(super) fn read(file: &Path, wanted: &Wanted) -> Result<Content, DataError> {
    let mut npz = ArrayFile::open(file)?;
    let [n, h, w, c] = {
        let array = npz.array("arr_0")?;
        array.check_bytes()?;
        let expected = "[N, H, W] or [N, H, W, C]";
        array.shape(array.dimensions().len(), expected)?;
        let shape = match *array.dimensions() {
            [n, h, w] => [n, h, w, 1],
            [n, h, w, c] => [n, h, w, c],
            _ => return Err(array.wrong_shape(expected).into()),
        };
        if shape.contains(&0) {
            return Err(array.wrong_shape("an array without a 0 in its shape").into());
        }
        array.check_rows()?;
        shape.map(|n| n as usize)
    };
    wanted.check_size(file, [h, w])?;
    channels::check(file, [c, wanted.shape[0]])?;
    let labels = npz.array("arr_1")?.read_integers()?;
    labels::check(file, n, &labels, wanted.classes)?;

    let mut array = npz.array("arr_0")?;
    array.stored_at()?;
    let mut content = Content { labels, ..Content::default() };
    let mut pixels = vec![0; h * w * c]; // [H, W, C]
    for image in 0..n {
        array.next_bytes(&mut pixels)?;
        append_channels_first(&pixels, [c, wanted.shape[0]], &mut content.pixels, file, Some(image))?;
    }
    array.finish()?;
    Ok(content)
}
