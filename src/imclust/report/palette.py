"""Colours for clusters, told apart also where there are many of them."""

# Okabe and Ito's palette, told apart by colour-blind readers too.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
# 56 more, each as far from all before it as can be in CAM02-UCS (Glasbey et al. 2007), computed
# once by `glasbey.extend_palette(PALETTE, palette_size=64, lightness_bounds=(20, 85))`, 0.4.0.
MANY = (
    *PALETTE,
    *("#690C82", "#4D4500", "#820018", "#59FFDB", "#EBDBDB", "#9E69FF", "#655D65", "#7D8600"),
    *("#9E9A8A", "#5DD759", "#005145", "#DFAEFF", "#3D24BA", "#AE2082", "#FF9E8E", "#006D14"),
    *("#B6E7FF", "#8A4D28", "#757DA6", "#D24155", "#7DBEB6", "#C2E7AE", "#314561", "#8A559E"),
    *("#617555", "#007D82", "#61313D", "#DB6DF7", "#A6B25D", "#FFB2DB", "#5D8AFF", "#B67565"),
    *("#FFCE8A", "#B2B6C6", "#31A62D", "#6159CA", "#A26D04", "#00E3F3", "#965161", "#494135"),
    *("#FF6D8A", "#719292", "#9EAEFF", "#790059", "#594582", "#00D79E", "#AE3118", "#96798A"),
    *("#CEAAAE", "#CEA26D", "#AEF769", "#C245BE", "#00AAB6", "#DFDBFF", "#FF8635", "#AA8EC2"),
)
# Of clusters and their groups, on light and on dark ground: the first eight after Okabe and Ito,
# the others as far from all before and from each other as glasbey 0.4.0 finds them; on dark ground
# each in the number whose hue is nearest in the light.
ON_LIGHT = (
    *("#0072b2", "#d98f00", "#009e73", "#c0649a", "#d55e00", "#46a8dc", "#7a6a00", "#4d4d4d"),
    *("#7900c2", "#82c200", "#a679ff", "#8e086d", "#a6ae8e", "#006128", "#863900", "#7d7992"),
    *("#ff65ff", "#bea2ca", "#9e755d", "#4131e3", "#3d8e00", "#006d6d", "#ba2ddf", "#24c6be"),
)
ON_DARK = (
    *("#4aa8e8", "#f0b030", "#2cc39a", "#e39bc4", "#f07a3a", "#9bd6f7", "#e8de5a", "#c9c9c9"),
    *("#d2c2ff", "#a6ff49", "#a29ab6", "#ffd2ef", "#aad79a", "#00e775", "#ffc2a2", "#8ea69a"),
    *("#ef51ef", "#be9682", "#a2a255", "#00c2ce", "#71b200", "#79ffce", "#b286ff", "#00f7ff"),
)
