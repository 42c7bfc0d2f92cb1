"""Where an exported operator stands in the user's code: module path, file and line."""

import re
import traceback
from pathlib import Path
from typing import Any

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in \S+\n\s*(?P<code>[^\n]*)')
_TORCH = "/torch/"


def module_of(node: Any) -> str:
    """Path of the module whose forward calls an operator; empty for the network itself."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    return stack[-1][0] if stack else ""


def line_of(node: Any) -> str:
    """File, line and text of the call, in the innermost `forward` of the user's code; empty if unknown."""
    frames = list(_FRAME.finditer(node.meta.get("stack_trace") or ""))
    own = [frame for frame in frames if _TORCH not in frame["file"]] or frames
    if not own:
        return ""
    return f"({Path(own[-1]['file']).name}:{own[-1]['line']}: {own[-1]['code'].strip()})"


def users_line(error: BaseException) -> str:
    """The last line of the user's code that an error went through."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if _TORCH not in frame.filename and not frame.filename.startswith("<")
    ]
    if not frames:
        return ""
    last = frames[-1]
    return f"({Path(last.filename).name}:{last.lineno}: {(last.line or '').strip()})"
