/** The clients that existing code uses, as one script for a page. */
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, generateObject, generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai';
import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';

const ai = {
  APICallError,
  createOpenAICompatible,
  generateObject,
  generateText,
  jsonSchema,
  stepCountIs,
  streamText,
  tool,
};

/** What the model is asked for in the tests of structured output; some ten tokens. */
const Shape = z.object({
  color: z.enum(['red', 'green', 'blue']),
  corners: z.number().int().min(0).max(9),
});

declare global {
  var clients: {
    OpenAI: typeof OpenAI;
    ai: typeof ai;
    zodResponseFormat: typeof zodResponseFormat;
    Shape: typeof Shape;
  };
}

globalThis.clients = { OpenAI, ai, zodResponseFormat, Shape };
