/** What a request's `response_format` and `tool_choice` make of an answer, as a grammar. */
import { ANY_OBJECT, type AnswerGrammar, jsonSchemaGrammar, type SchemaGrammar } from '../text/index.ts';
import type { ToolUse } from './answer.ts';
import { invalid } from './checks.ts';
import type { ChatCompletionRequest, ResponseFormat } from './types.ts';

/** Of a call whose tool is for the model to choose. */
const CALL_OPENING = '<tool_call>\n<function=';

/**
 * Undefined: the answer is free. With tools that the model may leave alone, it is a value in the format or begins with a
 * call; with one that has to come there is no room for a value, and the format says nothing.
 * @throws QwenError `invalid-request` that names the keyword
 */
export function answerGrammar(request: ChatCompletionRequest, tools: ToolUse | undefined): AnswerGrammar | undefined {
  const value = formatGrammar(request.response_format);
  if (value && request.ignore_eos) {
    throw invalid('ignore_eos', 'ignore_eos beside response_format is not supported: an answer in a format has an end');
  }
  const names = tools?.schemas.map(({ name }) => JSON.stringify(name)).join(' | ');
  const call = `${JSON.stringify(CALL_OPENING)} (${names}) ">\\n"`;
  if (tools?.opening) {
    if (tools.opening !== CALL_OPENING) return undefined;
    return { ebnf: `root ::= ${call}`, plainSpace: false, lengths: [], ends: 'call' };
  }
  if (!value || !tools) return value && { ...value, ends: 'value' };
  return {
    ...value,
    ebnf: `${value.ebnf.replace(/^root ::= /, 'value ::= ')}\nroot ::= value | ${call}`,
    ends: 'either',
  };
}

function formatGrammar(format: ResponseFormat | null | undefined): SchemaGrammar | undefined {
  if (!format || format.type === 'text') return undefined;
  const schema = format.type === 'json_schema' ? format.json_schema.schema : undefined;
  return jsonSchemaGrammar(schema ?? ANY_OBJECT, 'response_format.json_schema.schema');
}
