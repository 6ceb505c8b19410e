/** Every word of the page around the chat, in one table. */
import { formatBytes, formatNumber } from '../src/ui/format.ts';

export const strings = {
  title: 'Qwen in this tab',
  newChat: 'New chat',
  menu: 'Menu',
  close: 'Close',
  models: 'Models',
  chooseModel: 'Choose a model…',
  onThisDevice: 'On this device',
  storage: 'Storage',
  storageUsed: (bytes: number) => `Storage ${formatBytes(bytes)}`,
  tools: 'Calculator and clock',
  toolsHint: 'Let the model compute and tell the time. It reads some 400 tokens more before each chat.',
  readableFiles: 'Files that the model may read',
  readableFilesHint:
    'Text files, picked for this visit. The model is told their names, and reads from them when it wants to.',
  addReadable: 'Add files…',
  remove: 'Remove',
  removeReadable: (name: string) => `Remove ${name}`,
  theme: 'Colours',
  themes: { light: 'Light', dark: 'Dark', system: 'System' },

  // Settings
  settingsTitle: 'Settings',
  settings: {
    answers: 'Answers',
    thinking: 'Think before answering',
    thinkingHint: 'Slower, and better at anything with steps. The switch beside the message decides for the next one.',
    system: 'System prompt',
    systemHint:
      'What the model is told before each conversation: who it is, how it should answer, what it should know.',
    maxTokens: 'Longest answer, in tokens',
    maxTokensHint: 'Thoughts count too. An answer that is cut there can be gone on with.',
    noLimit: 'no limit',
    contextLength: 'Context, in tokens',
    contextLengthHint:
      'How much of a conversation the model can read. Left empty, up to 32,768. More takes more GPU memory; it holds from the next time a model is loaded.',
    engineDefault: 'default',
    sampling: 'Sampling',
    samplingChoice: 'How the next word is chosen',
    samplings: {
      card: {
        name: 'As the model card says',
        text: 'The values that the model’s makers recommend, those for thinking or those without, as the mode is.',
      },
      thinking: {
        name: 'Model card, for thinking',
        text: 'Temperature 0.6, top-p 0.95, top-k 20: also where the model does not think. Steady, for code and facts.',
      },
      standard: {
        name: 'Model card, without thinking',
        text: 'Temperature 0.7, top-p 0.8, top-k 20, presence penalty 1.5: also where the model thinks. Livelier, seldom repeats itself.',
      },
      greedy: {
        name: 'Always the likeliest',
        text: 'Temperature 0: the same question gets the same answer. Long answers may fall into a loop.',
      },
      own: { name: 'My own values', text: 'All of them as you set them, whatever the mode.' },
    },
    own: {
      temperature: ['Temperature', 'Higher is more surprising, 0 always takes the likeliest word.'],
      top_p: ['Top-p', 'Only the likeliest words that together have this probability; 1 is all.'],
      top_k: ['Top-k', 'Only so many of the likeliest words; 0 is all.'],
      min_p: ['Min-p', 'Only words at least this likely, measured against the likeliest; 0 is all.'],
      presence_penalty: ['Presence penalty', 'Makes words that were used already less likely; 0 does nothing.'],
      repetition_penalty: ['Repetition penalty', 'The same by a factor, for the question’s words too; 1 does nothing.'],
    },
    outOfRange: (min: number, max: number) =>
      `It takes a number from ${min} to ${formatNumber(max)}; what was set before holds.`,
    page: 'This page',
    themeHint: 'System follows the light or dark mode of this device.',
    sendKey: 'What sends a message',
    sendKeys: { enter: 'Enter', 'ctrl-enter': 'Ctrl + Enter, or ⌘ + Enter' },
    sendKeyHint: 'Shift + Enter always begins a new line. On a touch screen the button sends.',
    reset: 'Back to the defaults',
    reallyReset: 'Really reset?',
    resetHint: 'Sets all of this back. Conversations, models and their addresses stay.',
  },

  // Conversations
  conversations: 'Conversations',
  searchConversations: 'Search conversations',
  noneFound: 'Nothing found.',
  noConversations: 'Conversations are kept here, on this device.',
  untitled: 'New conversation',
  copyOfTitle: (title: string) => `${title} (from another tab)`,
  moreFor: (title: string) => `Rename, save or delete ${title}`,
  rename: 'Rename',
  newTitle: 'New title',
  saveMarkdown: 'Save as Markdown',
  saveJson: 'Save as JSON',
  deletedConversation: (title: string) => `“${title}” is deleted.`,
  undo: 'Undo',
  filesOfConversations: 'Export and import…',
  saveAllMarkdown: 'Save all as Markdown',
  saveAllJson: 'Save all as JSON',
  saveAllHint:
    'JSON gives back everything, with pictures and other branches. Markdown is for reading, and can be opened here again too.',
  openConversations: 'Open files…',
  openConversationsHint: 'JSON or Markdown that was saved here. What is open and kept already stays.',
  opened: (count: number) => `${count} ${count === 1 ? 'conversation is' : 'conversations are'} here now.`,
  notConversations: (name: string) => `${name} holds no conversations that were saved here.`,
  damagedFile: (name: string) => `${name} is damaged, or was changed: it cannot be read.`,
  newerFile: (name: string) => `${name} was written by a newer version of this page. Reload the page to get it.`,
  keepingFailed: {
    full: 'There is no room left on this device to keep this conversation. It stays here until you close the page: save it to a file, or delete models or conversations.',
    failed: (reason: string) =>
      `This browser does not keep conversations here (${reason}). This one stays until you close the page: save it to a file if you need it.`,
  },
  speakers: { user: 'You', assistant: 'Answer', tool: 'Result of a tool' },
  thoughts: 'Thoughts',
  unnamedMedia: 'Attachment',

  // Status line
  noModel: 'No model',
  loading: (name: string, percent?: number) => `Loading ${name}${percent === undefined ? '' : ` · ${percent} %`}`,
  loadFailed: (name: string) => `${name} could not be loaded`,
  loadStopped: (name: string) => `${name} is not loaded`,
  resident: (percent: number) => `${percent} % resident`,
  arriving: 'Experts on their way',
  showStatistics: 'Show statistics',

  // Before the first message
  tinyReady: 'The tiny model is ready',
  tinyHint:
    'Seven million weights with a narrow domain, trained for this page alone: small talk, this project, sums to two digits, what you tell it, tools, and pictures of simple shapes. For anything else choose a published Qwen 3.5.',
  suggestionsTitle: 'Things to say',
  suggestions: ['What is this project?', 'What is 27 + 48?', 'My name is Tara.'],
  noModelHint: 'Choose a model to talk to. It runs in this tab; nothing you write leaves this device.',

  // Models
  modelsTitle: 'Choose a model',
  tinyModel: 'Tiny model, ships with this page',
  load: 'Load',
  fromAddress: 'From an address',
  address: 'Address of a GGUF file',
  addressExample: 'https://host/path/Qwen3.5-9B-Q4_K_M.gguf',
  addressHint:
    'Any server that allows this page to read from it (CORS). Of a model in several files, give the first; the others are found by name.',
  tower: 'Vision tower (mmproj), if it is to see pictures',
  addressInvalid: 'This is not an address. It should look like https://host/path/model.gguf.',
  recent: 'Used before',
  fromFiles: 'From files on this device',
  chooseFiles: 'Choose files…',
  filesHint:
    'Or drop them anywhere on the page. Of a model in several files, take all of them; with its mmproj file it sees pictures.',
  pickedEarlier: 'Files picked earlier',
  pickedEarlierHint: 'They are read where they lie, without a copy. The browser may ask once more.',
  pickedNames: (first: string, more: number) =>
    more > 0 ? `${first} and ${more} more ${more === 1 ? 'file' : 'files'}` : first,
  loadNamed: (name: string) => `Load ${name}`,
  forget: 'Forget',
  forgetNamed: (name: string) => `Forget ${name}`,
  notAllowed: (name: string) =>
    `The browser was not allowed to read ${name}. Press Load once more and allow it, or choose the file again.`,
  notRemembered: (reason: string) => `The files are loaded, but will not be remembered. ${reason}`,
  dropHere: 'Drop GGUF files to load them',
  published: 'The published Qwen 3.5 models',
  publishedHint: 'Sizes are for 4-bit files. This page knows no download address: give the one of the file you trust.',
  giveAddress: 'Address…',
  denseKind: (layers: number) => `dense, ${layers} layers`,
  sparseKind: (experts: number, used: number) => `${experts} experts a layer, ${used} used at a time`,
  downloadOf: (bytes: number) => `about ${formatBytes(bytes)} to download`,
  verdicts: {
    fits: 'Fits',
    likely: 'Should fit',
    unknown: 'Cannot be told',
    'too-large': 'Too large',
  },
  needsOfStated: (need: string, stated: string) => `Needs about ${need} of the ${stated} you stated.`,
  needsOfAtLeast: (need: string, has: string, atLeast: boolean) =>
    `Needs about ${need}; this device has ${atLeast ? 'at least' : 'about'} ${has}.`,
  needsOfAbout: (need: string, has: string) => `Needs about ${need}; this device has about ${has}.`,
  needsMore: (need: string, has: string) =>
    `Needs about ${need}. The browser tells only that this device has ${has} or more.`,
  needsUntold: (need: string) => `Needs about ${need}. The browser does not tell how much memory there is.`,
  storageShort: (free: number) => `Too large to be stored: the browser grants ${formatBytes(free)}.`,
  statedMemory: 'Memory the GPU can use, in GB, if you know it',
  softwareGpu:
    'WebGPU is imitated by the processor here: small models answer slowly, large ones are out of the question.',
  howKnown: 'How do you know?',
  howKnownText: [
    'The download is computed from each model’s published shape: 4.5 bits a weight (Q4_K) in the layers, 6.6 bits (Q6_K) in the token tables. Real files differ by a tenth or so.',
    'The memory is that, plus keys, values and states for 32,768 tokens of context, plus 0.4 GB of working space, with all experts resident.',
    'No browser tells how much memory a GPU has. “Should fit” means that it takes less than half of the memory the browser admits to, which it rounds and caps. A GPU with memory of its own may have less than that. If you know better, state it above: on Apple silicon about three quarters of the machine’s memory, on a graphics card what is printed on its box.',
  ],
  facts: {
    adapter: 'GPU',
    maxBuffer: 'Largest buffer',
    maxBinding: 'Largest part a program can see',
    memory: 'Memory (rounded and capped by the browser)',
    freeStorage: 'Room for storing',
    untold: 'not told',
  },
  largeTensors: 'Larger tensors are split over several buffers, so these two limits exclude no model.',
  unnamedGpu: 'not named by the browser',

  // Storage
  storageTitle: 'Stored on this device',
  storageEmpty: 'Nothing is stored yet. Downloaded models are kept here, so that they need to come only once.',
  storageFree: (free: number) => `The browser grants ${formatBytes(free)} more.`,
  storedWhole: (bytes: number) => formatBytes(bytes),
  storedPart: (stored: number, whole: number) => `${formatBytes(stored)} of ${formatBytes(whole)}`,
  storedInAll: (bytes: string, files: number) => `${bytes} in ${files} files.`,
  verify: 'Check',
  verifyHint:
    'Reads it through and compares it with what was written down when it was stored. What is damaged is fetched again.',
  verifyNamed: (name: string) => `Check ${name}`,
  resume: 'Resume',
  resumeNamed: (name: string) => `Resume the download of ${name}`,
  stopWork: { verify: 'Stop', download: 'Pause' },
  stopNamed: {
    verify: (name: string) => `Stop checking ${name}`,
    download: (name: string) => `Pause the download of ${name}`,
  },
  workNamed: {
    verify: (name: string) => `Checking ${name}`,
    download: (name: string) => `Downloading ${name}`,
  },
  intact: 'Checked: all of it is as it was stored.',
  repaired: 'Some of it was damaged. That was fetched again, and is right now.',
  downloaded: 'All of it is here now.',
  storeChoice: 'Where models are kept',
  storeChoiceHint: 'For models that come from now on. What is stored already stays where it is.',
  stores: {
    indexeddb: {
      name: 'IndexedDB',
      text: 'The browser’s database: works everywhere, and several tabs may use a model at once.',
    },
    opfs: {
      name: 'Private file system',
      text: 'Files that only this page sees (OPFS): faster for large models, one tab at a time.',
    },
  },
  delete: 'Delete',
  deleteNamed: (name: string) => `Delete ${name}`,
  deleteAll: 'Delete everything',
  reallyDelete: 'Really delete?',
  storageFailed: 'The browser’s storage cannot be read',

  // Statistics
  statistics: 'Statistics',
  statisticsNone: 'Load a model to see its figures.',
  model: 'Model',
  lastAnswer: 'Last answer',
  sinceLoading: 'Since loading',
  figures: {
    architecture: 'Architecture',
    parameters: 'Parameters',
    layers: 'Layers',
    context: 'Context',
    file: 'File',
    quantization: 'Mostly',
    adapter: 'GPU',
    precision: 'Arithmetic',
    kvCache: 'Keys and values',
    decode: 'Answering',
    prefill: 'Reading',
    firstToken: 'First token after',
    prompt: 'Prompt',
    reused: 'Reused of it',
    answer: 'Answer',
    gpuMemory: 'GPU memory',
    peakGpuMemory: 'Most GPU memory',
    dispatches: 'Dispatches a token',
    readback: 'Read back a token',
    weightBytes: 'Weights read a token',
    visionRuns: 'Pictures read',
    network: 'From the network',
    store: 'From this device',
  },
  tokens: (count: number) => `${formatNumber(count)} ${count === 1 ? 'token' : 'tokens'}`,

  trace: {
    title: 'Where the time goes',
    hint: 'Lets the model go on with a sentence of its own, and times every step of the GPU. The next message is read from its start again.',
    start: 'Trace one answer',
    running: 'Tracing…',
    prompt: 'The quick brown fox jumps over the lazy dog, and then',
    failed: (reason: string) => `It could not be traced. ${reason}`,
    summary: (ms: number, dispatches: number, tokens: number) =>
      `${formatNumber(ms, 1)} ms a token in ${formatNumber(dispatches)} dispatches, mean of ${tokens}.`,
    wholePasses: 'This browser times no single dispatches: figures are of whole passes, by the clock.',
    caption: 'Kernels of one token, the slowest first',
    timeline: 'One token, dispatch after dispatch; the table below has the figures',
    bar: (name: string, ms: number) => `${name}: ${formatNumber(ms, 2)} ms`,
    columns: { kernel: 'Kernel', dispatches: 'Runs', ms: 'ms', share: 'Share', bytes: 'Bytes', rate: 'GB/s' },
  },

  // Several tabs
  inOtherTab: 'in another tab',
  viaOtherTab:
    'The model runs in another tab of this page, which answers for this one too. If that is closed, this one loads it.',
  otherTabHas: (name: string) => `${name} runs in another tab`,
  otherTabLoads: (name: string) => `Another tab loads ${name}`,
  otherTabHint: 'One tab at a time has the GPU. It can answer for this one too, or make way for a model here.',
  askOtherTab: 'Ask that one',
  loadHere: 'Load here instead',
  takingOver: 'The other tab makes way…',

  // Offline
  newerVersion: 'A newer version of this page is here. What you have said stays.',
  reload: 'Reload',
  worksOffline: 'This page and the models stored here also work without a network.',

  // No WebGPU
  noWebGpu: {
    insecure: {
      title: 'WebGPU needs a secure page',
      text: 'Browsers allow it only over https or from this very computer. Open this page at an https address, or at localhost.',
    },
    missing: {
      title: 'This browser has no WebGPU',
      text: 'Models run here on the graphics processor, and that takes WebGPU. It is in current versions of Chrome and Edge, in Safari 26 and in Firefox 141 on Windows. On Linux, Chrome may want chrome://flags/#enable-unsafe-webgpu.',
    },
    'no-adapter': {
      title: 'This browser offers no graphics processor',
      text: 'It knows WebGPU but gives this page no adapter. Hardware acceleration may be switched off in its settings, or the driver may be on its block list: chrome://gpu tells which. Restarting the browser helps after the GPU crashed.',
    },
  },
  tryAgain: 'Try again',
} as const;
