//! `inception-2015`: the Inception v3 that FID and Inception Score are defined by, as of 2015-12-05.
//!
//! It is not the Inception that PyTorch users know: its average pools leave padding out of the count, the last
//! block takes a max where the one before takes a mean, it has 1008 classes, and its batch norms use ε = 0.001
//! (Heusel et al. 2017, arXiv 1706.08500; Szegedy et al. 2016, arXiv 1512.00567). Features are the 2048 numbers
//! behind the last mean ("pool3"). Logits leave the bias out, as Inception Score does (Salimans et al. 2016,
//! arXiv 1606.03498).
//!
//! The resizing rule decides the normalisation too, as in the programs it is named after: `clean`, clean-fid's,
//! is (x − 128)/128 behind an antialiased bicubic; `legacy`, pytorch-fid's, is 2x/255 − 1 behind a bilinear.
//! Keys are pytorch-fid's.

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Kind, TchError, Tensor};

use super::convolution::{BatchNorm, Convolution, take};
use super::{ExtractError, Extractor, Features, Identity, Resize, read_weights, rgb, shape_of};

const NAME: &str = "inception-2015";
const SIZE: i64 = 299;
const WIDTH: usize = 2048;
const CLASSES: usize = 1008;
const EPS: f64 = 1e-3;

/// A convolution without bias, batch norm, ReLU.
struct Layer {
    name: String,
    from: usize,
    to: usize,
    kernel: [usize; 2],
    stride: i64,
    padding: [i64; 2],
}

/// Every convolution, in the order in which the network is built.
fn layers() -> Vec<Layer> {
    let mut layers = vec![];
    let mut add = |block: &str, name: &str, from, to, kernel: [usize; 2], stride, padding| {
        let name = if name.is_empty() { block.to_owned() } else { format!("{block}.{name}") };
        layers.push(Layer { name, from, to, kernel, stride, padding });
    };
    add("Conv2d_1a_3x3", "", 3, 32, [3, 3], 2, [0, 0]);
    add("Conv2d_2a_3x3", "", 32, 32, [3, 3], 1, [0, 0]);
    add("Conv2d_2b_3x3", "", 32, 64, [3, 3], 1, [1, 1]);
    add("Conv2d_3b_1x1", "", 64, 80, [1, 1], 1, [0, 0]);
    add("Conv2d_4a_3x3", "", 80, 192, [3, 3], 1, [0, 0]);
    for (block, from, pool) in [("Mixed_5b", 192, 32), ("Mixed_5c", 256, 64), ("Mixed_5d", 288, 64)] {
        add(block, "branch1x1", from, 64, [1, 1], 1, [0, 0]);
        add(block, "branch5x5_1", from, 48, [1, 1], 1, [0, 0]);
        add(block, "branch5x5_2", 48, 64, [5, 5], 1, [2, 2]);
        add(block, "branch3x3dbl_1", from, 64, [1, 1], 1, [0, 0]);
        add(block, "branch3x3dbl_2", 64, 96, [3, 3], 1, [1, 1]);
        add(block, "branch3x3dbl_3", 96, 96, [3, 3], 1, [1, 1]);
        add(block, "branch_pool", from, pool, [1, 1], 1, [0, 0]);
    }
    add("Mixed_6a", "branch3x3", 288, 384, [3, 3], 2, [0, 0]);
    add("Mixed_6a", "branch3x3dbl_1", 288, 64, [1, 1], 1, [0, 0]);
    add("Mixed_6a", "branch3x3dbl_2", 64, 96, [3, 3], 1, [1, 1]);
    add("Mixed_6a", "branch3x3dbl_3", 96, 96, [3, 3], 2, [0, 0]);
    for (block, c) in [("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)] {
        let (row, column) = ([1, 7], [7, 1]);
        add(block, "branch1x1", 768, 192, [1, 1], 1, [0, 0]);
        add(block, "branch7x7_1", 768, c, [1, 1], 1, [0, 0]);
        add(block, "branch7x7_2", c, c, row, 1, [0, 3]);
        add(block, "branch7x7_3", c, 192, column, 1, [3, 0]);
        add(block, "branch7x7dbl_1", 768, c, [1, 1], 1, [0, 0]);
        add(block, "branch7x7dbl_2", c, c, column, 1, [3, 0]);
        add(block, "branch7x7dbl_3", c, c, row, 1, [0, 3]);
        add(block, "branch7x7dbl_4", c, c, column, 1, [3, 0]);
        add(block, "branch7x7dbl_5", c, 192, row, 1, [0, 3]);
        add(block, "branch_pool", 768, 192, [1, 1], 1, [0, 0]);
    }
    add("Mixed_7a", "branch3x3_1", 768, 192, [1, 1], 1, [0, 0]);
    add("Mixed_7a", "branch3x3_2", 192, 320, [3, 3], 2, [0, 0]);
    add("Mixed_7a", "branch7x7x3_1", 768, 192, [1, 1], 1, [0, 0]);
    add("Mixed_7a", "branch7x7x3_2", 192, 192, [1, 7], 1, [0, 3]);
    add("Mixed_7a", "branch7x7x3_3", 192, 192, [7, 1], 1, [3, 0]);
    add("Mixed_7a", "branch7x7x3_4", 192, 192, [3, 3], 2, [0, 0]);
    for (block, from) in [("Mixed_7b", 1280), ("Mixed_7c", 2048)] {
        add(block, "branch1x1", from, 320, [1, 1], 1, [0, 0]);
        add(block, "branch3x3_1", from, 384, [1, 1], 1, [0, 0]);
        add(block, "branch3x3_2a", 384, 384, [1, 3], 1, [0, 1]);
        add(block, "branch3x3_2b", 384, 384, [3, 1], 1, [1, 0]);
        add(block, "branch3x3dbl_1", from, 448, [1, 1], 1, [0, 0]);
        add(block, "branch3x3dbl_2", 448, 384, [3, 3], 1, [1, 1]);
        add(block, "branch3x3dbl_3a", 384, 384, [1, 3], 1, [0, 1]);
        add(block, "branch3x3dbl_3b", 384, 384, [3, 1], 1, [1, 0]);
        add(block, "branch_pool", from, 192, [1, 1], 1, [0, 0]);
    }
    layers
}

/// The network with batch norms folded in.
struct Network {
    layers: BTreeMap<String, Convolution>,
    fc: Tensor, // [1008, 2048]
}

impl Network {
    fn read(file: &Path) -> Result<(Self, String), ExtractError> {
        let layers = layers();
        let mut expected = BTreeMap::new();
        for layer in &layers {
            let [kh, kw] = layer.kernel;
            expected.insert(format!("{}.conv.weight", layer.name), vec![layer.to, layer.from, kh, kw]);
            for part in ["weight", "bias", "running_mean", "running_var"] {
                expected.insert(format!("{}.bn.{part}", layer.name), vec![layer.to]);
            }
        }
        expected.insert("fc.weight".into(), vec![CLASSES, WIDTH]);
        let (mut by_key, sha256) = read_weights(file, &expected, NAME)?;
        let mut take = |key: String| take(&mut by_key, &key);
        let fc = take("fc.weight".into())?;
        let mut folded = BTreeMap::new();
        for Layer { name, stride, padding, .. } in layers {
            let norm = BatchNorm {
                weight: take(format!("{name}.bn.weight"))?,
                bias: take(format!("{name}.bn.bias"))?,
                mean: take(format!("{name}.bn.running_mean"))?,
                var: take(format!("{name}.bn.running_var"))?,
                eps: EPS,
            };
            let weight = take(format!("{name}.conv.weight"))?;
            let conv = Convolution { weight, bias: None, norm: Some(norm), stride, padding, groups: 1 };
            folded.insert(name, conv.fold()?);
        }
        Ok((Self { layers: folded, fc }, sha256))
    }

    /// One or more layers of a block, one after the other.
    fn run(&self, block: &str, names: &[&str], x: &Tensor) -> Result<Tensor, TchError> {
        let mut x = x.shallow_clone();
        for name in names {
            let name = if name.is_empty() { block.to_owned() } else { format!("{block}.{name}") };
            let Some(layer) = self.layers.get(&name) else {
                return Err(TchError::FileFormat(format!("{name} is no layer")));
            };
            x = layer.forward(&x, false)?.f_relu_()?;
        }
        Ok(x)
    }

    /// Features `[B, 2048]` of `[B, 3, 299, 299]`, about [−1, 1].
    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let halve = |x: &Tensor| x.f_max_pool2d([3, 3], [2, 2], [0, 0], [1, 1], false);
        let mean = |x: &Tensor| x.f_avg_pool2d([3, 3], [1, 1], [1, 1], false, false, None);
        let x = self.run("Conv2d_1a_3x3", &[""], x)?; // [B, 32, 149, 149]
        let x = self.run("Conv2d_2a_3x3", &[""], &x)?; // [B, 32, 147, 147]
        let x = halve(&self.run("Conv2d_2b_3x3", &[""], &x)?)?; // [B, 64, 73, 73]
        let x = self.run("Conv2d_3b_1x1", &[""], &x)?; // [B, 80, 73, 73]
        let mut x = halve(&self.run("Conv2d_4a_3x3", &[""], &x)?)?; // [B, 192, 35, 35]
        for block in ["Mixed_5b", "Mixed_5c", "Mixed_5d"] {
            let branches = [
                self.run(block, &["branch1x1"], &x)?,
                self.run(block, &["branch5x5_1", "branch5x5_2"], &x)?,
                self.run(block, &["branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"], &x)?,
                self.run(block, &["branch_pool"], &mean(&x)?)?,
            ];
            x = Tensor::f_cat(&branches, 1)?; // [B, 256 then 288, 35, 35]
        }
        let branches = [
            self.run("Mixed_6a", &["branch3x3"], &x)?,
            self.run("Mixed_6a", &["branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"], &x)?,
            halve(&x)?,
        ];
        x = Tensor::f_cat(&branches, 1)?; // [B, 768, 17, 17]
        for block in ["Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"] {
            let double =
                ["branch7x7dbl_1", "branch7x7dbl_2", "branch7x7dbl_3", "branch7x7dbl_4", "branch7x7dbl_5"];
            let branches = [
                self.run(block, &["branch1x1"], &x)?,
                self.run(block, &["branch7x7_1", "branch7x7_2", "branch7x7_3"], &x)?,
                self.run(block, &double, &x)?,
                self.run(block, &["branch_pool"], &mean(&x)?)?,
            ];
            x = Tensor::f_cat(&branches, 1)?; // [B, 768, 17, 17]
        }
        let long = ["branch7x7x3_1", "branch7x7x3_2", "branch7x7x3_3", "branch7x7x3_4"];
        let branches = [
            self.run("Mixed_7a", &["branch3x3_1", "branch3x3_2"], &x)?,
            self.run("Mixed_7a", &long, &x)?,
            halve(&x)?,
        ];
        x = Tensor::f_cat(&branches, 1)?; // [B, 1280, 8, 8]
        for block in ["Mixed_7b", "Mixed_7c"] {
            let fork = self.run(block, &["branch3x3_1"], &x)?;
            let double = self.run(block, &["branch3x3dbl_1", "branch3x3dbl_2"], &x)?;
            let pool = match block {
                "Mixed_7b" => mean(&x)?,
                _ => x.f_max_pool2d([3, 3], [1, 1], [1, 1], [1, 1], false)?, // the graph's own oddity
            };
            let branches = [
                self.run(block, &["branch1x1"], &x)?,
                self.run(block, &["branch3x3_2a"], &fork)?,
                self.run(block, &["branch3x3_2b"], &fork)?,
                self.run(block, &["branch3x3dbl_3a"], &double)?,
                self.run(block, &["branch3x3dbl_3b"], &double)?,
                self.run(block, &["branch_pool"], &pool)?,
            ];
            x = Tensor::f_cat(&branches, 1)?; // [B, 2048, 8, 8]
        }
        x.f_mean_dim(&[2i64, 3][..], false, None::<Kind>) // [B, 2048]
    }
}

/// The FID's Inception as an extractor of images of any size.
pub struct Inception2015 {
    network: Network,
    resize: Resize,
    identity: Identity,
}

impl Inception2015 {
    /// Reads weights that `scripts/convert_inception.py` wrote.
    ///
    /// # Errors
    /// The file is not there, damaged, or of another network.
    pub fn open(file: &Path, resize: Resize) -> Result<Self, ExtractError> {
        let (network, sha256) = Network::read(file)?;
        let identity =
            Identity { name: NAME.into(), resize: resize.to_string(), weights_sha256: Some(sha256) };
        Ok(Self { network, resize, identity })
    }
}

impl Extractor for Inception2015 {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn width(&self, _shape: [usize; 3]) -> Result<usize, ExtractError> {
        Ok(WIDTH)
    }

    fn classes(&self) -> Option<usize> {
        Some(CLASSES)
    }

    fn extract(&self, images: &Tensor) -> Result<Features, ExtractError> {
        shape_of(NAME, images)?;
        let _no_grad = tch::no_grad_guard();
        let (middle, half) = match self.resize {
            Resize::Clean => (128.0, 128.0),
            Resize::Legacy => (127.5, 127.5),
        };
        let pooled = self.network.forward(&rgb(images, self.resize, SIZE, middle, half)?)?;
        let logits = pooled.f_linear(&self.network.fc, None::<Tensor>)?; // [B, 1008]
        Ok(Features { pooled, logits: Some(logits) })
    }

    fn share(&self) -> Box<dyn Extractor> {
        let layers = self.network.layers.iter().map(|(name, layer)| (name.clone(), layer.share())).collect();
        let network = Network { layers, fc: self.network.fc.shallow_clone() };
        Box::new(Self { network, identity: self.identity.clone(), ..*self })
    }
}
