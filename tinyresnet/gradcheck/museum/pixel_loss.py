"""Wrong backward passes of the cross-entropy at every pixel: what a pixel counts, which pixels count, and the order of the axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...loss import PixelCrossEntropyCache, pixel_cross_entropy_backward, pixel_cross_entropy_forward
from ..shipped import FixedLoss
from .bug import Setting, layer_bug, op_bug

SHAPE = (2, 4, 3, 3)
LABELS = np.array([[[0, 2, 2], [1, 0, 3], [0, 0, 2]], [[3, 0, 1], [2, 2, 0], [1, 3, 0]]])
IGNORING = np.where(
    np.arange(18).reshape(2, 3, 3) % 7 > 4, 255, LABELS
)  # 2 pixels of the first picture, 2 of the second
UNEVEN = np.where(np.arange(18).reshape(2, 3, 3) < 5, 255, LABELS)  # 5 of the first
CLASS_WEIGHTS = np.array([0.25, 2.0, 1.0, 1.5])

PLAIN = Setting(lambda rng: FixedLoss("PixelCrossEntropy", LABELS), SHAPE)
IGNORED = Setting(lambda rng: FixedLoss("PixelCrossEntropy", IGNORING), SHAPE)
ONE_SIDED = Setting(lambda rng: FixedLoss("PixelCrossEntropy", UNEVEN), SHAPE)
MINUS_ONE = Setting(
    lambda rng: FixedLoss("PixelCrossEntropy", np.where(IGNORING == 255, -1, LABELS), ignore_index=-1), SHAPE
)
WEIGHTED = Setting(lambda rng: FixedLoss("PixelCrossEntropy", IGNORING, class_weights=CLASS_WEIGHTS), SHAPE)


def one_hot(cache: PixelCrossEntropyCache) -> Any:
    """(N, K, H, W): 1 at each pixel's wanted class; at class 0 for a pixel that does not count."""
    return (cache.target[:, None] == np.arange(SHAPE[1])[:, None, None]).astype(cache.p.dtype)


@op_bug("pixel_cross_entropy", IGNORED, "x", sign="scale")
def ignored_pixels_counted(dloss: Any, cache: PixelCrossEntropyCache) -> Any:
    """The loss is divided by the pixels that count, the gradient by N H W, all of them."""
    return pixel_cross_entropy_backward(dloss, cache) * (cache.weight_sum / cache.weights.size)


@op_bug("pixel_cross_entropy", WEIGHTED, "x", sign="scale")
def divided_by_the_pixels_not_their_weights(dloss: Any, cache: PixelCrossEntropyCache) -> Any:
    """With class weights the mean divides by the sum of the weights; the gradient divides by the number of pixels that count."""
    return pixel_cross_entropy_backward(dloss, cache) * (cache.weight_sum / np.count_nonzero(cache.weights))


@op_bug("pixel_cross_entropy", PLAIN, "x", sign="mean for sum")
def sum_for_mean(dloss: Any, cache: PixelCrossEntropyCache) -> Any:
    """The loss is the mean over the pixels, the gradient that of their sum: thousands of times too large for real pictures."""
    return pixel_cross_entropy_backward(dloss, cache) * cache.weight_sum


@op_bug("pixel_cross_entropy", ONE_SIDED, "x", sign="other")
def each_picture_its_own_mean(dloss: Any, cache: PixelCrossEntropyCache) -> Any:
    """The mean was taken per picture and then over the pictures: pixels of a picture with many ignored ones count for more."""
    own = cache.weights.sum(axis=(1, 2))[:, None, None, None]
    return pixel_cross_entropy_backward(dloss, cache) * cache.weight_sum / own / len(own)


@op_bug("pixel_cross_entropy", WEIGHTED, "x", sign="other")
def class_weight_forgotten(dloss: Any, cache: PixelCrossEntropyCache) -> Any:
    """The class weights are in the loss and in its divisor, but not in the gradient of each pixel."""
    return pixel_cross_entropy_backward(dloss, cache._replace(weights=(cache.weights > 0) * 1.0))


@op_bug("pixel_cross_entropy", WEIGHTED, "x", sign="other")
def class_weight_twice(dloss: Any, cache: PixelCrossEntropyCache) -> Any:
    """The class weight came in by the loss of each pixel and was multiplied in once more."""
    return pixel_cross_entropy_backward(dloss, cache._replace(weights=cache.weights**2))


@op_bug("pixel_cross_entropy", WEIGHTED, "x", sign="other")
def class_weight_of_the_channel(dloss: Any, cache: PixelCrossEntropyCache) -> Any:
    """Each channel of the gradient is weighed by its own class; it is the pixel's wanted class that weighs all its channels."""
    bare = pixel_cross_entropy_backward(dloss, cache._replace(weights=(cache.weights > 0) * 1.0))
    return bare * CLASS_WEIGHTS[:, None, None]


@op_bug("pixel_cross_entropy", IGNORED, "x", sign="mask")
def ignored_pixels_let_through(dloss: Any, cache: PixelCrossEntropyCache) -> Any:
    """Ignored pixels have no wanted class, so the loss leaves them out by itself: p - 0 does not."""
    target = one_hot(cache) * cache.weights[:, None]
    return dloss * (cache.p - target) / cache.weight_sum


@op_bug("pixel_cross_entropy", MINUS_ONE, "x", sign="mask")
def ignored_label_used_as_an_index(dloss: Any, cache: PixelCrossEntropyCache) -> Any:
    """The label -1 of ignored pixels was used as an index: in NumPy that is the last class, and no error."""
    target = np.where(cache.weights > 0, cache.target, SHAPE[1] - 1)
    return pixel_cross_entropy_backward(dloss, cache._replace(target=target, weights=np.ones_like(cache.weights)))


@op_bug("pixel_cross_entropy", PLAIN, "x", sign="mask")
def background_not_learned(dloss: Any, cache: PixelCrossEntropyCache) -> Any:
    """`if label:` skips the label 0 together with what should be ignored: pixels of the first class get no gradient."""
    return pixel_cross_entropy_backward(dloss, cache) * (cache.target > 0)[:, None]


@op_bug("pixel_cross_entropy", PLAIN, "x", sign="sign")
def target_minus_p(dloss: Any, cache: PixelCrossEntropyCache) -> Any:
    """target - p is the step downhill, and the optimiser takes the minus once more."""
    return -pixel_cross_entropy_backward(dloss, cache)


@op_bug("pixel_cross_entropy", PLAIN, "x", sign="missing term")
def target_not_subtracted(dloss: Any, cache: PixelCrossEntropyCache) -> Any:
    """The 1 was subtracted at the labels in a copy of p that fancy indexing had made, and p itself was returned."""
    return dloss * cache.p / cache.weight_sum


@op_bug("pixel_cross_entropy", PLAIN, "x", sign="shifted")
def labels_counted_from_one(dloss: Any, cache: PixelCrossEntropyCache) -> Any:
    """The masks count classes from 1 and the logits from 0: the 1 is subtracted one channel too far."""
    return pixel_cross_entropy_backward(dloss, cache._replace(target=(cache.target + 1) % SHAPE[1]))


@op_bug("pixel_cross_entropy", PLAIN, "x", sign="other")
def rows_and_columns_of_the_labels_exchanged(dloss: Any, cache: PixelCrossEntropyCache) -> Any:
    """The labels were read as (N, W, H), as image libraries give sizes: on square pictures no error tells."""
    return pixel_cross_entropy_backward(dloss, cache._replace(target=cache.target.transpose(0, 2, 1)))


@op_bug("pixel_cross_entropy", PLAIN, "x", sign="permuted")
def reshaped_where_a_transpose_belongs(dloss: Any, cache: PixelCrossEntropyCache) -> Any:
    """The gradient was made with the classes last, (N H W, K), and brought back to (N, K, H, W) by reshape alone."""
    return pixel_cross_entropy_backward(dloss, cache).transpose(0, 2, 3, 1).reshape(SHAPE)


@op_bug("pixel_cross_entropy", PLAIN, "x", sign="upstream")
def upstream_ignored(dloss: Any, cache: PixelCrossEntropyCache) -> Any:
    """The upstream was believed to be 1: not beside a second loss, such as an auxiliary head's."""
    return pixel_cross_entropy_backward(np.ones_like(dloss), cache)


@layer_bug("pixel_cross_entropy", PLAIN, "x", sign="other")
def forward_softmax_over_the_picture(self: FixedLoss, x: Any, *, train: bool) -> Any:
    """The softmax that is saved for the gradient runs over rows and columns, as an attention map's does, not over the classes."""
    loss, cache = pixel_cross_entropy_forward(x, *self.others)
    powers = np.exp(x - x.max(axis=(2, 3), keepdims=True))
    return loss, cache._replace(p=powers / powers.sum(axis=(2, 3), keepdims=True))


@layer_bug("pixel_cross_entropy", PLAIN, sign="manners")
def backward_written_into_p(self: FixedLoss, dloss: Any, cache: PixelCrossEntropyCache) -> Any:
    """dlogits = p, and the 1 is subtracted in place: the cache no longer holds the probabilities."""
    dlogits = cache.p
    dlogits -= one_hot(cache)
    return dlogits * (dloss / cache.weight_sum)
