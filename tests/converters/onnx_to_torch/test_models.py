"""Real models, from PyTorch to ONNX and back: the same numbers, at any batch, in the module and exported."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests import torchvision_ops
from translate.converters import onnx_to_torch
from translate.converters.passes import prepare_for_torch
from translate.converters.torch_to_onnx import export
from translate.models import open_model


def resnet():
    torchvision_ops.declare()
    from torchvision.models import resnet18

    return resnet18(), ["x:batch,3,64,64"], lambda batch: (torch.randn(batch, 3, 64, 64),)


def vit():
    torchvision_ops.declare()
    import timm

    net = timm.create_model("vit_tiny_patch16_224", img_size=64, depth=2, num_classes=10)
    return net, ["x:batch,3,64,64"], lambda batch: (torch.randn(batch, 3, 64, 64),)


class First(nn.Module):
    """A language model's first result, from tokens and a mask."""

    def __init__(self, net, **options):
        super().__init__()
        self.net, self.options = net, options

    def forward(self, input_ids, attention_mask):
        return self.net(input_ids=input_ids, attention_mask=attention_mask, **self.options)[0]


TOKENS = ["input_ids:batch,seq:int64", "attention_mask:batch,seq:int64"]


def tokens(batch):
    length = 4 + batch
    return torch.randint(0, 50, (batch, length)), torch.ones(batch, length, dtype=torch.int64)


def bert():
    torchvision_ops.declare()
    from transformers import BertConfig, BertModel

    config = BertConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, vocab_size=50)
    return First(BertModel(config, add_pooling_layer=False)), TOKENS, tokens


def gpt2():
    torchvision_ops.declare()
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=50, n_positions=64, bos_token_id=0, eos_token_id=0)
    return First(GPT2LMHeadModel(config), use_cache=False), TOKENS, tokens


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(5, 6, batch_first=True, bidirectional=True)
        self.head = nn.Linear(12, 2)

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])


def lstm():
    return Recurrent(), ["x:batch,7,5"], lambda batch: (torch.randn(batch, 7, 5),)


@pytest.mark.parametrize("make", [resnet, vit, bert, gpt2, lstm], ids=lambda make: make.__name__)
def test_there_and_back(make):
    torch.manual_seed(0)
    net, inputs, example = make()
    net = net.eval()
    model = export(open_model(net, inputs=inputs))
    prepare_for_torch(model)
    module = onnx_to_torch.module(model)
    assert {name for name, _ in module.named_parameters()} == {name for name, _ in net.named_parameters()}
    program = onnx_to_torch.exported(module, model)
    for batch in (1, 3):
        feeds = example(batch)
        with torch.no_grad():
            expected = net(*feeds)
            torch.testing.assert_close(module(*feeds), expected, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(program.module()(*feeds), expected, rtol=1e-4, atol=1e-5)


def test_a_recurrent_layer_comes_back_as_one():
    net, inputs, _ = lstm()
    model = export(open_model(net.eval(), inputs=inputs))
    prepare_for_torch(model)
    module = onnx_to_torch.module(model)
    assert isinstance(module.rnn, nn.LSTM)
    torch.testing.assert_close(dict(module.rnn.named_parameters()), dict(net.rnn.named_parameters()), rtol=0, atol=0)
