"""Files in and out: NIfTI, NRRD, MHA, DICOM series, segmentations."""
