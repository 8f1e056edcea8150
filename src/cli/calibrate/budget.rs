//! `--budget`: a share of block cost, or milliseconds.

use std::str::FromStr;

use offramp::exit::Budget as Share;

/// What an image may cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Budget {
    /// A share of block cost.
    Share(Share),
    /// Milliseconds an image.
    Milliseconds(f64),
}

impl FromStr for Budget {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let refuse = || "it must be a share above 0 and up to 1, or milliseconds as 60ms".into();
        let (number, milliseconds) = s.strip_suffix("ms").map_or((s, false), |ms| (ms, true));
        match number.parse::<f64>() {
            Ok(ms) if milliseconds && ms > 0.0 && ms.is_finite() => Ok(Self::Milliseconds(ms)),
            Ok(share) if !milliseconds => Share::new(share).map(Self::Share).ok_or_else(refuse),
            _ => Err(refuse()),
        }
    }
}
