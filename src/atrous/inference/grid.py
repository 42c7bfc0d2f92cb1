"""Where the pixels of a raster lie."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the pixels of a raster lie; a file with the same grid covers it exactly.

    Attributes:
        size: Height and width, in pixels.
        crs: rasterio's coordinate reference system, or None.
        transform: From (column, row) to coordinates (rasterio's Affine); the identity if there is none.
        gcps: Ground control points, and the system of their coordinates.
        rpcs: Coefficients of a rational polynomial camera, or None.
        area_or_point: "Point" if coordinates are those of pixel centers, else "Area".
    """

    size: tuple[int, int]
    crs: Any = None
    transform: Any = None
    gcps: tuple[tuple[Any, ...], Any] = ((), None)
    rpcs: Any = None
    area_or_point: str = "Area"

    @property
    def is_georeferenced(self) -> bool:
        """Whether anything says where on earth, or in any other coordinates, the pixels are."""
        has_transform = self.transform is not None and not self.transform.is_identity
        return bool(self.crs or has_transform or self.gcps[0] or self.rpcs)


def grid_of(dataset: Any) -> Grid:
    """The grid of an open rasterio dataset."""
    transform = dataset.transform
    if transform.is_degenerate:
        transform = type(transform).identity()  # the zeros of a driver that knows none
    points, points_crs = dataset.gcps
    return Grid(
        size=(dataset.height, dataset.width),
        crs=dataset.crs,
        transform=transform,
        gcps=(tuple(points), points_crs),
        rpcs=dataset.rpcs,
        area_or_point=dataset.tags().get("AREA_OR_POINT", "Area"),
    )
