//! β and ᾱ against the formulas in float64 and against Hugging Face's float32 tables.

mod solver_fixture;

use solver_fixture::{Fixture, diffusion, text};

#[test]
fn every_table_agrees_with_both_references() {
    let fixture = Fixture::open("noise_schedules");
    let (exact, hf) = (fixture.number("tolerance"), fixture.number("tolerance_hf"));
    assert_eq!(fixture.cases().len(), 6);
    for case in fixture.cases() {
        let (name, ours) = (text(&case, "name"), diffusion(&case));
        for (what, values) in [("betas", ours.betas()), ("alphas_cumprod", ours.alphas_cumprod())] {
            let wide = fixture.values(&format!("{name}/{what}_f64"));
            let narrow = fixture.values(&format!("{name}/{what}_hf"));
            assert_eq!((values.len(), values.len()), (wide.len(), narrow.len()));
            for (t, ((a, b), c)) in values.iter().zip(wide).zip(narrow).enumerate() {
                assert!((a - b).abs() <= exact * b.abs(), "{name} {what} {t}: {a} against {b}");
                assert!((a - c).abs() <= hf, "{name} {what} {t}: {a} against {c} of Hugging Face");
            }
        }
    }
}
