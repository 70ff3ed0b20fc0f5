"""WITT: pictures over a wireless channel by a Swin joint source-channel code.

    image = witt.read_image("photo.png")
    model = witt.load("witt_light")
    sent = model(witt.to_tensor(image.pixels), channels.Rayleigh(), snr_db=10, cbr=1 / 16)
    print(witt.psnr(sent.image, witt.to_tensor(image.pixels)))

Source: Yang et al., WITT: A Wireless Image Transmission Transformer for Semantic
Communications, arXiv 2211.00937. Written from the paper; no code of the published one.
"""

from witt.codecs.classified.codec import ClassifiedCodec
from witt.codecs.classified.config import ClassifiedConfig
from witt.codecs.deepjscc import DeepJSCC, DeepJSCCConfig
from witt.codecs.presets import create_model
from witt.codecs.swinjscc import SwinJSCC, SwinJSCCConfig
from witt.codecs.witt import WITT, WITTConfig
from witt.contract import Codec, Encoded, Header, SideInformation, Transmission
from witt.errors import InputError
from witt.link.notebook import evaluate
from witt.link.results import Results
from witt.metrics.quality import ms_ssim, psnr
from witt.pictures.finding import find_images
from witt.pictures.images import read_image, to_pixels, to_tensor
from witt.pictures.writing import write_png
from witt.regions import Regions
from witt.registry import CODECS, PRESETS
from witt.store.weights import load, load_weights, save_weights, shipped
from witt.training.fit import fit

__all__ = [
    "CODECS",
    "PRESETS",
    "WITT",
    "ClassifiedCodec",
    "ClassifiedConfig",
    "Codec",
    "DeepJSCC",
    "DeepJSCCConfig",
    "Encoded",
    "Header",
    "InputError",
    "Regions",
    "Results",
    "SideInformation",
    "SwinJSCC",
    "SwinJSCCConfig",
    "Transmission",
    "WITTConfig",
    "create_model",
    "evaluate",
    "find_images",
    "fit",
    "load",
    "load_weights",
    "ms_ssim",
    "psnr",
    "read_image",
    "save_weights",
    "shipped",
    "to_pixels",
    "to_tensor",
    "write_png",
]
