"""Networks of other people that surgery is tried on: every classifier family of torchvision, and of timm."""

TORCHVISION = (
    "alexnet", "vgg11", "vgg16", "vgg16_bn", "resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2",
    "densenet121", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "mnasnet0_5",
    "shufflenet_v2_x1_0", "squeezenet1_0", "squeezenet1_1", "googlenet", "inception_v3", "efficientnet_b0",
    "efficientnet_v2_s", "regnet_x_400mf", "regnet_y_400mf", "convnext_tiny", "swin_t", "vit_b_16",
)  # fmt: skip

# The first thirteen are of families that refuse timm's own output_stride.
TIMM = (
    "dla34", "dpn68", "ghostnet_100", "hrnet_w18_small", "inception_v3", "inception_v4",
    "inception_resnet_v2", "nasnetalarge", "pnasnet5large", "repghostnet_100", "starnet_s1", "vgg16_bn",
    "vovnet39a", "resnet50", "resnet50d", "seresnet50", "resnetv2_50", "resnetblur50", "tf_efficientnet_b0",
    "mobilenetv3_small_100", "regnety_004", "densenet121", "convnext_atto", "cspresnet50", "darknet53",
    "xception41", "res2net50_26w_4s", "resnest14d", "skresnet18", "ecaresnet26t", "gcresnet50t",
    "nf_resnet50", "rexnet_100", "selecsls42", "hardcorenas_a", "mixnet_s", "legacy_xception", "fbnetc_100",
    "repvgg_a0", "mobileone_s0", "fastvit_t8", "edgenext_xx_small", "mobilevit_xxs",
    "swin_tiny_patch4_window7_224", "vit_tiny_patch16_224",
)  # fmt: skip

NAMES = tuple(f"torchvision:{name}" for name in TORCHVISION) + tuple(f"timm:{name}" for name in TIMM)
