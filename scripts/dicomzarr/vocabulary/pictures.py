"""Why an array has no picture: the words in the column `trouble` of `reports/pictures.csv`."""

from __future__ import annotations

NOT_DRAWN, NO_PLANE = "not drawn", "no plane to show"
DIFFERS, CANNOT = "voxels differ", "cannot be drawn"

TROUBLES = {
    NOT_DRAWN: "the configuration says `report: {pictures: false}`",
    NO_PLANE: "the array has no voxel",
    DIFFERS: "it was not read back exactly; `depth.csv` has the verdict",
    CANNOT: "its attributes cannot be used; its voxels are exact",
}
