"""A multipart form read into memory, never onto the disk, and no more of it than is allowed."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from atrous.web.refusals import RefusedError

OVERHEAD = 65_536  # bytes of a form beside its file
SWALLOWED = 64_000_000  # bytes read beyond the limit: browsers hear no answer before they have sent all
MAX_FIELDS = 20


class _InMemory(MultiPartParser):
    spool_max_size = 0  # never rolled over to a file


@dataclass(frozen=True, slots=True)
class Form:
    """What was sent.

    Attributes:
        name: Of the file, without a path; errors name it.
        data: Its content.
        fields: The other fields, and those of the address.
    """

    name: str
    data: bytes
    fields: dict[str, str]


async def read_form(request: Request, *, max_upload: int) -> Form:
    """The file in the field `image`, and all other fields.

    Args:
        request: It must be multipart/form-data.
        max_upload: Bytes of the file.

    Raises:
        RefusedError: 415 if it is something else, 413 if it is too large, 400 if it is broken, 422 if there
            is no image in it.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise RefusedError(
            f"the content type is {kind or 'not given'}; send multipart/form-data with a file in image",
            status=415,
        )
    too_large = RefusedError(
        f"the upload is larger than {max_upload / 1e6:g} MB, the most that is taken here; send it smaller",
        status=413,
    )
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > max_upload + OVERHEAD + SWALLOWED:
        raise too_large
    parser = _InMemory(
        request.headers,
        _counted(request.stream(), max_upload + OVERHEAD, too_large),
        max_files=1,
        max_fields=MAX_FIELDS,
    )
    try:
        sent = await parser.parse()
    except MultiPartException as error:
        raise RefusedError(
            f"the form cannot be read ({error.message}); send one file and few fields", status=400
        ) from error
    try:
        image = sent.get("image")
        if not isinstance(image, UploadFile):
            raise RefusedError("the form has no file in the field image; send one", status=422)
        data = await image.read()
        if len(data) > max_upload:
            raise too_large
        fields = {key: value for key, value in sent.multi_items() if isinstance(value, str)}
        return Form(_shown(image.filename), data, {**request.query_params, **fields})
    finally:
        await sent.close()


async def _counted(
    stream: AsyncGenerator[bytes, None], most: int, too_large: RefusedError
) -> AsyncGenerator[bytes, None]:
    """The stream, up to so many bytes; of a longer one what follows is read and dropped."""
    received = 0
    async for chunk in stream:
        received += len(chunk)
        if received > most + SWALLOWED:
            break
        if received <= most:
            yield chunk
    if received > most:
        raise too_large


def _shown(name: str | None) -> str:
    """A file's name as errors show it: no folders, not too long."""
    bare = (name or "").replace("\\", "/").rpartition("/")[2]
    printable = "".join(letter for letter in bare if letter.isprintable())
    return printable[:80] or "the image"
