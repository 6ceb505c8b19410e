import { QwenError, throwIfAborted } from '../errors.ts';
import { type ExpertResidency, type ExpertUsage, saveUsage, usageKey } from '../experts/index.ts';
import type { Gpu } from '../gpu/index.ts';
import { type CandidateList, PENALTY_CAPACITY } from '../kernels/candidates.ts';
import type { TextModel } from '../model/text-model.ts';
import {
  allowedOnly,
  type Candidates,
  countAllowed,
  type PenaltyList,
  PenaltyState,
  Sampler,
  type TokenMask,
} from '../text/index.ts';
import type { Weights } from '../weights/types.ts';
import { DraftPace } from './draft-pace.ts';
import type { ImageReader } from './image-reader.ts';
import { arithmeticOf } from './precision.ts';
import { StepRunner, type Verification } from './step-runner.ts';
import { traceAnswer } from './trace.ts';
import type {
  EngineStats,
  ExpertTraffic,
  GeneratedToken,
  GenerateOptions,
  MemoryPlan,
  ModelInfo,
  TokenLogprob,
  TokenModel,
  Trace,
  VisionLimits,
} from './types.ts';

/** The map of experts is made at most so often: every chunk of an answer carries figures. */
const MAP_INTERVAL_MS = 100;

const NO_PENALTIES: PenaltyList = { ids: new Uint32Array(), scale: new Float32Array(), shift: new Float32Array() };

/** The model as a token machine on one device: prompts in, tokens out. */
export class TextEngine implements TokenModel {
  readonly #runner: StepRunner;
  #lastPlaces = new Uint8Array();
  #placesAt = -Infinity;
  readonly #disposal = new AbortController();
  #stats = {
    prefillTokensPerSecond: 0,
    decodeTokensPerSecond: 0,
    timeToFirstTokenMs: 0,
    promptTokens: 0,
    reusedTokens: 0,
    completionTokens: 0,
    draftedTokens: 0,
    acceptedTokens: 0,
  };

  constructor(
    private readonly gpu: Gpu,
    private readonly model: TextModel,
    private readonly weights: Weights,
    readonly info: ModelInfo & { readonly plan: MemoryPlan },
    private readonly images: ImageReader,
    /** How often experts were used, to be kept for the next visit. */
    private readonly usage?: ExpertUsage,
  ) {
    this.#runner = new StepRunner(gpu, model, {
      contextLength: info.contextLength,
      ...arithmeticOf(info.precision, gpu),
      kv: info.kvCache,
      drafts: info.draftTokens,
      ahead: info.plan.stepsAhead,
      snapshotBytes: Number.isFinite(gpu.memoryBytes) ? info.plan.snapshotBytes : undefined,
    });
  }

  warmUp(): Promise<void> {
    return this.#runner.warmUp();
  }

  /**
   * Goes on loading while the model answers: experts into free slots, then what the store lacks. What fails there is no one
   * request's trouble: a request that wants the same bytes asks again, and is told.
   */
  loadOn(): void {
    const { experts } = this.model;
    const loading = async () => {
      await experts?.fill();
      await this.weights.download(this.#disposal.signal);
    };
    loading().catch((error: unknown) => {
      if (!this.#disposal.signal.aborted) console.warn(`${this.info.name}: loading in the background stopped:`, error);
    });
  }

  async *generate(
    promptIds: readonly number[],
    { maxTokens, sampling, stopIds, topLogprobs, mask, checkpoints, images = [], onVision }: GenerateOptions,
    signal?: AbortSignal,
  ): AsyncGenerator<GeneratedToken> {
    this.#checkPrompt(promptIds, 1);
    const runner = this.#runner;
    const start = performance.now();
    const check = () => throwIfAborted(signal);
    check();
    const sampler = new Sampler(sampling);
    const penalties = new PenaltyState(sampling, promptIds);
    const last = promptIds.length - 1;
    // Pictures first: whatever is wrong with one leaves the sequence as it is.
    const from = runner.prefix.match(promptIds, images);
    const placed = images.length > 0 ? await this.images.place(images, { from, signal, onVision }) : [];
    const reused = runner.resume(promptIds, placed);
    this.#stats.reusedTokens += reused;
    for (const checkpoint of checkpoints ?? [last]) {
      if (checkpoint < runner.state.position || checkpoint > last) continue;
      await runner.read(promptIds.slice(runner.state.position, checkpoint), check, signal);
      runner.prefix.keep();
    }
    await runner.read(promptIds.slice(runner.state.position, last), check, signal);

    let firstAt = 0;
    this.#stats.promptTokens += promptIds.length;
    const room = Math.min(maxTokens, this.info.contextLength - promptIds.length);
    const tokens = this.#decode(promptIds[last], { room, sampler, penalties, topLogprobs, mask, check, signal });
    for (let n = 0; n < room; n++) {
      const { value: token } = await tokens.next();
      const now = performance.now();
      if (n === 0) {
        firstAt = now;
        this.#stats.timeToFirstTokenMs = now - start;
        this.#stats.prefillTokensPerSecond = ((promptIds.length - reused) / (now - start)) * 1000;
      } else {
        this.#stats.decodeTokensPerSecond = (n / (now - firstAt)) * 1000;
      }
      this.#stats.completionTokens++;
      yield token;
      if (stopIds.has(token.id)) break;
    }
    if (this.usage) await saveUsage(usageKey(this.weights), this.usage);
  }

  /**
   * Tokens behind `last`, without end; `room` of them are wanted. A pass may verify drafts: then the token behind each is
   * sampled from its own row as it would be without drafts, with the same draws, and as long as it is the one that was
   * drafted the next row counts too. So drafts decide how many passes it takes, and nothing else. With a mask there are
   * none: which tokens may follow a draft is known only when the draft is.
   */
  async *#decode(
    last: number,
    {
      room,
      sampler,
      penalties,
      topLogprobs,
      mask,
      check,
      signal,
    }: {
      room: number;
      sampler: Sampler;
      penalties: PenaltyState;
      topLogprobs: number | undefined;
      mask: TokenMask | undefined;
      check: () => void;
      signal: AbortSignal | undefined;
    },
  ): AsyncGenerator<GeneratedToken, never> {
    const runner = this.#runner;
    const pace = new DraftPace(runner.drafts);
    // Of a list that changes with every token only the first row's is known before the drafts are judged.
    const all = penalties.isFixed;
    // Then the GPU knows which token comes, and need not wait for this side to say so.
    const goesAhead = runner.goesAhead && sampler.isGreedy && all && !isTooLong(penalties);
    let id = last;
    for (let left = room; ; ) {
      check();
      const allowed = await mask?.next();
      const pass = async (): Promise<Verification> => {
        if (mask) return { drafts: [], rows: [await runner.step([id], onGpu(penalties), signal, allowed)] };
        if (!goesAhead) return runner.verify(id, Math.min(pace.drafts, left - 1), onGpu(penalties), { all, signal });
        return { drafts: [], rows: [await runner.stepAhead(id, onGpu(penalties), { more: left > 1, signal })] };
      };
      const { drafts, rows } = await pass();
      this.#stats.draftedTokens += drafts.length;
      let row = 0;
      for (;;) {
        const found = rows[row] ?? (await runner.choose(row, onGpu(penalties)));
        const token = await this.#choose(found, row, sampler, penalties, topLogprobs, allowed);
        penalties.accept(token.id);
        mask?.accept(token.id);
        id = token.id;
        left--;
        const isRight = id === drafts[row];
        if (isRight) this.#stats.acceptedTokens++;
        // Whoever ends here leaves the sequence as without drafts: its last token is not read.
        yield token;
        if (!isRight) break;
        check();
        runner.accept(id);
        row++;
      }
      pace.passed(drafts.length, row);
    }
  }

  async #choose(
    found: CandidateList,
    row: number,
    sampler: Sampler,
    penalties: PenaltyState,
    topLogprobs: number | undefined,
    allowed: Uint32Array | undefined,
  ): Promise<GeneratedToken> {
    // The penalty list is longer than the kernel's: all logits, penalised here.
    const onCpu = isTooLong(penalties);
    let chosenFrom = onCpu
      ? await this.#allCandidates(found, row, allowed, penalties)
      : this.#candidates(found, allowed);
    let choice = sampler.sample(chosenFrom);
    if (choice === 'need-all') {
      chosenFrom = await this.#allCandidates(found, row, allowed);
      choice = sampler.sample(chosenFrom);
      if (choice === 'need-all') throw new Error('the sampler cannot choose from all logits');
    }
    if (topLogprobs === undefined) return choice;
    return { ...choice, ...logprobs(choice.id, chosenFrom, penalties, topLogprobs) };
  }

  #candidates(list: CandidateList, allowed: Uint32Array | undefined): Candidates {
    const { logSumExp } = list;
    const { ids, logits } = allowed ? allowedOnly(list.ids, list.logits, allowed) : list;
    let best = 0;
    for (let i = 1; i < ids.length; i++) {
      if (logits[i] > logits[best] || (logits[i] === logits[best] && ids[i] < ids[best])) best = i;
    }
    const vocabularySize = allowed ? countAllowed(allowed) : this.model.config.vocabulary;
    return { ids, logits, logSumExp, argmax: ids[best], vocabularySize, masked: allowed !== undefined };
  }

  async #allCandidates(
    { logSumExp }: CandidateList,
    row: number,
    allowed: Uint32Array | undefined,
    penalties?: PenaltyState,
  ): Promise<Candidates> {
    const logits = await this.#runner.lastLogits(row);
    if (penalties) for (const id of penalties.list().ids) logits[id] = penalties.apply(id, logits[id]);
    return this.#candidates({ ids: Uint32Array.from(logits.keys()), logits, logSumExp }, allowed);
  }

  async logits(
    ids: readonly number[],
    { all = false, images = [], signal }: Parameters<TokenModel['logits']>[1] = {},
  ): Promise<Float32Array> {
    this.#checkPrompt(ids, 0);
    const placed = await this.images.place(images, { signal });
    return this.#runner.logits(ids, all ? 0 : ids.length - 1, () => throwIfAborted(signal), placed, signal);
  }

  async trace(ids: readonly number[], tokens: number, signal?: AbortSignal): Promise<Trace> {
    this.#checkPrompt(ids, tokens);
    return traceAnswer(this.gpu, this.#runner, ids, tokens, signal);
  }

  #checkPrompt(ids: readonly number[], answer: number): void {
    this.gpu.assertAlive();
    if (ids.length === 0) throw new QwenError('invalid-request', 'The prompt is empty.', { param: 'prompt' });
    const bad = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= this.info.vocabularySize);
    if (bad !== undefined) {
      throw new QwenError('invalid-request', `Token ${bad} is not in the vocabulary of ${this.info.vocabularySize}.`, {
        param: 'prompt',
      });
    }
    if (ids.length + answer > this.info.contextLength) {
      throw new QwenError(
        'context-overflow',
        `The prompt has ${ids.length} tokens, but the context holds ${this.info.contextLength}${answer ? ', and the answer needs room too' : ''}. Shorten the conversation, or load the model with a larger contextLength.`,
        { param: 'messages' },
      );
    }
  }

  vision(signal?: AbortSignal): Promise<VisionLimits> {
    return this.images.limits(signal);
  }

  stats(): EngineStats {
    const { dispatches, readbackBytes, weightBytes } = this.#runner.stepCost;
    const { experts } = this.model;
    return {
      ...this.#stats,
      gpuBytes: this.gpu.bytes,
      peakGpuBytes: this.gpu.peakBytes,
      dispatchesPerToken: dispatches,
      readbackBytesPerToken: readbackBytes,
      weightBytesPerToken: weightBytes,
      expertSlots: experts?.slots ?? 0,
      expertHits: experts?.counts.hits ?? 0,
      expertMisses: experts?.counts.misses ?? 0,
      expertStallMs: experts?.counts.stallMs ?? 0,
      ...(experts && { experts: this.#places(experts), expertTraffic: trafficOf(experts) }),
      bytesFromNetwork: this.weights.networkBytes + this.images.networkBytes,
      bytesFromStore: this.weights.storeBytes + this.images.storeBytes,
      visionRuns: this.images.runs,
      visionCached: this.images.cached,
      visionMs: this.images.runMs,
    };
  }

  #places(experts: ExpertResidency): Uint8Array {
    const now = performance.now();
    if (now - this.#placesAt < MAP_INTERVAL_MS) return this.#lastPlaces;
    this.#placesAt = now;
    this.#lastPlaces = experts.places();
    return this.#lastPlaces;
  }

  async dispose(): Promise<void> {
    this.#disposal.abort();
    this.#runner.dispose();
    this.images.dispose();
    this.model.dispose();
    this.weights.close();
    this.gpu.dispose();
  }
}

function isTooLong(penalties: PenaltyState): boolean {
  return penalties.list().ids.length > PENALTY_CAPACITY;
}

/** The penalties that the kernel applies: all, or none where there are too many. */
function onGpu(penalties: PenaltyState): PenaltyList {
  return isTooLong(penalties) ? NO_PENALTIES : penalties.list();
}

function trafficOf({ resident, counts }: ExpertResidency): ExpertTraffic {
  const { slotBytes, storeBytes, networkBytes, predicted, predictedRight } = counts;
  return { resident, slotBytes, storeBytes, networkBytes, predicted, predictedRight };
}

/** Log probabilities under the model's own distribution: temperature 1, before penalties. */
function logprobs(
  id: number,
  { ids, logits, logSumExp }: Candidates,
  penalties: PenaltyState,
  count: number,
): Pick<GeneratedToken, 'logprob' | 'top'> {
  const all: TokenLogprob[] = Array.from(ids, (candidate, i) => ({
    id: candidate,
    logprob: penalties.invert(candidate, logits[i]) - logSumExp,
  }));
  const chosen = all.find((candidate) => candidate.id === id)!;
  all.sort((a, b) => b.logprob - a.logprob || a.id - b.id);
  return { logprob: chosen.logprob, top: all.slice(0, count) };
}
