"""DICOM files written again under another transfer syntax, by gdcm: an encoder that is not ours."""

from __future__ import annotations

from pathlib import Path

import gdcm
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless

_GDCM_SYNTAXES = {
    str(JPEGLosslessSV1): gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    str(JPEG2000Lossless): gdcm.TransferSyntax.JPEG2000Lossless,
    str(JPEGLSLossless): gdcm.TransferSyntax.JPEGLSLossless,
}


def recompress(source: Path, target: Path, *, syntax: str) -> None:
    """Write one image under a lossless syntax; ``target`` may be ``source``."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(_GDCM_SYNTAXES[syntax]))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(target))
    assert writer.Write()
    assert dcmread(target, stop_before_pixels=True).file_meta.TransferSyntaxUID == syntax
