// The losses: how each is explained, both ways, by its kind. A step of a kind that stands here is a loss.

import { FOCAL_LOSS } from "./explain_focal.js";
import { GIOU } from "./explain_giou.js";
import { CROSS_ENTROPY } from "./explain_loss.js";
import { PIXEL_CROSS_ENTROPY } from "./explain_pixel_loss.js";
import { SMOOTH_L1 } from "./explain_smooth_l1.js";

export const LOSSES = { ...CROSS_ENTROPY, ...PIXEL_CROSS_ENTROPY, ...FOCAL_LOSS, ...SMOOTH_L1, ...GIOU };
