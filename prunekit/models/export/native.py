"""Pruned models under the Auto classes of transformers: a configuration and classes for every family of the table.

The ``model_type`` of a pruned model's folder, ``prunekit-bert``, then has a configuration, and each ``AutoModelFor...``
that knows the family a class whose ``from_pretrained`` is :func:`prunekit.load`. What it gives is a model of the
ordinary class, such as ``BertForSequenceClassification``, cut to the shape of its record. Code that came with a
checkpoint is never run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import transformers
from huggingface_hub import snapshot_download
from transformers import AutoConfig, PreTrainedConfig
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from prunekit.models.checkpoints import load
from prunekit.models.families.table import FAMILIES, family_of, head_of_class
from prunekit.models.pretrained import check_attention, in_one_line
from prunekit.models.pruned_format import PREFIX, plain_config
from prunekit.models.surgery import cut_as_recorded
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

OF_THE_HUB = ("cache_dir", "force_download", "local_files_only", "revision", "token")
"""Options of ``from_pretrained`` about where files come from."""
NO_MATTER = (
    "_from_auto", "_from_pipeline", "adapter_kwargs", "low_cpu_mem_usage", "trust_remote_code", "use_safetensors",
    "weights_only",
)  # fmt: skip
"""Options that say how transformers would load, which is not how this is loaded."""
FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
"""Of a repository, those of a model and its tokenizer."""


class Native:
    """What the Auto classes take for a model class; made for each class of a family by :func:`register_all`."""

    config_class: ClassVar[type[PreTrainedConfig]]
    ordinary: ClassVar[str]
    """Name of the ordinary class, whose module is imported when a model is made."""

    @classmethod
    def from_pretrained(
        cls, path: str | Path, *positional: Any, config: PreTrainedConfig | None = None, **options: Any
    ) -> PreTrainedModel:
        """A pruned model from a folder or the Hub, in eval mode; :func:`prunekit.load` with transformers' options.

        Args:
            config: of this folder; settings in it that are no sizes are taken over.
            options: ``dtype`` (``auto``, the default, is that of the weights), ``attn_implementation``,
                ``device_map`` of a single device, and where the files come from; others are refused.

        Raises:
            UserError: see :func:`prunekit.load`; another task head than this class has; an option that is not known.
        """
        hub = {name: options.pop(name) for name in OF_THE_HUB if name in options}
        subfolder = options.pop("subfolder", "") or ""
        for name in NO_MATTER:
            options.pop(name, None)
        dtype = options.pop("dtype", None) or options.pop("torch_dtype", None) or "auto"
        attention = options.pop("attn_implementation", None) or getattr(config, "_attn_implementation", None) or "sdpa"
        device = options.pop("device_map", None)
        if positional or options or isinstance(device, dict) or device in ("auto", "balanced", "sequential"):
            unknown = next(iter(options), "device_map" if device is not None else "a second argument")
            raise UserError(f"from_pretrained: {unknown} is not known for pruned models; prunekit.load loads them")
        folder = Path(path)
        if not folder.is_dir():
            with in_one_line(f"{path}: the Hugging Face Hub or its cache does not have it"):
                folder = Path(snapshot_download(str(path), allow_patterns=list(FILES), **hub))
        folder /= subfolder
        own = cls.config_class.from_pretrained(folder)
        saved = own.dtype if isinstance(own.dtype, torch.dtype) else torch.float32
        whole = load(folder, attention=attention, dtype=saved if dtype == "auto" else _dtype(dtype))
        model = cls._of_this_class(whole, path)
        _take_over(model, config, own)
        return model if device is None else model.to(device)

    @classmethod
    def _from_config(cls, config: Any, **options: Any) -> PreTrainedModel:
        """A model of the recorded shape with new weights, as ``AutoModelFor....from_config`` has it."""
        attention = options.pop("attn_implementation", None) or "sdpa"
        check_attention(attention)
        plain = CONFIG_MAPPING[config.model_type.removeprefix(PREFIX)].from_dict(_content(config))
        architecture: Any = getattr(transformers, cls.ordinary)
        model: PreTrainedModel = architecture._from_config(plain, attn_implementation=attention, **options)
        cut_as_recorded(model)
        return model

    @classmethod
    def _of_this_class(cls, model: Any, path: str | Path) -> Any:
        for part in (model, model.base_model):
            if type(part).__name__ == cls.ordinary:
                return part
        raise UserError(
            f"{path}: holds a pruned {type(model).__name__}, which is no {cls.ordinary}; a task head is created by "
            "`finetune`, before pruning"
        )


def register_all() -> None:
    """Make every Auto class that knows a family of the table know its pruned models, too. Again changes nothing."""
    for family in FAMILIES:
        if PREFIX + family in CONFIG_MAPPING:
            continue
        config_class = _config_class(CONFIG_MAPPING[family])
        AutoConfig.register(PREFIX + family, config_class)
        for auto, name in _known_to(family):
            own = {"config_class": config_class, "ordinary": name, "__doc__": None}
            auto.register(config_class, type(f"Pruned{name}", (Native,), own))


def _known_to(family: str) -> Iterator[tuple[Any, str]]:
    """Auto classes, and the name of the family's class that each makes; only those with a task head of the table."""
    for label, auto in vars(modeling_auto).items():
        mapping = getattr(auto, "_model_mapping", None)
        if mapping is None or not label.startswith("AutoModel"):
            continue
        known = mapping._model_mapping.get(family, ())  # by name: asking the mapping imports every model
        for name in known if isinstance(known, (tuple, list)) else (known,):
            if head_of_class(name, FAMILIES[family]) is not None:
                yield auto, name
                break


def _config_class(ordinary: Any) -> Any:
    """The configuration of a family's pruned models: the family's own under another ``model_type``."""

    def from_dict(cls: Any, config_dict: dict[str, Any], **options: Any) -> Any:
        content = dict(plain_config(config_dict, config_dict.get("_name_or_path") or "config.json"))
        content.pop("model_type", None)
        return super(pruned, cls).from_dict(content, **options)

    own = {"model_type": PREFIX + ordinary.model_type, "from_dict": classmethod(from_dict), "__module__": __name__}
    pruned: Any = type(f"Pruned{ordinary.__name__}", (ordinary,), own)
    return pruned


def _content(config: PreTrainedConfig) -> dict[str, Any]:
    return {name: value for name, value in config.to_dict().items() if name != "model_type"}


def _take_over(model: PreTrainedModel, config: PreTrainedConfig | None, own: PreTrainedConfig) -> None:
    """What a given configuration says otherwise than the folder's."""
    if config is None:
        return
    before = own.to_dict()
    for name, value in config.to_dict().items():
        if (name in before and before[name] == value) or name in ("dtype", "_name_or_path", "transformers_version"):
            continue
        if name in (*family_of(model.config).sizes, "num_labels", "prunekit"):
            raise UserError(f"config: {name} is {value!r}, the folder has {before.get(name)!r}; sizes are the folder's")
        if name in ("id2label", "label2id") and len(value) != len(before.get(name) or value):
            raise UserError(f"config: {name} has {len(value)} labels, the folder {len(before[name])}; give as many")
        setattr(model.config, name, value)


def _dtype(name: Any) -> torch.dtype:
    dtype = name if isinstance(name, torch.dtype) else getattr(torch, str(name), None)
    if not isinstance(dtype, torch.dtype):
        raise UserError(f"dtype: {name!r} is none, use float32, float64, float16 or bfloat16")
    return dtype
