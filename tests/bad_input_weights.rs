//! Weight folders that must be refused: damaged files, pickles, tensors and sizes that do not fit.

use safetensors::Dtype;
use serde_json::{Value, json};

use tiny_model::{Stored, Workplace, config, f32s, random, tensors, to_safetensors};

mod tiny_model;

const MODEL: &str = "weights/tiny/model.safetensors";

/// A weight file with this header and `data` bytes of zeros.
fn with_header(header: &str, data: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.resize(file.len() + data, 0);
    file
}

fn refused(place: &Workplace, mentions: &[&str]) {
    place.refuses(place.generate(""), mentions);
}

#[test]
fn a_damaged_weight_file_is_refused_by_name() {
    let place = Workplace::new();
    let whole = std::fs::read(place.path(MODEL)).unwrap();
    let mut extra = whole.clone();
    extra.push(0);
    let mut oversized = whole.clone();
    oversized[..8].copy_from_slice(&(1_u64 << 40).to_le_bytes());
    let mut beyond = whole.clone();
    beyond[..8].copy_from_slice(&(whole.len() as u64).to_le_bytes());
    let overlapping = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#;
    let hole = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[12,20]}}"#;
    let lying = r#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}"#;
    for (bytes, mention) in [
        (vec![], "empty"),
        (whole[..7].to_vec(), "not a valid safetensors file"),
        (whole[..200].to_vec(), "not a valid safetensors file"),
        (whole[..whole.len() - 1].to_vec(), "not a valid safetensors file"),
        (extra, "not a valid safetensors file"),
        (oversized, "not a valid safetensors file"),
        (beyond, "not a valid safetensors file"),
        (with_header(overlapping, 12), "not a valid safetensors file"),
        (with_header(hole, 20), "not a valid safetensors file"),
        (with_header(lying, 8), "not a valid safetensors file"),
        (with_header("{\"a\":", 0), "not a valid safetensors file"),
        (b"hello, this is a text file".to_vec(), "not a valid safetensors file"),
    ] {
        place.write(MODEL, bytes);
        refused(&place, &["model.safetensors", mention]);
    }
}

#[test]
fn a_missing_weight_file_or_folder_is_refused_by_name() {
    let place = Workplace::new();
    place.refuses(place.command("generate --weights nosuch"), &["nosuch", "weights"]);
    std::fs::remove_file(place.path(MODEL)).unwrap();
    refused(&place, &["model.safetensors", "No such file"]);
    std::fs::create_dir(place.path(MODEL)).unwrap();
    refused(&place, &["model.safetensors", "not a file"]);
    std::fs::remove_file(place.path("weights/tiny/config.json")).unwrap();
    refused(&place, &["config.json", "No such file"]);
}

#[test]
fn a_pickle_is_refused_under_any_name() {
    let place = Workplace::new();
    place.write(MODEL, b"PK\x03\x04\x14\x00\x00\x00archive/data.pkl");
    refused(&place, &["model.safetensors", "never unpickles", "zip archive"]);
    place.write(MODEL, b"\x80\x02}q\x00(X\x05\x00\x00\x00helloq\x01K\x01u.");
    refused(&place, &["model.safetensors", "never unpickles", "Python pickle"]);
    place.write(MODEL, b"(dp0\nVhello\np1\nI1\ns.");
    refused(&place, &["model.safetensors", "not a valid safetensors file"]);
}

#[test]
fn a_tensor_that_is_not_finite_is_refused_with_its_place() {
    let place = Workplace::new();
    for (value, shown) in [(f32::NAN, "NaN"), (f32::NEG_INFINITY, "-inf")] {
        let mut model = tensors(&config());
        let bias = model.get_mut("blocks.1.attn.proj.bias").unwrap();
        bias.bytes[4 * 5..4 * 6].copy_from_slice(&value.to_le_bytes());
        place.set_model(&config(), &model);
        refused(&place, &["blocks.1.attn.proj.bias", shown, "element 5"]);
    }
    // Beyond f32's range is infinite in f32.
    let mut model = tensors(&config());
    let bytes = [1e300f64; 32].iter().flat_map(|v| v.to_le_bytes()).collect();
    model.insert("blocks.1.attn.proj.bias".into(), Stored { dtype: Dtype::F64, shape: vec![32], bytes });
    place.set_model(&config(), &model);
    refused(&place, &["blocks.1.attn.proj.bias", "inf", "element 0"]);
}

#[test]
fn every_difference_to_the_configuration_is_listed_in_one_error() {
    let place = Workplace::new();
    let mut huggingface = config();
    huggingface["layout"] = "huggingface".into();
    place.set_model(&huggingface, &tensors(&config()));
    let mentions = [
        "missing: ",
        "unexpected: ",
        "transformer_blocks.0.",
        "blocks.0.",
        "huggingface layout",
        "and 34 more",
    ];
    refused(&place, &mentions);

    let mut model = tensors(&config());
    model.remove("pos_embed");
    model.insert("extra".into(), random("extra", vec![3]));
    model.insert("t_embedder.mlp.2.bias".into(), random("x", vec![31]));
    // Broadcasts to the right shape, and is not the right shape.
    model.insert("blocks.0.attn.proj.bias".into(), random("x", vec![1]));
    model.insert(
        "final_layer.linear.bias".into(),
        Stored { dtype: Dtype::I64, shape: vec![16], bytes: vec![0; 128] },
    );
    place.set_model(&config(), &model);
    let mentions = [
        "1 missing: pos_embed",
        "1 unexpected: extra",
        "t_embedder.mlp.2.bias (expected [32], got [31])",
        "blocks.0.attn.proj.bias (expected [32], got [1])",
        "final_layer.linear.bias: I64",
    ];
    refused(&place, &mentions);
}

#[test]
fn another_depth_than_the_configuration_says_is_refused() {
    let place = Workplace::new();
    let mut deeper = config();
    deeper["depth"] = 4.into();
    place.set_model(&deeper, &tensors(&config()));
    refused(&place, &["10 missing: ", "blocks.3.", "4 blocks"]);
    place.set_model(&config(), &tensors(&deeper));
    refused(&place, &["10 unexpected: ", "blocks.3.", "3 blocks"]);
}

#[test]
fn copies_of_an_embedder_that_differ_are_refused() {
    let place = Workplace::new();
    let mut huggingface = config();
    huggingface["layout"] = "huggingface".into();
    huggingface["depth"] = 2.into();
    let mut model = tensors(&huggingface);
    let mut renamed = tiny_model::Tensors::new();
    let mut take = |name: &str| model.remove(name).unwrap();
    for part in ["weight", "bias"] {
        for (from, to) in [
            ("x_embedder.proj", "pos_embed.proj"),
            ("final_layer.adaLN_modulation.1", "proj_out_1"),
            ("final_layer.linear", "proj_out_2"),
        ] {
            renamed.insert(format!("{to}.{part}"), take(&format!("{from}.{part}")));
        }
        for i in 0..2 {
            for (from, to) in [
                ("adaLN_modulation.1", "norm1.linear"),
                ("attn.proj", "attn1.to_out.0"),
                ("mlp.fc1", "ff.net.0.proj"),
                ("mlp.fc2", "ff.net.2"),
            ] {
                let name = format!("transformer_blocks.{i}.{to}.{part}");
                renamed.insert(name, take(&format!("blocks.{i}.{from}.{part}")));
            }
            let shape = if part == "weight" { vec![32, 32] } else { vec![32] };
            for to in ["to_q", "to_k", "to_v"] {
                let name = format!("transformer_blocks.{i}.attn1.{to}.{part}");
                renamed.insert(name.clone(), random(&name, shape.clone()));
            }
        }
    }
    for (from, to) in [
        ("t_embedder.mlp.0.weight", "timestep_embedder.linear_1.weight"),
        ("t_embedder.mlp.0.bias", "timestep_embedder.linear_1.bias"),
        ("t_embedder.mlp.2.weight", "timestep_embedder.linear_2.weight"),
        ("t_embedder.mlp.2.bias", "timestep_embedder.linear_2.bias"),
        ("y_embedder.embedding_table.weight", "class_embedder.embedding_table.weight"),
    ] {
        let tensor = take(from);
        for i in 0..2 {
            renamed.insert(format!("transformer_blocks.{i}.norm1.emb.{to}"), tensor.clone());
        }
    }
    place.set_model(&huggingface, &renamed);
    tiny_model::Run::ok(&mut place.generate("--out hf"));
    let copy = "transformer_blocks.1.norm1.emb.class_embedder.embedding_table.weight";
    renamed.insert(copy.into(), random("another", vec![5, 32]));
    place.set_model(&huggingface, &renamed);
    refused(&place, &[copy, "differs"]);
}

/// The configuration with one field replaced; a dotted name goes one level down.
fn with(field: &str, value: Value) -> Value {
    let mut config = config();
    match field.split_once('.') {
        Some((outer, inner)) => config[outer][inner] = value,
        None => config[field] = value,
    }
    config
}

#[test]
fn a_configuration_that_cannot_be_is_refused_with_field_and_value() {
    let place = Workplace::new();
    for (field, value, mentions) in [
        ("hiden_size", json!(32), &["unknown field", "hiden_size"][..]),
        ("diffusion.beta", json!(0.1), &["unknown field", "beta"]),
        ("layout", json!("torch"), &["unknown variant", "torch"]),
        ("depth", json!(0), &["depth = 0"]),
        ("depth", json!(1_000_000_000_000_u64), &["depth = 1000000000000"]),
        ("hidden_size", json!(-32), &["hidden_size = -32"]),
        ("hidden_size", json!(i64::MAX), &["hidden_size = 9223372036854775807"]),
        ("hidden_size", json!(33), &["num_heads = 2", "33"]),
        ("hidden_size", json!(30), &["hidden_size = 30", "multiple of 4"]),
        ("input_size", json!(1_u64 << 40), &["input_size = 1099511627776"]),
        ("input_size", json!(10), &["patch_size = 4", "10"]),
        ("patch_size", json!(0), &["patch_size = 0"]),
        ("in_channels", json!(1_u64 << 62), &["in_channels = 4611686018427387904"]),
        ("num_heads", json!(3), &["num_heads = 3", "32"]),
        ("mlp_ratio", json!(1_u64 << 61), &["mlp_ratio"]),
        ("num_classes", json!(i64::MAX), &["num_classes"]),
        ("null_class", json!(3), &["null_class = 3", "4"]),
        ("labels", json!(["a", "b"]), &["labels", "2 names", "4"]),
        ("value_range", json!([1, -1]), &["value_range = [1, -1]"]),
        ("diffusion.timesteps", json!(u64::MAX), &["diffusion.timesteps"]),
        ("diffusion.beta_start", json!(-1), &["β at timestep 0 is -1"]),
        ("diffusion.prediction", json!("uncertainty"), &["unknown variant", "uncertainty"]),
    ] {
        place.write("weights/tiny/config.json", with(field, value).to_string());
        refused(&place, mentions);
    }
}

#[test]
fn a_configuration_that_is_not_json_or_lacks_a_field_is_refused() {
    let place = Workplace::new();
    let mut lacking = config();
    lacking.as_object_mut().unwrap().remove("num_heads");
    let text = config().to_string();
    for (text, mention) in [
        (lacking.to_string(), "missing field `num_heads`"),
        (text[..text.len() - 1].to_owned(), "EOF"),
        (String::new(), "EOF"),
        (text.replace("0.02", "NaN"), "line 1"),
        (text.replace("0.02", "1e999"), "number out of range"),
        (r#"{"labels":"#.to_owned() + &"[".repeat(100_000), "line 1"),
    ] {
        place.write("weights/tiny/config.json", text);
        refused(&place, &["config.json", mention]);
    }
}

#[test]
fn sizes_that_a_tiny_file_can_claim_do_not_exhaust_memory() {
    // Hugging Face's layout computes its position table, so no tensor bounds the number of tokens.
    let place = Workplace::new();
    let mut huge = with("input_size", json!(16_384));
    huge["patch_size"] = 1.into();
    huge["layout"] = "huggingface".into();
    place.set_model(&huge, &[("a".to_owned(), f32s(vec![1], &[0.0]))].into());
    refused(&place, &["268435456 tokens"]);
    place.set_model(&config(), &tensors(&config()));
    let header = r#"{"a":{"dtype":"F32","shape":[0,18446744073709551615],"data_offsets":[0,0]}}"#;
    place.write(MODEL, with_header(header, 0));
    refused(&place, &["model.safetensors"]);
    place.write(MODEL, to_safetensors(&tensors(&config())));
    tiny_model::Run::ok(&mut place.generate("--out fine"));
}
