// @ts-check
/** What every page does beyond its HTML: theme, keyboard, sharing, copying. */

import { wireCollecting } from "./collecting.js";
import { wireCopyButtons } from "./copy.js";
import { wireKeyboard } from "./keyboard.js";
import { wireShareBanner, wireShareDialog } from "./share.js";
import { wireTheme } from "./theme.js";

wireTheme();
wireKeyboard();
wireCollecting();
wireCopyButtons();
wireShareDialog();
wireShareBanner();
