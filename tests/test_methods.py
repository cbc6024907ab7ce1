"""Several methods of a module in one SavedModel, and language models that generate with them, token for token."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from torch import nn

from fixtures import data
from fixtures.char_lm import CharLM
from tests import torchvision_ops
from tests.serving.test_warm_up import warm_up
from translate import torch2tf
from translate.cli import main
from translate.errors import OpenError, UntrustedError, UsageError
from translate.manifest import read_manifest
from translate.models.methods import open_methods
from translate.verify.cases import InputPlan

ROOT = Path(__file__).parents[1]
CHAR_LM = f"{ROOT / 'fixtures' / 'char_lm.py'}:CharLM"
WEIGHTS = ROOT / "fixtures" / "char_lm.safetensors"
CHAR_INPUTS = ["prefill.characters:batch,time:int64", "decode.characters:batch,1:int64"]
STEPS = 64
VOCABULARY = 99


class Autoencoder(nn.Module):
    """Reads one matrix in two ways: as it is and transposed, so that the two graphs store it differently."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.mix = nn.Linear(6, 4)
        self.scale = nn.Parameter(torch.rand(4))
        self.mask = nn.Buffer(torch.rand(40, 40))

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return self.mix(x) * self.scale + self.mask.sum()

    def decode(self, code: torch.Tensor) -> torch.Tensor:
        return torch.tanh(code @ self.mix.weight)


class Stranger(Autoencoder):
    """The same with another matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(6, 4)


def generate(folder, prompt, **further):
    """Return `STEPS` tokens of greedy decoding by the signatures alone, [batch, step]; `prompt` names the tokens."""
    signatures = tf.saved_model.load(str(folder)).signatures
    feeds = {name: tf.constant(array) for name, array in further.items()}
    ((name, tokens),) = prompt.items()
    result = signatures["prefill"](**{name: tf.constant(tokens)}, **feeds)
    cross = {key: value for key, value in result.items() if key.startswith("cross")}
    feeds = {key: value for key, value in feeds.items() if key == "attention_mask"}
    made = []
    for _ in range(STEPS):
        token = tf.argmax(result["logits"], axis=-1)[:, None]
        made.append(token.numpy())
        if name == "input_ids":
            feeds["attention_mask"] = tf.concat([feeds["attention_mask"], tf.ones_like(token)], axis=1)
        past = {key.replace("present", "past"): value for key, value in result.items() if key.startswith("present")}
        result = signatures["decode"](**{name: token}, **feeds, **past, **cross)
    return np.concatenate(made, axis=1)


def all_at_once(step, tokens):
    """Return the tokens of greedy decoding without any cache: `step` maps all tokens so far to logits."""
    for _ in range(STEPS):
        with torch.no_grad():
            tokens = torch.cat([tokens, step(tokens)[:, -1].argmax(dim=-1, keepdim=True)], dim=1)
    return tokens[:, -STEPS:].numpy()


@pytest.fixture(scope="module")
def char_lm(tmp_path_factory):
    """The trained fixture as a SavedModel of two signatures, and its result."""
    folder = tmp_path_factory.mktemp("methods") / "char_lm"
    return torch2tf(CHAR_LM, folder, methods=["prefill", "decode"], inputs=CHAR_INPUTS, weights=WEIGHTS)


@pytest.mark.xdist_group("methods")
def test_the_trained_fixture_generates_the_same_text(char_lm):
    model = CharLM().eval()
    model.load_state_dict(load_file(WEIGHTS))
    prompt = np.stack([data.encode(text) for text in ("The function returns a ", "def compute_gradients(s")])
    ours = generate(char_lm.output, {"characters": prompt})
    np.testing.assert_array_equal(ours, all_at_once(model, torch.from_numpy(prompt)))
    assert len(np.unique(ours)) > 10


@pytest.mark.xdist_group("methods")
def test_every_weight_is_there_once_under_its_name(char_lm):
    state = load_file(WEIGHTS)
    assert char_lm.passed
    assert char_lm.trainable == sum(tensor.numel() for tensor in state.values())
    assert set(read_manifest(char_lm.output).parameters) == set(state)
    loaded = tf.saved_model.load(str(char_lm.output))
    assert set(loaded.signatures) == {"prefill", "decode"}
    np.testing.assert_array_equal(loaded.characters.weight, state["characters.weight"])
    assert [spec.name for spec in char_lm.inputs][:3] == [
        "prefill.characters",
        "decode.characters",
        "decode.past_key_0",
    ]


@pytest.mark.xdist_group("methods")
def test_the_manifest_tells_of_every_method(char_lm):
    manifest = read_manifest(char_lm.output)
    assert manifest.provenance.source == "char_lm.py:CharLM"
    assert set(manifest.provenance.files) == {"char_lm.py", "char_lm.safetensors"}
    assert manifest.provenance.options["method"] == ["prefill", "decode"]
    assert [spec["name"] for spec in manifest.provenance.inputs] == [spec.name for spec in char_lm.inputs]
    outputs = {output["name"] for run in manifest.provenance.verdict["runs"] for output in run["outputs"]}
    assert outputs == {spec["name"] for spec in manifest.provenance.outputs} == {s.name for s in char_lm.outputs}
    # In the order of the source, which a signature does not keep.
    assert manifest.signatures["prefill"].outputs[:2] == ("logits", "present_key_0")
    assert "logits" in manifest.signatures["decode"].values


def count_loads(monkeypatch):
    """Return a list that grows by each SavedModel that TensorFlow loads."""
    loads = []
    load = tf.saved_model.load
    monkeypatch.setattr(tf.saved_model, "load", lambda folder: loads.append(folder) or load(folder))
    return loads


def test_every_method_can_be_compared_again(tmp_path, monkeypatch):
    folder, source = tmp_path / "both", f"{__file__}:Autoencoder"
    inputs = ["encode.x:batch,6", "decode.code:batch,4"]
    plan = InputPlan(sizes={"batch": [2]}, seeds=(0,))
    torch2tf(source, folder, methods=["encode", "decode"], inputs=inputs, plan=plan)

    def verify(*options):
        command = ["verify", "--manifest", str(folder), "--edges=none", "--seeds=1", *options]
        return CliRunner().invoke(main, command)

    assert verify().exit_code == UntrustedError.exit_code
    loads = count_loads(monkeypatch)
    again = verify(source, "--json")
    assert again.exit_code == 0, again.output
    assert len(loads) == 1
    report = json.loads(again.stdout)
    compared = [(output["name"], run["sizes"]) for run in report["verdict"]["runs"] for output in run["outputs"]]
    assert compared == [("encode.output", {"batch": 2}), ("decode.output", {"batch": 2})]
    assert any("is the one that was translated" in note for note in report["notes"])
    one = verify(source, "--signature", "decode", "--grad", "--json")
    assert one.exit_code == 0, one.output
    report = json.loads(one.stdout)
    assert [output["name"] for run in report["verdict"]["runs"] for output in run["outputs"]] == ["output"]
    assert [gradient["name"] for gradient in report["gradients"]["gradients"]] == ["code", "mix.weight"]
    for options, said in (
        (["--grad"], "--grad is for one of encode, decode"),
        (["--signature", "lost"], "the methods are encode, decode"),
    ):
        refused = verify(source, *options)
        assert refused.exit_code == UsageError.exit_code and said in refused.output
    # Another module, with other weights, is not what was translated.
    other = verify(f"{__file__}:Stranger")
    assert other.exit_code == 1
    assert "encode.output" in other.output and "decode.output" in other.output


@pytest.mark.xdist_group("methods")
def test_the_verdict_has_every_method_at_several_sizes(char_lm):
    runs = char_lm.verdict.runs
    assert {output.name.partition(".")[0] for run in runs for output in run.outputs} == {"prefill", "decode"}
    assert len({run.sizes["past"] for run in runs if "past" in run.sizes}) > 1


def test_a_weight_that_two_methods_store_differently_is_one_variable(tmp_path, monkeypatch):
    loads = count_loads(monkeypatch)
    model = Autoencoder().eval()
    inputs = ["encode.x:batch,6", "decode.code:batch,4"]
    result = torch2tf(model, tmp_path / "both", methods=["encode", "decode"], inputs=inputs)
    assert result.passed
    # For the comparison, too, every weight is there once.
    assert len(loads) == 1
    assert result.trainable == sum(parameter.numel() for parameter in model.parameters())
    loaded = tf.saved_model.load(str(tmp_path / "both"))
    x = np.random.default_rng(0).standard_normal((3, 6), np.float32)
    code = loaded.encode(tf.constant(x))["output"]
    with torch.no_grad():
        np.testing.assert_allclose(code, model.encode(torch.from_numpy(x)).numpy(), rtol=1e-5)
        np.testing.assert_allclose(
            loaded.decode(code)["output"], model.decode(torch.from_numpy(code.numpy())).numpy(), rtol=1e-5, atol=1e-6
        )
    # One variable, that both read.
    (matrix,) = [variable for variable in loaded.trainable_variables if variable.shape.rank == 2]
    matrix.assign(tf.zeros_like(matrix))
    np.testing.assert_array_equal(loaded.decode(code)["output"], 0)


@pytest.mark.parametrize(
    ("methods", "inputs", "said"),
    [
        (["encode", "lost"], ["encode.x:batch,6"], "no method 'lost'"),
        (["encode"], ["x:batch,6"], r"METHOD\.NAME"),
        (["encode"], ["decode.code:batch,4"], r"METHOD\.NAME"),
        (["encode", "encode"], ["encode.x:batch,6"], "once each"),
        (["encode"], [], "sizes of the inputs are not known"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, methods, inputs, said):
    with pytest.raises(UsageError, match=said):
        torch2tf(Autoencoder(), tmp_path / "both", methods=methods, inputs=inputs)
    assert not (tmp_path / "both").exists()


@pytest.mark.parametrize("source", [ROOT / "fixtures" / "digits_cnn.pt2", "lost.py:Model"])
def test_a_file_without_code_has_no_methods(source):
    with pytest.raises(OpenError):
        open_methods(source, ["encode"])


def test_the_command_line(tmp_path):
    command = ["torch2tf", CHAR_LM, "--weights", str(WEIGHTS), "-o", str(tmp_path / "lm"), "--method", "prefill"]
    run = CliRunner().invoke(main, [*command, "--input", CHAR_INPUTS[0], "--sizes", "batch=1,3"])
    assert run.exit_code == 0, run.output
    assert "prefill.logits" in run.output
    refused = CliRunner().invoke(main, [*command, "--engine", "onnx2tf"])
    assert refused.exit_code == UsageError.exit_code


def test_tf_serving_warms_every_method_up(tmp_path):
    source, base = f"{__file__}:Autoencoder", tmp_path / "autoencoder"
    inputs = ["--input=encode.x:batch,6", "--input=decode.code:batch,4"]
    command = ["torch2tf", source, "--method", "encode", "--method", "decode", "--serving", str(base), *inputs]
    run = CliRunner().invoke(main, [*command, "--sizes", "batch=1,3"])
    assert run.exit_code == 0, run.output
    assert set(read_manifest(base / "1").signatures) == {"encode", "decode"}
    loaded = tf.saved_model.load(str(base / "1"))
    requests = [record.predict_log.request for record in warm_up(base / "1")]
    shapes = [
        (one.model_spec.signature_name, *tf.make_ndarray(next(iter(one.inputs.values()))).shape) for one in requests
    ]
    assert shapes == [("encode", 1, 6), ("encode", 3, 6), ("decode", 1, 4), ("decode", 3, 4)]
    for one in requests:
        feeds = {name: tf.make_ndarray(proto) for name, proto in one.inputs.items()}
        loaded.signatures[one.model_spec.signature_name](**{name: tf.constant(array) for name, array in feeds.items()})
    refused = CliRunner().invoke(main, [*command, "--serving-config"])
    assert refused.exit_code == UsageError.exit_code and "one signature" in refused.stderr


def _gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(n_layer=2, n_embd=32, n_head=4, vocab_size=VOCABULARY, n_positions=128, **_TOKENS)
    return GPT2LMHeadModel(config)


def _llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": VOCABULARY}
    config = LlamaConfig(num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128, **sizes, **_TOKENS)
    return LlamaForCausalLM(config)


def _t5():
    from transformers import T5Config, T5ForConditionalGeneration

    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
    config = T5Config(**sizes, vocab_size=VOCABULARY, decoder_start_token_id=0)
    return T5ForConditionalGeneration(config)


def _whisper():
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    layers = {f"{part}_{what}": n for part in ("encoder", "decoder") for what, n in _WHISPER.items()}
    config = WhisperConfig(
        d_model=32, vocab_size=VOCABULARY, max_source_positions=20, num_mel_bins=8, **layers, **_TOKENS, pad_token_id=0
    )
    return WhisperForConditionalGeneration(config)


_TOKENS = {"bos_token_id": 1, "eos_token_id": 2}
_WHISPER = {"layers": 2, "attention_heads": 4, "ffn_dim": 48}


def _random(make):
    """Return a model whose weights are so large that it says many different things."""
    torchvision_ops.declare()
    torch.manual_seed(0)
    model = make().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.5)
    return model


@pytest.mark.zoo
@pytest.mark.parametrize("make", [_gpt2, _llama], ids=["gpt2", "llama"])
def test_decoders_of_transformers(make, tmp_path):
    model = _random(make)
    folder = tmp_path / "shards"
    model.save_pretrained(folder, max_shard_size="20KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    assert torch2tf(folder, tmp_path / "lm", methods=["prefill", "decode"]).passed
    tokens = torch.randint(3, VOCABULARY, (3, 7))
    # Filled up on the left, as `generate` has it.
    mask = torch.ones_like(tokens)
    mask[0, :3] = mask[1, :1] = 0
    expected = model.generate(
        tokens, attention_mask=mask, max_new_tokens=STEPS, do_sample=False, eos_token_id=None, pad_token_id=0
    )
    ours = generate(tmp_path / "lm", {"input_ids": tokens.numpy()}, attention_mask=mask.numpy())
    np.testing.assert_array_equal(ours, expected[:, -STEPS:].numpy())
    assert len(np.unique(ours)) > 10


@pytest.mark.zoo
def test_an_encoder_decoder_that_reads(tmp_path):
    model = _random(_t5)
    assert torch2tf(model, tmp_path / "lm", methods=["prefill", "decode"]).passed
    source = torch.randint(3, VOCABULARY, (3, 7))
    mask = torch.ones_like(source)
    mask[0, 4:] = 0
    start = torch.zeros(3, 1, dtype=torch.int64)

    def step(tokens: torch.Tensor) -> torch.Tensor:
        return model(input_ids=source, attention_mask=mask, decoder_input_ids=tokens, use_cache=False).logits

    given = {"input_ids": source.numpy(), "attention_mask": mask.numpy()}
    ours = generate(tmp_path / "lm", {"decoder_input_ids": start.numpy()}, **given)
    np.testing.assert_array_equal(ours, all_at_once(step, start))
    assert len(np.unique(ours)) > 10


@pytest.mark.zoo
def test_an_encoder_decoder_that_hears(tmp_path):
    model = _random(_whisper)
    assert torch2tf(model, tmp_path / "lm", methods=["prefill", "decode"]).passed
    sound, start = torch.randn(3, 8, 40), torch.ones(3, 1, dtype=torch.int64)

    def step(tokens: torch.Tensor) -> torch.Tensor:
        return model(input_features=sound, decoder_input_ids=tokens, use_cache=False).logits

    ours = generate(tmp_path / "lm", {"decoder_input_ids": start.numpy()}, input_features=sound.numpy())
    np.testing.assert_array_equal(ours, all_at_once(step, start))
    assert len(np.unique(ours)) > 10
