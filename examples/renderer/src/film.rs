//! Frames on disk: `frame-0000.png`, `frame-0001.png`, …, and a still.

use std::path::{Path, PathBuf};

use offramp::output::{OutputError, check_writable};
use png::{ColorType, Compression, Encoder};
use tiny_skia::Pixmap;

use crate::failure::Failure;

/// Frames per second that the sway is timed for.
const RATE: f32 = 24.0;

/// A folder of frames that is being filled.
pub struct Film {
    folder: PathBuf,
    frames: usize,
}

impl Film {
    /// Makes the folder if need be, and checks that it can be written to before any time is spent.
    pub fn open(folder: &Path) -> Result<Self, OutputError> {
        let refused = |source| OutputError::NotWritable { folder: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(refused)?;
        check_writable(folder)?;
        Ok(Self { folder: folder.to_owned(), frames: 0 })
    }

    /// The time of the next frame, in seconds from the first.
    pub fn time(&self) -> f32 {
        self.frames as f32 / RATE
    }

    /// Writes the next frame.
    pub fn write(&mut self, frame: &Pixmap) -> Result<(), Failure> {
        save(frame, &self.file(self.frames))?;
        self.frames += 1;
        Ok(())
    }

    /// Writes `scene.png`, over an earlier one.
    pub fn write_still(&self, frame: &Pixmap) -> Result<(), Failure> {
        save(frame, &self.folder.join("scene.png"))
    }

    /// Clears away the frames of an earlier, longer film, and returns the length of this one.
    pub fn finish(self) -> usize {
        (self.frames..).take_while(|&n| std::fs::remove_file(self.file(n)).is_ok()).count();
        self.frames
    }

    fn file(&self, number: usize) -> PathBuf {
        self.folder.join(format!("frame-{number:04}.png"))
    }
}

/// Frames are opaque, so their premultiplied pixels are plain ones. The encoder is set to fast: a frame is
/// drawn in less time than its best compression takes.
fn save(frame: &Pixmap, file: &Path) -> Result<(), Failure> {
    let mut bytes = vec![];
    let mut encoder = Encoder::new(&mut bytes, frame.width(), frame.height());
    encoder.set_color(ColorType::Rgba);
    encoder.set_compression(Compression::Fast);
    let refused = |reason: String| Failure::Frame { file: file.to_owned(), reason };
    encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(frame.data()))
        .map_err(|e| refused(e.to_string()))?;
    std::fs::write(file, bytes).map_err(|e| refused(e.to_string()))
}
