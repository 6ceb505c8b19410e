/**
 * What the built page may load and do, as a `<meta>` in index.html: nothing inline, nothing from elsewhere but models.
 * A server that sends it as a header as well adds `frame-ancestors`, which a `<meta>` cannot say (docs/developing.md).
 */
import type { Plugin } from 'vite';

const DIRECTIVES = {
  'default-src': ["'none'"],
  // Grammars for JSON are WebAssembly.
  'script-src': ["'self'", "'wasm-unsafe-eval'"],
  'worker-src': ["'self'"],
  'style-src': ["'self'"],
  // Pictures and videos of the conversation. Not https: showing one would tell its server.
  'img-src': ["'self'", 'blob:', 'data:'],
  'media-src': ["'self'", 'blob:', 'data:'],
  'font-src': ["'self'"],
  // Any server of models; on this machine also one without https.
  'connect-src': ["'self'", 'https:', 'http://localhost:*', 'http://127.0.0.1:*', 'blob:', 'data:'],
  'manifest-src': ["'self'"],
  'frame-src': ["'self'"],
  'base-uri': ["'none'"],
  'form-action': ["'none'"],
  'object-src': ["'none'"],
} as const satisfies Record<string, readonly string[]>;

export const CONTENT_SECURITY_POLICY = Object.entries(DIRECTIVES)
  .map(([name, sources]) => `${name} ${sources.join(' ')}`)
  .join('; ');

/** Puts the policy at the head of the built page. Not in development, where Vite's own scripts are inline. */
export function contentSecurityPolicy(): Plugin {
  return {
    name: 'content-security-policy',
    apply: 'build',
    transformIndexHtml: () => [
      {
        tag: 'meta',
        attrs: { 'http-equiv': 'Content-Security-Policy', content: CONTENT_SECURITY_POLICY },
        injectTo: 'head-prepend',
      },
    ],
  };
}
