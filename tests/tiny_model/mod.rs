//! A workplace for tests that drive the binary: a temporary folder with a network so small that a run takes
//! milliseconds, its schedules, and the `offramp` command started there.

#![allow(dead_code, reason = "each test crate uses its own part")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Blocks of the tiny network.
pub const DEPTH: usize = 3;
/// Height and width of its images.
pub const SIZE: usize = 8;
/// Its classes.
pub const LABELS: [&str; 4] = ["T-shirt/top", "Sneaker", "Bag", "Ankle boot"];

/// A tensor as it goes into a file.
#[derive(Clone)]
pub struct Stored {
    /// Its element type.
    pub dtype: Dtype,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its elements, little-endian.
    pub bytes: Vec<u8>,
}

/// A weight file's tensors by name.
pub type Tensors = BTreeMap<String, Stored>;

/// A temporary folder with `weights/tiny` and `schedules/tiny`.
pub struct Workplace {
    root: TempDir,
}

impl Workplace {
    /// The tiny network with its schedules `full` and `stairs` (depth 3, 2, 1 towards the noise).
    pub fn new() -> Self {
        let place = Self { root: tempfile::tempdir().unwrap() };
        place.write("schedules/tiny/full.json", schedule("full", &[(0.0, 1000.0, 3)]).to_string());
        place.write(
            "schedules/tiny/stairs.json",
            schedule("stairs", &[(0.0, 300.0, 3), (300.0, 600.5, 2), (600.5, 1000.0, 1)]).to_string(),
        );
        place.set_model(&config(), &tensors(&config()));
        place
    }

    /// Replaces the network.
    pub fn set_model(&self, config: &Value, tensors: &Tensors) {
        self.write("weights/tiny/config.json", config.to_string());
        self.write("weights/tiny/model.safetensors", to_safetensors(tensors));
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Writes a file, and the folders above it.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let file = self.path(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }

    /// Every file and folder below the workplace, with the files' bytes.
    pub fn contents(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.root.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let bytes = if path.is_dir() { None } else { Some(fs::read(&path).unwrap()) };
                if bytes.is_none() {
                    folders.push(path.clone());
                }
                found.insert(path, bytes);
            }
        }
        found
    }

    /// The names of the files in a folder, sorted, hidden ones too.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The `offramp` command, to be run in the folder; words are separated by single spaces.
    pub fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offramp"));
        command
            .current_dir(self.root.path())
            .stdin(Stdio::null())
            .args(words.split(' ').filter(|w| !w.is_empty()));
        command
    }

    /// `offramp generate` with the tiny network, one thread, four steps unless said otherwise.
    pub fn generate(&self, words: &str) -> Command {
        let mut command = self.command("generate --weights tiny");
        for (option, value) in [("--threads", "1"), ("--steps", "4")] {
            if !words.contains(option) {
                command.args([option, value]);
            }
        }
        command.args(words.split(' ').filter(|w| !w.is_empty()));
        command
    }

    /// Runs a command that must fail with exit code 2, name `mentions` on stderr and change nothing.
    pub fn refuses(&self, mut command: Command, mentions: &[&str]) {
        let before = self.contents();
        let run = Run::of(&mut command);
        assert_eq!(run.code, Some(2), "{command:?}\n{run:?}");
        for mention in mentions {
            assert!(run.stderr.contains(mention), "{command:?}: no {mention:?} in {run:?}");
        }
        assert!(!run.stderr.contains("panicked"), "{command:?}\n{run:?}");
        assert_eq!(run.stdout, "", "{command:?}");
        let after = self.contents();
        assert!(before == after, "{command:?} wrote {:?}", difference(&before, &after));
    }
}

fn difference<T: PartialEq>(before: &BTreeMap<PathBuf, T>, after: &BTreeMap<PathBuf, T>) -> Vec<PathBuf> {
    let names = before.keys().chain(after.keys()).filter(|k| before.get(*k) != after.get(*k));
    names.cloned().collect()
}

/// What a command did.
#[derive(Debug)]
pub struct Run {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// All that it said.
    pub stdout: String,
    /// All that it complained.
    pub stderr: String,
}

impl Run {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        command.output().unwrap().into()
    }

    /// Runs a command that must succeed.
    pub fn ok(command: &mut Command) -> Self {
        let run = Self::of(command);
        assert_eq!(run.code, Some(0), "{command:?}\n{run:?}");
        run
    }

    /// Every line of stdout as JSON.
    pub fn json_lines(&self) -> Vec<Value> {
        let parse = |l: &str| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"));
        self.stdout.lines().map(parse).collect()
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The tiny network's `config.json`.
pub fn config() -> Value {
    json!({
        "family": "dit", "layout": "meta",
        "input_size": SIZE, "patch_size": 4, "in_channels": 1, "hidden_size": 32, "depth": DEPTH,
        "num_heads": 2, "mlp_ratio": 4, "num_classes": LABELS.len(), "null_class": LABELS.len(),
        "learn_sigma": false,
        "diffusion": {
            "timesteps": 1000, "beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02,
            "prediction": "epsilon"
        },
        "x0_clip": "range", "value_range": [-1, 1], "labels": LABELS,
    })
}

/// A schedule for the tiny network.
pub fn schedule(name: &str, segments: &[(f64, f64, usize)]) -> Value {
    let segments: Vec<_> =
        segments.iter().map(|(from, to, depth)| json!({ "from": from, "to": to, "depth": depth })).collect();
    json!({
        "version": 1, "name": name, "depth": DEPTH, "timesteps": 1000, "segments": segments,
        "provenance": { "method": "Made up for a test.", "source": "none", "exits_trained": false }
    })
}

/// Random tensors in Meta's layout for a configuration.
pub fn tensors(config: &Value) -> Tensors {
    let n = |field: &str| config[field].as_u64().unwrap() as usize;
    let (d, p, c) = (n("hidden_size"), n("patch_size"), n("in_channels"));
    let rows = n("num_classes") + usize::from(config["null_class"].is_number());
    let out = if config["learn_sigma"] == true { 2 * c } else { c };
    let mut linears = vec![
        ("x_embedder.proj".to_owned(), vec![d, c, p, p]),
        ("t_embedder.mlp.0".into(), vec![d, 256]),
        ("t_embedder.mlp.2".into(), vec![d, d]),
        ("final_layer.linear".into(), vec![p * p * out, d]),
        ("final_layer.adaLN_modulation.1".into(), vec![2 * d, d]),
    ];
    for i in 0..n("depth") {
        for (name, shape) in [
            ("attn.qkv", [3 * d, d]),
            ("attn.proj", [d, d]),
            ("mlp.fc1", [n("mlp_ratio") * d, d]),
            ("mlp.fc2", [d, n("mlp_ratio") * d]),
            ("adaLN_modulation.1", [6 * d, d]),
        ] {
            linears.push((format!("blocks.{i}.{name}"), shape.to_vec()));
        }
    }
    let mut shapes = vec![
        ("pos_embed".to_owned(), vec![1, (n("input_size") / p).pow(2), d]),
        ("y_embedder.embedding_table.weight".into(), vec![rows, d]),
    ];
    for (name, shape) in linears {
        shapes.push((format!("{name}.bias"), vec![shape[0]]));
        shapes.push((format!("{name}.weight"), shape));
    }
    shapes.into_iter().map(|(name, shape)| (name.clone(), random(&name, shape))).collect()
}

/// An f32 tensor whose values, of about ±0.2, depend on its name.
pub fn random(name: &str, shape: Vec<usize>) -> Stored {
    let mut state =
        name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let mut next = || {
        // SplitMix64 (Steele et al. 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1 << 24) as f32
    };
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| 0.4 * (next() - 0.5)).collect();
    f32s(shape, &values)
}

/// An f32 tensor.
pub fn f32s(shape: Vec<usize>, values: &[f32]) -> Stored {
    Stored { dtype: Dtype::F32, shape, bytes: values.iter().flat_map(|v| v.to_le_bytes()).collect() }
}

/// A whole safetensors file.
pub fn to_safetensors(tensors: &Tensors) -> Vec<u8> {
    let views =
        tensors.iter().map(|(name, t)| (name, TensorView::new(t.dtype, t.shape.clone(), &t.bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

/// A grey PNG's width and height, and its pixels row by row.
pub fn pixels(file: &Path) -> ((usize, usize), Vec<u8>) {
    let image = offramp::output::read_png(file).unwrap_or_else(|e| panic!("{e}"));
    ((image.shape[1], image.shape[0]), image.data)
}
