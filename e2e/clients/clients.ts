/** The clients that existing code uses, as one script for a page. */
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai';
import OpenAI from 'openai';

const ai = { APICallError, createOpenAICompatible, generateText, jsonSchema, stepCountIs, streamText, tool };

declare global {
  var clients: { OpenAI: typeof OpenAI; ai: typeof ai };
}

globalThis.clients = { OpenAI, ai };
