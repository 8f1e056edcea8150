//! `--guidance`, `--guidance-interval`.

use offramp::Guidance;

use super::Failure;

/// Guidance of all channels at a scale, inside an interval of times if one was typed.
pub fn guidance(scale: f64, interval: Option<&[f64]>) -> Result<Guidance, Failure> {
    let mut guidance = Guidance::scale(scale);
    if let Some(interval) = interval {
        guidance.interval = <[f64; 2]>::try_from(interval).map_err(|_| {
            let typed: Vec<String> = interval.iter().map(f64::to_string).collect();
            Failure::option("--guidance-interval", typed.join(","), "two times are needed, LO,HI")
        })?;
        if let [lo, hi] = guidance.interval
            && !(lo.is_finite() && hi.is_finite())
        {
            let typed = format!("{lo},{hi}");
            return Err(Failure::option("--guidance-interval", typed, "both times must be finite numbers"));
        }
    }
    Ok(guidance)
}
