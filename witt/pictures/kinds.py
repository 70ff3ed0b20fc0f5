"""Picture files by the ends of their names."""

READ = frozenset(
    (".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".bmp", ".tif", ".tiff",
     ".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".avif",
     ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx")
)  # fmt: skip
HEIC = frozenset((".heic", ".heif", ".hif"))  # read with pillow-heif
# Pictures too, but not read: of cameras, of layers, of vectors, of light, and other codecs.
OTHERS = frozenset(
    (".3fr", ".arw", ".cr2", ".cr3", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos",
     ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw",
     ".x3f", ".psb", ".psd", ".xcf", ".eps", ".svg", ".svgz", ".exr", ".hdr", ".dds", ".heics",
     ".jls", ".jxl", ".jxr", ".wdp", ".pam", ".qoi", ".sgi", ".tga")
)  # fmt: skip
