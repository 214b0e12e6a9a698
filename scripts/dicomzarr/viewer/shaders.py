"""Programs (GLSL) by which the viewer turns stored values into colours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from dicomzarr.pixels.display import coloured
from dicomzarr.viewer.windows import Window

MOST_COLOURS = 1024  # entries of a palette that a program holds
_LIMITS = {name: np.iinfo(name) for name in ("uint8", "int8", "uint16", "int16", "uint32", "int32")}


def grey(window: Window, dtype: str, lowest: float, highest: float) -> str:
    """Return the program of a grey image, with a control for its window.

    Parameters
    ----------
    window : Window
    dtype : str
        Name of the type of the stored values, as sent to the viewer.
    lowest, highest : float
        Stored values between which the control shows the histogram.

    Returns
    -------
    str
    """
    low, high = min(lowest, window.low), max(highest, window.high)
    if dtype in _LIMITS and not _LIMITS[dtype].min <= window.low < window.high <= _LIMITS[dtype].max:
        # The control of a type cannot leave its range, and an end that is cut would change every grey.
        controls = "".join(
            f"#uicontrol float {name} slider(min={low:.3f}, max={high:.3f}, default={value:.3f})\n"
            for name, value in (("black", window.low), ("white", window.high))
        )
        value = "clamp((float(toRaw(getDataValue())) - black) / max(white - black, 1e-6), 0.0, 1.0)"
    else:
        shown, around = (_interval(*ends, dtype) for ends in ((window.low, window.high), (low, high)))
        controls = f"#uicontrol invlerp normalized(range={shown}, window={around})\n"
        value = "normalized()"
    value = f"1.0 - {value}" if window.inverted else value
    return f"{controls}void main() {{\n  emitGrayscale({value});\n}}\n"


def colour(bits_stored: int, dtype: str) -> str:
    """Return the program of an image with red, green and blue along the axis c."""
    largest = _LIMITS[dtype].max if dtype in _LIMITS else 1
    factor = largest / ((1 << bits_stored) - 1) if bits_stored and dtype in _LIMITS else 1.0
    channels = ", ".join(f"toNormalized(getDataValue({channel}))" for channel in range(3))
    return f"void main() {{\n  emitRGB({factor:.6f} * vec3({channels}));\n}}\n"


def palette(table: Mapping[str, Any]) -> str | None:
    """Return the program of an image of palette indices; None if its palette is too long.

    Parameters
    ----------
    table : mapping
        The attribute `palette`.

    Returns
    -------
    str or None
    """
    count = len(table["red"])
    if count > MOST_COLOURS:
        return None
    first = int(table["first"])
    packed = [int(r) << 16 | int(g) << 8 | int(b) for r, g, b in coloured(np.arange(first, first + count), table)]
    listed = ", ".join(map(str, packed))
    return (
        f"const int entries[{count}] = int[{count}]({listed});\n"
        "void main() {\n"
        f"  int entry = entries[clamp(int(toRaw(getDataValue())) - ({first}), 0, {count - 1})];\n"
        "  emitRGB(vec3(entry >> 16, (entry >> 8) & 255, entry & 255) / 255.0);\n}\n"
    )


def fraction(rgb: str, maximum: int) -> str:
    """Return the program of a fractional mask: a colour, as opaque as the voxel is inside."""
    return (
        f'#uicontrol vec3 color color(default="{rgb}")\n'
        "void main() {\n"
        f"  emitRGBA(vec4(color, min(1.0, float(toRaw(getDataValue())) / {float(maximum)})));\n}}\n"
    )


def _interval(low: float, high: float, dtype: str) -> str:
    """Return two ends as the viewer accepts them: whole numbers within the type, and not equal."""
    if dtype not in _LIMITS:
        return json.dumps([low, high if high > low else low + 1])
    limits = _LIMITS[dtype]
    whole = [int(np.clip(round(end), limits.min, limits.max)) for end in (low, high)]
    if whole[0] == whole[1]:
        whole = [whole[0] - 1, whole[1]] if whole[1] == limits.max else [whole[0], whole[1] + 1]
    return json.dumps(whole)
