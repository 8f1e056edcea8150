//! Training sets from every kind of source: the same images and labels arrive, whatever holds them, and what
//! cannot be trained on is refused by name.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use ndarray::{Array1, Array3, Array4, ArrayD};
use ndarray_npy::{NpzWriter, WritableElement};
use offramp::data::{DataError, FASHION_CLASSES, FashionMnist, TrainingSet, Wanted};
use offramp::output::{Pixels, write_npz, write_png};
use offramp::tch::Tensor;
use proptest::prelude::*;
use tempfile::TempDir;

/// Grey images of 2×3 in two classes.
const GREY: Wanted = Wanted { shape: [1, 2, 3], classes: 2 };
const COLOUR: Wanted = Wanted { shape: [3, 2, 3], classes: 2 };
const FASHION: Wanted = Wanted { shape: [1, 28, 28], classes: 10 };

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), bytes).unwrap();
    }

    fn png(&self, name: &str, image: &Pixels) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        write_png(&self.path(name), image, None).unwrap();
    }

    /// Classes `bag` and `coat` of `n` grey images each; every pixel depends on class and image.
    fn classes(&self, name: &str, n: usize) {
        for k in 0..n {
            self.png(&format!("{name}/bag/{k:04}.png"), &grey(2 * k));
            self.png(&format!("{name}/coat/{k:04}.png"), &grey(2 * k + 1));
        }
    }

    fn pair(&self, name: &str, images: &[u8], labels: &[u8]) {
        self.write(&format!("{name}/train-images-idx3-ubyte"), images);
        self.write(&format!("{name}/train-labels-idx1-ubyte"), labels);
    }

    fn npz(&self, name: &str, arrays: impl FnOnce(&mut NpzWriter<Cursor<Vec<u8>>>)) {
        let mut npz = NpzWriter::new_compressed(Cursor::new(vec![]));
        arrays(&mut npz);
        self.write(name, npz.finish().unwrap().into_inner());
    }

    fn labelled<T: WritableElement + Clone>(&self, name: &str, labels: &[T]) {
        self.npz(name, |npz| {
            npz.add_array("arr_0", &Array3::<u8>::zeros((labels.len(), 2, 3))).unwrap();
            npz.add_array("arr_1", &Array1::from_vec(labels.to_vec())).unwrap();
        });
    }

    fn open(&self, name: &str, wanted: &Wanted) -> Result<TrainingSet, DataError> {
        TrainingSet::open(self.path(name).to_str().unwrap(), wanted)
    }

    /// The source is refused as the caller's mistake, with a message that says all of `mentions`.
    fn refuses(&self, name: &str, wanted: &Wanted, mentions: &[&str]) -> DataError {
        let error = self.open(name, wanted).expect_err(name);
        assert!(error.is_bad_input(), "{name}: {error}");
        let message = error.to_string();
        for mention in mentions {
            assert!(message.contains(mention), "{name}: no {mention:?} in {message:?}");
        }
        error
    }
}

fn grey(k: usize) -> Pixels {
    Pixels { shape: [2, 3, 1], data: (0..6).map(|i| (k * 37 + i * 11 + k * i) as u8).collect() }
}

fn colour(k: usize) -> Pixels {
    Pixels { shape: [2, 3, 3], data: (0..18).map(|i| (k * 31 + i * 13 + k * i) as u8).collect() }
}

fn idx(shape: &[usize], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, shape.len() as u8];
    bytes.extend(shape.iter().flat_map(|&n| (n as u32).to_be_bytes()));
    bytes.extend(values);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gz = GzEncoder::new(vec![], Compression::fast());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

fn jpeg(width: u32, height: u32) -> Vec<u8> {
    let image = image::GrayImage::from_fn(width, height, |x, y| image::Luma([(x * 5 + y * 9) as u8]));
    let mut bytes = Cursor::new(vec![]);
    image.write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

/// Planes of an image: what `[C, H, W]` must hold.
fn planes(image: &Pixels) -> Vec<u8> {
    let c = image.shape[2];
    (0..c).flat_map(|k| image.data.iter().skip(k).step_by(c).copied().collect::<Vec<_>>()).collect()
}

#[test]
fn every_source_of_the_same_images_gives_the_same_set() {
    let place = Place::new();
    let images: Vec<Pixels> = (0..7).map(grey).collect();
    let labels = [0, 0, 0, 1, 1, 1, 1];
    for (k, (image, label)) in images.iter().zip(labels).enumerate() {
        place.png(&format!("folder/{}/{k}.png", ["bag", "coat"][label]), image);
    }
    place.write("folder/preview.png", "beside the classes");
    place.write("folder/.cache/x.png", "hidden");
    place.write("folder/bag/notes.txt", "not an image");
    place.write("folder/bag/.000.png.part-7", "half an image");
    let values: Vec<u8> = images.iter().flat_map(|i| i.data.clone()).collect();
    place.pair("plain", &idx(&[7, 2, 3], &values), &idx(&[7], &labels.map(|l| l as u8)));
    place.write("packed/train-images-idx4-ubyte.gz", gzip(&idx(&[7, 2, 3, 1], &values)));
    place.write("packed/train-labels-idx1-ubyte.gz", gzip(&idx(&[7], &labels.map(|l| l as u8))));
    write_npz(&place.path("ours.npz"), &images, &labels.map(|l| l as i64)).unwrap();
    place.npz("grey.npz", |npz| {
        npz.add_array("arr_0", &Array3::from_shape_vec((7, 2, 3), values.clone()).unwrap()).unwrap();
        npz.add_array("arr_1", &Array1::from_iter(labels.map(|l| l as u8))).unwrap();
    });

    let first = place.open("folder", &GREY).unwrap();
    assert_eq!(first.pixels, values);
    assert_eq!(first.labels, labels.map(|l| l as i64));
    assert_eq!((first.len(), first.shape, first.is_empty()), (7, [1, 2, 3], false));
    assert_eq!(first.classes, ["bag", "coat"]);
    assert_eq!(first.name, place.path("folder").to_str().unwrap());
    assert_eq!(first.image(4), images[4].data);
    assert!(first.skipped.is_empty());
    for source in ["plain", "packed", "ours.npz", "grey.npz"] {
        let other = place.open(source, &GREY).unwrap();
        assert_eq!((&other.pixels, &other.labels), (&first.pixels, &first.labels), "{source}");
        assert_eq!(other.sha256, first.sha256, "{source}");
        assert!(other.classes.is_empty(), "{source}");
    }
}

#[test]
fn a_part_is_other_data() {
    let place = Place::new();
    place.classes("set", 3);
    let all = place.open("set", &GREY).unwrap();
    let part = all.clone().first(4);
    assert_eq!((part.len(), &part.pixels), (4, &all.pixels[..24].to_vec()));
    assert_eq!(part.labels, [0, 0, 0, 1]);
    assert_ne!(part.sha256, all.sha256);
    assert_eq!(all.clone().first(6), all);
    assert_eq!(all.clone().first(usize::MAX), all);
    // Another label is other data, too.
    let values = all.pixels.clone();
    place.pair("relabelled", &idx(&[6, 2, 3], &values), &idx(&[6], &[0, 0, 0, 1, 1, 0]));
    assert_ne!(place.open("relabelled", &GREY).unwrap().sha256, all.sha256);
    // And so are the same bytes in another shape.
    let tall = Wanted { shape: [1, 3, 2], ..GREY };
    place.pair("tall", &idx(&[6, 3, 2], &values), &idx(&[6], &[0, 0, 0, 1, 1, 1]));
    assert_ne!(place.open("tall", &tall).unwrap().sha256, all.sha256);
}

#[test]
fn fashion_mnist_is_the_same_by_name_and_as_a_folder() {
    let named = TrainingSet::open("fashion-mnist", &FASHION).unwrap();
    assert_eq!((named.len(), named.pixels.len()), (60_000, 60_000 * 784));
    assert_eq!(named.classes, FASHION_CLASSES);
    let found = FashionMnist::find(None).unwrap();
    let folder = TrainingSet::open(found.folder().to_str().unwrap(), &FASHION).unwrap();
    assert_eq!(folder.sha256, named.sha256);
    assert_eq!((folder.pixels, folder.labels), (named.pixels.clone(), named.labels.clone()));
    // The tensors that the rest of the crate reads hold the same.
    let tensors = found.train().unwrap();
    let picked = Vec::<u8>::try_from(tensors.images.get(59_999).flatten(0, -1)).unwrap();
    assert_eq!(picked, named.image(59_999));
    assert_eq!(Vec::<i64>::try_from(&tensors.labels).unwrap(), named.labels);

    let test = TrainingSet::open("data:fashion-mnist/test", &FASHION).unwrap();
    assert_eq!(test.len(), 10_000);
    assert_ne!(test.sha256, named.sha256);
}

#[test]
fn names_that_mean_nothing_are_refused() {
    let wrong = |source: &str, wanted: &Wanted| {
        let error = TrainingSet::open(source, wanted).unwrap_err();
        assert!(error.is_bad_input(), "{error}");
        error.to_string()
    };
    assert!(wrong("data:mnist", &FASHION).contains("data:fashion-mnist/train"));
    let message = wrong("no/such/place", &FASHION);
    assert!(message.contains("no/such/place") && message.contains("no such file"), "{message}");
    let message = wrong("fashion-mnist", &Wanted { classes: 7, ..FASHION });
    assert!(message.contains("10 classes") && message.contains("network has 7"), "{message}");
    let message = wrong("fashion-mnist", &Wanted { shape: [1, 32, 32], ..FASHION });
    assert!(message.contains("28×28") && message.contains("32×32"), "{message}");
}

#[test]
fn grey_becomes_colour_and_colour_grey_only_without_loss() {
    let place = Place::new();
    let repeated = Pixels { shape: [2, 3, 3], data: grey(9).data.iter().flat_map(|&g| [g; 3]).collect() };
    place.png("set/a/grey.png", &grey(5));
    place.png("set/b/colour.png", &repeated);
    assert_eq!(place.open("set", &GREY).unwrap().pixels, [grey(5).data, grey(9).data].concat());
    assert_eq!(
        place.open("set", &COLOUR).unwrap().pixels,
        [grey(5).data.repeat(3), planes(&repeated)].concat()
    );
    place.png("set/b/red.png", &colour(3));
    place.refuses("set", &GREY, &["b/red.png", "colours", "grey"]);
    write_npz(&place.path("colour.npz"), &[repeated, colour(3)], &[0, 1]).unwrap();
    place.refuses("colour.npz", &GREY, &["colour.npz", "image 1", "colours"]);
    place.pair("idx", &idx(&[2, 2, 3, 3], &[colour(3).data, colour(3).data].concat()), &idx(&[2], &[0, 1]));
    place.refuses("idx", &GREY, &["train-images-idx3-ubyte", "image 0", "colours"]);
    place.pair("four", &idx(&[2, 2, 3, 4], &[0; 48]), &idx(&[2], &[0, 1]));
    place.refuses("four", &GREY, &["train-images-idx3-ubyte", "4 channels", "takes 1"]);
}

#[test]
fn unreadable_images_are_named_and_skipped_up_to_one_percent() {
    let place = Place::new();
    place.classes("set", 100);
    // A PNG that is cut, and a JPEG that is: the decoder of the latter would fill the rest with grey.
    let png = fs::read(place.path("set/bag/0007.png")).unwrap();
    place.write("set/bag/0007.png", &png[..png.len() - 20]);
    let whole = jpeg(3, 2);
    fs::remove_file(place.path("set/coat/0001.png")).unwrap();
    place.write("set/coat/0001.jpg", &whole[..whole.len() - 4]);
    let set = place.open("set", &GREY).unwrap();
    assert_eq!((set.len(), set.pixels.len()), (198, 198 * 6));
    assert_eq!(set.labels.iter().sum::<i64>(), 99);
    let skipped: Vec<_> = set.skipped.iter().map(|s| s.file.clone()).collect();
    assert_eq!(skipped, [place.path("set/bag/0007.png"), place.path("set/coat/0001.jpg")]);
    assert!(set.skipped.iter().all(|s| !s.reason.is_empty()));
    assert_eq!(set.image(7), grey(16).data, "the image behind the skipped one");

    place.write("set/coat/0099.png", "");
    let error = place.refuses("set", &GREY, &["3 of 200", "1 %", "bag/0007.png", "coat/0099.png"]);
    assert!(matches!(error, DataError::Unreadable { unreadable: 3, images: 200, .. }));
    place.write("set/coat/0098.png", "GIF89a");
    place.refuses("set", &GREY, &["4 of 200", "; …"]);
}

#[test]
fn a_jpeg_is_read_as_its_decoder_reads_it() {
    let place = Place::new();
    place.write("set/a/one.JPEG", jpeg(16, 8));
    place.write("set/b/one.jpg", jpeg(16, 8));
    let set = place.open("set", &Wanted { shape: [1, 8, 16], classes: 2 }).unwrap();
    let expected = image::load_from_memory(&jpeg(16, 8)).unwrap().into_luma8().into_raw();
    assert_eq!(set.image(0), expected);
}

#[test]
fn folders_that_cannot_be_trained_on_are_refused() {
    let place = Place::new();
    place.classes("good", 2);
    place.refuses("good", &Wanted { classes: 3, ..GREY }, &["good", "2 classes (bag, coat)", "has 3"]);

    let wide = Pixels { shape: [2, 4, 1], data: vec![0; 8] };
    place.classes("mixed", 3);
    place.png("mixed/coat/0001.png", &wide);
    let error = place.refuses("mixed", &GREY, &["coat/0001.png", "4×2", "bag/0000.png", "3×2"]);
    assert!(matches!(error, DataError::MixedSizes { .. }));
    place.png("other/a/1.png", &wide);
    place.png("other/b/1.png", &wide);
    place.refuses("other", &GREY, &["other/a/1.png", "4×2", "3×2", "nothing is resized"]);

    place.classes("hollow", 2);
    fs::create_dir(place.path("hollow/dress")).unwrap();
    place.refuses("hollow", &Wanted { classes: 3, ..GREY }, &["hollow/dress", "a class needs images"]);
    // Below one percent of all, and yet all of a class.
    place.classes("lost", 100);
    place.write("lost/dress/0.png", "damaged");
    place.refuses("lost", &Wanted { classes: 3, ..GREY }, &["lost/dress", "none of its 1 images"]);

    place.png("loose/1.png", &grey(1));
    place.refuses("loose", &GREY, &["loose", "1 images of no class"]);
    fs::create_dir(place.path("empty")).unwrap();
    place.refuses("empty", &GREY, &["empty", "no sub-folders"]);

    for (name, image) in
        [("alpha", image::DynamicImage::new_rgba8(3, 2)), ("deep", image::DynamicImage::new_luma16(3, 2))]
    {
        place.classes(name, 1);
        image.save(place.path(&format!("{name}/coat/0.png"))).unwrap();
        place.refuses(name, &GREY, &["coat/0.png", "8-bit grey"]);
    }
}

#[test]
fn pairs_that_cannot_be_trained_on_are_refused() {
    let place = Place::new();
    let images = idx(&[2, 2, 3], &[0; 12]);
    place.pair("range", &images, &idx(&[2], &[0, 2]));
    place.refuses("range", &GREY, &["train-labels-idx1-ubyte", "label 2 at 1", "2 classes"]);
    place.pair("count", &images, &idx(&[3], &[0, 1, 1]));
    place.refuses("count", &GREY, &["train-labels-idx1-ubyte", "3 labels for 2 images"]);
    place.pair("size", &idx(&[2, 3, 3], &[0; 18]), &idx(&[2], &[0, 1]));
    place.refuses("size", &GREY, &["train-images-idx3-ubyte", "3×3", "3×2"]);
    place.pair("rank", &idx(&[2, 6], &[0; 12]), &idx(&[2], &[0, 1]));
    place.refuses("rank", &GREY, &["train-images-idx3-ubyte", "2 dimensions"]);
    place.pair("none", &idx(&[0, 2, 3], &[]), &idx(&[0], &[]));
    place.refuses("none", &GREY, &["train-images-idx3-ubyte", "[0, 2, 3]"]);
    place.pair("cut", &images[..images.len() - 1], &idx(&[2], &[0, 1]));
    place.refuses("cut", &GREY, &["train-images-idx3-ubyte", "12 bytes", "11"]);
    place.pair("huge", &gzip(&idx(&[1 << 31, 2, 3], &[0; 6])), &idx(&[2], &[0, 1]));
    place.refuses("huge", &GREY, &["train-images-idx3-ubyte", "12884901888 bytes"]);
    place.write("lone/train-images-idx3-ubyte", &images);
    place.refuses("lone", &GREY, &["lone/train-labels-idx1-ubyte"]);
    place.write("unlabelled/train-labels-idx1-ubyte.gz", gzip(&idx(&[2], &[0, 1])));
    place.refuses("unlabelled", &GREY, &["unlabelled/train-images-idx3-ubyte"]);
}

#[test]
fn arrays_that_cannot_be_trained_on_are_refused() {
    let place = Place::new();
    place.labelled("negative.npz", &[0_i64, -1]);
    place.refuses("negative.npz", &GREY, &["negative.npz", "label -1 at 1"]);
    place.labelled("range.npz", &[0_i32, 1, 7]);
    place.refuses("range.npz", &GREY, &["range.npz", "label 7 at 2"]);
    place.labelled("beyond.npz", &[0_u64, u64::MAX]);
    place.refuses("beyond.npz", &GREY, &["beyond.npz", "arr_1", "18446744073709551615"]);
    place.labelled("float.npz", &[0_f32, 1.0]);
    place.refuses("float.npz", &GREY, &["float.npz", "arr_1", "<f4", "integers"]);
    place.npz("images.npz", |npz| {
        npz.add_array("arr_0", &Array4::<f32>::zeros((2, 2, 3, 1))).unwrap();
        npz.add_array("arr_1", &Array1::<i64>::zeros(2)).unwrap();
    });
    place.refuses("images.npz", &GREY, &["images.npz", "arr_0", "<f4", "u8"]);
    place.npz("lengths.npz", |npz| {
        npz.add_array("arr_0", &Array3::<u8>::zeros((2, 2, 3))).unwrap();
        npz.add_array("arr_1", &Array1::<i64>::zeros(3)).unwrap();
    });
    place.refuses("lengths.npz", &GREY, &["lengths.npz", "3 labels for 2 images"]);
    place.npz("unlabelled.npz", |npz| {
        npz.add_array("arr_0", &Array3::<u8>::zeros((2, 2, 3))).unwrap();
    });
    place.refuses("unlabelled.npz", &GREY, &["unlabelled.npz", "no array `arr_1`", "`arr_0`"]);
    place.npz("column.npz", |npz| {
        npz.add_array("arr_0", &Array3::<u8>::zeros((2, 2, 3))).unwrap();
        npz.add_array("arr_1", &ArrayD::<i64>::zeros(vec![2, 1])).unwrap();
    });
    place.refuses("column.npz", &GREY, &["column.npz", "arr_1", "[2, 1]"]);
    place.labelled::<i64>("empty.npz", &[]);
    place.refuses("empty.npz", &GREY, &["empty.npz", "[0, 2, 3]"]);
    place.labelled("size.npz", &[0_i64, 1]);
    place.refuses("size.npz", &Wanted { shape: [1, 3, 3], ..GREY }, &["size.npz", "3×2", "3×3"]);
    let whole = fs::read(place.path("size.npz")).unwrap();
    place.write("cut.npz", &whole[..whole.len() / 2]);
    place.refuses("cut.npz", &GREY, &["cut.npz"]);
    place.write("text.txt", "not a folder");
    place.refuses("text.txt", &GREY, &["text.txt", "not a folder with", "6e"]);
}

#[test]
fn a_thread_can_make_a_batch() {
    let place = Place::new();
    place.classes("set", 4);
    let set = place.open("set", &GREY).unwrap();
    let batch = std::thread::scope(|scope| {
        let make = || {
            let pixels: Vec<u8> = [5, 0].into_iter().flat_map(|i| set.image(i).to_vec()).collect();
            Vec::<u8>::try_from(Tensor::from_slice(&pixels).view([2, 1, 2, 3]).flatten(0, -1)).unwrap()
        };
        scope.spawn(make).join().unwrap()
    });
    assert_eq!(batch, [grey(3).data, grey(0).data].concat());
}

/// N images of H×W×C and a label for each.
fn sets() -> impl Strategy<Value = (Vec<Pixels>, Vec<i64>)> {
    (1..5usize, 1..5usize, prop::sample::select(vec![1, 3]), 2..8usize).prop_flat_map(|(h, w, c, n)| {
        let image = prop::collection::vec(any::<u8>(), h * w * c);
        let image = image.prop_map(move |data| Pixels { shape: [h, w, c], data });
        (prop::collection::vec(image, n), prop::collection::vec(0..3_i64, n))
    })
}

fn write_classes(folder: &Path, images: &[Pixels], labels: &[i64]) {
    for (k, (image, label)) in images.iter().zip(labels).enumerate() {
        let class = folder.join(format!("class {label}"));
        fs::create_dir_all(&class).unwrap();
        write_png(&class.join(format!("{k}.png")), image, None).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pixels_come_back_exactly((images, labels) in sets()) {
        let place = Place::new();
        let [h, w, c] = images[0].shape;
        let wanted = Wanted { shape: [c, h, w], classes: 3 };
        let values: Vec<u8> = images.iter().flat_map(|i| i.data.clone()).collect();
        write_npz(&place.path("set.npz"), &images, &labels).unwrap();
        let labels_bytes: Vec<u8> = labels.iter().map(|&l| l as u8).collect();
        place.pair("pair", &idx(&[images.len(), h, w, c], &values), &idx(&[images.len()], &labels_bytes));
        for source in ["set.npz", "pair"] {
            let set = place.open(source, &wanted).unwrap();
            prop_assert_eq!(&set.labels, &labels);
            for (k, image) in images.iter().enumerate() {
                prop_assert_eq!(set.image(k), planes(image));
            }
        }

        write_classes(&place.path("classes"), &images, &labels);
        let mut order: Vec<usize> = (0..images.len()).collect();
        order.sort_by_key(|&k| (labels[k], k));
        let mut present = labels.clone();
        present.sort_unstable();
        present.dedup();
        let set = place.open("classes", &Wanted { classes: present.len(), ..wanted }).unwrap();
        for (at, &k) in order.iter().enumerate() {
            prop_assert_eq!(set.image(at), planes(&images[k]));
            prop_assert_eq!(&set.classes[set.labels[at] as usize], &format!("class {}", labels[k]));
        }
    }
}
