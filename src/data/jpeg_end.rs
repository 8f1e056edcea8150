//! Whether a JPEG is whole: its segments lead to the end-of-image marker.
//!
//! Source: ITU-T T.81, annex B (the order of markers and the lengths of their segments).

const END_OF_IMAGE: u8 = 0xd9;

/// Follows the markers of a JPEG. A marker inside a segment, as that of an embedded preview, does not count.
pub(super) fn is_reached(bytes: &[u8]) -> bool {
    let mut at = 2; // Behind the start-of-image marker.
    loop {
        let Some((marker, behind)) = next_marker(bytes, at) else { return false };
        at = match marker {
            END_OF_IMAGE => return true,
            // Restarts and TEM stand alone; every other marker begins a segment with its length.
            0x01 | 0xd0..=0xd8 => behind,
            _ => match bytes.get(behind..behind + 2) {
                Some(&[high, low]) => behind + usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
        };
    }
}

/// The next marker from a position, and where it ends; entropy-coded data before it are passed over: in them,
/// FF is followed by 00.
fn next_marker(bytes: &[u8], from: usize) -> Option<(u8, usize)> {
    let rest = bytes.get(from..)?;
    let at = rest.windows(2).position(|w| w[0] == 0xff && !matches!(w[1], 0x00 | 0xff))?;
    Some((rest[at + 1], from + at + 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::codecs::jpeg::JpegEncoder;

    fn jpeg() -> Vec<u8> {
        let mut bytes = vec![];
        let pixels: Vec<u8> = (0..64 * 64).map(|k| (k * 7 % 251) as u8).collect();
        JpegEncoder::new(&mut bytes).encode(&pixels, 64, 64, image::ExtendedColorType::L8).unwrap();
        bytes
    }

    #[test]
    fn only_a_whole_image_has_an_end() {
        let whole = jpeg();
        assert!(is_reached(&whole));
        assert!(is_reached(&[whole.as_slice(), b"trailing"].concat()));
        for cut in 0..whole.len() {
            assert!(!is_reached(&whole[..cut]), "cut to {cut} of {}", whole.len());
        }
    }

    #[test]
    fn the_end_of_a_preview_is_not_the_end() {
        let whole = jpeg();
        // An application segment that holds a JPEG of its own.
        let mut preview = vec![0xff, 0xe1];
        preview.extend((whole.len() as u16 + 2).to_be_bytes());
        preview.extend(&whole);
        let bytes = [&whole[..2], &preview, &whole[2..]].concat();
        assert!(is_reached(&bytes));
        assert!(!is_reached(&bytes[..bytes.len() - 40]));
    }
}
