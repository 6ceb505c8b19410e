/** Text to tokens and back, conversations to prompts, logits to a choice. Knows no GPU. */
export {
  ChatTemplate,
  type RenderedPrompt,
  type TemplateInput,
  type TemplateMessage,
  type UnfinishedAnswer,
} from './chat-template.ts';
export { Detokenizer, decode } from './detokenizer.ts';
export { type PenaltyList, PenaltyState } from './penalties.ts';
export { Random, randomSeed } from './random.ts';
export { type AnswerPart, ReasoningSplitter } from './reasoning.ts';
export { type Candidates, type Choice, Sampler } from './sampler.ts';
export { isGreedy, SAMPLING_PRESETS, type SamplingMode, type SamplingRequest, samplingSettings } from './sampling.ts';
export { StopStrings } from './stop-strings.ts';
export { type SpecialTokens, Tokenizer } from './tokenizer.ts';
export { type ToolCallDelta, ToolCallParser, type ToolCallPart, type ToolSchema } from './tool-calls.ts';
