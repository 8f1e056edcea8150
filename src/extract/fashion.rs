//! `fashion-features`: a small classifier of Fashion-MNIST, whose penultimate layer tells 28×28 grey images apart
//! where an ImageNet network sees only blurs.
//!
//! Five convolutions of 3×3, each with batch norm and ReLU; two of them around a shortcut:
//!
//! ```text
//! 28×28: 1 → 32, max-pool; 14×14: 32 → 64, + 64 → 64, max-pool; 7×7: 64 → 128, + 128 → 128; mean; 128 → 10
//! ```
//!
//! 0.28 million parameters, 22 million multiply-adds an image. The one forward serves training, where batch norm
//! takes the batch's statistics, and extraction, where it is folded into the convolutions.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use tch::{Device, Kind, TchError, Tensor};

use super::convolution::{BatchNorm, Convolution, take};
use super::{ExtractError, Extractor, Features, Identity, read_weights, shape_of};
use crate::output::{OutputError, write_tensors};

const NAME: &str = "fashion-features";
/// Name, channels in, channels out.
const CONVOLUTIONS: [(&str, usize, usize); 5] =
    [("conv1", 1, 32), ("conv2", 32, 64), ("conv3", 64, 64), ("conv4", 64, 128), ("conv5", 128, 128)];
const WIDTH: usize = 128;
const CLASSES: usize = 10;
const EPS: f64 = 1e-5;

/// The classifier's parameters and running statistics.
pub struct FashionNet {
    convolutions: Vec<Convolution>,
    weight: Tensor, // [10, 128]
    bias: Tensor,   // [10]
}

impl FashionNet {
    /// Fresh parameters from a seed: normal, of variance 2 / fan-in, biases zero (He et al. 2015, arXiv 1502.01852).
    /// They ask for gradients.
    ///
    /// # Errors
    /// libtorch has no memory left.
    pub fn init(seed: u64) -> Result<Self, TchError> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut normal = |shape: &[i64], gain: f64| -> Result<Tensor, TchError> {
            let fan_in: i64 = shape[1..].iter().product();
            let n = shape.iter().product::<i64>() as usize;
            let values: Vec<f32> = StandardNormal.sample_iter(&mut rng).take(n).collect();
            let values = Tensor::f_from_slice(&values)?.f_view(shape)?;
            values.f_mul_scalar((gain / fan_in as f64).sqrt())?.f_set_requires_grad(true)
        };
        let mut convolutions = vec![];
        for (_, from, to) in CONVOLUTIONS {
            let (from, to) = (from as i64, to as i64);
            let ones = || Tensor::f_ones([to], (Kind::Float, Device::Cpu));
            let zeros = || Tensor::f_zeros([to], (Kind::Float, Device::Cpu));
            let norm = BatchNorm {
                weight: ones()?.f_set_requires_grad(true)?,
                bias: zeros()?.f_set_requires_grad(true)?,
                mean: zeros()?,
                var: ones()?,
                eps: EPS,
            };
            convolutions.push(same(normal(&[to, from, 3, 3], 2.0)?, norm));
        }
        let weight = normal(&[CLASSES as i64, WIDTH as i64], 1.0)?;
        let bias =
            Tensor::f_zeros([CLASSES as i64], (Kind::Float, Device::Cpu))?.f_set_requires_grad(true)?;
        Ok(Self { convolutions, weight, bias })
    }

    /// What an optimiser changes, by name: the tensors themselves, not copies.
    pub fn parameters(&self) -> Vec<(String, Tensor)> {
        self.named().into_iter().filter(|(_, tensor)| tensor.requires_grad()).collect()
    }

    /// Features `[B, 128]` and logits `[B, 10]` of grey images f32 `[B, 1, 28, 28]` in [0, 1], white on black.
    ///
    /// `train` norms by the batch's own statistics and updates the running ones.
    ///
    /// # Errors
    /// The images are of another shape or dtype.
    pub fn forward(&self, x: &Tensor, train: bool) -> Result<(Tensor, Tensor), TchError> {
        let layer = |i: usize, x: &Tensor| self.convolutions[i].forward(x, train)?.f_relu_();
        let halve = |x: Tensor| x.f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false);
        // The backward pass needs what the ReLU gave, so training adds elsewhere.
        let add = |mut y: Tensor, x: &Tensor| if train { y.f_add(x) } else { y.f_add_(x) };
        let x = halve(layer(0, x)?)?; // [B, 32, 14, 14]
        let x = layer(1, &x)?; // [B, 64, 14, 14]
        let x = halve(add(layer(2, &x)?, &x)?)?; // [B, 64, 7, 7]
        let x = layer(3, &x)?; // [B, 128, 7, 7]
        let x = add(layer(4, &x)?, &x)?; // [B, 128, 7, 7]
        let pooled = x.f_mean_dim(&[2i64, 3][..], false, None::<Kind>)?; // [B, 128]
        let logits = pooled.f_linear(&self.weight, Some(&self.bias))?; // [B, 10]
        Ok((pooled, logits))
    }

    /// Writes parameters and running statistics as f16 `.safetensors`, all or nothing.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, file: &Path) -> Result<(), OutputError> {
        write_tensors(file, Kind::Half, &self.named(), HashMap::new())
    }

    /// Reads what [`FashionNet::write`] wrote, in f32, with the SHA-256 of the file. Nothing asks for gradients.
    ///
    /// # Errors
    /// The file is not there, damaged, or of another network.
    pub fn open(file: &Path) -> Result<(Self, String), ExtractError> {
        let mut expected = BTreeMap::new();
        for (name, from, to) in CONVOLUTIONS {
            expected.insert(format!("{name}.weight"), vec![to, from, 3, 3]);
            for part in ["weight", "bias", "mean", "var"] {
                expected.insert(format!("{name}.norm.{part}"), vec![to]);
            }
        }
        expected.insert("classifier.weight".into(), vec![CLASSES, WIDTH]);
        expected.insert("classifier.bias".into(), vec![CLASSES]);
        let (mut by_key, sha256) = read_weights(file, &expected, NAME)?;
        let mut take = |key: String| take(&mut by_key, &key);
        let mut convolutions = vec![];
        for (name, ..) in CONVOLUTIONS {
            let norm = BatchNorm {
                weight: take(format!("{name}.norm.weight"))?,
                bias: take(format!("{name}.norm.bias"))?,
                mean: take(format!("{name}.norm.mean"))?,
                var: take(format!("{name}.norm.var"))?,
                eps: EPS,
            };
            convolutions.push(same(take(format!("{name}.weight"))?, norm));
        }
        let (weight, bias) = (take("classifier.weight".into())?, take("classifier.bias".into())?);
        Ok((Self { convolutions, weight, bias }, sha256))
    }

    /// Every tensor that belongs to it, by name, the running statistics too. Folded layers have no norm.
    pub fn named(&self) -> Vec<(String, Tensor)> {
        let mut named = vec![];
        for ((name, ..), conv) in CONVOLUTIONS.iter().zip(&self.convolutions) {
            named.push((format!("{name}.weight"), conv.weight.shallow_clone()));
            if let Some(norm) = &conv.norm {
                for (part, tensor) in
                    [("weight", &norm.weight), ("bias", &norm.bias), ("mean", &norm.mean), ("var", &norm.var)]
                {
                    named.push((format!("{name}.norm.{part}"), tensor.shallow_clone()));
                }
            }
        }
        named.push(("classifier.weight".into(), self.weight.shallow_clone()));
        named.push(("classifier.bias".into(), self.bias.shallow_clone()));
        named
    }

    /// The same function with every batch norm folded into its convolution.
    fn fold(self) -> Result<Self, TchError> {
        let convolutions =
            self.convolutions.into_iter().map(Convolution::fold).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { convolutions, ..self })
    }
}

/// A convolution of 3×3 that keeps the image's size.
fn same(weight: Tensor, norm: BatchNorm) -> Convolution {
    Convolution { weight, bias: None, norm: Some(norm), stride: 1, padding: [1, 1], groups: 1 }
}

/// The classifier as an extractor of 28×28 grey images.
pub struct FashionFeatures {
    net: FashionNet,
    identity: Identity,
}

impl FashionFeatures {
    /// Reads the weights.
    ///
    /// # Errors
    /// As [`FashionNet::open`].
    pub fn open(file: &Path) -> Result<Self, ExtractError> {
        let (net, sha256) = FashionNet::open(file)?;
        let identity = Identity { name: NAME.into(), resize: "none".into(), weights_sha256: Some(sha256) };
        Ok(Self { net: net.fold()?, identity })
    }
}

impl Extractor for FashionFeatures {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn width(&self, shape: [usize; 3]) -> Result<usize, ExtractError> {
        match shape {
            [28, 28, 1] => Ok(WIDTH),
            [h, w, c] => Err(ExtractError::Images {
                extractor: NAME.into(),
                expected: "28×28, grey",
                got: format!("{w}×{h} of {c} channel{}", if c == 1 { "" } else { "s" }),
            }),
        }
    }

    fn classes(&self) -> Option<usize> {
        Some(CLASSES)
    }

    fn extract(&self, images: &Tensor) -> Result<Features, ExtractError> {
        self.width(shape_of(NAME, images)?)?;
        let _no_grad = tch::no_grad_guard();
        let x = images.f_permute([0, 3, 1, 2])?.f_to_kind(Kind::Float)?.f_div_scalar(255.0)?; // [B, 1, 28, 28]
        let (pooled, logits) = self.net.forward(&x, false)?;
        Ok(Features { pooled, logits: Some(logits) })
    }

    fn share(&self) -> Box<dyn Extractor> {
        let net = FashionNet {
            convolutions: self.net.convolutions.iter().map(Convolution::share).collect(),
            weight: self.net.weight.shallow_clone(),
            bias: self.net.bias.shallow_clone(),
        };
        Box::new(Self { net, identity: self.identity.clone() })
    }
}
