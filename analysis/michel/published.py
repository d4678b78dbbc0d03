"""What Michel et al. 2019 print, and what an independent rerun of theirs logged, in the columns of our figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.data.published import claim, read

if TYPE_CHECKING:
    import pandas as pd

BERT_BASE_HEADS = 144


def pruning_curves() -> pd.DataFrame:
    """An independent rerun of Fig. 3b: BERT-base, MNLI-matched.

    Returns:
        Columns ``order`` (importance, oracle), ``share`` of all heads pruned, ``value`` in per cent.
    """
    frame = read("michel_fig3b_independent_rerun_mnli")
    order = frame["ordering"].str.split(" ").str[0]
    return frame.assign(order=order, share=frame["heads_pruned"] / BERT_BASE_HEADS).rename(
        columns={"accuracy_pct": "value"}
    )[["order", "share", "value"]]


def best_single_heads() -> pd.DataFrame:
    """Table 3 and appendix Table 6 (BERT-base, MNLI-matched), in points.

    Returns:
        Columns ``layer`` (1-based), ``dev`` and ``train``: where the head was chosen.
    """
    frame = read("michel_table3_bert_mnli_all_but_one")
    frame["chosen_on"] = frame["protocol"].str.contains("train").map({True: "train", False: "dev"})
    wide = frame.pivot(index="layer", columns="chosen_on", values="best_delta_accuracy_pct")
    return wide.reset_index().rename_axis(columns=None)


def single_heads() -> pd.DataFrame:
    """Table 1 (WMT14 En-Fr, enc-enc heads, newstest2013) in the columns of our own grid, changes in points of BLEU."""
    frame = read("michel_table1_wmt_one_head_off").rename(columns={"delta_bleu": "delta_points"})
    frame["significant"] = frame.pop("significant_p01") == 1
    return frame.assign(source="published", kind="enc-enc", metric="bleu")


def best_translation_heads() -> pd.DataFrame:
    """Table 2 and appendix Table 5 (WMT14 En-Fr), in points of BLEU.

    Returns:
        Columns ``kind``, ``layer`` (1-based), ``protocol`` (``dev``: chosen and tested on newstest2013; ``train``:
        tested on newstest2014, another set than it was chosen on), ``delta_points``, ``significant`` (p < 0.01).
    """
    frame = read("michel_table2_wmt_all_but_one")
    frame["protocol"] = frame["protocol"].str.contains("newstest2014").map({True: "train", False: "dev"})
    frame["significant"] = frame["significant_p01"] == 1
    frame = frame.rename(columns={"attention": "kind", "best_delta_bleu": "delta_points"})
    return frame[["kind", "layer", "protocol", "delta_points", "significant"]]


def unpruned_by_epoch() -> pd.DataFrame:
    """Fig. 5 (IWSLT14 De-En): ``epoch`` and the unpruned model's BLEU in points after it, ``value``."""
    return read("michel_fig5_iwslt_unpruned_bleu").rename(columns={"bleu": "value"})


def transfer(*, translation: bool) -> tuple[str, str]:
    """Fig. 2: the two sets, and Pearson's r of what single heads are worth on them."""
    sets = "newstest2013 vs MTNT" if translation else "MNLI-m vs MNLI-mm"
    return sets, claim("michel", f"Pearson r of single-head effects, {sets}")


def prunable_heads() -> pd.DataFrame:
    """What the text says of Figs. 3a and 4 (WMT14 En-Fr), in per cent of heads.

    Returns:
        Columns ``kind`` (empty: all kinds ranked together, no noticeable loss up to here; ``enc-dec``: pruned alone, a
        collapse beyond), ``pruned_percent``, and the figures' ``series``, ``source`` and ``metric``.
    """
    import pandas as pd

    together = claim("michel", "share of heads prunable without noticeable loss, WMT")
    alone = claim("michel", "enc-dec heads prunable before collapse")
    frame = pd.DataFrame({"kind": ["", "enc-dec"], "pruned_percent": [100 * float(together), 100 * float(alone)]})
    return frame.assign(series="limit", source="published", metric="bleu")


def kept_late() -> pd.DataFrame:
    """Fig. 5 (IWSLT14 De-En): the first ``epoch`` from which on, with ``pruned_percent`` of the heads pruned, between
    ``low`` and ``high`` per cent of the BLEU stay."""
    import pandas as pd

    share = claim("michel", "share of heads prunable from epoch 10 on, keeping 85-90% of BLEU (IWSLT14 de-en)")
    return pd.DataFrame({"epoch": [10], "pruned_percent": [100 * float(share)], "low": [85.0], "high": [90.0]})


def speed() -> pd.DataFrame:
    """Table 4 (BERT-base, GTX 1080 Ti): ``batch_size``, ``original``, ``pruned`` (examples/s), ``gain``."""
    frame = read("michel_table4_bert_speed")
    frame["model"] = frame["model"].map({"original": "original", "50% heads pruned": "pruned"})
    wide = frame.pivot(index="batch_size", columns="model", values="examples_per_second")
    gain = frame[frame["model"] == "pruned"].set_index("batch_size")["relative_gain_pct"] / 100
    return wide.assign(gain=gain).reset_index().rename_axis(columns=None)
