// The page's own words in the reader's language.

import { EN } from "./words_en.js";
import { ZH } from "./words_zh.js";

export const PAGE_WORDS = { en: EN, zh: ZH };

/** A sentence with its {values} put in. */
export function filled(text, values = {}) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
}

/** The page's word for `key`. */
export function say(language, key, values) {
  return filled((PAGE_WORDS[language] ?? EN)[key], values);
}

/** "from three terms". */
export function fromTerms(language, count) {
  if (count < 2) return say(language, count ? "from_one" : "from_none");
  return say(language, "from", { count: PAGE_WORDS[language].counts[count] ?? count });
}
