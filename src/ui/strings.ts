/** Every word the chat element shows or speaks, in one table, ready to be translated. */
import type { QwenErrorCode } from '../errors.ts';
import { formatBytes, formatDuration, formatNumber } from './format.ts';

export const strings = {
  conversation: 'Conversation',
  you: 'You',
  assistant: 'Answer',

  // Composer
  message: 'Message',
  messagePlaceholder: 'Message…',
  waitingPlaceholder: 'You can write already; sending waits for the model.',
  send: 'Send',
  stop: 'Stop',
  stopHint: 'Stop (Esc)',
  thinking: 'Thinking',
  thinkingHint: 'Let the model think before it answers',
  editing: 'Editing a message. Sending makes another branch; what followed stays in the old one.',
  cancelEditing: 'Cancel editing (Esc)',
  privacy: 'Runs on this device. Nothing you write leaves it.',
  sentTo: (host: string) => `Answered by ${host}. What you write is sent there.`,
  endpointModel: 'Model',
  newChat: 'New chat',
  jumpToEnd: 'Jump to the end',

  // Attachments
  attach: 'Attach pictures or videos',
  camera: 'Take a picture',
  attachments: 'Attached',
  blind: (model: string) => `${model} cannot see: it was loaded without a vision tower.`,
  blindRemedy: 'Remove the attachments, or load the model with its mmproj file.',
  blindAttach: 'Load it with its mmproj file to attach pictures or videos.',
  dropHere: 'Drop pictures or videos to attach them',
  attached: (name: string) => `${name} is attached.`,
  removed: (name: string) => `${name} is removed.`,
  openLarge: (name: string) => `Show ${name} large`,
  lookingAtFile: 'Looking at the file…',
  frames: (count: number) => `${formatNumber(count)} frames`,
  costOf: (count: number, tokens: number, context: number) =>
    `${count === 1 ? 'It takes' : 'Together they take'} ${formatNumber(tokens)} of the context’s ${formatNumber(context)} tokens.`,
  costTooMuch: (tokens: number, context: number) =>
    `${formatNumber(tokens)} tokens do not fit into the context of ${formatNumber(context)}. Remove some, or attach smaller ones.`,
  dismiss: 'Dismiss',
  wrongType: (name: string) =>
    `${name} was not attached: it is neither a picture nor a video. PNG, JPEG, WebP, GIF, MP4 and WebM can be attached.`,
  emptyFile: (name: string) => `${name} was not attached: it is empty.`,
  tooMany: (name: string, most: number) =>
    `${name} was not attached: a message takes ${most} at most. Send the others with the next one.`,
  tooLarge: {
    image: (name: string, most: number) =>
      `${name} was not attached: it is larger than ${formatBytes(most)}. Make it smaller; the model sees some 16 megapixels at most.`,
    video: (name: string, most: number) =>
      `${name} was not attached: it is larger than ${formatBytes(most)}. Attach a shorter piece of it.`,
  },
  unreadable: {
    image: (name: string) =>
      `${name} was not attached: this browser cannot read it as a picture. It is damaged, or of another kind; save it as PNG or JPEG.`,
    video: (name: string) =>
      `${name} was not attached: this browser cannot play it. It is damaged, or of another kind; save it as MP4 (H.264) or WebM.`,
  },
  unnamed: { image: 'Picture', video: 'Video' },
  pasted: { image: 'Pasted picture', video: 'Pasted video' },
  unseen: 'The model could not read this, and is not shown it again.',

  // Large view
  largeView: 'Attachment',
  previous: 'Previous',
  next: 'Next',
  close: 'Close (Esc)',
  placeOf: (place: number, count: number) => `${place} of ${count}`,
  cannotShow: (name: string) => `${name} cannot be shown here.`,

  // Camera
  cameraTitle: 'Take a picture',
  cameraPreview: 'What the camera sees',
  cameraStarting: 'Waiting for the camera. The browser may ask whether this page may use it.',
  takePicture: 'Take picture',
  takenPicture: 'The picture just taken',
  pictureTaken: 'Picture taken.',
  retake: 'Take another',
  usePicture: 'Use picture',
  switchCamera: 'Other camera',
  cancel: 'Cancel',
  photoName: 'Photo.jpg',
  cameraErrors: {
    denied:
      'This page may not use the camera. Allow it in the browser’s settings for this page (the icon beside its address), then try again; or attach a picture as a file.',
    none: 'There is no camera here. Connect one and try again, or attach a picture as a file.',
    busy: 'The camera does not answer; another program may be using it. Close that one and try again.',
    ended: 'The camera was switched off or unplugged. Try again when it is back.',
    other: 'The camera gave no picture. Try again, or attach a picture as a file.',
  },

  // Messages
  reading: 'Reading…',
  preparing: {
    tower: (loaded: number, total: number) =>
      total > 0 ? `Loading the vision tower… ${Math.floor((100 * loaded) / total)} %` : 'Loading the vision tower…',
    download: (loaded: number, total: number) =>
      `Fetching the video… ${total > 0 ? `${formatBytes(loaded)} of ${formatBytes(total)}` : formatBytes(loaded)}`,
    vision: (done: number, total: number) =>
      total > 1 ? `Looking at the pictures… ${done} of ${total}` : 'Looking at the picture…',
  },
  readingFor: (ms: number) => `Reading… ${formatDuration(ms)}`,
  thinkingFor: (clock: string) => `Thinking… ${clock}`,
  thoughtFor: (ms: number) => `Thought for ${ms < 1000 ? 'a moment' : formatDuration(ms)}`,
  thoughtStopped: (ms: number) => `Thought for ${ms < 1000 ? 'a moment' : formatDuration(ms)}, then was stopped`,
  copy: 'Copy as Markdown',
  copyMessage: 'Copy message',
  copied: 'Copied',
  copyFailed: 'The browser did not allow copying. Select the text and copy it by hand.',
  regenerate: 'Answer again',
  edit: 'Edit message',
  answerThis: 'Answer this message',
  remove: (name: string) => `Remove ${name}`,
  removeMessage: 'Remove this message and what follows',
  removedMessage: 'The message is removed, with what followed it.',
  undo: 'Undo',
  broughtBack: 'The message is back.',
  goOn: 'Continue',
  branches: 'Branches',
  branchOf: (place: number, count: number) => `${place}/${count}`,
  branchSpoken: (place: number, count: number) => `Branch ${place} of ${count}`,
  previousBranch: 'Previous branch',
  nextBranch: 'Next branch',
  figures: 'Figures of this answer',
  model: 'Model',
  thinkingTime: 'Thought for',
  forgotten: 'The context was full: the model is not told what stands above this line any more.',
  remember: 'Tell it everything again',
  forgetEarliest: 'Leave out the earliest messages',
  largerContext: (tokens: number) => `Load again with a context of ${formatNumber(tokens)}`,
  stopped: 'Stopped.',
  stoppedEmpty: 'Stopped before the first word.',
  lengthReached: 'The answer was cut here: the limit of tokens, or the end of the context, was reached.',
  emptyAnswer: 'The model ended its answer without a word.',
  toolStates: {
    written: (name: string) => `Calling ${name}…`,
    running: (name: string) => `Running ${name}…`,
    done: (name: string) => `Used ${name}`,
    failed: (name: string) => `${name} failed`,
    'not-run': (name: string) => `${name} was not run`,
  },
  toolArguments: 'Given',
  toolResult: 'Result',
  toolLimit: 'Stopped here: the model used tools as many times in a row as it may.',
  misreadCall: 'The model meant to use a tool, but wrote the call in a form that cannot be read.',
  code: 'Code',
  plainText: 'text',
  copyCode: 'Copy code',
  preview: 'Preview',
  hidePreview: 'Hide preview',
  previewTitle: 'Preview of the code, without network and apart from this page',
  previewWaiting: 'The preview begins when the code is complete.',
  previewSize: 'Height of the preview',
  previewReload: 'Run again',
  fullScreen: 'Full screen',
  table: 'Table',
  formula: 'Formula',
  taskDone: 'Done:',
  taskOpen: 'Open:',
  image: 'Image',

  // Speech
  answerFinished: 'Answer finished.',
  codeBlock: (lines: number) => `Code block, ${lines} ${lines === 1 ? 'line' : 'lines'}.`,
  percentLoaded: (percent: number) => `${percent} percent loaded.`,
  modelReady: (name: string) => `${name} is ready.`,

  // Loading
  noModel: 'No model yet',
  noModelHint: 'Give this element the address of a GGUF file in its model attribute.',
  modelWaiting: 'The model is not loaded yet',
  load: 'Load model',
  loading: (name: string) => `Loading ${name}`,
  progress: 'Loading the model',
  phases: {
    start: 'Starting',
    header: 'Reading the file’s directory',
    weights: 'Moving weights to the GPU',
    compile: 'Preparing the GPU programs',
    ready: 'Ready',
  },
  downloading: 'Downloading, and moving weights to the GPU',
  bytesOf: (loaded: number, total: number) => `${formatBytes(loaded)} of ${formatBytes(total)}`,
  perSecond: (bytes: number) => `${formatBytes(bytes)}/s`,
  timeLeft: (seconds: number) => `${formatDuration(Math.max(1, Math.round(seconds)) * 1000)} left`,
  fromDevice: 'From this device, no download',
  partlyFromDevice: (stored: number, network: number) =>
    `${formatBytes(stored)} from this device, ${formatBytes(network)} downloaded`,
  stopLoading: 'Stop loading',
  loadingStopped: 'Loading stopped',
  loadingStoppedHint: 'What was already stored on this device stays; loading goes on from there.',
  continueLoading: 'Continue loading',
  readyTitle: (name: string) => `${name} is ready`,
  readyHint: 'It runs here, in this tab. Nothing you write leaves this device.',
  remoteHint: (host: string) => `It runs on ${host}. What you write is sent there.`,
  connecting: (host: string) => `Connecting to ${host}…`,
  modelFile: 'model file',

  // Statistics
  statistics: 'Statistics',
  statisticsOf: 'Statistics of the last answer',
  statisticsOfThis: 'Statistics of this answer',
  noStatistics: 'Figures appear after the first answer.',
  decodeRate: 'Answering',
  prefillRate: 'Reading',
  timeToFirstToken: 'First token after',
  promptTokens: 'Prompt',
  reusedTokens: 'Reused of it',
  completionTokens: 'Answer',
  drafts: 'Drafted ahead',
  draftsRight: (drafted: number, accepted: number, tokensPerPass: number) =>
    `${Math.round((100 * accepted) / drafted)} % of ${formatNumber(drafted)} right, ${tokensPerPass.toFixed(1)} tokens a pass`,
  media: 'Pictures',
  mediaRead: (anew: number, remembered: number) => {
    if (anew === 0) return 'from memory';
    return remembered === 0 ? 'read anew' : `${anew} read anew, ${remembered} from memory`;
  },
  tokens: (count: number) => `${formatNumber(count)} ${count === 1 ? 'token' : 'tokens'}`,

  // Map of experts
  map: {
    title: 'Where the model’s experts are',
    hint: 'A row for each layer, a cell for each expert. The arrow keys move from cell to cell.',
    roleDescription: 'map',
    legend: 'Legend',
    places: {
      remote: 'on the server',
      stored: 'on this device',
      resident: 'in GPU memory',
      inUse: 'in use',
    },
    shared: 'Left column: what all tokens share, always in GPU memory',
    point: 'Point at a cell to see which expert it is.',
    cell: (layer: number, expert: number, place: string, types: readonly string[], bytes: number, uses: number) =>
      [
        `Layer ${layer}, expert ${expert}: ${place}`,
        ...types,
        ...(bytes > 0 ? [`about ${formatBytes(bytes)}`] : []),
        uses === 0 ? 'not seen in use yet' : `seen in use ${uses === 1 ? 'once' : `${formatNumber(uses)} times`}`,
      ].join(', '),
    sharedCell: (layer: number) => `Layer ${layer}, what all tokens share: in GPU memory`,
    arriving: (experts: number) =>
      `You can chat already. ${experts === 1 ? 'One expert is' : `${formatNumber(experts)} experts are`} still on the way; those that an answer needs come first.`,
    table: 'As a table',
    layer: 'Layer',
    figures: 'Experts since loading',
    hitRate: 'Found in GPU memory',
    hitRateOf: (hits: number, wanted: number) =>
      wanted === 0
        ? '–'
        : `${formatNumber(Math.floor((1000 * hits) / wanted) / 10, 1)} % of ${formatNumber(wanted)} wanted`,
    slotBytes: 'Read from GPU memory',
    storeBytes: 'Waited for from this device',
    networkBytes: 'Waited for from the server',
    stalls: 'Waited',
    stallsOf: (misses: number, ms: number) =>
      misses === 0 ? 'never' : `${formatDuration(ms)} for ${formatNumber(misses)} experts`,
  },

  // Errors
  details: 'Details',
  retry: 'Try again',
  unknownError: 'Something went wrong',
  errorFacts: { code: 'Code', file: 'File', status: 'HTTP status', param: 'Field', cause: 'Cause' },
  loadAgain: 'Load the model again',
  loadFailedHint: 'The conversation is kept.',
  contextOverflow:
    'The model is told the whole conversation for every answer, and it no longer fits. Nothing is left out unless you say so; earlier messages stay here to read in any case.',
} as const;

/** What each kind of trouble is called; the error's own message says which file or setting, and the remedy. */
export const errorTitles: Record<QwenErrorCode, string> = {
  'not-found': 'The file is not there',
  'http-error': 'The server refused the file',
  network: 'The connection failed',
  cors: 'The server does not allow this page to read from it',
  'not-a-gguf': 'This is not a GGUF model',
  'unsupported-gguf': 'This model cannot be run here',
  'corrupt-gguf': 'The model file is damaged',
  truncated: 'The model file is incomplete',
  'file-changed': 'The file has changed',
  'missing-shard': 'A part of the model is missing',
  'permission-needed': 'The browser wants leave to read the file again',
  unauthorized: 'The server does not accept the key',
  'model-not-found': 'The server does not have this model',
  'endpoint-error': 'The server reported an error',
  'no-service-worker': 'Service workers cannot be used here',
  'quota-exceeded': 'There is no room left on this device',
  'store-unavailable': 'The browser’s storage cannot be used',
  'store-corrupt': 'Stored data is damaged',
  'no-webgpu': 'This browser has no WebGPU',
  'device-lost': 'The GPU stopped working',
  'out-of-memory': 'The GPU ran out of memory',
  'device-limit': 'This GPU is too small for the model',
  shader: 'A GPU program failed to compile',
  'worker-crashed': 'The model’s worker stopped working',
  'invalid-request': 'The request was refused',
  'context-overflow': 'The conversation is longer than the model’s context',
  'no-vision': 'This model cannot see images',
  'bad-image': 'This is not an image that can be read',
  'bad-video': 'This is not a video that can be played here',
  disposed: 'The model has been unloaded',
};
