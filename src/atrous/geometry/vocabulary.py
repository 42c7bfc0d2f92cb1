"""The operators of PyTorch that the tracer knows, and the rule for each; elementwise ones need no entry."""

from atrous.geometry import mixing, operators, resampling
from atrous.geometry.operators import Rule

RULES: dict[str, Rule] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), operators.convolution),
    **dict.fromkeys(
        ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), operators.transposed_convolution
    ),
    **{
        f"{kind}_pool{rank}d{suffix}": operators.pool
        for kind, suffixes in (("max", ("", "_with_indices")), ("avg", ("",)), ("lp", ("",)))
        for rank in (1, 2, 3)
        for suffix in suffixes
    },
    **{
        f"adaptive_{kind}_pool{rank}d": operators.adaptive_pool
        for kind in ("avg", "max")
        for rank in (1, 2, 3)
    },
    **dict.fromkeys(("pad", "constant_pad_nd"), operators.pad),
    **{f"{kind}_pad{rank}d": operators.pad for kind in ("reflection", "replication") for rank in (1, 2, 3)},
    "slice": operators.slice_axis,
    **{
        f"{prefix}upsample_{mode}{suffix}": resampling.resample
        for prefix, suffix in (("", ""), ("_", "_aa"))
        for mode in ("linear1d", "bilinear2d", "trilinear3d", "bicubic2d", "lanczos2d")
    },
    **{
        f"{prefix}{rank}d": resampling.resample
        for prefix in ("upsample_nearest", "_upsample_nearest_exact")
        for rank in (1, 2, 3)
    },
    "pixel_shuffle": resampling.pixel_shuffle,
    "pixel_unshuffle": resampling.pixel_unshuffle,
    "to_phases": resampling.to_phases,  # atrous.surgery's own
    "from_phases": resampling.from_phases,
    **dict.fromkeys(
        ("view", "reshape", "_unsafe_view", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as",
         "reshape_as"),
        mixing.reshaped,
    ),
    "permute": mixing.permuted,
    **dict.fromkeys(("movedim", "moveaxis"), mixing.moved),
    **dict.fromkeys(("transpose", "swapaxes", "t", "numpy_T", "adjoint", "mT"), mixing.transposed),
    **dict.fromkeys(  # elementwise, though PyTorch does not tag them so
        ("expand", "expand_as", "broadcast_to", "hardswish", "log_sigmoid", "where", "rsub", "floor_divide",
         "__and__", "__or__", "__xor__", "fill", "zero", "copy", "bernoulli"),
        mixing.pointwise,
    ),
    **dict.fromkeys(
        ("mean", "sum", "prod", "amax", "amin", "max", "min", "var", "std", "norm", "any", "all", "argmax",
         "argmin", "logsumexp", "linalg_vector_norm", "var_mean", "std_mean", "median", "count_nonzero"),
        mixing.reduced,
    ),
    **dict.fromkeys(
        ("softmax", "log_softmax", "_softmax", "cumsum", "cumprod", "sort", "flip", "roll", "topk", "glu"),
        mixing.mixed_along,
    ),
    **dict.fromkeys(
        ("batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm", "local_response_norm"),
        mixing.normalized,
    ),
    "cat": mixing.concatenated,
    "stack": mixing.stacked,
    **dict.fromkeys(("split", "split_with_sizes", "chunk", "tensor_split"), mixing.split),
    **dict.fromkeys(("select", "unbind"), mixing.selected),
    **dict.fromkeys(("index", "index_select"), mixing.indexed),
    **dict.fromkeys(
        ("linear", "matmul", "bmm", "mm", "mv", "addmm", "baddbmm", "einsum"), mixing.contracted
    ),
    "scaled_dot_product_attention": mixing.attention,
    **dict.fromkeys(
        ("grid_sampler", "grid_sampler_2d", "grid_sampler_3d", "deform_conv2d", "fft_fft2", "fft_rfft2",
         "fft_irfft2", "fft_ifft2"),
        mixing.anywhere,
    ),
    **dict.fromkeys(
        ("dropout", "feature_dropout", "alpha_dropout", "native_dropout", "clone", "contiguous", "to",
         "_to_copy", "alias", "detach", "lift_fresh_copy", "type_as", "prelu", "rrelu", "channel_shuffle",
         "native_channel_shuffle"),
        mixing.same,
    ),
}  # fmt: skip

# Results that depend on the shape of their argument only, or on nothing.
CONSTANT = frozenset(
    {"zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "new_zeros", "new_ones",
     "new_full", "new_empty", "sym_size", "size", "numel", "_assert_tensor_metadata", "_assert_scalar"}
)  # fmt: skip
