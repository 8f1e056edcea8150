//! Sets of images and statistics that cannot be what they claim: each is refused by name.
//!
//! A process takes a good part of a second to load libtorch. So the files go through the library, the one way that
//! every command takes to them; the commands themselves refuse one of each kind, with exit code 2 and before anything
//! is written.

use std::io::{Cursor, Write};
use std::ops::ControlFlow;

use ndarray::{Array1, Array2, Array4, ArrayD, IxDyn};
use ndarray_npy::{NpzWriter, WritableElement};
use offramp::evaluate::{EvaluateError, Extraction, ImageSet, Source, Statistics};
use offramp::extract::RawPixels;
use tiny_model::{Run, Workplace};
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

mod tiny_model;

/// A place with the folder `good` of six grey images of 8×8.
fn place() -> Workplace {
    let place = Workplace::new();
    for k in 0..6 {
        png(&place, &format!("good/{k:06}.png"), 8, 8, 40 * k);
    }
    place
}

fn png(place: &Workplace, name: &str, width: u32, height: u32, value: u8) {
    save(
        place,
        name,
        image::GrayImage::from_fn(width, height, |x, y| image::Luma([value ^ (x * 8 + y) as u8])),
    );
}

fn save(place: &Workplace, name: &str, image: impl Into<image::DynamicImage>) {
    let mut bytes = Cursor::new(vec![]);
    image.into().write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    place.write(name, bytes.into_inner());
}

fn npz<T: WritableElement>(place: &Workplace, name: &str, key: &str, array: &ArrayD<T>) {
    let mut npz = NpzWriter::new_compressed(Cursor::new(vec![]));
    npz.add_array(key, array).unwrap();
    place.write(name, npz.finish().unwrap().into_inner());
}

/// An `.npz` with any bytes as its arrays.
fn raw_npz(place: &Workplace, name: &str, method: CompressionMethod, entries: &[(&str, &[u8])]) {
    let mut zip = zip::ZipWriter::new(Cursor::new(vec![]));
    for (key, bytes) in entries {
        let options = SimpleFileOptions::default().compression_method(method);
        zip.start_file(format!("{key}.npy"), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    place.write(name, zip.finish().unwrap().into_inner());
}

/// A `.npy` header as NumPy writes it.
fn header(descr: &str, shape: &str) -> Vec<u8> {
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    [b"\x93NUMPY\x01\x00\x76\x00".as_slice(), format!("{text:<117}\n").as_bytes()].concat()
}

/// Opened and read to its end, as images or as whatever it is, a set is refused and named.
fn refuses_set(place: &Workplace, set: &str, mentions: &[&str]) {
    let read = |images: ImageSet| {
        let goes_on = &mut |_, _| ControlFlow::Continue(());
        Extraction::new(1).statistics(&images, &RawPixels::new(), goes_on).map(|_| ())
    };
    let as_images = ImageSet::open(place.path(set)).and_then(read);
    let as_any = Source::open(place.path(set)).and_then(|source| match source {
        Source::Images(images) => read(images),
        Source::Statistics(_) => Ok(()),
    });
    for refused in [as_images, as_any] {
        let error = refused.expect_err(set);
        assert!(error.is_bad_input(), "{set}: {error}");
        names_all(&error.to_string(), set, mentions);
    }
}

fn names_all(message: &str, set: &str, mentions: &[&str]) {
    for mention in mentions {
        assert!(message.contains(mention), "{set}: no {mention:?} in {message:?}");
    }
}

/// The commands that take a set refuse it and name it.
fn commands_refuse_set(place: &Workplace, set: &str, mentions: &[&str]) {
    for words in [format!("stats {set} --out stats.npz"), format!("evaluate {set} good --out report.json")] {
        place.refuses(place.command(&format!("{words} --extractor pixels --threads 1")), mentions);
    }
}

#[test]
fn folders_that_are_no_sets_are_refused() {
    let place = place();
    place.write("empty/notes.txt", "no images here");
    png(&place, "one/000000.png", 8, 8, 0);
    for name in ["sizes", "modes", "cut", "headless", "text"] {
        png(&place, &format!("{name}/a.png"), 8, 8, 0);
        png(&place, &format!("{name}/c.png"), 8, 8, 1);
    }
    png(&place, "sizes/b.png", 9, 8, 0);
    save(&place, "modes/b.png", image::RgbImage::new(8, 8));
    save(&place, "alpha/a.png", image::RgbaImage::new(8, 8));
    save(&place, "deep/a.png", image::ImageBuffer::<image::Luma<u16>, _>::new(8, 8));
    let good = std::fs::read(place.path("good/000001.png")).unwrap();
    place.write("cut/b.png", &good[..good.len() - 20]);
    place.write("headless/b.png", &good[..20]);
    place.write("text/b.png", "not an image");
    for (set, mentions) in [
        ("nosuch", &["nosuch", "No such file"][..]),
        ("empty", &["empty", "no .png"]),
        ("sizes", &["sizes/b.png", "9×8 grey", "8×8 grey", "sizes/a.png"]),
        ("modes", &["modes/b.png", "RGB", "grey", "modes/a.png"]),
        ("alpha", &["alpha/a.png", "Rgba8", "grey"]),
        ("deep", &["deep/a.png", "L16"]),
        ("cut", &["cut/b.png", "not a readable image"]),
        ("headless", &["headless/b.png", "not a readable image"]),
        ("text", &["text/b.png", "not a readable image"]),
        ("good#4..7", &["good", "4..7", "6"]),
        ("good#5..2", &["good", "5..2"]),
        ("good#x..2", &["good#x..2", "No such file"]),
    ] {
        refuses_set(&place, set, mentions);
    }
    commands_refuse_set(&place, "cut", &["cut/b.png", "not a readable image"]);
    commands_refuse_set(&place, "sizes", &["sizes/b.png", "9×8 grey"]);
    // One image is a set; statistics of it are not.
    commands_refuse_set(&place, "one", &["one", "1 image", "2"]);
    commands_refuse_set(&place, "good#4..5", &["good#4..5", "1 image"]);
    for words in ["evaluate good cut --json", "evaluate good good --against cut"] {
        place.refuses(place.command(&format!("{words} --extractor pixels")), &["cut/b.png"]);
    }
    Run::ok(&mut place.command("evaluate good good#0..6 --extractor pixels --threads 1"));
}

#[test]
fn arrays_that_are_no_images_are_refused() {
    let place = place();
    let zeros = |shape: &[usize]| ArrayD::<u8>::zeros(IxDyn(shape));
    npz(&place, "floats.npz", "arr_0", &ArrayD::<f32>::zeros(IxDyn(&[6, 8, 8])));
    npz(&place, "flat.npz", "arr_0", &zeros(&[6, 64]));
    npz(&place, "two.npz", "arr_0", &zeros(&[6, 8, 8, 2]));
    npz(&place, "nothing.npz", "arr_0", &zeros(&[6, 0, 8]));
    npz(&place, "none.npz", "arr_0", &zeros(&[0, 8, 8]));
    npz(&place, "key.npz", "images", &zeros(&[6, 8, 8]));
    npz(&place, "single.npz", "arr_0", &zeros(&[1, 8, 8]));
    let mut columns = NpzWriter::new(Cursor::new(vec![]));
    columns.add_array("arr_0", &zeros(&[8, 8, 6]).reversed_axes()).unwrap();
    place.write("columns.npz", columns.finish().unwrap().into_inner());
    place.write("empty.npz", "");
    place.write("text.npz", "not an archive");
    place.write("text", "nor a set");
    place.write("idx", [&[0, 0, 8, 3, 0, 0, 0, 9, 0, 0, 0, 8, 0, 0, 0, 8][..], &[7; 100]].concat());
    place.write("labels", [&[0, 0, 8, 1, 0, 0, 0, 9][..], &[7; 9]].concat());
    for (set, mentions) in [
        ("floats.npz", &["floats.npz", "arr_0", "<f4", "|u1"][..]),
        ("flat.npz", &["flat.npz", "arr_0", "[6, 64]", "[N, H, W]"]),
        ("two.npz", &["two.npz", "arr_0", "[6, 8, 8, 2]", "[N, H, W, 3]"]),
        ("nothing.npz", &["nothing.npz", "[6, 0, 8]"]),
        ("none.npz", &["none.npz", "[0, 8, 8]"]),
        ("key.npz", &["key.npz", "arr_0", "images"]),
        ("columns.npz", &["columns.npz", "arr_0", "column"]),
        ("empty.npz", &["empty.npz"]),
        ("text.npz", &["text.npz"]),
        ("text", &["text", "not a folder of images"]),
        ("idx", &["idx", "[9, 8, 8]", "576", "100"]),
        ("labels", &["labels", "1 dimensions", "3"]),
    ] {
        refuses_set(&place, set, mentions);
    }
    commands_refuse_set(&place, "floats.npz", &["floats.npz", "arr_0", "<f4", "|u1"]);
    commands_refuse_set(&place, "single.npz", &["single.npz", "1 image"]);
}

#[test]
fn arrays_that_claim_more_than_they_hold_are_refused() {
    let place = place();
    let stored = CompressionMethod::Stored;
    let deflated = CompressionMethod::Deflated;
    let few = [header("|u1", "(100, 8, 8)"), vec![9; 64]].concat();
    let huge = [header("|u1", "(1000000000, 64, 64)"), vec![9; 64]].concat();
    let overflow = [header("|u1", "(9223372036854775807, 9223372036854775807, 9)"), vec![9; 64]].concat();
    for (name, method) in [("stored", stored), ("deflated", deflated)] {
        raw_npz(&place, &format!("few-{name}.npz"), method, &[("arr_0", &few)]);
        raw_npz(&place, &format!("huge-{name}.npz"), method, &[("arr_0", &huge)]);
        raw_npz(&place, &format!("overflow-{name}.npz"), method, &[("arr_0", &overflow)]);
    }
    // A real bomb, of 80 MB.
    let bomb = [header("|u1", "(80000, 1000, 1)"), vec![0; 80_000_000]].concat();
    raw_npz(&place, "bomb.npz", deflated, &[("arr_0", &bomb)]);
    // An archive that lies about the size, in both of its places: 4 GB.
    raw_npz(
        &place,
        "liar.npz",
        deflated,
        &[("arr_0", &[header("|u1", "(4000000, 1000, 1)"), vec![0; 64]].concat())],
    );
    let mut liar = std::fs::read(place.path("liar.npz")).unwrap();
    let (local, central) = (22, find(&liar, b"PK\x01\x02") + 24);
    for at in [local, central] {
        liar[at..at + 4].copy_from_slice(&4_000_000_128_u32.to_le_bytes());
    }
    place.write("liar.npz", liar);
    // Images of which a batch would fill memory: 100 MB of one colour in a PNG, and a gzip bomb of 2⁴⁰ bytes.
    png(&place, "wide/a.png", 1 << 14, 1 << 13, 0);
    let shape = [1_u32 << 20, 1 << 10, 1 << 10];
    let mut idx = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    idx.write_all(&[0, 0, 8, 3]).unwrap();
    shape.iter().for_each(|n| idx.write_all(&n.to_be_bytes()).unwrap());
    idx.write_all(&[0; 1000]).unwrap();
    place.write("idx.gz", idx.finish().unwrap());
    refuses_set(&place, "wide", &["wide/a.png", "[8192, 16384, 1]", "too large"]);
    refuses_set(&place, "idx.gz", &["idx.gz", "claims 1099511627776 bytes"]);
    // A header that promises a longer header.
    raw_npz(&place, "header.npz", stored, &[("arr_0", b"\x93NUMPY\x02\x00\xff\xff\xff\xff{'descr': ")]);
    let good = ArrayD::<u8>::from_shape_fn(IxDyn(&[60, 8, 8]), |i| (i[0] * 7 + i[1] * i[2]) as u8);
    npz(&place, "good.npz", "arr_0", &good);
    let good = std::fs::read(place.path("good.npz")).unwrap();
    place.write("cut.npz", &good[..good.len() / 2]);
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 0x10;
    place.write("flipped.npz", flipped);
    for set in [
        "few-stored.npz",
        "few-deflated.npz",
        "huge-stored.npz",
        "huge-deflated.npz",
        "overflow-stored.npz",
        "overflow-deflated.npz",
        "bomb.npz",
        "liar.npz",
        "header.npz",
        "cut.npz",
        "flipped.npz",
    ] {
        refuses_set(&place, set, &[set]);
    }
    refuses_set(&place, "bomb.npz", &["bomb.npz", "claims 80000000 bytes"]);
    refuses_set(&place, "huge-stored.npz", &["claims 4096000000000 bytes"]);
    commands_refuse_set(&place, "bomb.npz", &["bomb.npz", "claims 80000000 bytes"]);
    Run::ok(&mut place.command("stats good.npz --extractor pixels --out s.npz"));
}

fn find(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).position(|w| w == part).unwrap()
}

fn statistics<T: WritableElement + Clone>(place: &Workplace, name: &str, mu: &Array1<T>, sigma: &ArrayD<T>) {
    let mut npz = NpzWriter::new(Cursor::new(vec![]));
    npz.add_array("mu", mu).unwrap();
    npz.add_array("sigma", sigma).unwrap();
    place.write(name, npz.finish().unwrap().into_inner());
}

#[test]
fn statistics_that_do_not_fit_are_refused() {
    let place = place();
    let eye = |d| Array2::<f64>::eye(d).into_dyn();
    statistics(&place, "other-width.npz", &Array1::zeros(7), &eye(7));
    statistics(&place, "oblong.npz", &Array1::zeros(64), &ArrayD::<f64>::zeros(IxDyn(&[64, 63])));
    statistics(&place, "whole.npz", &Array1::<i64>::zeros(64), &ArrayD::zeros(IxDyn(&[64, 64])));
    let mut nan = eye(64);
    nan[[3, 3]] = f64::NAN;
    statistics(&place, "nan.npz", &Array1::zeros(64), &nan);
    npz(&place, "no-sigma.npz", "mu", &ArrayD::<f64>::zeros(IxDyn(&[64])));
    let mu = [header("<f8", "(64,)"), vec![0; 512]].concat();
    let sigma = [header("<f8", "(64, 64)"), vec![0; 8]].concat();
    raw_npz(&place, "short.npz", CompressionMethod::Stored, &[("mu", &mu), ("sigma", &sigma)]);
    let wide = header("<f8", "(90000,)");
    raw_npz(&place, "wide.npz", CompressionMethod::Stored, &[("mu", &wide), ("sigma", &sigma)]);
    for (file, mentions) in [
        ("oblong.npz", &["oblong.npz", "sigma", "[64, 63]"][..]),
        ("whole.npz", &["whole.npz", "<i8"]),
        ("nan.npz", &["nan.npz", "sigma", "NaN"]),
        ("no-sigma.npz", &["no-sigma.npz", "sigma"]),
        ("short.npz", &["short.npz", "sigma"]),
        ("wide.npz", &["wide.npz", "mu"]),
    ] {
        let refused = [Statistics::read(&place.path(file)).map(|_| ()).map_err(EvaluateError::from)];
        for refused in refused.into_iter().chain([Source::open(place.path(file)).map(|_| ())]) {
            let error = refused.expect_err(file);
            assert!(error.is_bad_input(), "{file}: {error}");
            names_all(&error.to_string(), file, mentions);
        }
    }
    for (file, mentions) in [
        ("other-width.npz", &["good", "other-width.npz", "64", "7"][..]),
        ("nan.npz", &["nan.npz", "sigma", "NaN"]),
    ] {
        place.refuses(
            place.command(&format!("evaluate good {file} --extractor pixels --threads 1")),
            mentions,
        );
    }
    Run::ok(&mut place.command("stats good --extractor pixels --out pixels.npz"));
    let mut other = NpzWriter::new(Cursor::new(vec![]));
    other.add_array("mu", &Array1::<f64>::zeros(64)).unwrap();
    other.add_array("sigma", &eye(64)).unwrap();
    let identity = br#"{"name":"pixels","resize":"clean","weights_sha256":null}"#;
    other.add_array("identity", &Array1::from_vec(identity.to_vec())).unwrap();
    place.write("other-resize.npz", other.finish().unwrap().into_inner());
    for (words, mentions) in [
        // Statistics name their extractor; those of another program do not.
        (
            "evaluate good other-resize.npz --extractor pixels",
            &["other-resize.npz", "resize none", "resize clean"][..],
        ),
        ("evaluate pixels.npz other-resize.npz", &["pixels.npz", "other-resize.npz", "resize clean"]),
        ("evaluate good other-width.npz", &["other-width.npz", "--extractor"]),
        ("evaluate pixels.npz pixels.npz --extractor pixels", &["--extractor pixels", "statistics"]),
        ("evaluate pixels.npz other-width.npz", &["pixels.npz", "other-width.npz", "64", "7"]),
        ("evaluate good pixels.npz --metrics kid", &["pixels.npz is statistics"]),
        ("evaluate good pixels.npz --metrics fd,paired", &["pixels.npz is statistics"]),
        ("stats --merge pixels.npz other-width.npz --out sum.npz", &["pixels.npz", "other-width.npz"]),
        ("stats --merge pixels.npz good --out sum.npz", &["good"]),
    ] {
        place.refuses(place.command(words), mentions);
    }
    Run::ok(&mut place.command("evaluate good pixels.npz"));
}

#[test]
fn options_that_cannot_be_are_refused() {
    let place = place();
    png(&place, "larger/000000.png", 9, 9, 0);
    png(&place, "larger/000001.png", 9, 9, 1);
    for k in 0..6 {
        png(&place, &format!("renamed/{k}.png"), 8, 8, k);
    }
    npz(&place, "array.npz", "arr_0", &Array4::<u8>::ones((6, 8, 8, 1)).into_dyn());
    for (words, mentions) in [
        ("stats good", &["--out"][..]),
        ("stats --out s.npz", &["SET"]),
        ("stats good --out good", &["good", "not writable"]),
        ("stats good --out nosuch/s.npz", &["nosuch", "not writable"]),
        ("stats good --out s.npz --shard 3/2", &["3/2"]),
        ("stats good --out s.npz --shard half", &["half"]),
        ("stats good --out s.npz --shard 1/2", &["shard 1/2 of good", "1 micro-batches of 32"]),
        ("stats good --out s.npz --batch 5 --shard 2/2", &["shard 2/2 of good", "1 images", "2"]),
        ("stats good --out s.npz --batch 0", &["--batch 0"]),
        ("stats good --out s.npz --threads 0", &["--threads 0"]),
        ("stats good --out s.npz --extractor pixel", &["pixel", "did you mean \"pixels\""]),
        ("stats good --merge a.npz --out s.npz", &["--merge"]),
        ("evaluate good good --out nosuch/r.json", &["nosuch", "not writable"]),
        ("evaluate good good --resamples 0", &["--resamples 0"]),
        ("evaluate good good --resamples 10001", &["--resamples 10001", "10000"]),
        ("evaluate good good --kid-subsets 99999999999", &["--kid-subsets 99999999999", "10000"]),
        ("evaluate good good --k 0", &["--k 0"]),
        (
            "evaluate good good --metrics manifold --k 18446744073709551615",
            &["good", "18446744073709551615", "6"],
        ),
        (
            "evaluate good data:mnist/test",
            &["data:mnist/test", "data:fashion-mnist/train", "data:fashion-mnist/test"],
        ),
        ("evaluate good good --metrics kd", &["kd"]),
        ("evaluate good good --metrics kid --kid-size 7", &["--kid-size 7", "2 to 6"]),
        ("evaluate good good --metrics manifold --k 6", &["good", "7", "6"]),
        ("evaluate good good --metrics is", &["--metrics is", "no classes"]),
        ("evaluate good larger", &["good", "larger", "64", "81"]),
        ("evaluate good renamed --metrics paired", &["000000", "renamed"]),
        ("evaluate good array.npz --metrics paired", &["array.npz", "--paired"]),
        ("evaluate good array.npz#0..5 --paired", &["6 images", "5"]),
    ] {
        let words = match words.contains("--extractor")
            || words.contains("--merge")
            || words.starts_with("stats --out")
        {
            true => words.to_owned(),
            false => format!("{words} --extractor pixels"),
        };
        place.refuses(place.command(&words), mentions);
    }
    Run::ok(&mut place.command("evaluate good array.npz --extractor pixels --paired --metrics paired"));
}
