"""The PyTorch side of `benches/extractors_vs_pytorch.rs`: runs a feature extractor whenever it is told to.

    pytorch_extractors.py FASHION LITE INCEPTION

FASHION and LITE are weights of `fashion-features` and `efficientnet-lite0`. Weights of the Inception are drawn here
and written to INCEPTION. One order a line on stdin, one answer a line on stdout:

    input FILE         take u8 images [B, H, W, C] from a safetensors file   → ok
    output PEER FILE   write the peer's features there                       → ok
    time PEER N        run N forwards                                        → seconds

The networks are those that people run: pytorch-fid's, and the one of efficientnet-lite-pytorch, in eval mode.
"""

import sys
from time import perf_counter

import pytorch_fid.inception as pytorch_fid
import torch
import torchvision
from efficientnet_lite_pytorch import EfficientNet
from safetensors.torch import load_file, save_file
from torch import nn


class FashionLayer(nn.Module):
    def __init__(self, name, weights):
        super().__init__()
        kernel = weights[f"{name}.weight"]
        self.conv = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(kernel.shape[0])
        self.load_state_dict(
            {
                "conv.weight": kernel,
                "norm.weight": weights[f"{name}.norm.weight"],
                "norm.bias": weights[f"{name}.norm.bias"],
                "norm.running_mean": weights[f"{name}.norm.mean"],
                "norm.running_var": weights[f"{name}.norm.var"],
                "norm.num_batches_tracked": torch.tensor(0),
            }
        )

    def forward(self, x):
        return self.norm(self.conv(x)).relu_()


class Fashion(nn.Module):
    def __init__(self, weights):
        super().__init__()
        self.layers = nn.ModuleList(FashionLayer(f"conv{i}", weights) for i in range(1, 6))
        self.pool = nn.MaxPool2d(2)

    def forward(self, x):
        first, second, third, fourth, fifth = self.layers
        x = second(self.pool(first(x)))
        x = fourth(self.pool(x + third(x)))
        return (x + fifth(x)).mean(dim=(2, 3))


def lite(file):
    net = EfficientNet.from_name("efficientnet-lite0")
    missing = net.load_state_dict(load_file(file), strict=False)
    assert not missing.unexpected_keys and all(k.endswith("num_batches_tracked") for k in missing.missing_keys)
    net.eval()
    return lambda x: net._avg_pooling(net.extract_features((x - 127) / 128)).flatten(1)


def inception(file):
    torch.manual_seed(0)
    state = torchvision.models.inception_v3(num_classes=1008, aux_logits=False, init_weights=False).state_dict()
    for name, value in state.items():
        if name.endswith("conv.weight"):
            nn.init.kaiming_normal_(value)
    kept = {k: v for k, v in state.items() if k != "fc.bias" and not k.endswith("num_batches_tracked")}
    save_file(kept, file)
    pytorch_fid.load_state_dict_from_url = lambda *_, **__: state
    net = pytorch_fid.InceptionV3(resize_input=False, normalize_input=False).eval()
    return lambda x: net((x - 128) / 128)[0].flatten(1)


def main(fashion_file, lite_file, inception_file):
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    weights = {name: value.float() for name, value in load_file(fashion_file).items()}
    fashion = Fashion(weights).eval()
    found = {
        "fashion-features": lambda x: fashion(x / 255),
        "efficientnet-lite0": lite(lite_file),
        "inception-2015": inception(inception_file),
    }
    print(f"torch {torch.__version__}", flush=True)
    with torch.inference_mode():
        for line in sys.stdin:
            match line.split():
                case ["input", file]:
                    images = load_file(file)["images"].permute(0, 3, 1, 2).contiguous()
                    answer = "ok"
                case ["output", peer, file]:
                    save_file({"out": found[peer](images.float()).contiguous()}, file)
                    answer = "ok"
                case ["time", peer, n]:
                    forward = found[peer]
                    start = perf_counter()
                    for _ in range(int(n)):
                        forward(images.float())
                    answer = perf_counter() - start
            print(answer, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
