"""The PyTorch side of a comparison of training speed: DDPM training of a DiT, a few steps whenever it is told to.

    train_loop.py WEIGHTS_FOLDER [--dtype bf16|f32] [--processes P] [--threads T] [--batch B] [--warm-up W] [--rate R]

It warms up and says `{"ready": true, …}`. Each line `{"steps": n}` on stdin then makes n steps and is answered by
`{"seconds": s, "images": n·B, "loss": l}`, l being the mean over these steps; the end of stdin ends it. What goes
wrong is one line `{"error": message}`, and exit status 1. With `--once` it reads nothing: it makes `--steps` steps
and says how fast it was.

A step is what people write: draw images, t, ε and label dropout; forward (bf16: under `torch.autocast`); the
ε-loss with min-SNR weights; backward; gradient clipping; AdamW, fused where this torch has it on CPUs; the weights'
moving average by one `_foreach_lerp_`. The master weights are f32. P processes of T threads each take B/P images a
step and average their gradients, which lie in one flat tensor, by one `all_reduce` over gloo.

The images are random bytes, made beforehand: reading data is not a part of the time, and no time depends on it.
"""

import argparse
import json
import math
import os
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from time import perf_counter

import torch
import torch.distributed as dist
from safetensors.torch import load_file

sys.path.append(str(Path(__file__).parent.parent / "reference"))

import noise_schedules
from dit_module import DiT

IMAGES = 4096
LABEL_DROPOUT = 0.1
MIN_SNR_GAMMA = 5.0
MAX_NORM = 1.0
AVERAGE_DECAY = 0.999
LONGEST_WAIT = timedelta(minutes=5)  # for another process, within a step


class Trainer:
    """One process's share of the training."""

    def __init__(self, folder, dtype, batch, rate, rank, processes):
        c = json.loads((folder / "config.json").read_text())
        if (c["family"], c["layout"]) != ("dit", "meta"):
            raise ValueError(f"{folder}: {c['family']} in layout {c['layout']}: this peer trains a DiT in Meta's")
        if c["diffusion"]["prediction"] != "epsilon":
            raise ValueError(f"{folder}: predicts {c['diffusion']['prediction']}, not epsilon")
        if batch % processes:
            raise ValueError(f"a batch of {batch} cannot be shared by {processes} processes")
        torch.manual_seed(rank)
        self.batch, self.processes = batch // processes, processes
        self.autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bf16")
        self.model = DiT(c)
        self.model.load_state_dict({k: w.float() for k, w in load_file(folder / "model.safetensors").items()})
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.average = [p.detach().clone() for p in self.parameters]
        self.optimizer, self.optimizer_kind = adamw(self.parameters, rate)
        self.flat = flat_gradients(self.parameters) if processes > 1 else None
        self.draws_from(c)

    def draws_from(self, c):
        """Makes the images and the tables by noise level."""
        size = c["input_size"]
        self.images = torch.randint(0, 256, (IMAGES, c["in_channels"], size, size), dtype=torch.uint8)
        self.labels = torch.randint(0, c["num_classes"], (IMAGES,))
        self.null = c.get("null_class")
        d = c["diffusion"]
        betas = noise_schedules.betas(d["beta_schedule"], d["timesteps"], d.get("beta_start"), d.get("beta_end"))
        alpha_bar = torch.from_numpy((1 - betas).cumprod())
        snr = alpha_bar / (1 - alpha_bar)
        self.signal, self.noise = alpha_bar.sqrt().float(), (1 - alpha_bar).sqrt().float()
        self.weight = (snr.clamp(max=MIN_SNR_GAMMA) / snr).float()

    def draw(self):
        """x_t and ε [b, C, H, W], t and classes [b], and the weights of the losses [b]."""
        at = torch.randint(0, IMAGES, (self.batch,))
        x0 = self.images[at].float() / 127.5 - 1
        t = torch.randint(0, len(self.signal), (self.batch,))
        y = self.labels[at]
        if self.null is not None:
            y = torch.where(torch.rand(self.batch) < LABEL_DROPOUT, self.null, y)
        noise = torch.randn_like(x0)
        x = self.signal[t].view(-1, 1, 1, 1) * x0 + self.noise[t].view(-1, 1, 1, 1) * noise
        return x, noise, t, y, self.weight[t]

    def step(self):
        """One step; its loss, of all processes' images."""
        x, noise, t, y, weight = self.draw()
        with self.autocast:
            out = self.model(x, t, y)
        out = out[:, : x.shape[1]].float()
        loss = (weight * (out - noise).square().mean(dim=(1, 2, 3))).mean()
        if self.flat is None:
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
        else:
            self.flat.zero_()
            loss.backward()
            self.flat[-1] = loss.detach()
            add_up(self.flat)
            self.flat.div_(self.processes)
            loss = self.flat[-1]
        torch.nn.utils.clip_grad_norm_(self.parameters, MAX_NORM)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.average, self.parameters, 1 - AVERAGE_DECAY)
        return loss.item()

    def run(self, steps):
        """The answer to an order."""
        start = perf_counter()
        losses = [self.step() for _ in range(steps)]
        seconds = perf_counter() - start
        loss = sum(losses) / steps
        if not math.isfinite(loss):
            raise ValueError(f"the loss is {loss}")
        return {"seconds": seconds, "images": steps * self.batch * self.processes, "loss": loss}


def adamw(parameters, rate):
    """The fastest AdamW that this torch has here, and its name."""
    for kind in ("fused", "foreach"):
        try:
            return torch.optim.AdamW(parameters, lr=rate, weight_decay=0.0, **{kind: True}), kind
        except RuntimeError as error:
            refusal = error
    raise refusal


def flat_gradients(parameters):
    """One tensor whose parts are the parameters' gradients; the last number is free for the loss."""
    flat = torch.zeros(sum(p.numel() for p in parameters) + 1)
    parts = flat[:-1].split([p.numel() for p in parameters])
    for p, part in zip(parameters, parts, strict=True):
        p.grad = part.view_as(p)
    return flat


def add_up(flat):
    """The sum over all processes, in each."""
    try:
        dist.all_reduce(flat)
    except RuntimeError as error:
        raise ConnectionError(str(error)) from error


class Followers:
    """The other processes. Each runs this program, with its own share of every batch, and is told what we are told."""

    def __init__(self, processes):
        # Rendezvous and gradients stay on this machine, whatever its name resolves to.
        if sys.platform == "linux":
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        self.store = dist.TCPStore("127.0.0.1", 0, processes, is_master=True, wait_for_workers=False)
        command = [sys.executable, *sys.argv, "--port", str(self.store.port)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.started = [subprocess.Popen([*command, "--rank", str(r)], **pipes) for r in range(1, processes)]

    def tell(self, order):
        for process in self.started:
            print(json.dumps(order), file=process.stdin, flush=True)

    def hear(self):
        """Waits for every answer; an error there is one here."""
        for process in self.started:
            line = process.stdout.readline()
            answer = json.loads(line) if line else {"error": f"another process ended with {process.wait()}"}
            if "error" in answer:
                raise ChildProcessError(answer["error"])

    def end(self):
        """They end by themselves at the end of their input, or with our connection."""
        for process in self.started:
            process.stdin.close()
        for process in self.started:
            process.wait()


def follow_orders(trainer, say, followers):
    for line in sys.stdin:
        order = json.loads(line)
        steps = order.get("steps") if isinstance(order, dict) else None
        if type(steps) is not int or steps < 1:
            raise ValueError(f"order {line.strip()!r}: expected {{\"steps\": n}}, n ≥ 1")
        say(together(trainer, followers, steps))


def together(trainer, followers, steps):
    """Makes so many steps, in all processes."""
    if followers is None:
        return trainer.run(steps)
    followers.tell({"steps": steps})
    try:
        answer = trainer.run(steps)
    except ConnectionError:
        followers.hear()  # it was they who failed: theirs is the message
        raise
    followers.hear()
    return answer


def work(o, say):
    """All but the reporting of errors."""
    torch.set_num_threads(o.threads)
    leads = o.rank == 0
    trainer = Trainer(o.weights, o.dtype, o.batch, o.rate, o.rank, o.processes)
    followers = Followers(o.processes) if leads and o.processes > 1 else None
    if o.processes > 1:
        store = followers.store if leads else dist.TCPStore("127.0.0.1", o.port, o.processes, is_master=False)
        dist.init_process_group("gloo", store=store, rank=o.rank, world_size=o.processes, timeout=LONGEST_WAIT)
    if leads and o.warm_up:
        together(trainer, followers, o.warm_up)
    if leads and o.once:
        say(in_words(o, together(trainer, followers, o.steps)))
    else:
        if leads:
            setting = {"dtype": o.dtype, "processes": o.processes, "threads": o.threads, "batch": o.batch}
            count = sum(p.numel() for p in trainer.parameters)
            made = {"torch": torch.__version__, "optimizer": trainer.optimizer_kind, "parameters": count}
            say({"ready": True} | setting | made)
        follow_orders(trainer, say, followers)
    if followers is not None:
        followers.end()
    if o.processes > 1:
        dist.destroy_process_group()


def in_words(o, answer):
    return (
        f"{answer['images'] / answer['seconds']:.1f} images/s: {answer['images']} in {answer['seconds']:.2f} s, "
        f"{o.dtype}, {o.processes} × {o.threads} threads, batches of {o.batch}, loss {answer['loss']:.4f}, "
        f"torch {torch.__version__}"
    )


class Arguments(argparse.ArgumentParser):
    def error(self, message):
        raise ValueError(message)


def options():
    parser = Arguments(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--dtype", choices=("bf16", "f32"), default="bf16")
    parser.add_argument("--processes", type=at_least(1), default=1)
    parser.add_argument("--threads", type=at_least(1), default=1, help="of each process")
    parser.add_argument("--batch", type=at_least(1), default=64, help="images of a step, of all processes")
    parser.add_argument("--warm-up", type=at_least(0), default=3, help="steps before the first order")
    parser.add_argument("--rate", type=float, default=1e-4, help="the learning rate")
    parser.add_argument("--once", action="store_true", help="read no orders")
    parser.add_argument("--steps", type=at_least(1), default=10, help="with --once")
    # What a process that follows is started with.
    parser.add_argument("--rank", type=at_least(0), default=0, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def at_least(least):
    def whole_number(text):
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} on")
        return int(text)

    return whole_number


def describe(error):
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


def main():
    # Answers have stdout for themselves: whatever a library prints goes to stderr.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(answer):
        print(answer if isinstance(answer, str) else json.dumps(answer), file=answers, flush=True)

    try:
        work(options(), say)
    except Exception as error:  # whatever it is, the other side has to know
        with suppress(BrokenPipeError):
            say({"error": describe(error)})
        # At once: an orderly end waits for the other processes, and they end only when our connections do.
        os._exit(1)


if __name__ == "__main__":
    main()
