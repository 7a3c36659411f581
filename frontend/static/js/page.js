// @ts-check
/** What every page does beyond its HTML: theme, keyboard, sharing, copying. */

import { wireCopyButtons } from "./copy.js";
import { wireKeyboard } from "./keyboard.js";
import { wireShareBanner, wireShareDialog } from "./share.js";
import { wireTheme } from "./theme.js";

wireTheme();
wireKeyboard();
wireCopyButtons();
wireShareDialog();
wireShareBanner();
