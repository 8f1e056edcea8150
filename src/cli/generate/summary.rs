//! The last words of a run: how fast it was, how deep it went, and whether its rule did anything.

use super::Run;
use super::choices::Choices;
use super::measured::Measured;
use super::totals::Totals;
use crate::cli::Failure;
use crate::cli::stdout::say;

impl Run {
    /// Prints them, or the last line of JSON.
    pub fn summary(
        &self,
        totals: &Totals,
        choices: &Choices,
        measured: Option<&Measured>,
    ) -> Result<(), Failure> {
        let share = totals.cost_share();
        let depth = self.sampler.model().backbone.depth();
        if self.args.json {
            let mut line = serde_json::json!({
                "event": "done", "images": totals.images, "kept": self.request.done.len(),
                "seconds": totals.seconds, "images_per_second": totals.images as f64 / totals.seconds,
                "cost_share": share, "mean_depth": totals.mean_depth(), "depth": depth,
                "predicted_speedup": 1.0 / share, "tail_bytes": totals.tail_bytes,
                "scores": choices.scores(), "inert": choices.inert(), "out": self.args.out,
            });
            if let Some(measured) = measured {
                line["measured"] = serde_json::json!(measured);
            }
            if let Some(acceptance) = totals.acceptance() {
                line["drafted"] = totals.drafted.into();
                line["accepted"] = totals.accepted.into();
                line["acceptance"] = acceptance.into();
            }
            say!("{line}")?;
        } else if totals.images == 0 && !self.args.quiet {
            say!("all {} images were in {} already", self.request.done.len(), self.args.out.display())?;
        } else if !self.args.quiet {
            say!(
                "{} images in {:.1} s ({:.2} images/s) in {}",
                totals.images,
                totals.seconds,
                totals.images as f64 / totals.seconds,
                self.args.out.display()
            )?;
            say!(
                "ran {:.0} % of block cost (mean depth {:.1} of {depth}): predicted {:.2}×{}",
                100.0 * share,
                totals.mean_depth(),
                1.0 / share,
                measured.map(|measured| self.against_full(measured)).unwrap_or_default()
            )?;
            if let Some(acceptance) = totals.acceptance() {
                say!(
                    "accepted {} of {} drafted evaluations ({:.0} %)",
                    totals.accepted,
                    totals.drafted,
                    100.0 * acceptance
                )?;
            }
            if totals.tail_bytes > 0 {
                let kib = totals.tail_bytes as f64 / 1024.0;
                say!("tail {} kept {kib:.1} KiB an image", self.parameters.tail)?;
            }
            if let Some(warning) = choices.warning() {
                say!("{warning}")?;
            }
        }
        Ok(())
    }

    /// What was measured, behind what was predicted.
    fn against_full(&self, measured: &Measured) -> String {
        let Measured { images, rounds, speedup, least, most, predicted_speedup, r, rmse } = measured;
        // The first images may have left elsewhere than all.
        let part = match *images == self.request.len() {
            true => String::new(),
            false => format!(" on the first {images} images, of which {predicted_speedup:.2}× was predicted"),
        };
        format!(
            ", measured {speedup:.2}× ({least:.2}–{most:.2} in {rounds} rounds, r {r:.2}), RMSE to full depth {rmse:.3}{part}"
        )
    }
}
