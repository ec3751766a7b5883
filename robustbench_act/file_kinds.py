"""What a file is by its first bytes, whatever its name says, and what to do about it."""

from dataclasses import dataclass
from pathlib import Path

from robustbench_act.errors import first_line

_HEAD = 1024  # bytes that are looked at
_QUOTED = 40  # characters of a text


@dataclass(frozen=True)
class FileKind:
    """A kind of file: what it is called, and what to do where a different kind was expected."""

    name: str
    advice: str = ""

    def __str__(self) -> str:
        return f"it is {self.name}{self.advice and ': '}{self.advice}"


_FETCH_AGAIN = "copy or download it again"
_CONVERT = "convert it to PNG"
_UNPACK = "unpack it"

ZIP = FileKind("a zip archive", _UNPACK)
PICKLE = FileKind("a Python pickle")
NPY = FileKind("a NumPy array", "name it *.npy")
NPZ = FileKind("a NumPy archive", "name it *.npz")
TORCH = FileKind("a file of torch.save", "name it *.pth")
SAFETENSORS = FileKind("a safetensors file", "name it *.safetensors")
GZIP = FileKind("a gzip archive", _UNPACK)
PARQUET = FileKind("a Parquet table")
TAR = FileKind("a tar archive", _UNPACK)
PICTURES = tuple(FileKind(f"a {name} picture") for name in ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WebP"))
"""The kinds of pictures that are read."""

_EMPTY = FileKind("an empty file", _FETCH_AGAIN)
_ZEROS = FileKind("a file of zeros, as of an interrupted download", _FETCH_AGAIN)
_POINTER = FileKind("a Git-LFS pointer", "`git lfs pull` fetches the file itself")
_ANNEX = FileKind("a git-annex pointer", "`git annex get` fetches the file itself")
_MACOS = FileKind(
    "a macOS `._` file, which holds no content", "the file itself is called the same without `._`"
)
_PAGE = FileKind("a web page", "download the file itself")
_SVG = FileKind("an SVG drawing", _CONVERT)
_JPEG, _PNG, _PPM, _BMP, _TIFF, _WEBP = PICTURES

_SIGNATURES: tuple[tuple[int, bytes, FileKind], ...] = (
    (0, b"version https://git-lfs.github.com/spec/", _POINTER),
    (0, b"/annex/objects/", _ANNEX),
    (0, b"\x00\x05\x16\x07", _MACOS),
    (0, b"\x00\x05\x16\x00", _MACOS),
    (0, b"GIF8", FileKind("a GIF picture", _CONVERT)),
    (4, b"ftypavi", FileKind("an AVIF picture", _CONVERT)),
    (4, b"ftyphei", FileKind("a HEIC picture", _CONVERT)),
    (4, b"ftyphev", FileKind("a HEIC picture", _CONVERT)),
    (4, b"ftypmif1", FileKind("a HEIC or AVIF picture", _CONVERT)),
    (4, b"ftyp", FileKind("a video", "export its pictures as PNG")),
    (0, b"\x00\x00\x00\x0cjP  ", FileKind("a JPEG 2000 picture", _CONVERT)),
    (0, b"\xff\x4f\xff\x51", FileKind("a JPEG 2000 picture", _CONVERT)),
    (0, b"\x00\x00\x00\x0cJXL ", FileKind("a JPEG XL picture", _CONVERT)),
    (0, b"\xff\x0a", FileKind("a JPEG XL picture", _CONVERT)),
    (0, b"8BPS", FileKind("a Photoshop picture", _CONVERT)),
    (128, b"DICM", FileKind("a DICOM picture", _CONVERT)),
    (0, b"%PDF-", FileKind("a PDF document", "export its pictures as PNG")),
    (0, b"\xff\xd8\xff", _JPEG),
    (0, b"\x89PNG\r\n\x1a\n", _PNG),
    (0, b"II*\x00", _TIFF),
    (0, b"MM\x00*", _TIFF),
    (8, b"WEBP", _WEBP),
    (0, b"\x93NUMPY", NPY),
    (0, b"\x89HDF\r\n\x1a\n", FileKind("an HDF5 file", "export its arrays, with PyTorch or NumPy")),
    (0, b"GGUF", FileKind("a GGUF file", "take the weights that it was made of")),
    (0, b"PAR1", PARQUET),
    (0, b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", TORCH),
    (8, b'{"', SAFETENSORS),
    (0, b"\x1f\x8b", GZIP),
    (0, b"BZh", FileKind("a bzip2 archive", _UNPACK)),
    (0, b"\xfd7zXZ\x00", FileKind("an xz archive", _UNPACK)),
    (0, b"(\xb5/\xfd", FileKind("a zstd archive", _UNPACK)),
    (0, b"7z\xbc\xaf'\x1c", FileKind("a 7z archive", _UNPACK)),
    (0, b"Rar!\x1a\x07", FileKind("a RAR archive", _UNPACK)),
    (257, b"ustar", TAR),
    *((0, b"\x80" + bytes([protocol]), PICKLE) for protocol in range(2, 6)),
)
_ZIP_MEMBER = slice(30, 300)  # of an archive: the name of its first member
_NETPBM = tuple(b"P%d%c" % (number, space) for number in range(1, 7) for space in b" \t\r\n#")


def kind_of(file: Path | bytes) -> FileKind | None:
    """Return the kind of a file or its content; None if it cannot be opened or its head tells nothing."""
    try:
        head = file[:_HEAD] if isinstance(file, bytes) else _head(file)
    except OSError:
        return None
    if not any(head):
        return _ZEROS if head else _EMPTY
    signed = (kind for place, signature, kind in _SIGNATURES if head[place:].startswith(signature))
    return next(signed, None) or _by_form(head)


def why_unreadable(file: Path | bytes, error: Exception, *expected: FileKind) -> str:
    """Return why a file cannot be read: it is not of an expected kind, or else what its reader says.

    >>> from robustbench_act.errors import InputError
    >>> why_unreadable(Path("no such file"), InputError("Cannot be read."))
    'Cannot be read'
    """
    kind = kind_of(file)
    return first_line(error) if kind is None or kind in expected else str(kind)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)


def _by_form(head: bytes) -> FileKind | None:
    """Return the kind of a file that no signature tells."""
    if head.startswith(b"PK\x03\x04"):
        names = head[_ZIP_MEMBER]
        return NPZ if b".npy" in names else TORCH if b"/data.pkl" in names else ZIP
    if head.startswith(_NETPBM):
        return _PPM
    if head.startswith(b"BM") and head[6:10] == bytes(4):
        return _BMP
    return _text(head)


def _text(head: bytes) -> FileKind | None:
    """Return the kind of a text; None if the bytes are not UTF-8 or hold other than printable characters."""
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < _HEAD - 3:  # not a character that the end cuts
            return None
        text = head[: error.start].decode("utf-8-sig")
    begin = text.strip().lower()
    if not all(character.isprintable() or character.isspace() for character in text):
        return None
    if "<svg" in begin:
        return _SVG
    if begin.startswith(("<!doctype html", "<head", "<body", "<script")) or "<html" in begin:
        return _PAGE
    if "annex/objects/" in begin:
        return _ANNEX
    first = " ".join(text.split())[:_QUOTED]
    return FileKind(f"a text that begins with {first!r}")
