"""How long a diagnosis takes, step by step: `python -m bench.diagnosis`; prints a table.

A network of the yolov8n class at 640x640 (nudenet), one frame, the default budget. The device is
our own engine, given what was meant, and given the channels in the other order.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from bittrue import chain
from bittrue.archive import save_archive
from bittrue.contract.preprocess import Preprocess, raw_pixels
from bittrue.diagnosis.diagnose import diagnose
from bittrue.diagnosis.given import Given
from bittrue.fetch import fetch
from bittrue.session import Session

SEEN = "astronaut.png"
CALIBRATION = ("coffee.png", "chelsea.png", "rocket.jpg", "bus.jpg", "zidane.jpg", "page.png")
STEPS = ("open", "contract", "arrays", "networks", "experiments", "statistics", "ladder")
PREPROCESS = Preprocess(size=(640, 640), corner="top-left", pad_colour=(0, 0, 0))


def main() -> None:
    """Build the network, play the device, and print what each step takes."""
    with tempfile.TemporaryDirectory() as folder:
        model, devices = prepared(Path(folder))
        print("| device | " + " | ".join(STEPS) + " | all | named |")
        print("|---" * (len(STEPS) + 3) + "|")
        for told, device in devices.items():
            given = Given(model=str(model), pictures=(fetch(SEEN),), devices=(device,))
            found = diagnose(given)
            steps = [found.seconds.get(step, 0.0) for step in STEPS]
            cells = " | ".join(f"{seconds:.2f}" for seconds in (*steps, sum(steps)))
            print(f"| {told} | {cells} | {'; '.join(found.best[0].causes)} |")


def prepared(folder: Path) -> tuple[Path, dict[str, Path]]:
    """Return the archive, and what the device gave, by what it was given."""
    pictures = [raw_pixels(PREPROCESS, fetch(name)) for name in CALIBRATION]
    source = chain.import_model(fetch("nudenet_320n.onnx"), preprocess=PREPROCESS)
    network = chain.compile(chain.quantize(source, pictures, observer="power"), vectors=0)
    model = folder / "nudenet_640.bta"
    save_archive(network, model)
    pixels = raw_pixels(PREPROCESS, fetch(SEEN))
    fed = {"what was meant": pixels, "BGR for RGB": np.ascontiguousarray(pixels[..., ::-1])}
    devices = {}
    with Session(network.executable or b"") as session:
        for index, (told, array) in enumerate(fed.items()):
            devices[told] = folder / f"device{index}.npz"
            np.savez(devices[told], **session.run(array))
    return model, devices


if __name__ == "__main__":
    main()
