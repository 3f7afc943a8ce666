"""PyTorch as its users finetune EfficientNet-B0: `efficientnet_pytorch`, a DataLoader, Albumentations, a train loop.

    python torch_loop.py DATA --train head|all [--batch-size 32] [--limit 150]

Runs in the peers' environment. Timed from the first batch after two for warming up.
"""

import argparse
import csv
import json
import time
from pathlib import Path

import cv2
import torch
from efficientnet_pytorch import EfficientNet
from source_transforms import source_transforms
from torch.utils.data import DataLoader, Dataset

SIZE = 224
MEAN, DEVIATION = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
WARM_UP = 2  # batches


class Photos(Dataset):
    """Photos of train.csv, augmented anew at every look, or as they are."""

    def __init__(self, data: Path, limit: int, augment: bool) -> None:
        with (data / "train" / "train.csv").open() as file:
            self.rows = list(csv.DictReader(file))[:limit]
        self.folder, self.transform = data / "train" / "images", source_transforms(512) if augment else None
        self.classes = sorted({row["label"] for row in self.rows})

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        cv2.setNumThreads(1)
        row = self.rows[index]
        image = cv2.cvtColor(cv2.imread(str(self.folder / row["filename"])), cv2.COLOR_BGR2RGB)
        if self.transform:
            image = self.transform(image=image)["image"]
        image = cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        pixels = (torch.from_numpy(image).float() / 255 - MEAN) / DEVIATION
        return pixels.permute(2, 0, 1), self.classes.index(row["label"])


def build(classes: int, train: str) -> EfficientNet:
    """Return the network, all but its head frozen where the head alone is trained."""
    network = EfficientNet.from_name("efficientnet-b0", num_classes=classes)
    if train == "head":
        for name, parameter in network.named_parameters():
            parameter.requires_grad = name.startswith("_fc.")
    return network


def main() -> None:
    """Train; print seconds, images and the mean loss of the timed batches."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the competition's folder")
    parser.add_argument("--train", choices=("head", "all"), default="all")
    parser.add_argument("--plain", action="store_true", help="no augmentation")
    parser.add_argument("--limit", type=int, default=150, help="photos")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(given.threads)
    data = Photos(given.data, given.limit, augment=not given.plain)
    loader = DataLoader(data, given.batch_size, shuffle=True, num_workers=given.workers, drop_last=True)
    network = build(len(data.classes), given.train)
    optimizer = torch.optim.Adam((p for p in network.parameters() if p.requires_grad), lr=1e-3)
    criterion = torch.nn.CrossEntropyLoss()
    network.train()
    losses, images, start = [], 0, 0.0
    for _ in range(given.epochs):
        for pixels, labels in loader:
            optimizer.zero_grad()
            loss = criterion(network(pixels), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if len(losses) == WARM_UP:
                start = time.perf_counter()
            elif len(losses) > WARM_UP:
                images += len(labels)
    if not images:
        raise SystemExit(f"more than {WARM_UP} whole batches are needed; raise --limit or --epochs")
    seconds = time.perf_counter() - start
    timed = losses[WARM_UP:]
    result = {"seconds": seconds, "images": images, "batch_size": given.batch_size, "loss": sum(timed) / len(timed)}
    print(json.dumps(result | {"last_loss": timed[-1]}))


if __name__ == "__main__":
    main()
