"""The page: gradio's tabs round a labeler of our own and the designer; light, and nothing from elsewhere."""

import html
import math
from pathlib import Path
from string import Template
from typing import Any

import gradio as gr
from fastapi import FastAPI
from gradio.themes import Base
from gradio.themes.utils import colors

from atrous.crf.rnn import CRFRNN
from atrous.jobs.crf_settings import settings_of
from atrous.web.answers import scale_colors
from atrous.web.app import Service
from atrous.web.designer import add_designer

HERE = Path(__file__).parent
FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
MONO = ("ui-monospace", "Menlo", "Consolas", "monospace")
START = (
    'import(new URL("view/assets/labeler.js", document.baseURI).href).then((module) => module.start(element))'
)
BLUE = "#2563a8"  # as in page.css
LIGHT = "document.body.classList.remove('dark')"
SLIDERS = (  # name, label, least, most, step
    ("sigma_xy", "Distance, px", 1, 200, 1),
    ("sigma_rgb", "Color, levels", 1, 60, 0.5),
    ("bilateral_weight", "Weight", 0, 30, 0.5),
)
CLASS_FILES = (
    ("mask.png", "Mask, PNG"),
    ("overlay.jpg", "Overlay, JPEG"),
    ("probabilities.npz", "Probabilities, NPZ"),
)
VALUE_FILES = (("depth.png", "Colors, PNG"), ("overlay.jpg", "Overlay, JPEG"), ("depth.tif", "Depth, TIFF"))


def mount_page(app: FastAPI, service: Service) -> FastAPI:
    """The app with the page at its root, behind the addresses that it has already."""
    theme = Base(primary_hue=colors.blue, neutral_hue=colors.slate, font=FONT, font_mono=MONO).set(
        color_accent=BLUE,
        button_primary_background_fill=BLUE,
        button_primary_background_fill_hover="#1d5190",
    )
    return gr.mount_gradio_app(
        app,
        build_page(service),
        path="/",
        theme=theme,
        css_paths=[HERE / "page.css"],
        js=f"() => {{ {LIGHT} }}",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        max_file_size=1,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
    )


def build_page(service: Service) -> gr.Blocks:
    """Both tabs."""
    name = service.labeler.network
    with gr.Blocks(title=f"atrous: {name}", analytics_enabled=False, fill_width=True) as page:
        gr.HTML(_head(service))
        with gr.Tabs():
            with gr.Tab("Label"):
                gr.HTML(_labeler(service), js_on_load=START, apply_default_css=False)
            with gr.Tab("Designer"):
                add_designer()
    page.queue(max_size=service.limits.queue or 1, default_concurrency_limit=1, api_open=False)
    return page


def _head(service: Service) -> str:
    """What labels here, and how far it sees."""
    predictor, field = service.labeler.predictor, service.looker.field
    size = "the whole image" if any(field.sees_all) else f"{int(field.size[0])}&times;{int(field.size[1])} px"
    quantity = predictor.quantity
    what = (
        f"{predictor.label_set.num_classes} classes"
        if quantity is None
        else f"{quantity.kind} in {quantity.unit}"
    )
    stride, side = predictor.network.geometry.output_stride, predictor.views.longest_side
    larger = f" · images of more than {side} px are seen at {side}" if side else ""
    return (
        '<header class="at-head"><h1>atrous</h1>'
        f"<p><b>{html.escape(service.labeler.network)}</b> · {what} · each decision sees <b>{size}</b> "
        f"· one every {stride} px{larger} · on {predictor.device.type}</p></header>"
    )


def _labeler(service: Service) -> str:
    """The tab "Label"."""
    limits, quantity = service.limits, service.labeler.predictor.quantity
    examples = "".join(
        f'<button type="button" data-number="{number}" title="{example.name}">'
        f'<img src="view/examples/{number}.png" alt="{example.name}"></button>'
        for number, example in enumerate(service.examples, start=1)
    )
    files = CLASS_FILES if quantity is None else VALUE_FILES
    return Template((HERE / "labeler.html").read_text(encoding="utf-8")).substitute(
        is_regression="yes" if quantity else "",
        taken=f"Up to {limits.max_upload_mb:g} MB and {limits.max_pixels / 1e6:.3g} million pixels",
        examples=examples,
        overlay_title="Classes" if quantity is None else f"{quantity.kind.capitalize()}, near is bright",
        crf_hidden="hidden" if quantity else "",
        crf_stored="yes" if service.labeler.stored_crf else "",
        crf_sliders=_sliders(service),
        colors=" ".join(scale_colors()) if quantity else "",
        files="".join(
            f'<a class="at-button" href="#" download data-file="{name}">{label}</a>' for name, label in files
        ),
    )


def _sliders(service: Service) -> str:
    """Those of a dense CRF; a learned one has none."""
    crf = service.labeler.crf
    if isinstance(crf, CRFRNN):
        return '<p class="at-hint">The checkpoint carries a learned CRF, which keeps its own settings.</p>'
    return "".join(_slider(*slider, settings=settings_of(crf)) for slider in SLIDERS)


def _slider(
    name: str, label: str, least: float, most: float, step: float, *, settings: dict[str, Any]
) -> str:
    value = settings.get(name, 0.0)
    value = float(value if isinstance(value, int | float) else value[0])
    most = max(most, math.ceil(value))
    return (
        f'<label class="at-slider">{label} <input type="range" name="{name}" min="{least:g}" max="{most:g}" '
        f'step="{step:g}" value="{value:g}" aria-label="CRF: {label}"><output>{value:g}</output></label>'
    )
