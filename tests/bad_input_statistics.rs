//! Statistics and feature files of any origin: read, or refused by name, and never believed beforehand.

use std::io::Write;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use offramp::evaluate::{FeatureSet, MetricError, Statistics, frechet_distance};
use offramp::extract::Identity;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fn identity() -> Identity {
    Identity { name: "a".into(), resize: "none".into(), weights_sha256: Some("0123456789abcdef".into()) }
}

/// A `.npy` file.
fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

/// Arrays by name, and their `.npy` files.
type Entries<'a> = Vec<(&'a str, Vec<u8>)>;

fn doubles(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn mu() -> Vec<u8> {
    npy("'<f8'", "(2,)", &doubles(&[1.0, 2.0]))
}

fn sigma() -> Vec<u8> {
    npy("'<f8'", "(2, 2)", &doubles(&[2.0, 0.5, 0.5, 1.0]))
}

fn archive(folder: &Path, entries: &[(&str, Vec<u8>)]) -> PathBuf {
    let file = folder.join("statistics.npz");
    let mut zip = ZipWriter::new(std::fs::File::create(&file).unwrap());
    for (name, bytes) in entries {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        zip.start_file(format!("{name}.npy"), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
    file
}

#[test]
fn what_was_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.npz");
    let rows = Array2::from_shape_fn((9, 5), |(i, j)| ((i * i + 3 * j * i + j) % 11) as f32);
    let mut written = Statistics::new(identity(), 5);
    written.push(rows.view()).unwrap();
    written.write(&file).unwrap();
    let mut read = Statistics::read(&file).unwrap();
    assert_eq!((read.identity(), read.count(), read.mean()), (Some(&identity()), Some(9), written.mean()));
    for (a, b) in read.covariance().iter().zip(&written.covariance()) {
        assert!((a - b).abs() <= 1e-14 * b.abs());
    }
    // It can be added to, as if it had never left.
    read.merge(&written).unwrap();
    assert_eq!(read.count(), Some(18));

    let theirs = Statistics::read(&archive(folder.path(), &[("mu", mu()), ("sigma", sigma())])).unwrap();
    assert_eq!((theirs.identity(), theirs.count(), theirs.width()), (None, None, 2));
    assert_eq!(theirs.covariance(), ndarray::array![[2.0, 0.5], [0.5, 1.0]]);
    let mut with = Statistics::new(identity(), 2);
    let refused = with.merge(&theirs).unwrap_err();
    assert!(refused.to_string().contains("do not say of how many"), "{refused}");
}

#[test]
fn a_bad_file_is_named_with_the_array_and_the_fault() {
    let folder = tempfile::tempdir().unwrap();
    let f8 = |shape: &str, values: &[f64]| npy("'<f8'", shape, &doubles(values));
    let with_sigma = |sigma| vec![("mu", mu()), ("sigma", sigma)];
    let with_more = |name, array| vec![("mu", mu()), ("sigma", sigma()), (name, array)];
    let deep = npy(&"[".repeat(9000), "(2,)", &[]);
    let mut long = b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec();
    long.extend([b' '; 64]);
    let cases: Vec<(Entries, &[&str])> = vec![
        (vec![], &["no array `mu`", "holds none"]),
        (vec![("arr_0", mu())], &["no array `mu`", "`arr_0`"]),
        (vec![("mu", mu())], &["no array `sigma`", "`mu`"]),
        (with_sigma(f8("(3, 3)", &[0.0; 9])), &["`sigma`", "[3, 3]", "[2, 2]"]),
        (with_sigma(f8("(4,)", &[0.0; 4])), &["`sigma`", "[4]", "[2, 2]"]),
        (with_sigma(f8("(2, 3)", &[0.0; 6])), &["`sigma`", "[2, 3]"]),
        (with_sigma(npy("'<i8'", "(2, 2)", &[0; 32])), &["`sigma`", "`<i8`", "f64"]),
        (with_sigma(npy("'>f8'", "(2, 2)", &[0; 32])), &["`sigma`", "`>f8`"]),
        (with_sigma(f8("(2, 2)", &[1.0, f64::NAN, 0.0, 1.0])), &["`sigma`", "element 1 is NaN"]),
        (with_sigma(f8("(2, 2)", &[1.0, 0.5, 0.0, 1.0])), &["`sigma`", "not symmetric"]),
        (with_sigma(f8("(2, 2)", &[1.0, 0.0, 0.0, -1.0])), &["`sigma`", "variance 1 is -1"]),
        (with_sigma(f8("(2, 2)", &[1.0, 0.0])), &["`sigma`", "cut short"]),
        (with_sigma(f8("(2, 2)", &[1.0, 0.0, 0.0, 1.0, 7.0])), &["`sigma`", "goes on"]),
        (with_sigma(b"PK".to_vec()), &["`sigma`"]),
        (with_sigma(b"no array at all".to_vec()), &["`sigma`", "not an array"]),
        (vec![("mu", f8("(1, 2)", &[1.0, 2.0]))], &["`mu`", "[1, 2]"]),
        (vec![("mu", f8("(0,)", &[]))], &["`mu`", "[0]"]),
        (vec![("mu", f8("()", &[1.0]))], &["`mu`"]),
        (vec![("mu", f8("(20000,)", &[0.5; 20000]))], &["`mu`", "20000", "16384"]),
        (vec![("mu", f8("(2,)", &[1.0, f64::INFINITY]))], &["`mu`", "element 1 is inf"]),
        // Claims far beyond the file: 2⁶³ bytes, more than 2⁶⁴, and 8 MB of zeros.
        (vec![("mu", f8("(1152921504606846976,)", &[1.0]))], &["`mu`", "claims"]),
        (vec![("mu", f8("(4294967296, 4294967296)", &[1.0]))], &["`mu`"]),
        (
            vec![("mu", f8("(1000,)", &[0.5; 1000])), ("sigma", f8("(1000, 1000)", &[0.0; 1_000_000]))],
            &["`sigma`", "claims 8000000 bytes"],
        ),
        (vec![("mu", deep)], &["`mu`", "header"]),
        (vec![("mu", long)], &["`mu`", "header claims 4294967295 bytes"]),
        (vec![("mu", npy("'|O'", "(2,)", &[0; 16]))], &["`mu`", "'|O'"]),
        (with_more("n", npy("'<i8'", "()", &(-4_i64).to_le_bytes())), &["`n`", "negative"]),
        (with_more("n", npy("'<i8'", "()", &1_i64.to_le_bytes())), &["1 images", "2"]),
        (with_more("n", npy("'<f8'", "()", &[0; 8])), &["`n`", "`<f8`"]),
        (with_more("n", npy("'<i8'", "(3,)", &[0; 24])), &["`n`", "[3]"]),
        (with_more("identity", npy("'|u1'", "(2,)", b"{}")), &["identity"]),
        (with_more("identity", npy("'|u1'", "(99999999,)", b"{}")), &["`identity`", "claims"]),
    ];
    for (entries, expected) in cases {
        let file = archive(folder.path(), &entries);
        let error = Statistics::read(&file).unwrap_err();
        let message = error.to_string();
        assert!(error.is_bad_input(), "{message}");
        for part in expected {
            assert!(message.contains(part), "{message}: lacks {part}");
        }
        if !message.contains("images") {
            assert!(message.contains("statistics.npz"), "{message}");
        }
    }
}

#[test]
fn statistics_beyond_all_numbers_give_no_distance() {
    let folder = tempfile::tempdir().unwrap();
    let read = |mu: &[f64], sigma: &[f64]| {
        let entries =
            [("mu", npy("'<f8'", "(2,)", &doubles(mu))), ("sigma", npy("'<f8'", "(2, 2)", &doubles(sigma)))];
        Statistics::read(&archive(folder.path(), &entries)).unwrap()
    };
    let usual = read(&[1.0, 2.0], &[2.0, 0.5, 0.5, 1.0]);
    for odd in [read(&[1e200, 0.0], &[1.0, 0.0, 0.0, 1.0]), read(&[0.0, 0.0], &[1e300, 0.0, 0.0, 1e300])] {
        for (a, b) in [(&odd, &usual), (&usual, &odd)] {
            let error = frechet_distance(a, b).unwrap_err();
            assert!(error.is_bad_input() && matches!(error, MetricError::TooLarge), "{error}");
        }
    }
}

#[test]
fn a_digest_in_any_script_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let name = |digest: &str| {
        let json = format!(r#"{{"name":"made-up","resize":"none","weights_sha256":"{digest}"}}"#);
        let identity = npy("'|u1'", &format!("({},)", json.len()), json.as_bytes());
        Statistics::read(&archive(folder.path(), &[("mu", mu()), ("sigma", sigma()), ("identity", identity)]))
    };
    let (a, b) = (name("aéééééééééééé").unwrap(), name("0123456789abcdef").unwrap());
    let message = frechet_distance(&a, &b).unwrap_err().to_string();
    assert!(
        message.contains("weights aééééééééééé…") && message.contains("weights 0123456789ab…"),
        "{message}"
    );
}

#[test]
fn what_is_no_archive_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let good = std::fs::read(archive(folder.path(), &[("mu", mu()), ("sigma", sigma())])).unwrap();
    let file = folder.path().join("odd.npz");
    for bytes in
        [&b""[..], b"\x80\x04pickle", b"PK\x03\x04", &good[..good.len() / 2], &good[..good.len() - 1]]
    {
        std::fs::write(&file, bytes).unwrap();
        let error = Statistics::read(&file).unwrap_err();
        assert!(error.is_bad_input() && error.to_string().contains("odd.npz"), "{error}");
    }
    assert!(Statistics::read(folder.path()).unwrap_err().is_bad_input());
    assert!(Statistics::read(&folder.path().join("none.npz")).unwrap_err().is_bad_input());

    // Any one flipped byte is found, or changes nothing that is read.
    let whole = Statistics::read(&archive(folder.path(), &[("mu", mu()), ("sigma", sigma())])).unwrap();
    let mut found = 0;
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&file, &bytes).unwrap();
        match Statistics::read(&file) {
            Ok(read) => {
                assert_eq!((read.mean(), read.covariance()), (whole.mean(), whole.covariance()), "{at}")
            }
            Err(_) => found += 1,
        }
    }
    assert!(found > good.len() / 2, "{found} of {}", good.len());
}

#[test]
fn feature_files_are_checked_alike() {
    let folder = tempfile::tempdir().unwrap();
    let name = || {
        let json = serde_json::to_vec(&identity()).unwrap();
        npy("'|u1'", &format!("({},)", json.len()), &json)
    };
    let floats = |shape: &str, values: &[f32]| {
        npy("'<f4'", shape, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())
    };
    let good = archive(
        folder.path(),
        &[("features", floats("(3, 2)", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])), ("identity", name())],
    );
    assert_eq!(FeatureSet::read(&good).unwrap().rows(1..3).unwrap(), ndarray::array![[3.0, 4.0], [5.0, 6.0]]);
    for (features, expected) in [
        (floats("(3, 2)", &[1.0; 5]), "cut short"),
        (floats("(3, 2)", &[1.0; 7]), "goes on"),
        (floats("(3, 2)", &[1.0, 1.0, 1.0, f32::NAN, 1.0, 1.0]), "element 3 is NaN"),
        (floats("(6,)", &[1.0; 6]), "[6]"),
        (floats("(3, 0)", &[]), "[3, 0]"),
        (floats("(1099511627776, 2)", &[1.0; 6]), "claims"),
        (npy("'<f8'", "(3, 2)", &[0; 48]), "`<f8`"),
    ] {
        let error =
            FeatureSet::read(&archive(folder.path(), &[("features", features), ("identity", name())]));
        let message = error.unwrap_err().to_string();
        assert!(message.contains(expected) && message.contains("`features`"), "{message}: lacks {expected}");
    }
    let nameless = FeatureSet::read(&archive(folder.path(), &[("features", floats("(1, 1)", &[1.0]))]));
    assert!(nameless.unwrap_err().to_string().contains("no array `identity`"));
}
