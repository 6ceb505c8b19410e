/** `tools/openai-server.mjs` as a process of its own, as its users start it. */
import { spawn } from 'node:child_process';

export interface OpenAiServer {
  /** With `/v1`. */
  readonly url: string;
  stop(): Promise<void>;
}

/** Resolves when the model is loaded and the server listens. @throws Error with what the process said, if it ends before. */
export async function startOpenAiServer(...args: string[]): Promise<OpenAiServer> {
  const child = spawn(process.execPath, ['tools/openai-server.mjs', ...args, '--port', '0'], { stdio: 'pipe' });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const url = await new Promise<string>((resolve, reject) => {
    let said = '';
    const listen = (chunk: Buffer) => {
      said += chunk;
      const [address] = /http:\/\/\S+\/v1/.exec(said) ?? [];
      if (address) resolve(address);
    };
    child.stdout.on('data', listen);
    child.stderr.on('data', listen);
    child.once('exit', (code) => reject(new Error(`The server ended with ${code}: ${said}`)));
  });
  return {
    url,
    stop: async () => {
      child.kill();
      await ended;
    },
  };
}
