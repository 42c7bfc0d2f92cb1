"""Which engine and precision a prediction takes: rules on facts about the machine, without the machine."""

from dataclasses import dataclass
from typing import Literal, get_args

from atrous.errors import ConfigError

EngineName = Literal["auto", "torch", "openvino"]
EnginePrecision = Literal["auto", "float32", "bfloat16", "int8"]

_INSTALL = 'pip install "atrous[openvino]"'


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules look at.

    Attributes:
        device: Its type: cpu, cuda, mps.
        has_bfloat16: Whether the device has instructions for bfloat16 products.
        has_openvino: Whether OpenVINO is installed, on a processor that it computes bfloat16 and int8 on.
        has_nncf: Whether NNCF, which quantizes, is installed.
        sizes_repeat: Whether many images of few sizes come, so that compiling for a size pays.
        has_calibration: Whether there is a folder of images to calibrate int8 on.
    """

    device: str = "cpu"
    has_bfloat16: bool = False
    has_openvino: bool = False
    has_nncf: bool = False
    sizes_repeat: bool = False
    has_calibration: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """What computes, and in what numbers."""

    engine: Literal["torch", "openvino"]
    precision: Literal["float32", "bfloat16", "int8"]


def choose(engine: str, precision: str, facts: Facts) -> Choice:
    """The fastest engine and precision that were asked for.

    "auto" precision is bfloat16 where the device has instructions for it, else float32; a GPU without them
    gets float32 and not float16, since VGG's activations reach a quarter of float16's largest number on
    ordinary photos. "auto" engine is OpenVINO where it is installed and sizes repeat, but for float32 that
    was asked for by name: that is torch, bit for bit what the network itself says.

    >>> choose("auto", "auto", Facts(has_bfloat16=True))
    Choice(engine='torch', precision='bfloat16')

    Raises:
        ConfigError: If a word is unknown, or what was asked for cannot be had here.
    """
    _refuse_unknown(engine, precision)
    if facts.has_calibration and precision != "int8":
        raise ConfigError(f'calibration is for precision "int8", not "{precision}"; leave it out')
    if engine == "openvino":
        _refuse_without_openvino('engine "openvino"', facts)
    if precision == "int8":
        _refuse_int8(engine, facts)
        return Choice("openvino", "int8")
    is_float32 = precision == "float32" or (precision == "auto" and not facts.has_bfloat16)
    computes_it = facts.has_bfloat16 or precision == "auto"  # OpenVINO has no bfloat16 without instructions
    pays = facts.sizes_repeat and facts.has_openvino and facts.device == "cpu" and computes_it
    is_named = precision == "float32"
    takes_openvino = engine == "openvino" or (engine == "auto" and pays and not is_named)
    return Choice("openvino" if takes_openvino else "torch", "float32" if is_float32 else "bfloat16")


def _refuse_unknown(engine: str, precision: str) -> None:
    for kind, word, known in (
        ("an engine", engine, get_args(EngineName)),
        ("a precision", precision, get_args(EnginePrecision)),
    ):
        if word not in known:
            raise ConfigError(f'"{word}" is not {kind}; take one of {", ".join(known)}')


def _refuse_without_openvino(what: str, facts: Facts) -> None:
    if facts.device != "cpu":
        raise ConfigError(
            f'{what} computes on the processor, not on {facts.device}; take device "cpu", or leave it to '
            'engine "torch" and precision "auto"'
        )
    if not facts.has_openvino:
        raise ConfigError(f"{what} needs an x86 processor and the package openvino: {_INSTALL}")


def _refuse_int8(engine: str, facts: Facts) -> None:
    if engine == "torch":
        raise ConfigError('precision "int8" is computed by engine "openvino", not "torch"; leave out engine')
    _refuse_without_openvino('precision "int8"', facts)
    if not facts.has_nncf:
        raise ConfigError(f'precision "int8" needs the package nncf: {_INSTALL}')
    if not facts.has_calibration:
        raise ConfigError(
            'precision "int8" measures on images how large values become; give a folder of some like those '
            'to predict as calibration, or take precision "bfloat16"'
        )
