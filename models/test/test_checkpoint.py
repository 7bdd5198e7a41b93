"""Weights in one file or in shards: what is saved comes back, what is missing or wrong is named, none is held twice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from accelerate import init_empty_weights
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import UMT5Config, UMT5EncoderModel

from wam_models.checkpoint import (
    INDEX,
    MANIFEST,
    WEIGHTS,
    Checkpoint,
    CheckpointError,
    file_hash,
    load_weights,
    open_checkpoint,
    save_checkpoint,
)
from wam_models.weights import fill, write_weights

BUNDLED = Path(__file__).parents[1] / "bundled" / "metis-yard"


def save(directory: Path, weights: object, **options: int) -> Checkpoint:
    save_checkpoint(
        directory,
        config={"kind": "metis", "name": "pair", "version": "0.1"},
        preprocessing={},
        statistics={},
        tokenizer="{}",
        weights=weights,  # type: ignore[arg-type]
        card="# pair\n",
        **options,
    )
    return open_checkpoint(directory)


def network(meta: bool = False) -> nn.Module:
    torch.manual_seed(0)
    with init_empty_weights(include_buffers=False) if meta else torch.no_grad():
        module = nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 4))
        module.register_buffer("kept", torch.arange(3.0))
        module.register_buffer("made", torch.arange(5.0), persistent=False)
    return module


def text_encoder(meta: bool = False) -> UMT5EncoderModel:
    torch.manual_seed(1)
    with init_empty_weights(include_buffers=False) if meta else torch.no_grad():
        return UMT5EncoderModel(UMT5Config(d_model=8, d_ff=16, d_kv=4, num_heads=2, num_layers=1, vocab_size=32))


def pairs() -> Iterator[tuple[str, Tensor]]:
    for part, module in (("network", network()), ("text", text_encoder()), ("autoencoder", nn.Linear(8, 8))):
        for name, tensor in module.state_dict().items():
            yield f"{part}.{name}", tensor.clone()


@pytest.fixture
def sharded(tmp_path: Path) -> Checkpoint:
    return save(tmp_path / "pair", pairs(), max_shard_bytes=600)


def same(module: nn.Module, expected: nn.Module) -> bool:
    found, wanted = module.state_dict(), expected.state_dict()
    return list(found) == list(wanted) and all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_shards_hold_what_was_saved_and_text_is_apart(sharded: Checkpoint) -> None:
    assert len(sharded.weights_files) > 3
    index = json.loads((sharded.directory / INDEX).read_text())
    everything = dict(pairs())
    assert set(index["weight_map"]) == set(everything)
    assert index["metadata"]["total_size"] == sum(t.numel() * t.element_size() for t in everything.values())
    for number, file in enumerate(sharded.weights_files, 1):
        assert file.name == f"model-{number:05d}-of-{len(sharded.weights_files):05d}.safetensors"
        content = load_file(file)
        assert len({name.startswith("text.") for name in content}) == 1
        assert len(content) == 1 or sum(t.numel() * t.element_size() for t in content.values()) <= 600
        for name, tensor in content.items():
            assert index["weight_map"][name] == file.name
            assert torch.equal(tensor, everything[name])


@pytest.mark.parametrize("max_bytes", [600, 1 << 20])
@pytest.mark.parametrize("meta", [True, False], ids=["meta", "real"])
def test_parts_come_back_as_they_were(tmp_path: Path, max_bytes: int, meta: bool) -> None:
    checkpoint = save(tmp_path / "pair", pairs(), max_shard_bytes=max_bytes)
    loaded = network(meta)
    if not meta:
        nn.init.zeros_(loaded[0].weight)
    load_weights(checkpoint, loaded, "network.")
    assert same(loaded, network())
    assert torch.equal(loaded.made, torch.arange(5.0))
    encoder = text_encoder(meta)
    load_weights(checkpoint, encoder, "text.")
    assert same(encoder, text_encoder())
    assert encoder.encoder.embed_tokens.weight is encoder.shared.weight


def test_all_parts_at_once_in_another_precision(sharded: Checkpoint) -> None:
    whole = nn.ModuleDict({"network": network(True), "text": text_encoder(True), "autoencoder": nn.Linear(8, 8)})
    load_weights(sharded, whole, "", dtype=lambda name: torch.float16 if name.startswith("text.") else torch.bfloat16)
    dtypes = {name: tensor.dtype for name, tensor in whole.state_dict().items()}
    assert dtypes["text.shared.weight"] is torch.float16
    assert dtypes["network.0.weight"] is dtypes["autoencoder.bias"] is torch.bfloat16
    assert torch.equal(whole.network[0].weight, network()[0].weight.bfloat16())
    assert all(parameter.requires_grad for parameter in whole.parameters())


def test_a_loaded_model_does_not_depend_on_its_file(sharded: Checkpoint) -> None:
    loaded = network(True)
    load_weights(sharded, loaded, "network.")
    for file in sharded.weights_files:
        file.write_bytes(bytes(file.stat().st_size))
    assert same(loaded, network())


def test_one_name_of_a_tied_pair_is_enough(tmp_path: Path) -> None:
    once = {name: tensor for name, tensor in pairs() if name != "text.encoder.embed_tokens.weight"}
    encoder = text_encoder(meta=True)
    load_weights(save(tmp_path / "pair", once), encoder, "text.")
    assert same(encoder, text_encoder())
    assert encoder.encoder.embed_tokens.weight is encoder.shared.weight


def test_small_models_keep_their_one_file_and_their_id(tmp_path: Path) -> None:
    bundled = open_checkpoint(BUNDLED, every_hash=True)
    assert bundled.model_id.endswith(file_hash(BUNDLED / WEIGHTS)[:8])
    assert bundled.weights_files == (bundled.weights_file,)
    again = tmp_path / "again"
    again.mkdir()
    write_weights(again, load_file(BUNDLED / WEIGHTS), 1 << 30)
    assert [path.name for path in again.iterdir()] == [WEIGHTS]
    assert file_hash(again / WEIGHTS) == file_hash(BUNDLED / WEIGHTS)


def test_the_id_of_a_sharded_model_is_that_of_all_its_weights(sharded: Checkpoint, tmp_path: Path) -> None:
    assert save(tmp_path / "same", pairs(), max_shard_bytes=600).model_id == sharded.model_id
    changed = {name: tensor + (name == "text.shared.weight") for name, tensor in pairs()}
    assert save(tmp_path / "other", changed, max_shard_bytes=600).model_id != sharded.model_id
    with pytest.raises(CheckpointError, match=f"in {len(sharded.weights_files)} files"):
        _ = sharded.weights_file


def test_without_the_text_shards_the_rest_still_loads(sharded: Checkpoint) -> None:
    assert sharded.weight_map is not None
    lost = sharded.directory / sharded.weight_map["text.shared.weight"]
    lost.unlink()
    opened = open_checkpoint(sharded.directory)
    for part, module in (("network.", network(True)), ("autoencoder.", nn.Linear(8, 8))):
        load_weights(opened, module, part)
    with pytest.raises(CheckpointError, match=f"{lost.name} is missing"):
        load_weights(opened, text_encoder(True), "text.")
    with pytest.raises(CheckpointError, match=f"{lost.name} is missing"):
        open_checkpoint(sharded.directory, every_hash=True)


def test_a_corrupt_shard_is_named_when_it_is_read(sharded: Checkpoint) -> None:
    assert sharded.weight_map is not None
    for name, opens in (("text.shared.weight", True), ("network.0.weight", False)):
        file = sharded.directory / sharded.weight_map[name]
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)
        if opens:
            with pytest.raises(CheckpointError, match=f"{file.name} is not the file that was saved"):
                load_weights(open_checkpoint(sharded.directory), text_encoder(True), "text.")
        else:
            with pytest.raises(CheckpointError, match=f"{file.name} is not the file that was saved"):
                open_checkpoint(sharded.directory)


@pytest.mark.parametrize("name", [INDEX, "model-00001", MANIFEST])
def test_a_missing_file_is_named(sharded: Checkpoint, name: str) -> None:
    (file,) = sharded.directory.glob(f"{name}*")
    file.unlink()
    with pytest.raises(CheckpointError, match=f"{file.name} is missing"):
        open_checkpoint(sharded.directory)


@pytest.mark.parametrize("file", ["../model-00001-of-00002.safetensors", "/etc/passwd", "config.json", "", 3])
def test_an_index_names_shards_and_nothing_else(sharded: Checkpoint, file: object) -> None:
    index = sharded.directory / INDEX
    index.write_text(json.dumps({"weight_map": {"network.0.weight": file}}))
    manifest = json.loads((sharded.directory / MANIFEST).read_text())
    manifest["sha256"][INDEX] = file_hash(index)
    (sharded.directory / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="not an index"):
        open_checkpoint(sharded.directory)


@pytest.mark.parametrize("max_bytes", [600, 1 << 20])
def test_all_that_does_not_fit_is_listed_in_one_error(tmp_path: Path, max_bytes: int) -> None:
    weights = dict(pairs())
    weights["network.1.weight"] = torch.zeros(4, 15)
    weights["network.9.weight"] = torch.zeros(2)
    weights["decoder.weight"] = torch.zeros(2)
    del weights["network.0.bias"], weights["network.1.bias"]
    checkpoint = save(tmp_path / "pair", weights, max_shard_bytes=max_bytes)
    with pytest.raises(CheckpointError, match="do not fit") as refused:
        load_weights(checkpoint, network(True), "network.")
    text = str(refused.value)
    assert "2 missing: 0.bias, 1.bias" in text
    assert "1 not wanted: 9.weight" in text
    assert "1 of another shape: 1.weight (4, 15), wanted (4, 16)" in text
    assert "1 of no known part: decoder.weight" in text


def test_of_many_names_the_first_ten_are_listed_and_all_counted(tmp_path: Path) -> None:
    weights = {f"network.{i}": torch.zeros(1) for i in range(25)}
    with pytest.raises(CheckpointError) as refused:
        load_weights(save(tmp_path / "pair", weights), network(True), "network.")
    assert "25 not wanted" in str(refused.value) and str(refused.value).count("network") == 0
    assert len([name for name in str(refused.value).split("not wanted: ")[1].split(", ") if name.isdigit()]) == 10


def test_what_breaks_off_leaves_the_old_checkpoint_and_no_other(tmp_path: Path) -> None:
    before = save(tmp_path / "pair", pairs())

    def broken() -> Iterator[tuple[str, Tensor]]:
        yield from list(pairs())[:3]
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        save(tmp_path / "pair", broken(), max_shard_bytes=600)
    assert open_checkpoint(tmp_path / "pair").model_id == before.model_id
    assert [path.name for path in tmp_path.iterdir()] == ["pair"]


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"two tensors are called network\.a"):
        write_weights(tmp_path, iter([("network.a", torch.zeros(1))] * 2), 100)


@pytest.mark.parametrize("hashes", [None, [], {"config.json": 3}, {WEIGHTS: "0"}])
def test_a_manifest_that_says_nothing_of_use_is_refused(sharded: Checkpoint, hashes: object) -> None:
    (sharded.directory / MANIFEST).write_text(json.dumps({"sha256": hashes}))
    with pytest.raises(CheckpointError, match="does not list the files"):
        open_checkpoint(sharded.directory)


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.sampled_from(["network", "text"]), st.integers(1, 40)), min_size=1, max_size=12),
    max_bytes=st.integers(1, 400),
)
def test_any_weights_survive_any_size_of_shard(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[tuple[str, int]], max_bytes: int
) -> None:
    weights = {f"{part}.{i}": torch.arange(float(size)) for i, (part, size) in enumerate(sizes)}
    checkpoint = save(tmp_path_factory.mktemp("any") / "pair", iter(weights.items()), max_shard_bytes=max_bytes)
    read = {name: tensor for file in checkpoint.weights_files for name, tensor in load_file(file).items()}
    assert set(read) == set(weights) and all(torch.equal(read[name], weights[name]) for name in weights)
    one_file = checkpoint.weight_map is None
    assert one_file == (sum(4 * size for _, size in sizes) <= max_bytes or len(sizes) == 1)


_MEASURE = """
import sys
from pathlib import Path
import torch
from accelerate import init_empty_weights
from torch import nn
from wam_models.checkpoint import load_weights, open_checkpoint
from wam_models import weights

def peak():  # not ru_maxrss, which a process inherits from the one that started it
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])

checkpoint = open_checkpoint(Path(sys.argv[1]))
weights._AT_ONCE = 1 << 24
with init_empty_weights(include_buffers=False):
    module = nn.Sequential(*(nn.Linear(2048, 2048, bias=False) for _ in range(20)))
load_weights(checkpoint, nn.Linear(1, 1), "autoencoder.")  # whatever is imported late is imported
before = peak()
load_weights(checkpoint, module, "network.", dtype=getattr(torch, sys.argv[2]))
after = peak()
size = sum(p.numel() * p.element_size() for p in module.parameters())
assert all(p.device.type == "cpu" and bool((p == 1).all()) for p in module.parameters())
print((after - before) / size)
"""


@pytest.mark.parametrize(("dtype", "max_bytes"), [("float16", 100_000_000), ("float32", 1_000_000_000)])
def test_loading_holds_the_weights_once(tmp_path: Path, dtype: str, max_bytes: int) -> None:
    weights = {f"network.{i}.weight": torch.ones(2048, 2048, dtype=torch.float16) for i in range(20)}
    weights |= {"autoencoder.weight": torch.ones(1, 1), "autoencoder.bias": torch.ones(1)}
    save(tmp_path / "large", weights, max_shard_bytes=max_bytes)
    command = [sys.executable, "-c", _MEASURE, str(tmp_path / "large"), dtype]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 0.9 < float(answer.stdout) < 1.3


def test_a_tensor_without_a_place_is_not_lost_silently(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}, tmp_path / WEIGHTS)
    with pytest.raises(ValueError, match="no place for other"):
        fill(nn.Linear(3, 2), tmp_path / WEIGHTS, {"weight": "weight", "bias": "other"}, "cpu", None)
