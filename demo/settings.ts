import type { StoreKind } from '../src/index.ts';
import { SAMPLING_PRESETS } from '../src/text/sampling.ts';
import type { ChatSampling, SendKey } from '../src/ui/qwen-chat.ts';

/** `card`: the model card's values, as the mode asks for; the others whatever the mode. */
export type SamplingChoice = 'card' | 'thinking' | 'standard' | 'greedy' | 'own';

/** A reader's own values, all of them. */
export type OwnSampling = Required<Omit<ChatSampling, 'max_tokens'>>;

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
  /** The model thinks before it answers, where the reader does not switch it. */
  thinking: boolean;
  sampling: SamplingChoice;
  own: OwnSampling;
  /** Most tokens of an answer; none: as many as the context has room for. */
  maxTokens?: number;
  /** System prompt. */
  system: string;
  /** Tokens; none: the engine's default. */
  contextLength?: number;
  sendKey: SendKey;
}

/** What resetting sets back. Addresses and what is stored are no settings, and stay. */
export type Preferences = Pick<
  Settings,
  'theme' | 'tools' | 'thinking' | 'sampling' | 'own' | 'maxTokens' | 'system' | 'contextLength' | 'sendKey'
>;

const KEY = 'qwen-webgpu-demo';
const RECENT = 5;
const preferences: Preferences = {
  theme: 'system',
  tools: false,
  thinking: true,
  sampling: 'card',
  own: requestValues(SAMPLING_PRESETS.thinking),
  maxTokens: undefined,
  system: '',
  contextLength: undefined,
  sendKey: 'enter',
};
const defaults: Settings = { ...preferences, store: 'indexeddb', recent: [], addresses: {}, towers: {} };

/** What the choice adds to a request. */
export function samplingOf({ sampling, own, maxTokens }: Settings): ChatSampling {
  const values: Record<SamplingChoice, ChatSampling> = {
    card: {},
    thinking: requestValues(SAMPLING_PRESETS.thinking),
    standard: requestValues(SAMPLING_PRESETS.standard),
    greedy: { temperature: 0, presence_penalty: 0 },
    own,
  };
  return { ...values[sampling], ...(maxTokens === undefined ? undefined : { max_tokens: maxTokens }) };
}

function requestValues(preset: (typeof SAMPLING_PRESETS)['thinking']): OwnSampling {
  const { temperature, topP, topK, minP, presencePenalty, repetitionPenalty } = preset;
  return {
    temperature,
    top_p: topP,
    top_k: topK,
    min_p: minP,
    presence_penalty: presencePenalty,
    repetition_penalty: repetitionPenalty,
  };
}

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

export function resetPreferences(): Settings {
  return saveSettings(preferences);
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
