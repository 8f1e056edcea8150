//! A large weight file is streamed: the process grows by the file's size and not by two of it.

use std::process::Command;

use offramp::Model;
use tch::{Kind, Tensor};

/// Set for the child process, whose own peak is measured.
const FOLDER: &str = "OFFRAMP_TEST_WEIGHTS";

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Writes a random DiT of more than 1 GiB in f32.
fn write_weights(folder: &std::path::Path) -> u64 {
    let (d, depth, classes) = (1152i64, 14, 10);
    let config = serde_json::json!({
        "family": "dit", "layout": "meta", "input_size": 32, "patch_size": 2, "in_channels": 4,
        "hidden_size": d, "depth": depth, "num_heads": 16, "mlp_ratio": 4, "num_classes": classes,
        "null_class": classes, "learn_sigma": true,
        "diffusion": { "timesteps": 1000, "beta_schedule": "linear", "prediction": "epsilon" },
        "x0_clip": "none", "value_range": [-1, 1],
    });
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let mut tensors: Vec<(String, Tensor)> = vec![];
    let mut add = |name: &str, shape: &[i64]| {
        tensors.push((name.into(), Tensor::randn(shape, (Kind::Float, tch::Device::Cpu)) * 0.02));
    };
    let mut linear = |name: &str, shape: &[i64]| {
        add(&format!("{name}.weight"), shape);
        add(&format!("{name}.bias"), &shape[..1]);
    };
    linear("x_embedder.proj", &[d, 4, 2, 2]);
    linear("t_embedder.mlp.0", &[d, 256]);
    linear("t_embedder.mlp.2", &[d, d]);
    linear("final_layer.linear", &[2 * 2 * 8, d]);
    linear("final_layer.adaLN_modulation.1", &[2 * d, d]);
    for i in 0..depth {
        linear(&format!("blocks.{i}.attn.qkv"), &[3 * d, d]);
        linear(&format!("blocks.{i}.attn.proj"), &[d, d]);
        linear(&format!("blocks.{i}.mlp.fc1"), &[4 * d, d]);
        linear(&format!("blocks.{i}.mlp.fc2"), &[d, 4 * d]);
        linear(&format!("blocks.{i}.adaLN_modulation.1"), &[6 * d, d]);
    }
    add("pos_embed", &[1, 256, d]);
    add("y_embedder.embedding_table.weight", &[classes + 1, d]);
    let file = folder.join("model.safetensors");
    Tensor::write_safetensors(&tensors, &file).unwrap();
    file.metadata().unwrap().len()
}

#[test]
#[ignore = "writes a file of more than 1 GiB"]
fn loading_grows_the_process_by_at_most_a_third_over_the_file() {
    if let Ok(folder) = std::env::var(FOLDER) {
        // The child: one small model first, so that libtorch itself is not counted.
        drop(Model::open("weights/fashion-dit").unwrap());
        let before = peak_kib();
        let model = Model::open(folder).unwrap();
        assert_eq!(model.backbone.depth(), 14);
        println!("grew {} KiB", peak_kib() - before);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bytes = write_weights(folder.path());
    assert!(bytes >= 1 << 30, "{bytes} bytes are not 1 GiB");
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--nocapture", "--exact"])
        .arg("loading_grows_the_process_by_at_most_a_third_over_the_file")
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{text}\n{}", String::from_utf8_lossy(&child.stderr));
    let grew = text.split("grew ").nth(1).and_then(|t| t.split(' ').next()).unwrap();
    let ratio = grew.parse::<f64>().unwrap() * 1024.0 / bytes as f64;
    println!("a file of {bytes} bytes grew the process by {ratio:.3} of its size");
    assert!((0.9..=1.3).contains(&ratio), "{ratio:.3} times the file");
}
