import type { StoreKind } from '../src/index.ts';

/**
 * What the page remembers between visits. In localStorage, not IndexedDB: it is a few words, and the theme must be known
 * before the first paint.
 */
export interface Settings {
  /** Where models are kept that are not stored yet. */
  store: Exclude<StoreKind, 'none'>;
  theme: 'light' | 'dark' | 'system';
  /** Addresses that were loaded, latest first. */
  recent: string[];
  /** Address given for a published size, by its name. */
  addresses: Record<string, string>;
  /** Address of the vision tower that a model was loaded with, by the model's address. */
  towers: Record<string, string>;
  /** GPU memory as stated by the reader, in GB. */
  memoryGb?: number;
  /** The model may use the page's tools. Off at first: their description is some 400 tokens that every chat begins with. */
  tools: boolean;
}

const KEY = 'qwen-webgpu-demo';
const RECENT = 5;
const defaults: Settings = { store: 'indexeddb', theme: 'system', recent: [], addresses: {}, towers: {}, tools: false };

export function readSettings(): Settings {
  try {
    return { ...defaults, ...(JSON.parse(localStorage.getItem(KEY) ?? '{}') as Partial<Settings>) };
  } catch {
    return { ...defaults }; // Storage is forbidden here, or holds something else.
  }
}

export function saveSettings(changes: Partial<Settings>): Settings {
  const settings = { ...readSettings(), ...changes };
  try {
    localStorage.setItem(KEY, JSON.stringify(settings));
  } catch {
    // Forbidden: the page works, and forgets.
  }
  return settings;
}

export function rememberAddress(url: string): Settings {
  const { recent } = readSettings();
  return saveSettings({ recent: [url, ...recent.filter((each) => each !== url)].slice(0, RECENT) });
}

/** Only of the models that are remembered themselves. */
export function rememberTower(model: string, tower: string | undefined): Settings {
  const { towers, recent, addresses } = readSettings();
  const known = new Set([...recent, ...Object.values(addresses)]);
  const kept = Object.entries(towers).filter(([url]) => known.has(url) && url !== model);
  return saveSettings({ towers: Object.fromEntries(tower ? [...kept, [model, tower]] : kept) });
}

/**
 * The page's scheme decides for the chat element too: it follows `color-scheme`. Set by attribute, not as a style: where
 * the style sheet is built for browsers without `light-dark()`, its replacement only sees the sheet's own rules.
 */
export function applyTheme(theme: Settings['theme']): void {
  document.documentElement.dataset.theme = theme;
}
