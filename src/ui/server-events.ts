/**
 * The data of server-sent events, as they come. Leaving the loop cancels the body. Of the format it knows what chat servers
 * use: `data` lines, several of one event joined by line feeds, comments, and CRLF.
 */
export async function* serverEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>).getReader();
  let rest = '';
  let data: string[] = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      // The last event may lack its blank line.
      const lines = (rest + (done ? '\n\n' : value)).split(/\r\n|\n/);
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (line.startsWith('data:')) data.push(line.slice('data:'.length).replace(/^ /, ''));
        if (line !== '' || data.length === 0) continue;
        yield data.join('\n');
        data = [];
      }
      if (done) return;
    }
  } finally {
    await reader.cancel().catch(() => {}); // a connection that broke has nothing to cancel
  }
}
