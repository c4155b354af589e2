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
