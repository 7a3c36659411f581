// @ts-check
/** What every page does beyond its HTML: theme, keyboard, sharing, copying. */

import { wireCollecting } from "./collecting.js";
import { wireCopyButtons } from "./copy.js";
import { wireKeyboard } from "./keyboard.js";
import { showLeftWord } from "./left_word.js";
import { wirePlots } from "./plots.js";
import { wireShareBanner, wireShareDialog } from "./share.js";
import { wireSuggestions } from "./suggest.js";
import { wireTheme } from "./theme.js";

wireTheme();
wireSuggestions();
wireKeyboard();
wireCollecting();
wireCopyButtons();
wirePlots();
wireShareDialog();
wireShareBanner();
showLeftWord();
