"""`witt import-weights`: weights of the published WITT and SwinJSCC codes as a file of ours.

The names and shapes are those that the published networks give their parameters (WITT, arXiv
2211.00937, and the four variants of SwinJSCC, arXiv 2308.09361); the arithmetic of the presets is
the same, so that the imported model computes what the published one does. Nothing of a file is
executed.
"""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from timm.models.swin_transformer import get_relative_position_index
from torch import Tensor

from witt.codecs.presets import CONFIGS, codec_of, preset
from witt.codecs.swinjscc import SwinJSCC, SwinJSCCConfig
from witt.codecs.witt import WITT, WITTConfig
from witt.contract import Codec
from witt.errors import InputError, one_line
from witt.files import write_bytes
from witt.nn.meta import without_values

IMPORTABLE = (
    *("witt_base", "witt_cifar", "witt_small", "witt_large"),
    *("swinjscc_base", "swinjscc_small", "swinjscc_large"),
)
CHANNELS_KEY = "encoder.head_list.weight"  # (C, D); not there in a network that adapts its rate
RATE_KEY = "encoder.sm_list.0.weight"
# What a state dict is called in checkpoints that hold more.
WRAPPERS = ("state_dict", "model", "model_state_dict", "net", "network", "weights")
NAMED = 20

# Recomputed for every picture size, or of the loss: no weights, whatever size they have.
IGNORED = re.compile(r"(.*\.)?(attn_mask|relative_position_index)|distortion_loss\..*")
BLOCK = re.compile(r"encoder\.layers\.(\d+)\.blocks\.(\d+)\.norm1\.weight")
CHANNEL_MODNET = re.compile(r"(en|de)coder\.modnet\..*")  # of our names
TOLD_APART = ("dims", "depths", "heads", "window", "patch")  # presets


def published_name(name: str, config: WITTConfig) -> str:
    """What the published code calls a parameter of a model of ours."""
    # Beside a Rate ModNet, which has the plain name, the encoder's Channel ModNet gets a number.
    two = isinstance(config, SwinJSCCConfig) and name.startswith("encoder.modnet.")
    name = name.replace(".head.", ".head_list.").replace("rate_modnet.", "encoder.modnet.")
    name = re.sub(r"\.modnet\.(sm|bm)_list\.", r".\1_list1." if two else r".\1_list.", name)
    return re.sub(r"(\.bm_list1?\.\d+)\.", r"\1.fc.", name)


def unwrapped(loaded: Any) -> dict[str, Tensor]:
    """The bare state dict in what a file holds: nesting and the ``module.`` of DDP undone.

    Raises:
        InputError: it holds no state dict, an entry is no tensor, or two have one name.
    """
    while isinstance(loaded, Mapping):
        within = [loaded[key] for key in WRAPPERS if isinstance(loaded.get(key), Mapping)]
        if not within:
            break
        loaded = within[0]
    if not isinstance(loaded, Mapping) or not loaded:
        raise InputError(f"no state dict, but {type(loaded).__name__}: names and tensors expected")
    state: dict[str, Tensor] = {}
    for key, value in loaded.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise InputError(f"no state dict: {key!r} is {type(value).__name__}, not a tensor")
        name = key.removeprefix("module.")
        if name in state:
            raise InputError(f"{name} is there with and without module. in front")
        state[name] = value
    return state


def adapts_rate(state: Mapping[str, Tensor]) -> bool:
    """Whether a bare published state dict is of a network with a Rate ModNet and without heads."""
    return RATE_KEY in state and not any(".head_list." in key for key in state)


def published_sizes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Sizes of the network that a bare published state dict is of, as entries of its configuration.

    Args:
        state: from `unwrapped`.

    Raises:
        InputError: it is not laid out like the published network.
    """
    adapts = adapts_rate(state)
    channel_modnet = "encoder.sm_list1." if adapts else "encoder.sm_list."
    try:
        first = state["encoder.patch_embed.proj.weight"]
        blocks: dict[int, int] = {}  # of each stage
        for stage, block in (found.groups() for found in map(BLOCK.fullmatch, state) if found):
            blocks[int(stage)] = max(blocks.get(int(stage), 0), int(block) + 1)
        tables = [
            state[f"encoder.layers.{stage}.blocks.0.attn.relative_position_bias_table"]
            for stage in range(len(blocks))
        ]
        sizes: dict[str, Any] = {
            "dims": tuple(len(state[f"encoder.layers.{i}.blocks.0.norm1.weight"]) for i in blocks),
            "depths": tuple(blocks[stage] for stage in range(len(blocks))),
            "heads": tuple(table.shape[1] for table in tables),
            "window": (math.isqrt(len(tables[0])) + 1) // 2,
            "patch": first.shape[-1],
            "modulation": any(key.startswith(channel_modnet) for key in state),
        }
        sizes["channels"] = sizes["dims"][-1] if adapts else len(state[CHANNELS_KEY])
        if adapts or sizes["modulation"]:
            hidden = len(state["encoder.sm_list.0.weight"])
            sizes["modnet_layers"] = (
                sum(key.startswith("encoder.sm_list.") for key in state) // 2 - 1
            )
            sizes["modnet_ratio"] = hidden / sizes["dims"][-1]
    except (KeyError, IndexError, TypeError) as error:
        raise InputError(
            f"these are no weights of the published WITT: {one_line(error)} is missing or of "
            "another shape"
        ) from error
    return sizes


def imported_config(
    state: Mapping[str, Tensor], name: str | None = None, *, modulation: bool = True
) -> WITTConfig:
    """Configuration of the model that a bare published state dict is for.

    Args:
        state: from `unwrapped`.
        name: preset, one of `IMPORTABLE`; None is the one whose sizes the state dict has, or, for
            other sizes, "witt" or "swinjscc" with those. The feature channels are those of the
            state dict.
        modulation: whether the network uses its Channel ModNet; one without its weights does not.

    Raises:
        InputError: unknown preset, or sizes that cannot be told or served.
    """
    if name is not None and name not in IMPORTABLE:
        raise InputError(f"unknown preset {name!r}; choose one of {', '.join(IMPORTABLE)}")
    sizes, kind = published_sizes(state), SwinJSCCConfig if adapts_rate(state) else WITTConfig
    candidates = [each for each in IMPORTABLE if type(CONFIGS[each]) is kind]
    if name is not None and name not in candidates:
        what = "a Rate ModNet and no head" if kind is SwinJSCCConfig else "a head and so one rate"
        raise InputError(f"these weights have {what}: choose {', '.join(candidates)}, not {name}")
    sizes["modulation"] = modulation and sizes["modulation"]
    # The published receiver undoes the power normalisation, and these weights expect it.
    if name is not None:
        told = {key: sizes[key] for key in ("channels", "modulation")}
        return preset(name, **told, sends_scale=True)
    for candidate in candidates:
        if all(getattr(CONFIGS[candidate], key) == sizes[key] for key in TOLD_APART):
            found: WITTConfig = preset(candidate, **sizes, sends_scale=True)
            return found
    other = candidates[0]
    unlike: WITTConfig = preset(other, **sizes, sends_scale=True, cbr_range=None)
    return replace(unlike, name=other.partition("_")[0])


def convert(state: Mapping[str, Tensor], config: WITTConfig) -> dict[str, Tensor]:
    """A bare published state dict as one of `codec_of(config)`, in float32.

    Masks, relative position indices and the loss's tensors are left out.

    Args:
        state: from `unwrapped`.
        config: from `imported_config`.

    Raises:
        InputError: a key is missing, not known or of another shape, or its values are not
            finite; each is named.
    """
    shapes = {
        name: tensor.shape
        for name, tensor in without_values(lambda: codec_of(config)).state_dict().items()
    }
    theirs = {published_name(name, config): name for name in shapes}
    unused = set()
    if not config.modulation:
        unused = {key for key, name in theirs.items() if CHANNEL_MODNET.fullmatch(name)}
    if not any(key in state for key in unused):
        theirs = {key: name for key, name in theirs.items() if key not in unused}
    ours = {key: tensor for key, tensor in state.items() if not IGNORED.fullmatch(key)}
    problems = [f"missing {key}" for key in theirs if key not in ours]
    problems += [f"not known {key}" for key in ours if key not in theirs]
    for key, tensor in ours.items():
        found = tuple(tensor.shape)
        expected = tuple(shapes[theirs[key]]) if key in theirs else found
        if found != expected:
            problems.append(f"{key} of shape {found}, not {expected}")
        elif not tensor.isfinite().all():
            problems.append(f"{key} with values that are not finite")
    if problems:
        more = f"; and {len(problems) - NAMED} more" if len(problems) > NAMED else ""
        listed = "; ".join(problems[:NAMED]) + more
        raise InputError(f"not the weights of {config.name}: {listed}")
    weights = {name: ours[key].detach().cpu().float().contiguous() for key, name in theirs.items()}
    return {name: weights.get(name, torch.zeros(shape)) for name, shape in shapes.items()}


def read_published(path: Path) -> dict[str, Tensor]:
    """The bare state dict of a file that ``torch.save`` wrote; nothing in it is executed.

    Raises:
        InputError: it is missing, damaged, or holds more than tensors and plain values.
    """
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: not a weights file of PyTorch, or one that holds more than tensors, which "
            "is not unpickled: save model.state_dict()"
        ) from error
    except Exception as error:  # what is no pickle can end in any of them
        # torch's messages are paragraphs.
        reason = one_line(error).partition(". ")[0]
        raise InputError(f"{path}: cannot be read as weights of PyTorch: {reason}") from error
    try:
        return unwrapped(loaded)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def import_published(
    path: Path, name: str | None = None, *, modulation: bool = True
) -> WITT | SwinJSCC:
    """The model of a published weights file, in float32, on the CPU, in evaluation mode.

        model = import_published(Path("published.model"), "witt_base")

    Args:
        path: written by the published code.
        name: preset, one of `IMPORTABLE`; None tells it from the shapes.
        modulation: False for weights trained without the Channel ModNet, which hold it unused.
            Of a network with a Rate ModNet the keys say it.

    Raises:
        InputError: as `read_published`, `imported_config` and `convert`.
    """
    state = read_published(path)
    try:
        config = imported_config(state, name, modulation=modulation)
        weights = convert(state, config)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    model = SwinJSCC(config) if isinstance(config, SwinJSCCConfig) else WITT(config)
    model.load_state_dict(weights)
    return model.eval()


def export_published(path: Path, model: Codec, size: tuple[int, int] = (256, 256)) -> None:
    """Write the weights of a model as the published code names and loads them.

        export_published(Path("published.model"), witt.load("runs/mine"))
        net.load_state_dict(torch.load("published.model"), strict=True)  # there

    Args:
        path: the file, by ``torch.save``.
        model: of a published architecture, the scale sent.
        size: (height, width) that the published network is made for: the masks that it keeps
            among its weights depend on it.

    Raises:
        InputError: the published code has no such network.
    """
    if type(model) not in (WITT, SwinJSCC):
        raise InputError(
            f"{model.name} is a {type(model).__name__}, which the published code does not have: it "
            "has the networks of witt_base, swinjscc_base and their kin"
        )
    config = model.config
    if config.block != "swin":
        raise InputError(
            f"{config.name} has {config.block} blocks, which the published code does not have: it "
            "has those of Swin"
        )
    by_itself = config.rate_adaptive and isinstance(model, WITT)
    if by_itself or not config.sends_scale:
        why = "is rate-adaptive" if by_itself else "does not send its scale"
        raise InputError(
            f"{config.name} {why}, which the published network cannot do: train it with witt train "
            "--profile published"
        )
    reach = config.stride * config.window
    if size[0] % reach or size[1] % reach:
        raise InputError(
            f"{size[1]}x{size[0]}: the published {config.name} takes sides that are multiples of "
            f"{reach}"
        )
    state = {
        published_name(name, config): tensor.detach().cpu()
        for name, tensor in model.state_dict().items()
        if config.modulation or isinstance(model, WITT) or not CHANNEL_MODNET.fullmatch(name)
    }
    last = len(config.depths) - 1
    for stage, depth in enumerate(config.depths):
        grid = (size[0] // (config.patch * 2**stage), size[1] // (config.patch * 2**stage))
        for block in range(depth):
            for place in (f"encoder.layers.{stage}", f"decoder.layers.{last - stage}"):
                state |= _masks(f"{place}.blocks.{block}", grid, config.window, block % 2 == 1)
    buffer = BytesIO()
    torch.save(state, buffer)
    write_bytes(path, buffer.getvalue())


def _masks(block: str, grid: tuple[int, int], window: int, shifts: bool) -> dict[str, Tensor]:
    """What the published code keeps of a block beside its weights (Swin, arXiv 2103.14030)."""
    index = get_relative_position_index(window, window)
    found = {f"{block}.attn.relative_position_index": index}
    if shifts and min(grid) > window:  # a map of one window is not shifted
        # Rows and columns of the shifted map that are no neighbours: 0, 1 and 2.
        rows, columns = (
            torch.arange(side).ge(side - window).int() + torch.arange(side).ge(side - window // 2)
            for side in grid
        )
        region = (3 * rows[:, None] + columns).unflatten(1, (-1, window))
        region = region.unflatten(0, (-1, window)).permute(0, 2, 1, 3).flatten(2).flatten(0, 1)
        found[f"{block}.attn_mask"] = (region[:, None] != region[:, :, None]) * -100.0
    return found
