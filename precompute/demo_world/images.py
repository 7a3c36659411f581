"""Write scenes of the demo world as files: pictures, masks and what they show."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from PIL import Image

from precompute.demo_world.scenes import check_parameters, scenes

LEAST_DIGITS = 4  # of a file's number


def write_images(
    out: Path, *, count: int, seed: int, objects: int | None = None, size: int = 256
) -> Path:
    """Write `count` scenes into the folder `out`; returns the path of its ``labels.json``.

    ``NNNN.png`` is the picture and ``NNNN_mask.png`` (8-bit) the place in the scene's list of the
    object seen at each pixel, 255 for none. ``labels.json`` lists ``{file, mask, caption,
    background: {colour, pattern}, objects: [{concept, tint, box}]}`` in order, boxes
    (x0, y0, x1, y1) in pixels with x1 and y1 exclusive. Raises ValueError, before anything is
    written, for a count below 1, a negative seed, objects outside 1 to 4 or a size outside 32 to
    384 pixels.
    """
    if count < 1:
        raise ValueError(f"The count must be 1 or more, not {count}.")
    check_parameters(seed=seed, size=size, objects=objects)
    out.mkdir(parents=True, exist_ok=True)
    digits = max(LEAST_DIGITS, len(str(count - 1)))
    labels = []
    for number, scene in enumerate(scenes(seed, count, size=size, objects=objects)):
        file, mask = f"{number:0{digits}}.png", f"{number:0{digits}}_mask.png"
        Image.fromarray(scene.image).save(out / file)
        Image.fromarray(scene.mask).save(out / mask)
        labels.append(
            {
                "file": file,
                "mask": mask,
                "caption": scene.caption,
                "background": asdict(scene.background),
                "objects": [asdict(item) for item in scene.objects],
            }
        )
    path = out / "labels.json"
    path.write_text(json.dumps(labels, indent=1) + "\n", encoding="utf-8")
    return path
