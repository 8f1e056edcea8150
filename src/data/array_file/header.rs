//! The header of a `.npy` array.

use std::io::Read;

/// Longest header of an array, as numpy's own limit.
const LONGEST_HEADER: usize = 10_000;

/// What a `.npy` header says.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    /// Type and byte order (`<f8`).
    pub descr: String,
    /// Column by column.
    pub fortran: bool,
    /// As claimed.
    pub shape: Vec<u64>,
}

impl Header {
    /// The header, and how many bytes it takes.
    pub fn read(from: &mut impl Read) -> Result<(Self, u64), String> {
        let mut start = [0; 8];
        from.read_exact(&mut start).map_err(|e| e.to_string())?;
        if &start[..6] != b"\x93NUMPY" {
            return Err("not an array".into());
        }
        let mut length = [0; 4];
        let bytes = if start[6] == 1 { 2 } else { 4 };
        from.read_exact(&mut length[..bytes]).map_err(|e| e.to_string())?;
        let length = u32::from_le_bytes(length) as usize;
        if length > LONGEST_HEADER {
            return Err(format!("its header claims {length} bytes"));
        }
        let mut text = vec![0; length];
        from.read_exact(&mut text).map_err(|e| e.to_string())?;
        let text = std::str::from_utf8(&text).map_err(|_| "its header is not text".to_owned())?;
        let header =
            Self::parse(text).ok_or_else(|| format!("its header is not understood: {:.80}", text.trim()))?;
        Ok((header, (start.len() + bytes + length) as u64))
    }

    /// Of `{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }`; nothing but plain arrays.
    fn parse(text: &str) -> Option<Self> {
        let value = |key: &str| {
            let after = text.split_once(&format!("'{key}'"))?.1;
            after.trim_start().strip_prefix(':').map(str::trim_start)
        };
        let descr = value("descr")?.strip_prefix('\'')?.split_once('\'')?.0;
        let fortran = match value("fortran_order")? {
            v if v.starts_with("True") => true,
            v if v.starts_with("False") => false,
            _ => return None,
        };
        let shape = value("shape")?.strip_prefix('(')?.split_once(')')?.0;
        let parts = shape.split(',').map(str::trim).filter(|n| !n.is_empty());
        let shape = parts.map(|n| n.parse().ok()).collect::<Option<Vec<u64>>>()?;
        let plain = descr.len() >= 3 && descr.is_ascii() && shape.len() <= 8;
        plain.then(|| Self { descr: descr.to_owned(), fortran, shape })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_plain_arrays_are_read_and_others_are_not() {
        let ours = Header::parse("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }   \n");
        assert_eq!(ours, Some(Header { descr: "<f8".into(), fortran: false, shape: vec![3, 4] }));
        let scalar = Header::parse("{'shape': (), 'fortran_order': True, 'descr': '<i8'}");
        assert_eq!(scalar, Some(Header { descr: "<i8".into(), fortran: true, shape: vec![] }));
        for odd in [
            "",
            "{}",
            "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (3,), }",
            "{'descr': '<f8', 'fortran_order': 0, 'shape': (3,), }",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (-3,), }",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,), }",
            "{'descr': '<', 'fortran_order': False, 'shape': (3,), }",
        ] {
            assert_eq!(Header::parse(odd), None, "{odd}");
        }
    }
}
