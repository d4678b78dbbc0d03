"""What ``save_pretrained(push_to_hub=True)`` and ``push_to_hub`` of pruned models take, on a server of this machine."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
import yaml
from huggingface_hub import HfApi
from safetensors.torch import load

import prunekit
from prunekit.models import pushing
from prunekit.models.export.hub import push
from prunekit.models.pruned_format import GRAPHS, INDEX, WEIGHTS
from prunekit.support.errors import UserError
from tests.support.families import tiny
from tests.support.hub_server import TOKEN, Hub, hub
from tests.support.masks import uneven_masks

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # of huggingface_hub's uploads


@pytest.fixture(scope="module")
def small() -> Any:
    model = tiny("bert", dtype=torch.float32)
    return prunekit.prune(model, uneven_masks(model))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with hub() as running:
        for name, value in {
            "ENDPOINT": running.url, "HF_HUB_OFFLINE": False, "HF_HUB_DISABLE_XET": True,
            "HUGGINGFACE_CO_URL_TEMPLATE": f"{running.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
            "HF_HUB_CACHE": str(tmp_path / "cache"),
        }.items():  # fmt: skip
            monkeypatch.setattr(huggingface_hub.constants, name, value)
        yield running


def bias(files: dict[str, bytes]) -> list[float]:
    return load(files[WEIGHTS])["classifier.bias"].tolist()


def tags(files: dict[str, bytes]) -> list[str]:
    listed: list[str] = yaml.safe_load(files["README.md"].decode().split("---\n")[1])["tags"]
    return listed


def test_what_is_saved_is_what_is_uploaded(server: Hub, small: Any, tmp_path: Path) -> None:
    """Other weights than the model's own are, and tags; other files of the folder are not."""
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "notes.txt").write_text("mine")
    others = small.state_dict() | {"classifier.bias": torch.tensor([7.0, 8, 9])}
    small.save_pretrained(
        tmp_path / "small", push_to_hub=True, state_dict=others, repo_id="me/small", tags=["verdicts"], token=TOKEN,
        private=True, commit_message="Say it", commit_description="At length",
    )  # fmt: skip
    files = server.repositories["me/small"]
    assert set(files) == {"README.md", "config.json", WEIGHTS} and server.private == {"me/small": True}
    assert files[WEIGHTS] == (tmp_path / "small" / WEIGHTS).read_bytes()
    assert bias(files) == [7, 8, 9] != small.classifier.bias.tolist()
    assert tags(files) == ["structured-pruning", "prunekit", "verdicts"]  # no format: no export
    assert server.commits == [("me/small", "Say it", "At length")], "one commit, the card in it"


OWN_CARD = b"---\ntags:\n- own\n---\n\n# Their own words\n"


def a_repository(server: Hub, **files: bytes) -> dict[str, bytes]:
    """Of before, with a card."""
    server.repositories["me/small"], server.pointers["me/small"] = {"README.md": OWN_CARD, **files}, {}
    return server.repositories["me/small"]


def test_one_commit_puts_weights_in_place_of_others(server: Hub, small: Any) -> None:
    files = a_repository(server)
    files |= dict.fromkeys([*GRAPHS, INDEX, "model-00001-of-00002.safetensors", "prunekit.safetensors"], b"old")
    files["notes.txt"] = b"theirs"
    pushed = small.push_to_hub("me/small", token=TOKEN)
    assert set(files) == {"README.md", "config.json", WEIGHTS, "notes.txt"} and files["README.md"] == OWN_CARD
    assert pushed.repo_url == f"{server.url}/me/small"
    assert server.commits == [("me/small", "Upload a pruned model", "")]
    assert server.requests.count("POST /api/repos/create") == 1
    small.push_to_hub("me/small", token=TOKEN, tags=["own", "new"])
    assert tags(files) == ["own", "new"] and b"# Their own words\n" in files["README.md"]


def test_a_branch_and_a_pull_request_leave_the_main_branch(server: Hub, small: Any) -> None:
    main = a_repository(server, **{"model.onnx": b"old"})
    before = dict(main)
    small.push_to_hub("me/small", token=TOKEN, revision="side", tags=["side"])
    proposed = small.push_to_hub("me/small", token=TOKEN, create_pr=True, tags=["proposed"])
    assert proposed.pr_revision == "refs/pr/1" and main == before
    for name, tag in (("side", "side"), ("pr", "proposed")):
        files = server.repositories[f"me/small@{name}"]
        assert set(files) == {"README.md", "config.json", WEIGHTS} and tags(files) == ["own", tag]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "fp16"}, "^save_pretrained: variant is not known for pruned models, whose weights are model.saf"),
        ({"max_shard_size": "10KB"}, "^save_pretrained: max_shard_size=10KB would split the weights, which are one f"),
        ({"push_to_hub": True, "use_auth_token": "x"}, "use_auth_token is not known .*; commit_description, .*, tags,"),
    ],
)
def test_what_cannot_be_is_one_line(options: dict[str, Any], message: str, small: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message) as raised:
        small.save_pretrained(tmp_path / "small", **options)
    assert "\n" not in str(raised.value) and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("repository", "token", "words"),
    [
        ("me/small", "hf_wrong", r"the Hub did not take me/small \(the token is missing, or may not write there\)"),
        ("others/small", TOKEN, r"the Hub did not take others/small \(the token is missing, or may not write there\)"),
        ("me//small", TOKEN, r"'me//small' is no repository \(.*\)"),
    ],
)
def test_what_the_hub_does_not_take_is_one_line(
    repository: str, token: str, words: str, server: Hub, small: Any, tmp_path: Path
) -> None:
    """That says where the model is, and how to try again."""
    folder = tmp_path / "small"
    kept = f"{folder} has the model, try again with: "
    with pytest.raises(UserError, match=rf"^save_pretrained: {words}; {kept}") as one:
        small.save_pretrained(folder, push_to_hub=True, repo_id=repository, token=token, private=True)
    assert prunekit.load(folder).num_parameters() == small.num_parameters()
    saved = f"--include config.json --include {WEIGHTS} --delete {WEIGHTS} --delete prunekit.safetensors"
    command = f"hf upload {repository} {folder} . --private {saved} "
    assert command in str(one.value)
    again = r"call it again, or save_pretrained\(FOLDER\) and upload it with: hf upload "
    with pytest.raises(UserError, match=rf"^push_to_hub: {words}; {again}{repository} FOLDER \. {saved} ") as other:
        small.push_to_hub(repository, token=token)
    assert "\n" not in str(one.value) + str(other.value) and server.commits == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"revision": "v2", "commit_message": "Say it", "commit_description": "At length"},
            ["--revision", "v2", "--commit-message", "Say it", "--commit-description", "At length"],
        ),
        ({"create_pr": True}, ["--create-pr"]),
    ],
)
def test_the_command_of_that_line_writes_where_it_was_to_be_written(
    options: dict[str, Any], expected: list[str], server: Hub, small: Any, tmp_path: Path
) -> None:
    """It is of options that `hf` has, and uploads what was saved, not all that lies in the folder."""
    from huggingface_hub.cli.upload import upload

    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UserError) as raised:
        small.save_pretrained(folder, push_to_hub=True, repo_id="me/small", token="hf_wrong", **options)
    words = shlex.split(str(raised.value).split(" with: ")[1])
    start = ["hf", "upload", "me/small", str(folder), ".", *expected, "--include", "config.json", "--include", WEIGHTS]
    assert words[: len(start)] == start and {*words[len(start) :: 2]} == {"--delete"}
    assert {word[2:].replace("-", "_") for word in words if word.startswith("--")} <= {*signature(upload).parameters}


def test_every_option_of_an_upload_is_in_the_command() -> None:
    asked = {*signature(pushing.upload).parameters} - {"name", "token"}
    assert {*signature(pushing.command).parameters} == asked | {"repository", "private"}


def test_a_card_that_was_written_is_in_the_command(
    server: Hub, small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a model that was saved; where it was only uploaded its folder is gone, and saving it again writes none."""

    def gone(self: HfApi, **options: Any) -> None:
        raise OSError("gone")

    monkeypatch.setattr(HfApi, "upload_folder", gone)
    folder, saved = tmp_path / "small", f"--include config.json --include {WEIGHTS}"
    held = f"{folder} has the model and its card, try again with: hf upload me/small {folder} \\. {saved}"
    with pytest.raises(UserError, match=rf"\(gone\); {held} --include README.md --delete"):
        small.save_pretrained(folder, push_to_hub=True, repo_id="me/small", token=TOKEN)
    assert "# A pruned BertFor" in (folder / "README.md").read_text()
    with pytest.raises(UserError, match=rf"\(gone\); call it again, .* FOLDER \. {saved} --delete"):
        small.push_to_hub("me/small", token=TOKEN)


def test_a_hub_that_cannot_be_reached_is_one_line(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"^push_to_hub: the Hub cannot be reached \(.*offline.*\); call it again"):
        small.push_to_hub("me/small", token=TOKEN)


def test_an_exported_folder_goes_as_it_is(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    for name in ("config.json", WEIGHTS):
        (tmp_path / name).write_text(name)
    assert push(tmp_path, "me/secret", private=True) == f"{server.url}/me/secret" and server.private["me/secret"]
    files = a_repository(server, **dict.fromkeys([*GRAPHS, INDEX, "prunekit.safetensors"], b"old"))
    push(tmp_path, "me/small")
    assert set(files) == {"README.md", "config.json", WEIGHTS}
    assert [name for name, *_ in server.commits] == ["me/secret", "me/small"]
    assert server.requests.count("POST /api/repos/create") == 2, "one for each"


def test_other_processes_upload_nothing(small: Any, tmp_path: Path) -> None:
    small.save_pretrained(tmp_path / "small", False, None, True)
    assert list((tmp_path / "small").iterdir()) == []
