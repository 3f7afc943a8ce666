"""The source's augmentation loop: one thread; read the photo again for each copy, transform, write, append a row.

python source_loop.py DATA OUT [--limit 40] [--copies 15]
"""

import argparse
import json
import time
from pathlib import Path

import cv2
import pandas as pd
from source_transforms import source_transforms


def main() -> None:
    """Make the copies of the first photos of train.csv and a table of them; print seconds and copies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the competition's folder")
    parser.add_argument("out", type=Path, help="folder for the copies and their table")
    parser.add_argument("--limit", type=int, default=40, help="photos")
    parser.add_argument("--copies", type=int, default=15)
    parser.add_argument("--size", type=int, default=512)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    train = pd.read_csv(given.data / "train" / "train.csv").head(given.limit)
    transform = source_transforms(given.size)
    start = time.perf_counter()
    table = pd.DataFrame(columns=["image_id", "filename", "label"])
    for _, row in train.iterrows():
        for copy in range(given.copies):
            image = cv2.imread(str(given.data / "train" / "images" / row["filename"]))
            name = f"{row['image_id']}_{copy}.jpg"
            cv2.imwrite(str(given.out / name), transform(image=image)["image"])
            line = pd.DataFrame([{"image_id": row["image_id"], "filename": name, "label": row["label"]}])
            table = line if table.empty else pd.concat([table, line], ignore_index=True)
    table.to_csv(given.out / "augmented.csv", index=False)
    print(json.dumps({"seconds": time.perf_counter() - start, "images": len(table)}))


if __name__ == "__main__":
    main()
