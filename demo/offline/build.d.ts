/** Written into the service worker by tools/build.mjs. */
declare const __BUILD__: { readonly version: string; readonly files: import('./precache.ts').BuiltFiles };
