"""Models in the Hugging Face way: a folder or a repository with config.json and safetensors.

    model.save_pretrained("folder")                    # no network
    model.push_to_hub("someone/name")
    witt.WITT.from_pretrained("folder")                # or "someone/name", or "witt_light"

The weights are stored in the precision of the model, so it comes back as it was. `--weights` of
the commands takes such a folder too.
"""

from __future__ import annotations

import json
import os
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch
import torch
from huggingface_hub import PyTorchModelHubMixin, constants, hf_hub_download
from huggingface_hub.errors import HFValidationError
from safetensors import SafetensorError
from torch import nn

from witt.errors import InputError
from witt.files import write_bytes, write_text
from witt.report import to_json
from witt.store.making import from_values, to_values

T = TypeVar("T", bound="HubModel")
DOWNLOAD = ("revision", "cache_dir", "force_download", "token", "local_files_only")


class HubModel(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="witt",
    paper_url="https://arxiv.org/abs/2211.00937",
    tags=["semantic-communication", "joint-source-channel-coding"],
):
    """A codec with ``from_pretrained`` and its kin; which class it is stands in config.json."""

    @classmethod
    def from_pretrained(
        cls: type[T],
        pretrained_model_name_or_path: str | Path,
        *,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> T:
        """A model in evaluation mode, from the weights that are shipped, a folder or the Hub.

        Args:
            pretrained_model_name_or_path: name of shipped weights, a folder that
                `save_pretrained` wrote, or a repository ("someone/name").
            dtype: of the model; None is that of the weights as they were saved, and float32 of
                those that are shipped, which half precision only makes smaller.
            **options: as of `huggingface_hub.PyTorchModelHubMixin.from_pretrained`.

        Raises:
            InputError: no such folder or repository name, or no WITT model in it.
        """
        from witt.store.weights import load, shipped

        name = str(pretrained_model_name_or_path)
        if name in shipped():
            return load(name).to(dtype)
        try:
            # In evaluation mode, which huggingface_hub before 1 leaves to us.
            return super().from_pretrained(name, **options).to(dtype).eval()
        except HFValidationError as error:
            raise InputError(
                f"{name}: no such folder, nor the name of a repository or of shipped weights "
                f"({', '.join(shipped())})"
            ) from error
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{name}: its config.json is damaged ({error})") from error

    @classmethod
    def _from_pretrained(
        cls: type[T],
        *,
        model_id: str,
        config: Any = None,
        map_location: str = "cpu",
        strict: bool = True,
        **options: Any,
    ) -> T:
        if not isinstance(config, dict):
            raise InputError(f"{model_id}: has no config.json of a WITT model")
        model = from_values(config)
        name = constants.SAFETENSORS_SINGLE_FILE
        try:
            if os.path.isdir(model_id):
                file = os.path.join(model_id, name)
            else:
                asked = {key: options[key] for key in DOWNLOAD if key in options}
                file = hf_hub_download(repo_id=model_id, filename=name, **asked)
            return cls._load_as_safetensor(model, file, map_location, strict).eval()
        except (FileNotFoundError, SafetensorError, RuntimeError) as error:
            raise InputError(f"{model_id}: not the weights of a WITT model ({error})") from error

    @classmethod
    def _load_as_safetensor(
        cls, model: Any, model_file: str, map_location: str, strict: bool
    ) -> Any:
        with safetensors.safe_open(model_file, framework="pt") as file:
            kinds = [file.get_tensor(name).dtype for name in file.keys()]  # noqa: SIM118
        if kinds:  # of several the one that holds them all
            model.to(reduce(torch.promote_types, kinds))
        return super()._load_as_safetensor(model, model_file, map_location, strict)

    def _save_pretrained(self, save_directory: Path) -> None:
        state = {name: t.detach().cpu().contiguous() for name, t in self.state_dict().items()}
        path = save_directory / constants.SAFETENSORS_SINGLE_FILE
        write_bytes(path, safetensors.torch.save(state, {"format": "pt"}))
        config = to_json({key: v for key, v in sorted(to_values(self).items())})
        write_text(save_directory / constants.CONFIG_NAME, config)
