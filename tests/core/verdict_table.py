"""What is told of each family of explanations on each kind of network: read by tests and by the reference.

A row is `who | level | words of the reason`. Who is a family, or visualisers with commas between them; `the others`
are all that no row before has named. A row without a level says the words alone, for what holds besides.
"""

from __future__ import annotations

FAMILIES = ("features", "gradients", "class activation maps", "perturbation", "relevance")

#: The network's key → what it is, and the rows.
TABLE: dict[str, tuple[str, str]] = {
    "plain": ("ReLU, then a global average and one dense layer", """
        the others | valid
    """),
    "flat": ("ReLU, then flattened and read by one dense layer", """
        cam | not possible | its last dense layer 6 reads 4 (ReLU, 8×8×12)
        the others | valid
    """),
    "silu": ("SiLU instead of ReLU", """
        guided-backprop, deconvnet, guided-grad-cam | not possible | clips at ReLUs, and there is none: its activations are silu
        grad-cam++, smooth-grad-cam++, xgrad-cam | approximate | sums of activations, and those of 4 can be of either sign
        full-grad | approximate | straight pieces through the origin; SiLU is not
        lrp | approximate | passes relevance through silu (2 layers: 1, 4) as if it were a ReLU
        the others | valid
    """),
    "tanh": ("no ReLU at all: tanh", """
        guided-backprop, deconvnet, guided-grad-cam | not possible | clips at ReLUs, and there is none: its activations are tanh
        grad-cam++, smooth-grad-cam++, xgrad-cam | approximate | sums of activations, and those of 4 can be of either sign
        full-grad | approximate | straight pieces through the origin; Tanh is not
        lrp | approximate | passes relevance through tanh (2 layers: 1, 4) as if it were a ReLU
        the others | valid
    """),
    "shares": ("a softmax inside that cannot be undone", """
        maximise | approximate | cannot be undone
        features, occlusion, rise, lime, kernel-shap, eigen-cam, score-cam, ablation-cam | valid
        cam | not possible | behind its last dense layer body.7 comes div
        deeplift | not possible | no rule for a quotient
        the others | approximate | the softmax inside its forward cannot be undone
    """),
    "keras-shares": ("the same in Keras: no graph says where the softmax is", """
        maximise | approximate | cannot be undone
        features, occlusion, rise, lime, kernel-shap, eigen-cam, score-cam, ablation-cam | valid
        cam | not possible | behind its last dense layer logits comes exp
        lrp, deeplift | not possible | no rule for exp
        the others | approximate | cannot be undone
    """),
    "half": ("half precision: PyTorch's float16", """
        maximise | approximate | the model computes in float16
        features, occlusion, rise, lime, kernel-shap, cam, eigen-cam, score-cam, ablation-cam | valid
        the others | approximate | the model computes in float16
    """),
    "keras-half": ("half precision: Keras's mixed_float16", """
        maximise | approximate | the model computes in float16
        features, occlusion, rise, lime, kernel-shap, cam, eigen-cam, score-cam, ablation-cam | valid
        the others | approximate | the model computes in float16
    """),
    "trained": ("handed over in train mode: it is run in eval mode, and its facts say so", """
        the others | valid
    """),
    "untrained": ("batch norms that hold no statistics of any training", """
        filter-weights, architecture | valid
        the others | approximate | all 2 batch norms have mean 0 and variance 1
    """),
    "points": ("last maps of one place: an earlier layer is taken", """
        cam | not possible | its last dense layer 6 reads 4 (ReLU, 1×1×12)
        the others | valid
    """),
    "few": ("last maps of 2 by 2 places", """
        features, gradients, perturbation, relevance, full-grad | valid
        the others | approximate | has 2×2 places, each of 8×8 pixels
    """),
    "transformer": ("a vision transformer: attention, layer norms, a class token", """
        cam | not possible | its last dense layer head reads norm (LayerNorm
        guided-backprop, deconvnet, guided-grad-cam | not possible | its activations are gelu
        lrp, deeplift | not possible | no rule for attention
        grad-cam++, smooth-grad-cam++, xgrad-cam | approximate | those of blocks.1.norm1 can be of either sign
        full-grad | approximate | GELU, LayerNorm, MultiheadAttention are not
        the others | valid
    """),
    "subclassed": ("a subclassed Keras model: nothing of its inside is known", """
        class-probabilities, occlusion, rise, lime, kernel-shap, extremal | valid
        saliency, smoothgrad, input-x-gradient, integrated-gradients, gradient-shap | valid
        filter-weights, architecture | valid
        the others | not possible | its own call() decides what runs
    """),
    "detached": ("a forward that detaches what its head reads", """
        maximise | not possible | its forward detaches what it computes, or runs under no_grad
        features, occlusion, rise, lime, kernel-shap, cam, eigen-cam, score-cam, ablation-cam | valid
        the others | not possible | its forward detaches what it computes, or runs under no_grad
    """),
    "stem": ("a forward that detaches early: gradients reach its last maps and not the picture", """
        maximise | not possible | needs gradients at the picture: its forward detaches what it computes
        gradients, full-grad, extremal, relevance | not possible | its forward detaches what it computes, or runs under no_grad
        the others | valid
    """),
    "writes": ("a forward that writes through views, where PyTorch allows no gradients and no tape can follow", """
        maximise | not possible | needs gradients at the picture: its forward cannot run with gradients
        saliency, smoothgrad, input-x-gradient, integrated-gradients, gradient-shap, full-grad, extremal | not possible | needs gradients at the picture: its forward cannot run with gradients
        guided-backprop, deconvnet, guided-grad-cam, relevance | not possible | was written to under another name
        the others | valid
    """),
    "untaped": ("a forward that writes where no tape can follow", """
        cam | not possible | behind its last dense layer body.7 comes mul
        full-grad | approximate | straight pieces through the origin; mul is not
        guided-backprop, deconvnet, guided-grad-cam, relevance | not possible | writes into an array of its caller's: no tape can be kept
        the others | valid
    """),
    "quantised": ("quantised weights", """
        maximise | not possible | its weights are quantised
        cam | not possible | Quantised has no dense layer
        saliency, smoothgrad, input-x-gradient, integrated-gradients, gradient-shap, extremal, full-grad, guided-backprop, deconvnet, guided-grad-cam, relevance | not possible | its weights are quantised
        grad-cam, grad-cam++, smooth-grad-cam++, xgrad-cam, hires-cam, layer-cam, eigen-grad-cam, finer-cam | not possible | its weights are quantised
        the others | valid
    """),
    "gated": ("squeeze-and-excitation gates", """
        guided-backprop, deconvnet, guided-grad-cam | approximate | sigmoid hands on its plain gradient
        full-grad | approximate | straight pieces through the origin; mul is not
        lrp | approximate | the gate of a product takes no relevance
        the others | valid
    """),
    "noisy": ("random numbers drawn in eval mode", """
        filter-weights, architecture | valid
        the others | approximate | this network draws random numbers
    """),
    "places": ("scores for each class at each place: segmentation", """
        cam | not possible | has no dense layer
        finer-cam | not possible | has one for each place
        grad-cam++, smooth-grad-cam++, xgrad-cam | approximate | those of 5 can be of either sign
        the others | valid
    """),
}  # fmt: skip


def rows_of(key: str) -> list[tuple[tuple[str, ...], str, str]]:
    """The rows of a network: who, level, words."""
    found = []
    for line in filter(None, map(str.strip, TABLE[key][1].splitlines())):
        who, level, *words = (part.strip() for part in line.split(" | "))
        found.append((tuple(who.split(", ")), level, words[0] if words else ""))
    return found


def expected(key: str, name: str, family: str) -> tuple[str, str]:
    """Level and words that the first row to name a visualiser, its family or the others has for it."""
    for who, level, words in rows_of(key):
        if {name, family, "the others"} & set(who):
            return level, words
    raise KeyError(f"no row of {key} for {name}")
