//! `efficientnet-lite0`: EfficientNet-Lite0, trained on ImageNet, small and free to use.
//!
//! Inverted bottlenecks as in EfficientNet (Tan & Le 2019, arXiv 1905.11946) without squeeze-and-excitation and
//! with ReLU6 for swish. It was trained in TensorFlow: convolutions of stride 2 pad as TensorFlow's SAME does, more
//! behind than before, and pixels are normalised to (x − 127)/128. Features are the 1280 numbers behind the mean.
//! Keys are those of the PyPI package `efficientnet-lite-pytorch`.

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Kind, TchError, Tensor};

use super::convolution::{BatchNorm, Convolution, take};
use super::{ExtractError, Extractor, Features, Identity, Resize, read_weights, rgb, shape_of};

const NAME: &str = "efficientnet-lite0";
const SIZE: i64 = 224;
const STEM: usize = 32;
const WIDTH: usize = 1280;
const CLASSES: usize = 1000;
const EPS: f64 = 1e-3;

/// Blocks, kernel, stride of the first block, expansion, channels out.
const STAGES: [(usize, usize, i64, usize, usize); 7] = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
];

/// An inverted bottleneck: widen, convolve each channel, narrow.
struct Block {
    expand: Option<Convolution>,
    depthwise: Convolution,
    project: Convolution,
    shortcut: bool,
}

/// The network with batch norms folded in.
struct Network {
    stem: Convolution,
    blocks: Vec<Block>,
    head: Convolution,
    weight: Tensor, // [1000, 1280]
    bias: Tensor,   // [1000]
}

/// A convolution by its keys: without bias, with a batch norm of `to` channels.
struct Keys {
    conv: String,
    norm: String,
    from: usize,
    to: usize,
    kernel: usize,
    stride: i64,
    depthwise: bool,
}

impl Keys {
    fn expect(&self, expected: &mut BTreeMap<String, Vec<usize>>) {
        let from = if self.depthwise { 1 } else { self.from };
        expected.insert(format!("{}.weight", self.conv), vec![self.to, from, self.kernel, self.kernel]);
        for part in ["weight", "bias", "running_mean", "running_var"] {
            expected.insert(format!("{}.{part}", self.norm), vec![self.to]);
        }
    }

    fn build(&self, by_key: &mut BTreeMap<String, Tensor>) -> Result<Convolution, TchError> {
        let mut take = |name: &str, part: &str| take(by_key, &format!("{name}.{part}"));
        let norm = BatchNorm {
            weight: take(&self.norm, "weight")?,
            bias: take(&self.norm, "bias")?,
            mean: take(&self.norm, "running_mean")?,
            var: take(&self.norm, "running_var")?,
            eps: EPS,
        };
        let groups = if self.depthwise { self.to as i64 } else { 1 };
        // With stride 2 the padding differs from side to side, and is not the convolution's.
        let padding = if self.stride == 1 { [(self.kernel / 2) as i64; 2] } else { [0, 0] };
        let weight = take(&self.conv, "weight")?;
        Convolution { weight, bias: None, norm: Some(norm), stride: self.stride, padding, groups }.fold()
    }
}

/// The keys of a block's three convolutions; the first stage has nothing to widen.
fn block_keys(i: usize, from: usize, stage: (usize, usize, i64, usize, usize), stride: i64) -> Vec<Keys> {
    let (_, kernel, _, expansion, to) = stage;
    let inner = from * expansion;
    let key = |conv: &str, norm: &str, from, to, kernel, stride, depthwise| Keys {
        conv: format!("_blocks.{i}.{conv}"),
        norm: format!("_blocks.{i}.{norm}"),
        from,
        to,
        kernel,
        stride,
        depthwise,
    };
    let expand = (expansion > 1).then(|| key("_expand_conv", "_bn0", from, inner, 1, 1, false));
    let rest = [
        key("_depthwise_conv", "_bn1", inner, inner, kernel, stride, true),
        key("_project_conv", "_bn2", inner, to, 1, 1, false),
    ];
    expand.into_iter().chain(rest).collect()
}

impl Network {
    fn read(file: &Path) -> Result<(Self, String), ExtractError> {
        let stem = Keys {
            conv: "_conv_stem".into(),
            norm: "_bn0".into(),
            from: 3,
            to: STEM,
            kernel: 3,
            stride: 2,
            depthwise: false,
        };
        let mut blocks = vec![];
        let mut from = STEM;
        for stage in STAGES {
            let (repeats, _, stride, _, to) = stage;
            for repeat in 0..repeats {
                let stride = if repeat == 0 { stride } else { 1 };
                blocks.push((block_keys(blocks.len(), from, stage, stride), stride == 1 && from == to));
                from = to;
            }
        }
        let head = Keys {
            conv: "_conv_head".into(),
            norm: "_bn1".into(),
            from,
            to: WIDTH,
            kernel: 1,
            stride: 1,
            depthwise: false,
        };
        let mut expected = BTreeMap::new();
        expected.insert("_fc.weight".into(), vec![CLASSES, WIDTH]);
        expected.insert("_fc.bias".into(), vec![CLASSES]);
        blocks.iter().flat_map(|(keys, _)| keys).chain([&stem, &head]).for_each(|k| k.expect(&mut expected));

        let (mut by_key, sha256) = read_weights(file, &expected, NAME)?;
        let mut built = vec![];
        for (keys, shortcut) in blocks {
            let mut convolutions =
                keys.iter().map(|k| k.build(&mut by_key)).collect::<Result<Vec<_>, _>>()?.into_iter();
            let expand = if keys.len() == 3 { convolutions.next() } else { None };
            let (Some(depthwise), Some(project)) = (convolutions.next(), convolutions.next()) else {
                continue; // block_keys gives these two always
            };
            built.push(Block { expand, depthwise, project, shortcut });
        }
        let network = Self {
            stem: stem.build(&mut by_key)?,
            blocks: built,
            head: head.build(&mut by_key)?,
            weight: take(&mut by_key, "_fc.weight")?,
            bias: take(&mut by_key, "_fc.bias")?,
        };
        Ok((network, sha256))
    }

    /// Features `[B, 1280]` of `[B, 3, 224, 224]`, about [−1, 1].
    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let mut x = relu6(same(&self.stem, x)?)?; // [B, 32, 112, 112]
        for block in &self.blocks {
            let wide = match &block.expand {
                Some(expand) => relu6(expand.forward(&x, false)?)?,
                None => x.shallow_clone(),
            };
            let wide = relu6(same(&block.depthwise, &wide)?)?;
            let mut narrow = block.project.forward(&wide, false)?;
            x = if block.shortcut { narrow.f_add_(&x)? } else { narrow };
        }
        let x = relu6(self.head.forward(&x, false)?)?; // [B, 1280, 7, 7]
        x.f_mean_dim(&[2i64, 3][..], false, None::<Kind>) // [B, 1280]
    }
}

fn relu6(mut x: Tensor) -> Result<Tensor, TchError> {
    x.f_clamp_(0.0, 6.0)
}

/// A convolution with TensorFlow's SAME padding of an image of even size.
fn same(conv: &Convolution, x: &Tensor) -> Result<Tensor, TchError> {
    if conv.stride == 1 {
        return conv.forward(x, false);
    }
    let all = conv.weight.size()[3] - 2;
    let (before, behind) = (all / 2, all - all / 2);
    conv.forward(&x.f_constant_pad_nd([before, behind, before, behind])?, false)
}

/// EfficientNet-Lite0 as an extractor of images of any size.
pub struct EfficientNetLite0 {
    network: Network,
    resize: Resize,
    identity: Identity,
}

impl EfficientNetLite0 {
    /// Reads weights that `scripts/convert_efficientnet.py` wrote.
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

impl Extractor for EfficientNetLite0 {
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
        let pooled = self.network.forward(&rgb(images, self.resize, SIZE, 127.0, 128.0)?)?;
        let logits = pooled.f_linear(&self.network.weight, Some(&self.network.bias))?; // [B, 1000]
        Ok(Features { pooled, logits: Some(logits) })
    }

    fn share(&self) -> Box<dyn Extractor> {
        let n = &self.network;
        let blocks = n.blocks.iter().map(|b| Block {
            expand: b.expand.as_ref().map(Convolution::share),
            depthwise: b.depthwise.share(),
            project: b.project.share(),
            ..*b
        });
        let network = Network {
            stem: n.stem.share(),
            blocks: blocks.collect(),
            head: n.head.share(),
            weight: n.weight.shallow_clone(),
            bias: n.bias.shallow_clone(),
        };
        Box::new(Self { network, identity: self.identity.clone(), ..*self })
    }
}
