//! Numbers as the tables print them.

pub use crate::plot::number::{count, decimals, fixed, significant};

/// `x` with its sign, always.
pub fn signed(x: f64, digits: usize) -> String {
    if x > 0.0 { format!("+{}", significant(x, digits)) } else { significant(x, digits) }
}

/// `x` with its sign and so many decimals.
pub fn signed_fixed(x: f64, decimals: usize) -> String {
    let text = fixed(x, decimals);
    // Nothing is printed with a sign that rounds to nothing.
    let nothing = text.bytes().all(|b| matches!(b, b'0' | b'.'));
    if x > 0.0 && x.is_finite() && !nothing { format!("+{text}") } else { text }
}

/// Bytes in the unit that fits.
pub fn bytes(bytes: u64) -> String {
    const GIB: f64 = (1u64 << 30) as f64;
    let b = bytes as f64;
    if b >= GIB { format!("{:.1} GiB", b / GIB) } else { format!("{:.0} MiB", b / (1u64 << 20) as f64) }
}

/// `1 row`, `2 rows`.
pub fn plural(n: usize, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// `a`, `a and b`, `a, b and c`.
pub fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rounds_to_nothing_has_no_sign() {
        assert_eq!(signed_fixed(0.001, 2), "0.00");
        assert_eq!(signed_fixed(0.01, 2), "+0.01");
        assert_eq!(signed(2.5, 2), "+2.5");
        assert_eq!(signed(-2.5, 2), "−2.5");
    }
}
