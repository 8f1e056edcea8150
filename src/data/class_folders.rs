//! A folder with one sub-folder of images a class.

use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;

use super::channels::append_channels_first;
use super::image_file::{ImageFile, image_names};
use super::training_set::Content;
use super::{DataError, Skipped, Wanted};

/// Bytes of pixels that are decoded before they are appended: so much is held twice.
const BLOCK: usize = 64 << 20;
/// One image in so many may be unreadable.
const TOLERATED: usize = 100;
/// So many unreadable images are told.
const TOLD: usize = 3;

/// Reads every image of every class, with `threads` threads; what is read does not depend on how many.
///
/// Classes are the sub-folders sorted by name, byte by byte; the images of each are sorted alike. Hidden files and
/// folders, and files beside the class folders, are left out.
pub(super) fn read(folder: &Path, wanted: &Wanted, threads: NonZero<usize>) -> Result<Content, DataError> {
    let classes = class_names(folder)?;
    if classes.is_empty() {
        let reason = match image_names(folder)?.len() {
            0 => "it has no sub-folders".to_owned(),
            n => format!("it has no sub-folders, and {n} images of no class"),
        };
        return Err(DataError::NotATrainingSet { path: folder.to_owned(), reason });
    }
    wanted.check_classes(folder, &classes)?;
    let mut files = vec![];
    for (label, class) in classes.iter().enumerate() {
        let folder = folder.join(class);
        let names = image_names(&folder)?;
        if names.is_empty() {
            return Err(DataError::EmptyClass { folder, unreadable: 0 });
        }
        files.extend(names.into_iter().map(|name| (folder.join(name), label)));
    }

    let mut content = Content::default();
    let mut read_of = vec![0; classes.len()];
    let mut first = None;
    let image = wanted.shape.iter().product::<usize>().max(1);
    for block in files.chunks((BLOCK / image).max(threads.get())) {
        for ((file, label), pixels) in block.iter().zip(decode_all(block, wanted, threads)?) {
            match pixels {
                Ok(pixels) => {
                    content.pixels.extend(pixels);
                    content.labels.push(*label as i64);
                    read_of[*label] += 1;
                    first.get_or_insert(file);
                }
                Err(DataError::BadImage { file, reason }) => content.skipped.push(Skipped { file, reason }),
                Err(DataError::ImageSize { file, expected, got }) if first.is_some() => {
                    let first = first.cloned().unwrap_or_default();
                    return Err(DataError::MixedSizes { file, got, first, expected });
                }
                Err(error) => return Err(error),
            }
        }
    }
    check_skipped(folder, &content.skipped, files.len())?;
    if let Some(empty) = read_of.iter().position(|&n| n == 0) {
        let unreadable = files.iter().filter(|(_, label)| *label == empty).count();
        return Err(DataError::EmptyClass { folder: folder.join(&classes[empty]), unreadable });
    }
    Ok(Content { classes, ..content })
}

fn class_names(folder: &Path) -> Result<Vec<String>, DataError> {
    let io = |source| DataError::Io { file: folder.to_owned(), source };
    let mut names = vec![];
    for entry in fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let Some(name) = path.file_name().filter(|_| path.is_dir()) else { continue };
        match name.to_str() {
            Some(name) if name.starts_with('.') => {}
            Some(name) => names.push(name.to_owned()),
            None => return Err(DataError::Name { path }),
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The pixels of each file, or why there are none, in the order of the files.
fn decode_all(
    files: &[(PathBuf, usize)],
    wanted: &Wanted,
    threads: NonZero<usize>,
) -> Result<Vec<Result<Vec<u8>, DataError>>, DataError> {
    let share = files.len().div_ceil(threads.get()).max(1);
    thread::scope(|scope| {
        let start = |files: &'_ [(PathBuf, usize)]| {
            let files = files.to_vec();
            let decode = move || files.iter().map(|(file, _)| decode(file, wanted)).collect::<Vec<_>>();
            thread::Builder::new().spawn_scoped(scope, decode).map_err(DataError::Thread)
        };
        let started = files.chunks(share).map(start).collect::<Result<Vec<_>, _>>()?;
        let mut pixels = vec![];
        for thread in started {
            pixels.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        Ok(pixels)
    })
}

/// One image, `[C, H, W]`.
fn decode(file: &Path, wanted: &Wanted) -> Result<Vec<u8>, DataError> {
    let image = ImageFile::open(file)?;
    let [h, w, c] = image.shape();
    wanted.check_size(file, [h, w])?;
    let mut pixels = vec![];
    append_channels_first(&image.pixels()?, [c, wanted.shape[0]], &mut pixels, file, None)?;
    Ok(pixels)
}

fn check_skipped(folder: &Path, skipped: &[Skipped], images: usize) -> Result<(), DataError> {
    match skipped.len() * TOLERATED > images {
        false => Ok(()),
        true => Err(DataError::Unreadable {
            folder: folder.to_owned(),
            unreadable: skipped.len(),
            images,
            first: skipped.iter().take(TOLD).cloned().collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Pixels, write_png};

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let root = tempfile::tempdir().unwrap();
        for k in 0..230u8 {
            let class = root.path().join(["b", "a", "c"][usize::from(k % 3)]);
            fs::create_dir_all(&class).unwrap();
            let image = Pixels { shape: [2, 3, 1], data: vec![k, 1, 2, 3, 4, k] };
            write_png(&class.join(format!("{k:03}.png")), &image, None).unwrap();
        }
        for bad in ["a/001.png", "c/002.png"] {
            fs::write(root.path().join(bad), "damaged").unwrap();
        }
        let wanted = Wanted { shape: [3, 2, 3], classes: 3 };
        let with = |threads| read(root.path(), &wanted, NonZero::new(threads).unwrap()).unwrap();
        let one = with(1);
        assert_eq!(one.classes, ["a", "b", "c"]);
        assert_eq!((one.labels.len(), one.pixels.len()), (228, 228 * 18));
        let skipped: Vec<_> = one.skipped.iter().map(|s| s.file.strip_prefix(root.path()).unwrap()).collect();
        assert_eq!(skipped, [Path::new("a/001.png"), Path::new("c/002.png")]);
        for threads in [2, 3, 7, 500] {
            assert_eq!(with(threads), one, "{threads} threads");
        }
    }
}
