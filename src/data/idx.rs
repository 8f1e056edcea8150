//! IDX files, the format of MNIST and its kin: `00 00 type rank`, `rank` big-endian u32 dimensions, the
//! values row by row. Gzip is recognised by its first bytes, whatever the name.
//!
//! Source: <http://yann.lecun.com/exdb/mnist/>, "THE IDX FILE FORMAT".

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use super::{DataError, MOST_UNPACKED};

/// The type byte of unsigned bytes.
const UNSIGNED_BYTE: u8 = 0x08;
/// Bytes asked for at a time: a claim of terabytes costs no more memory than this.
const CHUNK: u64 = 1 << 20;

/// An IDX file of unsigned bytes in `RANK` dimensions, read record by record along the first.
///
/// Dimensions are checked when it is opened (and, where it is not compressed, the file's length). That a
/// compressed stream holds as much as it claims shows as it is read; that it holds no more, with the last
/// record.
pub struct Idx<const RANK: usize> {
    file: PathBuf,
    stream: Box<dyn Read + Send>,
    compressed: bool,
    shape: [usize; RANK],
    /// Bytes of values claimed.
    claimed: u64,
    /// Bytes of values read.
    read: u64,
}

impl<const RANK: usize> std::fmt::Debug for Idx<RANK> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Idx").field("file", &self.file).field("shape", &self.shape).finish_non_exhaustive()
    }
}

impl<const RANK: usize> Idx<RANK> {
    /// Opens `file`, plain or gzip, and checks its header: bytes in `RANK` dimensions, none of them 0.
    ///
    /// # Errors
    /// The file cannot be read; it is no IDX file of unsigned bytes in as many dimensions; a plain file's length is
    /// not what its header claims.
    pub fn open(file: &Path) -> Result<Self, DataError> {
        let io = |source| DataError::Io { file: file.to_owned(), source };
        let handle = File::open(file).map_err(io)?;
        let info = handle.metadata().map_err(io)?;
        if info.is_dir() {
            return Err(io(ErrorKind::IsADirectory.into()));
        }
        let length = info.is_file().then_some(info.len());
        let mut plain = BufReader::with_capacity(1 << 16, handle);
        let gzip = plain.fill_buf().map_err(io)?.starts_with(&[0x1f, 0x8b]);
        let mut stream: Box<dyn Read + Send> =
            if gzip { Box::new(MultiGzDecoder::new(plain)) } else { Box::new(plain) };

        let mut magic = Vec::new();
        stream.by_ref().take(4).read_to_end(&mut magic).map_err(io)?;
        let &[0, 0, element, got] = magic.as_slice() else {
            return Err(DataError::NotIdx { file: file.to_owned(), got: magic });
        };
        if element != UNSIGNED_BYTE {
            return Err(DataError::ElementType { file: file.to_owned(), got: element });
        }
        if usize::from(got) != RANK {
            return Err(DataError::Rank { file: file.to_owned(), expected: RANK, got: got.into() });
        }
        let mut shape = [0; RANK];
        for size in &mut shape {
            let mut dimension = [0; 4];
            stream.read_exact(&mut dimension).map_err(io)?;
            *size = u32::from_be_bytes(dimension) as usize;
        }
        // What can be read must fit an isize, the most that memory can hold.
        let product = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        let claimed = match product {
            Some(n) if n > 0 && isize::try_from(n).is_ok() => n as u64,
            _ => return Err(DataError::Dimensions { file: file.to_owned(), shape: shape.into() }),
        };
        let idx = Self { file: file.to_owned(), stream, compressed: gzip, shape, claimed, read: 0 };
        match length.filter(|_| !gzip).map(|all| all - 4 - 4 * RANK as u64) {
            Some(got) if got < claimed => Err(idx.truncated(got)),
            Some(got) if got > claimed => Err(idx.trailing()),
            _ => Ok(idx),
        }
    }

    /// The dimensions, records first: `[N, H, W]` for images, `[N]` for labels.
    pub fn shape(&self) -> [usize; RANK] {
        self.shape
    }

    /// Whether the file is gzip, so that it may hold less than it claims, or far more than its own size.
    pub fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// Refuses a compressed file that claims more than anything real holds.
    pub(crate) fn check_unpacked(&self) -> Result<(), DataError> {
        match self.compressed && self.claimed > MOST_UNPACKED {
            false => Ok(()),
            true => {
                let (file, claims) = (self.file.clone(), self.claimed);
                Err(DataError::Unpacked { file, claims, most: MOST_UNPACKED })
            }
        }
    }

    /// Bytes of one record.
    pub fn record(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// Records that are still to be read.
    pub fn left(&self) -> usize {
        ((self.claimed - self.read) / self.record() as u64) as usize
    }

    /// The next `at_most` records, or as many as there are; none at the end.
    ///
    /// # Errors
    /// The stream ends before the claim is met, or goes on behind it; it is damaged.
    pub fn next_records(&mut self, at_most: usize) -> Result<Option<Vec<u8>>, DataError> {
        let wanted = at_most.min(self.left()) as u64 * self.record() as u64;
        if wanted == 0 {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < wanted {
            let chunk = CHUNK.min(wanted - bytes.len() as u64);
            let got = self.stream.by_ref().take(chunk).read_to_end(&mut bytes);
            let got = got.map_err(|source| DataError::Io { file: self.file.clone(), source })? as u64;
            self.read += got;
            if got < chunk {
                return Err(self.truncated(self.read));
            }
        }
        if self.read == self.claimed {
            let mut behind = [0];
            match self.stream.read(&mut behind) {
                Ok(0) => {}
                Ok(_) => return Err(self.trailing()),
                Err(source) => return Err(DataError::Io { file: self.file.clone(), source }),
            }
        }
        Ok(Some(bytes))
    }

    /// All that is left.
    ///
    /// # Errors
    /// As [`Idx::next_records`].
    pub fn read_all(mut self) -> Result<Vec<u8>, DataError> {
        let left = self.left();
        Ok(self.next_records(left)?.unwrap_or_default())
    }

    fn truncated(&self, got: u64) -> DataError {
        let (file, shape) = (self.file.clone(), self.shape.into());
        DataError::Truncated { file, shape, expected: self.claimed, got }
    }

    fn trailing(&self) -> DataError {
        DataError::Trailing { file: self.file.clone(), shape: self.shape.into(), expected: self.claimed }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn idx(element: u8, shape: &[u32], values: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, element, shape.len() as u8];
        bytes.extend(shape.iter().flat_map(|d| d.to_be_bytes()));
        bytes.extend(values);
        bytes
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Reads bytes as an IDX file of images.
    fn read(bytes: &[u8]) -> Result<(Vec<usize>, Vec<u8>), DataError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("images");
        std::fs::write(&file, bytes).unwrap();
        let idx = Idx::<3>::open(&file)?;
        Ok((idx.shape().to_vec(), idx.read_all()?))
    }

    #[test]
    fn reads_plain_and_gzip_alike() {
        let values: Vec<u8> = (0..24).collect();
        let bytes = idx(8, &[2, 3, 4], &values);
        let expected = (vec![2, 3, 4], values);
        assert_eq!(read(&bytes).unwrap(), expected);
        assert_eq!(read(&gzip(&bytes)).unwrap(), expected);
    }

    #[test]
    fn reads_in_parts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("images");
        std::fs::write(&file, gzip(&idx(8, &[5, 1, 2], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]))).unwrap();
        let mut idx = Idx::<3>::open(&file).unwrap();
        assert_eq!(idx.next_records(2).unwrap().unwrap(), [0, 1, 2, 3]);
        assert_eq!(idx.left(), 3);
        assert_eq!(idx.next_records(99).unwrap().unwrap(), [4, 5, 6, 7, 8, 9]);
        assert!(idx.next_records(1).unwrap().is_none());
    }

    #[test]
    fn refuses_what_it_is_not() {
        let values = [0; 24];
        assert!(matches!(read(b""), Err(DataError::NotIdx { .. })));
        assert!(matches!(read(b"\x89PNG\r\n"), Err(DataError::NotIdx { .. })));
        assert!(matches!(
            read(&idx(0x0d, &[2, 3, 4], &values)),
            Err(DataError::ElementType { got: 0x0d, .. })
        ));
        assert!(matches!(read(&idx(8, &[24], &values)), Err(DataError::Rank { expected: 3, got: 1, .. })));
        assert!(matches!(read(&idx(8, &[2, 0, 4], &[])), Err(DataError::Dimensions { .. })));
        assert!(matches!(read(&idx(8, &[u32::MAX; 3], &[])), Err(DataError::Dimensions { .. })));
        assert!(matches!(read(&[0, 0, 8, 3, 0, 0]), Err(DataError::Io { .. })));
    }

    #[test]
    fn compares_the_claim_with_the_stream() {
        for pack in [|b: &[u8]| b.to_vec(), gzip] {
            let short = read(&pack(&idx(8, &[2, 3, 4], &[0; 23])));
            assert!(matches!(short, Err(DataError::Truncated { expected: 24, got: 23, .. })), "{short:?}");
            let long = read(&pack(&idx(8, &[2, 3, 4], &[0; 25])));
            assert!(matches!(long, Err(DataError::Trailing { expected: 24, .. })), "{long:?}");
            // 2^62 bytes claimed and four there: nothing is allocated for the claim.
            let huge = read(&pack(&idx(8, &[1 << 30, 1 << 16, 1 << 16], &[0; 4])));
            assert!(matches!(huge, Err(DataError::Truncated { got: 4, .. })), "{huge:?}");
        }
    }

    #[test]
    fn a_cut_gzip_stream_is_an_error() {
        let whole = gzip(&idx(8, &[2, 3, 4], &[7; 24]));
        assert!(matches!(read(&whole[..whole.len() - 4]), Err(DataError::Io { .. })));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..64), head in 0..4usize) {
            // Most random bytes fail at once; a good head gets some of them further.
            bytes.splice(0..head.min(bytes.len()), [0, 0, 8, 3].into_iter().take(head.min(bytes.len())));
            if let Ok((shape, values)) = read(&bytes) {
                prop_assert_eq!(shape.iter().product::<usize>(), values.len());
            }
        }
    }
}
