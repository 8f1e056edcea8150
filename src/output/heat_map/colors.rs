//! Colours for depths: viridis (van der Walt & Smith 2015, CC0), made so that equal steps of the number look equally
//! large, in colour, in grey and to colour-blind readers.

/// Every eighth colour of the table of 256, and the last.
const VIRIDIS: [u32; 33] = [
    0x440154, 0x470d60, 0x48186a, 0x482374, 0x472d7b, 0x453681, 0x424086, 0x3f4989, 0x3b528b, 0x375a8d,
    0x33638d, 0x2f6a8e, 0x2c728e, 0x297a8e, 0x26818e, 0x23898e, 0x21908c, 0x1f988b, 0x1f9f88, 0x21a685,
    0x28ae80, 0x31b57b, 0x3ebc74, 0x4cc26c, 0x5dc963, 0x6ece58, 0x82d34c, 0x96d83f, 0xabdc32, 0xc0df24,
    0xd5e21a, 0xeae51a, 0xfde725,
];

/// The colour of a depth, or of a mean of depths, in blocks, on the scale from 1 to `blocks`: violet where one block
/// ran, yellow where all did. Outside the scale it is that of its nearer end.
pub fn depth_color(depth: f64, blocks: usize) -> [u8; 3] {
    let whole = blocks.saturating_sub(1).max(1) as f64;
    // Of a network of one block, all ran.
    let share = if blocks <= 1 { 1.0 } else { ((depth - 1.0) / whole).clamp(0.0, 1.0) };
    let place = share * (VIRIDIS.len() - 1) as f64;
    let below = (place as usize).min(VIRIDIS.len() - 2);
    let (from, to) = (channels(VIRIDIS[below]), channels(VIRIDIS[below + 1]));
    let part = place - below as f64;
    [0, 1, 2].map(|c| (from[c] + part * (to[c] - from[c])).round() as u8)
}

fn channels(color: u32) -> [f64; 3] {
    [16, 8, 0].map(|shift| f64::from(color >> shift & 0xff))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Relative luminance (Rec. 709), of linear light.
    fn luminance(color: [u8; 3]) -> f64 {
        let [r, g, b] = color.map(|c| (f64::from(c) / 255.0).powf(2.2));
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    #[test]
    fn every_depth_has_a_colour_of_its_own_and_deeper_is_lighter() {
        for blocks in 2..=200 {
            let colors: Vec<[u8; 3]> = (1..=blocks).map(|d| depth_color(d as f64, blocks)).collect();
            assert_eq!(colors.iter().collect::<BTreeSet<_>>().len(), blocks);
            assert_eq!((colors[0], colors[blocks - 1]), ([0x44, 0x01, 0x54], [0xfd, 0xe7, 0x25]));
            if blocks <= 64 {
                assert!(colors.windows(2).all(|c| luminance(c[0]) < luminance(c[1])), "{blocks}");
            }
        }
    }

    #[test]
    fn the_scale_has_ends() {
        assert_eq!(depth_color(0.0, 12), depth_color(1.0, 12));
        assert_eq!(depth_color(13.0, 12), depth_color(12.0, 12));
        for blocks in [0, 1] {
            assert_eq!(depth_color(1.0, blocks), [0xfd, 0xe7, 0x25]);
        }
        // A number that is none is not a panic.
        depth_color(f64::NAN, 12);
    }

    #[test]
    fn between_the_table_s_colours_it_is_viridis() {
        // From matplotlib's table of 256, whose 5th, 101st and 251st these are.
        for (place, expected) in
            [(4, [0x46, 0x07, 0x5a]), (100, [0x2a, 0x76, 0x8e]), (250, [0xf1, 0xe5, 0x1d])]
        {
            let color = depth_color(1.0 + f64::from(place) / 255.0 * 11.0, 12);
            for c in 0..3 {
                assert!(color[c].abs_diff(expected[c]) <= 2, "{place}: {color:?} and {expected:?}");
            }
        }
    }
}
