"""A network compiled by OpenVINO, once for each size of image, and kept on disk compiled."""

import json
import platform
import threading
from collections import OrderedDict
from dataclasses import asdict
from typing import Any, Literal, final

import torch
from jaxtyping import Float32
from torch import Tensor

from atrous.errors import ConfigError
from atrous.export.openvino_package import load_openvino, openvino_core, quietly
from atrous.geometry.program import export_program
from atrous.inference.calibration import Agreement, Calibration
from atrous.inference.engine import Engine
from atrous.inference.model_cache import ModelCache, program_digest
from atrous.inference.quantize import compare_labels, quantize
from atrous.models.contract import DenseNetwork

CACHE_FORMAT = "1"  # of what is stored; another number forgets all that is there
KEPT_SIZES = 4  # compiled models in memory


@final
class OpenVINOEngine(Engine):
    """Static shapes, on as many threads as torch has.

    The first image of a size takes seconds, or with a calibration minutes, unless the compiled model is on
    disk.

    Args:
        network: On the processor; it must not change any more.
        precision: "int8" needs a calibration.
        cache: Where compiled models are kept; nowhere if None.
        calibration: Images for int8.

    Attributes:
        agreement: How often int8 says what float32 says, of the last model compiled; else None.

    Raises:
        ConfigError: If OpenVINO cannot be imported, or does not compute bfloat16 on this processor.
    """

    def __init__(
        self,
        network: DenseNetwork,
        *,
        precision: Literal["float32", "bfloat16", "int8"],
        cache: ModelCache | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        self.network = network
        self.precision: Literal["float32", "bfloat16", "int8"] = precision
        self.calibration = calibration
        self.agreement: Agreement | None = None
        self._cache = cache
        self._openvino = load_openvino()
        self._core = openvino_core()
        self._models: OrderedDict[tuple[int, ...], _Model] = OrderedDict()
        self._lock = threading.Lock()  # a compiled model answers one question at a time
        self._has_bfloat16 = "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "bfloat16" and not self._has_bfloat16:
            raise ConfigError(
                "OpenVINO computes no bfloat16 on this processor; take precision float32, or engine torch"
            )

    @property
    def description(self) -> str:
        """Engine, version, precision, and what is known about int8's labels."""
        line = f"OpenVINO {self._openvino.__version__.partition('-')[0]}, {self.precision}"
        if self.calibration is not None:
            line += f" calibrated on {len(self.calibration.used)} images of {self.calibration.folder}"
        return line if self.agreement is None else f"{line}; {self.agreement}"

    def __call__(self, images: Float32[Tensor, "b c h w"]) -> Float32[Tensor, "b k y x"]:
        """Logits of normalized images, margin included where the network has one; one image after another.

        Raises:
            GeometryError: If the network cannot be exported at this size.
            DataError: If an image of the calibration is not readable.
        """
        with self._lock:
            model = self._model_for(images[:1])
            return torch.cat([model(image[None]) for image in images])

    def of(self, part: DenseNetwork) -> "OpenVINOEngine":
        """An engine of the same kind for a part of the network."""
        return OpenVINOEngine(part, precision=self.precision, cache=self._cache, calibration=self.calibration)

    def _model_for(self, image: Float32[Tensor, "1 c h w"]) -> "_Model":
        """The model of this size, from memory, from disk, or made."""
        shape = tuple(image.shape)
        if shape not in self._models:
            with quietly():
                self._models[shape] = self._load_or_make(image)
            if len(self._models) > KEPT_SIZES:
                self._models.popitem(last=False)
        self._models.move_to_end(shape)
        self.agreement = self._models[shape].agreement
        return self._models[shape]

    def _load_or_make(self, image: Float32[Tensor, "1 c h w"]) -> "_Model":
        program = export_program(self.network, torch.zeros(image.shape))
        key = program_digest(program, self._key_facts())
        stored = None if self._cache is None else self._cache.load(key)
        if stored is not None:
            try:
                compiled = self._core.import_model(stored[0], "CPU", self._settings())
                return _Model(compiled, program, _agreement_from(stored[1]))
            except (RuntimeError, ValueError):  # cut short, or of a build that writes another form
                assert self._cache is not None
                self._cache.drop(key)
        model = self._made(program, image)
        if self._cache is not None:
            content = model.compiled.export_model().getbuffer()
            self._cache.store(key, content, _note_of(model.agreement))
        return model

    def _made(self, program: torch.export.ExportedProgram, image: Float32[Tensor, "1 c h w"]) -> "_Model":
        """Converted, quantized where asked for, and compiled."""
        graph = self._openvino.convert_model(program)
        graph.reshape(list(image.shape))
        if self.calibration is None:
            return _Model(self._compiled(graph), program, None)
        margin = 2 * self.network.margin
        size = image.shape[2] - margin, image.shape[3] - margin
        compiled = self._compiled(quantize(graph, self.network, self.calibration, size=size))
        agreement = compare_labels(_Model(compiled, program, None), self.network, self.calibration, size=size)
        return _Model(compiled, program, agreement)

    def _compiled(self, graph: Any) -> Any:
        return self._core.compile_model(graph, "CPU", self._settings())

    def _settings(self) -> dict[str, Any]:
        is_float32 = self.precision == "float32" or not self._has_bfloat16
        return {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32" if is_float32 else "bf16",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }

    def _key_facts(self) -> tuple[str, ...]:
        """What a compiled model depends on beside the network and the size."""
        facts = (CACHE_FORMAT, self.precision, self._openvino.__version__, torch.__version__)
        processor = (platform.machine(), self._core.get_property("CPU", "FULL_DEVICE_NAME"))
        if self.calibration is None:
            return (*facts, *processor)
        normalization = json.dumps(self.network.normalization.to_dict())
        return (*facts, *processor, self.calibration.digest(), normalization, str(self.network.margin))


class _Model:
    """One compiled size. The program owns the weights that OpenVINO reads."""

    def __init__(
        self, compiled: Any, program: torch.export.ExportedProgram, agreement: Agreement | None
    ) -> None:
        self.compiled = compiled
        self.program = program
        self.agreement = agreement
        self.request = compiled.create_infer_request()

    def __call__(self, image: Float32[Tensor, "1 c h w"]) -> Float32[Tensor, "1 k y x"]:
        logits = self.request.infer([image.contiguous().numpy()], share_inputs=True, share_outputs=True)[0]
        return torch.from_numpy(logits.copy())  # the next image overwrites the request's own


def _note_of(agreement: Agreement | None) -> str:
    return json.dumps(None if agreement is None else asdict(agreement))


def _agreement_from(note: str) -> Agreement | None:
    fields = json.loads(note)
    return None if fields is None else Agreement(**fields)
