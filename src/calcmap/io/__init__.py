"""Files to scans and back: the one room that knows DICOM, NIfTI, NRRD and MetaImage.

``finding`` groups files into studies, ``choosing`` says which series is the attenuation CT, ``reading`` turns it into a
`calcmap.core.scan.Scan`; ``nifti``, ``masks``, ``cases`` and ``ct_writing`` hold the rest. Nothing is imported here, so
that a program which reads only NIfTI never waits for pydicom.
"""
