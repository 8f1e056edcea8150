//! How an image was made: what its text chunk holds, and the command that draws it again.

use serde::{Deserialize, Serialize};

/// What all images of a run share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunParameters {
    /// The version of offramp.
    pub version: String,
    /// The weights, as named on the command line.
    pub weights: String,
    /// SHA-256 of the weights, hex.
    pub weights_sha256: String,
    /// SHA-256 of the learned exits beside them, hex; none if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exits_sha256: Option<String>,
    /// The solver, as on the command line.
    pub solver: String,
    /// Solver steps.
    pub steps: usize,
    /// The exit, as on the command line.
    pub exit: String,
    /// What stands in for skipped blocks, as on the command line.
    #[serde(default = "head")]
    pub tail: String,
    /// Steps drafted between two full passes; none is no verify mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<usize>,
    /// How far a drafted step may be from the full one, a number as text: JSON has no infinity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<String>,
    /// The least and greatest depth that the exit allows at each evaluation; where the tail is not ready for an
    /// image, it goes deeper.
    pub bounds: Vec<[usize; 2]>,
    /// Guidance scale; 1 is none.
    pub guidance: f64,
    /// Times at which guidance acts; none is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance_interval: Option<[f64; 2]>,
    /// Guided channels; none is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance_channels: Option<usize>,
    /// The file that the initial noise came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<String>,
    /// Its SHA-256, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise_sha256: Option<String>,
    /// The image that was started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<String>,
    /// Its SHA-256, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_sha256: Option<String>,
    /// Share of the steps run from that image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strength: Option<f64>,
    /// f32 or bf16.
    pub dtype: String,
    /// cpu or cuda:i.
    pub device: String,
    /// Images per micro-batch.
    pub batch: usize,
    /// CPU threads.
    pub threads: usize,
    /// The seed of image 0.
    pub first_seed: u64,
    /// The classes asked for, as on the command line.
    pub classes: String,
    /// Images in the run.
    pub count: usize,
}

/// The tail of images that do not name theirs: there was no other.
fn head() -> String {
    "head".into()
}

/// What one image adds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageParameters {
    /// Its index in the run.
    pub image: usize,
    /// Its seed.
    pub seed: u64,
    /// Its class; none is unconditional.
    pub class: Option<i64>,
    /// The class's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Blocks run at each evaluation.
    pub depths: Vec<usize>,
}

/// The text chunk of a PNG.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parameters {
    /// What all images of its run share.
    #[serde(flatten)]
    pub run: RunParameters,
    /// What is its own.
    #[serde(flatten)]
    pub image: ImageParameters,
}

impl RunParameters {
    /// The first setting in which `other` differs: its name, ours, theirs.
    pub fn difference(&self, other: &RunParameters) -> Option<(String, String, String)> {
        let as_object = |run: &RunParameters| match serde_json::to_value(run) {
            Ok(serde_json::Value::Object(fields)) => fields,
            _ => serde_json::Map::new(),
        };
        let (ours, theirs) = (as_object(self), as_object(other));
        let show = |v: Option<&serde_json::Value>| v.map_or("none".into(), ToString::to_string);
        // The number of images may grow when a run is resumed, threads do not change a micro-batch, and
        // files are compared by what is in them, not by where they are.
        let free = ["count", "threads", "weights", "noise", "init"];
        let differs =
            |field: &&String| !free.contains(&field.as_str()) && ours.get(*field) != theirs.get(*field);
        // The bounds follow from solver, steps and exit, which say it better.
        let mut fields: Vec<&String> = ours.keys().chain(theirs.keys()).collect();
        fields.sort_by_key(|field| *field == "bounds");
        let field = fields.into_iter().find(differs)?;
        Some((field.clone(), show(ours.get(field)), show(theirs.get(field))))
    }
}

impl Parameters {
    pub(super) fn to_json(&self) -> String {
        // A struct of strings and finite numbers always serialises.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The command that draws this image again into the folder `redrawn`.
    ///
    /// An image that started from a noise file is redrawn with its whole run, since its row of the file
    /// is its index in the run.
    pub fn command(&self) -> String {
        let (run, image) = (&self.run, &self.image);
        let alone = run.noise.is_none();
        // By index: two classes may carry one label.
        let class = image.class.map_or("none".to_owned(), |class| class.to_string());
        let mut words: Vec<String> = ["offramp", "generate"].map(String::from).to_vec();
        let mut add = |option: &str, value: &str| words.extend([option.to_owned(), quote(value)]);
        add("--weights", &run.weights);
        add("--class", if alone { &class } else { &run.classes });
        add("--seed", &if alone { image.seed } else { run.first_seed }.to_string());
        add("--count", &if alone { 1 } else { run.count }.to_string());
        add("--solver", &run.solver);
        add("--steps", &run.steps.to_string());
        add("--exit", &run.exit);
        // Beside learned exits the default may be another.
        if run.tail != head() || run.exits_sha256.is_some() {
            add("--tail", &run.tail);
        }
        if let (Some(steps), Some(tolerance)) = (run.verify, &run.tolerance) {
            add("--verify", &steps.to_string());
            add("--tolerance", tolerance);
        }
        if run.guidance != 1.0 {
            add("--guidance", &run.guidance.to_string());
        }
        if let Some([lo, hi]) = run.guidance_interval {
            add("--guidance-interval", &format!("{lo},{hi}"));
        }
        if let Some(n) = run.guidance_channels {
            add("--guidance-channels", &n.to_string());
        }
        if let Some(file) = &run.noise {
            add("--noise", file);
        }
        if let (Some(file), Some(strength)) = (&run.init, run.strength) {
            add("--init", file);
            add("--strength", &strength.to_string());
        }
        add("--dtype", &run.dtype);
        add("--device", &run.device);
        add("--out", "redrawn");
        words.join(" ")
    }
}

/// A word as a POSIX shell takes it.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:+,=%@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
