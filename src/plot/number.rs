//! Numbers as plots and tables print them.

/// `x` with so many significant digits and a true minus sign; never in exponents between 0.0001 and 10⁷.
pub fn significant(x: f64, digits: usize) -> String {
    if !x.is_finite() {
        return "not finite".into();
    }
    if x == 0.0 {
        return "0".into();
    }
    let magnitude = x.abs().log10().floor();
    if !(-4.0..7.0).contains(&magnitude) {
        return minus(format!("{x:.*e}", digits.saturating_sub(1)));
    }
    minus(format!("{x:.*}", decimals(x, digits)))
}

/// Decimals that print `x` with so many significant digits.
pub fn decimals(x: f64, digits: usize) -> usize {
    if x == 0.0 || !x.is_finite() {
        return digits.saturating_sub(1);
    }
    (digits as f64 - 1.0 - x.abs().log10().floor()).clamp(0.0, 12.0) as usize
}

/// `x` with so many decimals and a true minus sign.
pub fn fixed(x: f64, decimals: usize) -> String {
    if !x.is_finite() {
        return "not finite".into();
    }
    let text = format!("{x:.decimals$}");
    // No −0.00.
    if text.trim_start_matches('-').bytes().all(|b| matches!(b, b'0' | b'.')) {
        return text.trim_start_matches('-').into();
    }
    minus(text)
}

/// A whole number in groups of three.
pub fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (k, c) in digits.chars().enumerate() {
        if k > 0 && (digits.len() - k).is_multiple_of(3) {
            text.push(',');
        }
        text.push(c);
    }
    text
}

fn minus(text: String) -> String {
    text.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_significant_and_zeros_have_no_sign() {
        assert_eq!(significant(18.873, 4), "18.87");
        assert_eq!(significant(0.01234, 3), "0.0123");
        assert_eq!(significant(123456.0, 3), "123456");
        assert_eq!(significant(-1.0, 2), "−1.0");
        assert_eq!(significant(1.5e-9, 2), "1.5e−9");
        assert_eq!(significant(f64::NAN, 3), "not finite");
        assert_eq!(fixed(-0.001, 2), "0.00");
        assert_eq!(count(1234567), "1,234,567");
        assert_eq!(count(500), "500");
    }
}
