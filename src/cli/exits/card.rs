//! The quality of exits as Markdown.

use offramp::evaluate::Interval;
use offramp::evaluate::exits::{DepthSpread, ExitErrorRow, ExitQuality, SignalKind, SignalQuality, TENTHS};

/// A section of a model card.
pub fn card(name: &str, trained: &str, data: &str, command: &str, quality: &ExitQuality) -> String {
    let mut text = format!(
        "### Exits of {name}\n\n`{command}`: {} images of {data}, noised at {} times, run to the end of all {} blocks. \
         Exits are {trained}.\n",
        quality.images,
        quality.times.len(),
        quality.depth
    );
    text += &errors("Mean (g_i − ε)²", quality, |row| &row.noise);
    text += &errors("Mean (g_i − g_N)²", quality, |row| &row.full);
    text += &format!(
        "\nTime and exit alone explain {} of the variance of |g_i − g_N|.\n",
        quality.explained_by_cell.map_or("nothing".into(), percent)
    );
    for signal in &quality.signals {
        text += &knowledge(signal, quality);
        text += &depths(signal);
    }
    text
}

fn row(cells: impl IntoIterator<Item = String>) -> String {
    format!("| {} |\n", cells.into_iter().collect::<Vec<_>>().join(" | "))
}

fn header<const N: usize>(cells: [String; N]) -> String {
    row(cells) + &format!("|{}\n", "---|".repeat(N))
}

fn errors(what: &str, quality: &ExitQuality, of: fn(&ExitErrorRow) -> &[Option<f64>; TENTHS]) -> String {
    let mut text = format!("\n{what}, by exit and tenth of the time axis (t/T):\n\n");
    let columns: [String; TENTHS + 1] = std::array::from_fn(|c| match c {
        0 => "exit".to_owned(),
        c => format!("{:.1}–{:.1}", (c as f64 - 1.0) / TENTHS as f64, c as f64 / TENTHS as f64),
    });
    text += &header(columns);
    for exit in &quality.errors {
        let numbers = of(exit).iter().map(|e| e.map_or("–".to_owned(), short));
        text += &row([exit.exit.to_string()].into_iter().chain(numbers));
    }
    text
}

fn knowledge(signal: &SignalQuality, quality: &ExitQuality) -> String {
    let what = match signal.signal {
        SignalKind::Uncertainty => "the estimator's uncertainty",
        SignalKind::Certainty => "one minus the estimator's certainty",
        SignalKind::Gate => "one minus the gate's probability of leaving",
    };
    let known = &signal.knowledge;
    let pooled = known.pooled.map_or("–".to_owned(), |r| format!("{r:.3}"));
    let mut text = format!("\nWhat {what} knows of |g_i − g_N|:\n\n");
    text += &header(["", "Spearman", "95 % interval"].map(str::to_owned));
    text += &row(["pooled over times, exits and images".into(), pooled, "".into()]);
    let (within, interval) = match known.within {
        Some(w) => {
            let Interval { value, low, high } = w.spearman;
            (format!("{value:.3}"), format!("{low:.3} to {high:.3}"))
        }
        None => ("–".to_owned(), String::new()),
    };
    text += &row(["within a time and exit, mean".into(), within, interval]);
    if let Some(within) = known.within {
        text += &format!(
            "\nWithin a time and exit a line in it explains {} of the variance (chance alone: {}).",
            percent(within.explained),
            percent(1.0 / (quality.images as f64 - 1.0))
        );
    }
    let (flat, cells) = (known.flat_cells, known.cells);
    text += &match (known.within, flat) {
        (None, _) => "\nAt equal times it is the same for all images: it is a schedule.\n".to_owned(),
        (Some(_), 0) => "\n".to_owned(),
        (Some(_), flat) => format!(" {flat} of {cells} cells, where nothing varies, are left out.\n"),
    };
    text
}

fn depths(signal: &SignalQuality) -> String {
    let asked = signal.at_thresholds.iter().map(|found| ("–".to_owned(), Some(found)));
    let costs = signal.at_costs.iter().map(|at| (format!("{:.1}", at.wanted), at.found.as_ref()));
    let mut text = String::from(
        "\nDepths on these images, each decided by itself from an undisturbed x_t, not along a trajectory:\n\n",
    );
    text += &header(
        ["cost wanted", "policy", "mean cost", "mean depth", "sd at equal t", "explained by t"]
            .map(str::to_owned),
    );
    let (mut schedules, mut all) = (vec![], 0);
    for (wanted, found) in asked.chain(costs) {
        let Some(found) = found else {
            text += &row([wanted, "out of reach".into()].into_iter().chain(["–"; 4].map(str::to_owned)));
            continue;
        };
        let policy = policy(signal.signal, found);
        all += 1;
        if found.is_schedule() {
            schedules.push(policy.clone());
        }
        text += &row([
            wanted,
            policy,
            format!("{:.3}", found.cost),
            format!("{:.2}", found.depth),
            format!("{:.2}", found.within_time),
            found.explained_by_time.map_or("–".into(), percent),
        ]);
    }
    if !schedules.is_empty() {
        let at = if schedules.len() == all { "all of these".into() } else { schedules.join(", ") };
        text += &format!(
            "\nStandard deviation of the depth across images at equal t: ~0 means it is a schedule. It is below {} blocks \
             at {at}.\n",
            DepthSpread::SCHEDULE
        );
    }
    text
}

/// The policy as typed, its threshold to six digits.
fn policy(signal: SignalKind, found: &DepthSpread) -> String {
    let threshold = (found.threshold * 1e6).round() / 1e6;
    format!("`{}:{threshold}`", signal.policy())
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// Three digits that count.
fn short(value: f64) -> String {
    match value {
        0.0 => "0".into(),
        v if v < 0.001 => format!("{v:.1e}"),
        v if v < 0.1 => format!("{v:.4}"),
        v => format!("{v:.3}"),
    }
}
