"""Graphs that answer in place of their model, and what the seconds of four models say together."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForQuestionAnswering

from prunekit.models.export.exporting import export
from prunekit.models.export.graphs import MODEL, quantize_graph, write_graphs
from prunekit.models.export.sessions import Session, check_int8, check_runtimes
from prunekit.quantization.onnx_answers import answered_by
from prunekit.quantization.quantized_run import gains
from prunekit.support.errors import UserError
from prunekit.support.timing import Timing
from tests.support.answers import predict
from tests.support.families import batch_for, tiny

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of onnxscript


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graph")
    write_graphs(tiny("bert", dtype=torch.float32), folder)
    return folder / MODEL


def test_a_graph_answers_for_its_model_until_it_is_done(graph: Path) -> None:
    model = tiny("bert", dtype=torch.float32)
    batches = [batch_for(model), {name: tensor[:2, :5] for name, tensor in batch_for(model).items()}]
    expected = predict(model, batches)
    with torch.no_grad():
        model.get_parameter("classifier.bias").add_(1.0)  # the graph does not know
    with answered_by(model, Session(graph)):
        assert np.allclose(predict(model, batches), expected, atol=1e-5)
    assert np.allclose(predict(model, batches), expected + 1, atol=1e-5)
    with pytest.raises(ZeroDivisionError), answered_by(model, Session(graph)):
        raise ZeroDivisionError
    assert np.allclose(predict(model, batches), expected + 1, atol=1e-5)


def test_a_graph_has_no_traces_of_the_machine_that_wrote_it(graph: Path) -> None:
    """The exporter notes at every node the lines of code that it comes from, with the paths of their files."""
    assert b".py" not in graph.read_bytes() and b"stack" not in graph.read_bytes()


def test_int8_is_near_and_smaller(graph: Path, tmp_path: Path) -> None:
    model, size = tiny("bert", dtype=torch.float32), graph.stat().st_size
    quantize_graph(graph, tmp_path / MODEL)
    assert graph.stat().st_size == size  # it is read alone
    batch = batch_for(model)
    exact, near = (Session(path)(batch)["logits"] for path in (graph, tmp_path / MODEL))
    assert 0 < np.abs(exact - near).max() < 0.2 * np.abs(exact).max()


def test_this_machine_has_int8() -> None:
    check_int8("precision: int8", "use float32")
    check_runtimes("runtimes", ["torch", "onnx-int8"], torch.device("cpu"))


def test_a_machine_without_int8_is_told_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the setting that asks for it, and not by a file that nobody has written."""

    def absent(*positional: Any, **named: Any) -> Any:
        raise RuntimeError("[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : no implementation of MatMulInteger(10)")

    monkeypatch.setattr("onnxruntime.InferenceSession", absent)
    monkeypatch.setattr("prunekit.models.export.graphs.write_graphs", lambda *_: pytest.fail("a graph was written"))
    why = "ONNX Runtime does not multiply in 8 bits on this machine "
    reason = "(9 : NOT_IMPLEMENTED : no implementation of MatMulInteger(10)); "
    with pytest.raises(UserError, match=f"^{re.escape(f'precision: int8: {why}{reason}use float32')}$"):
        export(tiny("bert", dtype=torch.float32), tmp_path / "out", "onnx", precision="int8")
    with pytest.raises(UserError, match=f"^{re.escape(f'runtimes: onnx-int8: {why}{reason}use onnx, which is in ')}"):
        check_runtimes("runtimes", ["torch", "onnx-int8"], torch.device("cpu"))
    check_runtimes("runtimes", ["torch", "onnx"], torch.device("cpu"))
    assert list(tmp_path.iterdir()) == []


def test_packages_of_graphs_are_missed_before_anything_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    check_runtimes("runtimes", ["torch", "compile"], torch.device("cuda"))
    how = r"in prunekit's checkout `make setup` or `pip install '\.\[onnx\]'`"
    with pytest.raises(UserError, match=rf"^onnxscript is not installed, {how} brings it$"):
        check_runtimes("runtimes", ["torch", "onnx"], torch.device("cpu"))


def test_threads_that_have_nothing_to_do_leave_the_cpus_to_what_is_timed_next(graph: Path) -> None:
    options = Session(graph, 2)._session.get_session_options()
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"
    batch = batch_for(tiny("bert", dtype=torch.float32))
    one, two = (Session(graph, threads)(batch)["logits"] for threads in (1, 2))
    assert np.allclose(one, two, atol=1e-6)


def test_gains_are_medians_of_rounds() -> None:
    seconds = {
        ("original", "onnx"): (8.0, 10.0, 6.0), ("pruned", "onnx"): (4.0, 2.0, 3.0),
        ("original", "onnx-int8"): (2.0, 5.0, 2.0), ("pruned", "onnx-int8"): (1.0, 1.0, 4.0),
    }  # fmt: skip
    found = gains({name: Timing(own) for name, own in seconds.items()})
    # round by round: pruning 2, 5, 2; int8 4, 2, 3; both 8, 10, 1.5; over the product 1, 1, 0.25
    assert found == {
        "pruning": 2.0, "int8": 3.0, "both": 8.0, "of_product": 1.0, "low": 0.625, "high": 1.0, "repeats": 3,
    }  # fmt: skip


@pytest.mark.slow
def test_questions_have_two_outputs(tmp_path: Path) -> None:
    model = tiny("bert", dtype=torch.float32, head=AutoModelForQuestionAnswering)
    write_graphs(model, tmp_path)
    batch = batch_for(model)
    with torch.no_grad():
        expected = model(**batch)
        with answered_by(model, Session(tmp_path / MODEL)):
            own = model(**batch)
    assert torch.allclose(own.start_logits, expected.start_logits, atol=1e-5)
    assert torch.allclose(own.end_logits, expected.end_logits, atol=1e-5)


def test_token_types_that_are_not_given_are_the_first(graph: Path) -> None:
    model = tiny("bert", dtype=torch.float32)
    batch = {name: tensor for name, tensor in batch_for(model).items() if name != "token_type_ids"}
    with torch.no_grad():
        expected = model(**batch).logits
    with answered_by(model, Session(graph)):
        assert np.allclose(model(**batch).logits, expected, atol=1e-5)
