//! The report as a person reads it.

use std::fmt::Write;

use offramp::evaluate::{Fidelity, Interval};

use super::report::{ByExtractor, Measured, Paired, Report, Set};
use crate::cli::Failure;
use crate::cli::stdout::say;

/// Prints the tables; `quiet` leaves the notes out.
pub fn print(report: &Report, quiet: bool) -> Result<(), Failure> {
    let mut text = String::new();
    let sets = [("A", Some(&report.a)), ("B", Some(&report.b)), ("C", report.against.as_ref())];
    for (letter, set) in sets {
        if let Some(set) = set {
            push(&mut text, &format!("{letter}  {}", described(set)));
        }
    }
    for by in &report.extractors {
        push(&mut text, &format!("\n{}", heading(by)));
        push(&mut text, rows_of(by).text().trim_end());
        if let Some(interval) = &by.fd_difference {
            push(&mut text, &verdict(by.fd_name, interval, "nearer to B", false));
        }
    }
    if let Some(paired) = &report.paired {
        push(&mut text, &format!("\n{} pairs of images by {}", paired.pairs, paired.by));
        push(&mut text, fidelity(paired).text().trim_end());
        for (name, interval, more) in
            [("RMSE", &paired.rmse_difference, false), ("SSIM", &paired.ssim_difference, true)]
        {
            if let Some(interval) = interval {
                push(&mut text, &verdict(name, interval, "nearer to B", more));
            }
        }
    }
    if !quiet && !report.notes.is_empty() {
        text.push('\n');
        for note in &report.notes {
            push(&mut text, &format!("note: {note}"));
        }
    }
    say!("{}", text.trim_end())
}

fn push(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}

fn described(set: &Set) -> String {
    let n = set.n.map_or("N unknown".to_owned(), |n| format!("N = {n}"));
    match set.shape {
        Some([h, w, c]) => format!("{}: {n}, {w}×{h} {}", set.name, if c == 1 { "grey" } else { "RGB" }),
        None => format!("{}: {n}, statistics", set.name),
    }
}

fn heading(by: &ByExtractor) -> String {
    let what = match &by.extractor {
        Some(identity) if identity.resize == "none" => format!("{} (images not resized)", identity.name),
        Some(identity) => format!("{} (resize {})", identity.name, identity.resize),
        None => "features of an extractor that the statistics do not name".to_owned(),
    };
    let chosen = by.chosen.as_ref().map(|reason| format!("; {reason}")).unwrap_or_default();
    format!("{what}, {} features{chosen}", by.width)
}

/// A name, A's value, C's value, and what else there is to say.
#[derive(Default)]
struct Rows(Vec<[String; 4]>);

impl Rows {
    fn head(against: bool) -> Self {
        let c = if against { "C to B" } else { "" };
        Self(vec![["".into(), "A to B".into(), c.into(), "".into()]])
    }

    fn add(&mut self, name: String, a: Option<String>, c: Option<String>, rest: String) {
        if a.is_some() || c.is_some() {
            self.0.push([name, a.unwrap_or("–".into()), c.unwrap_or_default(), rest]);
        }
    }

    fn text(&self) -> String {
        let width = |i: usize| self.0.iter().map(|r| r[i].chars().count()).max().unwrap_or(0);
        let widths = [width(0), width(1), width(2)];
        let line = |row: &[String; 4]| {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(widths).filter(|(_, w)| *w > 0 || row[0].is_empty()) {
                let _ = write!(line, "{cell:<width$}  ");
            }
            (line + &row[3]).trim_end().to_owned()
        };
        self.0.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

fn rows_of(by: &ByExtractor) -> Rows {
    let mut rows = Rows::head(by.against.is_some());
    let mut add = |name: String, of: &dyn Fn(&Measured) -> Option<String>, rest: String| {
        rows.add(name, of(&by.a), by.against.as_ref().and_then(of), rest);
    };
    add(by.fd_name.to_owned(), &|m| m.fd.map(number), String::new());
    let kid = |m: &Measured| {
        m.kid.as_ref().map(|k| format!("{} ± {}", number(1e3 * k.value), number(1e3 * k.standard_error)))
    };
    let subsets =
        by.a.kid.as_ref().map(|k| format!("± standard error; {} subsets of {}", k.subsets, k.subset_size));
    add("KID × 1000".into(), &kid, subsets.unwrap_or_default());
    if let Some(m) = &by.a.manifold {
        let (k, k_density) = (m.k, m.k_density);
        let share = |v: f64| format!("{v:.4}");
        add(
            format!("precision, k = {k}"),
            &|m| m.manifold.as_ref().map(|m| share(m.precision)),
            String::new(),
        );
        add(format!("recall, k = {k}"), &|m| m.manifold.as_ref().map(|m| share(m.recall)), String::new());
        add(
            format!("density, k = {k_density}"),
            &|m| m.manifold.as_ref().map(|m| share(m.density)),
            String::new(),
        );
        add(
            format!("coverage, k = {k_density}"),
            &|m| m.manifold.as_ref().map(|m| share(m.coverage)),
            String::new(),
        );
    }
    let score =
        |m: &Measured| m.inception_score.as_ref().map(|s| format!("{:.3} ± {:.3}", s.mean, s.deviation));
    let of_b = by.inception_score_of_b.as_ref();
    let of_b =
        of_b.map(|s| format!("± over {} splits; B itself has {:.3}", s.splits, s.mean)).unwrap_or_default();
    let name = if by.fd_name == "FID" { "Inception Score" } else { "Inception Score (of this extractor)" };
    add(name.into(), &score, of_b);
    rows
}

fn fidelity(paired: &Paired) -> Rows {
    let mut rows = Rows::head(paired.against.is_some());
    let mut add = |name: &str, of: &dyn Fn(&Fidelity) -> String, rest: &str| {
        rows.add(name.into(), Some(of(&paired.a)), paired.against.as_ref().map(of), rest.into());
    };
    add("RMSE", &|f| format!("{:.5}", f.rmse), "values in −1 … 1");
    add("PSNR", &|f| f.psnr.map_or("∞".into(), |p| format!("{p:.2} dB")), "");
    add("SSIM", &|f| format!("{:.5}", f.ssim), "mean over images");
    rows
}

/// A difference in words. `more` says whether the greater value is the better.
fn verdict(name: &str, interval: &Interval, better: &str, more: bool) -> String {
    let Interval { value, low, high } = *interval;
    let says = match low > 0.0 || high < 0.0 {
        true if (low > 0.0) == more => format!("excludes zero: A is {better}"),
        true => format!("excludes zero: C is {better}"),
        false => "contains zero: no difference is shown".into(),
    };
    let [value, low, high] = [value, low, high].map(number);
    format!("{name}, A − C: {value}, 95 % interval {low} … {high}, {says}")
}

/// Four significant digits, or as many as stand before the point.
fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let before = value.abs().log10().floor() as i32;
    let decimals = (3 - before).clamp(0, 9) as usize;
    format!("{value:.decimals$}").replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_digits() {
        for (value, text) in
            [(0.0, "0"), (12345.678, "12346"), (23.4567, "23.46"), (-0.0012345, "−0.001234"), (1.0, "1.000")]
        {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn an_interval_says_who_is_nearer_only_where_it_excludes_zero() {
        let words = |low, high, more| verdict("x", &Interval { value: 1.0, low, high }, "nearer to B", more);
        assert!(words(-1.0, 2.0, false).ends_with("contains zero: no difference is shown"));
        assert!(words(0.5, 2.0, false).ends_with("excludes zero: C is nearer to B"));
        assert!(words(0.5, 2.0, true).ends_with("excludes zero: A is nearer to B"));
        assert!(words(-2.0, -0.5, false).ends_with("excludes zero: A is nearer to B"));
    }
}
