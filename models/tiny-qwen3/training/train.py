"""Trains the model on a processor, in a given number of minutes.

    python train.py --minutes 60 --data build --output build/best.pt

Reads what make_tokenizer.py wrote. The learning rate warms up and then falls with a cosine over the time given, so that a longer run is
a better model; because it follows the clock, two runs differ a little. The weights that validate best are kept.
"""

import argparse
import math
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from model import Qwen3, Sizes

FOLDER = Path(__file__).resolve().parent
SEED = 1234
WINDOW = 256
BATCH = 16
DROPOUT = 0.1
LEARNING_RATE = 3e-3
LAST_LEARNING_RATE_SHARE = 0.05
WARM_UP_STEPS = 100
WEIGHT_DECAY = 0.1
GRADIENT_NORM = 1.0
STEPS_BETWEEN_VALIDATIONS = 250


def load_ids(path: Path) -> Tensor:
    return torch.from_numpy(np.load(path).astype(np.int64))


def random_batch(ids: Tensor) -> tuple[Tensor, Tensor]:
    """Windows from anywhere in the text, and the tokens that follow each of theirs."""
    starts = torch.randint(len(ids) - WINDOW - 1, (BATCH,))
    windows = torch.stack([ids[start : start + WINDOW + 1] for start in starts])
    return windows[:, :-1], windows[:, 1:]


@torch.no_grad()
def validate(model: Qwen3, ids: Tensor) -> float:
    """Mean negative log likelihood, in nats a token, over windows side by side."""
    model.eval()
    count = (len(ids) - 1) // WINDOW
    inputs = ids[: count * WINDOW].view(count, WINDOW)
    targets = ids[1 : count * WINDOW + 1].view(count, WINDOW)
    total = 0.0
    for batch, wanted in zip(inputs.split(32), targets.split(32)):
        logits = model(batch).flatten(0, 1)
        total += functional.cross_entropy(logits, wanted.flatten(), reduction="sum").item()
    model.train()
    return total / (count * WINDOW)


def make_optimiser(model: Qwen3) -> torch.optim.Optimizer:
    """AdamW; the weights of norms do not decay."""
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [
        {"params": matrices, "weight_decay": WEIGHT_DECAY},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.95), fused=True)


def learning_rate(step: int, progress: float) -> float:
    """Of a step, at a share of the time from 0 to 1."""
    warm_up = min(1.0, step / WARM_UP_STEPS)
    cosine = 0.5 * (1.0 + math.cos(math.pi * progress))
    last = LAST_LEARNING_RATE_SHARE
    return LEARNING_RATE * warm_up * (last + (1.0 - last) * cosine)


def train(model: Qwen3, training: Tensor, validation: Tensor, seconds: float, output: Path) -> float:
    """Trains for the time given, writes the best weights, and returns their validation loss."""
    optimiser = make_optimiser(model)
    best = math.inf

    def keep_if_best(step: int) -> None:
        nonlocal best
        loss = validate(model, validation)
        print(f"step {step}: validation {loss:.4f} nats a token, perplexity {math.exp(loss):.3f}", flush=True)
        if loss < best:
            best = loss
            torch.save({"sizes": asdict(model.sizes), "weights": model.state_dict()}, output)

    start = time.monotonic()
    step = 0
    while (progress := (time.monotonic() - start) / seconds) < 1.0:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, progress)
        inputs, targets = random_batch(training)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(inputs).flatten(0, 1).float()
            loss = functional.cross_entropy(logits, targets.flatten())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM)
        optimiser.step()
        step += 1
        if step % STEPS_BETWEEN_VALIDATIONS == 0:
            keep_if_best(step)
    keep_if_best(step)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, required=True, help="how long to train")
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch")
    parser.add_argument("--data", type=Path, default=FOLDER / "build", help="folder with the token ids")
    parser.add_argument("--output", type=Path, default=FOLDER / "build" / "best.pt", help="the weights to write")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(SEED)
    model = Qwen3(Sizes(), DROPOUT)
    print(f"{sum(p.numel() for p in model.parameters())} parameters")
    training = load_ids(arguments.data / "training_ids.npy")
    validation = load_ids(arguments.data / "validation_ids.npy")
    best = train(model, training, validation, arguments.minutes * 60.0, arguments.output)
    print(f"best: {best:.4f} nats a token")


if __name__ == "__main__":
    main()
