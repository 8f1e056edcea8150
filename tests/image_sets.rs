//! Sets of images as a folder, an `.npz` and an IDX file: the same images give the same features, whole or in
//! parts, on one worker or several.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use ndarray::Array1;
use offramp::evaluate::{EvaluateError, Extracted, Extraction, FeatureSet, ImageSet, Shard};
use offramp::extract::{ExtractError, Extractor, Features, Identity, RawPixels};
use offramp::output::{Pixels, write_npz, write_png};
use offramp::tch::{Kind, Tensor};

/// Grey images whose every pixel depends on the image.
fn images(count: usize, channels: usize) -> Vec<Pixels> {
    let pixel = |k: usize, i: usize| ((k * 37 + i * 11 + k * i) % 256) as u8;
    let image =
        |k| Pixels { shape: [4, 5, channels], data: (0..20 * channels).map(|i| pixel(k, i)).collect() };
    (0..count).map(image).collect()
}

fn write_folder(folder: &Path, images: &[Pixels]) {
    std::fs::create_dir_all(folder).unwrap();
    for (k, image) in images.iter().enumerate() {
        write_png(&folder.join(format!("{k:06}.png")), image, None).unwrap();
    }
}

/// An `.npz` whose images are stored, as np.savez writes it.
fn write_stored(file: &Path, images: &[Pixels]) {
    let [h, w, c] = images[0].shape;
    let data = images.iter().flat_map(|i| i.data.clone()).collect();
    let array = Array1::from_vec(data).into_shape_with_order((images.len(), h, w, c)).unwrap();
    let mut npz = ndarray_npy::NpzWriter::new(std::fs::File::create(file).unwrap());
    npz.add_array("arr_0", &array).unwrap();
    npz.finish().unwrap();
}

fn idx(images: &[Pixels]) -> Vec<u8> {
    let [h, w, _] = images[0].shape.map(|n| n as u32);
    let mut bytes = vec![0, 0, 8, 3];
    bytes.extend([images.len() as u32, h, w].iter().flat_map(|n| n.to_be_bytes()));
    bytes.extend(images.iter().flat_map(|i| i.data.clone()));
    bytes
}

#[test]
fn every_kind_of_set_gives_the_same_images() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let grey = images(7, 1);
    write_folder(&path("folder"), &grey);
    std::fs::write(path("folder/notes.txt"), "not an image").unwrap();
    std::fs::write(path("folder/.000009.png.part-7"), "half an image").unwrap();
    write_npz(&path("packed.npz"), &grey, &[0; 7]).unwrap();
    write_stored(&path("stored.npz"), &grey);
    std::fs::write(path("images-idx3-ubyte"), idx(&grey)).unwrap();
    let mut gz = GzEncoder::new(vec![], Compression::fast());
    gz.write_all(&idx(&grey)).unwrap();
    std::fs::write(path("images-idx3-ubyte.gz"), gz.finish().unwrap()).unwrap();
    for name in ["folder", "packed.npz", "stored.npz", "images-idx3-ubyte", "images-idx3-ubyte.gz"] {
        let set = ImageSet::open(path(name)).unwrap();
        assert_eq!((set.len(), set.shape()), (7, [4, 5, 1]), "{name}");
        assert_eq!(set.read(0..7).unwrap(), grey, "{name}");
        // Any part at any time, backwards too.
        assert_eq!(set.read(5..6).unwrap(), grey[5..6], "{name}");
        assert_eq!(set.read(1..3).unwrap(), grey[1..3], "{name}");
        let part = ImageSet::open(path(&format!("{name}#2..5"))).unwrap();
        assert_eq!((part.len(), part.read(0..3).unwrap()), (3, grey[2..5].to_vec()), "{name}");
    }
    let names = ImageSet::open(path("folder#5..")).unwrap();
    assert_eq!(names.names().unwrap(), ["000005", "000006"]);
    assert!(ImageSet::open(path("stored.npz")).unwrap().names().is_none());
}

#[test]
fn colour_images_and_jpegs_are_read() {
    let place = tempfile::tempdir().unwrap();
    let rgb = images(3, 3);
    write_folder(&place.path().join("folder"), &rgb);
    write_stored(&place.path().join("rgb.npz"), &rgb);
    for name in ["folder", "rgb.npz"] {
        let set = ImageSet::open(place.path().join(name)).unwrap();
        assert_eq!((set.shape(), set.read(0..3).unwrap()), ([4, 5, 3], rgb.clone()), "{name}");
    }
    let jpegs = place.path().join("jpegs");
    std::fs::create_dir(&jpegs).unwrap();
    for name in ["b.JPG", "a.jpeg"] {
        image::GrayImage::from_pixel(6, 3, image::Luma([200]))
            .save_with_format(jpegs.join(name), image::ImageFormat::Jpeg)
            .unwrap();
    }
    let set = ImageSet::open(&jpegs).unwrap();
    assert_eq!((set.shape(), set.names().unwrap()), ([3, 6, 1], vec!["a", "b"]));
    assert!(set.read(0..1).unwrap()[0].data.iter().all(|v| v.abs_diff(200) < 4));
}

/// Sums over a whole batch leak into every row: only a batch of one size, filled in one way, hides them.
struct Leaky(Identity);

impl Leaky {
    fn new() -> Self {
        Self(Identity { name: "leaky".into(), resize: "none".into(), weights_sha256: None })
    }
}

impl Extractor for Leaky {
    fn identity(&self) -> &Identity {
        &self.0
    }

    fn width(&self, _: [usize; 3]) -> Result<usize, ExtractError> {
        Ok(2)
    }

    fn classes(&self) -> Option<usize> {
        Some(3)
    }

    fn extract(&self, images: &Tensor) -> Result<Features, ExtractError> {
        let rows = images.f_to_kind(Kind::Float)?.f_flatten(1, 3)?;
        let own = rows.f_mean_dim([1i64].as_slice(), true, Kind::Float)?; // [B, 1]
        let all = own.f_mean_dim([0i64].as_slice(), true, Kind::Float)?.f_expand_as(&own)?;
        let pooled = Tensor::f_cat(&[&own, &all], 1)?;
        let logits = rows.f_narrow(1, 0, 3)?;
        Ok(Features { pooled, logits: Some(logits) })
    }

    fn share(&self) -> Box<dyn Extractor> {
        Box::new(Self(self.0.clone()))
    }
}

fn run(set: &ImageSet, extractor: &dyn Extractor, extraction: Extraction) -> Extracted {
    extraction.run(set, extractor, &mut |_, _| ControlFlow::Continue(())).unwrap()
}

fn rows(set: &FeatureSet) -> ndarray::Array2<f32> {
    set.rows(0..set.len()).unwrap()
}

#[test]
fn features_are_the_same_bits_however_they_are_spread() {
    let set = ImageSet::of("made up", images(23, 1)).unwrap();
    let extraction = Extraction { batch: 4, ..Extraction::new(1) };
    let whole = run(&set, &Leaky::new(), extraction);
    let score = |e: &Extracted| e.inception_score.as_ref().unwrap().score().unwrap();
    for threads in [2, 3, 16] {
        let spread = run(&set, &Leaky::new(), Extraction { threads, ..extraction });
        assert_eq!(rows(&spread.features), rows(&whole.features), "{threads} threads");
        assert_eq!(spread.statistics.mean(), whole.statistics.mean(), "{threads} threads");
        assert_eq!(score(&spread), score(&whole), "{threads} threads");
    }
    for count in [2, 3, 6] {
        let part =
            |i| run(&set, &Leaky::new(), Extraction { shard: Shard::new(i, count).unwrap(), ..extraction });
        let mut sum = part(1);
        for i in 2..=count {
            let part = part(i);
            sum.features.extend_from(&part.features).unwrap();
            sum.statistics.merge(&part.statistics).unwrap();
            sum.inception_score.as_mut().unwrap().merge(part.inception_score.as_ref().unwrap()).unwrap();
        }
        assert_eq!(rows(&sum.features), rows(&whole.features), "{count} shards");
        assert_eq!(sum.statistics.count(), Some(23), "{count} shards");
        assert!((score(&sum).mean - score(&whole).mean).abs() < 1e-12, "{count} shards");
        let off = (sum.statistics.covariance() - whole.statistics.covariance()).mapv(f64::abs);
        assert!(off.iter().all(|&d| d < 1e-9), "{count} shards: {off}");
    }
}

#[test]
fn pixels_go_in_and_come_out_in_order() {
    let images = images(10, 3);
    let set = ImageSet::of("made up", images.clone()).unwrap();
    let extracted = run(&set, &RawPixels::new(), Extraction { batch: 3, ..Extraction::new(2) });
    assert!(extracted.inception_score.is_none());
    for (row, image) in rows(&extracted.features).rows().into_iter().zip(&images) {
        let expected: Vec<f32> = image.data.iter().map(|&v| f32::from(v) / 255.0).collect();
        assert_eq!(row.to_vec(), expected);
    }
}

#[test]
fn a_run_stops_when_it_is_told_to() {
    let set = ImageSet::of("made up", images(40, 1)).unwrap();
    let extraction = Extraction { batch: 4, ..Extraction::new(2) };
    let mut heard = vec![];
    let stopped = extraction.run(&set, &RawPixels::new(), &mut |done, count| {
        heard.push((done, count));
        if done >= 12 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(stopped, Err(EvaluateError::Stopped { done: 12, count: 40 })), "{stopped:?}");
    assert_eq!(heard, [(4, 40), (8, 40), (12, 40)]);
}

#[test]
fn a_damaged_image_ends_the_run_and_is_named() {
    let place = tempfile::tempdir().unwrap();
    write_folder(place.path(), &images(30, 1));
    let set = ImageSet::open(place.path()).unwrap();
    let file = place.path().join("000017.png");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 20]).unwrap();
    let extraction = Extraction { batch: 4, ..Extraction::new(2) };
    let error = extraction.statistics(&set, &RawPixels::new(), &mut |_, _| ControlFlow::Continue(()));
    let error = error.unwrap_err();
    assert!(error.is_bad_input() && error.to_string().contains("000017.png"), "{error}");
}

#[test]
fn shards_are_typed_as_one_of_so_many() {
    for (typed, n, part) in [("1/1", 7, 0..7), ("1/2", 7, 0..3), ("2/2", 7, 3..7), ("4/4", 2, 1..2)] {
        let shard: Shard = typed.parse().unwrap();
        assert_eq!((shard.part(n), shard.to_string()), (part, typed.to_owned()));
    }
    for typed in ["", "1", "0/1", "2/1", "-1/2", "0/0", "a/b", "1/2/3"] {
        assert!(matches!(typed.parse::<Shard>(), Err(EvaluateError::Shard { .. })), "{typed}");
    }
}
