"""Train Net9Conv on a folder of photographs.

Run `python train.py --pictures FOLDER -o net_9conv.pt`. The labels come from a teacher, the
PP-OCRv4 text detector inside the PyPI package rapidocr-onnxruntime; the letters drawn on the
photographs come from matplotlib's fonts.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from net import Net9Conv, create
from pictures import (
    Sources,
    draw_canvas,
    english_words,
    letterbox,
    list_fonts,
    list_pictures,
    normalise,
    read_picture,
)
from PIL import Image
from torch.nn import functional

SEED = 20240607
HELD_OUT_EVERY = 10  # each tenth photograph, by name, is never trained on
HELD_OUT_CANVASES = 60
CROP = 320
BATCH = 8
PEAK_RATE = 4e-3
THICKNESSES = (0, 1, 2, 3, 4, 6, 8)  # t of marks 2 t + 1 pixels thick, at 320x320
TOO_THICK = 9
TEACHER_SHA256 = "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9"


def find_in_package(package: str, inside: str, pip_line: str) -> Path:
    """Return the path of a file or folder that an installed package ships; nothing is imported.

    Raises:
        SystemExit: if the package or the file is missing; the message has the pip line.
    """
    spec = find_spec(package)
    path = Path(spec.origin).parent / inside if spec and spec.origin else None
    if path is None or not path.exists():
        raise SystemExit(f"error: {package}/{inside} is not installed\nhint: {pip_line}")
    return path


def open_teacher(path: Path) -> onnxruntime.InferenceSession:
    """Return the teacher, checked to be the very file that the figures in README.md came from.

    Raises:
        SystemExit: if the file is missing or is another one.
    """
    if not path.is_file():
        raise SystemExit(f"error: the teacher {path} is missing")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != TEACHER_SHA256:
        raise SystemExit(
            f"error: {path} has sha256 {found}, expected {TEACHER_SHA256}\n"
            "hint: take the file from rapidocr-onnxruntime==1.4.4"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def dilate(prob: torch.Tensor, radius: int) -> torch.Tensor:
    """Return the largest value within a square of the radius; a negative radius gives the least."""
    if radius < 0:
        return -dilate(-prob, -radius)
    size = 2 * radius + 1
    rows = functional.max_pool2d(prob, (size, 1), stride=1, padding=(radius, 0))
    return functional.max_pool2d(rows, (1, size), stride=1, padding=(0, radius))


def widen(kernels: torch.Tensor) -> torch.Tensor:
    """Return a map of whole text lines from the teacher's map of shrunken ones.

    The teacher was trained on lines shrunk to about a quarter of their height (DBNet, Liao et al.
    2020, section 3.5, shrink ratio 0.4). Here each part that is 2 t + 1 thick grows to 6 t + 3,
    three quarters of the line, so that neighbours stay apart.

    Args:
        kernels: [1, 1, H, W] float32 within [0, 1]; the result has the same form.
    """
    grown = [dilate(dilate(kernels, -t), 3 * t + 1) for t in THICKNESSES]
    return torch.stack(grown).amax(dim=0)


def drop_huge(lines: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """Return the lines without marks too thick for a line of 130 pixels, and what touches those.

    The teacher takes whole animals and plates for one huge letter; nobody wants that copied.

    Args:
        lines: [1, 1, H, W] float32 within [0, 1], what `widen` made of `kernels`.
        kernels: The teacher's map, of the same form.
    """
    return lines * (1 - dilate(dilate(kernels, -TOO_THICK), 4 * TOO_THICK))


def label(teacher: onnxruntime.InferenceSession, pixels: np.ndarray, *, huge: bool) -> np.ndarray:
    """Return where the teacher sees text, at a quarter of the side, rounded to 8 bits.

    Args:
        teacher: Takes BGR, normalised as the student's input is.
        pixels: [640, 640, 3] uint8, RGB.
        huge: Keep the marks that `drop_huge` drops.

    Returns:
        [160, 160] uint8, 255 where the teacher is certain of text.
    """
    feeds = {teacher.get_inputs()[0].name: normalise(pixels[None, :, :, ::-1])}
    prob = torch.from_numpy(teacher.run(None, feeds)[0])  # [1, 1, 640, 640]
    kernels = functional.avg_pool2d(prob, 2)  # [1, 1, 320, 320]
    lines = widen(kernels) if huge else drop_huge(widen(kernels), kernels)  # [1, 1, 320, 320]
    quarter = functional.avg_pool2d(lines, 2)[0, 0].clamp(0, 1)  # [160, 160]
    codes: np.ndarray = (quarter * 255).round().byte().numpy()
    return codes


def make_set(
    teacher: onnxruntime.InferenceSession, sources: Sources, count: int, seed: int, *, huge: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return drawn canvases [count, 640, 640, 3] uint8 and their labels [count, 160, 160] uint8."""
    rng = np.random.default_rng(seed)
    pixels = np.empty((count, 640, 640, 3), np.uint8)
    maps = np.empty((count, 160, 160), np.uint8)
    for i in range(count):
        pixels[i] = np.asarray(draw_canvas(sources, rng))
        maps[i] = label(teacher, pixels[i], huge=huge)
        if i % 100 == 99:
            print(f"labelled {i + 1} of {count}", flush=True)
    return pixels, maps


def label_all(
    teacher: onnxruntime.InferenceSession, photos: tuple[Image.Image, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the letterboxed pictures [N, 640, 640, 3] uint8 and labels [N, 160, 160] uint8."""
    pixels = np.stack([np.asarray(letterbox(photo)) for photo in photos])
    return pixels, np.stack([label(teacher, image, huge=False) for image in pixels])


def crop_batch(
    pixels: np.ndarray, maps: np.ndarray, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return random crops [BATCH, 3, 320, 320] normalised, and labels [BATCH, 1, 80, 80] in [0, 1].

    The channels are shuffled and the tones inverted now and then: text has no colour of its own.
    """
    images = np.empty((BATCH, CROP, CROP, 3), np.uint8)
    labels = np.empty((BATCH, 1, CROP // 4, CROP // 4), np.float32)
    for slot, i in enumerate(rng.integers(len(pixels), size=BATCH)):
        y, x = (int(v) for v in rng.integers(0, (640 - CROP) // 4 + 1, 2))
        crop = pixels[i, 4 * y : 4 * y + CROP, 4 * x : 4 * x + CROP]
        crop = crop[:, :, rng.permutation(3)] if rng.random() < 0.5 else crop
        images[slot] = 255 - crop if rng.random() < 0.1 else crop
        labels[slot, 0] = maps[i, y : y + CROP // 4, x : x + CROP // 4] / np.float32(255)
    return torch.from_numpy(normalise(images)), torch.from_numpy(labels)


def loss_of(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return binary cross-entropy, text counting double, plus half the batch's Dice loss."""
    entropy = functional.binary_cross_entropy_with_logits(logits, labels, 1 + labels)
    prob = torch.sigmoid(logits)
    overlap = 2 * (prob * labels).sum() / (prob.square().sum() + labels.square().sum() + 1)
    return entropy + 0.5 * (1 - overlap)


def fit(net: Net9Conv, pixels: np.ndarray, maps: np.ndarray, steps: int) -> None:
    """Train the network in place and print the mean loss of every 100 steps."""
    rng = np.random.default_rng(SEED)
    optimiser = torch.optim.AdamW(net.parameters(), lr=PEAK_RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, total_steps=steps)
    net.train()
    recent, start = 0.0, time.monotonic()
    for step in range(1, steps + 1):
        images, labels = crop_batch(pixels, maps, rng)
        loss = loss_of(net.logits(images), labels)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
        recent += loss.item() / 100
        if step % 100 == 0:
            print(f"step {step} loss {recent:.4f} {time.monotonic() - start:.0f} s", flush=True)
            recent = 0.0
    net.eval()


def judge(net: Net9Conv, pixels: np.ndarray, maps: np.ndarray) -> dict[str, float]:
    """Return how well the network agrees with the teacher, both cut at 0.5, counted in map cells.

    Returns:
        precision, recall, f1, iou, false_alarm (share of the teacher's empty cells that the
        network fills) and mean_error (mean absolute difference of the two probabilities).
    """
    hit = extra = missed = empty = 0
    error = 0.0
    for image, wanted in zip(pixels, maps, strict=True):
        with torch.no_grad():
            prob = net(torch.from_numpy(normalise(image[None])))[0, 0].numpy()  # [160, 160]
        truth, guess = wanted >= 128, prob >= 0.5
        hit += int((truth & guess).sum())
        extra += int((guess & ~truth).sum())
        missed += int((truth & ~guess).sum())
        empty += int((~truth).sum())
        error += float(np.abs(prob - wanted / np.float32(255)).mean()) / len(pixels)
    return {
        "precision": hit / max(1, hit + extra),
        "recall": hit / max(1, hit + missed),
        "f1": 2 * hit / max(1, 2 * hit + extra + missed),
        "iou": hit / max(1, hit + extra + missed),
        "false_alarm": extra / max(1, empty),
        "mean_error": error,
    }


def report(name: str, net: Net9Conv, pixels: np.ndarray, maps: np.ndarray) -> None:
    """Print the figures of `judge` on one line."""
    figures = " ".join(f"{key} {value:.4f}" for key, value in judge(net, pixels, maps).items())
    print(f"{name} ({len(pixels)}): {figures}", flush=True)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pictures", type=Path, required=True, help="folder of photographs")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the state dict to write")
    parser.add_argument("--teacher", type=Path, help="ch_PP-OCRv4_det_infer.onnx")
    parser.add_argument("--fonts", type=Path, help="folder of DejaVu and STIX fonts")
    parser.add_argument("--also", type=Path, help="more pictures to judge on, as they are")
    parser.add_argument("--canvases", type=int, default=1200, help="training pictures to draw")
    parser.add_argument("--steps", type=int, default=2500, help="training steps; 0 only judges")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Draw and label the pictures, train, write the state dict and print the held-out figures."""
    options = parse(arguments)
    torch.manual_seed(SEED)
    torch.set_num_threads(1)  # sums in one order: the same weights from the same machine
    teacher = open_teacher(
        options.teacher
        or find_in_package(
            "rapidocr_onnxruntime",
            "models/ch_PP-OCRv4_det_infer.onnx",
            "pip install --no-deps rapidocr-onnxruntime==1.4.4",
        )
    )
    fonts = list_fonts(
        options.fonts
        or find_in_package("matplotlib", "mpl-data/fonts/ttf", "pip install matplotlib==3.10.3")
    )
    photos = [read_picture(path) for path in list_pictures(options.pictures)]
    held_out = tuple(photos[::HELD_OUT_EVERY])
    trained_on = tuple(photo for i, photo in enumerate(photos) if i % HELD_OUT_EVERY)
    print(f"{len(trained_on)} photographs to train on, {len(held_out)} held out", flush=True)
    words, net = english_words(), create()
    if options.steps:
        seen = Sources(trained_on, fonts, words)
        pixels, maps = make_set(teacher, seen, options.canvases, SEED, huge=True)
        fit(net, pixels, maps, options.steps)
        torch.save(net.state_dict(), options.output)
    else:
        net.load_state_dict(torch.load(options.output, weights_only=True))
    unseen = Sources(held_out, fonts, words)
    drawn = make_set(teacher, unseen, HELD_OUT_CANVASES, SEED + 1, huge=False)
    report("held-out photographs with text drawn on them", net, *drawn)
    report("held-out photographs as they are", net, *label_all(teacher, held_out))
    if options.also:
        others = tuple(read_picture(path) for path in list_pictures(options.also))
        report(f"{options.also} as they are", net, *label_all(teacher, others))


if __name__ == "__main__":
    main(sys.argv[1:])
