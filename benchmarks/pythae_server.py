"""Runs in .bench-venv: trains pythae's VAE with pythae's BaseTrainer, a round for each line on stdin.

Started by peer.py as `python pythae_server.py IMAGES.npy THREADS FOLDER`. A line in: {"images": N,
"epochs": E}; a line out: {"seconds": of the epochs' training}. pythae has no conditional VAE that works,
so this one sees no labels; its layers are those of the others without the 10 label inputs, which makes
its step slightly cheaper.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import torch
from pythae.data.datasets import BaseDataset  # pyright: ignore[reportMissingImports]
from pythae.models import VAE, VAEConfig  # pyright: ignore[reportMissingImports]
from pythae.models.base.base_utils import ModelOutput  # pyright: ignore[reportMissingImports]
from pythae.models.nn import BaseDecoder, BaseEncoder  # pyright: ignore[reportMissingImports]
from pythae.trainers import BaseTrainer, BaseTrainerConfig  # pyright: ignore[reportMissingImports]
from torch import Tensor, nn


class Encoder(BaseEncoder):
    def __init__(self) -> None:
        BaseEncoder.__init__(self)
        self.layers = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU())
        self.mean, self.logvar = nn.Linear(256, 2), nn.Linear(256, 2)

    def forward(self, x: Tensor) -> ModelOutput:
        hidden = self.layers(x.reshape(-1, 784))
        return ModelOutput(embedding=self.mean(hidden), log_covariance=self.logvar(hidden))


class Decoder(BaseDecoder):
    def __init__(self) -> None:
        BaseDecoder.__init__(self)
        layers = (
            nn.Linear(2, 256),
            nn.ReLU(),
            nn.Linear(256, 512),
            nn.ReLU(),
            nn.Linear(512, 784),
            nn.Sigmoid(),
        )
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.layers(z))


def train(x: Tensor, epochs: int, folder: str) -> float:
    """Seconds of BaseTrainer's epochs, its bar on; its copies of the best model and its saving left out."""
    config = VAEConfig(input_dim=(784,), latent_dim=2, reconstruction_loss="bce")
    trainer = BaseTrainer(
        model=VAE(config, encoder=Encoder(), decoder=Decoder()),
        train_dataset=BaseDataset(x, torch.zeros(len(x))),
        training_config=BaseTrainerConfig(
            output_dir=folder,
            num_epochs=epochs,
            learning_rate=1e-3,
            per_device_train_batch_size=100,
            optimizer_cls="Adam",
            no_cuda=True,
        ),
    )
    trainer.prepare_training()
    seconds = 0.0
    for epoch in range(1, epochs + 1):
        start = time.perf_counter()
        trainer.train_step(epoch)
        seconds += time.perf_counter() - start
        trainer.callback_handler.on_epoch_end(training_config=trainer.training_config)
    return seconds


def main() -> None:
    torch.set_num_threads(int(sys.argv[2]))
    x = torch.from_numpy(np.load(sys.argv[1])).flatten(1).float() / 255
    print(json.dumps({"ready": torch.__version__}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        seconds = train(x[: asked["images"]], asked["epochs"], sys.argv[3])
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
