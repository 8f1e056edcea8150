//! The scripts that convert weights: a pickle is never executed, and only the right network is taken.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// Runs a converter of `scripts/` on bytes; gives also whether it wrote anything.
fn convert(script: &str, bytes: &[u8], folder: &TempDir) -> (Output, bool) {
    let (file, out) = (folder.path().join("weights.pth"), folder.path().join("out/model.safetensors"));
    std::fs::write(&file, bytes).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(script);
    let output = Command::new("python3").arg("-B").arg(script).args([&file, &out]).output().unwrap();
    (output, out.parent().unwrap().exists())
}

fn refused(script: &str, bytes: &[u8], tells: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (output, wrote) = convert(script, bytes, &folder);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains(tells) && error.contains("weights.pth"), "{error}");
    assert!(!error.contains("Traceback") && !wrote, "{error}");
}

const SCRIPTS: [&str; 2] = ["convert_efficientnet.py", "convert_inception.py"];

/// What torch writes before the state dict, in its older format: magic number, version, system.
fn preamble() -> Vec<u8> {
    let mut bytes = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.".to_vec();
    bytes.extend(b"\x80\x02}X\x0d\x00\x00\x00little_endian\x88s.");
    bytes
}

#[test]
fn a_pickle_that_would_run_a_command_runs_none() {
    for script in SCRIPTS {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("was-here");
        let mut bytes = preamble();
        bytes.extend(format!("cposix\nsystem\n(S'touch {}'\ntR.", mark.display()).bytes());
        let (output, wrote) = convert(script, &bytes, &folder);
        assert_eq!(output.status.code(), Some(2));
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains("posix.system"), "{error}");
        assert!(!mark.exists() && !wrote);
    }
}

#[test]
fn what_is_no_state_dict_is_refused() {
    for script in SCRIPTS {
        refused(script, b"", "not a PyTorch file");
        refused(script, b"PK\x03\x04 and no more", "not a PyTorch file");
        refused(script, b"\x89PNG\r\n\x1a\n", "not a PyTorch file");
        refused(script, &preamble(), "not a PyTorch file");
        let with = |state: &[u8]| [&preamble()[..], state, b"\x80\x02]."].concat();
        refused(script, &with(b"\x80\x02}."), "not a dict of tensors");
        refused(script, &with(b"\x80\x02}X\x01\x00\x00\x00aK\x01s."), "'a' is not a tensor");
    }
}

/// One tensor of the right name and the wrong shape: `_conv_stem.weight` of 1.
#[test]
fn another_network_is_refused() {
    for script in SCRIPTS {
        let mut bytes = preamble();
        bytes.extend(b"\x80\x02}X\x11\x00\x00\x00_conv_stem.weight");
        bytes.extend(b"ctorch._utils\n_rebuild_tensor_v2\n(");
        bytes.extend(
            b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01NtQ",
        );
        bytes.extend(b"K\x00K\x01\x85K\x01\x85\x89}tRs.");
        bytes.extend(b"\x80\x02]X\x01\x00\x00\x000a.");
        let data = [1i64.to_le_bytes().as_slice(), &1f32.to_le_bytes()].concat();
        let whole = [&bytes[..], &data].concat();
        refused(
            script,
            &whole,
            if script.contains("inception") { "not the FID's Inception" } else { "not EfficientNet-Lite0" },
        );
        refused(script, &[&bytes[..], &data[..10]].concat(), "ends early");
    }
}
