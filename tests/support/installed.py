"""What a user does with the installed library, outside the repository: ``python installed.py FOLDER``.

``test_wheel.py`` runs it on an unpacked wheel; it imports nothing of the repository but the library itself.
"""

from __future__ import annotations

import sys
from pathlib import Path

import prunekit


def main(folder: Path) -> None:
    assert "torch" not in sys.modules, "import prunekit does not wait for torch"
    import torch

    from prunekit.models.checkpoints import build

    shape = {
        "vocab_size": 50, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4,
        "intermediate_size": 40, "max_position_embeddings": 16,
    }  # fmt: skip
    model = build("bert", shape, num_labels=3).double()
    layout = prunekit.describe(model)
    assert (layout.family, layout.hidden, len(layout.attention), len(layout.ffn)) == ("bert", 24, 3, 3)
    masks = prunekit.Masks.ones(layout)
    masks.heads["self"][0, 1] = False
    masks.heads["self"][1] = False
    masks.neurons[2, :11] = False
    assert masks.hidden is not None
    masks.hidden[[3, 12]] = False

    ids = torch.randint(50, (4, 9), generator=torch.Generator().manual_seed(0))
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    with torch.no_grad():
        whole = model(**batch).logits
        with prunekit.gated(model, masks):
            gated = model(**batch).logits
        small = prunekit.prune(model, masks)
        pruned = small(**batch).logits
        prunekit.save(small, folder / "pruned")
        reloaded = prunekit.load(folder / "pruned", dtype=torch.float64)(**batch).logits
    assert float((whole - gated).abs().max()) > 1e-6, "gates change the outputs"
    torch.testing.assert_close(pruned, gated, rtol=0, atol=1e-10)
    torch.testing.assert_close(reloaded, pruned, rtol=0, atol=0)

    parameters = sum(parameter.numel() for parameter in small.parameters())
    assert prunekit.cost(small, sequence_length=9).parameters == parameters
    assert prunekit.cost(small, sequence_length=9).macs < prunekit.cost(model, sequence_length=9).macs
    scores = prunekit.head_importance(model, [{**batch, "labels": torch.tensor([0, 1, 2, 0])}])["self"]
    assert scores.shape == (3, 4) and bool((scores > 0).all())
    (folder / "empty").mkdir()
    try:
        prunekit.load(folder / "empty")
    except prunekit.UserError as error:
        assert str(error).endswith("empty: no readable config.json; give the folder of a saved model")
    else:
        raise AssertionError("a folder without a model was loaded")
    print(Path(prunekit.__file__).parent)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
